#include "base/bitset.h"
#include "core/cert_pool.h"
#include "leaf_fixture.h"

enum { CERTS_MAX = 40, PRODUCER_MAX = 12 };

static struct dsmr_cert cert_of(uint64_t chunk, uint64_t producer, uint64_t slot)
{
    struct dsmr_cert cert = {.ref = ref_of(chunk, producer, slot)};
    dsmr_bitset_add(&cert.signers, 3);
    return cert;
}

static void add(struct dsmr_cert_pool *pool, uint64_t chunk, uint64_t producer, uint64_t slot)
{
    struct dsmr_cert cert = cert_of(chunk, producer, slot);
    bool is_new = false;
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &cert, 3), DSMR_OK);
    assert_true(is_new);
    dsmr_cert_pool_check(pool);
}

static struct dsmr_cert_pool_wish wish_of(uint64_t time_ms)
{
    struct dsmr_cert_pool_wish wish = {.time_ms = time_ms,
                                       .slot_ms = FIXTURE_SLOT_MS,
                                       .certs_max = 10,
                                       .txs_max = 1000,
                                       .payload_bytes_max = 1000000,
                                       .encoded_bytes_max = 1000000,
                                       .epochs = {0},
                                       .epochs_count = 1};
    return wish;
}

static void assert_selects(const struct dsmr_cert_pool *pool,
                           const struct dsmr_cert_pool_wish *wish, const uint64_t *chunks,
                           uint32_t count)
{
    struct dsmr_cert out[CERTS_MAX];
    assert_int_equal(dsmr_cert_pool_select(pool, out, wish), count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(dsmr_load_be64(out[i].ref.chunk_id.bytes), chunks[i]);
    }
    assert_int_equal(dsmr_cert_pool_has_fitting(pool, wish), count > 0);
}
#define ASSERT_SELECTS(pool, wish, ...)                                                            \
    do {                                                                                           \
        const uint64_t chunks_[] = {__VA_ARGS__};                                                  \
        assert_selects((pool), (wish), chunks_, sizeof(chunks_) / sizeof(chunks_[0]));             \
    } while (0)

static void test_keeps_the_heavier(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(CERTS_MAX, PRODUCER_MAX, 1);
    struct dsmr_cert light = cert_of(1, 1, 1);
    struct dsmr_cert heavy = light;
    dsmr_bitset_add(&heavy.signers, 5);
    bool is_new = false;
    assert_true(dsmr_cert_pool_wants(pool, &light.ref, 0));
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &light, 3), DSMR_OK);
    assert_true(is_new);
    add(pool, 2, 1, 2);
    assert_false(dsmr_cert_pool_wants(pool, &light.ref, 3));
    assert_true(dsmr_cert_pool_wants(pool, &light.ref, 4));
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &light, 3), DSMR_ERR_DUPLICATE);
    assert_false(dsmr_cert_pool_is_stored(pool, &light.ref.chunk_id));
    dsmr_cert_pool_set_stored(pool, &light.ref.chunk_id);
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &heavy, 4), DSMR_OK);
    assert_true(dsmr_cert_pool_is_stored(pool, &light.ref.chunk_id)); /* one of the chunk is */
    assert_false(is_new);
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &light, 3), DSMR_ERR_DUPLICATE);
    assert_memory_equal(dsmr_cert_pool_find(pool, &light.ref.chunk_id), &heavy, sizeof(heavy));
    assert_int_equal(dsmr_cert_pool_count(pool), 2);
    struct dsmr_cert_pool_wish wish = wish_of(1000);
    ASSERT_SELECTS(pool, &wish, 1, 2); /* it kept its place */
    /* A reference that differs describes no chunk of this id. */
    heavy.ref.slot = 9;
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &heavy, 9), DSMR_ERR_DUPLICATE);
    dsmr_cert_pool_check(pool);
    dsmr_cert_pool_free(pool);
}

static void test_limits(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(4, 2, 1);
    bool is_new;
    add(pool, 1, 1, 1);
    add(pool, 2, 1, 2);
    struct dsmr_cert third = cert_of(3, 1, 3);
    assert_false(dsmr_cert_pool_wants(pool, &third.ref, 9));
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &third, 3), DSMR_ERR_FULL);
    add(pool, 4, 2, 1);
    add(pool, 5, 3, 1);
    struct dsmr_cert fifth = cert_of(6, 4, 1);
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &fifth, 3), DSMR_ERR_FULL);
    struct dsmr_cert heavier = cert_of(1, 1, 1);
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &heavier, 4), DSMR_OK); /* also when full */
    struct dsmr_id gone = id_of(4);
    assert_true(dsmr_cert_pool_remove(pool, &gone));
    assert_false(dsmr_cert_pool_remove(pool, &gone));
    assert_null(dsmr_cert_pool_find(pool, &gone));
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &third, 3), DSMR_ERR_FULL);
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &fifth, 3), DSMR_OK);
    dsmr_cert_pool_check(pool);
    dsmr_cert_pool_free(pool);
    dsmr_cert_pool_free(NULL);
}

static void test_rounds_over_producers(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(CERTS_MAX, PRODUCER_MAX, 1);
    for (uint64_t i = 1; i <= 5; i++) { /* one that produces a lot, and first */
        add(pool, i, 1, i);
    }
    add(pool, 21, 2, 1);
    add(pool, 31, 3, 1);
    add(pool, 22, 2, 2);
    struct dsmr_cert_pool_wish wish = wish_of(1000);
    ASSERT_SELECTS(pool, &wish, 1, 21, 31, 2, 22, 3, 4, 5);
    wish.certs_max = 4;
    ASSERT_SELECTS(pool, &wish, 1, 21, 31, 2);
    wish.certs_max = 0;
    assert_selects(pool, &wish, NULL, 0);
    dsmr_cert_pool_free(pool);
}

/* Within a round the oldest goes first, wherever its producer stands in the pool's tables. */
static void test_a_round_goes_by_age(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(CERTS_MAX, PRODUCER_MAX, 1);
    for (uint64_t i = 1; i <= 9; i++) {
        add(pool, i, i, 1);
    }
    for (uint64_t i = 1; i <= 3; i++) {
        struct dsmr_id id = id_of(i);
        assert_true(dsmr_cert_pool_remove(pool, &id));
        dsmr_cert_pool_check(pool);
    }
    struct dsmr_cert_pool_wish wish = wish_of(1000);
    ASSERT_SELECTS(pool, &wish, 4, 5, 6, 7, 8, 9);
    dsmr_cert_pool_free(pool);
}

static void test_passes_over_what_does_not_fit(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(CERTS_MAX, PRODUCER_MAX, 1);
    struct dsmr_cert large = cert_of(1, 1, 1);
    bool is_new;
    large.ref.chunk_bytes = 20000;
    large.ref.tx_count = 50;
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &large, 3), DSMR_OK);
    add(pool, 2, 1, 2);
    add(pool, 3, 2, 1);
    struct dsmr_cert_pool_wish wish = wish_of(1000);
    wish.payload_bytes_max = 20000;
    ASSERT_SELECTS(pool, &wish, 1); /* exactly */
    wish.payload_bytes_max = 19999;
    ASSERT_SELECTS(pool, &wish, 2, 3);
    wish = wish_of(1000);
    wish.txs_max = 49;
    ASSERT_SELECTS(pool, &wish, 2, 3);
    wish.txs_max = 51;
    ASSERT_SELECTS(pool, &wish, 1, 3);
    wish = wish_of(1000);
    const uint32_t entry_bytes = 1 + DSMR_REFERENCE_BYTES + 2 + 1 + 96; /* one byte of signers */
    wish.encoded_bytes_max = 2 * entry_bytes;
    ASSERT_SELECTS(pool, &wish, 1, 3);
    wish.encoded_bytes_max = 2 * entry_bytes - 1;
    ASSERT_SELECTS(pool, &wish, 1);
    dsmr_cert_pool_free(pool);
}

static void test_time_and_epoch(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(CERTS_MAX, PRODUCER_MAX, 1);
    add(pool, 1, 1, 10); /* from 1000 to 31000 */
    struct dsmr_cert_pool_wish wish = wish_of(999);
    assert_selects(pool, &wish, NULL, 0);
    wish.time_ms = 1000;
    ASSERT_SELECTS(pool, &wish, 1);
    wish.time_ms = 31000;
    ASSERT_SELECTS(pool, &wish, 1);
    wish.time_ms = 31001;
    assert_selects(pool, &wish, NULL, 0);
    wish.time_ms = 1000;
    wish.epochs[0] = 7;
    assert_selects(pool, &wish, NULL, 0);
    wish.epochs[1] = 0;
    wish.epochs_count = 2;
    ASSERT_SELECTS(pool, &wish, 1);
    wish.epochs_count = 0;
    assert_selects(pool, &wish, NULL, 0);
    dsmr_cert_pool_free(pool);
}

static bool is_second_chunk(void *ctx, const struct dsmr_reference *ref)
{
    ++*(unsigned *)ctx;
    return dsmr_load_be64(ref->chunk_id.bytes) == 2;
}

static void test_one_of_a_slot_and_none_that_is_used(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(CERTS_MAX, PRODUCER_MAX, 1);
    struct dsmr_cert other_epoch = cert_of(3, 1, 1); /* the slot of chunk 1 in another epoch */
    bool is_new;
    other_epoch.ref.epoch = 1;
    add(pool, 1, 1, 1);
    assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &other_epoch, 3), DSMR_OK);
    add(pool, 2, 2, 1);
    add(pool, 4, 2, 2);
    struct dsmr_cert_pool_wish wish = wish_of(1000);
    wish.epochs[1] = 1;
    wish.epochs_count = 2;
    ASSERT_SELECTS(pool, &wish, 1, 2, 4);
    unsigned asked = 0;
    wish.is_used = is_second_chunk;
    wish.ctx = &asked;
    ASSERT_SELECTS(pool, &wish, 1, 4);
    assert_true(asked > 0);
    dsmr_cert_pool_free(pool);
}

static void test_expiry(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(CERTS_MAX, PRODUCER_MAX, 1);
    struct dsmr_id out[8];
    assert_true(dsmr_cert_pool_expiry_min_ms(pool) == UINT64_MAX);
    add(pool, 3, 1, 3);
    add(pool, 1, 1, 1);
    add(pool, 2, 2, 2);
    uint64_t first = ref_of(1, 1, 1).expiry_ms;
    assert_int_equal(dsmr_cert_pool_expiry_min_ms(pool), first);
    assert_int_equal(dsmr_cert_pool_take_expired(pool, out, 8, first), 0);
    assert_int_equal(dsmr_cert_pool_take_expired(pool, out, 8, first + 101), 2);
    struct dsmr_id one = id_of(1);
    struct dsmr_id two = id_of(2);
    assert_id_equal(&out[0], &one);
    assert_id_equal(&out[1], &two);
    assert_int_equal(dsmr_cert_pool_take_expired(pool, out, 0, UINT64_MAX), 0);
    assert_int_equal(dsmr_cert_pool_count(pool), 1);
    dsmr_cert_pool_check(pool);
    dsmr_cert_pool_free(pool);
}

static void test_random_operations(void **state)
{
    (void)state;
    struct dsmr_cert_pool *pool = dsmr_cert_pool_new(CERTS_MAX, PRODUCER_MAX, 1);
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 5);
    for (unsigned step = 0; step < 4000; step++) {
        uint64_t n = dsmr_prng_below(&prng, 80);
        struct dsmr_cert cert = cert_of(n, n % 6, n);
        bool is_new;
        bool held = dsmr_cert_pool_find(pool, &cert.ref.chunk_id) != NULL;
        if (dsmr_prng_below(&prng, 3) == 0) {
            assert_int_equal(dsmr_cert_pool_remove(pool, &cert.ref.chunk_id), held);
        } else {
            bool wanted = dsmr_cert_pool_wants(pool, &cert.ref, step);
            assert_int_equal(dsmr_cert_pool_add(pool, &is_new, &cert, step) == DSMR_OK, wanted);
        }
        dsmr_cert_pool_check(pool);
    }
    struct dsmr_cert_pool_wish wish = wish_of(20000);
    wish.certs_max = CERTS_MAX;
    struct dsmr_cert out[CERTS_MAX];
    assert_int_equal(dsmr_cert_pool_select(pool, out, &wish), dsmr_cert_pool_count(pool));
    dsmr_cert_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_the_heavier),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_rounds_over_producers),
        cmocka_unit_test(test_a_round_goes_by_age),
        cmocka_unit_test(test_passes_over_what_does_not_fit),
        cmocka_unit_test(test_time_and_epoch),
        cmocka_unit_test(test_one_of_a_slot_and_none_that_is_used),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
