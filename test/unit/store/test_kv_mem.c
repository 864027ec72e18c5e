#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "store/kv_mem.h"

static struct dsmr_kv_txn *begin(const struct dsmr_kv *kv, bool write)
{
    struct dsmr_kv_txn *txn = NULL;
    assert_int_equal(kv->ops->begin(kv->self, &txn, write), DSMR_OK);
    return txn;
}

static void put(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn, const char *key,
                const char *value)
{
    assert_int_equal(kv->ops->put(kv->self, txn, key, strlen(key), value, strlen(value)), DSMR_OK);
}

static void assert_value(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn, const char *key,
                         const char *expected)
{
    const uint8_t *value = NULL;
    size_t len = 0;
    enum dsmr_err err = kv->ops->get(kv->self, txn, key, strlen(key), &value, &len);
    if (!expected) {
        assert_int_equal(err, DSMR_ERR_UNKNOWN);
        return;
    }
    assert_int_equal(err, DSMR_OK);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(value, expected, len);
}

static void assert_seek(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn, const char *key,
                        bool reverse, const char *expected)
{
    const uint8_t *found = NULL;
    const uint8_t *value = NULL;
    size_t found_len = 0;
    size_t len = 0;
    enum dsmr_err err =
        kv->ops->seek(kv->self, txn, key, strlen(key), reverse, &found, &found_len, &value, &len);
    if (!expected) {
        assert_int_equal(err, DSMR_ERR_UNKNOWN);
        return;
    }
    assert_int_equal(err, DSMR_OK);
    assert_int_equal(found_len, strlen(expected));
    assert_memory_equal(found, expected, found_len);
}

static void test_put_get_del(void **state)
{
    (void)state;
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct dsmr_kv_txn *txn = begin(&kv, true);
    assert_value(&kv, txn, "a", NULL);
    put(&kv, txn, "a", "1");
    put(&kv, txn, "a", "two");
    put(&kv, txn, "b", "");
    assert_value(&kv, txn, "a", "two");
    assert_value(&kv, txn, "b", "");
    assert_int_equal(kv.ops->del(kv.self, txn, "c", 1), DSMR_OK);
    assert_int_equal(kv.ops->del(kv.self, txn, "a", 1), DSMR_OK);
    assert_value(&kv, txn, "a", NULL);
    assert_int_equal(kv.ops->commit(kv.self, txn), DSMR_OK);
    assert_int_equal(dsmr_kv_mem_count(mem), 1);
    dsmr_kv_mem_free(mem);
}

static void test_limits_of_keys(void **state)
{
    (void)state;
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    char key[DSMR_KV_KEY_BYTES_MAX + 1] = {0};
    memset(key, 'k', DSMR_KV_KEY_BYTES_MAX);
    struct dsmr_kv_txn *txn = begin(&kv, true);
    put(&kv, txn, key, "long");
    key[DSMR_KV_KEY_BYTES_MAX - 1] = 0;
    assert_value(&kv, txn, key, NULL);
    put(&kv, txn, "k", "short");
    assert_seek(&kv, txn, "k", false, "k");
    assert_value(&kv, txn, "k", "short");
    kv.ops->abort(kv.self, txn);
    assert_int_equal(dsmr_kv_mem_count(mem), 0);
    dsmr_kv_mem_free(mem);
}

/* Keys are compared as bytes, shorter first. */
static void test_seek(void **state)
{
    (void)state;
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct dsmr_kv_txn *txn = begin(&kv, true);
    assert_seek(&kv, txn, "a", false, NULL);
    assert_seek(&kv, txn, "a", true, NULL);
    put(&kv, txn, "b", "");
    put(&kv, txn, "bb", "");
    put(&kv, txn, "c", "");
    put(&kv, txn, "\xff", "");
    assert_seek(&kv, txn, "a", false, "b");
    assert_seek(&kv, txn, "b", false, "b");
    assert_seek(&kv, txn, "ba", false, "bb");
    assert_seek(&kv, txn, "bbb", false, "c");
    assert_seek(&kv, txn, "d", false, "\xff");
    assert_seek(&kv, txn, "\xff\x01", false, NULL);
    assert_seek(&kv, txn, "a", true, NULL);
    assert_seek(&kv, txn, "b", true, "b");
    assert_seek(&kv, txn, "ba", true, "b");
    assert_seek(&kv, txn, "bz", true, "bb");
    assert_seek(&kv, txn, "\xff\xff", true, "\xff");
    kv.ops->abort(kv.self, txn);
    dsmr_kv_mem_free(mem);
}

static void test_snapshots_do_not_move(void **state)
{
    (void)state;
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct dsmr_kv_txn *empty = begin(&kv, false);
    struct dsmr_kv_txn *txn = begin(&kv, true);
    put(&kv, txn, "a", "1");
    put(&kv, txn, "b", "1");
    struct dsmr_kv_txn *before = begin(&kv, false);
    assert_value(&kv, before, "a", NULL);
    assert_int_equal(kv.ops->commit(kv.self, txn), DSMR_OK);
    struct dsmr_kv_txn *first = begin(&kv, false);
    txn = begin(&kv, true);
    put(&kv, txn, "a", "2");
    assert_int_equal(kv.ops->del(kv.self, txn, "b", 1), DSMR_OK);
    assert_int_equal(kv.ops->commit(kv.self, txn), DSMR_OK);
    txn = begin(&kv, true);
    put(&kv, txn, "a", "3");
    kv.ops->abort(kv.self, txn);
    struct dsmr_kv_txn *second = begin(&kv, false);
    assert_value(&kv, empty, "a", NULL);
    assert_value(&kv, before, "a", NULL);
    assert_value(&kv, first, "a", "1");
    assert_value(&kv, first, "b", "1");
    assert_value(&kv, second, "a", "2");
    assert_value(&kv, second, "b", NULL);
    kv.ops->abort(kv.self, empty);
    kv.ops->abort(kv.self, before);
    kv.ops->abort(kv.self, first);
    assert_int_equal(kv.ops->commit(kv.self, second), DSMR_OK); /* ends a snapshot too */
    dsmr_kv_mem_free(mem);
}

#define KEYS 300u

struct model {
    uint32_t values[KEYS]; /* 0: absent */
};

static void key_name(char out[5], uint32_t i)
{
    out[0] = (char)('a' + i % 7);
    out[1] = (char)('a' + i / 7 % 7);
    out[2] = (char)('a' + i / 49);
    out[3] = i % 2 ? 'x' : 0;
    out[4] = 0;
}

static void assert_model(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                         const struct model *model)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[5];
        key_name(key, i);
        const uint8_t *value;
        size_t len;
        enum dsmr_err err = kv->ops->get(kv->self, txn, key, strlen(key), &value, &len);
        assert_int_equal(err, model->values[i] ? DSMR_OK : DSMR_ERR_UNKNOWN);
        if (!err) {
            assert_int_equal(len, sizeof model->values[i]);
            assert_memory_equal(value, &model->values[i], len);
        }
    }
    /* A walk finds all of them, in order. */
    uint32_t count = 0;
    uint8_t last[8] = {0};
    size_t last_len = 0;
    for (;;) {
        const uint8_t *found;
        const uint8_t *value;
        size_t found_len;
        size_t len;
        last[last_len] = 0; /* the smallest key above the last one */
        enum dsmr_err err = kv->ops->seek(kv->self, txn, last, last_len + 1, false, &found,
                                          &found_len, &value, &len);
        if (err) {
            assert_int_equal(err, DSMR_ERR_UNKNOWN);
            break;
        }
        assert_true(found_len < sizeof last);
        size_t common = found_len < last_len ? found_len : last_len;
        int order = memcmp(found, last, common);
        assert_true(order > 0 || (order == 0 && found_len > last_len));
        memcpy(last, found, found_len);
        last_len = found_len;
        count++;
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        count -= model->values[i] != 0;
    }
    assert_int_equal(count, 0);
}

static void test_random_equals_model(void **state)
{
    (void)state;
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct model committed = {.values = {0}};
    struct model old = committed;
    struct dsmr_kv_txn *snapshot = begin(&kv, false);
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 42);
    for (uint32_t round = 0; round < 60; round++) {
        struct model model = committed;
        struct dsmr_kv_txn *txn = begin(&kv, true);
        for (uint32_t n = 0; n < 150; n++) {
            uint32_t i = (uint32_t)dsmr_prng_below(&prng, KEYS);
            char key[5];
            key_name(key, i);
            bool deletes = dsmr_prng_below(&prng, 5) < (round / 10 % 2 ? 4 : 1);
            model.values[i] = deletes ? 0 : 1 + (uint32_t)dsmr_prng_below(&prng, 1000);
            enum dsmr_err err = deletes ? kv.ops->del(kv.self, txn, key, strlen(key))
                                        : kv.ops->put(kv.self, txn, key, strlen(key),
                                                      &model.values[i], sizeof model.values[i]);
            assert_int_equal(err, DSMR_OK);
        }
        assert_model(&kv, txn, &model);
        assert_model(&kv, snapshot, &old);
        if (round % 3 == 0) {
            kv.ops->abort(kv.self, txn);
        } else {
            assert_int_equal(kv.ops->commit(kv.self, txn), DSMR_OK);
            committed = model;
        }
        if (round % 5 == 0) {
            kv.ops->abort(kv.self, snapshot);
            snapshot = begin(&kv, false);
            old = committed;
        }
    }
    kv.ops->abort(kv.self, snapshot);
    dsmr_kv_mem_free(mem);
}

static void test_failures_are_as_asked(void **state)
{
    (void)state;
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct dsmr_kv_txn *txn = begin(&kv, true);
    put(&kv, txn, "a", "1");
    assert_int_equal(kv.ops->commit(kv.self, txn), DSMR_OK);
    for (uint64_t after = 0; after < 7; after++) {
        enum dsmr_err errs[6] = {DSMR_OK};
        const uint8_t *bytes[2];
        size_t lens[2];
        dsmr_kv_mem_fail_after(mem, after, DSMR_ERR_DISK_FULL);
        assert_false(dsmr_kv_mem_has_failed(mem));
        errs[0] = kv.ops->begin(kv.self, &txn, true);
        if (!errs[0]) {
            errs[1] = kv.ops->put(kv.self, txn, "b", 1, "2", 1);
            errs[2] = kv.ops->get(kv.self, txn, "a", 1, bytes, lens);
            errs[3] = kv.ops->seek(kv.self, txn, "a", 1, false, bytes, lens, bytes + 1, lens + 1);
            errs[4] = kv.ops->del(kv.self, txn, "c", 1);
            errs[5] = kv.ops->commit(kv.self, txn);
        }
        for (uint64_t i = 0; i < 6; i++) {
            assert_int_equal(errs[i], i == after ? DSMR_ERR_DISK_FULL : DSMR_OK);
        }
        assert_int_equal(dsmr_kv_mem_has_failed(mem), after < 6);
        dsmr_kv_mem_fail_after(mem, UINT64_MAX, DSMR_OK);
        txn = begin(&kv, true);
        bool was_written = after != 0 && after != 1 && after != 5;
        assert_value(&kv, txn, "b", was_written ? "2" : NULL);
        assert_int_equal(kv.ops->del(kv.self, txn, "b", 1), DSMR_OK);
        assert_int_equal(kv.ops->commit(kv.self, txn), DSMR_OK);
    }
    dsmr_kv_mem_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_del),
        cmocka_unit_test(test_limits_of_keys),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_snapshots_do_not_move),
        cmocka_unit_test(test_random_equals_model),
        cmocka_unit_test(test_failures_are_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
