#include "unit/vm/support.h"

static uint32_t accounts_of(struct dsmr_account *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = (struct dsmr_account){.address = address_of(i), .balance = i + 1};
    }
    qsort(out, count, sizeof *out, slow_by_address);
    return count;
}

static void test_bucket_round_trip(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 32; count++) {
        struct dsmr_account accounts[32];
        struct dsmr_account back[32];
        uint8_t value[DSMR_ACCOUNT_NODE_BYTES_MAX];
        uint32_t decoded = 0;
        size_t len = dsmr_account_bucket_encode(value, accounts, accounts_of(accounts, count));
        assert_int_equal(len, 1 + 40 * count);
        assert_int_equal(dsmr_account_node_kind(value, len), count);
        assert_int_equal(dsmr_account_bucket_decode(back, &decoded, value, len), DSMR_OK);
        assert_int_equal(decoded, count);
        for (uint32_t i = 0; i < count; i++) {
            bool is_found;
            assert_memory_equal(back[i].address.bytes, accounts[i].address.bytes, 32);
            assert_int_equal(back[i].balance, accounts[i].balance);
            assert_int_equal(dsmr_account_search(accounts, count, &accounts[i].address, &is_found),
                             i);
            assert_true(is_found);
        }
    }
}

static void test_bucket_refuses(void **state)
{
    (void)state;
    struct dsmr_account accounts[33];
    uint8_t value[2000];
    uint32_t count;
    size_t len = dsmr_account_bucket_encode(value, accounts, accounts_of(accounts, 3));
    for (size_t n = 0; n < len + 45; n++) {
        bool fits = n == 41 || n == 81 || n == 121;
        value[len] = 0xff; /* so that a fourth entry would be in order */
        value[len + 39] = 1;
        assert_int_equal(dsmr_account_bucket_decode(accounts, &count, value, n),
                         fits || n == 161 ? DSMR_OK : DSMR_ERR_MALFORMED);
    }
    memset(value + 1 + 32, 0, 8); /* balance zero */
    assert_int_equal(dsmr_account_bucket_decode(accounts, &count, value, len), DSMR_ERR_MALFORMED);
    value[1 + 39] = 1;
    assert_int_equal(dsmr_account_bucket_decode(accounts, &count, value, len), DSMR_OK);
    memcpy(value + 41, value + 1, 32); /* the same address twice */
    assert_int_equal(dsmr_account_bucket_decode(accounts, &count, value, len), DSMR_ERR_MALFORMED);
    memset(value, 0, sizeof value);
    value[0] = 0x10;
    for (uint32_t i = 0; i < 33; i++) { /* one over the limit */
        value[1 + 40 * i] = (uint8_t)(i + 1);
        value[40 + 40 * i] = 1;
    }
    assert_int_equal(dsmr_account_bucket_decode(accounts, &count, value, 1 + 40 * 32), DSMR_OK);
    assert_int_equal(dsmr_account_bucket_decode(accounts, &count, value, 1 + 40 * 33),
                     DSMR_ERR_MALFORMED);
    value[0] = 0x12;
    assert_int_equal(dsmr_account_bucket_decode(accounts, &count, value, 41), DSMR_ERR_MALFORMED);
    assert_int_equal(dsmr_account_node_kind(value, 41), DSMR_ACCOUNT_KIND_NONE);
}

static void test_branch(void **state)
{
    (void)state;
    struct dsmr_account_branch branch = {.kinds = {[0] = 1, [7] = 255, [15] = 32}};
    struct dsmr_account_branch back;
    uint8_t value[DSMR_ACCOUNT_NODE_BYTES_MAX];
    memset(branch.hashes[0].bytes, 1, 32);
    memset(branch.hashes[7].bytes, 2, 32);
    memset(branch.hashes[15].bytes, 3, 32);
    size_t len = dsmr_account_branch_encode(value, &branch);
    assert_int_equal(len, 17 + 3 * 32);
    assert_int_equal(dsmr_account_node_kind(value, len), 255);
    for (size_t n = 0; n <= len + 32; n++) {
        assert_int_equal(dsmr_account_branch_decode(&back, value, n),
                         n == len ? DSMR_OK : DSMR_ERR_MALFORMED);
    }
    assert_memory_equal(&back, &branch, sizeof back);
    static const uint8_t kinds[] = {33, 34, 128, 254};
    for (size_t i = 0; i < sizeof kinds; i++) {
        value[1 + 7] = kinds[i];
        assert_int_equal(dsmr_account_branch_decode(&back, value, len), DSMR_ERR_MALFORMED);
    }
    /* 32 accounts and less have to be one bucket. */
    branch.kinds[7] = 1;
    branch.kinds[15] = 30;
    len = dsmr_account_branch_encode(value, &branch);
    assert_int_equal(dsmr_account_branch_decode(&back, value, len), DSMR_ERR_MALFORMED);
    branch.kinds[15] = 31;
    len = dsmr_account_branch_encode(value, &branch);
    assert_int_equal(dsmr_account_branch_decode(&back, value, len), DSMR_OK);
}

static void test_keys(void **state)
{
    (void)state;
    struct dsmr_account_place place = {.depth = 0};
    uint8_t key[DSMR_ACCOUNT_NODE_KEY_BYTES_MAX];
    memset(place.path.bytes, 0xab, 32);
    assert_int_equal(dsmr_account_node_key(key, &place), 3);
    assert_memory_equal(key, "at\0", 3);
    place.depth = 3;
    assert_int_equal(dsmr_account_node_key(key, &place), 5);
    assert_memory_equal(key, "at\x03\xab\xa0", 5);
    place.depth = 4;
    assert_int_equal(dsmr_account_node_key(key, &place), 5);
    assert_memory_equal(key, "at\x04\xab\xab", 5);
    place.depth = 64;
    assert_int_equal(dsmr_account_node_key(key, &place), 35);
    assert_int_equal(dsmr_account_nibble(&place.path, 62), 0xa);
    assert_int_equal(dsmr_account_nibble(&place.path, 63), 0xb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket_round_trip),
        cmocka_unit_test(test_bucket_refuses),
        cmocka_unit_test(test_branch),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
