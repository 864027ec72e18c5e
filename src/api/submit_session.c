#include "api/submit_session.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"

#define AHEAD 8u /* flights that are on their way from memory */

uint64_t dsmr_submit_session_now_ms(const struct dsmr_submit_stream *s)
{
    return s->config.clock.ops->mono_ms(s->config.clock.self);
}

static uint64_t owner_of(const struct dsmr_submit_stream *s, const struct dsmr_stream_conn *conn)
{
    return (uint64_t)conn->generation << 32 | (uint64_t)(conn - s->conns);
}

/* NULL if that client has gone. */
static struct dsmr_stream_conn *conn_of(struct dsmr_submit_stream *s, uint64_t owner)
{
    struct dsmr_stream_conn *conn = &s->conns[(uint32_t)owner];
    return conn->fd >= 0 && conn->generation == (uint32_t)(owner >> 32) ? conn : NULL;
}

void dsmr_submit_session_drop(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn)
{
    if (conn->fd >= 0) {
        (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
        close(conn->fd);
        dsmr_stream_conn_close(conn);
    }
}

void dsmr_submit_session_fail(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn,
                              enum dsmr_err err)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_ERROR_BYTES];
    dsmr_metrics_count_error(s->config.metrics, err);
    dsmr_submit_frame_error_encode(frame, err);
    if (dsmr_stream_conn_finish(conn) != DSMR_OK ||
        dsmr_stream_conn_write(conn, frame, sizeof(frame)) != DSMR_OK) {
        dsmr_submit_session_drop(s, conn);
        return;
    }
    conn->state = DSMR_STREAM_CONN_CLOSING;
    conn->is_paused = false;
    conn->since_ms = dsmr_submit_session_now_ms(s);
}

/* A notice that cannot be kept would be a lie by omission: the connection goes instead. */
static void tell(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn,
                 enum dsmr_submit_frame_type type, uint64_t height,
                 const struct dsmr_submit_run *run)
{
    if (conn->state == DSMR_STREAM_CONN_OPEN &&
        dsmr_stream_conn_notice(conn, type, height, run) != DSMR_OK) {
        dsmr_metrics_count_error(s->config.metrics, DSMR_ERR_NO_MEMORY);
        dsmr_submit_session_drop(s, conn);
    }
}

/* ---- from the tracker ---- */

static void on_submitted(void *self, const struct dsmr_submit_batch *batch)
{
    struct dsmr_submit_stream *s = self;
    struct dsmr_stream_conn *conn = batch->origin;
    DSMR_ASSERT(conn->batches > 0 && s->in_flight >= batch->count);
    conn->batches--;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct dsmr_submit_tx *tx = &batch->txs[i];
        enum dsmr_err told = tx->err;
        bool is_flying = false;
        if (i + AHEAD < batch->count && batch->txs[i + AHEAD].err == DSMR_OK) {
            dsmr_tracker_expect(s->tracker, &batch->txs[i + AHEAD].id);
        }
        if (tx->err == DSMR_OK) {
            bool is_wanted = conn->fd >= 0 && conn->wants != 0;
            struct dsmr_flight flight = {
                .owner = is_wanted ? owner_of(s, conn) : DSMR_PLACES_NOBODY,
                .seq = tx->tag,
                .expiry_ms = tx->expiry_ms,
                .wants_certified =
                    is_wanted && (conn->wants & DSMR_SUBMIT_FRAME_WANT_CERTIFIED) != 0,
                .wants_executed =
                    is_wanted && (conn->wants & DSMR_SUBMIT_FRAME_WANT_EXECUTED) != 0};
            /* One that is in a chunk already is in no mempool, so the core may admit it again; but
             * the first submitter that wants to hear of it does, and nobody else. */
            enum dsmr_err err = dsmr_tracker_add(s->tracker, &tx->id, &flight);
            told = is_wanted ? err : told;
            if (told != DSMR_OK) {
                dsmr_metrics_count_error(s->config.metrics, told);
            }
            is_flying = is_wanted && err == DSMR_OK;
        }
        if (!is_flying) {
            s->in_flight--;
            conn->in_flight -= conn->fd >= 0 ? 1 : 0;
        }
        if (conn->fd >= 0) {
            tell(s, conn, DSMR_SUBMIT_FRAME_ACK, 0,
                 &(struct dsmr_submit_run){tx->tag, 1, (uint32_t)told});
        }
    }
}

static void on_certified(void *self, uint64_t owner, uint64_t seq)
{
    struct dsmr_stream_conn *conn = conn_of(self, owner);
    if (conn != NULL) {
        tell(self, conn, DSMR_SUBMIT_FRAME_CERTIFIED, 0, &(struct dsmr_submit_run){seq, 1, 0});
    }
}

static void on_executed(void *self, uint64_t owner, uint64_t seq, uint64_t height, uint32_t code)
{
    struct dsmr_stream_conn *conn = conn_of(self, owner);
    if (conn != NULL) {
        tell(self, conn, DSMR_SUBMIT_FRAME_EXECUTED, height,
             &(struct dsmr_submit_run){seq, 1, code});
    }
}

static void on_expired(void *self, uint64_t owner, uint64_t seq)
{
    struct dsmr_stream_conn *conn = conn_of(self, owner);
    if (conn != NULL && (conn->wants & DSMR_SUBMIT_FRAME_WANT_EXECUTED) != 0) {
        tell(self, conn, DSMR_SUBMIT_FRAME_EXPIRED, 0, &(struct dsmr_submit_run){seq, 1, 0});
    }
}

static void on_landed(void *self, uint64_t owner)
{
    struct dsmr_submit_stream *s = self;
    struct dsmr_stream_conn *conn = conn_of(s, owner);
    DSMR_ASSERT(s->in_flight > 0);
    s->in_flight--;
    if (conn != NULL) {
        DSMR_ASSERT(conn->in_flight > 0);
        conn->in_flight--;
    }
}

struct dsmr_tracker_sink dsmr_submit_session_sink(struct dsmr_submit_stream *s)
{
    return (struct dsmr_tracker_sink){.self = s,
                                      .submitted = on_submitted,
                                      .certified = on_certified,
                                      .executed = on_executed,
                                      .expired = on_expired,
                                      .landed = on_landed};
}

/* ---- frames in ---- */

static void on_hello(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn,
                     const uint8_t *payload, size_t len)
{
    struct dsmr_submit_frame_hello hello;
    enum dsmr_err err = dsmr_submit_frame_hello_decode(&hello, payload, len);
    if (err == DSMR_OK && hello.domain.network_id != s->config.domain.network_id) {
        err = DSMR_ERR_WRONG_NETWORK;
    }
    if (err == DSMR_OK && !dsmr_id_equal(&hello.domain.chain_id, &s->config.domain.chain_id)) {
        err = DSMR_ERR_WRONG_CHAIN;
    }
    if (err != DSMR_OK) {
        dsmr_submit_session_fail(s, conn, err);
        return;
    }
    uint8_t frame[DSMR_SUBMIT_FRAME_WELCOME_BYTES];
    const struct dsmr_submit_frame_welcome welcome = {.frame_bytes_max =
                                                          DSMR_SUBMIT_FRAME_BYTES_MAX,
                                                      .frame_txs_max = DSMR_SUBMIT_FRAME_TXS_MAX,
                                                      .in_flight_max = s->in_flight_conn_max};
    dsmr_submit_frame_welcome_encode(frame, &welcome);
    conn->wants = hello.wants;
    conn->state = DSMR_STREAM_CONN_OPEN;
    if (dsmr_stream_conn_write(conn, frame, sizeof(frame)) != DSMR_OK) {
        dsmr_submit_session_drop(s, conn);
    }
}

static struct dsmr_submit_batch *make_batch(struct dsmr_stream_conn *conn, uint64_t first_seq,
                                            uint32_t count, const uint8_t *txs, size_t txs_len)
{
    struct dsmr_buf *bytes = dsmr_buf_copy(txs, txs_len);
    struct dsmr_submit_batch *batch = bytes != NULL ? dsmr_tracker_batch_new(bytes, count) : NULL;
    dsmr_buf_unref(bytes);
    if (batch == NULL) {
        return NULL;
    }
    batch->origin = conn;
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = dsmr_load_be32(txs + at);
        batch->txs[i].offset = at + 4;
        batch->txs[i].len = len;
        batch->txs[i].tag = first_seq + i;
        at += 4 + len;
    }
    return batch;
}

/* True if the frame was taken; false: no room, it stays and the connection pauses. */
static bool on_submit(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn,
                      const uint8_t *payload, size_t len)
{
    uint64_t first_seq = 0;
    uint32_t count = 0;
    enum dsmr_err err = dsmr_submit_frame_submit_decode(&first_seq, &count, payload, len);
    if (err != DSMR_OK) {
        dsmr_submit_session_fail(s, conn, err);
        return true;
    }
    if (s->in_flight + count > s->config.in_flight_max ||
        conn->in_flight + count > s->in_flight_conn_max ||
        dsmr_stream_conn_unsent(conn) > DSMR_STREAM_CONN_OUT_MAX) {
        conn->is_paused = true;
        return false;
    }
    dsmr_metrics_add(s->config.metrics, DSMR_METRIC_SUBMIT_TXS, count);
    struct dsmr_submit_batch *batch = make_batch(
        conn, first_seq, count, payload + DSMR_SUBMIT_FRAME_TXS_AT, len - DSMR_SUBMIT_FRAME_TXS_AT);
    conn->batches++;
    conn->in_flight += count;
    s->in_flight += count;
    if (batch == NULL || !s->submit.ops->submit(s->submit.self, batch)) {
        conn->batches--;
        conn->in_flight -= count;
        s->in_flight -= count;
        for (uint32_t i = 0; i < count; i++) { /* each, as the core counts them */
            dsmr_metrics_count_error(s->config.metrics, DSMR_ERR_MEMPOOL_FULL);
        }
        dsmr_metrics_add(s->config.metrics, DSMR_METRIC_TXS_REFUSED, count);
        tell(s, conn, DSMR_SUBMIT_FRAME_ACK, 0,
             &(struct dsmr_submit_run){first_seq, count, (uint32_t)DSMR_ERR_MEMPOOL_FULL});
        dsmr_tracker_batch_free(batch);
    }
    return true;
}

/* One frame; false if nothing more can be done now. */
static bool on_frame(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn)
{
    uint8_t type = 0;
    const uint8_t *payload = NULL;
    size_t payload_len = 0;
    size_t frame_len = 0;
    enum dsmr_err err = dsmr_stream_conn_frame(conn, &type, &payload, &payload_len, &frame_len);
    if (err == DSMR_ERR_NOT_YET) {
        return false;
    }
    if (err != DSMR_OK) {
        dsmr_submit_session_fail(s, conn, err);
        return false;
    }
    if (conn->state == DSMR_STREAM_CONN_HELLO && type == DSMR_SUBMIT_FRAME_HELLO) {
        on_hello(s, conn, payload, payload_len);
    } else if (conn->state == DSMR_STREAM_CONN_OPEN && type == DSMR_SUBMIT_FRAME_SUBMIT) {
        if (!on_submit(s, conn, payload, payload_len)) {
            return false;
        }
    } else {
        dsmr_submit_session_fail(s, conn, DSMR_ERR_UNEXPECTED);
    }
    if (conn->fd < 0 || conn->state == DSMR_STREAM_CONN_CLOSING) {
        return false;
    }
    dsmr_stream_conn_consume(conn, frame_len);
    conn->since_ms = dsmr_submit_session_now_ms(s);
    return true;
}

void dsmr_submit_session_frames(struct dsmr_submit_stream *s, struct dsmr_stream_conn *conn)
{
    conn->is_paused = false;
    while (conn->fd >= 0 && conn->state != DSMR_STREAM_CONN_CLOSING && on_frame(s, conn)) {
    }
}
