/* byz_twins.c - one identity, two honest bodies: each other node sees one of them, and who sees
 * which changes (Bano et al., "Twins: BFT Systems Made Robust", 2021). */
#include "sim/byz.h"

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    uint64_t mask = 0;
    dsmr_sim_byz_twin(sim, node);
    for (uint32_t i = 0; i < dsmr_sim_byz_nodes(sim); i++) {
        mask |= (uint64_t)dsmr_sim_byz_side(sim, i) << (i % 64);
    }
    dsmr_sim_byz_twin_mask(sim, node, mask);
    return NULL;
}

static void tick(void *self, struct dsmr_sim *sim, uint32_t node)
{
    (void)self;
    if (dsmr_sim_byz_random(sim, 3) == 0) {
        dsmr_sim_byz_twin_mask(sim, node, dsmr_sim_byz_random(sim, UINT64_MAX));
    }
    dsmr_sim_byz_twin_restart(sim, node);
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_twins = {
    .name = "twins", .make = make, .tick = tick, .tick_us = 1000000};
