/* validators.h - the validator set of an epoch. Built-in engine: from genesis' schedule, at once;
 * AvalancheGo: asked of the P-Chain, later.
 * Keys:    whoever makes a set answers for the possession of each key (protocol.md, 3.3): genesis
 *          checks the proofs; the P-Chain has checked them when the validator was registered.
 * Threads: any. */
#ifndef DSMR_PORTS_VALIDATORS_H
#define DSMR_PORTS_VALIDATORS_H

#include "dsmr/types.h"

struct dsmr_validators_ops {
    /* Set of epoch; caller unrefs. EPOCH_UNKNOWN: not available yet; the adapter fetches it and
     * then calls dsmr_driver_set_available from a task. Without that call the driver asks again by
     * and by, a second later and then less and less often: a look-up that failed is made again
     * then. Any thread. */
    enum dsmr_err (*get)(void *self, struct dsmr_validator_set **out, uint64_t epoch);
    /* Built-in engine only: the epoch that a block at height has (from_height of its entry), and
     * the first height of the next entry (UINT64_MAX: none). */
    uint64_t (*epoch_at)(void *self, uint64_t height, uint64_t *next_from_height);
};
struct dsmr_validators {
    void *self;
    const struct dsmr_validators_ops *ops;
};

#endif
