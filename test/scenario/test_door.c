/* Protocol.md, 13.3 and 13.5: a node whose memory is full or that builds no chunks takes no
 * transactions, and says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cluster.h"
#include "lib/world.h"

static struct cluster *start(void (*tune)(struct dsmr_node_config *config, uint32_t number))
{
    struct cluster_config config = {.nodes = 4, .seed = 131, .tune = tune};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    return cluster;
}

static void flag(struct cluster *cluster, enum dsmr_ev_kind kind, bool value)
{
    struct dsmr_event event = {.kind = kind, .u.flag = value};
    cluster_event(cluster, 0, &event);
}

/* One transaction for node 0: it is refused with err, and counted, once. */
static void refused(struct cluster *cluster, enum dsmr_err err)
{
    struct cluster_node *node = &cluster->nodes[0];
    uint64_t errors = cluster_metric_errors(cluster, 0, err);
    uint64_t refused = dsmr_metrics_get(&node->metrics, DSMR_METRIC_TXS_REFUSED);
    uint64_t waiting = dsmr_metrics_get(&node->metrics, DSMR_METRIC_MEMPOOL_TXS);
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 10);
    assert_int_equal(node->last_submit, err);
    assert_int_equal(cluster_metric_errors(cluster, 0, err), errors + 1);
    assert_int_equal(dsmr_metrics_get(&node->metrics, DSMR_METRIC_TXS_REFUSED), refused + 1);
    assert_int_equal(dsmr_metrics_get(&node->metrics, DSMR_METRIC_MEMPOOL_TXS), waiting);
}

static void taken(struct cluster *cluster)
{
    uint64_t executed = cluster_executed_txs(cluster, 1);
    cluster_submit(cluster, 0, 1, 100);
    assert_int_equal(cluster->nodes[0].last_submit, DSMR_OK);
    cluster_run(cluster, 2000);
    assert_int_equal(cluster_executed_txs(cluster, 1), executed + 1);
}

static void test_disk_low(void **state)
{
    (void)state;
    struct cluster *cluster = start(NULL);
    taken(cluster);
    flag(cluster, DSMR_EV_DISK_LOW, true);
    refused(cluster, DSMR_ERR_DISK_LOW);
    flag(cluster, DSMR_EV_DISK_LOW, false);
    taken(cluster);
    cluster_free(cluster);
}

static void test_behind(void **state)
{
    (void)state;
    struct cluster *cluster = start(NULL);
    flag(cluster, DSMR_EV_BOOTSTRAPPING, true);
    refused(cluster, DSMR_ERR_BEHIND);
    flag(cluster, DSMR_EV_BOOTSTRAPPING, false);
    taken(cluster);
    struct dsmr_msg msg = {.type = DSMR_MSG_STATUS};
    msg.u.status.accepted_height = cluster->chain_height + 17;
    msg.u.status.wall_ms = cluster_wall_ms(cluster);
    cluster_send(cluster, 1, 0, &msg);
    cluster_run(cluster, 10);
    cluster_submit(cluster, 0, 1, 100);
    assert_int_equal(cluster->nodes[0].last_submit, DSMR_OK); /* one of four may lie */
    cluster_send(cluster, 2, 0, &msg);
    cluster_run(cluster, 10);
    refused(cluster, DSMR_ERR_BEHIND);
    cluster_free(cluster);
}

static void node_0_follows(struct dsmr_node_config *config, uint32_t number)
{
    config->can_produce = number != 0;
}

static void test_follower(void **state)
{
    (void)state;
    struct cluster *cluster = start(node_0_follows);
    refused(cluster, DSMR_ERR_NOT_PRODUCING);
    cluster_free(cluster);
}

/* Node 0 is in the first set only. */
static void test_no_validator_any_more(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 5, .seed = 132, .validators = 4};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    taken(cluster);
    cluster_add_set(cluster, 7, 1, 4, NULL);
    cluster->chain_epoch = 7;
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 3000);
    refused(cluster, DSMR_ERR_NOT_PRODUCING);
    cluster_free(cluster);
}

/* A wiped disk: nothing of ours that expires before the floor is signed, so a transaction that
 * expires before the first slot left is not taken, and a later one is. */
static void test_before_the_floor(void **state)
{
    (void)state;
    struct cluster *cluster = start(NULL);
    taken(cluster);
    cluster_crash(cluster, 0);
    cluster_wipe(cluster, 0);
    cluster_start(cluster, 0);
    cluster_run(cluster, 100);
    struct dsmr_buf *tx = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 300);
    cluster_submit_bytes(cluster, 0, tx);
    assert_int_equal(cluster->nodes[0].last_submit, DSMR_ERR_NOT_YET);
    dsmr_buf_unref(tx);
    taken(cluster);
    cluster_free(cluster);
}

/* Whoever is in has the old answer: it waits with the first. */
static void test_a_duplicate_stays_one(void **state)
{
    (void)state;
    struct cluster *cluster = start(NULL);
    cluster->nodes[0].is_store_slow = true;
    struct dsmr_buf *in_chunk = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 50000);
    struct dsmr_buf *waiting = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 50000);
    cluster_submit_bytes(cluster, 0, in_chunk);
    cluster_run(cluster, 10);
    cluster_submit_bytes(cluster, 0, waiting);
    flag(cluster, DSMR_EV_DISK_LOW, true);
    cluster_submit_bytes(cluster, 0, in_chunk);
    assert_int_equal(cluster->nodes[0].last_submit, DSMR_ERR_DUPLICATE);
    cluster_submit_bytes(cluster, 0, waiting);
    assert_int_equal(cluster->nodes[0].last_submit, DSMR_ERR_DUPLICATE);
    refused(cluster, DSMR_ERR_DISK_LOW);
    dsmr_buf_unref(in_chunk);
    dsmr_buf_unref(waiting);
    cluster_free(cluster);
}

static bool is_halted(struct dsmr_world *world, void *ctx)
{
    struct dsmr_query_status status;
    (void)ctx;
    dsmr_world_status(world, 0, &status);
    return status.is_halted;
}

/* A whole node that has halted: the core is not asked any more, and the refusal counts all the
 * same. */
static void test_halted(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 133, .check_every = 11};
    struct dsmr_world *world = dsmr_world_new(&config);
    dsmr_world_may_halt(world, 0);
    dsmr_world_fail_store(world, 0, DSMR_ERR_IO);
    (void)dsmr_world_submit(world, 1, 1);
    assert_true(dsmr_world_run(world, is_halted, NULL, 60000));
    struct dsmr_metrics *metrics = dsmr_world_metrics(world, 0);
    uint64_t refused = dsmr_metrics_get(metrics, DSMR_METRIC_TXS_REFUSED);
    assert_int_equal(metrics->errors[DSMR_ERR_HALTED], 0);
    (void)dsmr_world_submit(world, 0, 2);
    dsmr_world_pass(world, 100);
    assert_int_equal(metrics->errors[DSMR_ERR_HALTED], 1);
    assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_TXS_REFUSED), refused + 1);
    dsmr_world_free(world);
}

/* 75: a full mempool says so; what was admitted is executed. */
static void tune_small(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->mempool_txs_max = 100;
}

static void test_submit_when_full(void **state)
{
    (void)state;
    struct cluster *cluster = start(tune_small);
    cluster_submit(cluster, 0, 250, 100);
    assert_true(cluster->nodes[0].submitted_refused > 0);
    assert_int_equal(cluster->nodes[0].last_submit, DSMR_ERR_MEMPOOL_FULL);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster_executed_txs(cluster, 1), cluster->nodes[0].submitted_ok);
    /* Outside the window, at the door. */
    struct dsmr_buf *tx = cluster_tx(cluster, 100, cluster_wall_ms(cluster) - 1);
    cluster_submit_bytes(cluster, 0, tx);
    assert_int_equal(cluster->nodes[0].last_submit, DSMR_ERR_EXPIRED);
    dsmr_buf_unref(tx);
    tx =
        cluster_tx(cluster, 100, cluster_wall_ms(cluster) + cluster->params.validity_window_ms + 1);
    cluster_submit_bytes(cluster, 0, tx);
    assert_int_equal(cluster->nodes[0].last_submit, DSMR_ERR_TX_EXPIRY);
    dsmr_buf_unref(tx);
    cluster_free(cluster);
}

/* A transaction that waits beyond its expiry is announced as expired, once. What was taken before
 * the disk got low stays, and nothing is built of it. */
static void test_mempool_expiry(void **state)
{
    (void)state;
    struct cluster *cluster = start(NULL);
    for (uint32_t i = 1; i < 4; i++) {
        cluster_crash(cluster, i); /* no quorum: nothing can be certified */
    }
    cluster_submit(cluster, 0, 6, 100); /* one makes a chunk, the others gather behind it */
    flag(cluster, DSMR_EV_DISK_LOW, true);
    cluster_run(cluster, 70000);
    assert_int_equal(cluster->nodes[0].txs_expired, 6);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CHUNK_BUILT], 1); /* disk is low */
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk_low),         cmocka_unit_test(test_behind),
        cmocka_unit_test(test_follower),         cmocka_unit_test(test_no_validator_any_more),
        cmocka_unit_test(test_before_the_floor), cmocka_unit_test(test_a_duplicate_stays_one),
        cmocka_unit_test(test_halted),           cmocka_unit_test(test_submit_when_full),
        cmocka_unit_test(test_mempool_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
