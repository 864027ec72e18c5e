#define _GNU_SOURCE
#include "host/home_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *end;
    errno = 0;
    long long pid = strtoll(text, &end, 10);
    return errno != 0 || end == text || pid < 0 ? 0 : (int64_t)pid;
}

enum dsmr_err dsmr_home_lock_take(struct dsmr_home_lock *lock, int64_t *holder_pid,
                                  const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return DSMR_ERR_IO;
    int rc;
    do
        rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        enum dsmr_err err = errno == EWOULDBLOCK ? DSMR_ERR_LOCKED : DSMR_ERR_IO;
        if (err == DSMR_ERR_LOCKED)
            *holder_pid = read_pid(fd);
        close(fd);
        return err;
    }
    char text[32];
    int len = snprintf(text, sizeof(text), "%" PRId64 "\n", (int64_t)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != (ssize_t)len) {
        close(fd);
        return DSMR_ERR_IO;
    }
    lock->fd = fd;
    return DSMR_OK;
}

bool dsmr_home_lock_is_held(int64_t *holder_pid, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool is_held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (is_held)
        *holder_pid = read_pid(fd);
    close(fd);
    return is_held;
}

void dsmr_home_lock_drop(struct dsmr_home_lock *lock)
{
    if (lock->fd < 0)
        return;
    close(lock->fd);
    lock->fd = -1;
}
