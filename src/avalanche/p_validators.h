/* p_validators.h - ports/validators.h by the P-Chain: an epoch is a P-Chain height.
 *
 * Why:     the set of a height never changes, so each is fetched once and kept; a height that this
 *          node has not reached yet, or a set without weight (AvalancheGo without sybil
 *          protection), is no answer, and the driver asks again.
 * Limits:  the DSMR_P_VALIDATORS_SETS_MAX last used sets are kept; as many fetches at once.
 * Threads: the port from any; new, attach and free by the owner. */
#ifndef DSMR_AVALANCHE_P_VALIDATORS_H
#define DSMR_AVALANCHE_P_VALIDATORS_H

#include "avalanche/grpc_client.h"
#include "dsmr/types.h"
#include "ports/engine.h"
#include "ports/log.h"
#include "ports/task.h"
#include "ports/validators.h"
#include "ports/work.h"

#define DSMR_P_VALIDATORS_SETS_MAX 64u

struct dsmr_p_validators; /* opaque */

struct dsmr_p_validators_config {
    struct dsmr_grpc_client *node; /* borrowed until free */
    struct dsmr_id subnet_id;
    struct dsmr_inbox inbox;
    struct dsmr_work work; /* keys are checked there */
    struct dsmr_log log;
};

/* NULL if out of memory. Caller frees, after node's client. */
struct dsmr_p_validators *dsmr_p_validators_new(const struct dsmr_p_validators_config *config);
void dsmr_p_validators_free(struct dsmr_p_validators *validators); /* NULL is fine */
struct dsmr_validators dsmr_p_validators_port(struct dsmr_p_validators *validators);
/* Who is told of a set that has come; before it, nobody. */
void dsmr_p_validators_attach(struct dsmr_p_validators *validators, struct dsmr_driver *driver);
/* Whether the subnet is known to have validators at the height that AvalancheGo gives the next
 * block, or at a higher one: the minimum height, which lies up to 30 s behind the P-Chain. If not,
 * its set is asked for: call it again by and by. Of the logic thread. */
bool dsmr_p_validators_look(struct dsmr_p_validators *validators);

#endif
