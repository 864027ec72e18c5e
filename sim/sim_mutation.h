/* sim_mutation.h - planted bugs: the patches of test/canaries, each built into a program of its own
 * by tools/run_canaries.py. Here they are listed, and such a program is run. Nothing of them is in
 * this program.
 *
 * Threads: one. */
#ifndef DSMR_SIM_SIM_MUTATION_H
#define DSMR_SIM_SIM_MUTATION_H

#include <stdint.h>

/* Both return the exit code and say what they have to say. */
int dsmr_sim_mutation_list(void);
/* Runs seeds *first .. last, or those of the patch if first is NULL, until one fails. 1: found. 0:
 * not found. 64: there is no such patch. 69: no checkout around. 70: it could not be built. */
int dsmr_sim_mutation_run(const char *name, const uint64_t *first, uint64_t last);

#endif
