/* chunk_builder.h - packs this node's transactions into its chunks. protocol.md, section 5.
 *
 * Why:        every validator produces from its own mempool; a chunk leaves as soon as there is
 *             something to send and the slot allows.
 * How:        the slot is the running one, or the one after it if no own chunk waits for its
 *             certificate: so a lonely transaction need not wait, and under load chunks fill for a
 *             whole slot. Slots further ahead would only wait for their time in a pool.
 * Limits:     DSMR_NODE_OWN_MAX own chunks; backpressure; the own quota at the others.
 * Threads:    one owner. */
#ifndef DSMR_CORE_CHUNK_BUILDER_H
#define DSMR_CORE_CHUNK_BUILDER_H

#include "core/node_state.h"

/* OK, or why this node puts nothing into chunks: HALTED, NOT_YET, NOT_PRODUCING, BEHIND, DISK_LOW.
 * What passes by itself (a quota, a missing quorum, an epoch that has yet to begin) is no reason.
 */
enum dsmr_err dsmr_chunk_builder_obstacle(struct dsmr_node *node);
/* The start of the first slot that a chunk of this node can have: the floor of 12.1 may rule out
 * earlier ones. 0: no such bound. */
uint64_t dsmr_chunk_builder_not_before(const struct dsmr_node *node);
/* Builds a chunk if it may, or arms the timer for when it may. Cheap if there is nothing to do. */
void dsmr_chunk_builder_run(struct dsmr_node *node);
/* What of ours waits for what: the rate follows from it (protocol.md, 13.1). */
void dsmr_chunk_builder_backlogs(const struct dsmr_node *node, struct dsmr_backlogs *out);
void dsmr_chunk_builder_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                  enum dsmr_err err);
/* Recovery: an own chunk's body has been read. */
void dsmr_chunk_builder_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                                  enum dsmr_err err, struct dsmr_chunk *chunk);
/* Puts the still valid transactions of an own chunk back into the mempool and says so. */
void dsmr_chunk_builder_return(struct dsmr_node *node, struct dsmr_chunk *chunk);

#endif
