/* sim_plan.h - what goes wrong, and when: a list that follows from the seed alone, so that a part
 * of it can be left out without changing the rest.
 *
 * Threads: one. */
#ifndef DSMR_SIM_SIM_PLAN_H
#define DSMR_SIM_SIM_PLAN_H

#include "base/prng.h"
#include "sim/sim.h"

#define DSMR_SIM_FAULTS_MAX 256u

enum dsmr_sim_fault_kind {
    DSMR_SIM_FAULT_CRASH,     /* between two events */
    DSMR_SIM_FAULT_CRASH_MID, /* within what follows from one event */
    DSMR_SIM_FAULT_KILL_ALL,
    DSMR_SIM_FAULT_PAUSE,
    DSMR_SIM_FAULT_PARTITION, /* mask on one side; seen or half open */
    DSMR_SIM_FAULT_CUT,       /* one direction of one pair */
    DSMR_SIM_FAULT_SLOW,      /* one direction of one pair: a second more */
    DSMR_SIM_FAULT_LOSSY,     /* everything from one node: loss, duplicates, other order */
    DSMR_SIM_FAULT_NARROW,    /* an uplink of 20 kB/s */
    DSMR_SIM_FAULT_CLOCK,     /* skew, drift */
    DSMR_SIM_FAULT_EIO,
    DSMR_SIM_FAULT_DISK_FULL,
    DSMR_SIM_FAULT_WIPE, /* of a node that counts as a liar: its promises are forgotten */
    /* From here on planned by a stream of their own: */
    DSMR_SIM_FAULT_TIGHT,      /* bodies find no room, what is written with them does */
    DSMR_SIM_FAULT_PATCHY,     /* and now and then a group does not */
    DSMR_SIM_FAULT_UNREADABLE, /* half of the bodies, for a while; with or without a restart */
    DSMR_SIM_FAULT_DAMAGE,     /* of some of the latest bodies, for good; the same */
    DSMR_SIM_FAULT_SLOW_DISK,
    DSMR_SIM_FAULT_STATE_EIO, /* a commit of the state fails, and nobody knows whether it was done
                               */
    DSMR_SIM_FAULT_STATE_FULL,
    DSMR_SIM_FAULT_ONE_WAY, /* a partition in one direction: one side hears the other */
    DSMR_SIM_FAULT_TAIL,    /* everything from one node: latencies with a long tail */
    DSMR_SIM_FAULT_KINDS
};
#define DSMR_SIM_FAULT_MORE DSMR_SIM_FAULT_TIGHT
extern const char *const dsmr_sim_fault_names[DSMR_SIM_FAULT_KINDS];

struct dsmr_sim_fault {
    uint64_t at_us, lasts_us;
    enum dsmr_sim_fault_kind kind;
    uint32_t node, other;
    uint64_t mask;
    int64_t amount;
    bool flag;
};
struct dsmr_sim_plan {
    struct dsmr_sim_fault faults[DSMR_SIM_FAULTS_MAX];
    uint32_t count;
    uint32_t wipeable;
    bool is_left_out[DSMR_SIM_FAULTS_MAX];
};
/* How often each kind comes, among those that are planned with it. */
struct dsmr_sim_plan_mix {
    uint32_t weights[DSMR_SIM_FAULT_KINDS];
    uint32_t faults_per_minute, more_per_minute; /* more: of the kinds from FAULT_MORE on */
};

/* Faults within from_us .. until_us. wipeable: the node that WIPE may take; UINT32_MAX: none. */
void dsmr_sim_plan_make(struct dsmr_sim_plan *plan, struct dsmr_prng *prng,
                        const struct dsmr_sim_plan_mix *mix, uint32_t nodes, uint32_t wipeable,
                        uint64_t from_us, uint64_t until_us);
/* Adds those of the kinds from FAULT_MORE on; prng is not the one of the others, which stay what
 * they are. */
void dsmr_sim_plan_more(struct dsmr_sim_plan *plan, struct dsmr_prng *prng,
                        const struct dsmr_sim_plan_mix *mix, uint32_t nodes, uint64_t from_us,
                        uint64_t until_us);
/* Has every fault happen that is not left out; counts[kind]: how many did, so far. plan and counts
 * outlive the run. */
void dsmr_sim_plan_start(struct dsmr_sim_plan *plan, struct dsmr_sim *sim, uint32_t *counts);
/* Ends all faults: everybody runs, sees everybody, has the right time and room on the disk. But for
 * those of left, which may be NULL: they are down, or cut off. */
struct dsmr_sim_plan_left {
    bool nodes[DSMR_SIM_NODES_MAX];
    bool is_cut_off;   /* they run, and nobody sees them */
    bool is_half_open; /* and nobody is told so */
};
void dsmr_sim_plan_heal(struct dsmr_sim *sim, const struct dsmr_sim_plan_left *left);
void dsmr_sim_plan_print(const struct dsmr_sim_fault *fault); /* a line on stdout */

#endif
