#define _GNU_SOURCE /* madvise */
#include "store/lmdb_kv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

/* Adds to the counter of syncs for a durable commit: the pages, then the meta page. */
#define SYNCS_PER_COMMIT 2u
/* LMDB's page header, by its format on disk: the number of the page, four bytes, and of the first
 * page of a large value how many it has. */
#define PAGE_HEADER_BYTES 16u
#define PAGE_HEADER_COUNT 12u

struct dsmr_kv_txn {
    MDB_txn *txn;
    MDB_cursor *cursor;   /* NULL until the first seek */
    enum dsmr_err failed; /* of a write; then the transaction can only end */
    bool is_write;
    uint64_t written_bytes;
};

static enum dsmr_err kv_begin(void *self, struct dsmr_kv_txn **out, bool write)
{
    struct dsmr_lmdb_kv *kv = self;
    struct dsmr_kv_txn *txn;
    int rc;

    if (write && atomic_load(&kv->is_stopped)) {
        return DSMR_ERR_IO;
    }
    txn = calloc(1, sizeof *txn);
    if (txn == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    rc = mdb_txn_begin(kv->env.env, NULL, write ? 0 : MDB_RDONLY, &txn->txn);
    if (rc != 0) {
        free(txn);
        return write ? dsmr_lmdb_env_fail(&kv->env, rc) : dsmr_lmdb_env_err(rc);
    }
    txn->is_write = write;
    *out = txn;
    return DSMR_OK;
}

static void kv_abort(void *self, struct dsmr_kv_txn *txn)
{
    (void)self;
    if (txn->cursor != NULL) {
        mdb_cursor_close(txn->cursor);
    }
    mdb_txn_abort(txn->txn);
    free(txn);
}

static enum dsmr_err kv_commit(void *self, struct dsmr_kv_txn *txn)
{
    struct dsmr_lmdb_kv *kv = self;
    enum dsmr_err err = txn->failed;
    uint64_t written_bytes = txn->written_bytes;

    if (err != DSMR_OK) {
        kv_abort(self, txn);
        return err;
    }
    if (txn->cursor != NULL) {
        mdb_cursor_close(txn->cursor);
    }
    err = dsmr_lmdb_env_commit(&kv->env, txn->txn);
    free(txn);
    if (err == DSMR_ERR_IO) {
        atomic_store(&kv->is_stopped, true);
    }
    if (err == DSMR_OK && written_bytes != 0 && kv->metrics != NULL) {
        dsmr_metrics_add(kv->metrics, DSMR_METRIC_DISK_BYTES, written_bytes);
        dsmr_metrics_add(kv->metrics, DSMR_METRIC_DISK_SYNCS, SYNCS_PER_COMMIT);
    }
    return err;
}

static enum dsmr_err result_of(struct dsmr_lmdb_kv *kv, int rc)
{
    return rc == 0 ? DSMR_OK : dsmr_lmdb_env_fail(&kv->env, rc);
}

static bool is_key(size_t key_len)
{
    return key_len >= 1 && key_len <= DSMR_KV_KEY_BYTES_MAX;
}

static MDB_val val_of(const void *bytes, size_t len)
{
    union {
        const void *in;
        void *out; /* LMDB takes keys and values to store without const */
    } pointer = {.in = bytes};
    return (MDB_val){.mv_size = len, .mv_data = pointer.out};
}

static enum dsmr_err kv_get(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                            const uint8_t **value, size_t *value_len)
{
    const struct dsmr_lmdb_kv *kv = self;
    MDB_val k = val_of(key, key_len);
    MDB_val v;
    int rc;

    if (!is_key(key_len)) {
        return DSMR_ERR_TOO_LARGE;
    }
    if (txn->failed != DSMR_OK) {
        return txn->failed;
    }
    rc = mdb_get(txn->txn, kv->env.dbi, &k, &v);
    if (rc != 0) {
        return dsmr_lmdb_env_err(rc);
    }
    *value = v.mv_data;
    *value_len = v.mv_size;
    return DSMR_OK;
}

static enum dsmr_err kv_put(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                            const void *value, size_t value_len)
{
    struct dsmr_lmdb_kv *kv = self;
    MDB_val k = val_of(key, key_len);
    MDB_val v = val_of(value, value_len);

    DSMR_ASSERT(txn->is_write);
    if (!is_key(key_len) || value_len > DSMR_KV_VALUE_BYTES_MAX) {
        return DSMR_ERR_TOO_LARGE;
    }
    if (txn->failed == DSMR_OK) {
        txn->failed = result_of(kv, mdb_put(txn->txn, kv->env.dbi, &k, &v, 0));
        txn->written_bytes += key_len + value_len;
    }
    return txn->failed;
}

static enum dsmr_err kv_del(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len)
{
    struct dsmr_lmdb_kv *kv = self;
    MDB_val k = val_of(key, key_len);
    int rc;

    DSMR_ASSERT(txn->is_write);
    if (!is_key(key_len)) {
        return DSMR_ERR_TOO_LARGE;
    }
    if (txn->failed == DSMR_OK) {
        rc = mdb_del(txn->txn, kv->env.dbi, &k, NULL);
        txn->failed = rc == MDB_NOTFOUND ? DSMR_OK : result_of(kv, rc);
        txn->written_bytes += rc == 0 ? key_len : 0;
    }
    return txn->failed;
}

/* The largest key <= key, from where MDB_SET_RANGE left the cursor (rc: its answer). */
static int step_back(MDB_cursor *cursor, int rc, MDB_val *found, MDB_val *value, const void *key,
                     size_t key_len)
{
    if (rc == MDB_NOTFOUND) {
        return mdb_cursor_get(cursor, found, value, MDB_LAST);
    }
    if (rc != 0 || (found->mv_size == key_len && memcmp(found->mv_data, key, key_len) == 0)) {
        return rc;
    }
    return mdb_cursor_get(cursor, found, value, MDB_PREV);
}

static enum dsmr_err kv_seek(void *self, struct dsmr_kv_txn *txn, const void *key, size_t key_len,
                             bool reverse, const uint8_t **found, size_t *found_len,
                             const uint8_t **value, size_t *value_len)
{
    const struct dsmr_lmdb_kv *kv = self;
    MDB_val k = val_of(key, key_len);
    MDB_val v;
    int rc = 0;

    if (!is_key(key_len)) {
        return DSMR_ERR_TOO_LARGE;
    }
    if (txn->failed != DSMR_OK) {
        return txn->failed;
    }
    if (txn->cursor == NULL) {
        rc = mdb_cursor_open(txn->txn, kv->env.dbi, &txn->cursor);
        if (rc != 0) {
            return dsmr_lmdb_env_err(rc);
        }
    }
    rc = mdb_cursor_get(txn->cursor, &k, &v, MDB_SET_RANGE);
    if (reverse) {
        rc = step_back(txn->cursor, rc, &k, &v, key, key_len);
    }
    if (rc != 0) {
        return dsmr_lmdb_env_err(rc);
    }
    *found = k.mv_data;
    *found_len = k.mv_size;
    *value = v.mv_data;
    *value_len = v.mv_size;
    return DSMR_OK;
}

/* Where a value that fills pages of its own lies: in memory, and in the file. False: a small one,
 * or a damaged length: what lies behind the map is not the value's, and a hint would empty it. */
static bool pages_of(const struct dsmr_lmdb_env *env, const MDB_val *value, uint8_t **begin,
                     uint64_t *at, size_t *len)
{
    const size_t page_bytes = env->page_bytes;
    MDB_envinfo info;
    size_t number;
    uint32_t count;

    *begin = (uint8_t *)value->mv_data - PAGE_HEADER_BYTES;
    if (value->mv_size < page_bytes || (uintptr_t)*begin % page_bytes != 0) {
        return false;
    }
    memcpy(&number, *begin, sizeof number);
    memcpy(&count, *begin + PAGE_HEADER_COUNT, sizeof count);
    (void)mdb_env_info(env->env, &info);
    *at = (uint64_t)number * page_bytes;
    *len = (PAGE_HEADER_BYTES + value->mv_size + page_bytes - 1) / page_bytes * page_bytes;
    return *len / page_bytes == count && number <= info.me_last_pgno &&
           count <= info.me_last_pgno - number + 1;
}

/* What is mapped stays in the page cache: so it leaves the map first. */
static void kv_advise(void *self, const void *key, size_t key_len, bool is_needed)
{
    struct dsmr_lmdb_kv *kv = self;
    MDB_val k = val_of(key, key_len);
    MDB_val v;
    MDB_txn *txn;
    mdb_filehandle_t fd;
    uint8_t *begin;
    uint64_t at;
    size_t len;

    if (!is_key(key_len) || mdb_txn_begin(kv->env.env, NULL, MDB_RDONLY, &txn) != 0) {
        return;
    }
    if (mdb_get(txn, kv->env.dbi, &k, &v) == 0 && pages_of(&kv->env, &v, &begin, &at, &len)) {
        if (is_needed) {
            (void)madvise(begin, len, MADV_WILLNEED);
        } else {
            (void)mdb_env_get_fd(kv->env.env, &fd);
            (void)madvise(begin, len, MADV_DONTNEED);
            (void)posix_fadvise(fd, (off_t)at, (off_t)len, POSIX_FADV_DONTNEED);
        }
    }
    mdb_txn_abort(txn);
}

static void kv_cause(void *self, char *text, size_t size)
{
    const struct dsmr_lmdb_kv *kv = self;

    text[0] = 0;
    if (kv->env.cause != NULL) {
        dsmr_store_cause_get(kv->env.cause, text, size);
    }
}

static const struct dsmr_kv_ops kv_ops = {
    .begin = kv_begin,
    .commit = kv_commit,
    .abort = kv_abort,
    .get = kv_get,
    .put = kv_put,
    .del = kv_del,
    .seek = kv_seek,
    .advise = kv_advise,
    .cause = kv_cause,
};

struct dsmr_kv dsmr_lmdb_kv_port(struct dsmr_lmdb_kv *kv)
{
    return (struct dsmr_kv){.self = kv, .ops = &kv_ops};
}
