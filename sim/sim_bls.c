#include "sim/sim_bls.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "driver/driver.h"
#include "sim/sim_bls_real.h"
#include "wire/codec.h"
#include "wire/message.h"

#define MESSAGE_BYTES_MAX 256u
#define MADE_MAX 1024u

static bool is_real; /* keys and signatures are BLS's */

/* The keyed hash's key. With real BLS it is only a name for the validator. */
static void make_key(struct dsmr_bls_public_key_raw *out, uint32_t number)
{
    memset(out, 0, sizeof *out);
    dsmr_store_be32(out->bytes, number + 1);
}

static void make_signature(struct dsmr_bls_sig *out, const struct dsmr_bls_public_key_raw *key,
                           const void *message, size_t len)
{
    uint8_t bytes[96 + MESSAGE_BYTES_MAX];
    if (is_real) {
        dsmr_sim_bls_real_sign(out, dsmr_load_be32(key->bytes) - 1, message, len);
        return;
    }
    memcpy(bytes, key->bytes, 96);
    memcpy(bytes + 96, message, len);
    for (uint32_t i = 0; i < 3; i++) {
        struct dsmr_id part;
        bytes[95] = (uint8_t)i;
        dsmr_hash(&part, bytes, 96 + len);
        memcpy(out->bytes + (size_t)i * 32u, part.bytes, 32);
    }
}

/* ---- signatures that were made: every node and some checkers ask for the same ones ---- */

static struct made {
    uint32_t number; /* of the validator + 1; 0: free */
    uint32_t len;
    uint8_t message[MESSAGE_BYTES_MAX];
    struct dsmr_bls_sig sig;
} made[MADE_MAX];

static struct made *place_of(uint32_t number, const uint8_t *message, size_t len)
{
    uint64_t sum = number;
    for (; len >= 8; len -= 8, message += 8) {
        uint64_t word;
        memcpy(&word, message, 8);
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 32;
    }
    return &made[sum % MADE_MAX];
}

static void sign_with(struct dsmr_bls_sig *out, const struct dsmr_bls_public_key_raw *key,
                      const void *message, size_t len)
{
    uint32_t number = dsmr_load_be32(key->bytes);
    DSMR_ASSERT(len <= MESSAGE_BYTES_MAX);
    struct made *place = place_of(number, message, len);
    if (place->number != number || place->len != len || memcmp(place->message, message, len) != 0) {
        make_signature(&place->sig, key, message, len);
        place->number = number;
        place->len = (uint32_t)len;
        memcpy(place->message, message, len);
    }
    *out = place->sig;
}

static void add(struct dsmr_bls_sig *sum, const struct dsmr_bls_sig *sig)
{
    for (size_t i = 0; i < sizeof sum->bytes; i++)
        sum->bytes[i] ^= sig->bytes[i];
}

void dsmr_sim_bls_use_real(bool has_real)
{
    if (is_real != has_real)
        memset(made, 0, sizeof made);
    is_real = has_real;
}

void dsmr_sim_bls_add(struct dsmr_bls_sig *sum, const struct dsmr_bls_sig *sig)
{
    is_real ? dsmr_sim_bls_real_add(sum, sig) : add(sum, sig);
}

void dsmr_sim_bls_sign(struct dsmr_bls_sig *out, uint32_t number, const void *message, size_t len)
{
    struct dsmr_bls_public_key_raw key;
    make_key(&key, number);
    sign_with(out, &key, message, len);
}

static enum dsmr_err verify(const struct dsmr_validator_set *set, uint32_t signer,
                            const struct dsmr_bls_sig *sig, const void *message, size_t len)
{
    struct dsmr_bls_sig want;
    if (signer >= set->count)
        return DSMR_ERR_BAD_SIGNATURE;
    sign_with(&want, &set->validators[signer].public_key, message, len);
    return memcmp(&want, sig, sizeof want) == 0 ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE;
}

/* ---- sums: what is checked together passes together ----
 *
 * As with BLS a sum is right if the errors of what was added cancel, whatever each of them is. So
 * whoever adds shares up finds the liars by halves, and a batch of sums has to weigh each with a
 * number that nobody could foresee. */

struct errors {
    struct dsmr_bls_sig *differences; /* from what is right */
    const uint8_t *random;            /* 8 bytes each; NULL: all weigh the same */
};

/* The product in GF(2^64), modulo x^64 + x^4 + x^3 + x + 1. */
static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (; b != 0; b >>= 1) {
        product ^= (b & 1) != 0 ? a : 0;
        a = a << 1 ^ (a >> 63 != 0 ? 0x1b : 0);
    }
    return product;
}

static bool cancel(const struct errors *errors, size_t from, size_t count)
{
    static const struct dsmr_bls_sig none;
    struct dsmr_bls_sig sum = none;
    for (size_t i = from; i < from + count; i++) {
        const struct dsmr_bls_sig *error = &errors->differences[i];
        if (memcmp(error, &none, sizeof none) == 0)
            continue;
        uint64_t weight = errors->random == NULL ? 1 : dsmr_load_be64(errors->random + i * 8u);
        weight = weight == 0 ? 1 : weight; /* as dsmr_bls_verify_batch */
        for (size_t at = 0; at < sizeof sum.bytes; at += 8) {
            uint64_t lane = dsmr_load_be64(sum.bytes + at);
            dsmr_store_be64(sum.bytes + at,
                            lane ^ multiply(dsmr_load_be64(error->bytes + at), weight));
        }
    }
    return memcmp(&sum, &none, sizeof none) == 0;
}

/* Marks what is wrong, unless errors within one part cancel. */
static void bisect(const struct errors *errors, size_t from, size_t count, bool *is_bad)
{
    if (count == 0 || cancel(errors, from, count))
        return;
    if (count == 1) {
        is_bad[from] = true;
        return;
    }
    bisect(errors, from, count / 2, is_bad);
    bisect(errors, from + count / 2, count - count / 2, is_bad);
}

static enum dsmr_err aggregate(struct dsmr_bls_sig *out, struct dsmr_bitset *signers,
                               struct dsmr_bitset *bad, const struct dsmr_validator_set *set,
                               const struct dsmr_share *shares, size_t count, const void *message,
                               size_t len)
{
    struct errors errors = {.differences = calloc(count, sizeof(struct dsmr_bls_sig))};
    bool *is_bad = calloc(count, sizeof *is_bad);
    DSMR_ASSERT(errors.differences != NULL && is_bad != NULL);
    memset(out, 0, sizeof *out);
    memset(signers, 0, sizeof *signers);
    memset(bad, 0, sizeof *bad);
    for (size_t i = 0; i < count; i++) {
        DSMR_ASSERT(shares[i].signer < set->count);
        sign_with(&errors.differences[i], &set->validators[shares[i].signer].public_key, message,
                  len);
        add(&errors.differences[i], &shares[i].sig);
    }
    bisect(&errors, 0, count, is_bad);
    for (size_t i = 0; i < count; i++) {
        dsmr_bitset_add(is_bad[i] ? bad : signers, shares[i].signer);
        if (!is_bad[i])
            add(out, &shares[i].sig);
    }
    free(errors.differences);
    free(is_bad);
    return dsmr_bitset_is_empty(signers) ? DSMR_ERR_BAD_SHARE : DSMR_OK;
}

static enum dsmr_err sum_up(struct dsmr_bls_sig *out, struct dsmr_bitset *signers,
                            struct dsmr_bitset *bad, const struct dsmr_validator_set *set,
                            const struct dsmr_share *shares, size_t count)
{
    memset(out, 0, sizeof *out);
    memset(signers, 0, sizeof *signers);
    memset(bad, 0, sizeof *bad);
    for (size_t i = 0; i < count; i++) {
        DSMR_ASSERT(shares[i].signer < set->count);
        add(out, &shares[i].sig);
        dsmr_bitset_add(signers, shares[i].signer);
    }
    return count > 0 ? DSMR_OK : DSMR_ERR_BAD_SHARE;
}

/* out: the entry's signature, and from it the sum of what its signers sign. */
static enum dsmr_err find_difference(struct dsmr_bls_sig *out,
                                     const struct dsmr_bls_batch_entry *entry)
{
    struct dsmr_bls_sig one;
    uint32_t end = dsmr_bitset_end(entry->signers);
    *out = *entry->sig;
    if (end == 0 || end > entry->set->count) {
        memset(out, 0, sizeof *out); /* stays out of the sum */
        return DSMR_ERR_BITSET;
    }
    for (uint32_t i = 0; i < end; i++) {
        if (dsmr_bitset_has(entry->signers, i)) {
            sign_with(&one, &entry->set->validators[i].public_key, entry->message, entry->len);
            add(out, &one);
        }
    }
    return DSMR_OK;
}

static enum dsmr_err verify_batch(enum dsmr_err *errs, const struct dsmr_bls_batch_entry *entries,
                                  size_t count, const uint8_t *random)
{
    struct errors errors = {.differences = calloc(count, sizeof(struct dsmr_bls_sig)),
                            .random = random};
    bool *is_bad = calloc(count, sizeof *is_bad);
    DSMR_ASSERT(errors.differences != NULL && is_bad != NULL);
    for (size_t k = 0; k < count; k++)
        errs[k] = find_difference(&errors.differences[k], &entries[k]);
    bisect(&errors, 0, count, is_bad);
    for (size_t k = 0; k < count; k++)
        errs[k] = is_bad[k] ? DSMR_ERR_BAD_SIGNATURE : errs[k];
    free(errors.differences);
    free(is_bad);
    return DSMR_OK;
}

void dsmr_sim_bls_cancel(struct dsmr_bls_sig *a, struct dsmr_bls_sig *b,
                         const struct dsmr_bls_sig *error)
{
    struct dsmr_bls_sig negative = *error; /* what is added twice is taken away */
    if (is_real)
        negative = dsmr_sim_bls_real_negative(error);
    dsmr_sim_bls_add(a, error);
    dsmr_sim_bls_add(b, &negative);
}

static const struct dsmr_bls_ops keyed_ops = {
    .verify = verify, .aggregate = aggregate, .sum = sum_up, .verify_batch = verify_batch};

const struct dsmr_bls_ops *dsmr_sim_bls_ops_in_use(void)
{
    return is_real ? &dsmr_bls_real : &keyed_ops;
}

struct dsmr_node_id dsmr_sim_bls_node_id(uint32_t number)
{
    struct dsmr_node_id id;
    memset(&id, 0, sizeof id);
    id.bytes[0] = 'n';
    dsmr_store_be32(id.bytes + 16, number);
    return id;
}

struct dsmr_validator_set *dsmr_sim_bls_set(uint64_t epoch, uint32_t first, uint32_t count,
                                            const uint64_t *weights, uint32_t weights_count)
{
    struct dsmr_validator_set *set =
        calloc(1, sizeof *set + (size_t)count * sizeof set->validators[0]);
    DSMR_ASSERT(set != NULL);
    set->refs = 1;
    set->epoch = epoch;
    set->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_validator *validator = &set->validators[i];
        if (is_real)
            dsmr_sim_bls_real_key(validator, first + i);
        else
            make_key(&validator->public_key, first + i);
        validator->weight = i < weights_count && weights[i] > 0 ? weights[i] : 1;
        validator->node_ids_count = 1;
        validator->node_ids[0] = dsmr_sim_bls_node_id(first + i);
        set->total_weight += validator->weight;
    }
    return set;
}

static enum dsmr_err sign_share(void *self, struct dsmr_bls_sig *out,
                                const struct dsmr_domain *domain, const struct dsmr_reference *ref)
{
    uint8_t message[DSMR_SHARE_SIGNING_BYTES];
    dsmr_share_signing_bytes(message, domain, ref);
    dsmr_sim_bls_sign(out, *(uint32_t *)self, message, sizeof message);
    return DSMR_OK;
}

static enum dsmr_err sign_vote(void *self, struct dsmr_bls_sig *out,
                               const struct dsmr_domain *domain,
                               const struct dsmr_vote_subject *subject)
{
    uint8_t message[DSMR_VOTE_SIGNING_BYTES];
    dsmr_vote_signing_bytes(message, domain, subject);
    dsmr_sim_bls_sign(out, *(uint32_t *)self, message, sizeof message);
    return DSMR_OK;
}

static const struct dsmr_signer_ops signer_ops = {.sign_share = sign_share, .sign_vote = sign_vote};

struct dsmr_signer dsmr_sim_bls_signer(uint32_t *number)
{
    return (struct dsmr_signer){.self = number, .ops = &signer_ops};
}
