#include "sim/sim_probe.h"

#include <stddef.h>

#include "base/assert.h"

#define LONGEST_NS 500000u /* longer ones: the machine has done something else */

struct dsmr_sim_probe dsmr_sim_probe;

void dsmr_sim_probe_begin(void)
{
    struct dsmr_sim_probe *probe = &dsmr_sim_probe;
    if (probe->now_ns != NULL) {
        probe->left_out_ns = 0;
        probe->begun_ns = probe->now_ns();
    }
}

void dsmr_sim_probe_end(uint32_t kind)
{
    struct dsmr_sim_probe *probe = &dsmr_sim_probe;
    DSMR_ASSERT(kind < DSMR_SIM_PROBE_KINDS);
    if (probe->now_ns != NULL) {
        uint64_t took_ns = probe->now_ns() - probe->begun_ns - probe->left_out_ns;
        probe->begun_ns = 0;
        if (took_ns < LONGEST_NS) {
            probe->kinds[kind].count++;
            probe->kinds[kind].ns += took_ns;
        }
    }
}

void dsmr_sim_probe_pause(void)
{
    struct dsmr_sim_probe *probe = &dsmr_sim_probe;
    if (probe->now_ns != NULL && probe->begun_ns != 0) {
        probe->paused_ns = probe->now_ns();
    }
}

void dsmr_sim_probe_resume(void)
{
    struct dsmr_sim_probe *probe = &dsmr_sim_probe;
    if (probe->now_ns != NULL && probe->begun_ns != 0) {
        probe->left_out_ns += probe->now_ns() - probe->paused_ns;
    }
}
