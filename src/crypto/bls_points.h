/* bls_points.h - what bls.c, bls_batch.c, aggregate.c and key_sum.c share; nobody else includes it.
 *
 * Why: they work on decoded points. No other file of the program sees blst's types.
 * Threads: pure. */
#ifndef DSMR_CRYPTO_BLS_POINTS_H
#define DSMR_CRYPTO_BLS_POINTS_H

#include "blst.h"
#include "dsmr/types.h"

/* False if sig is not the canonical encoding of a curve point other than the identity. Whether it
 * lies in the subgroup is not checked: dsmr_bls_sig_in_group, or the check of an aggregate. */
DSMR_MUST_USE bool dsmr_bls_sig_decode(blst_p2_affine *out, const struct dsmr_bls_sig *sig);
/* Its canonical encoding, whose point is remembered: who makes one mostly decodes it soon. */
void dsmr_bls_sig_encode(struct dsmr_bls_sig *out, const blst_p2 *sig);
DSMR_MUST_USE bool dsmr_bls_sig_in_group(const blst_p2_affine *sig);
void dsmr_bls_message_point(blst_p2_affine *out, const void *message, size_t len);
/* The same, whether known or not, and without the division that makes it affine. */
void dsmr_bls_hash_message(blst_p2 *out, const void *message, size_t len);
void dsmr_bls_key_point(blst_p1_affine *out, const struct dsmr_bls_point *key);
/* True if e(key, message) = e(G1, sig), sig lies in the subgroup and neither is the identity. */
DSMR_MUST_USE bool dsmr_bls_pairing_holds(const blst_p1_affine *key, const blst_p2_affine *sig,
                                          const blst_p2_affine *message);

#endif
