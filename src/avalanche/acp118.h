/* acp118.h - AvalancheGo's standard signature requests (ACP-118): handler 2.
 *
 * Why:     standard aggregators can then collect a chunk's signatures as well.
 * Rule:    only a share that this node has made is given: for a chunk that the protocol's section 6
 *          let through and that is on the disk. What else the request says does not count.
 * Cost:    anybody may ask, as often as AvalancheGo lets him: so nothing is signed for him. A share
 *          is the signature, and it is in memory.
 * Threads: the logic thread. */
#ifndef DSMR_AVALANCHE_ACP118_H
#define DSMR_AVALANCHE_ACP118_H

#include "avalanche/app_net.h"
#include "ports/engine.h"

#define DSMR_ACP118_HANDLER 2u

struct dsmr_acp118 { /* the caller's memory */
    struct dsmr_app_net *net;
    struct dsmr_driver *driver;
    struct dsmr_metrics *metrics; /* counts refusals; may be NULL */
    struct dsmr_domain domain;
};

/* The reference that message asks a signature for: the bytes are those of a share of this chain,
 * and nothing else. MALFORMED, WRONG_NETWORK, WRONG_CHAIN. */
DSMR_MUST_USE enum dsmr_err dsmr_acp118_reference(struct dsmr_reference *out,
                                                  const struct dsmr_domain *domain,
                                                  const uint8_t *message, size_t len);
/* Answers a request through net. bytes: borrowed. */
void dsmr_acp118_answer(struct dsmr_acp118 *acp118, const struct dsmr_node_id *from,
                        uint32_t request_id, const uint8_t *bytes, size_t len);

#endif
