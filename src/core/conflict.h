/* conflict.h - two chunks of one slot, both signed by their producer: evidence. protocol.md, 6.9.
 *
 * Why:     a provable fault is kept and served, one pair for each (producer, epoch); there is no
 *          slashing, and a refused chunk leaves nothing else behind. Where the budget is used up
 * the pairs of epochs that are over give way; a conflict that finds no room is counted. Limits:
 * DSMR_NODE_EVIDENCE_JOBS_MAX being verified; the budget of evidence_log. Threads: one owner. */
#ifndef DSMR_CORE_CONFLICT_H
#define DSMR_CORE_CONFLICT_H

#include "core/node_state.h"

/* second conflicts with the chunk that holds its slot; sig: what its producer sent as signature,
 * not verified. Does nothing if evidence exists, or the first chunk's signature is not here. */
void dsmr_conflict_on_found(struct dsmr_node *node, const struct dsmr_reference *second,
                            const struct dsmr_bls_sig *sig);
void dsmr_conflict_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                               enum dsmr_err err);
/* Recovery: a pair that is on the disk. */
void dsmr_conflict_restore(struct dsmr_node *node, const struct dsmr_evidence *evidence);
void dsmr_conflict_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                             enum dsmr_err err);

#endif
