/* Scenarios of the list that need time and many nodes: what they ask for is measured here, beside
 * all that the checkers demand of every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "sim/byz.h"
#include "sim/check.h"
#include "sim/sim_client.h"

#define SECOND DSMR_SIM_SECOND_US
#define CHUNKS_MAX 4096u

/* ---- what is measured ---- */

static struct measured {
    uint32_t producer; /* whose chunks are followed; UINT32_MAX: nobody's */
    uint32_t count;
    struct followed {
        struct dsmr_id chunk_id;
        uint64_t height; /* of node 0 when the certificate was first sent */
        bool is_included;
    } chunks[CHUNKS_MAX];
    uint64_t blocks_max;     /* from then on until one has it */
    uint64_t certify_ms_max; /* from the begin of its slot until then */
} measured;

static void on_sent(void *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                    const struct dsmr_msg *msg)
{
    struct dsmr_query_status status;
    (void)self, (void)to;
    if (node != measured.producer || msg->type != DSMR_MSG_CERTIFICATE ||
        dsmr_sim_check_number(&msg->u.certificate.ref.producer) != node) {
        return;
    }
    const struct dsmr_reference *ref = &msg->u.certificate.ref;
    for (uint32_t k = 0; k < measured.count; k++) {
        if (dsmr_id_equal(&measured.chunks[k].chunk_id, &ref->chunk_id)) {
            return;
        }
    }
    uint64_t begin_ms = ref->slot * dsmr_sim_check_params(sim)->slot_ms;
    uint64_t now_ms = dsmr_sim_wall_ms(sim);
    uint64_t took_ms = now_ms > begin_ms ? now_ms - begin_ms : 0;
    measured.certify_ms_max = took_ms > measured.certify_ms_max ? took_ms : measured.certify_ms_max;
    dsmr_sim_status(sim, 0, &status);
    assert_true(measured.count < CHUNKS_MAX);
    measured.chunks[measured.count++] =
        (struct followed){.chunk_id = ref->chunk_id, .height = status.height};
}

static void on_accepted(void *self, struct dsmr_sim *sim, uint32_t node,
                        const struct dsmr_block *block)
{
    (void)self, (void)sim;
    for (uint32_t i = 0; node == 0 && i < block->certs_count; i++) {
        for (uint32_t k = 0; k < measured.count; k++) {
            struct followed *chunk = &measured.chunks[k];
            if (!chunk->is_included &&
                dsmr_id_equal(&chunk->chunk_id, &block->certs[i].ref.chunk_id)) {
                uint64_t blocks = block->height > chunk->height ? block->height - chunk->height : 0;
                chunk->is_included = true;
                measured.blocks_max = blocks > measured.blocks_max ? blocks : measured.blocks_max;
            }
        }
    }
}

static void *make_nothing(struct dsmr_sim *sim)
{
    (void)sim;
    return &measured;
}

static void free_nothing(void *self)
{
    (void)self;
}

static const struct dsmr_sim_checker_ops measure = {.name = "measure",
                                                    .make = make_nothing,
                                                    .free = free_nothing,
                                                    .sent = on_sent,
                                                    .accepted = on_accepted};

/* ---- a network with clients ---- */

struct stage {
    struct dsmr_sim *sim;
    struct dsmr_sim_clients *clients;
};

static void tune(struct dsmr_driver_config *config)
{
    config->node.params.pending_bytes_max = 256u << 10;
    config->node.params.chunk_bytes_max = 64u << 10;
    config->node.params.chunk_txs_max = 1024;
    config->node.params.block_txs_max = 16384;
}

static struct stage begin(uint32_t nodes, uint32_t liars, const char *kind)
{
    struct dsmr_sim_config config = {.seed = 5, .nodes = nodes, .tune = tune};
    struct dsmr_sim_client_config clients = {.seed = 5,
                                             .txs_per_s = 20,
                                             .tx_bytes = 200,
                                             .lifetime_ms_min = 50000,
                                             .lifetime_ms_max = 58000,
                                             .retry_ms = 2500};
    struct stage stage;
    memset(&measured, 0, sizeof(measured));
    measured.producer = UINT32_MAX;
    stage.sim = dsmr_sim_new(&config);
    for (uint32_t i = 0; dsmr_sim_check_all[i] != NULL; i++) {
        dsmr_sim_check_add(stage.sim, dsmr_sim_check_all[i]);
    }
    dsmr_sim_check_add(stage.sim, &measure);
    for (uint32_t i = 0; i < liars; i++) {
        dsmr_sim_byz_set(stage.sim, nodes - 1 - i, dsmr_sim_byz_find(kind));
    }
    stage.clients = dsmr_sim_client_new(stage.sim, &clients);
    return stage;
}

static uint64_t height_of(struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_query_status status;
    dsmr_sim_status(sim, node, &status);
    return status.height;
}

static bool is_level(struct dsmr_sim *sim, void *ctx)
{
    struct dsmr_sim_client_counts counts;
    struct dsmr_query_status first, status;
    dsmr_sim_client_counts(ctx, &counts);
    dsmr_sim_status(sim, 0, &first);
    if (counts.open > 0 || first.executed_height != first.height) {
        return false;
    }
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        if (dsmr_sim_check_is_honest(sim, i)) {
            dsmr_sim_status(sim, i, &status);
            if (status.height != first.height || status.executed_height != first.height) {
                return false;
            }
        }
    }
    return true;
}

/* Everything that can run has run and all are level, at most us after this. */
static void end(struct stage *stage, uint64_t us)
{
    dsmr_sim_client_stop(stage->clients);
    bool is_done = dsmr_sim_run(stage->sim, is_level, stage->clients, us);
    assert_string_equal(dsmr_sim_failure(stage->sim), "");
    assert_true(is_done);
    dsmr_sim_check_end(stage->sim);
    assert_string_equal(dsmr_sim_failure(stage->sim), "");
    dsmr_sim_client_free(stage->clients);
    dsmr_sim_free(stage->sim);
}

struct goal {
    uint32_t node;
    uint64_t height;
};

static bool has_reached(struct dsmr_sim *sim, void *ctx)
{
    const struct goal *goal = ctx;
    return height_of(sim, goal->node) >= goal->height;
}

static void await_height(struct stage *stage, uint32_t node, uint64_t height, uint64_t us)
{
    struct goal goal = {.node = node, .height = height};
    bool has = dsmr_sim_run(stage->sim, has_reached, &goal, us);
    assert_string_equal(dsmr_sim_failure(stage->sim), "");
    assert_true(has);
}

static void set_links_from(struct dsmr_sim *sim, uint32_t node, uint64_t latency_us)
{
    const struct dsmr_sim_link link = {.latency_us = latency_us, .jitter_us = 5000};
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        if (i != node) {
            dsmr_sim_set_link(sim, node, i, &link);
        }
    }
}

/* ---- the stories ---- */

/* 16 slow-share-drip: f validators answer late, and nobody waits for them. */
static void test_slow_share_drip(void **state)
{
    (void)state;
    struct stage stage = begin(7, 0, NULL);
    set_links_from(stage.sim, 5, 2 * SECOND);
    set_links_from(stage.sim, 6, 2 * SECOND);
    measured.producer = 0;
    dsmr_sim_pass(stage.sim, 20 * SECOND);
    assert_true(measured.count > 20);
    assert_true(measured.certify_ms_max < 1000);
    set_links_from(stage.sim, 5, 1000);
    set_links_from(stage.sim, 6, 1000);
    end(&stage, 30 * SECOND);
}

/* 38 proposer-excludes-validator-X: two of seven leaders leave one producer out, and vote for
 * nobody's block that has it; its chunks are in a block within a round of leaders. */
static void test_censored_producer(void **state)
{
    (void)state;
    struct stage stage = begin(7, 2, "censor");
    measured.producer = dsmr_sim_byz_victim(stage.sim);
    dsmr_sim_pass(stage.sim, 40 * SECOND);
    assert_true(measured.count > 50);
    end(&stage, 30 * SECOND);
    assert_in_range(measured.blocks_max, 1, 7); /* a round of leaders */
    for (uint32_t i = 0; i < measured.count; i++) {
        assert_true(measured.chunks[i].is_included);
    }
}

/* 46 restart-storm: all start at one time, and two of them are a thousand blocks behind. */
static void test_restart_storm(void **state)
{
    (void)state;
    struct stage stage = begin(7, 0, NULL);
    await_height(&stage, 5, 5, 20 * SECOND);
    dsmr_sim_crash(stage.sim, 5);
    dsmr_sim_crash(stage.sim, 6);
    await_height(&stage, 0, 1010, 600 * SECOND);
    for (uint32_t i = 0; i < 5; i++) {
        dsmr_sim_crash(stage.sim, i);
    }
    for (uint32_t i = 0; i < 7; i++) {
        dsmr_sim_restart(stage.sim, 6 - i);
    }
    assert_true(height_of(stage.sim, 5) < height_of(stage.sim, 0));
    await_height(&stage, 0, 1015, 10 * SECOND); /* those who are not behind wait for nobody */
    await_height(&stage, 5, 1010, 30 * SECOND);
    await_height(&stage, 6, 1010, 30 * SECOND);
    end(&stage, 30 * SECOND);
}

/* 60 eclipse-one-validator: only liars speak to it. It believes nothing that is not so (the
 * checkers), and is one like any other when it hears the others again. */
static void test_eclipse_one_validator(void **state)
{
    static const char *const kinds[] = {"voter", "twins", "proposer"};
    (void)state;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct stage stage = begin(7, 2, kinds[k]);
        await_height(&stage, 0, 3, 20 * SECOND);
        for (uint32_t i = 1; i < 5; i++) {
            dsmr_sim_cut(stage.sim, 0, i, true, false);
            dsmr_sim_cut(stage.sim, i, 0, true, false);
        }
        dsmr_sim_pass(stage.sim, 40 * SECOND);
        for (uint32_t i = 1; i < 5; i++) {
            dsmr_sim_cut(stage.sim, 0, i, false, false);
            dsmr_sim_cut(stage.sim, i, 0, false, false);
        }
        end(&stage, 120 * SECOND);
    }
}

/* 77 lifefin-explosion: for ten minutes nothing is decided while everybody produces. Disks stay
 * where they were after two (of memory, the checker of limits looks at the tables and queues that a
 * node tells of), and half a minute is enough after it.
 */
static void test_lifefin_explosion(void **state)
{
    (void)state;
    struct stage stage = begin(4, 0, NULL);
    uint64_t stored[2];
    await_height(&stage, 0, 5, 20 * SECOND);
    dsmr_sim_pause(stage.sim, 2, true);
    dsmr_sim_pause(stage.sim, 3, true);
    dsmr_sim_pass(stage.sim, 5 * SECOND); /* what was on its way is decided */
    uint64_t height = height_of(stage.sim, 0);
    dsmr_sim_pass(stage.sim, 120 * SECOND);
    stored[0] = dsmr_sim_check_stored_bytes(stage.sim, 0);
    dsmr_sim_pass(stage.sim, 480 * SECOND);
    stored[1] = dsmr_sim_check_stored_bytes(stage.sim, 0);
    assert_string_equal(dsmr_sim_failure(stage.sim), "");
    assert_int_equal(height_of(stage.sim, 0), height);
    assert_true(stored[1] <= stored[0] + stored[0] / 10 + (2u << 18)); /* and the two quotas */
    dsmr_sim_pause(stage.sim, 2, false);
    dsmr_sim_pause(stage.sim, 3, false);
    await_height(&stage, 0, height + 3, 30 * SECOND);
    end(&stage, 30 * SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_share_drip),   cmocka_unit_test(test_censored_producer),
        cmocka_unit_test(test_restart_storm),     cmocka_unit_test(test_eclipse_one_validator),
        cmocka_unit_test(test_lifefin_explosion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
