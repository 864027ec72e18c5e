#include "api/stream_conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define IN_START 4096u
#define IN_MAX (2u * (DSMR_SUBMIT_FRAME_HEAD_BYTES + DSMR_SUBMIT_FRAME_BYTES_MAX))
#define RUNS_PER_FRAME_MAX                                                                         \
    ((DSMR_SUBMIT_FRAME_BYTES_MAX - DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES) /                         \
     DSMR_SUBMIT_FRAME_RUN_BYTES)

static enum dsmr_err grow(uint8_t **bytes, size_t *capacity, size_t wanted)
{
    size_t larger = *capacity > 0 ? *capacity : IN_START;
    while (larger < wanted) {
        larger *= 2;
    }
    if (larger == *capacity) {
        return DSMR_OK;
    }
    uint8_t *moved = realloc(*bytes, larger);
    if (moved == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    *bytes = moved;
    *capacity = larger;
    return DSMR_OK;
}

enum dsmr_err dsmr_stream_conn_in_room(struct dsmr_stream_conn *conn, size_t *room)
{
    DSMR_ASSERT(conn->in_len < IN_MAX);
    if (conn->in_at > 0) { /* the begin of a frame, if anything; once for all before it */
        memmove(conn->in, conn->in + conn->in_at, conn->in_len);
        conn->in_at = 0;
    }
    enum dsmr_err err = grow(&conn->in, &conn->in_capacity, conn->in_len + 1);
    if (err == DSMR_OK) {
        *room = conn->in_capacity - conn->in_len;
    }
    return err;
}

enum dsmr_err dsmr_stream_conn_frame(const struct dsmr_stream_conn *conn, uint8_t *type,
                                     const uint8_t **payload, size_t *payload_len,
                                     size_t *frame_len)
{
    if (conn->in_len == 0) {
        return DSMR_ERR_NOT_YET;
    }
    const uint8_t *frame = conn->in + conn->in_at;
    enum dsmr_err err = dsmr_submit_frame_peek(frame_len, frame, conn->in_len);
    if (err == DSMR_OK) {
        *type = frame[DSMR_SUBMIT_FRAME_HEAD_BYTES];
        *payload = frame + DSMR_SUBMIT_FRAME_HEAD_BYTES + 1;
        *payload_len = *frame_len - DSMR_SUBMIT_FRAME_HEAD_BYTES - 1;
    }
    return err;
}

void dsmr_stream_conn_consume(struct dsmr_stream_conn *conn, size_t len)
{
    DSMR_ASSERT(len <= conn->in_len);
    conn->in_at += len;
    conn->in_len -= len;
}

enum dsmr_err dsmr_stream_conn_write(struct dsmr_stream_conn *conn, const void *bytes, size_t len)
{
    enum dsmr_err err = grow(&conn->out, &conn->out_capacity, conn->out_len + len);
    if (err == DSMR_OK) {
        memcpy(conn->out + conn->out_len, bytes, len);
        conn->out_len += len;
    }
    return err;
}

static enum dsmr_err write_run(struct dsmr_stream_conn *conn)
{
    uint8_t bytes[DSMR_SUBMIT_FRAME_RUN_BYTES];
    if (conn->notice.run.count == 0) {
        return DSMR_OK;
    }
    dsmr_submit_frame_run_encode(bytes, &conn->notice.run);
    enum dsmr_err err = dsmr_stream_conn_write(conn, bytes, sizeof(bytes));
    if (err == DSMR_OK) {
        conn->notice.run.count = 0;
        conn->notice.runs_count++;
    }
    return err;
}

enum dsmr_err dsmr_stream_conn_finish(struct dsmr_stream_conn *conn)
{
    if (!conn->notice.is_open) {
        return DSMR_OK;
    }
    enum dsmr_err err = write_run(conn);
    if (err == DSMR_OK) {
        dsmr_submit_frame_notice_head(conn->out + conn->notice.at, conn->notice.type,
                                      conn->notice.height, conn->notice.runs_count);
        conn->notice.is_open = false;
    }
    return err;
}

static enum dsmr_err begin_notice(struct dsmr_stream_conn *conn, enum dsmr_submit_frame_type type,
                                  uint64_t height)
{
    uint8_t head[DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES] = {0};
    enum dsmr_err err = dsmr_stream_conn_finish(conn);
    if (err == DSMR_OK) {
        err = dsmr_stream_conn_write(conn, head, sizeof(head));
    }
    if (err == DSMR_OK) {
        conn->notice.is_open = true;
        conn->notice.type = type;
        conn->notice.height = height;
        conn->notice.at = conn->out_len - sizeof(head);
        conn->notice.runs_count = 0;
        conn->notice.run.count = 0;
    }
    return err;
}

enum dsmr_err dsmr_stream_conn_notice(struct dsmr_stream_conn *conn,
                                      enum dsmr_submit_frame_type type, uint64_t height,
                                      const struct dsmr_submit_run *run)
{
    enum dsmr_err err = DSMR_OK;
    if (!conn->notice.is_open || conn->notice.type != type || conn->notice.height != height ||
        conn->notice.runs_count + 1 >= RUNS_PER_FRAME_MAX) {
        err = begin_notice(conn, type, height);
    }
    struct dsmr_submit_run *last = &conn->notice.run;
    if (err == DSMR_OK && last->count > 0 && last->code == run->code &&
        last->first_seq + last->count == run->first_seq && last->count <= UINT32_MAX - run->count) {
        last->count += run->count;
        return DSMR_OK;
    }
    if (err == DSMR_OK) {
        err = write_run(conn);
    }
    if (err == DSMR_OK) {
        *last = *run;
    }
    return err;
}

void dsmr_stream_conn_sent(struct dsmr_stream_conn *conn, size_t len)
{
    DSMR_ASSERT(!conn->notice.is_open && len <= dsmr_stream_conn_unsent(conn));
    conn->out_at += len;
    if (conn->out_at == conn->out_len) {
        conn->out_at = 0;
        conn->out_len = 0;
    } else if (conn->out_at > conn->out_len / 2) {
        memmove(conn->out, conn->out + conn->out_at, conn->out_len - conn->out_at);
        conn->out_len -= conn->out_at;
        conn->out_at = 0;
    }
}

void dsmr_stream_conn_open(struct dsmr_stream_conn *conn, int fd, uint64_t mono_ms)
{
    uint32_t generation = conn->generation + 1;
    DSMR_ASSERT(conn->in == NULL && conn->out == NULL && conn->batches == 0);
    memset(conn, 0, sizeof(*conn));
    conn->generation = generation;
    conn->fd = fd;
    conn->state = DSMR_STREAM_CONN_HELLO;
    conn->since_ms = mono_ms;
}

void dsmr_stream_conn_close(struct dsmr_stream_conn *conn)
{
    free(conn->in);
    free(conn->out);
    conn->in = NULL;
    conn->out = NULL;
    conn->in_at = conn->in_len = conn->in_capacity = 0;
    conn->out_at = conn->out_len = conn->out_capacity = 0;
    conn->notice.is_open = false;
    conn->in_flight = 0;
    conn->fd = -1;
}
