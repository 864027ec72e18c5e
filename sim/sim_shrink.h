/* sim_shrink.h - which faults of a failing run can be left out.
 *
 * Threads: one. */
#ifndef DSMR_SIM_SIM_SHRINK_H
#define DSMR_SIM_SIM_SHRINK_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/sim_plan.h"

/* Marks as many of count faults as it can so that the run still fails without them; in the end it
 * would not without any one more. still_fails(ctx, tried): whether the run fails without those that
 * are marked in tried. At first nothing is marked, and the run fails. */
void dsmr_sim_shrink(bool is_left_out[DSMR_SIM_FAULTS_MAX], uint32_t count,
                     bool (*still_fails)(void *ctx, const bool *tried), void *ctx);

#endif
