/* test_bls.c - keys, signatures, aggregates and batches, with the encodings that must not pass.
 * Agreement with other implementations is in test_avalanche_vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "crypto/recent_points.h"
#include "unit/crypto/bls_set.h"

static const char text[] = "a message";
#define LEN (sizeof(text) - 1)
#define SIZE 70u

static struct dsmr_validator_set *set;

static int group_setup(void **state)
{
    (void)state;
    set = bls_set_new(SIZE);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    dsmr_validator_set_unref(set);
    return 0;
}

static void negate(struct dsmr_bls_sig *sig)
{
    sig->bytes[0] ^= 0x20; /* the sign of y */
}

static void secret_keys_are_below_the_order_and_not_zero(void **state)
{
    (void)state;
    struct dsmr_bls_secret_key key = {{0}};
    assert_int_equal(dsmr_bls_secret_check(&key), DSMR_ERR_INVALID_KEY);
    key.bytes[31] = 1;
    assert_int_equal(dsmr_bls_secret_check(&key), DSMR_OK);
    static const char order[] = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
    assert_int_equal(dsmr_hex_decode(key.bytes, 32, order, 64), DSMR_OK);
    assert_int_equal(dsmr_bls_secret_check(&key), DSMR_ERR_INVALID_KEY);
    key.bytes[31] = 0;
    assert_int_equal(dsmr_bls_secret_check(&key), DSMR_OK);
    memset(key.bytes, 0xff, 32);
    assert_int_equal(dsmr_bls_secret_check(&key), DSMR_ERR_INVALID_KEY);
    dsmr_bls_wipe(&key);
    for (size_t i = 0; i < 32; i++) {
        assert_int_equal(key.bytes[i], 0);
    }
}

static void sign_and_verify(void **state)
{
    (void)state;
    struct dsmr_bls_sig sig;
    bls_set_sign(&sig, 3, text, LEN);
    assert_int_equal(dsmr_bls_verify(&set->validators[3].point, &sig, text, LEN), DSMR_OK);
    assert_int_equal(dsmr_bls_verify(&set->validators[4].point, &sig, text, LEN),
                     DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(dsmr_bls_verify(&set->validators[3].point, &sig, text, LEN - 1),
                     DSMR_ERR_BAD_SIGNATURE);
    negate(&sig);
    assert_int_equal(dsmr_bls_verify(&set->validators[3].point, &sig, text, LEN),
                     DSMR_ERR_BAD_SIGNATURE);
    bls_set_sign(&sig, 3, NULL, 0);
    assert_int_equal(dsmr_bls_verify(&set->validators[3].point, &sig, NULL, 0), DSMR_OK);
}

static void every_changed_bit_of_a_signature_is_refused(void **state)
{
    (void)state;
    struct dsmr_bls_sig sig;
    bls_set_sign(&sig, 0, text, LEN);
    for (size_t bit = 0; bit < 96 * 8; bit += bit < 8 ? 1 : 7) {
        sig.bytes[bit / 8] ^= (uint8_t)(0x80u >> (bit % 8));
        assert_int_equal(dsmr_bls_verify(&set->validators[0].point, &sig, text, LEN),
                         DSMR_ERR_BAD_SIGNATURE);
        sig.bytes[bit / 8] ^= (uint8_t)(0x80u >> (bit % 8));
    }
}

static void signatures_that_are_no_subgroup_points(void **state)
{
    (void)state;
    struct dsmr_bls_sig sig = {{0}};
    const struct dsmr_bls_point *key = &set->validators[0].point;
    size_t bad = 9;
    assert_int_equal(dsmr_bls_verify(key, &sig, text, LEN), DSMR_ERR_BAD_SIGNATURE);
    sig.bytes[0] = 0xc0; /* the identity */
    assert_int_equal(dsmr_bls_verify(key, &sig, text, LEN), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(dsmr_bls_aggregate(&sig, &bad, &sig, 1), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(bad, 0);
    sig.bytes[0] = 0xe0; /* the identity with a sign */
    assert_int_equal(dsmr_bls_verify(key, &sig, text, LEN), DSMR_ERR_BAD_SIGNATURE);
    memset(&sig, 0xff, sizeof(sig)); /* x beyond the field */
    sig.bytes[0] = 0x9f;
    assert_int_equal(dsmr_bls_verify(key, &sig, text, LEN), DSMR_ERR_BAD_SIGNATURE);
    memset(&sig, 0, sizeof(sig));
    sig.bytes[0] = 0x80;
    sig.bytes[95] = 1; /* no point of the curve has this x */
    assert_int_equal(dsmr_bls_verify(key, &sig, text, LEN), DSMR_ERR_BAD_SIGNATURE);
    bls_set_outside_subgroup(&sig, 2);
    assert_int_equal(dsmr_bls_verify(key, &sig, text, LEN), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(dsmr_bls_aggregate(&sig, &bad, &sig, 1), DSMR_ERR_BAD_SIGNATURE);
}

static void keys_decode_in_one_form_only(void **state)
{
    (void)state;
    struct dsmr_bls_public_key key = {{0}}, again;
    struct dsmr_bls_public_key_raw raw = {{0}};
    struct dsmr_bls_point point, same;
    dsmr_bls_key_compress(&key, &set->validators[5].point);
    assert_int_equal(dsmr_bls_key_decode(&raw, &point, &key), DSMR_OK);
    assert_memory_equal(&raw, &set->validators[5].public_key, sizeof(raw));
    assert_int_equal(dsmr_bls_key_decode_raw(&same, &raw), DSMR_OK);
    dsmr_bls_key_compress(&again, &same);
    assert_memory_equal(&again, &key, sizeof(key));

    /* a compressed key where a raw one belongs: blst would take it */
    struct dsmr_bls_public_key_raw mixed = {{0}};
    memcpy(mixed.bytes, key.bytes, sizeof(key.bytes));
    assert_int_equal(dsmr_bls_key_decode_raw(&point, &mixed), DSMR_ERR_INVALID_KEY);
    raw.bytes[95] ^= 1; /* off the curve */
    assert_int_equal(dsmr_bls_key_decode_raw(&point, &raw), DSMR_ERR_INVALID_KEY);
    memset(&raw, 0, sizeof(raw));
    assert_int_equal(dsmr_bls_key_decode_raw(&point, &raw), DSMR_ERR_INVALID_KEY);
    raw.bytes[0] = 0x40; /* the identity */
    assert_int_equal(dsmr_bls_key_decode_raw(&point, &raw), DSMR_ERR_INVALID_KEY);
    memset(&key, 0, sizeof(key));
    key.bytes[0] = 0xc0;
    assert_int_equal(dsmr_bls_key_decode(&raw, &point, &key), DSMR_ERR_INVALID_KEY);
    key.bytes[0] = 0x80;
    key.bytes[47] = 1; /* not on the curve */
    assert_int_equal(dsmr_bls_key_decode(&raw, &point, &key), DSMR_ERR_INVALID_KEY);
    key.bytes[47] = 4; /* on the curve, outside the subgroup */
    assert_int_equal(dsmr_bls_key_decode(&raw, &point, &key), DSMR_ERR_INVALID_KEY);
    static const char outside[] =
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "0000040a989badd40d6212b33cffc3f3763e9bc760f988c9926b26da9dd85e928483446346b8ed00e1de5d5ea9"
        "3e354abe706c";
    assert_int_equal(dsmr_hex_decode(raw.bytes, 96, outside, 192), DSMR_OK);
    assert_int_equal(dsmr_bls_key_decode_raw(&point, &raw), DSMR_ERR_INVALID_KEY);
}

static void possession_is_of_the_key_itself(void **state)
{
    (void)state;
    struct dsmr_bls_secret_key secret;
    struct dsmr_bls_public_key key, other;
    struct dsmr_bls_sig proof, sig;
    bls_set_key(&secret, 0);
    dsmr_bls_public_key(&key, &secret);
    dsmr_bls_key_compress(&other, &set->validators[1].point);
    dsmr_bls_prove_possession(&proof, &secret);
    assert_int_equal(dsmr_bls_check_possession(&key, &proof), DSMR_OK);
    assert_int_equal(dsmr_bls_check_possession(&other, &proof), DSMR_ERR_INVALID_KEY);
    /* a plain signature over the key's bytes is of another suite, and the other way round */
    dsmr_bls_sign(&sig, &secret, key.bytes, sizeof(key.bytes));
    assert_int_equal(dsmr_bls_check_possession(&key, &sig), DSMR_ERR_INVALID_KEY);
    assert_int_equal(dsmr_bls_verify(&set->validators[0].point, &proof, key.bytes, 48),
                     DSMR_ERR_BAD_SIGNATURE);
    memset(&other, 0, sizeof(other));
    assert_int_equal(dsmr_bls_check_possession(&other, &proof), DSMR_ERR_INVALID_KEY);
}

static void aggregate_of(struct dsmr_bls_sig *out, struct dsmr_bitset *signers, uint32_t first,
                         uint32_t step, const void *message, size_t len)
{
    struct dsmr_bls_sig sigs[SIZE];
    size_t count = 0, bad;
    memset(signers, 0, sizeof(*signers));
    for (uint32_t i = first; i < SIZE; i += step) {
        bls_set_sign(&sigs[count++], i, message, len);
        dsmr_bitset_add(signers, i);
    }
    assert_int_equal(dsmr_bls_aggregate(out, &bad, sigs, count), DSMR_OK);
}

static void aggregates_name_exactly_their_signers(void **state)
{
    (void)state;
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers, changed;
    aggregate_of(&sig, &signers, 1, 7, text, LEN);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sig, text, LEN), DSMR_OK);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &signers, &sig, text, LEN - 1),
                     DSMR_ERR_BAD_SIGNATURE);
    changed = signers;
    dsmr_bitset_add(&changed, 0);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &changed, &sig, text, LEN),
                     DSMR_ERR_BAD_SIGNATURE);
    changed = signers;
    dsmr_bitset_remove(&changed, 1);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &changed, &sig, text, LEN),
                     DSMR_ERR_BAD_SIGNATURE);
    memset(&changed, 0, sizeof(changed));
    assert_int_equal(dsmr_bls_verify_aggregate(set, &changed, &sig, text, LEN), DSMR_ERR_BITSET);
    changed = signers;
    dsmr_bitset_add(&changed, SIZE);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &changed, &sig, text, LEN), DSMR_ERR_BITSET);
}

/* Fresh certificates over messages of their own, and random bytes for the coefficients. */
struct fixture {
    struct dsmr_bls_batch_item items[SIZE];
    struct dsmr_bitset signers[SIZE];
    struct dsmr_bls_sig sigs[SIZE];
    uint32_t messages[SIZE];
    uint8_t random[SIZE * 8];
};

static struct fixture *fixture_new(uint32_t count)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    for (uint32_t i = 0; i < count; i++) {
        fixture->messages[i] = i;
        aggregate_of(&fixture->sigs[i], &fixture->signers[i], i, 23, &fixture->messages[i], 4);
        fixture->items[i] = (struct dsmr_bls_batch_item){.set = set,
                                                         .signers = &fixture->signers[i],
                                                         .sig = &fixture->sigs[i],
                                                         .message = &fixture->messages[i],
                                                         .len = 4,
                                                         .err = DSMR_ERR_UNKNOWN};
    }
    for (size_t i = 0; i < sizeof(fixture->random); i++) {
        fixture->random[i] = (uint8_t)(i * 37 + 11);
    }
    return fixture;
}

static void expect_batch(struct fixture *fixture, uint32_t count, const enum dsmr_err *errs)
{
    bool all = true;
    for (uint32_t i = 0; i < count; i++) {
        all = all && errs[i] == DSMR_OK;
    }
    assert_int_equal(dsmr_bls_verify_batch(fixture->items, count, fixture->random),
                     all ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(fixture->items[i].err, errs[i]);
    }
}

static void valid_batches_of_every_size(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 2, 3, 31, 32, 33, SIZE};
    enum dsmr_err errs[SIZE] = {DSMR_OK};
    struct fixture *fixture = fixture_new(SIZE);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        expect_batch(fixture, sizes[s], errs);
    }
    memset(fixture->random, 0, sizeof(fixture->random)); /* zeros must not accept anything */
    expect_batch(fixture, 5, errs);
    fixture->messages[2] ^= 1;
    errs[2] = DSMR_ERR_BAD_SIGNATURE;
    expect_batch(fixture, 5, errs);
    free(fixture);
}

static void each_bad_item_is_named(void **state)
{
    (void)state;
    enum dsmr_err errs[SIZE] = {DSMR_OK};
    struct fixture *fixture = fixture_new(20);
    fixture->messages[0] ^= 1; /* another message */
    errs[0] = DSMR_ERR_BAD_SIGNATURE;
    expect_batch(fixture, 20, errs);
    dsmr_bitset_remove(&fixture->signers[7], 7); /* a signer too few */
    errs[7] = DSMR_ERR_BAD_SIGNATURE;
    bls_set_outside_subgroup(&fixture->sigs[8], 4);
    errs[8] = DSMR_ERR_BAD_SIGNATURE;
    memset(&fixture->signers[12], 0, sizeof(fixture->signers[12]));
    errs[12] = DSMR_ERR_BITSET;
    dsmr_bitset_add(&fixture->signers[13], SIZE);
    errs[13] = DSMR_ERR_BITSET;
    fixture->sigs[19].bytes[0] = 0; /* does not decode */
    errs[19] = DSMR_ERR_BAD_SIGNATURE;
    expect_batch(fixture, 20, errs);
    for (uint32_t i = 0; i < 20; i++) {
        fixture->messages[i] = 77;
        errs[i] = errs[i] == DSMR_OK ? DSMR_ERR_BAD_SIGNATURE : errs[i];
    }
    expect_batch(fixture, 20, errs);
    expect_batch(fixture, 1, errs);
    free(fixture);
}

/* Errors that cancel in a plain sum: without coefficients this batch would pass. */
static void errors_that_cancel_are_found(void **state)
{
    (void)state;
    enum dsmr_err errs[SIZE] = {DSMR_OK};
    struct fixture *fixture = fixture_new(6);
    struct dsmr_bls_sig pair[2];
    size_t bad;
    bls_set_sign(&pair[1], 9, "error", 5);
    pair[0] = fixture->sigs[1];
    assert_int_equal(dsmr_bls_aggregate(&fixture->sigs[1], &bad, pair, 2), DSMR_OK);
    negate(&pair[1]);
    pair[0] = fixture->sigs[4];
    assert_int_equal(dsmr_bls_aggregate(&fixture->sigs[4], &bad, pair, 2), DSMR_OK);
    errs[1] = errs[4] = DSMR_ERR_BAD_SIGNATURE;
    expect_batch(fixture, 6, errs);
    free(fixture);
}

/* Whatever is in the table of messages' points: nothing, some of a batch, all of it. */
static void messages_that_are_new(void **state)
{
    (void)state;
    enum { COUNT = 9 };
    enum dsmr_err errs[SIZE] = {DSMR_OK};
    struct fixture *fixture = fixture_new(COUNT);
    for (uint32_t every = 1; every <= COUNT + 1; every++) {
        dsmr_recent_points_forget(DSMR_RECENT_POINTS_MESSAGES);
        for (uint32_t i = every - 1; i < COUNT; i += every) {
            bls_set_sign(&fixture->sigs[COUNT], 0, &fixture->messages[i], 4);
        }
        expect_batch(fixture, COUNT, errs);
        expect_batch(fixture, COUNT, errs);
    }
    free(fixture);
}

/* Certificates of the same signers, four and two of them, among others; each of them bad once. */
static struct fixture *groups_new(uint32_t count)
{
    struct fixture *fixture = fixture_new(count);
    for (uint32_t i = 0; i < count; i++) {
        if (i % 3 != 2) {
            aggregate_of(&fixture->sigs[i], &fixture->signers[i], i % 3, 23, &fixture->messages[i],
                         4);
        }
    }
    return fixture;
}

static void certificates_of_the_same_signers(void **state)
{
    (void)state;
    enum { COUNT = 10 };
    enum dsmr_err errs[SIZE] = {DSMR_OK};
    struct fixture *fixture = groups_new(COUNT);
    expect_batch(fixture, COUNT, errs);
    for (uint32_t i = 0; i < COUNT; i++) {
        fixture->messages[i] ^= 1u << 20;
        errs[i] = DSMR_ERR_BAD_SIGNATURE;
        expect_batch(fixture, COUNT, errs);
        fixture->messages[i] ^= 1u << 20;
        errs[i] = DSMR_OK;
    }
    fixture->items[4] = fixture->items[1]; /* one that comes twice */
    expect_batch(fixture, COUNT, errs);
    free(fixture);
}

/* The sums of signatures and of messages stay the same: only coefficients of their own tell. */
static void signatures_of_the_same_signers_that_are_swapped(void **state)
{
    (void)state;
    enum dsmr_err errs[SIZE] = {DSMR_OK};
    struct fixture *fixture = groups_new(10);
    struct dsmr_bls_sig sig = fixture->sigs[3];
    fixture->sigs[3] = fixture->sigs[6];
    fixture->sigs[6] = sig;
    errs[3] = errs[6] = DSMR_ERR_BAD_SIGNATURE;
    expect_batch(fixture, 10, errs);
    free(fixture);
}

/* The same bits are other signers in another set. */
static void certificates_of_two_sets(void **state)
{
    (void)state;
    enum dsmr_err errs[SIZE] = {DSMR_OK};
    struct fixture *fixture = groups_new(6);
    struct dsmr_validator_set *other = bls_set_new(SIZE);
    struct dsmr_validator moved = other->validators[0];
    other->validators[0] = other->validators[2];
    other->validators[2] = moved;
    fixture->items[4].set = other; /* of 1, 24, 47: they are the same there */
    expect_batch(fixture, 6, errs);
    fixture->items[0].set = other;
    errs[0] = DSMR_ERR_BAD_SIGNATURE;
    expect_batch(fixture, 6, errs);
    dsmr_validator_set_unref(other);
    free(fixture);
}

/* Keys that cancel, with whatever signature. Their set lies before the others' in memory, so that
 * they come first, and the others close up. */
static void keys_that_add_up_to_nothing(void **state)
{
    (void)state;
    enum dsmr_err errs[SIZE] = {DSMR_OK};
    struct fixture *fixture = groups_new(9);
    struct dsmr_validator_set *one = bls_set_new(SIZE), *two = bls_set_new(SIZE);
    struct dsmr_validator_set *first = (uintptr_t)one < (uintptr_t)two ? one : two;
    struct dsmr_validator_set *last = first == one ? two : one;
    struct dsmr_bitset both = {{3}};
    struct dsmr_bls_public_key key;
    dsmr_bls_key_compress(&key, &first->validators[0].point);
    key.bytes[0] ^= 0x20;
    assert_int_equal(dsmr_bls_key_decode(NULL, &first->validators[1].point, &key), DSMR_OK);
    for (uint32_t i = 0; i < 9; i++) {
        fixture->items[i].set = last;
    }
    for (uint32_t i = 0; i < 9; i += 4) {
        fixture->items[i].set = first;
        fixture->items[i].signers = &both;
        errs[i] = DSMR_ERR_BAD_SIGNATURE;
        expect_batch(fixture, 9, errs);
    }
    for (uint32_t i = 1; i < 9; i += i % 4 == 3 ? 2 : 1) { /* none is left out */
        fixture->messages[i] ^= 1u << 20;
        errs[i] = DSMR_ERR_BAD_SIGNATURE;
        expect_batch(fixture, 9, errs);
        fixture->messages[i] ^= 1u << 20;
        errs[i] = DSMR_OK;
    }
    expect_batch(fixture, 1, errs);
    dsmr_validator_set_unref(one);
    dsmr_validator_set_unref(two);
    free(fixture);
}

/* One of many things that may be wrong with an item, or nothing. */
static void spoil(struct fixture *fixture, uint32_t i, struct dsmr_prng *prng)
{
    uint32_t other = (uint32_t)(dsmr_prng_next(prng) % 12);
    switch (dsmr_prng_next(prng) % 16) {
    case 0:
        fixture->messages[i] ^= 1u << 24;
        break;
    case 1:
        fixture->sigs[i] = fixture->sigs[other];
        break;
    case 2:
        fixture->signers[i] = fixture->signers[other];
        break;
    case 3:
        negate(&fixture->sigs[i]);
        break;
    case 4:
        bls_set_outside_subgroup(&fixture->sigs[i], 5);
        break;
    case 5:
        dsmr_bitset_add(&fixture->signers[i], other == 0 ? SIZE : other);
        break;
    default:
        break;
    }
}

static void verdicts_are_those_of_one_by_one(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    unsigned good = 0, bad = 0;
    dsmr_prng_init(&prng, 11);
    for (unsigned round = 0; round < 40; round++) {
        enum dsmr_err errs[SIZE];
        uint32_t count = 2 + (uint32_t)(dsmr_prng_next(&prng) % 11);
        struct fixture *fixture = round % 2 == 0 ? groups_new(12) : fixture_new(12);
        for (uint32_t i = 0; i < count; i++) {
            spoil(fixture, i, &prng);
        }
        for (uint32_t i = 0; i < count; i++) {
            uint64_t random = dsmr_prng_next(&prng);
            memcpy(fixture->random + (size_t)i * 8, &random, 8);
            errs[i] = dsmr_bls_verify_aggregate(set, &fixture->signers[i], &fixture->sigs[i],
                                                &fixture->messages[i], 4);
            good += errs[i] == DSMR_OK ? 1 : 0;
            bad += errs[i] == DSMR_OK ? 0 : 1;
        }
        expect_batch(fixture, count, errs);
        free(fixture);
    }
    assert_true(good > 50 && bad > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secret_keys_are_below_the_order_and_not_zero),
        cmocka_unit_test(sign_and_verify),
        cmocka_unit_test(every_changed_bit_of_a_signature_is_refused),
        cmocka_unit_test(signatures_that_are_no_subgroup_points),
        cmocka_unit_test(keys_decode_in_one_form_only),
        cmocka_unit_test(possession_is_of_the_key_itself),
        cmocka_unit_test(aggregates_name_exactly_their_signers),
        cmocka_unit_test(valid_batches_of_every_size),
        cmocka_unit_test(each_bad_item_is_named),
        cmocka_unit_test(errors_that_cancel_are_found),
        cmocka_unit_test(messages_that_are_new),
        cmocka_unit_test(certificates_of_the_same_signers),
        cmocka_unit_test(signatures_of_the_same_signers_that_are_swapped),
        cmocka_unit_test(certificates_of_two_sets),
        cmocka_unit_test(keys_that_add_up_to_nothing),
        cmocka_unit_test(verdicts_are_those_of_one_by_one),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
