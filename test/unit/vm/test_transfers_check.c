#include "unit/vm/support.h"

#include "vm/transfer_tx.h"
#include "vm/transfers_check.h"

static const struct dsmr_domain domain = {.network_id = 1, .chain_id = {{9}}};

struct set {
    uint32_t count;
    uint8_t (*bytes)[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_tx_view *views;
    enum dsmr_err *errs;
};

static void set_init(struct set *set, uint32_t count)
{
    set->count = count;
    set->bytes = calloc(count + 1, sizeof *set->bytes);
    set->views = calloc(count + 1, sizeof *set->views);
    set->errs = calloc(count + 1, sizeof *set->errs);
    assert_true(set->bytes && set->views && set->errs);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_ed25519_secret_key key = secret_of(i % 5);
        struct dsmr_transfer_tx tx = {.expiry_ms = i, .amount = i, .memo_len = (uint8_t)(i % 129)};
        uint32_t len = (uint32_t)dsmr_transfer_tx_sign(set->bytes[i], &tx, &domain, &key);
        set->views[i] = (struct dsmr_tx_view){.bytes = set->bytes[i], .len = len};
    }
}

static void set_close(struct set *set)
{
    free(set->bytes);
    free(set->views);
    free(set->errs);
}

/* What check says of each must be what single verification says of it alone. */
static void assert_as_singly(struct set *set)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        set->errs[i] = DSMR_ERR_IO;
    }
    uint32_t reported = dsmr_transfers_check(&domain, set->errs, set->views, set->count);
    for (uint32_t i = 0; i < set->count; i++) {
        enum dsmr_err alone =
            dsmr_transfer_tx_verify(&domain, set->views[i].bytes, set->views[i].len);
        assert_int_equal(set->errs[i], alone);
        bad += alone != DSMR_OK;
    }
    assert_int_equal(reported, bad);
}

static void test_all_good_at_batch_limits(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 255, 256, 257};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct set set;
        set_init(&set, counts[i]);
        assert_int_equal(dsmr_transfers_check(&domain, set.errs, set.views, set.count), 0);
        set_close(&set);
    }
}

/* One bad signature at any place of a small batch, and a few in a large one. */
static void test_bad_ones_are_found(void **state)
{
    (void)state;
    struct set set;
    set_init(&set, 11);
    for (uint32_t i = 0; i < set.count; i++) {
        set.bytes[i][set.views[i].len - 40] ^= 1;
        assert_as_singly(&set);
        assert_int_not_equal(set.errs[i], DSMR_OK);
        set.bytes[i][set.views[i].len - 40] ^= 1;
    }
    set_close(&set);
    set_init(&set, 300);
    static const uint32_t bad[] = {0, 100, 101, 255, 256, 299};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        set.bytes[bad[i]][1] ^= 1;
    }
    assert_as_singly(&set);
    set_close(&set);
}

static void test_every_kind_of_fault_together(void **state)
{
    (void)state;
    struct set set;
    set_init(&set, 40);
    set.views[1].len = 8;
    set.views[2].len = 0;
    set.views[3].len--;
    set.bytes[4][0] = 2;
    set.bytes[5][12] ^= 1;
    set.bytes[6][44] ^= 1;
    set.bytes[7][125] ^= 1;
    memset(set.bytes[8] + 45, 0, 32);
    memset(set.bytes[9] + 45, 0xff, 32);
    memcpy(set.bytes[10], set.bytes[11], 45); /* other expiry */
    set.views[12] = set.views[13];            /* the same twice: not this check's business */
    memset(set.bytes[14] + set.views[14].len - 32, 0xff, 32);
    assert_as_singly(&set);
    assert_int_equal(set.errs[1], DSMR_ERR_BAD_TX);
    assert_int_equal(set.errs[4], DSMR_ERR_VERSION);
    assert_int_equal(set.errs[5], DSMR_ERR_WRONG_NETWORK);
    assert_int_equal(set.errs[6], DSMR_ERR_WRONG_CHAIN);
    assert_int_equal(set.errs[8], DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(set.errs[9], DSMR_ERR_NON_CANONICAL);
    assert_int_equal(set.errs[12], DSMR_OK);
    assert_int_equal(set.errs[39], DSMR_OK);
    set_close(&set);
}

/* Two signatures whose errors cancel in a sum without random coefficients. */
static void test_errors_do_not_cancel(void **state)
{
    (void)state;
    struct set set;
    set_init(&set, 8);
    uint8_t *a = set.bytes[2] + set.views[2].len - 32;
    uint8_t *b = set.bytes[5] + set.views[5].len - 32;
    while (a[0] == 0xff || b[0] == 0) { /* s + 1 and s - 1 without a carry */
        set.bytes[2][8]++;
        struct dsmr_ed25519_secret_key key = secret_of(2);
        struct dsmr_transfer_tx tx = {.expiry_ms = set.bytes[2][8], .memo_len = 2};
        (void)dsmr_transfer_tx_sign(set.bytes[2], &tx, &domain, &key);
        tx.memo_len = 5;
        key = secret_of(0);
        (void)dsmr_transfer_tx_sign(set.bytes[5], &tx, &domain, &key);
    }
    a[0]++;
    b[0]--;
    assert_as_singly(&set);
    assert_int_equal(set.errs[2], DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(set.errs[5], DSMR_ERR_BAD_SIGNATURE);
    set_close(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_good_at_batch_limits),
        cmocka_unit_test(test_bad_ones_are_found),
        cmocka_unit_test(test_every_kind_of_fault_together),
        cmocka_unit_test(test_errors_do_not_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
