#include "sim/sim_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/check.h"
#include "sim/sim_heal.h"
#include "sim/sim_wan.h"

#define WAN_BITS_PER_S UINT64_C(1000000000)
#define WAN_TABLES_MAX 24576u
#define PROFILE_BLS "bls" /* the one with real BLS and Ed25519 */
#define SPARES 2u         /* nodes that are no validators at first, with epochs */

#define MIX(crash, mid, all, pause, part, cut, slow, lossy, narrow, clock, eio, full, wipe, rate,  \
            more, more_rate)                                                                       \
    {                                                                                              \
        .weights = {crash, mid,    all,   pause, part, cut,  slow,                                 \
                    lossy, narrow, clock, eio,   full, wipe, more},                                \
        .faults_per_minute = rate, .more_per_minute = more_rate                                    \
    }
/* Of the kinds from FAULT_MORE on: tight, patchy, unreadable, damage, slow disk, state; one way,
 * tail. */
#define NONE 0
#define DISKS 6, 2, 5, 6, 2, 2, 2
#define NETS 0, 0, 0, 0, 0, 0, 0, 5, 5
#define BOTH DISKS, 5, 5

const struct dsmr_sim_profile dsmr_sim_profiles[] = {
    {"default", "everything, moderately", MIX(8, 12, 1, 6, 8, 8, 6, 6, 3, 6, 4, 3, 2, 30, BOTH, 10),
     true, true, true, 0},
    {"calm", "nothing goes wrong", MIX(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NONE, 0), false,
     false, false, 0},
    {"crash", "nodes die and come back", MIX(8, 20, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, NONE, 0),
     false, false, false, 0},
    {"net", "a bad network", MIX(0, 0, 0, 2, 8, 10, 8, 10, 4, 0, 0, 0, 0, 60, NETS, 20), false,
     false, false, 0},
    {"disk", "bad disks", MIX(4, 8, 1, 0, 0, 0, 0, 0, 0, 0, 10, 8, 0, 40, DISKS, 30), false, false,
     false, 0},
    {"byz", "up to f liars on a good network",
     MIX(1, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 10, NONE, 0), true, false, true, 0},
    {"epochs", "validators join and leave while nodes die",
     MIX(8, 8, 1, 2, 4, 4, 2, 2, 0, 0, 0, 0, 0, 30, NONE, 0), false, true, true, 0},
    {"clock", "clocks that are wrong", MIX(2, 2, 0, 4, 0, 2, 2, 2, 0, 20, 0, 0, 0, 40, NONE, 0),
     false, false, false, 0},
    {"storm", "everything at once", MIX(10, 20, 2, 8, 10, 10, 8, 10, 4, 8, 6, 4, 2, 120, BOTH, 40),
     true, true, true, 0},
    {"wan100", "100 validators in five regions, processors and links of a size; few faults",
     MIX(6, 6, 0, 4, 0, 4, 4, 0, 0, 0, 0, 0, 0, 60, NONE, 0), false, false, false, 100},
    {"wan300", "300 of them", MIX(6, 6, 0, 4, 0, 4, 4, 0, 0, 0, 0, 0, 0, 60, NONE, 0), false, false,
     false, 300},
    {PROFILE_BLS, "as default, but real BLS and Ed25519: a hundred times slower",
     MIX(8, 12, 1, 6, 8, 8, 6, 6, 3, 6, 4, 3, 2, 30, BOTH, 10), true, true, true, 0},
    {NULL, NULL, MIX(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NONE, 0), false, false, false, 0},
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
    struct dsmr_prng prng, more;
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
    dsmr_prng_init(&more, config->seed ^ UINT64_C(0x6d6f7265));
    dsmr_sim_plan_more(&run->plan, &more, &config->profile->mix, run->sim.nodes,
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

/* First of a quorum, in some runs; then of all: those that were left out catch up. */
static void demand_liveness(struct dsmr_sim *sim, struct dsmr_sim_clients *clients,
                            const struct run *run)
{
    struct dsmr_sim_healing healing = {.clients = clients, .forgetful = run->wipeable};
    dsmr_sim_client_stop(clients);
    for (uint32_t i = 0; i < run->sim.nodes; i++) {
        if (run->left.nodes[i] || i == run->wipeable) {
            dsmr_sim_client_forgive(clients, i);
        }
    }
    if (run->left_count > 0) {
        healing.left = &run->left;
        dsmr_sim_heal_demand(sim, &healing);
    }
    if (!dsmr_sim_has_failed(sim)) {
        healing.left = NULL;
        dsmr_sim_heal_demand(sim, &healing);
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
    dsmr_sim_disk_counts(sim, &result->disks);
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
