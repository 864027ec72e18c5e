#define _GNU_SOURCE
#include "store/lmdb_peek.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/store_read.h"
#include "store/store_txn.h"

#define MAP_BYTES 0ull /* as large as the file says it may become */
#define READERS 512u
#define PATH_BYTES_MAX 4096u

struct dsmr_lmdb_peek {
    struct dsmr_lmdb_store store; /* the databases of it, and why they cannot be read */
};

/* LOCKED if a store has the directory open. The lock is not kept: it would keep a node away. */
static enum dsmr_err check_lock(const char *directory)
{
    char path[PATH_BYTES_MAX];
    enum dsmr_err err = DSMR_OK;

    (void)snprintf(path, sizeof path, "%s/lock", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return DSMR_OK; /* nobody has ever held it, or it is not for us: then nor is the rest */
    }
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        err = DSMR_ERR_LOCKED;
    }
    (void)close(fd);
    return err;
}

static enum dsmr_err open_database(struct dsmr_lmdb_env *out, const char *directory,
                                   const char *name, struct dsmr_store_cause *cause)
{
    char path[PATH_BYTES_MAX];
    char file[PATH_BYTES_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", directory, name);

    if (len < 0 || (size_t)len + sizeof "/data.mdb" > sizeof path) {
        return DSMR_ERR_CONFIG;
    }
    (void)snprintf(file, sizeof file, "%.4000s/data.mdb", path);
    if (access(file, F_OK) != 0 && errno == ENOENT) {
        return DSMR_ERR_UNKNOWN;
    }
    return dsmr_lmdb_env_open_readonly(out, path, MAP_BYTES, READERS, cause);
}

static enum dsmr_err check_format(struct dsmr_lmdb_store *store)
{
    struct dsmr_schema_key key;
    struct dsmr_store_txn txn;
    uint64_t format = 0;
    enum dsmr_err err = dsmr_store_txn_begin(&txn, store, false);

    if (err != DSMR_OK) {
        return err;
    }
    dsmr_schema_key(&key, DSMR_SCHEMA_FORMAT_KEY);
    err = dsmr_store_txn_get_u64(&txn, &format, &key);
    dsmr_store_txn_abort(&txn);
    if (err == DSMR_OK && format > DSMR_SCHEMA_FORMAT) {
        return DSMR_ERR_NEWER_FORMAT;
    }
    return err == DSMR_ERR_UNKNOWN ? DSMR_OK : err; /* a first start was cut off */
}

static enum dsmr_err open_all(struct dsmr_lmdb_store *store, const char *directory)
{
    enum dsmr_err err = check_lock(directory);

    if (err == DSMR_OK) {
        err = open_database(&store->consensus, directory, "consensus", &store->cause);
    }
    if (err == DSMR_OK) {
        err = check_format(store);
    }
    if (err == DSMR_OK || err == DSMR_ERR_UNKNOWN) {
        err = open_database(&store->state.env, directory, "state", &store->cause);
    }
    return err == DSMR_ERR_UNKNOWN && store->consensus.env != NULL ? DSMR_OK : err;
}

enum dsmr_err dsmr_lmdb_peek_open(struct dsmr_lmdb_peek **out,
                                  const struct dsmr_lmdb_peek_config *config)
{
    struct dsmr_lmdb_peek *peek = calloc(1, sizeof *peek);

    if (peek == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    dsmr_store_cause_init(&peek->store.cause);
    peek->store.cause.give_up = config->give_up;
    enum dsmr_err err = open_all(&peek->store, config->directory);
    if (err == DSMR_OK) {
        *out = peek;
        return DSMR_OK;
    }
    if (config->reason != NULL) {
        dsmr_store_cause_get(&peek->store.cause, config->reason, config->reason_bytes);
        if (config->reason[0] == 0) {
            (void)snprintf(config->reason, config->reason_bytes, "%s: %s", config->directory,
                           dsmr_err_text(err));
        }
    }
    dsmr_lmdb_peek_close(peek);
    return err;
}

void dsmr_lmdb_peek_close(struct dsmr_lmdb_peek *peek)
{
    if (peek == NULL) {
        return;
    }
    if (peek->store.state.env.env != NULL) {
        dsmr_lmdb_env_close(&peek->store.state.env);
    }
    if (peek->store.consensus.env != NULL) {
        dsmr_lmdb_env_close(&peek->store.consensus);
    }
    dsmr_store_cause_close(&peek->store.cause);
    free(peek);
}

bool dsmr_lmdb_peek_store(struct dsmr_lmdb_peek *peek, struct dsmr_store *out)
{
    static const struct dsmr_store_ops ops = {.load_chunk_meta = dsmr_store_read_chunk_meta,
                                              .load_cert = dsmr_store_read_cert,
                                              .load_block = dsmr_store_read_block,
                                              .find_block = dsmr_store_read_height,
                                              .last_accepted = dsmr_store_read_accepted,
                                              .next_evidence = dsmr_store_read_evidence};

    *out = (struct dsmr_store){.self = &peek->store, .ops = &ops};
    return peek->store.consensus.env != NULL;
}

bool dsmr_lmdb_peek_kv(struct dsmr_lmdb_peek *peek, struct dsmr_kv *out)
{
    *out = dsmr_lmdb_kv_port(&peek->store.state);
    return peek->store.state.env.env != NULL;
}
