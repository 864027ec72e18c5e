/* share_collector.h - own chunks from the disk to their certificate. protocol.md, section 5.
 *
 * Why:        shares are added up unverified and the aggregate is verified once; a certificate
 * forms from the fastest quorum, and a heavier one, once, if it is not included by then. How: the
 * state machine of struct dsmr_own_chunk (node_state.h). Refusals that mean "not yet" are answered
 * by sending again with backoff; others settle the peer. Invariants: the chunk leaves only signed,
 * and is signed only stored (INV-01); a certificate leaves only stored. own_uncertified_bytes and
 * own_waiting_bytes are exact. Limits:     DSMR_NODE_OWN_MAX own chunks; DSMR_NODE_SENDS_MAX
 * resends a tick. Threads:    one owner. */
#ifndef DSMR_CORE_SHARE_COLLECTOR_H
#define DSMR_CORE_SHARE_COLLECTOR_H

#include "core/node_state.h"

/* A new entry in state LOADING, which the caller sets; NULL at the limit. chunk may be NULL. Takes
 * references. */
struct dsmr_own_chunk *dsmr_share_collector_add(struct dsmr_node *node,
                                                const struct dsmr_reference *ref,
                                                struct dsmr_chunk *chunk,
                                                struct dsmr_validator_set *set);
/* The entry of a request, or NULL if it is gone. */
struct dsmr_own_chunk *dsmr_share_collector_of(struct dsmr_node *node,
                                               const struct dsmr_request *request);
struct dsmr_own_chunk *dsmr_share_collector_find(const struct dsmr_node *node,
                                                 const struct dsmr_id *chunk_id);
void dsmr_share_collector_remove(struct dsmr_node *node, struct dsmr_own_chunk *own);
/* The chunk is on disk: ask for our own share. */
void dsmr_share_collector_sign(struct dsmr_node *node, struct dsmr_own_chunk *own);
void dsmr_share_collector_on_signed(struct dsmr_node *node, const struct dsmr_request *request,
                                    enum dsmr_err err, const struct dsmr_bls_sig *sig);
void dsmr_share_collector_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                                    enum dsmr_err err, struct dsmr_chunk *chunk);
/* Upon chunk_signature(ref, share), chunk_refused and certificate_answer. */
void dsmr_share_collector_on_share(struct dsmr_node *node, const struct dsmr_node_id *from,
                                   const struct dsmr_msg *msg);
void dsmr_share_collector_on_refused(struct dsmr_node *node, const struct dsmr_node_id *from,
                                     const struct dsmr_msg *msg);
void dsmr_share_collector_on_cert_answer(struct dsmr_node *node, const struct dsmr_node_id *from,
                                         const struct dsmr_msg *msg);
void dsmr_share_collector_on_aggregated(struct dsmr_node *node, const struct dsmr_request *request,
                                        const struct dsmr_event *event);
/* Our certificate is stored (or not). */
void dsmr_share_collector_on_cert_stored(struct dsmr_node *node, struct dsmr_own_chunk *own,
                                         enum dsmr_err err);
/* Recovery: the chunk has this certificate already. */
void dsmr_share_collector_restore_cert(struct dsmr_node *node, struct dsmr_own_chunk *own,
                                       const struct dsmr_cert *cert, uint64_t weight);
/* Resends what is due, and arms the timer for the next. */
void dsmr_share_collector_on_timer(struct dsmr_node *node);
/* The peer is connected (again): what it has not answered is due. */
void dsmr_share_collector_on_peer_up(struct dsmr_node *node);

#endif
