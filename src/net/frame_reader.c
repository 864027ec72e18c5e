#include "net/frame_reader.h"

#include <string.h>

#include "base/assert.h"
#include "base/order.h"

/* Below this a direct read saves nothing over the stage, which may bring more frames with it. */
#define DIRECT_BYTES_MIN 4096u

void dsmr_frame_reader_init(struct dsmr_frame_reader *reader, uint32_t message_bytes_max)
{
    memset(reader, 0, offsetof(struct dsmr_frame_reader, stage));
    reader->message_bytes_max = message_bytes_max;
}

void dsmr_frame_reader_close(struct dsmr_frame_reader *reader)
{
    for (unsigned i = 0; i < DSMR_FRAME_READER_LANES; i++) {
        dsmr_buf_unref(reader->lanes[i].buf);
        reader->lanes[i].buf = NULL;
    }
}

/* How much of the frame at hand fits into what its message has allocated. */
static size_t room(const struct dsmr_frame_reader *reader)
{
    const struct dsmr_frame_reader_lane *lane = reader->at;
    return lane == NULL ? 0 : dsmr_smaller(lane->buf->len - lane->filled, reader->frame_left);
}

static void advance(struct dsmr_frame_reader *reader, size_t len)
{
    reader->at->filled += len;
    reader->frame_left -= len;
}

/* The header of a next piece is read alone: what follows it is read to its place. */
static bool is_piece_likely(const struct dsmr_frame_reader *reader)
{
    for (unsigned i = 0; reader->at == NULL && i < DSMR_MSG_CLASS_COUNT; i++)
        if (reader->lanes[i].wanted > 0)
            return true;
    return false;
}

void dsmr_frame_reader_space(struct dsmr_frame_reader *reader, uint8_t **bytes, size_t *len)
{
    if (room(reader) >= DIRECT_BYTES_MIN) {
        DSMR_ASSERT(reader->stage_at == reader->stage_len);
        *bytes = reader->at->buf->bytes + reader->at->filled;
        *len = room(reader);
        return;
    }
    if (reader->stage_at > 0) { /* at most a part of a header is left */
        memmove(reader->stage, reader->stage + reader->stage_at,
                reader->stage_len - reader->stage_at);
        reader->stage_len -= reader->stage_at;
        reader->stage_at = 0;
    }
    DSMR_ASSERT(reader->stage_len < DSMR_FRAME_HEADER_BYTES);
    *bytes = reader->stage + reader->stage_len;
    *len = (is_piece_likely(reader) ? DSMR_FRAME_HEADER_BYTES : sizeof(reader->stage)) -
           reader->stage_len;
}

void dsmr_frame_reader_fill(struct dsmr_frame_reader *reader, size_t len)
{
    reader->received += len;
    if (room(reader) >= DIRECT_BYTES_MIN) {
        DSMR_ASSERT(len <= room(reader));
        advance(reader, len);
    } else {
        DSMR_ASSERT(len <= sizeof(reader->stage) - reader->stage_len);
        reader->stage_len += len;
    }
}

/* What the others have allocated, or may need to, so that each can grow to twice what it has. */
static uint64_t claims_of_others(const struct dsmr_frame_reader *reader,
                                 const struct dsmr_frame_reader_lane *lane)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < DSMR_FRAME_READER_LANES; i++) {
        const struct dsmr_frame_reader_lane *other = &reader->lanes[i];
        if (other != lane && other->wanted > 0)
            sum += other->buf->len > 2 * other->filled ? other->buf->len : 2 * other->filled;
    }
    return sum;
}

/* Makes room for more of the message: all of it once the peer has sent half as much. */
static enum dsmr_err grow(struct dsmr_frame_reader *reader, struct dsmr_frame_reader_lane *lane)
{
    uint64_t sent = reader->received * 2, others = claims_of_others(reader, lane);
    uint64_t allowed = sent > others ? sent - others : 0;
    if (allowed < 2 * lane->filled)
        allowed = 2 * lane->filled;
    if (allowed < DSMR_FRAME_READER_FREE_BYTES)
        allowed = DSMR_FRAME_READER_FREE_BYTES;
    size_t size = lane->wanted < allowed ? lane->wanted : (size_t)allowed;
    DSMR_ASSERT(size > lane->filled);
    struct dsmr_buf *bigger = dsmr_buf_new(size);
    if (bigger == NULL)
        return DSMR_ERR_NO_MEMORY;
    if (lane->buf != NULL)
        memcpy(bigger->bytes, lane->buf->bytes, lane->filled);
    dsmr_buf_unref(lane->buf);
    lane->buf = bigger;
    return DSMR_OK;
}

static enum dsmr_err begin_message(struct dsmr_frame_reader *reader,
                                   struct dsmr_frame_reader_lane *lane, size_t len)
{
    lane->wanted = len;
    lane->number = ++reader->begun;
    enum dsmr_err err = grow(reader, lane);
    if (err != DSMR_OK)
        lane->wanted = 0;
    return err;
}

/* The rules of docs/transport.md, section 5. */
static enum dsmr_err begin_frame(struct dsmr_frame_reader *reader, uint32_t kind, size_t len)
{
    if (kind == DSMR_FRAME_WHOLE) {
        if (len > DSMR_FRAME_BYTES_MAX || len > reader->message_bytes_max)
            return DSMR_ERR_TOO_LARGE;
        if (len == 0)
            return DSMR_OK; /* a ping */
        reader->at = &reader->lanes[DSMR_MSG_CLASS_COUNT];
        reader->frame_left = len;
        return begin_message(reader, reader->at, len);
    }
    bool is_begin = kind - DSMR_FRAME_BEGIN < DSMR_MSG_CLASS_COUNT;
    if (!is_begin && kind - DSMR_FRAME_PIECE >= DSMR_MSG_CLASS_COUNT)
        return DSMR_ERR_MALFORMED;
    struct dsmr_frame_reader_lane *lane =
        &reader->lanes[kind - (is_begin ? DSMR_FRAME_BEGIN : DSMR_FRAME_PIECE)];
    if (is_begin) {
        if (len > reader->message_bytes_max)
            return DSMR_ERR_TOO_LARGE;
        if (lane->wanted > 0 || len <= DSMR_FRAME_BYTES_MAX)
            return DSMR_ERR_MALFORMED;
        return begin_message(reader, lane, len);
    }
    if (len > DSMR_FRAME_BYTES_MAX)
        return DSMR_ERR_TOO_LARGE;
    if (len == 0 || len > lane->wanted - lane->filled) /* 0 of 0, if none has begun */
        return DSMR_ERR_MALFORMED;
    reader->at = lane;
    reader->frame_left = len;
    return DSMR_OK;
}

/* Reads headers out of the stage until a frame with bytes has begun, if there is one. */
static enum dsmr_err read_headers(struct dsmr_frame_reader *reader)
{
    enum dsmr_err err = DSMR_OK;
    while (err == DSMR_OK && reader->at == NULL &&
           reader->stage_len - reader->stage_at >= DSMR_FRAME_HEADER_BYTES) {
        uint32_t header = dsmr_load_be32(reader->stage + reader->stage_at);
        reader->stage_at += DSMR_FRAME_HEADER_BYTES;
        err = begin_frame(reader, header >> 24, header & 0xffffffu);
    }
    return err;
}

/* Moves staged bytes of the frame at hand to its message, which grows as it may. */
static enum dsmr_err take_staged(struct dsmr_frame_reader *reader)
{
    for (;;) {
        size_t n = dsmr_smaller(reader->stage_len - reader->stage_at, room(reader));
        memcpy(reader->at->buf->bytes + reader->at->filled, reader->stage + reader->stage_at, n);
        reader->stage_at += n;
        advance(reader, n);
        if (reader->frame_left == 0 || reader->at->filled < reader->at->buf->len)
            return DSMR_OK;
        enum dsmr_err err = grow(reader, reader->at);
        if (err != DSMR_OK)
            return err;
    }
}

enum dsmr_err dsmr_frame_reader_next(struct dsmr_frame_reader *reader, struct dsmr_buf **out)
{
    *out = NULL;
    for (;;) {
        enum dsmr_err err = read_headers(reader);
        if (err != DSMR_OK || reader->at == NULL)
            return err;
        err = take_staged(reader);
        if (err != DSMR_OK || reader->frame_left > 0)
            return err;
        struct dsmr_frame_reader_lane *lane = reader->at;
        reader->at = NULL;
        if (lane->filled == lane->wanted) {
            *out = lane->buf;
            *lane = (struct dsmr_frame_reader_lane){0};
            return DSMR_OK;
        }
    }
}

uint64_t dsmr_frame_reader_oldest(const struct dsmr_frame_reader *reader)
{
    uint64_t oldest = 0;
    for (unsigned i = 0; i < DSMR_FRAME_READER_LANES; i++) {
        const struct dsmr_frame_reader_lane *lane = &reader->lanes[i];
        if (lane->wanted > 0 && (oldest == 0 || lane->number < oldest))
            oldest = lane->number;
    }
    bool has_part = reader->at == NULL && reader->stage_at < reader->stage_len;
    return oldest == 0 && has_part ? reader->begun + 1 : oldest;
}
