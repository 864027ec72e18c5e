#define _GNU_SOURCE
#include "host/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

#define TEXT_BYTES (2u * DSMR_KEY_FILE_SECRET_BYTES)

static enum dsmr_err fail(char *reason, enum dsmr_err err, const char *path, const char *what)
{
    snprintf(reason, DSMR_KEY_FILE_REASON_BYTES, "key file %.160s %s", path, what);
    return err;
}

static enum dsmr_err fail_errno(char *reason, const char *path, const char *verb, int number)
{
    char what[80];
    snprintf(what, sizeof(what), "cannot be %s: %s", verb, strerror(number));
    bool is_full = number == ENOSPC || number == EDQUOT;
    return fail(reason, is_full ? DSMR_ERR_DISK_FULL : DSMR_ERR_IO, path, what);
}

static enum dsmr_err check_file(char *reason, const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_errno(reason, path, "read", errno);
    if (!S_ISREG(st.st_mode))
        return fail(reason, DSMR_ERR_CONFIG, path, "is not a plain file");
    if (st.st_uid != geteuid())
        return fail(reason, DSMR_ERR_CONFIG, path, "belongs to another user");
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return fail(reason, DSMR_ERR_CONFIG, path,
                    "may be read or written by others; run: chmod 600 on it");
    return DSMR_OK;
}

enum dsmr_err dsmr_key_file_read(uint8_t out[DSMR_KEY_FILE_SECRET_BYTES],
                                 char reason[DSMR_KEY_FILE_REASON_BYTES], const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(reason, path, "opened", errno);
    char text[TEXT_BYTES + 2];
    size_t len = 0;
    enum dsmr_err err = check_file(reason, path, fd);
    while (err == DSMR_OK && len < sizeof(text)) {
        ssize_t n = read(fd, text + len, sizeof(text) - len);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            err = fail_errno(reason, path, "read", errno);
        else if (n > 0)
            len += (size_t)n;
    }
    close(fd);
    if (err == DSMR_OK) {
        if (len > 0 && text[len - 1] == '\n')
            len--;
        if (dsmr_hex_decode(out, DSMR_KEY_FILE_SECRET_BYTES, text, len) != DSMR_OK)
            err = fail(reason, DSMR_ERR_CONFIG, path, "does not hold 64 hex digits and a newline");
    }
    explicit_bzero(text, sizeof(text));
    return err;
}

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0;
}

enum dsmr_err dsmr_key_file_write(const uint8_t secret[DSMR_KEY_FILE_SECRET_BYTES],
                                  char reason[DSMR_KEY_FILE_REASON_BYTES], const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && errno == EEXIST)
        return fail(reason, DSMR_ERR_DUPLICATE, path, "exists already; it is not replaced");
    if (fd < 0)
        return fail_errno(reason, path, "made", errno);
    char text[TEXT_BYTES + 1];
    dsmr_hex_encode(text, secret, DSMR_KEY_FILE_SECRET_BYTES);
    text[TEXT_BYTES] = '\n';
    enum dsmr_err err = DSMR_OK;
    if (!write_all(fd, text, sizeof(text))) {
        err = fail_errno(reason, path, "written", errno);
        unlink(path); /* half a key is worse than none */
    }
    explicit_bzero(text, sizeof(text));
    close(fd);
    return err;
}
