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

/* Ids from first on, so many, all new. */
static void add_ids(struct dsmr_executed_ids *ids, uint64_t first, uint32_t count,
                    uint64_t expiry_ms)
{
    for (uint64_t n = first; n < first + count; n++) {
        struct dsmr_id id = id_of(n);
        assert_int_equal(dsmr_executed_ids_add(ids, &id, expiry_ms), DSMR_OK);
    }
}

static void assert_all_are_known(struct dsmr_executed_ids *ids, uint64_t first, uint32_t count,
                                 uint64_t expiry_ms)
{
    for (uint64_t n = first; n < first + count; n++) {
        struct dsmr_id id = id_of(n);
        dsmr_executed_ids_prefetch(ids, &id, expiry_ms);
        assert_true(dsmr_executed_ids_has(ids, &id, expiry_ms));
        assert_int_equal(dsmr_executed_ids_add(ids, &id, expiry_ms), DSMR_ERR_DUPLICATE);
    }
    struct dsmr_id other = id_of(first + count);
    assert_false(dsmr_executed_ids_has(ids, &other, expiry_ms));
}

/* Blocks, each with so many new ids of the newer bucket. */
static void run_blocks(struct dsmr_executed_ids *ids, uint64_t *block, uint32_t blocks,
                       uint32_t count)
{
    for (uint32_t i = 0; i < blocks; i++) {
        *block += 1;
        add_ids(ids, *block * 1000000u, count, NEW_MS);
        dsmr_executed_ids_advance(ids, *block);
    }
}

/* While nothing else is executed, nothing is packed; and then as much as twice of what is. */
static void test_quiet_buckets_are_packed(void **state)
{
    (void)state;
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(3200, &secret);
    uint64_t block = 0;
    add_ids(ids, 0, MANY, OLD_MS);
    size_t cells_bytes = dsmr_executed_ids_bytes(ids);
    dsmr_executed_ids_advance(ids, block);
    run_blocks(ids, &block, 30, 0);
    assert_int_equal(dsmr_executed_ids_bytes(ids), cells_bytes);
    run_blocks(ids, &block, 1, 40000); /* a part of it is there twice */
    dsmr_executed_ids_check(ids);
    size_t new_bytes = dsmr_executed_ids_bytes(ids) - cells_bytes;
    assert_in_range(new_bytes, 1000000, 1800000); /* 40 000 of the newer one, 80 000 copies */
    assert_all_are_known(ids, 0, MANY, OLD_MS);
    run_blocks(ids, &block, 1, 50000);
    dsmr_executed_ids_check(ids);
    assert_all_are_known(ids, 0, MANY, OLD_MS);
    assert_all_are_known(ids, 31000000, 40000, NEW_MS);
    assert_int_equal(dsmr_executed_ids_count(ids), MANY + 90000u);
    dsmr_executed_ids_advance(ids, OLD_MS + 100u);
    assert_int_equal(dsmr_executed_ids_count(ids), 90000);
    new_bytes = dsmr_executed_ids_bytes(ids);
    assert_in_range(new_bytes, 900000, 1300000); /* what was packed is gone, too */
    dsmr_executed_ids_check(ids);
    dsmr_executed_ids_free(ids);
}

/* What comes late is remembered beside what is packed; in the middle of packing, it begins again
 * when the bucket is quiet. */
static void test_late_ids(void **state)
{
    (void)state;
    struct dsmr_executed_ids *ids = dsmr_executed_ids_new(3200, &secret);
    uint64_t block = 0;
    add_ids(ids, 0, MANY, OLD_MS);
    size_t cells_bytes = dsmr_executed_ids_bytes(ids);
    run_blocks(ids, &block, 16, 1000);
    size_t part_bytes = dsmr_executed_ids_bytes(ids);
    add_ids(ids, MANY, 1, OLD_MS);
    assert_true(dsmr_executed_ids_bytes(ids) < part_bytes); /* a copy of less than all is none */
    assert_all_are_known(ids, 0, MANY + 1u, OLD_MS);
    part_bytes = dsmr_executed_ids_bytes(ids);
    run_blocks(ids, &block, 1, 30000);
    assert_true(dsmr_executed_ids_bytes(ids) < part_bytes + 30000u * 14u); /* not quiet yet */
    run_blocks(ids, &block, 24, 10000);
    assert_true(dsmr_executed_ids_bytes(ids) < cells_bytes + 286000u * 11u);
    size_t packed_bytes = dsmr_executed_ids_bytes(ids);
    assert_all_are_known(ids, 0, MANY + 1u, OLD_MS);
    dsmr_executed_ids_check(ids);
    add_ids(ids, MANY + 1u, 100, OLD_MS);
    assert_in_range(dsmr_executed_ids_bytes(ids), packed_bytes, packed_bytes + 30000u);
    assert_all_are_known(ids, 0, MANY + 101u, OLD_MS);
    run_blocks(ids, &block, 20, 1000);
    assert_all_are_known(ids, 0, MANY + 101u, OLD_MS);
    assert_int_equal(dsmr_executed_ids_count(ids), MANY + 101u + 16000u + 270000u + 20000u);
    dsmr_executed_ids_check(ids);
    dsmr_executed_ids_advance(ids, NEW_MS + 100u);
    assert_int_equal(dsmr_executed_ids_count(ids), 0);
    dsmr_executed_ids_check(ids);
    dsmr_executed_ids_free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_in_the_window),
        cmocka_unit_test(test_goes_only_when_a_later_block_was_executed),
        cmocka_unit_test(test_far_expiries_and_tiny_windows),
        cmocka_unit_test(test_a_bucket_grows),
        cmocka_unit_test(test_quiet_buckets_are_packed),
        cmocka_unit_test(test_late_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
