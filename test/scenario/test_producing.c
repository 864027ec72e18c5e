/* Section 5 of docs/protocol.md: what a producer does with its own chunks. Node 0 is the producer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "lib/cluster.h"

enum { ALL = 0xf };

struct wire {                /* what lies between node 0 and the others */
    uint32_t requests_pass;  /* bit i: share requests reach node i */
    uint32_t shares_pass;    /* bit i: shares of node i reach node 0 */
    uint32_t certs_pass;     /* bit i: certificates reach node i */
    uint32_t answers_pass;   /* bit i: acknowledgements of node i reach node 0 */
    uint32_t requests[4];    /* sent by node 0 */
    uint32_t certs[4];       /* sent by node 0 */
    uint64_t request_ms[64]; /* when each request to node 2 was sent */
};

static bool pass(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    struct wire *wire = cluster->ctx;
    if (from == 0 && msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        if (to == 2 && wire->requests[2] < 64) {
            wire->request_ms[wire->requests[2]] = cluster->mono_ms;
        }
        wire->requests[to]++;
        return (wire->requests_pass >> to & 1u) != 0;
    }
    if (from == 0 && msg->type == DSMR_MSG_CERTIFICATE) {
        wire->certs[to]++;
        return (wire->certs_pass >> to & 1u) != 0;
    }
    if (to == 0 && msg->type == DSMR_MSG_CHUNK_SIGNATURE) {
        return (wire->shares_pass >> from & 1u) != 0;
    }
    if (to == 0 && msg->type == DSMR_MSG_CERTIFICATE_ANSWER) {
        return (wire->answers_pass >> from & 1u) != 0;
    }
    return true;
}

static void tune_short_backoff(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->retry_ms = 50; /* and 3.2 s at most */
}

/* Height 1 is accepted, then consensus stands still: no chunk is included. */
static struct cluster *start(struct wire *wire)
{
    struct cluster_config config = {.nodes = 4, .seed = 71, .tune = tune_short_backoff};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster->chain_height, 1);
    cluster->is_engine_stopped = true;
    *wire = (struct wire){
        .requests_pass = ALL, .shares_pass = ALL, .certs_pass = ALL, .answers_pass = ALL};
    cluster->ctx = wire;
    cluster->passes = pass;
    return cluster;
}

static const struct cluster_stored *newest(const struct cluster *cluster)
{
    const struct cluster_disk *disk = &cluster->nodes[0].disk;
    return &disk->chunks[disk->chunks_count - 1];
}

/* 5.1: each chunk has the smallest slot from now on that is free, at most the next one, and the
 * epoch of the last accepted block; there is one as soon as there is a transaction. */
static void test_slots(void **state)
{
    (void)state;
    struct wire wire;
    struct cluster *cluster = start(&wire);
    const struct cluster_disk *disk = &cluster->nodes[0].disk;
    uint64_t last_slot = 0;
    uint32_t count = 0;
    cluster_run(cluster, 350);
    for (uint32_t i = 0; i < 300; i++) { /* one every 10 ms: more than there are slots */
        uint64_t now_slot = cluster_slot(cluster);
        cluster_submit(cluster, 0, 1, 100);
        cluster_run(cluster, 10);
        if (disk->chunks_count == count) {
            assert_true(last_slot >= now_slot); /* it waits only for a slot */
            continue;
        }
        count = disk->chunks_count;
        const struct cluster_stored *own = newest(cluster);
        uint64_t expected = last_slot < now_slot ? now_slot : last_slot + 1;
        assert_in_range(own->ref.slot, expected, expected + 1);
        assert_true(own->ref.slot <= cluster_slot(cluster) + 1);
        assert_int_equal(own->ref.epoch, cluster->chain[1]->epoch);
        last_slot = own->ref.slot;
    }
    assert_in_range(count, 29, 32);
    cluster_free(cluster);
}

/* 5.1: who has just started does not know that it was busy. If the running slot has a chunk of its
 * earlier life, the next chunk has the next slot and leaves at once, but none is further ahead.
 * Whoever has not started again meanwhile is busy then: it waits for the first slot that is free.
 */
static void check_slots_after_a_restart(bool is_restarted_twice)
{
    struct wire wire;
    struct cluster *cluster = start(&wire);
    uint64_t slot_ms = cluster->params.slot_ms;
    cluster_run(cluster, slot_ms - cluster_wall_ms(cluster) % slot_ms + 10);
    uint64_t slot = cluster_slot(cluster);
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 20);
    assert_int_equal(newest(cluster)->ref.slot, slot);
    for (uint32_t life = 0; life <= is_restarted_twice; life++) {
        assert_int_equal(cluster->nodes[0].disk.certs_count, life + 1);
        cluster_crash(cluster, 0);
        cluster_start(cluster, 0);
        cluster_run(cluster, 5);
        if (life == 0) {
            cluster_submit(cluster, 0, 1, 100);
            cluster_run(cluster, 20);
            assert_int_equal(newest(cluster)->ref.slot, slot + 1);
        }
    }
    assert_int_equal(cluster_slot(cluster), slot);
    cluster_submit(cluster, 0, 1, 100);
    while (cluster_slot(cluster) < slot + (is_restarted_twice ? 1 : 2)) {
        assert_int_equal(newest(cluster)->ref.slot, slot + 1);
        cluster_run(cluster, 1);
    }
    cluster_run(cluster, cluster->work_ms); /* of the disk */
    assert_int_equal(newest(cluster)->ref.slot, slot + 2);
    cluster_free(cluster);
}

static void test_slot_after_a_restart(void **state)
{
    (void)state;
    check_slots_after_a_restart(false);
    check_slots_after_a_restart(true);
}

/* 3.8: before the chain has an epoch nothing is produced and nothing signed. */
static void test_nothing_without_an_epoch(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 72, .is_manual = true};
    struct cluster *cluster = cluster_new(&config);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 3, cluster_slot(cluster), 0, 1);
    cluster_submit(cluster, 0, 1, 100);
    cluster_send_chunk_request(cluster, 3, 0, chunk, NULL);
    cluster_run(cluster, 5000);
    assert_int_equal(cluster->nodes[0].signs, 0);
    assert_int_equal(cluster->nodes[0].chunk_stores, 0);
    assert_int_equal(cluster->nodes[0].faults, 0); /* not yet */
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_EPOCH_UNKNOWN), 1);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 5.2: stored and journalled, then signed, then sent. */
static void test_stored_before_sent(void **state)
{
    (void)state;
    struct wire wire;
    struct cluster *cluster = start(&wire);
    cluster->nodes[0].is_store_slow = true;
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 1000);
    assert_int_equal(cluster->nodes[0].chunk_stores, 1);
    assert_int_equal(cluster->nodes[0].signs, 0);
    assert_int_equal(wire.requests[1] + wire.requests[2] + wire.requests[3], 0);
    cluster->nodes[0].is_store_slow = false;
    cluster_run(cluster, 20);
    assert_int_equal(cluster->nodes[0].disk.journals_count, 1);
    assert_int_equal(cluster->nodes[0].signs, 1);
    for (uint32_t i = 1; i < 4; i++) { /* to the whole set at once */
        assert_int_equal(wire.requests[i], 1);
    }
    cluster_free(cluster);
}

/* 5.3: again and again, ever more rarely, to whoever has not answered; not to the others. */
static void test_sent_again(void **state)
{
    (void)state;
    struct wire wire;
    struct cluster *cluster = start(&wire);
    wire.requests_pass = ALL & ~(1u << 2);
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 20000);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_FORMED], 1);
    assert_int_equal(wire.requests[1], 1);
    assert_int_equal(wire.requests[3], 1);
    assert_in_range(wire.requests[2], 6, 24);
    uint32_t last = wire.requests[2] - 1;
    uint64_t first_gap_ms = wire.request_ms[1] - wire.request_ms[0];
    uint64_t last_gap_ms = wire.request_ms[last] - wire.request_ms[last - 1];
    assert_true(last_gap_ms > 10 * first_gap_ms);
    wire.requests_pass = ALL;
    cluster_run(cluster, 8000);
    assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_SHARE_GIVEN], 1);
    uint32_t sent = wire.requests[2];
    cluster_run(cluster, 1000);
    assert_int_equal(wire.requests[2], sent);
    cluster_free(cluster);
}

/* 5.3: an answer that says not yet means again; one that says no means never. */
static void test_not_yet_and_never(void **state)
{
    (void)state;
    struct wire wire;
    struct cluster *cluster = start(&wire);
    cluster->nodes[2].skew_ms = -3000; /* slot ahead, for some seconds */
    wire.requests_pass = ALL & ~(1u << 3);
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 20);
    struct dsmr_msg no = {.type = DSMR_MSG_CHUNK_REFUSED};
    no.u.chunk_refused.chunk_id = newest(cluster)->ref.chunk_id;
    no.u.chunk_refused.err = DSMR_ERR_BAD_TX;
    cluster_send(cluster, 3, 0, &no);
    cluster_run(cluster, 1000);
    assert_true(cluster_metric_errors(cluster, 2, DSMR_ERR_SLOT_AHEAD) > 1);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_FORMED], 0);
    cluster_run(cluster, 8000);
    assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_SHARE_GIVEN], 1);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_FORMED], 1);
    assert_int_equal(wire.requests[3], 1);
    cluster_free(cluster);
}

static uint32_t signers_at(struct cluster *cluster, uint32_t node)
{
    const struct cluster_disk *disk = &cluster->nodes[node].disk;
    return disk->certs_count == 0 ? 0 : dsmr_bitset_count(&disk->certs[0].signers);
}

/* 5.6: below the quorum there is no certificate; at it there is one at once; a later share makes a
 * heavier one, which takes the place of the first everywhere. */
static void test_heavier_certificate(void **state)
{
    (void)state;
    struct wire wire;
    struct cluster *cluster = start(&wire);
    wire.shares_pass = 1u << 1;
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 5000);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_SHARE_RECEIVED], 1);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_FORMED], 0);
    wire.shares_pass = 1u << 1 | 1u << 2;
    cluster_run(cluster, 8000);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_FORMED], 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(signers_at(cluster, i), 3);
    }
    wire.shares_pass = ALL;
    cluster_run(cluster, 13000);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(signers_at(cluster, i), 4);
    }
    cluster_free(cluster);
}

/* 5.7: a certificate is stored, then sent, and sent again until it is acknowledged or included. */
static void test_certificate_until_acknowledged(void **state)
{
    (void)state;
    struct wire wire;
    struct cluster *cluster = start(&wire);
    wire.answers_pass = ALL & ~(1u << 2);
    wire.shares_pass = ALL & ~(1u << 3); /* no heavier one comes after it */
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 5); /* the chunk is on its way; from here the disk is slow */
    cluster->nodes[0].is_store_slow = true;
    cluster_run(cluster, 1000);
    assert_int_equal(wire.certs[1], 0);
    assert_int_equal(cluster->nodes[0].disk.certs_count, 0);
    cluster->nodes[0].is_store_slow = false;
    cluster_run(cluster, 20);
    assert_int_equal(cluster->nodes[0].disk.certs_count, 1);
    assert_int_equal(wire.certs[1], 1);
    cluster_run(cluster, 5000);
    assert_int_equal(wire.certs[1], 1);
    assert_true(wire.certs[2] > 2);
    cluster->is_engine_stopped = false; /* a block takes it */
    cluster_wake_engine(cluster, 0);
    cluster_run(cluster, 100);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    uint32_t sent = wire.certs[2];
    cluster_run(cluster, 20000);
    assert_int_equal(wire.certs[2], sent);
    cluster_free(cluster);
}

/* 5.8: the transactions of a chunk that expires without a block wait again, if they are valid
 * still; they are executed once. */
static void test_expired_chunk_returns(void **state)
{
    (void)state;
    struct wire wire;
    struct cluster *cluster = start(&wire);
    cluster->is_engine_stopped = false;
    wire.requests_pass = 0;
    struct dsmr_buf *brief = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 20000);
    cluster_submit(cluster, 0, 1, 100); /* valid for 50 s */
    cluster_submit_bytes(cluster, 0, brief);
    cluster_run(cluster, 25000);
    assert_int_equal(cluster->nodes[0].returned, 0);
    struct dsmr_id first = newest(cluster)->ref.chunk_id;
    cluster_run(cluster, 9000);
    wire.requests_pass = ALL;
    cluster_run(cluster, 10000);
    assert_true(cluster->nodes[0].returned > 0);
    assert_int_equal(cluster->nodes[0].txs_expired, 1);
    assert_false(dsmr_id_equal(&newest(cluster)->ref.chunk_id, &first));
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_executed_txs(cluster, i), 1);
    }
    dsmr_buf_unref(brief);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_slot_after_a_restart),
        cmocka_unit_test(test_nothing_without_an_epoch),
        cmocka_unit_test(test_stored_before_sent),
        cmocka_unit_test(test_sent_again),
        cmocka_unit_test(test_not_yet_and_never),
        cmocka_unit_test(test_heavier_certificate),
        cmocka_unit_test(test_certificate_until_acknowledged),
        cmocka_unit_test(test_expired_chunk_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
