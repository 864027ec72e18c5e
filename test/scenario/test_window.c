/* What waits for others waits in one mempool, not in chunks on every validator (protocol.md, 5.1,
 * decision 022); but data moves while consensus stands still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cluster.h"

enum { NODES = 4, LEN = 10000, CHUNKS = 12, PAUSE_MS = 500 };

static struct cluster *start(void)
{
    struct cluster_config config = {.nodes = NODES, .seed = 79};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    return cluster;
}

static uint64_t built(const struct cluster *cluster)
{
    return dsmr_metrics_get(&cluster->nodes[0].metrics, DSMR_METRIC_CHUNKS_BUILT);
}

/* As many as that many of the largest chunks hold; returns how many. */
static uint32_t submit(struct cluster *cluster, uint32_t chunks)
{
    uint32_t count = chunks * (cluster->params.chunk_bytes_max / LEN);
    cluster_submit(cluster, 0, count, LEN);
    return count;
}

static void hold_execution(struct cluster *cluster, bool is_held)
{
    for (uint32_t i = 0; i < NODES; i++)
        cluster->nodes[i].is_exec_held = is_held;
}

/* The first transaction leaves at once, and two of the largest chunks after it; the next one waits
 * for one of them to be executed, and no longer. */
static void test_a_chunk_waits_for_others_of_its_producer(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot_ms = cluster->params.slot_ms;
    hold_execution(cluster, true);
    uint32_t count = submit(cluster, 5);
    cluster_run(cluster, 3u * slot_ms);
    assert_int_equal(built(cluster), 3);
    hold_execution(cluster, false);
    cluster_run(cluster, slot_ms);
    assert_in_range(built(cluster), 4, 5);
    cluster_run(cluster, 10000);
    assert_int_equal(cluster_executed_txs(cluster, 0), count);
    cluster_free(cluster);
}

/* Who waits for nothing but consensus goes on after half a second, until 13.1 says stop. */
static void test_data_moves_while_consensus_stands_still(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot_ms = cluster->params.slot_ms;
    cluster->is_engine_stopped = true;
    uint32_t count = submit(cluster, CHUNKS);
    cluster_run(cluster, PAUSE_MS - slot_ms);
    assert_int_equal(built(cluster), 3);
    cluster_run(cluster, CHUNKS * slot_ms + 2u * slot_ms);
    assert_in_range(built(cluster), CHUNKS, CHUNKS + 3u);
    assert_int_equal(cluster_executed_txs(cluster, 0), 0);
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    cluster_run(cluster, 10000);
    assert_int_equal(cluster_executed_txs(cluster, 0), count);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chunk_waits_for_others_of_its_producer),
        cmocka_unit_test(test_data_moves_while_consensus_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
