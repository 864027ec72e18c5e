/* test_bls_subgroup.c - signatures moved by a point of small order: on the curve, and by the
 * pairing alone as good as the true ones. Only the check of the subgroup refuses them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/aggregate.h"
#include "crypto/bls_points.h"
#include "crypto/recent_points.h"
#include "unit/crypto/bls_set.h"

/* The curve's order over 169: what this multiplies has an order of 1 or 13. */
static const char multiplier[] =
    "04005449cda731a7136c440a0c65b728ba1c1fa6b6708356f3b9bdc84396cab33907d71557a7d33677f5"
    "d45f7cedb8cfdac10ff1fc5b48d6461e907737d78e96568f2d18c750b4b3ca5c33c3fd8ff8a706298882"
    "81914529f4e3380941cfdd";
#define MULTIPLIER_BYTES ((sizeof(multiplier) - 1) / 2)

/* Double and add, for blst's own multiplication presumes points of the subgroup. */
static void multiply(blst_p2 *out, const blst_p2_affine *base, const uint8_t *scalar, size_t len)
{
    memset(out, 0, sizeof(*out));
    for (size_t bit = 0; bit < 8 * len; bit++) {
        blst_p2_double(out, out);
        if ((scalar[bit / 8] >> (7 - bit % 8)) & 1) {
            blst_p2_add_or_double_affine(out, out, base);
        }
    }
}

/* Adds a point of order 13 to sig. */
static void move(struct dsmr_bls_sig *sig)
{
    struct dsmr_bls_sig outside;
    uint8_t scalar[MULTIPLIER_BYTES];
    const uint8_t thirteen = 13;
    blst_p2_affine base, moved;
    blst_p2 small, sum;
    assert_int_equal(dsmr_hex_decode(scalar, sizeof(scalar), multiplier, 2 * sizeof(scalar)),
                     DSMR_OK);
    bls_set_outside_subgroup(&outside, 2);
    assert_true(dsmr_bls_sig_decode(&base, &outside));
    multiply(&small, &base, scalar, sizeof(scalar));
    assert_false(blst_p2_is_inf(&small));
    blst_p2_to_affine(&base, &small);
    multiply(&sum, &base, &thirteen, 1);
    assert_true(blst_p2_is_inf(&sum));
    assert_true(dsmr_bls_sig_decode(&moved, sig));
    blst_p2_add_or_double_affine(&sum, &small, &moved);
    blst_p2_compress(sig->bytes, &sum);
}

/* In a batch the coefficient of the second makes the small part vanish: 52 = 4 - 2 * 8 + 64. */
static void refused_among_others(const struct dsmr_validator_set *set,
                                 const struct dsmr_bls_sig *moved)
{
    static const uint8_t random[16] = {0xad, 1, 0, 0, 0, 0, 0, 0, 0xad, 1};
    const struct dsmr_bitset signers = {{1}};
    struct dsmr_bls_sig sig;
    bls_set_sign_here(&sig, 0, "m", 1); /* what is known of moved stays known */
    for (unsigned at = 0; at < 2; at++) {
        struct dsmr_bls_batch_item items[2];
        for (unsigned i = 0; i < 2; i++) {
            items[i] = (struct dsmr_bls_batch_item){.set = set,
                                                    .signers = &signers,
                                                    .sig = i == at ? moved : &sig,
                                                    .message = "m",
                                                    .len = 1};
        }
        assert_int_equal(dsmr_bls_verify_batch(items, 2, random), DSMR_ERR_BAD_SIGNATURE);
        assert_int_equal(items[at].err, DSMR_ERR_BAD_SIGNATURE);
        assert_int_equal(items[1 - at].err, DSMR_OK);
    }
}

static void every_way_to_verify_refuses_them(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = bls_set_new(2);
    struct dsmr_bitset signers = {{1}}, good, bad;
    struct dsmr_bls_sig sig, out;
    struct dsmr_share shares[2] = {{.signer = 0}, {.signer = 1}};
    uint8_t random[8] = {13};
    blst_p2_affine point;
    bls_set_sign(&sig, 0, "m", 1);
    move(&sig);
    assert_true(dsmr_bls_sig_decode(&point, &sig));
    assert_false(dsmr_bls_sig_in_group(&point));
    assert_int_equal(dsmr_bls_verify(&set->validators[0].point, &sig, "m", 1),
                     DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sig, "m", 1),
                     DSMR_ERR_BAD_SIGNATURE);
    struct dsmr_bls_batch_item item = {
        .set = set, .signers = &signers, .sig = &sig, .message = "m", .len = 1};
    assert_int_equal(dsmr_bls_verify_batch(&item, 1, random), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(item.err, DSMR_ERR_BAD_SIGNATURE);
    refused_among_others(set, &sig);
    shares[0].sig = sig;
    bls_set_sign(&shares[1].sig, 1, "m", 1);
    assert_int_equal(dsmr_aggregate_shares(&out, &good, &bad, set, shares, 2, "m", 1), DSMR_OK);
    assert_true(good.words[0] == 2 && bad.words[0] == 1);
    dsmr_validator_set_unref(set);
}

/* A sum that was made here is not decoded again; where it lies is looked at all the same. */
static void sums_that_are_known_are_refused(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = bls_set_new(2);
    struct dsmr_bitset signers, bad;
    struct dsmr_share share = {.signer = 0};
    struct dsmr_bls_sig sum;
    blst_p2_affine point;
    bls_set_sign(&share.sig, 0, "m", 1);
    move(&share.sig);
    assert_int_equal(dsmr_aggregate_sum(&sum, &signers, &bad, set, &share, 1), DSMR_OK);
    assert_true(
        dsmr_recent_points_find(DSMR_RECENT_POINTS_SIGS, &point, sum.bytes, sizeof(sum.bytes)));
    assert_int_equal(dsmr_bls_verify(&set->validators[0].point, &sum, "m", 1),
                     DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sum, "m", 1),
                     DSMR_ERR_BAD_SIGNATURE);
    refused_among_others(set, &sum);
    dsmr_validator_set_unref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_verify_refuses_them),
        cmocka_unit_test(sums_that_are_known_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
