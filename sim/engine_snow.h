/* engine_snow.h - an engine like Avalanche's: one model that sees everything, and plays with all
 * nodes at once.
 *
 * Why:     the engine port is made for AvalancheGo. What that engine may do to a node - siblings,
 *          rejections, other contexts, questions about old blocks, restarts from an older block,
 *          validator sets that come late - is done here by chance, under all faults and liars.
 * How:     nodes build blocks when the model asks them; the model issues them to all at different
 *          times. Of the blocks that a quorum has verified it decides one at each height; the
 *          others are rejected. A node hears of a decision when it can reach a quorum. Each node
 *          has a seat: what its own engine knows, asks and waits for (snow_seat.c, snow_calls.c).
 * Probes:  questions that no good engine asks, and what must be answered to them: snow_probe.c.
 * Epochs:  contexts are heights of a chain elsewhere; the schedule's sets are those of some of its
 *          heights. Each node sees that chain in its own time.
 * Fails:   rules 8, 9, 10.1, 12.2 and 14.1 of docs/protocol.md, by what nodes answer.
 * Threads: one. */
#ifndef DSMR_SIM_ENGINE_SNOW_H
#define DSMR_SIM_ENGINE_SNOW_H

#include "sim/sim.h"

struct dsmr_sim_snow; /* opaque; NULL in struct dsmr_sim: the built-in engine */
struct dsmr_sim_node;

/* Makes the epochs of config's sets heights of the other chain; some sets hold for several. */
void dsmr_sim_snow_sets(struct dsmr_sim_config *config);
/* After the schedule, before the nodes. */
struct dsmr_sim_snow *dsmr_sim_snow_new(struct dsmr_sim *sim);
void dsmr_sim_snow_free(struct dsmr_sim_snow *snow);

/* ---- for sim_node.c: the lives of node (a body: twins have a seat each) ---- */
void dsmr_sim_snow_configure(struct dsmr_sim_snow *snow, uint32_t node,
                             struct dsmr_driver_config *config);
/* After recovery, before any message. */
void dsmr_sim_snow_started(struct dsmr_sim_snow *snow, uint32_t node);
void dsmr_sim_snow_stopped(struct dsmr_sim_snow *snow, uint32_t node);
void dsmr_sim_snow_wiped(struct dsmr_sim_snow *snow, uint32_t node); /* the engine's disk, too */
/* Whether the node sees the other chain up to this height yet. */
bool dsmr_sim_snow_has_set(const struct dsmr_sim_snow *snow, uint32_t node, uint64_t epoch);

/* ---- for liars: node issues a block ---- */
void dsmr_sim_snow_issue(struct dsmr_sim_snow *snow, uint32_t node, struct dsmr_block *block,
                         uint64_t context);

/* ---- for checkers ---- */
/* The context in which the block was decided; false: it was not. */
bool dsmr_sim_snow_context(const struct dsmr_sim_snow *snow, const struct dsmr_block *block,
                           uint64_t *context);

/* ---- what happened ---- */
struct dsmr_sim_snow_counts {
    uint64_t decided, lost; /* blocks */
    uint64_t bad;           /* lost ones that an honest node found invalid */
    uint64_t rollbacks;     /* starts from an older block than the last accepted one */
    uint64_t caught_up;     /* blocks accepted while bootstrapping */
    uint64_t probes;        /* questions of snow_probe.c */
    uint64_t sets_late;     /* answers that a set is not there yet */
};
void dsmr_sim_snow_counts(const struct dsmr_sim_snow *snow, struct dsmr_sim_snow_counts *out);

#endif
