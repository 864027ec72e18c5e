/* Scenarios B of the adversaries' list: certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "lib/cluster.h"
#include "sim/sim_bls.h"
#include "wire/codec.h"

#define EVIL 3u

static uint32_t certs_waiting(const struct cluster *cluster, uint32_t node)
{
    struct dsmr_node_status status;
    dsmr_node_status(cluster->nodes[node].node, &status);
    return status.certs_waiting;
}

static void send_cert(struct cluster *cluster, uint32_t from, uint32_t to,
                      const struct dsmr_cert *cert)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE, .u.certificate = *cert};
    cluster_send(cluster, from, to, &msg);
}

static struct cluster *start(uint32_t nodes)
{
    struct cluster_config config = {.nodes = nodes, .seed = 21};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster->chain_height, 1);
    cluster->is_engine_stopped = true;
    return cluster;
}

/* 17: exactly at the quorum, and one below, for weights of all shapes. */
static void check_quorum(const uint64_t weights[4], const uint32_t *enough, uint32_t enough_count)
{
    struct cluster_config config = {.nodes = 4, .seed = 22};
    struct cluster *cluster = cluster_new(&config);
    cluster_add_set(cluster, 5, 0, 4, weights);
    cluster->chain_epoch = 5;
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot, 5, 1);
    for (uint32_t i = 1; i < enough_count; i++) { /* every proper prefix is too light */
        struct dsmr_cert light = cluster_forge_cert(cluster, &chunk->ref, enough, i);
        send_cert(cluster, EVIL, 0, &light);
        cluster_run(cluster, 50);
        assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_UNDER_QUORUM);
        assert_int_equal(certs_waiting(cluster, 0), 0);
        const struct dsmr_block *tip = cluster->chain[cluster->chain_height];
        struct dsmr_block *block = cluster_forge_block(cluster, tip, 5, 0, &light, 1);
        assert_int_equal(cluster_verify(cluster, 0, block, 5), DSMR_ERR_UNDER_QUORUM);
        dsmr_block_unref(block);
    }
    assert_int_equal(cluster->nodes[0].cert_verifies, 0); /* refused before any pairing */
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_UNDER_QUORUM),
                     2u * (enough_count - 1));
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, enough, enough_count);
    send_cert(cluster, EVIL, 0, &cert);
    cluster_run(cluster, 50);
    assert_int_equal(certs_waiting(cluster, 0), 1);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

static void test_under_quorum_cert(void **state)
{
    (void)state;
    const uint32_t all[4] = {0, 1, 2, 3};
    const uint32_t heavy_last[2] = {0, 3};
    const uint64_t equal[4] = {1, 1, 1, 1};
    const uint64_t whale[4] = {1, 1, 1, 1000000000};
    const uint64_t huge[4] = {UINT64_MAX / 4, UINT64_MAX / 4, UINT64_MAX / 4, UINT64_MAX / 4};
    const uint64_t thirds[4] = {2, 2, 1, 1}; /* two thirds exactly is not enough */
    check_quorum(equal, all, 3);
    check_quorum(whale, heavy_last, 2); /* 1 alone is too light; the whale decides */
    check_quorum(huge, all, 3);
    check_quorum(thirds, all, 3);
}

/* 18: signer bitsets that do not fit; the wire's own refusals are tests of wire. */
static void test_bitset_abuse(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    uint32_t signers[3] = {0, 1, 2};
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    struct dsmr_cert beyond = cert;
    dsmr_bitset_add(&beyond.signers, 4); /* one past the set of four */
    send_cert(cluster, EVIL, 0, &beyond);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_BITSET);
    struct dsmr_cert far = cert;
    dsmr_bitset_add(&far.signers, DSMR_VALIDATORS_MAX - 1);
    send_cert(cluster, EVIL, 0, &far);
    cluster_run(cluster, 50);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_BITSET), 2);
    struct dsmr_cert nobody = cert;
    memset(&nobody.signers, 0, sizeof(nobody.signers));
    const struct dsmr_cert *bad[2] = {&beyond, &nobody};
    for (uint32_t i = 0; i < 2; i++) {
        struct dsmr_block *block = cluster_forge_block(cluster, cluster->chain[1], 0, 0, bad[i], 1);
        assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_ERR_BITSET);
        dsmr_block_unref(block);
    }
    assert_int_equal(cluster->nodes[0].cert_verifies, 0); /* refused before any pairing */
    /* A bit of somebody who did not sign. */
    struct dsmr_cert claimed = cert;
    dsmr_bitset_add(&claimed.signers, 3);
    send_cert(cluster, EVIL, 0, &claimed);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(certs_waiting(cluster, 0), 0);
    send_cert(cluster, EVIL, 0, &cert); /* the true one is not in its shadow */
    cluster_run(cluster, 50);
    assert_int_equal(certs_waiting(cluster, 0), 1);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* What the validators signed as members of there, shown to node 0; last: the error of a chunk whose
 * header says where it is from. */
static void check_foreign(struct cluster *cluster, const struct dsmr_chunk *chunk,
                          const struct dsmr_domain *there, enum dsmr_err last)
{
    const uint32_t signers[3] = {0, 1, 2};
    const struct dsmr_domain here = cluster->params.domain;
    cluster->params.domain = *there;
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    struct dsmr_bls_sig sig = cluster_share(cluster, EVIL, &chunk->ref);
    struct dsmr_chunk *foreign = cluster_forge_chunk(cluster, EVIL, chunk->ref.slot, 0, 1);
    struct dsmr_bls_sig foreign_sig = cluster_share(cluster, EVIL, &foreign->ref);
    cluster->params.domain = here;
    send_cert(cluster, EVIL, 0, &cert);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_BAD_SIGNATURE);
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, &sig);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_PRODUCER_KEY);
    cluster_send_chunk_request(cluster, EVIL, 0, foreign, &foreign_sig);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].last_fault, last);
    assert_int_equal(cluster_metric_errors(cluster, 0, last), 1);
    dsmr_chunk_unref(foreign);
}

/* 21: shares and certificates of another network, chain, epoch or type of message. */
static void test_cross_network_share_replay(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    uint32_t signers[3] = {0, 1, 2};
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 1);
    struct dsmr_domain there = cluster->params.domain;
    there.network_id++;
    check_foreign(cluster, chunk, &there, DSMR_ERR_WRONG_NETWORK);
    there = cluster->params.domain;
    there.chain_id.bytes[0]++;
    check_foreign(cluster, chunk, &there, DSMR_ERR_WRONG_CHAIN);
    /* Signed for another epoch of the same set. */
    cluster_add_set(cluster, 1, 0, 4, NULL);
    struct dsmr_reference later = chunk->ref;
    later.epoch = 1;
    struct dsmr_cert cert = cluster_forge_cert(cluster, &later, signers, 3);
    cert.ref.epoch = 0;
    send_cert(cluster, EVIL, 0, &cert);
    cluster_run(cluster, 50);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_BAD_SIGNATURE), 3);
    /* A vote of the engine with the same key: whatever it says, it is no share. */
    struct dsmr_vote_subject vote = {
        .kind = DSMR_VOTE_NOTARIZE, .view = 1, .height = 2, .block_id = chunk->ref.chunk_id};
    uint8_t bytes[DSMR_VOTE_SIGNING_BYTES];
    struct dsmr_bls_sig sig;
    dsmr_vote_signing_bytes(bytes, &cluster->params.domain, &vote);
    dsmr_sim_bls_sign(&sig, EVIL, bytes, sizeof(bytes));
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, &sig);
    cluster_run(cluster, 50);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_PRODUCER_KEY), 3);
    assert_int_equal(cluster->nodes[0].signs, 0);
    assert_int_equal(certs_waiting(cluster, 0), 0);
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL); /* and signed for here it is good */
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].signs, 1);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 23: one producer certifies a tiny chunk for every slot of the past; an honest chunk still gets
 * into the next block. */
static void test_cert_flood_valid(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    uint32_t signers[3] = {0, 1, 3};
    uint64_t slot = cluster_slot(cluster);
    for (uint64_t i = 0; i < 257; i++) {
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot - i, 0, 1);
        struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
        send_cert(cluster, EVIL, 0, &cert);
        dsmr_chunk_unref(chunk);
    }
    cluster_run(cluster, 200);
    assert_int_equal(certs_waiting(cluster, 0), 257); /* more than a block takes */
    struct dsmr_chunk *honest = cluster_forge_chunk(cluster, 2, slot, 0, 1);
    struct dsmr_cert last = cluster_forge_cert(cluster, &honest->ref, signers, 3);
    send_cert(cluster, 2, 0, &last);
    cluster_run(cluster, 50);
    struct dsmr_block *block = NULL;
    assert_int_equal(cluster_build(cluster, 0, &cluster->chain[1]->id, 0, &block), DSMR_OK);
    assert_int_equal(block->certs_count, cluster->params.block_certs_max);
    assert_true(block->bytes->len <= cluster->params.block_bytes_max);
    bool has_honest = false;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        has_honest |= dsmr_id_equal(&block->certs[i].ref.chunk_id, &honest->ref.chunk_id);
    }
    assert_true(has_honest);
    assert_int_equal(cluster_verify(cluster, 1, block, 0), DSMR_OK);
    dsmr_block_unref(block);
    dsmr_chunk_unref(honest);
    cluster_free(cluster);
}

/* 24: bogus certificates cost a bounded number of verifications, and one each only once. */
static void test_cert_flood_invalid(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    uint32_t signers[3] = {0, 1, 2};
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    for (uint32_t i = 0; i < 5000; i++) {
        struct dsmr_cert bogus = cert;
        dsmr_store_be32(bogus.sig.bytes, i);
        send_cert(cluster, EVIL, 0, &bogus);
    }
    cluster_run(cluster, 50);
    assert_true(cluster->nodes[0].cert_verifies <= 700); /* twice the slots of a lifetime */
    assert_true(cluster->nodes[0].cert_verifies > 100);
    assert_true(cluster_metric_errors(cluster, 0, DSMR_ERR_RATE_LIMITED) > 4000);
    send_cert(cluster, 2, 0, &cert); /* others are served all the same */
    cluster_run(cluster, 50);
    assert_int_equal(certs_waiting(cluster, 0), 1);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 25: the certificate comes first, the chunk never, until it is fetched after accept. */
static bool no_request_to_zero(struct cluster *cluster, uint32_t from, uint32_t to,
                               const struct dsmr_msg *msg)
{
    (void)cluster;
    (void)from;
    return !(to == 0 && msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE);
}

static void test_cert_before_chunk(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    cluster->passes = no_request_to_zero;
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 100);
    assert_int_equal(certs_waiting(cluster, 0), 1);
    assert_int_equal(cluster->nodes[0].disk.chunks_count, 0);
    struct dsmr_block *block = NULL;
    assert_int_equal(cluster_build(cluster, 0, &cluster->chain[1]->id, 0, &block), DSMR_OK);
    assert_int_equal(block->certs_count, 1); /* usable in a block at once */
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_FETCH_SENT], 0);
    dsmr_block_unref(block);
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    cluster_run(cluster, 1000);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CHUNK_FETCHED], 1);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_true(cluster_is_level(cluster));
    cluster_free(cluster);
}

static bool count_acknowledged(struct cluster *cluster, uint32_t from, uint32_t to,
                               const struct dsmr_msg *msg)
{
    (void)from, (void)to;
    if (msg->type == DSMR_MSG_CERTIFICATE_ANSWER && msg->u.chunk_refused.err == DSMR_OK) {
        ++*(uint32_t *)cluster->ctx;
    }
    return true;
}

/* 5.9: what the disk did not take is in the pool, but not acknowledged. Whoever sends it again has
 * it written again. */
static void test_cert_that_disk_refused(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    const uint32_t signers[3] = {1, 2, 3};
    uint32_t acknowledged = 0;
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    cluster->ctx = &acknowledged;
    cluster->passes = count_acknowledged;
    cluster->nodes[0].fail_certs = 2;
    for (uint32_t i = 0; i < 2; i++) {
        send_cert(cluster, EVIL, 0, &cert);
        cluster_run(cluster, 50);
        assert_int_equal(certs_waiting(cluster, 0), 1);
        assert_int_equal(cluster->nodes[0].disk.certs_count, 0);
        assert_int_equal(acknowledged, 0);
    }
    for (uint32_t i = 1; i <= 2; i++) { /* there is room again; the second finds it written */
        send_cert(cluster, EVIL, 0, &cert);
        cluster_run(cluster, 50);
        assert_int_equal(cluster->nodes[0].disk.certs_count, 1);
        assert_int_equal(acknowledged, i);
    }
    assert_int_equal(cluster->nodes[0].cert_verifies, 1);
    cluster_crash(cluster, 0);
    cluster_start(cluster, 0);
    cluster_run(cluster, 50);
    send_cert(cluster, EVIL, 0, &cert);
    cluster_run(cluster, 50);
    assert_int_equal(acknowledged, 3); /* it has it from the disk */
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 25: no block takes it and its chunk never comes: it is kept until it expires, and not longer. */
static void test_cert_without_chunk_expires(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    const uint32_t signers[3] = {1, 2, 3};
    uint64_t lifetime_ms = cluster->params.chunk_lifetime_ms;
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    send_cert(cluster, EVIL, 0, &cert);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].disk.certs_count, 1);
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    const uint64_t times_ms[3] = {tip->time_ms + lifetime_ms, tip->time_ms + 2 * lifetime_ms,
                                  tip->time_ms + 3 * lifetime_ms};
    for (uint32_t i = 0; i < 3; i++) { /* empty blocks: chain time goes on */
        bool is_late = tip->time_ms > cert.ref.expiry_ms;
        assert_int_equal(certs_waiting(cluster, 0), is_late ? 0 : 1);
        cluster_run(cluster, times_ms[i] - cluster_wall_ms(cluster));
        struct dsmr_block *block = cluster_forge_block(cluster, tip, 0, times_ms[i], NULL, 0);
        assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
        assert_int_equal(cluster_accept(cluster, 0, block), DSMR_OK);
        cluster_run(cluster, 2000); /* the collection on disk */
        dsmr_block_unref(tip);
        tip = block;
    }
    assert_int_equal(certs_waiting(cluster, 0), 0);
    assert_int_equal(cluster->nodes[0].disk.certs_count, 0);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_FETCH_SENT], 0);
    dsmr_block_unref(tip);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 26: two certificates of one chunk are one; the heavier stays. */
static void test_two_certs_one_chunk(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    uint32_t three[3] = {0, 1, 2};
    uint32_t others[3] = {1, 2, 3};
    uint32_t four[4] = {0, 1, 2, 3};
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 1);
    struct dsmr_cert a = cluster_forge_cert(cluster, &chunk->ref, three, 3);
    struct dsmr_cert b = cluster_forge_cert(cluster, &chunk->ref, others, 3);
    struct dsmr_cert c = cluster_forge_cert(cluster, &chunk->ref, four, 4);
    send_cert(cluster, EVIL, 0, &a);
    cluster_run(cluster, 50);
    send_cert(cluster, EVIL, 0, &b); /* as heavy: not even verified */
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].cert_verifies, 1);
    send_cert(cluster, EVIL, 0, &c);
    cluster_run(cluster, 50);
    assert_int_equal(certs_waiting(cluster, 0), 1);
    struct dsmr_block *block = NULL;
    assert_int_equal(cluster_build(cluster, 0, &cluster->chain[1]->id, 0, &block), DSMR_OK);
    assert_int_equal(block->certs_count, 1);
    assert_int_equal(dsmr_bitset_count(&block->certs[0].signers), 4);
    /* The verdict hangs on the whole certificate: a forged sibling of a good one is not believed.
     */
    struct dsmr_cert forged = a;
    forged.sig.bytes[5] ^= 1;
    struct dsmr_block *bad = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &forged, 1);
    struct dsmr_block *good = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &b, 1);
    assert_int_equal(cluster_verify(cluster, 0, bad, 0), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(cluster_verify(cluster, 0, bad, 0), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(cluster_verify(cluster, 0, good, 0), DSMR_OK);
    dsmr_block_unref(bad);
    dsmr_block_unref(good);
    dsmr_block_unref(block);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 14: garbage among the shares; 16: the slow are not waited for. */
static bool forge_share_of_evil(struct cluster *cluster, uint32_t from, uint32_t to,
                                const struct dsmr_msg *msg)
{
    if (from == EVIL && msg->type == DSMR_MSG_CHUNK_SIGNATURE) {
        struct dsmr_msg other = *msg;
        other.u.chunk_signature.sig.bytes[7] ^= 1;
        cluster_send(cluster, from, to, &other);
        return false;
    }
    return true;
}

static void test_share_garbage(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    cluster->passes = forge_share_of_evil;
    cluster->nodes[1].is_store_slow = true; /* the liar answers before the quorum is honest */
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_FORMED], 0);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_BAD_SHARE);
    cluster->nodes[1].is_store_slow = false;
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_FORMED], 1);
    assert_int_equal(certs_waiting(cluster, 2), 1);
    cluster_free(cluster);
}

static void test_slow_share_drip(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    cluster->nodes[EVIL].is_store_slow = true;
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 30); /* a few message delays, no timeout */
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_FORMED], 1);
    cluster_free(cluster);
}

/* 87: a certificate of an epoch that begins with the next block. */
static void test_cert_of_unknown_epoch(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    uint32_t signers[3] = {0, 1, 2};
    cluster_add_set(cluster, 9, 0, 4, NULL);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 9, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    for (uint32_t i = 0; i < 1000; i++) { /* neither stored nor bounded by luck */
        send_cert(cluster, EVIL, 0, &cert);
    }
    cluster_run(cluster, 50);
    assert_int_equal(certs_waiting(cluster, 0), 0);
    assert_int_equal(cluster->nodes[0].disk.certs_count, 0);
    assert_int_equal(cluster->nodes[0].faults, 0); /* not yet is nobody's fault */
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_EPOCH_UNKNOWN), 1000);
    /* Node 1 produces under the new epoch one block before node 0 knows of it: its certificate is
     * sent again until node 0 takes it. */
    struct dsmr_block *next = NULL;
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 50);
    assert_int_equal(cluster_build(cluster, 2, &cluster->chain[1]->id, 9, NULL),
                     DSMR_ERR_NOT_YET); /* the set has to come first */
    cluster_run(cluster, 10);
    assert_int_equal(cluster_build(cluster, 2, &cluster->chain[1]->id, 9, &next), DSMR_OK);
    assert_int_equal(cluster_verify(cluster, 1, next, 9), DSMR_ERR_NOT_YET);
    assert_int_equal(cluster_verify(cluster, 3, next, 9), DSMR_ERR_NOT_YET);
    assert_int_equal(cluster_verify(cluster, 0, next, 9), DSMR_ERR_NOT_YET);
    cluster_run(cluster, 10);
    for (uint32_t i = 1; i < 4; i++) {
        assert_int_equal(cluster_verify(cluster, i, next, 9), DSMR_OK);
        assert_int_equal(cluster_accept(cluster, i, next), DSMR_OK);
    }
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 400);
    assert_int_equal(cluster->nodes[1].traces[DSMR_TRACE_CERT_FORMED], 2);
    uint32_t before = certs_waiting(cluster, 0);
    assert_int_equal(cluster_verify(cluster, 0, next, 9), DSMR_OK);
    assert_int_equal(cluster_accept(cluster, 0, next), DSMR_OK);
    cluster_run(cluster, 2000);
    assert_int_equal(before, 1);                    /* the one of epoch 0 that next holds */
    assert_int_equal(certs_waiting(cluster, 0), 1); /* the one of epoch 9 */
    dsmr_block_unref(next);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 85: two node ids behind one key: neither signs nor counts. */
static void test_merged_keys(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    struct dsmr_validator_set *set = cluster_set(cluster, 0);
    uint32_t with[3] = {0, 1, 3};
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 2, cluster_slot(cluster), 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, with, 3);
    set->validators[3].node_ids_count = 2; /* as an engine's set would list it */
    set->validators[3].node_ids[1] = cluster_node_id(12);
    send_cert(cluster, 2, 0, &cert);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_NOT_VALIDATOR);
    struct dsmr_block *block = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_ERR_NOT_VALIDATOR);
    cluster_send_chunk_request(cluster, 2, 3, chunk, NULL); /* node 3 gives no share */
    cluster_submit(cluster, 3, 1, 100);                     /* and produces nothing */
    cluster_run(cluster, 500);
    assert_int_equal(cluster->nodes[3].signs, 0);
    assert_int_equal(cluster->nodes[3].traces[DSMR_TRACE_CHUNK_BUILT], 0);
    dsmr_block_unref(block);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_under_quorum_cert),
        cmocka_unit_test(test_bitset_abuse),
        cmocka_unit_test(test_cross_network_share_replay),
        cmocka_unit_test(test_cert_flood_valid),
        cmocka_unit_test(test_cert_flood_invalid),
        cmocka_unit_test(test_cert_before_chunk),
        cmocka_unit_test(test_cert_that_disk_refused),
        cmocka_unit_test(test_cert_without_chunk_expires),
        cmocka_unit_test(test_two_certs_one_chunk),
        cmocka_unit_test(test_share_garbage),
        cmocka_unit_test(test_slow_share_drip),
        cmocka_unit_test(test_cert_of_unknown_epoch),
        cmocka_unit_test(test_merged_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
