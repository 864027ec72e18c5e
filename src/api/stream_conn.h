/* stream_conn.h - one client of the submit stream: its buffers and what it may still do.
 *
 * Why:        frames in, notices out, without sockets, so that a test can drive it byte by byte.
 * States:     HELLO -> OPEN -> CLOSING; HELLO -> CLOSING. CLOSING: an ERROR frame is the last thing
 *             in out; what still comes in is thrown away.
 * Limits:     in holds one frame and what was read with it; out at most DSMR_STREAM_CONN_OUT_MAX
 *             plus the notices of what is in flight.
 * Threads:    one owner. */
#ifndef DSMR_API_STREAM_CONN_H
#define DSMR_API_STREAM_CONN_H

#include "dsmr/types.h"
#include "wire/submit_frame.h"

#define DSMR_STREAM_CONN_OUT_MAX (1u << 20)

enum dsmr_stream_conn_state {
    DSMR_STREAM_CONN_HELLO,
    DSMR_STREAM_CONN_OPEN,
    DSMR_STREAM_CONN_CLOSING
};

struct dsmr_stream_conn {
    int fd; /* -1: nobody */
    uint32_t generation;
    enum dsmr_stream_conn_state state;
    uint8_t wants;
    bool is_paused; /* a whole frame is in, and there is no room for it */
    bool is_shut;   /* CLOSING: everything is sent */
    uint32_t in_flight;
    uint32_t batches;    /* with the driver: the slot is not reused before they are back */
    uint64_t since_ms;   /* connected, frame begun, or closing; for timeouts */
    uint32_t epoll_bits; /* what was last asked for */
    uint8_t *in;
    size_t in_at;  /* what stands before was consumed; 0 behind in_room */
    size_t in_len; /* from in_at on */
    size_t in_capacity;
    uint8_t *out;
    size_t out_at, out_len, out_capacity;
    struct { /* the notice frame at the end of out that is still being written */
        bool is_open;
        enum dsmr_submit_frame_type type;
        uint64_t height;
        size_t at;
        uint32_t runs_count;
        struct dsmr_submit_run run; /* count 0: none yet */
    } notice;
};

/* Room for at least one more byte at in + in_len (in_at is 0 then); *room: how many. Grows by
 * doubling, so that at most twice what came is allocated. NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_stream_conn_in_room(struct dsmr_stream_conn *conn, size_t *room);
/* The whole frame at in_at, or NOT_YET, MALFORMED, TOO_LARGE. */
DSMR_MUST_USE enum dsmr_err dsmr_stream_conn_frame(const struct dsmr_stream_conn *conn,
                                                   uint8_t *type, const uint8_t **payload,
                                                   size_t *payload_len, size_t *frame_len);
void dsmr_stream_conn_consume(struct dsmr_stream_conn *conn, size_t len); /* from in */

/* Appends to out. NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_stream_conn_write(struct dsmr_stream_conn *conn, const void *bytes,
                                                   size_t len);
/* Adds one fact about count transactions from seq on; joins it to the last run where it can. */
DSMR_MUST_USE enum dsmr_err dsmr_stream_conn_notice(struct dsmr_stream_conn *conn,
                                                    enum dsmr_submit_frame_type type,
                                                    uint64_t height,
                                                    const struct dsmr_submit_run *run);
/* Ends the notice frame, so that out may be sent. NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_stream_conn_finish(struct dsmr_stream_conn *conn);
static inline size_t dsmr_stream_conn_unsent(const struct dsmr_stream_conn *conn)
{
    return conn->out_len - conn->out_at;
}
void dsmr_stream_conn_sent(struct dsmr_stream_conn *conn, size_t len);
/* Ready for a new client on fd. */
void dsmr_stream_conn_open(struct dsmr_stream_conn *conn, int fd, uint64_t mono_ms);
/* Frees the buffers; the fd is the caller's to close. */
void dsmr_stream_conn_close(struct dsmr_stream_conn *conn);

#endif
