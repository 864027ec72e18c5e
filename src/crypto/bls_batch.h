/* bls_batch.h - many aggregates checked by one product of pairings.
 *
 * Why:     the hard half of a pairing is done once for all. Certificates of the same signers share
 *          even the other half: the product of e(key, c * message) over them is
 *          e(key, sum of c * message). In a small network that is most of them.
 * Not here: an aggregate that comes alone; whether the signers are enough.
 * Limits:  3 KB of memory an item, while the call lasts.
 * Threads: pure, but for what sets keep (key_sum.h) and the table of messages' points. */
#ifndef DSMR_CRYPTO_BLS_BATCH_H
#define DSMR_CRYPTO_BLS_BATCH_H

#include "crypto/bls.h"

/* dsmr_bls_verify_batch, of one item or more. */
DSMR_MUST_USE enum dsmr_err dsmr_bls_batch_verify(struct dsmr_bls_batch_item *items, size_t count,
                                                  const uint8_t *random);

#endif
