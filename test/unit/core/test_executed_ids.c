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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_in_the_window),
        cmocka_unit_test(test_goes_only_when_a_later_block_was_executed),
        cmocka_unit_test(test_far_expiries_and_tiny_windows),
        cmocka_unit_test(test_a_bucket_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
