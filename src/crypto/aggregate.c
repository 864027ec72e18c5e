#include "crypto/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "crypto/bls_points.h"

struct decoded_share {
    uint32_t signer;
    blst_p2_affine sig;
};

struct aggregation {
    const struct dsmr_validator_set *set;
    const struct decoded_share *shares;
    blst_p2_affine message;
    blst_p2 sum; /* of the shares found good */
    struct dsmr_bitset good;
    struct dsmr_bitset bad;
};

/* Only the aggregate is checked for the subgroup. Shares outside it whose errors cancel pass
 * together, and then the aggregate is a valid signature of exactly these signers all the same. */
static bool group_holds(const struct aggregation *work, size_t from, size_t count, blst_p2 *sum)
{
    blst_p1 keys;
    memset(&keys, 0, sizeof(keys)); /* z = 0: the identity */
    memset(sum, 0, sizeof(*sum));
    for (size_t i = from; i < from + count; i++) {
        blst_p1_affine key;
        dsmr_bls_key_point(&key, &work->set->validators[work->shares[i].signer].point);
        blst_p1_add_or_double_affine(&keys, &keys, &key);
        blst_p2_add_or_double_affine(sum, sum, &work->shares[i].sig);
    }
    blst_p1_affine key;
    blst_p2_affine sig;
    blst_p1_to_affine(&key, &keys);
    blst_p2_to_affine(&sig, sum);
    return dsmr_bls_pairing_holds(&key, &sig, &work->message);
}

/* Depth is the logarithm of count. */
static void bisect(struct aggregation *work, size_t from, size_t count)
{
    blst_p2 sum;
    if (group_holds(work, from, count, &sum)) {
        blst_p2_add_or_double(&work->sum, &work->sum, &sum);
        for (size_t i = from; i < from + count; i++) {
            dsmr_bitset_add(&work->good, work->shares[i].signer);
        }
        return;
    }
    if (count == 1) {
        dsmr_bitset_add(&work->bad, work->shares[from].signer);
        return;
    }
    bisect(work, from, count / 2);
    bisect(work, from + count / 2, count - count / 2);
}

enum dsmr_err dsmr_aggregate_shares(struct dsmr_bls_sig *out, struct dsmr_bitset *signers,
                                    struct dsmr_bitset *bad, const struct dsmr_validator_set *set,
                                    const struct dsmr_share *shares, size_t count,
                                    const void *message, size_t len)
{
    struct aggregation work = {.set = set};
    struct decoded_share *decoded = calloc(count > 0 ? count : 1, sizeof(*decoded));
    if (decoded == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    size_t decoded_count = 0;
    for (size_t i = 0; i < count; i++) {
        DSMR_ASSERT(shares[i].signer < set->count);
        decoded[decoded_count].signer = shares[i].signer;
        if (dsmr_bls_sig_decode(&decoded[decoded_count].sig, &shares[i].sig)) {
            decoded_count++;
        } else {
            dsmr_bitset_add(&work.bad, shares[i].signer);
        }
    }
    work.shares = decoded;
    if (decoded_count > 0) {
        dsmr_bls_message_point(&work.message, message, len);
        bisect(&work, 0, decoded_count);
    }
    free(decoded);
    *bad = work.bad;
    /* Keys that are each other's inverse can add up to the identity: no aggregate then. */
    if (dsmr_bitset_is_empty(&work.good) || blst_p2_is_inf(&work.sum)) {
        return DSMR_ERR_BAD_SHARE;
    }
    blst_p2_compress(out->bytes, &work.sum);
    *signers = work.good;
    return DSMR_OK;
}

enum dsmr_err dsmr_aggregate_sum(struct dsmr_bls_sig *out, struct dsmr_bitset *signers,
                                 struct dsmr_bitset *bad, const struct dsmr_validator_set *set,
                                 const struct dsmr_share *shares, size_t count)
{
    blst_p2 sum;
    memset(&sum, 0, sizeof(sum)); /* z = 0: the identity */
    memset(signers, 0, sizeof(*signers));
    memset(bad, 0, sizeof(*bad));
    for (size_t i = 0; i < count; i++) {
        blst_p2_affine sig;
        DSMR_ASSERT(shares[i].signer < set->count);
        if (!dsmr_bls_sig_decode(&sig, &shares[i].sig)) {
            dsmr_bitset_add(bad, shares[i].signer);
            continue;
        }
        blst_p2_add_or_double_affine(&sum, &sum, &sig);
        dsmr_bitset_add(signers, shares[i].signer);
    }
    if (blst_p2_is_inf(&sum)) {
        return DSMR_ERR_BAD_SHARE;
    }
    dsmr_bls_sig_encode(out, &sum);
    return DSMR_OK;
}
