/* fuzz_submit_session.c - clients of the submit stream and the driver behind it, in any order.
 *
 * How:    each input byte chooses an operation of one of two clients, of the driver or of time; the
 *         bytes of a client are frames that are made here or those of the input as they are.
 * Checks: docs/submit-stream.md. Every transaction of a frame that was taken gets one ACK; with
 *         EXECUTED wanted an admitted one gets one EXECUTED or EXPIRED, after its ACK; ERROR is the
 *         last word; what is in flight is at its limit at most, and nothing is when all is over. */
#include <stdlib.h>
#include <string.h>

#include "api/submit_session.h"
#include "base/bytes.h"
#include "driver/exec_record.h"
#include "fake_ports.h"
#include "wire/tx_head.h"

enum {
    CLIENTS = 2,
    IN_FLIGHT_MAX = 24,
    TX_LEN = 32,
    IDS = 48, /* so few that the same transaction comes again */
    SEQS_MAX = 1024,
    BATCHES_MAX = 64,
    STEPS_MAX = 2000
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct client {
    uint8_t wants;
    bool is_strict; /* it has sent only what was made here: its numbers are known */
    bool has_ended; /* by ERROR */
    uint32_t sent;  /* numbers below were given to transactions */
    uint8_t acks[SEQS_MAX], ends[SEQS_MAX];
    bool is_admitted[SEQS_MAX];
    uint8_t *out; /* what the node has said and this client has not looked at */
    size_t out_len;
};

struct world {
    const uint8_t *in;
    size_t in_len, in_at;
    struct dsmr_submit_stream stream;
    struct dsmr_stream_conn conns[CLIENTS];
    struct client clients[CLIENTS];
    struct dsmr_submit_batch *batches[BATCHES_MAX];
    uint32_t batches_count;
    bool is_full;
    uint64_t chain_ms, height;
    struct dsmr_waits *waits;
};

static uint8_t take_u8(struct world *w)
{
    return w->in_at < w->in_len ? w->in[w->in_at++] : 0;
}

/* ---- the driver ---- */

static bool take_batch(void *self, struct dsmr_submit_batch *batch)
{
    struct world *w = self;
    must(batch->count > 0 && batch->bytes != NULL);
    if (w->is_full || w->batches_count == BATCHES_MAX) {
        return false;
    }
    w->batches[w->batches_count++] = batch;
    return true;
}
static const struct dsmr_submit_ops driver_ops = {.submit = take_batch};

static void on_flush(void *self)
{
    struct dsmr_submit_stream *s = self;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (s->conns[i].fd >= 0 && s->conns[i].is_paused) {
            dsmr_submit_session_frames(s, &s->conns[i]);
        }
    }
}

static void publish(struct world *w, const struct dsmr_notice *notice)
{
    struct dsmr_feed feed = dsmr_tracker_feed(w->stream.tracker);
    feed.ops->publish(feed.self, notice);
}

static void return_batch(struct world *w, uint8_t way)
{
    if (w->batches_count == 0) {
        return;
    }
    struct dsmr_notice notice = {.kind = DSMR_NOTICE_SUBMITTED};
    struct dsmr_submit_batch *batch = w->batches[0];
    memmove(&w->batches[0], &w->batches[1], --w->batches_count * sizeof(w->batches[0]));
    for (uint32_t i = 0; i < batch->count; i++) {
        struct dsmr_submit_tx *tx = &batch->txs[i];
        must(tx->offset + tx->len <= batch->bytes->len);
        tx_id(&tx->id, batch->bytes->bytes + tx->offset, tx->len);
        tx->expiry_ms = dsmr_tx_expiry_ms(batch->bytes->bytes + tx->offset);
        tx->err = way % 8 == 7 ? DSMR_ERR_BAD_TX : way % 8 == 6 ? DSMR_ERR_DUPLICATE : DSMR_OK;
        way /= 2;
    }
    notice.u.batch = batch;
    publish(w, &notice);
}

static struct dsmr_id id_of(uint8_t number)
{
    uint8_t tx[TX_LEN] = {1};
    struct dsmr_id id;
    dsmr_store_be64(tx + 1, 1000 + 100u * (number % IDS));
    tx_id(&id, tx, sizeof(tx));
    return id;
}

static void certify(struct world *w, uint8_t number)
{
    struct dsmr_id ids[3] = {id_of(number), id_of((uint8_t)(number + 1)),
                             id_of((uint8_t)(number * 3))};
    struct dsmr_chunk *chunk = calloc(1, sizeof(*chunk) + sizeof(ids));
    must(chunk != NULL);
    chunk->refs = 1;
    chunk->header.tx_count = 3;
    chunk->ref.slot = number;
    chunk->tx_ids = (struct dsmr_id *)(chunk + 1);
    memcpy(chunk->tx_ids, ids, sizeof(ids));
    struct dsmr_notice notice = {.kind = number % 4 == 0   ? DSMR_NOTICE_BUILT
                                         : number % 4 == 1 ? DSMR_NOTICE_RETURNED
                                                           : DSMR_NOTICE_CERTIFIED,
                                 .u.chunk = chunk};
    publish(w, &notice);
    dsmr_chunk_unref(chunk);
}

static void execute(struct world *w, uint8_t number)
{
    struct dsmr_executed *executed = dsmr_exec_record_new(3);
    must(executed != NULL);
    executed->height = ++w->height;
    executed->time_ms = w->chain_ms += number % 16 * 40u;
    for (uint32_t i = 0; i < 3; i++) {
        executed->ids[i] = id_of((uint8_t)(number + i * i));
        executed->results[i].code = number % 3;
    }
    struct dsmr_notice notice = {.kind = DSMR_NOTICE_EXECUTED, .u.executed = executed};
    publish(w, &notice);
    dsmr_executed_unref(executed);
}

static void expire(struct world *w, uint8_t number)
{
    struct dsmr_id ids[2] = {id_of(number), id_of((uint8_t)(number + 7))};
    struct dsmr_notice notice = {.kind = DSMR_NOTICE_EXPIRED};
    notice.u.expired.ids = ids;
    notice.u.expired.count = 2;
    publish(w, &notice);
}

/* ---- clients ---- */

static void connect_client(struct world *w, uint32_t i)
{
    if (w->conns[i].fd < 0 && w->conns[i].batches == 0) {
        free(w->clients[i].out);
        w->clients[i] = (struct client){.is_strict = true};
        dsmr_stream_conn_open(&w->conns[i], 1000000 + (int)i, now(NULL)); /* no descriptor */
    }
}

static void say(struct world *w, uint32_t i, const uint8_t *bytes, size_t len)
{
    struct dsmr_stream_conn *conn = &w->conns[i];
    while (len > 0 && conn->fd >= 0 && !conn->is_paused) {
        size_t room = 0;
        if (conn->state == DSMR_STREAM_CONN_CLOSING) {
            conn->in_len = 0;
        }
        must(dsmr_stream_conn_in_room(conn, &room) == DSMR_OK);
        size_t n = len < room ? len : room;
        memcpy(conn->in + conn->in_len, bytes, n);
        conn->in_len += n;
        bytes += n;
        len -= n;
        dsmr_submit_session_frames(&w->stream, conn);
    }
    w->clients[i].is_strict = w->clients[i].is_strict && len == 0;
}

static void say_hello(struct world *w, uint32_t i)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_HELLO_BYTES];
    struct dsmr_submit_frame_hello hello = {.domain = w->stream.config.domain,
                                            .wants = take_u8(w) % 4};
    dsmr_submit_frame_hello_encode(frame, &hello);
    if (w->conns[i].state == DSMR_STREAM_CONN_HELLO) {
        w->clients[i].wants = hello.wants;
    }
    say(w, i, frame, sizeof(frame));
}

static void say_submit(struct world *w, uint32_t i)
{
    enum { TXS_MAX = 8 };
    uint8_t frame[DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + TXS_MAX * (4 + TX_LEN)];
    struct client *client = &w->clients[i];
    uint8_t choice = take_u8(w);
    uint32_t count = 1 + choice % TXS_MAX;
    size_t len = DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES;
    if (client->sent + count > SEQS_MAX || w->conns[i].is_paused || w->conns[i].in_len > 0) {
        return;
    }
    dsmr_submit_frame_submit_head(frame, client->sent, count, count * (4 + TX_LEN));
    for (uint32_t k = 0; k < count; k++, len += 4 + TX_LEN) {
        struct dsmr_id id = id_of((uint8_t)(choice / TXS_MAX + k * take_u8(w)));
        dsmr_store_be32(frame + len, TX_LEN);
        memcpy(frame + len + 4, id.bytes, TX_LEN);
    }
    bool is_heard = w->conns[i].fd >= 0 && w->conns[i].state == DSMR_STREAM_CONN_OPEN;
    say(w, i, frame, len);
    client->sent += is_heard ? count : 0;
}

static void on_run(struct client *client, uint8_t type, const struct dsmr_submit_run *run)
{
    for (uint32_t k = 0; client->is_strict && k < run->count; k++) {
        uint64_t seq = run->first_seq + k;
        must(seq < client->sent);
        if (type == DSMR_SUBMIT_FRAME_ACK) {
            must(client->acks[seq]++ == 0);
            client->is_admitted[seq] = run->code == 0;
            continue;
        }
        must(client->is_admitted[seq]);
        if (type == DSMR_SUBMIT_FRAME_CERTIFIED) {
            must((client->wants & DSMR_SUBMIT_FRAME_WANT_CERTIFIED) != 0);
            must(client->ends[seq] == 0);
        } else {
            must((client->wants & DSMR_SUBMIT_FRAME_WANT_EXECUTED) != 0);
            must(client->ends[seq]++ == 0);
        }
    }
}

static void on_frame(struct client *client, uint8_t type, const uint8_t *payload, size_t len)
{
    struct dsmr_submit_frame_welcome welcome;
    uint64_t height = 0;
    uint32_t runs = 0;
    enum dsmr_err err = DSMR_OK;
    must(!client->has_ended);
    if (type == DSMR_SUBMIT_FRAME_WELCOME) {
        must(dsmr_submit_frame_welcome_decode(&welcome, payload, len) == DSMR_OK);
        return;
    }
    if (type == DSMR_SUBMIT_FRAME_ERROR) {
        must(dsmr_submit_frame_error_decode(&err, payload, len) == DSMR_OK && err != DSMR_OK);
        client->has_ended = true;
        return;
    }
    must(type >= DSMR_SUBMIT_FRAME_ACK && type <= DSMR_SUBMIT_FRAME_EXPIRED);
    must(dsmr_submit_frame_notice_decode(&height, &runs, payload, len) == DSMR_OK);
    must((height > 0) == (type == DSMR_SUBMIT_FRAME_EXECUTED));
    for (uint32_t i = 0; i < runs; i++) {
        struct dsmr_submit_run run;
        dsmr_submit_frame_run_decode(&run, payload + 8 + (size_t)i * DSMR_SUBMIT_FRAME_RUN_BYTES);
        must(run.count > 0);
        on_run(client, type, &run);
    }
}

/* Takes up to max of what the node has to say, and reads the frames that are whole. */
static void listen(struct world *w, uint32_t i, size_t max)
{
    struct dsmr_stream_conn *conn = &w->conns[i];
    struct client *client = &w->clients[i];
    size_t at = 0, frame_len = 0;
    if (conn->fd < 0) {
        return;
    }
    must(dsmr_stream_conn_finish(conn) == DSMR_OK);
    size_t n = dsmr_stream_conn_unsent(conn);
    n = n < max ? n : max;
    client->out = realloc(client->out, client->out_len + n + 1);
    must(client->out != NULL);
    if (n > 0) {
        memcpy(client->out + client->out_len, conn->out + conn->out_at, n);
        client->out_len += n;
        dsmr_stream_conn_sent(conn, n);
    }
    while (client->out_len - at > 0 &&
           dsmr_submit_frame_peek(&frame_len, client->out + at, client->out_len - at) == DSMR_OK) {
        on_frame(client, client->out[at + 4], client->out + at + 5, frame_len - 5);
        at += frame_len;
    }
    memmove(client->out, client->out + at, client->out_len - at);
    client->out_len -= at;
    if (conn->is_paused) {
        dsmr_submit_session_frames(&w->stream, conn);
    }
}

static void check(struct world *w)
{
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (w->conns[i].fd >= 0) {
            in_flight += w->conns[i].in_flight;
            must(w->conns[i].in_flight <= w->stream.in_flight_conn_max);
        }
    }
    must(in_flight <= w->stream.in_flight && w->stream.in_flight <= IN_FLIGHT_MAX);
    must(dsmr_tracker_flights(w->stream.tracker) <= w->stream.in_flight);
}

static void operate(struct world *w)
{
    uint8_t op = take_u8(w);
    uint32_t i = op / 16 % CLIENTS;
    switch (op % 16) {
    case 0:
        connect_client(w, i);
        break;
    case 1:
        say_hello(w, i);
        break;
    case 2:
    case 3:
    case 4:
        say_submit(w, i);
        break;
    case 5: {
        size_t n = take_u8(w);
        n = n < w->in_len - w->in_at ? n : w->in_len - w->in_at;
        w->clients[i].is_strict = w->clients[i].is_strict && n == 0;
        say(w, i, w->in + w->in_at, n);
        w->in_at += n;
        break;
    }
    case 6:
    case 7:
        return_batch(w, take_u8(w));
        break;
    case 8:
        certify(w, take_u8(w));
        break;
    case 9:
        execute(w, take_u8(w));
        break;
    case 10:
        expire(w, take_u8(w));
        break;
    case 11:
        listen(w, i, take_u8(w));
        break;
    case 12:
        dsmr_submit_session_drop(&w->stream, &w->conns[i]);
        break;
    case 13:
        w->is_full = op & 128;
        break;
    case 14:
        dsmr_tracker_sweep(w->stream.tracker);
        break;
    default:
        dsmr_tracker_drain(w->stream.tracker);
        break;
    }
    check(w);
}

/* ---- beginning and end ---- */

static void begin(struct world *w)
{
    static const struct dsmr_query query = {.ops = &query_ops};
    struct dsmr_submit_stream *s = &w->stream;
    w->chain_ms = 500;
    w->waits = dsmr_waits_new(1, 1);
    s->config.in_flight_max = IN_FLIGHT_MAX;
    s->in_flight_conn_max = IN_FLIGHT_MAX * 2 / 3;
    s->config.clock = (struct dsmr_clock){.ops = &clock_ops};
    s->config.metrics = &metrics;
    s->config.domain.network_id = 7;
    s->submit = (struct dsmr_submit){.self = w, .ops = &driver_ops};
    s->conns = w->conns;
    s->conns_used = CLIENTS;
    s->epoll_fd = -1;
    const struct dsmr_tracker_config config = {.flights_max = IN_FLIGHT_MAX,
                                               .others_max = 8,
                                               .seed = 1,
                                               .waits = w->waits,
                                               .clock = s->config.clock,
                                               .metrics = &metrics,
                                               .wake = wake};
    s->tracker = dsmr_tracker_new(&config);
    must(w->waits != NULL && s->tracker != NULL);
    struct dsmr_tracker_sink sink = dsmr_submit_session_sink(s);
    sink.flush = on_flush;
    dsmr_tracker_attach(s->tracker, &query, &sink);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        w->conns[i].fd = -1;
    }
}

/* All comes back, nothing runs any more, every client reads to the end. */
static void settle(struct world *w)
{
    w->is_full = false;
    for (uint32_t round = 0; round < 64; round++) {
        while (w->batches_count > 0) {
            return_batch(w, 0);
        }
        dsmr_tracker_drain(w->stream.tracker);
        for (uint32_t i = 0; i < CLIENTS; i++) {
            listen(w, i, SIZE_MAX);
        }
        w->chain_ms = UINT64_MAX / 2; /* no transaction lives that long */
        execute(w, 0);
        dsmr_tracker_drain(w->stream.tracker);
        dsmr_tracker_sweep(w->stream.tracker);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        listen(w, i, SIZE_MAX);
    }
}

static void check_end(const struct world *w)
{
    bool is_known = true; /* a transaction from raw bytes may live for ever */
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const struct client *client = &w->clients[i];
        is_known = is_known && client->is_strict;
        for (uint32_t seq = 0; client->is_strict && w->conns[i].fd >= 0 && !client->has_ended &&
                               w->conns[i].state == DSMR_STREAM_CONN_OPEN && seq < client->sent;
             seq++) {
            must(client->acks[seq] == 1);
            must(!client->is_admitted[seq] ||
                 (client->wants & DSMR_SUBMIT_FRAME_WANT_EXECUTED) == 0 || client->ends[seq] == 1);
        }
    }
    must(!is_known || w->stream.in_flight == 0);
    must(!is_known || dsmr_tracker_flights(w->stream.tracker) == 0);
}

static void end(struct world *w)
{
    for (uint32_t i = 0; i < CLIENTS; i++) {
        dsmr_submit_session_drop(&w->stream, &w->conns[i]);
        free(w->clients[i].out);
    }
    while (w->batches_count > 0) {
        dsmr_tracker_batch_free(w->batches[--w->batches_count]);
    }
    dsmr_tracker_free(w->stream.tracker);
    dsmr_waits_close(w->waits);
    dsmr_waits_free(w->waits);
    free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct world *w = calloc(1, sizeof(*w));
    must(w != NULL);
    w->in = bytes;
    w->in_len = len;
    begin(w);
    for (unsigned i = 0; i < STEPS_MAX && w->in_at < w->in_len; i++) {
        operate(w);
    }
    settle(w);
    check_end(w);
    end(w);
    return 0;
}
