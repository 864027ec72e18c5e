#include "crypto/key_sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "crypto/affine_sum.h"

#define ALL_FROM 8u /* entries: below it nothing is won */
#define SUBSETS_FROM 32u
#define BLOCK 8u        /* neighbours whose subsets are known: a byte of a bitset */
#define BLOCK_SUMS 255u /* all subsets but the empty one */
#define JOBS_AT_ONCE 16u

_Static_assert(sizeof(struct dsmr_bls_point) == sizeof(blst_p1_affine), "a point of blst's");

enum state { SPARED, FILLING, FILLED };

/* What a set keeps: set->all_keys points to the first member. */
struct kept {
    struct dsmr_bls_point all;
    _Atomic uint32_t additions; /* done without the sums of subsets */
    _Atomic uint32_t state;     /* of these sums */
    blst_p1_affine subsets[];   /* BLOCK_SUMS for each block; [b - 1]: of the keys with bits in b */
};

/* The points that a sum is made of: those of keys in the bitset, or the sum of all and those of
 * keys that are not. */
struct terms {
    const struct kept *kept; /* not NULL: `all` less the points */
    size_t count;
    const blst_p1_affine *points[DSMR_VALIDATORS_MAX];
};

static const blst_p1_affine *key_of(const struct dsmr_validator_set *set, uint32_t i)
{
    return (const blst_p1_affine *)(const void *)&set->validators[i].point;
}

static uint32_t blocks_of(const struct dsmr_validator_set *set)
{
    return set->count < SUBSETS_FROM ? 0 : (set->count + BLOCK - 1) / BLOCK;
}

static struct kept *make_kept(const struct dsmr_validator_set *set)
{
    size_t sums = (size_t)blocks_of(set) * BLOCK_SUMS;
    struct kept *made = malloc(sizeof(*made) + sums * sizeof(made->subsets[0]));
    const blst_p1_affine *points[DSMR_VALIDATORS_MAX];
    blst_p1 sum;
    blst_p1_affine affine;
    if (made == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        points[i] = key_of(set, i);
    }
    blst_p1s_add(&sum, points, set->count);
    blst_p1_to_affine(&affine, &sum);
    memcpy(made->all.limbs, &affine, sizeof(affine));
    atomic_init(&made->additions, 0);
    atomic_init(&made->state, SPARED);
    return made;
}

/* NULL: out of memory, or too few to be worth it. */
static struct kept *kept_of(const struct dsmr_validator_set *set)
{
    struct dsmr_bls_point *_Atomic *shared = &((struct dsmr_validator_set *)set)->all_keys;
    struct dsmr_bls_point *known = atomic_load_explicit(shared, memory_order_acquire);
    if (known != NULL || set->count < ALL_FROM) {
        return (struct kept *)(void *)known;
    }
    struct kept *made = make_kept(set);
    if (made != NULL &&
        !atomic_compare_exchange_strong_explicit(shared, &known, &made->all, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        free(made);
        return (struct kept *)(void *)known; /* another thread was faster */
    }
    return made;
}

/* Each key is added to all subsets of those before it, at once for all blocks. */
static void fill(struct kept *kept, const struct dsmr_validator_set *set)
{
    struct dsmr_affine_sum_queue queue = {.count = 0};
    uint32_t blocks = blocks_of(set);
    for (uint32_t i = 0; i < BLOCK; i++) {
        for (uint32_t block = 0; block < blocks; block++) {
            static const blst_p1_affine nothing; /* the identity, for keys beyond the set */
            uint32_t at = block * BLOCK + i, bit = 1u << i;
            blst_p1_affine *sums = kept->subsets + (size_t)block * BLOCK_SUMS - 1;
            sums[bit] = at < set->count ? *key_of(set, at) : nothing;
            for (uint32_t below = 1; below < bit; below++) {
                dsmr_affine_sum_push(&queue, &sums[bit + below], &sums[below], &sums[bit]);
            }
        }
        dsmr_affine_sum_flush(&queue);
    }
}

/* Counts additions; fills the sums of subsets as soon as they would have cost no more. */
static void spend(struct kept *kept, const struct dsmr_validator_set *set, uint32_t additions)
{
    uint32_t price = blocks_of(set) * BLOCK_SUMS, state = SPARED;
    uint32_t spent = atomic_fetch_add_explicit(&kept->additions, additions, memory_order_relaxed);
    if (price > 0 && spent >= price &&
        atomic_compare_exchange_strong_explicit(&kept->state, &state, FILLING, memory_order_relaxed,
                                                memory_order_relaxed)) {
        fill(kept, set);
        atomic_store_explicit(&kept->state, FILLED, memory_order_release);
    }
}

static uint8_t block_bits(const struct dsmr_bitset *signers, uint32_t block, bool are_in)
{
    uint32_t first = block * BLOCK;
    uint64_t bits = signers->words[first / 64] >> first % 64;
    return (uint8_t)(are_in ? bits : ~bits); /* what lies beyond the set adds nothing */
}

static void gather(struct terms *out, const struct dsmr_validator_set *set,
                   const struct dsmr_bitset *signers)
{
    DSMR_ASSERT(set->count <= DSMR_VALIDATORS_MAX && dsmr_bitset_end(signers) <= set->count);
    struct kept *kept = kept_of(set);
    bool are_in = kept == NULL || 2 * dsmr_bitset_count(signers) <= set->count;
    out->kept = are_in ? NULL : kept;
    out->count = 0;
    if (kept != NULL && atomic_load_explicit(&kept->state, memory_order_acquire) == FILLED) {
        for (uint32_t block = 0; block < blocks_of(set); block++) {
            uint8_t bits = block_bits(signers, block, are_in);
            if (bits != 0) {
                out->points[out->count++] = &kept->subsets[(size_t)block * BLOCK_SUMS + bits - 1];
            }
        }
        return;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (dsmr_bitset_has(signers, i) == are_in) {
            out->points[out->count++] = key_of(set, i);
        }
    }
    if (kept != NULL) {
        spend(kept, set, (uint32_t)out->count);
    }
}

void dsmr_key_sum(blst_p1 *out, const struct dsmr_validator_set *set,
                  const struct dsmr_bitset *signers)
{
    struct terms terms;
    gather(&terms, set, signers);
    blst_p1s_add(out, terms.points, terms.count);
    if (terms.kept != NULL) {
        blst_p1_affine all;
        dsmr_bls_key_point(&all, &terms.kept->all);
        blst_p1_cneg(out, true);
        blst_p1_add_or_double_affine(out, out, &all);
    }
}

/* Copies what is to be added up, each with the sign it has. Returns how many: one at least. */
static size_t write_terms(blst_p1_affine *out, const struct terms *terms)
{
    size_t count = 0;
    for (size_t i = 0; i < terms->count; i++) {
        out[count] = *terms->points[i];
        if (terms->kept != NULL) {
            blst_fp_cneg(&out[count].y, &out[count].y, true);
        }
        count++;
    }
    if (terms->kept != NULL) {
        dsmr_bls_key_point(&out[count++], &terms->kept->all);
    }
    if (count == 0) {
        memset(&out[count++], 0, sizeof(*out));
    }
    return count;
}

enum dsmr_err dsmr_key_sum_many(blst_p1_affine *out, const struct dsmr_key_sum_job *jobs,
                                size_t count)
{
    size_t room = 0; /* points of one sum, the sum of all included */
    for (size_t i = 0; i < count; i++) {
        room = jobs[i].set->count >= room ? jobs[i].set->count + 1 : room;
    }
    size_t at_once = count < JOBS_AT_ONCE ? count : JOBS_AT_ONCE;
    blst_p1_affine *points = malloc(at_once * room * sizeof(*points));
    if (points == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    for (size_t from = 0; from < count; from += at_once) {
        struct dsmr_affine_sum_list lists[JOBS_AT_ONCE];
        struct terms terms;
        size_t n = count - from < at_once ? count - from : at_once;
        for (size_t i = 0; i < n; i++) {
            gather(&terms, jobs[from + i].set, jobs[from + i].signers);
            lists[i].points = points + i * room;
            lists[i].count = write_terms(lists[i].points, &terms);
        }
        dsmr_affine_sum_lists(lists, n);
        for (size_t i = 0; i < n; i++) {
            out[from + i] = lists[i].points[0];
        }
    }
    free(points);
    return DSMR_OK;
}
