/* sim_scale.h - how much a wide network carries: one run under an offered load, one line of JSON.
 *
 * The nodes have the limits and times that dsmrd has by default, and the costs of sim_cpu.h.
 * Threads: one. */
#ifndef DSMR_SIM_SIM_SCALE_H
#define DSMR_SIM_SIM_SCALE_H

#include <stdio.h>

#include "sim/sim_report.h"

struct dsmr_sim_scale_config {
    uint64_t seed;
    uint32_t validators, crashed; /* crashed: before the start, dealt out over the regions */
    uint64_t txs_per_s;           /* offered, at all nodes together */
    uint32_t tx_bytes,
        tx_weight;       /* weight 0: one that gives each node ten simulated ones a second */
    uint64_t bits_per_s; /* of each uplink and downlink */
    uint32_t workers, slot_ms;
    uint64_t warm_us, measured_us;
    bool is_traced;
};
struct dsmr_sim_scale_result {
    struct dsmr_sim_report report;
    uint64_t hash, events;
    uint32_t tx_weight;
    char failure[512]; /* "": none */
};

void dsmr_sim_scale_default(struct dsmr_sim_scale_config *config);
void dsmr_sim_scale_run(const struct dsmr_sim_scale_config *config,
                        struct dsmr_sim_scale_result *result);
void dsmr_sim_scale_print(FILE *out, const struct dsmr_sim_scale_config *config,
                          const struct dsmr_sim_scale_result *result);
/* dsmr-sim --report ...: argv[0] is "--report". The exit code. */
int dsmr_sim_scale_main(int argc, char **argv);

#endif
