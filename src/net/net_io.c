#define _GNU_SOURCE
#include "net/net_io.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "net/net_conn.h"
#include "net/net_unsent.h"

/* One turn of one peer: enough to keep the pipes full, little enough to be fair. */
#define READ_TURN_BYTES ((size_t)512 << 10)
#define WRITE_TURN_BYTES ((size_t)1 << 20)
/* What a read costs besides its bytes: a peer that sends records of one byte each would otherwise
 * have a turn of half a million reads, and its frame would be whole before a timer could run. */
#define READ_OVERHEAD_BYTES ((size_t)1 << 10)
#define BATCH_MESSAGES_MAX 64u
#define BATCH_BYTES_MAX ((size_t)256 << 10)
/* What a received message costs besides its bytes. */
#define MESSAGE_OVERHEAD_BYTES 64u
#define RETRY_MS 100u
/* How often a connection that takes no more is measured. */
#define MEASURE_MS 100u

struct dsmr_net_batch {
    struct dsmr_task task;
    const struct dsmr_net_handler *handler;
    struct dsmr_node_id from;
    struct dsmr_net_flow *flow;
    uint32_t count;
    struct dsmr_buf *bufs[BATCH_MESSAGES_MAX];
};

static void batch_free(struct dsmr_net_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        dsmr_buf_unref(batch->bufs[i]);
    dsmr_net_flow_unref(batch->flow);
    free(batch);
}

/* On the logic thread. */
static void batch_done(struct dsmr_task *task, void *owner)
{
    struct dsmr_net_batch *batch = (struct dsmr_net_batch *)task;
    void *to = batch->handler->self != NULL ? batch->handler->self : owner;
    for (uint32_t i = 0; i < batch->count; i++)
        batch->handler->message(to, &batch->from, batch->bufs[i]);
    dsmr_net_flow_remove(batch->flow, batch->task.bytes);
    batch_free(batch);
}

/* Takes over buf. */
static enum dsmr_err batch_add(struct dsmr_net_conn *conn, struct dsmr_buf *buf)
{
    struct dsmr_net_batch *batch = conn->batch;
    if (batch == NULL) {
        batch = calloc(1, sizeof(*batch));
        if (batch == NULL) {
            dsmr_buf_unref(buf);
            return DSMR_ERR_NO_MEMORY;
        }
        batch->task.done = batch_done;
        batch->handler = conn->net->handler;
        batch->from = conn->peer->id;
        batch->flow = dsmr_net_flow_ref(conn->flow);
        conn->batch = batch;
    }
    batch->bufs[batch->count++] = buf;
    batch->task.bytes += buf->len + MESSAGE_OVERHEAD_BYTES;
    return DSMR_OK;
}

/* Hands the batch to the inbox. If it does not fit, or the peer has had its share, the connection
 * is paused: nothing is lost, the peer's own socket fills up. */
static void offer_batch(struct dsmr_net_conn *conn)
{
    struct dsmr_net_batch *batch = conn->batch;
    if (batch == NULL)
        return;
    struct dsmr_tcp_net *net = conn->net;
    size_t bytes = batch->task.bytes;
    dsmr_net_flow_add(conn->flow, bytes); /* before the logic thread can have handled it */
    if (net->inbox.ops->offer(net->inbox.self, &batch->task)) {
        conn->batch = NULL;
        conn->is_paused = !dsmr_net_flow_has_room(conn->flow);
        return;
    }
    dsmr_net_flow_cancel(conn->flow, bytes);
    conn->is_paused = true;
    dsmr_tcp_net_arm(net, net_now(net) + RETRY_MS);
}

void dsmr_net_io_forget(struct dsmr_net_conn *conn)
{
    if (conn->batch != NULL)
        batch_free(conn->batch);
    conn->batch = NULL;
}

static void take_message(struct dsmr_net_conn *conn, struct dsmr_buf *buf)
{
    if (conn->state == DSMR_NET_CONN_HELLO) {
        dsmr_net_conn_on_hello(conn, buf);
        dsmr_buf_unref(buf);
        return;
    }
    DSMR_ASSERT(conn->state == DSMR_NET_CONN_UP);
    if (batch_add(conn, buf) != DSMR_OK) {
        dsmr_net_conn_close(conn, DSMR_ERR_NO_MEMORY);
        return;
    }
    if (conn->batch->count == BATCH_MESSAGES_MAX || conn->batch->task.bytes >= BATCH_BYTES_MAX)
        offer_batch(conn);
}

/* Takes the whole messages out of what was read. False: closed or paused. */
static bool take_messages(struct dsmr_net_conn *conn)
{
    while (conn->state != DSMR_NET_CONN_CLOSED && !conn->is_paused) {
        struct dsmr_buf *buf;
        enum dsmr_err err = dsmr_frame_reader_next(&conn->reader, &buf);
        if (err != DSMR_OK) {
            offer_batch(conn); /* what came before was right */
            dsmr_net_conn_close(conn, err);
            return false;
        }
        if (buf == NULL)
            return true;
        take_message(conn, buf);
    }
    return false;
}

/* Gives those that stopped for fairness their next turn. */
static void on_idle(uv_idle_t *idle)
{
    struct dsmr_tcp_net *net = idle->data;
    struct dsmr_net_conn *list = net->again;
    net->again = NULL;
    uv_idle_stop(&net->idle);
    while (list != NULL) {
        struct dsmr_net_conn *conn = list;
        list = conn->next_again;
        conn->is_again = false;
        if (conn->state != DSMR_NET_CONN_CLOSED && !conn->is_paused)
            dsmr_net_io_read(conn);
    }
}

static void run_again_later(struct dsmr_net_conn *conn)
{
    struct dsmr_tcp_net *net = conn->net;
    if (conn->is_again)
        return;
    if (net->again == NULL)
        uv_idle_start(&net->idle, on_idle);
    conn->is_again = true;
    conn->next_again = net->again;
    net->again = conn;
}

/* Reads once. False: no more for now. */
static bool read_once(struct dsmr_net_conn *conn, size_t *turn)
{
    uint8_t *bytes;
    size_t len, n = 0;
    dsmr_frame_reader_space(&conn->reader, &bytes, &len);
    switch (dsmr_tls_session_read(conn->ssl, bytes, len, &n)) {
    case DSMR_TLS_DONE:
        dsmr_frame_reader_fill(&conn->reader, n);
        dsmr_metrics_add(conn->net->metrics, DSMR_METRIC_NET_BYTES_RECEIVED, n);
        conn->received_ms = net_now(conn->net);
        n += READ_OVERHEAD_BYTES;
        *turn = n < *turn ? *turn - n : 0;
        return true;
    case DSMR_TLS_WANT_READ:
        return false;
    case DSMR_TLS_WANT_WRITE:
        conn->is_write_blocked = true;
        return false;
    case DSMR_TLS_ENDED:
    case DSMR_TLS_FAILED:
        offer_batch(conn);
        dsmr_net_conn_close(conn, DSMR_OK);
        return false;
    }
    DSMR_UNREACHABLE();
}

/* The oldest message in the making has a time by which it must be whole. */
static void watch_message(struct dsmr_net_conn *conn)
{
    struct dsmr_tcp_net *net = conn->net;
    /* While we do not read, that it takes long is not the peer's fault. */
    uint64_t oldest = conn->is_paused ? 0 : dsmr_frame_reader_oldest(&conn->reader);
    if (oldest == conn->message_watched)
        return;
    conn->message_watched = oldest;
    conn->message_until_ms = oldest == 0 ? 0 : net_now(net) + net->limits.frame_timeout_ms;
    if (oldest != 0)
        dsmr_tcp_net_arm(net, conn->message_until_ms);
}

void dsmr_net_io_read(struct dsmr_net_conn *conn)
{
    size_t turn = READ_TURN_BYTES;
    while (take_messages(conn)) {
        if (turn == 0) {
            run_again_later(conn); /* TLS may hold more, of which the socket will not tell */
            break;
        }
        if (!read_once(conn, &turn))
            break;
    }
    if (conn->state == DSMR_NET_CONN_CLOSED)
        return;
    if (!conn->is_paused)
        offer_batch(conn);
    watch_message(conn);
    dsmr_net_conn_watch(conn);
}

static struct dsmr_outbox_message *take_from_outbox(void *ctx, unsigned end)
{
    struct dsmr_net_conn *conn = ctx;
    if (conn->state != DSMR_NET_CONN_UP)
        return NULL;
    pthread_mutex_lock(&conn->net->mutex);
    struct dsmr_outbox_message *message = dsmr_outbox_take(&conn->peer->outbox, end);
    pthread_mutex_unlock(&conn->net->mutex);
    return message;
}

/* While corked, the kernel makes full segments of several records instead of one for each. */
static void set_cork(const struct dsmr_net_conn *conn, int is_corked)
{
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_CORK, &is_corked, sizeof(is_corked));
}

/* The socket takes no more: from now on what is urgent must not wait for much. */
static void on_congested(struct dsmr_net_conn *conn)
{
    struct dsmr_tcp_net *net = conn->net;
    conn->is_write_blocked = true;
    dsmr_frame_writer_set_slow(&conn->writer, true);
    if (net_now(net) < conn->measured_ms + MEASURE_MS)
        return;
    conn->measured_ms = net_now(net);
    conn->unsent_bytes = dsmr_net_unsent_fit(conn->fd, net->limits.unsent_bytes_max);
}

static void flush(struct dsmr_net_conn *conn)
{
    switch (dsmr_tls_session_flush(conn->ssl)) {
    case DSMR_TLS_WANT_WRITE:
        on_congested(conn);
        break;
    case DSMR_TLS_FAILED:
        dsmr_net_conn_close(conn, DSMR_OK);
        break;
    default:
        break;
    }
}

void dsmr_net_io_write(struct dsmr_net_conn *conn)
{
    uint8_t gathered[DSMR_TLS_SESSION_GATHER_BYTES];
    bool is_corked = false;
    size_t turn = WRITE_TURN_BYTES;
    conn->is_write_blocked = false;
    if (dsmr_net_unsent_may_gather(conn->unsent_bytes, dsmr_frame_writer_is_slow(&conn->writer),
                                   DSMR_TLS_SESSION_GATHER_BYTES))
        dsmr_tls_session_gather(conn->ssl, gathered);
    while (conn->state != DSMR_NET_CONN_CLOSED) {
        const uint8_t *bytes;
        size_t len, n = 0;
        dsmr_frame_writer_next(&conn->writer, &bytes, &len, take_from_outbox, conn);
        if (len == 0) {
            dsmr_frame_writer_set_slow(&conn->writer, false);
            break;
        }
        conn->is_write_blocked = turn == 0; /* poll calls again at once, after the others */
        if (turn == 0)
            break;
        if (len == DSMR_FRAME_RUN_BYTES_MAX && !is_corked) {
            is_corked = true;
            set_cork(conn, 1);
        }
        enum dsmr_tls_session_result result = dsmr_tls_session_write(conn->ssl, bytes, len, &n);
        if (result == DSMR_TLS_DONE) {
            dsmr_frame_writer_done(&conn->writer, n);
            dsmr_metrics_add(conn->net->metrics, DSMR_METRIC_NET_BYTES_SENT, n);
            conn->sent_ms = net_now(conn->net);
            turn = n < turn ? turn - n : 0;
        } else if (result == DSMR_TLS_WANT_WRITE || result == DSMR_TLS_WANT_READ) {
            on_congested(conn);
            break;
        } else {
            dsmr_net_conn_close(conn, DSMR_OK);
        }
    }
    if (conn->state != DSMR_NET_CONN_CLOSED)
        flush(conn);
    if (conn->state == DSMR_NET_CONN_CLOSED)
        return;
    if (is_corked)
        set_cork(conn, 0);
    dsmr_net_conn_watch(conn);
}

void dsmr_net_io_send_now(struct dsmr_net_conn *conn, const void *message, size_t len)
{
    if (dsmr_frame_writer_add(&conn->writer, message, len))
        dsmr_net_io_write(conn);
}

static void resume(struct dsmr_net_conn *conn)
{
    if (conn->state != DSMR_NET_CONN_UP || !conn->is_paused)
        return;
    offer_batch(conn);
    if (conn->batch != NULL || !dsmr_net_flow_is_low(conn->flow))
        return;
    conn->is_paused = false;
    conn->received_ms = net_now(conn->net);
    dsmr_net_io_read(conn);
}

void dsmr_net_io_resume(struct dsmr_tcp_net *net)
{
    uint32_t count = 0, place = 0;
    for (struct dsmr_net_conn *conn = net->conns; conn != NULL; conn = conn->next)
        count++;
    if (count == 0)
        return;
    /* Another one is first each time: the first gets most of the room. A closed connection keeps
     * its next pointer and its memory until the loop's turn is over. */
    uint32_t first = net->resume_first++ % count;
    for (struct dsmr_net_conn *conn = net->conns; conn != NULL; conn = conn->next)
        if (place++ >= first)
            resume(conn);
    place = 0;
    for (struct dsmr_net_conn *conn = net->conns; conn != NULL && place < first;
         conn = conn->next, place++)
        resume(conn);
}
