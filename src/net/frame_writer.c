#include "net/frame_writer.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

void dsmr_frame_writer_init(struct dsmr_frame_writer *writer)
{
    writer->current = NULL;
    writer->offset = 0;
    writer->run = NULL;
    writer->run_len = 0;
}

void dsmr_frame_writer_close(struct dsmr_frame_writer *writer)
{
    dsmr_outbox_message_free(writer->current);
    dsmr_frame_writer_init(writer);
}

/* One of the three parts of a frame, from offset on. */
struct part {
    const uint8_t *bytes;
    size_t len;
};

static struct part current_part(const struct dsmr_frame_writer *writer, uint8_t *header)
{
    const struct dsmr_outbox_message *message = writer->current;
    size_t at = writer->offset;
    if (at < DSMR_FRAME_HEADER_BYTES) {
        dsmr_store_be32(header, (uint32_t)dsmr_outbox_message_bytes(message));
        return (struct part){header + at, DSMR_FRAME_HEADER_BYTES - at};
    }
    at -= DSMR_FRAME_HEADER_BYTES;
    if (at < message->head->len)
        return (struct part){message->head->bytes + at, message->head->len - at};
    at -= message->head->len;
    if (at < message->body_len)
        return (struct part){message->body + at, message->body_len - at};
    return (struct part){NULL, 0};
}

static void finish_current(struct dsmr_frame_writer *writer)
{
    dsmr_outbox_message_free(writer->current);
    writer->current = NULL;
    writer->offset = 0;
}

void dsmr_frame_writer_next(struct dsmr_frame_writer *writer, const uint8_t **bytes, size_t *len,
                            struct dsmr_outbox_message *(*take)(void *ctx), void *ctx)
{
    size_t staged = 0;
    while (writer->run_len == 0) {
        if (writer->current == NULL)
            writer->current = take(ctx);
        if (writer->current == NULL)
            break;
        uint8_t header[DSMR_FRAME_HEADER_BYTES];
        struct part part = current_part(writer, header);
        if (part.len == 0) {
            finish_current(writer);
            continue;
        }
        if (staged == 0 && part.len >= DSMR_FRAME_RUN_BYTES_MAX) {
            writer->run = part.bytes; /* the message stays current until its end is written */
            writer->run_len = DSMR_FRAME_RUN_BYTES_MAX;
            writer->offset += writer->run_len;
            break;
        }
        size_t room = sizeof(writer->stage) - staged;
        size_t n = part.len < room ? part.len : room;
        memcpy(writer->stage + staged, part.bytes, n);
        staged += n;
        writer->offset += n;
        if (staged == sizeof(writer->stage))
            break;
    }
    if (staged > 0) {
        writer->run = writer->stage;
        writer->run_len = staged;
    }
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
    if (writer->run_len > 0 || writer->current != NULL)
        return false;
    dsmr_store_be32(writer->stage, (uint32_t)len);
    if (len > 0)
        memcpy(writer->stage + DSMR_FRAME_HEADER_BYTES, message, len);
    writer->run = writer->stage;
    writer->run_len = DSMR_FRAME_HEADER_BYTES + len;
    return true;
}
