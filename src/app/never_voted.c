#include "app/never_voted.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "bft/bft.h"

#define HEAD "dsmr never-voted 1\n"
#define TEXT_BYTES 512u

struct text {
    char bytes[TEXT_BYTES];
    size_t len, file_at; /* file_at: of the line that a copy has wrong */
};

/* What the mark says if the open file is the one that was written for key. False: the file system
 * does not know when it was born. */
static bool compose(struct text *out, int fd, const struct dsmr_bls_public_key *key)
{
    struct statx file;
    char hex[2 * sizeof key->bytes + 1];
    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &file) != 0 ||
        (file.stx_mask & STATX_INO) == 0 || (file.stx_mask & STATX_BTIME) == 0)
        return false;
    dsmr_hex_encode(hex, key->bytes, sizeof key->bytes);
    int head = snprintf(out->bytes, sizeof out->bytes, HEAD "bls %s\n", hex);
    out->file_at = (size_t)head;
    int tail = snprintf(out->bytes + head, sizeof out->bytes - (size_t)head,
                        "file %" PRIu64 " born %" PRId64 ".%09" PRIu32 "\n", (uint64_t)file.stx_ino,
                        (int64_t)file.stx_btime.tv_sec, (uint32_t)file.stx_btime.tv_nsec);
    out->len = out->file_at + (size_t)tail;
    return true;
}

static bool path_of(char out[PATH_MAX], const char *data, const char *name)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", data, name);
    errno = ENAMETOOLONG;
    return len > 0 && len < PATH_MAX;
}

static enum dsmr_err err_of_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? DSMR_ERR_DISK_FULL : DSMR_ERR_IO;
}

/* What was made, renamed or removed in the folder is durable. */
static enum dsmr_err sync_folder(const char *data)
{
    int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return DSMR_ERR_IO;
    enum dsmr_err err = fsync(fd) == 0 ? DSMR_OK : err_of_errno();
    int saved = errno;
    close(fd);
    errno = saved;
    return err;
}

/* The new file's bytes are durable, or it does not say anything. *is_mark: it does. */
static enum dsmr_err fill(bool *is_mark, const char *path, const struct dsmr_bls_public_key *key)
{
    struct text text;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return err_of_errno();
    enum dsmr_err err = DSMR_OK;
    *is_mark = compose(&text, fd, key);
    errno = ENOSPC; /* if a part of it is written */
    if (*is_mark && (write(fd, text.bytes, text.len) != (ssize_t)text.len || fsync(fd) != 0))
        err = err_of_errno();
    int saved = errno;
    close(fd);
    errno = saved;
    return err;
}

enum dsmr_err dsmr_never_voted_write(const char *data, const struct dsmr_bls_public_key *key)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    bool is_mark = false;
    if (!path_of(path, data, "never-voted") || !path_of(temporary, data, "never-voted.new") ||
        (unlink(temporary) != 0 && errno != ENOENT))
        return DSMR_ERR_IO;
    enum dsmr_err err = fill(&is_mark, temporary, key);
    if (err == DSMR_OK && is_mark && rename(temporary, path) != 0)
        err = err_of_errno();
    if (err == DSMR_OK && is_mark)
        return sync_folder(data);
    int saved = errno;
    unlink(temporary);
    errno = saved;
    return err;
}

static enum dsmr_err refuse(char *reason, const char *path, const char *why)
{
    snprintf(reason, DSMR_NEVER_VOTED_REASON_BYTES, "%.400s does not count: %s", path, why);
    return DSMR_ERR_CONFIG;
}

enum dsmr_err dsmr_never_voted_read(char reason[DSMR_NEVER_VOTED_REASON_BYTES], const char *data,
                                    const struct dsmr_bls_public_key *key)
{
    struct text text;
    char path[PATH_MAX], said[TEXT_BYTES];
    if (!path_of(path, data, "never-voted"))
        return DSMR_ERR_IO;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return refuse(reason, path, "it is a link");
    if (fd < 0)
        return errno == ENOENT ? DSMR_ERR_UNKNOWN : DSMR_ERR_IO;
    ssize_t len = read(fd, said, sizeof said);
    bool is_known = compose(&text, fd, key);
    close(fd);
    if (!is_known)
        return refuse(reason, path, "this file system does not say when a file was born");
    if (len < (ssize_t)strlen(HEAD) || memcmp(said, HEAD, strlen(HEAD)) != 0)
        return refuse(reason, path, "it is not what dsmrd init writes");
    if (len < (ssize_t)text.file_at || memcmp(said, text.bytes, text.file_at) != 0)
        return refuse(reason, path, "it was made for another key than keys/bls.key");
    if (len != (ssize_t)text.len || memcmp(said, text.bytes, text.len) != 0)
        return refuse(reason, path, "it is a copy, and the key may have voted since it was made");
    return DSMR_OK;
}

/* Durable also if an earlier life did it, and did not come to the sync. */
static enum dsmr_err remove_mark(const char *data)
{
    int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return DSMR_ERR_IO;
    bool is_gone = unlinkat(fd, "never-voted", 0) == 0 || errno == ENOENT;
    is_gone = is_gone && fsync(fd) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return is_gone ? DSMR_OK : DSMR_ERR_IO;
}

enum dsmr_err dsmr_never_voted_open_store(struct dsmr_lmdb_store **out,
                                          const struct dsmr_lmdb_store_config *config,
                                          const struct dsmr_bls_public_key *key, uint64_t epoch)
{
    char reason[DSMR_NEVER_VOTED_REASON_BYTES] = "";
    struct dsmr_lmdb_store_config with_first = *config;
    struct dsmr_bft_never_voted record;
    struct dsmr_store_write first = {.kind = DSMR_STORE_BFT_PUT};
    enum dsmr_err err = dsmr_never_voted_read(reason, config->directory, key);
    if (err == DSMR_ERR_CONFIG && config->log.ops != NULL)
        config->log.ops->line(config->log.self, DSMR_LOG_WARN, "bft", reason);
    dsmr_bft_never_voted(&record, epoch);
    first.u.bft.key = record.key;
    first.u.bft.key_len = sizeof record.key;
    first.u.bft.value = record.value;
    first.u.bft.value_len = sizeof record.value;
    with_first.first = err == DSMR_OK ? &first : NULL;
    err = dsmr_lmdb_store_open(out, &with_first);
    if (err != DSMR_OK)
        return err;
    /* There is a journal that may soon hold votes: from here on the mark would say of its loss that
     * there was nothing to lose. */
    err = remove_mark(config->directory);
    if (err != DSMR_OK) {
        if (config->reason != NULL)
            snprintf(config->reason, config->reason_bytes, "%.400s/never-voted: not removed: %s",
                     config->directory, strerror(errno));
        dsmr_lmdb_store_close(*out);
        *out = NULL;
    }
    return err;
}
