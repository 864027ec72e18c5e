/* test_prng.c - xoshiro256** by its published reference, bounds, jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"

static void known_outputs(void **state)
{
    (void)state;
    /* State 1, 2, 3, 4: the first outputs are easily computed by hand from the definition. */
    struct dsmr_prng prng = {{1, 2, 3, 4}};
    assert_true(dsmr_prng_next(&prng) == 11520);
    assert_true(dsmr_prng_next(&prng) == 0);
    assert_true(dsmr_prng_next(&prng) == 1509978240);
    assert_true(dsmr_prng_next(&prng) == UINT64_C(1215971899390074240));
    /* splitmix64 of 0: first outputs as published with the algorithm */
    dsmr_prng_init(&prng, 0);
    assert_true(prng.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(prng.state[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(prng.state[2] == UINT64_C(0x06c45d188009454f));
    assert_true(prng.state[3] == UINT64_C(0xf88bb8a8724c81ec));
}

static void below_covers_its_range_and_no_more(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 3);
    unsigned counts[7] = {0};
    for (unsigned i = 0; i < 7000; i++) {
        uint64_t v = dsmr_prng_below(&prng, 7);
        assert_true(v < 7);
        counts[v]++;
    }
    for (unsigned i = 0; i < 7; i++) {
        assert_in_range(counts[i], 800, 1200);
    }
    assert_true(dsmr_prng_below(&prng, 1) == 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(dsmr_prng_below(&prng, UINT64_C(1) << 63) < UINT64_C(1) << 63);
    }
}

static void jitter_stays_within_a_quarter(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 4);
    uint64_t least = 1000, most = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t v = dsmr_prng_jitter(&prng, 100);
        assert_true(v >= 75 && v <= 125);
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    assert_int_equal(least, 75);
    assert_int_equal(most, 125);
    for (uint64_t delay = 0; delay < 4; delay++) {
        uint64_t v = dsmr_prng_jitter(&prng, delay);
        assert_true(v == (delay == 0 ? 1 : delay));
    }
    for (unsigned i = 0; i < 100; i++) {
        assert_true(dsmr_prng_jitter(&prng, UINT64_MAX) >= UINT64_MAX / 4 * 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_outputs),
        cmocka_unit_test(below_covers_its_range_and_no_more),
        cmocka_unit_test(jitter_stays_within_a_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
