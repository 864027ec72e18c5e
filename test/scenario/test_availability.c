/* Scenarios D of the adversaries' list: fetch and availability. Node 0 lacks a chunk that an
 * accepted block names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/cluster.h"
#include "wire/codec.h"

struct story {
    bool first_lies;   /* whoever is asked first lies */
    uint32_t liars;    /* bit i: node i answers a fetch with what lie() makes */
    uint32_t silent;   /* bit i: node i does not answer fetches */
    uint32_t asked[8]; /* fetch requests of node 0, by whom they went to */
    enum lie { OTHER_CHUNK, FAKE_BODY, TRUNCATED, HUGE_ONE, UNKNOWN_IT } lie;
    struct dsmr_chunk *other;
};

static void tell_lie(struct cluster *cluster, uint32_t from, const struct dsmr_msg *msg)
{
    struct story *story = cluster->ctx;
    static uint8_t copy[128 << 10];
    struct dsmr_msg out = {.type = DSMR_MSG_CHUNK};
    out.u.chunk.chunk_id = msg->u.request_chunk.chunk_id;
    out.u.chunk.chunk = copy;
    struct cluster_stored *stored =
        cluster_disk_find(&cluster->nodes[from].disk, &msg->u.request_chunk.chunk_id);
    switch (story->lie) {
    case OTHER_CHUNK: /* valid, but not what was asked for */
        out.u.chunk.chunk = story->other->bytes;
        out.u.chunk.chunk_len = story->other->ref.chunk_bytes;
        break;
    case FAKE_BODY: /* 90: the true header, another body */
        memcpy(copy, stored->bytes->bytes, stored->bytes->len);
        copy[stored->bytes->len - 1] ^= 1;
        out.u.chunk.chunk_len = stored->bytes->len;
        break;
    case TRUNCATED:
        memcpy(copy, stored->bytes->bytes, stored->bytes->len);
        out.u.chunk.chunk_len = stored->bytes->len - 1;
        break;
    case HUGE_ONE:
        memset(copy, 1, sizeof(copy));
        memcpy(copy, stored->bytes->bytes, stored->bytes->len);
        out.u.chunk.chunk_len = sizeof(copy);
        break;
    case UNKNOWN_IT:
        out.u.chunk.err = DSMR_ERR_UNKNOWN;
        out.u.chunk.chunk = NULL;
        break;
    }
    cluster_send(cluster, from, 0, &out);
}

static bool passes(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    struct story *story = cluster->ctx;
    if (to == 0 && msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        return false; /* node 0 never gets a chunk from its producer */
    }
    if (from != 0 || msg->type != DSMR_MSG_REQUEST_CHUNK) {
        return true;
    }
    if (story->first_lies) {
        story->first_lies = false;
        story->liars |= 1u << to;
    }
    story->asked[to]++;
    if ((story->liars >> to & 1u) != 0) {
        tell_lie(cluster, to, msg);
        return false;
    }
    return (story->silent >> to & 1u) == 0;
}

static struct cluster *start(struct story *story, uint32_t nodes)
{
    struct cluster_config config = {.nodes = nodes, .seed = 41};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->ctx = story;
    cluster->passes = passes;
    story->other = cluster_forge_chunk(cluster, 2, cluster_slot(cluster), 0, 3);
    return cluster;
}

static void finish(struct story *story, struct cluster *cluster)
{
    dsmr_chunk_unref(story->other);
    cluster_free(cluster);
}

/* One wrong answer; it is counted, and the next signer is asked. */
static void check_lie(enum lie lie, enum dsmr_err expected)
{
    struct story story = {.first_lies = true, .lie = lie};
    struct cluster *cluster = start(&story, 4);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_true(cluster_is_level(cluster));
    assert_int_equal(cluster_metric_errors(cluster, 0, expected), 1);
    assert_int_equal(cluster->nodes[0].last_fault, expected);
    assert_int_equal(story.asked[1] + story.asked[2] + story.asked[3], 2);
    finish(&story, cluster);
}

/* 40 */
static void test_fetch_wrong_chunk(void **state)
{
    (void)state;
    check_lie(OTHER_CHUNK, DSMR_ERR_REFERENCE_MISMATCH);
    check_lie(TRUNCATED, DSMR_ERR_MALFORMED);
    check_lie(HUGE_ONE, DSMR_ERR_TOO_LARGE);
}

/* 90 */
static void test_fake_body(void **state)
{
    (void)state;
    check_lie(FAKE_BODY, DSMR_ERR_BODY_MISMATCH);
}

/* 41: of seven, only f + 1 honest signers hold it and the others refuse or are silent. */
static void test_fetch_all_random_fail(void **state)
{
    (void)state;
    struct story story = {
        .liars = 1u << 2 | 1u << 3, .silent = 1u << 4 | 1u << 5, .lie = UNKNOWN_IT};
    struct cluster *cluster = start(&story, 7);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 5000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    uint32_t asked = 0;
    for (uint32_t i = 0; i < 8; i++) {
        asked += story.asked[i];
        assert_true(story.asked[i] <= 4); /* never one peer for ever */
    }
    assert_true(asked <= 12);
    assert_int_equal(cluster->nodes[0].faults, 0); /* unknown is a normal answer */
    finish(&story, cluster);
}

/* Nobody answers at first: bounded requests, and consensus goes on. */
static void test_fetch_is_bounded(void **state)
{
    (void)state;
    struct story story = {.silent = 0xff};
    struct cluster *cluster = start(&story, 4);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 60000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 0);
    assert_int_equal(cluster_executed_txs(cluster, 2), 1);
    uint64_t asked = story.asked[1] + story.asked[2] + story.asked[3];
    assert_in_range(asked, 10, 150);
    cluster_submit(cluster, 2, 1, 100);
    cluster_run(cluster, 2000);
    assert_int_equal(cluster->nodes[0].disk.accepted_height, cluster->chain_height);
    story.silent = 0;
    cluster_run(cluster, 10000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 2);
    finish(&story, cluster);
}

/* A chunk that was not asked for, and an answer of somebody who was not asked. */
static void test_unexpected_chunk(void **state)
{
    (void)state;
    struct story story = {.silent = 0xff};
    struct cluster *cluster = start(&story, 4);
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK};
    msg.u.chunk.chunk_id = story.other->ref.chunk_id;
    msg.u.chunk.chunk = story.other->bytes;
    msg.u.chunk.chunk_len = story.other->ref.chunk_bytes;
    uint32_t writes = cluster->nodes[0].disk.writes;
    cluster_send(cluster, 2, 0, &msg);
    cluster_run(cluster, 100);
    assert_int_equal(cluster->nodes[0].disk.writes, writes);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_UNEXPECTED), 1);
    finish(&story, cluster);
}

/* 44: node 2's store lost the bytes of a chunk that it has promised to keep. */
static void test_digest_without_bytes(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 42};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 100);
    struct cluster_disk *disk = &cluster->nodes[2].disk;
    assert_int_equal(disk->chunks_count, 1);
    dsmr_buf_unref(disk->chunks[0].bytes);
    disk->chunks[0].bytes = NULL;
    cluster_crash(cluster, 2); /* forgets the body in memory too */
    cluster_start(cluster, 2);
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster_executed_txs(cluster, 2), 1); /* fetched from another signer */
    assert_non_null(disk->chunks[0].bytes);
    assert_true(cluster_is_level(cluster));
    cluster_free(cluster);
}

/* 42: one peer asks for the same chunk without end; the others are served. */
static uint64_t chunks_sent_to[4];
static bool count_chunks(struct cluster *cluster, uint32_t from, uint32_t to,
                         const struct dsmr_msg *msg)
{
    (void)cluster;
    chunks_sent_to[to] += from == 0 && msg->type == DSMR_MSG_CHUNK && msg->u.chunk.err == 0;
    return true;
}

static void test_fetch_amplification(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 43};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster_submit(cluster, 1, 1, 60000);
    cluster_run(cluster, 500);
    memset(chunks_sent_to, 0, sizeof(chunks_sent_to));
    cluster->passes = count_chunks;
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK};
    msg.u.request_chunk.chunk_id = cluster->nodes[0].disk.chunks[0].ref.chunk_id;
    for (uint32_t i = 0; i < 2000; i++) {
        cluster_send(cluster, 3, 0, &msg);
    }
    cluster_run(cluster, 50);
    cluster_send(cluster, 2, 0, &msg);
    cluster_run(cluster, 50);
    assert_in_range(chunks_sent_to[3], 50, 200);
    assert_int_equal(chunks_sent_to[2], 1);
    cluster_send(cluster, 9, 0, &msg); /* not a validator: nothing */
    cluster_run(cluster, 50);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_NOT_VALIDATOR), 1);
    cluster_free(cluster);
}

/* A node that was away while 300 chunks were included fetches them all, within its window. */
static void test_away_for_300_chunks(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 44};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster_crash(cluster, 0);
    for (uint32_t round = 0; round < 120; round++) {
        for (uint32_t i = 1; i < 4; i++) {
            cluster_submit(cluster, i, 2, 2000);
        }
        cluster_run(cluster, 100);
    }
    cluster_run(cluster, 2000);
    cluster_start(cluster, 0);
    cluster_run(cluster, 30000);
    assert_true(cluster->nodes[0].traces[DSMR_TRACE_CHUNK_FETCHED] >= 300);
    assert_true(cluster_is_level(cluster));
    assert_int_equal(cluster_executed_txs(cluster, 0), 720);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch_wrong_chunk),     cmocka_unit_test(test_fake_body),
        cmocka_unit_test(test_fetch_all_random_fail), cmocka_unit_test(test_fetch_is_bounded),
        cmocka_unit_test(test_unexpected_chunk),      cmocka_unit_test(test_digest_without_bytes),
        cmocka_unit_test(test_fetch_amplification),   cmocka_unit_test(test_away_for_300_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
