/* cert_intake.h - certificates on their way into the pool. protocol.md, section 7.
 *
 * Why:     a certificate is verified before it enters the pool, usable for building at once, and
 *          acknowledged only when it is stored; its sender sends it again until then.
 * How:     cheap filters first; what is left is verified in batches: while a batch is away, others
 *          gather for the next. Jobs are keyed by the hash of the whole certificate, so that a
 * forged one cannot stand in the way of a good one. Limits:  DSMR_NODE_CERT_JOBS_MAX on their way;
 * a budget of verifications for each peer. Threads: one owner. */
#ifndef DSMR_CORE_CERT_INTAKE_H
#define DSMR_CORE_CERT_INTAKE_H

#include "core/node_state.h"

/* Upon certificate(cert) from peer. */
void dsmr_cert_intake_on_message(struct dsmr_node *node, const struct dsmr_node_id *from,
                                 const struct dsmr_cert *cert);
/* own->cert was just aggregated: into the pool and to the store. false: no room for now. */
DSMR_MUST_USE bool dsmr_cert_intake_add_own(struct dsmr_node *node, struct dsmr_own_chunk *own);
void dsmr_cert_intake_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                                  const struct dsmr_event *event);
void dsmr_cert_intake_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                enum dsmr_err err);
/* The timer CERTS: those that have gathered are verified. */
void dsmr_cert_intake_on_timer(struct dsmr_node *node);
/* A certificate that was verified before: into the pool, if it is still of use. */
void dsmr_cert_intake_restore(struct dsmr_node *node, const struct dsmr_cert *cert);

#endif
