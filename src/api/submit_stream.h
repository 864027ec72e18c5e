/* submit_stream.h - the TCP door for load: framed transactions in, notices by sequence number out.
 *
 * Why:        thousands of transactions a system call, each of them acknowledged
 *             (docs/submit-stream.md).
 * How:        one epoll thread serves all connections and drains the tracker. It runs also without
 *             a listener, because HTTP requests wait on the tracker as well. It sleeps while
 *             nothing waits for the time.
 * Invariants: in_flight of a connection counts what was handed over and has not landed; a frame is
 *             taken only if all of it fits, so the flights' table never overflows.
 * Limits:     connections_max; in_flight_max over all, half of it (at least one full frame) a
 *             connection; a frame as wire/submit_frame.h; STREAM_OUT_BYTES_MAX of unsent notices
 *             stop the reading. A hello must come within 10 s, a begun frame be complete in 30 s.
 * Threads:    the stream's own; the functions here from the owner. */
#ifndef DSMR_API_SUBMIT_STREAM_H
#define DSMR_API_SUBMIT_STREAM_H

#include "api/tracker.h"
#include "base/metrics.h"
#include "ports/clock.h"
#include "ports/log.h"

struct dsmr_submit_stream_config {
    const char *address; /* NULL: no listener */
    uint16_t port;
    bool allow_remote;
    uint32_t connections_max;
    uint32_t in_flight_max; /* at least DSMR_SUBMIT_FRAME_TXS_MAX */
    uint64_t seed;
    struct dsmr_domain domain;
    struct dsmr_waits *waits; /* borrowed until free */
    struct dsmr_clock clock;
    struct dsmr_log log;
    struct dsmr_metrics *metrics;
};

struct dsmr_submit_stream; /* opaque */

struct dsmr_submit_stream *
dsmr_submit_stream_new(const struct dsmr_submit_stream_config *config); /* NULL: no memory */
/* Binds and starts the thread. query and submit: borrowed until stop. UNAVAILABLE, CONFIG,
 * NO_MEMORY, with a sentence in *reason (valid until free). */
DSMR_MUST_USE enum dsmr_err dsmr_submit_stream_start(struct dsmr_submit_stream *stream,
                                                     const char **reason,
                                                     const struct dsmr_query *query,
                                                     const struct dsmr_submit *submit);
uint16_t dsmr_submit_stream_port(const struct dsmr_submit_stream *stream);
struct dsmr_tracker *dsmr_submit_stream_tracker(struct dsmr_submit_stream *stream);
void dsmr_submit_stream_stop(struct dsmr_submit_stream *stream); /* idempotent */
void dsmr_submit_stream_free(struct dsmr_submit_stream *stream); /* NULL is fine */

#endif
