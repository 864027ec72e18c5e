/* Scenarios A of the adversaries' list: chunks and shares. Node 0 is the signer that is attacked;
 * node 3 is Byzantine: its own node is silent and the test speaks for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/cluster_seen.h"
#include "wire/codec.h"

/* 1: an outsider names the victim as producer. */
static void test_spoofed_producer(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 3);
    struct dsmr_bls_sig sig = cluster_share(cluster, 9, &chunk->ref); /* key 9 is not in the set */
    /* As itself: it is not the producer. */
    cluster_send_chunk_request(cluster, 9, 0, chunk, &sig);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_NOT_PRODUCER);
    /* Even with the victim's connection: the key is looked up in the set of the epoch. */
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, &sig);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_PRODUCER_KEY);
    assert_int_equal(seen.shares, 0);
    assert_int_equal(cluster->nodes[0].chunk_stores, 0);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0); /* the victim's quota is unchanged */
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_PRODUCER_KEY), 1);
    /* And the slot is free for the true chunk. */
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
    cluster_run(cluster, 100);
    assert_int_equal(seen.shares, 1);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 2: a valid chunk that a third party relays, as a request or as data that nobody asked for; once
 * it is certified and in a block it is fetched, and no share is given for it either. */
static void test_sender_not_producer(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 3);
    struct dsmr_bls_sig sig = cluster_share(cluster, EVIL, &chunk->ref);
    cluster_send_chunk_request(cluster, 2, 0, chunk, &sig);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_NOT_PRODUCER);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_NOT_PRODUCER), 1);
    struct dsmr_msg relayed = {.type = DSMR_MSG_CHUNK};
    relayed.u.chunk.chunk_id = chunk->ref.chunk_id;
    relayed.u.chunk.chunk = chunk->bytes;
    relayed.u.chunk.chunk_len = chunk->ref.chunk_bytes;
    cluster_send(cluster, 2, 0, &relayed);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].signs, 0);
    assert_int_equal(cluster->nodes[0].chunk_stores, 0);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0);
    const uint32_t signers[3] = {1, 2, EVIL};
    for (uint32_t i = 1; i < 3; i++) {
        cluster_send_chunk_request(cluster, EVIL, i, chunk, NULL);
    }
    cluster_run(cluster, 20);
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    msg.u.certificate = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    cluster_send(cluster, EVIL, 1, &msg);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CHUNK_FETCHED], 1);
    assert_int_equal(cluster_executed_txs(cluster, 0), 3);
    assert_int_equal(cluster->nodes[0].signs, 0);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 3: the same request very often, before and after certification. */
static void test_share_request_retry_storm(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 3);
    for (uint32_t i = 0; i < 99500; i++) { /* while the first is in flight, too */
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
        if (i % 100 == 99) {
            cluster_run(cluster, 1);
        }
    }
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].chunk_stores, 1);
    assert_int_equal(cluster->nodes[0].signs, 1);
    assert_true(seen.shares > 99000 && seen.is_same);
    uint32_t signers[3] = {0, 1, 2};
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    msg.u.certificate = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    cluster_send(cluster, EVIL, 0, &msg);
    cluster_run(cluster, 1000);
    assert_int_equal(cluster->chain_height, 2); /* included by now */
    for (uint32_t i = 0; i < 500; i++) {
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
    }
    uint32_t before = seen.shares;
    cluster_run(cluster, 100);
    assert_int_equal(seen.shares, before + 500);
    assert_true(seen.is_same);
    assert_int_equal(cluster->nodes[0].chunk_stores, 1);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 4: the request has no field for a message, so what is left are bytes that would be one, a header
 * with another expiry than the computed one, and a true header with another body: the signer makes
 * the reference from what it has checked itself. */
static void test_signing_oracle(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 3);
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    uint8_t bytes[DSMR_SHARE_SIGNING_BYTES]; /* a message ready to be signed, in place of a chunk */
    struct dsmr_reference other = chunk->ref;
    other.expiry_ms += 1;
    dsmr_share_signing_bytes(bytes, &cluster->params.domain, &other);
    msg.u.request_share.sig = cluster_share(cluster, EVIL, &other);
    msg.u.request_share.chunk = bytes;
    msg.u.request_share.chunk_len = sizeof(bytes);
    cluster_send(cluster, EVIL, 0, &msg);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].faults, 1);
    struct dsmr_buf *tx = cluster_tx(cluster, 100, cluster_wall_ms(cluster) + 30000);
    struct dsmr_chunk_header header = chunk->header;
    header.expiry_ms += 1;
    struct dsmr_chunk *late = cluster_forge_chunk_of(cluster, &header, &tx, 1);
    cluster_send_chunk_request(cluster, EVIL, 0, late, NULL);
    cluster_run(cluster, 100);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_EXPIRY_MISMATCH), 1);
    struct dsmr_chunk *twin = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 3);
    struct dsmr_buf *mixed = dsmr_buf_copy(twin->bytes, twin->ref.chunk_bytes);
    memcpy(mixed->bytes, chunk->bytes, DSMR_CHUNK_HEADER_BYTES);
    msg.u.request_share.sig = cluster_share(cluster, EVIL, &chunk->ref);
    msg.u.request_share.chunk = mixed->bytes;
    msg.u.request_share.chunk_len = twin->ref.chunk_bytes;
    cluster_send(cluster, EVIL, 0, &msg);
    cluster_run(cluster, 100);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_BODY_MISMATCH), 1);
    assert_int_equal(cluster->nodes[0].signs, 0);
    assert_int_equal(cluster->nodes[0].chunk_stores, 0);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0);
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL); /* the slot is free for the truth */
    cluster_run(cluster, 100);
    assert_int_equal(seen.shares, 1);
    assert_true(dsmr_reference_equal(&seen.ref, &chunk->ref));
    dsmr_buf_unref(tx);
    dsmr_buf_unref(mixed);
    dsmr_chunk_unref(late);
    dsmr_chunk_unref(twin);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* Reference number i differs from ref in one field. */
static struct dsmr_reference changed(const struct dsmr_reference *ref, uint32_t i)
{
    struct dsmr_reference other = *ref;
    switch (i) {
    case 0:
        other.chunk_id.bytes[0] ^= 1;
        break;
    case 1:
        other.epoch += 1;
        break;
    case 2:
        other.producer = cluster_node_id(2);
        break;
    case 3:
        other.slot += 1;
        break;
    case 4:
        other.expiry_ms += 1;
        break;
    case 5:
        other.tx_count += 1;
        break;
    default:
        other.chunk_bytes += 1;
        break;
    }
    return other;
}

/* 5: whatever reference the producer or a signer has in mind, all fields are bound: by the
 * producer's signature, by a share and by a certificate. */
static void test_ref_field_mismatch(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 3);
    const uint32_t signers[3] = {0, 1, EVIL};
    struct dsmr_msg cert_msg = {.type = DSMR_MSG_CERTIFICATE};
    cluster->is_engine_stopped = true;
    cluster_add_set(cluster, 1, 0, 4, NULL);
    for (uint32_t i = 0; i < 7; i++) {
        struct dsmr_reference other = changed(&chunk->ref, i); /* signed instead */
        struct dsmr_bls_sig sig = cluster_share(cluster, EVIL, &other);
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, &sig);
        cert_msg.u.certificate = cluster_forge_cert(cluster, &other, signers, 3);
        cert_msg.u.certificate.ref = chunk->ref;
        cluster_send(cluster, EVIL, 0, &cert_msg);
        cluster_run(cluster, 100);
        assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_PRODUCER_KEY), i + 1);
        assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_BAD_SIGNATURE), i + 1);
    }
    assert_int_equal(seen.shares, 0);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CERT_ADDED], 0);
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
    cluster_run(cluster, 100);
    assert_int_equal(seen.shares, 1);
    assert_true(dsmr_reference_equal(&seen.ref, &chunk->ref));
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 5, from the producer's side: a share of another reference does not count for its chunk. */
static void test_share_of_another_reference(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    cluster->ctx = NULL;
    cluster->nodes[1].is_store_slow = true;
    cluster->nodes[2].is_store_slow = true;
    cluster->nodes[3].is_store_slow = true;
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 20);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CHUNK_BUILT], 1);
    const struct cluster_stored *own =
        &cluster->nodes[0].disk.chunks[cluster->nodes[0].disk.chunks_count - 1];
    assert_true(own->is_own);
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK_SIGNATURE};
    for (uint32_t i = 1; i < 7; i++) { /* 0 is another chunk */
        msg.u.chunk_signature.ref = changed(&own->ref, i);
        msg.u.chunk_signature.sig = cluster_share(cluster, EVIL, &msg.u.chunk_signature.ref);
        cluster_send(cluster, EVIL, 0, &msg);
        cluster_run(cluster, 20);
        assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_REFERENCE_MISMATCH), i);
    }
    assert_int_equal(cluster->nodes[0].last_fault, DSMR_ERR_REFERENCE_MISMATCH);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_SHARE_RECEIVED], 0);
    cluster_free(cluster);
}

/* Offline, from the exported bytes and the producer's key alone. */
static void check_proof(struct cluster *cluster, const struct dsmr_evidence *kept)
{
    uint8_t bytes[DSMR_EVIDENCE_BYTES];
    struct dsmr_evidence proof;
    dsmr_evidence_encode(bytes, kept);
    assert_int_equal(dsmr_evidence_decode(&proof, bytes, sizeof(bytes)), DSMR_OK);
    assert_int_equal(proof.refs[0].slot, proof.refs[1].slot);
    assert_true(dsmr_node_id_equal(&proof.refs[0].producer, &proof.refs[1].producer));
    assert_false(dsmr_id_equal(&proof.refs[0].chunk_id, &proof.refs[1].chunk_id));
    for (uint32_t k = 0; k < 2; k++) {
        struct dsmr_bls_sig want = cluster_share(cluster, EVIL, &proof.refs[k]);
        assert_memory_equal(&want, &proof.sigs[k], sizeof(want));
    }
}

static bool is_promised(struct cluster *cluster, uint32_t node, const struct dsmr_chunk *chunk)
{
    const struct cluster_stored *stored =
        cluster_disk_find(&cluster->nodes[node].disk, &chunk->ref.chunk_id);
    return stored != NULL && stored->is_signed;
}

/* 6: two chunks of one slot to disjoint parts, then each part sees the other chunk. */
static void test_equivocate_slot(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *chunks[2];
    uint32_t shares[2] = {1, 1}; /* the producer's own */
    for (uint32_t k = 0; k < 2; k++) {
        chunks[k] = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    }
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 3; i++) {
            cluster_send_chunk_request(cluster, EVIL, i, chunks[(i == 2) ^ round], NULL);
        }
        cluster_run(cluster, 100);
    }
    for (uint32_t i = 0; i < 3; i++) {
        const struct cluster_disk *disk = &cluster->nodes[i].disk;
        shares[0] += is_promised(cluster, i, chunks[0]);
        shares[1] += is_promised(cluster, i, chunks[1]);
        assert_int_equal(cluster->nodes[i].traces[DSMR_TRACE_SHARE_GIVEN], 1);
        assert_int_equal(disk->evidence_count, 1);
        assert_int_equal(disk->chunks_count, 1); /* nothing else of the refused chunk is kept */
        assert_int_equal(cluster_metric_errors(cluster, i, DSMR_ERR_CONFLICT), 1);
        check_proof(cluster, &disk->evidence[0]);
    }
    assert_int_equal(shares[0], 3); /* a quorum: the other one has none */
    assert_int_equal(shares[1], 2);
    dsmr_chunk_unref(chunks[0]);
    dsmr_chunk_unref(chunks[1]);
    cluster_free(cluster);
}

/* 6: the first chunk came with a block, before its producer asked for a share of it: the proof has
 * both signatures all the same. */
static void test_equivocate_after_fetch(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    const uint32_t signers[3] = {1, 2, EVIL};
    struct dsmr_chunk *chunks[2];
    for (uint32_t k = 0; k < 2; k++) {
        chunks[k] = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 3);
    }
    for (uint32_t i = 1; i < 3; i++) {
        cluster_send_chunk_request(cluster, EVIL, i, chunks[0], NULL);
    }
    cluster_run(cluster, 20);
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    msg.u.certificate = cluster_forge_cert(cluster, &chunks[0]->ref, signers, 3);
    cluster_send(cluster, EVIL, 1, &msg);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CHUNK_FETCHED], 1);
    for (uint32_t k = 0; k < 2; k++) {
        cluster_send_chunk_request(cluster, EVIL, 0, chunks[k], NULL);
        cluster_run(cluster, 100);
    }
    const struct cluster_disk *disk = &cluster->nodes[0].disk;
    assert_true(is_promised(cluster, 0, chunks[0]));
    assert_int_equal(disk->evidence_count, 1);
    check_proof(cluster, &disk->evidence[0]);
    dsmr_chunk_unref(chunks[0]);
    dsmr_chunk_unref(chunks[1]);
    cluster_free(cluster);
}

/* What an engine with a signature service of its own asks before it hands a signature out. */
static void test_has_shared(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *first = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    struct dsmr_chunk *second = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    struct dsmr_reference ref, other, changed;
    struct dsmr_bls_sig share;
    dsmr_chunk_reference(&ref, &first->header);
    dsmr_chunk_reference(&other, &second->header);
    assert_false(dsmr_node_has_shared(cluster->nodes[0].node, NULL, &ref));
    cluster_send_chunk_request(cluster, EVIL, 0, first, NULL);
    cluster_run(cluster, 100);
    cluster_send_chunk_request(cluster, EVIL, 0, second, NULL);
    cluster_run(cluster, 100);
    assert_true(dsmr_node_has_shared(cluster->nodes[0].node, NULL, &ref));
    assert_true(dsmr_node_has_shared(cluster->nodes[0].node, &share, &ref));
    struct dsmr_bls_sig want = cluster_share(cluster, 0, &ref);
    assert_memory_equal(share.bytes, want.bytes, sizeof want.bytes);
    assert_false(dsmr_node_has_shared(cluster->nodes[0].node, NULL, &other));
    assert_false(dsmr_node_has_shared(cluster->nodes[1].node, NULL, &ref));
    changed = ref;
    changed.tx_count++;
    assert_false(dsmr_node_has_shared(cluster->nodes[0].node, NULL, &changed));
    changed = ref;
    changed.epoch++;
    assert_false(dsmr_node_has_shared(cluster->nodes[0].node, NULL, &changed));
    dsmr_chunk_unref(first);
    dsmr_chunk_unref(second);
    cluster_free(cluster);
}

/* 7: killed between the share and its answer, then offered another chunk of the slot. */
static void test_equivocate_across_restart(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *a = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    struct dsmr_chunk *b = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    cluster_send_chunk_request(cluster, EVIL, 0, a, NULL);
    cluster_run(cluster, 4); /* delivered, verified, stored; SIGNED has not come */
    assert_int_equal(cluster->nodes[0].signs, 1);
    assert_int_equal(seen.shares, 0);
    cluster_crash(cluster, 0);
    cluster_start(cluster, 0);
    cluster_run(cluster, 50);
    cluster_send_chunk_request(cluster, EVIL, 0, b, NULL);
    cluster_run(cluster, 100);
    assert_int_equal(seen.shares, 0);
    assert_int_equal(seen.last_refusal, DSMR_ERR_CONFLICT);
    cluster_send_chunk_request(cluster, EVIL, 0, a, NULL); /* the same again is answered */
    cluster_run(cluster, 100);
    assert_int_equal(seen.shares, 1);
    assert_true(dsmr_id_equal(&seen.ref.chunk_id, &a->ref.chunk_id));
    dsmr_chunk_unref(a);
    dsmr_chunk_unref(b);
    cluster_free(cluster);
}

enum body { BODY_INTACT, BODY_DAMAGED, BODY_MISSING };

/* 44: what a disk still lists after a restart may not be there any more, and a share is a promise
 * to serve it. The share is given again when the body has been read; a body that cannot be read is
 * taken from the producer once more, and stored, first. */
static void test_share_again_for_what_can_be_read(void **state)
{
    (void)state;
    for (enum body body = BODY_INTACT; body <= BODY_MISSING; body++) {
        struct cluster_seen seen;
        struct cluster *cluster = cluster_watched(&seen, 11, NULL);
        struct cluster_node *node = &cluster->nodes[0];
        cluster->is_engine_stopped = true;
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 3);
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
        cluster_run(cluster, 100);
        assert_int_equal(seen.shares, 1);
        cluster_crash(cluster, 0);
        cluster_start(cluster, 0); /* the list is read */
        cluster_run(cluster, 50);
        struct cluster_stored *stored = cluster_disk_find(&node->disk, &chunk->ref.chunk_id);
        assert_non_null(stored);
        uint64_t pending_before = cluster_pending_bytes(cluster, 0);
        if (body == BODY_DAMAGED) {
            stored->bytes->bytes[stored->bytes->len - 1] ^= 1;
        } else if (body == BODY_MISSING) {
            dsmr_buf_unref(stored->bytes);
            stored->bytes = NULL;
        }
        uint32_t signs = node->signs, verifies = node->chunk_verifies;
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
        cluster_run(cluster, 100);
        assert_int_equal(node->signs, signs + (body == BODY_INTACT));
        assert_int_equal(node->chunk_verifies, verifies);
        if (body != BODY_INTACT) {
            assert_int_equal(seen.shares, 1);
            assert_int_equal(seen.last_refusal, DSMR_ERR_BUSY); /* send it again */
            cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
            cluster_run(cluster, 100);
            assert_int_equal(node->chunk_verifies, verifies + 1);
            assert_int_equal(node->signs, signs + 1);
        }
        assert_int_equal(seen.shares, 2);
        assert_true(seen.is_same);
        assert_int_equal(cluster_pending_bytes(cluster, 0), pending_before);
        stored = cluster_disk_find(&node->disk, &chunk->ref.chunk_id);
        assert_memory_equal(stored->bytes->bytes, chunk->bytes, chunk->ref.chunk_bytes);
        dsmr_chunk_unref(chunk);
        cluster_free(cluster);
    }
}

/* 82: conflicting chunks while one group commit is pending. */
static void test_equivocation_in_one_fsync(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *a = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    struct dsmr_chunk *b = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    cluster->nodes[0].is_store_slow = true;
    cluster_send_chunk_request(cluster, EVIL, 0, a, NULL);
    cluster_send_chunk_request(cluster, EVIL, 0, b,
                               NULL); /* both verify before either is claimed */
    cluster_run(cluster, 100);
    assert_int_equal(seen.shares, 0); /* stored first */
    cluster_send_chunk_request(cluster, EVIL, 0, b, NULL);
    cluster_run(cluster, 100);
    cluster->nodes[0].is_store_slow = false;
    cluster_run(cluster, 100);
    assert_int_equal(seen.shares, 1);
    assert_int_equal(cluster->nodes[0].signs, 1);
    assert_int_equal(seen.last_refusal, DSMR_ERR_CONFLICT);
    assert_int_equal(cluster->nodes[0].disk.evidence_count, 1);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_CONFLICT), 2);
    dsmr_chunk_unref(a);
    dsmr_chunk_unref(b);
    cluster_free(cluster);
}

/* A write whose outcome is unknown: the claim stays, the conflicting chunk is refused, the same
 * chunk may be stored again. */
static void test_unknown_outcome_keeps_claim(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *a = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    struct dsmr_chunk *b = cluster_forge_chunk(cluster, EVIL, slot, 0, 3);
    cluster->nodes[0].fail_store = DSMR_ERR_DISK_FULL;
    cluster_send_chunk_request(cluster, EVIL, 0, a, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(seen.last_refusal, DSMR_ERR_BUSY);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0);
    cluster_send_chunk_request(cluster, EVIL, 0, b, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(seen.last_refusal, DSMR_ERR_CONFLICT);
    assert_int_equal(seen.shares, 0);
    cluster_send_chunk_request(cluster, EVIL, 0, a, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(seen.shares, 1);
    dsmr_chunk_unref(a);
    dsmr_chunk_unref(b);
    cluster_free(cluster);
}

/* 86: thousands of conflicts. */
static void test_evidence_flood(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    for (uint32_t i = 0; i < 3000; i++) {
        uint64_t slot = cluster_slot(cluster) - i % 20;
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot, 0, 1);
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
        dsmr_chunk_unref(chunk);
        cluster_run(cluster, 2);
    }
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].disk.evidence_count, 1);
    assert_in_range(seen.shares, 20, 100); /* the slots that passed, one each */
    assert_int_equal(cluster->nodes[0].signs, seen.shares);
    assert_int_equal(cluster->nodes[0].disk.chunks_count, seen.shares); /* no trace of the others */
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_CONFLICT), 3000 - seen.shares);
    assert_int_equal(cluster->nodes[0].metrics.values[DSMR_METRIC_EVIDENCE], 1);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spoofed_producer),
        cmocka_unit_test(test_sender_not_producer),
        cmocka_unit_test(test_share_request_retry_storm),
        cmocka_unit_test(test_signing_oracle),
        cmocka_unit_test(test_ref_field_mismatch),
        cmocka_unit_test(test_share_of_another_reference),
        cmocka_unit_test(test_equivocate_slot),
        cmocka_unit_test(test_equivocate_after_fetch),
        cmocka_unit_test(test_equivocate_across_restart),
        cmocka_unit_test(test_has_shared),
        cmocka_unit_test(test_share_again_for_what_can_be_read),
        cmocka_unit_test(test_equivocation_in_one_fsync),
        cmocka_unit_test(test_unknown_outcome_keeps_claim),
        cmocka_unit_test(test_evidence_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
