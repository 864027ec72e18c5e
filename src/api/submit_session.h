/* submit_session.h - what clients of the submit stream say and hear; the inside of submit_stream.h.
 *
 * Why:     the rules of the protocol apart from epoll and sockets.
 * Threads: the stream's. */
#ifndef DSMR_API_SUBMIT_SESSION_H
#define DSMR_API_SUBMIT_SESSION_H

#include <pthread.h>

#include "api/stream_conn.h"
#include "api/submit_stream.h"

struct dsmr_submit_stream {
    struct dsmr_submit_stream_config config;
    struct dsmr_tracker *tracker;
    struct dsmr_submit submit;
    struct dsmr_stream_conn *conns; /* connections_max */
    uint32_t conns_used;            /* slots with an fd or batches: the highest plus one */
    uint32_t in_flight;             /* of all, those of closed connections included */
    uint32_t in_flight_conn_max;
    int epoll_fd, wake_fd, listen_fd;
    bool is_listening; /* the listener is in the epoll set */
    bool is_running;
    uint16_t port;
    _Atomic bool stop;
    pthread_t thread;
};

/* Takes the connection out of epoll and closes it. */
void dsmr_submit_session_drop(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn);
/* Counts err, says ERROR, and lets the connection close. */
void dsmr_submit_session_fail(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn,
                              enum dsmr_err err);
/* Works off the whole frames that are in; stops at one for which there is no room. */
void dsmr_submit_session_frames(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn);
uint64_t dsmr_submit_session_now_ms(const struct dsmr_submit_stream *s);
/* What the tracker calls, but for flush, which is the sockets' business. */
struct dsmr_tracker_sink dsmr_submit_session_sink(struct dsmr_submit_stream *s);

#endif
