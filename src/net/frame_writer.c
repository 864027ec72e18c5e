#include "net/frame_writer.h"

#include <string.h>

#include "base/assert.h"

/* Less of a record is not worth a frame: two headers and some bytes of a message. */
#define ROOM_BYTES_MIN 64u

void dsmr_frame_writer_init(struct dsmr_frame_writer *writer)
{
    memset(writer, 0, offsetof(struct dsmr_frame_writer, stage));
    writer->piece_bytes_max = DSMR_FRAME_BYTES_MAX;
}

void dsmr_frame_writer_close(struct dsmr_frame_writer *writer)
{
    for (unsigned i = 0; i < DSMR_MSG_CLASS_COUNT; i++)
        dsmr_outbox_message_free(writer->lanes[i].message);
    dsmr_frame_writer_init(writer);
}

void dsmr_frame_writer_set_slow(struct dsmr_frame_writer *writer, bool is_slow)
{
    writer->piece_bytes_max = is_slow ? DSMR_FRAME_RUN_BYTES_MAX : DSMR_FRAME_BYTES_MAX;
}

/* One of the two parts of a message, from where it stands. */
struct part {
    const uint8_t *bytes;
    size_t len;
};

static struct part next_part(const struct dsmr_frame_writer *writer)
{
    const struct dsmr_outbox_message *message = writer->at->message;
    size_t at = writer->at->offset, head_len = message->head->len;
    struct part part = at < head_len ? (struct part){message->head->bytes + at, head_len - at}
                                     : (struct part){message->body + (at - head_len),
                                                     message->body_len - (at - head_len)};
    if (part.len > writer->frame_left)
        part.len = writer->frame_left;
    return part;
}

static void advance(struct dsmr_frame_writer *writer, size_t len)
{
    writer->at->offset += len;
    writer->frame_left -= len;
}

/* The lane of the most urgent message, new or half sent; NULL: there is nothing to send. */
static struct dsmr_frame_writer_lane *choose(struct dsmr_frame_writer *writer,
                                             dsmr_frame_writer_take *take, void *ctx)
{
    unsigned begun = 0;
    while (begun < DSMR_MSG_CLASS_COUNT && writer->lanes[begun].message == NULL)
        begun++;
    struct dsmr_outbox_message *message = begun > 0 ? take(ctx, begun) : NULL;
    if (message == NULL)
        return begun < DSMR_MSG_CLASS_COUNT ? &writer->lanes[begun] : NULL;
    DSMR_ASSERT(message->cls < begun);
    writer->lanes[message->cls] = (struct dsmr_frame_writer_lane){.message = message};
    return &writer->lanes[message->cls];
}

/* Stages the header of the lane's next frame. A piece ends where a record ends, so that its bytes
 * are read to their place there, too. */
static size_t begin_frame(struct dsmr_frame_writer *writer, struct dsmr_frame_writer_lane *lane,
                          size_t staged)
{
    size_t len = dsmr_outbox_message_bytes(lane->message), left = len - lane->offset;
    uint32_t cls = lane->message->cls;
    writer->at = lane;
    writer->frame_left = left;
    if (len <= DSMR_FRAME_BYTES_MAX) {
        dsmr_frame_header_store(writer->stage + staged, DSMR_FRAME_WHOLE, len);
        return staged + DSMR_FRAME_HEADER_BYTES;
    }
    if (lane->offset == 0) {
        dsmr_frame_header_store(writer->stage + staged, DSMR_FRAME_BEGIN + cls, len);
        staged += DSMR_FRAME_HEADER_BYTES;
    }
    size_t piece = writer->piece_bytes_max - staged - DSMR_FRAME_HEADER_BYTES;
    if (left > piece)
        writer->frame_left = piece;
    dsmr_frame_header_store(writer->stage + staged, DSMR_FRAME_PIECE + cls, writer->frame_left);
    return staged + DSMR_FRAME_HEADER_BYTES;
}

static void end_frame(struct dsmr_frame_writer *writer)
{
    struct dsmr_frame_writer_lane *lane = writer->at;
    writer->at = NULL;
    if (lane->offset < dsmr_outbox_message_bytes(lane->message))
        return;
    dsmr_outbox_message_free(lane->message);
    *lane = (struct dsmr_frame_writer_lane){0};
}

/* Makes the next run, in the stage or where a body lies. */
static void make_run(struct dsmr_frame_writer *writer, dsmr_frame_writer_take *take, void *ctx)
{
    size_t staged = 0;
    for (;;) {
        if (writer->at != NULL && writer->frame_left == 0)
            end_frame(writer); /* its bytes have been written: no run was out */
        size_t room = sizeof(writer->stage) - staged;
        if (writer->at == NULL) {
            if (room < ROOM_BYTES_MIN)
                break;
            struct dsmr_frame_writer_lane *lane = choose(writer, take, ctx);
            if (lane == NULL)
                break;
            staged = begin_frame(writer, lane, staged);
            continue;
        }
        struct part part = next_part(writer);
        if (staged == 0 && part.len >= DSMR_FRAME_RUN_BYTES_MAX) {
            writer->run = part.bytes; /* the message stays until its end is written */
            writer->run_len = DSMR_FRAME_RUN_BYTES_MAX;
            advance(writer, writer->run_len);
            return;
        }
        if (room == 0)
            break;
        size_t n = part.len < room ? part.len : room;
        memcpy(writer->stage + staged, part.bytes, n);
        staged += n;
        advance(writer, n);
    }
    writer->run = writer->stage;
    writer->run_len = staged;
}

void dsmr_frame_writer_next(struct dsmr_frame_writer *writer, const uint8_t **bytes, size_t *len,
                            dsmr_frame_writer_take *take, void *ctx)
{
    if (writer->run_len == 0)
        make_run(writer, take, ctx);
    *bytes = writer->run;
    *len = writer->run_len;
}

void dsmr_frame_writer_done(struct dsmr_frame_writer *writer, size_t len)
{
    DSMR_ASSERT(len <= writer->run_len);
    writer->run += len;
    writer->run_len -= len;
}

bool dsmr_frame_writer_add(struct dsmr_frame_writer *writer, const void *message, size_t len)
{
    DSMR_ASSERT(len <= sizeof(writer->stage) - DSMR_FRAME_HEADER_BYTES);
    for (unsigned i = 0; i < DSMR_MSG_CLASS_COUNT; i++)
        if (writer->lanes[i].message != NULL)
            return false;
    if (writer->run_len > 0)
        return false;
    dsmr_frame_header_store(writer->stage, DSMR_FRAME_WHOLE, len);
    if (len > 0)
        memcpy(writer->stage + DSMR_FRAME_HEADER_BYTES, message, len);
    writer->run = writer->stage;
    writer->run_len = DSMR_FRAME_HEADER_BYTES + len;
    return true;
}
