/* Execution that stands still while consensus goes on: whole nodes in virtual time. The world
 * checks equal roots at equal heights and that nothing is executed twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "core/node_state.h"
#include "lib/cluster.h"
#include "lib/world.h"

#define MINUTE_MS UINT64_C(60000)
#define VICTIM 3u
#define HELD_MAX 16u

static void tune(struct dsmr_driver_config *config)
{
    config->node.exec_blocks_max = HELD_MAX;
}

struct watch {
    uint64_t height; /* accepted by the victim */
    uint64_t held_max;
    bool is_level; /* or: everybody has executed everything */
};

static bool has_come(struct dsmr_world *world, void *ctx)
{
    struct watch *watch = ctx;
    if (!dsmr_world_is_up(world, VICTIM)) {
        return false;
    }
    struct dsmr_metrics *metrics = dsmr_world_metrics(world, VICTIM);
    uint64_t held = dsmr_metrics_get(metrics, DSMR_METRIC_BACKLOG_BLOCKS_HELD);
    watch->held_max = held > watch->held_max ? held : watch->held_max;
    if (watch->is_level) {
        return dsmr_world_is_level(world);
    }
    struct dsmr_query_status status;
    dsmr_world_status(world, VICTIM, &status);
    return status.height >= watch->height;
}

/* The chain grows to that height at the victim, a transaction a block or so. */
static void grow(struct dsmr_world *world, struct watch *watch, uint64_t height)
{
    struct dsmr_query_status status;
    dsmr_world_status(world, VICTIM, &status);
    for (uint64_t h = status.height + 1; h <= height; h++) {
        dsmr_world_submit(world, (uint32_t)(h % 3), h);
        watch->height = h;
        assert_true(dsmr_world_run(world, has_come, watch, MINUTE_MS));
    }
}

static uint64_t executed_height(struct dsmr_world *world)
{
    struct dsmr_query_status status;
    dsmr_world_status(world, VICTIM, &status);
    return status.executed_height;
}

static void test_stalled_for_thousands_of_blocks(void **state)
{
    (void)state;
    enum { BLOCKS = 3000 };
    struct dsmr_world_config config = {.nodes = 4, .seed = 61, .check_every = 101, .tune = tune};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct watch watch = {0};
    grow(world, &watch, 10);
    watch.held_max = 0;
    dsmr_world_hold_execution(world, VICTIM, true);
    grow(world, &watch, BLOCKS);
    assert_true(executed_height(world) <= 10);
    struct dsmr_metrics *metrics = dsmr_world_metrics(world, VICTIM);
    assert_true(dsmr_metrics_get(metrics, DSMR_METRIC_BACKLOG_BLOCKS) >= BLOCKS - 10);
    assert_true(watch.held_max <= HELD_MAX);
    dsmr_world_hold_execution(world, VICTIM, false);
    watch.is_level = true;
    assert_true(dsmr_world_run(world, has_come, &watch, MINUTE_MS));
    assert_true(watch.held_max <= HELD_MAX);
    assert_true(executed_height(world) >= BLOCKS);
    assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_BACKLOG_BLOCKS), 0);
    assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_BACKLOG_BYTES), 0);
    dsmr_world_free(world);
}

/* The node dies with most of its backlog on disk only, and again while it works it off. */
static void test_crash_in_the_middle(void **state)
{
    (void)state;
    enum { BLOCKS = 200 };
    for (uint64_t seed = 62; seed < 72; seed++) {
        struct dsmr_world_config config = {
            .nodes = 4, .seed = seed, .check_every = 7, .tune = tune};
        struct dsmr_world *world = dsmr_world_new(&config);
        struct watch watch = {0};
        dsmr_world_hold_execution(world, VICTIM, true);
        grow(world, &watch, BLOCKS);
        dsmr_world_crash(world, VICTIM);
        for (uint32_t i = 0; i < 20; i++) { /* the others go on */
            dsmr_world_submit(world, i % 3, 10000 + i);
            dsmr_world_pass(world, 100);
        }
        dsmr_world_restart(world, VICTIM);
        dsmr_world_hold_execution(world, VICTIM, true);
        dsmr_world_pass(world, 5000); /* it catches up with consensus, still without executing */
        dsmr_world_crash_at(world, VICTIM,
                            dsmr_world_events(world, VICTIM) + 20 * (seed - 61) * (seed - 61));
        dsmr_world_hold_execution(world, VICTIM, false);
        for (uint32_t i = 0; dsmr_world_is_up(world, VICTIM) && i < 100; i++) {
            dsmr_world_submit(world, i % 3, 20000 + i);
            dsmr_world_pass(world, 100);
        }
        assert_false(dsmr_world_is_up(world, VICTIM));
        dsmr_world_restart(world, VICTIM);
        watch.is_level = true;
        assert_true(dsmr_world_run(world, has_come, &watch, MINUTE_MS));
        assert_true(executed_height(world) >= BLOCKS);
        assert_true(watch.held_max <= HELD_MAX);
        dsmr_world_free(world);
    }
}

/* The disk stands still: no more blocks are found valid than the node can remember to have
 * accepted, so that no accept is refused (the driver would halt). */
static void test_late_disk(void **state)
{
    (void)state;
    enum { BLOCKS = 400 };
    struct dsmr_world_config config = {.nodes = 4, .seed = 67, .check_every = 11, .tune = tune};
    struct dsmr_world *world = dsmr_world_new(&config);
    struct watch watch = {0};
    struct dsmr_query_status status;
    grow(world, &watch, 10);
    dsmr_world_hold_store(world, VICTIM, true);
    do {
        dsmr_world_submit(world, 0, 10000 + dsmr_world_now_ms(world));
        dsmr_world_pass(world, 100);
        dsmr_world_status(world, 0, &status);
    } while (status.height < BLOCKS);
    dsmr_world_status(world, VICTIM, &status);
    assert_in_range(status.height, DSMR_NODE_ACCEPTS_MAX, 10 + DSMR_NODE_ACCEPTS_MAX + 1);
    assert_true(dsmr_world_metrics(world, VICTIM)->errors[DSMR_ERR_BUSY] > 0);
    dsmr_world_hold_store(world, VICTIM, false);
    watch.is_level = true;
    assert_true(dsmr_world_run(world, has_come, &watch, MINUTE_MS));
    dsmr_world_free(world);
}

/* ---- pure nodes: what a disk may answer ---- */

static void hold_two(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->exec_blocks_max = 2;
}

/* Node 0 has accepted ten blocks or more that it has not executed. */
static struct cluster *stalled_cluster(uint64_t seed)
{
    struct cluster_config config = {.nodes = 4, .seed = seed, .tune = hold_two};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->nodes[0].is_exec_held = true;
    for (uint32_t i = 0; i < 12; i++) {
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 200);
    }
    cluster->is_engine_stopped = true;
    cluster_run(cluster, 500);
    assert_true(cluster->nodes[0].disk.accepted_height >=
                cluster->nodes[0].disk.executed_height + 10);
    return cluster;
}

static void test_backlog_is_read_back(void **state)
{
    (void)state;
    struct cluster *cluster = stalled_cluster(63);
    cluster->nodes[0].fail_block_loads = 3; /* busy: asked for again */
    cluster->nodes[0].is_exec_held = false;
    cluster_run(cluster, 3000);
    assert_int_equal(cluster->nodes[0].fail_block_loads, 0);
    assert_true(cluster_is_level(cluster));
    assert_false(cluster->nodes[0].is_halted);
    cluster_free(cluster);
}

/* What is not the accepted block does not run: the node halts. The block `below` the last accepted
 * one is replaced on node 0's disk by other (NULL: it is gone). */
static void check_halt(struct cluster *cluster, uint64_t below, struct dsmr_block *other)
{
    struct cluster_disk *disk = &cluster->nodes[0].disk;
    uint64_t height = disk->accepted_height - below;
    struct dsmr_block *mine = disk->blocks[height];
    disk->blocks[height] = other;
    cluster->nodes[0].is_exec_held = false;
    cluster_run(cluster, 3000);
    assert_true(cluster->nodes[0].is_halted);
    assert_int_equal(disk->executed_height, height - 1);
    disk->blocks[height] = mine;
    dsmr_block_unref(other);
    cluster_free(cluster);
}

static void test_backlog_that_is_gone(void **state)
{
    (void)state;
    check_halt(stalled_cluster(64), 4, NULL);
}

static void test_backlog_of_another_chain(void **state)
{
    (void)state;
    struct cluster *cluster = stalled_cluster(65);
    struct dsmr_block **blocks = cluster->nodes[0].disk.blocks;
    uint64_t height = cluster->nodes[0].disk.accepted_height - 4;
    uint64_t time_ms = blocks[height]->time_ms;
    struct dsmr_block *parent =
        cluster_forge_block(cluster, blocks[height - 2], 0, time_ms - 1, NULL, 0);
    struct dsmr_block *other = cluster_forge_block(cluster, parent, 0, time_ms, NULL, 0);
    dsmr_block_unref(parent);
    check_halt(cluster, 4, other);
}

static void test_another_tip(void **state)
{
    (void)state;
    struct cluster *cluster = stalled_cluster(66);
    struct dsmr_block **blocks = cluster->nodes[0].disk.blocks;
    uint64_t height = cluster->nodes[0].disk.accepted_height;
    struct dsmr_block *other =
        cluster_forge_block(cluster, blocks[height - 1], 0, blocks[height]->time_ms + 1, NULL, 0);
    check_halt(cluster, 0, other);
}

/* ---- pure nodes: how far ahead bodies are fetched ---- */

#define CACHE_BYTES 10000u

static void small_cache(struct dsmr_node_config *config, uint32_t number)
{
    config->chunk_cache_bytes_max = number == 0 ? CACHE_BYTES : config->chunk_cache_bytes_max;
}

/* Whoever has more to execute than fits in memory reads a fifth of that ahead, and again all when
 * the rest fits. */
static void test_far_behind_less_is_read_ahead(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 68, .tune = small_cache};
    struct cluster *cluster = cluster_new(&config);
    const struct dsmr_exec_queue *queue = &cluster->nodes[0].node->queue;
    cluster_run(cluster, 3000);
    cluster->nodes[0].is_exec_held = true;
    while (queue->backlog_bytes <= 3 * CACHE_BYTES) {
        uint64_t window_bytes = queue->window_bytes;
        cluster_submit(cluster, 1, 1, 300);
        cluster_run(cluster, 200);
        if (queue->backlog_bytes <= CACHE_BYTES) {
            assert_int_equal(queue->window_bytes, queue->backlog_bytes);
        } else if (window_bytes > CACHE_BYTES / 5) { /* what was opened stays open */
            assert_in_range(queue->window_bytes, window_bytes, CACHE_BYTES);
        }
    }
    cluster->nodes[0].is_exec_held = false;
    uint64_t far_least = UINT64_MAX, near_most = 0;
    while (queue->backlog_bytes > 0) {
        cluster_run(cluster, 1);
        bool is_far = queue->backlog_bytes > CACHE_BYTES;
        if (is_far && queue->window_bytes < far_least) {
            far_least = queue->window_bytes;
        } else if (is_far && far_least <= CACHE_BYTES / 5) {
            assert_in_range(queue->window_bytes, 1, CACHE_BYTES / 5);
        }
        near_most = !is_far && queue->window_bytes > near_most ? queue->window_bytes : near_most;
    }
    assert_in_range(far_least, 1, CACHE_BYTES / 5);
    assert_in_range(near_most, CACHE_BYTES / 2, CACHE_BYTES);
    assert_true(cluster_is_level(cluster));
    cluster_free(cluster);
}

/* In a slow network a block may be larger than that fifth. Fetched one by one, each would take a
 * round trip, and the node might never catch up. */
static void test_far_behind_large_blocks_are_fetched_together(void **state)
{
    (void)state;
    enum { ROUNDS = 40, ROUND_MS = 200 };
    struct cluster_config config = {.nodes = 4, .seed = 69, .tune = small_cache};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster_crash(cluster, 0);
    for (uint32_t i = 0; i < ROUNDS; i++) { /* at most two blocks each */
        cluster_submit(cluster, 1, 10, 300);
        cluster_run(cluster, ROUND_MS);
    }
    cluster->delay_ms = 100;
    cluster_start(cluster, 0);
    const struct dsmr_exec_queue *queue = &cluster->nodes[0].node->queue;
    while (queue->backlog_bytes <= 5 * CACHE_BYTES) {
        cluster_run(cluster, 1);
    }
    uint64_t began_ms = cluster->mono_ms;
    while (queue->backlog_bytes > 0) {
        assert_in_range(queue->window_bytes, 0, CACHE_BYTES);
        cluster_run(cluster, 1);
    }
    assert_in_range(cluster->mono_ms - began_ms, 0, ROUNDS * ROUND_MS * 2 / 3);
    assert_true(cluster_is_level(cluster));
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stalled_for_thousands_of_blocks),
        cmocka_unit_test(test_crash_in_the_middle),
        cmocka_unit_test(test_late_disk),
        cmocka_unit_test(test_backlog_is_read_back),
        cmocka_unit_test(test_backlog_that_is_gone),
        cmocka_unit_test(test_backlog_of_another_chain),
        cmocka_unit_test(test_another_tip),
        cmocka_unit_test(test_far_behind_less_is_read_ahead),
        cmocka_unit_test(test_far_behind_large_blocks_are_fetched_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
