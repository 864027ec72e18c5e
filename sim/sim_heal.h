/* sim_heal.h - the second phase of a run: the faults end, and progress is demanded (L1).
 *
 * Threads: one. */
#ifndef DSMR_SIM_HEAL_H
#define DSMR_SIM_HEAL_H

#include "sim/sim.h"
#include "sim/sim_client.h"
#include "sim/sim_plan.h"

struct dsmr_sim_healing { /* of whom progress is demanded */
    struct dsmr_sim_clients *clients;
    const struct dsmr_sim_plan_left *left; /* not of them; NULL: of everybody */
    uint32_t forgetful;
};

/* Ends the faults, but for those of who is left out, and fails the run unless what honest
 * validators are given then is executed everywhere in time. */
void dsmr_sim_heal_demand(struct dsmr_sim *sim, struct dsmr_sim_healing *healing);

#endif
