/* Stories of whole nodes - driver, core, engine, application - in virtual time. The world checks
 * agreement, equal roots and single execution itself, at every executed block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/port_crash.h"
#include "lib/world.h"

#define MINUTE_MS UINT64_C(60000)

struct goal {
    uint64_t executed;
};

static bool has_executed(struct dsmr_world *world, void *ctx)
{
    const struct goal *goal = ctx;
    return dsmr_world_executed(world) >= goal->executed && dsmr_world_is_level(world);
}

static void execute_some(struct dsmr_world *world, uint32_t node, uint64_t first, uint32_t count)
{
    struct goal goal = {.executed = dsmr_world_executed(world) + count};
    for (uint32_t i = 0; i < count; i++)
        dsmr_world_submit(world, node, first + i);
    assert_true(dsmr_world_run(world, has_executed, &goal, MINUTE_MS));
}

static void test_transactions_are_executed_on_all_nodes(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 1};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 1);
    for (uint32_t node = 0; node < 4; node++)
        execute_some(world, node, 1000u * (node + 1), 100);
    assert_int_equal(dsmr_world_executed(world), 401);
    dsmr_world_free(world);
}

/* dup-tx-everywhere: one transaction given to every node runs once; the others are counted once. */
static void test_dup_tx_everywhere(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 12};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 1);
    uint64_t before = dsmr_world_executed(world);
    dsmr_world_pass(world, 1000); /* so that all send it at once: nobody sees it executed before */
    for (uint32_t i = 0; i < 4; i++)
        dsmr_world_submit(world, i, 77);
    dsmr_world_pass(world, 5000);
    assert_int_equal(dsmr_world_executed(world), before + 1);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(dsmr_metrics_get(dsmr_world_metrics(world, i), DSMR_METRIC_TXS_DUPLICATE),
                         3);
    dsmr_world_free(world);
}

static void test_one_validator_alone(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 1, .seed = 2};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 10);
    dsmr_world_free(world);
}

static void test_lost_messages_heal(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct dsmr_world_config config = {
            .nodes = 4, .seed = seed, .loss_per_mille = 150, .delay_ms_max = 60};
        struct dsmr_world *world = dsmr_world_new(&config);
        execute_some(world, (uint32_t)seed % 4, 1, 40);
        dsmr_world_free(world);
    }
}

static void test_f_nodes_down(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 7, .seed = 3};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 10);
    dsmr_world_crash(world, 2);
    dsmr_world_crash(world, 5);
    execute_some(world, 0, 100, 50);
    dsmr_world_restart(world, 2);
    dsmr_world_restart(world, 5);
    execute_some(world, 2, 200, 50);
    dsmr_world_free(world);
}

static uint64_t sum_of(struct dsmr_world *world, enum dsmr_metric metric)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 4; i++)
        sum += dsmr_metrics_get(dsmr_world_metrics(world, i), metric);
    return sum;
}

/* One of four is dead, the others have work all the time: each fourth view is its own and is passed
 * over with a round of votes; no timer ends in 5 s, and the chain goes on at nearly its pace. With
 * timeouts of 500 ms it was at a third of it. */
static void test_dead_leader_is_not_waited_for(void **state)
{
    (void)state;
    struct dsmr_world_config config = {
        .nodes = 4, .seed = 18, .delay_ms_max = 10, .check_every = 20};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct dsmr_query_status at[3];
    execute_some(world, 0, 1, 1);
    for (uint32_t phase = 0; phase < 3; phase++) { /* all four; one dies; it is back */
        uint64_t timeouts = sum_of(world, DSMR_METRIC_VIEW_TIMEOUTS);
        struct dsmr_query_status before;
        if (phase == 1)
            dsmr_world_crash(world, 3);
        if (phase == 2)
            dsmr_world_restart(world, 3);
        dsmr_world_pass(world, 1000); /* it may have had to give a view up: 8.3 */
        uint64_t skipped = sum_of(world, DSMR_METRIC_VIEWS_SKIPPED);
        dsmr_world_status(world, 0, &before);
        for (uint32_t i = 0; i < 200; i++) {
            dsmr_world_submit(world, i % 3, 10000 * (phase + 1) + i);
            dsmr_world_pass(world, 25);
        }
        dsmr_world_status(world, 0, &at[phase]);
        at[phase].height -= before.height;
        assert_int_equal(sum_of(world, DSMR_METRIC_VIEW_TIMEOUTS) - timeouts, 0);
        skipped = sum_of(world, DSMR_METRIC_VIEWS_SKIPPED) - skipped;
        assert_true(phase == 1 ? skipped >= at[1].height - 3 : skipped == 0);
    }
    assert_true(at[1].height * 3 >= at[0].height * 2);
    assert_true(at[2].height * 10 >= at[0].height * 9);
    dsmr_world_free(world);
}

static void test_no_quorum_then_heal(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 4};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 10);
    dsmr_world_crash(world, 1);
    dsmr_world_crash(world, 3);
    uint64_t before = dsmr_world_executed(world);
    for (uint32_t i = 0; i < 50; i++)
        dsmr_world_submit(world, 0, 1000 + i);
    dsmr_world_pass(world, 10000);
    assert_int_equal(dsmr_world_executed(world), before);
    dsmr_world_restart(world, 1);
    struct goal goal = {.executed = before + 50};
    assert_true(dsmr_world_run(world, has_executed, &goal, MINUTE_MS));
    dsmr_world_free(world);
}

/* heal-after-40-s-partition: longer than the lifetime of a chunk. */
static void test_heal_after_40_s_partition(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 5};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 10);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < 4; j++)
            dsmr_world_link(world, i, j, i % 2 == j % 2);
    for (uint32_t i = 0; i < 20; i++)
        dsmr_world_submit(world, i % 4, 500 + i);
    dsmr_world_pass(world, 40000);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < 4; j++)
            dsmr_world_link(world, i, j, true);
    uint64_t healed_ms = dsmr_world_now_ms(world);
    execute_some(world, 0, 2000, 20);
    assert_true(dsmr_world_now_ms(world) - healed_ms < 2000); /* by itself, within seconds */
    dsmr_world_free(world);
}

/* idle-then-build: no block for 31 s, 1 h, 3 days; and an idle network says nothing. */
static void test_idle_then_build(void **state)
{
    (void)state;
    const uint64_t pauses_ms[] = {31000, 60 * MINUTE_MS, 3 * 24 * 60 * MINUTE_MS};
    struct dsmr_world_config config = {.nodes = 4, .seed = 6};
    struct dsmr_world *world = dsmr_world_new(&config);
    for (uint32_t i = 0; i < 3; i++) {
        execute_some(world, i, 1000 * (i + 1), 5);
        dsmr_world_pass(world, 2 * MINUTE_MS);
        uint64_t messages = dsmr_world_messages(world);
        struct dsmr_query_status before, after;
        dsmr_world_status(world, 0, &before);
        dsmr_world_pass(world, pauses_ms[i]);
        dsmr_world_status(world, 0, &after);
        assert_int_equal(dsmr_world_messages(world), messages);
        assert_int_equal(after.height, before.height);
    }
    uint64_t woken_ms = dsmr_world_now_ms(world);
    execute_some(world, 3, 9000, 5);
    assert_true(dsmr_world_now_ms(world) - woken_ms < 1000);
    dsmr_world_free(world);
}

static void test_all_killed_and_restarted(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct dsmr_world_config config = {.nodes = 4, .seed = seed};
        struct dsmr_world *world = dsmr_world_new(&config);
        execute_some(world, 0, 1, 5);
        for (uint32_t i = 0; i < 30; i++)
            dsmr_world_submit(world, i % 4, 100 + i);
        dsmr_world_pass(world, 20 * seed);
        for (uint32_t i = 0; i < 4; i++)
            dsmr_world_crash(world, i);
        dsmr_world_pass(world, 100);
        for (uint32_t i = 0; i < 4; i++)
            dsmr_world_restart(world, i);
        execute_some(world, 1, 1000, 20);
        dsmr_world_free(world);
    }
}

/* Small tables: the checks after each event walk them, and these stories are told often. */
static void tune_small(struct dsmr_driver_config *config)
{
    config->node.params.chunk_bytes_max = 16u << 10;
    config->node.params.pending_bytes_max = 256u << 10;
}

/* The story of the crashes: a node produces and votes, on a disk that is slow at first, and comes
 * back at once if it died. */
static void produce_and_die(struct dsmr_world *world, uint32_t node)
{
    dsmr_world_hold_store(world, node, true);
    for (uint32_t i = 0; i < 2; i++)
        dsmr_world_submit(world, node, 10 + i);
    for (uint32_t i = 0; i < 40; i++) {
        dsmr_world_pass(world, 5);
        dsmr_world_hold_store(world, node, i < 4 && dsmr_world_is_up(world, node));
        if (!dsmr_world_is_up(world, node)) {
            port_crash_restart(world, node);
            dsmr_world_submit(world, node, 20);
        }
    }
}

/* crash-at-every-fsync and every other effect: one node dies before its k-th call of a port, for
 * every k of the life of a few transactions, with what was durable then or with all that was on its
 * way to the disk, and comes back in the same slot and view. It goes back on no word that it gave,
 * agrees with the others, and produces again. */
static void test_crash_at_every_effect(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 7, .tune = tune_small};
    struct dsmr_world *world = port_crash_new(&config);
    execute_some(world, 0, 1, 1);
    uint64_t begin = port_crash_calls(1);
    produce_and_die(world, 1);
    uint64_t end = port_crash_calls(1);
    port_crash_free(world);
    assert_true(end > begin + 50);
    for (uint64_t k = begin; k < end; k++) {
        for (uint32_t variant = 0; variant < 2; variant++) {
            world = port_crash_new(&config);
            execute_some(world, 0, 1, 1);
            port_crash_at(1, k, variant == 1);
            produce_and_die(world, 1);
            assert_false(port_crash_is_due(1));
            execute_some(world, 1, 100, 1);
            port_crash_free(world);
        }
    }
}

/* wiped-validator at every effect: a node that has promised slots ahead of the clock loses its
 * disk, dies again before its k-th call of a port, and is asked to produce at once when it is back.
 */
static bool wipe_and_die(uint64_t k, bool keeps_writes)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = 14, .tune = tune_small};
    struct dsmr_world *world = port_crash_new(&config);
    execute_some(world, 0, 1, 1);
    for (uint32_t i = 0; i < 12; i++) { /* a chunk each, faster than slots pass */
        dsmr_world_submit(world, 1, 100 + i);
        dsmr_world_pass(world, 40);
    }
    dsmr_world_crash(world, 1);
    port_crash_wipe(world, 1);
    port_crash_at(1, port_crash_calls(1) + k, keeps_writes);
    port_crash_restart(world, 1);
    for (uint32_t i = 0; i < 30; i++) {
        dsmr_world_pass(world, 5);
        if (!dsmr_world_is_up(world, 1))
            port_crash_restart(world, 1);
        dsmr_world_submit(world, 1, 200 + i);
    }
    bool has_died = !port_crash_is_due(1);
    execute_some(world, 0, 300, 1);
    port_crash_free(world);
    return has_died;
}

static void test_wiped_node_crashes_at_every_effect(void **state)
{
    (void)state;
    uint64_t k = 0;
    while (wipe_and_die(k, false) && wipe_and_die(k, true))
        k++;
    assert_true(k > 50);
}

static void test_epochs_by_schedule(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 8,
                                       .seed = 8,
                                       .sets = {{.from_height = 0, .first = 0, .count = 4},
                                                {.from_height = 6, .first = 2, .count = 4},
                                                {.from_height = 12, .first = 4, .count = 4}},
                                       .sets_count = 3};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct dsmr_query_status status;
    uint64_t number = 1;
    do { /* whoever is a validator now produces */
        dsmr_world_status(world, 0, &status);
        uint32_t producer = status.height + 1 < 6 ? 2 : status.height + 1 < 12 ? 4 : 6;
        execute_some(world, producer, number, 2);
        number += 2;
    } while (status.height < 20 && number < 500);
    assert_true(status.height >= 20);
    for (uint32_t i = 0; i < 8; i++) { /* also who has left follows */
        dsmr_world_status(world, i, &status);
        assert_int_equal(status.epoch, 12);
    }
    dsmr_world_free(world);
}

static void test_away_node_catches_up(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 9};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 5);
    dsmr_world_crash(world, 3);
    for (uint32_t i = 0; i < 310; i++)
        execute_some(world, i % 3, 1000 + i, 1);
    dsmr_world_restart(world, 3);
    execute_some(world, 3, 5000, 5);
    assert_true(dsmr_metrics_get(dsmr_world_metrics(world, 3), DSMR_METRIC_CHUNKS_FETCHED) >= 300);
    dsmr_world_free(world);
}

static void small_messages(struct dsmr_driver_config *config)
{
    config->node.params.chunk_bytes_max = 2048;
    config->node.params.block_certs_max = 4;
    config->node.params.block_bytes_max = 2048;
}

/* Seventeen blocks became final at once, as many as can, and a message holds a few: the others give
 * the last ones of them, and the rest one by one. */
static void test_away_node_crosses_a_wide_gap(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 19, .tune = small_messages};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct dsmr_query_status status;
    execute_some(world, 0, 1, 5);
    dsmr_world_crash(world, 3);
    for (uint32_t i = 0; i < 60; i++)
        execute_some(world, i % 3, 1000 + i, 1);
    dsmr_world_status(world, 0, &status);
    uint64_t last = status.height - 5;
    assert_true(last > 40);
    for (uint32_t node = 0; node < 3; node++) {
        dsmr_world_forget_finalizations(world, node, last - 16, last - 1);
        dsmr_world_forget_finalizations(world, node, last - 33, last - 18);
    }
    dsmr_world_restart(world, 3);
    execute_some(world, 3, 5000, 5); /* only when it is level with the others */
    dsmr_world_free(world);
}

/* clock-jump-forward: a day ahead for a minute; it produces again as soon as the clock is right. */
static void test_clock_jump_forward(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 10};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 5);
    dsmr_world_set_skew(world, 0, 24 * 60 * (int64_t)MINUTE_MS);
    execute_some(world, 1, 100, 20); /* the others go on */
    dsmr_world_pass(world, MINUTE_MS);
    dsmr_world_set_skew(world, 0, 0);
    uint64_t right_ms = dsmr_world_now_ms(world);
    execute_some(world, 0, 200, 5);
    assert_true(dsmr_world_now_ms(world) - right_ms < 1000);
    dsmr_world_free(world);
}

/* Both ways, as much as honest clocks may differ. */
static void test_clock_skew(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 11};
    struct dsmr_world *world = dsmr_world_new(&config);
    dsmr_world_set_skew(world, 0, 900);
    dsmr_world_set_skew(world, 1, -900);
    for (uint32_t i = 0; i < 4; i++)
        execute_some(world, i, 100 * (i + 1), 20);
    dsmr_world_free(world);
}

/* clock-skew: half a minute behind. The others go on; it follows half a minute later. */
static void test_clock_far_behind(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 13};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 5);
    dsmr_world_set_skew(world, 1, -30000);
    uint64_t before = dsmr_world_executed(world);
    for (uint32_t i = 0; i < 20; i++)
        dsmr_world_submit(world, i % 2 == 0 ? 0 : 2, 100 + i);
    dsmr_world_pass(world, 5000);
    assert_int_equal(dsmr_world_executed(world), before + 20);
    dsmr_world_pass(world, 35000);
    assert_true(dsmr_world_is_level(world));
    dsmr_world_free(world);
}

/* Whether the words of node 1 are heard, and node 3 is there. */
static void set_links(struct dsmr_world *world, bool is_up)
{
    for (uint32_t i = 0; i < 4; i++) {
        if (i != 1)
            dsmr_world_link(world, 1, i, is_up);
        if (i != 3 && i != 1)
            dsmr_world_link(world, i, 3, is_up);
        if (i != 3)
            dsmr_world_link(world, 3, i, is_up);
    }
}

/* 88 wiped-validator, for votes. What node 1 says is not heard for a while and the others are too
 * few to go on without it: so it votes, loses its disk, and comes back with its key into the view
 * in which it has voted. The chain goes on then. The world compares its votes with all that it
 * ever sent, and the roots. */
static void test_wiped_validator(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms < 60; ms++) {
        struct dsmr_world_config config = {.nodes = 4, .seed = 12 + ms % 4};
        struct dsmr_world *world = dsmr_world_new(&config);
        struct dsmr_query_status status;
        execute_some(world, 0, 1, 3);
        for (uint32_t i = 0; i < 3; i++)
            dsmr_world_submit(world, i, 10 + i);
        dsmr_world_pass(world, ms);
        set_links(world, false);
        dsmr_world_pass(world, 100);
        dsmr_world_crash(world, 1);
        dsmr_world_wipe(world, 1);
        dsmr_world_restart(world, 1);
        set_links(world, true);
        dsmr_world_status(world, 1, &status);
        assert_int_equal(status.votes_from, UINT64_MAX);
        execute_some(world, 0, 100, 3);
        execute_some(world, 2, 200, 3);
        dsmr_world_status(world, 1, &status);
        assert_int_equal(status.votes_from, 0);
        uint64_t votes = dsmr_world_votes(world, 1);
        execute_some(world, 3, 300, 3);
        assert_true(dsmr_world_votes(world, 1) > votes);
        dsmr_world_free(world);
    }
}

static bool is_under_floor(struct dsmr_world *world, void *ctx)
{
    struct dsmr_query_status status;
    dsmr_world_status(world, *(const uint32_t *)ctx, &status);
    return status.is_under_floor;
}

/* 12.4: a validator that first starts when the chain has blocks already is up and signs no chunk
 * until the slots that its clock may have let it sign are over: a second. It says so, and when it
 * is over, in an idle network, too: a line each. */
static void test_first_start_after_the_first_block(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 20};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct dsmr_query_status status;
    uint32_t late = 3;
    dsmr_world_crash(world, 3);
    dsmr_world_wipe(world, 3);
    execute_some(world, 0, 1, 5);
    dsmr_world_restart(world, 3);
    assert_true(dsmr_world_run(world, is_under_floor, &late, 1000));
    dsmr_world_status(world, 3, &status);
    assert_true(status.height > 0 && !status.is_ready);
    assert_non_null(strstr(dsmr_world_log_last(world, 3), "signs no chunk yet"));
    assert_int_equal(dsmr_metrics_get(dsmr_world_metrics(world, 3), DSMR_METRIC_UNDER_FLOOR), 1);
    dsmr_world_pass(world, 900);
    uint32_t lines = dsmr_world_log_lines(world, 3, DSMR_LOG_INFO);
    dsmr_world_status(world, 3, &status);
    assert_true(status.is_under_floor);
    dsmr_world_pass(world, 300);
    dsmr_world_status(world, 3, &status);
    assert_true(!status.is_under_floor && status.is_ready);
    assert_int_equal(dsmr_world_log_lines(world, 3, DSMR_LOG_INFO), lines + 1);
    assert_int_equal(dsmr_metrics_get(dsmr_world_metrics(world, 3), DSMR_METRIC_UNDER_FLOOR), 0);
    execute_some(world, 3, 100, 3);
    dsmr_world_status(world, 0, &status);
    assert_false(status.is_under_floor); /* who was there from the beginning never is */
    dsmr_world_free(world);
}

/* One who is not needed comes back in an idle network; a minute later another one is lost. */
static void test_wiped_validator_is_a_full_one_again(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 13};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct dsmr_query_status status;
    execute_some(world, 0, 1, 10);
    dsmr_world_crash(world, 2);
    dsmr_world_wipe(world, 2);
    dsmr_world_pass(world, MINUTE_MS);
    dsmr_world_restart(world, 2);
    dsmr_world_pass(world, MINUTE_MS);
    dsmr_world_status(world, 2, &status);
    assert_int_equal(status.votes_from, 0);
    assert_true(dsmr_world_is_level(world));
    uint64_t messages = dsmr_world_messages(world);
    dsmr_world_pass(world, 60 * MINUTE_MS);
    assert_int_equal(dsmr_world_messages(world), messages);
    dsmr_world_crash(world, 3);
    execute_some(world, 2, 100, 10);
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transactions_are_executed_on_all_nodes),
        cmocka_unit_test(test_dup_tx_everywhere),
        cmocka_unit_test(test_one_validator_alone),
        cmocka_unit_test(test_lost_messages_heal),
        cmocka_unit_test(test_f_nodes_down),
        cmocka_unit_test(test_dead_leader_is_not_waited_for),
        cmocka_unit_test(test_no_quorum_then_heal),
        cmocka_unit_test(test_heal_after_40_s_partition),
        cmocka_unit_test(test_idle_then_build),
        cmocka_unit_test(test_all_killed_and_restarted),
        cmocka_unit_test(test_crash_at_every_effect),
        cmocka_unit_test(test_wiped_node_crashes_at_every_effect),
        cmocka_unit_test(test_epochs_by_schedule),
        cmocka_unit_test(test_away_node_catches_up),
        cmocka_unit_test(test_away_node_crosses_a_wide_gap),
        cmocka_unit_test(test_clock_jump_forward),
        cmocka_unit_test(test_clock_skew),
        cmocka_unit_test(test_clock_far_behind),
        cmocka_unit_test(test_wiped_validator),
        cmocka_unit_test(test_first_start_after_the_first_block),
        cmocka_unit_test(test_wiped_validator_is_a_full_one_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
