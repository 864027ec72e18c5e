/* Sections 10, 12 and 13 of the protocol: a node whose disk, execution or chain does not keep up.
 * Node 0 is that node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/cluster.h"
#include "wire/codec.h"

#define MEMPOOL_BYTES (4u << 20) /* of a node of the cluster */

static const uint32_t quorum[3] = {0, 1, 2};

static struct dsmr_node_status status_of(const struct cluster *cluster, uint32_t node)
{
    struct dsmr_node_status status;
    dsmr_node_status(cluster->nodes[node].node, &status);
    return status;
}

/* Asks node 0 for its share of a new chunk of producer 3; whether it gave it. */
static bool is_signing(struct cluster *cluster)
{
    uint32_t signs = cluster->nodes[0].signs;
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 3, cluster_slot(cluster), 0, 1);
    cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
    dsmr_chunk_unref(chunk);
    cluster_run(cluster, 100); /* the next one is of the next slot */
    return cluster->nodes[0].signs > signs;
}

/* 10.1: an accept is answered, and its block run, when the disk has it; what it frees is free at
 * once; the same accept again is fine. */
static void test_accept_is_durable_first(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 81};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    struct cluster_node *node = &cluster->nodes[0];
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 3, cluster_slot(cluster), 0, 2);
    cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
    cluster_run(cluster, 50);
    assert_true(status_of(cluster, 0).pending_bytes > 0);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
    struct dsmr_block *block = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
    node->is_store_slow = true;
    uint32_t accepts = node->accepts;
    struct dsmr_event event = {.kind = DSMR_EV_ACCEPT, .request_id = 13};
    event.u.engine.block_id = block->id;
    cluster_event(cluster, 0, &event);
    assert_int_equal(status_of(cluster, 0).pending_bytes, 0);
    assert_int_equal(status_of(cluster, 0).accepted_height, 2);
    cluster_run(cluster, 5000);
    assert_int_equal(node->accepts, accepts);
    assert_int_equal(node->traces[DSMR_TRACE_BLOCK_ASSEMBLED], 1); /* of block 1 */
    assert_int_equal(node->disk.accepted_height, 1);
    node->is_store_slow = false;
    cluster_run(cluster, 50);
    assert_int_equal(node->accepts, accepts + 1);
    assert_int_equal(node->last_accept, DSMR_OK);
    assert_int_equal(node->disk.accepted_height, 2);
    assert_int_equal(cluster_executed_txs(cluster, 0), 2);
    assert_int_equal(cluster_accept(cluster, 0, block), DSMR_OK);
    assert_int_equal(cluster_executed_txs(cluster, 0), 2);
    dsmr_block_unref(block);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

static void say_height(struct cluster *cluster, uint32_t from, uint64_t height)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_STATUS};
    msg.u.status.accepted_height = height;
    msg.u.status.executed_height = height;
    cluster_send(cluster, from, 0, &msg);
    cluster_run(cluster, 10);
}

/* 12.5: more than a third of the weight, more than 16 blocks. */
static void test_behind_neither_signs_nor_builds(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 82};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    struct cluster_node *node = &cluster->nodes[0];
    uint32_t built = node->traces[DSMR_TRACE_CHUNK_BUILT];
    say_height(cluster, 1, 1 + 17); /* a quarter of the weight may say what it likes */
    say_height(cluster, 2, 1 + 16);
    assert_false(status_of(cluster, 0).is_behind);
    assert_true(is_signing(cluster));
    node->is_store_slow = true; /* so the second transaction gathers behind the first one's chunk */
    cluster_submit(cluster, 0, 2, 100);
    say_height(cluster, 2, 1 + 17);
    node->is_store_slow = false;
    assert_true(status_of(cluster, 0).is_behind);
    assert_int_equal(node->metrics.values[DSMR_METRIC_BEHIND], 1);
    cluster_run(cluster, 500);
    assert_int_equal(node->traces[DSMR_TRACE_CHUNK_BUILT], built + 1);
    assert_false(is_signing(cluster));
    assert_int_equal(cluster_build(cluster, 0, &cluster->chain[1]->id, 0, NULL), DSMR_ERR_BEHIND);
    say_height(cluster, 2, 1); /* it took it back */
    cluster_run(cluster, 500);
    assert_false(status_of(cluster, 0).is_behind);
    assert_true(is_signing(cluster));
    assert_int_equal(node->traces[DSMR_TRACE_CHUNK_BUILT], built + 2);
    /* The engine's word counts for itself. */
    struct dsmr_event event = {.kind = DSMR_EV_BOOTSTRAPPING, .u.flag = true};
    cluster_event(cluster, 0, &event);
    assert_true(status_of(cluster, 0).is_behind);
    assert_false(is_signing(cluster));
    event.u.flag = false;
    cluster_event(cluster, 0, &event);
    assert_true(is_signing(cluster));
    cluster_free(cluster);
}

static void tune_backlog(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.backlog_bytes_max = 100000;
}

/* 13.2 and 6.5: over the backlog limit nothing more is signed, whoever does not slow down. */
static void test_backlog_is_busy(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 83, .tune = tune_backlog};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    struct cluster_node *node = &cluster->nodes[0];
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    node->is_exec_held = true;
    for (uint32_t i = 0; i < 3; i++) { /* 50 KB each */
        struct dsmr_buf *tx = cluster_tx(cluster, 50000, cluster_wall_ms(cluster) + 30000);
        struct dsmr_chunk_header header = {.domain = cluster->params.domain,
                                           .producer = cluster_node_id(2),
                                           .slot = cluster_slot(cluster)};
        header.expiry_ms =
            header.slot * cluster->params.slot_ms + cluster->params.chunk_lifetime_ms;
        struct dsmr_chunk *chunk = cluster_forge_chunk_of(cluster, &header, &tx, 1);
        assert_true(is_signing(cluster)); /* with one block more to come it still is */
        cluster_send_chunk_request(cluster, 2, 0, chunk, NULL);
        cluster_run(cluster, 100);
        struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
        struct dsmr_block *block = cluster_forge_block(cluster, tip, 0, 0, &cert, 1);
        assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
        assert_int_equal(cluster_accept(cluster, 0, block), DSMR_OK);
        dsmr_block_unref(tip);
        tip = block;
        dsmr_chunk_unref(chunk);
        dsmr_buf_unref(tx);
        if (status_of(cluster, 0).backlog_bytes > 100000) {
            break;
        }
    }
    assert_true(status_of(cluster, 0).backlog_bytes > 100000);
    assert_false(is_signing(cluster));
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_BUSY), 1);
    assert_int_equal(node->faults, 0);
    node->is_exec_held = false;
    cluster_run(cluster, 100);
    assert_int_equal(status_of(cluster, 0).backlog_bytes, 0);
    assert_true(is_signing(cluster));
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

static void tune_sizes(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.chunk_bytes_max = 512u << 10;  /* many times the largest transaction */
    config->params.pending_bytes_max = 64u << 20; /* so that it is not the quota that stops it */
}

static bool no_shares_to_0(struct cluster *cluster, uint32_t from, uint32_t to,
                           const struct dsmr_msg *msg)
{
    (void)from;
    return !*(bool *)cluster->ctx || to != 0 || msg->type != DSMR_MSG_CHUNK_SIGNATURE;
}

static uint64_t built(const struct cluster *cluster)
{
    return dsmr_metrics_get(&cluster->nodes[0].metrics, DSMR_METRIC_CHUNKS_BUILT);
}

/* Node 0 gets no shares while *is_cut. */
static struct cluster *start_without_shares(uint64_t seed, bool *is_cut)
{
    struct cluster_config config = {.nodes = 4, .seed = seed, .tune = tune_sizes};
    struct cluster *cluster = cluster_new(&config);
    cluster->params.chunk_bytes_max = 512u << 10;
    cluster->ctx = is_cut;
    cluster->passes = no_shares_to_0;
    cluster_run(cluster, 3000);
    return cluster;
}

/* 13.1: a producer whose chunks get no certificates makes smaller ones and then one a second, by
 * itself; and comes back to its speed. */
static void test_builder_slows_down(void **state)
{
    (void)state;
    bool is_cut = true;
    struct cluster *cluster = start_without_shares(84, &is_cut);
    struct cluster_node *node = &cluster->nodes[0];
    uint64_t largest = 0;
    uint64_t smallest = UINT64_MAX;
    for (uint32_t i = 0; i < 60; i++) {
        cluster_submit(cluster, 0, 40, 20000);
        uint64_t before = status_of(cluster, 0).pending_bytes;
        cluster_run(cluster, 100);
        uint64_t bytes = status_of(cluster, 0).pending_bytes - before;
        largest = bytes > largest ? bytes : largest;
        smallest = bytes > 0 && bytes < smallest ? bytes : smallest;
    }
    assert_true(largest > cluster->params.chunk_bytes_max / 2);
    assert_true(smallest < largest / 4);
    uint64_t before = built(cluster);
    cluster_run(cluster, 5000);
    assert_in_range(built(cluster) - before, 4, 5);
    assert_int_equal(node->last_submit, DSMR_ERR_MEMPOOL_FULL); /* and clients are told */
    is_cut = false;
    cluster_run(cluster, 15000);
    assert_int_equal(status_of(cluster, 0).mempool_txs, 0);
    assert_int_equal(cluster_executed_txs(cluster, 1), node->submitted_ok);
    cluster_free(cluster);
}

/* 5.1, 13.1: a producer that has to be slow makes fewer chunks: what is allowed in four slots goes
 * into one. Each costs every validator its pairings, whatever it holds. */
static void test_a_slow_builder_makes_fewer_chunks(void **state)
{
    (void)state;
    bool is_cut = true;
    struct cluster *cluster = start_without_shares(86, &is_cut);
    uint64_t slot_ms = cluster->params.slot_ms;
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 1000 + slot_ms); /* it is late now: the rate is cut slot by slot */
    cluster_submit(cluster, 0, 100, 20000);
    uint64_t chunks = built(cluster), bytes = status_of(cluster, 0).pending_bytes;
    cluster_run(cluster, 8 * slot_ms);
    chunks = built(cluster) - chunks;
    bytes = status_of(cluster, 0).pending_bytes - bytes;
    assert_in_range(chunks, 2, 3);
    assert_true(bytes / chunks >= 2 * 20000);
    cluster_free(cluster);
}

/* However small the chunks have become, the largest transaction finds one. */
static void test_the_largest_transaction_is_not_stuck(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 85, .tune = tune_sizes};
    struct cluster *cluster = cluster_new(&config);
    bool is_cut = true;
    cluster->params.chunk_bytes_max = 512u << 10;
    cluster->ctx = &is_cut;
    cluster->passes = no_shares_to_0;
    cluster_run(cluster, 3000);
    for (uint32_t i = 0; i < 60; i++) {
        cluster_submit(cluster, 0, 1, 100);
        cluster_run(cluster, 100);
    }
    uint64_t before = status_of(cluster, 0).pending_bytes;
    cluster_submit(cluster, 0, 1, DSMR_TX_BYTES_MAX);
    cluster_run(cluster, 3000);
    assert_true(status_of(cluster, 0).pending_bytes > before + DSMR_TX_BYTES_MAX);
    assert_int_equal(status_of(cluster, 0).mempool_txs, 0);
    cluster_free(cluster);
}

/* 13.6: blocks come once a second, so everything waits for one. A node that is offered much more
 * than goes into them admits what is executed in little more than a second, long before its mempool
 * is full; what it has admitted is executed, and when the flood is over, nothing is refused. */
static void test_admits_what_it_can_execute_soon(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 87};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    struct cluster_node *node = &cluster->nodes[0];
    uint64_t mempool_max = 0;
    uint64_t refused = 0;
    for (uint32_t i = 0; i < 150; i++) {
        cluster->is_engine_stopped = i % 10 < 8;
        cluster_wake_engine(cluster, 1);
        cluster_submit(cluster, 0, 10, 10000);
        cluster_run(cluster, 100);
        uint64_t bytes = status_of(cluster, 0).mempool_bytes;
        mempool_max = bytes > mempool_max ? bytes : mempool_max;
        refused += node->last_submit == DSMR_ERR_MEMPOOL_FULL;
    }
    assert_true(refused > 10);
    assert_true(mempool_max < MEMPOOL_BYTES / 2);
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 1);
    cluster_run(cluster, 5000);
    assert_int_equal(cluster_executed_txs(cluster, 1), node->submitted_ok);
    for (uint32_t i = 0; i < 50; i++) {
        cluster_submit(cluster, 0, 1, 10000);
        assert_int_equal(node->last_submit, DSMR_OK);
        cluster_run(cluster, 100);
    }
    cluster_free(cluster);
}

/* 13.6: the time in which signatures are checked counts. */
static void test_waiting_for_the_check_is_waiting(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 88};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    for (uint64_t check_ms = 0; check_ms <= 2000; check_ms += 2000) {
        cluster->check_ms = check_ms;
        for (uint32_t i = 0; i < 200; i++) {
            cluster_submit(cluster, 0, 1, 10000);
            cluster_run(cluster, 20);
        }
        bool is_bounded = status_of(cluster, 0).room_bytes < UINT64_MAX;
        assert_int_equal(is_bounded, check_ms > 0);
    }
    cluster_free(cluster);
}

/* 13.6: while nothing comes out, an eighth of the memory for bodies may be inside, 8 MiB here.
 * After three seconds it is 13.5's affair. */
static void test_what_stands_still_is_no_more_than_memory(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 89};
    struct cluster *cluster = cluster_new(&config);
    const uint32_t until_ms[] = {6000, 6800, 9900};
    uint64_t room_bytes[3];
    cluster_run(cluster, 3000);
    for (uint32_t at = 3000, i = 0; i < 3; i++) {
        cluster->is_engine_stopped = i > 0;
        for (; at < until_ms[i]; at += 100) {
            cluster_submit(cluster, 0, 6, 10000);
            cluster_run(cluster, 100);
        }
        room_bytes[i] = status_of(cluster, 0).room_bytes;
    }
    assert_true(room_bytes[0] == UINT64_MAX);
    assert_in_range(room_bytes[1], 400u << 10, 1u << 20);
    assert_true(room_bytes[2] == UINT64_MAX);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_is_durable_first),
        cmocka_unit_test(test_behind_neither_signs_nor_builds),
        cmocka_unit_test(test_backlog_is_busy),
        cmocka_unit_test(test_builder_slows_down),
        cmocka_unit_test(test_a_slow_builder_makes_fewer_chunks),
        cmocka_unit_test(test_the_largest_transaction_is_not_stuck),
        cmocka_unit_test(test_admits_what_it_can_execute_soon),
        cmocka_unit_test(test_waiting_for_the_check_is_waiting),
        cmocka_unit_test(test_what_stands_still_is_no_more_than_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
