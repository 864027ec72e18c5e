/* ed25519.h - Ed25519 for users' transactions, ZIP 215 rules, over ed25519-zebra.
 * Batch and single verification agree on every input. Any thread. */
#ifndef DSMR_CRYPTO_ED25519_H
#define DSMR_CRYPTO_ED25519_H

#include "dsmr/types.h"

struct dsmr_ed25519_public_key {
    uint8_t bytes[32];
};
struct dsmr_ed25519_secret_key { /* the seed */
    uint8_t bytes[32];
};
struct dsmr_ed25519_sig {
    uint8_t bytes[64];
};
/* What signing derives from the seed, for those who sign much: it is two thirds of the work. In
 * memory only, and as secret as the seed. The caller wipes it. */
struct dsmr_ed25519_signing_key {
    _Alignas(16) uint8_t expanded[288]; /* deps/crypto knows what is in it */
    struct dsmr_ed25519_public_key public_key;
};

void dsmr_ed25519_public(struct dsmr_ed25519_public_key *out,
                         const struct dsmr_ed25519_secret_key *key);
void dsmr_ed25519_sign(struct dsmr_ed25519_sig *out, const struct dsmr_ed25519_secret_key *key,
                       const void *message, size_t len);
void dsmr_ed25519_expand(struct dsmr_ed25519_signing_key *out,
                         const struct dsmr_ed25519_secret_key *key);
/* The same signature as with the key that was expanded. */
void dsmr_ed25519_sign_expanded(struct dsmr_ed25519_sig *out,
                                const struct dsmr_ed25519_signing_key *key, const void *message,
                                size_t len);
void dsmr_ed25519_wipe(struct dsmr_ed25519_signing_key *key);
/* True if key is the one canonical encoding (y < p; not x = 0 with the sign bit) of its point and
 * the same holds for the signature's R: ZIP 215 accepts others, the transaction format does not. */
bool dsmr_ed25519_is_canonical(const struct dsmr_ed25519_public_key *key,
                               const struct dsmr_ed25519_sig *sig);
DSMR_MUST_USE enum dsmr_err dsmr_ed25519_verify(const struct dsmr_ed25519_public_key *key,
                                                const struct dsmr_ed25519_sig *sig,
                                                const void *message, size_t len);
/* All together; BAD_SIGNATURE if at least one is invalid (verify singly to find it). Random
 * coefficients come from the OS inside the library. */
DSMR_MUST_USE enum dsmr_err dsmr_ed25519_verify_batch(const struct dsmr_ed25519_public_key *keys,
                                                      const struct dsmr_ed25519_sig *sigs,
                                                      const uint8_t *const *messages,
                                                      const size_t *lens, size_t count);
#endif
