#include "core/executed_ids.h"
#include "leaf_fixture.h"

static const struct dsmr_id secret = {{1}};

static void test_once_in_the_window(void **state)
{
    (void)state;
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(3200, &secret); /* buckets of 100 ms */
    struct dsmr_id a = id_of(1);
    struct dsmr_id b = id_of(2);
    assert_false(dsmr_executed_ids_has(ids, &a, 1000));
    assert_int_equal(dsmr_executed_ids_add(ids, &a, 1000), DSMR_OK);
    assert_int_equal(dsmr_executed_ids_add(ids, &a, 1000), DSMR_ERR_DUPLICATE);
    assert_true(dsmr_executed_ids_has(ids, &a, 1000));
    assert_false(dsmr_executed_ids_has(ids, &b, 1000));
    assert_int_equal(dsmr_executed_ids_count(ids), 1);
    dsmr_executed_ids_check(ids);
    dsmr_executed_ids_free(ids);
}

static void test_goes_only_when_a_later_block_was_executed(void **state)
{
    (void)state;
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(3200, &secret);
    struct dsmr_id a = id_of(1);
    struct dsmr_id b = id_of(2);
    struct dsmr_id late = id_of(3);
    assert_int_equal(dsmr_executed_ids_add(ids, &a, 1000), DSMR_OK);
    assert_int_equal(dsmr_executed_ids_add(ids, &b, 1099), DSMR_OK);
    dsmr_executed_ids_advance(ids, 1000);
    assert_true(dsmr_executed_ids_has(ids, &a, 1000)); /* may run again at its expiry */
    dsmr_executed_ids_advance(ids, 1099);
    assert_true(dsmr_executed_ids_has(ids, &b, 1099));
    assert_int_equal(dsmr_executed_ids_add(ids, &late, 1098), DSMR_ERR_EXPIRED);
    assert_int_equal(dsmr_executed_ids_add(ids, &late, 1099), DSMR_OK);
    dsmr_executed_ids_advance(ids, 1050); /* never back */
    assert_int_equal(dsmr_executed_ids_add(ids, &late, 1098), DSMR_ERR_EXPIRED);
    dsmr_executed_ids_check(ids);
    dsmr_executed_ids_advance(ids, 1100);
    assert_int_equal(dsmr_executed_ids_count(ids), 0);
    assert_false(dsmr_executed_ids_has(ids, &b, 1099));
    dsmr_executed_ids_check(ids);
    dsmr_executed_ids_free(ids);
}

static void test_far_expiries_and_tiny_windows(void **state)
{
    (void)state;
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(1, &secret);
    struct dsmr_id a = id_of(1);
    assert_int_equal(dsmr_executed_ids_add(ids, &a, UINT64_MAX), DSMR_OK);
    assert_int_equal(dsmr_executed_ids_add(ids, &a, 0), DSMR_OK);
    for (uint64_t i = 0; i < 500; i++) { /* more buckets than there is room for at first */
        assert_int_equal(dsmr_executed_ids_add(ids, &a, (i * 7919) % 503 + 1), DSMR_OK);
    }
    dsmr_executed_ids_check(ids);
    assert_true(dsmr_executed_ids_has(ids, &a, UINT64_MAX));
    dsmr_executed_ids_advance(ids, UINT64_MAX);
    assert_true(dsmr_executed_ids_has(ids, &a, UINT64_MAX));
    assert_int_equal(dsmr_executed_ids_count(ids), 1);
    dsmr_executed_ids_check(ids);
    dsmr_executed_ids_free(ids);
    dsmr_executed_ids_free(NULL);
}

static void test_a_bucket_grows(void **state)
{
    (void)state;
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(3200, &secret);
    for (uint64_t n = 0; n < 10000; n++) {
        struct dsmr_id id = id_of(n);
        assert_int_equal(dsmr_executed_ids_add(ids, &id, 5000), DSMR_OK);
    }
    dsmr_executed_ids_check(ids);
    for (uint64_t n = 0; n < 10000; n++) {
        struct dsmr_id id = id_of(n);
        assert_true(dsmr_executed_ids_has(ids, &id, 5000));
        assert_int_equal(dsmr_executed_ids_add(ids, &id, 5000), DSMR_ERR_DUPLICATE);
    }
    struct dsmr_id other = id_of(10000);
    assert_false(dsmr_executed_ids_has(ids, &other, 5000));
    assert_int_equal(dsmr_executed_ids_count(ids), 10000);
    dsmr_executed_ids_free(ids);
}

#define MANY 170000u
#define OLD_MS 5000u
#define NEW_MS 7000u
#define QUIET 16u /* blocks */
#define PAGE 8192u
#define PACK_PAGES_MIN 32u /* the ends of its groups */
#define WORDS_A_PAGE 1024u

/* As different as hashes are. */
static struct dsmr_id hash_of(uint64_t n)
{
    struct dsmr_id id;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, n);
    for (uint32_t at = 0; at < sizeof id; at += 8)
        dsmr_store_be64(id.bytes + at, dsmr_prng_next(&prng));
    return id;
}

/* Two sets to which the same new ids are added: what the first has more is the old bucket. */
struct pair {
    struct dsmr_executed_ids *ids, *fresh;
    uint64_t block, made;
};

static void add(struct dsmr_executed_ids *ids, uint64_t first, uint32_t count, uint64_t expiry_ms)
{
    for (uint64_t n = first; n < first + count; n++) {
        struct dsmr_id id = hash_of(n);
        assert_int_equal(dsmr_executed_ids_add(ids, &id, expiry_ms), DSMR_OK);
    }
}

static struct pair open_pair(void)
{
    struct pair pair = {dsmr_executed_ids_new(3200, &secret), dsmr_executed_ids_new(3200, &secret),
                        0, 1u << 30};
    add(pair.ids, 0, MANY, OLD_MS);
    dsmr_executed_ids_advance(pair.ids, pair.block);
    return pair;
}

static void close_pair(struct pair *pair)
{
    dsmr_executed_ids_check(pair->ids);
    dsmr_executed_ids_free(pair->ids);
    dsmr_executed_ids_free(pair->fresh);
}

/* Blocks, each with so many new ids that expire later. */
static void run_blocks(struct pair *pair, uint32_t blocks, uint32_t count)
{
    for (uint32_t i = 0; i < blocks; i++) {
        add(pair->ids, pair->made, count, NEW_MS);
        add(pair->fresh, pair->made, count, NEW_MS);
        pair->made += count;
        pair->block++;
        dsmr_executed_ids_advance(pair->ids, pair->block);
        dsmr_executed_ids_advance(pair->fresh, pair->block);
    }
}

static size_t old_bytes(const struct pair *pair)
{
    return dsmr_executed_ids_bytes(pair->ids) - dsmr_executed_ids_bytes(pair->fresh);
}

static void assert_all_are_known(struct dsmr_executed_ids *ids, uint32_t count, uint64_t expiry_ms)
{
    for (uint64_t n = 0; n < count; n++) {
        struct dsmr_id id = hash_of(n);
        dsmr_executed_ids_prefetch(ids, &id, expiry_ms);
        assert_true(dsmr_executed_ids_has(ids, &id, expiry_ms));
        assert_int_equal(dsmr_executed_ids_add(ids, &id, expiry_ms), DSMR_ERR_DUPLICATE);
    }
    struct dsmr_id other = hash_of(count);
    assert_false(dsmr_executed_ids_has(ids, &other, expiry_ms));
}

/* After sixteen blocks without any, twice as many at each block as are added; then it is smaller.
 * While nothing is added, nothing is packed. */
static void test_a_quiet_bucket_is_packed(void **state)
{
    (void)state;
    struct pair pair = open_pair();
    size_t cells_bytes = old_bytes(&pair);
    run_blocks(&pair, QUIET - 1u, 10000);
    assert_int_equal(old_bytes(&pair), cells_bytes);
    run_blocks(&pair, 1, 0);
    assert_int_equal(old_bytes(&pair), cells_bytes);
    run_blocks(&pair, 1, 10000);
    uint32_t pages = PACK_PAGES_MIN + 20000u / WORDS_A_PAGE + 1u;
    assert_in_range(old_bytes(&pair) - cells_bytes, pages * PAGE, (pages + 2u) * PAGE);
    assert_all_are_known(pair.ids, MANY, OLD_MS);
    dsmr_executed_ids_check(pair.ids);
    run_blocks(&pair, 8, 10000);
    assert_true(cells_bytes > MANY * 10u);
    assert_in_range(old_bytes(&pair), MANY * 8u, UINT64_C(97) * MANY / 10u);
    assert_all_are_known(pair.ids, MANY, OLD_MS);
    assert_int_equal(dsmr_executed_ids_count(pair.ids), MANY + dsmr_executed_ids_count(pair.fresh));
    dsmr_executed_ids_advance(pair.ids, OLD_MS + 100u);
    assert_int_equal(old_bytes(&pair), 0);
    assert_int_equal(dsmr_executed_ids_count(pair.ids), dsmr_executed_ids_count(pair.fresh));
    close_pair(&pair);
}

/* What comes while a bucket is packed, or later, is remembered beside it. */
static void test_late_ids(void **state)
{
    (void)state;
    struct pair pair = open_pair();
    run_blocks(&pair, QUIET, 1000);
    size_t begun_bytes = old_bytes(&pair);
    add(pair.ids, MANY, 100, OLD_MS);
    assert_all_are_known(pair.ids, MANY + 100u, OLD_MS);
    assert_in_range(old_bytes(&pair), begun_bytes + 1u, begun_bytes + 30000u);
    dsmr_executed_ids_check(pair.ids);
    run_blocks(&pair, 9, 10000);
    assert_in_range(old_bytes(&pair), MANY * 8u, UINT64_C(97) * MANY / 10u + 30000u);
    add(pair.ids, MANY + 100u, 100, OLD_MS);
    assert_all_are_known(pair.ids, MANY + 200u, OLD_MS);
    run_blocks(&pair, 2u * QUIET, 1000);
    assert_all_are_known(pair.ids, MANY + 200u, OLD_MS);
    assert_int_equal(dsmr_executed_ids_count(pair.ids),
                     MANY + 200u + dsmr_executed_ids_count(pair.fresh));
    dsmr_executed_ids_advance(pair.ids, OLD_MS + 100u);
    assert_int_equal(old_bytes(&pair), 0);
    close_pair(&pair);
}

/* A few in each block are no reason to wait; many are. */
static void test_stragglers(void **state)
{
    (void)state;
    for (uint32_t count = 100; count <= 1000; count += 900) {
        struct pair pair = open_pair();
        size_t cells_bytes = old_bytes(&pair);
        uint32_t late = 0;
        for (uint32_t i = 0; i < QUIET + 12u; i++, late += count) {
            add(pair.ids, MANY + late, count, OLD_MS);
            run_blocks(&pair, 1, 20000);
        }
        assert_all_are_known(pair.ids, MANY + late, OLD_MS);
        assert_true((old_bytes(&pair) < cells_bytes) == (count == 100));
        close_pair(&pair);
    }
}

/* The one that was begun goes on, although one that goes earlier is quiet now: one copy at most. */
static void test_one_bucket_at_a_time(void **state)
{
    (void)state;
    struct pair pair = open_pair();
    run_blocks(&pair, QUIET, 1000);
    add(pair.ids, 1u << 20, MANY, OLD_MS - 1000u);
    size_t most = old_bytes(&pair) + UINT64_C(97) * MANY / 10u;
    for (uint32_t i = 0; i < 80; i++) {
        run_blocks(&pair, 1, 3000);
        assert_true(old_bytes(&pair) < most);
    }
    assert_true(old_bytes(&pair) < UINT64_C(2) * 98u * MANY / 10u); /* both are packed */
    assert_all_are_known(pair.ids, MANY, OLD_MS);
    close_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_in_the_window),
        cmocka_unit_test(test_goes_only_when_a_later_block_was_executed),
        cmocka_unit_test(test_far_expiries_and_tiny_windows),
        cmocka_unit_test(test_a_bucket_grows),
        cmocka_unit_test(test_a_quiet_bucket_is_packed),
        cmocka_unit_test(test_late_ids),
        cmocka_unit_test(test_stragglers),
        cmocka_unit_test(test_one_bucket_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
