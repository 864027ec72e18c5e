/* expiry.h - what leaves, and when. protocol.md, sections 11 and 12.
 *
 * Why:        chunks that no block took leave when chain time has passed their expiry; included
 *             ones after retention; journal entries at expiry, together with the floor, so that a
 *             node whose engine goes back never signs again what it has forgotten.
 * How:        in steps of at most DSMR_NODE_GC_BATCH_MAX after accepts; one STORE_GC at a time (but
 *             for a floor of its own), and not for less than a batch more often than once a second.
 * What the store could not remove it is asked again. Included chunks are not kept in mind: the
 * store finds them by their blocks and answers how old the oldest is that it still keeps.
 * Invariants: nothing leaves memory's journal that chain time (or the floor) does not refuse
 *             anyway; on disk journal entries go in the atom that raises the floor.
 * Threads:    one owner. */
#ifndef DSMR_CORE_EXPIRY_H
#define DSMR_CORE_EXPIRY_H

#include "core/node_state.h"

/* One step; arms the timer if something is left over. */
void dsmr_expiry_run(struct dsmr_node *node);
void dsmr_expiry_on_gc(struct dsmr_node *node, const struct dsmr_request *request,
                       const struct dsmr_event *event);
/* Raises the floor, in memory now and on disk with a STORE_GC of its own, which is made at once. If
 * the disk refuses that one the node halts. False: no request is free; nothing has changed. */
DSMR_MUST_USE bool dsmr_expiry_set_floor(struct dsmr_node *node, uint64_t floor_ms);
/* The mempool's timer: drops expired transactions. */
void dsmr_expiry_on_mempool(struct dsmr_node *node);

#endif
