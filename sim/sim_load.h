/* sim_load.h - an offered load that does not wait for answers: opaque transactions at random times,
 * each to the node that its client is beside.
 *
 * Weight:  as sim_cpu.h has it.
 * Threads: one. */
#ifndef DSMR_SIM_SIM_LOAD_H
#define DSMR_SIM_SIM_LOAD_H

#include "sim/sim.h"

struct dsmr_sim_load; /* opaque */

struct dsmr_sim_load_config {
    uint64_t seed;
    uint64_t txs_per_s; /* real ones, at all nodes together */
    uint32_t tx_bytes;  /* of a real one */
    uint64_t from_us;   /* none before */
};

struct dsmr_sim_load *dsmr_sim_load_new(struct dsmr_sim *sim,
                                        const struct dsmr_sim_load_config *config);
void dsmr_sim_load_free(struct dsmr_sim_load *load);
uint64_t dsmr_sim_load_made(const struct dsmr_sim_load *load); /* simulated ones */
/* When a transaction of a load was made. */
uint64_t dsmr_sim_load_made_us(const uint8_t *tx);

#endif
