/* A block that is final and that the block layer refuses: not yet, or never. Whole nodes in virtual
 * time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/world.h"
#include "sim/sim_bls.h"

#define VICTIM 3u

static void live(struct dsmr_world *world, uint64_t ms)
{
    static uint64_t number;
    uint64_t end_ms = dsmr_world_now_ms(world) + ms;
    while (dsmr_world_now_ms(world) < end_ms) {
        dsmr_world_submit(world, (uint32_t)(number % 3), number);
        number++;
        dsmr_world_pass(world, 200);
    }
}

/* 34: a clock that is half a minute behind. The chain goes on; the node says what is wrong, once,
 * and takes the blocks when its clock is right. */
static void test_not_yet_is_an_alarm(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 81, .check_every = 11};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct dsmr_query_status status, other;
    live(world, 3000);
    dsmr_world_status(world, VICTIM, &status);
    assert_false(status.is_final_refused);
    dsmr_world_set_skew(world, VICTIM, -30000);
    live(world, 25000);
    dsmr_world_status(world, VICTIM, &status);
    dsmr_world_status(world, 0, &other);
    assert_true(other.height > status.height + 20);
    assert_true(status.is_final_refused);
    assert_false(status.is_halted);
    assert_in_range(status.clock_offset_ms, 29900, 30000);
    assert_int_equal(dsmr_world_log_lines(world, VICTIM, DSMR_LOG_ERROR), 1);
    assert_non_null(strstr(dsmr_world_log_last(world, VICTIM), "cannot take it yet"));
    assert_true(dsmr_metrics_get(dsmr_world_metrics(world, VICTIM), DSMR_METRIC_FINAL_REFUSED) >=
                8);
    dsmr_world_set_skew(world, VICTIM, 0);
    live(world, 10000);
    dsmr_world_status(world, VICTIM, &status);
    dsmr_world_status(world, 0, &other);
    assert_true(status.height + 5 > other.height);
    assert_false(status.is_final_refused);
    dsmr_world_free(world);
}

/* A little late is nothing to speak of. */
static void test_a_short_not_yet_is_none(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 82, .check_every = 11};
    struct dsmr_world *world = dsmr_world_new(&config);
    dsmr_world_set_skew(world, VICTIM, -1500); /* half a second more than may be */
    live(world, 20000);
    assert_int_equal(dsmr_world_log_lines(world, VICTIM, DSMR_LOG_ERROR), 0);
    dsmr_world_free(world);
}

/* The victim was set up with another gap between blocks than the rest: it finds invalid what they
 * make final. */
static void tune_gap(struct dsmr_driver_config *config)
{
    struct dsmr_node_id victim = dsmr_sim_bls_node_id(VICTIM);
    if (dsmr_node_id_equal(&config->node.node_id, &victim))
        config->node.params.min_block_gap_ms = 20000;
}

static void expect_halt(struct dsmr_world *world)
{
    const char *reason = NULL;
    struct dsmr_query_status status;
    assert_int_equal(dsmr_driver_halted(dsmr_world_driver(world, VICTIM), &reason),
                     DSMR_ERR_HALTED);
    assert_non_null(strstr(reason, "finds invalid"));
    dsmr_world_status(world, VICTIM, &status);
    assert_true(status.is_halted);
    assert_int_equal(dsmr_world_log_lines(world, VICTIM, DSMR_LOG_ERROR), 1);
    assert_true(dsmr_metrics_get(dsmr_world_metrics(world, VICTIM), DSMR_METRIC_FINAL_REFUSED) >=
                1);
    assert_true(dsmr_world_metrics(world, VICTIM)->errors[DSMR_ERR_BLOCK_TIME] >= 1);
}

static void test_invalid_halts(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 83, .check_every = 11, .tune = tune_gap};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct dsmr_query_status other;
    dsmr_world_may_halt(world, VICTIM);
    live(world, 5000);
    expect_halt(world);
    dsmr_world_status(world, 0, &other); /* three go on without it */
    assert_true(other.height > 10 && other.executed_height > 10);
    dsmr_world_free(world);
}

/* The same while it catches up: the blocks come in a batch, and none is notarized there. */
static void test_invalid_in_a_batch_halts(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 84, .check_every = 11, .tune = tune_gap};
    struct dsmr_world *world = dsmr_world_new(&config);
    dsmr_world_crash(world, VICTIM);
    live(world, 20000);
    dsmr_world_may_halt(world, VICTIM);
    dsmr_world_restart(world, VICTIM);
    dsmr_world_pass(world, 10000);
    expect_halt(world);
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_yet_is_an_alarm),
        cmocka_unit_test(test_a_short_not_yet_is_none),
        cmocka_unit_test(test_invalid_halts),
        cmocka_unit_test(test_invalid_in_a_batch_halts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
