/* The simulator's engine like Avalanche's: it does what its files say, and nodes go on; the checker
 * of what builders leave out sees a right history and wrong ones. */
#include <stdlib.h>

#include "history.h"
#include "sim/engine_snow.h"
#include "sim/sim_client.h"

#define SECOND DSMR_SIM_SECOND_US
#define T(ms) (DSMR_SIM_START_MS + (uint64_t)(ms))

extern const struct dsmr_sim_checker_ops dsmr_sim_check_builder;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_blocks;

/* ---- whole networks ---- */

struct stage {
    struct dsmr_sim *sim;
    struct dsmr_sim_clients *clients;
    uint64_t wanted; /* height */
};

static void tune(struct dsmr_driver_config *config)
{
    config->node.params.chunk_bytes_max = 64u << 10;
    config->node.params.chunk_txs_max = 1024;
    config->node.params.block_txs_max = 16384;
}

static struct stage begin(uint64_t seed, uint32_t nodes, uint32_t txs_per_s, const char *liar)
{
    struct dsmr_sim_config config = {
        .seed = seed, .nodes = nodes, .engine = DSMR_SIM_SNOW, .tune = tune};
    struct dsmr_sim_client_config clients = {.seed = seed,
                                             .txs_per_s = txs_per_s,
                                             .tx_bytes = 100,
                                             .lifetime_ms_min = 50000,
                                             .lifetime_ms_max = 58000,
                                             .retry_ms = 2500};
    struct stage stage = {.sim = dsmr_sim_new(&config)};
    for (uint32_t i = 0; dsmr_sim_check_all[i] != NULL; i++) {
        dsmr_sim_check_add(stage.sim, dsmr_sim_check_all[i]);
    }
    if (liar != NULL) {
        dsmr_sim_byz_set(stage.sim, nodes - 1, dsmr_sim_byz_find(liar));
    }
    stage.clients = dsmr_sim_client_new(stage.sim, &clients);
    return stage;
}

static struct dsmr_sim_snow_counts end(struct stage *stage)
{
    struct dsmr_sim_snow_counts counts;
    assert_string_equal(dsmr_sim_failure(stage->sim), "");
    dsmr_sim_snow_counts(dsmr_sim_engine(stage->sim), &counts);
    dsmr_sim_client_free(stage->clients);
    dsmr_sim_free(stage->sim);
    return counts;
}

static bool has_run_all(struct dsmr_sim *sim, void *ctx)
{
    const struct stage *stage = ctx;
    struct dsmr_sim_client_counts counts;
    (void)sim;
    dsmr_sim_client_counts(stage->clients, &counts);
    return counts.executed == counts.made;
}

static void run_all(struct stage *stage)
{
    dsmr_sim_client_stop(stage->clients);
    assert_true(dsmr_sim_run(stage->sim, has_run_all, stage, 40 * SECOND));
}

static bool is_high(struct dsmr_sim *sim, void *ctx)
{
    struct dsmr_query_status status;
    dsmr_sim_status(sim, 0, &status);
    return status.executed_height >= ((const struct stage *)ctx)->wanted;
}

/* Siblings are lost, contexts change, odd questions are asked; everything runs. */
static void test_goes_on(void **state)
{
    (void)state;
    struct stage stage = begin(3, 5, 30, NULL);
    dsmr_sim_pass(stage.sim, 30 * SECOND);
    run_all(&stage);
    struct dsmr_query_status status;
    dsmr_sim_status(stage.sim, 0, &status);
    uint64_t first = 0; /* of the schedule */
    while (dsmr_sim_check_set(stage.sim, first) == NULL) {
        first++;
    }
    assert_true(status.epoch > first);
    struct dsmr_sim_snow_counts counts = end(&stage);
    assert_true(counts.decided >= 10);
    assert_true(counts.lost >= 10);
    assert_true(counts.probes >= 100);
    assert_true(counts.sets_late >= 1);
    assert_int_equal(counts.bad, 0);
}

/* Blocks that break a rule are issued, and found bad; two as good as each other are issued at once.
 */
static void test_bad_builders(void **state)
{
    (void)state;
    struct stage stage = begin(5, 4, 30, "proposer");
    dsmr_sim_pass(stage.sim, 30 * SECOND);
    run_all(&stage);
    struct dsmr_sim_snow_counts counts = end(&stage);
    assert_true(counts.bad >= 10);
    stage = begin(5, 4, 30, "voter");
    dsmr_sim_pass(stage.sim, 20 * SECOND);
    run_all(&stage);
    counts = end(&stage);
    assert_true(counts.lost >= 10);
    assert_true(counts.bad <= 1); /* a millisecond later something may have expired */
}

/* One that has lost everything accepts some thousand blocks again. */
static void test_bootstraps_thousands(void **state)
{
    (void)state;
    struct stage stage = begin(31, 4, 100, NULL);
    stage.wanted = 2000;
    assert_true(dsmr_sim_run(stage.sim, is_high, &stage, 600 * SECOND));
    dsmr_sim_crash(stage.sim, 0);
    dsmr_sim_wipe(stage.sim, 0);
    dsmr_sim_restart(stage.sim, 0);
    assert_true(dsmr_sim_run(stage.sim, is_high, &stage, 600 * SECOND));
    run_all(&stage);
    struct dsmr_sim_snow_counts counts = end(&stage);
    assert_true(counts.caught_up >= 2000);
}

/* Nodes that die again and again come back at an older block, and run none twice. */
static void test_goes_back(void **state)
{
    (void)state;
    struct stage stage = begin(6, 4, 20, NULL);
    for (uint32_t i = 0; i < 40; i++) {
        dsmr_sim_pass(stage.sim, SECOND);
        dsmr_sim_crash(stage.sim, i % 4);
        dsmr_sim_restart(stage.sim, i % 4);
    }
    run_all(&stage);
    struct dsmr_sim_snow_counts counts = end(&stage);
    assert_true(counts.rollbacks >= 5);
    assert_true(counts.caught_up >= 10);
}

/* ---- the checker of builders ---- */

static void begin_history(struct history *h)
{
    struct dsmr_sim_config config = {.seed = 1, .nodes = NODES, .engine = DSMR_SIM_SNOW};
    history_begin_with(h, &dsmr_sim_check_builder, &config);
    dsmr_sim_pass(h->sim, 2 * SECOND);
}

static uint64_t epoch_of(const struct history *h)
{
    return h->sim->schedule[0].from_height;
}

/* A certificate on node 0's disk for two seconds. */
static struct dsmr_cert kept(struct history *h, uint32_t producer, uint64_t slot)
{
    struct dsmr_chunk *chunk = dsmr_sim_byz_chunk(h->sim, producer, epoch_of(h), slot, 1);
    assert_non_null(chunk);
    struct dsmr_cert cert = cert_of(h, &chunk->ref, 7);
    struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = &cert};
    h->ops->stored(h->self, h->sim, 0, &write);
    dsmr_chunk_unref(chunk);
    dsmr_sim_pass(h->sim, 2 * SECOND);
    return cert;
}

/* Node 0 is not paused any more, and has not been for long enough. */
static void issue(struct history *h, uint64_t ms, struct dsmr_cert *certs, uint32_t count)
{
    struct dsmr_block fields = fields_of(h, T(ms), certs, count);
    fields.epoch = epoch_of(h);
    h->sim->nodes[0].is_paused = false;
    h->sim->nodes[0].steady_since_us = 0;
    struct dsmr_block *block = build(h, &fields);
    h->ops->issued(h->self, h->sim, 0, block, true);
    h->sim->nodes[0].is_paused = true;
    dsmr_block_unref(h->tip);
    h->tip = block;
}

static void test_builder_right(void **state)
{
    struct history h;
    (void)state;
    begin_history(&h);
    struct dsmr_cert certs[2] = {kept(&h, 1, SLOT), kept(&h, 2, SLOT)};
    issue(&h, 4000, certs, 2);
    issue(&h, 4100, NULL, 0);                        /* its parent has them */
    struct dsmr_cert later = kept(&h, 1, SLOT + 50); /* begins after the block */
    issue(&h, 4900, NULL, 0);
    issue(&h, 5000, &later, 1);
    (void)kept(&h, 2, SLOT + 1);
    issue(&h, 40000, NULL, 0); /* expired by then */
    history_is_right(&h);
    history_end(&h);
}

static void test_builder_forgets(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct history h;
        begin_history(&h);
        struct dsmr_cert certs[2] = {kept(&h, 1, SLOT), kept(&h, 2, SLOT)};
        if (what == 0) { /* one of two */
            issue(&h, 4000, certs, 1);
        } else { /* what a block has that is not an ancestor */
            struct dsmr_block *genesis = dsmr_block_ref(h.tip);
            issue(&h, 4000, certs, 2);
            history_is_right(&h);
            dsmr_block_unref(h.tip);
            h.tip = genesis;
            issue(&h, 4010, &certs[1], 1);
        }
        history_breaks(&h, "8.2");
        history_end(&h);
    }
}

/* ---- what nodes say ---- */

static void test_runs_what_it_did_not_accept(void **state)
{
    struct history h;
    struct told told;
    (void)state;
    history_begin(&h, &dsmr_sim_check_blocks);
    extend(&h, T(100), NULL, 0);
    tell_of(&told, h.tip, NULL);
    h.ops->accepted(h.self, h.sim, 0, h.tip);
    h.ops->executed(h.self, h.sim, 0, &told.executed);
    history_is_right(&h);
    h.ops->started(h.self, h.sim, 2, 0); /* it died before it said so */
    h.ops->executed(h.self, h.sim, 2, &told.executed);
    history_is_right(&h);
    h.ops->executed(h.self, h.sim, 1, &told.executed);
    history_breaks(&h, "10.1");
    history_end(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_bad_builders),
        cmocka_unit_test(test_bootstraps_thousands),
        cmocka_unit_test(test_goes_back),
        cmocka_unit_test(test_builder_right),
        cmocka_unit_test(test_builder_forgets),
        cmocka_unit_test(test_runs_what_it_did_not_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
