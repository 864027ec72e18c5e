#include "net/frame_reader.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "net/frame_writer.h"

/* Below this a direct read saves nothing over the stage, which may bring more frames with it. */
#define DIRECT_BYTES_MIN 4096u

void dsmr_frame_reader_init(struct dsmr_frame_reader *reader, uint32_t message_bytes_max)
{
    reader->message_bytes_max = message_bytes_max;
    reader->received = 0;
    reader->buf = NULL;
    reader->filled = 0;
    reader->wanted = 0;
    reader->stage_at = 0;
    reader->stage_len = 0;
}

void dsmr_frame_reader_close(struct dsmr_frame_reader *reader)
{
    dsmr_buf_unref(reader->buf);
    reader->buf = NULL;
}

static bool is_direct(const struct dsmr_frame_reader *reader)
{
    return reader->buf != NULL && reader->buf->len - reader->filled >= DIRECT_BYTES_MIN;
}

void dsmr_frame_reader_space(struct dsmr_frame_reader *reader, uint8_t **bytes, size_t *len)
{
    if (is_direct(reader)) {
        DSMR_ASSERT(reader->stage_at == reader->stage_len);
        *bytes = reader->buf->bytes + reader->filled;
        *len = reader->buf->len - reader->filled;
        return;
    }
    if (reader->stage_at > 0) { /* at most a part of a length is left */
        memmove(reader->stage, reader->stage + reader->stage_at,
                reader->stage_len - reader->stage_at);
        reader->stage_len -= reader->stage_at;
        reader->stage_at = 0;
    }
    DSMR_ASSERT(reader->stage_len < sizeof(reader->stage));
    *bytes = reader->stage + reader->stage_len;
    *len = sizeof(reader->stage) - reader->stage_len;
}

void dsmr_frame_reader_fill(struct dsmr_frame_reader *reader, size_t len)
{
    reader->received += len;
    if (is_direct(reader)) {
        DSMR_ASSERT(len <= reader->buf->len - reader->filled);
        reader->filled += len;
    } else {
        DSMR_ASSERT(len <= sizeof(reader->stage) - reader->stage_len);
        reader->stage_len += len;
    }
}

/* Makes room for more of the message: all of it once the peer has sent half as much. */
static enum dsmr_err grow(struct dsmr_frame_reader *reader)
{
    uint64_t allowed = reader->received * 2;
    if (allowed < DSMR_FRAME_READER_FREE_BYTES)
        allowed = DSMR_FRAME_READER_FREE_BYTES;
    size_t size = reader->wanted < allowed ? reader->wanted : (size_t)allowed;
    DSMR_ASSERT(size > reader->filled);
    struct dsmr_buf *bigger = dsmr_buf_new(size);
    if (bigger == NULL)
        return DSMR_ERR_NO_MEMORY;
    if (reader->buf != NULL)
        memcpy(bigger->bytes, reader->buf->bytes, reader->filled);
    dsmr_buf_unref(reader->buf);
    reader->buf = bigger;
    return DSMR_OK;
}

/* Reads a length out of the stage; leaves wanted at 0 if it is not there yet. */
static enum dsmr_err begin_frame(struct dsmr_frame_reader *reader)
{
    while (reader->stage_len - reader->stage_at >= DSMR_FRAME_HEADER_BYTES) {
        uint32_t len = dsmr_load_be32(reader->stage + reader->stage_at);
        if (len > reader->message_bytes_max)
            return DSMR_ERR_TOO_LARGE;
        reader->stage_at += DSMR_FRAME_HEADER_BYTES;
        if (len == 0)
            continue; /* a ping */
        reader->wanted = len;
        return grow(reader);
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_frame_reader_next(struct dsmr_frame_reader *reader, struct dsmr_buf **out)
{
    *out = NULL;
    if (reader->wanted == 0) {
        enum dsmr_err err = begin_frame(reader);
        if (err != DSMR_OK || reader->wanted == 0)
            return err;
    }
    for (;;) {
        size_t staged = reader->stage_len - reader->stage_at;
        size_t room = reader->buf->len - reader->filled;
        size_t n = staged < room ? staged : room;
        memcpy(reader->buf->bytes + reader->filled, reader->stage + reader->stage_at, n);
        reader->stage_at += n;
        reader->filled += n;
        if (reader->filled == reader->wanted)
            break;
        if (reader->filled < reader->buf->len)
            return DSMR_OK;
        enum dsmr_err err = grow(reader);
        if (err != DSMR_OK)
            return err;
    }
    *out = reader->buf;
    reader->buf = NULL;
    reader->filled = 0;
    reader->wanted = 0;
    return DSMR_OK;
}

bool dsmr_frame_reader_is_partial(const struct dsmr_frame_reader *reader)
{
    return reader->wanted > 0 || reader->stage_at < reader->stage_len;
}
