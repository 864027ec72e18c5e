/* sim_postmortem.h - what is said of a run that failed, beside the sentence of dsmr_sim_fail: which
 * nodes it is about, how far they are, and what they did last. An assertion is answered alike.
 *
 * Threads: one; one simulation at a time. */
#ifndef DSMR_SIM_SIM_POSTMORTEM_H
#define DSMR_SIM_SIM_POSTMORTEM_H

#include "sim/sim.h"

#define DSMR_SIM_POSTMORTEM_BYTES 16384u
#define DSMR_SIM_POSTMORTEM_DEEDS 30u

/* The nodes are those that the failure's sentence names ("node 3", "n3") and the one in whose event
 * it was found; else all. A text of lines that begin with two blanks; cut off at capacity. */
void dsmr_sim_postmortem(struct dsmr_sim *sim, char *text, size_t capacity);
/* From now on an assertion prints a failure and its postmortem on standard output before it aborts.
 * NULL: no longer. */
void dsmr_sim_postmortem_asserts(struct dsmr_sim *sim);

#endif
