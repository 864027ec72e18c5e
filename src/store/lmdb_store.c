#define _GNU_SOURCE /* pthread_setname_np */
#include "store/lmdb_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/store_queue.h"
#include "store/store_read.h"
#include "store/store_state.h"

#define CONSENSUS_MAP_BYTES (64ull << 30)
#define STATE_MAP_BYTES (256ull << 30)
#define SEGMENT_BYTES (64ull << 20)
#define RESERVE_BYTES (8ull << 20)
#define GROUP_BYTES (4u << 20)
#define READERS 512u
#define PATH_BYTES_MAX 4096u
#define DIR_MODE 0700
#define FILE_MODE 0600

static enum dsmr_err err_of_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? DSMR_ERR_DISK_FULL : DSMR_ERR_IO;
}

/* directory/name as an existing directory. */
static enum dsmr_err make_directory(char path[PATH_BYTES_MAX], const char *directory,
                                    const char *name)
{
    int len = snprintf(path, PATH_BYTES_MAX, "%s%s%s", directory, name[0] == 0 ? "" : "/", name);

    if (len < 0 || (unsigned)len >= PATH_BYTES_MAX) {
        return DSMR_ERR_CONFIG;
    }
    if (mkdir(path, DIR_MODE) != 0 && errno != EEXIST) {
        return err_of_errno();
    }
    return DSMR_OK;
}

/* One store at a time, in this process or another: LMDB does not survive two. */
static enum dsmr_err lock_directory(struct dsmr_lmdb_store *store, const char *directory)
{
    store->dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0) {
        return err_of_errno();
    }
    store->lock_fd = openat(store->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (store->lock_fd < 0) {
        return err_of_errno();
    }
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? DSMR_ERR_LOCKED : DSMR_ERR_IO;
    }
    return DSMR_OK;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static enum dsmr_err open_databases(struct dsmr_lmdb_store *store,
                                    const struct dsmr_lmdb_store_config *config)
{
    uint32_t readers = (uint32_t)or_default(config->readers_max, READERS);
    char path[PATH_BYTES_MAX];
    enum dsmr_err err = dsmr_lmdb_env_create(config->directory, "consensus");

    if (err == DSMR_OK) {
        err = dsmr_lmdb_env_create(config->directory, "state");
    }
    if (err == DSMR_OK) {
        err = make_directory(path, config->directory, "consensus");
    }
    if (err == DSMR_OK) {
        err = dsmr_lmdb_env_open(
            &store->consensus, path, or_default(config->consensus_map_bytes, CONSENSUS_MAP_BYTES),
            or_default(config->reserve_bytes, RESERVE_BYTES), readers, &store->cause);
    }
    if (err == DSMR_OK) {
        err = make_directory(path, config->directory, "state");
    }
    if (err == DSMR_OK) {
        err = dsmr_lmdb_env_open(&store->state.env, path,
                                 or_default(config->state_map_bytes, STATE_MAP_BYTES), 0, readers,
                                 &store->state_cause);
    }
    if (err == DSMR_OK) {
        err = make_directory(path, config->directory, "chunks");
    }
    if (err == DSMR_OK) {
        err = dsmr_segments_open(&store->segments, path,
                                 or_default(config->segment_bytes, SEGMENT_BYTES));
    }
    return err;
}

/* Undoes as much of open as was done. */
static void close_all(struct dsmr_lmdb_store *store)
{
    if (store->segments.dir_fd >= 0) {
        dsmr_segments_close(&store->segments);
    }
    if (store->state.env.env != NULL) {
        dsmr_lmdb_env_close(&store->state.env);
    }
    if (store->consensus.env != NULL) {
        dsmr_lmdb_env_close(&store->consensus);
    }
    if (store->lock_fd >= 0) {
        (void)close(store->lock_fd); /* and with it the lock */
    }
    if (store->dir_fd >= 0) {
        (void)close(store->dir_fd);
    }
    (void)pthread_cond_destroy(&store->wake);
    (void)pthread_mutex_destroy(&store->mutex);
    dsmr_store_damage_close(&store->damage);
    dsmr_store_cause_close(&store->state_cause);
    dsmr_store_cause_close(&store->cause);
    free(store);
}

static enum dsmr_err start_threads(struct dsmr_lmdb_store *store)
{
    enum dsmr_err err =
        dsmr_store_janitor_start(&store->janitor, &store->segments, store->released_last);

    if (err != DSMR_OK) {
        return err;
    }
    if (pthread_create(&store->thread, NULL, dsmr_store_queue_run, store) != 0) {
        dsmr_store_janitor_stop(&store->janitor);
        return DSMR_ERR_NO_MEMORY;
    }
    (void)pthread_setname_np(store->thread, "store");
    return DSMR_OK;
}

/* Of one that could not be opened. */
static void say_why(struct dsmr_lmdb_store *store, const struct dsmr_lmdb_store_config *config,
                    enum dsmr_err err)
{
    if (config->reason == NULL) {
        return;
    }
    dsmr_store_cause_get(&store->state_cause, config->reason, config->reason_bytes);
    if (config->reason[0] == 0) {
        dsmr_store_cause_get(&store->cause, config->reason, config->reason_bytes);
    }
    if (config->reason[0] == 0) {
        (void)snprintf(config->reason, config->reason_bytes, "%s: %s", config->directory,
                       dsmr_err_text(err));
    }
}

enum dsmr_err dsmr_lmdb_store_open(struct dsmr_lmdb_store **out,
                                   const struct dsmr_lmdb_store_config *config)
{
    struct dsmr_lmdb_store *store = calloc(1, sizeof *store);
    char path[PATH_BYTES_MAX];
    enum dsmr_err err;

    if (store == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    store->inbox = config->inbox;
    store->log = config->log;
    store->metrics = config->metrics;
    store->state.metrics = config->metrics;
    store->group_bytes_max = (uint32_t)or_default(config->group_bytes_max, GROUP_BYTES);
    store->dir_fd = -1;
    store->lock_fd = -1;
    store->segments.dir_fd = -1;
    dsmr_store_cause_init(&store->cause);
    dsmr_store_cause_init(&store->state_cause);
    dsmr_store_damage_init(&store->damage);
    store->cause.give_up = config->give_up;
    store->state_cause.give_up = config->give_up;
    (void)pthread_mutex_init(&store->mutex, NULL);
    (void)pthread_cond_init(&store->wake, NULL);

    err = make_directory(path, config->directory, "");
    if (err == DSMR_OK) {
        err = lock_directory(store, config->directory);
    }
    if (err == DSMR_OK) {
        err = open_databases(store, config);
    }
    store->segments.cause = &store->cause;
    if (err == DSMR_OK) {
        err = dsmr_store_read_prepare(store, config->first);
        if (err == DSMR_ERR_CORRUPT) {
            dsmr_store_cause_set(&store->cause, store->consensus.path, "a record is damaged");
        }
    }
    if (err == DSMR_OK && fsync(store->dir_fd) != 0) {
        err = DSMR_ERR_IO;
    }
    if (err == DSMR_OK) {
        err = start_threads(store);
    }
    if (err != DSMR_OK) {
        say_why(store, config, err);
        close_all(store);
        return err;
    }
    *out = store;
    return DSMR_OK;
}

void dsmr_lmdb_store_close(struct dsmr_lmdb_store *store)
{
    if (store == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&store->mutex);
    store->is_closing = true;
    (void)pthread_cond_signal(&store->wake);
    (void)pthread_mutex_unlock(&store->mutex);
    (void)pthread_join(store->thread, NULL);
    dsmr_store_janitor_stop(&store->janitor);
    close_all(store);
}

static uint64_t disk_free_bytes(void *self)
{
    struct dsmr_lmdb_store *store = self;
    struct statvfs vfs;

    if (fstatvfs(store->dir_fd, &vfs) != 0) {
        return 0;
    }
    return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

static void cause(void *self, char *text, size_t size)
{
    struct dsmr_lmdb_store *store = self;

    dsmr_store_cause_get(&store->cause, text, size);
}

static const struct dsmr_store_ops store_ops = {
    .write = dsmr_store_queue_write,
    .load_chunk = dsmr_store_read_chunk,
    .load_chunk_meta = dsmr_store_read_chunk_meta,
    .load_cert = dsmr_store_read_cert,
    .load_block = dsmr_store_read_block,
    .find_block = dsmr_store_read_height,
    .last_accepted = dsmr_store_read_accepted,
    .next_evidence = dsmr_store_read_evidence,
    .recover = dsmr_store_read_recover,
    .disk_free_bytes = disk_free_bytes,
    .cause = cause,
};

struct dsmr_store dsmr_lmdb_store_port(struct dsmr_lmdb_store *store)
{
    return (struct dsmr_store){.self = store, .ops = &store_ops};
}

struct dsmr_kv dsmr_lmdb_store_kv(struct dsmr_lmdb_store *store)
{
    return dsmr_lmdb_kv_port(&store->state);
}
