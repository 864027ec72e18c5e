/* fault_io.h - stands between the store (LMDB included) and the kernel, and lets calls fail.
 *
 * The functions below replace those of libc in the test's program. Every call that changes the
 * disk is an effect and has a number; the plan says what happens at which number.
 *   KILL       the process dies before the effect
 *   POWER_CUT  the same, and what was written but not synced is damaged, files whose directory
 *              was not synced are gone
 *   NO_SPACE   from that effect on the disk is full: what needs new space fails
 *   ERROR      that effect fails with EIO
 *   SHORT      that effect, if it writes a body, writes only half */
#ifndef DSMR_TEST_UNIT_STORE_FAULT_IO_H
#define DSMR_TEST_UNIT_STORE_FAULT_IO_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum fault { FAULT_NONE, FAULT_KILL, FAULT_POWER_CUT, FAULT_NO_SPACE, FAULT_ERROR, FAULT_SHORT };

#define RANGES_MAX 4096
#define FILES_MAX 64
#define PATHS_BYTES 256

static struct {
    pthread_mutex_t mutex;
    enum fault kind;
    uint64_t at;    /* number of the effect; from 1 */
    uint64_t count; /* effects so far */
    bool is_full;
    struct {
        char path[PATHS_BYTES];
        off_t from, end;
    } unsynced[RANGES_MAX];
    size_t unsynced_count;
    char created[FILES_MAX][PATHS_BYTES];
    size_t created_count;
    off_t allocated; /* of consensus/data.mdb */
} faults = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

#define REAL(name, type) ((type)(uintptr_t)real(name))

static void path_of(int fd, char path[PATHS_BYTES])
{
    char link[64];
    ssize_t n;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, PATHS_BYTES - 1);
    path[n > 0 ? n : 0] = 0;
}

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path);
    return len >= strlen(end) && strcmp(path + len - strlen(end), end) == 0;
}

typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off_t);
typedef int (*fd_fn)(int);
typedef int (*unlink_fn)(const char *);

/* What a power cut leaves of what was not synced: here and there something else. */
static void damage(void)
{
    for (size_t i = 0; i < faults.unsynced_count; i++) {
        static uint8_t junk[1 << 16];
        off_t len = faults.unsynced[i].end - faults.unsynced[i].from;
        int fd;
        if (i % 3 == 2) {
            continue; /* this one did reach the disk */
        }
        memset(junk, 0xee, sizeof junk);
        fd = open(faults.unsynced[i].path, O_RDWR);
        for (off_t at = 0; fd >= 0 && at < len; at += (off_t)sizeof junk) {
            size_t n = len - at < (off_t)sizeof junk ? (size_t)(len - at) : sizeof junk;
            (void)!REAL("pwrite", pwrite_fn)(fd, junk, n, faults.unsynced[i].from + at);
        }
    }
    for (size_t i = 0; i < faults.created_count; i++) {
        (void)REAL("unlink", unlink_fn)(faults.created[i]);
    }
}

/* Counts an effect. 0: do it; otherwise the errno to fail with. -1: write half. */
static int effect(bool needs_space)
{
    int answer = 0;

    if (faults.kind == FAULT_NONE) {
        return 0;
    }
    faults.count++;
    if (faults.count == faults.at) {
        switch (faults.kind) {
        case FAULT_POWER_CUT:
            damage();
            (void)kill(getpid(), SIGKILL);
            break;
        case FAULT_KILL:
            (void)kill(getpid(), SIGKILL);
            break;
        case FAULT_NO_SPACE:
            faults.is_full = true;
            break;
        case FAULT_ERROR:
            answer = EIO;
            break;
        case FAULT_SHORT:
            answer = -1;
            break;
        case FAULT_NONE:
            break;
        }
    }
    return faults.is_full && needs_space ? ENOSPC : answer;
}

static void wrote(int fd, const char *path, off_t from, ssize_t n)
{
    if (n <= 0 || faults.kind != FAULT_POWER_CUT || (fcntl(fd, F_GETFL) & O_DSYNC) != 0 ||
        faults.unsynced_count == RANGES_MAX) {
        return;
    }
    memcpy(faults.unsynced[faults.unsynced_count].path, path, PATHS_BYTES);
    faults.unsynced[faults.unsynced_count].from = from;
    faults.unsynced[faults.unsynced_count++].end = from + n;
}

static void synced(const char *path)
{
    size_t kept = 0;

    for (size_t i = 0; i < faults.unsynced_count; i++) {
        if (strcmp(faults.unsynced[i].path, path) != 0) {
            faults.unsynced[kept++] = faults.unsynced[i];
        }
    }
    faults.unsynced_count = kept;
    kept = 0;
    for (size_t i = 0; i < faults.created_count; i++) {
        size_t len = strlen(path);
        if (strncmp(faults.created[i], path, len) != 0 || faults.created[i][len] != '/' ||
            strchr(faults.created[i] + len + 1, '/') != NULL) {
            memmove(faults.created[kept++], faults.created[i], PATHS_BYTES);
        }
    }
    faults.created_count = kept;
}

static bool is_ours(int fd, char path[PATHS_BYTES])
{
    path_of(fd, path);
    return strstr(path, "dsmr-store-") != NULL;
}

/* On a full disk LMDB may still write where space was allocated before. */
static bool is_new_space(const char *path, off_t end)
{
    return !ends_with(path, "/consensus/data.mdb") || end > faults.allocated;
}

static ssize_t write_at(int fd, const struct iovec *iov, int count, off_t offset, bool moves)
{
    char path[PATHS_BYTES];
    ssize_t done = 0;
    size_t len = 0;
    int fault = 0;

    for (int i = 0; i < count; i++) {
        len += iov[i].iov_len;
    }
    (void)pthread_mutex_lock(&faults.mutex);
    if (is_ours(fd, path)) {
        fault = effect(is_new_space(path, offset + (off_t)len));
    }
    if (fault > 0) {
        (void)pthread_mutex_unlock(&faults.mutex);
        errno = fault;
        return -1;
    }
    for (int i = 0; i < count; i++) {
        size_t n = iov[i].iov_len;
        ssize_t r;
        if (fault == -1 && ends_with(path, ".seg") && n > 1) {
            n /= 2;
        }
        r = REAL("pwrite", pwrite_fn)(fd, iov[i].iov_base, n, offset + done);
        if (r < 0) {
            done = done > 0 ? done : -1;
            break;
        }
        done += r;
    }
    if (is_ours(fd, path)) {
        wrote(fd, path, offset, done);
    }
    if (moves && done > 0) {
        (void)lseek(fd, offset + done, SEEK_SET);
    }
    (void)pthread_mutex_unlock(&faults.mutex);
    return done;
}

static int sync_fd(const char *name, int fd)
{
    char path[PATHS_BYTES];
    int fault = 0;
    int rc = -1;

    (void)pthread_mutex_lock(&faults.mutex);
    if (is_ours(fd, path)) {
        fault = effect(false);
    }
    if (fault > 0) {
        errno = fault;
    } else if (faults.kind == FAULT_NONE) {
        rc = REAL(name, fd_fn)(fd);
    } else {
        rc = 0; /* the test itself needs no disk */
        synced(path);
    }
    (void)pthread_mutex_unlock(&faults.mutex);
    return rc;
}

/* ---- the replaced functions ---- */

EXPORTED ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset);
EXPORTED ssize_t writev(int fd, const struct iovec *iov, int count);
EXPORTED int fdatasync(int fd);
EXPORTED int fsync(int fd);
EXPORTED int ftruncate(int fd, off_t size);
EXPORTED int fallocate(int fd, int mode, off_t offset, off_t len);
EXPORTED int unlinkat(int dir, const char *name, int flags);
EXPORTED int rename(const char *from, const char *to);
EXPORTED int openat(int dir, const char *name, int flags, ...);

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    struct iovec iov = {.iov_len = len};

    memcpy(&iov.iov_base, &bytes, sizeof bytes);
    return write_at(fd, &iov, 1, offset, false);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    char path[PATHS_BYTES];

    if (!is_ours(fd, path)) {
        typedef ssize_t (*writev_fn)(int, const struct iovec *, int);
        return REAL("writev", writev_fn)(fd, iov, count);
    }
    return write_at(fd, iov, count, lseek(fd, 0, SEEK_CUR), true);
}

int fdatasync(int fd)
{
    return sync_fd("fdatasync", fd);
}

int fsync(int fd)
{
    return sync_fd("fsync", fd);
}

int ftruncate(int fd, off_t size)
{
    typedef int (*ftruncate_fn)(int, off_t);
    char path[PATHS_BYTES];
    int fault = 0;
    int rc = -1;

    (void)pthread_mutex_lock(&faults.mutex);
    if (is_ours(fd, path)) {
        fault = effect(false);
    }
    if (fault > 0) {
        errno = fault;
    } else {
        rc = REAL("ftruncate", ftruncate_fn)(fd, size);
    }
    (void)pthread_mutex_unlock(&faults.mutex);
    return rc;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    typedef int (*fallocate_fn)(int, int, off_t, off_t);
    char path[PATHS_BYTES];
    bool is_punch = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
    int fault = 0;
    int rc = -1;

    (void)pthread_mutex_lock(&faults.mutex);
    if (is_ours(fd, path)) {
        fault = effect(!is_punch && offset + len > faults.allocated);
    }
    if (fault > 0) {
        errno = fault;
    } else {
        rc = REAL("fallocate", fallocate_fn)(fd, mode, offset, len);
        if (rc == 0 && !is_punch && ends_with(path, "/consensus/data.mdb")) {
            faults.allocated = offset + len;
        }
    }
    (void)pthread_mutex_unlock(&faults.mutex);
    return rc;
}

int unlinkat(int dir, const char *name, int flags)
{
    typedef int (*unlinkat_fn)(int, const char *, int);
    char path[PATHS_BYTES];
    int fault = 0;
    int rc = -1;

    (void)pthread_mutex_lock(&faults.mutex);
    if (is_ours(dir, path)) {
        fault = effect(false);
    }
    if (fault > 0) {
        errno = fault;
    } else {
        rc = REAL("unlinkat", unlinkat_fn)(dir, name, flags);
    }
    (void)pthread_mutex_unlock(&faults.mutex);
    return rc;
}

int rename(const char *from, const char *to)
{
    typedef int (*rename_fn)(const char *, const char *);
    int fault;
    int rc = -1;

    (void)pthread_mutex_lock(&faults.mutex);
    fault = effect(false);
    if (fault > 0) {
        errno = fault;
    } else {
        rc = REAL("rename", rename_fn)(from, to);
    }
    (void)pthread_mutex_unlock(&faults.mutex);
    return rc;
}

int openat(int dir, const char *name, int flags, ...)
{
    typedef int (*openat_fn)(int, const char *, int, ...);
    char path[PATHS_BYTES];
    int mode = 0;
    int fault = 0;
    int fd = -1;

    if ((flags & O_CREAT) != 0) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, int);
        va_end(args);
    }
    (void)pthread_mutex_lock(&faults.mutex);
    if ((flags & O_CREAT) != 0 && is_ours(dir, path)) {
        fault = effect(true);
    }
    if (fault > 0) {
        errno = fault;
    } else {
        fd = REAL("openat", openat_fn)(dir, name, flags, mode);
        if (fd >= 0 && (flags & O_CREAT) != 0 && ends_with(name, ".seg") &&
            faults.kind == FAULT_POWER_CUT && faults.created_count < FILES_MAX) {
            path_of(fd, faults.created[faults.created_count++]);
        }
    }
    (void)pthread_mutex_unlock(&faults.mutex);
    return fd;
}

/* Arms the plan: counts from here. */
static void faults_arm(enum fault kind, uint64_t at)
{
    (void)pthread_mutex_lock(&faults.mutex);
    faults.kind = kind;
    faults.at = at;
    faults.count = 0;
    faults.is_full = false;
    faults.unsynced_count = 0;
    faults.created_count = 0;
    (void)pthread_mutex_unlock(&faults.mutex);
}

static uint64_t faults_count(void)
{
    uint64_t count;

    (void)pthread_mutex_lock(&faults.mutex);
    count = faults.count;
    (void)pthread_mutex_unlock(&faults.mutex);
    return count;
}

#endif
