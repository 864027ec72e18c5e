/* A wide network under load: the same twice, faster with more of what it lacks, and no more chunks
 * than its processors can deal with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_scale.h"
#include "sim/sim_wan.h"

static struct dsmr_sim_scale_config config_of(uint32_t validators, uint64_t txs_per_s)
{
    struct dsmr_sim_scale_config config;
    dsmr_sim_scale_default(&config);
    config.validators = validators;
    config.txs_per_s = txs_per_s;
    return config;
}

static struct dsmr_sim_report run(const struct dsmr_sim_scale_config *config)
{
    struct dsmr_sim_scale_result result;
    dsmr_sim_scale_run(config, &result);
    assert_string_equal(result.failure, "");
    return result.report;
}

/* As far as the table says, and the same there and back; never at no time. */
static void test_regions(void **state)
{
    (void)state;
    struct dsmr_sim_link there, back;
    dsmr_sim_wan_link(2, 9, &there); /* Stockholm, Sydney */
    dsmr_sim_wan_link(9, 2, &back);
    assert_int_equal(there.latency_us, 294780 / 2);
    assert_int_equal(back.latency_us, there.latency_us);
    assert_in_range(there.jitter_us, 1, there.latency_us / 50);
    dsmr_sim_wan_link(7, 12, &there); /* neighbours */
    assert_in_range(there.latency_us, 40, 200);
    assert_int_equal(dsmr_sim_wan_region(0), dsmr_sim_wan_region(295));
}

/* A short message is mostly overhead; a long one costs some per cent more than its bytes. */
static void test_bytes_on_the_wire(void **state)
{
    (void)state;
    assert_int_equal(dsmr_sim_wan_bytes(200), 200 + 4 + 22 + 90);
    assert_in_range(dsmr_sim_wan_bytes(1u << 20), (1u << 20) * 106 / 100, (1u << 20) * 107 / 100);
}

static void test_same_seed_same_run(void **state)
{
    (void)state;
    struct dsmr_sim_scale_config config = config_of(10, 1000);
    struct dsmr_sim_scale_result first, second, other;
    config.warm_us = config.measured_us = 1500000;
    dsmr_sim_scale_run(&config, &first);
    dsmr_sim_scale_run(&config, &second);
    config.seed++;
    dsmr_sim_scale_run(&config, &other);
    assert_int_equal(first.hash, second.hash);
    assert_memory_equal(&first.report, &second.report, sizeof(first.report));
    assert_true(first.hash != other.hash);
    assert_true(first.report.executed.count > 0);
}

/* What is offered is executed, everywhere, and later by about as many half round trips as there
 * are messages on the way. */
static void test_a_light_load(void **state)
{
    (void)state;
    struct dsmr_sim_scale_config config = config_of(10, 1000);
    config.measured_us = 4000000;
    struct dsmr_sim_report report = run(&config);
    assert_in_range((uint64_t)report.executed_min_per_s, 800, 1200);
    assert_in_range((uint64_t)report.to_cert.p50, 100, 350);
    assert_in_range((uint64_t)report.executed.p50, 300, 1000);
    assert_true(report.uplink.max < 0.1 && report.workers.max < 0.2);
    assert_string_equal(dsmr_sim_report_limit(&report), "latency");
}

static void test_twice_the_bandwidth(void **state)
{
    (void)state;
    struct dsmr_sim_scale_config config = config_of(10, 4000);
    config.bits_per_s = 10000000;
    struct dsmr_sim_report narrow = run(&config);
    config.bits_per_s = 20000000;
    struct dsmr_sim_report wide = run(&config);
    assert_true(narrow.uplink.max > 0.9);
    assert_true(wide.executed_per_s > 1.5 * narrow.executed_per_s);
    assert_true(wide.executed_per_s > 3000);
}

/* Protocol 5.1: many producers take turns, so that verification fits into the processors; with an
 * eighth of the producers it is as before. */
static void test_many_producers_take_turns(void **state)
{
    (void)state;
    struct dsmr_sim_scale_config config = config_of(64, 3000);
    config.slot_ms = 20;
    config.warm_us = config.measured_us = 1000000;
    struct dsmr_sim_report many = run(&config);
    assert_in_range((uint64_t)many.chunks_per_s, 200, 510); /* 64 in 128 ms */
    assert_true(many.workers.mean < 0.5);
    config.validators = 8;
    struct dsmr_sim_report few = run(&config);
    assert_true(few.chunks_per_s / 8 > many.chunks_per_s / 64);
}

/* A third of the validators less one is gone: the rest goes on, with views that time out. */
static void test_a_third_has_crashed(void **state)
{
    (void)state;
    struct dsmr_sim_scale_config config = config_of(10, 1000);
    config.crashed = 3;
    config.warm_us = 6000000;
    config.measured_us = 10000000;
    struct dsmr_sim_report report = run(&config);
    assert_int_equal(report.up, 7);
    assert_true(report.executed_min_per_s > 500);
    assert_true(report.views_per_s > report.blocks_per_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_bytes_on_the_wire),
        cmocka_unit_test(test_same_seed_same_run),
        cmocka_unit_test(test_a_light_load),
        cmocka_unit_test(test_twice_the_bandwidth),
        cmocka_unit_test(test_many_producers_take_turns),
        cmocka_unit_test(test_a_third_has_crashed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
