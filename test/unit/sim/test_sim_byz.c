/* Each liar of the simulator does what its file says, by what honest nodes see of it; and the
 * others go on: every transaction is executed, with equal state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "sim/byz.h"
#include "sim/check.h"
#include "sim/sim_client.h"

#define NODES_MAX 8u
#define SECOND DSMR_SIM_SECOND_US

/* ---- what is seen ---- */

static struct seen {
    const struct dsmr_sim_byz_ops *kind;  /* of the liars */
    uint32_t blocks, ahead_blocks;        /* ahead: of the true time, by more than half the skew */
    uint32_t certs[NODES_MAX];            /* in accepted blocks, by producer */
    uint32_t unkept_certs;                /* signed by a liar that did not hold the chunk */
    uint32_t late_certs;                  /* under an epoch that has ended */
    uint32_t proposals, victim_proposals; /* of liars; with a certificate of the victim */
    uint32_t asked;                       /* chunks that liars asked the spy for */
    uint32_t served[NODES_MAX];           /* chunks that a liar served the spy */
} seen;

static uint32_t first_honest(const struct dsmr_sim *sim)
{
    uint32_t node = 0;
    while (!dsmr_sim_check_is_honest(sim, node)) {
        node++;
    }
    return node;
}

static void look_at_cert(struct dsmr_sim *sim, const struct dsmr_block *block,
                         const struct dsmr_cert *cert)
{
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, cert->ref.epoch);
    seen.certs[dsmr_sim_check_number(&cert->ref.producer)]++;
    seen.late_certs += cert->ref.epoch != block->epoch;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t node = dsmr_sim_check_number(&set->validators[i].node_ids[0]);
        if (dsmr_sim_byz_is(sim, node) && dsmr_bitset_has(&cert->signers, i) &&
            !dsmr_sim_check_has_chunk(sim, node, &cert->ref.chunk_id)) {
            seen.unkept_certs++;
        }
    }
}

static void on_stored(void *self, struct dsmr_sim *sim, uint32_t node,
                      const struct dsmr_store_write *write)
{
    (void)self;
    if (node != first_honest(sim) || write->kind != DSMR_STORE_ACCEPT) {
        return;
    }
    const struct dsmr_block *block = write->u.accept.block;
    seen.blocks++;
    seen.ahead_blocks +=
        block->time_ms > dsmr_sim_wall_ms(sim) + dsmr_sim_check_params(sim)->clock_skew_ms / 2;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        look_at_cert(sim, block, &block->certs[i]);
    }
}

static void *make_nothing(struct dsmr_sim *sim)
{
    (void)sim;
    return &seen;
}

static void free_nothing(void *self)
{
    (void)self;
}

static const struct dsmr_sim_checker_ops look = {
    .name = "look", .make = make_nothing, .free = free_nothing, .stored = on_stored};

/* The spy is an honest node that tells what liars say to it. */
static bool spy_receives(void *self, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                         const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    (void)self, (void)node;
    if (!dsmr_sim_byz_is(sim, from)) {
        return true;
    }
    seen.asked += msg->type == DSMR_MSG_REQUEST_CHUNK;
    seen.served[from] += msg->type == DSMR_MSG_CHUNK && msg->u.chunk.err == 0;
    if (msg->type == DSMR_MSG_BFT_PROPOSAL) {
        struct dsmr_block *block = dsmr_sim_byz_block(sim, msg, bytes);
        bool has_victim = false;
        for (uint32_t i = 0; block != NULL && i < block->certs_count; i++) {
            has_victim |=
                dsmr_sim_check_number(&block->certs[i].ref.producer) == dsmr_sim_byz_victim(sim);
        }
        seen.proposals += block != NULL;
        seen.victim_proposals += has_victim;
        dsmr_block_unref(block);
    }
    return true;
}

static const struct dsmr_sim_byz_ops spy = {.name = "spy", .receives = spy_receives};

/* ---- running ---- */

struct scene {
    const char *kind, *other; /* other: of the last liar; NULL: the same */
    uint32_t nodes, liars;    /* the last nodes lie */
    uint64_t seed, us;
    bool has_spy, has_epochs;
};

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

static void choose_sets(struct dsmr_sim_config *config, const struct scene *scene)
{
    config->sets[0] = (struct dsmr_sim_set){.count = scene->nodes};
    config->sets_count = 1;
    if (scene->has_epochs) { /* the first and the second node in turn */
        for (uint32_t i = 0; i < 4; i++) {
            config->sets[i] = (struct dsmr_sim_set){
                .from_height = i * 40u, .first = i % 2, .count = scene->nodes - 1};
        }
        config->sets_count = 4;
    }
}

static void set_kinds(struct dsmr_sim *sim, const struct scene *scene)
{
    for (uint32_t i = 0; i < scene->liars; i++) {
        const char *name = i == 0 && scene->other != NULL ? scene->other : scene->kind;
        const struct dsmr_sim_byz_ops *kind = dsmr_sim_byz_find(name);
        assert_non_null(kind);
        dsmr_sim_byz_set(sim, scene->nodes - 1 - i, kind);
    }
    if (scene->has_spy) {
        dsmr_sim_byz_set(sim, 1, &spy);
    }
}

static bool is_level(struct dsmr_sim *sim, void *ctx)
{
    struct dsmr_sim_client_counts counts;
    struct dsmr_query_status first, status;
    dsmr_sim_client_counts(ctx, &counts);
    if (counts.executed < counts.made) {
        return false;
    }
    dsmr_sim_status(sim, first_honest(sim), &first);
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        if (dsmr_sim_check_is_honest(sim, i)) {
            dsmr_sim_status(sim, i, &status);
            if (status.executed_height != first.height) {
                return false;
            }
        }
    }
    return true;
}

/* Lies for a while; then whatever clients sent is executed, although the liars go on. */
static struct stage play(const struct scene *scene)
{
    struct dsmr_sim_config config = {.seed = scene->seed, .nodes = scene->nodes, .tune = tune};
    struct dsmr_sim_client_config clients = {.seed = scene->seed,
                                             .txs_per_s = 20,
                                             .tx_bytes = 200,
                                             .lifetime_ms_min = 50000,
                                             .lifetime_ms_max = 58000,
                                             .everywhere_per_mille = 20,
                                             .retry_ms = 2500};
    struct stage stage;
    choose_sets(&config, scene);
    memset(&seen, 0, sizeof(seen));
    stage.sim = dsmr_sim_new(&config);
    for (uint32_t i = 0; dsmr_sim_check_all[i] != NULL; i++) {
        dsmr_sim_check_add(stage.sim, dsmr_sim_check_all[i]);
    }
    dsmr_sim_check_add(stage.sim, &look);
    set_kinds(stage.sim, scene);
    stage.clients = dsmr_sim_client_new(stage.sim, &clients);
    dsmr_sim_pass(stage.sim, scene->us);
    dsmr_sim_client_stop(stage.clients);
    bool is_done = dsmr_sim_run(stage.sim, is_level, stage.clients, 30 * SECOND);
    assert_string_equal(dsmr_sim_failure(stage.sim), "");
    assert_true(is_done);
    struct dsmr_sim_client_counts counts;
    dsmr_sim_client_counts(stage.clients, &counts);
    assert_true(counts.executed >= 10 * (scene->us / SECOND));
    return stage;
}

static void end(struct stage *stage)
{
    dsmr_sim_client_free(stage->clients);
    dsmr_sim_free(stage->sim);
}

/* Of all honest nodes. */
static uint64_t errors(struct dsmr_sim *sim, enum dsmr_err err)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        sum += dsmr_sim_check_is_honest(sim, i) ? dsmr_sim_metrics(sim, i)->errors[err] : 0;
    }
    return sum;
}

static uint64_t metric(struct dsmr_sim *sim, enum dsmr_metric id)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        sum +=
            dsmr_sim_check_is_honest(sim, i) ? dsmr_metrics_get(dsmr_sim_metrics(sim, i), id) : 0;
    }
    return sum;
}

static bool has_evidence(struct dsmr_sim *sim, uint32_t node)
{
    return dsmr_metrics_get(dsmr_sim_metrics(sim, node), DSMR_METRIC_EVIDENCE) > 0;
}

/* ---- a test for each kind ---- */

static void test_equivocator(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "equivocator", .nodes = 4, .liars = 1, .us = 20 * SECOND});
    for (uint32_t i = 0; i < 3; i++) { /* of both halves */
        assert_true(has_evidence(stage.sim, i));
    }
    assert_true(errors(stage.sim, DSMR_ERR_CONFLICT) > 0);
    end(&stage);
}

static void test_amnesiac(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "amnesiac", .nodes = 4, .liars = 1, .us = 40 * SECOND});
    uint32_t with_evidence = 0;
    for (uint32_t i = 0; i < 3; i++) { /* those who were shown the first one */
        with_evidence += has_evidence(stage.sim, i);
    }
    assert_true(with_evidence >= 1);
    end(&stage);
}

/* Seven nodes, two of them liars: three honest ones hold what is certified. */
static void test_withholder(void **state)
{
    (void)state;
    struct stage stage = play(&(struct scene){.kind = "withholder",
                                              .other = "lazy",
                                              .nodes = 7,
                                              .liars = 2,
                                              .us = 20 * SECOND,
                                              .has_spy = true});
    assert_true(seen.certs[5] > 10);
    assert_true(metric(stage.sim, DSMR_METRIC_CHUNKS_FETCHED) > seen.certs[5]);
    assert_int_equal(seen.served[5], 0);
    end(&stage);
}

static void test_lazy(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "lazy", .nodes = 4, .liars = 1, .us = 20 * SECOND});
    assert_true(seen.unkept_certs > 10);
    end(&stage);
}

/* It signs both chunks of a slot. */
static void test_lazy_equivocator(void **state)
{
    (void)state;
    struct stage stage = play(&(struct scene){
        .kind = "equivocator", .other = "lazy", .nodes = 7, .liars = 2, .us = 20 * SECOND});
    assert_true(metric(stage.sim, DSMR_METRIC_EVIDENCE) > 0);
    end(&stage);
}

static void test_forger(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "forger", .nodes = 4, .liars = 1, .us = 20 * SECOND});
    assert_true(errors(stage.sim, DSMR_ERR_BAD_SHARE) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_REFERENCE_MISMATCH) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_DUPLICATE) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_UNKNOWN) > 0);
    end(&stage);
}

static void test_flooder(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "flooder", .nodes = 4, .liars = 1, .us = 20 * SECOND});
    assert_true(seen.certs[3] >= 10 * 20); /* each of its slots, and past ones */
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(seen.certs[i] > 20);
    }
    assert_true(errors(stage.sim, DSMR_ERR_BAD_SIGNATURE) > 1000);
    assert_true(errors(stage.sim, DSMR_ERR_RATE_LIMITED) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_BITSET) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_UNDER_QUORUM) > 0);
    end(&stage);
}

static void test_warper(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "warper", .nodes = 4, .liars = 1, .us = 40 * SECOND});
    assert_true(seen.ahead_blocks > 5);
    assert_true(errors(stage.sim, DSMR_ERR_NOT_YET) > 0); /* and further than is allowed */
    end(&stage);
}

static void test_censor(void **state)
{
    (void)state;
    struct stage stage = play(&(struct scene){
        .kind = "censor", .nodes = 4, .liars = 1, .us = 20 * SECOND, .has_spy = true});
    assert_true(seen.proposals > 10);
    assert_int_equal(seen.victim_proposals, 0);
    assert_true(seen.certs[dsmr_sim_byz_victim(stage.sim)] > 20); /* others have them */
    end(&stage);
}

static void test_stale(void **state)
{
    (void)state;
    struct stage stage = play(&(struct scene){
        .kind = "stale", .nodes = 6, .liars = 1, .us = 40 * SECOND, .has_epochs = true});
    assert_true(errors(stage.sim, DSMR_ERR_EPOCH_UNKNOWN) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_UNDER_QUORUM) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_CONFLICT) > 0); /* a slot under two epochs */
    assert_true(seen.late_certs > 0);
    end(&stage);
}

static void test_garbage(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "garbage", .nodes = 4, .liars = 1, .us = 20 * SECOND});
    assert_true(errors(stage.sim, DSMR_ERR_MALFORMED) > 10);
    assert_true(errors(stage.sim, DSMR_ERR_NOT_PRODUCER) > 0); /* what another one had said */
    end(&stage);
}

static void test_amplifier(void **state)
{
    (void)state;
    struct stage stage = play(&(struct scene){
        .kind = "amplifier", .nodes = 4, .liars = 1, .us = 20 * SECOND, .has_spy = true});
    struct dsmr_sim_usage liar, honest;
    dsmr_sim_usage(stage.sim, 3, &liar);
    dsmr_sim_usage(stage.sim, 0, &honest);
    assert_true(seen.asked > 1000);
    assert_true(errors(stage.sim, DSMR_ERR_BUSY) > 0); /* over the budget for chunks */
    assert_true(liar.bytes_received > 2 * honest.bytes_received);
    end(&stage);
}

static void test_voter(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "voter", .nodes = 7, .liars = 2, .us = 30 * SECOND});
    assert_true(errors(stage.sim, DSMR_ERR_BAD_VOTE) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_BAD_PROPOSAL) > 0);
    end(&stage);
}

static void test_proposer(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "proposer", .nodes = 4, .liars = 1, .us = 160 * SECOND});
    assert_true(errors(stage.sim, DSMR_ERR_BLOCK_TIME) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_CERT_TWICE) > 0);
    assert_true(errors(stage.sim, DSMR_ERR_CERT_TIME) > 0); /* just expired, but valid */
    assert_true(errors(stage.sim, DSMR_ERR_BAD_SIGNATURE) > 0);
    end(&stage);
}

static void test_twins(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "twins", .nodes = 4, .liars = 1, .us = 40 * SECOND});
    assert_true(metric(stage.sim, DSMR_METRIC_EVIDENCE) > 0); /* two chunks of one slot */
    assert_true(errors(stage.sim, DSMR_ERR_BAD_VOTE) > 0);    /* two votes in one view */
    end(&stage);
}

static void test_canceller(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "canceller", .nodes = 4, .liars = 1, .us = 20 * SECOND});
    /* Each of a pair is refused, wherever it came into a batch. */
    assert_true(errors(stage.sim, DSMR_ERR_BAD_SIGNATURE) > 3 * 8);
    end(&stage);
}

static void test_shifter(void **state)
{
    (void)state;
    struct stage stage =
        play(&(struct scene){.kind = "shifter", .nodes = 4, .liars = 1, .us = 60 * SECOND});
    uint32_t kinds = errors(stage.sim, DSMR_ERR_BAD_SHARE) > 0;
    kinds += errors(stage.sim, DSMR_ERR_MALFORMED) > 0;
    kinds += errors(stage.sim, DSMR_ERR_CONFLICT) > 0;
    kinds += errors(stage.sim, DSMR_ERR_BAD_VOTE) > 0;
    kinds += errors(stage.sim, DSMR_ERR_BLOCK_TIME) > 0;
    kinds += errors(stage.sim, DSMR_ERR_BUSY) > 0;
    kinds += errors(stage.sim, DSMR_ERR_UNDER_QUORUM) > 0;
    assert_true(kinds >= 2);
    end(&stage);
}

/* Whoever is listed is named, and found by name. */
static void test_kinds(void **state)
{
    (void)state;
    uint32_t count = 0;
    for (; dsmr_sim_byz_kinds[count] != NULL; count++) {
        assert_ptr_equal(dsmr_sim_byz_find(dsmr_sim_byz_kinds[count]->name),
                         dsmr_sim_byz_kinds[count]);
    }
    assert_int_equal(count, 16);
    assert_null(dsmr_sim_byz_find("saint"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equivocator),
        cmocka_unit_test(test_amnesiac),
        cmocka_unit_test(test_withholder),
        cmocka_unit_test(test_lazy),
        cmocka_unit_test(test_lazy_equivocator),
        cmocka_unit_test(test_forger),
        cmocka_unit_test(test_flooder),
        cmocka_unit_test(test_warper),
        cmocka_unit_test(test_censor),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_amplifier),
        cmocka_unit_test(test_voter),
        cmocka_unit_test(test_proposer),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_canceller),
        cmocka_unit_test(test_shifter),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
