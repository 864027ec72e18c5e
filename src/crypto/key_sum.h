/* key_sum.h - what the keys of an aggregate's signers add up to.
 *
 * Why:     of a quorum of a thousand it is dearer than the pairing that it goes into.
 * How:     where most of a set signed, those that did not are taken from the sum of all keys. A set
 *          that is often asked keeps, for every eight neighbours, the sums of all their subsets:
 *          one addition instead of up to eight. The sets keep both (struct dsmr_validator_set,
 *          all_keys). Sums that are asked for together share their divisions (affine_sum.h).
 * Limits:  24 KB for each eight keys, 3.1 MB for the largest set, filled when as many additions
 *          were done without as it takes.
 * Threads: pure but for what a set keeps; any thread may be the first to need it. */
#ifndef DSMR_CRYPTO_KEY_SUM_H
#define DSMR_CRYPTO_KEY_SUM_H

#include "crypto/bls_points.h"

/* The sum of the keys in signers, all of which are below set->count; may be the identity. */
void dsmr_key_sum(blst_p1 *out, const struct dsmr_validator_set *set,
                  const struct dsmr_bitset *signers);

struct dsmr_key_sum_job {
    const struct dsmr_validator_set *set;
    const struct dsmr_bitset *signers;
};
/* The same of many, at least one. NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_key_sum_many(blst_p1_affine *out,
                                              const struct dsmr_key_sum_job *jobs, size_t count);

#endif
