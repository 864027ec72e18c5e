/* Scenarios G and I of the adversaries' list: transactions that come twice, late, or altered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "lib/cluster.h"
#include "wire/codec.h"

static const uint32_t quorum[3] = {0, 1, 2};

static struct cluster *start(void)
{
    struct cluster_config config = {.nodes = 4, .seed = 71};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    return cluster;
}

static struct dsmr_chunk *chunk_of(struct cluster *cluster, uint32_t producer, uint64_t slot,
                                   struct dsmr_buf **txs, uint32_t count)
{
    struct dsmr_chunk_header header = {
        .domain = cluster->params.domain, .producer = cluster_node_id(producer), .slot = slot};
    header.expiry_ms = slot * cluster->params.slot_ms + cluster->params.chunk_lifetime_ms;
    return cluster_forge_chunk_of(cluster, &header, txs, count);
}

/* Gives the chunk to node 0 and accepts it there in a block on *tip. */
static void accept_chunks(struct cluster *cluster, struct dsmr_block **tip,
                          struct dsmr_chunk **chunks, uint32_t count)
{
    struct dsmr_cert certs[4];
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t producer = 1; producer < 4; producer++) {
            struct dsmr_node_id id = cluster_node_id(producer);
            if (dsmr_node_id_equal(&id, &chunks[i]->ref.producer)) {
                cluster_send_chunk_request(cluster, producer, 0, chunks[i], NULL);
            }
        }
        certs[i] = cluster_forge_cert(cluster, &chunks[i]->ref, quorum, 3);
    }
    cluster_run(cluster, 20);
    struct dsmr_block *block = cluster_forge_block(cluster, *tip, 0, 0, certs, count);
    assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
    assert_int_equal(cluster_accept(cluster, 0, block), DSMR_OK);
    dsmr_block_unref(*tip);
    *tip = block;
}

/* 61: one transaction sent to all validators. */
static void test_dup_tx_everywhere(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_buf *tx = cluster_tx(cluster, 500, cluster_wall_ms(cluster) + 40000);
    for (uint32_t i = 0; i < 4; i++) {
        cluster_submit_bytes(cluster, i, tx);
        assert_int_equal(cluster->nodes[i].last_submit, DSMR_OK);
    }
    cluster_run(cluster, 2000);
    uint64_t dropped = 0;
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_executed_txs(cluster, i), 1);
        dropped = cluster->nodes[i].metrics.values[DSMR_METRIC_TXS_DUPLICATE];
        assert_int_equal(dropped, 3);
        cluster_submit_bytes(cluster, i, tx); /* and once more, after it ran */
        assert_int_equal(cluster->nodes[i].last_submit, DSMR_ERR_DUPLICATE);
    }
    dsmr_buf_unref(tx);
    cluster_free(cluster);
}

/* 61: of the chunks of one block that hold it, the first one's counts, by the block's order: the
 * others' producers get no fee for it. Their other transactions run. */
static void test_dup_tx_first_in_block_order(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    cluster->is_engine_stopped = true;
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    struct dsmr_buf *txs[3]; /* of producer 2, of producer 1, of both */
    for (uint32_t i = 0; i < 3; i++) {
        txs[i] = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 40000);
    }
    struct dsmr_buf *of_2[2] = {txs[0], txs[2]};
    struct dsmr_buf *of_1[2] = {txs[1], txs[2]};
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *chunks[2] = {chunk_of(cluster, 2, slot, of_2, 2),
                                    chunk_of(cluster, 1, slot, of_1, 2)};
    accept_chunks(cluster, &tip, chunks, 2);
    cluster_run(cluster, 100);
    const struct cluster_executed *executed = &cluster->nodes[0].disk.executed[2];
    assert_int_equal(executed->count, 3);
    const uint32_t expected[3] = {0, 2, 1};
    for (uint32_t i = 0; i < 3; i++) {
        struct dsmr_id id;
        dsmr_hash(&id, txs[expected[i]]->bytes, txs[expected[i]]->len);
        assert_true(dsmr_id_equal(&executed->ids[i], &id));
    }
    assert_int_equal(cluster->nodes[0].metrics.values[DSMR_METRIC_TXS_DUPLICATE], 1);
    for (uint32_t i = 0; i < 3; i++) {
        dsmr_buf_unref(txs[i]);
    }
    dsmr_chunk_unref(chunks[0]);
    dsmr_chunk_unref(chunks[1]);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* The same transaction again, at every station of its first copy: a repeat at each. */
static bool drop_shares(struct cluster *cluster, uint32_t from, uint32_t to,
                        const struct dsmr_msg *msg)
{
    (void)cluster, (void)from, (void)to;
    return msg->type != DSMR_MSG_CHUNK_SIGNATURE;
}

static void expect_repeat(struct cluster *cluster, struct dsmr_buf *tx)
{
    struct cluster_node *node = &cluster->nodes[1];
    uint64_t admitted = dsmr_metrics_get(&node->metrics, DSMR_METRIC_TXS_ADMITTED);
    cluster_submit_bytes(cluster, 1, tx);
    assert_int_equal(node->last_submit, DSMR_ERR_DUPLICATE);
    assert_int_equal(dsmr_metrics_get(&node->metrics, DSMR_METRIC_TXS_ADMITTED), admitted);
}

static void test_repeat_at_every_station(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct cluster_node *node = &cluster->nodes[1];
    struct dsmr_buf *tx = cluster_tx(cluster, 500, cluster_wall_ms(cluster) + 40000);
    cluster->is_engine_stopped = true;
    node->is_store_slow = true;
    cluster_submit_bytes(cluster, 1, tx);
    assert_int_equal(node->last_submit, DSMR_OK);
    expect_repeat(cluster, tx); /* in a chunk that is not stored */
    cluster->passes = drop_shares;
    node->is_store_slow = false;
    cluster_run(cluster, 500);
    assert_int_equal(node->traces[DSMR_TRACE_CHUNK_BUILT], 1);
    expect_repeat(cluster, tx); /* not certified */
    cluster_crash(cluster, 1);
    cluster_start(cluster, 1);
    cluster_run(cluster, 100);
    expect_repeat(cluster, tx); /* after a restart: the chunk has told its transactions */
    cluster->passes = NULL;
    cluster_run(cluster, 2000);
    assert_int_equal(node->traces[DSMR_TRACE_CERT_FORMED], 1);
    expect_repeat(cluster, tx); /* certified */
    cluster_crash(cluster, 1);
    cluster_start(cluster, 1);
    cluster_run(cluster, 100);
    expect_repeat(cluster, tx); /* the same with a certificate */
    node->is_exec_held = true;
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    cluster_run(cluster, 1000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_int_equal(cluster_executed_txs(cluster, 1), 0);
    expect_repeat(cluster, tx); /* in a block */
    node->is_exec_held = false;
    cluster_run(cluster, 1000);
    assert_int_equal(cluster_executed_txs(cluster, 1), 1);
    expect_repeat(cluster, tx); /* executed */
    assert_int_equal(node->traces[DSMR_TRACE_CHUNK_BUILT], 1);
    dsmr_buf_unref(tx);
    cluster_free(cluster);
}

/* A chunk comes to nothing: its transactions wait again, and are in one place only. */
static void test_repeat_after_a_chunk_expired(void **state)
{
    (void)state;
    for (uint32_t restarts = 0; restarts < 2; restarts++) {
        struct cluster *cluster = start();
        struct cluster_node *node = &cluster->nodes[1];
        struct dsmr_buf *tx = cluster_tx(cluster, 500, cluster_wall_ms(cluster) + 55000);
        cluster->is_engine_stopped = true;
        cluster_submit_bytes(cluster, 1, tx);
        cluster_run(cluster, 2000);
        assert_int_equal(node->traces[DSMR_TRACE_CERT_FORMED], 1);
        if (restarts > 0) { /* certified before, and only known by its certificate now */
            cluster_crash(cluster, 1);
            cluster_start(cluster, 1);
        }
        cluster_run(cluster, 33000); /* chain time stands still, the wall clock does not */
        cluster->is_engine_stopped = false;
        cluster_wake_engine(cluster, 0);
        cluster_run(cluster, 10000);
        assert_int_equal(node->returned, 1);
        assert_int_equal(cluster_executed_txs(cluster, 1), 1); /* in another chunk */
        expect_repeat(cluster, tx);
        dsmr_buf_unref(tx);
        cluster_free(cluster);
    }
}

/* 62: twice in a chunk, in a block, in two blocks, after its expiry. */
static void test_dup_tx_in_chunk(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_buf *tx = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 10000);
    struct dsmr_buf *twice[2] = {tx, tx};
    struct dsmr_chunk *chunk = chunk_of(cluster, 3, cluster_slot(cluster), twice, 2);
    cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_TX_TWICE);
    assert_int_equal(cluster->nodes[0].signs, 0);
    dsmr_buf_unref(tx);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 62: a chunk with a transaction twice that liars certified all the same: whoever executes it has
 * not judged it before. */
static bool serve_from_ctx(struct cluster *cluster, uint32_t from, uint32_t to,
                           const struct dsmr_msg *msg)
{
    const struct dsmr_chunk *chunk = cluster->ctx;
    if (from == 0 && msg->type == DSMR_MSG_REQUEST_CHUNK) {
        struct dsmr_msg out = {.type = DSMR_MSG_CHUNK};
        out.u.chunk.chunk_id = chunk->ref.chunk_id;
        out.u.chunk.chunk = chunk->bytes;
        out.u.chunk.chunk_len = chunk->ref.chunk_bytes;
        cluster_send(cluster, to, 0, &out);
        return false;
    }
    return true;
}

static void test_dup_tx_in_certified_chunk(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    cluster->is_engine_stopped = true;
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    struct dsmr_buf *tx = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 10000);
    struct dsmr_buf *twice[2] = {tx, tx};
    struct dsmr_chunk *chunk = chunk_of(cluster, 3, cluster_slot(cluster), twice, 2);
    cluster->ctx = chunk;
    cluster->passes = serve_from_ctx;
    accept_chunks(cluster, &tip, &chunk, 1);
    cluster_run(cluster, 1000);
    assert_int_equal(cluster->nodes[0].signs, 0);
    assert_int_equal(cluster->nodes[0].disk.executed[2].count, 1);
    assert_int_equal(cluster->nodes[0].metrics.values[DSMR_METRIC_TXS_DUPLICATE], 1);
    dsmr_buf_unref(tx);
    dsmr_chunk_unref(chunk);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* 62: in the last block whose time does not exceed the expiry, the id is still known; and in the
 * first one whose time does, the transaction is too late. Also after a restart in between. */
static void check_at_expiry(bool is_restarted)
{
    struct cluster *cluster = start();
    cluster->is_engine_stopped = true;
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    uint64_t slot = cluster_slot(cluster);
    uint64_t expiry_ms = cluster_wall_ms(cluster) + 4000;
    struct dsmr_buf *tx = cluster_tx(cluster, 100, expiry_ms);
    struct dsmr_chunk *chunks[3] = {chunk_of(cluster, 1, slot, &tx, 1),
                                    chunk_of(cluster, 2, slot, &tx, 1),
                                    chunk_of(cluster, 3, slot, &tx, 1)};
    cluster_run(cluster, 3900);
    accept_chunks(cluster, &tip, &chunks[0], 1);
    cluster_run(cluster, expiry_ms - 20 - cluster_wall_ms(cluster)); /* accept_chunks takes 20 */
    if (is_restarted) {
        cluster_crash(cluster, 0);
        cluster_start(cluster, 0);
    }
    accept_chunks(cluster, &tip, &chunks[1], 1);
    assert_int_equal(tip->time_ms, expiry_ms);
    accept_chunks(cluster, &tip, &chunks[2], 1);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].disk.executed_height, 4);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_int_equal(cluster->nodes[0].metrics.values[DSMR_METRIC_TXS_DUPLICATE], 1);
    assert_int_equal(cluster->nodes[0].metrics.values[DSMR_METRIC_TXS_EXPIRED], 1);
    for (uint32_t i = 0; i < 3; i++) {
        dsmr_chunk_unref(chunks[i]);
    }
    dsmr_buf_unref(tx);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

static void test_dup_tx_at_its_expiry(void **state)
{
    (void)state;
    check_at_expiry(false);
    check_at_expiry(true);
}

static void test_dup_tx_across_blocks(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    cluster->is_engine_stopped = true;
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    struct dsmr_buf *tx = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 10000);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *chunks[4] = {
        chunk_of(cluster, 1, slot, &tx, 1), chunk_of(cluster, 2, slot, &tx, 1),
        chunk_of(cluster, 3, slot, &tx, 1), chunk_of(cluster, 3, slot + 1, &tx, 1)};
    accept_chunks(cluster, &tip, &chunks[0], 2); /* twice in a block */
    cluster_run(cluster, 100);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    accept_chunks(cluster, &tip, &chunks[2], 1); /* in a later block */
    cluster_run(cluster, 100);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    cluster_crash(cluster,
                  0); /* and after a restart: the filter is complete before anything runs */
    cluster_start(cluster, 0);
    cluster_run(cluster, 12000);
    accept_chunks(cluster, &tip, &chunks[3], 1); /* after its expiry */
    cluster_run(cluster, 100);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_int_equal(cluster->nodes[0].disk.executed_height, 4);
    for (uint32_t i = 0; i < 4; i++) {
        dsmr_chunk_unref(chunks[i]);
    }
    dsmr_buf_unref(tx);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* 12 and 62: a transaction's expiry at the borders of a chunk's window, at the signer. */
static void test_tx_outlives_window(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot = cluster_slot(cluster);
    uint64_t start_ms = slot * cluster->params.slot_ms;
    const struct {
        uint64_t expiry_ms;
        bool is_fine;
    } cases[] = {{start_ms - 1, false},
                 {start_ms, true},
                 {start_ms + cluster->params.validity_window_ms, true},
                 {start_ms + cluster->params.validity_window_ms + 1, false}};
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t signs = cluster->nodes[0].signs;
        uint64_t earlier = i * cluster->params.slot_ms;
        struct dsmr_buf *tx = cluster_tx(cluster, 100, cases[i].expiry_ms - earlier);
        struct dsmr_chunk *chunk = chunk_of(cluster, 3, slot - i, &tx, 1);
        cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
        cluster_run(cluster, 20);
        assert_int_equal(cluster->nodes[0].signs, signs + (cases[i].is_fine ? 1 : 0));
        dsmr_buf_unref(tx);
        dsmr_chunk_unref(chunk);
    }
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_TX_EXPIRY), 2);
    cluster_free(cluster);
}

/* 12 and 62: the same borders at the executor, against the time of the block: signers that lie may
 * certify anything. */
static void test_tx_outside_window_of_block(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    cluster->is_engine_stopped = true;
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    uint64_t time_ms = cluster_wall_ms(cluster) + 20; /* of the block */
    uint64_t latest_ms = time_ms + cluster->params.validity_window_ms;
    struct dsmr_buf *txs[4] = {
        cluster_tx(cluster, 100, time_ms - 1), cluster_tx(cluster, 100, time_ms),
        cluster_tx(cluster, 100, latest_ms), cluster_tx(cluster, 100, latest_ms + 1)};
    struct dsmr_chunk *chunk = chunk_of(cluster, 3, cluster_slot(cluster), txs, 4);
    cluster->ctx = chunk;
    cluster->passes = serve_from_ctx;
    accept_chunks(cluster, &tip, &chunk, 1);
    assert_int_equal(tip->time_ms, time_ms);
    cluster_run(cluster, 1000);
    const struct cluster_executed *executed = &cluster->nodes[0].disk.executed[2];
    assert_int_equal(executed->count, 2);
    assert_int_equal(executed->expiries_ms[0], time_ms);
    assert_int_equal(executed->expiries_ms[1], latest_ms);
    assert_int_equal(cluster->nodes[0].metrics.values[DSMR_METRIC_TXS_EXPIRED], 2);
    for (uint32_t i = 0; i < 4; i++) {
        dsmr_buf_unref(txs[i]);
    }
    dsmr_chunk_unref(chunk);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* 79: execution lags so far that chain time passes a transaction's expiry while a queued block
 * holds it again. */
static void test_lagging_executor_dedup(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    cluster->is_engine_stopped = true;
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_buf *tx = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 5000);
    struct dsmr_buf *late = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 40000);
    struct dsmr_chunk *first = chunk_of(cluster, 1, slot, &tx, 1);
    struct dsmr_chunk *again = chunk_of(cluster, 2, slot, &tx, 1);
    struct dsmr_chunk *other = chunk_of(cluster, 3, slot, &late, 1);
    cluster->nodes[0].is_exec_held = true;
    accept_chunks(cluster, &tip, &first, 1);
    accept_chunks(cluster, &tip, &again, 1); /* while it is still valid, but not executed */
    cluster_run(cluster, 20000);
    accept_chunks(cluster, &tip, &other, 1); /* chain time is past its expiry */
    cluster_run(cluster, 5000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 0);
    cluster->nodes[0].is_exec_held = false;
    cluster_run(cluster, 200);
    assert_int_equal(cluster_executed_txs(cluster, 0), 2);
    assert_int_equal(cluster->nodes[0].disk.executed[2].count, 1);
    assert_int_equal(cluster->nodes[0].disk.executed[3].count, 0);
    dsmr_chunk_unref(first);
    dsmr_chunk_unref(again);
    dsmr_chunk_unref(other);
    dsmr_buf_unref(tx);
    dsmr_buf_unref(late);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* 79 again: a block waits for a chunk that does not come, while later blocks are accepted and chain
 * time passes the expiries of what the chunk holds. What ran before it does not run again; what
 * did not, runs: as on the nodes that had the chunk in time. */
static bool is_fetch_cut;
static bool cut_fetches(struct cluster *cluster, uint32_t from, uint32_t to,
                        const struct dsmr_msg *msg)
{
    (void)cluster;
    (void)to;
    return !is_fetch_cut || from != 0 || msg->type != DSMR_MSG_REQUEST_CHUNK;
}

static void accept_on(struct cluster *cluster, uint32_t node, struct dsmr_block *block)
{
    assert_int_equal(cluster_verify(cluster, node, block, 0), DSMR_OK);
    assert_int_equal(cluster_accept(cluster, node, block), DSMR_OK);
}

static void test_lagging_fetch_dedup(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    cluster->is_engine_stopped = true;
    cluster->passes = cut_fetches;
    is_fetch_cut = true;
    cluster->nodes[0].is_exec_held = true; /* the first block runs when all are accepted */
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_buf *txs[2]; /* in both of the first chunks; in the second one only */
    txs[0] = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 5000);
    txs[1] = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 5000);
    struct dsmr_chunk *chunks[3] = {chunk_of(cluster, 2, slot, txs, 1),
                                    chunk_of(cluster, 3, slot, txs, 2),
                                    cluster_forge_chunk(cluster, 2, slot + 1, 0, 1)};
    struct dsmr_block *blocks[4] = {dsmr_block_ref(cluster->chain[1])};
    for (uint32_t i = 0; i < 3; i++) {
        cluster_send_chunk_request(cluster, i == 1 ? 3 : 2, 1, chunks[i], NULL);
        if (i != 1) { /* node 0 does not get it */
            cluster_send_chunk_request(cluster, 2, 0, chunks[i], NULL);
        }
        cluster_run(cluster, i < 2 ? 50 : 20000);
        struct dsmr_cert cert = cluster_forge_cert(cluster, &chunks[i]->ref, quorum, 3);
        blocks[i + 1] = cluster_forge_block(cluster, blocks[i], 0, 0, &cert, 1);
        accept_on(cluster, 0, blocks[i + 1]);
        accept_on(cluster, 1, blocks[i + 1]);
        cluster_run(cluster, 50);
    }
    assert_int_equal(cluster->nodes[0].disk.accepted_height, 4);
    cluster->nodes[0].is_exec_held = false;
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].disk.executed_height, 2);
    assert_int_equal(cluster->nodes[1].disk.executed_height, 4);
    is_fetch_cut = false;
    cluster_run(cluster, 10000);
    assert_int_equal(cluster->nodes[0].disk.executed_height, 4);
    for (uint32_t i = 0; i < 2; i++) { /* and the roots are equal: the application compares them */
        assert_int_equal(cluster_executed_txs(cluster, i), 3);
        assert_int_equal(cluster->nodes[i].disk.executed[3].count, 1);
        assert_int_equal(cluster->nodes[i].metrics.values[DSMR_METRIC_TXS_DUPLICATE], 1);
    }
    for (uint32_t i = 0; i < 3; i++) {
        dsmr_chunk_unref(chunks[i]);
    }
    for (uint32_t i = 0; i < 4; i++) {
        dsmr_block_unref(blocks[i]);
    }
    dsmr_buf_unref(txs[0]);
    dsmr_buf_unref(txs[1]);
    cluster_free(cluster);
}

/* 89 and 11, as far as the core goes: what the application refuses gets no share. The encodings
 * themselves are tests of vm. */
static void test_re_encoded_tx(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_buf *txs[100];
    for (uint32_t i = 0; i < 100; i++) {
        txs[i] = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 30000);
    }
    txs[57]->bytes[9] = 0xEE; /* the fixture's application: not authentic */
    struct dsmr_chunk *chunk = chunk_of(cluster, 3, slot, txs, 100);
    cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_BAD_TX);
    assert_int_equal(cluster->nodes[0].signs, 0);
    struct dsmr_node_status status;
    dsmr_node_status(cluster->nodes[0].node, &status);
    assert_int_equal(status.pending_bytes, 0);
    txs[57]->bytes[9] = 0;
    txs[57]->bytes[0] = 2; /* another version */
    dsmr_chunk_unref(chunk);
    chunk = chunk_of(cluster, 3, slot, txs, 100);
    cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_BAD_TX), 2);
    for (uint32_t i = 0; i < 100; i++) {
        dsmr_buf_unref(txs[i]);
    }
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dup_tx_everywhere),
        cmocka_unit_test(test_dup_tx_first_in_block_order),
        cmocka_unit_test(test_dup_tx_in_chunk),
        cmocka_unit_test(test_dup_tx_in_certified_chunk),
        cmocka_unit_test(test_dup_tx_at_its_expiry),
        cmocka_unit_test(test_dup_tx_across_blocks),
        cmocka_unit_test(test_tx_outlives_window),
        cmocka_unit_test(test_tx_outside_window_of_block),
        cmocka_unit_test(test_lagging_executor_dedup),
        cmocka_unit_test(test_lagging_fetch_dedup),
        cmocka_unit_test(test_repeat_at_every_station),
        cmocka_unit_test(test_repeat_after_a_chunk_expired),
        cmocka_unit_test(test_re_encoded_tx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
