/* sim_run.h - one run from one seed: a network, faults, liars, clients; first safety under faults,
 * then progress on a healed quorum.
 *
 * Threads: one. */
#ifndef DSMR_SIM_SIM_RUN_H
#define DSMR_SIM_SIM_RUN_H

#include "sim/byz.h"
#include "sim/engine_snow.h"
#include "sim/sim_client.h"
#include "sim/sim_plan.h"
#include "sim/sim_postmortem.h"

struct dsmr_sim_profile { /* what a seed may choose from */
    const char *name, *text;
    struct dsmr_sim_plan_mix mix;
    bool has_byz;            /* up to f liars */
    bool has_epochs;         /* validators join and leave */
    bool has_weights;        /* unequal ones */
    uint32_t wan_validators; /* 0: no wide network; else how many if nobody says */
};
extern const struct dsmr_sim_profile dsmr_sim_profiles[]; /* ended by name NULL */
const struct dsmr_sim_profile *dsmr_sim_profile_find(const char *name);

struct dsmr_sim_run_config {
    uint64_t seed;
    uint32_t validators; /* 0: 4 to 7, by the seed */
    uint64_t fault_us;   /* how long the first phase lasts */
    const struct dsmr_sim_profile *profile;
    const struct dsmr_sim_byz_ops *liar; /* what all liars are; NULL: by the seed */
    enum dsmr_sim_engine engine;
    bool is_traced;
    const bool *is_left_out; /* DSMR_SIM_FAULTS_MAX; NULL: nothing is */
};
struct dsmr_sim_run_result {
    char failure[512];                          /* "": none */
    char postmortem[DSMR_SIM_POSTMORTEM_BYTES]; /* with a failure: of whom, and what they did */
    uint64_t hash, events, messages, blocks, virtual_us;
    struct dsmr_sim_client_counts txs;
    struct dsmr_sim_snow_counts snow; /* zero with the built-in engine */
    uint32_t faults[DSMR_SIM_FAULT_KINDS];
    struct dsmr_sim_disk_counts disks;
    uint32_t plan_count;
    uint32_t validators, liars;
    uint32_t left; /* out, when a quorum was healed */
    char liar_names[128];
};
void dsmr_sim_run_one(const struct dsmr_sim_run_config *config, struct dsmr_sim_run_result *result);
/* How many faults its seed has planned, those that are left out included. */
uint32_t dsmr_sim_run_faults(const struct dsmr_sim_run_config *config);
/* Prints the faults of a run that are not left out. */
void dsmr_sim_run_print_plan(const struct dsmr_sim_run_config *config);

#endif
