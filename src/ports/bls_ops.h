/* bls_ops.h - the BLS work that the effects of core and engine ask for. The daemon answers with
 * src/crypto; the simulator with a keyed hash. Every function is pure and runs on workers. */
#ifndef DSMR_PORTS_BLS_OPS_H
#define DSMR_PORTS_BLS_OPS_H

#include "dsmr/types.h"

struct dsmr_bls_batch_entry {
    const struct dsmr_validator_set *set;
    const struct dsmr_bitset *signers;
    const struct dsmr_bls_sig *sig;
    const void *message;
    size_t len;
};

struct dsmr_bls_ops {
    /* One signature of one validator of set. BAD_SIGNATURE. */
    enum dsmr_err (*verify)(const struct dsmr_validator_set *set, uint32_t signer,
                            const struct dsmr_bls_sig *sig, const void *message, size_t len);
    /* As dsmr_aggregate_shares of crypto/aggregate.h. */
    enum dsmr_err (*aggregate)(struct dsmr_bls_sig *out, struct dsmr_bitset *signers,
                               struct dsmr_bitset *bad, const struct dsmr_validator_set *set,
                               const struct dsmr_share *shares, size_t count, const void *message,
                               size_t len);
    /* Adds shares up and checks nothing but that they decode: *signers are those that do, *bad
     * those that do not. BAD_SHARE if none does or the sum is none. What it gives is good for
     * nothing until it was verified as an aggregate of *signers. */
    enum dsmr_err (*sum)(struct dsmr_bls_sig *out, struct dsmr_bitset *signers,
                         struct dsmr_bitset *bad, const struct dsmr_validator_set *set,
                         const struct dsmr_share *shares, size_t count);
    /* Aggregates over one message each, all together; errs gets a verdict each. random: 8 fresh
     * bytes per item. NO_MEMORY, else OK. */
    enum dsmr_err (*verify_batch)(enum dsmr_err *errs, const struct dsmr_bls_batch_entry *entries,
                                  size_t count, const uint8_t *random);
};

#endif
