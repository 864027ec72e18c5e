/* What is left of a failing run's faults: enough, and none too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "sim/sim_shrink.h"

struct bug { /* a run fails if it has all of one of the rows */
    uint64_t rows[4];
    uint32_t rows_count, runs;
};

static uint64_t faults_of(const bool *is_left_out)
{
    uint64_t faults = 0;
    for (uint32_t i = 0; i < 64; i++) {
        faults |= (uint64_t)!is_left_out[i] << i;
    }
    return faults;
}

static bool shows(const struct bug *bug, uint64_t faults)
{
    for (uint32_t i = 0; i < bug->rows_count; i++) {
        if ((faults & bug->rows[i]) == bug->rows[i]) {
            return true;
        }
    }
    return false;
}

static bool still_fails(void *ctx, const bool *tried)
{
    struct bug *bug = ctx;
    bug->runs++;
    return shows(bug, faults_of(tried));
}

/* The faults that are left of count. */
static uint64_t shrink(struct bug *bug, uint32_t count)
{
    bool is_left_out[DSMR_SIM_FAULTS_MAX] = {false};
    dsmr_sim_shrink(is_left_out, count, still_fails, bug);
    for (uint32_t i = count; i < DSMR_SIM_FAULTS_MAX; i++) {
        assert_false(is_left_out[i]); /* what there is not is not left out */
    }
    return faults_of(is_left_out) & ((UINT64_C(1) << count) - 1);
}

static void test_what_it_takes(void **state)
{
    (void)state;
    struct bug bug = {.rows = {1u << 3 | 1u << 30}, .rows_count = 1};
    assert_int_equal(shrink(&bug, 40), 1u << 3 | 1u << 30);
    assert_in_range(bug.runs, 2, 120);
    bug = (struct bug){.rows = {0}, .rows_count = 1}; /* without any */
    assert_int_equal(shrink(&bug, 40), 0);
    bug = (struct bug){.rows = {(1u << 7) - 1}, .rows_count = 1}; /* all */
    assert_int_equal(shrink(&bug, 7), (1u << 7) - 1);
    bug = (struct bug){.rows = {1}, .rows_count = 1};
    assert_int_equal(shrink(&bug, 1), 1);
    bug = (struct bug){.rows = {0}, .rows_count = 1};
    assert_int_equal(shrink(&bug, 0), 0);
    assert_int_equal(bug.runs, 0);
}

/* Fault 0 is needed as long as 5 is there, which undoes something that only 0 sets right; and 5
 * goes alone only, for its neighbours are needed. */
static bool fails_unless_undone(void *ctx, const bool *tried)
{
    (void)ctx;
    return !tried[2] && !tried[4] && !tried[6] && (tried[5] || !tried[0]);
}

static void test_an_earlier_one_needs_a_later_one(void **state)
{
    (void)state;
    bool is_left_out[DSMR_SIM_FAULTS_MAX] = {false};
    dsmr_sim_shrink(is_left_out, 7, fails_unless_undone, NULL);
    assert_int_equal(faults_of(is_left_out) & 127, 1u << 2 | 1u << 4 | 1u << 6);
}

/* Whatever a bug needs: the run fails with what is left, and not with one less. */
static void test_none_too_many(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 5);
    for (uint32_t round = 0; round < 300; round++) {
        struct bug bug = {.rows_count = 1 + (uint32_t)dsmr_prng_below(&prng, 4)};
        uint32_t count = 10 + (uint32_t)dsmr_prng_below(&prng, 40);
        for (uint32_t i = 0; i < bug.rows_count; i++) {
            for (uint32_t k = 0; k < 5; k++) {
                bug.rows[i] |= UINT64_C(1) << dsmr_prng_below(&prng, count);
            }
        }
        uint64_t left = shrink(&bug, count);
        assert_true(shows(&bug, left));
        for (uint32_t i = 0; i < count; i++) {
            uint64_t less = left & ~(UINT64_C(1) << i);
            assert_true(less == left || !shows(&bug, less));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_takes),
        cmocka_unit_test(test_an_earlier_one_needs_a_later_one),
        cmocka_unit_test(test_none_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
