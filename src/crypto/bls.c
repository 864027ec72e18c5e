#include "crypto/bls.h"

#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "crypto/bls_batch.h"
#include "crypto/bls_points.h"
#include "crypto/key_sum.h"
#include "crypto/recent_points.h"

static const char sign_suite[] = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
static const char proof_suite[] = "BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

_Static_assert(sizeof(blst_p1_affine) == sizeof(struct dsmr_bls_point), "the point is opaque");

/* ---- secret keys ---- */

static void wipe(void *secret, size_t len)
{
    volatile uint8_t *bytes = secret; /* so that the compiler may not drop the stores */
    for (size_t i = 0; i < len; i++) {
        bytes[i] = 0;
    }
}

void dsmr_bls_keygen(struct dsmr_bls_secret_key *out, const uint8_t entropy[32])
{
    blst_scalar scalar;
    blst_keygen(&scalar, entropy, 32, NULL, 0);
    blst_bendian_from_scalar(out->bytes, &scalar);
    wipe(&scalar, sizeof(scalar));
}

/* False for zero and for r and above. */
static bool secret_decode(blst_scalar *out, const struct dsmr_bls_secret_key *key)
{
    blst_scalar_from_bendian(out, key->bytes);
    return blst_sk_check(out);
}

enum dsmr_err dsmr_bls_secret_check(const struct dsmr_bls_secret_key *key)
{
    blst_scalar scalar;
    bool valid = secret_decode(&scalar, key);
    wipe(&scalar, sizeof(scalar));
    return valid ? DSMR_OK : DSMR_ERR_INVALID_KEY;
}

void dsmr_bls_wipe(struct dsmr_bls_secret_key *key)
{
    wipe(key->bytes, sizeof(key->bytes));
}

void dsmr_bls_public_key(struct dsmr_bls_public_key *out, const struct dsmr_bls_secret_key *key)
{
    blst_scalar scalar;
    bool valid = secret_decode(&scalar, key);
    DSMR_ASSERT(valid);
    blst_p1 point;
    blst_sk_to_pk_in_g1(&point, &scalar);
    blst_p1_compress(out->bytes, &point);
    wipe(&scalar, sizeof(scalar));
}

static void hash_as(blst_p2 *out, const void *message, size_t len, const char *suite)
{
    blst_hash_to_g2(out, message, len, (const byte *)suite, strlen(suite), NULL, 0);
}

static void message_point_as(blst_p2_affine *out, const void *message, size_t len,
                             const char *suite)
{
    blst_p2 hash;
    hash_as(&hash, message, len, suite);
    blst_p2_to_affine(out, &hash);
}

void dsmr_bls_hash_message(blst_p2 *out, const void *message, size_t len)
{
    hash_as(out, message, len, sign_suite);
}

void dsmr_bls_message_point(blst_p2_affine *out, const void *message, size_t len)
{
    if (!dsmr_recent_points_find(DSMR_RECENT_POINTS_MESSAGES, out, message, len)) {
        message_point_as(out, message, len, sign_suite);
        dsmr_recent_points_add(DSMR_RECENT_POINTS_MESSAGES, out, message, len);
    }
}

static void sign_point(blst_p2 *out, const struct dsmr_bls_secret_key *key,
                       const blst_p2_affine *message)
{
    blst_scalar scalar;
    bool valid = secret_decode(&scalar, key);
    DSMR_ASSERT(valid);
    blst_p2 hash;
    blst_p2_from_affine(&hash, message);
    blst_sign_pk_in_g1(out, &hash, &scalar);
    wipe(&scalar, sizeof(scalar));
}

void dsmr_bls_sign(struct dsmr_bls_sig *out, const struct dsmr_bls_secret_key *key,
                   const void *message, size_t len)
{
    blst_p2_affine point;
    blst_p2 sig;
    dsmr_bls_message_point(&point, message, len);
    sign_point(&sig, key, &point);
    dsmr_bls_sig_encode(out, &sig);
}

void dsmr_bls_forget_sigs(void)
{
    dsmr_recent_points_forget(DSMR_RECENT_POINTS_SIGS);
}

void dsmr_bls_prove_possession(struct dsmr_bls_sig *out, const struct dsmr_bls_secret_key *key)
{
    struct dsmr_bls_public_key public_key;
    blst_p2_affine point;
    blst_p2 proof;
    dsmr_bls_public_key(&public_key, key);
    message_point_as(&point, public_key.bytes, sizeof(public_key.bytes), proof_suite);
    sign_point(&proof, key, &point);
    blst_p2_compress(out->bytes, &proof);
}

/* ---- public keys ---- */

static bool is_valid_key(const blst_p1_affine *point)
{
    return !blst_p1_affine_is_inf(point) && blst_p1_affine_in_g1(point);
}

void dsmr_bls_key_point(blst_p1_affine *out, const struct dsmr_bls_point *key)
{
    memcpy(out, key->limbs, sizeof(*out));
}

/* Decoders of blst accept either form and look at few of the flag bits of an identity: what does
 * not encode to the same bytes again is refused. */
enum dsmr_err dsmr_bls_key_decode(struct dsmr_bls_public_key_raw *raw, struct dsmr_bls_point *point,
                                  const struct dsmr_bls_public_key *key)
{
    blst_p1_affine p;
    struct dsmr_bls_public_key again;
    if (blst_p1_uncompress(&p, key->bytes) != BLST_SUCCESS || !is_valid_key(&p)) {
        return DSMR_ERR_INVALID_KEY;
    }
    blst_p1_affine_compress(again.bytes, &p);
    if (memcmp(again.bytes, key->bytes, sizeof(again.bytes)) != 0) {
        return DSMR_ERR_INVALID_KEY;
    }
    if (raw != NULL) {
        blst_p1_affine_serialize(raw->bytes, &p);
    }
    memcpy(point->limbs, &p, sizeof(p));
    return DSMR_OK;
}

enum dsmr_err dsmr_bls_key_decode_raw(struct dsmr_bls_point *point,
                                      const struct dsmr_bls_public_key_raw *raw)
{
    blst_p1_affine p;
    struct dsmr_bls_public_key_raw again;
    if (blst_p1_deserialize(&p, raw->bytes) != BLST_SUCCESS || !is_valid_key(&p)) {
        return DSMR_ERR_INVALID_KEY;
    }
    blst_p1_affine_serialize(again.bytes, &p);
    if (memcmp(again.bytes, raw->bytes, sizeof(again.bytes)) != 0) {
        return DSMR_ERR_INVALID_KEY;
    }
    memcpy(point->limbs, &p, sizeof(p));
    return DSMR_OK;
}

void dsmr_bls_key_compress(struct dsmr_bls_public_key *out, const struct dsmr_bls_point *point)
{
    blst_p1_affine p;
    dsmr_bls_key_point(&p, point);
    blst_p1_affine_compress(out->bytes, &p);
}

/* ---- single signatures ---- */

bool dsmr_bls_sig_decode(blst_p2_affine *out, const struct dsmr_bls_sig *sig)
{
    struct dsmr_bls_sig again;
    if (dsmr_recent_points_find(DSMR_RECENT_POINTS_SIGS, out, sig->bytes, sizeof(sig->bytes))) {
        return true;
    }
    if (blst_p2_uncompress(out, sig->bytes) != BLST_SUCCESS || blst_p2_affine_is_inf(out)) {
        return false;
    }
    blst_p2_affine_compress(again.bytes, out);
    return memcmp(again.bytes, sig->bytes, sizeof(again.bytes)) == 0;
}

void dsmr_bls_sig_encode(struct dsmr_bls_sig *out, const blst_p2 *sig)
{
    blst_p2_affine point;
    blst_p2_to_affine(&point, sig);
    blst_p2_affine_compress(out->bytes, &point);
    if (!blst_p2_affine_is_inf(&point)) {
        dsmr_recent_points_add(DSMR_RECENT_POINTS_SIGS, &point, out->bytes, sizeof(out->bytes));
    }
}

bool dsmr_bls_sig_in_group(const blst_p2_affine *sig)
{
    return blst_p2_affine_in_g2(sig);
}

bool dsmr_bls_pairing_holds(const blst_p1_affine *key, const blst_p2_affine *sig,
                            const blst_p2_affine *message)
{
    if (blst_p1_affine_is_inf(key) || blst_p2_affine_is_inf(sig) || !blst_p2_affine_in_g2(sig)) {
        return false;
    }
    const blst_p2_affine *qs[2] = {message, sig};
    const blst_p1_affine *ps[2] = {key, &BLS12_381_NEG_G1};
    blst_fp12 product;
    blst_miller_loop_n(&product, qs, ps, 2);
    blst_final_exp(&product, &product);
    return blst_fp12_is_one(&product);
}

static enum dsmr_err verify_message(const blst_p1_affine *key, const struct dsmr_bls_sig *sig,
                                    const void *message, size_t len)
{
    blst_p2_affine sig_point, point;
    if (!dsmr_bls_sig_decode(&sig_point, sig)) {
        return DSMR_ERR_BAD_SIGNATURE;
    }
    dsmr_bls_message_point(&point, message, len);
    return dsmr_bls_pairing_holds(key, &sig_point, &point) ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE;
}

enum dsmr_err dsmr_bls_check_possession(const struct dsmr_bls_public_key *key,
                                        const struct dsmr_bls_sig *proof)
{
    struct dsmr_bls_point point;
    blst_p1_affine p;
    blst_p2_affine sig, message;
    if (dsmr_bls_key_decode(NULL, &point, key) != DSMR_OK || !dsmr_bls_sig_decode(&sig, proof)) {
        return DSMR_ERR_INVALID_KEY;
    }
    dsmr_bls_key_point(&p, &point);
    message_point_as(&message, key->bytes, sizeof(key->bytes), proof_suite);
    return dsmr_bls_pairing_holds(&p, &sig, &message) ? DSMR_OK : DSMR_ERR_INVALID_KEY;
}

enum dsmr_err dsmr_bls_verify(const struct dsmr_bls_point *key, const struct dsmr_bls_sig *sig,
                              const void *message, size_t len)
{
    blst_p1_affine p;
    dsmr_bls_key_point(&p, key);
    return verify_message(&p, sig, message, len);
}

/* ---- aggregates ---- */

/* BITSET if there is no signer or one beyond the set. */
static enum dsmr_err sum_keys(blst_p1 *out, const struct dsmr_validator_set *set,
                              const struct dsmr_bitset *signers)
{
    uint32_t end = dsmr_bitset_end(signers);
    if (end == 0 || end > set->count) {
        return DSMR_ERR_BITSET;
    }
    dsmr_key_sum(out, set, signers);
    return DSMR_OK;
}

enum dsmr_err dsmr_bls_verify_aggregate(const struct dsmr_validator_set *set,
                                        const struct dsmr_bitset *signers,
                                        const struct dsmr_bls_sig *sig, const void *message,
                                        size_t len)
{
    blst_p1 sum;
    enum dsmr_err err = sum_keys(&sum, set, signers);
    if (err != DSMR_OK) {
        return err;
    }
    blst_p1_affine key;
    blst_p1_to_affine(&key, &sum);
    return verify_message(&key, sig, message, len);
}

enum dsmr_err dsmr_bls_aggregate(struct dsmr_bls_sig *out, size_t *bad,
                                 const struct dsmr_bls_sig *sigs, size_t count)
{
    blst_p2 sum;
    memset(&sum, 0, sizeof(sum));
    for (size_t i = 0; i < count; i++) {
        blst_p2_affine sig;
        if (!dsmr_bls_sig_decode(&sig, &sigs[i]) || !blst_p2_affine_in_g2(&sig)) {
            if (bad != NULL) {
                *bad = i;
            }
            return DSMR_ERR_BAD_SIGNATURE;
        }
        blst_p2_add_or_double_affine(&sum, &sum, &sig);
    }
    blst_p2_compress(out->bytes, &sum);
    return DSMR_OK;
}

enum dsmr_err dsmr_bls_verify_batch(struct dsmr_bls_batch_item *items, size_t count,
                                    const uint8_t *random)
{
    if (count == 0) {
        return DSMR_OK;
    }
    if (count > 1) {
        return dsmr_bls_batch_verify(items, count, random);
    }
    /* nothing to cancel with: no coefficient */
    items[0].err = dsmr_bls_verify_aggregate(items[0].set, items[0].signers, items[0].sig,
                                             items[0].message, items[0].len);
    return items[0].err == DSMR_OK ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE;
}
