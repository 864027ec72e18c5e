/* Memory runs out at each allocation in turn. The files under test are compiled into this program
 * with an allocator that counts, so that nothing of the archive's is used. */
#include "unit/vm/support.h"

static uint64_t allocations_left = UINT64_MAX;
static bool has_run_out;

static bool runs_out(void)
{
    if (allocations_left == 0) {
        has_run_out = true;
        return true;
    }
    allocations_left -= allocations_left != UINT64_MAX;
    return false;
}

static void *counted_malloc(size_t size)
{
    return runs_out() ? NULL : malloc(size);
}

static void *counted_calloc(size_t count, size_t size)
{
    return runs_out() ? NULL : calloc(count, size);
}

static void *counted_realloc(void *old, size_t size)
{
    return runs_out() ? NULL : realloc(old, size);
}

#define malloc counted_malloc
#define calloc counted_calloc
#define realloc counted_realloc
#include "vm/account_trie.c"
#undef TAG_BYTES
#include "vm/opaque.c"
#include "vm/transfers.c"
#include "vm/transfers_check.c"
#undef malloc
#undef calloc
#undef realloc

#define ACCOUNTS 150u

static const struct dsmr_domain domain = {.network_id = 1};

static void genesis_of(char *out, size_t capacity)
{
    struct dsmr_app_text text;
    dsmr_app_text_init(&text, out, capacity);
    dsmr_app_text_add(&text, "{\"fee\":{\"base\":1,\"per_byte\":0,\"per_signature\":0},"
                             "\"accounts\":[");
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        struct dsmr_address address = address_of(i);
        dsmr_app_text_add(&text, i ? ",{\"address\":\"" : "{\"address\":\"");
        dsmr_app_text_add_hex(&text, address.bytes, 32);
        dsmr_app_text_add(&text, "\",\"balance\":2}");
    }
    dsmr_app_text_add(&text, "]}");
    assert_int_equal(dsmr_app_text_end(&text), DSMR_OK);
}

/* Signatures are not judged at execution, so the sender can be any address. */
static uint32_t block_of(struct dsmr_app_tx *txs, uint8_t (*bytes)[DSMR_TRANSFER_TX_BYTES_MAX])
{
    for (uint32_t i = 0; i < 60; i++) {
        struct dsmr_ed25519_secret_key key = secret_of(1);
        struct dsmr_transfer_tx tx = {.to = address_of(1000 + i), .amount = i % 2, .fee_limit = 1};
        uint32_t len = (uint32_t)dsmr_transfer_tx_sign(bytes[i], &tx, &domain, &key);
        struct dsmr_address from = address_of(2 * i);
        memcpy(bytes[i] + 45, from.bytes, 32);
        txs[i].tx = (struct dsmr_tx_view){.bytes = bytes[i], .len = len};
        txs[i].fee_recipient = address_of(5000 + i % 3);
    }
    return 60;
}

static void test_transfers(void **state)
{
    (void)state;
    static char text[ACCOUNTS * 120];
    static struct dsmr_app_tx txs[60];
    static uint8_t bytes[60][DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_transfers_config config = {.domain = domain, .cache_bytes_max = 1};
    struct dsmr_app_result results[60];
    struct dsmr_app_block block = {.height = 1, .txs = txs, .txs_count = block_of(txs, bytes)};
    struct dsmr_id roots[2];
    uint32_t rounds = 0;
    genesis_of(text, sizeof text);
    has_run_out = true;
    for (uint64_t after = 0; has_run_out; after++) {
        struct fixture f;
        struct dsmr_app app;
        const char *reason = NULL;
        fixture_init(&f);
        has_run_out = false;
        allocations_left = after;
        enum dsmr_err err = dsmr_transfers_new(&app, &config);
        bool is_made = !err;
        if (is_made) {
            struct dsmr_kv_txn *txn = begin(&f, true);
            err = app.ops->genesis(app.self, &roots[0], &reason, &f.kv, txn, text, strlen(text));
            if (!err) {
                err = app.ops->execute(app.self, &roots[0], results, &f.kv, txn, &block);
            }
            abort_txn(&f, txn);
        }
        assert_int_equal(err, has_run_out ? DSMR_ERR_NO_MEMORY : DSMR_OK);
        allocations_left = UINT64_MAX;
        if (is_made) { /* the same object goes on as if nothing had been */
            struct dsmr_kv_txn *txn = begin(&f, true);
            assert_int_equal(
                app.ops->genesis(app.self, &roots[1], &reason, &f.kv, txn, text, strlen(text)),
                DSMR_OK);
            assert_int_equal(app.ops->execute(app.self, &roots[1], results, &f.kv, txn, &block),
                             DSMR_OK);
            assert_true(has_run_out || dsmr_id_equal(&roots[0], &roots[1]));
            abort_txn(&f, txn);
            app.ops->free(app.self);
        }
        fixture_close(&f);
        rounds++;
    }
    assert_true(rounds > 50);
}

/* Without memory for a batch signatures are verified singly: slower, never another verdict. */
static void test_check(void **state)
{
    (void)state;
    static uint8_t bytes[5][DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_tx_view views[5];
    enum dsmr_err errs[2][5];
    for (uint32_t i = 0; i < 5; i++) {
        struct dsmr_ed25519_secret_key key = secret_of(i);
        struct dsmr_transfer_tx tx = {.amount = i};
        uint32_t len = (uint32_t)dsmr_transfer_tx_sign(bytes[i], &tx, &domain, &key);
        bytes[i][5] ^= i == 3;
        views[i] = (struct dsmr_tx_view){.bytes = bytes[i], .len = len};
    }
    assert_int_equal(dsmr_transfers_check(&domain, errs[0], views, 5), 1);
    allocations_left = 0;
    assert_int_equal(dsmr_transfers_check(&domain, errs[1], views, 5), 1);
    allocations_left = UINT64_MAX;
    assert_memory_equal(errs[0], errs[1], sizeof errs[0]);
}

static void test_opaque(void **state)
{
    (void)state;
    struct fixture f;
    struct dsmr_app app = {0};
    struct dsmr_id root;
    const char *reason = NULL;
    static const struct dsmr_app_tx txs[3];
    static const struct dsmr_id ids[3];
    struct dsmr_app_result results[3];
    struct dsmr_app_block block = {.height = 1, .txs = txs, .ids = ids, .txs_count = 3};
    fixture_init(&f);
    allocations_left = 0;
    assert_int_equal(dsmr_opaque_new(&app), DSMR_ERR_NO_MEMORY);
    allocations_left = UINT64_MAX;
    assert_int_equal(dsmr_opaque_new(&app), DSMR_OK);
    struct dsmr_kv_txn *txn = begin(&f, true);
    assert_int_equal(app.ops->genesis(app.self, &root, &reason, &f.kv, txn, "{}", 2), DSMR_OK);
    allocations_left = 0;
    assert_int_equal(app.ops->execute(app.self, &root, results, &f.kv, txn, &block),
                     DSMR_ERR_NO_MEMORY);
    allocations_left = UINT64_MAX;
    assert_int_equal(app.ops->execute(app.self, &root, results, &f.kv, txn, &block), DSMR_OK);
    abort_txn(&f, txn);
    app.ops->free(app.self);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_opaque),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
