/* key_sum.h - what the keys of an aggregate's signers add up to.
 *
 * Why:     of a quorum of a thousand it is dearer than the pairing that it goes into.
 * How:     where most of a set signed, those that did not are taken from the sum of all keys, which
 *          the set keeps (struct dsmr_validator_set, all_keys); points are added many at a time,
 *          with one inversion for all (blst_p1s_add).
 * Threads: pure but for that sum; any thread may be the first to need it. */
#ifndef DSMR_CRYPTO_KEY_SUM_H
#define DSMR_CRYPTO_KEY_SUM_H

#include "crypto/bls_points.h"

/* The sum of the keys in signers, all of which are below set->count; may be the identity. */
void dsmr_key_sum(blst_p1 *out, const struct dsmr_validator_set *set,
                  const struct dsmr_bitset *signers);

#endif
