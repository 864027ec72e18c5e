/* test_aggregate.c - shares to a certificate signature, with liars among the signers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "crypto/aggregate.h"
#include "unit/crypto/bls_set.h"

static const char text[] = "reference";
#define LEN (sizeof(text) - 1)
#define SIZE 16u

static struct dsmr_validator_set *set;
static struct dsmr_share shares[SIZE];

static int setup(void **state)
{
    (void)state;
    if (set == NULL) {
        set = bls_set_new(SIZE);
    }
    for (uint32_t i = 0; i < SIZE; i++) {
        shares[i].signer = i;
        bls_set_sign(&shares[i].sig, i, text, LEN);
    }
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    dsmr_validator_set_unref(set);
    return 0;
}

/* bad_mask: bit i set, share i is expected to be named. */
static void expect(size_t count, uint64_t good_mask, uint64_t bad_mask)
{
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers = {{0xff}}, bad;
    memset(&sig, 0x77, sizeof(sig));
    memset(&bad, 0xff, sizeof(bad)); /* cleared by the call */
    enum dsmr_err err = dsmr_aggregate_shares(&sig, &signers, &bad, set, shares, count, text, LEN);
    assert_true(bad.words[0] == bad_mask);
    assert_int_equal(dsmr_bitset_end(&bad) > 64, 0);
    if (good_mask == 0) {
        assert_int_equal(err, DSMR_ERR_BAD_SHARE);
        assert_int_equal(sig.bytes[5], 0x77); /* outputs untouched */
        assert_true(signers.words[0] == 0xff);
        return;
    }
    assert_int_equal(err, DSMR_OK);
    assert_true(signers.words[0] == good_mask);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sig, text, LEN), DSMR_OK);
}

static void honest_shares_of_every_count(void **state)
{
    (void)state;
    expect(0, 0, 0);
    for (size_t count = 1; count <= SIZE; count++) {
        expect(count, (UINT64_C(1) << count) - 1, 0);
    }
}

static void one_liar_at_each_place(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SIZE; i++) {
        struct dsmr_bls_sig kept = shares[i].sig;
        bls_set_sign(&shares[i].sig, i, "another", 7);
        expect(SIZE, 0xffff & ~(UINT64_C(1) << i), UINT64_C(1) << i);
        shares[i].sig = kept;
    }
}

static void liars_of_every_kind(void **state)
{
    (void)state;
    bls_set_sign(&shares[0].sig, 1, text, LEN); /* somebody else's share */
    memset(&shares[3].sig, 0, sizeof(shares[3].sig));
    bls_set_outside_subgroup(&shares[4].sig, 5);
    memset(&shares[9].sig, 0, sizeof(shares[9].sig));
    shares[9].sig.bytes[0] = 0xc0; /* the identity */
    shares[15].sig.bytes[0] ^= 0x20;
    expect(SIZE, 0xffff & ~UINT64_C(0x8219), 0x8219);
}

static void nobody_is_honest(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SIZE; i++) {
        shares[i].sig.bytes[0] ^= 0x20;
    }
    expect(SIZE, 0, 0xffff);
    expect(1, 0, 1);
}

static void order_and_gaps_do_not_matter(void **state)
{
    (void)state;
    struct dsmr_share swapped = shares[0];
    shares[0] = shares[11];
    shares[11] = swapped;
    expect(3, 1u << 11 | 1u << 1 | 1u << 2, 0);
}

/* Two liars whose errors cancel make a valid aggregate together: nothing wrong leaves. */
static void cancelling_errors_still_give_a_valid_aggregate(void **state)
{
    (void)state;
    struct dsmr_bls_sig pair[2];
    size_t bad;
    bls_set_sign(&pair[1], 9, "error", 5);
    pair[0] = shares[2].sig;
    assert_int_equal(dsmr_bls_aggregate(&shares[2].sig, &bad, pair, 2), DSMR_OK);
    pair[1].bytes[0] ^= 0x20;
    pair[0] = shares[3].sig;
    assert_int_equal(dsmr_bls_aggregate(&shares[3].sig, &bad, pair, 2), DSMR_OK);
    expect(4, 0xf, 0);
    expect(3, 0x3, 0x4); /* one of them alone is named */
}

/* Keys that are each other's inverse: the aggregate would be the identity, which no one accepts. */
static void inverse_keys_give_no_aggregate(void **state)
{
    (void)state;
    struct dsmr_validator_set *odd = bls_set_new(2);
    struct dsmr_bls_public_key key;
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers, bad;
    dsmr_bls_key_compress(&key, &odd->validators[0].point);
    key.bytes[0] ^= 0x20;
    assert_int_equal(
        dsmr_bls_key_decode(&odd->validators[1].public_key, &odd->validators[1].point, &key),
        DSMR_OK);
    shares[1].sig = shares[0].sig;
    shares[1].sig.bytes[0] ^= 0x20;
    assert_int_equal(dsmr_aggregate_shares(&sig, &signers, &bad, odd, shares, 2, text, LEN),
                     DSMR_ERR_BAD_SHARE);
    assert_true(dsmr_bitset_is_empty(&bad));
    dsmr_validator_set_unref(odd);
}

/* A sum says who decodes, and nothing else: whoever uses it verifies it. */
static void sums_are_not_verified(void **state)
{
    (void)state;
    struct dsmr_bls_sig sum, sig;
    struct dsmr_bitset signers, bad, others;
    memset(&signers, 0xff, sizeof(signers));
    memset(&bad, 0xff, sizeof(bad));
    assert_int_equal(dsmr_aggregate_sum(&sum, &signers, &bad, set, shares, 3), DSMR_OK);
    assert_int_equal(dsmr_aggregate_shares(&sig, &others, &bad, set, shares, 3, text, LEN),
                     DSMR_OK);
    assert_memory_equal(&sum, &sig, sizeof(sum));
    assert_memory_equal(&signers, &others, sizeof(signers));
    shares[1].sig.bytes[0] = 0; /* does not decode */
    assert_int_equal(dsmr_aggregate_sum(&sum, &signers, &bad, set, shares, 3), DSMR_OK);
    assert_true(signers.words[0] == 5 && bad.words[0] == 2);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sum, text, LEN), DSMR_OK);
    bls_set_sign(&shares[2].sig, 2, "another", 7);
    assert_int_equal(dsmr_aggregate_sum(&sum, &signers, &bad, set, shares, 3), DSMR_OK);
    assert_true(signers.words[0] == 5 && bad.words[0] == 2);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sum, text, LEN),
                     DSMR_ERR_BAD_SIGNATURE);
    shares[2].sig = shares[0].sig;
    shares[2].sig.bytes[0] ^= 0x20; /* its inverse: the sum is the identity */
    assert_int_equal(dsmr_aggregate_sum(&sum, &signers, &bad, set, shares, 3), DSMR_ERR_BAD_SHARE);
    assert_int_equal(dsmr_aggregate_sum(&sum, &signers, &bad, set, shares, 0), DSMR_ERR_BAD_SHARE);
    assert_int_equal(dsmr_aggregate_sum(&sum, &signers, &bad, set, &shares[1], 1),
                     DSMR_ERR_BAD_SHARE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sums_are_not_verified, setup),
        cmocka_unit_test_setup(honest_shares_of_every_count, setup),
        cmocka_unit_test_setup(one_liar_at_each_place, setup),
        cmocka_unit_test_setup(liars_of_every_kind, setup),
        cmocka_unit_test_setup(nobody_is_honest, setup),
        cmocka_unit_test_setup(order_and_gaps_do_not_matter, setup),
        cmocka_unit_test_setup(cancelling_errors_still_give_a_valid_aggregate, setup),
        cmocka_unit_test_setup(inverse_keys_give_no_aggregate, setup),
    };
    return cmocka_run_group_tests(tests, NULL, group_teardown);
}
