/* What a node says of itself: the reasons of /health, as whole nodes in virtual time give them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"

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

static struct dsmr_query_status status_of(struct dsmr_world *world, uint32_t node)
{
    struct dsmr_query_status status;
    dsmr_world_status(world, node, &status);
    return status;
}

static void test_all_is_well(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 91, .check_every = 11};
    struct dsmr_world *world = dsmr_world_new(&config);
    live(world, 5000);
    for (uint32_t i = 0; i < 4; i++) {
        struct dsmr_query_status status = status_of(world, i);
        assert_true(status.is_ready && status.is_started && status.has_peers);
        assert_false(status.is_backlog_full || status.is_behind || status.is_final_refused ||
                     status.needs_state_sync || status.is_halted);
        assert_in_range(status.clock_offset_ms + 100, 0, 200);
        assert_int_equal(dsmr_world_log_lines(world, i, DSMR_LOG_WARN), 0);
    }
    dsmr_world_free(world);
}

/* One clock is ahead: only its node finds a difference, says it once, and is done when it is right.
 */
static void test_clock_ahead(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 92, .check_every = 11};
    struct dsmr_world *world = dsmr_world_new(&config);
    live(world, 3000);
    dsmr_world_set_skew(world, 3, 5000);
    live(world, 5000);
    assert_in_range(-status_of(world, 3).clock_offset_ms, 4900, 5100);
    assert_in_range(dsmr_metrics_get(dsmr_world_metrics(world, 3), DSMR_METRIC_CLOCK_SKEW_MS), 4900,
                    5100);
    assert_int_equal(dsmr_world_log_lines(world, 3, DSMR_LOG_WARN), 1);
    assert_non_null(strstr(dsmr_world_log_last(world, 3), "clock"));
    assert_in_range(status_of(world, 0).clock_offset_ms + 100, 0, 200);
    dsmr_world_set_skew(world, 3, 900); /* at the border: not gone, not begun again */
    live(world, 3000);
    dsmr_world_set_skew(world, 3, 1100);
    live(world, 3000);
    assert_int_equal(dsmr_world_log_lines(world, 3, DSMR_LOG_WARN), 1);
    dsmr_world_set_skew(world, 3, 0);
    uint32_t lines = dsmr_world_log_lines(world, 3, DSMR_LOG_INFO);
    live(world, 3000);
    assert_in_range(status_of(world, 3).clock_offset_ms + 100, 0, 200);
    assert_int_equal(dsmr_world_log_lines(world, 3, DSMR_LOG_INFO), lines + 1);
    dsmr_world_free(world);
}

static void test_few_peers(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 93, .check_every = 11};
    struct dsmr_world *world = dsmr_world_new(&config);
    live(world, 2000);
    dsmr_world_crash(world, 3);
    live(world, 2000);
    assert_true(status_of(world, 0).has_peers); /* three of four */
    dsmr_world_crash(world, 2);
    dsmr_world_pass(world, 2000);
    assert_false(status_of(world, 0).has_peers);
    assert_false(status_of(world, 0).is_ready);
    assert_int_equal(status_of(world, 0).clock_offset_ms, 0); /* nothing is known */
    dsmr_world_restart(world, 2);
    dsmr_world_pass(world, 2000);
    assert_true(status_of(world, 0).has_peers && status_of(world, 0).is_ready);
    dsmr_world_free(world);
}

static void small_backlog(struct dsmr_driver_config *config)
{
    config->node.params.chunk_bytes_max = 4096;
    config->node.params.block_payload_bytes_max = 4096;
    config->node.params.backlog_bytes_max = 4096;
}

static void test_backlog_full(void **state)
{
    (void)state;
    struct dsmr_world_config config = {
        .nodes = 4, .seed = 94, .check_every = 11, .tune = small_backlog};
    struct dsmr_world *world = dsmr_world_new(&config);
    live(world, 2000);
    dsmr_world_hold_execution(world, 3, true);
    live(world, 10000);
    assert_true(status_of(world, 3).is_backlog_full && !status_of(world, 3).is_ready);
    assert_false(status_of(world, 0).is_backlog_full);
    dsmr_world_hold_execution(world, 3, false);
    live(world, 2000);
    assert_false(status_of(world, 3).is_backlog_full);
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_clock_ahead),
        cmocka_unit_test(test_few_peers),
        cmocka_unit_test(test_backlog_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
