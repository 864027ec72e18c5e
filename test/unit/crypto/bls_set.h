/* bls_set.h - validator sets with known keys, for tests. */
#ifndef DSMR_TEST_BLS_SET_H
#define DSMR_TEST_BLS_SET_H

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "crypto/bls.h"

/* Key number i of all tests. */
static inline void bls_set_key(struct dsmr_bls_secret_key *out, uint32_t i)
{
    uint8_t entropy[32] = {0x5e};
    memcpy(entropy + 1, &i, sizeof(i));
    dsmr_bls_keygen(out, entropy);
}

/* Entry i has key i and weight i + 1; the order is not canonical, which no check needs. */
static inline struct dsmr_validator_set *bls_set_new(uint32_t count)
{
    struct dsmr_validator_set *set = calloc(1, sizeof(*set) + count * sizeof(set->validators[0]));
    DSMR_ASSERT(set != NULL);
    atomic_init(&set->refs, 1);
    set->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_bls_secret_key secret;
        struct dsmr_bls_public_key key;
        struct dsmr_validator *validator = &set->validators[i];
        bls_set_key(&secret, i);
        dsmr_bls_public_key(&key, &secret);
        enum dsmr_err err = dsmr_bls_key_decode(&validator->public_key, &validator->point, &key);
        DSMR_ASSERT(err == DSMR_OK);
        validator->weight = i + 1;
        validator->node_ids_count = 1;
        validator->node_ids[0].bytes[0] = (uint8_t)i;
        set->total_weight += i + 1;
    }
    return set;
}

/* By this node, which knows it for a moment. */
static inline void bls_set_sign_here(struct dsmr_bls_sig *out, uint32_t i, const void *message,
                                     size_t len)
{
    struct dsmr_bls_secret_key secret;
    bls_set_key(&secret, i);
    dsmr_bls_sign(out, &secret, message, len);
}

/* By another one: who gets it has to decode it. */
static inline void bls_set_sign(struct dsmr_bls_sig *out, uint32_t i, const void *message,
                                size_t len)
{
    bls_set_sign_here(out, i, message, len);
    dsmr_bls_forget_sigs();
}

/* A point of the curve outside the subgroup. x: 2, 4, 5, 7, 10 or 13, which were tried. */
static inline void bls_set_outside_subgroup(struct dsmr_bls_sig *out, uint8_t x)
{
    memset(out, 0, sizeof(*out));
    out->bytes[0] = 0x80;
    out->bytes[95] = x;
}

#endif
