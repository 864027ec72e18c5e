/* test_executed_vectors.c - pins what execution leaves of a block in the state store (head,
 * results, table of ids) to test/vectors/executed.json.
 *
 * UPDATE=1 rewrites the file; that is a change of the storage format. */
#include "unit/vectors.h"

#include "driver/exec_record.h"
#include "store/kv_mem.h"
#include "unit/wire/wire_samples.h"

#define FILE_NAME "test/vectors/executed.json"
#define TXS 3u

/* Block 7: three transactions, whose ids are not in order. */
static struct dsmr_executed *executed_new(void)
{
    static const uint8_t first[TXS] = {0x90, 0x10, 0x50};
    struct dsmr_executed *executed = dsmr_exec_record_new(TXS);
    assert_non_null(executed);
    executed->height = 7;
    executed->time_ms = 1700000000123;
    samples_fill(executed->block_id.bytes, 32, 0xa0);
    samples_fill(executed->state_root.bytes, 32, 0xc0);
    for (uint32_t i = 0; i < TXS; i++) {
        samples_fill(executed->ids[i].bytes, 32, first[i]);
        executed->results[i].code = i;
        executed->results[i].fee = 500 + i;
    }
    return executed;
}

static const uint64_t expiries_ms[TXS] = {1700000001000, 1700000002000, 1700000003000};

/* Each record by its key's bytes. */
static const struct {
    const char *name;
    uint8_t len;
    uint8_t key[10];
} records[] = {
    {"head", 2, "xh"},
    {"record", 10, {'x', 'r', [9] = 7}},
    {"ids", 10, {'x', 'p', [9] = 7}},
};
#define RECORDS (sizeof(records) / sizeof(records[0]))

static void make_all(void)
{
    struct dsmr_executed *executed = executed_new();
    struct dsmr_exec_head head = {.height = 7, .time_ms = executed->time_ms};
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct dsmr_kv_txn *txn;
    head.state_root = executed->state_root;
    head.block_id = executed->block_id;
    assert_int_equal(kv.ops->begin(kv.self, &txn, true), DSMR_OK);
    assert_int_equal(dsmr_exec_record_put(&kv, txn, &head, executed, expiries_ms), DSMR_OK);
    for (size_t i = 0; i < RECORDS; i++) {
        const uint8_t *value;
        size_t len;
        assert_int_equal(kv.ops->get(kv.self, txn, records[i].key, records[i].len, &value, &len),
                         DSMR_OK);
        vectors_add(records[i].name, value, len);
    }
    assert_int_equal(kv.ops->commit(kv.self, txn), DSMR_OK);
    dsmr_kv_mem_free(mem);
    dsmr_executed_unref(executed);
}

static void every_vector_is_exact(void **state)
{
    (void)state;
    make_all();
    vectors_compare(FILE_NAME);
    vectors_forget();
}

/* A state that was written then is read now. */
static void kept_records_are_read(void **state)
{
    (void)state;
    struct dsmr_executed *want = executed_new(), *found = NULL;
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct dsmr_exec_head head;
    struct dsmr_app_result result;
    uint64_t *expiries = NULL, height = 0;
    struct dsmr_kv_txn *txn;
    json_t *kept = vectors_load(FILE_NAME);
    assert_int_equal(kv.ops->begin(kv.self, &txn, true), DSMR_OK);
    for (size_t i = 0; i < RECORDS; i++) {
        uint8_t bytes[1024];
        size_t len = vectors_bytes(bytes, sizeof(bytes), kept, records[i].name);
        assert_int_equal(kv.ops->put(kv.self, txn, records[i].key, records[i].len, bytes, len),
                         DSMR_OK);
    }
    assert_int_equal(dsmr_exec_record_head(&head, &kv, txn), DSMR_OK);
    assert_int_equal(head.height, 7);
    assert_memory_equal(&head.state_root, &want->state_root, 32);
    assert_int_equal(dsmr_exec_record_get(&found, &expiries, &kv, txn, 7), DSMR_OK);
    assert_int_equal(found->count, TXS);
    assert_memory_equal(found->ids, want->ids, TXS * sizeof(found->ids[0]));
    assert_memory_equal(expiries, expiries_ms, sizeof(expiries_ms));
    for (uint32_t i = 0; i < TXS; i++) {
        assert_int_equal(dsmr_exec_record_find(&height, &result, &kv, txn, &want->ids[i]), DSMR_OK);
        assert_int_equal(height, 7);
        assert_int_equal(result.code, i);
        assert_int_equal(result.fee, 500 + i);
    }
    kv.ops->abort(kv.self, txn);
    free(expiries);
    dsmr_executed_unref(found);
    dsmr_executed_unref(want);
    dsmr_kv_mem_free(mem);
    json_decref(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_exact),
        cmocka_unit_test(kept_records_are_read),
    };
    if (getenv("UPDATE") != NULL) {
        make_all();
        return vectors_save(FILE_NAME);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
