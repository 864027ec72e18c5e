#include "crypto/key_sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"

#define ALL_FROM 8u /* entries: below it nothing is won */

_Static_assert(sizeof(struct dsmr_bls_point) == sizeof(blst_p1_affine), "a point of blst's");

/* Of the entries that are in the bitset, or of those that are not. */
static void sum(blst_p1 *out, const struct dsmr_validator_set *set,
                const struct dsmr_bitset *signers, bool are_in)
{
    const blst_p1_affine *points[DSMR_VALIDATORS_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        if (dsmr_bitset_has(signers, i) == are_in) {
            points[count++] = (const blst_p1_affine *)(const void *)&set->validators[i].point;
        }
    }
    blst_p1s_add(out, points, count);
}

/* The sum of all. NULL: out of memory. */
static const struct dsmr_bls_point *all_keys(const struct dsmr_validator_set *set)
{
    static const struct dsmr_bitset nobody;
    struct dsmr_bls_point *_Atomic *shared = &((struct dsmr_validator_set *)set)->all_keys;
    struct dsmr_bls_point *all = atomic_load_explicit(shared, memory_order_acquire);
    if (all != NULL) {
        return all;
    }
    struct dsmr_bls_point *made = malloc(sizeof(*made));
    if (made == NULL) {
        return NULL;
    }
    blst_p1 point;
    blst_p1_affine affine;
    sum(&point, set, &nobody, false);
    blst_p1_to_affine(&affine, &point);
    memcpy(made->limbs, &affine, sizeof(affine));
    if (!atomic_compare_exchange_strong_explicit(shared, &all, made, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        free(made);
        return all; /* another thread was faster */
    }
    return made;
}

void dsmr_key_sum(blst_p1 *out, const struct dsmr_validator_set *set,
                  const struct dsmr_bitset *signers)
{
    DSMR_ASSERT(set->count <= DSMR_VALIDATORS_MAX && dsmr_bitset_end(signers) <= set->count);
    const struct dsmr_bls_point *all = NULL;
    if (set->count >= ALL_FROM && 2 * dsmr_bitset_count(signers) > set->count) {
        all = all_keys(set);
    }
    sum(out, set, signers, all == NULL);
    if (all != NULL) {
        blst_p1_affine point;
        dsmr_bls_key_point(&point, all);
        blst_p1_cneg(out, true);
        blst_p1_add_or_double_affine(out, out, &point);
    }
}
