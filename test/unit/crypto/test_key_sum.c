/* test_key_sum.c - sums of keys are what adding them one by one gives, whoever signs. */
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

static void assert_sum(const struct dsmr_validator_set *set, const int64_t *secrets,
                       const struct dsmr_bitset *signers)
{
    int64_t total = 0;
    blst_p1 sum;
    blst_p1_affine affine;
    for (uint32_t i = 0; i < set->count; i++) {
        total += dsmr_bitset_has(signers, i) ? secrets[i] : 0;
    }
    dsmr_key_sum(&sum, set, signers);
    if (total == 0) {
        assert_true(blst_p1_is_inf(&sum));
        return;
    }
    struct dsmr_validator_set *one = make_set(&total, 1);
    blst_p1_to_affine(&affine, &sum);
    assert_memory_equal(&affine, one->validators[0].point.limbs, sizeof affine);
    dsmr_validator_set_unref(one);
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
    for (unsigned kind = 0; kind < 3; kind++) {
        for (int i = 0; i < 200; i++) {
            secrets[i] = kind == 0 ? 5 : kind == 1 ? (i % 2 == 0 ? 5 : -5) : (i < 100 ? 7 : -7);
        }
        struct dsmr_validator_set *set = make_set(secrets, 200);
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
    for (uint32_t share = 0; share <= 16; share++) {
        struct dsmr_bitset signers = {{0}};
        for (uint32_t i = 0; i < DSMR_VALIDATORS_MAX; i++) {
            if (dsmr_prng_next(&prng) % 16 < share) {
                dsmr_bitset_add(&signers, i);
            }
        }
        assert_sum(set, secrets, &signers);
    }
    dsmr_validator_set_unref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subset_of_small_sets),
        cmocka_unit_test(keys_that_meet),
        cmocka_unit_test(the_largest_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
