/* block_load.h - reads accepted blocks back from the disk when their turn to execute comes.
 *
 * Why:     only the oldest blocks that wait for execution are in memory (exec_queue); the others
 *          are known by their number alone, because the store has them.
 * How:     LOAD_BLOCK by height, a few at a time; what comes must have the height, follow the block
 *          before it (checked when it enters the window) and, at the tip, be the tip. What cannot
 *          be read, or is another block, halts the node: an accepted block must not be forgotten.
 * Limits:  BLOCK_LOADS_MAX on their way. Threads: one owner. */
#ifndef DSMR_CORE_BLOCK_LOAD_H
#define DSMR_CORE_BLOCK_LOAD_H

#include "core/node_state.h"

/* Asks for what is next, if there is room for it. */
void dsmr_block_load_run(struct dsmr_node *node);
void dsmr_block_load_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                               enum dsmr_err err, struct dsmr_block *block);
/* Whether more accepts wait for the disk than may: then no further block is found valid. So an
 * accept, which must never be refused, always finds a request for its write. */
bool dsmr_block_load_is_disk_late(const struct dsmr_node *node);

#endif
