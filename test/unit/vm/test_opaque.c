#include "unit/vm/support.h"

#include "vm/opaque.h"

struct chain {
    struct fixture f;
    struct dsmr_app app;
    struct dsmr_id root;
};

static enum dsmr_err genesis(struct chain *chain, const char *text)
{
    const char *reason = NULL;
    struct dsmr_kv_txn *txn = begin(&chain->f, true);
    enum dsmr_err err = chain->app.ops->genesis(chain->app.self, &chain->root, &reason,
                                                &chain->f.kv, txn, text, strlen(text));
    assert_int_equal(err == DSMR_ERR_CONFIG, reason != NULL);
    if (err) {
        abort_txn(&chain->f, txn);
    } else {
        commit(&chain->f, txn);
    }
    return err;
}

static void chain_init(struct chain *chain)
{
    fixture_init(&chain->f);
    assert_int_equal(dsmr_opaque_new(&chain->app), DSMR_OK);
    assert_int_equal(genesis(chain, "{\"name\":\"opaque\"}"), DSMR_OK);
}

static void chain_close(struct chain *chain)
{
    chain->app.ops->free(chain->app.self);
    fixture_close(&chain->f);
}

static enum dsmr_err execute(struct chain *chain, struct dsmr_id *root, uint64_t height,
                             const struct dsmr_id *ids, uint32_t count, bool keeps)
{
    static const struct dsmr_app_tx txs[8];
    struct dsmr_app_result results[8];
    struct dsmr_app_block block = {.height = height, .txs = txs, .ids = ids, .txs_count = count};
    struct dsmr_kv_txn *txn = begin(&chain->f, true);
    memset(results, 0xee, sizeof results);
    enum dsmr_err err =
        chain->app.ops->execute(chain->app.self, root, results, &chain->f.kv, txn, &block);
    if (!err && keeps) {
        commit(&chain->f, txn);
    } else {
        abort_txn(&chain->f, txn);
    }
    for (uint32_t i = 0; i < count && !err; i++) {
        assert_int_equal(results[i].code, 0);
        assert_int_equal(results[i].fee, 0);
    }
    return err;
}

/* The rule of opaque.h, once more. */
static struct dsmr_id expected(const struct dsmr_id *before, uint64_t height,
                               const struct dsmr_id *ids, uint32_t count)
{
    uint8_t preimage[13 + 32 + 8 + 4 + 8 * 32];
    struct dsmr_id out;
    memcpy(preimage, "DSMR/opaque/1", 13);
    memcpy(preimage + 13, before->bytes, 32);
    slow_u64(preimage + 45, height);
    memset(preimage + 53, 0, 3);
    preimage[56] = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(preimage + 57 + 32 * i, ids[i].bytes, 32);
    }
    dsmr_hash(&out, preimage, 57 + 32 * count);
    return out;
}

static void test_check(void **state)
{
    (void)state;
    struct chain chain;
    chain_init(&chain);
    static const uint8_t bytes[16] = {200};
    static const uint32_t lens[4] = {DSMR_TX_BYTES_MIN, DSMR_TX_BYTES_MIN - 1, DSMR_TX_BYTES_MAX,
                                     DSMR_TX_BYTES_MAX + 1};
    struct dsmr_tx_view views[4];
    enum dsmr_err errs[4];
    for (uint32_t i = 0; i < 4; i++) {
        views[i] = (struct dsmr_tx_view){.bytes = bytes, .len = lens[i]};
    }
    assert_int_equal(chain.app.ops->check(chain.app.self, errs, views, 4), 2);
    assert_int_equal(errs[0], DSMR_OK);
    assert_int_equal(errs[1], DSMR_ERR_BAD_TX);
    assert_int_equal(errs[2], DSMR_OK);
    assert_int_equal(errs[3], DSMR_ERR_BAD_TX);
    assert_int_equal(chain.app.ops->check(chain.app.self, errs, views, 0), 0);
    chain_close(&chain);
}

static void test_running_hash(void **state)
{
    (void)state;
    struct chain chain;
    struct dsmr_id ids[8];
    struct dsmr_id root;
    struct dsmr_id before;
    chain_init(&chain);
    dsmr_hash(&root, "DSMR/opaque/1", 13);
    assert_memory_equal(chain.root.bytes, root.bytes, 32);
    for (uint32_t i = 0; i < 8; i++) {
        struct dsmr_address address = address_of(i);
        memcpy(ids[i].bytes, address.bytes, 32);
    }
    static const uint32_t counts[] = {3, 0, 8, 1};
    before = chain.root;
    for (uint32_t i = 0; i < 4; i++) {
        /* An aborted block leaves no trace; its other contents give another root. */
        assert_int_equal(
            execute(&chain, &root, i + 1, ids + 1, counts[i] ? counts[i] - 1 : 1, false), DSMR_OK);
        struct dsmr_id other = root;
        assert_int_equal(execute(&chain, &root, i + 1, ids, counts[i], true), DSMR_OK);
        struct dsmr_id want = expected(&before, i + 1, ids, counts[i]);
        assert_memory_equal(root.bytes, want.bytes, 32);
        assert_memory_not_equal(root.bytes, other.bytes, 32);
        before = root;
    }
    char text[200];
    struct dsmr_app_text out = {.bytes = text, .capacity = sizeof text};
    struct dsmr_kv_txn *snapshot = begin(&chain.f, false);
    assert_int_equal(chain.app.ops->query(chain.app.self, &out, &chain.f.kv, snapshot, "state"),
                     DSMR_OK);
    assert_memory_equal(text, "{\"height\":4,\"txs\":12,\"root\":\"", 29);
    assert_int_equal(chain.app.ops->query(chain.app.self, &out, &chain.f.kv, snapshot, "accounts/"),
                     DSMR_ERR_UNKNOWN);
    out.capacity = 95; /* one too small: the zero byte counts */
    assert_int_equal(chain.app.ops->query(chain.app.self, &out, &chain.f.kv, snapshot, "state"),
                     DSMR_ERR_LIMIT);
    abort_txn(&chain.f, snapshot);
    chain_close(&chain);
}

static void test_order_counts(void **state)
{
    (void)state;
    struct chain chain;
    const struct dsmr_id ids[3] = {{{1}}, {{2}}, {{1}}};
    struct dsmr_id a;
    struct dsmr_id b;
    chain_init(&chain);
    assert_int_equal(execute(&chain, &a, 1, ids, 2, false), DSMR_OK);
    assert_int_equal(execute(&chain, &b, 1, ids + 1, 2, false), DSMR_OK);
    assert_memory_not_equal(a.bytes, b.bytes, 32);
    chain_close(&chain);
}

static void test_faults(void **state)
{
    (void)state;
    struct chain chain;
    struct dsmr_id root;
    chain_init(&chain);
    assert_int_equal(execute(&chain, &root, 0, NULL, 0, true), DSMR_ERR_APP_FAILED);
    assert_int_equal(execute(&chain, &root, 2, NULL, 0, true), DSMR_ERR_APP_FAILED);
    struct dsmr_app_block block = {.height = 1};
    for (uint64_t after = 0; after < 3; after++) { /* one get, one put */
        struct dsmr_kv_txn *txn = begin(&chain.f, true);
        dsmr_kv_mem_fail_after(chain.f.mem, after, DSMR_ERR_IO);
        assert_int_equal(
            chain.app.ops->execute(chain.app.self, &root, NULL, &chain.f.kv, txn, &block),
            after < 2 ? DSMR_ERR_IO : DSMR_OK);
        dsmr_kv_mem_fail_after(chain.f.mem, UINT64_MAX, DSMR_OK);
        abort_txn(&chain.f, txn);
    }
    struct dsmr_kv_txn *txn = begin(&chain.f, true);
    static const uint8_t damaged[49] = {2};
    static const uint8_t key[2] = {'a', 'm'};
    assert_int_equal(chain.f.kv.ops->put(chain.f.kv.self, txn, key, 2, damaged, 49), DSMR_OK);
    assert_int_equal(chain.app.ops->execute(chain.app.self, &root, NULL, &chain.f.kv, txn, &block),
                     DSMR_ERR_CORRUPT);
    assert_int_equal(chain.f.kv.ops->put(chain.f.kv.self, txn, key, 2, damaged, 48), DSMR_OK);
    assert_int_equal(chain.app.ops->execute(chain.app.self, &root, NULL, &chain.f.kv, txn, &block),
                     DSMR_ERR_CORRUPT);
    assert_int_equal(chain.f.kv.ops->del(chain.f.kv.self, txn, key, 2), DSMR_OK);
    assert_int_equal(chain.app.ops->execute(chain.app.self, &root, NULL, &chain.f.kv, txn, &block),
                     DSMR_ERR_CORRUPT);
    abort_txn(&chain.f, txn);
    chain_close(&chain);
}

static void test_genesis(void **state)
{
    (void)state;
    struct chain chain;
    chain_init(&chain);
    assert_int_equal(genesis(&chain, "{}"), DSMR_OK);
    static const char *const bad[] = {"",
                                      "[]",
                                      "{} x",
                                      "{\"name\":\"transfers\"}",
                                      "{\"name\":\"opaque\",\"name\":\"opaque\"}",
                                      "{\"accounts\":[]}",
                                      "{\"name\":1}",
                                      "{\"name\":\"opaque\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(genesis(&chain, bad[i]), DSMR_ERR_CONFIG);
    }
    assert_string_equal(chain.app.ops->name, "opaque");
    assert_string_equal(chain.app.ops->code_text(0), "ok");
    assert_string_equal(chain.app.ops->code_text(1), "unknown result code");
    chain_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),        cmocka_unit_test(test_running_hash),
        cmocka_unit_test(test_order_counts), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_genesis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
