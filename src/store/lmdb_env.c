#define _GNU_SOURCE /* fallocate */
#include "store/lmdb_env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"

#define ALLOCATE_STEP_BYTES (4ull << 20)
#define EMPTY_MAP_BYTES (1ull << 20)
#define PATH_BYTES_MAX 4096u
#define DIR_MODE 0700
#define FILE_MODE 0600
/* LMDB reports a write that was cut short by a full disk as EIO. Less than this free: it was. */
#define FULL_DISK_BYTES (1ull << 20)

enum dsmr_err dsmr_lmdb_env_err(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return DSMR_OK;
    case MDB_NOTFOUND:
        return DSMR_ERR_UNKNOWN;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return DSMR_ERR_DISK_FULL;
    case ENOMEM:
        return DSMR_ERR_NO_MEMORY;
    case MDB_READERS_FULL:
        return DSMR_ERR_BUSY;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return DSMR_ERR_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return DSMR_ERR_NEWER_FORMAT;
    default:
        return DSMR_ERR_IO;
    }
}

enum dsmr_err dsmr_lmdb_env_fail(struct dsmr_lmdb_env *env, int rc)
{
    dsmr_store_cause_set(env->cause, env->path,
                         rc == MDB_MAP_FULL ? "as large as store-map-bytes allows"
                                            : mdb_strerror(rc));
    return dsmr_lmdb_env_err(rc);
}

static uint64_t end_bytes(const struct dsmr_lmdb_env *env)
{
    MDB_envinfo info;

    (void)mdb_env_info(env->env, &info);
    return ((uint64_t)info.me_last_pgno + 1) * env->page_bytes;
}

/* Allocates up to end without changing the file's size. */
static enum dsmr_err allocate(struct dsmr_lmdb_env *env, uint64_t from, uint64_t end)
{
    mdb_filehandle_t fd;
    int rc;

    (void)mdb_env_get_fd(env->env, &fd);
    do {
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(end - from));
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        env->allocated_bytes = end;
        return DSMR_OK;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
        env->allocates = false;
        return DSMR_OK;
    }
    dsmr_store_cause_set(env->cause, env->path, strerror(errno));
    return errno == EIO ? DSMR_ERR_IO : DSMR_ERR_DISK_FULL;
}

static enum dsmr_err err_of_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? DSMR_ERR_DISK_FULL : DSMR_ERR_IO;
}

static enum dsmr_err sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    enum dsmr_err err = rc == 0 ? DSMR_OK : err_of_errno();

    if (fd >= 0) {
        (void)close(fd);
    }
    return err;
}

/* An empty database in path, synced. What an earlier attempt left there is overwritten. */
static enum dsmr_err make_empty(const char *path)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char file[PATH_BYTES_MAX];
    struct dsmr_lmdb_env env;
    enum dsmr_err err;
    int rc;

    if (mkdir(path, DIR_MODE) != 0 && errno != EEXIST) {
        return err_of_errno();
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int len = snprintf(file, sizeof file, "%s/%s", path, names[i]);
        if (len < 0 || (size_t)len >= sizeof file) {
            return DSMR_ERR_CONFIG;
        }
        (void)unlink(file);
    }
    err = dsmr_lmdb_env_open(&env, path, EMPTY_MAP_BYTES, 0, 1, NULL);
    if (err != DSMR_OK) {
        return err;
    }
    rc = mdb_env_sync(env.env, 1);
    dsmr_lmdb_env_close(&env);
    return rc == 0 ? sync_directory(path) : dsmr_lmdb_env_err(rc);
}

enum dsmr_err dsmr_lmdb_env_create(const char *directory, const char *name)
{
    char path[PATH_BYTES_MAX];
    char made[PATH_BYTES_MAX];
    struct stat st;
    int len = snprintf(made, sizeof made, "%s/%s.new", directory, name);
    enum dsmr_err err;

    if (len < 0 || (size_t)len + sizeof "/data.mdb" > sizeof made) {
        return DSMR_ERR_CONFIG;
    }
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    if (stat(path, &st) == 0) {
        return DSMR_OK;
    }
    err = make_empty(made);
    if (err == DSMR_OK && rename(made, path) != 0) {
        err = err_of_errno();
    }
    return err == DSMR_OK ? sync_directory(directory) : err;
}

/* LMDB keeps no checksums: some damage it finds by an assertion only. */
static void on_assertion(MDB_env *mdb_env, const char *what)
{
    const struct dsmr_store_cause *cause = mdb_env_get_userctx(mdb_env);
    char path[PATH_BYTES_MAX];
    const char *directory = "";

    (void)mdb_env_get_path(mdb_env, &directory);
    (void)snprintf(path, sizeof path, "%s/data.mdb", directory);
    if (cause != NULL && cause->give_up != NULL) {
        cause->give_up(path, what);
    }
}

static enum dsmr_err open_env(struct dsmr_lmdb_env *out, const char *path, unsigned flags,
                              uint64_t map_bytes, uint32_t readers_max,
                              struct dsmr_store_cause *cause)
{
    struct dsmr_lmdb_env env = {.map_bytes = map_bytes, .cause = cause};
    size_t path_bytes = strlen(path) + sizeof "/data.mdb";
    MDB_txn *txn = NULL;
    MDB_stat stat;
    int rc;

    env.path = malloc(path_bytes);
    if (env.path == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    (void)snprintf(env.path, path_bytes, "%s/data.mdb", path);
    rc = mdb_env_create(&env.env);
    if (rc != 0) {
        free(env.path);
        return dsmr_lmdb_env_err(rc);
    }
    (void)mdb_env_set_userctx(env.env, cause);
    (void)mdb_env_set_assert(env.env, on_assertion);
    rc = mdb_env_set_mapsize(env.env, (size_t)map_bytes);
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(env.env, readers_max);
    }
    if (rc == 0) {
        rc = mdb_env_open(env.env, path, flags | MDB_NOTLS | MDB_NORDAHEAD, FILE_MODE);
    }
    if (rc == 0) {
        rc = mdb_txn_begin(env.env, NULL, MDB_RDONLY, &txn);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, NULL, 0, &env.dbi);
    }
    if (rc == 0) {
        rc = mdb_txn_commit(txn); /* keeps the handle; writes nothing */
        txn = NULL;
    }
    if (rc == 0) {
        (void)mdb_env_stat(env.env, &stat);
        env.page_bytes = stat.ms_psize;
        *out = env;
        return DSMR_OK;
    }
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    mdb_env_close(env.env);
    enum dsmr_err err = dsmr_lmdb_env_fail(&env, rc);
    free(env.path);
    return err;
}

enum dsmr_err dsmr_lmdb_env_open(struct dsmr_lmdb_env *out, const char *path, uint64_t map_bytes,
                                 uint64_t reserve_bytes, uint32_t readers_max,
                                 struct dsmr_store_cause *cause)
{
    enum dsmr_err err = open_env(out, path, 0, map_bytes, readers_max, cause);

    if (err != DSMR_OK) {
        return err;
    }
    out->reserve_bytes = reserve_bytes;
    out->allocates = reserve_bytes != 0;
    out->allocated_bytes = end_bytes(out);
    if (out->allocates) {
        /* From the start: LMDB leaves holes. On a full disk the store still opens: what was
         * allocated before is found again, and garbage collection works in it. */
        (void)allocate(out, 0, out->allocated_bytes + reserve_bytes);
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_lmdb_env_open_readonly(struct dsmr_lmdb_env *out, const char *path,
                                          uint64_t map_bytes, uint32_t readers_max,
                                          struct dsmr_store_cause *cause)
{
    char table[PATH_BYTES_MAX];
    unsigned flags = MDB_RDONLY;

    (void)snprintf(table, sizeof table, "%s/lock.mdb", path);
    if (access(table, F_OK) != 0) {
        flags |= MDB_NOLOCK; /* made here it would be ours, and not the node's user's */
    }
    return open_env(out, path, flags, map_bytes, readers_max, cause);
}

void dsmr_lmdb_env_close(struct dsmr_lmdb_env *env)
{
    mdb_env_close(env->env);
    env->env = NULL;
    free(env->path);
    env->path = NULL;
}

/* LMDB goes on writing into a file that has no name any more. */
static bool is_deleted(struct dsmr_lmdb_env *env)
{
    struct stat st;
    mdb_filehandle_t fd;

    (void)mdb_env_get_fd(env->env, &fd);
    return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

static bool is_disk_full(struct dsmr_lmdb_env *env)
{
    struct statvfs vfs;
    mdb_filehandle_t fd;

    (void)mdb_env_get_fd(env->env, &fd);
    return fstatvfs(fd, &vfs) == 0 && (uint64_t)vfs.f_bavail * vfs.f_frsize < FULL_DISK_BYTES;
}

enum dsmr_err dsmr_lmdb_env_commit(struct dsmr_lmdb_env *env, MDB_txn *txn)
{
    int rc = mdb_txn_commit(txn);

    if (rc == EIO && is_disk_full(env)) {
        /* The transaction was given up before its first page counted: LMDB writes the meta page
         * last, and refuses to go on (MDB_PANIC) if that write fails. */
        return dsmr_lmdb_env_fail(env, ENOSPC);
    }
    if (rc == 0 && is_deleted(env)) {
        dsmr_store_cause_set(env->cause, env->path, "was deleted while it was in use");
        return DSMR_ERR_IO;
    }
    return rc == 0 ? DSMR_OK : dsmr_lmdb_env_fail(env, rc);
}

/* Pages that the next write transaction may use again: all but what the last one freed. */
static uint64_t free_pages(struct dsmr_lmdb_env *env)
{
    MDB_cursor *cursor = NULL;
    MDB_txn *txn = NULL;
    MDB_envinfo info;
    MDB_val key, value;
    uint64_t pages = 0;

    if (mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn) != 0) {
        return 0;
    }
    (void)mdb_env_info(env->env, &info);
    if (mdb_cursor_open(txn, 0, &cursor) == 0) { /* 0: the list of free pages, by transaction */
        while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
            size_t freed_by, count;
            DSMR_ASSERT(key.mv_size == sizeof freed_by);
            memcpy(&freed_by, key.mv_data, sizeof freed_by);
            memcpy(&count, value.mv_data, sizeof count);
            pages += freed_by < info.me_last_txnid ? count : 0;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return pages;
}

enum dsmr_err dsmr_lmdb_env_make_room(struct dsmr_lmdb_env *env, uint64_t pages)
{
    uint64_t end = end_bytes(env);
    uint64_t need = end + pages * env->page_bytes + env->reserve_bytes;
    uint64_t room;
    enum dsmr_err err = DSMR_ERR_DISK_FULL;

    if (need <= env->map_bytes) {
        if (!env->allocates || need <= env->allocated_bytes) {
            return DSMR_OK;
        }
        err = allocate(env, env->allocated_bytes, need + ALLOCATE_STEP_BYTES);
        if (err == DSMR_ERR_DISK_FULL) {
            err = allocate(env, env->allocated_bytes, need);
        }
        if (err != DSMR_ERR_DISK_FULL) {
            return err;
        }
    }
    /* Nothing more at the end: is enough free in the middle? Slow, but only on a full disk. */
    room = env->allocates && env->allocated_bytes < env->map_bytes ? env->allocated_bytes
                                                                   : env->map_bytes;
    room = room > end ? (room - end) / env->page_bytes : 0;
    if (room + free_pages(env) >= pages + env->reserve_bytes / env->page_bytes) {
        return DSMR_OK;
    }
    return need > env->map_bytes ? dsmr_lmdb_env_fail(env, MDB_MAP_FULL) : err;
}
