#include "store/store_format.h"

#include <string.h>

#include "store/store_apply.h"
#include "store/store_txn.h"
#include "wire/codec.h"

static enum dsmr_err put_format(struct dsmr_store_txn *txn)
{
    struct dsmr_schema_key key;

    dsmr_schema_key(&key, DSMR_SCHEMA_FORMAT_KEY);
    dsmr_store_txn_put_u64(txn, &key, DSMR_SCHEMA_FORMAT);
    return txn->failed;
}

/* ---- from 1 to 2: what no block has is listed ---- */

/* The reference in a record of a chunk or certificate if it belongs on the list. */
static bool is_waiting(struct dsmr_store_txn *txn, struct dsmr_reference *ref, const MDB_val *key,
                       const MDB_val *value)
{
    bool is_chunk = *(const uint8_t *)key->mv_data == DSMR_SCHEMA_CHUNK;
    struct dsmr_schema_chunk chunk;
    struct dsmr_cert cert;
    struct dsmr_rd rd;

    if (dsmr_schema_open(&rd, key->mv_data, key->mv_size, value->mv_data, value->mv_size) !=
        DSMR_OK) {
        return false; /* damaged: recovery would have left it out */
    }
    if (is_chunk) {
        dsmr_schema_chunk_decode(&rd, &chunk);
        *ref = chunk.meta.ref;
    } else {
        memset(&cert, 0, sizeof cert);
        dsmr_cert_decode(&rd, &cert, DSMR_VALIDATORS_MAX);
        *ref = cert.ref;
    }
    if (dsmr_schema_end(&rd) != DSMR_OK) {
        return false;
    }
    if (!is_chunk && dsmr_store_txn_get_chunk(txn, &chunk, &ref->chunk_id) != DSMR_OK) {
        return true; /* its chunk has not come: perhaps it is in a block, then it soon expires */
    }
    return chunk.meta.included_height == UINT64_MAX;
}

static enum dsmr_err list_space(struct dsmr_store_txn *txn, enum dsmr_schema_space space)
{
    MDB_cursor *cursor;
    uint8_t start = (uint8_t)space;
    MDB_val key = {.mv_size = 1, .mv_data = &start};
    MDB_val value;
    int rc = mdb_cursor_open(txn->txn, txn->store->consensus.dbi, &cursor);

    if (rc != 0) {
        return dsmr_lmdb_env_err(rc);
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && txn->failed == DSMR_OK && *(const uint8_t *)key.mv_data == start) {
        struct dsmr_reference ref;
        if (is_waiting(txn, &ref, &key, &value)) {
            dsmr_store_txn_set_waiting(txn, &ref, true); /* the cursor stays where it is */
        }
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? txn->failed : dsmr_lmdb_env_err(rc);
}

static enum dsmr_err upgrade(struct dsmr_lmdb_store *store)
{
    struct dsmr_store_txn txn;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, true);

    if (err != DSMR_OK) {
        return err;
    }
    err = list_space(&txn, DSMR_SCHEMA_CHUNK);
    if (err == DSMR_OK) {
        err = list_space(&txn, DSMR_SCHEMA_CERT);
    }
    if (err == DSMR_OK) {
        err = put_format(&txn);
    }
    if (err != DSMR_OK) {
        dsmr_store_txn_abort(&txn);
        return err;
    }
    if (store->log.ops != NULL) {
        store->log.ops->line(store->log.self, DSMR_LOG_INFO, "store",
                             "data of storage format 1 is brought to format 2");
    }
    return dsmr_store_txn_commit(&txn);
}

/* ---- open ---- */

static enum dsmr_err begin(struct dsmr_lmdb_store *store, const struct dsmr_store_write *first)
{
    struct dsmr_store_txn txn;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, true);

    if (err != DSMR_OK) {
        return err;
    }
    err = put_format(&txn);
    if (err == DSMR_OK && first != NULL) {
        err = dsmr_store_apply(&txn, first);
    }
    if (err != DSMR_OK) {
        dsmr_store_txn_abort(&txn);
        return err;
    }
    return dsmr_store_txn_commit(&txn);
}

enum dsmr_err dsmr_store_format_check(struct dsmr_lmdb_store *store,
                                      const struct dsmr_store_write *first)
{
    struct dsmr_schema_key key;
    struct dsmr_store_txn txn;
    MDB_stat stat;
    uint64_t format;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, false);

    if (err != DSMR_OK) {
        return err;
    }
    dsmr_schema_key(&key, DSMR_SCHEMA_FORMAT_KEY);
    err = dsmr_store_txn_get_u64(&txn, &format, &key);
    (void)mdb_stat(txn.txn, store->consensus.dbi, &stat);
    dsmr_store_txn_abort(&txn);
    if (err == DSMR_OK && format < DSMR_SCHEMA_FORMAT) {
        return format == 0 ? DSMR_ERR_CORRUPT : upgrade(store);
    }
    if (err == DSMR_OK) {
        return format > DSMR_SCHEMA_FORMAT ? DSMR_ERR_NEWER_FORMAT : DSMR_OK;
    }
    if (err != DSMR_ERR_UNKNOWN || stat.ms_entries != 0) {
        return err == DSMR_ERR_UNKNOWN ? DSMR_ERR_CORRUPT : err;
    }
    return begin(store, first);
}
