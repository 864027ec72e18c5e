/* What a whole node checks on its workers (driver/crypto_tasks.c), attacked through its net port:
 * node 3 is down and the test speaks for it. The pure core is attacked in test_shares and
 * test_certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "lib/world.h"
#include "sim/sim_bls.h"
#include "wire/codec.h"
#include "wire/message.h"

#define EVIL 3u
#define OUTSIDER 9u

static struct dsmr_params params; /* of the world, as its nodes see them */
static uint32_t tx_len = 64;      /* of forged chunks: with a large one they take two turns */

static void keep_params(struct dsmr_driver_config *config)
{
    params = config->node.params;
}

static bool has_executed(struct dsmr_world *world, void *ctx)
{
    return dsmr_world_executed(world) >= *(const uint64_t *)ctx && dsmr_world_is_level(world);
}

static struct dsmr_world *start(void)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = 21, .tune = keep_params};
    struct dsmr_world *world = dsmr_world_new(&config);
    uint64_t goal = 1;
    dsmr_world_submit(world, 0, 1); /* the chain has an epoch then */
    assert_true(dsmr_world_run(world, has_executed, &goal, 60000));
    dsmr_world_crash(world, EVIL);
    dsmr_world_pass(world, 1000);
    return world;
}

static uint64_t errors(struct dsmr_world *world, enum dsmr_err err)
{
    return dsmr_world_metrics(world, 0)->errors[err];
}

static uint64_t shared(struct dsmr_world *world)
{
    return dsmr_metrics_get(dsmr_world_metrics(world, 0), DSMR_METRIC_CHUNKS_SHARED);
}

/* A chunk of EVIL in the slot that began `ago` slots ago; transactions of opaque. */
static struct dsmr_chunk *forge(struct dsmr_world *world, uint64_t ago, uint32_t txs_count,
                                bool is_same_twice, uint64_t lifetime_ms)
{
    struct dsmr_chunk_tx txs[4];
    uint8_t bytes[4][8192];
    uint64_t slot = dsmr_world_now_ms(world) / params.slot_ms - ago;
    struct dsmr_chunk_header header = {.domain = params.domain,
                                       .producer = dsmr_sim_bls_node_id(EVIL),
                                       .slot = slot,
                                       .expiry_ms =
                                           slot * params.slot_ms + params.chunk_lifetime_ms};
    struct dsmr_chunk *chunk = NULL;
    memset(bytes, 0, sizeof(bytes));
    for (uint32_t i = 0; i < txs_count; i++) {
        bytes[i][0] = 1;
        dsmr_store_be64(bytes[i] + 1, slot * params.slot_ms + lifetime_ms);
        bytes[i][20] = (uint8_t)(is_same_twice ? 0 : i);
        bytes[i][21] = (uint8_t)ago;
        txs[i] = (struct dsmr_chunk_tx){.bytes = bytes[i], .len = tx_len};
        dsmr_hash(&txs[i].id, bytes[i], tx_len);
    }
    assert_int_equal(dsmr_chunk_build(&chunk, &params, &header, txs, txs_count), DSMR_OK);
    return chunk;
}

static struct dsmr_bls_sig share(uint32_t signer, const struct dsmr_reference *ref)
{
    uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
    struct dsmr_bls_sig sig;
    dsmr_share_signing_bytes(bytes, &params.domain, ref);
    dsmr_sim_bls_sign(&sig, signer, bytes, sizeof(bytes));
    return sig;
}

static void send(struct dsmr_world *world, const struct dsmr_msg *msg)
{
    struct dsmr_node_id from = dsmr_sim_bls_node_id(EVIL);
    struct dsmr_buf *bytes = dsmr_msg_encode(msg, true);
    assert_non_null(bytes);
    dsmr_driver_net_handler()->message(dsmr_world_driver(world, 0), &from, bytes);
    dsmr_driver_tick(
        dsmr_world_driver(world, 0)); /* the inbox would do what the message asks for */
    dsmr_buf_unref(bytes);
    dsmr_world_pass(world, 100);
}

/* chunk's bytes with EVIL's connection; sig: the producer's, or what stands for it. */
static void request(struct dsmr_world *world, const uint8_t *bytes, uint32_t len,
                    struct dsmr_bls_sig sig)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    msg.u.request_share.sig = sig;
    msg.u.request_share.chunk = bytes;
    msg.u.request_share.chunk_len = len;
    send(world, &msg);
}

/* 1, 4: the producer's key is the one of the set; the body is the header's. */
static void test_signature_and_body(void **state)
{
    (void)state;
    struct dsmr_world *world = start();
    struct dsmr_chunk *chunk = forge(world, 0, 3, false, 40000);
    uint64_t before = shared(world);
    request(world, chunk->bytes, chunk->ref.chunk_bytes, share(OUTSIDER, &chunk->ref));
    assert_int_equal(errors(world, DSMR_ERR_PRODUCER_KEY), 1);
    struct dsmr_buf *bytes = dsmr_buf_copy(chunk->bytes, chunk->ref.chunk_bytes);
    assert_non_null(bytes);
    bytes->bytes[bytes->len - 1] ^= 1;
    request(world, bytes->bytes, chunk->ref.chunk_bytes, share(EVIL, &chunk->ref));
    assert_int_equal(errors(world, DSMR_ERR_BODY_MISMATCH), 1);
    assert_int_equal(shared(world), before);
    request(world, chunk->bytes, chunk->ref.chunk_bytes, share(EVIL, &chunk->ref));
    assert_int_equal(shared(world), before + 1);
    dsmr_buf_unref(bytes);
    dsmr_chunk_unref(chunk);
    dsmr_world_free(world);
}

static void test_large_chunks(void **state)
{
    tx_len = 8192;
    test_signature_and_body(state);
    tx_len = 64;
}

/* 6.6: what a signer checks of the transactions, whoever vouches for them. */
static void test_transactions(void **state)
{
    (void)state;
    struct dsmr_world *world = start();
    uint64_t before = shared(world);
    struct dsmr_chunk *chunks[4] = {
        forge(world, 1, 2, true, 40000), forge(world, 2, 1, false, params.validity_window_ms + 1),
        forge(world, 3, 1, false, params.validity_window_ms), forge(world, 4, 1, false, 0)};
    const enum dsmr_err expected[4] = {DSMR_ERR_TX_TWICE, DSMR_ERR_TX_EXPIRY, DSMR_OK, DSMR_OK};
    for (uint32_t i = 0; i < 4; i++) {
        const struct dsmr_reference *ref = &chunks[i]->ref;
        request(world, chunks[i]->bytes, ref->chunk_bytes, share(EVIL, ref));
        assert_int_equal(errors(world, expected[i]), expected[i] == DSMR_OK ? 0 : 1);
        dsmr_chunk_unref(chunks[i]);
    }
    assert_int_equal(shared(world), before + 2);
    dsmr_world_free(world);
}

/* 18, 21: a certificate by signers who did not sign, and one of another network. */
static void test_certificates(void **state)
{
    (void)state;
    struct dsmr_world *world = start();
    struct dsmr_chunk *chunk = forge(world, 0, 3, false, 40000);
    struct dsmr_domain domain = params.domain;
    struct dsmr_metrics *metrics = dsmr_world_metrics(world, 0);
    uint64_t added = dsmr_metrics_get(metrics, DSMR_METRIC_CERTS_ADDED);
    for (uint32_t i = 0; i < 3; i++) {
        struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
        struct dsmr_cert *cert = &msg.u.certificate;
        cert->ref = chunk->ref;
        params.domain.network_id += i == 1;
        for (uint32_t signer = 1; signer < 4; signer++) {
            struct dsmr_bls_sig sig = share(i == 0 ? OUTSIDER : signer, &chunk->ref);
            for (size_t k = 0; k < sizeof(sig.bytes); k++) {
                cert->sig.bytes[k] ^= sig.bytes[k]; /* how keyed hashes add up */
            }
            dsmr_bitset_add(&cert->signers, signer);
        }
        params.domain = domain;
        send(world, &msg);
        assert_int_equal(errors(world, DSMR_ERR_BAD_SIGNATURE), i == 0 ? 1 : 2);
        assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_CERTS_ADDED) - added, i == 2);
    }
    dsmr_chunk_unref(chunk);
    dsmr_world_free(world);
}

/* 6: the pair of chunks reaches the store as evidence, once. */
static void test_equivocation(void **state)
{
    (void)state;
    struct dsmr_world *world = start();
    struct dsmr_metrics *metrics = dsmr_world_metrics(world, 0);
    uint64_t before = shared(world);
    struct dsmr_chunk *a = forge(world, 0, 3, false, 40000);
    struct dsmr_chunk *b = forge(world, 0, 2, false, 40000);
    request(world, a->bytes, a->ref.chunk_bytes, share(EVIL, &a->ref));
    request(world, b->bytes, b->ref.chunk_bytes, share(OUTSIDER, &b->ref)); /* no proof */
    assert_int_equal(errors(world, DSMR_ERR_CONFLICT), 1);
    assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_EVIDENCE), 0);
    request(world, b->bytes, b->ref.chunk_bytes, share(EVIL, &b->ref));
    request(world, b->bytes, b->ref.chunk_bytes, share(EVIL, &b->ref));
    assert_int_equal(errors(world, DSMR_ERR_CONFLICT), 3);
    assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_EVIDENCE), 1);
    assert_int_equal(shared(world), before + 1);
    dsmr_world_crash(world, 0); /* its next life finds it on the disk */
    dsmr_metrics_set(metrics, DSMR_METRIC_EVIDENCE_KEPT, 0);
    dsmr_world_restart(world, 0);
    assert_int_equal(dsmr_metrics_get(metrics, DSMR_METRIC_EVIDENCE_KEPT), 1);
    dsmr_chunk_unref(a);
    dsmr_chunk_unref(b);
    dsmr_world_free(world);
}

/* What is found before there is a message, by the engine and by the core: each counted once. */
static void test_errors_are_counted_once(void **state)
{
    (void)state;
    struct dsmr_world *world = start();
    struct dsmr_node_id from = dsmr_sim_bls_node_id(EVIL);
    struct dsmr_buf *garbage = dsmr_buf_copy("\xff", 1);
    assert_non_null(garbage);
    dsmr_driver_net_handler()->message(dsmr_world_driver(world, 0), &from, garbage);
    dsmr_buf_unref(garbage);
    assert_int_equal(errors(world, DSMR_ERR_MALFORMED), 1);
    struct dsmr_msg vote = {.type = DSMR_MSG_BFT_VOTE};
    vote.u.vote.subject.kind = DSMR_VOTE_NOTARIZE;
    vote.u.vote.subject.height = UINT64_MAX; /* no schedule reaches it */
    send(world, &vote);
    assert_int_equal(errors(world, DSMR_ERR_BAD_VOTE), 1);
    struct dsmr_chunk *chunk = forge(world, 0, 3, false, 40000);
    request(world, chunk->bytes, chunk->ref.chunk_bytes, share(OUTSIDER, &chunk->ref));
    assert_int_equal(errors(world, DSMR_ERR_PRODUCER_KEY), 1);
    dsmr_chunk_unref(chunk);
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature_and_body), cmocka_unit_test(test_large_chunks),
        cmocka_unit_test(test_transactions),       cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_equivocation),       cmocka_unit_test(test_errors_are_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
