/* segments.h - chunk bodies in append-only files.
 *
 * Why:        a body is written once, read seldom and dropped with its neighbours: appending it to
 *             a file costs a third less than a B-tree, and dropping files needs no free space
 *             (docs/decisions/002-chunk-bodies.md has the measurement).
 * How:        files NNNNNNNNNNNNNNNN.seg in one directory, numbered from 1, filled in order of
 *             arrival up to segment_bytes, then closed for ever. Every body starts at a multiple
 *             of DSMR_SEGMENTS_ALIGN_BYTES, so that the space of each can be given back alone.
 *             Large bodies go around the page cache (O_DIRECT) where the file system lets them: the
 *             copy into fresh pages of the cache costs more than all else that is done to a body
 *             (docs/decisions/013-direct-writes.md). They are read so, too.
 * Not here:   which bodies are alive: the database knows (schema.h); places are kept there too.
 * Invariants: a byte below a durable place is never written again; a file of an earlier run is
 *             never appended to.
 * Threads:    append, sync, cut and leave from one thread; the others from any. */
#ifndef DSMR_STORE_SEGMENTS_H
#define DSMR_STORE_SEGMENTS_H

#include "dsmr/types.h"
#include "store/schema.h"
#include "store/store_cause.h"

#define DSMR_SEGMENTS_ALIGN_BYTES 4096u

struct dsmr_segments {
    char *path;                     /* of the directory */
    struct dsmr_store_cause *cause; /* of the owner, who sets it; NULL: none */
    int dir_fd;
    int fd;           /* of the open segment; -1: the next append starts one */
    int direct_fd;    /* the same file, opened with O_DIRECT; -1: not to be had */
    uint8_t *staging; /* an aligned copy of what is written there; NULL before the first */
    uint64_t number;  /* of the open segment */
    uint64_t last;    /* highest number ever used */
    uint64_t end;     /* of the open segment's data, aligned */
    uint64_t segment_bytes;
    uint64_t syncs;    /* made so far */
    bool is_dirty;     /* appended since the last sync */
    bool is_dir_dirty; /* a file was made since the last sync */
};

/* Opens the directory, made if absent. IO, DISK_FULL. */
DSMR_MUST_USE enum dsmr_err dsmr_segments_open(struct dsmr_segments *out, const char *path,
                                               uint64_t segment_bytes);
void dsmr_segments_close(struct dsmr_segments *segments);

/* Writes a body; not durable before sync. DISK_FULL or IO: nothing was added. */
DSMR_MUST_USE enum dsmr_err dsmr_segments_append(struct dsmr_segments *segments,
                                                 struct dsmr_schema_place *place,
                                                 const uint8_t *bytes, uint32_t len);
/* Makes all that was appended durable. IO, also if the file was deleted. */
DSMR_MUST_USE enum dsmr_err dsmr_segments_sync(struct dsmr_segments *segments);
/* Forgets appends that were not committed, so that their space is used again: number and end are
 * those of the open segment before them. */
void dsmr_segments_cut(struct dsmr_segments *segments, uint64_t number, uint64_t end);

/* Lets the open segment go if it is number: the next append starts another. */
void dsmr_segments_leave(struct dsmr_segments *segments, uint64_t number);

/* Removes the file of a segment that is not open; it needs no free space. No error: what stays is
 * removed at open. Any thread. */
void dsmr_segments_drop(const struct dsmr_segments *segments, uint64_t number);
/* Gives the space of from..end of a segment back. No error: then it is given back with the whole
 * file. Any thread. */
void dsmr_segments_release(const struct dsmr_segments *segments, uint64_t number, uint64_t from,
                           uint64_t end);
/* Where the space of a body ends. */
uint64_t dsmr_segments_place_end(const struct dsmr_schema_place *place);

/* Reads and checks a body. UNKNOWN: no such file; CORRUPT, also if the file ends before it; IO;
 * NO_MEMORY. Caller unrefs. */
DSMR_MUST_USE enum dsmr_err dsmr_segments_read(const struct dsmr_segments *segments,
                                               struct dsmr_buf **out,
                                               const struct dsmr_schema_place *place);
/* Size of a segment's file, 0 if there is none. */
uint64_t dsmr_segments_file_bytes(const struct dsmr_segments *segments, uint64_t number);

/* For recovery: calls visit with the number of each file. visit answers how many bytes of it are
 * in use: a longer file is cut there, an unused one (0) removed. IO. */
typedef enum dsmr_err (*dsmr_segments_visit)(void *ctx, uint64_t *end_bytes, uint64_t number);
DSMR_MUST_USE enum dsmr_err dsmr_segments_tidy(struct dsmr_segments *segments,
                                               dsmr_segments_visit visit, void *ctx);

#endif
