#include "sim/sim_shrink.h"

#include <string.h>

/* Tries to leave out each run of size faults. False: none could be. */
static bool leave_out_runs(bool *is_left_out, uint32_t count, uint32_t size,
                           bool (*still_fails)(void *ctx, const bool *tried), void *ctx)
{
    bool tried[DSMR_SIM_FAULTS_MAX], has_fewer = false;
    for (uint32_t from = 0; from < count; from += size) {
        uint32_t more = size < count - from ? size : count - from;
        memcpy(tried, is_left_out, sizeof(tried));
        memset(tried + from, 1, more * sizeof(tried[0]));
        if (memcmp(tried, is_left_out, sizeof(tried)) != 0 && still_fails(ctx, tried)) {
            memcpy(is_left_out, tried, sizeof(tried));
            has_fewer = true;
        }
    }
    return has_fewer;
}

/* Ever smaller runs of faults (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing
 * input", 2002: the complement half of ddmin). */
void dsmr_sim_shrink(bool is_left_out[DSMR_SIM_FAULTS_MAX], uint32_t count,
                     bool (*still_fails)(void *ctx, const bool *tried), void *ctx)
{
    for (uint32_t size = (count + 1) / 2; size > 1; size /= 2) {
        (void)leave_out_runs(is_left_out, count, size, still_fails, ctx);
    }
    /* Without a later one an earlier one may do nothing any more. */
    while (leave_out_runs(is_left_out, count, 1, still_fails, ctx)) {
    }
}
