/* Four pure nodes take transactions through chunk, share, certificate, block and execution. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/cluster.h"

static bool has_executed_one(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        if (cluster_executed_txs(cluster, i) < 1) {
            return false;
        }
    }
    return true;
}

static void test_lonely_transaction(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 1};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 5000);
    assert_int_equal(cluster->chain_height, 1); /* the empty block 1 gives the chain an epoch */
    uint64_t from_ms = cluster->mono_ms;
    cluster_submit(cluster, 2, 1, 200);
    assert_true(cluster_run_until(cluster, has_executed_one, 1000));
    assert_true(cluster->mono_ms - from_ms < 60); /* no timer stands in its way */
    assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_CHUNK_BUILT], 1);
    assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_CERT_FORMED], 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster->nodes[i].faults, 0);
        assert_int_equal(cluster->nodes[i].traces[DSMR_TRACE_FETCH_SENT], 0);
    }
    cluster_run(cluster, 60000);
    assert_int_equal(cluster->chain_height, 2); /* idle: no empty blocks */
    assert_true(cluster_is_idle(cluster));
    cluster_free(cluster);
}

static void tune_for_one(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->validators_max = 1;
}

/* Under AvalancheGo a set may grow beyond what genesis foresaw: every share has its place. */
static void test_set_larger_than_foreseen(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 8, .tune = tune_for_one};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 5000);
    cluster_submit(cluster, 2, 1, 200);
    assert_true(cluster_run_until(cluster, has_executed_one, 5000));
    cluster_submit(cluster, 2, 1, 200); /* the same place again, now as large as the set */
    cluster_run(cluster, 5000);
    assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_SHARE_RECEIVED], 6);
    assert_int_equal(cluster_executed_txs(cluster, 0), 2);
    cluster_free(cluster);
}

static void test_idle_network_is_silent(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 2};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 5000);
    uint64_t effects = 0;
    for (uint32_t i = 0; i < 4; i++) {
        effects += cluster->nodes[i].effects_total;
    }
    cluster_run(cluster, 3600000);
    for (uint32_t i = 0; i < 4; i++) {
        effects -= cluster->nodes[i].effects_total;
    }
    assert_int_equal(effects, 0); /* nothing sent, nothing written for an hour */
    cluster_free(cluster);
}

static void test_load_from_all(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 3};
    struct cluster *cluster = cluster_new(&config);
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            cluster_submit(cluster, i, 10, 250);
        }
        cluster_run(cluster, 50);
    }
    assert_true(cluster_run_until(cluster, cluster_is_level, 20000));
    cluster_run(cluster, 3000);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_executed_txs(cluster, i), 1600);
        assert_int_equal(cluster->nodes[i].faults, 0);
        struct dsmr_node_status status;
        dsmr_node_status(cluster->nodes[i].node, &status);
        assert_int_equal(status.pending_bytes, 0);
        assert_int_equal(status.certs_waiting, 0);
        assert_int_equal(status.own_uncertified, 0);
        /* One chunk a slot at most: 2 s of load, and the rest. */
        assert_in_range(cluster->nodes[i].traces[DSMR_TRACE_CHUNK_BUILT], 10, 45);
    }
    cluster_free(cluster);
}

static void tune_gap(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.min_block_gap_ms = 300;
}

/* 35, min-gap: builders keep the distance and lose nothing by it; verifiers insist on it. */
static void test_blocks_keep_their_distance(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 4, .tune = tune_gap};
    struct cluster *cluster = cluster_new(&config);
    for (uint32_t round = 0; round < 20; round++) {
        cluster_submit(cluster, round % 4, 1, 200);
        cluster_run(cluster, 100);
    }
    cluster_run(cluster, 2000);
    assert_in_range(cluster->chain_height, 5, 9);
    for (uint64_t height = 1; height <= cluster->chain_height; height++) {
        uint64_t before_ms = cluster->chain[height - 1]->time_ms;
        assert_true(cluster->chain[height]->time_ms >= before_ms + 300);
    }
    assert_int_equal(cluster_executed_txs(cluster, 0), 20);
    const uint32_t quorum[3] = {0, 1, 2};
    const struct dsmr_block *tip = cluster->chain[cluster->chain_height];
    struct dsmr_chunk *chunk =
        cluster_forge_chunk(cluster, 3, tip->time_ms / cluster->params.slot_ms - 20, 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
    for (uint64_t gap_ms = 299; gap_ms <= 300; gap_ms++) {
        struct dsmr_block *block =
            cluster_forge_block(cluster, tip, 0, tip->time_ms + gap_ms, &cert, 1);
        assert_int_equal(cluster_verify(cluster, 0, block, 0),
                         gap_ms < 300 ? DSMR_ERR_BLOCK_TIME : DSMR_OK);
        dsmr_block_unref(block);
    }
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lonely_transaction),
        cmocka_unit_test(test_set_larger_than_foreseen),
        cmocka_unit_test(test_idle_network_is_silent),
        cmocka_unit_test(test_load_from_all),
        cmocka_unit_test(test_blocks_keep_their_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
