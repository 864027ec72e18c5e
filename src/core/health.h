/* health.h - how far the others are, and how far we are. protocol.md, section 12.
 *
 * Why:     behind means that the engine is bootstrapping, or that more than a third of the weight
 *          reports an accepted height more than DSMR_BEHIND_BLOCKS above ours; a node that is
 * behind neither signs nor builds. Never the age of the last block: an idle chain is not behind.
 * Limits:  heights are told to all at most once a second, and only when they have changed.
 * Threads: one owner. */
#ifndef DSMR_CORE_HEALTH_H
#define DSMR_CORE_HEALTH_H

#include "core/node_state.h"

/* Upon status(accepted, executed) from peer. */
void dsmr_health_on_status(struct dsmr_node *node, const struct dsmr_node_id *from,
                           const struct dsmr_msg *msg);
void dsmr_health_on_peer(struct dsmr_node *node, const struct dsmr_node_id *peer, bool is_up);
/* Wall clock from which on a chunk of the running slot expires above the floor (6.3). */
uint64_t dsmr_health_floor_ends_ms(const struct dsmr_node *node);
void dsmr_health_on_start(struct dsmr_node *node);
/* Before block is accepted. Ours may be a new journal of an old key (12.4): then its floor is
 * written now, before the accept, so that no crash leaves the accept without it. False: too much is
 * on its way for that write; nothing has changed. */
bool dsmr_health_before_accept(struct dsmr_node *node, const struct dsmr_block *block);
void dsmr_health_on_accept(struct dsmr_node *node);
void dsmr_health_on_executed(struct dsmr_node *node);
void dsmr_health_on_flag(struct dsmr_node *node, bool *flag, bool value);
void dsmr_health_on_timer(struct dsmr_node *node);

/* Compares our clock with the others', once in a while. */
void dsmr_health_on_step(struct dsmr_node *node);

#endif
