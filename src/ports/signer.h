/* signer.h - the node's BLS key. It signs what the program's own rules made, never bytes that a
 * caller handed in: the interface takes values, and the signing bytes are made behind it. */
#ifndef DSMR_PORTS_SIGNER_H
#define DSMR_PORTS_SIGNER_H

#include "dsmr/types.h"
#include "wire/message.h"

struct dsmr_signer_ops { /* thread-safe; may take long (a remote signer): called on a worker */
    enum dsmr_err (*sign_share)(void *self, struct dsmr_bls_sig *out,
                                const struct dsmr_domain *domain, const struct dsmr_reference *ref);
    enum dsmr_err (*sign_vote)(void *self, struct dsmr_bls_sig *out,
                               const struct dsmr_domain *domain,
                               const struct dsmr_vote_subject *subject);
};
struct dsmr_signer {
    void *self;
    const struct dsmr_signer_ops *ops;
};

#endif
