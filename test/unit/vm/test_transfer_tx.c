#include "unit/vm/support.h"

#include "vm/transfer_tx.h"

static const struct dsmr_domain domain = {.network_id = 7, .chain_id = {{0xc1, 0xc2}}};

static size_t make(uint8_t *out, struct dsmr_transfer_tx *tx, uint8_t memo_len)
{
    struct dsmr_ed25519_secret_key key = secret_of(1);
    *tx = (struct dsmr_transfer_tx){.expiry_ms = 0x0102030405060708,
                                    .to = address_of(2),
                                    .amount = 1000,
                                    .fee_limit = 500,
                                    .memo_len = memo_len};
    memset(tx->memo, 'm', memo_len);
    return dsmr_transfer_tx_sign(out, tx, &domain, &key);
}

static enum dsmr_err verify(const uint8_t *bytes, size_t len)
{
    return dsmr_transfer_tx_verify(&domain, bytes, len);
}

static void test_round_trip_at_limits(void **state)
{
    (void)state;
    static const uint8_t lens[] = {0, 1, 127, 128};
    for (size_t i = 0; i < sizeof lens; i++) {
        uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
        struct dsmr_transfer_tx tx;
        struct dsmr_transfer_tx back;
        memset(&back, 0, sizeof back);
        size_t len = make(bytes, &tx, lens[i]);
        assert_int_equal(len, 190u + lens[i]);
        assert_int_equal(len, dsmr_transfer_tx_bytes(lens[i]));
        assert_int_equal(verify(bytes, len), DSMR_OK);
        assert_int_equal(dsmr_transfer_tx_parse(&back, &domain, bytes, len), DSMR_OK);
        assert_int_equal(back.expiry_ms, tx.expiry_ms);
        assert_memory_equal(back.from.bytes, tx.from.bytes, 32);
        assert_memory_equal(back.to.bytes, tx.to.bytes, 32);
        assert_int_equal(back.amount, tx.amount);
        assert_int_equal(back.fee_limit, tx.fee_limit);
        assert_int_equal(back.memo_len, tx.memo_len);
        assert_memory_equal(back.memo, tx.memo, tx.memo_len);
        assert_memory_equal(back.sig.bytes, tx.sig.bytes, 64);
    }
}

static void test_sign_as_gives_the_same(void **state)
{
    (void)state;
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
    uint8_t again[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_ed25519_secret_key key = secret_of(1);
    struct dsmr_transfer_tx tx;
    size_t len = make(bytes, &tx, 9);
    struct dsmr_ed25519_signing_key expanded;
    memset(tx.sig.bytes, 0, sizeof tx.sig.bytes);
    memset(tx.from.bytes, 0, sizeof tx.from.bytes);
    dsmr_ed25519_expand(&expanded, &key);
    assert_int_equal(dsmr_transfer_tx_sign_as(again, &tx, &domain, &expanded), len);
    assert_memory_equal(again, bytes, len);
}

/* docs/transfers.md, field by field. */
static void test_layout(void **state)
{
    (void)state;
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_transfer_tx tx;
    size_t len = make(bytes, &tx, 3);
    uint8_t expected[DSMR_TRANSFER_TX_BYTES_MAX] = {1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 7};
    memcpy(expected + 13, domain.chain_id.bytes, 32);
    memcpy(expected + 45, tx.from.bytes, 32);
    memcpy(expected + 77, tx.to.bytes, 32);
    slow_u64(expected + 109, 1000);
    slow_u64(expected + 117, 500);
    expected[125] = 3;
    memcpy(expected + 126, "mmm", 3);
    memcpy(expected + 129, tx.sig.bytes, 64);
    assert_int_equal(len, 193);
    assert_memory_equal(bytes, expected, len);
    uint8_t message[16 + 129];
    memcpy(message, "DSMR/transfers/1", 16);
    memcpy(message + 16, expected, 129);
    assert_int_equal(dsmr_ed25519_verify(&tx.from, &tx.sig, message, sizeof message), DSMR_OK);
}

static void test_lengths(void **state)
{
    (void)state;
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX + 8] = {0};
    struct dsmr_transfer_tx tx;
    size_t len = make(bytes, &tx, 5);
    for (size_t n = 0; n <= len + 8; n++) {
        assert_int_equal(verify(bytes, n), n == len ? DSMR_OK : DSMR_ERR_BAD_TX);
    }
    len = make(bytes, &tx, 128);
    assert_int_equal(verify(bytes, len + 1), DSMR_ERR_BAD_TX);
    bytes[125] = 129; /* consistent with its length, but over the limit */
    assert_int_equal(verify(bytes, len + 1), DSMR_ERR_BAD_TX);
    bytes[125] = 255;
    assert_int_equal(verify(bytes, len), DSMR_ERR_BAD_TX);
}

/* No bit of a transaction can be changed by a third party. */
static void test_every_bit_counts(void **state)
{
    (void)state;
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_transfer_tx tx;
    size_t len = make(bytes, &tx, 2);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum dsmr_err err = verify(bytes, len);
        assert_int_not_equal(err, DSMR_OK);
        size_t at = bit / 8;
        enum dsmr_err expected = at == 0                ? DSMR_ERR_VERSION
                                 : at < 9               ? DSMR_ERR_BAD_SIGNATURE /* expiry */
                                 : at < 13              ? DSMR_ERR_WRONG_NETWORK
                                 : at < 45              ? DSMR_ERR_WRONG_CHAIN
                                 : at == 125            ? DSMR_ERR_BAD_TX
                                 : at >= 77 && at < 128 ? DSMR_ERR_BAD_SIGNATURE
                                                        : err;
        assert_int_equal(err, expected);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(verify(bytes, len), DSMR_OK);
}

static void test_other_chain_and_network(void **state)
{
    (void)state;
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_transfer_tx tx;
    size_t len = make(bytes, &tx, 0);
    struct dsmr_domain other = domain;
    other.network_id = 8;
    assert_int_equal(dsmr_transfer_tx_verify(&other, bytes, len), DSMR_ERR_WRONG_NETWORK);
    other = domain;
    other.chain_id.bytes[31] = 1;
    assert_int_equal(dsmr_transfer_tx_verify(&other, bytes, len), DSMR_ERR_WRONG_CHAIN);
    /* Even with the field rewritten the signature stays one for the first chain. */
    memcpy(bytes + 13, other.chain_id.bytes, 32);
    assert_int_equal(dsmr_transfer_tx_verify(&other, bytes, len), DSMR_ERR_BAD_SIGNATURE);
}

/* s + L signs the same under lax rules. */
static void test_scalar_above_order(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_transfer_tx tx;
    size_t len = make(bytes, &tx, 0);
    uint32_t carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (uint32_t)bytes[len - 32 + i] + order[i];
        bytes[len - 32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_int_equal(verify(bytes, len), DSMR_ERR_BAD_SIGNATURE);
}

/* A valid signature for a key of small order needs no secret: R is the identity, s is 0. */
static void test_small_order_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    };
    for (size_t i = 0; i < 8; i++) {
        uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
        uint8_t message[DSMR_TRANSFER_TX_SIGNING_BYTES_MAX];
        struct dsmr_transfer_tx tx;
        size_t len = make(bytes, &tx, 0);
        for (size_t k = 0; k < 32; k++) {
            char digits[3] = {keys[i][2 * k], keys[i][2 * k + 1], 0};
            tx.from.bytes[k] = (uint8_t)strtoul(digits, NULL, 16);
        }
        memcpy(bytes + 45, tx.from.bytes, 32);
        memset(bytes + len - 64, 0, 64);
        bytes[len - 64] = 1;
        memcpy(tx.sig.bytes, bytes + len - 64, 64);
        size_t message_len = dsmr_transfer_tx_signing_bytes(message, bytes, len);
        assert_int_equal(dsmr_ed25519_verify(&tx.from, &tx.sig, message, message_len), DSMR_OK);
        assert_true(dsmr_ed25519_is_canonical(&tx.from, &tx.sig));
        assert_int_equal(verify(bytes, len), DSMR_ERR_BAD_SIGNATURE);
    }
}

/* ZIP 215 takes these encodings of the identity as R or key; the format does not. */
static void test_other_encodings_of_points(void **state)
{
    (void)state;
    uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_transfer_tx tx;
    size_t len = make(bytes, &tx, 0);
    uint8_t *r = bytes + len - 64;
    memset(r, 0xff, 32); /* y = 2^255 - 1 - 19 + ... : not below p */
    r[0] = 0xee;         /* p + 1: the identity once more */
    r[31] = 0x7f;
    assert_int_equal(verify(bytes, len), DSMR_ERR_NON_CANONICAL);
    memset(r, 0, 32);
    r[0] = 1;
    r[31] = 0x80; /* x = 0 with the sign bit */
    assert_int_equal(verify(bytes, len), DSMR_ERR_NON_CANONICAL);
    len = make(bytes, &tx, 0);
    memset(bytes + 45, 0, 32);
    bytes[45] = 1;
    bytes[45 + 31] = 0x80;
    assert_int_equal(verify(bytes, len), DSMR_ERR_NON_CANONICAL);
}

static void test_fees(void **state)
{
    (void)state;
    struct dsmr_transfer_tx_fees fees = {.base = 10, .per_byte = 3, .per_signature = 7};
    assert_int_equal(dsmr_transfer_tx_fee(&fees, 190), 10 + 570 + 7);
    assert_int_equal(dsmr_transfer_tx_fees_check(&fees), DSMR_OK);
    fees = (struct dsmr_transfer_tx_fees){.per_byte = UINT64_MAX / 318};
    assert_int_equal(dsmr_transfer_tx_fees_check(&fees), DSMR_OK);
    uint64_t left = UINT64_MAX - fees.per_byte * 318;
    fees.base = left;
    assert_int_equal(dsmr_transfer_tx_fees_check(&fees), DSMR_OK);
    assert_true(dsmr_transfer_tx_fee(&fees, 318) == UINT64_MAX);
    fees.per_signature = 1;
    assert_int_equal(dsmr_transfer_tx_fees_check(&fees), DSMR_ERR_LIMIT);
    fees = (struct dsmr_transfer_tx_fees){.base = UINT64_MAX, .per_signature = UINT64_MAX};
    assert_int_equal(dsmr_transfer_tx_fees_check(&fees), DSMR_ERR_LIMIT);
    fees = (struct dsmr_transfer_tx_fees){.per_byte = UINT64_MAX / 318 + 1};
    assert_int_equal(dsmr_transfer_tx_fees_check(&fees), DSMR_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_at_limits),
        cmocka_unit_test(test_sign_as_gives_the_same),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_other_chain_and_network),
        cmocka_unit_test(test_scalar_above_order),
        cmocka_unit_test(test_small_order_keys),
        cmocka_unit_test(test_other_encodings_of_points),
        cmocka_unit_test(test_fees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
