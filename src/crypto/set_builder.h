/* set_builder.h - from a list of validators to the fixed, ordered set of an epoch.
 *
 * Why:   every engine must come to the same order and weights: by the 96-byte uncompressed key,
 *        ascending, equal keys merged, weights of validators without a key counted in the total
 *        (protocol.md, Validator sets; Avalanche's FlattenValidatorSet does the same).
 * Threads: pure. */
#ifndef DSMR_CRYPTO_SET_BUILDER_H
#define DSMR_CRYPTO_SET_BUILDER_H

#include "dsmr/types.h"

/* Members of a set, with and without a key. */
#define DSMR_SET_BUILDER_ENTRIES_MAX (DSMR_VALIDATORS_MAX * DSMR_NODE_IDS_PER_KEY_MAX)

struct dsmr_set_builder_entry {
    struct dsmr_node_id node_id;
    uint64_t weight;
    bool has_key;
    struct dsmr_bls_public_key_raw key; /* if has_key */
};

/* Checks every key (curve, subgroup, identity), sorts, merges. INVALID_KEY with *bad the entry's
 * place; LIMIT: more than DSMR_SET_BUILDER_ENTRIES_MAX entries or DSMR_VALIDATORS_MAX
 * different keys, or a total weight over 2^64-1, or zero; NO_MEMORY. Of the node
 * ids of one key the first DSMR_NODE_IDS_PER_KEY_MAX are kept, the weight of all. That no node id
 * stands twice is the caller's to see to: one under a key that it shares with itself may not sign.
 * Caller unrefs. */
DSMR_MUST_USE enum dsmr_err dsmr_set_builder_build(struct dsmr_validator_set **out, size_t *bad,
                                                   uint64_t epoch,
                                                   const struct dsmr_set_builder_entry *entries,
                                                   size_t count);
#endif
