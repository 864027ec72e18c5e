#include "driver/exec_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "driver/exec_index.h"
#include "wire/cursor.h"

#define VERSION 1u
#define HEAD_BYTES (1u + 8u + 32u + 32u + 8u)
#define RECORD_HEAD_BYTES (1u + 8u + 32u + 32u + 4u)
#define RECORD_TX_BYTES (32u + 8u + 12u)
_Static_assert(RECORD_HEAD_BYTES + (uint64_t)DSMR_BLOCK_TXS_LIMIT * RECORD_TX_BYTES <=
                   DSMR_KV_VALUE_BYTES_MAX,
               "the results of a block fit into one value");
#define DROPS_MAX 64u /* records that one call removes */

static size_t make_key(uint8_t key[10], char kind, uint64_t height)
{
    key[0] = DSMR_KV_SPACE_EXEC;
    key[1] = (uint8_t)kind;
    dsmr_store_be64(key + 2, height);
    return kind == 'h' ? 2 : 10;
}

uint64_t dsmr_exec_record_bytes_max(uint32_t txs)
{
    return RECORD_HEAD_BYTES + HEAD_BYTES +
           (uint64_t)txs * (RECORD_TX_BYTES + DSMR_EXEC_INDEX_TX_BYTES);
}

struct dsmr_executed *dsmr_exec_record_new(uint32_t count)
{
    struct dsmr_executed *executed = calloc(1, sizeof *executed);
    if (executed == NULL)
        return NULL;
    executed->refs = 1;
    executed->count = count;
    executed->ids = calloc(count + 1u, sizeof *executed->ids);
    executed->results = calloc(count + 1u, sizeof *executed->results);
    if (executed->ids == NULL || executed->results == NULL) {
        dsmr_executed_unref(executed);
        return NULL;
    }
    return executed;
}

struct dsmr_executed *dsmr_executed_ref(struct dsmr_executed *executed)
{
    if (executed != NULL)
        atomic_fetch_add_explicit(&executed->refs, 1, memory_order_relaxed);
    return executed;
}

void dsmr_executed_unref(struct dsmr_executed *executed)
{
    if (executed == NULL ||
        atomic_fetch_sub_explicit(&executed->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(executed->ids);
    free(executed->results);
    free(executed);
}

enum dsmr_err dsmr_exec_record_head(struct dsmr_exec_head *out, const struct dsmr_kv *kv,
                                    struct dsmr_kv_txn *txn)
{
    uint8_t key[10];
    const uint8_t *value;
    size_t len;
    enum dsmr_err err = kv->ops->get(kv->self, txn, key, make_key(key, 'h', 0), &value, &len);
    if (err != DSMR_OK)
        return err;
    struct dsmr_rd rd;
    struct dsmr_exec_head head;
    dsmr_rd_init(&rd, value, len);
    uint8_t version = dsmr_rd_u8(&rd);
    if (rd.err == DSMR_OK && version != VERSION)
        return version > VERSION ? DSMR_ERR_NEWER_FORMAT : DSMR_ERR_CORRUPT;
    head.height = dsmr_rd_u64(&rd);
    dsmr_rd_bytes(&rd, head.state_root.bytes, sizeof head.state_root.bytes);
    dsmr_rd_bytes(&rd, head.block_id.bytes, sizeof head.block_id.bytes);
    head.time_ms = dsmr_rd_u64(&rd);
    if (dsmr_rd_end(&rd) != DSMR_OK)
        return DSMR_ERR_CORRUPT;
    *out = head;
    return DSMR_OK;
}

static enum dsmr_err put_record(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                const struct dsmr_executed *executed, const uint64_t *expiries_ms)
{
    uint8_t key[10];
    size_t len = RECORD_HEAD_BYTES + (size_t)executed->count * RECORD_TX_BYTES;
    uint8_t *bytes = malloc(len);
    if (bytes == NULL)
        return DSMR_ERR_NO_MEMORY;
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, bytes, len);
    dsmr_wr_u8(&wr, VERSION);
    dsmr_wr_u64(&wr, executed->time_ms);
    dsmr_wr_bytes(&wr, executed->block_id.bytes, 32);
    dsmr_wr_bytes(&wr, executed->state_root.bytes, 32);
    dsmr_wr_u32(&wr, executed->count);
    dsmr_wr_bytes(&wr, executed->ids, (size_t)executed->count * sizeof *executed->ids);
    for (uint32_t i = 0; i < executed->count; i++)
        dsmr_wr_u64(&wr, expiries_ms[i]);
    for (uint32_t i = 0; i < executed->count; i++) {
        dsmr_wr_u32(&wr, executed->results[i].code);
        dsmr_wr_u64(&wr, executed->results[i].fee);
    }
    size_t key_len = make_key(key, 'r', executed->height);
    enum dsmr_err err =
        wr.err != DSMR_OK ? wr.err : kv->ops->put(kv->self, txn, key, key_len, bytes, len);
    free(bytes);
    return err;
}

enum dsmr_err dsmr_exec_record_put(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                   const struct dsmr_exec_head *head,
                                   const struct dsmr_executed *executed,
                                   const uint64_t *expiries_ms)
{
    uint8_t key[10], bytes[HEAD_BYTES];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, bytes, sizeof bytes);
    dsmr_wr_u8(&wr, VERSION);
    dsmr_wr_u64(&wr, head->height);
    dsmr_wr_bytes(&wr, head->state_root.bytes, 32);
    dsmr_wr_bytes(&wr, head->block_id.bytes, 32);
    dsmr_wr_u64(&wr, head->time_ms);
    enum dsmr_err err = DSMR_OK;
    if (executed != NULL)
        err = put_record(kv, txn, executed, expiries_ms);
    if (err == DSMR_OK && executed != NULL)
        err = dsmr_exec_index_add(kv, txn, executed);
    if (err == DSMR_OK)
        err = kv->ops->put(kv->self, txn, key, make_key(key, 'h', 0), bytes, sizeof bytes);
    return err;
}

enum dsmr_err dsmr_exec_record_get(struct dsmr_executed **out, uint64_t **expiries_ms,
                                   const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                   uint64_t height)
{
    uint8_t key[10];
    const uint8_t *value;
    size_t len, key_len = make_key(key, 'r', height);
    enum dsmr_err err = kv->ops->get(kv->self, txn, key, key_len, &value, &len);
    if (err != DSMR_OK)
        return err;
    if (len < RECORD_HEAD_BYTES || value[0] != VERSION)
        return DSMR_ERR_CORRUPT;
    uint32_t count = dsmr_load_be32(value + RECORD_HEAD_BYTES - 4);
    if (len != RECORD_HEAD_BYTES + (size_t)count * RECORD_TX_BYTES)
        return DSMR_ERR_CORRUPT;
    struct dsmr_executed *executed = dsmr_exec_record_new(count);
    uint64_t *expiries = expiries_ms == NULL ? NULL : malloc((count + 1u) * sizeof *expiries);
    if (executed == NULL || (expiries_ms != NULL && expiries == NULL)) {
        dsmr_executed_unref(executed);
        free(expiries);
        return DSMR_ERR_NO_MEMORY;
    }
    executed->height = height;
    executed->time_ms = dsmr_load_be64(value + 1);
    memcpy(executed->block_id.bytes, value + 9, 32);
    memcpy(executed->state_root.bytes, value + 41, 32);
    const uint8_t *ids = value + RECORD_HEAD_BYTES;
    const uint8_t *times = ids + (size_t)count * 32u;
    const uint8_t *results = times + (size_t)count * 8u;
    memcpy(executed->ids, ids, (size_t)count * 32u);
    for (uint32_t i = 0; i < count; i++) {
        if (expiries != NULL)
            expiries[i] = dsmr_load_be64(times + (size_t)i * 8u);
        executed->results[i].code = dsmr_load_be32(results + (size_t)i * 12u);
        executed->results[i].fee = dsmr_load_be64(results + (size_t)i * 12u + 4);
    }
    *out = executed;
    if (expiries_ms != NULL)
        *expiries_ms = expiries;
    return DSMR_OK;
}

struct search {
    const struct dsmr_kv *kv;
    struct dsmr_kv_txn *txn;
    const struct dsmr_id *tx_id;
    struct dsmr_app_result *result;
    uint64_t height;
};

/* UNKNOWN: another transaction is there, or its result is no longer kept. */
static enum dsmr_err look_at(void *ctx, uint64_t height, uint32_t index)
{
    struct search *s = ctx;
    uint8_t key[10];
    const uint8_t *value;
    size_t len, key_len = make_key(key, 'r', height);
    enum dsmr_err err = s->kv->ops->get(s->kv->self, s->txn, key, key_len, &value, &len);
    if (err != DSMR_OK)
        return err;
    uint32_t count = len < RECORD_HEAD_BYTES ? 0 : dsmr_load_be32(value + RECORD_HEAD_BYTES - 4);
    if (index >= count || len != RECORD_HEAD_BYTES + (size_t)count * RECORD_TX_BYTES)
        return DSMR_ERR_CORRUPT;
    if (memcmp(value + RECORD_HEAD_BYTES + (size_t)index * 32u, s->tx_id->bytes, 32) != 0)
        return DSMR_ERR_UNKNOWN;
    const uint8_t *at = value + RECORD_HEAD_BYTES + (size_t)count * 40u + (size_t)index * 12u;
    s->result->code = dsmr_load_be32(at);
    s->result->fee = dsmr_load_be64(at + 4);
    s->height = height;
    return DSMR_OK;
}

enum dsmr_err dsmr_exec_record_find(uint64_t *height, struct dsmr_app_result *result,
                                    const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                    const struct dsmr_id *tx_id)
{
    struct search s = {.kv = kv, .txn = txn, .tx_id = tx_id, .result = result};
    enum dsmr_err err = dsmr_exec_index_find(kv, txn, tx_id, look_at, &s);
    if (err == DSMR_OK)
        *height = s.height;
    return err;
}

/* The oldest record. UNKNOWN: none. */
static enum dsmr_err first_record(uint64_t *height, uint64_t *time_ms, const struct dsmr_kv *kv,
                                  struct dsmr_kv_txn *txn)
{
    uint8_t key[10];
    const uint8_t *found, *value;
    size_t found_len, len, key_len = make_key(key, 'r', 0);
    enum dsmr_err err =
        kv->ops->seek(kv->self, txn, key, key_len, false, &found, &found_len, &value, &len);
    if (err != DSMR_OK)
        return err;
    if (found_len != key_len || found[0] != key[0] || found[1] != key[1])
        return DSMR_ERR_UNKNOWN;
    if (len < RECORD_HEAD_BYTES)
        return DSMR_ERR_CORRUPT;
    *height = dsmr_load_be64(found + 2);
    *time_ms = dsmr_load_be64(value + 1);
    return DSMR_OK;
}

enum dsmr_err dsmr_exec_record_drop(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                    uint64_t before_ms)
{
    uint64_t height = 0, time_ms = 0;
    enum dsmr_err err = first_record(&height, &time_ms, kv, txn);
    uint32_t count = 0;
    for (; err == DSMR_OK && time_ms < before_ms && count < DROPS_MAX; count++) {
        uint8_t key[10];
        size_t key_len = make_key(key, 'r', height);
        err = kv->ops->del(kv->self, txn, key, key_len);
        if (err == DSMR_OK)
            err = dsmr_exec_index_drop_block(kv, txn, height);
        if (err == DSMR_OK)
            err = first_record(&height, &time_ms, kv, txn);
    }
    if (err == DSMR_OK && count > 0)
        err = dsmr_exec_index_drop(kv, txn, height);
    return err == DSMR_ERR_UNKNOWN ? DSMR_OK : err;
}
