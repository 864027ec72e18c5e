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

enum lie { OTHER_CHUNK, FAKE_BODY, TRUNCATED, HUGE_ONE, UNKNOWN_IT, PRUNED_IT, TOO_LATE, CROSSED };

struct story {
    bool first_lies;   /* whoever is asked first lies */
    uint32_t liars;    /* bit i: node i answers a fetch with what lie() makes */
    uint32_t silent;   /* bit i: node i does not answer fetches */
    uint32_t without;  /* bit i: node i never gets a chunk from its producer */
    uint32_t asked[8]; /* fetch requests of node 0, by whom they went to */
    enum lie lie;
    struct dsmr_chunk *other;
};

/* The other chunk that node 0 lacks: node 1 and node 2 made one each. */
static const struct cluster_stored *crossed(struct cluster *cluster, const struct dsmr_id *asked)
{
    for (uint32_t i = 0; i < cluster->nodes[3].disk.chunks_count; i++) {
        const struct cluster_stored *stored = &cluster->nodes[3].disk.chunks[i];
        if (!dsmr_id_equal(&stored->ref.chunk_id, asked)) {
            return stored;
        }
    }
    return NULL;
}

static void tell_lie(struct cluster *cluster, uint32_t from, const struct dsmr_msg *msg)
{
    struct story *story = cluster->ctx;
    static uint8_t copy[128 << 10];
    struct dsmr_msg out = {.type = DSMR_MSG_CHUNK};
    out.u.chunk.chunk_id = msg->u.request_chunk.chunk_id;
    out.u.chunk.chunk = copy;
    uint64_t delay_ms = 0;
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
    case PRUNED_IT:
        out.u.chunk.err = story->lie == PRUNED_IT ? DSMR_ERR_PRUNED : DSMR_ERR_UNKNOWN;
        out.u.chunk.chunk = NULL;
        break;
    case TOO_LATE: /* the truth, when nobody waits for it any more */
        out.u.chunk.chunk = stored->bytes->bytes;
        out.u.chunk.chunk_len = stored->bytes->len;
        delay_ms = 1000;
        break;
    case CROSSED: /* what was asked for, as the answer to another request */
        out.u.chunk.chunk_id = crossed(cluster, &out.u.chunk.chunk_id)->ref.chunk_id;
        out.u.chunk.chunk = stored->bytes->bytes;
        out.u.chunk.chunk_len = stored->bytes->len;
        break;
    }
    uint64_t usual_ms = cluster->delay_ms;
    cluster->delay_ms = delay_ms > 0 ? delay_ms : usual_ms;
    cluster_send(cluster, from, 0, &out);
    cluster->delay_ms = usual_ms;
}

static bool passes(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    struct story *story = cluster->ctx;
    if ((story->without >> to & 1u) != 0 && msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        return false;
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

static struct cluster *start(struct story *story, uint32_t nodes, uint64_t seed)
{
    struct cluster_config config = {.nodes = nodes, .seed = seed};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    story->without |= 1; /* node 0 never gets a chunk from its producer */
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

static uint64_t fetch_failures(const struct cluster *cluster)
{
    return cluster->nodes[0].metrics.values[DSMR_METRIC_FETCH_FAILURES];
}

/* One wrong answer: it is counted, its sender scored, and the next signer asked. verifies: chunks
 * that were worth a worker's time, the true one included. */
static void check_lie(enum lie lie, enum dsmr_err expected, uint32_t verifies)
{
    struct story story = {.first_lies = true, .lie = lie};
    struct cluster *cluster = start(&story, 4, 41);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_true(cluster_is_level(cluster));
    assert_int_equal(cluster_metric_errors(cluster, 0, expected), 1);
    assert_int_equal(cluster->nodes[0].faults, 1);
    assert_int_equal(cluster->nodes[0].last_fault, expected);
    assert_int_equal(cluster->nodes[0].chunk_verifies, verifies);
    assert_int_equal(story.asked[1] + story.asked[2] + story.asked[3], 2);
    assert_int_equal(fetch_failures(cluster), 1);
    finish(&story, cluster);
}

/* 40 */
static void test_fetch_wrong_chunk(void **state)
{
    (void)state;
    check_lie(OTHER_CHUNK, DSMR_ERR_REFERENCE_MISMATCH, 1); /* judged by header and length */
    check_lie(TRUNCATED, DSMR_ERR_MALFORMED, 1);
    check_lie(HUGE_ONE, DSMR_ERR_TOO_LARGE, 1);
}

/* 40: an answer that comes after the deadline of its request is too late, and nobody's fault. */
static void test_fetch_too_slow(void **state)
{
    (void)state;
    struct story story = {.first_lies = true, .lie = TOO_LATE};
    struct cluster *cluster = start(&story, 4, 41);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 600); /* the deadline is 200 ms */
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_TIMEOUT), 1);
    assert_int_equal(fetch_failures(cluster), 1);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_UNEXPECTED), 1);
    assert_int_equal(cluster->nodes[0].faults, 0);
    assert_int_equal(story.asked[1] + story.asked[2] + story.asked[3], 2);
    finish(&story, cluster);
}

/* 40: two fetches at once, and two of three peers answer each with the bytes of the other. Neither
 * answer is taken for what it is not. */
static void test_fetch_crossed_answers(void **state)
{
    (void)state;
    uint64_t mismatches = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct story story = {.liars = 1u << 1 | 1u << 2, .lie = CROSSED};
        struct cluster *cluster = start(&story, 4, seed);
        cluster_submit(cluster, 1, 1, 100);
        cluster_submit(cluster, 2, 1, 100);
        cluster_run(cluster, 3000);
        assert_int_equal(cluster_executed_txs(cluster, 0), 2);
        assert_true(cluster_is_level(cluster));
        assert_int_equal(cluster->nodes[0].chunk_verifies, 2);
        assert_true(cluster->nodes[0].faults > 0);
        mismatches += cluster_metric_errors(cluster, 0, DSMR_ERR_REFERENCE_MISMATCH);
        finish(&story, cluster);
    }
    assert_true(mismatches > 0); /* the liar was asked for both */
}

/* 90 */
static void test_fake_body(void **state)
{
    (void)state;
    check_lie(FAKE_BODY, DSMR_ERR_BODY_MISMATCH,
              2); /* the header is true: a worker hashes the body */
}

/* 41: of seven, five signed; f + 1 of them hold the chunk, the others refuse. Whoever did not sign
 * is not asked while a signer is left. */
static void test_fetch_all_random_fail(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct story story = {
            .without = 1u << 6, .liars = 1u << 2 | 1u << 3 | 1u << 6, .lie = UNKNOWN_IT};
        struct cluster *cluster = start(&story, 7, seed);
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 1000);
        assert_int_equal(cluster_executed_txs(cluster, 0), 1);
        uint32_t asked = 0;
        for (uint32_t i = 1; i <= 5; i++) {
            asked += story.asked[i];
            assert_in_range(story.asked[i], 0, 1);
        }
        assert_in_range(asked, 1, 3); /* both liars first, at worst */
        assert_int_equal(story.asked[6], 0);
        assert_int_equal(fetch_failures(cluster), asked - 1);
        assert_int_equal(cluster->nodes[0].faults, 0); /* unknown is a normal answer */
        finish(&story, cluster);
    }
}

/* 41: silence in the place of refusals: a timeout each, bounded, never one peer for ever. */
static void test_fetch_most_are_silent(void **state)
{
    (void)state;
    struct story story = {
        .liars = 1u << 2 | 1u << 3, .silent = 1u << 4 | 1u << 5, .lie = UNKNOWN_IT};
    struct cluster *cluster = start(&story, 7, 41);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 5000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    uint32_t asked = 0;
    for (uint32_t i = 0; i < 8; i++) {
        asked += story.asked[i];
        assert_true(story.asked[i] <= 4);
    }
    assert_true(asked <= 12);
    assert_int_equal(cluster->nodes[0].faults, 0);
    finish(&story, cluster);
}

/* 10.2: when no signer has it any more, whoever else has it is asked in the same round. */
static void test_fetch_from_anyone(void **state)
{
    (void)state;
    struct story story = {.without = 1u << 6, .liars = 0x3e, .lie = UNKNOWN_IT}; /* 1 to 5 signed */
    struct cluster *cluster = start(&story, 7, 41);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 1000);
    assert_int_equal(cluster_executed_txs(cluster, 6), 1); /* node 6 fetched it from them in time */
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_int_equal(story.asked[6], 1);
    finish(&story, cluster);
}

/* Nobody answers at first: bounded requests, and consensus goes on. */
static void test_fetch_is_bounded(void **state)
{
    (void)state;
    struct story story = {.silent = 0xff};
    struct cluster *cluster = start(&story, 4, 41);
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

static bool needs_state_sync(const struct cluster *cluster)
{
    struct dsmr_node_status status;
    dsmr_node_status(cluster->nodes[0].node, &status);
    assert_int_equal(dsmr_metrics_get(&cluster->nodes[0].metrics, DSMR_METRIC_STATE_SYNC_NEEDED),
                     status.needs_state_sync);
    return status.needs_state_sync;
}

/* 53, at the one who fetches: a third of the weight cannot make it believe that a chunk is gone;
 * more can, and the silence of the rest does not hide it. It goes on asking, rarely. */
static void test_pruned_by_too_many(void **state)
{
    (void)state;
    struct story story = {.liars = 1u << 3, .silent = 1u << 1 | 1u << 2, .lie = PRUNED_IT};
    struct cluster *cluster = start(&story, 4, 53);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 10000);
    assert_true(story.asked[3] > 2);
    assert_false(needs_state_sync(cluster));
    story.liars |= 1u << 1;
    cluster_run(cluster, 10000);
    assert_true(needs_state_sync(cluster));
    assert_true(cluster->nodes[0].traces[DSMR_TRACE_CHUNK_PRUNED] == 1);
    assert_int_equal(cluster->nodes[0].faults, 0);
    uint32_t before = story.asked[1] + story.asked[2] + story.asked[3];
    cluster_run(cluster, 10 * cluster->params.chunk_lifetime_ms);
    uint32_t asked = story.asked[1] + story.asked[2] + story.asked[3] - before;
    assert_in_range(asked, 24, 36); /* each of three, every thirty seconds */
    story.silent = 0;               /* one has it after all */
    cluster_run(cluster, cluster->params.chunk_lifetime_ms + 5000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    assert_false(needs_state_sync(cluster));
    finish(&story, cluster);
}

/* A chunk that was not asked for, and an answer of somebody who was not asked. */
static void test_unexpected_chunk(void **state)
{
    (void)state;
    struct story story = {.silent = 0xff};
    struct cluster *cluster = start(&story, 4, 41);
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

static uint16_t served; /* how node 2 answered a fetch: its error, 0: with the chunk */
static bool watch_served(struct cluster *cluster, uint32_t from, uint32_t to,
                         const struct dsmr_msg *msg)
{
    (void)cluster;
    (void)to;
    served = from == 2 && msg->type == DSMR_MSG_CHUNK ? msg->u.chunk.err : served;
    return true;
}

static void ask_node_2(struct cluster *cluster, const struct dsmr_chunk *chunk)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK};
    msg.u.request_chunk.chunk_id = chunk->ref.chunk_id;
    cluster_send(cluster, 3, 2, &msg);
    cluster_run(cluster, 50);
}

static void lose_bytes(struct cluster_stored *stored)
{
    dsmr_buf_unref(stored->bytes);
    stored->bytes = NULL;
}

/* 44: node 2's store lost the bytes of a chunk that it has promised to keep. It says so, and signs
 * again only what it holds again: the cluster's signer looks at the disk. */
static void test_digest_without_bytes(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 42};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    cluster->passes = watch_served;
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 1, cluster_slot(cluster), 0, 1);
    cluster_send_chunk_request(cluster, 1, 2, chunk, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[2].signs, 1);
    ask_node_2(cluster, chunk);
    assert_int_equal(served, DSMR_OK);
    struct cluster_disk *disk = &cluster->nodes[2].disk;
    lose_bytes(&disk->chunks[0]);
    cluster_crash(cluster, 2); /* forgets the body in memory too */
    cluster_start(cluster, 2);
    cluster_run(cluster, 50);
    ask_node_2(cluster, chunk);
    assert_int_equal(served, DSMR_ERR_UNKNOWN);
    assert_int_equal(cluster->nodes[2].signs, 1);
    cluster_send_chunk_request(cluster, 1, 2, chunk, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[2].chunk_verifies, 2);
    assert_int_equal(cluster->nodes[2].signs, 2);
    ask_node_2(cluster, chunk);
    assert_int_equal(served, DSMR_OK);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

/* 44: the loss is found when an accepted block wants the chunk: it is fetched from another signer.
 * The record is there in the one case, and gone in the other. */
static void test_accepted_without_bytes(void **state)
{
    (void)state;
    for (uint32_t is_seen = 0; is_seen < 2; is_seen++) {
        struct cluster_config config = {.nodes = 4, .seed = 42};
        struct cluster *cluster = cluster_new(&config);
        cluster_run(cluster, 3000);
        cluster->is_engine_stopped = true;
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 100);
        struct cluster_disk *disk = &cluster->nodes[2].disk;
        assert_int_equal(disk->chunks_count, 1);
        cluster_crash(cluster, 2);
        if (is_seen == 0) {
            cluster_start(cluster, 2);
        }
        lose_bytes(&disk->chunks[0]);
        if (is_seen == 1) {
            cluster_start(cluster, 2);
        }
        cluster->is_engine_stopped = false;
        cluster_wake_engine(cluster, 0);
        cluster_run(cluster, 3000);
        assert_int_equal(cluster_executed_txs(cluster, 2), 1);
        assert_int_equal(cluster->nodes[2].traces[DSMR_TRACE_CHUNK_FETCHED], 1);
        assert_int_equal(cluster_metric_errors(cluster, 2, DSMR_ERR_UNKNOWN), 1 - is_seen);
        assert_non_null(disk->chunks[0].bytes);
        assert_true(cluster_is_level(cluster));
        cluster_free(cluster);
    }
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
        cmocka_unit_test(test_fetch_wrong_chunk),      cmocka_unit_test(test_fetch_too_slow),
        cmocka_unit_test(test_fetch_crossed_answers),  cmocka_unit_test(test_fake_body),
        cmocka_unit_test(test_fetch_all_random_fail),  cmocka_unit_test(test_fetch_most_are_silent),
        cmocka_unit_test(test_fetch_from_anyone),      cmocka_unit_test(test_fetch_is_bounded),
        cmocka_unit_test(test_unexpected_chunk),       cmocka_unit_test(test_digest_without_bytes),
        cmocka_unit_test(test_accepted_without_bytes), cmocka_unit_test(test_fetch_amplification),
        cmocka_unit_test(test_pruned_by_too_many),     cmocka_unit_test(test_away_for_300_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
