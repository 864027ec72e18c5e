/* block_builder.h - blocks of certificates on the preferred tip. protocol.md, section 8.
 *
 * Why:     the engine asks for a block; and it is told at once when there is one to build, so that
 * no timer stands in a transaction's way. How:     READY is true while a certificate fits on the
 * preference, while the tip's epoch is NONE, and, while something is held that cannot be included,
 * now and then: from parent time + 1 s with backoff up to the chunk lifetime. A build that lies
 * ahead of now waits for its time, but no longer than honest clocks differ. Limits:
 * DSMR_NODE_BUILDS_MAX builds wait; the oldest gives way. Threads: one owner. */
#ifndef DSMR_CORE_BLOCK_BUILDER_H
#define DSMR_CORE_BLOCK_BUILDER_H

#include "core/node_state.h"

/* EV_BUILD on parent_id with this context. */
void dsmr_block_builder_on_build(struct dsmr_node *node, uint64_t request_id,
                                 const struct dsmr_id *parent_id, uint64_t epoch);
/* Builds whose time has come. */
void dsmr_block_builder_on_timer(struct dsmr_node *node);
/* Says READY if it has changed. Called whenever pools or the preference change. */
void dsmr_block_builder_update(struct dsmr_node *node);
/* The timer HOLD: something may be includable by an empty block now. */
void dsmr_block_builder_on_hold(struct dsmr_node *node);
/* After every event: something may be held now that no timer waits for yet. Cheap. */
void dsmr_block_builder_on_step(struct dsmr_node *node);
/* A validator set has come, for want of which a build may have been refused. */
void dsmr_block_builder_on_set(struct dsmr_node *node);
/* The tip is another: the backoff of HOLD starts anew. */
void dsmr_block_builder_on_tip(struct dsmr_node *node);
/* The block, if it is the last accepted or processing; borrowed. NULL: unknown. */
struct dsmr_block *dsmr_block_builder_find(const struct dsmr_node *node,
                                           const struct dsmr_id *block_id);
/* Smallest time of a child of parent. */
uint64_t dsmr_block_builder_time_min(const struct dsmr_node *node, const struct dsmr_block *parent);

#endif
