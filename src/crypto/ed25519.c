#include "crypto/ed25519.h"

#include <string.h>

/* Exported by deps/crypto. */
int32_t dsmr_deps_ed25519_verify_batch(const uint8_t *keys, const uint8_t *signatures,
                                       const uint8_t *const *messages, const size_t *lengths,
                                       size_t count);
int32_t dsmr_deps_ed25519_verify(const uint8_t *key, const uint8_t *signature,
                                 const uint8_t *message, size_t length);
void dsmr_deps_ed25519_sign(uint8_t *out, const uint8_t *seed, const uint8_t *message,
                            size_t length);
void dsmr_deps_ed25519_expand(uint8_t *out, uint8_t *public_key, const uint8_t *seed);
void dsmr_deps_ed25519_sign_expanded(uint8_t *out, const uint8_t *key, const uint8_t *message,
                                     size_t length);
void dsmr_deps_ed25519_public(uint8_t *out, const uint8_t *seed);

/* Arrays of them are handed over as plain runs of bytes. */
_Static_assert(sizeof(struct dsmr_ed25519_public_key) == 32, "no padding");
_Static_assert(sizeof(struct dsmr_ed25519_sig) == 64, "no padding");

void dsmr_ed25519_public(struct dsmr_ed25519_public_key *out,
                         const struct dsmr_ed25519_secret_key *key)
{
    dsmr_deps_ed25519_public(out->bytes, key->bytes);
}

void dsmr_ed25519_sign(struct dsmr_ed25519_sig *out, const struct dsmr_ed25519_secret_key *key,
                       const void *message, size_t len)
{
    dsmr_deps_ed25519_sign(out->bytes, key->bytes, message, len);
}

void dsmr_ed25519_expand(struct dsmr_ed25519_signing_key *out,
                         const struct dsmr_ed25519_secret_key *key)
{
    dsmr_deps_ed25519_expand(out->expanded, out->public_key.bytes, key->bytes);
}

void dsmr_ed25519_sign_expanded(struct dsmr_ed25519_sig *out,
                                const struct dsmr_ed25519_signing_key *key, const void *message,
                                size_t len)
{
    dsmr_deps_ed25519_sign_expanded(out->bytes, key->expanded, message, len);
}

void dsmr_ed25519_wipe(struct dsmr_ed25519_signing_key *key)
{
    volatile uint8_t *bytes = key->expanded; /* so that the compiler may not drop the stores */
    for (size_t i = 0; i < sizeof(key->expanded); i++) {
        bytes[i] = 0;
    }
}

/* Bytes 1 to 30 of y, and the last without its sign bit, equal those of p = 2^255 - 19 when every
 * bit is set; p itself ends in 0xed, p - 1 (the y of the point (0, -1)) in 0xec. */
static bool is_canonical_point(const uint8_t point[32])
{
    uint8_t ones = 0xff;
    uint8_t zeros = 0x00;
    for (size_t i = 1; i < 31; i++) {
        ones &= point[i];
        zeros |= point[i];
    }
    uint8_t top = point[31] & 0x7fu;
    bool sign = (point[31] & 0x80u) != 0;
    if (ones == 0xff && top == 0x7f && point[0] >= 0xec) {
        return point[0] == 0xec && !sign; /* y = -1 has x = 0; above it, y >= p */
    }
    bool y_is_one = zeros == 0 && top == 0 && point[0] == 1;
    return !(y_is_one && sign);
}

bool dsmr_ed25519_is_canonical(const struct dsmr_ed25519_public_key *key,
                               const struct dsmr_ed25519_sig *sig)
{
    return is_canonical_point(key->bytes) && is_canonical_point(sig->bytes);
}

enum dsmr_err dsmr_ed25519_verify(const struct dsmr_ed25519_public_key *key,
                                  const struct dsmr_ed25519_sig *sig, const void *message,
                                  size_t len)
{
    bool valid = dsmr_deps_ed25519_verify(key->bytes, sig->bytes, message, len) == 1;
    return valid ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE;
}

enum dsmr_err dsmr_ed25519_verify_batch(const struct dsmr_ed25519_public_key *keys,
                                        const struct dsmr_ed25519_sig *sigs,
                                        const uint8_t *const *messages, const size_t *lens,
                                        size_t count)
{
    if (count == 0) {
        return DSMR_OK;
    }
    bool valid =
        dsmr_deps_ed25519_verify_batch(keys[0].bytes, sigs[0].bytes, messages, lens, count) == 1;
    return valid ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE;
}
