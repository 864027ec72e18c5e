/* The two times that a node measures between a certificate and a result, in virtual time: each is
 * that of the right transactions, and as long as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/cluster.h"

#define TXS 4u /* the first has a chunk of its own, the others wait for the next slot */

struct times {
    uint64_t count, sum_ms;
};

static struct times times_of(const struct cluster *cluster, uint32_t node,
                             enum dsmr_metric_histogram id)
{
    const struct dsmr_metrics *metrics = &cluster->nodes[node].metrics;
    struct times times = {.sum_ms = metrics->histograms[id].sum_ms};
    for (unsigned i = 0; i < DSMR_METRIC_BUCKETS; i++) {
        times.count += metrics->histograms[id].counts[i];
    }
    return times;
}

static struct times waited_for_block(const struct cluster *cluster, uint32_t node)
{
    return times_of(cluster, node, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED_ACCEPTED);
}

static struct times waited_for_result(const struct cluster *cluster, uint32_t node)
{
    return times_of(cluster, node, DSMR_METRIC_HISTOGRAM_TX_ACCEPTED_EXECUTED);
}

static struct cluster *start(uint64_t seed)
{
    struct cluster_config config = {.nodes = 4, .seed = seed};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    return cluster;
}

static bool is_told(struct cluster *cluster)
{
    return cluster->nodes[1].told_certified > 0;
}

static bool is_told_twice(struct cluster *cluster)
{
    return cluster->nodes[1].told_certified > 1;
}

static bool is_included(struct cluster *cluster) /* at its producer */
{
    return waited_for_block(cluster, 1).count > 0;
}

static bool is_executed_elsewhere(struct cluster *cluster)
{
    return cluster_executed_txs(cluster, 2) == TXS;
}

static bool is_executed(struct cluster *cluster)
{
    return waited_for_result(cluster, 0).count > 0;
}

/* The engine stands still for 700 ms, and then node 0's execution for 900 ms. */
static void test_each_stage_is_as_long_as_it_was(void **state)
{
    (void)state;
    struct cluster *cluster = start(91);
    cluster_submit(cluster, 1, TXS, 100);
    assert_true(cluster_run_until(cluster, is_told, 2000));
    uint64_t told_ms = cluster->mono_ms;
    assert_true(cluster_run_until(cluster, is_told_twice, 2000));
    uint64_t told_again_ms = cluster->mono_ms;
    assert_true(told_again_ms > told_ms);
    cluster_run(cluster, 700);
    assert_int_equal(waited_for_block(cluster, 1).count, 0);
    cluster->nodes[0].is_exec_held = true;
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    uint64_t woken_ms = cluster->mono_ms;
    assert_true(cluster_run_until(cluster, is_included, 2000));
    assert_int_equal(waited_for_block(cluster, 1).count, TXS);
    assert_int_equal(waited_for_block(cluster, 1).sum_ms,
                     cluster->mono_ms - told_ms + (TXS - 1) * (cluster->mono_ms - told_again_ms));
    assert_true(cluster_run_until(cluster, is_executed_elsewhere, 2000));
    uint64_t included_ms = cluster->mono_ms; /* by all at about the same time */
    cluster_run(cluster, 900);
    assert_int_equal(waited_for_result(cluster, 0).count, 0);
    assert_int_equal(waited_for_result(cluster, 2).count, TXS);
    assert_true(waited_for_result(cluster, 2).sum_ms <= TXS * (included_ms - woken_ms));
    cluster->nodes[0].is_exec_held = false;
    assert_true(cluster_run_until(cluster, is_executed, 2000));
    assert_int_equal(waited_for_result(cluster, 0).count, TXS);
    assert_in_range(waited_for_result(cluster, 0).sum_ms, TXS * 900,
                    TXS * (cluster->mono_ms - woken_ms));
    cluster_run(cluster, 5000); /* empty blocks are nobody's waiting */
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(waited_for_block(cluster, i).count, i == 1 ? TXS : 0);
        assert_int_equal(waited_for_result(cluster, i).count, TXS);
    }
    cluster_free(cluster);
}

static bool drop_certificates(struct cluster *cluster, uint32_t from, uint32_t to,
                              const struct dsmr_msg *msg)
{
    (void)cluster, (void)to;
    return from != 1 || msg->type != DSMR_MSG_CERTIFICATE;
}

/* Nobody else has the certificate, but the producer's own block brings it: it is told with that. */
static void test_a_block_faster_than_its_keepers(void **state)
{
    (void)state;
    struct cluster *cluster = start(92);
    cluster->passes = drop_certificates;
    cluster->is_engine_stopped = false;
    cluster_submit(cluster, 1, 1, 100);
    cluster_wake_engine(cluster, 0);
    assert_true(cluster_run_until(cluster, is_included, 10000));
    assert_int_equal(cluster->nodes[1].told_certified, 1);
    assert_int_equal(waited_for_block(cluster, 1).count, 1);
    assert_int_equal(waited_for_block(cluster, 1).sum_ms, 0);
    cluster_free(cluster);
}

static void hold_two(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->exec_blocks_max = 2;
}

/* How long node's transactions have waited for their results by now, as its disk tells. */
static uint64_t waiting_ms(const struct cluster *cluster, uint32_t node)
{
    const struct cluster_disk *disk = &cluster->nodes[node].disk;
    uint64_t sum_ms = 0;
    for (uint64_t h = disk->executed_height + 1; h <= disk->accepted_height; h++) {
        for (uint32_t i = 0; i < disk->blocks[h]->certs_count; i++) {
            sum_ms += disk->blocks[h]->certs[i].ref.tx_count *
                      (cluster_wall_ms(cluster) - disk->accepted_wall_ms[h]);
        }
    }
    return sum_ms;
}

/* Of blocks that were not kept in memory the time counts from when they were made, a little before
 * they were accepted: a node that is far behind cannot look as if it were not. */
static void test_a_backlog_on_disk_is_counted(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 93, .tune = hold_two};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->nodes[0].is_exec_held = true;
    for (uint32_t i = 0; i < 12; i++) {
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 200);
    }
    assert_int_equal(waited_for_result(cluster, 0).count, 0);
    uint64_t waiting = waiting_ms(cluster, 0), released_ms = cluster->mono_ms;
    assert_true(waiting > 12 * 1000);
    cluster->nodes[0].is_exec_held = false;
    assert_true(cluster_run_until(cluster, cluster_is_level, 3000));
    assert_int_equal(waited_for_result(cluster, 0).count, 12);
    assert_int_equal(waited_for_result(cluster, 2).count, 12);
    assert_in_range(waited_for_result(cluster, 0).sum_ms, waiting,
                    waiting + 12 * (cluster->mono_ms - released_ms + 100));
    cluster_free(cluster);
}

/* An old block that comes late, as to a node that bootstraps, counts from then on. */
static void test_old_blocks_count_from_their_acceptance(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 94, .tune = hold_two};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster_crash(cluster, 0);
    for (uint32_t i = 0; i < 12; i++) {
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 200);
    }
    cluster_run(cluster, 20000);
    cluster_start(cluster, 0);
    uint64_t started_ms = cluster->mono_ms;
    assert_true(cluster_run_until(cluster, cluster_is_level, 10000));
    assert_int_equal(waited_for_result(cluster, 0).count, 12);
    assert_true(waited_for_result(cluster, 0).sum_ms <= 12 * (cluster->mono_ms - started_ms));
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_stage_is_as_long_as_it_was),
        cmocka_unit_test(test_a_block_faster_than_its_keepers),
        cmocka_unit_test(test_a_backlog_on_disk_is_counted),
        cmocka_unit_test(test_old_blocks_count_from_their_acceptance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
