#include "core/retention.h"
#include "leaf_fixture.h"

static enum dsmr_err add(struct dsmr_retention *retention, uint64_t n, uint64_t block_time_ms,
                         uint64_t accepted_wall_ms)
{
    const struct dsmr_retention_entry entry = {
        .chunk_id = id_of(n), .block_time_ms = block_time_ms, .accepted_wall_ms = accepted_wall_ms};
    return dsmr_retention_add(retention, &entry);
}

static void test_both_clocks_must_pass(void **state)
{
    (void)state;
    struct dsmr_retention *retention = dsmr_retention_new(10, 100);
    struct dsmr_id out[4];
    assert_int_equal(dsmr_retention_take(retention, out, 4, UINT64_MAX, UINT64_MAX), 0);
    assert_int_equal(add(retention, 1, 1000, 5000), DSMR_OK);
    assert_int_equal(dsmr_retention_take(retention, out, 4, 1100, 9999), 0);
    assert_int_equal(dsmr_retention_take(retention, out, 4, 9999, 5099), 0);
    assert_int_equal(dsmr_retention_take(retention, out, 0, 9999, 9999), 0);
    assert_int_equal(dsmr_retention_take(retention, out, 4, 1101, 5100), 1);
    struct dsmr_id one = id_of(1);
    assert_id_equal(&out[0], &one);
    assert_int_equal(dsmr_retention_count(retention), 0);
    assert_int_equal(add(retention, 2, UINT64_MAX, UINT64_MAX), DSMR_OK); /* no overflow */
    assert_int_equal(dsmr_retention_take(retention, out, 4, UINT64_MAX, UINT64_MAX), 0);
    dsmr_retention_free(retention);
    dsmr_retention_free(NULL);
}

static void test_stops_at_the_first_that_must_stay(void **state)
{
    (void)state;
    struct dsmr_retention *retention = dsmr_retention_new(10, 0);
    struct dsmr_id out[4];
    assert_int_equal(add(retention, 1, 10, 0), DSMR_OK);
    assert_int_equal(add(retention, 2, 30, 0), DSMR_OK);
    assert_int_equal(add(retention, 3, 20, 0), DSMR_OK);
    assert_int_equal(dsmr_retention_take(retention, out, 4, 25, 0), 1);
    assert_int_equal(dsmr_retention_take(retention, out, 4, 31, 0), 2);
    dsmr_retention_free(retention);
}

/* The ring turns and grows at the same time, and keeps the order. */
static void test_grows_in_order_up_to_its_limit(void **state)
{
    (void)state;
    enum { MAX = 700 };
    struct dsmr_retention *retention = dsmr_retention_new(MAX, 0);
    struct dsmr_id out[1];
    uint64_t added = 0;
    uint64_t taken = 0;
    while (dsmr_retention_count(retention) < MAX) {
        for (unsigned i = 0; i < 3 && dsmr_retention_count(retention) < MAX; i++) {
            assert_int_equal(add(retention, added++, 0, 0), DSMR_OK);
        }
        if (dsmr_retention_count(retention) < MAX) {
            assert_int_equal(dsmr_retention_take(retention, out, 1, 1, 0), 1);
            assert_int_equal(dsmr_load_be64(out[0].bytes), taken++);
        }
    }
    assert_int_equal(add(retention, added, 0, 0), DSMR_ERR_FULL);
    while (dsmr_retention_take(retention, out, 1, 1, 0) == 1) {
        assert_int_equal(dsmr_load_be64(out[0].bytes), taken++);
    }
    assert_int_equal(taken, added);
    dsmr_retention_free(retention);
}

static void test_no_room_at_all(void **state)
{
    (void)state;
    struct dsmr_retention *retention = dsmr_retention_new(0, 0);
    assert_int_equal(add(retention, 1, 0, 0), DSMR_ERR_FULL);
    dsmr_retention_free(retention);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_clocks_must_pass),
        cmocka_unit_test(test_stops_at_the_first_that_must_stay),
        cmocka_unit_test(test_grows_in_order_up_to_its_limit),
        cmocka_unit_test(test_no_room_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
