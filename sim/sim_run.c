#include "sim/sim_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/check.h"
#include "sim/sim_wan.h"

#define HEAL_US (240 * DSMR_SIM_SECOND_US) /* the bound of progress after the last fault */
#define HEAL_TXS 20u
#define WAN_BITS_PER_S UINT64_C(1000000000)
#define WAN_TABLES_MAX 24576u
#define PROFILE_BLS "bls" /* the one with real BLS and Ed25519 */
#define SPARES 2u         /* nodes that are no validators at first, with epochs */

#define MIX(crash, mid, all, pause, part, cut, slow, lossy, narrow, clock, eio, full, wipe, rate)  \
    {                                                                                              \
        .weights =                                                                                 \
            {crash, mid, all, pause, part, cut, slow, lossy, narrow, clock, eio, full, wipe},      \
        .faults_per_minute = rate                                                                  \
    }

const struct dsmr_sim_profile dsmr_sim_profiles[] = {
    {"default", "everything, moderately", MIX(8, 12, 1, 6, 8, 8, 6, 6, 3, 6, 4, 3, 2, 30), true,
     true, true, 0},
    {"calm", "nothing goes wrong", MIX(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), false, false,
     false, 0},
    {"crash", "nodes die and come back", MIX(8, 20, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60), false,
     false, false, 0},
    {"net", "a bad network", MIX(0, 0, 0, 2, 8, 10, 8, 10, 4, 0, 0, 0, 0, 60), false, false, false,
     0},
    {"disk", "bad disks", MIX(4, 8, 1, 0, 0, 0, 0, 0, 0, 0, 10, 8, 0, 40), false, false, false, 0},
    {"byz", "up to f liars on a good network", MIX(1, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 10), true,
     false, true, 0},
    {"epochs", "validators join and leave while nodes die",
     MIX(8, 8, 1, 2, 4, 4, 2, 2, 0, 0, 0, 0, 0, 30), false, true, true, 0},
    {"clock", "clocks that are wrong", MIX(2, 2, 0, 4, 0, 2, 2, 2, 0, 20, 0, 0, 0, 40), false,
     false, false, 0},
    {"storm", "everything at once", MIX(10, 20, 2, 8, 10, 10, 8, 10, 4, 8, 6, 4, 2, 120), true,
     true, true, 0},
    {"wan100", "100 validators in five regions, processors and links of a size; few faults",
     MIX(6, 6, 0, 4, 0, 4, 4, 0, 0, 0, 0, 0, 0, 60), false, false, false, 100},
    {"wan300", "300 of them", MIX(6, 6, 0, 4, 0, 4, 4, 0, 0, 0, 0, 0, 0, 60), false, false, false,
     300},
    {PROFILE_BLS, "as default, but real BLS and Ed25519: a hundred times slower",
     MIX(8, 12, 1, 6, 8, 8, 6, 6, 3, 6, 4, 3, 2, 30), true, true, true, 0},
    {NULL, NULL, MIX(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), false, false, false, 0},
};

const struct dsmr_sim_profile *dsmr_sim_profile_find(const char *name)
{
    for (const struct dsmr_sim_profile *profile = dsmr_sim_profiles; profile->name != NULL;
         profile++) {
        if (strcmp(profile->name, name) == 0) {
            return profile;
        }
    }
    return NULL;
}

struct run { /* what the seed has chosen */
    struct dsmr_sim_config sim;
    struct dsmr_sim_client_config clients;
    struct dsmr_sim_plan plan;
    uint32_t validators;
    uint32_t wipeable;
    const struct dsmr_sim_byz_ops *byz[DSMR_SIM_NODES_MAX];
    struct dsmr_sim_plan_left left; /* out, when a quorum is healed */
    uint32_t left_count;
    struct tuning {
        bool has_retention, is_wan;
        uint64_t retention_ms;
        uint64_t backlog_bytes_max; /* and of one block; 0: as usual */
        uint32_t chunk_lifetime_ms, block_certs_max, pending_bytes_max;
    } tuning;
};

static struct tuning tuning; /* of the run that is being made: tune() has no context */

static void tune(struct dsmr_driver_config *config)
{
    config->node.params.slot_ms = 100;
    config->node.params.chunk_lifetime_ms = tuning.chunk_lifetime_ms;
    config->node.params.block_certs_max = tuning.block_certs_max;
    config->node.params.pending_bytes_max = tuning.pending_bytes_max;
    config->node.params.chunk_bytes_max = 64u << 10;
    config->node.params.chunk_txs_max = 1024;
    config->node.params.block_txs_max = 16384;
    if (tuning.is_wan) { /* round trips are up to 300 ms, and hundreds of nodes share a memory */
        config->node.tables_max = WAN_TABLES_MAX;
        config->bft.view_timeout_ms = 1000;
        config->bft.view_timeout_max_ms = 32000;
    }
    if (tuning.backlog_bytes_max > 0) {
        config->node.params.backlog_bytes_max = tuning.backlog_bytes_max;
        config->node.params.block_payload_bytes_max = (uint32_t)tuning.backlog_bytes_max;
    }
    if (tuning.has_retention) {
        config->node.params.retention_ms = tuning.retention_ms;
    }
}

/* ---- choosing ---- */

static void choose_sets(struct run *run, struct dsmr_prng *prng,
                        const struct dsmr_sim_profile *profile)
{
    struct dsmr_sim_set *sets = run->sim.sets;
    run->sim.sets_count = 1;
    sets[0] = (struct dsmr_sim_set){.count = run->validators};
    if (profile->has_epochs && dsmr_prng_below(prng, 2) == 0) {
        run->sim.nodes += SPARES;
        uint32_t more = 1 + (uint32_t)dsmr_prng_below(prng, 3);
        uint64_t height = 0;
        for (uint32_t i = 1; i <= more; i++) {
            height += 5 + dsmr_prng_below(prng, 60);
            sets[i] = (struct dsmr_sim_set){.from_height = height,
                                            .first = (uint32_t)dsmr_prng_below(prng, SPARES + 1),
                                            .count = run->validators};
            run->sim.sets_count++;
        }
    }
    for (uint32_t i = 0; profile->has_weights && i < run->sim.sets_count; i++) {
        bool is_unequal = dsmr_prng_below(prng, 3) == 0;
        for (uint32_t k = 0; k < 16; k++) {
            sets[i].weights[k] = is_unequal ? 1 + dsmr_prng_below(prng, 4) : 1;
        }
    }
}

/* Half of the chains have the usual parameters; in the others things expire and fill up sooner. */
static void choose_tuning(struct run *run, struct dsmr_prng *prng)
{
    static const uint32_t lifetimes_ms[] = {3000, 8000, 30000};
    static const uint32_t certs[] = {3, 8, 256};
    static const uint32_t pending[] = {64u << 10, 128u << 10, 256u << 10};
    bool is_usual = dsmr_prng_below(prng, 2) == 0;
    run->tuning =
        (struct tuning){.has_retention = dsmr_prng_below(prng, 3) == 0,
                        .chunk_lifetime_ms = lifetimes_ms[is_usual ? 2 : dsmr_prng_below(prng, 3)],
                        .block_certs_max = certs[is_usual ? 2 : dsmr_prng_below(prng, 3)],
                        .pending_bytes_max = pending[is_usual ? 2 : dsmr_prng_below(prng, 3)]};
}

/* In a quarter of the runs execution is slow, and little of it may wait: the backlog is full now
 * and then (6.5, 13.1). */
static void choose_backlog(struct run *run, uint64_t seed)
{
    struct dsmr_prng prng; /* of its own: the rest of the run is what it is without this */
    dsmr_prng_init(&prng, seed ^ UINT64_C(0x6261636b6c6f67));
    if (dsmr_prng_below(&prng, 4) == 0 && !run->tuning.is_wan) {
        run->tuning.backlog_bytes_max = UINT64_C(128) << 10;
        run->sim.execute_us_max = 1 + dsmr_prng_below(&prng, 8 * DSMR_SIM_SECOND_US);
    }
}

/* Whether in every set these nodes weigh less than a third. */
static bool is_tolerable(const struct run *run, const bool *is_bad)
{
    for (uint32_t i = 0; i < run->sim.sets_count; i++) {
        const struct dsmr_sim_set *set = &run->sim.sets[i];
        uint64_t total = 0, bad = 0;
        for (uint32_t k = 0; k < set->count; k++) {
            uint64_t weight = k < 16 && set->weights[k] > 0 ? set->weights[k] : 1;
            total += weight;
            bad += is_bad[set->first + k] ? weight : 0;
        }
        if (3 * bad >= total) {
            return false;
        }
    }
    return true;
}

static void choose_liars(struct run *run, struct dsmr_prng *prng,
                         const struct dsmr_sim_run_config *config)
{
    bool is_bad[DSMR_SIM_NODES_MAX] = {false};
    uint32_t kinds = 0;
    run->wipeable = UINT32_MAX;
    while (dsmr_sim_byz_kinds[kinds] != NULL) {
        kinds++;
    }
    /* Sometimes all are of one kind: they help each other. */
    const struct dsmr_sim_byz_ops *common = dsmr_sim_byz_kinds[dsmr_prng_below(prng, kinds)];
    bool has_common = dsmr_prng_below(prng, 3) == 0 || config->liar != NULL;
    common = config->liar != NULL ? config->liar : common;
    for (uint32_t i = 0; i < run->sim.nodes; i++) {
        uint32_t node = (uint32_t)dsmr_prng_below(prng, run->sim.nodes);
        bool is_wanted = dsmr_prng_below(prng, 3) != 0;
        const struct dsmr_sim_byz_ops *kind = dsmr_sim_byz_kinds[dsmr_prng_below(prng, kinds)];
        bool was_bad = is_bad[node];
        is_bad[node] = true;
        if (was_bad || !is_wanted || !is_tolerable(run, is_bad)) {
            is_bad[node] = was_bad;
        } else if (run->wipeable == UINT32_MAX &&
                   config->profile->mix.weights[DSMR_SIM_FAULT_WIPE] > 0) {
            run->wipeable = node; /* an honest node that may lose its memory counts as one */
        } else if (config->profile->has_byz) {
            run->byz[node] = has_common ? common : kind;
        } else {
            is_bad[node] = false;
        }
    }
}

/* In a third of the runs without liars no more than a quorum is healed at first. Who may be wiped
 * counts among the f that it can do without. */
static void choose_left(struct run *run, const struct dsmr_sim_run_config *config)
{
    struct dsmr_prng prng; /* of its own: the rest of the run is what it is without this */
    bool is_bad[DSMR_SIM_NODES_MAX] = {false};
    dsmr_prng_init(&prng, config->seed ^ UINT64_C(0x71756f72756d));
    if (dsmr_prng_below(&prng, 3) != 0 || run->tuning.is_wan) {
        return;
    }
    for (uint32_t i = 0; i < run->sim.nodes; i++) {
        if (run->byz[i] != NULL) {
            return;
        }
    }
    if (run->wipeable != UINT32_MAX) {
        is_bad[run->wipeable] = true;
    }
    run->left.is_cut_off = dsmr_prng_below(&prng, 2) == 0;
    run->left.is_half_open = dsmr_prng_below(&prng, 2) == 0;
    uint32_t first = (uint32_t)dsmr_prng_below(&prng, run->sim.nodes);
    for (uint32_t i = 0; i < run->sim.nodes; i++) {
        uint32_t node = (first + i) % run->sim.nodes;
        bool was_bad = is_bad[node];
        is_bad[node] = true;
        run->left.nodes[node] = is_tolerable(run, is_bad);
        run->left_count += run->left.nodes[node];
        is_bad[node] = was_bad || run->left.nodes[node];
    }
}

/* A wide network is the same for every seed, but for its faults and clients. */
static void choose_wan(struct run *run)
{
    dsmr_sim_wan_configure(&run->sim, WAN_BITS_PER_S);
    run->tuning = (struct tuning){.chunk_lifetime_ms = 30000,
                                  .block_certs_max = 256,
                                  .pending_bytes_max = 1u << 20,
                                  .is_wan = true};
}

static void choose(struct run *run, const struct dsmr_sim_run_config *config)
{
    struct dsmr_prng prng;
    memset(run, 0, sizeof(*run));
    dsmr_prng_init(&prng, config->seed);
    run->validators =
        config->validators != 0 ? config->validators : 4 + (uint32_t)dsmr_prng_below(&prng, 4);
    if (config->profile->wan_validators > 0 && config->validators == 0) {
        run->validators = config->profile->wan_validators;
    }
    run->sim.nodes = run->validators;
    run->sim.seed = dsmr_prng_next(&prng);
    run->sim.app = dsmr_prng_below(&prng, 2) == 0 ? DSMR_SIM_OPAQUE : DSMR_SIM_TRANSFERS;
    run->sim.has_real_crypto = strcmp(config->profile->name, PROFILE_BLS) == 0;
    run->sim.is_traced = config->is_traced;
    run->sim.engine = config->engine;
    run->sim.tune = tune;
    run->sim.link.latency_us = dsmr_prng_below(&prng, 20000);
    run->sim.link.jitter_us = 1 + dsmr_prng_below(&prng, 30000);
    run->sim.sync_us_max = 500 + dsmr_prng_below(&prng, 20000);
    choose_tuning(run, &prng);
    if (config->profile->wan_validators > 0) {
        choose_wan(run);
    }
    choose_backlog(run, config->seed);
    choose_sets(run, &prng, config->profile);
    choose_liars(run, &prng, config);
    choose_left(run, config);
    /* Whoever was away for long, or has lost all, needs what the others have let go. */
    run->tuning.has_retention =
        run->tuning.has_retention && run->wipeable == UINT32_MAX && run->left_count == 0;
    run->tuning.retention_ms = config->fault_us / 1000 + 40000;
    run->clients = (struct dsmr_sim_client_config){
        .seed = dsmr_prng_next(&prng),
        .txs_per_s = 1 + (uint32_t)dsmr_prng_below(&prng, 40),
        .tx_bytes = 64 + (uint32_t)dsmr_prng_below(&prng, 1000),
        .lifetime_ms_min = 5000,
        .lifetime_ms_max = 58000,
        .everywhere_per_mille = dsmr_prng_below(&prng, 4) == 0 ? 300 : 20,
        .short_per_mille = dsmr_prng_below(&prng, 2) == 0 ? 0 : 200,
        .replay_per_mille = dsmr_prng_below(&prng, 2) == 0 ? 0 : 100,
        .retry_ms = dsmr_prng_below(&prng, 2) == 0 ? 0 : 3000};
    dsmr_sim_plan_make(&run->plan, &prng, &config->profile->mix, run->sim.nodes, run->wipeable,
                       DSMR_SIM_SECOND_US / 10, config->fault_us);
    if (config->is_left_out != NULL) {
        memcpy(run->plan.is_left_out, config->is_left_out, sizeof(run->plan.is_left_out));
    }
}

uint32_t dsmr_sim_run_faults(const struct dsmr_sim_run_config *config)
{
    struct run *run = malloc(sizeof(*run));
    DSMR_ASSERT(run != NULL);
    choose(run, config);
    uint32_t count = run->plan.count;
    free(run);
    return count;
}

void dsmr_sim_run_print_plan(const struct dsmr_sim_run_config *config)
{
    struct run *run = malloc(sizeof(*run));
    DSMR_ASSERT(run != NULL);
    choose(run, config);
    for (uint32_t i = 0; i < run->plan.count; i++) {
        if (!run->plan.is_left_out[i]) {
            dsmr_sim_plan_print(&run->plan.faults[i]);
        }
    }
    free(run);
}

/* ---- the second phase ---- */

struct healing { /* of whom progress is demanded */
    struct dsmr_sim_clients *clients;
    const struct dsmr_sim_config *config;
    const struct dsmr_sim_plan_left *left; /* not of them; NULL: of everybody */
    uint32_t forgetful;
};

static bool is_left_out(const struct healing *healing, uint32_t node)
{
    return healing->left != NULL && healing->left->nodes[node];
}

/* The set of the highest block that an honest node has accepted. Others need not follow. */
static const struct dsmr_validator_set *current_set(struct dsmr_sim *sim,
                                                    const struct healing *healing, uint64_t *height)
{
    uint64_t epoch = 0;
    *height = 0;
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        struct dsmr_query_status status;
        if (!dsmr_sim_check_is_honest(sim, i) || !dsmr_sim_is_up(sim, i) ||
            is_left_out(healing, i)) {
            continue;
        }
        dsmr_sim_status(sim, i, &status);
        if (status.height >= *height && status.epoch != DSMR_EPOCH_NONE) {
            *height = status.height;
            epoch = status.epoch;
        }
    }
    return dsmr_sim_check_set(sim, epoch);
}

/* It was away for longer than others keep chunks, and says so: only another one's state helps. */
static bool is_left_behind(const struct dsmr_sim *sim, const struct dsmr_query_status *status)
{
    return status->needs_state_sync && dsmr_sim_check_params(sim)->retention_ms != UINT64_MAX;
}

/* The honest validators have accepted and executed all there is. */
static bool is_level(struct dsmr_sim *sim, const struct healing *healing)
{
    uint64_t height;
    const struct dsmr_validator_set *set = current_set(sim, healing, &height);
    for (uint32_t i = 0; i < set->count; i++) {
        struct dsmr_query_status status;
        uint32_t node = dsmr_sim_check_number(&set->validators[i].node_ids[0]);
        if (!dsmr_sim_check_is_honest(sim, node) || is_left_out(healing, node)) {
            continue;
        }
        if (!dsmr_sim_is_up(sim, node)) {
            return false;
        }
        dsmr_sim_status(sim, node, &status);
        if (status.height != height ||
            (status.executed_height != height && !is_left_behind(sim, &status))) {
            return false;
        }
    }
    return true;
}

/* So that what it admits is executed: who leaves the set with transactions in its mempool has
 * nobody to hand them to, and they expire there. */
static bool is_validator(struct dsmr_sim *sim, const struct dsmr_sim_config *config, uint32_t node,
                         bool must_stay)
{
    struct dsmr_query_status status;
    dsmr_sim_status(sim, node, &status);
    for (uint32_t i = 0; must_stay && i < config->sets_count; i++) {
        const struct dsmr_sim_set *set = &config->sets[i];
        bool is_later = status.epoch == DSMR_EPOCH_NONE || set->from_height > status.epoch;
        if (is_later && (node < set->first || node - set->first >= set->count)) {
            return false;
        }
    }
    return status.is_validator && !status.is_under_floor; /* 12.4: else its chunks get no shares */
}

/* A node that made its journal while its clock was ahead signs nothing until that time has come
 * (12.4), and is one of the f; together with those that are left out it may be one too many. */
static bool is_quorum_under_floor(struct dsmr_sim *sim, const struct healing *healing)
{
    for (uint32_t i = 0; healing->left != NULL && i < dsmr_sim_check_nodes(sim); i++) {
        struct dsmr_query_status status;
        if (i == healing->forgetful || is_left_out(healing, i) || !dsmr_sim_is_up(sim, i)) {
            continue;
        }
        dsmr_sim_status(sim, i, &status);
        if (status.is_under_floor) {
            return true;
        }
    }
    return false;
}

/* The operator's supervisor: what has stopped on a bad disk is started again. */
static void restart_stopped(struct dsmr_sim *sim, const struct healing *healing)
{
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        if (!dsmr_sim_is_up(sim, i) && !is_left_out(healing, i)) {
            dsmr_sim_restart(sim, i);
        }
    }
}

static bool is_drained(struct dsmr_sim *sim, void *ctx)
{
    const struct healing *healing = ctx;
    restart_stopped(sim, healing);
    return !dsmr_sim_client_has_open(healing->clients) && is_level(sim, healing);
}

/* Executed and accepted height, view, and what keeps a node from signing: b behind, d disk low. */
static void say_levels(struct dsmr_sim *sim, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim) && used + 64 < capacity; i++) {
        struct dsmr_query_status status;
        if (dsmr_sim_is_up(sim, i)) {
            dsmr_sim_status(sim, i, &status);
            used +=
                (size_t)snprintf(text + used, capacity - used, " n%u %llu/%llu v%llu%s%s", i,
                                 (unsigned long long)status.executed_height,
                                 (unsigned long long)status.height, (unsigned long long)status.view,
                                 status.is_behind ? "b" : "", status.is_disk_low ? "d" : "");
        }
    }
}

/* To honest validators, as many to each as to the others. Returns how many: fewer than HEAL_TXS if
 * nobody may produce. */
static uint32_t send_txs(struct dsmr_sim *sim, const struct healing *healing)
{
    uint64_t window_ms = dsmr_sim_check_params(sim)->validity_window_ms;
    bool must_stay = true; /* if anybody does */
    uint32_t sent = 0;
    for (uint32_t i = 0; sent < HEAL_TXS && i < HEAL_TXS * dsmr_sim_check_nodes(sim); i++) {
        uint32_t node = i % dsmr_sim_check_nodes(sim);
        must_stay = must_stay && (sent > 0 || i < dsmr_sim_check_nodes(sim));
        if (node != healing->forgetful && dsmr_sim_check_is_honest(sim, node) &&
            !is_left_out(healing, node) && is_validator(sim, healing->config, node, must_stay)) {
            dsmr_sim_client_submit(healing->clients, node, window_ms - 2000);
            sent++;
        }
    }
    return sent;
}

/* What is sent now, to honest validators on a healed network, has to be executed: it lives longer
 * than the bound. forgetful: one that may have been wiped while its clock was a day ahead; it signs
 * nothing for that long, and counts among the f. */
static void demand_progress(struct dsmr_sim *sim, struct healing *healing)
{
    struct dsmr_sim_client_counts before, after;
    char levels[384];
    const char *who = healing->left != NULL ? "the healing of a quorum" : "the healing";
    dsmr_sim_plan_heal(sim, healing->left);
    /* First whatever was going on comes to its end: what lives only a while expires. */
    (void)dsmr_sim_run(sim, is_drained, healing, HEAL_US);
    if (dsmr_sim_has_failed(sim)) {
        return;
    }
    if (is_quorum_under_floor(sim, healing)) {
        return;
    }
    dsmr_sim_client_counts(healing->clients, &before);
    if (send_txs(sim, healing) < HEAL_TXS) {
        dsmr_sim_fail(sim, "L1", "no honest validator may produce after %s", who);
        return;
    }
    bool is_done = dsmr_sim_run(sim, is_drained, healing, HEAL_US);
    if (dsmr_sim_has_failed(sim)) {
        return;
    }
    dsmr_sim_client_counts(healing->clients, &after);
    if (after.executed - before.executed < HEAL_TXS) {
        say_levels(sim, levels, sizeof(levels));
        dsmr_sim_fail(sim, "L1", "%llu of %u transactions were executed after %s:%s",
                      (unsigned long long)(after.executed - before.executed), HEAL_TXS, who,
                      levels);
    } else if (!is_done) {
        say_levels(sim, levels, sizeof(levels));
        dsmr_sim_fail(sim, "L1", "%llu s after %s:%s",
                      (unsigned long long)(2 * HEAL_US / DSMR_SIM_SECOND_US), who, levels);
    }
}

/* First of a quorum, in some runs; then of all: those that were left out catch up. */
static void demand_liveness(struct dsmr_sim *sim, struct dsmr_sim_clients *clients,
                            const struct run *run)
{
    struct healing healing = {.clients = clients, .config = &run->sim, .forgetful = run->wipeable};
    dsmr_sim_client_stop(clients);
    for (uint32_t i = 0; i < run->sim.nodes; i++) {
        if (run->left.nodes[i] || i == run->wipeable) {
            dsmr_sim_client_forgive(clients, i);
        }
    }
    if (run->left_count > 0) {
        healing.left = &run->left;
        demand_progress(sim, &healing);
    }
    if (!dsmr_sim_has_failed(sim)) {
        healing.left = NULL;
        demand_progress(sim, &healing);
    }
}

/* ---- a whole run ---- */

static void fill_result(struct dsmr_sim *sim, struct dsmr_sim_clients *clients,
                        struct dsmr_sim_run_result *result)
{
    snprintf(result->failure, sizeof(result->failure), "%s", dsmr_sim_failure(sim));
    if (dsmr_sim_has_failed(sim)) {
        dsmr_sim_postmortem(sim, result->postmortem, sizeof(result->postmortem));
    }
    result->hash = dsmr_sim_hash(sim);
    result->events = dsmr_sim_events(sim);
    result->messages = dsmr_sim_messages(sim);
    result->virtual_us = dsmr_sim_now_us(sim);
    dsmr_sim_client_counts(clients, &result->txs);
    if (dsmr_sim_engine(sim) != NULL) {
        dsmr_sim_snow_counts(dsmr_sim_engine(sim), &result->snow);
    }
    for (uint32_t i = 0; i < dsmr_sim_check_nodes(sim); i++) {
        struct dsmr_query_status status;
        if (dsmr_sim_is_up(sim, i) && dsmr_sim_check_is_honest(sim, i)) {
            dsmr_sim_status(sim, i, &status);
            result->blocks = status.height > result->blocks ? status.height : result->blocks;
        }
    }
}

static void name_liars(const struct run *run, struct dsmr_sim_run_result *result)
{
    size_t used = 0;
    for (uint32_t i = 0; i < run->sim.nodes; i++) {
        if (run->byz[i] != NULL && used < sizeof(result->liar_names) - 32) {
            used += (size_t)snprintf(result->liar_names + used, sizeof(result->liar_names) - used,
                                     "%sn%u:%s", used == 0 ? "" : ",", i, run->byz[i]->name);
            result->liars++;
        }
    }
}

void dsmr_sim_run_one(const struct dsmr_sim_run_config *config, struct dsmr_sim_run_result *result)
{
    struct run *run = malloc(sizeof(*run));
    DSMR_ASSERT(run != NULL);
    memset(result, 0, sizeof(*result));
    choose(run, config);
    tuning = run->tuning;
    struct dsmr_sim *sim = dsmr_sim_new(&run->sim);
    dsmr_sim_postmortem_asserts(sim);
    for (uint32_t i = 0; dsmr_sim_check_all[i] != NULL; i++) {
        dsmr_sim_check_add(sim, dsmr_sim_check_all[i]);
    }
    for (uint32_t i = 0; i < run->sim.nodes; i++) {
        if (run->byz[i] != NULL) {
            dsmr_sim_byz_set(sim, i, run->byz[i]);
        }
    }
    name_liars(run, result);
    result->validators = run->validators;
    result->left = run->left_count;
    result->plan_count = run->plan.count;
    struct dsmr_sim_clients *clients = dsmr_sim_client_new(sim, &run->clients);
    dsmr_sim_plan_start(&run->plan, sim, result->faults);
    dsmr_sim_pass(sim, config->fault_us);
    if (!dsmr_sim_has_failed(sim)) {
        demand_liveness(sim, clients, run);
    }
    if (!dsmr_sim_has_failed(sim)) {
        dsmr_sim_client_check(clients);
        dsmr_sim_check_end(sim);
    }
    fill_result(sim, clients, result);
    dsmr_sim_postmortem_asserts(NULL);
    dsmr_sim_client_free(clients);
    dsmr_sim_free(sim);
    free(run);
}
