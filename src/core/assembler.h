/* assembler.h - accepted blocks to lists of transactions that run. protocol.md, sections 10.2-10.4.
 *
 * Why:        certificate order, then the order in the chunk; a transaction runs only inside its
 *             window and only once.
 * Invariants: INV-02. An id enters the filter when its block is assembled, in order of height, and
 *             leaves only when a block later than its expiry was executed: results never depend on
 *             how far execution lags. The accept of a block is durable before it is handed over.
 * Limits:     DSMR_NODE_EXECUTING_MAX blocks handed over and not answered.
 * Threads:    one owner. */
#ifndef DSMR_CORE_ASSEMBLER_H
#define DSMR_CORE_ASSEMBLER_H

#include "core/node_state.h"

/* Hands over what is complete, strictly in order. */
void dsmr_assembler_run(struct dsmr_node *node);
void dsmr_assembler_on_executed(struct dsmr_node *node, const struct dsmr_request *request,
                                const struct dsmr_event *event);

#endif
