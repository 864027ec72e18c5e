/* sim_client.h - those who send transactions: to one node, to the next if nothing comes of it, or
 * to all at once; and what they were told.
 *
 * Threads: one. */
#ifndef DSMR_SIM_SIM_CLIENT_H
#define DSMR_SIM_SIM_CLIENT_H

#include "sim/sim.h"

struct dsmr_sim_clients; /* opaque */

struct dsmr_sim_client_config {
    uint64_t seed;
    uint32_t txs_per_s; /* of all together, at random times */
    uint32_t tx_bytes;  /* of opaque ones */
    uint64_t lifetime_ms_min, lifetime_ms_max;
    uint32_t everywhere_per_mille; /* to every node at once */
    uint32_t short_per_mille;      /* live half a second at most: expire on their way */
    uint32_t replay_per_mille;     /* instead of a new one: one of the last that ran, again */
    uint32_t retry_ms;             /* to another node after that; 0: never */
};

/* The only one who hears the notices of sim. */
struct dsmr_sim_clients *dsmr_sim_client_new(struct dsmr_sim *sim,
                                             const struct dsmr_sim_client_config *config);
void dsmr_sim_client_free(struct dsmr_sim_clients *clients);
void dsmr_sim_client_stop(struct dsmr_sim_clients *clients); /* no new ones; repeats go on */
/* One new transaction to node, and how long it lives; for tests and for the end of a run. */
void dsmr_sim_client_submit(struct dsmr_sim_clients *clients, uint32_t node, uint64_t lifetime_ms);

struct dsmr_sim_client_counts {
    uint64_t made, admitted, certified, executed, expired;
    uint64_t open; /* neither executed nor expired */
};
void dsmr_sim_client_counts(struct dsmr_sim_clients *clients, struct dsmr_sim_client_counts *out);
/* Whether counts.open > 0; cheap enough to be asked after every event. */
bool dsmr_sim_client_has_open(struct dsmr_sim_clients *clients);
/* What node admitted so far need not run. */
void dsmr_sim_client_forgive(struct dsmr_sim_clients *clients, uint32_t node);
/* Fails the run if something that an honest node said was certified is neither executed nor
 * expired with its chunk; or if what one admitted that has lived on since, with enough left to live
 * when the clients were stopped, has not run. */
void dsmr_sim_client_check(struct dsmr_sim_clients *clients);

#endif
