/* Scenarios E and I of the adversaries' list: crashes, garbage, going back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/cluster.h"
#include "wire/codec.h"

/* ---- 50 ---- */

#define PROMISES_MAX 64u

/* What left node 1 with its signature, seen from outside: one chunk of a (producer, slot). */
struct promises {
    struct dsmr_reference refs[PROMISES_MAX];
    uint32_t count;
};

static void promise(struct promises *promises, const struct dsmr_reference *ref)
{
    for (uint32_t i = 0; i < promises->count; i++) {
        const struct dsmr_reference *old = &promises->refs[i];
        if (old->slot == ref->slot && dsmr_node_id_equal(&old->producer, &ref->producer)) {
            assert_true(dsmr_reference_equal(old, ref)); /* nothing signed is forgotten */
            return;
        }
    }
    assert_true(promises->count < PROMISES_MAX);
    promises->refs[promises->count++] = *ref;
}

static bool watch_promises(struct cluster *cluster, uint32_t from, uint32_t to,
                           const struct dsmr_msg *msg)
{
    (void)to;
    if (from == 1 && msg->type == DSMR_MSG_CHUNK_SIGNATURE) {
        promise(cluster->ctx, &msg->u.chunk_signature.ref);
    }
    if (from == 1 && msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        struct dsmr_chunk_header header;
        struct dsmr_reference ref;
        assert_int_equal(dsmr_chunk_header_decode(&header, &cluster->params,
                                                  msg->u.request_share.chunk,
                                                  msg->u.request_share.chunk_len),
                         DSMR_OK);
        dsmr_chunk_reference(&ref, &header);
        promise(cluster->ctx, &ref);
    }
    return true;
}

struct busy_moment { /* all kinds of effects of node 1: two chunks of one slot, garbage, a load */
    struct cluster *cluster;
    struct dsmr_chunk *first, *second;
    struct promises promises;
};

static void busy_start(struct busy_moment *busy)
{
    struct cluster_config config = {.nodes = 4, .seed = 51};
    busy->cluster = cluster_new(&config);
    busy->promises.count = 0;
    busy->cluster->ctx = &busy->promises;
    busy->cluster->passes = watch_promises;
    cluster_run(busy->cluster, 1000);
    busy->cluster->is_engine_stopped = true;
    uint64_t slot = cluster_slot(busy->cluster);
    struct dsmr_chunk *garbage = cluster_forge_chunk(busy->cluster, 3, slot, 0, 1);
    cluster_send_chunk_request(busy->cluster, 3, 1, garbage, NULL);
    dsmr_chunk_unref(garbage);
    cluster_run(busy->cluster, 31000); /* the next block makes it garbage */
    busy->cluster->is_engine_stopped = false;
    slot = cluster_slot(busy->cluster) - 1;
    busy->first = cluster_forge_chunk(busy->cluster, 3, slot, 0, 1);
    busy->second = cluster_forge_chunk(busy->cluster, 3, slot, 0, 1);
}

static void busy_end(struct busy_moment *busy)
{
    dsmr_chunk_unref(busy->first);
    dsmr_chunk_unref(busy->second);
    cluster_free(busy->cluster);
}

/* Node 1 is started again at once, in the slot in which it died, and gets the same work. */
static void busy_run(struct busy_moment *busy)
{
    struct cluster *cluster = busy->cluster;
    for (uint32_t i = 0; i < 4; i++) {
        cluster_submit(cluster, i, 1, 120);
    }
    cluster_send_chunk_request(cluster, 3, 1, busy->first, NULL);
    for (uint32_t step = 0; step < 60; step++) { /* longer than a slot */
        cluster_run(cluster, 2);
        if (cluster->nodes[1].node == NULL) {
            cluster_start(cluster, 1);
            cluster_submit(cluster, 1, 1, 120);
            cluster_send_chunk_request(cluster, 3, 1, busy->second, NULL);
        }
        if (step == 15) {
            cluster_send_chunk_request(cluster, 3, 1, busy->second, NULL);
            cluster_submit(cluster, 1, 1, 120);
        }
    }
}

/* 50: killed after each single effect of a busy moment, before the writes on their way or after
 * them, and started again. What was promised is not promised otherwise, what was journalled is
 * never signed otherwise (the disk asserts), nothing runs twice (the application asserts), roots
 * are equal (both), and the network goes on. */
static void test_crash_at_every_effect(void **state)
{
    (void)state;
    struct busy_moment busy;
    busy_start(&busy);
    uint64_t begin = busy.cluster->nodes[1].effects_total;
    busy_run(&busy);
    uint64_t end = busy.cluster->nodes[1].effects_total;
    assert_true(busy.cluster->nodes[1].disk.gc_writes > 0);
    assert_int_equal(busy.cluster->nodes[1].disk.evidence_count, 1);
    assert_true(end - begin > 80);
    busy_end(&busy);
    for (uint64_t at = begin + 1; at <= end; at++) {
        for (uint32_t variant = 0; variant < 2; variant++) {
            busy_start(&busy);
            struct cluster *cluster = busy.cluster;
            cluster->nodes[1].keeps_writes = variant == 1;
            cluster->nodes[1].crash_after_effects = at;
            busy_run(&busy);
            assert_non_null(cluster->nodes[1].node);
            assert_int_equal(cluster->nodes[1].crash_after_effects, 0); /* it did die */
            cluster_run(cluster, 2000);
            cluster_submit_rounds(cluster, 1);
            cluster_run(cluster, 3000);
            assert_true(cluster_is_level(cluster));
            /* What the others were given is executed; node 1 may have lost its mempool. */
            assert_true(cluster_executed_txs(cluster, 1) >= 3 + 4);
            busy_end(&busy);
        }
    }
}

/* All are killed at once and start again: the same roots, nothing twice, and on. */
static void test_restart_of_all(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 52};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 1000);
    for (uint32_t round = 0; round < 5; round++) {
        cluster_submit_rounds(cluster, 5);
        cluster_run(cluster, round * 3u);
        for (uint32_t i = 0; i < 4; i++) {
            cluster_crash(cluster, i);
        }
        for (uint32_t i = 0; i < 4; i++) {
            cluster_start(cluster, i);
        }
        cluster_run(cluster, 3000);
        assert_true(cluster_is_level(cluster));
    }
    /* An own chunk that was on disk but not certified is sent again: same bytes, same slot. */
    cluster->is_engine_stopped = true;
    for (uint32_t i = 1; i < 4; i++) {
        cluster->nodes[i].is_store_slow = true;
    }
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 50);
    uint32_t chunks = cluster->nodes[0].disk.chunks_count;
    uint64_t executed = cluster_executed_txs(cluster, 2);
    cluster_crash(cluster, 0);
    for (uint32_t i = 1; i < 4; i++) {
        cluster->nodes[i].is_store_slow = false;
    }
    cluster_start(cluster, 0);
    cluster->is_engine_stopped = false;
    cluster_run(cluster, 3000);
    assert_int_equal(cluster->nodes[0].disk.chunks_count, chunks);
    assert_int_equal(cluster_executed_txs(cluster, 2), executed + 1);
    cluster_free(cluster);
}

static void tune_retention(struct dsmr_node_config *config, uint32_t number)
{
    /* Nodes collect at different moments: 31 s, 40 s, 60 s, never. */
    static const uint64_t retention_ms[4] = {31000, 40000, 60000, UINT64_MAX};
    config->params.retention_ms = retention_ms[number % 4];
}

/* 49: included chunks leave at different times on different nodes; a restart, and a replay of the
 * whole chain from whoever still has the chunks, find the same roots: the application compares them
 * block by block. */
static void test_gc_divergence(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 53, .tune = tune_retention};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 1000);
    for (uint32_t round = 0; round < 30; round++) {
        cluster_submit_rounds(cluster, 5);
        cluster_run(cluster, 5000);
        if (round % 5 == 4) {
            cluster_crash(cluster, round % 4);
            cluster_start(cluster, round % 4);
            cluster_run(cluster, 1000);
        }
    }
    cluster_run(cluster, 5000);
    assert_true(cluster_is_level(cluster));
    assert_true(cluster->nodes[0].disk.chunks_count < cluster->nodes[2].disk.chunks_count);
    assert_true(cluster->nodes[2].disk.chunks_count < cluster->nodes[3].disk.chunks_count);
    assert_true(cluster->nodes[0].disk.journals_count < 4 * 80 * 2);
    uint64_t executed = cluster_executed_txs(cluster, 0);
    cluster_crash(cluster, 0);
    cluster_wipe(cluster, 0);
    cluster_start(cluster, 0);
    /* Blocks are accepted faster than their chunks come: later times are no input. */
    cluster_run(cluster, 60000);
    assert_true(cluster_is_level(cluster));
    assert_int_equal(cluster_executed_txs(cluster, 0), executed);
    assert_true(cluster->nodes[0].metrics.values[DSMR_METRIC_FETCH_FAILURES] > 0); /* nodes 1, 2 */
    cluster_free(cluster);
}

static void ask_to_accept(struct cluster *cluster, const struct dsmr_block *block)
{
    struct dsmr_event event = {.kind = DSMR_EV_ACCEPT, .request_id = 1000 + block->height};
    event.u.engine.block_id = block->id;
    event.u.engine.epoch = DSMR_EPOCH_NONE;
    cluster_event(cluster, 0, &event);
}

/* 48: a chunk is on its way to the disk while a block takes it and the next one, a moment later by
 * the node's clock, passes its expiry. It is included, and nobody may drop it. */
static void test_included_while_it_is_stored(void **state)
{
    (void)state;
    const uint32_t quorum[3] = {1, 2, 3};
    struct cluster_config config = {.nodes = 4, .seed = 55};
    struct cluster *cluster = cluster_new(&config);
    struct cluster_node *node = &cluster->nodes[0];
    cluster_run(cluster, 1000);
    cluster->is_engine_stopped = true;
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 3, cluster_slot(cluster), 0, 2);
    cluster_run(cluster, chunk->ref.expiry_ms - 500 - cluster_wall_ms(cluster));
    struct dsmr_chunk *late = cluster_forge_chunk(cluster, 1, cluster_slot(cluster), 0, 1);
    struct dsmr_cert first_cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
    struct dsmr_cert late_cert = cluster_forge_cert(cluster, &late->ref, quorum, 3);
    struct dsmr_block *first =
        cluster_forge_block(cluster, cluster->chain[1], 0, 0, &first_cert, 1);
    struct dsmr_block *second =
        cluster_forge_block(cluster, first, 0, chunk->ref.expiry_ms + 100, &late_cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, first, 0), DSMR_OK);
    assert_int_equal(cluster_verify(cluster, 0, second, 0), DSMR_OK);
    node->is_store_slow = true;
    cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
    cluster_run(cluster, 10);
    assert_int_equal(node->chunk_stores, 1);
    ask_to_accept(cluster, first);
    ask_to_accept(cluster, second);
    cluster_run(cluster, 20);
    node->is_store_slow = false;
    cluster_run(cluster, 10000);
    assert_int_equal(node->disk.accepted_height, 3);
    struct cluster_stored *stored = cluster_disk_find(&node->disk, &chunk->ref.chunk_id);
    assert_non_null(stored);
    assert_int_equal(stored->included_height, 2);
    assert_int_equal(node->metrics.values[DSMR_METRIC_CHUNKS_EXPIRED], 0);
    dsmr_chunk_unref(chunk);
    dsmr_chunk_unref(late);
    dsmr_block_unref(first);
    dsmr_block_unref(second);
    cluster_free(cluster);
}

/* 48: garbage is collected in the same moment in which blocks are accepted. What they name stays:
 * while execution lags, and afterwards, as long as retention says. */
static void test_gc_vs_accept_race(void **state)
{
    (void)state;
    const uint32_t quorum[3] = {0, 1, 2};
    struct cluster_config config = {.nodes = 4, .seed = 54};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 1000);
    cluster->is_engine_stopped = true;
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *kept = cluster_forge_chunk(cluster, 3, slot, 0, 2);
    struct dsmr_chunk *lost = cluster_forge_chunk(cluster, 2, slot, 0, 2);
    struct dsmr_chunk *late = cluster_forge_chunk(cluster, 1, slot + 280, 0, 1);
    cluster_send_chunk_request(cluster, 3, 0, kept, NULL);
    cluster_send_chunk_request(cluster, 2, 0, lost, NULL);
    cluster_run(cluster, 29000);
    cluster->nodes[0].is_exec_held = true; /* execution lags behind both blocks */
    struct dsmr_cert first_cert = cluster_forge_cert(cluster, &kept->ref, quorum, 3);
    struct dsmr_block *first =
        cluster_forge_block(cluster, cluster->chain[1], 0, 0, &first_cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, first, 0), DSMR_OK);
    assert_int_equal(cluster_accept(cluster, 0, first), DSMR_OK);
    cluster_run(cluster, 5000);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &late->ref, quorum, 3);
    struct dsmr_block *second = cluster_forge_block(cluster, first, 0, 0, &cert, 1);
    assert_true(second->time_ms > kept->ref.expiry_ms);
    assert_int_equal(cluster_verify(cluster, 0, second, 0), DSMR_OK);
    assert_int_equal(cluster_accept(cluster, 0, second), DSMR_OK); /* GC runs at this instant */
    cluster_run(cluster, 5000);
    assert_null(cluster_disk_find(&cluster->nodes[0].disk, &lost->ref.chunk_id));
    struct cluster_stored *stored = cluster_disk_find(&cluster->nodes[0].disk, &kept->ref.chunk_id);
    assert_non_null(stored);
    assert_int_equal(stored->included_height, 2);
    cluster->nodes[0].is_exec_held = false;
    cluster_run(cluster, 100);
    assert_int_equal(cluster_executed_txs(cluster, 0), 2);
    struct dsmr_chunk *last = cluster_forge_chunk(cluster, 2, cluster_slot(cluster), 0, 1);
    struct dsmr_cert last_cert = cluster_forge_cert(cluster, &last->ref, quorum, 3);
    struct dsmr_block *third = cluster_forge_block(cluster, second, 0, 0, &last_cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, third, 0), DSMR_OK);
    assert_int_equal(cluster_accept(cluster, 0, third), DSMR_OK); /* GC again */
    cluster_run(cluster, 5000);
    assert_non_null(cluster_disk_find(&cluster->nodes[0].disk, &kept->ref.chunk_id));
    assert_int_equal(cluster->nodes[0].metrics.values[DSMR_METRIC_CHUNKS_EXPIRED], 1);
    dsmr_chunk_unref(last);
    dsmr_block_unref(third);
    dsmr_chunk_unref(kept);
    dsmr_chunk_unref(lost);
    dsmr_chunk_unref(late);
    dsmr_block_unref(first);
    dsmr_block_unref(second);
    cluster_free(cluster);
}

/* A chunk of another producer than node 0 that the chain took in a block from height on; *number is
 * its producer's. */
static const struct dsmr_reference *find_taken(const struct cluster *cluster, uint64_t height,
                                               uint32_t *number)
{
    for (; height <= cluster->chain_height; height++) {
        for (uint32_t i = 0; i < cluster->chain[height]->certs_count; i++) {
            const struct dsmr_reference *ref = &cluster->chain[height]->certs[i].ref;
            for (*number = 1; *number < 4; (*number)++) {
                if (dsmr_node_id_equal(&cluster->nodes[*number].id, &ref->producer)) {
                    return ref;
                }
            }
        }
    }
    fail();
    return NULL;
}

/* 80: the engine restarts node 0 several blocks back. */
static void test_rewind_then_verify(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 55};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 1000);
    cluster_submit_rounds(cluster, 12);
    cluster_run(cluster, 1000);
    struct cluster_node *node = &cluster->nodes[0];
    uint64_t height = node->disk.accepted_height;
    uint64_t executed = cluster_executed_txs(cluster, 0);
    assert_true(height > 6);
    cluster_crash(cluster, 0);
    node->disk.accepted_height = height - 4; /* the engine's pointer; executed stays */
    cluster->is_engine_stopped = true;
    cluster_start(cluster, 0);
    cluster_run(cluster, 100);
    /* Nothing is signed twice, though the chain as it is now does not hold that slot. */
    uint32_t producer;
    const struct dsmr_reference *old = find_taken(cluster, height - 3, &producer);
    struct dsmr_chunk *again = cluster_forge_chunk(cluster, producer, old->slot, 0, 1);
    uint32_t signs = node->signs;
    cluster_send_chunk_request(cluster, producer, 0, again, NULL);
    cluster_run(cluster, 100);
    assert_int_equal(node->signs, signs);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_CONFLICT), 1);
    dsmr_chunk_unref(again);
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    cluster_run(cluster, 2000); /* the same blocks are verified and accepted again */
    assert_false(node->is_halted);
    assert_int_equal(node->disk.accepted_height, cluster->chain_height);
    assert_int_equal(cluster_executed_txs(cluster, 0), executed);
    cluster_submit_rounds(cluster, 3);
    cluster_run(cluster, 2000);
    assert_true(cluster_is_level(cluster));
    assert_int_equal(cluster_executed_txs(cluster, 0), executed + 12);
    /* Another block at an executed height: there is no way on. */
    cluster_crash(cluster, 0);
    height = node->disk.accepted_height;
    node->disk.accepted_height = height - 2;
    cluster->is_engine_stopped = true;
    cluster_start(cluster, 0);
    cluster_run(cluster, 100);
    uint32_t quorum[3] = {0, 1, 2};
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 3, cluster_slot(cluster) + 1, 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
    cluster_run(cluster, 100);
    struct dsmr_block *other =
        cluster_forge_block(cluster, cluster->chain[height - 2], 0, 0, &cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, other, 0), DSMR_OK);
    assert_int_equal(cluster_accept(cluster, 0, other), DSMR_ERR_HALTED);
    assert_true(node->is_halted);
    assert_non_null(node->halt_reason);
    dsmr_block_unref(other);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 12.1: the floor of garbage collection holds though the engine went back behind it: the disk no
 * longer knows what was promised up to there. */
static void test_floor_outlives_a_rewind(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 59};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 1000);
    struct cluster_node *node = &cluster->nodes[0];
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 3, cluster_slot(cluster), 0, 1);
    cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(node->signs, 1);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 31000);
    for (uint32_t i = 0; i < 4; i++) { /* chain time passes the expiry; garbage is collected */
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 12000);
    }
    assert_true(node->disk.floor_ms > chunk->ref.expiry_ms);
    assert_null(cluster_disk_find(&node->disk, &chunk->ref.chunk_id));
    cluster_crash(cluster, 0);
    node->disk.accepted_height = 2;
    cluster->is_engine_stopped = true;
    uint32_t signs = node->signs;
    cluster_start(cluster, 0);
    cluster_run(cluster, 100);
    /* Valid for the chain as it is now, and not in the journal. */
    assert_true(node->disk.blocks[2]->time_ms < chunk->ref.expiry_ms);
    struct dsmr_chunk *other = cluster_forge_chunk(cluster, 3, chunk->ref.slot, 0, 1);
    uint64_t expired = cluster_metric_errors(cluster, 0, DSMR_ERR_EXPIRED);
    cluster_send_chunk_request(cluster, 3, 0, other, NULL);
    cluster_run(cluster, 100);
    assert_int_equal(node->signs, signs);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_EXPIRED), expired + 1);
    dsmr_chunk_unref(chunk);
    dsmr_chunk_unref(other);
    cluster_free(cluster);
}

/* 83: a clock a day ahead for a minute; afterwards the node produces at once, and its transactions
 * are not locked. */
static void test_clock_jump_forward(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 56};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 1000);
    struct dsmr_buf *tx = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 86400000 + 30000);
    struct dsmr_buf *both = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 50000);
    cluster->nodes[2].skew_ms = 86400000;
    cluster->is_engine_stopped = true; /* its blocks would be refused as not yet by the others */
    cluster_submit_bytes(cluster, 2, tx);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_CHUNK_BUILT], 1);
    assert_true(cluster_metric_errors(cluster, 0, DSMR_ERR_SLOT_AHEAD) > 0);
    assert_int_equal(cluster->nodes[0].faults, 0);
    cluster->nodes[2].skew_ms = 0;
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    cluster_submit_bytes(cluster, 2, both);
    cluster_run(cluster, 4000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1); /* it produces again */
    cluster_run(cluster, 20000);
    assert_int_equal(cluster->nodes[2].returned, 1); /* the first one's are back in the mempool */
    struct dsmr_node_status status;
    dsmr_node_status(cluster->nodes[2].node, &status);
    assert_int_equal(status.mempool_txs, 1);
    assert_int_equal(status.own_uncertified, 0);
    dsmr_buf_unref(tx);
    dsmr_buf_unref(both);
    cluster_free(cluster);
}

/* 77 on a small scale: consensus stands still while all produce; memory and disk are bounded, and
 * then it goes on. */
static void test_consensus_stands_still(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 58};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 1000);
    cluster->is_engine_stopped = true;
    for (uint32_t round = 0; round < 600; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            cluster_submit(cluster, i, 10, 5000);
        }
        cluster_run(cluster, 100);
    }
    for (uint32_t i = 0; i < 4; i++) {
        struct dsmr_node_status status;
        dsmr_node_status(cluster->nodes[i].node, &status);
        assert_true(status.pending_bytes <= 4 * cluster->params.pending_bytes_max);
        assert_true(status.mempool_bytes <= 4u << 20);
        assert_true(cluster->nodes[i].submitted_refused > 0);
        assert_int_equal(cluster->nodes[i].last_submit, DSMR_ERR_MEMPOOL_FULL);
        assert_int_equal(cluster->nodes[i].faults, 0);
    }
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    cluster_run(cluster, 30000);
    assert_true(cluster_is_level(cluster));
    uint64_t executed = cluster_executed_txs(cluster, 0);
    cluster_run(cluster, 60000);
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 1000);
    assert_true(cluster_executed_txs(cluster, 0) > executed);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_at_every_effect),
        cmocka_unit_test(test_restart_of_all),
        cmocka_unit_test(test_gc_divergence),
        cmocka_unit_test(test_included_while_it_is_stored),
        cmocka_unit_test(test_gc_vs_accept_race),
        cmocka_unit_test(test_rewind_then_verify),
        cmocka_unit_test(test_floor_outlives_a_rewind),
        cmocka_unit_test(test_clock_jump_forward),
        cmocka_unit_test(test_consensus_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
