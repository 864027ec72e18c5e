/* Results are found by id, at a cost that does not follow the number of blocks; what was dropped
 * is not found and takes no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "crypto/hash.h"
#include "driver/exec_record.h"
#include "store/kv_mem.h"

/* ---- a kv store that counts ---- */

struct counter {
    struct dsmr_kv_mem *mem;
    struct dsmr_kv inner;
    uint64_t reads, writes, bytes;
};

static enum dsmr_err count_begin(void *self, struct dsmr_kv_txn **out, bool write)
{
    const struct counter *c = self;
    return c->inner.ops->begin(c->inner.self, out, write);
}

static enum dsmr_err count_commit(void *self, struct dsmr_kv_txn *txn)
{
    const struct counter *c = self;
    return c->inner.ops->commit(c->inner.self, txn);
}

static void count_abort(void *self, struct dsmr_kv_txn *txn)
{
    const struct counter *c = self;
    c->inner.ops->abort(c->inner.self, txn);
}

static enum dsmr_err count_get(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                               const uint8_t **value, size_t *value_len)
{
    struct counter *c = self;
    c->reads++;
    return c->inner.ops->get(c->inner.self, txn, key, key_len, value, value_len);
}

static enum dsmr_err count_put(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                               const void *value, size_t value_len)
{
    struct counter *c = self;
    c->writes++;
    c->bytes += value_len;
    return c->inner.ops->put(c->inner.self, txn, key, key_len, value, value_len);
}

static enum dsmr_err count_del(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len)
{
    struct counter *c = self;
    c->writes++;
    return c->inner.ops->del(c->inner.self, txn, key, key_len);
}

static enum dsmr_err count_seek(void *self, struct dsmr_kv_txn *txn, const void *key,
                                size_t key_len, bool reverse, const uint8_t **found,
                                size_t *found_len, const uint8_t **value, size_t *value_len)
{
    struct counter *c = self;
    c->reads++;
    return c->inner.ops->seek(c->inner.self, txn, key, key_len, reverse, found, found_len, value,
                              value_len);
}

static const struct dsmr_kv_ops count_ops = {.begin = count_begin,
                                             .commit = count_commit,
                                             .abort = count_abort,
                                             .get = count_get,
                                             .put = count_put,
                                             .del = count_del,
                                             .seek = count_seek};

/* ---- a chain of executed blocks ---- */

struct chain {
    struct counter counter;
    struct dsmr_kv kv;
    struct dsmr_kv_txn *txn;
    uint64_t height;
    uint64_t writes_max; /* of one block */
    uint64_t bytes;      /* of the last one */
    void (*make_id)(struct dsmr_id *id, uint64_t height, uint32_t index);
};

static void hashed_id(struct dsmr_id *id, uint64_t height, uint32_t index)
{
    uint8_t bytes[12];
    dsmr_store_be64(bytes, height);
    dsmr_store_be32(bytes + 8, index);
    dsmr_hash(id, bytes, sizeof bytes);
}

/* All ids of a chain begin with one of three prefixes: what an attacker may try. */
static void crowded_id(struct dsmr_id *id, uint64_t height, uint32_t index)
{
    static const uint64_t prefixes[3] = {0, UINT64_C(0x8000000000000000), UINT64_MAX};
    memset(id, 0, sizeof *id);
    dsmr_store_be64(id->bytes, prefixes[(height + index) % 3]);
    dsmr_store_be64(id->bytes + 8, height);
    dsmr_store_be32(id->bytes + 16, index);
}

/* All ids of a chain agree in their upper 33 bits, and come in the wrong order; some agree in all
 * the 40 bits that the index knows. */
static void close_id(struct dsmr_id *id, uint64_t height, uint32_t index)
{
    memset(id, 0x5a, sizeof *id);
    dsmr_store_be64(id->bytes, UINT64_C(0x1234567800000000) | (uint64_t)(127 - index) << 23);
    dsmr_store_be64(id->bytes + 8, height);
}

/* The ids of blocks 1 to 14 lie below all others. */
static void parted_id(struct dsmr_id *id, uint64_t height, uint32_t index)
{
    hashed_id(id, height, index);
    id->bytes[0] = height < 15 ? 0 : 0xff;
}

static uint32_t code_of(uint64_t height, uint32_t index)
{
    return (uint32_t)(height * 31u + index);
}

static void chain_init(struct chain *chain)
{
    memset(chain, 0, sizeof *chain);
    chain->counter.mem = dsmr_kv_mem_new();
    assert_non_null(chain->counter.mem);
    chain->counter.inner = dsmr_kv_mem_port(chain->counter.mem);
    chain->kv = (struct dsmr_kv){.self = &chain->counter, .ops = &count_ops};
    chain->make_id = hashed_id;
    assert_int_equal(chain->kv.ops->begin(chain->kv.self, &chain->txn, true), DSMR_OK);
}

static void chain_close(struct chain *chain)
{
    assert_int_equal(chain->kv.ops->commit(chain->kv.self, chain->txn), DSMR_OK);
    dsmr_kv_mem_free(chain->counter.mem);
}

static void chain_commit(struct chain *chain)
{
    assert_int_equal(chain->kv.ops->commit(chain->kv.self, chain->txn), DSMR_OK);
    assert_int_equal(chain->kv.ops->begin(chain->kv.self, &chain->txn, true), DSMR_OK);
}

static enum dsmr_err execute(struct chain *chain, uint32_t count)
{
    struct dsmr_executed *executed = dsmr_exec_record_new(count);
    uint64_t *expiries_ms = calloc(count + 1u, sizeof *expiries_ms);
    assert_true(executed != NULL && expiries_ms != NULL);
    executed->height = ++chain->height;
    executed->time_ms = chain->height * 1000;
    for (uint32_t i = 0; i < count; i++) {
        chain->make_id(&executed->ids[i], chain->height, i);
        executed->results[i].code = code_of(chain->height, i);
        executed->results[i].fee = i;
    }
    struct dsmr_exec_head head = {.height = executed->height, .time_ms = executed->time_ms};
    uint64_t writes = chain->counter.writes;
    chain->counter.bytes = 0;
    enum dsmr_err err = dsmr_exec_record_put(&chain->kv, chain->txn, &head, executed, expiries_ms);
    writes = chain->counter.writes - writes;
    chain->bytes = chain->counter.bytes;
    chain->writes_max = writes > chain->writes_max ? writes : chain->writes_max;
    dsmr_executed_unref(executed);
    free(expiries_ms);
    return err;
}

static enum dsmr_err find(struct chain *chain, uint64_t height, uint32_t index)
{
    struct dsmr_app_result result;
    struct dsmr_id id;
    uint64_t found = 0;
    chain->make_id(&id, height, index);
    chain->counter.reads = 0;
    enum dsmr_err err = dsmr_exec_record_find(&found, &result, &chain->kv, chain->txn, &id);
    if (err == DSMR_OK) {
        assert_int_equal(found, height);
        assert_int_equal(result.code, code_of(height, index));
        assert_int_equal(result.fee, index);
    }
    return err;
}

/* ---- tests ---- */

static void everything_is_found_where_it_was_executed(void **state)
{
    enum { BLOCKS = 4500 };
    static uint32_t counts[BLOCKS + 1];
    struct chain chain;
    struct dsmr_prng prng;
    (void)state;
    for (int is_crowded = 0; is_crowded < 2; is_crowded++) {
        uint64_t blocks = is_crowded ? 300 : BLOCKS;
        chain_init(&chain);
        dsmr_prng_init(&prng, 5);
        chain.make_id = is_crowded ? crowded_id : hashed_id;
        assert_int_equal(find(&chain, 1, 0), DSMR_ERR_UNKNOWN);
        for (uint64_t height = 1; height <= blocks; height++) {
            counts[height] = dsmr_prng_below(&prng, 3) == 0 ? 0 : (uint32_t)height % 12;
            counts[height] *= is_crowded ? 8u : 1u; /* more of one prefix than a part has */
            assert_int_equal(execute(&chain, counts[height]), DSMR_OK);
        }
        for (uint64_t height = 1; height <= blocks; height++) {
            for (uint32_t i = 0; i < counts[height]; i += is_crowded ? 29 : 1)
                assert_int_equal(find(&chain, height, i), DSMR_OK);
            assert_int_equal(find(&chain, height, counts[height]), DSMR_ERR_UNKNOWN);
        }
        chain_close(&chain);
    }
}

/* A table that is not sorted to the last bit is refused when it is merged, or hides ids. */
static void ids_that_differ_late_are_sorted(void **state)
{
    struct chain chain;
    (void)state;
    chain_init(&chain);
    chain.make_id = close_id;
    for (uint64_t height = 1; height <= 40; height++)
        assert_int_equal(execute(&chain, 100), DSMR_OK);
    for (uint64_t height = 1; height <= 40; height++)
        for (uint32_t i = 0; i < 100; i += 3)
            assert_int_equal(find(&chain, height, i), DSMR_OK);
    assert_int_equal(find(&chain, 7, 100), DSMR_ERR_UNKNOWN);
    chain_close(&chain);
}

static void a_lookup_does_not_walk_the_blocks(void **state)
{
    struct chain chain;
    uint64_t most = 0;
    (void)state;
    chain_init(&chain);
    for (uint64_t height = 1; height <= 20000; height++) {
        assert_int_equal(execute(&chain, 1 + (uint32_t)height % 3), DSMR_OK);
        if (height > 100 && height % 97 == 0) {
            assert_int_equal(find(&chain, height, 1000), DSMR_ERR_UNKNOWN);
            most = chain.counter.reads > most ? chain.counter.reads : most;
            assert_int_equal(find(&chain, height / 2, 0), DSMR_OK);
            most = chain.counter.reads > most ? chain.counter.reads : most;
        }
    }
    print_message("[ at most %u reads for one id ]\n", (unsigned)most);
    assert_true(most < 100);
    assert_true(chain.writes_max < 40); /* and no block pays for many others */
    chain_close(&chain);
}

/* Retention as the driver does it: after each block, all that is older than a hundred blocks. */
static void what_was_dropped_takes_no_room(void **state)
{
    enum { KEPT = 100 };
    struct chain chain;
    uint64_t keys_max = 0;
    (void)state;
    chain_init(&chain);
    for (uint64_t height = 1; height <= 12000; height++) {
        assert_int_equal(execute(&chain, 5), DSMR_OK);
        if (height > KEPT)
            assert_int_equal(
                dsmr_exec_record_drop(&chain.kv, chain.txn, (height - KEPT + 1) * 1000), DSMR_OK);
        if (height > KEPT && height % 61 == 0) {
            for (uint64_t h = height - KEPT + 1; h <= height; h++)
                assert_int_equal(find(&chain, h, (uint32_t)h % 5), DSMR_OK);
            assert_int_equal(find(&chain, height - KEPT, 0), DSMR_ERR_UNKNOWN);
            assert_int_equal(find(&chain, 1, 0), DSMR_ERR_UNKNOWN);
            chain_commit(&chain);
            uint64_t keys = dsmr_kv_mem_count(chain.counter.mem);
            keys_max = keys > keys_max ? keys : keys_max;
        }
    }
    print_message("[ at most %u keys ]\n", (unsigned)keys_max);
    assert_true(keys_max < KEPT + 64);
    chain_close(&chain);
}

/* One block with as many transactions as a thousand of the others, and what comes after it. */
static void a_large_block_is_merged_in_steps(void **state)
{
    enum { LARGE = 120000 };
    struct chain chain;
    (void)state;
    chain_init(&chain);
    for (uint64_t height = 1; height <= 600; height++)
        assert_int_equal(execute(&chain, height == 37 ? LARGE : 3), DSMR_OK);
    for (uint32_t i = 0; i < LARGE; i += 97)
        assert_int_equal(find(&chain, 37, i), DSMR_OK);
    assert_int_equal(find(&chain, 37, LARGE - 1), DSMR_OK);
    assert_int_equal(find(&chain, 37, LARGE), DSMR_ERR_UNKNOWN);
    assert_int_equal(find(&chain, 36, 2), DSMR_OK);
    assert_true(chain.writes_max < 150);
    chain_close(&chain);
}

/* How much a small block merges does not follow from where the ids of large ones lie. */
static void ids_do_not_make_a_step_longer(void **state)
{
    enum { LARGE = 20000 };
    struct chain chain;
    uint64_t bytes_max = 0;
    (void)state;
    chain_init(&chain);
    chain.make_id = parted_id;
    for (uint64_t height = 1; height <= 300; height++) {
        assert_int_equal(execute(&chain, height < 15 ? LARGE : 3), DSMR_OK);
        if (height >= 15)
            bytes_max = chain.bytes > bytes_max ? chain.bytes : bytes_max;
    }
    print_message("[ at most %u bytes with a small block ]\n", (unsigned)bytes_max);
    assert_true(bytes_max < 100000); /* some 4000 entries at two levels */
    for (uint64_t height = 1; height <= 16; height++)
        assert_int_equal(find(&chain, height, (uint32_t)height % 3), DSMR_OK);
    assert_int_equal(find(&chain, 3, LARGE), DSMR_ERR_UNKNOWN);
    chain_close(&chain);
}

static void limits_of_height_and_count(void **state)
{
    struct chain chain;
    (void)state;
    chain_init(&chain);
    chain.height = (UINT64_C(1) << 40) - 1;
    assert_int_equal(execute(&chain, 1), DSMR_ERR_LIMIT);
    chain_close(&chain);
}

/* ---- what a record says ---- */

struct rows {
    uint64_t expiries_ms[4], fees[4];
    uint32_t codes[4];
    uint32_t bytes; /* of a row besides its id */
};

static void put_rows(struct chain *chain, const struct rows *rows, uint32_t count)
{
    struct dsmr_executed *executed = dsmr_exec_record_new(count);
    assert_non_null(executed);
    executed->height = ++chain->height;
    executed->time_ms = 7;
    memset(&executed->block_id, 8, 32);
    memset(&executed->state_root, 9, 32);
    for (uint32_t i = 0; i < count; i++) {
        chain->make_id(&executed->ids[i], chain->height, i);
        executed->results[i] =
            (struct dsmr_app_result){.code = rows->codes[i], .fee = rows->fees[i]};
    }
    struct dsmr_exec_head head = {.height = executed->height};
    assert_int_equal(
        dsmr_exec_record_put(&chain->kv, chain->txn, &head, executed, rows->expiries_ms), DSMR_OK);
    dsmr_executed_unref(executed);
}

static void check_rows(struct chain *chain, const struct rows *rows, uint32_t count)
{
    struct dsmr_executed *executed = NULL;
    uint64_t *expiries_ms = NULL;
    assert_int_equal(
        dsmr_exec_record_get(&executed, &expiries_ms, &chain->kv, chain->txn, chain->height),
        DSMR_OK);
    assert_int_equal(executed->count, count);
    assert_int_equal(executed->time_ms, 7);
    assert_int_equal(executed->block_id.bytes[31], 8);
    assert_int_equal(executed->state_root.bytes[31], 9);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_app_result result;
        uint64_t height = 0;
        struct dsmr_id id;
        chain->make_id(&id, chain->height, i);
        assert_memory_equal(executed->ids[i].bytes, id.bytes, 32);
        assert_true(expiries_ms[i] == rows->expiries_ms[i]);
        assert_true(executed->results[i].fee == rows->fees[i]);
        assert_int_equal(executed->results[i].code, rows->codes[i]);
        assert_int_equal(dsmr_exec_record_find(&height, &result, &chain->kv, chain->txn, &id),
                         DSMR_OK);
        assert_true(result.fee == rows->fees[i] && result.code == rows->codes[i]);
    }
    dsmr_executed_unref(executed);
    free(expiries_ms);
}

static size_t get_record(struct chain *chain, uint8_t *bytes, size_t room)
{
    uint8_t key[10] = {DSMR_KV_SPACE_EXEC, 'r'};
    const uint8_t *value;
    size_t len;
    dsmr_store_be64(key + 2, chain->height);
    assert_int_equal(chain->kv.ops->get(chain->kv.self, chain->txn, key, sizeof key, &value, &len),
                     DSMR_OK);
    assert_true(len <= room);
    memcpy(bytes, value, len);
    return len;
}

/* Each width of a column at both ends of its range. */
static void a_row_takes_what_its_numbers_need(void **state)
{
    static const struct rows rows[] = {
        {{5, 5, 5, 5}, {0, 0, 0, 0}, {0, 0, 0, 0}, 0},
        {{1000, 1255, 1000, 1001}, {7, 7, 7, 7}, {3, 3, 3, 3}, 1},
        {{1000, 1256, 1000, 1001}, {255, 0, 1, 2}, {0, 1, 0, 0}, 4},
        {{0, 65535, 1, 2}, {0, 256, 1, 2}, {0, 255, 0, 0}, 5},
        {{0, 65536, 1, 2}, {0, 0, 0, 1}, {UINT32_MAX, UINT32_MAX - 256, UINT32_MAX, 0xfffffff0}, 7},
        {{1, UINT32_MAX, 2, 0}, {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}, {0}, 4},
        {{9, UINT64_C(1) << 32, 9, 0}, {UINT64_MAX, 0, 1, 2}, {0, UINT32_MAX, 1, 2}, 20},
    };
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (uint32_t count = 0; count <= 4; count += 4) {
            uint8_t bytes[512];
            struct chain chain;
            chain_init(&chain);
            put_rows(&chain, &rows[r], count);
            check_rows(&chain, &rows[r], count);
            assert_int_equal(get_record(&chain, bytes, sizeof bytes),
                             104 + count * (32 + rows[r].bytes));
            chain_close(&chain);
        }
    }
}

/* Cut, longer, another version, a width that is none, numbers beyond what they may be. */
static void damaged_records_are_refused(void **state)
{
    static const struct rows rows = {{1, 2, 3, 4}, {1, 2, 3, 4}, {0, 1, 2, 300}, 0};
    enum { COLUMNS = 77 + 4 * 32, CODES = COLUMNS + 9 + 4, FEES = CODES + 9 + 8 };
    static const struct {
        size_t at;
        uint8_t byte;
    } wrong[] = {{0, 1},         {0, 3},           {76, 5},
                 {76, 3},        {COLUMNS + 8, 3}, {COLUMNS + 8, 16},
                 {CODES + 8, 0}, {CODES, 1},       {FEES + 8, 2}};
    uint8_t good[512], bytes[513] = {0}, key[10] = {DSMR_KV_SPACE_EXEC, 'r'};
    struct dsmr_executed *executed = NULL;
    struct dsmr_app_result result;
    struct dsmr_id id;
    struct chain chain;
    uint64_t height = 0;
    (void)state;
    chain_init(&chain);
    put_rows(&chain, &rows, 4);
    dsmr_store_be64(key + 2, chain.height);
    chain.make_id(&id, chain.height, 3);
    const size_t len = get_record(&chain, good, sizeof good);
    const size_t damages = len + 1 + sizeof wrong / sizeof wrong[0];
    for (size_t i = 0; i <= damages; i++) {
        size_t length = i < len ? i : i == len ? len + 1 : len;
        memcpy(bytes, good, len);
        if (i > len && i < damages)
            bytes[wrong[i - len - 1].at] = wrong[i - len - 1].byte;
        if (i == damages) /* all fees above what 64 bits hold */
            memset(bytes + FEES, 0xff, 8);
        assert_int_equal(chain.kv.ops->put(chain.kv.self, chain.txn, key, 10, bytes, length),
                         DSMR_OK);
        assert_int_equal(dsmr_exec_record_get(&executed, NULL, &chain.kv, chain.txn, chain.height),
                         DSMR_ERR_CORRUPT);
        assert_int_equal(dsmr_exec_record_find(&height, &result, &chain.kv, chain.txn, &id),
                         DSMR_ERR_CORRUPT);
    }
    chain_close(&chain);
}

static void other_versions_are_named(void **state)
{
    static const enum dsmr_err want[] = {DSMR_ERR_VERSION, DSMR_OK, DSMR_ERR_NEWER_FORMAT};
    static const char *const keys[] = {"xh", "xi"};
    (void)state;
    for (uint8_t version = 1; version <= 3; version++) {
        for (size_t k = 0; k < 2; k++) {
            const uint8_t *value;
            uint8_t bytes[128];
            struct dsmr_exec_head head;
            struct chain chain;
            size_t len;
            chain_init(&chain);
            for (uint32_t i = 0; i < 40; i++)
                assert_int_equal(execute(&chain, 3), DSMR_OK);
            assert_int_equal(chain.kv.ops->get(chain.kv.self, chain.txn, keys[k], 2, &value, &len),
                             DSMR_OK);
            assert_true(len <= sizeof bytes);
            memcpy(bytes, value, len);
            bytes[0] = version;
            assert_int_equal(chain.kv.ops->put(chain.kv.self, chain.txn, keys[k], 2, bytes, len),
                             DSMR_OK);
            enum dsmr_err err =
                k == 0 ? dsmr_exec_record_head(&head, &chain.kv, chain.txn) : find(&chain, 20, 1);
            assert_int_equal(err, want[version - 1]);
            chain_close(&chain);
        }
    }
}

/* Every value of the index, cut and overwritten: an error or nothing found, never more. */
static void damaged_values_are_refused(void **state)
{
    static const char spaces[] = {'i', 'p', 'm'};
    struct chain chain;
    (void)state;
    for (size_t s = 0; s < sizeof spaces; s++) {
        for (uint32_t how = 0; how < 4; how++) {
            const uint8_t *key, *value;
            uint8_t copy[32], start[2] = {DSMR_KV_SPACE_EXEC, (uint8_t)spaces[s]};
            static uint8_t junk[40000];
            size_t key_len, len;
            chain_init(&chain);
            for (uint64_t height = 1; height <= 40; height++)
                assert_int_equal(execute(&chain, 4), DSMR_OK);
            assert_int_equal(chain.kv.ops->seek(chain.kv.self, chain.txn, start, 2, false, &key,
                                                &key_len, &value, &len),
                             DSMR_OK);
            assert_true(key_len <= sizeof copy && len <= sizeof junk && key[1] == start[1]);
            memcpy(copy, key, key_len);
            memcpy(junk, value, len);
            size_t lens[4] = {0, len - 1, len, len + 1};
            memset(junk + (how < 3 ? 0 : len), how == 2 ? 0xff : 1, how == 2 ? len : 1);
            assert_int_equal(
                chain.kv.ops->put(chain.kv.self, chain.txn, copy, key_len, junk, lens[how]),
                DSMR_OK);
            for (uint64_t height = 1; height <= 40; height++) {
                enum dsmr_err err = find(&chain, height, 0);
                assert_true(err == DSMR_OK || err == DSMR_ERR_UNKNOWN || err == DSMR_ERR_CORRUPT ||
                            err == DSMR_ERR_NEWER_FORMAT || err == DSMR_ERR_VERSION);
                assert_true(spaces[s] != 'i' || err != DSMR_OK);
            }
            enum dsmr_err err = DSMR_OK;
            for (uint32_t i = 0; i < 40 && err == DSMR_OK; i++)
                err = execute(&chain, 4);
            assert_true(err == DSMR_OK || err == DSMR_ERR_CORRUPT || err == DSMR_ERR_VERSION ||
                        err == DSMR_ERR_NEWER_FORMAT);
            chain_close(&chain);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_found_where_it_was_executed),
        cmocka_unit_test(ids_that_differ_late_are_sorted),
        cmocka_unit_test(a_lookup_does_not_walk_the_blocks),
        cmocka_unit_test(what_was_dropped_takes_no_room),
        cmocka_unit_test(a_large_block_is_merged_in_steps),
        cmocka_unit_test(ids_do_not_make_a_step_longer),
        cmocka_unit_test(limits_of_height_and_count),
        cmocka_unit_test(a_row_takes_what_its_numbers_need),
        cmocka_unit_test(damaged_records_are_refused),
        cmocka_unit_test(other_versions_are_named),
        cmocka_unit_test(damaged_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
