#define _GNU_SOURCE /* accept4, pthread_setname_np */
#include "api/submit_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/listen.h"
#include "api/submit_session.h"
#include "base/assert.h"

#define EVENTS_MAX 64
#define TICK_MS 100
#define HELLO_MS 10000u
#define FRAME_MS 30000u
#define CLOSING_MS 2000u
#define OTHERS_MAX 65536u /* transactions that are followed for nobody: about 6 MB when full */
#define TOKEN_LISTEN UINT64_MAX
#define TOKEN_WAKE (UINT64_MAX - 1)

/* ---- sockets ---- */

static void update_events(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn)
{
    uint32_t bits = conn->is_paused ? 0u : (uint32_t)EPOLLIN;
    bits |= dsmr_stream_conn_unsent(conn) > 0 ? (uint32_t)EPOLLOUT : 0u;
    if (bits != conn->epoll_bits) {
        struct epoll_event event = {.events = bits, .data.u64 = (uint64_t)(conn - s->conns)};
        (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
        conn->epoll_bits = bits;
    }
}

static void send_out(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn)
{
    if (conn->fd < 0) {
        return;
    }
    if (dsmr_stream_conn_finish(conn) != DSMR_OK) {
        dsmr_submit_session_drop(s, conn);
        return;
    }
    while (dsmr_stream_conn_unsent(conn) > 0) {
        ssize_t n = send(conn->fd, conn->out + conn->out_at, dsmr_stream_conn_unsent(conn),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN) {
            dsmr_submit_session_drop(s, conn);
            return;
        }
        if (n < 0) {
            break;
        }
        dsmr_stream_conn_sent(conn, (size_t)n);
    }
    if (conn->state == DSMR_STREAM_CONN_CLOSING && !conn->is_shut &&
        dsmr_stream_conn_unsent(conn) == 0) {
        (void)shutdown(conn->fd, SHUT_WR);
        conn->is_shut = true;
    }
    update_events(s, conn);
}

static void on_end(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn)
{
    if (conn->state != DSMR_STREAM_CONN_CLOSING && conn->in_len > 0) {
        dsmr_metrics_count_error(s->config.metrics, DSMR_ERR_MALFORMED); /* cut off in a frame */
    }
    dsmr_submit_session_drop(s, conn);
}

static void read_in(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn)
{
    size_t room = 0;
    if (conn->state == DSMR_STREAM_CONN_CLOSING) {
        conn->in_len = 0;
    }
    if (dsmr_stream_conn_in_room(conn, &room) != DSMR_OK) {
        dsmr_submit_session_drop(s, conn);
        return;
    }
    ssize_t n = recv(conn->fd, conn->in + conn->in_len, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        on_end(s, conn);
        return;
    }
    if (conn->in_len == 0) {
        conn->since_ms =
            conn->state == DSMR_STREAM_CONN_OPEN ? dsmr_submit_session_now_ms(s) : conn->since_ms;
    }
    conn->in_len += (size_t)n;
    dsmr_submit_session_frames(s, conn);
    send_out(s, conn);
}

static struct dsmr_stream_conn *free_slot(struct dsmr_submit_stream *s)
{
    for (uint32_t i = 0; i < s->config.connections_max; i++) {
        if (s->conns[i].fd < 0 && s->conns[i].batches == 0) {
            s->conns_used = i >= s->conns_used ? i + 1 : s->conns_used;
            return &s->conns[i];
        }
    }
    return NULL;
}

static void set_listening(struct dsmr_submit_stream *s, bool is_listening)
{
    struct epoll_event event = {.events = is_listening ? (uint32_t)EPOLLIN : 0u,
                                .data.u64 = TOKEN_LISTEN};
    if (s->listen_fd >= 0 && s->is_listening != is_listening) {
        (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, s->listen_fd, &event);
        s->is_listening = is_listening;
    }
}

static void accept_one(struct dsmr_submit_stream *s, int fd)
{
    int one = 1;
    struct dsmr_stream_conn *conn = free_slot(s);
    if (conn == NULL) {
        uint8_t frame[DSMR_SUBMIT_FRAME_ERROR_BYTES];
        dsmr_metrics_count_error(s->config.metrics, DSMR_ERR_FULL);
        dsmr_submit_frame_error_encode(frame, DSMR_ERR_FULL);
        (void)!send(fd, frame, sizeof(frame), MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    dsmr_stream_conn_open(conn, fd, dsmr_submit_session_now_ms(s));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(conn - s->conns)};
    conn->epoll_bits = EPOLLIN;
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        dsmr_submit_session_drop(s, conn);
    }
}

static void accept_all(struct dsmr_submit_stream *s)
{
    for (;;) {
        int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accept_one(s, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            set_listening(s, false); /* out of descriptors: the next tick tries again */
            return;
        }
    }
}

/* ---- the thread ---- */

static void check_timeouts(struct dsmr_submit_stream *s, uint64_t mono_ms)
{
    for (uint32_t i = 0; i < s->conns_used; i++) {
        struct dsmr_stream_conn *conn = &s->conns[i];
        uint64_t age = mono_ms >= conn->since_ms ? mono_ms - conn->since_ms : 0;
        if (conn->fd < 0) {
            continue;
        }
        if (conn->state == DSMR_STREAM_CONN_CLOSING && age > CLOSING_MS) {
            dsmr_submit_session_drop(s, conn);
        } else if ((conn->state == DSMR_STREAM_CONN_HELLO && age > HELLO_MS) ||
                   (conn->state == DSMR_STREAM_CONN_OPEN && conn->in_len > 0 && !conn->is_paused &&
                    age > FRAME_MS)) {
            dsmr_submit_session_fail(s, conn, DSMR_ERR_TIMEOUT);
            send_out(s, conn);
        }
    }
}

/* After news: there may be room again for frames that wait, and there is something to send. */
static void on_flush(void *self)
{
    struct dsmr_submit_stream *s = self;
    for (uint32_t i = 0; i < s->conns_used; i++) {
        struct dsmr_stream_conn *conn = &s->conns[i];
        if (conn->fd >= 0 && conn->is_paused) {
            dsmr_submit_session_frames(s, conn);
        }
        if (conn->fd >= 0 && (conn->notice.is_open || dsmr_stream_conn_unsent(conn) > 0)) {
            send_out(s, conn);
        } else if (conn->fd >= 0) {
            update_events(s, conn);
        }
    }
}

static void on_event(struct dsmr_submit_stream *s, const struct epoll_event *event)
{
    if (event->data.u64 == TOKEN_LISTEN) {
        accept_all(s);
        return;
    }
    if (event->data.u64 == TOKEN_WAKE) {
        uint64_t count = 0;
        (void)!read(s->wake_fd, &count, sizeof(count));
        dsmr_tracker_drain(s->tracker);
        return;
    }
    struct dsmr_stream_conn *conn = &s->conns[event->data.u64];
    if (conn->fd >= 0 && (event->events & EPOLLOUT) != 0) {
        send_out(s, conn);
        if (conn->fd >= 0 && conn->is_paused) {
            dsmr_submit_session_frames(s, conn);
            send_out(s, conn);
        }
    }
    if (conn->fd >= 0 && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        if (conn->is_paused) {
            dsmr_submit_session_drop(s, conn); /* hung up while we were not reading */
        } else {
            read_in(s, conn);
        }
    }
}

/* Whether time alone can change something. What else there is to do comes with a descriptor: a
 * client, the tracker's notices, the first request that waits. */
static bool needs_ticks(const struct dsmr_submit_stream *s)
{
    if (dsmr_waits_count(s->config.waits) > 0 || !dsmr_tracker_is_idle(s->tracker) ||
        (s->listen_fd >= 0 && !s->is_listening)) {
        return true;
    }
    for (uint32_t i = 0; i < s->conns_used; i++) {
        const struct dsmr_stream_conn *conn = &s->conns[i];
        if (conn->fd >= 0 && (conn->state != DSMR_STREAM_CONN_OPEN || conn->in_len > 0)) {
            return true; /* a hello, the rest of a frame, or the end must come in time */
        }
    }
    return false;
}

static void *run(void *self)
{
    struct dsmr_submit_stream *s = self;
    struct epoll_event events[EVENTS_MAX];
    uint64_t next_tick_ms = dsmr_submit_session_now_ms(s) + TICK_MS;
    while (!s->stop) {
        int n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, needs_ticks(s) ? TICK_MS : -1);
        for (int i = 0; i < n; i++) {
            on_event(s, &events[i]);
        }
        uint64_t mono_ms = dsmr_submit_session_now_ms(s);
        if (mono_ms >= next_tick_ms) {
            next_tick_ms = mono_ms + TICK_MS;
            set_listening(s, true);
            check_timeouts(s, mono_ms);
            dsmr_waits_tick(s->config.waits, mono_ms);
            dsmr_tracker_sweep(s->tracker);
        }
    }
    return NULL;
}

static void wake(void *ctx)
{
    struct dsmr_submit_stream *s = ctx;
    uint64_t one = 1;
    (void)!write(s->wake_fd, &one, sizeof(one));
}

/* ---- owner ---- */

struct dsmr_submit_stream *dsmr_submit_stream_new(const struct dsmr_submit_stream_config *config)
{
    struct dsmr_submit_stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    DSMR_ASSERT(config->in_flight_max >= DSMR_SUBMIT_FRAME_TXS_MAX && config->connections_max > 0);
    s->config = *config;
    s->in_flight_conn_max = config->in_flight_max / 2;
    if (s->in_flight_conn_max < DSMR_SUBMIT_FRAME_TXS_MAX) {
        s->in_flight_conn_max = DSMR_SUBMIT_FRAME_TXS_MAX;
    }
    s->listen_fd = -1;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->conns = calloc(config->connections_max, sizeof(*s->conns));
    const struct dsmr_tracker_config tracker = {.flights_max = config->in_flight_max,
                                                .others_max = OTHERS_MAX,
                                                .seed = config->seed,
                                                .waits = config->waits,
                                                .clock = config->clock,
                                                .metrics = config->metrics,
                                                .wake = wake,
                                                .wake_ctx = s};
    s->tracker = dsmr_tracker_new(&tracker);
    if (s->epoll_fd < 0 || s->wake_fd < 0 || s->conns == NULL || s->tracker == NULL) {
        dsmr_submit_stream_free(s);
        return NULL;
    }
    for (uint32_t i = 0; i < config->connections_max; i++) {
        s->conns[i].fd = -1;
    }
    return s;
}

static enum dsmr_err add_to_epoll(struct dsmr_submit_stream *s, int fd, uint64_t token)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = token};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? DSMR_OK : DSMR_ERR_NO_MEMORY;
}

enum dsmr_err dsmr_submit_stream_start(struct dsmr_submit_stream *s, const char **reason,
                                       const struct dsmr_query *query,
                                       const struct dsmr_submit *submit)
{
    struct dsmr_tracker_sink sink = dsmr_submit_session_sink(s);
    sink.flush = on_flush;
    enum dsmr_err err = DSMR_OK;
    s->submit = *submit;
    dsmr_tracker_attach(s->tracker, query, &sink);
    dsmr_waits_set_wake(s->config.waits, wake, s);
    *reason = "out of memory for the submit stream";
    err = add_to_epoll(s, s->wake_fd, TOKEN_WAKE);
    if (err == DSMR_OK && s->config.address != NULL) {
        err = dsmr_listen_open(&s->listen_fd, &s->port, reason, s->config.address, s->config.port,
                               s->config.allow_remote);
        if (err == DSMR_OK) {
            err = add_to_epoll(s, s->listen_fd, TOKEN_LISTEN);
            s->is_listening = true;
        }
    }
    if (err == DSMR_OK && pthread_create(&s->thread, NULL, run, s) != 0) {
        err = DSMR_ERR_NO_MEMORY;
    }
    if (err == DSMR_OK) {
        (void)pthread_setname_np(s->thread, "dsmr-stream");
    }
    s->is_running = err == DSMR_OK;
    if (err != DSMR_OK && s->listen_fd >= 0) {
        close(s->listen_fd);
        s->listen_fd = -1;
    }
    return err;
}

uint16_t dsmr_submit_stream_port(const struct dsmr_submit_stream *s)
{
    return s->is_running ? s->port : 0;
}

struct dsmr_tracker *dsmr_submit_stream_tracker(struct dsmr_submit_stream *s)
{
    return s->tracker;
}

void dsmr_submit_stream_stop(struct dsmr_submit_stream *s)
{
    if (!s->is_running) {
        return;
    }
    s->stop = true;
    wake(s);
    pthread_join(s->thread, NULL);
    s->is_running = false;
    for (uint32_t i = 0; i < s->conns_used; i++) {
        if (s->conns[i].fd >= 0) {
            dsmr_submit_session_fail(s, &s->conns[i], DSMR_ERR_CLOSED);
            send_out(s, &s->conns[i]);
        }
        dsmr_submit_session_drop(s, &s->conns[i]);
    }
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
        s->listen_fd = -1;
    }
}

void dsmr_submit_stream_free(struct dsmr_submit_stream *s)
{
    if (s == NULL) {
        return;
    }
    dsmr_submit_stream_stop(s);
    dsmr_tracker_free(s->tracker);
    if (s->epoll_fd >= 0) {
        close(s->epoll_fd);
    }
    if (s->wake_fd >= 0) {
        close(s->wake_fd);
    }
    free(s->conns);
    free(s);
}
