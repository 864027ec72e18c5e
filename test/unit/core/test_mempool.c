#include "core/mempool.h"
#include "leaf_fixture.h"

/* Transactions by number: len bytes in a buffer of its own, expiring at number. */
static struct dsmr_mempool_tx tx_of(uint64_t n, uint32_t len)
{
    struct dsmr_buf *owner = dsmr_buf_new(len);
    assert_non_null(owner);
    memset(owner->bytes, 0, len);
    struct dsmr_mempool_tx tx = {
        .owner = owner, .bytes = owner->bytes, .len = len, .expiry_ms = n, .id = id_of(n)};
    return tx;
}

static enum dsmr_err add(struct dsmr_mempool *pool, uint64_t n, uint32_t len)
{
    struct dsmr_mempool_tx tx = tx_of(n, len);
    enum dsmr_err err = dsmr_mempool_add(pool, &tx);
    assert_int_equal(tx.owner->refs, 1); /* the pool's, or still ours */
    if (err != DSMR_OK) {
        dsmr_buf_unref(tx.owner);
    }
    dsmr_mempool_check(pool);
    return err;
}

static struct dsmr_mempool_wish wish_of(uint32_t txs_max, uint64_t bytes_max)
{
    struct dsmr_mempool_wish wish = {.txs_max = txs_max,
                                     .bytes_max = bytes_max,
                                     .overhead_bytes = 4,
                                     .expiry_min_ms = 0,
                                     .expiry_max_ms = UINT64_MAX};
    return wish;
}

/* Takes by wish and asserts that what comes is numbered so. */
static void assert_takes(struct dsmr_mempool *pool, const struct dsmr_mempool_wish *wish,
                         const uint64_t *numbers, uint32_t count)
{
    struct dsmr_mempool_tx out[64];
    assert_int_equal(dsmr_mempool_has_fitting(pool, wish), count > 0);
    assert_int_equal(dsmr_mempool_take(pool, out, wish), count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(dsmr_load_be64(out[i].id.bytes), numbers[i]);
        assert_false(dsmr_mempool_has(pool, &out[i].id));
        assert_int_equal(out[i].owner->refs, 1);
        dsmr_buf_unref(out[i].owner);
    }
    dsmr_mempool_check(pool);
}
#define ASSERT_TAKES(pool, wish, ...)                                                              \
    do {                                                                                           \
        const uint64_t numbers_[] = {__VA_ARGS__};                                                 \
        assert_takes((pool), (wish), numbers_, sizeof(numbers_) / sizeof(numbers_[0]));            \
    } while (0)

static void test_limits(void **state)
{
    (void)state;
    struct dsmr_mempool *pool = dsmr_mempool_new(3, 100, 1);
    assert_int_equal(add(pool, 1, 50), DSMR_OK);
    assert_int_equal(add(pool, 1, 50), DSMR_ERR_DUPLICATE);
    assert_int_equal(add(pool, 2, 51), DSMR_ERR_MEMPOOL_FULL);
    assert_int_equal(add(pool, 2, 50), DSMR_OK);
    assert_int_equal(dsmr_mempool_bytes(pool), 100);
    assert_int_equal(add(pool, 3, 0), DSMR_OK);
    assert_int_equal(add(pool, 4, 0), DSMR_ERR_MEMPOOL_FULL); /* by count */
    assert_int_equal(dsmr_mempool_txs(pool), 3);
    struct dsmr_id id = id_of(2);
    assert_true(dsmr_mempool_remove(pool, &id, 1));
    assert_false(dsmr_mempool_remove(pool, &id, 1));
    assert_false(dsmr_mempool_has(pool, &id));
    assert_int_equal(dsmr_mempool_bytes(pool), 50);
    assert_int_equal(add(pool, 4, 10), DSMR_OK);
    dsmr_mempool_free(pool);
    dsmr_mempool_free(NULL);
}

static void test_takes_in_order_up_to_a_chunk(void **state)
{
    (void)state;
    struct dsmr_mempool *pool = dsmr_mempool_new(10, 1000, 1);
    for (uint64_t n = 1; n <= 5; n++) {
        assert_int_equal(add(pool, n, 20), DSMR_OK);
    }
    struct dsmr_mempool_wish wish = wish_of(10, 47); /* two of 20 + 4 need 48 */
    ASSERT_TAKES(pool, &wish, 1);
    wish.bytes_max = 48;
    ASSERT_TAKES(pool, &wish, 2, 3);
    wish = wish_of(1, 1000);
    ASSERT_TAKES(pool, &wish, 4);
    wish = wish_of(0, 1000);
    assert_takes(pool, &wish, NULL, 0);
    wish = wish_of(10, 23);
    assert_takes(pool, &wish, NULL, 0);
    wish = wish_of(10, 1000);
    ASSERT_TAKES(pool, &wish, 5);
    assert_takes(pool, &wish, NULL, 0);
    assert_int_equal(dsmr_mempool_bytes(pool), 0);
    dsmr_mempool_free(pool);
}

static void test_passes_over_expired_and_far_ones(void **state)
{
    (void)state;
    struct dsmr_mempool *pool = dsmr_mempool_new(10, 1000, 1);
    for (uint64_t n = 1; n <= 6; n++) {
        assert_int_equal(add(pool, n, 20), DSMR_OK);
    }
    struct dsmr_mempool_wish wish = wish_of(10, 1000);
    wish.expiry_min_ms = 3;
    wish.expiry_max_ms = 5;
    ASSERT_TAKES(pool, &wish, 3, 4, 5); /* both bounds belong */
    assert_int_equal(dsmr_mempool_txs(pool), 3);
    wish = wish_of(10, 1000);
    ASSERT_TAKES(pool, &wish, 1, 2, 6);
    dsmr_mempool_free(pool);
}

static void test_passes_over_a_bounded_number(void **state)
{
    (void)state;
    struct dsmr_mempool *pool = dsmr_mempool_new(2000, 100000, 1);
    for (uint64_t n = 0; n < 1025; n++) {
        assert_int_equal(add(pool, 10000 + n, 1), DSMR_OK);
    }
    assert_int_equal(add(pool, 1, 1), DSMR_OK);
    struct dsmr_mempool_wish wish = wish_of(10, 1000);
    wish.expiry_max_ms = 10;
    assert_takes(pool, &wish, NULL, 0);
    struct dsmr_id id = id_of(10000);
    assert_true(dsmr_mempool_remove(pool, &id, 1)); /* 1024 are left before it */
    ASSERT_TAKES(pool, &wish, 1);
    dsmr_mempool_free(pool);
}

static void test_put_back_keeps_the_order(void **state)
{
    (void)state;
    struct dsmr_mempool *pool = dsmr_mempool_new(10, 1000, 1);
    struct dsmr_mempool_tx out[2];
    for (uint64_t n = 1; n <= 4; n++) {
        assert_int_equal(add(pool, n, 20), DSMR_OK);
    }
    struct dsmr_mempool_wish wish = wish_of(2, 1000);
    assert_int_equal(dsmr_mempool_take(pool, out, &wish), 2);
    for (unsigned i = 2; i > 0; i--) {
        assert_int_equal(dsmr_mempool_put_back(pool, &out[i - 1]), DSMR_OK);
        assert_int_equal(dsmr_mempool_put_back(pool, &out[i - 1]), DSMR_ERR_DUPLICATE);
        assert_int_equal(out[i - 1].owner->refs, 1);
        dsmr_mempool_check(pool);
    }
    wish = wish_of(10, 1000);
    ASSERT_TAKES(pool, &wish, 1, 2, 3, 4);
    struct dsmr_mempool_tx lone = tx_of(9, 20); /* into an empty pool */
    assert_int_equal(dsmr_mempool_put_back(pool, &lone), DSMR_OK);
    assert_int_equal(add(pool, 10, 20), DSMR_OK);
    ASSERT_TAKES(pool, &wish, 9, 10);
    dsmr_mempool_free(pool);
}

static void test_expired_go_in_steps(void **state)
{
    (void)state;
    struct dsmr_mempool *pool = dsmr_mempool_new(10, 1000, 1);
    struct dsmr_id out[10];
    const uint64_t numbers[] = {5, 1, 6, 2, 7, 3};
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(add(pool, numbers[i], 20), DSMR_OK);
    }
    assert_int_equal(dsmr_mempool_take_expired(pool, out, 2, 4), 1); /* looked at 5 and 1 */
    assert_int_equal(dsmr_load_be64(out[0].bytes), 1);
    assert_int_equal(dsmr_mempool_take_expired(pool, out, 2, 4), 1); /* 6 and 2 */
    assert_int_equal(dsmr_load_be64(out[0].bytes), 2);
    assert_int_equal(dsmr_mempool_take_expired(pool, out, 10, 4), 1); /* 7, 3, and from the top */
    assert_int_equal(dsmr_mempool_txs(pool), 3);
    assert_int_equal(dsmr_mempool_take_expired(pool, out, 10, 5), 0); /* 5 is still valid at 5 */
    assert_int_equal(dsmr_mempool_take_expired(pool, out, 10, UINT64_MAX), 3);
    assert_int_equal(dsmr_mempool_take_expired(pool, out, 10, UINT64_MAX), 0);
    dsmr_mempool_check(pool);
    dsmr_mempool_free(pool);
}

#define MANY 100000u

/* Spread like a hash, so that some fall together in any table. */
static struct dsmr_id hash_like(uint64_t n)
{
    struct dsmr_prng prng;
    struct dsmr_id id;
    dsmr_prng_init(&prng, n);
    for (uint32_t i = 0; i < sizeof(id); i += sizeof(n)) {
        n = dsmr_prng_next(&prng);
        memcpy(id.bytes + i, &n, sizeof(n));
    }
    return id;
}

/* Fills up far beyond the first table, empties, and again: all that are there are found, and of
 * many ids those that are there go. */
static void test_many_come_and_go(void **state)
{
    (void)state;
    struct dsmr_mempool *pool = dsmr_mempool_new(MANY, UINT64_MAX, 1);
    struct dsmr_mempool_tx tx = tx_of(1, 20);
    struct dsmr_id *ids = calloc(MANY, sizeof(*ids));
    assert_non_null(ids);
    for (unsigned round = 0; round < 2; round++) {
        dsmr_buf_ref_many(tx.owner, MANY);
        for (uint32_t n = 0; n < MANY; n++) {
            tx.id = ids[n] = hash_like(n);
            assert_int_equal(dsmr_mempool_add(pool, &tx), DSMR_OK);
            if (n % 9973 == 0) {
                dsmr_mempool_check(pool);
            }
        }
        dsmr_mempool_check(pool);
        for (uint32_t n = 0; n < MANY; n++) { /* every third is not there */
            ids[n] = hash_like(n % 3 == 0 ? MANY + n : n);
            assert_int_equal(dsmr_mempool_has(pool, &ids[n]), n % 3 != 0);
        }
        assert_int_equal(dsmr_mempool_remove(pool, ids, 0), 0);
        assert_int_equal(dsmr_mempool_remove(pool, ids, 7), 4);
        assert_int_equal(dsmr_mempool_remove(pool, ids, 7), 0);
        assert_int_equal(dsmr_mempool_remove(pool, ids, MANY), MANY - (MANY + 2) / 3 - 4);
        dsmr_mempool_check(pool);
        for (uint32_t n = 0; n < MANY; n++) {
            ids[n] = hash_like(n);
            assert_int_equal(dsmr_mempool_has(pool, &ids[n]), n % 3 == 0);
        }
        assert_int_equal(dsmr_mempool_remove(pool, ids, MANY), (MANY + 2) / 3);
        assert_int_equal(dsmr_mempool_remove(pool, ids, MANY), 0);
        dsmr_mempool_check(pool);
        assert_int_equal(tx.owner->refs, 1);
    }
    dsmr_buf_unref(tx.owner);
    free(ids);
    dsmr_mempool_free(pool);
}

static void test_random_operations(void **state)
{
    (void)state;
    struct dsmr_mempool *pool = dsmr_mempool_new(20, 400, 1);
    struct dsmr_prng prng;
    struct dsmr_id ids[8];
    struct dsmr_mempool_tx taken[8];
    dsmr_prng_init(&prng, 9);
    for (unsigned step = 0; step < 5000; step++) {
        uint64_t n = dsmr_prng_below(&prng, 60);
        struct dsmr_id id = id_of(n);
        bool held = dsmr_mempool_has(pool, &id);
        switch (dsmr_prng_below(&prng, 5)) {
        case 0:
            assert_int_equal(dsmr_mempool_remove(pool, &id, 1), held);
            break;
        case 1:
            (void)dsmr_mempool_take_expired(pool, ids, 8, n / 4);
            break;
        case 2: {
            struct dsmr_mempool_wish wish = wish_of(8, 100);
            wish.expiry_min_ms = n / 2;
            uint32_t count = dsmr_mempool_take(pool, taken, &wish);
            for (uint32_t i = count; i > 0; i--) {
                if (n % 2 == 0) {
                    assert_int_equal(dsmr_mempool_put_back(pool, &taken[i - 1]), DSMR_OK);
                } else {
                    dsmr_buf_unref(taken[i - 1].owner);
                }
            }
            break;
        }
        default:
            assert_int_equal(add(pool, n, (uint32_t)n) == DSMR_ERR_DUPLICATE, held);
        }
        dsmr_mempool_check(pool);
    }
    dsmr_mempool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_takes_in_order_up_to_a_chunk),
        cmocka_unit_test(test_passes_over_expired_and_far_ones),
        cmocka_unit_test(test_passes_over_a_bounded_number),
        cmocka_unit_test(test_put_back_keeps_the_order),
        cmocka_unit_test(test_expired_go_in_steps),
        cmocka_unit_test(test_many_come_and_go),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
