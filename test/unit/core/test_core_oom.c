/* test_core_oom.c - every allocation of the core fails once: nothing leaks, nothing is half
 * changed.
 *
 * Linked with malloc, calloc and realloc wrapped (cmake/tests.cmake). */
#include <stdatomic.h>

#include "base/prng.h"
#include "core/accepted_index.h"
#include "core/block_tree.h"
#include "core/cert_pool.h"
#include "core/chunk_pool.h"
#include "core/epochs.h"
#include "core/evidence_log.h"
#include "core/executed_ids.h"
#include "core/expiry_slots.h"
#include "core/id_cells.h"
#include "core/id_pack.h"
#include "core/journal.h"
#include "core/mempool.h"
#include "core/peer_table.h"
#include "core/verdict_cache.h"
#include "dsmr/dsmr.h"
#include "leaf_fixture.h"
#include "lib/wrapped_malloc.h"
#include "wire/codec.h"

static const struct dsmr_id secret = {{1}};

#define NEVER UINT32_MAX
static uint32_t allocations_left = NEVER; /* until one fails; NEVER: none fails */
static bool has_failed;
static size_t block_bytes_max = SIZE_MAX; /* of malloc */
static size_t bytes_asked;                /* as long as nothing is freed and what grows doubles */

static bool may_allocate(void)
{
    if (allocations_left == NEVER) {
        return true;
    }
    if (allocations_left == 0) {
        has_failed = true;
        return false;
    }
    allocations_left--;
    return true;
}

void *__wrap_malloc(size_t size)
{
    bytes_asked += size;
    return may_allocate() && size <= block_bytes_max ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    bytes_asked += count * size;
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
    bytes_asked += old == NULL ? size : size / 2;
    return may_allocate() ? __real_realloc(old, size) : NULL;
}

/* Makes and frees something with the first, second ... allocation failing, until none fails. */
#define ASSERT_SURVIVES(type, make, release)                                                       \
    do {                                                                                           \
        uint32_t nth_ = 0;                                                                         \
        struct type *made_ = NULL;                                                                 \
        do {                                                                                       \
            has_failed = false;                                                                    \
            allocations_left = nth_++;                                                             \
            made_ = (make);                                                                        \
            allocations_left = NEVER;                                                              \
            assert_int_equal(made_ == NULL, has_failed);                                           \
            release(made_);                                                                        \
        } while (has_failed);                                                                      \
        assert_true(nth_ > 1);                                                                     \
    } while (0)

static void test_constructors(void **state)
{
    (void)state;
    const struct dsmr_chunk_pool_config config = {
        .chunks_max = 10, .producers_max = 2, .body_bytes_max = 1, .pending_bytes_max = 1};
    ASSERT_SURVIVES(dsmr_accepted_index, dsmr_accepted_index_new(10, 1), dsmr_accepted_index_free);
    ASSERT_SURVIVES(dsmr_block_tree, dsmr_block_tree_new(10, 1), dsmr_block_tree_free);
    ASSERT_SURVIVES(dsmr_cert_pool, dsmr_cert_pool_new(10, 10, 1), dsmr_cert_pool_free);
    ASSERT_SURVIVES(dsmr_chunk_pool, dsmr_chunk_pool_new(&config), dsmr_chunk_pool_free);
    ASSERT_SURVIVES(dsmr_epochs, dsmr_epochs_new(10), dsmr_epochs_free);
    ASSERT_SURVIVES(dsmr_evidence_log, dsmr_evidence_log_new(10, 2, 1), dsmr_evidence_log_free);
    ASSERT_SURVIVES(dsmr_executed_ids, dsmr_executed_ids_new(10, &secret), dsmr_executed_ids_free);
    ASSERT_SURVIVES(dsmr_journal, dsmr_journal_new(10, 1), dsmr_journal_free);
    ASSERT_SURVIVES(dsmr_mempool, dsmr_mempool_new(10, 10, 1), dsmr_mempool_free);
    ASSERT_SURVIVES(dsmr_peer_table, dsmr_peer_table_new(10, 1), dsmr_peer_table_free);
    ASSERT_SURVIVES(dsmr_verdict_cache, dsmr_verdict_cache_new(10, 1), dsmr_verdict_cache_free);
}

static void test_node(void **state)
{
    (void)state;
    struct dsmr_node_config config = {.seed = 1,
                                      .validators_max = 4,
                                      .mempool_bytes_max = 4096,
                                      .mempool_txs_max = 16,
                                      .chunk_cache_bytes_max = 4096,
                                      .retry_ms = 100,
                                      .fetch_timeout_ms = 100,
                                      .fetches_max = 2,
                                      .can_produce = true};
    dsmr_params_default(&config.params);
    assert_int_equal(dsmr_block_genesis(&config.genesis, &config.params, 1), DSMR_OK);
    ASSERT_SURVIVES(dsmr_node, dsmr_node_new(&config), dsmr_node_free);
    assert_int_equal(config.genesis->refs, 1);
    dsmr_block_unref(config.genesis);
}

static void test_growing_index_is_unchanged_on_failure(void **state)
{
    (void)state;
    struct dsmr_accepted_index *index = dsmr_accepted_index_new(5000, 1);
    for (uint64_t i = 0; i < 1024; i++) {
        struct dsmr_reference ref = ref_of(i, 1, i);
        assert_int_equal(dsmr_accepted_index_add(index, &ref, i), DSMR_OK);
    }
    struct dsmr_reference next = ref_of(1024, 1, 1024);
    enum dsmr_err err = DSMR_ERR_NO_MEMORY;
    uint32_t failures = 0;
    for (uint32_t nth = 0; err != DSMR_OK; nth++) {
        allocations_left = nth;
        err = dsmr_accepted_index_add(index, &next, 1024);
        allocations_left = NEVER;
        assert_true(err == DSMR_OK || err == DSMR_ERR_NO_MEMORY);
        failures += err != DSMR_OK;
        dsmr_accepted_index_check(index);
        assert_int_equal(dsmr_accepted_index_count(index), err == DSMR_OK ? 1025 : 1024);
    }
    assert_true(failures > 0);
    dsmr_accepted_index_free(index);
}

#define SPLIT 200000u

static void test_splitting_cells_are_unchanged_on_failure(void **state)
{
    (void)state;
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(3200, &secret);
    uint32_t failures = 0;
    for (uint64_t n = 0; n < SPLIT; n++) { /* in one bucket: dense cells are split, too */
        struct dsmr_id id = id_of(n);
        enum dsmr_err err = DSMR_ERR_NO_MEMORY;
        for (uint32_t nth = 0; err != DSMR_OK; nth++) {
            allocations_left = nth;
            err = dsmr_executed_ids_add(ids, &id, 100);
            allocations_left = NEVER;
            assert_true(err == DSMR_OK || err == DSMR_ERR_NO_MEMORY);
            if (err != DSMR_OK) {
                failures++;
                dsmr_executed_ids_check(ids);
                assert_false(dsmr_executed_ids_has(ids, &id, 100));
            }
            assert_int_equal(dsmr_executed_ids_count(ids), err == DSMR_OK ? n + 1 : n);
        }
    }
    dsmr_executed_ids_check(ids);
    for (uint64_t n = 0; n < SPLIT; n++) {
        struct dsmr_id id = id_of(n);
        assert_true(dsmr_executed_ids_has(ids, &id, 100));
    }
    assert_true(failures > 20);
    dsmr_executed_ids_free(ids);
}

#define PAGES_HELD 400u

/* Slabs have many pages: here each page is the last one. */
static void test_cells_are_unchanged_without_a_page(void **state)
{
    (void)state;
    struct dsmr_id_pages pages = {0};
    struct dsmr_id_cells *set = dsmr_id_cells_new(&pages);
    struct dsmr_id_page *held[PAGES_HELD];
    uint32_t count = 0, failures = 0;
    block_bytes_max = sizeof held[0]->bytes * PAGES_HELD / 4;
    while (count < PAGES_HELD) {
        held[count++] = dsmr_id_pages_take(&pages);
    }
    block_bytes_max = 0;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 6);
    struct dsmr_id_page *rest[PAGES_HELD];
    uint32_t rest_count = 0;
    while ((rest[rest_count] = dsmr_id_pages_take(&pages)) != NULL) {
        rest_count++;
    }
    for (uint32_t n = 0; n < SPLIT; n++) {
        struct dsmr_id_print print = {.high = dsmr_prng_next(&prng), .low = n};
        enum dsmr_err err = dsmr_id_cells_add(set, &print);
        while (err == DSMR_ERR_NO_MEMORY) {
            failures++;
            dsmr_id_cells_check(set);
            assert_false(dsmr_id_cells_has(set, &print));
            assert_int_equal(dsmr_id_cells_count(set), n);
            assert_true(count > 0);
            dsmr_id_pages_give(&pages, held[--count]);
            err = dsmr_id_cells_add(set, &print);
        }
        assert_int_equal(err, DSMR_OK);
    }
    block_bytes_max = SIZE_MAX;
    assert_in_range(failures, 200, PAGES_HELD);
    while (count > 0) {
        dsmr_id_pages_give(&pages, held[--count]);
    }
    while (rest_count > 0) {
        dsmr_id_pages_give(&pages, rest[--rest_count]);
    }
    dsmr_id_cells_free(set);
    dsmr_id_pages_free(&pages);
}

/* What cannot be packed for lack of memory leaves the cells as they are, and nothing behind. */
static void test_packing_fails_at_each_allocation(void **state)
{
    (void)state;
    struct dsmr_id_pages pages = {0}, own = {0};
    struct dsmr_id_cells *set = dsmr_id_cells_new(&pages);
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 6);
    for (uint32_t n = 0; n < SPLIT; n++) {
        struct dsmr_id_print print = {.high = dsmr_prng_next(&prng), .low = n};
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
    }
    uint32_t failures = 0;
    enum dsmr_err err = DSMR_ERR_NO_MEMORY;
    for (uint32_t nth = 0; err != DSMR_OK; nth++) {
        uint32_t packed = 0;
        allocations_left = nth;
        struct dsmr_id_pack *pack = dsmr_id_pack_new(&own, SPLIT);
        err = pack != NULL ? dsmr_id_pack_fill(pack, &packed, set, SPLIT) : DSMR_ERR_NO_MEMORY;
        allocations_left = NEVER;
        assert_true(err == DSMR_OK || err == DSMR_ERR_NO_MEMORY);
        assert_int_equal(packed, err == DSMR_OK ? SPLIT : 0);
        failures += err != DSMR_OK ? 1u : 0u;
        if (pack != NULL) {
            dsmr_id_pack_check(pack);
        }
        dsmr_id_pack_free(pack);
        dsmr_id_pages_free(&own);
        own = (struct dsmr_id_pages){0};
    }
    assert_in_range(failures, 5, 50);
    dsmr_id_cells_check(set);
    dsmr_id_cells_free(set);
    dsmr_id_pages_free(&pages);
}

#define QUIET_BLOCKS 16u

/* Whatever fails while a bucket is packed, at its begin or later, no id is forgotten. */
static void test_packing_without_memory_forgets_nothing(void **state)
{
    (void)state;
    bool has_packed = false;
    for (uint32_t nth = 0; !has_packed; nth++) {
        struct dsmr_executed_ids *ids = dsmr_executed_ids_new(3200, &secret);
        uint64_t made = 0;
        for (; made < SPLIT; made++) {
            struct dsmr_id id = id_of(made);
            assert_int_equal(dsmr_executed_ids_add(ids, &id, 5000), DSMR_OK);
        }
        for (uint64_t block = 0; block < QUIET_BLOCKS; block++) {
            dsmr_executed_ids_advance(ids, block);
        }
        size_t before = dsmr_executed_ids_bytes(ids);
        for (uint32_t block = QUIET_BLOCKS; block < QUIET_BLOCKS + 3u; block++) {
            for (uint32_t i = 0; i < 40000; i++, made++) {
                struct dsmr_id id = id_of(made);
                assert_int_equal(dsmr_executed_ids_add(ids, &id, 7000), DSMR_OK);
            }
            allocations_left = nth;
            has_failed = false;
            dsmr_executed_ids_advance(ids, block);
            allocations_left = NEVER;
            dsmr_executed_ids_check(ids);
        }
        has_packed = !has_failed && dsmr_executed_ids_bytes(ids) < before + UINT64_C(120000) * 11u;
        for (uint64_t n = 0; n < made; n++) {
            struct dsmr_id id = id_of(n);
            assert_true(dsmr_executed_ids_has(ids, &id, n < SPLIT ? 5000 : 7000));
        }
        assert_int_equal(dsmr_executed_ids_count(ids), made);
        dsmr_executed_ids_free(ids);
        assert_true(nth < 50);
    }
}

static void test_cells_tell_their_bytes(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 1);
    bytes_asked = 0;
    struct dsmr_id_pages pages = {0};
    struct dsmr_id_cells *set = dsmr_id_cells_new(&pages);
    for (uint32_t n = 0; n < 5000; n++) {
        size_t of_pages = dsmr_id_pages_taken(&pages) * sizeof(struct dsmr_id_page);
        assert_int_equal(dsmr_id_cells_bytes(set) - of_pages + dsmr_id_pages_bytes(&pages),
                         bytes_asked);
        struct dsmr_id_print print = {.high = dsmr_prng_next(&prng)};
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
    }
    dsmr_id_cells_free(set);
    dsmr_id_pages_free(&pages);
}

/* That there is no memory for a slab of full size is no reason to give up. */
static void test_a_small_slab_is_better_than_none(void **state)
{
    (void)state;
    struct dsmr_id_pages pages = {0};
    struct dsmr_id_page *taken[1000];
    block_bytes_max = 100 * sizeof *taken[0];
    for (uint32_t i = 0; i < 1000; i++) {
        taken[i] = dsmr_id_pages_take(&pages);
        assert_non_null(taken[i]);
    }
    assert_in_range(dsmr_id_pages_bytes(&pages), 1000 * sizeof *taken[0], 1110 * sizeof *taken[0]);
    block_bytes_max = 7 * sizeof *taken[0];
    uint32_t more = 0;
    struct dsmr_id_page *last[100];
    while (more < 100 && (last[more] = dsmr_id_pages_take(&pages)) != NULL) {
        more++;
    }
    assert_in_range(more, 0, 99);
    dsmr_id_pages_check(&pages);
    assert_int_equal(dsmr_id_pages_taken(&pages), 1000 + more);
    block_bytes_max = SIZE_MAX;
    for (uint32_t i = 0; i < more; i++) {
        dsmr_id_pages_give(&pages, last[i]);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        dsmr_id_pages_give(&pages, taken[i]);
    }
    dsmr_id_pages_free(&pages);
}

static void test_growing_ids_are_unchanged_on_failure(void **state)
{
    (void)state;
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(3200, &secret);
    uint32_t failures = 0;
    for (uint64_t n = 0; n < 500; n++) {
        struct dsmr_id id = id_of(n);
        enum dsmr_err err = DSMR_ERR_NO_MEMORY;
        for (uint32_t nth = 0; err != DSMR_OK; nth++) {
            allocations_left = nth;
            err = dsmr_executed_ids_add(ids, &id, 100 + n % 3);
            allocations_left = NEVER;
            assert_true(err == DSMR_OK || err == DSMR_ERR_NO_MEMORY);
            failures += err != DSMR_OK;
            dsmr_executed_ids_check(ids);
            assert_int_equal(dsmr_executed_ids_count(ids), err == DSMR_OK ? n + 1 : n);
        }
    }
    assert_true(failures > 2);
    dsmr_executed_ids_free(ids);
}

static void test_tree_is_unchanged_on_failure(void **state)
{
    (void)state;
    struct dsmr_block_tree *tree = dsmr_block_tree_new(4, 1);
    struct dsmr_cert cert = {.ref = ref_of(1, 1, 1)};
    struct dsmr_block block = {.refs = 1, .id = id_of(1), .certs_count = 1, .certs = &cert};
    enum dsmr_err err = DSMR_ERR_NO_MEMORY;
    for (uint32_t nth = 0; err != DSMR_OK; nth++) {
        allocations_left = nth;
        err = dsmr_block_tree_add(tree, &block);
        allocations_left = NEVER;
        assert_true(nth > 0 || err == DSMR_ERR_NO_MEMORY);
        dsmr_block_tree_check(tree);
        assert_int_equal(dsmr_block_tree_count(tree), err == DSMR_OK);
        assert_int_equal(block.refs, err == DSMR_OK ? 2 : 1);
    }
    assert_true(dsmr_block_tree_remove(tree, &block.id));
    dsmr_block_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constructors),
        cmocka_unit_test(test_node),
        cmocka_unit_test(test_growing_index_is_unchanged_on_failure),
        cmocka_unit_test(test_packing_fails_at_each_allocation),
        cmocka_unit_test(test_packing_without_memory_forgets_nothing),
        cmocka_unit_test(test_cells_tell_their_bytes),
        cmocka_unit_test(test_a_small_slab_is_better_than_none),
        cmocka_unit_test(test_growing_ids_are_unchanged_on_failure),
        cmocka_unit_test(test_splitting_cells_are_unchanged_on_failure),
        cmocka_unit_test(test_cells_are_unchanged_without_a_page),
        cmocka_unit_test(test_tree_is_unchanged_on_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
