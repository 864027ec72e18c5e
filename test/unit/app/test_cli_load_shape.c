/* When each transaction of a load is meant to be sent, by a clock that the test turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/cli_load_shape.h"

#define TICK_US 4000u /* as the sender looks */

static const struct dsmr_cli_load_shape shapes[] = {
    {.rate = 1},
    {.rate = 3},
    {.rate = 2000},
    {.rate = 999983},
    {.rate = 10000000},
    {.rate = 1000, .idle_us = 3000000, .burst_us = 1000000, .lonely_us = 500000},
    {.rate = 7, .idle_us = 333000, .burst_us = 10000, .lonely_us = 500000}, /* nothing when idle */
    {.rate = 77777, .idle_us = 1000001, .burst_us = 123456, .lonely_us = 1},
};

static uint64_t meant_us(const struct dsmr_cli_load_shape *shape, uint64_t index)
{
    enum dsmr_cli_load_part part;
    return dsmr_cli_load_shape_meant_us(shape, &part, index);
}

static void each_is_due_at_its_moment(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        uint64_t before_us = 0;
        assert_int_equal(dsmr_cli_load_shape_due(&shapes[i], 0), 0);
        for (uint64_t index = 0; index < 3000000; index += index / 8 + 1) {
            uint64_t at_us = meant_us(&shapes[i], index);
            assert_true(at_us >= before_us);
            assert_true(dsmr_cli_load_shape_due(&shapes[i], at_us) <= index);
            assert_true(dsmr_cli_load_shape_due(&shapes[i], at_us + 1) > index);
            before_us = at_us;
        }
    }
}

static void an_even_load_has_its_rate(void **state)
{
    enum dsmr_cli_load_part part;
    (void)state;
    for (size_t i = 0; shapes[i].idle_us == 0; i++) {
        for (uint64_t s = 1; s <= 86400; s += s) {
            assert_int_equal(dsmr_cli_load_shape_due(&shapes[i], s * 1000000), s * shapes[i].rate);
        }
        assert_int_equal(dsmr_cli_load_shape_meant_us(&shapes[i], &part, 0), 0);
        assert_int_equal(part, DSMR_CLI_LOAD_PART_EVEN);
    }
}

/* Walks through three periods of 3 s and 1 s, tick by tick, and counts what is sent when. */
static void idle_then_burst_again_and_again(void **state)
{
    const struct dsmr_cli_load_shape *shape = &shapes[5];
    uint64_t sent = 0, counts[DSMR_CLI_LOAD_PARTS] = {0};
    (void)state;
    for (uint64_t now_us = 0; now_us <= 12000000; now_us += TICK_US) {
        uint64_t due = dsmr_cli_load_shape_due(shape, now_us);
        for (; sent < due; sent++) {
            enum dsmr_cli_load_part part;
            uint64_t at_us = dsmr_cli_load_shape_meant_us(shape, &part, sent);
            uint64_t into_us = at_us % 4000000;
            assert_true(at_us < now_us && at_us + TICK_US >= now_us);
            counts[part]++;
            if (part == DSMR_CLI_LOAD_PART_IDLE) { /* none for half a second around a burst */
                assert_true(into_us >= 500000 && into_us <= 2500000 && into_us % 500000 == 0);
            } else if (part == DSMR_CLI_LOAD_PART_FIRST) {
                assert_true(into_us >= 3000000 && into_us < 3100000);
            } else {
                assert_true(into_us >= 3100000);
            }
        }
    }
    assert_int_equal(counts[DSMR_CLI_LOAD_PART_IDLE], 3 * 5);
    assert_int_equal(counts[DSMR_CLI_LOAD_PART_FIRST], 3 * 100);
    assert_int_equal(counts[DSMR_CLI_LOAD_PART_REST], 3 * 900);
    assert_int_equal(counts[DSMR_CLI_LOAD_PART_EVEN], 0);
    assert_int_equal(sent, 3 * 1005);
}

static void a_short_idle_time_is_silent(void **state)
{
    enum dsmr_cli_load_part part;
    (void)state;
    assert_int_equal(dsmr_cli_load_shape_due(&shapes[6], 333000), 0);
    assert_int_equal(dsmr_cli_load_shape_meant_us(&shapes[6], &part, 0), 333000);
    assert_int_equal(part, DSMR_CLI_LOAD_PART_FIRST);
    assert_int_equal(dsmr_cli_load_shape_meant_us(&shapes[6], &part, 1), 2 * 333000 + 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_due_at_its_moment),
        cmocka_unit_test(an_even_load_has_its_rate),
        cmocka_unit_test(idle_then_burst_again_and_again),
        cmocka_unit_test(a_short_idle_time_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
