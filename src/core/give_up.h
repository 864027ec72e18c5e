/* give_up.h - when an own chunk is given up before it expires.
 *
 * Why:     its transactions return to the mempool and get into another chunk (protocol.md, 5.8).
 *          That is safe at any time: the journal keeps the slot and the pool the chunk until it
 *          expires, and should it be certified after a restart its transactions still run once
 *          (10.4). Too early it costs their bytes twice.
 * Threads: one owner. */
#ifndef DSMR_CORE_GIVE_UP_H
#define DSMR_CORE_GIVE_UP_H

#include "core/node_state.h"

/* When no honest builder can take the chunk any more: blocks are built at now, or later. */
uint64_t dsmr_give_up_useless_at(const struct dsmr_node *node, const struct dsmr_own_chunk *own);
/* Too many say that it is too old for them (a floor after a restart, a slow network): no quorum is
 * left that could sign it. Only for this reason: what others refuse for its contents they would
 * refuse again. own is gone if it is given up. */
void dsmr_give_up_if_too_late(struct dsmr_node *node, struct dsmr_own_chunk *own);
/* Our clock was wrong when it was built and the others will not take it for long; the wall clock
 * has passed its expiry, though chain time, which stood still, has not; or the chain has left its
 * epoch, and those of its set who can be reached are no quorum. True: given up. */
bool dsmr_give_up_if_useless(struct dsmr_node *node, struct dsmr_own_chunk *own);
/* The chain has another epoch, or a peer has gone: what may be given up is looked at in time. */
void dsmr_give_up_look_again(struct dsmr_node *node);

#endif
