#include "app/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum dsmr_err dsmr_files_read(char **out, size_t *len, const char *path, size_t max)
{
    enum dsmr_err err = DSMR_ERR_IO;
    char *bytes = NULL;
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return DSMR_ERR_IO;
    if (fstat(fd, &info) != 0)
        goto out;
    if (!S_ISREG(info.st_mode)) {
        errno = EISDIR;
        goto out;
    }
    if ((size_t)info.st_size > max) {
        err = DSMR_ERR_TOO_LARGE;
        goto out;
    }
    size_t size = (size_t)info.st_size, at = 0;
    bytes = malloc(size + 1);
    if (bytes == NULL) {
        err = DSMR_ERR_NO_MEMORY;
        goto out;
    }
    while (at < size) {
        ssize_t n = read(fd, bytes + at, size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto out;
        if (n == 0)
            break;
        at += (size_t)n;
    }
    bytes[at] = 0;
    *out = bytes;
    *len = at;
    bytes = NULL;
    err = DSMR_OK;
out:
    free(bytes);
    close(fd);
    return err;
}

static enum dsmr_err write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == ENOSPC ? DSMR_ERR_DISK_FULL : DSMR_ERR_IO;
        bytes += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0 ? DSMR_OK : DSMR_ERR_IO;
}

enum dsmr_err dsmr_files_write(const char *path, const void *bytes, size_t len, unsigned mode)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return DSMR_ERR_IO;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return errno == ENOSPC ? DSMR_ERR_DISK_FULL : DSMR_ERR_IO;
    enum dsmr_err err = write_all(fd, bytes, len);
    int saved = errno;
    if (close(fd) != 0 && err == DSMR_OK)
        err = DSMR_ERR_IO;
    if (err == DSMR_OK && rename(temporary, path) != 0)
        err = DSMR_ERR_IO;
    if (err != DSMR_OK) {
        saved = err == DSMR_ERR_IO ? errno : saved;
        unlink(temporary);
        errno = saved;
    }
    return err;
}

enum dsmr_err dsmr_files_make_folder(const char *path, unsigned mode)
{
    char partial[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof partial) {
        errno = ENAMETOOLONG;
        return DSMR_ERR_IO;
    }
    memcpy(partial, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (partial[i] != '/' && partial[i] != 0)
            continue;
        char kept = partial[i];
        partial[i] = 0;
        if (mkdir(partial, (mode_t)mode) != 0 && errno != EEXIST)
            return DSMR_ERR_IO;
        partial[i] = kept;
    }
    struct stat info;
    if (stat(path, &info) != 0)
        return DSMR_ERR_IO;
    if (!S_ISDIR(info.st_mode)) {
        errno = ENOTDIR;
        return DSMR_ERR_IO;
    }
    return DSMR_OK;
}

bool dsmr_files_holds_other(char name[DSMR_FILES_NAME_BYTES], const char *path,
                            const char *const *known)
{
    DIR *dir = opendir(path);
    bool is_other = false;
    if (dir == NULL)
        return false;
    for (struct dirent *entry; !is_other && (entry = readdir(dir)) != NULL;) {
        is_other = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        for (size_t i = 0; known[i] != NULL; i++)
            is_other = is_other && strcmp(entry->d_name, known[i]) != 0;
        snprintf(name, DSMR_FILES_NAME_BYTES, "%s", entry->d_name);
    }
    (void)closedir(dir);
    return is_other;
}

enum dsmr_err dsmr_files_make_temporary(char *path, size_t size, const char *in, const char *stem)
{
    int len = snprintf(path, size, "%s/%s-XXXXXX", in, stem);
    if (len < 0 || (size_t)len >= size) {
        errno = ENAMETOOLONG;
        return DSMR_ERR_TOO_LARGE;
    }
    return mkdtemp(path) != NULL ? DSMR_OK : DSMR_ERR_IO;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

void dsmr_files_remove_folder(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
