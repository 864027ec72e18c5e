#include "store/store_txn.h"

#include <string.h>

#include "base/assert.h"
#include "wire/codec.h"

/* A durable commit syncs the pages and then the meta page. */
#define SYNCS_PER_COMMIT 2u

static MDB_val val_of_key(const struct dsmr_schema_key *key)
{
    union {
        const uint8_t *in;
        void *out; /* LMDB takes keys without const and does not write to them */
    } pointer = {.in = key->bytes};
    return (MDB_val){.mv_size = key->len, .mv_data = pointer.out};
}

static void fail(struct dsmr_store_txn *txn, int rc)
{
    enum dsmr_err err = dsmr_lmdb_env_fail(&txn->store->consensus, rc);

    if (txn->failed == DSMR_OK) {
        /* A damaged page is not a damaged record: nothing can be trusted to be written. */
        txn->failed = err == DSMR_ERR_CORRUPT ? DSMR_ERR_IO : err;
    }
}

enum dsmr_err dsmr_store_txn_begin(struct dsmr_store_txn *out, struct dsmr_lmdb_store *store,
                                   bool is_write)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->consensus.env, NULL, is_write ? 0 : MDB_RDONLY, &txn);

    if (rc != 0) {
        return is_write ? dsmr_lmdb_env_fail(&store->consensus, rc) : dsmr_lmdb_env_err(rc);
    }
    *out = (struct dsmr_store_txn){.store = store, .txn = txn};
    return DSMR_OK;
}

enum dsmr_err dsmr_store_txn_commit(struct dsmr_store_txn *txn)
{
    struct dsmr_metrics *metrics = txn->store->metrics;
    enum dsmr_err err = txn->failed;

    if (err != DSMR_OK || txn->written_bytes == 0) {
        dsmr_store_txn_abort(txn);
        return err;
    }
    err = dsmr_lmdb_env_commit(&txn->store->consensus, txn->txn);
    txn->txn = NULL;
    if (err == DSMR_OK && metrics != NULL) {
        dsmr_metrics_add(metrics, DSMR_METRIC_DISK_BYTES, txn->written_bytes);
        dsmr_metrics_add(metrics, DSMR_METRIC_DISK_SYNCS, SYNCS_PER_COMMIT);
    }
    return err;
}

void dsmr_store_txn_abort(struct dsmr_store_txn *txn)
{
    mdb_txn_abort(txn->txn);
    txn->txn = NULL;
}

enum dsmr_err dsmr_store_txn_get(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                                 MDB_val *value)
{
    MDB_val k = val_of_key(key);
    int rc;

    if (txn->failed != DSMR_OK) {
        return txn->failed;
    }
    rc = mdb_get(txn->txn, txn->store->consensus.dbi, &k, value);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        fail(txn, rc);
    }
    return dsmr_lmdb_env_err(rc);
}

enum dsmr_err dsmr_store_txn_read(struct dsmr_store_txn *txn, struct dsmr_rd *rd,
                                  const struct dsmr_schema_key *key)
{
    MDB_val value;
    enum dsmr_err err = dsmr_store_txn_get(txn, key, &value);

    if (err != DSMR_OK) {
        return err;
    }
    return dsmr_schema_open(rd, key->bytes, key->len, value.mv_data, value.mv_size);
}

void *dsmr_store_txn_reserve(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                             size_t len)
{
    MDB_val k = val_of_key(key);
    MDB_val v = {.mv_size = len, .mv_data = NULL};
    int rc;

    if (txn->failed != DSMR_OK) {
        return NULL;
    }
    rc = mdb_put(txn->txn, txn->store->consensus.dbi, &k, &v, MDB_RESERVE);
    if (rc != 0) {
        fail(txn, rc);
        return NULL;
    }
    txn->written_bytes += key->len + len;
    return v.mv_data;
}

void dsmr_store_txn_put(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                        const void *value, size_t len)
{
    void *room = dsmr_store_txn_reserve(txn, key, len);

    if (room != NULL && len > 0) {
        memcpy(room, value, len);
    }
}

void dsmr_store_txn_del(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key)
{
    MDB_val k = val_of_key(key);
    int rc;

    if (txn->failed != DSMR_OK) {
        return;
    }
    rc = mdb_del(txn->txn, txn->store->consensus.dbi, &k, NULL);
    if (rc == 0) {
        txn->written_bytes += key->len;
    } else if (rc != MDB_NOTFOUND) {
        fail(txn, rc);
    }
}

void dsmr_store_txn_put_record(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                               struct dsmr_wr *wr)
{
    bool is_sealed = dsmr_schema_seal(wr, key->bytes, key->len);

    DSMR_ASSERT(is_sealed);
    dsmr_store_txn_put(txn, key, wr->bytes, wr->at);
}

/* Orders keys as LMDB does. */
static int compare(const MDB_val *a, const struct dsmr_schema_key *b)
{
    size_t len = a->mv_size < b->len ? a->mv_size : b->len;
    int order = memcmp(a->mv_data, b->bytes, len);

    return order != 0 ? order : (a->mv_size > b->len) - (a->mv_size < b->len);
}

uint32_t dsmr_store_txn_del_range(struct dsmr_store_txn *txn, const struct dsmr_schema_key *from,
                                  const struct dsmr_schema_key *to, uint32_t max)
{
    MDB_cursor *cursor = NULL;
    MDB_val key = val_of_key(from);
    MDB_val value;
    uint32_t count = 0;
    int rc;

    if (txn->failed != DSMR_OK) {
        return 0;
    }
    rc = mdb_cursor_open(txn->txn, txn->store->consensus.dbi, &cursor);
    if (rc != 0) {
        fail(txn, rc);
        return 0;
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && count < max && compare(&key, to) < 0) {
        txn->written_bytes += key.mv_size;
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0) {
            count++;
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        fail(txn, rc);
    }
    return count;
}

enum dsmr_err dsmr_store_txn_first(struct dsmr_store_txn *txn, MDB_val *key,
                                   const struct dsmr_schema_key *from)
{
    MDB_cursor *cursor = NULL;
    MDB_val value;
    int rc;

    if (txn->failed != DSMR_OK) {
        return txn->failed;
    }
    rc = mdb_cursor_open(txn->txn, txn->store->consensus.dbi, &cursor);
    if (rc != 0) {
        fail(txn, rc);
        return txn->failed;
    }
    *key = val_of_key(from);
    rc = mdb_cursor_get(cursor, key, &value, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        fail(txn, rc);
        return txn->failed;
    }
    return dsmr_lmdb_env_err(rc);
}

enum dsmr_err dsmr_store_txn_last(struct dsmr_store_txn *txn, MDB_val *key,
                                  enum dsmr_schema_space space)
{
    MDB_cursor *cursor = NULL;
    struct dsmr_schema_key next;
    MDB_val value;
    int rc;

    if (txn->failed != DSMR_OK) {
        return txn->failed;
    }
    rc = mdb_cursor_open(txn->txn, txn->store->consensus.dbi, &cursor);
    if (rc != 0) {
        fail(txn, rc);
        return txn->failed;
    }
    next.len = 1;
    next.bytes[0] = (uint8_t)(space + 1);
    *key = val_of_key(&next);
    rc = mdb_cursor_get(cursor, key, &value, MDB_SET_RANGE);
    rc = mdb_cursor_get(cursor, key, &value, rc == 0 ? MDB_PREV : MDB_LAST);
    mdb_cursor_close(cursor);
    return dsmr_lmdb_env_err(rc);
}

/* ---- the records that more than one file uses ---- */

enum dsmr_err dsmr_store_txn_get_u64(struct dsmr_store_txn *txn, uint64_t *out,
                                     const struct dsmr_schema_key *key)
{
    struct dsmr_rd rd;
    uint64_t v;
    enum dsmr_err err = dsmr_store_txn_read(txn, &rd, key);

    if (err != DSMR_OK) {
        return err;
    }
    v = dsmr_rd_u64(&rd);
    err = dsmr_schema_end(&rd);
    if (err == DSMR_OK) {
        *out = v;
    }
    return err;
}

void dsmr_store_txn_put_u64(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                            uint64_t v)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_wr wr;

    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_wr_u64(&wr, v);
    dsmr_store_txn_put_record(txn, key, &wr);
}

enum dsmr_err dsmr_store_txn_get_chunk(struct dsmr_store_txn *txn, struct dsmr_schema_chunk *out,
                                       const struct dsmr_id *chunk_id)
{
    struct dsmr_schema_chunk chunk;
    struct dsmr_schema_key key;
    struct dsmr_rd rd;
    enum dsmr_err err;

    dsmr_schema_key_id(&key, DSMR_SCHEMA_CHUNK, chunk_id);
    err = dsmr_store_txn_read(txn, &rd, &key);
    if (err != DSMR_OK) {
        return err;
    }
    dsmr_schema_chunk_decode(&rd, &chunk);
    err = dsmr_schema_end(&rd);
    if (err == DSMR_OK) {
        *out = chunk;
    }
    return err;
}

void dsmr_store_txn_put_chunk(struct dsmr_store_txn *txn, const struct dsmr_schema_chunk *chunk)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_key key;
    struct dsmr_wr wr;

    dsmr_schema_key_id(&key, DSMR_SCHEMA_CHUNK, &chunk->meta.ref.chunk_id);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_schema_chunk_encode(&wr, chunk);
    dsmr_store_txn_put_record(txn, &key, &wr);
}

enum dsmr_err dsmr_store_txn_get_cert(struct dsmr_store_txn *txn, struct dsmr_cert *out,
                                      const struct dsmr_id *chunk_id)
{
    struct dsmr_schema_key key;
    struct dsmr_cert cert;
    struct dsmr_rd rd;
    enum dsmr_err err;

    dsmr_schema_key_id(&key, DSMR_SCHEMA_CERT, chunk_id);
    err = dsmr_store_txn_read(txn, &rd, &key);
    if (err != DSMR_OK) {
        return err;
    }
    memset(&cert, 0, sizeof cert);
    dsmr_cert_decode(&rd, &cert, DSMR_VALIDATORS_MAX);
    err = dsmr_schema_end(&rd);
    if (err == DSMR_OK) {
        *out = cert;
    }
    return err;
}

void dsmr_store_txn_set_waiting(struct dsmr_store_txn *txn, const struct dsmr_reference *ref,
                                bool is_waiting)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_key key;
    struct dsmr_wr wr;
    MDB_val found;

    dsmr_schema_key_waiting(&key, ref);
    if (!is_waiting) {
        dsmr_store_txn_del(txn, &key);
    } else if (dsmr_store_txn_get(txn, &key, &found) == DSMR_ERR_UNKNOWN) {
        dsmr_schema_begin(&wr, bytes, sizeof bytes);
        dsmr_store_txn_put_record(txn, &key, &wr);
    }
}

enum dsmr_err dsmr_store_txn_get_accepted(struct dsmr_store_txn *txn, uint64_t *height,
                                          struct dsmr_id *id)
{
    struct dsmr_schema_key key;
    struct dsmr_rd rd;
    struct dsmr_id found_id;
    uint64_t found;
    enum dsmr_err err;

    dsmr_schema_key(&key, DSMR_SCHEMA_ACCEPTED);
    err = dsmr_store_txn_read(txn, &rd, &key);
    if (err != DSMR_OK) {
        return err;
    }
    found = dsmr_rd_u64(&rd);
    dsmr_rd_bytes(&rd, found_id.bytes, sizeof found_id.bytes);
    err = dsmr_schema_end(&rd);
    if (err == DSMR_OK) {
        *height = found;
        *id = found_id;
    }
    return err;
}

enum dsmr_err dsmr_store_txn_get_segment(struct dsmr_store_txn *txn,
                                         struct dsmr_schema_segment *out, uint64_t number)
{
    struct dsmr_schema_segment segment;
    struct dsmr_schema_key key;
    struct dsmr_rd rd;
    enum dsmr_err err;

    dsmr_schema_key_u64(&key, DSMR_SCHEMA_SEGMENT, number);
    err = dsmr_store_txn_read(txn, &rd, &key);
    if (err != DSMR_OK) {
        return err;
    }
    dsmr_schema_segment_decode(&rd, &segment);
    err = dsmr_schema_end(&rd);
    if (err == DSMR_OK) {
        *out = segment;
    }
    return err;
}

void dsmr_store_txn_put_segment(struct dsmr_store_txn *txn,
                                const struct dsmr_schema_segment *segment, uint64_t number)
{
    uint8_t bytes[DSMR_SCHEMA_RECORD_BYTES_MAX];
    struct dsmr_schema_key key;
    struct dsmr_wr wr;

    dsmr_schema_key_u64(&key, DSMR_SCHEMA_SEGMENT, number);
    dsmr_schema_begin(&wr, bytes, sizeof bytes);
    dsmr_schema_segment_encode(&wr, segment);
    dsmr_store_txn_put_record(txn, &key, &wr);
}

enum dsmr_err dsmr_store_txn_get_block(struct dsmr_store_txn *txn, struct dsmr_schema_block *out,
                                       uint64_t height)
{
    struct dsmr_schema_block block;
    struct dsmr_schema_key key;
    struct dsmr_rd rd;
    enum dsmr_err err;

    dsmr_schema_key_u64(&key, DSMR_SCHEMA_BLOCK, height);
    err = dsmr_store_txn_read(txn, &rd, &key);
    if (err != DSMR_OK) {
        return err;
    }
    dsmr_schema_block_decode(&rd, &block);
    err = dsmr_schema_end(&rd);
    if (err == DSMR_OK) {
        *out = block;
    }
    return err;
}
