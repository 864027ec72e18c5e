/* The quota of signed bytes (protocol.md, 6.5): scenarios 8 and 9 of the adversaries' list. Node 3
 * is the producer; its own node is silent and the test speaks for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cluster_seen.h"

#define QUOTA_CHUNKS 4u
#define PLACES 4u

static void tune_small_quota(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.chunk_bytes_max = QUOTA_CHUNKS * 4096u; /* no chunk counts less than 4 KiB */
    config->params.pending_bytes_max = QUOTA_CHUNKS * 4096u;
}

/* 11.1: what expired before a crash, and is on the disk yet, frees its quota without a block. */
static void test_expired_before_start(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, tune_small_quota);
    uint64_t slot = cluster_slot(cluster);
    for (uint32_t i = 0; i < QUOTA_CHUNKS; i++) {
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot - i, 0, 1);
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
        dsmr_chunk_unref(chunk);
    }
    cluster_run(cluster, 50);
    assert_int_equal(cluster_pending_bytes(cluster, 0), QUOTA_CHUNKS * 4096u);
    cluster->nodes[0].fail_gcs = UINT32_MAX;
    cluster_run(cluster, cluster->params.chunk_lifetime_ms + 1000);
    cluster_submit(cluster, 1, 1, 100); /* chain time goes on */
    cluster_run(cluster, 2000);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0);
    cluster->is_engine_stopped = true;
    cluster_crash(cluster, 0);
    cluster_start(cluster, 0);
    assert_int_equal(cluster_pending_bytes(cluster, 0), QUOTA_CHUNKS * 4096u);
    cluster_run(cluster, 2000);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0);
    cluster_free(cluster);
}

/* 8: 64 requests at once, for more than the quota together. */
static void test_quota_race(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 11, NULL);
    uint64_t slot = cluster_slot(cluster);
    uint64_t chunk_bytes = 0;
    cluster->is_engine_stopped = true;
    for (uint32_t i = 0; i < 64; i++) {
        struct dsmr_buf *tx = cluster_tx(cluster, 20000, cluster_wall_ms(cluster) + 30000);
        struct dsmr_chunk_header header = {
            .domain = cluster->params.domain, .producer = cluster_node_id(EVIL), .slot = slot - i};
        header.expiry_ms =
            header.slot * cluster->params.slot_ms + cluster->params.chunk_lifetime_ms;
        struct dsmr_chunk *chunk = cluster_forge_chunk_of(cluster, &header, &tx, 1);
        chunk_bytes = chunk->ref.chunk_bytes;
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
        dsmr_buf_unref(tx);
        dsmr_chunk_unref(chunk);
    }
    for (uint32_t i = 0; i < 60; i++) {
        cluster_run(cluster, 1);
        assert_true(cluster_pending_bytes(cluster, 0) <= cluster->params.pending_bytes_max);
    }
    uint64_t fit = cluster->params.pending_bytes_max / chunk_bytes;
    assert_true(fit < 64);
    assert_int_equal(seen.shares, fit);
    assert_int_equal(seen.refusals, 64 - fit);
    assert_int_equal(seen.last_refusal, DSMR_ERR_QUOTA_FULL);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_QUOTA_FULL), 64 - fit);
    assert_int_equal(cluster_pending_bytes(cluster, 0), fit * chunk_bytes);
    cluster_free(cluster);
}

/* 9: fill the quota and get it back a thousand times, by inclusion, by expiry, across restarts. */
static bool is_quota_free(struct cluster *cluster)
{
    return cluster_pending_bytes(cluster, 0) == 0 && cluster_pending_bytes(cluster, 1) == 0 &&
           cluster_pending_bytes(cluster, 2) == 0;
}

/* One chunk more than fits; certificates for those that fit, if it is to be included. */
static void fill_quota(struct cluster *cluster, bool is_included, uint32_t cert_to)
{
    static const uint32_t signers[3] = {0, 1, 2};
    uint64_t slot = cluster_slot(cluster);
    for (uint32_t i = 0; i <= QUOTA_CHUNKS; i++) {
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot - i, 0, 1);
        for (uint32_t to = 0; to < 3; to++) {
            cluster_send_chunk_request(cluster, EVIL, to, chunk, NULL);
        }
        if (is_included && i < QUOTA_CHUNKS) {
            struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
            msg.u.certificate = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
            cluster->delay_ms = 30; /* after the shares */
            cluster_send(cluster, EVIL, cert_to, &msg);
            cluster->delay_ms = 2;
        }
        dsmr_chunk_unref(chunk);
    }
    cluster_run(cluster, 20);
}

/* A hundred times on one chain. */
static void check_no_leak(uint64_t seed)
{
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, seed, tune_small_quota);
    for (uint32_t cycle = 0; cycle < 100; cycle++) {
        fill_quota(cluster, cycle % 5 != 4, cycle % 3); /* every fifth is left to expire */
        assert_int_equal(seen.shares, (cycle + 1) * QUOTA_CHUNKS);
        assert_int_equal(seen.refusals, cycle + 1);
        assert_int_equal(seen.last_refusal, DSMR_ERR_QUOTA_FULL);
        if (cycle % 10 == 3 + seed % 7) {
            cluster_crash(cluster, 0);
            cluster_start(cluster, 0);
        }
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(cluster_pending_bytes(cluster, i), QUOTA_CHUNKS * 4096u);
        }
        cluster_run(cluster, 600); /* past the slots that were used */
        assert_true(cluster_run_until(cluster, is_quota_free, 150000));
    }
    assert_true(cluster->nodes[1].traces[DSMR_TRACE_CHUNK_EXPIRED] >= 20 * QUOTA_CHUNKS);
    cluster_run(cluster, 100);
    assert_true(cluster_is_level(cluster));
    cluster_free(cluster);
}

static void test_quota_slow_leak(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        check_no_leak(seed);
    }
}

/* 6.5: accepted and not executed is bounded too: until the execution has caught up no share is
 * given.
 */
static void tune_small_backlog(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.block_payload_bytes_max = 64u << 10;
    config->params.backlog_bytes_max = 64u << 10;
}

static struct dsmr_chunk *forge_large(struct cluster *cluster)
{
    struct dsmr_buf *tx = cluster_tx(cluster, 50000, cluster_wall_ms(cluster) + 30000);
    struct dsmr_chunk_header header = {.domain = cluster->params.domain,
                                       .producer = cluster_node_id(EVIL),
                                       .slot = cluster_slot(cluster)};
    header.expiry_ms = header.slot * cluster->params.slot_ms + cluster->params.chunk_lifetime_ms;
    struct dsmr_chunk *chunk = cluster_forge_chunk_of(cluster, &header, &tx, 1);
    dsmr_buf_unref(tx);
    return chunk;
}

static void test_backlog(void **state)
{
    (void)state;
    static const uint32_t signers[3] = {0, 1, 2};
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 13, tune_small_backlog);
    cluster->nodes[0].is_exec_held = true;
    for (uint32_t i = 0; i < 2; i++) { /* 50 kB wait for execution, then 100 */
        struct dsmr_chunk *chunk = forge_large(cluster);
        for (uint32_t to = 0; to < 3; to++) {
            cluster_send_chunk_request(cluster, EVIL, to, chunk, NULL);
        }
        cluster_run(cluster, 50);
        struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
        msg.u.certificate = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
        cluster_send(cluster, EVIL, 1, &msg);
        cluster_run(cluster, 200);
        dsmr_chunk_unref(chunk);
    }
    assert_int_equal(seen.shares, 2);
    assert_int_equal(cluster->nodes[0].disk.accepted_height, 3);
    struct dsmr_chunk *third = forge_large(cluster);
    cluster_send_chunk_request(cluster, EVIL, 0, third, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(seen.shares, 2);
    assert_int_equal(seen.last_refusal, DSMR_ERR_BUSY);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0);
    cluster->nodes[0].is_exec_held = false;
    cluster_run(cluster, 50);
    cluster_send_chunk_request(cluster, EVIL, 0, third, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(seen.shares, 3);
    dsmr_chunk_unref(third);
    cluster_free(cluster);
}

/* Places are promised like bytes: two requests at once, and one place. What is stored here is
 * listed here, else it would stay on the disk when it has expired. */
static void tune_few_places(struct dsmr_node_config *config, uint32_t number)
{
    config->tables_max = number == 0 ? PLACES : 0;
}

/* Signed by 1 and 2, included; node 0 has to fetch it. */
static void include_elsewhere(struct cluster *cluster, uint64_t slot)
{
    static const uint32_t signers[3] = {1, 2, EVIL};
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot, 0, 1);
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    cluster_send_chunk_request(cluster, EVIL, 1, chunk, NULL);
    cluster_send_chunk_request(cluster, EVIL, 2, chunk, NULL);
    cluster_run(cluster, 20);
    msg.u.certificate = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    cluster_send(cluster, EVIL, 1, &msg);
    cluster_run(cluster, 500);
    dsmr_chunk_unref(chunk);
}

static uint32_t stored_in_vain(const struct cluster *cluster, uint32_t node)
{
    const struct cluster_disk *disk = &cluster->nodes[node].disk;
    uint32_t count = 0;
    for (uint32_t i = 0; i < disk->chunks_count; i++) {
        count += disk->chunks[i].included_height == UINT64_MAX;
    }
    return count;
}

static void test_places_race(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 14, tune_few_places);
    for (uint64_t i = 1; i < PLACES; i++) {
        include_elsewhere(cluster, cluster_slot(cluster));
        assert_int_equal(cluster->nodes[0].disk.chunks_count, i);
    }
    uint64_t slot = cluster_slot(cluster);
    for (uint64_t i = 0; i < 2; i++) {
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot - i, 0, 1);
        cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
        dsmr_chunk_unref(chunk);
    }
    cluster_run(cluster, 60);
    assert_int_equal(seen.shares, 1);
    assert_int_equal(seen.refusals, 1);
    assert_int_equal(seen.last_refusal, DSMR_ERR_BUSY);
    assert_int_equal(stored_in_vain(cluster, 0), 1);
    for (uint32_t i = 0; i < 40; i++) { /* chain time goes on */
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 1000);
    }
    cluster_run(cluster, 3000);
    assert_int_equal(stored_in_vain(cluster, 0), 0);
    cluster_free(cluster);
}

/* A quota that is small against what a producer may have included in a lifetime: an included chunk
 * has no pending bytes, but a place until it expires. */
static void tune_short_slots(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.slot_ms = 10;
    config->params.pending_bytes_max = 16u * 4096u;
}

static void test_a_lifetime_has_places(void **state)
{
    static const uint32_t signers[3] = {0, 1, 2};
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 15, tune_short_slots);
    cluster->params.slot_ms = 10;
    uint64_t slot = cluster_slot(cluster);
    for (uint32_t i = 0; i < 1500; i += 15) {
        for (uint32_t k = 0; k < 15; k++) {
            struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot - i - k, 0, 1);
            struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
            msg.u.certificate = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
            cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
            cluster->delay_ms = 30; /* after the shares */
            cluster_send(cluster, EVIL, 1, &msg);
            cluster->delay_ms = 2;
            dsmr_chunk_unref(chunk);
        }
        cluster_run(cluster, 120);
    }
    assert_int_equal(seen.refusals, 0);
    assert_int_equal(seen.shares, 1500);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quota_race),  cmocka_unit_test(test_quota_slow_leak),
        cmocka_unit_test(test_backlog),     cmocka_unit_test(test_expired_before_start),
        cmocka_unit_test(test_places_race), cmocka_unit_test(test_a_lifetime_has_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
