/* Chunks of busy producers leave together, when a slot starts (protocol.md, 5.1); certificates are
 * verified together (7.5), and a block waits for them (8.6). A wait is a part of a slot at most,
 * whatever others do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/cert_gather.h"
#include "lib/cluster.h"

enum { NODES = 4, SLOT_MS = 100, BLOCK_WAIT_MS = SLOT_MS / 2, BATCH_WAIT_MS = SLOT_MS / 8 };
enum { FLOOD = 200 }; /* certificates: more than both batches hold, and fewer than a block does */

/* ---- chunks ---- */
/* Everything moves, with the first block accepted and the wall clock into_ms into a slot. */
static struct cluster *start(uint32_t into_ms)
{
    struct cluster_config config = {.nodes = NODES, .seed = 91};
    struct cluster *cluster = cluster_new(&config);
    assert_int_equal(cluster->params.slot_ms, SLOT_MS);
    cluster_run(cluster, 3000);
    cluster_run(cluster, SLOT_MS - cluster_wall_ms(cluster) % SLOT_MS + into_ms);
    return cluster;
}

static uint64_t built(const struct cluster *cluster, uint32_t node)
{
    return dsmr_metrics_get(&cluster->nodes[node].metrics, DSMR_METRIC_CHUNKS_BUILT);
}

/* Lets a ms pass. The nodes that built a chunk in it, a bit each. */
static uint32_t builders(struct cluster *cluster)
{
    uint64_t before[NODES];
    uint32_t who = 0;
    for (uint32_t i = 0; i < NODES; i++)
        before[i] = built(cluster, i);
    cluster_run(cluster, 1);
    for (uint32_t i = 0; i < NODES; i++)
        who |= (built(cluster, i) > before[i] ? 1u : 0u) << i;
    return who;
}

static void test_an_idle_producer_sends_at_once(void **state)
{
    (void)state;
    for (uint32_t into_ms = 1; into_ms < SLOT_MS; into_ms += 14) {
        struct cluster *cluster = start(into_ms);
        for (uint32_t i = 1; i <= 3; i++) {
            cluster_submit(cluster, 0, 1, 100);
            cluster_run(cluster, 1);
            assert_int_equal(built(cluster, 0), i);
            cluster_run(cluster, 2 * SLOT_MS); /* long enough to be idle again */
        }
        cluster_free(cluster);
    }
}

/* A second one that comes in the slot of the first waits for the next slot; one that comes later,
 * when a slot has started since, does not. */
static void test_the_second_of_a_slot_waits_for_the_next(void **state)
{
    (void)state;
    for (uint32_t into_ms = 1; into_ms < SLOT_MS - 40; into_ms += 14) {
        struct cluster *cluster = start(into_ms);
        cluster_submit(cluster, 0, 1, 100);
        cluster_run(cluster, 40); /* it is certified */
        cluster_submit(cluster, 0, 1, 100);
        cluster_run(cluster, SLOT_MS - 41 - into_ms);
        assert_int_equal(built(cluster, 0), 1);
        cluster_run(cluster, 1);
        assert_int_equal(cluster_wall_ms(cluster) % SLOT_MS, 0);
        assert_int_equal(built(cluster, 0), 2);
        cluster_run(cluster, SLOT_MS + 30);
        cluster_submit(cluster, 0, 1, 100);
        assert_int_equal(built(cluster, 0), 3);
        cluster_free(cluster);
    }
}

/* Transactions come to each all the time, and certificates in the middle of a slot. */
static void test_busy_producers_send_together(void **state)
{
    (void)state;
    struct cluster *cluster = start(37);
    cluster->delay_ms = 30;
    cluster->nodes[3].skew_ms = 20; /* slots are of the wall clock */
    uint32_t together = 0, alone = 0;
    for (uint32_t ms = 0; ms < 20 * SLOT_MS; ms++) {
        for (uint32_t i = 0; i < NODES && ms % 5 == 0; i++)
            cluster_submit(cluster, i, 1, 100);
        uint32_t who = builders(cluster);
        uint64_t into_ms = cluster_wall_ms(cluster) % SLOT_MS;
        if (who == 0 || ms < SLOT_MS) { /* the first of each left at once */
            continue;
        }
        assert_int_equal(who, into_ms == 0 ? 7 : 8);
        assert_true(into_ms == 0 || into_ms == SLOT_MS - 20);
        together += who == 7;
        alone += who == 8;
    }
    assert_in_range(together, 18, 20);
    assert_in_range(alone, 18, 20);
    cluster_free(cluster);
}

/* A clock that is set, back or forward and by whatever, while chunks follow each other: no chunk
 * waits for more than what makes a producer idle, unless its slots are used. */
static void test_a_clock_that_is_set_holds_no_chunk(void **state)
{
    (void)state;
    for (int64_t jump_ms = -90; jump_ms <= 990; jump_ms += 45) {
        struct cluster *cluster = start(5);
        uint64_t last_ms = 0;
        for (uint32_t ms = 0; ms < 20 * SLOT_MS; ms++) {
            cluster->nodes[0].skew_ms = ms < 777 ? 0 : jump_ms;
            cluster_submit(cluster, 0, ms % 5 == 0, 100);
            if ((builders(cluster) & 1u) != 0) {
                assert_true(last_ms == 0 || cluster->mono_ms - last_ms <= 2 * SLOT_MS);
                last_ms = cluster->mono_ms;
            }
        }
        cluster_free(cluster);
    }
}

static uint32_t tuned_slot_ms;

static void tune_large(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.slot_ms = tuned_slot_ms;
    config->params.chunk_bytes_max = 8u << 20;
    config->params.pending_bytes_max = 64u << 20;
    config->mempool_bytes_max = 16u << 20;
}

/* How many chunks node 0 builds in 2 s, with so many KiB arriving in each slot. They must start
 * when a slot in rounds_of does. */
static uint64_t built_with(uint32_t slot_ms, uint32_t kib, uint32_t rounds_of)
{
    tuned_slot_ms = slot_ms;
    struct cluster_config config = {.nodes = NODES, .seed = 93, .tune = tune_large};
    struct cluster *cluster = cluster_new(&config);
    cluster->params.slot_ms = slot_ms;
    cluster->params.chunk_bytes_max = 8u << 20;
    cluster->params.pending_bytes_max = 64u << 20;
    cluster_run(cluster, 3000);
    cluster_run(cluster, 2000 - cluster_wall_ms(cluster) % 2000 + 3);
    uint64_t before = 0;
    for (uint32_t ms = 0; ms < 2500; ms++) {
        before = ms == 500 ? built(cluster, 0) : before;
        if (ms % slot_ms == 0) {
            cluster_submit(cluster, 0, kib / 8u, 8u << 10);
        }
        bool has_built = (builders(cluster) & 1u) != 0;
        if (has_built && ms >= 500) {
            assert_int_equal(cluster_wall_ms(cluster) % ((uint64_t)rounds_of * slot_ms), 0);
        }
    }
    uint64_t sum = built(cluster, 0) - before;
    cluster_free(cluster);
    return sum;
}

/* A chunk costs its pairings whatever it holds: one that holds enough to keep a processor busy
 * waits for a tenth of a second to start, together with the others' and whatever the slots are, and
 * a smaller or a very large one for its slot. */
static void test_heavy_chunks_leave_every_tenth_of_a_second(void **state)
{
    (void)state;
    assert_in_range(built_with(50, 760, 1), 39, 41);
    assert_in_range(built_with(50, 776, 2), 19, 21);
    assert_in_range(built_with(50, 1400, 2), 19, 21);
    assert_in_range(built_with(25, 776, 4), 19, 21);
    assert_in_range(built_with(100, 776, 1), 19, 21);
    assert_in_range(built_with(50, 4104, 1), 39, 41); /* more than half of chunk_bytes_max */
}

/* ---- certificates and blocks: node 0 is looked at, the others do not speak of themselves ---- */
static bool pass_to_none(struct cluster *cluster, uint32_t from, uint32_t to,
                         const struct dsmr_msg *msg)
{
    (void)cluster;
    (void)from;
    (void)to;
    (void)msg;
    return false;
}

static struct cluster *start_alone(void)
{
    struct cluster *cluster = start(50);
    cluster->is_engine_stopped = true;
    cluster->passes = pass_to_none;
    assert_false(cluster->nodes[0].is_ready);
    return cluster;
}

/* A chunk of producer, ago slots old, for which node 0 is asked for its share in this ms. The
 * certificate that it could have. */
static struct dsmr_cert offer(struct cluster *cluster, uint32_t producer, uint32_t ago)
{
    const uint32_t signers[3] = {1, 2, 3};
    struct dsmr_chunk *chunk =
        cluster_forge_chunk(cluster, producer, cluster_slot(cluster) - ago, 0, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
    cluster_send_chunk_request(cluster, producer, 0, chunk, NULL);
    dsmr_chunk_unref(chunk);
    return cert;
}

/* It arrives at the end of this ms. */
static void send_cert(struct cluster *cluster, const struct dsmr_cert *cert)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE, .u.certificate = *cert};
    cluster_send(cluster, 1, 0, &msg);
    cluster_run(cluster, cluster->delay_ms);
}

static uint32_t waiting(const struct cluster *cluster)
{
    struct dsmr_node_status status;
    dsmr_node_status(cluster->nodes[0].node, &status);
    return status.certs_waiting;
}

/* Ms until node 0 says READY, at most limit_ms. */
static uint32_t ready_after(struct cluster *cluster, uint32_t limit_ms)
{
    for (uint32_t ms = 0; ms < limit_ms; ms++) {
        if (cluster->nodes[0].is_ready) {
            return ms;
        }
        cluster_run(cluster, 1);
    }
    return limit_ms;
}

/* 7.5: three certificates, a few ms apart, are one effect, as soon as the last is there. */
static void test_certificates_are_verified_together(void **state)
{
    (void)state;
    struct cluster *cluster = start_alone();
    struct dsmr_cert certs[3];
    for (uint32_t i = 0; i < 3; i++)
        certs[i] = offer(cluster, i + 1, 0);
    cluster_run(cluster, 10);
    assert_int_equal(cluster->nodes[0].signs, 3);
    send_cert(cluster, &certs[0]);
    cluster_run(cluster, 4);
    send_cert(cluster, &certs[1]);
    cluster_run(cluster, 4);
    assert_int_equal(cluster->nodes[0].cert_batches, 0);
    send_cert(cluster, &certs[2]);
    assert_int_equal(cluster->nodes[0].cert_batches, 1);
    assert_int_equal(cluster->nodes[0].cert_verifies, 3);
    cluster_run(cluster, 5);
    assert_int_equal(waiting(cluster), 3);
    assert_true(cluster->nodes[0].is_ready); /* nothing else is expected */
    cluster_free(cluster);
}

/* 7.5: one that does not come is waited for so long and no longer, from the first one on; what
 * comes after that goes by itself. */
static void test_an_eighth_of_a_slot_and_no_longer(void **state)
{
    (void)state;
    struct cluster *cluster = start_alone();
    struct dsmr_cert certs[3];
    for (uint32_t i = 0; i < 3; i++)
        certs[i] = offer(cluster, i + 1, 0);
    cluster_run(cluster, 10);
    send_cert(cluster, &certs[0]);
    cluster_run(cluster, BATCH_WAIT_MS - 3);
    send_cert(cluster, &certs[1]);
    assert_int_equal(cluster->nodes[0].cert_batches, 0);
    cluster_run(cluster, 1);
    assert_int_equal(cluster->nodes[0].cert_batches, 1);
    assert_int_equal(cluster->nodes[0].cert_verifies, 2);
    cluster_run(cluster, SLOT_MS);
    assert_int_equal(cluster->nodes[0].cert_batches, 1);
    certs[0] = offer(cluster, 1, 5);
    cluster_run(cluster, 10);
    send_cert(cluster, &certs[2]); /* signed more than a slot ago; the first one's is awaited */
    assert_int_equal(cluster->nodes[0].cert_batches, 1);
    cluster_run(cluster, BATCH_WAIT_MS);
    assert_int_equal(cluster->nodes[0].cert_batches, 2);
    send_cert(cluster, &certs[0]); /* and nothing is expected any more */
    assert_int_equal(cluster->nodes[0].cert_batches, 3);
    cluster_free(cluster);
}

/* 7.5: what a block brought meanwhile is not verified a second time, good or bad. */
static void test_a_block_has_the_verdict(void **state)
{
    (void)state;
    for (int is_bad = 0; is_bad <= 1; is_bad++) {
        struct cluster *cluster = start_alone();
        struct dsmr_cert cert = offer(cluster, 1, 0);
        (void)offer(cluster, 2, 0);
        cert.sig.bytes[20] ^= is_bad ? 1u : 0u;
        cluster_run(cluster, 10);
        send_cert(cluster, &cert);
        struct dsmr_block *block =
            cluster_forge_block(cluster, cluster->chain[cluster->chain_height], 0, 0, &cert, 1);
        assert_int_equal(cluster_verify(cluster, 0, block, 0),
                         is_bad ? DSMR_ERR_BAD_SIGNATURE : DSMR_OK);
        assert_int_equal(cluster->nodes[0].cert_verifies, 1);
        assert_int_equal(waiting(cluster), 0); /* it is still gathering */
        cluster_run(cluster, BATCH_WAIT_MS);
        assert_int_equal(waiting(cluster), is_bad ? 0 : 1);
        assert_int_equal(cluster->nodes[0].faults, is_bad ? 1 : 0);
        assert_int_equal(cluster->nodes[0].cert_verifies, 1);
        dsmr_block_unref(block);
        cluster_free(cluster);
    }
}

/* The same for more of them than fit both batches: none is left behind. */
static void test_no_certificate_is_left_behind(void **state)
{
    (void)state;
    static struct dsmr_cert certs[FLOOD];
    const uint32_t signers[3] = {1, 2, 3};
    struct cluster *cluster = start_alone();
    (void)offer(cluster, 2, 0);
    cluster_run(cluster, 10);
    for (uint32_t i = 0; i < FLOOD; i++) {
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, 1, cluster_slot(cluster) - i, 0, 1);
        certs[i] = cluster_forge_cert(cluster, &chunk->ref, signers, 3);
        struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE, .u.certificate = certs[i]};
        cluster_send(cluster, 1, 0, &msg);
        dsmr_chunk_unref(chunk);
    }
    cluster_run(cluster, cluster->delay_ms);
    struct dsmr_block *block =
        cluster_forge_block(cluster, cluster->chain[cluster->chain_height], 0, 0, certs, FLOOD);
    assert_int_equal(cluster_verify(cluster, 0, block, 0), DSMR_OK);
    cluster_run(cluster, 2 * BATCH_WAIT_MS);
    assert_int_equal(cluster->nodes[0].cert_verifies, FLOOD);
    assert_int_equal(waiting(cluster), FLOOD);
    dsmr_block_unref(block);
    cluster_free(cluster);
}

/* 8.6: nothing is expected, so nothing waits. */
static void test_a_lonely_certificate_gets_its_block_at_once(void **state)
{
    (void)state;
    struct cluster *cluster = start_alone();
    struct dsmr_cert cert = offer(cluster, 1, 0);
    cluster_run(cluster, 10);
    send_cert(cluster, &cert);
    assert_int_equal(cluster->nodes[0].cert_batches, 1);
    cluster_run(cluster, cluster->work_ms);
    assert_int_equal(waiting(cluster), 1);
    assert_true(cluster->nodes[0].is_ready);
    cluster_free(cluster);
}

/* 8.6: the certificate that was expected ends the wait; without it half a slot does. */
static void test_a_block_waits_for_half_a_slot(void **state)
{
    (void)state;
    for (int has_second = 0; has_second <= 1; has_second++) {
        struct cluster *cluster = start_alone();
        struct dsmr_cert first = offer(cluster, 1, 0);
        struct dsmr_cert second = offer(cluster, 2, 0);
        cluster_run(cluster, 10);
        send_cert(cluster, &first);
        cluster_run(cluster, BATCH_WAIT_MS + cluster->work_ms);
        assert_int_equal(waiting(cluster), 1); /* from now on */
        if (has_second) {
            cluster_run(cluster, 20);
            assert_false(cluster->nodes[0].is_ready);
            send_cert(cluster, &second);
            cluster_run(cluster, cluster->work_ms);
            assert_true(cluster->nodes[0].is_ready);
        } else {
            assert_int_equal(ready_after(cluster, 1000), BLOCK_WAIT_MS);
        }
        cluster_free(cluster);
    }
}

/* 8.6: a chunk that was signed more than a slot ago is not waited for. */
static void test_what_is_a_slot_old_is_not_expected(void **state)
{
    (void)state;
    struct cluster *cluster = start_alone();
    (void)offer(cluster, 2, 0);
    cluster_run(cluster, SLOT_MS - 10);
    struct dsmr_cert cert = offer(cluster, 1, 0);
    cluster_run(cluster, 10 + 5); /* a share takes 5 ms */
    send_cert(cluster, &cert);
    cluster_run(cluster, cluster->work_ms);
    assert_int_equal(waiting(cluster), 1);
    assert_true(cluster->nodes[0].is_ready);
    cluster_free(cluster);
}

/* Liars have chunk after chunk signed, every few ms, and never certify one: more than are
 * remembered. A block still waits for half a slot only. */
static void test_liars_make_nobody_wait_longer(void **state)
{
    (void)state;
    struct cluster *cluster = start_alone();
    uint64_t since_ms = 0;
    for (uint32_t ms = 0; ms < 6 * DSMR_CERT_GATHER_CHUNKS; ms++) {
        if (ms == 20) {
            struct dsmr_cert cert = offer(cluster, 1, 0);
            send_cert(cluster, &cert);
        }
        if (ms % 3 == 0) {
            (void)offer(cluster, 2 + ms % 2, ms / 3);
        }
        cluster_run(cluster, 1);
        since_ms = since_ms == 0 && waiting(cluster) == 1 ? cluster->mono_ms : since_ms;
        bool is_due = since_ms != 0 && cluster->mono_ms >= since_ms + BLOCK_WAIT_MS;
        assert_int_equal(cluster->nodes[0].is_ready, is_due);
    }
    assert_true(cluster->nodes[0].is_ready);
    assert_true(cluster->nodes[0].signs > 3 * DSMR_CERT_GATHER_CHUNKS / 2);
    cluster_free(cluster);
}

/* As many liars as may be, each with a chunk in every slot and another one in the middle of it, all
 * signed by all and never certified: every slot has its block, and all that is submitted runs. */
static void test_blocks_go_on_among_liars(void **state)
{
    (void)state;
    enum { HONEST = 5, ALL = 7, SLOTS = 20 };
    struct cluster_config config = {.nodes = ALL, .seed = 93};
    struct cluster *cluster = cluster_new(&config);
    uint64_t height = 0;
    cluster_run(cluster, 3000);
    cluster_crash(cluster, HONEST);
    cluster_crash(cluster, HONEST + 1);
    cluster_run(cluster, SLOT_MS - cluster_wall_ms(cluster) % SLOT_MS);
    for (uint32_t ms = 0; ms < SLOTS * SLOT_MS; ms += SLOT_MS / 2) {
        for (uint32_t liar = HONEST; liar < ALL; liar++) {
            uint64_t slot = cluster_slot(cluster) - (ms % SLOT_MS == 0 ? 0 : 2 * SLOTS);
            struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, liar, slot, 0, 1);
            for (uint32_t to = 0; to < HONEST; to++)
                cluster_send_chunk_request(cluster, liar, to, chunk, NULL);
            dsmr_chunk_unref(chunk);
        }
        for (uint32_t i = 0; i < HONEST; i++)
            cluster_submit(cluster, i, 1, 100);
        cluster_run(cluster, SLOT_MS / 2);
        if (ms >= SLOT_MS && ms % SLOT_MS != 0) {
            assert_true(cluster->chain_height > height);
            height = cluster->chain_height;
        }
    }
    cluster_run(cluster, 3 * SLOT_MS);
    assert_int_equal(cluster_executed_txs(cluster, 0), HONEST * SLOTS * 2);
    assert_true(cluster->nodes[0].signs >= 4 * SLOTS);
    cluster_free(cluster);
}

/* Who starts again remembers no share, so that nothing is waited for. */
static void test_nothing_is_expected_after_a_restart(void **state)
{
    (void)state;
    struct cluster *cluster = start_alone();
    struct dsmr_cert cert = offer(cluster, 1, 0);
    (void)offer(cluster, 2, 0);
    cluster_run(cluster, 10);
    send_cert(cluster, &cert);
    cluster_run(cluster, BATCH_WAIT_MS + 2 * cluster->work_ms);
    assert_int_equal(cluster->nodes[0].disk.certs_count, 1);
    assert_false(cluster->nodes[0].is_ready);
    cluster_crash(cluster, 0);
    cluster_start(cluster, 0);
    assert_int_equal(waiting(cluster), 1);
    assert_true(cluster->nodes[0].is_ready);
    cluster_free(cluster);
}

/* The waits are parts of a slot however short slots are, and bounded where they are long. */
static void tune(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.slot_ms = tuned_slot_ms;
}

static void test_slots_of_any_length(void **state)
{
    (void)state;
    static const uint32_t lengths_ms[] = {1, 7, 2000, 10000};
    for (uint32_t i = 0; i < 4; i++) {
        tuned_slot_ms = lengths_ms[i];
        struct cluster_config config = {.nodes = NODES, .seed = 92, .tune = tune};
        struct cluster *cluster = cluster_new(&config);
        cluster->params.slot_ms = tuned_slot_ms;
        cluster_run(cluster, 3000);
        cluster_submit(cluster, 0, 1, 100); /* a lonely one is executed as quickly as ever */
        cluster_run(cluster, 30);
        assert_int_equal(cluster_executed_txs(cluster, 0), 1);
        cluster->is_engine_stopped = true;
        cluster->passes = pass_to_none;
        struct dsmr_cert cert = offer(cluster, 1, 0);
        (void)offer(cluster, 2, 0);
        cluster_run(cluster, 5);
        assert_int_equal(cluster->nodes[0].signs, 3);
        send_cert(cluster, &cert);
        cluster_run(cluster, (tuned_slot_ms < 200 ? tuned_slot_ms / 8 : 25) + cluster->work_ms);
        assert_int_equal(waiting(cluster), 1);
        assert_int_equal(ready_after(cluster, 20000),
                         tuned_slot_ms < 200 ? tuned_slot_ms / 2 : 100);
        cluster_free(cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_producer_sends_at_once),
        cmocka_unit_test(test_the_second_of_a_slot_waits_for_the_next),
        cmocka_unit_test(test_busy_producers_send_together),
        cmocka_unit_test(test_a_clock_that_is_set_holds_no_chunk),
        cmocka_unit_test(test_heavy_chunks_leave_every_tenth_of_a_second),
        cmocka_unit_test(test_certificates_are_verified_together),
        cmocka_unit_test(test_an_eighth_of_a_slot_and_no_longer),
        cmocka_unit_test(test_a_block_has_the_verdict),
        cmocka_unit_test(test_no_certificate_is_left_behind),
        cmocka_unit_test(test_a_lonely_certificate_gets_its_block_at_once),
        cmocka_unit_test(test_a_block_waits_for_half_a_slot),
        cmocka_unit_test(test_what_is_a_slot_old_is_not_expected),
        cmocka_unit_test(test_liars_make_nobody_wait_longer),
        cmocka_unit_test(test_blocks_go_on_among_liars),
        cmocka_unit_test(test_nothing_is_expected_after_a_restart),
        cmocka_unit_test(test_slots_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
