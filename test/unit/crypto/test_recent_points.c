/* test_recent_points.c - a table gives each message, or signature, its own point, forgets the
 * oldest, and what signs, adds up and verifies through them is what it would be without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aggregate.h"
#include "crypto/bls.h"
#include "crypto/bls_points.h"
#include "crypto/recent_points.h"
#include "unit/crypto/bls_set.h"

/* A point of the right size that is none of the curve: the table does not look at it. */
static blst_p2_affine fake(uint32_t number)
{
    blst_p2_affine point;
    memset(&point, 0, sizeof(point));
    point.x.fp[0].l[0] = number;
    return point;
}

static void add(uint32_t number, const void *message, size_t len)
{
    blst_p2_affine point = fake(number);
    dsmr_recent_points_add(DSMR_RECENT_POINTS_MESSAGES, &point, message, len);
}

/* 0: not found. */
static uint32_t find(const void *message, size_t len)
{
    blst_p2_affine point = fake(0);
    return dsmr_recent_points_find(DSMR_RECENT_POINTS_MESSAGES, &point, message, len)
               ? (uint32_t)point.x.fp[0].l[0]
               : 0;
}

static void messages_are_told_apart(void **state)
{
    (void)state;
    uint8_t message[DSMR_RECENT_POINTS_BYTES_MAX + 1] = {7};
    add(1, message, 132);
    assert_int_equal(find(message, 132), 1);
    assert_int_equal(find(message, 131), 0);
    assert_int_equal(find(message, 133), 0);
    for (size_t i = 0; i < 132; i++) {
        message[i] ^= 1;
        assert_int_equal(find(message, 132), 0);
        message[i] ^= 1;
    }
    add(2, message, 132); /* the first one stays */
    assert_int_equal(find(message, 132), 1);
    /* Two texts of one FNV-1a hash. */
    add(3, "8yn0iYCKYHlIj4-BwPqk", 20);
    assert_int_equal(find("GReLUrM4wMqfg9yzV3KQ", 20), 0);
    add(4, "GReLUrM4wMqfg9yzV3KQ", 20);
    assert_int_equal(find("8yn0iYCKYHlIj4-BwPqk", 20), 3);
    assert_int_equal(find("GReLUrM4wMqfg9yzV3KQ", 20), 4);
}

static void lengths_have_limits(void **state)
{
    (void)state;
    uint8_t message[DSMR_RECENT_POINTS_BYTES_MAX + 1] = {9};
    add(1, message, 0);
    assert_int_equal(find(message, 0), 0);
    add(2, message, DSMR_RECENT_POINTS_BYTES_MAX);
    assert_int_equal(find(message, DSMR_RECENT_POINTS_BYTES_MAX), 2);
    add(3, message, DSMR_RECENT_POINTS_BYTES_MAX + 1);
    assert_int_equal(find(message, DSMR_RECENT_POINTS_BYTES_MAX + 1), 0);
}

static void the_oldest_gives_way(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 2 * DSMR_RECENT_POINTS_MAX + 5; i++) {
        add(i, &i, sizeof(i));
        uint32_t oldest = i > DSMR_RECENT_POINTS_MAX ? i - DSMR_RECENT_POINTS_MAX : 0;
        assert_int_equal(find(&i, sizeof(i)), i);
        if (oldest > 0) {
            uint32_t next = oldest + 1;
            assert_int_equal(find(&oldest, sizeof(oldest)), 0);
            assert_int_equal(find(&next, sizeof(next)), next);
        }
    }
}

/* Many messages in turns, each signed, verified and met again: as if there were no table. */
static void signatures_are_what_they_were(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = bls_set_new(2);
    struct dsmr_bls_sig first[3], sig;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 3; i++) {
            uint8_t message[132] = {1};
            message[131] = (uint8_t)i;
            bls_set_sign(&sig, 1, message, sizeof(message));
            if (round == 0) {
                first[i] = sig;
            }
            assert_memory_equal(&sig, &first[i], sizeof(sig));
            assert_int_equal(
                dsmr_bls_verify(&set->validators[1].point, &sig, message, sizeof(message)),
                DSMR_OK);
            message[130] ^= 1;
            assert_int_equal(
                dsmr_bls_verify(&set->validators[1].point, &sig, message, sizeof(message)),
                DSMR_ERR_BAD_SIGNATURE);
        }
        for (uint32_t i = 0; round == 1 && i < DSMR_RECENT_POINTS_MAX; i++) {
            add(i, &i, sizeof(i)); /* all are forgotten */
        }
    }
    dsmr_validator_set_unref(set);
}

/* The table is the messages' suite's: a proof of possession is hashed by its own. */
static void proofs_have_their_own_points(void **state)
{
    (void)state;
    struct dsmr_bls_secret_key secret;
    struct dsmr_bls_public_key key;
    struct dsmr_bls_sig sig, proof;
    bls_set_key(&secret, 5);
    dsmr_bls_public_key(&key, &secret);
    dsmr_bls_sign(&sig, &secret, key.bytes, sizeof(key.bytes));
    dsmr_bls_prove_possession(&proof, &secret);
    assert_memory_not_equal(&sig, &proof, sizeof(sig));
    assert_int_equal(dsmr_bls_check_possession(&key, &proof), DSMR_OK);
    assert_int_equal(dsmr_bls_check_possession(&key, &sig), DSMR_ERR_INVALID_KEY);
    assert_int_equal(find(key.bytes, sizeof(key.bytes)) != 0, true);
}

static bool is_known(const struct dsmr_bls_sig *sig)
{
    blst_p2_affine point;
    return dsmr_recent_points_find(DSMR_RECENT_POINTS_SIGS, &point, sig->bytes, sizeof(sig->bytes));
}

/* What was signed or added up here decodes to the point that its bytes stand for, on the curve and
 * in the group; a bit more or less of it is another signature, and is decoded. */
static void own_signatures_are_known(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = bls_set_new(3);
    struct dsmr_share shares[3];
    struct dsmr_bls_sig sum, again;
    struct dsmr_bitset signers, bad;
    blst_p2_affine known, decoded;
    dsmr_bls_forget_sigs();
    for (uint32_t i = 0; i < 3; i++) {
        shares[i].signer = i;
        bls_set_sign_here(&shares[i].sig, i, "subject", 7);
    }
    assert_int_equal(dsmr_aggregate_sum(&sum, &signers, &bad, set, shares, 3), DSMR_OK);
    const struct dsmr_bls_sig *made[] = {&shares[0].sig, &shares[1].sig, &shares[2].sig, &sum};
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(is_known(made[i]));
        assert_true(dsmr_bls_sig_decode(&known, made[i]));
        assert_int_equal(blst_p2_uncompress(&decoded, made[i]->bytes), BLST_SUCCESS);
        assert_true(blst_p2_affine_is_equal(&known, &decoded));
    }
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sum, "subject", 7), DSMR_OK);
    for (uint32_t byte = 0; byte < sizeof(sum.bytes); byte++) {
        again = sum;
        again.bytes[byte] ^= 1;
        assert_false(is_known(&again));
        assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &again, "subject", 7),
                         DSMR_ERR_BAD_SIGNATURE);
    }
    dsmr_bls_forget_sigs();
    assert_false(is_known(&sum));
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sum, "subject", 7), DSMR_OK);
    assert_int_equal(dsmr_aggregate_sum(&again, &signers, &bad, set, shares, 3), DSMR_OK);
    assert_memory_equal(&again, &sum, sizeof(sum));
    dsmr_validator_set_unref(set);
}

/* A signature of this length may be a message of somebody's, and the other way around. */
static void kinds_are_apart(void **state)
{
    (void)state;
    struct dsmr_bls_sig sig;
    blst_p2_affine point = fake(7);
    bls_set_sign_here(&sig, 0, "subject", 7);
    assert_true(is_known(&sig));
    assert_int_equal(find(sig.bytes, sizeof(sig.bytes)), 0);
    memset(&sig, 0x5a, sizeof(sig));
    dsmr_recent_points_add(DSMR_RECENT_POINTS_MESSAGES, &point, sig.bytes, sizeof(sig.bytes));
    assert_false(is_known(&sig));
    assert_false(dsmr_bls_sig_decode(&point, &sig));
}

/* Of what was encoded, only points are known: the identity is no signature, however it was made. */
static void the_identity_is_not_known(void **state)
{
    (void)state;
    struct dsmr_bls_sig sig;
    blst_p2 none;
    blst_p2_affine point;
    memset(&none, 0, sizeof(none)); /* z = 0 */
    dsmr_bls_sig_encode(&sig, &none);
    assert_false(is_known(&sig));
    assert_false(dsmr_bls_sig_decode(&point, &sig));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_told_apart),
        cmocka_unit_test(lengths_have_limits),
        cmocka_unit_test(the_oldest_gives_way),
        cmocka_unit_test(signatures_are_what_they_were),
        cmocka_unit_test(proofs_have_their_own_points),
        cmocka_unit_test(own_signatures_are_known),
        cmocka_unit_test(kinds_are_apart),
        cmocka_unit_test(the_identity_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
