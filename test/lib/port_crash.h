/* port_crash.h - kills a node of a world between two calls that its driver makes of its ports.
 *
 * Why:     a process can die after any of its effects, also between two of one event; the world
 *          itself kills between events only.
 * How:     the ports stand behind counters. From the chosen call on nothing gets out any more:
 *          nothing is sent, told or committed, and what is written now is forgotten. The world
 *          takes the node away when the event is over. Not counted: what has no effect outside
 *          (work for threads, reads, clocks).
 * Disk:    writes that were queued before and not done are lost, or all done: both can happen.
 * Checks:  of all lives of a node together, from what left it: one chunk for each (producer, slot)
 *          that it signs, one block for each view that it proposes or notarizes in, and never both
 *          NULLIFY and FINALIZE in a view; and what it told as accepted or executed is so after the
 *          next start.
 * Threads: one; one such world at a time. */
#ifndef DSMR_TEST_PORT_CRASH_H
#define DSMR_TEST_PORT_CRASH_H

#include "lib/world.h"

struct dsmr_world *port_crash_new(const struct dsmr_world_config *config);
void port_crash_free(struct dsmr_world *world);

/* Calls of node so far, of all its lives. */
uint64_t port_crash_calls(uint32_t node);
/* Kills node instead of letting it make that call; keeps_writes: what it had queued gets to disk.
 */
void port_crash_at(uint32_t node, uint64_t call, bool keeps_writes);
bool port_crash_is_due(uint32_t node); /* it has not happened yet */
/* For a node that is down. If it dies while it recovers it is down afterwards. */
void port_crash_restart(struct dsmr_world *world, uint32_t node);
/* A new disk; down as well. Its key it keeps. */
void port_crash_wipe(struct dsmr_world *world, uint32_t node);

#endif
