/* block_accept.h - what follows from a decision of the engine. protocol.md, sections 10 and 12.
 *
 * Why:        accept records the block durably, releases its chunks' pending bytes and returns; it
 *             never waits for the network. Fetching and executing come after.
 * Invariants: the last accepted block only moves to a child of itself; accepting the same block
 *             again changes nothing; another block at an executed height halts the node.
 * Threads:    one owner. */
#ifndef DSMR_CORE_BLOCK_ACCEPT_H
#define DSMR_CORE_BLOCK_ACCEPT_H

#include "core/node_state.h"

void dsmr_block_accept_on_accept(struct dsmr_node *node, uint64_t request_id,
                                 const struct dsmr_id *block_id);
void dsmr_block_accept_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                 enum dsmr_err err);
void dsmr_block_accept_on_reject(struct dsmr_node *node, const struct dsmr_id *block_id);
void dsmr_block_accept_on_prefer(struct dsmr_node *node, const struct dsmr_id *block_id);
/* Marks the certificates of an accepted block: index, pools, own chunks. Also for recovery. */
void dsmr_block_accept_include(struct dsmr_node *node, const struct dsmr_block *block);
/* Remembers block as last accepted, with all that hangs on it. Also for recovery. */
void dsmr_block_accept_set_tip(struct dsmr_node *node, struct dsmr_block *block);

#endif
