/* test_ed25519.c - RFC 8032's vectors, ZIP 215's edge cases, canonical encodings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/ed25519.h"

static void unhex(void *out, size_t len, const char *text)
{
    assert_int_equal(dsmr_hex_decode(out, len, text, strlen(text)), DSMR_OK);
}

static const struct {
    const char *secret, *public_key, *message, *sig;
} rfc8032[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "4"
     "6bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d"
     "8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "6"
     "594a7c15e9716ed28dc027beceea1ec40a"},
};

static void rfc8032_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rfc8032) / sizeof(rfc8032[0]); i++) {
        struct dsmr_ed25519_secret_key secret;
        struct dsmr_ed25519_public_key key, expected_key;
        struct dsmr_ed25519_sig sig, expected_sig;
        uint8_t message[8];
        size_t len = strlen(rfc8032[i].message) / 2;
        unhex(secret.bytes, 32, rfc8032[i].secret);
        unhex(expected_key.bytes, 32, rfc8032[i].public_key);
        unhex(expected_sig.bytes, 64, rfc8032[i].sig);
        unhex(message, len, rfc8032[i].message);
        dsmr_ed25519_public(&key, &secret);
        assert_memory_equal(&key, &expected_key, 32);
        dsmr_ed25519_sign(&sig, &secret, message, len);
        assert_memory_equal(&sig, &expected_sig, 64);
        struct dsmr_ed25519_signing_key expanded, copy;
        dsmr_ed25519_expand(&expanded, &secret);
        assert_memory_equal(&expanded.public_key, &expected_key, 32);
        copy = expanded;
        memset(&expanded, 0, sizeof(expanded));
        memset(&sig, 0, sizeof(sig));
        dsmr_ed25519_sign_expanded(&sig, &copy, message, len);
        assert_memory_equal(&sig, &expected_sig, 64);
        assert_int_equal(dsmr_ed25519_verify(&key, &sig, message, len), DSMR_OK);
        assert_true(dsmr_ed25519_is_canonical(&key, &sig));
        assert_int_equal(dsmr_ed25519_verify(&key, &sig, "other", 5), DSMR_ERR_BAD_SIGNATURE);
    }
}

/* Encodings of the points of small order; those from CANONICAL on are the other forms that ZIP 215
 * accepts: x = 0 with the sign bit, and y = p and p + 1. */
static const char *const small_order[] = {
    "0100000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};
#define CANONICAL 8u
#define POINTS (sizeof(small_order) / sizeof(small_order[0]))

/* Every pair is a valid signature with s = 0 under ZIP 215, one by one and in a batch. */
static void zip215_pairs_agree_and_only_canonical_ones_pass_ours(void **state)
{
    (void)state;
    struct dsmr_ed25519_public_key keys[POINTS * POINTS];
    struct dsmr_ed25519_sig sigs[POINTS * POINTS];
    const uint8_t *messages[POINTS * POINTS];
    size_t lens[POINTS * POINTS];
    size_t n = 0;
    for (size_t a = 0; a < POINTS; a++) {
        for (size_t r = 0; r < POINTS; r++, n++) {
            unhex(keys[n].bytes, 32, small_order[a]);
            memset(sigs[n].bytes, 0, 64);
            unhex(sigs[n].bytes, 32, small_order[r]);
            messages[n] = (const uint8_t *)"Zcash";
            lens[n] = 5;
            assert_int_equal(dsmr_ed25519_verify(&keys[n], &sigs[n], "Zcash", 5), DSMR_OK);
            assert_int_equal(dsmr_ed25519_is_canonical(&keys[n], &sigs[n]),
                             a < CANONICAL && r < CANONICAL);
        }
    }
    assert_int_equal(dsmr_ed25519_verify_batch(keys, sigs, messages, lens, n), DSMR_OK);
}

static void canonical_is_judged_by_every_byte(void **state)
{
    (void)state;
    struct dsmr_ed25519_public_key key = {{0}};
    struct dsmr_ed25519_sig sig = {{0}};
    sig.bytes[0] = 2;
    for (unsigned low = 0; low < 256; low++) { /* y = p - 19 + ... up to 2^255 - 1 */
        memset(key.bytes, 0xff, 32);
        key.bytes[0] = (uint8_t)low;
        key.bytes[31] = 0x7f;
        assert_int_equal(dsmr_ed25519_is_canonical(&key, &sig), low < 0xed);
        key.bytes[31] = 0xff;
        assert_int_equal(dsmr_ed25519_is_canonical(&key, &sig), low < 0xec);
    }
    for (size_t i = 1; i < 32; i++) { /* one bit less anywhere is far below p */
        memset(key.bytes, 0xff, 32);
        key.bytes[31] = 0x7f;
        key.bytes[i] ^= 1;
        assert_true(dsmr_ed25519_is_canonical(&key, &sig));
    }
    for (size_t i = 1; i < 32; i++) { /* y = 1 and something: x is not 0 */
        memset(key.bytes, 0, 32);
        key.bytes[0] = 1;
        key.bytes[31] = 0x80;
        assert_false(dsmr_ed25519_is_canonical(&key, &sig));
        key.bytes[i] |= 2;
        assert_true(dsmr_ed25519_is_canonical(&key, &sig));
    }
}

/* s and s + L sign the same; only s < L may pass. */
static void scalar_beyond_the_order_is_refused(void **state)
{
    (void)state;
    struct dsmr_ed25519_secret_key secret = {{1}};
    struct dsmr_ed25519_public_key key;
    struct dsmr_ed25519_sig sig;
    uint8_t order[32];
    unhex(order, 32, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    dsmr_ed25519_public(&key, &secret);
    dsmr_ed25519_sign(&sig, &secret, "m", 1);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)sig.bytes[32 + i] + order[i];
        sig.bytes[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    const uint8_t *message = (const uint8_t *)"m";
    size_t len = 1;
    assert_int_equal(dsmr_ed25519_verify(&key, &sig, "m", 1), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(dsmr_ed25519_verify_batch(&key, &sig, &message, &len, 1),
                     DSMR_ERR_BAD_SIGNATURE);
}

#define BATCH 33u

static void batch_finds_any_single_fault(void **state)
{
    (void)state;
    struct dsmr_ed25519_public_key keys[BATCH];
    struct dsmr_ed25519_sig sigs[BATCH];
    uint8_t texts[BATCH][4];
    const uint8_t *messages[BATCH];
    size_t lens[BATCH];
    for (uint8_t i = 0; i < BATCH; i++) {
        struct dsmr_ed25519_secret_key secret = {{i}};
        dsmr_ed25519_public(&keys[i], &secret);
        memset(texts[i], i, 4);
        messages[i] = texts[i];
        lens[i] = i % 5; /* empty ones too */
        dsmr_ed25519_sign(&sigs[i], &secret, messages[i], lens[i]);
    }
    assert_int_equal(dsmr_ed25519_verify_batch(keys, sigs, messages, lens, BATCH), DSMR_OK);
    assert_int_equal(dsmr_ed25519_verify_batch(keys, sigs, messages, lens, 0), DSMR_OK);
    for (size_t i = 0; i < BATCH; i++) {
        static const size_t places[] = {0, 31, 32, 62, 63};
        size_t place = places[i % 5];
        sigs[i].bytes[place] ^= 1;
        assert_int_equal(dsmr_ed25519_verify_batch(keys, sigs, messages, lens, BATCH),
                         DSMR_ERR_BAD_SIGNATURE);
        assert_int_equal(dsmr_ed25519_verify(&keys[i], &sigs[i], messages[i], lens[i]),
                         DSMR_ERR_BAD_SIGNATURE);
        sigs[i].bytes[place] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8032_vectors),
        cmocka_unit_test(zip215_pairs_agree_and_only_canonical_ones_pass_ours),
        cmocka_unit_test(canonical_is_judged_by_every_byte),
        cmocka_unit_test(scalar_beyond_the_order_is_refused),
        cmocka_unit_test(batch_finds_any_single_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
