#define _GNU_SOURCE /* fallocate, O_DIRECT */
#include "store/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "store/crc32c.h"

#define NAME_BYTES 32u
#define PATH_BYTES_MAX 4200u
#define NAME_DIGITS 16u
#define DIR_MODE 0700
#define FILE_MODE 0600
#define STAGING_BYTES                                                                              \
    (2u << 20)                /* a huge page, where the kernel gives one: one piece for the disk */
#define READ_BYTES (1u << 20) /* at once */
#define DIRECT_BYTES_MIN                                                                           \
    (64u << 10) /* below, the round trip to the disk costs more than a copy                        \
                 */

static enum dsmr_err err_of_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return DSMR_ERR_DISK_FULL;
    case ENOMEM:
        return DSMR_ERR_NO_MEMORY;
    default:
        return DSMR_ERR_IO;
    }
}

static uint64_t align_up(uint64_t bytes)
{
    return (bytes + DSMR_SEGMENTS_ALIGN_BYTES - 1) & ~(uint64_t)(DSMR_SEGMENTS_ALIGN_BYTES - 1);
}

static void name_of(char name[NAME_BYTES], uint64_t number)
{
    (void)snprintf(name, NAME_BYTES, "%016" PRIx64 ".seg", number);
}

/* 0 if name is not a segment's: one that has no next number was never made here. */
static uint64_t number_of(const char *name)
{
    char again[NAME_BYTES];
    uint64_t number = strtoull(name, NULL, 16);

    name_of(again, number);
    return strcmp(name, again) == 0 && number != UINT64_MAX ? number : 0;
}

enum dsmr_err dsmr_segments_open(struct dsmr_segments *out, const char *path,
                                 uint64_t segment_bytes)
{
    struct dsmr_segments segments = {.fd = -1, .direct_fd = -1, .segment_bytes = segment_bytes};
    size_t path_bytes = strlen(path) + 1;

    if (mkdir(path, DIR_MODE) != 0 && errno != EEXIST) {
        return err_of_errno();
    }
    segments.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (segments.dir_fd < 0) {
        return err_of_errno();
    }
    segments.path = malloc(path_bytes);
    if (segments.path == NULL) {
        (void)close(segments.dir_fd);
        return DSMR_ERR_NO_MEMORY;
    }
    memcpy(segments.path, path, path_bytes);
    *out = segments;
    return DSMR_OK;
}

static void close_segment(struct dsmr_segments *segments)
{
    if (segments->fd >= 0) {
        (void)close(segments->fd);
    }
    if (segments->direct_fd >= 0) {
        (void)close(segments->direct_fd);
    }
    segments->fd = -1;
    segments->direct_fd = -1;
    segments->end = 0;
}

void dsmr_segments_close(struct dsmr_segments *segments)
{
    close_segment(segments);
    (void)close(segments->dir_fd);
    segments->dir_fd = -1;
    free(segments->path);
    free(segments->staging);
    segments->path = NULL;
    segments->staging = NULL;
}

/* Remembers why what was done with segment number failed. */
static enum dsmr_err fail(const struct dsmr_segments *segments, uint64_t number, enum dsmr_err err,
                          const char *what)
{
    char path[PATH_BYTES_MAX];
    char name[NAME_BYTES];

    name_of(name, number);
    (void)snprintf(path, sizeof path, "%s/%s", segments->path, name);
    dsmr_store_cause_set(segments->cause, path, what);
    return err;
}

static enum dsmr_err start_segment(struct dsmr_segments *segments)
{
    char name[NAME_BYTES];
    int fd;

    if (segments->last == UINT64_MAX) { /* only a record that is wrong says so */
        return fail(segments, segments->last, DSMR_ERR_IO, "is the last file that has a number");
    }
    name_of(name, segments->last + 1);
    fd = openat(segments->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        int why = errno;
        return fail(segments, segments->last + 1, err_of_errno(), strerror(why));
    }
    segments->fd = fd;
    /* Refused by file systems that have nothing but the page cache, as tmpfs. */
    segments->direct_fd = openat(segments->dir_fd, name, O_WRONLY | O_DIRECT | O_CLOEXEC);
    segments->last++;
    segments->number = segments->last;
    segments->end = 0;
    segments->is_dir_dirty = true;
    return DSMR_OK;
}

static enum dsmr_err write_all(int fd, const uint8_t *bytes, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, bytes, len, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? DSMR_ERR_DISK_FULL : err_of_errno();
        }
        bytes += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return DSMR_OK;
}

/* The same around the page cache. The last block is filled up with zeros: no body begins in it.
 * IO of a file system that takes O_DIRECT at open and not here: the rest is written as usual. */
static enum dsmr_err write_direct(struct dsmr_segments *segments, uint32_t *crc,
                                  const uint8_t *bytes, size_t len)
{
    uint64_t offset = segments->end;

    while (len > 0 && segments->direct_fd >= 0) {
        size_t piece = len < STAGING_BYTES ? len : STAGING_BYTES;
        size_t padded = (size_t)align_up(piece);
        uint32_t crc_before = *crc;
        *crc = dsmr_crc32c_copy(*crc, segments->staging, bytes, piece);
        memset(segments->staging + piece, 0, padded - piece);
        enum dsmr_err err = write_all(segments->direct_fd, segments->staging, padded, offset);
        if (err == DSMR_ERR_IO && errno == EINVAL) {
            (void)close(segments->direct_fd);
            segments->direct_fd = -1;
            *crc = crc_before;
            break;
        }
        if (err != DSMR_OK) {
            return err;
        }
        bytes += piece;
        len -= piece;
        offset += piece;
    }
    *crc = dsmr_crc32c(*crc, bytes, len);
    return write_all(segments->fd, bytes, len, offset);
}

static enum dsmr_err write_body(struct dsmr_segments *segments, uint32_t *crc, const uint8_t *bytes,
                                size_t len)
{
    bool is_direct = segments->direct_fd >= 0 && len >= DIRECT_BYTES_MIN;
    if (is_direct && segments->staging == NULL) {
        segments->staging = aligned_alloc(STAGING_BYTES, STAGING_BYTES);
        if (segments->staging != NULL) {
            (void)madvise(segments->staging, STAGING_BYTES, MADV_HUGEPAGE);
        }
    }
    *crc = 0;
    if (is_direct && segments->staging != NULL) {
        return write_direct(segments, crc, bytes, len);
    }
    *crc = dsmr_crc32c(*crc, bytes, len);
    return write_all(segments->fd, bytes, len, segments->end);
}

enum dsmr_err dsmr_segments_append(struct dsmr_segments *segments, struct dsmr_schema_place *place,
                                   const uint8_t *bytes, uint32_t len)
{
    enum dsmr_err err;

    if (segments->fd >= 0 && segments->end + len > segments->segment_bytes && segments->end > 0) {
        /* The full one must be durable before it is let go. */
        err = dsmr_segments_sync(segments);
        if (err != DSMR_OK) {
            return err;
        }
        close_segment(segments);
    }
    if (segments->fd < 0) {
        err = start_segment(segments);
        if (err != DSMR_OK) {
            return err;
        }
    }
    err = write_body(segments, &place->crc, bytes, len);
    if (err != DSMR_OK) {
        (void)fail(segments, segments->number, err,
                   strerror(err == DSMR_ERR_DISK_FULL ? ENOSPC : errno));
        (void)!ftruncate(segments->fd, (off_t)segments->end); /* gives a full disk its space back */
        return err;
    }
    place->segment = segments->number;
    place->offset = segments->end;
    place->len = len;
    segments->end = align_up(segments->end + len);
    segments->is_dirty = true;
    return DSMR_OK;
}

enum dsmr_err dsmr_segments_sync(struct dsmr_segments *segments)
{
    struct stat st;

    if (segments->is_dirty) {
        segments->syncs++;
        if (fdatasync(segments->fd) != 0) {
            return fail(segments, segments->number, DSMR_ERR_IO, strerror(errno));
        }
        if (fstat(segments->fd, &st) == 0 && st.st_nlink == 0) {
            return fail(segments, segments->number, DSMR_ERR_IO, "was deleted while it was in use");
        }
        segments->is_dirty = false;
    }
    if (segments->is_dir_dirty) {
        segments->syncs++;
        if (fsync(segments->dir_fd) != 0) {
            dsmr_store_cause_set(segments->cause, segments->path, strerror(errno));
            return DSMR_ERR_IO;
        }
        segments->is_dir_dirty = false;
    }
    return DSMR_OK;
}

void dsmr_segments_cut(struct dsmr_segments *segments, uint64_t number, uint64_t end)
{
    if (segments->fd < 0) {
        return;
    }
    segments->end = segments->number == number ? end : 0;
    (void)!ftruncate(segments->fd, (off_t)segments->end);
}

void dsmr_segments_leave(struct dsmr_segments *segments, uint64_t number)
{
    if (segments->fd >= 0 && segments->number == number) {
        close_segment(segments);
    }
}

void dsmr_segments_drop(const struct dsmr_segments *segments, uint64_t number)
{
    char name[NAME_BYTES];

    name_of(name, number);
    (void)unlinkat(segments->dir_fd, name, 0);
}

uint64_t dsmr_segments_place_end(const struct dsmr_schema_place *place)
{
    return align_up(place->offset + place->len);
}

void dsmr_segments_release(const struct dsmr_segments *segments, uint64_t number, uint64_t from,
                           uint64_t end)
{
    char name[NAME_BYTES];
    int fd;

    name_of(name, number);
    fd = openat(segments->dir_fd, name, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
                        (off_t)(end - from));
        (void)close(fd);
    }
}

/* Reads a body into out; with staging, an aligned buffer whose pages are no new ones, through that,
 * as around the page cache it has to be. errno tells about IO. */
static enum dsmr_err fill(struct dsmr_buf *out, int fd, uint8_t *staging,
                          const struct dsmr_schema_place *place)
{
    uint32_t crc = 0;
    size_t at = 0;

    while (at < place->len) {
        uint8_t *to = out->bytes + at;
        size_t left = place->len - at;
        size_t whole = left < READ_BYTES ? (size_t)align_up(left) : READ_BYTES;
        ssize_t n = pread(fd, staging == NULL ? to : staging, staging == NULL ? left : whole,
                          (off_t)(place->offset + at));
        if (n < 0 && errno != EINTR) {
            return DSMR_ERR_IO;
        }
        if (n == 0) {
            return DSMR_ERR_CORRUPT; /* it was cut off meanwhile */
        }
        size_t got = n < 0 ? 0 : (size_t)n < left ? (size_t)n : left;
        crc = staging == NULL ? dsmr_crc32c(crc, to, got) : dsmr_crc32c_copy(crc, to, staging, got);
        at += got;
    }
    return crc == place->crc ? DSMR_OK : DSMR_ERR_CORRUPT;
}

/* Nothing is allocated for a body that the file does not have. */
static enum dsmr_err read_body(struct dsmr_buf **out, int fd, bool is_direct,
                               const struct dsmr_schema_place *place)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return DSMR_ERR_IO;
    }
    if (place->offset > (uint64_t)st.st_size || place->len > (uint64_t)st.st_size - place->offset) {
        return DSMR_ERR_CORRUPT;
    }
    *out = dsmr_buf_new(place->len);
    if (*out == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    size_t room = place->len < READ_BYTES ? (size_t)align_up(place->len) : READ_BYTES;
    uint8_t *staging = is_direct ? aligned_alloc(DSMR_SEGMENTS_ALIGN_BYTES, room) : NULL;
    if (staging != NULL) {
        enum dsmr_err err = fill(*out, fd, staging, place);
        bool is_refused = err == DSMR_ERR_IO && errno == EINVAL;
        free(staging);
        if (!is_refused) {
            return err;
        }
    }
    if (is_direct && fcntl(fd, F_SETFL, 0) != 0) { /* through the page cache, then */
        return DSMR_ERR_IO;
    }
    return fill(*out, fd, NULL, place);
}

enum dsmr_err dsmr_segments_read(const struct dsmr_segments *segments, struct dsmr_buf **out,
                                 const struct dsmr_schema_place *place)
{
    char name[NAME_BYTES];
    struct dsmr_buf *buf = NULL;
    enum dsmr_err err;
    int fd = -1;

    name_of(name, place->segment);
    if (place->len >= DIRECT_BYTES_MIN) {
        fd = openat(segments->dir_fd, name, O_RDONLY | O_DIRECT | O_CLOEXEC);
    }
    bool is_direct = fd >= 0;
    if (!is_direct) {
        fd = openat(segments->dir_fd, name, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        return errno == ENOENT ? DSMR_ERR_UNKNOWN : DSMR_ERR_IO;
    }
    err = read_body(&buf, fd, is_direct, place);
    (void)close(fd);
    if (err != DSMR_OK) {
        dsmr_buf_unref(buf);
        return err;
    }
    *out = buf;
    return DSMR_OK;
}

uint64_t dsmr_segments_file_bytes(const struct dsmr_segments *segments, uint64_t number)
{
    char name[NAME_BYTES];
    struct stat st;

    name_of(name, number);
    if (fstatat(segments->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return 0;
    }
    return (uint64_t)st.st_size;
}

/* Cuts what a crash left behind the end of a file. Not an error if it fails: it is only space. */
static void cut_tail(struct dsmr_segments *segments, const char *name, uint64_t end_bytes)
{
    struct stat st;
    int fd = openat(segments->dir_fd, name, O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        if (fstat(fd, &st) == 0 && (uint64_t)st.st_size > end_bytes) {
            (void)!ftruncate(fd, (off_t)end_bytes);
        }
        (void)close(fd);
    }
}

enum dsmr_err dsmr_segments_tidy(struct dsmr_segments *segments, dsmr_segments_visit visit,
                                 void *ctx)
{
    enum dsmr_err err = DSMR_OK;
    struct dirent *entry;
    DIR *dir;
    int fd = openat(segments->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return DSMR_ERR_IO;
    }
    dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return DSMR_ERR_IO;
    }
    while (err == DSMR_OK && (entry = readdir(dir)) != NULL) {
        uint64_t number = number_of(entry->d_name);
        uint64_t end_bytes = 0;
        if (number == 0) {
            continue;
        }
        err = visit(ctx, &end_bytes, number);
        if (err == DSMR_OK && end_bytes == 0) {
            (void)unlinkat(segments->dir_fd, entry->d_name, 0);
        } else if (err == DSMR_OK) {
            cut_tail(segments, entry->d_name, end_bytes);
        }
        segments->last = number > segments->last ? number : segments->last;
    }
    (void)closedir(dir);
    return err;
}
