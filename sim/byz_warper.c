/* byz_warper.c - its clock is where it hurts most: its blocks and slots are as far ahead as others
 * take, a little further, or behind. */
#include "sim/byz.h"

static void tick(void *self, struct dsmr_sim *sim, uint32_t node)
{
    int64_t limit_ms = dsmr_sim_byz_params(sim)->clock_skew_ms;
    const int64_t skews_ms[] = {limit_ms,      limit_ms,     limit_ms,
                                limit_ms - 20, limit_ms + 1, limit_ms + 300,
                                5 * limit_ms,  -limit_ms,    -20 * limit_ms};
    (void)self;
    uint64_t which = dsmr_sim_byz_random(sim, sizeof(skews_ms) / sizeof(skews_ms[0]));
    dsmr_sim_set_clock(sim, node, skews_ms[which], 0);
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_warper = {
    .name = "warper", .tick = tick, .tick_us = 2000000};
