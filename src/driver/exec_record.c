#include "driver/exec_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "driver/exec_index.h"
#include "wire/cursor.h"

#define VERSION 2u /* 1: without columns, and with longer entries in the index */
#define HEAD_BYTES (1u + 8u + 32u + 32u + 8u)
#define RECORD_HEAD_BYTES (1u + 8u + 32u + 32u + 4u)
#define COLUMN_HEAD_BYTES (8u + 1u)
#define RECORD_BYTES_MIN (RECORD_HEAD_BYTES + 3u * COLUMN_HEAD_BYTES)
#define RECORD_TX_BYTES_MAX (32u + 8u + 4u + 8u)
_Static_assert(RECORD_BYTES_MIN + (uint64_t)DSMR_BLOCK_TXS_LIMIT * RECORD_TX_BYTES_MAX <=
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
    return RECORD_BYTES_MIN + HEAD_BYTES +
           (uint64_t)txs * (RECORD_TX_BYTES_MAX + DSMR_EXEC_INDEX_TX_BYTES);
}

struct dsmr_executed *dsmr_exec_record_new(uint32_t count)
{
    struct dsmr_executed *executed = calloc(1, sizeof *executed);
    if (executed == NULL)
        return NULL;
    executed->refs = 1;
    executed->count = count;
    executed->ids = malloc((count + 1u) * sizeof *executed->ids);
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
        return version > VERSION ? DSMR_ERR_NEWER_FORMAT : DSMR_ERR_VERSION;
    head.height = dsmr_rd_u64(&rd);
    dsmr_rd_bytes(&rd, head.state_root.bytes, sizeof head.state_root.bytes);
    dsmr_rd_bytes(&rd, head.block_id.bytes, sizeof head.block_id.bytes);
    head.time_ms = dsmr_rd_u64(&rd);
    if (dsmr_rd_end(&rd) != DSMR_OK)
        return DSMR_ERR_CORRUPT;
    *out = head;
    return DSMR_OK;
}

/* ---- columns ---- */

/* Numbers of four or eight bytes each, stride bytes apart. */
struct numbers {
    const void *first;
    size_t stride;
    bool is_u32;
    uint64_t least;
    uint32_t width; /* of what is above the least */
};

static uint64_t number_at(const struct numbers *numbers, uint32_t i)
{
    const uint8_t *at = (const uint8_t *)numbers->first + i * numbers->stride;
    uint64_t number = 0;
    uint32_t short_number = 0;
    if (numbers->is_u32) {
        memcpy(&short_number, at, sizeof short_number);
        return short_number;
    }
    memcpy(&number, at, sizeof number);
    return number;
}

static void measure(struct numbers *numbers, uint32_t count)
{
    uint64_t least = count > 0 ? UINT64_MAX : 0, most = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = number_at(numbers, i);
        least = number < least ? number : least;
        most = number > most ? number : most;
    }
    uint64_t range = most - least;
    numbers->least = least;
    numbers->width = range == 0            ? 0
                     : range <= UINT8_MAX  ? 1
                     : range <= UINT16_MAX ? 2
                     : range <= UINT32_MAX ? 4
                                           : 8;
}

/* Where it ends. */
static uint8_t *write_column(uint8_t *at, const struct numbers *numbers, uint32_t count)
{
    const uint32_t width = numbers->width;
    dsmr_store_be64(at, numbers->least);
    at[8] = (uint8_t)width;
    at += COLUMN_HEAD_BYTES;
    for (uint32_t i = 0; width > 0 && i < count; i++, at += width) {
        uint64_t above = number_at(numbers, i) - numbers->least;
        if (width == 2)
            dsmr_store_be16(at, (uint16_t)above);
        else if (width == 4)
            dsmr_store_be32(at, (uint32_t)above);
        else if (width == 8)
            dsmr_store_be64(at, above);
        else
            at[0] = (uint8_t)above;
    }
    return at;
}

struct column {
    uint64_t least;
    uint32_t width;
    const uint8_t *above;
};

static bool open_column(struct column *out, struct dsmr_rd *rd, uint32_t count)
{
    out->least = dsmr_rd_u64(rd);
    out->width = dsmr_rd_u8(rd);
    bool is_width = out->width <= 2 || out->width == 4 || out->width == 8;
    if (rd->err != DSMR_OK || !is_width)
        return false;
    out->above = dsmr_rd_view(rd, (size_t)count * out->width);
    return rd->err == DSMR_OK;
}

/* False: no number of 64 bits. */
static bool column_at(uint64_t *out, const struct column *column, uint32_t i)
{
    const uint8_t *at = column->above + (size_t)i * column->width;
    uint64_t above = column->width == 0   ? 0
                     : column->width == 1 ? at[0]
                     : column->width == 2 ? dsmr_load_be16(at)
                     : column->width == 4 ? dsmr_load_be32(at)
                                          : dsmr_load_be64(at);
    *out = column->least + above;
    return *out >= above;
}

/* ---- records ---- */

static enum dsmr_err put_record(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                const struct dsmr_executed *executed, const uint64_t *expiries_ms)
{
    uint8_t key[10];
    const uint32_t count = executed->count;
    const struct dsmr_app_result *results = executed->results;
    struct numbers columns[3] = {
        {.first = expiries_ms, .stride = sizeof *expiries_ms},
        {.first = &results->code, .stride = sizeof *results, .is_u32 = true},
        {.first = &results->fee, .stride = sizeof *results}};
    size_t len = RECORD_BYTES_MIN + (size_t)count * sizeof *executed->ids;
    for (uint32_t i = 0; i < 3; i++) {
        measure(&columns[i], count);
        len += (size_t)count * columns[i].width;
    }
    uint8_t *bytes = malloc(len);
    if (bytes == NULL)
        return DSMR_ERR_NO_MEMORY;
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, bytes, len);
    dsmr_wr_u8(&wr, VERSION);
    dsmr_wr_u64(&wr, executed->time_ms);
    dsmr_wr_bytes(&wr, executed->block_id.bytes, 32);
    dsmr_wr_bytes(&wr, executed->state_root.bytes, 32);
    dsmr_wr_u32(&wr, count);
    dsmr_wr_bytes(&wr, executed->ids, (size_t)count * sizeof *executed->ids);
    uint8_t *at = bytes + wr.at;
    for (uint32_t i = 0; i < 3; i++)
        at = write_column(at, &columns[i], count);
    DSMR_ASSERT(wr.err == DSMR_OK && at == bytes + len);
    size_t key_len = make_key(key, 'r', executed->height);
    enum dsmr_err err = kv->ops->put(kv->self, txn, key, key_len, bytes, len);
    free(bytes);
    return err;
}

struct record {
    uint64_t time_ms;
    const uint8_t *block_id, *state_root;
    uint32_t count;
    const uint8_t *ids;
    struct column expiries, codes, fees;
};

static enum dsmr_err open_record(struct record *out, const uint8_t *value, size_t len)
{
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, value, len);
    uint8_t version = dsmr_rd_u8(&rd);
    out->time_ms = dsmr_rd_u64(&rd);
    out->block_id = dsmr_rd_view(&rd, 32);
    out->state_root = dsmr_rd_view(&rd, 32);
    out->count = dsmr_rd_u32(&rd);
    out->ids = dsmr_rd_view(&rd, (size_t)out->count * 32u);
    bool is_whole = version == VERSION && rd.err == DSMR_OK &&
                    open_column(&out->expiries, &rd, out->count) &&
                    open_column(&out->codes, &rd, out->count) &&
                    open_column(&out->fees, &rd, out->count) && dsmr_rd_end(&rd) == DSMR_OK;
    return is_whole ? DSMR_OK : DSMR_ERR_CORRUPT;
}

static enum dsmr_err result_at(struct dsmr_app_result *out, const struct record *record, uint32_t i)
{
    uint64_t code, fee;
    if (!column_at(&code, &record->codes, i) || code > UINT32_MAX ||
        !column_at(&fee, &record->fees, i))
        return DSMR_ERR_CORRUPT;
    *out = (struct dsmr_app_result){.code = (uint32_t)code, .fee = fee};
    return DSMR_OK;
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

/* expiries_ms may be NULL. */
static enum dsmr_err read_rows(struct dsmr_executed *out, uint64_t *expiries_ms,
                               const struct record *record)
{
    enum dsmr_err err = DSMR_OK;
    memcpy(out->ids, record->ids, (size_t)record->count * sizeof *out->ids);
    for (uint32_t i = 0; i < record->count && err == DSMR_OK; i++) {
        err = result_at(&out->results[i], record, i);
        if (expiries_ms != NULL && !column_at(&expiries_ms[i], &record->expiries, i))
            err = DSMR_ERR_CORRUPT;
    }
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
    struct record record;
    err = open_record(&record, value, len);
    if (err != DSMR_OK)
        return err;
    const uint32_t count = record.count;
    struct dsmr_executed *executed = dsmr_exec_record_new(count);
    uint64_t *expiries = expiries_ms == NULL ? NULL : malloc((count + 1u) * sizeof *expiries);
    if (executed == NULL || (expiries_ms != NULL && expiries == NULL))
        err = DSMR_ERR_NO_MEMORY;
    else
        err = read_rows(executed, expiries, &record);
    if (err != DSMR_OK) {
        dsmr_executed_unref(executed);
        free(expiries);
        return err;
    }
    executed->height = height;
    executed->time_ms = record.time_ms;
    memcpy(executed->block_id.bytes, record.block_id, 32);
    memcpy(executed->state_root.bytes, record.state_root, 32);
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
    struct record record;
    err = open_record(&record, value, len);
    if (err == DSMR_OK && index >= record.count)
        err = DSMR_ERR_CORRUPT;
    if (err == DSMR_OK && memcmp(record.ids + (size_t)index * 32u, s->tx_id->bytes, 32) != 0)
        err = DSMR_ERR_UNKNOWN;
    if (err == DSMR_OK)
        err = result_at(s->result, &record, index);
    if (err != DSMR_OK)
        return err;
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

void dsmr_exec_record_advise(const struct dsmr_kv *kv, uint64_t height, bool is_needed)
{
    uint8_t key[10];
    if (kv->ops->advise != NULL)
        kv->ops->advise(kv->self, key, make_key(key, 'r', height), is_needed);
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
