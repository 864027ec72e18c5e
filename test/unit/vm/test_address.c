#include "unit/vm/support.h"

#include "vm/address.h"

static enum dsmr_err decode(struct dsmr_address_bech32m *out, const char *text)
{
    return dsmr_address_bech32m_decode(out, text, strlen(text));
}

/* BIP-350, "Test vectors for Bech32m". */
static void test_bip350_valid(void **state)
{
    (void)state;
    static const char *const valid[] = {
        "A1LQFN3A",
        "a1lqfn3a",
        "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg"
        "6",
        "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
        "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr"
        "8",
        "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
        "?1v759aa",
    };
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        struct dsmr_address_bech32m parts;
        char text[DSMR_BECH32M_TEXT_MAX + 1];
        assert_int_equal(decode(&parts, valid[i]), DSMR_OK);
        assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_OK);
        size_t len = strlen(valid[i]);
        assert_int_equal(strlen(text), len);
        for (size_t k = 0; k < len; k++) {
            char c = valid[i][k];
            assert_int_equal(text[k], c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        /* Any one character changed: found. */
        for (size_t k = 0; k < len; k++) {
            char changed[DSMR_BECH32M_TEXT_MAX + 1];
            memcpy(changed, text, len + 1);
            changed[k] = changed[k] == 'q' ? 'p' : 'q';
            assert_int_equal(decode(&parts, changed), DSMR_ERR_MALFORMED);
        }
    }
}

static void test_bip350_invalid(void **state)
{
    (void)state;
    static const char *const invalid[] = {
        "\x20"
        "1xj0phk", /* human-readable part out of range */
        "\x7f"
        "1g6xzxy",
        "\x80"
        "1vctc34",
        "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6"
        "pts4",          /* too long */
        "qyrz8wqd2c9m",  /* no separator */
        "1qyrz8wqd2c9m", /* no human-readable part */
        "y1b0jsk6g",     /* not of the alphabet */
        "lt1igcx5c0",
        "in1muywd", /* checksum too short */
        "mm1crxm3i",
        "au1s5cgom",
        "M1VUXWEZ", /* checksum of the part in upper case */
        "16plkw9",  /* empty part */
        "1p2gdwpf",
        "A1lqfn3a", /* mixed case */
        "a12uel5l", /* bech32, not bech32m */
        "",
        "1",
    };
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        struct dsmr_address_bech32m parts;
        assert_int_equal(decode(&parts, invalid[i]), DSMR_ERR_MALFORMED);
    }
}

static void test_encode_refuses(void **state)
{
    (void)state;
    char text[DSMR_BECH32M_TEXT_MAX + 1] = "untouched";
    struct dsmr_address_bech32m parts = {.hrp = "ab", .values_count = 1, .values = {32}};
    assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_ERR_MALFORMED);
    parts.values[0] = 31;
    assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_OK);
    parts.hrp[0] = 'A';
    assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_ERR_MALFORMED);
    parts.hrp[0] = 0;
    assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_ERR_MALFORMED);
    memset(parts.hrp, 'h', sizeof parts.hrp); /* no zero byte */
    assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_ERR_MALFORMED);
    memset(parts.hrp, 0, sizeof parts.hrp);
    parts.hrp[0] = 'h';
    memset(parts.values, 0, sizeof parts.values);
    parts.values_count = 82; /* 1 + 1 + 82 + 6 = 90 */
    assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_OK);
    assert_int_equal(strlen(text), 90);
    parts.values_count = 83;
    assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_ERR_MALFORMED);
    parts.values_count = SIZE_MAX;
    assert_int_equal(dsmr_address_bech32m_encode(text, &parts), DSMR_ERR_MALFORMED);
}

static void test_address_round_trip(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        struct dsmr_address address = address_of(i);
        if (i < 2) {
            memset(address.bytes, i == 0 ? 0 : 0xff, sizeof address.bytes);
        }
        struct dsmr_address back;
        char text[DSMR_ADDRESS_TEXT_LEN + 1];
        dsmr_address_format(text, &address);
        assert_int_equal(strlen(text), DSMR_ADDRESS_TEXT_LEN);
        assert_memory_equal(text, "dsmr1", 5);
        assert_int_equal(dsmr_address_parse(&back, text, strlen(text)), DSMR_OK);
        assert_memory_equal(back.bytes, address.bytes, 32);
        char hex[65] = {0};
        for (size_t k = 0; k < 32; k++) {
            hex[2 * k] = "0123456789ABCDEF"[address.bytes[k] >> 4];
            hex[2 * k + 1] = "0123456789abcdef"[address.bytes[k] & 15];
        }
        memset(&back, 0, sizeof back);
        assert_int_equal(dsmr_address_parse(&back, hex, 64), DSMR_OK);
        assert_memory_equal(back.bytes, address.bytes, 32);
    }
}

/* The form is fixed: other programs write it too. */
static void test_address_pinned(void **state)
{
    (void)state;
    struct dsmr_address address;
    char text[DSMR_ADDRESS_TEXT_LEN + 1];
    for (uint8_t i = 0; i < 32; i++) {
        address.bytes[i] = i;
    }
    dsmr_address_format(text, &address);
    assert_string_equal(text, "dsmr1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0sk00nfl");
}

static void test_address_refuses(void **state)
{
    (void)state;
    struct dsmr_address address = address_of(1);
    struct dsmr_address out = address_of(2);
    struct dsmr_address before = out;
    char text[DSMR_ADDRESS_TEXT_LEN + 2];
    dsmr_address_format(text, &address);
    assert_int_equal(dsmr_address_parse(&out, text, 62), DSMR_ERR_MALFORMED);
    assert_int_equal(dsmr_address_parse(&out, text, 0), DSMR_ERR_MALFORMED);
    text[10] = text[10] == 'q' ? 'p' : 'q';
    assert_int_equal(dsmr_address_parse(&out, text, 63), DSMR_ERR_MALFORMED);
    static const char not_hex[] =
        "g000000000000000000000000000000000000000000000000000000000000000";
    assert_int_equal(dsmr_address_parse(&out, not_hex, 64), DSMR_ERR_MALFORMED);
    /* Right checksum, wrong human-readable part, length or padding. */
    struct dsmr_address_bech32m parts = {.hrp = "dsmt", .values_count = 52};
    char other[DSMR_BECH32M_TEXT_MAX + 1];
    assert_int_equal(dsmr_address_bech32m_encode(other, &parts), DSMR_OK);
    assert_int_equal(dsmr_address_parse(&out, other, strlen(other)), DSMR_ERR_MALFORMED);
    memcpy(parts.hrp, "dsmr", 5);
    parts.values_count = 51;
    assert_int_equal(dsmr_address_bech32m_encode(other, &parts), DSMR_OK);
    assert_int_equal(dsmr_address_parse(&out, other, strlen(other)), DSMR_ERR_MALFORMED);
    parts.values_count = 52;
    parts.values[51] = 1; /* padding bits */
    assert_int_equal(dsmr_address_bech32m_encode(other, &parts), DSMR_OK);
    assert_int_equal(dsmr_address_parse(&out, other, strlen(other)), DSMR_ERR_MALFORMED);
    assert_memory_equal(out.bytes, before.bytes, 32);
    parts.values[51] = 16;
    assert_int_equal(dsmr_address_bech32m_encode(other, &parts), DSMR_OK);
    assert_int_equal(dsmr_address_parse(&out, other, strlen(other)), DSMR_OK);
    assert_int_equal(out.bytes[31], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bip350_valid),   cmocka_unit_test(test_bip350_invalid),
        cmocka_unit_test(test_encode_refuses), cmocka_unit_test(test_address_round_trip),
        cmocka_unit_test(test_address_pinned), cmocka_unit_test(test_address_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
