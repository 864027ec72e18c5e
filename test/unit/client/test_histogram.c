/* Buckets, percentiles and their error, against sorted lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/prng.h"
#include "client/histogram.h"

static struct dsmr_histogram h, other;

static void empty_and_single(void **state)
{
    (void)state;
    dsmr_histogram_clear(&h);
    assert_int_equal(dsmr_histogram_percentile(&h, 0.5), 0);
    dsmr_histogram_add(&h, 12345, 0);
    assert_int_equal(h.max, 0);
    dsmr_histogram_add(&h, 12345, 1);
    assert_int_equal(dsmr_histogram_percentile(&h, 0.0), 12345); /* never above the maximum */
    assert_int_equal(dsmr_histogram_percentile(&h, 0.5), 12345);
    assert_int_equal(dsmr_histogram_percentile(&h, 1.0), 12345);
    assert_int_equal(h.count, 1);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    dsmr_histogram_clear(&h);
    for (uint64_t v = 0; v < 128; v++) {
        dsmr_histogram_add(&h, v, 1);
    }
    for (uint64_t v = 1; v <= 128; v++) { /* the v-th of 128 is v - 1 */
        assert_int_equal(dsmr_histogram_percentile(&h, (double)v / 128.0), v - 1);
    }
    assert_int_equal(dsmr_histogram_percentile(&h, 0.501), 64);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void percentiles_are_within_a_64th(void **state)
{
    static uint64_t values[20000];
    struct dsmr_prng prng;
    (void)state;
    dsmr_prng_init(&prng, 1);
    dsmr_histogram_clear(&h);
    for (size_t i = 0; i < 20000; i++) {
        values[i] = dsmr_prng_next(&prng) >> (24 + dsmr_prng_below(&prng, 39));
        dsmr_histogram_add(&h, values[i], 1);
    }
    qsort(values, 20000, sizeof(values[0]), compare);
    for (size_t i = 1; i <= 20000; i += 37) {
        uint64_t exact = values[i - 1];
        uint64_t got = dsmr_histogram_percentile(&h, (double)i / 20000.0);
        assert_true(got >= exact && got - exact <= exact / 64);
    }
    assert_int_equal(dsmr_histogram_percentile(&h, 1.0), values[19999]);
}

static void the_largest_values_share_the_last_bucket(void **state)
{
    (void)state;
    dsmr_histogram_clear(&h);
    dsmr_histogram_add(&h, DSMR_HISTOGRAM_MAX, 1);
    assert_int_equal(h.buckets[DSMR_HISTOGRAM_BUCKETS - 1], 1);
    dsmr_histogram_add(&h, DSMR_HISTOGRAM_MAX + 1, 1);
    dsmr_histogram_add(&h, UINT64_MAX, 2);
    assert_int_equal(h.buckets[DSMR_HISTOGRAM_BUCKETS - 1], 4);
    assert_int_equal(h.max, UINT64_MAX);
    assert_int_equal(dsmr_histogram_percentile(&h, 0.5), DSMR_HISTOGRAM_MAX);
}

static void merging_is_adding(void **state)
{
    (void)state;
    dsmr_histogram_clear(&h);
    dsmr_histogram_clear(&other);
    dsmr_histogram_add(&h, 10, 3);
    dsmr_histogram_add(&other, 1000, 1);
    dsmr_histogram_merge(&h, &other);
    assert_int_equal(h.count, 4);
    assert_int_equal(h.max, 1000);
    assert_int_equal(dsmr_histogram_percentile(&h, 0.75), 10);
    assert_int_equal(dsmr_histogram_percentile(&h, 0.76), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_and_single),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(percentiles_are_within_a_64th),
        cmocka_unit_test(the_largest_values_share_the_last_bucket),
        cmocka_unit_test(merging_is_adding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
