/* share_policy.h - may I sign? The local verification context. protocol.md, section 6.
 *
 * Why:        a share is a promise to serve the chunk until its expiry, and there is at most one
 * for each (producer, slot): this is where both are decided. How:        rules 1 to 5 only read and
 * reserve; VERIFY_CHUNK judges 6 and 7 on a worker; when its answer comes, 2 to 5 are checked again
 * and the slot is claimed in the same step; then STORE_CHUNK, and only after that SIGN and the
 * answer. Invariants: INV-01, INV-03. Limits:     DSMR_NODE_SHARE_JOBS_MAX on their way; BUSY
 * beyond. Threads:    one owner. */
#ifndef DSMR_CORE_SHARE_POLICY_H
#define DSMR_CORE_SHARE_POLICY_H

#include "core/node_state.h"

/* Upon request_chunk_signature_share(chunk) from peer. bytes: what msg's views lie in. */
void dsmr_share_policy_on_request(struct dsmr_node *node, const struct dsmr_node_id *from,
                                  const struct dsmr_msg *msg, struct dsmr_buf *bytes);
void dsmr_share_policy_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                                 enum dsmr_err err);
void dsmr_share_policy_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                                   enum dsmr_err err, struct dsmr_chunk *chunk);
void dsmr_share_policy_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                 enum dsmr_err err);
void dsmr_share_policy_on_signed(struct dsmr_node *node, const struct dsmr_request *request,
                                 enum dsmr_err err, const struct dsmr_bls_sig *sig);
/* Whether the chunk's body is here already and only waits for the disk. */
bool dsmr_share_policy_is_storing(const struct dsmr_node *node, const struct dsmr_id *chunk_id);
/* The producer's verified signature on a chunk that is on its way; NULL: none. */
const struct dsmr_share_job *dsmr_share_policy_find(const struct dsmr_node *node,
                                                    const struct dsmr_id *chunk_id);
void dsmr_share_policy_free(struct dsmr_node *node); /* gives back what the jobs hold */

#endif
