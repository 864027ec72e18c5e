/* Scenarios C of the adversaries' list: blocks. The test is the engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/cluster.h"
#include "wire/codec.h"

static const uint32_t quorum[3] = {0, 1, 2};

/* Block 1 is accepted; then the sequencer stands still. */
static struct cluster *start(void)
{
    struct cluster_config config = {.nodes = 4, .seed = 31};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 40000); /* idle for longer than a lifetime */
    assert_int_equal(cluster->chain_height, 1);
    cluster->is_engine_stopped = true;
    return cluster;
}

static struct dsmr_cert cert_at(struct cluster *cluster, uint32_t producer, uint64_t slot)
{
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, producer, slot, 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
    dsmr_chunk_unref(chunk);
    return cert;
}

static enum dsmr_err judge(struct cluster *cluster, const struct dsmr_block *parent,
                           uint64_t time_ms, const struct dsmr_cert *certs, uint32_t count)
{
    struct dsmr_block *block = cluster_forge_block(cluster, parent, 0, time_ms, certs, count);
    enum dsmr_err err = cluster_verify(cluster, 0, block, 0);
    for (uint32_t i = 1; i < 4; i++) { /* at every node alike */
        assert_int_equal(cluster_verify(cluster, i, block, 0), err);
    }
    dsmr_block_unref(block);
    return err;
}

static enum dsmr_err judge_and_accept(struct cluster *cluster, struct dsmr_block *block)
{
    for (uint32_t i = 0; i < 4; i++) {
        enum dsmr_err err = cluster_verify(cluster, i, block, 0);
        err = err == DSMR_OK ? cluster_accept(cluster, i, block) : err;
        if (err != DSMR_OK) {
            return err;
        }
    }
    return DSMR_OK;
}

/* 28: the same chunk, or the same slot, twice in a block. */
static void test_dup_cert_in_block(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_cert certs[20] = {cert_at(cluster, 3, slot), cert_at(cluster, 2, slot)};
    assert_int_equal(judge(cluster, cluster->chain[1], 0, certs, 2), DSMR_OK);
    certs[2] = certs[0];
    assert_int_equal(judge(cluster, cluster->chain[1], 0, certs, 3), DSMR_ERR_CERT_TWICE);
    certs[2] = cert_at(cluster, 3, slot); /* another chunk, the same (producer, slot) */
    assert_int_equal(judge(cluster, cluster->chain[1], 0, certs, 3), DSMR_ERR_CERT_TWICE);
    certs[2] = cert_at(cluster, 3, slot - 1);
    assert_int_equal(judge(cluster, cluster->chain[1], 0, certs, 3), DSMR_OK);
    assert_int_equal(cluster_metric_errors(cluster, 3, DSMR_ERR_CERT_TWICE), 2);
    /* Two of one slot, wherever they stand and whatever lies between their chunk ids. */
    for (uint32_t i = 0; i < 20; i++) {
        certs[i] = cert_at(cluster, i % 4, slot - i / 4);
    }
    assert_int_equal(judge(cluster, cluster->chain[1], 0, certs, 20), DSMR_OK);
    for (uint32_t i = 0; i < 19; i++) {
        struct dsmr_cert kept = certs[i];
        certs[i] = cert_at(cluster, 19 % 4, slot - 19 / 4);
        assert_int_equal(judge(cluster, cluster->chain[1], 0, certs, 20), DSMR_ERR_CERT_TWICE);
        certs[i] = kept;
    }
    cluster_free(cluster);
}

/* 29: in a processing ancestor, in a sibling, in an accepted ancestor, at the window's edge. */
static void test_dup_cert_in_ancestor(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_cert a = cert_at(cluster, 3, slot);
    struct dsmr_cert same_slot = cert_at(cluster, 3, slot);
    struct dsmr_cert other = cert_at(cluster, 2, slot);
    struct dsmr_block *first = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &a, 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_verify(cluster, i, first, 0), DSMR_OK);
    }
    /* A sibling may hold it; a child may not, neither the chunk nor the slot. */
    assert_int_equal(judge(cluster, cluster->chain[1], first->time_ms + 1, &a, 1), DSMR_OK);
    assert_int_equal(judge(cluster, first, first->time_ms + 1, &a, 1), DSMR_ERR_CERT_TWICE);
    assert_int_equal(judge(cluster, first, first->time_ms + 1, &same_slot, 1), DSMR_ERR_CERT_TWICE);
    assert_int_equal(judge(cluster, first, first->time_ms + 1, &other, 1), DSMR_OK);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_accept(cluster, i, first), DSMR_OK);
    }
    assert_int_equal(judge(cluster, first, first->time_ms + 1, &a, 1), DSMR_ERR_CERT_TWICE);
    /* A grandchild of an accepted block, at the last moment at which the chunk is valid. */
    cluster_run(cluster, a.ref.expiry_ms - cluster_wall_ms(cluster));
    assert_int_equal(judge(cluster, first, a.ref.expiry_ms, &a, 1), DSMR_ERR_CERT_TWICE);
    assert_int_equal(judge(cluster, first, a.ref.expiry_ms, &same_slot, 1), DSMR_ERR_CERT_TWICE);
    assert_int_equal(judge(cluster, first, a.ref.expiry_ms, &other, 1), DSMR_OK);
    assert_int_equal(judge(cluster, first, a.ref.expiry_ms + 1, &a, 1), DSMR_ERR_CERT_TIME);
    assert_int_equal(cluster_metric_errors(cluster, 3, DSMR_ERR_CERT_TWICE), 5);
    dsmr_block_unref(first);
    cluster_free(cluster);
}

/* 30: at the borders of a chunk's life. */
static void test_expired_cert_in_block(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_cert cert = cert_at(cluster, 3, slot);
    uint64_t start_ms = slot * cluster->params.slot_ms;
    const struct dsmr_block *parent = cluster->chain[1];
    assert_int_equal(judge(cluster, parent, start_ms - 1, &cert, 1), DSMR_ERR_CERT_TIME);
    assert_int_equal(judge(cluster, parent, start_ms, &cert, 1), DSMR_OK);
    assert_int_equal(judge(cluster, parent, start_ms + 1, &cert, 1), DSMR_OK);
    cluster_run(cluster, cert.ref.expiry_ms - cluster_wall_ms(cluster));
    assert_int_equal(judge(cluster, parent, cert.ref.expiry_ms - 1, &cert, 1), DSMR_OK);
    assert_int_equal(judge(cluster, parent, cert.ref.expiry_ms, &cert, 1), DSMR_OK);
    assert_int_equal(judge(cluster, parent, cert.ref.expiry_ms + 1, &cert, 1), DSMR_ERR_CERT_TIME);
    assert_int_equal(cluster_metric_errors(cluster, 3, DSMR_ERR_CERT_TIME), 2);
    cluster_free(cluster);
}

/* 31: a chunk expires while its block is being decided, and a sibling with a later time exists. */
static void test_expiry_race_deciding(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 3, slot, 0, 2);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
    struct dsmr_cert other = cert_at(cluster, 2, slot + 10);
    for (uint32_t i = 0; i < 3; i++) {
        cluster_send_chunk_request(cluster, 3, i, chunk, NULL);
    }
    cluster_run(cluster, cert.ref.expiry_ms - cluster_wall_ms(cluster));
    struct dsmr_block *block = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
    cluster_run(cluster, 900);
    struct dsmr_block *sibling = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &other, 1);
    assert_int_equal(cluster_verify(cluster, 0, sibling, 0), DSMR_OK);
    cluster_run(cluster, 20000);       /* the wall clock is far past the chunk's expiry */
    for (uint32_t i = 0; i < 2; i++) { /* node 1 sees it only now */
        assert_int_equal(cluster_verify(cluster, i, block, 0), DSMR_OK);
        assert_int_equal(cluster_accept(cluster, i, block), DSMR_OK);
        cluster_run(cluster, 100);
        assert_int_equal(cluster_executed_txs(cluster, i), 2); /* its bytes were kept */
        assert_int_equal(cluster->nodes[i].traces[DSMR_TRACE_FETCH_SENT], 0);
        assert_int_equal(cluster_verify(cluster, i, sibling, 0), DSMR_ERR_DECIDED);
    }
    /* Where the sibling wins the chunk is kept while a block names it, and then leaves. */
    assert_int_equal(cluster_verify(cluster, 2, block, 0), DSMR_OK);
    assert_int_equal(cluster_verify(cluster, 2, sibling, 0), DSMR_OK);
    assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_CHUNK_EXPIRED], 0);
    assert_int_equal(cluster_accept(cluster, 2, sibling), DSMR_OK);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_CHUNK_EXPIRED], 1);
    dsmr_block_unref(block);
    dsmr_block_unref(sibling);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 31: the wall clock is past a chunk's expiry while blocks from before it are still being decided:
 * nothing is collected, and nothing has to be fetched. */
static void test_expiry_is_by_chain_time(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_chunk *chunks[2];
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    for (uint32_t k = 0; k < 2; k++) {
        chunks[k] = cluster_forge_chunk(cluster, 3, cluster_slot(cluster) - k, 0, 2);
        cluster_send_chunk_request(cluster, 3, 0, chunks[k], NULL);
    }
    cluster_run(cluster, 40000);
    for (uint32_t k = 0; k < 2; k++) {
        struct dsmr_cert cert = cluster_forge_cert(cluster, &chunks[k]->ref, quorum, 3);
        uint64_t time_ms = chunks[1]->ref.expiry_ms - 1 + k;
        struct dsmr_block *block = cluster_forge_block(cluster, tip, 0, time_ms, &cert, 1);
        assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
        assert_int_equal(cluster_accept(cluster, 0, block), DSMR_OK);
        cluster_run(cluster, 3000);
        assert_int_equal(cluster_executed_txs(cluster, 0), 2 * (k + 1));
        dsmr_block_unref(tip);
        tip = block;
    }
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_CHUNK_EXPIRED], 0);
    assert_int_equal(cluster->nodes[0].traces[DSMR_TRACE_FETCH_SENT], 0);
    dsmr_block_unref(tip);
    dsmr_chunk_unref(chunks[0]);
    dsmr_chunk_unref(chunks[1]);
    cluster_free(cluster);
}

/* 32: time at the limit, and past it: retryable, never invalid for good. */
static void test_time_warp(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_cert cert = cert_at(cluster, 3, cluster_slot(cluster));
    uint64_t limit_ms = cluster_wall_ms(cluster) + cluster->params.clock_skew_ms;
    struct dsmr_block *far =
        cluster_forge_block(cluster, cluster->chain[1], 0, limit_ms + 20, &cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, far, 0), DSMR_ERR_NOT_YET);
    assert_int_equal(cluster_verify(cluster, 0, far, 0), DSMR_ERR_NOT_YET);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_NOT_YET), 2);
    cluster_run(cluster, 20);
    assert_int_equal(cluster_verify(cluster, 0, far, 0), DSMR_OK);
    /* On a tip that is ahead of its clock an honest builder waits for the tip's time. */
    assert_int_equal(cluster_accept(cluster, 0, far), DSMR_OK);
    struct dsmr_cert next = cert_at(cluster, 2, cluster_slot(cluster));
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE, .u.certificate = next};
    cluster_send(cluster, 2, 0, &msg);
    cluster_run(cluster, 20);
    struct dsmr_block *block = NULL;
    assert_int_equal(cluster_build(cluster, 0, &far->id, 0, &block), DSMR_OK);
    assert_true(block->time_ms > far->time_ms);
    assert_true(cluster_wall_ms(cluster) >= block->time_ms);
    dsmr_block_unref(block);
    dsmr_block_unref(far);
    cluster_free(cluster);
}

/* 32: every second block is a liar's, as far ahead as it may be. It has no honest certificate; each
 * honest builder's block has all that wait. */
static void test_time_warp_expires_nobody(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    for (uint32_t round = 0; round < 40; round++) { /* longer than a chunk lives */
        uint32_t honest = round % 3;
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 3, cluster_slot(cluster), 0, 1);
        struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
        for (uint32_t i = 0; i < 3; i++) {
            cluster_send_chunk_request(cluster, 3, i, chunk, NULL);
        }
        cluster_submit(cluster, honest, 1, 100);
        cluster_run(cluster, 50);
        uint64_t limit_ms = cluster_wall_ms(cluster) + cluster->params.clock_skew_ms;
        struct dsmr_block *ahead = cluster_forge_block(cluster, tip, 0, limit_ms, &cert, 1);
        assert_int_equal(judge_and_accept(cluster, ahead), DSMR_OK);
        struct dsmr_block *built = NULL; /* the builder waits for the time of its parent */
        assert_int_equal(cluster_build(cluster, honest, &ahead->id, 0, &built), DSMR_OK);
        assert_int_equal(built->certs_count, 1);
        assert_int_equal(judge_and_accept(cluster, built), DSMR_OK);
        dsmr_block_unref(tip);
        dsmr_block_unref(ahead);
        dsmr_chunk_unref(chunk);
        tip = built;
    }
    cluster_run(cluster, 100);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cluster_executed_txs(cluster, i), 80);
        assert_int_equal(cluster->nodes[i].traces[DSMR_TRACE_CHUNK_EXPIRED], 0);
    }
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* 33: idle for 31 s, an hour, three days: the next block is valid at once. 84: idle-for-a-day. */
static void check_idle(uint64_t ms)
{
    struct cluster_config config = {.nodes = 4, .seed = 32};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 2000);
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 1000);
    uint64_t height = cluster->chain_height;
    cluster_run(cluster, ms);
    assert_int_equal(cluster->chain_height, height); /* nothing grew */
    cluster_submit(cluster, 3, 1, 100);
    cluster_run(cluster, 100);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_executed_txs(cluster, i), 2);
        assert_int_equal(cluster->nodes[i].faults, 0);
    }
    assert_int_equal(cluster->chain_height, height + 1); /* and no empty block before it */
    cluster_free(cluster);
}

static void test_idle_then_build(void **state)
{
    (void)state;
    check_idle(31000);
    check_idle(3600000);
    check_idle(UINT64_C(3) * 86400000);
}

/* 35: empty blocks where no rule allows one, and blocks too close to each other. */
static void test_empty_block_spam(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t lifetime_ms = cluster->params.chunk_lifetime_ms;
    const struct dsmr_block *tip = cluster->chain[1];
    assert_int_equal(judge(cluster, tip, tip->time_ms + lifetime_ms - 1, NULL, 0),
                     DSMR_ERR_BLOCK_EMPTY);
    assert_int_equal(judge(cluster, tip, tip->time_ms + lifetime_ms, NULL, 0), DSMR_OK);
    struct dsmr_cert cert = cert_at(cluster, 3, tip->time_ms / cluster->params.slot_ms);
    assert_int_equal(judge(cluster, tip, tip->time_ms, &cert, 1), DSMR_ERR_BLOCK_TIME);
    assert_int_equal(judge(cluster, tip, tip->time_ms + 1, &cert, 1), DSMR_OK);
    /* An honest builder that holds nothing makes no empty block, though verifiers would take it. */
    assert_int_equal(cluster_build(cluster, 0, &tip->id, 0, NULL), DSMR_ERR_NOTHING_TO_BUILD);
    cluster_free(cluster);
}

/* 9.1, 9.2, 9.4: height, gap and the limits of a block, each at its border. */
static void tune_small_blocks(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.block_certs_max = 20;
    config->params.block_txs_max = 4096;
    config->params.block_payload_bytes_max = 1u << 20;
    config->params.min_block_gap_ms = 50;
}

/* Certificates for count chunks of these sizes, whatever was in them. */
static void certs_of_size(struct cluster *cluster, struct dsmr_cert *certs, uint32_t count,
                          uint32_t txs, uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_cert cert = cert_at(cluster, 3, cluster_slot(cluster) - i);
        cert.ref.tx_count = txs;
        cert.ref.chunk_bytes = bytes;
        certs[i] = cluster_forge_cert(cluster, &cert.ref, quorum, 3);
    }
}

static void test_limits_of_a_block(void **state)
{
    (void)state;
    struct dsmr_cert certs[21];
    struct cluster_config config = {.nodes = 4, .seed = 33, .tune = tune_small_blocks};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    const struct dsmr_block *tip = cluster->chain[1];
    certs_of_size(cluster, certs, 21, 1, 500);
    assert_int_equal(judge(cluster, tip, 0, certs, 20), DSMR_OK);
    assert_int_equal(judge(cluster, tip, 0, certs, 21), DSMR_ERR_BLOCK_LIMIT);
    certs_of_size(cluster, certs, 5, 1024, 60000);
    assert_int_equal(judge(cluster, tip, 0, certs, 4), DSMR_OK);
    assert_int_equal(judge(cluster, tip, 0, certs, 5), DSMR_ERR_BLOCK_LIMIT);
    certs_of_size(cluster, certs, 17, 1, 64u << 10);
    assert_int_equal(judge(cluster, tip, 0, certs, 16), DSMR_OK);
    assert_int_equal(judge(cluster, tip, 0, certs, 17), DSMR_ERR_BLOCK_LIMIT);
    struct dsmr_cert cert = cert_at(cluster, 2, tip->time_ms / cluster->params.slot_ms);
    assert_int_equal(judge(cluster, tip, tip->time_ms + 49, &cert, 1), DSMR_ERR_BLOCK_TIME);
    assert_int_equal(judge(cluster, tip, tip->time_ms + 50, &cert, 1), DSMR_OK);
    for (int64_t off = -1; off <= 1; off++) {
        struct dsmr_block *block = NULL;
        struct dsmr_block fields = *tip;
        fields.parent_id = tip->id;
        fields.height = (uint64_t)((int64_t)tip->height + 1 + off);
        fields.time_ms = cluster_wall_ms(cluster);
        fields.certs = &cert;
        fields.certs_count = 1;
        assert_int_equal(dsmr_block_build(&block, &cluster->params, &fields), DSMR_OK);
        assert_int_equal(cluster_verify(cluster, 0, block, 0),
                         off == 0 ? DSMR_OK : DSMR_ERR_BAD_HEIGHT);
        dsmr_block_unref(block);
    }
    cluster_free(cluster);
}

/* 8.1, 8.2: what a builder makes of more than fits is within the limits, too. */
static void test_builder_keeps_the_limits(void **state)
{
    (void)state;
    struct dsmr_cert certs[21];
    struct cluster_config config = {.nodes = 4, .seed = 34, .tune = tune_small_blocks};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    certs_of_size(cluster, certs, 21, 1000, 64u << 10);
    for (uint32_t i = 0; i < 21; i++) {
        struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE, .u.certificate = certs[i]};
        cluster_send(cluster, 3, 0, &msg);
    }
    cluster_run(cluster, 100);
    struct dsmr_block *parent = dsmr_block_ref(cluster->chain[1]);
    uint32_t total = 0;
    for (uint32_t i = 0; i < 6; i++) {
        struct dsmr_block *block = NULL;
        assert_int_equal(cluster_build(cluster, 0, &parent->id, 0, &block), DSMR_OK);
        assert_int_equal(block->certs_count, i < 5 ? 4 : 1);
        assert_true(block->time_ms >= parent->time_ms + 50);
        assert_true(block->time_ms <= cluster_wall_ms(cluster));
        assert_int_equal(cluster_verify(cluster, 1, block, 0), DSMR_OK);
        total += block->certs_count;
        dsmr_block_unref(parent);
        parent = block;
    }
    assert_int_equal(total, 21);
    dsmr_block_unref(parent);
    cluster_free(cluster);
}

static bool no_requests(struct cluster *cluster, uint32_t from, uint32_t to,
                        const struct dsmr_msg *msg)
{
    (void)cluster, (void)from, (void)to;
    return msg->type != DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE;
}

/* 8.3, 8.4: when the engine hears that there is something to build: at once without an epoch; a
 * second after the parent, and then ever more rarely, for what cannot be included, until the parent
 * is a lifetime old and the block may be empty. */
static void test_something_to_build(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 35, .is_manual = true};
    struct cluster *cluster = cluster_new(&config);
    struct dsmr_block *first = NULL;
    cluster_run(cluster, 10);
    assert_true(cluster->nodes[0].is_ready);
    assert_int_equal(cluster_build(cluster, 0, &cluster->genesis->id, 0, &first), DSMR_OK);
    assert_int_equal(judge_and_accept(cluster, first), DSMR_OK);
    uint64_t again_ms = first->time_ms + cluster->params.chunk_lifetime_ms;
    cluster->passes = no_requests;
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, first->time_ms + 999 - cluster_wall_ms(cluster));
    assert_false(cluster->nodes[0].is_ready);
    uint32_t asked = 0;
    while (cluster_wall_ms(cluster) < again_ms) {
        if (cluster->nodes[0].is_ready) {
            asked++;
            assert_int_equal(cluster_build(cluster, 0, &first->id, 0, NULL),
                             DSMR_ERR_NOTHING_TO_BUILD);
        }
        cluster_run(cluster, 10);
    }
    assert_in_range(asked, 3, 12);
    while (!cluster->nodes[0].is_ready) {
        cluster_run(cluster, 10);
    }
    assert_true(cluster_wall_ms(cluster) < again_ms + 50); /* the backoff does not sleep over it */
    struct dsmr_block *empty = NULL;
    assert_int_equal(cluster_build(cluster, 0, &first->id, 0, &empty), DSMR_OK);
    assert_int_equal(empty->certs_count, 0);
    assert_int_equal(judge_and_accept(cluster, empty), DSMR_OK);
    assert_false(cluster->nodes[1].is_ready); /* it holds nothing */
    dsmr_block_unref(first);
    dsmr_block_unref(empty);
    cluster_free(cluster);
}

/* 36: the engine rejects a block: its certificates are free again, in their old order. */
static void test_fork_and_reorg_of_processing(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_cert certs[3];
    for (uint32_t i = 0; i < 3; i++) {
        certs[i] = cert_at(cluster, 3, slot - 2 + i);
        struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE, .u.certificate = certs[i]};
        cluster_send(cluster, 3, 0, &msg);
        cluster_run(cluster, 20);
    }
    struct dsmr_block *lost = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &certs[0], 2);
    assert_int_equal(cluster_verify(cluster, 0, lost, 0), DSMR_OK);
    struct dsmr_event event = {.kind = DSMR_EV_PREFER, .u.engine.block_id = lost->id};
    cluster_event(cluster, 0, &event);
    cluster_run(cluster, 5);
    struct dsmr_block *child = NULL;
    assert_int_equal(cluster_build(cluster, 0, &lost->id, 0, &child), DSMR_OK);
    assert_int_equal(child->certs_count, 1); /* not what the ancestor has */
    struct dsmr_event child_gone = {.kind = DSMR_EV_REJECT, .u.engine.block_id = child->id};
    cluster_event(cluster, 0, &child_gone);
    struct dsmr_event gone = {.kind = DSMR_EV_REJECT, .u.engine.block_id = lost->id};
    cluster_event(cluster, 0, &gone);
    cluster_run(cluster, 5);
    assert_true(cluster->nodes[0].is_ready);
    struct dsmr_block *next = NULL;
    assert_int_equal(cluster_build(cluster, 0, &cluster->chain[1]->id, 0, &next), DSMR_OK);
    assert_int_equal(next->certs_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(dsmr_id_equal(&next->certs[i].ref.chunk_id, &certs[i].ref.chunk_id));
    }
    assert_int_equal(cluster_accept(cluster, 0, lost), DSMR_ERR_UNKNOWN);
    dsmr_block_unref(lost);
    dsmr_block_unref(child);
    dsmr_block_unref(next);
    cluster_free(cluster);
}

/* 39: parents that nobody knows, and deep chains of processing blocks. */
static void test_unknown_ancestry(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_cert cert = cert_at(cluster, 3, slot);
    struct dsmr_block *blocks[300];
    blocks[0] = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &cert, 1);
    struct dsmr_cert next = cert_at(cluster, 2, slot);
    struct dsmr_block *orphan = cluster_forge_block(cluster, blocks[0], 0, 0, &next, 1);
    assert_int_equal(cluster_verify(cluster, 0, orphan, 0), DSMR_ERR_UNKNOWN_PARENT);
    assert_int_equal(cluster_verify(cluster, 0, blocks[0], 0), DSMR_OK);
    uint32_t count = 1;
    enum dsmr_err err = DSMR_OK;
    while (err == DSMR_OK && count < 300) {
        cert = cert_at(cluster, 1, slot - count);
        blocks[count] = cluster_forge_block(cluster, blocks[count - 1], 0, 0, &cert, 1);
        err = cluster_verify(cluster, 0, blocks[count++], 0);
    }
    assert_int_equal(err, DSMR_ERR_BUSY);
    assert_int_equal(count, DSMR_PROCESSING_BLOCKS_MAX + 1);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cluster_accept(cluster, 0, blocks[i]), DSMR_OK);
    }
    for (uint32_t i = 0; i < count; i++) {
        dsmr_block_unref(blocks[i]);
    }
    dsmr_block_unref(orphan);
    cluster_free(cluster);
}

/* One block under several contexts: the wrong ones do not make it forgotten, and NOT_YET is never
 * remembered. */
static void test_contexts(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_cert cert = cert_at(cluster, 3, cluster_slot(cluster));
    struct dsmr_block *block = cluster_forge_block(cluster, cluster->chain[1], 0, 0, &cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, block, DSMR_EPOCH_NONE), DSMR_ERR_NOT_YET);
    assert_int_equal(cluster_verify(cluster, 0, block, 4), DSMR_ERR_EPOCH_NOT_ALLOWED);
    assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
    assert_int_equal(cluster_verify(cluster, 0, block, 4), DSMR_ERR_EPOCH_NOT_ALLOWED);
    assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
    assert_int_equal(cluster->nodes[0].cert_verifies, 1);
    assert_int_equal(cluster_accept(cluster, 0, block), DSMR_OK);
    assert_int_equal(cluster_accept(cluster, 0, block), DSMR_OK); /* idempotent */
    dsmr_block_unref(block);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dup_cert_in_block),
        cmocka_unit_test(test_dup_cert_in_ancestor),
        cmocka_unit_test(test_expired_cert_in_block),
        cmocka_unit_test(test_expiry_race_deciding),
        cmocka_unit_test(test_expiry_is_by_chain_time),
        cmocka_unit_test(test_time_warp),
        cmocka_unit_test(test_time_warp_expires_nobody),
        cmocka_unit_test(test_idle_then_build),
        cmocka_unit_test(test_empty_block_spam),
        cmocka_unit_test(test_something_to_build),
        cmocka_unit_test(test_limits_of_a_block),
        cmocka_unit_test(test_builder_keeps_the_limits),
        cmocka_unit_test(test_fork_and_reorg_of_processing),
        cmocka_unit_test(test_unknown_ancestry),
        cmocka_unit_test(test_contexts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
