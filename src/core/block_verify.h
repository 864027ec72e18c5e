/* block_verify.h - is this block valid? protocol.md, section 9.
 *
 * Why:     the rule needs the block, its context, its parent and the certificates' signatures; no
 *          chunk content and no execution.
 * How:     everything but the aggregates is checked at once; aggregates without a cached verdict go
 *          out in one batch; when their verdicts come, the block enters the tree of processing
 * blocks. What means "not yet" is answered and forgotten. Limits:  DSMR_NODE_VERIFICATIONS_MAX
 * blocks on their way; BUSY beyond. Threads: one owner. */
#ifndef DSMR_CORE_BLOCK_VERIFY_H
#define DSMR_CORE_BLOCK_VERIFY_H

#include "core/node_state.h"

/* EV_VERIFY_BLOCK with this context. */
void dsmr_block_verify_on_block(struct dsmr_node *node, uint64_t request_id,
                                struct dsmr_block *block, uint64_t epoch);
void dsmr_block_verify_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                                   const struct dsmr_event *event);
void dsmr_block_verify_free(struct dsmr_node *node);

#endif
