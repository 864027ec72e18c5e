/* A Byzantine validator against whole nodes: node EVIL is down; the test speaks for it. What it
 * says is refused under its name, costs no line in the log, and changes nothing. What the workers
 * check one by one is in test_worker_checks. */
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

#define EVIL 3u
#define TX_BYTES 40u
#define MINUTE_MS UINT64_C(60000)

struct goal {
    uint64_t executed;
};

static bool has_executed(struct dsmr_world *world, void *ctx)
{
    const struct goal *goal = ctx;
    return dsmr_world_executed(world) >= goal->executed && dsmr_world_is_level(world);
}

static void execute_some(struct dsmr_world *world, uint32_t node, uint64_t first, uint32_t count)
{
    struct goal goal = {.executed = dsmr_world_executed(world) + count};
    for (uint32_t i = 0; i < count; i++)
        dsmr_world_submit(world, node, first + i);
    assert_true(dsmr_world_run(world, has_executed, &goal, MINUTE_MS));
}

static struct dsmr_world *start(void)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = 21};
    struct dsmr_world *world = dsmr_world_new(&config);
    execute_some(world, 0, 1, 3);
    dsmr_world_crash(world, EVIL);
    dsmr_world_pass(world, 1000);
    return world;
}

/* Transactions of the opaque application, as bytes in a row. */
static void make_txs(struct dsmr_world *world, uint8_t (*txs)[TX_BYTES], uint32_t count,
                     uint64_t number)
{
    for (uint32_t i = 0; i < count; i++) {
        memset(txs[i], 0, TX_BYTES);
        txs[i][0] = 1;
        dsmr_store_be64(txs[i] + 1, dsmr_world_now_ms(world) + 20000);
        dsmr_store_be64(txs[i] + 9, number + i);
    }
}

/* EVIL's chunk of a slot back from now, with its true root and ids. Caller unrefs. */
static struct dsmr_chunk *make_chunk(struct dsmr_world *world, uint8_t (*txs)[TX_BYTES],
                                     uint32_t count, uint32_t back)
{
    const struct dsmr_params *params = dsmr_world_params(world);
    struct dsmr_chunk_tx list[8];
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_chunk_header header = {.domain = params->domain,
                                       .epoch = 0,
                                       .producer = dsmr_sim_bls_node_id(EVIL),
                                       .slot = dsmr_world_now_ms(world) / params->slot_ms - back};
    header.expiry_ms = header.slot * params->slot_ms + params->chunk_lifetime_ms;
    for (uint32_t i = 0; i < count; i++) {
        list[i] = (struct dsmr_chunk_tx){.bytes = txs[i], .len = TX_BYTES};
        dsmr_hash(&list[i].id, txs[i], TX_BYTES);
    }
    assert_int_equal(dsmr_chunk_build(&chunk, params, &header, list, count), DSMR_OK);
    return chunk;
}

static void say(struct dsmr_world *world, uint32_t from, const struct dsmr_msg *msg)
{
    struct dsmr_buf *bytes = dsmr_msg_encode(msg, true);
    assert_non_null(bytes);
    dsmr_world_say(world, from, 0, bytes->bytes, bytes->len);
    dsmr_buf_unref(bytes);
}

/* signer: whose share of the chunk goes with it. */
static void request_share(struct dsmr_world *world, uint32_t from, uint32_t signer,
                          const struct dsmr_chunk *chunk)
{
    uint8_t bytes[DSMR_SHARE_SIGNING_BYTES];
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    dsmr_share_signing_bytes(bytes, &dsmr_world_params(world)->domain, &chunk->ref);
    dsmr_sim_bls_sign(&msg.u.request_share.sig, signer, bytes, sizeof bytes);
    msg.u.request_share.chunk = chunk->bytes;
    msg.u.request_share.chunk_len = chunk->ref.chunk_bytes;
    say(world, from, &msg);
    dsmr_world_pass(world, 100);
}

static uint64_t errors(struct dsmr_world *world, enum dsmr_err err)
{
    return dsmr_world_metrics(world, 0)->errors[err];
}

static uint64_t shares(struct dsmr_world *world)
{
    return dsmr_metrics_get(dsmr_world_metrics(world, 0), DSMR_METRIC_CHUNKS_SHARED);
}

/* 89 and 11: one transaction of many that the application does not take. Without it the chunk gets
 * its share. */
static void test_application_is_asked(void **state)
{
    (void)state;
    struct dsmr_world *world = start();
    uint8_t txs[5][TX_BYTES];
    uint64_t shared = shares(world);
    make_txs(world, txs, 5, 1000);
    txs[3][0] = 2; /* of another version */
    struct dsmr_chunk *chunk = make_chunk(world, txs, 5, 0);
    request_share(world, EVIL, EVIL, chunk);
    assert_int_equal(errors(world, DSMR_ERR_BAD_TX), 1);
    assert_int_equal(shares(world), shared);
    dsmr_chunk_unref(chunk);
    make_txs(world, txs, 5, 1000);
    chunk = make_chunk(world, txs, 5, 0);
    request_share(world, EVIL, EVIL, chunk);
    assert_int_equal(errors(world, DSMR_ERR_BAD_TX), 1);
    assert_int_equal(shares(world), shared + 1);
    dsmr_chunk_unref(chunk);
    dsmr_world_free(world);
}

/* A chunk whose second transaction the application does not take; others have to find that out. */
static void offend(struct dsmr_world *world, uint32_t times)
{
    uint8_t txs[3][TX_BYTES];
    for (uint32_t i = 0; i < times; i++) {
        uint64_t refused = errors(world, DSMR_ERR_BAD_TX);
        make_txs(world, txs, 3, 7000 + 10 * refused);
        txs[1][0] = 2;
        struct dsmr_chunk *chunk = make_chunk(world, txs, 3, 0);
        request_share(world, EVIL, EVIL, chunk);
        assert_int_equal(errors(world, DSMR_ERR_BAD_TX), refused + 1);
        dsmr_chunk_unref(chunk);
    }
}

/* 11: whoever makes others check such chunks is hung up on, at the sixteenth within a minute. */
static void test_offender_is_dropped(void **state)
{
    (void)state;
    struct dsmr_world *world = start();
    uint64_t drops = dsmr_world_drops(world, 0);
    offend(world, 15);
    assert_int_equal(dsmr_world_drops(world, 0), drops);
    offend(world, 1);
    assert_int_equal(dsmr_world_drops(world, 0), drops + 1);
    offend(world, 15); /* it is counted anew */
    assert_int_equal(dsmr_world_drops(world, 0), drops + 1);
    dsmr_world_pass(world, MINUTE_MS + 1000);
    offend(world, 15); /* and each minute */
    assert_int_equal(dsmr_world_drops(world, 0), drops + 1);
    offend(world, 1);
    assert_int_equal(dsmr_world_drops(world, 0), drops + 2);
    dsmr_world_free(world);
}

/* A certificate of a quorum that never signed. */
static void say_certificate(struct dsmr_world *world, const struct dsmr_chunk *chunk)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    msg.u.certificate.ref = chunk->ref;
    for (uint32_t i = 0; i < 3; i++)
        dsmr_bitset_add(&msg.u.certificate.signers, i);
    memset(msg.u.certificate.sig.bytes, 0x5a, sizeof msg.u.certificate.sig.bytes);
    say(world, EVIL, &msg);
}

/* All at once and again and again: one counter each, no line in the log, no share, nothing
 * accepted; and a transaction is executed as if nothing had been. */
static void test_bad_messages_are_counted_not_logged(void **state)
{
    (void)state;
    struct dsmr_world *world = start();
    uint8_t txs[2][TX_BYTES];
    const uint8_t garbage[3] = {0xff, 0, 1};
    struct dsmr_query_status before, after;
    make_txs(world, txs, 2, 5000);
    struct dsmr_chunk *chunk = make_chunk(world, txs, 2, 1);
    uint64_t shared = shares(world);
    uint32_t lines = dsmr_world_log_lines(world, 0, DSMR_LOG_INFO);
    dsmr_world_status(world, 0, &before);
    for (uint32_t i = 0; i < 300; i++) {
        struct dsmr_msg unasked = {.type = DSMR_MSG_CHUNK};
        unasked.u.chunk.chunk_id = chunk->ref.chunk_id;
        unasked.u.chunk.chunk = chunk->bytes;
        unasked.u.chunk.chunk_len = chunk->ref.chunk_bytes;
        say(world, EVIL, &unasked);
        dsmr_world_say(world, EVIL, 0, garbage, sizeof garbage);
        request_share(world, 9, EVIL, chunk); /* no validator */
        request_share(world, EVIL, 1, chunk); /* not the producer's signature */
        say_certificate(world, chunk);
        dsmr_world_pass(world, 5);
    }
    assert_int_equal(errors(world, DSMR_ERR_UNEXPECTED), 300);
    assert_int_equal(errors(world, DSMR_ERR_NOT_PRODUCER), 300);
    assert_int_equal(errors(world, DSMR_ERR_PRODUCER_KEY), 300);
    assert_int_equal(errors(world, DSMR_ERR_BAD_SIGNATURE), 300);
    assert_true(dsmr_world_drops(world, 0) >= 300); /* garbage ends the connection each time */
    assert_int_equal(dsmr_world_log_lines(world, 0, DSMR_LOG_INFO), lines);
    assert_int_equal(shares(world), shared);
    dsmr_world_status(world, 0, &after);
    assert_int_equal(after.height, before.height);
    uint64_t from_ms = dsmr_world_now_ms(world);
    execute_some(world, 0, 9000, 3);
    assert_true(dsmr_world_now_ms(world) - from_ms < 1000);
    dsmr_chunk_unref(chunk);
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_application_is_asked),
        cmocka_unit_test(test_offender_is_dropped),
        cmocka_unit_test(test_bad_messages_are_counted_not_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
