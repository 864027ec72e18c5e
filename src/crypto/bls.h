/* bls.h - BLS12-381 signatures, min-pk (keys in G1, signatures in G2), over blst.
 *
 * Suite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_ for messages and
 * BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_ for proofs of possession
 * (draft-irtf-cfrg-bls-signature-05), as Avalanche uses them.
 * Threads: all functions are pure and may run on any thread. */
#ifndef DSMR_CRYPTO_BLS_H
#define DSMR_CRYPTO_BLS_H

#include "dsmr/types.h"

struct dsmr_bls_secret_key { /* big-endian scalar; wipe it with dsmr_bls_wipe */
    uint8_t bytes[32];
};

/* From at least 32 bytes of entropy (KeyGen of the draft). */
void dsmr_bls_keygen(struct dsmr_bls_secret_key *out, const uint8_t entropy[32]);
/* INVALID_KEY for zero and for the group's order and above: what comes from a file or a peer must
 * pass here before it signs; the functions below assert it. */
DSMR_MUST_USE enum dsmr_err dsmr_bls_secret_check(const struct dsmr_bls_secret_key *key);
void dsmr_bls_wipe(struct dsmr_bls_secret_key *key);
void dsmr_bls_public_key(struct dsmr_bls_public_key *out, const struct dsmr_bls_secret_key *key);
void dsmr_bls_sign(struct dsmr_bls_sig *out, const struct dsmr_bls_secret_key *key,
                   const void *message, size_t len);
/* What dsmr_bls_sign and dsmr_aggregate_sum make is known for a moment, and decoded sooner. Forgets
 * it: for who measures, or tests, what a peer's signature takes. */
void dsmr_bls_forget_sigs(void);
void dsmr_bls_prove_possession(struct dsmr_bls_sig *out, const struct dsmr_bls_secret_key *key);

/* Decodes and checks a key: on the curve, in the subgroup, not the identity. INVALID_KEY. */
DSMR_MUST_USE enum dsmr_err dsmr_bls_key_decode(struct dsmr_bls_public_key_raw *raw,
                                                struct dsmr_bls_point *point,
                                                const struct dsmr_bls_public_key *key);
DSMR_MUST_USE enum dsmr_err dsmr_bls_key_decode_raw(struct dsmr_bls_point *point,
                                                    const struct dsmr_bls_public_key_raw *raw);
void dsmr_bls_key_compress(struct dsmr_bls_public_key *out, const struct dsmr_bls_point *point);
DSMR_MUST_USE enum dsmr_err dsmr_bls_check_possession(const struct dsmr_bls_public_key *key,
                                                      const struct dsmr_bls_sig *proof);

/* BAD_SIGNATURE if sig is not the one canonical encoding of a subgroup point other than the
 * identity, or does not verify. */
DSMR_MUST_USE enum dsmr_err dsmr_bls_verify(const struct dsmr_bls_point *key,
                                            const struct dsmr_bls_sig *sig, const void *message,
                                            size_t len);
/* The aggregate of signers' keys over one message (FastAggregateVerify). BITSET if no signer or
 * one beyond the set. */
DSMR_MUST_USE enum dsmr_err dsmr_bls_verify_aggregate(const struct dsmr_validator_set *set,
                                                      const struct dsmr_bitset *signers,
                                                      const struct dsmr_bls_sig *sig,
                                                      const void *message, size_t len);

struct dsmr_bls_batch_item {
    const struct dsmr_validator_set *set;
    const struct dsmr_bitset *signers;
    const struct dsmr_bls_sig *sig;
    const void *message;
    size_t len;
    enum dsmr_err err; /* out */
};
/* Verifies all aggregates together with random 64-bit coefficients (one multi-pairing); every
 * signature is subgroup-checked first; when the batch fails it is bisected, so that each item's
 * err is right. random: at least 8 bytes per item from the OS, fresh for each call.
 * OK if all are valid, else BAD_SIGNATURE (or NO_MEMORY). */
DSMR_MUST_USE enum dsmr_err dsmr_bls_verify_batch(struct dsmr_bls_batch_item *items, size_t count,
                                                  const uint8_t *random);
/* Adds signatures up. BAD_SIGNATURE if one does not decode; *bad is then its place. */
DSMR_MUST_USE enum dsmr_err dsmr_bls_aggregate(struct dsmr_bls_sig *out, size_t *bad,
                                               const struct dsmr_bls_sig *sigs, size_t count);
#endif
