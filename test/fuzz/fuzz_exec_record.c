/* fuzz_exec_record.c - any bytes as the values that execution left behind: the head, records of
 * blocks, tables of their ids, merged runs and the state of the merge.
 *
 * How:    the input is a row of {key, length u16, value}; then everything is read, a block is
 *         added and old ones are dropped. Between them stand values that the program wrote.
 * Checks: an answer or one of the errors that the headers name; what is read of a record is what
 *         its length allows. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "driver/exec_index.h"
#include "driver/exec_record.h"
#include "store/kv_mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { GOOD_BLOCKS = 20, TXS = 3 };

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool is_known(enum dsmr_err err)
{
    return err == DSMR_OK || err == DSMR_ERR_UNKNOWN || err == DSMR_ERR_CORRUPT ||
           err == DSMR_ERR_NEWER_FORMAT || err == DSMR_ERR_VERSION || err == DSMR_ERR_LIMIT;
}

static struct dsmr_executed *make_block(uint64_t height, uint64_t expiries[TXS])
{
    struct dsmr_executed *executed = dsmr_exec_record_new(TXS);
    must(executed != NULL);
    executed->height = height;
    executed->time_ms = 1000 * height;
    for (uint32_t i = 0; i < TXS; i++) {
        memset(&executed->ids[i], 0, sizeof executed->ids[i]);
        executed->ids[i].bytes[0] = (uint8_t)(height * 37 + i);
        executed->ids[i].bytes[9] = (uint8_t)i;
        executed->results[i].code = i;
        expiries[i] = 1000 * height + 5;
    }
    return executed;
}

static enum dsmr_err add_block(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn, uint64_t height)
{
    uint64_t expiries[TXS];
    struct dsmr_executed *executed = make_block(height, expiries);
    const struct dsmr_exec_head head = {.height = height, .time_ms = 1000 * height};
    enum dsmr_err err = dsmr_exec_record_put(kv, txn, &head, executed, expiries);
    dsmr_executed_unref(executed);
    return err;
}

/* The key that choice names; its length. */
static size_t make_key(uint8_t key[19], uint8_t choice, uint8_t place)
{
    static const char kinds[] = "hrpmi";
    char kind = kinds[choice % 5];
    key[0] = DSMR_KV_SPACE_EXEC;
    key[1] = (uint8_t)kind;
    if (kind == 'h' || kind == 'i') {
        return 2;
    }
    if (kind == 'm') {
        key[2] = 1 + choice / 5 % 3;
        dsmr_store_be64(key + 3, place % 4u);
        dsmr_store_be64(key + 11, (uint64_t)place << 56);
        return 19;
    }
    dsmr_store_be64(key + 2, place % (GOOD_BLOCKS + 4u));
    return 10;
}

static void put_all(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn, const uint8_t *bytes,
                    size_t len)
{
    uint8_t key[19];
    while (len >= 4) {
        size_t value_len = dsmr_load_be16(bytes + 2);
        value_len = value_len < len - 4 ? value_len : len - 4;
        size_t key_len = make_key(key, bytes[0], bytes[1]);
        if (bytes[0] >= 250) {
            must(kv->ops->del(kv->self, txn, key, key_len) == DSMR_OK);
        } else {
            must(kv->ops->put(kv->self, txn, key, key_len, bytes + 4, value_len) == DSMR_OK);
        }
        bytes += 4 + value_len;
        len -= 4 + value_len;
    }
}

static void read_all(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn)
{
    struct dsmr_exec_head head;
    must(is_known(dsmr_exec_record_head(&head, kv, txn)));
    for (uint64_t height = 0; height < GOOD_BLOCKS + 4; height++) {
        struct dsmr_executed *executed = NULL;
        uint64_t *expiries = NULL;
        enum dsmr_err err = dsmr_exec_record_get(&executed, &expiries, kv, txn, height);
        must(is_known(err));
        if (err == DSMR_OK) {
            must(executed->height == height);
            dsmr_executed_unref(executed);
            free(expiries);
        }
    }
    for (uint32_t i = 0; i < 256; i += 7) {
        struct dsmr_id id = {{(uint8_t)i}};
        struct dsmr_app_result result;
        uint64_t height = 0;
        id.bytes[9] = (uint8_t)(i % TXS);
        must(is_known(dsmr_exec_record_find(&height, &result, kv, txn, &id)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_kv_txn *txn = NULL;
    must(mem != NULL);
    const struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    must(kv.ops->begin(kv.self, &txn, true) == DSMR_OK);
    for (uint64_t height = 1; height <= GOOD_BLOCKS; height++) {
        must(add_block(&kv, txn, height) == DSMR_OK);
    }
    put_all(&kv, txn, bytes, len);
    read_all(&kv, txn);
    for (uint64_t height = GOOD_BLOCKS + 1; height <= GOOD_BLOCKS + 16; height++) {
        must(is_known(add_block(&kv, txn, height)));
    }
    must(is_known(dsmr_exec_record_drop(&kv, txn, 1000 * GOOD_BLOCKS)));
    read_all(&kv, txn);
    kv.ops->abort(kv.self, txn);
    dsmr_kv_mem_free(mem);
    return 0;
}
