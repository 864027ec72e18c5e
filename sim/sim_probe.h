/* sim_probe.h - how long the real code of the logic thread takes on this machine, by what it
 * handles.
 *
 * Why:     the table of sim_cpu.h has to come from somewhere; the code that would have to be
 * measured is the code that runs here. How:     bench/bench_costs.c gives a clock; without one
 * (every simulation) nothing is asked. What the fakes take (workers, network, disk, listeners) is
 * left out. Threads: one. */
#ifndef DSMR_SIM_SIM_PROBE_H
#define DSMR_SIM_SIM_PROBE_H

#include <stdint.h>

#define DSMR_SIM_PROBE_TASK 30u /* kinds: numbers of message types; a result; */
#define DSMR_SIM_PROBE_TICK 31u /* time */
#define DSMR_SIM_PROBE_KINDS 32u

struct dsmr_sim_probe {
    uint64_t (*now_ns)(void); /* NULL: nothing is measured */
    uint64_t begun_ns, paused_ns, left_out_ns;
    struct {
        uint64_t count, ns;
    } kinds[DSMR_SIM_PROBE_KINDS];
};

/* One in a process: set now_ns before a run, read kinds after it. */
extern struct dsmr_sim_probe dsmr_sim_probe;

void dsmr_sim_probe_begin(void);
void dsmr_sim_probe_end(uint32_t kind);
void dsmr_sim_probe_pause(void); /* a fake works from here on */
void dsmr_sim_probe_resume(void);

#endif
