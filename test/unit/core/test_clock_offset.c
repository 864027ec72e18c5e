#include "core/clock_offset.h"
#include "leaf_fixture.h"

static void test_offset_of_one(void **state)
{
    (void)state;
    assert_int_equal(dsmr_clock_offset_of(5000, 10, 5000, 10), 0);
    assert_int_equal(dsmr_clock_offset_of(5300, 10, 5000, 10), 300);
    assert_int_equal(dsmr_clock_offset_of(4700, 10, 5000, 10), -300);
    /* Both went on by 100; then ours jumped by 1000 without another word from the peer. */
    assert_int_equal(dsmr_clock_offset_of(5000, 10, 5100, 110), 0);
    assert_int_equal(dsmr_clock_offset_of(5000, 10, 6100, 110), -1000);
    /* A peer may say anything. */
    assert_int_equal(dsmr_clock_offset_of(UINT64_MAX, 10, 5000, 20), DSMR_CLOCK_OFFSET_MAX_MS);
    assert_int_equal(dsmr_clock_offset_of(0, 10, UINT64_MAX, 20), -DSMR_CLOCK_OFFSET_MAX_MS);
    assert_int_equal(dsmr_clock_offset_of(UINT64_MAX, 0, UINT64_MAX, UINT64_MAX), 0);
    assert_int_equal(dsmr_clock_offset_of(5000, 20, 5000, 10), 0);
}

static void test_median(void **state)
{
    (void)state;
    struct dsmr_clock_sample four[] = {{0, 1}, {30, 1}, {-20, 1}, {900000, 1}};
    assert_int_equal(dsmr_clock_offset_median(four, 4, 4), 30);
    struct dsmr_clock_sample wrong[] = {{0, 1}, {5000, 1}, {5010, 1}, {-900000, 1}};
    assert_int_equal(dsmr_clock_offset_median(wrong, 4, 4), 5000); /* it is ours that is wrong */
    struct dsmr_clock_sample few[] = {{0, 1}, {5000, 1}};
    assert_int_equal(dsmr_clock_offset_median(few, 2, 4), 0); /* no quorum: nothing is known */
    struct dsmr_clock_sample heavy[] = {{-7, 10}, {5000, 1}, {6000, 1}};
    assert_int_equal(dsmr_clock_offset_median(heavy, 3, 12), -7);
    struct dsmr_clock_sample liar[] = {{0, 1}, {10, 1}, {INT64_MAX, 1}}; /* one of four is away */
    assert_int_equal(dsmr_clock_offset_median(liar, 3, 4), 10);
    struct dsmr_clock_sample huge[] = {{1, UINT64_MAX / 2}, {2, UINT64_MAX / 2}};
    assert_int_equal(dsmr_clock_offset_median(huge, 2, UINT64_MAX), 2);
    assert_int_equal(dsmr_clock_offset_median(NULL, 0, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offset_of_one),
        cmocka_unit_test(test_median),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
