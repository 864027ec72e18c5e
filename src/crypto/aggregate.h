/* aggregate.h - shares to one certificate signature: one optimistic check, then bisection.
 * protocol.md, Producing. */
#ifndef DSMR_CRYPTO_AGGREGATE_H
#define DSMR_CRYPTO_AGGREGATE_H

#include "dsmr/types.h"

/* Adds the shares up and verifies the aggregate once. If that fails, the shares are bisected:
 * each invalid signer is added to *bad (cleared first) and the rest is aggregated.
 * *signers: those in the aggregate. OK, also when some were bad; BAD_SHARE if none was good;
 * NO_MEMORY. shares: distinct signers, all indexes within set. Pure; any thread. */
DSMR_MUST_USE enum dsmr_err dsmr_aggregate_shares(
    struct dsmr_bls_sig *out, struct dsmr_bitset *signers, struct dsmr_bitset *bad,
    const struct dsmr_validator_set *set, const struct dsmr_share *shares, size_t count,
    const void *message,
    size_t len); /* Adds the shares up unverified: *signers are those that decode, *bad those that
                  * do not (both cleared first). BAD_SHARE if none does, or if they add up to the
                  * identity. Whoever uses the sum has to verify it as an aggregate of *signers
                  * first. Pure; any thread. */
DSMR_MUST_USE enum dsmr_err dsmr_aggregate_sum(struct dsmr_bls_sig *out,
                                               struct dsmr_bitset *signers, struct dsmr_bitset *bad,
                                               const struct dsmr_validator_set *set,
                                               const struct dsmr_share *shares, size_t count);

#endif
