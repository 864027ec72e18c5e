/* submission.h - transactions of clients into the mempool.
 *
 * Why:     an OK means that the transaction waits for a chunk of this node, never less; a full
 *          mempool says so, and a node that builds no chunks (protocol.md, 13.3 and 13.5).
 * Threads: one owner. */
#ifndef DSMR_CORE_SUBMISSION_H
#define DSMR_CORE_SUBMISSION_H

#include "core/node_state.h"

/* EV_SUBMIT: a verdict for each item. */
void dsmr_submission_on_items(struct dsmr_node *node, const struct dsmr_event *event);

#endif
