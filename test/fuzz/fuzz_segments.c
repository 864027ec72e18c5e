/* fuzz_segments.c - any bytes as a file of chunk bodies, read at any place; any names in its
 * folder.
 *
 * How:    even first byte: {places u8, {segment u8, offset u64, len u32, checksum u8} each, the
 *         file's bytes}; the checksum is the right one if the last field is even. Odd: rows of
 *         {length u8, what of it is in use u8, name} are files that a recovery finds.
 * Checks: a body is given just if the file has it and its checksum fits, an error says which of
 *         that is not so, and nothing larger than the file is allocated; after a recovery a new
 * body has a number of its own, above all that were there, and is read back. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/files.h"
#include "base/bytes.h"
#include "store/crc32c.h"
#include "store/segments.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLACE_BYTES = 14, FILE_MAX = 1 << 16, NAMES_MAX = 16 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* ---- a folder of this process ---- */

static char folder[64];

static void empty_folder(void)
{
    DIR *dir = opendir(folder);
    must(dir != NULL);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            must(unlinkat(dirfd(dir), entry->d_name, 0) == 0);
    (void)closedir(dir);
}

static void remove_folder(void)
{
    dsmr_files_remove_folder(folder);
}

static void make_folder(void)
{
    const char *in = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    must(dsmr_files_make_temporary(folder, sizeof folder, in, "dsmr-fuzz") == DSMR_OK &&
         atexit(remove_folder) == 0);
}

static void make_file(const char *name, const uint8_t *bytes, size_t len)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    (void)close(fd);
}

/* ---- places ---- */

static void read_place(const struct dsmr_segments *segments, const uint8_t *place,
                       const uint8_t *file, size_t file_len)
{
    struct dsmr_buf *buf = NULL;
    struct dsmr_schema_place wanted = {.segment = place[0] % 4,
                                       .offset = dsmr_load_be64(place + 1),
                                       .len = dsmr_load_be32(place + 9),
                                       .crc = place[13]};
    bool is_inside = wanted.offset <= file_len && wanted.len <= (uint64_t)file_len - wanted.offset;
    uint32_t crc = is_inside ? dsmr_crc32c(0, file + wanted.offset, wanted.len) : 0;
    if (place[13] % 2 == 0)
        wanted.crc = crc;
    enum dsmr_err err = dsmr_segments_read(segments, &buf, &wanted);
    if (wanted.segment != 1) {
        must(err == DSMR_ERR_UNKNOWN);
    } else if (!is_inside || wanted.crc != crc) {
        must(err == DSMR_ERR_CORRUPT);
    } else {
        must(err == DSMR_OK && buf->len == wanted.len);
        must(memcmp(buf->bytes, file + wanted.offset, wanted.len) == 0);
    }
    must((err == DSMR_OK) == (buf != NULL));
    dsmr_buf_unref(buf);
}

static void read_places(struct dsmr_segments *segments, const uint8_t *bytes, size_t len)
{
    size_t count = len > 0 ? bytes[0] % 8u : 0;
    if (len < 1 + count * PLACE_BYTES)
        return;
    const uint8_t *file = bytes + 1 + count * PLACE_BYTES;
    size_t file_len = len - 1 - count * PLACE_BYTES;
    make_file("0000000000000001.seg", file, file_len);
    must(dsmr_segments_file_bytes(segments, 1) == file_len);
    must(dsmr_segments_file_bytes(segments, 2) == 0);
    for (size_t i = 0; i < count; i++)
        read_place(segments, bytes + 1 + i * PLACE_BYTES, file, file_len);
}

/* ---- names ---- */

struct names {
    uint32_t count;
    uint8_t in_use[256]; /* by the last digits of the number, so that names agree */
    uint64_t highest;
};

static enum dsmr_err visit(void *ctx, uint64_t *end_bytes, uint64_t number)
{
    struct names *names = ctx;
    must(number > 0);
    *end_bytes = names->in_use[number % 256];
    names->highest = number > names->highest ? number : names->highest;
    names->count++;
    return DSMR_OK;
}

/* Whether recovery has to look at it: 16 digits of a number above zero, and the ending. */
static bool is_segment(const char *name)
{
    if (strlen(name) != 20 || strcmp(name + 16, ".seg") != 0 ||
        strspn(name, "0123456789abcdef") != 16)
        return false;
    return strspn(name, "0") < 16 && strspn(name, "f") < 16; /* the last number has no next one */
}

static void find_names(struct dsmr_segments *segments, const uint8_t *bytes, size_t len)
{
    static const uint8_t zeros[256];
    struct names names = {.count = 0};
    uint32_t files = 0, expected = 0;
    for (size_t at = 0; at + 2 <= len && files < NAMES_MAX; files++) {
        char name[300] = "";
        size_t name_len = bytes[at] % 64u, room = len - at - 2;
        uint8_t in_use = bytes[at + 1];
        name_len = name_len < room ? name_len : room;
        memcpy(name, bytes + at + 2, name_len);
        at += 2 + name_len;
        if (name[0] == '\0' || strchr(name, '/') != NULL || strspn(name, ".") == strlen(name) ||
            faccessat(segments->dir_fd, name, F_OK, 0) == 0)
            continue;
        make_file(name, zeros, 1 + in_use / 2u);
        expected += is_segment(name);
        if (is_segment(name))
            names.in_use[strtoull(name, NULL, 16) % 256] = in_use;
    }
    must(dsmr_segments_tidy(segments, visit, &names) == DSMR_OK);
    must(names.count == expected);
    struct dsmr_schema_place place;
    struct dsmr_buf *buf = NULL;
    must(dsmr_segments_append(segments, &place, bytes, (uint32_t)len) == DSMR_OK);
    must(dsmr_segments_sync(segments) == DSMR_OK);
    must(place.segment > names.highest && place.offset == 0);
    must(dsmr_segments_read(segments, &buf, &place) == DSMR_OK);
    must(buf->len == len && memcmp(buf->bytes, bytes, len) == 0);
    dsmr_buf_unref(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dsmr_segments segments;
    if (size < 1 || size > FILE_MAX)
        return 0;
    if (folder[0] == '\0')
        make_folder();
    must(dsmr_segments_open(&segments, folder, 1u << 20) == DSMR_OK);
    if (data[0] % 2 == 0)
        read_places(&segments, data + 1, size - 1);
    else
        find_names(&segments, data + 1, size - 1);
    dsmr_segments_close(&segments);
    empty_folder();
    return 0;
}
