/* test_key_sum.c - sums of keys are what adding them one by one gives, whoever signs: before a set
 * keeps the sums of its subsets, and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "base/prng.h"
#include "crypto/key_sum.h"

/* The first key is 1 * G1, the second 2 * G1 ...; a negative one is its inverse. */
static struct dsmr_validator_set *make_set(const int64_t *secrets, uint32_t count)
{
    struct dsmr_validator_set *set = calloc(1, sizeof *set + count * sizeof(struct dsmr_validator));
    assert_non_null(set);
    set->refs = 1;
    set->count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t size = (uint64_t)(secrets[i] < 0 ? -secrets[i] : secrets[i]);
        uint8_t scalar[8];
        blst_p1 point;
        blst_p1_affine affine;
        for (unsigned k = 0; k < sizeof scalar; k++) {
            scalar[k] = (uint8_t)(size >> 8 * k);
        }
        blst_p1_mult(&point, blst_p1_generator(), scalar, 64);
        blst_p1_cneg(&point, secrets[i] < 0);
        blst_p1_to_affine(&affine, &point);
        memcpy(set->validators[i].point.limbs, &affine, sizeof affine);
    }
    return set;
}

static int64_t total_of(const struct dsmr_validator_set *set, const int64_t *secrets,
                        const struct dsmr_bitset *signers)
{
    int64_t total = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        total += dsmr_bitset_has(signers, i) ? secrets[i] : 0;
    }
    return total;
}

static void assert_sum(const struct dsmr_validator_set *set, const int64_t *secrets,
                       const struct dsmr_bitset *signers)
{
    struct dsmr_key_sum_job job = {set, signers};
    int64_t total = total_of(set, secrets, signers);
    blst_p1 sum;
    blst_p1_affine affine, same;
    dsmr_key_sum(&sum, set, signers);
    blst_p1_to_affine(&affine, &sum);
    assert_int_equal(dsmr_key_sum_many(&same, &job, 1), DSMR_OK);
    if (total == 0) {
        assert_true(blst_p1_is_inf(&sum));
        assert_true(blst_p1_affine_is_inf(&same));
        return;
    }
    assert_memory_equal(&affine, &same, sizeof affine);
    struct dsmr_validator_set *one = make_set(&total, 1);
    assert_memory_equal(&affine, one->validators[0].point.limbs, sizeof affine);
    dsmr_validator_set_unref(one);
}

/* Sums of half a set, until as many additions are done as the sums of subsets would have taken. */
static void ask_often(const struct dsmr_validator_set *set)
{
    struct dsmr_bitset half = {{0}};
    uint32_t blocks = (set->count + 7) / 8;
    blst_p1 sum;
    for (uint32_t i = 0; i < set->count / 2; i++) {
        dsmr_bitset_add(&half, i);
    }
    for (uint32_t done = 0; done <= 255 * blocks; done += set->count / 2) {
        dsmr_key_sum(&sum, set, &half);
    }
    dsmr_key_sum(&sum, set, &half);
}

static void random_signers(struct dsmr_bitset *out, uint32_t count, uint32_t sixteenths,
                           struct dsmr_prng *prng)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < count; i++) {
        if (dsmr_prng_next(prng) % 16 < sixteenths) {
            dsmr_bitset_add(out, i);
        }
    }
}

static void every_subset_of_small_sets(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 9; count++) {
        static const int64_t secrets[] = {1, 2, 3, 4, -3, 6, 7, -8, 12};
        struct dsmr_validator_set *set = make_set(secrets, count);
        for (uint32_t bits = 1; bits < 1u << count; bits++) {
            struct dsmr_bitset signers = {{bits}};
            assert_sum(set, secrets, &signers);
        }
        dsmr_validator_set_unref(set);
    }
}

/* Partial sums that are equal, or each other's inverse, or nothing. */
static void keys_that_meet(void **state)
{
    (void)state;
    int64_t secrets[200];
    struct dsmr_bitset signers = {{0}};
    for (unsigned kind = 0; kind < 6; kind++) {
        for (int i = 0; i < 200; i++) {
            secrets[i] = kind % 3 == 0   ? 5
                         : kind % 3 == 1 ? (i % 2 == 0 ? 5 : -5)
                                         : (i < 100 ? 7 : -7);
        }
        struct dsmr_validator_set *set = make_set(secrets, 200);
        if (kind >= 3) {
            ask_often(set);
        }
        for (uint32_t most = 1; most <= 200; most++) {
            dsmr_bitset_add(&signers, most - 1);
            assert_sum(set, secrets, &signers);
        }
        memset(&signers, 0, sizeof signers);
        dsmr_validator_set_unref(set);
    }
}

static void the_largest_set(void **state)
{
    (void)state;
    static int64_t secrets[DSMR_VALIDATORS_MAX];
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 7);
    for (uint32_t i = 0; i < DSMR_VALIDATORS_MAX; i++) {
        secrets[i] = (int64_t)(dsmr_prng_next(&prng) >> 20) + 1;
    }
    struct dsmr_validator_set *set = make_set(secrets, DSMR_VALIDATORS_MAX);
    for (unsigned is_often = 0; is_often < 2; is_often++) {
        for (uint32_t share = 0; share <= 16; share++) {
            struct dsmr_bitset signers;
            random_signers(&signers, DSMR_VALIDATORS_MAX, share, &prng);
            assert_sum(set, secrets, &signers);
        }
        ask_often(set);
    }
    dsmr_validator_set_unref(set);
}

/* Around where sums of subsets begin, and where the last eight are not full. */
static void sets_that_are_asked_often(void **state)
{
    (void)state;
    static const uint32_t counts[] = {7, 8, 31, 32, 33, 39, 40, 41, 63, 64, 65, 127};
    int64_t secrets[127];
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 8);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (uint32_t i = 0; i < counts[c]; i++) {
            secrets[i] = (int64_t)(dsmr_prng_next(&prng) >> 20) + 1;
        }
        struct dsmr_validator_set *set = make_set(secrets, counts[c]);
        ask_often(set);
        for (uint32_t share = 0; share <= 16; share++) {
            struct dsmr_bitset signers;
            random_signers(&signers, counts[c], share, &prng);
            assert_sum(set, secrets, &signers);
        }
        dsmr_validator_set_unref(set);
    }
}

/* Other sets, other keys, before and after their subsets are known, in one call. */
static void sums_of_several_sets_at_once(void **state)
{
    (void)state;
    enum { JOBS = 37, SETS = 4 };
    static const uint32_t counts[SETS] = {5, 64, 64, 100};
    int64_t secrets[SETS][100];
    struct dsmr_validator_set *sets[SETS];
    struct dsmr_bitset signers[JOBS];
    struct dsmr_key_sum_job jobs[JOBS];
    blst_p1_affine sums[JOBS];
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 9);
    for (int s = 0; s < SETS; s++) {
        for (int i = 0; i < 100; i++) {
            secrets[s][i] = (int64_t)(dsmr_prng_next(&prng) >> 20) + 1;
        }
        sets[s] = make_set(secrets[s], counts[s]);
    }
    ask_often(sets[1]);
    ask_often(sets[2]);
    for (int i = 0; i < JOBS; i++) {
        random_signers(&signers[i], counts[i % SETS], 3 + (uint32_t)i % 12, &prng);
        dsmr_bitset_add(&signers[i], 0);
        jobs[i] = (struct dsmr_key_sum_job){sets[i % SETS], &signers[i]};
    }
    assert_int_equal(dsmr_key_sum_many(sums, jobs, JOBS), DSMR_OK);
    for (int i = 0; i < JOBS; i++) {
        int64_t total = total_of(sets[i % SETS], secrets[i % SETS], &signers[i]);
        struct dsmr_validator_set *one = make_set(&total, 1);
        assert_memory_equal(&sums[i], one->validators[0].point.limbs, sizeof sums[i]);
        dsmr_validator_set_unref(one);
    }
    for (int s = 0; s < SETS; s++) {
        dsmr_validator_set_unref(sets[s]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subset_of_small_sets),
        cmocka_unit_test(keys_that_meet),
        cmocka_unit_test(the_largest_set),
        cmocka_unit_test(sets_that_are_asked_often),
        cmocka_unit_test(sums_of_several_sets_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
