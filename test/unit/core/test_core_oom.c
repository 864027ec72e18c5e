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
static size_t bytes_asked; /* as long as nothing is freed and what grows doubles */

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
    return may_allocate() ? __real_malloc(size) : NULL;
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
    assert_true(failures > 100);
    dsmr_executed_ids_free(ids);
}

static void test_cells_tell_their_bytes(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 1);
    bytes_asked = 0;
    struct dsmr_id_cells *set = dsmr_id_cells_new();
    for (uint32_t n = 0; n < 5000; n++) {
        assert_int_equal(dsmr_id_cells_bytes(set), bytes_asked);
        struct dsmr_id_print print = {.high = dsmr_prng_next(&prng)};
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
    }
    dsmr_id_cells_free(set);
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
        cmocka_unit_test(test_cells_tell_their_bytes),
        cmocka_unit_test(test_growing_ids_are_unchanged_on_failure),
        cmocka_unit_test(test_splitting_cells_are_unchanged_on_failure),
        cmocka_unit_test(test_tree_is_unchanged_on_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
