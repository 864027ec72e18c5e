/* The submit stream over real sockets: the good way, each refusal, garbage, limits, going away. */
#define _POSIX_C_SOURCE 200809L
#include "unit/api/fake_node.h"

#include <poll.h>

#include "unit/api/raw_socket.h"

#include "api/submit_stream.h"
#include "wire/submit_frame.h"

#define CONNECTIONS_MAX 4

struct world {
    struct fake_node node;
    struct dsmr_query query;
    struct dsmr_submit submit;
    struct dsmr_waits *waits;
    struct dsmr_submit_stream *stream;
    struct dsmr_feed feed;
    struct dsmr_domain domain;
    uint16_t port;
    uint32_t conn_max; /* in flight */
};

static int open_with(void **state, uint32_t in_flight_max)
{
    struct world *w = calloc(1, sizeof(*w));
    const char *reason = "";
    fake_init(&w->node);
    w->query = fake_query(&w->node);
    w->submit = fake_submit_port(&w->node);
    w->waits = dsmr_waits_new(4, 1);
    w->domain.network_id = 7;
    uint32_t half = in_flight_max / 2;
    w->conn_max = half > DSMR_SUBMIT_FRAME_TXS_MAX ? half : DSMR_SUBMIT_FRAME_TXS_MAX;
    memset(w->domain.chain_id.bytes, 0x11, 32);
    const struct dsmr_submit_stream_config config = {.address = "127.0.0.1",
                                                     .connections_max = CONNECTIONS_MAX,
                                                     .in_flight_max = in_flight_max,
                                                     .seed = 5,
                                                     .domain = w->domain,
                                                     .waits = w->waits,
                                                     .clock = fake_clock(&w->node),
                                                     .metrics = &w->node.metrics};
    w->stream = dsmr_submit_stream_new(&config);
    assert_non_null(w->stream);
    assert_int_equal(dsmr_submit_stream_start(w->stream, &reason, &w->query, &w->submit), DSMR_OK);
    w->port = dsmr_submit_stream_port(w->stream);
    assert_true(w->port != 0);
    w->feed = dsmr_tracker_feed(dsmr_submit_stream_tracker(w->stream));
    *state = w;
    return 0;
}

static int open_world(void **state)
{
    return open_with(state, DSMR_SUBMIT_FRAME_TXS_MAX);
}

static int open_wide(void **state)
{
    return open_with(state, 2 * DSMR_SUBMIT_FRAME_TXS_MAX); /* one connection has half of it */
}

static int close_world(void **state)
{
    struct world *w = *state;
    dsmr_submit_stream_stop(w->stream);
    dsmr_submit_stream_stop(w->stream);
    dsmr_submit_stream_free(w->stream);
    dsmr_waits_close(w->waits);
    dsmr_waits_free(w->waits);
    while (w->node.batches_taken < w->node.batches_count) {
        dsmr_tracker_batch_free(w->node.batches[w->node.batches_taken++]);
    }
    fake_close(&w->node);
    free(w);
    return 0;
}

/* ---- a client of few words ---- */

static void say_hello(struct world *w, int fd, uint8_t wants)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_HELLO_BYTES];
    const struct dsmr_submit_frame_hello hello = {.domain = w->domain, .wants = wants};
    dsmr_submit_frame_hello_encode(frame, &hello);
    assert_true(raw_send(fd, frame, sizeof(frame)));
}

static int dial(struct world *w, uint8_t wants)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_WELCOME_BYTES];
    struct dsmr_submit_frame_welcome welcome;
    int fd = raw_connect(w->port);
    say_hello(w, fd, wants);
    assert_true(raw_recv(fd, frame, sizeof(frame)));
    assert_int_equal(frame[4], DSMR_SUBMIT_FRAME_WELCOME);
    assert_int_equal(dsmr_submit_frame_welcome_decode(&welcome, frame + 5, sizeof(frame) - 5),
                     DSMR_OK);
    assert_int_equal(welcome.in_flight_max, w->conn_max);
    return fd;
}

static int open_wider(void **state)
{
    return open_with(state, 8 * DSMR_SUBMIT_FRAME_TXS_MAX);
}

/* SUBMIT of transactions first .. first + count - 1 of make_tx; sequence numbers alike. */
static size_t make_submit(uint8_t *out, uint64_t first, uint32_t count)
{
    size_t at = DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES;
    dsmr_submit_frame_submit_head(out, first, count, count * 36);
    for (uint32_t i = 0; i < count; i++, at += 36) {
        dsmr_store_be32(out + at, 32);
        make_tx(out + at + 4, first + i, 50000);
    }
    return at;
}

static bool submit(int fd, uint64_t first, uint32_t count)
{
    uint8_t *frame = malloc(DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + (size_t)count * 36);
    size_t len = make_submit(frame, first, count);
    bool ok = raw_send(fd, frame, len);
    free(frame);
    return ok;
}

/* The next notice, one run expected. */
static void expect_run(int fd, uint8_t type, uint64_t height, uint64_t first, uint32_t count,
                       uint32_t code)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES + DSMR_SUBMIT_FRAME_RUN_BYTES];
    struct dsmr_submit_run run;
    assert_true(raw_recv(fd, frame, sizeof(frame)));
    assert_int_equal(dsmr_load_be32(frame), sizeof(frame) - 4);
    assert_int_equal(frame[4], type);
    assert_int_equal(dsmr_load_be64(frame + 5), height);
    dsmr_submit_frame_run_decode(&run, frame + 13);
    assert_int_equal(run.first_seq, first);
    assert_int_equal(run.count, count);
    assert_int_equal(run.code, code);
}

/* ERROR and then the end of the stream. */
static void expect_error(int fd, enum dsmr_err err)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_ERROR_BYTES + 1];
    enum dsmr_err said = DSMR_OK;
    assert_int_equal(raw_drain(fd, frame, sizeof(frame)), DSMR_SUBMIT_FRAME_ERROR_BYTES);
    assert_int_equal(frame[4], DSMR_SUBMIT_FRAME_ERROR);
    assert_int_equal(dsmr_submit_frame_error_decode(&said, frame + 5, 2), DSMR_OK);
    assert_int_equal(said, err);
    close(fd);
}

static void wait_for_error_count(struct world *w, enum dsmr_err err, uint64_t count)
{
    while (atomic_load(&w->node.metrics.errors[err]) < count) {
        sched_yield();
    }
}

/* ---- tests ---- */

static void a_transaction_goes_all_the_way(void **state)
{
    struct world *w = *state;
    struct dsmr_chunk *chunk = make_chunk(100, 3, 50000);
    int fd = dial(w, 3);
    assert_true(submit(fd, 100, 3));
    struct dsmr_submit_batch *batch = fake_take(&w->node);
    assert_int_equal(batch->count, 3);
    assert_int_equal(batch->txs[2].tag, 102);
    assert_int_equal(batch->txs[2].len, 32);
    publish_batch(&w->feed, batch, DSMR_OK);
    expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 100, 3, 0);
    publish_certified(&w->feed, chunk);
    expect_run(fd, DSMR_SUBMIT_FRAME_CERTIFIED, 0, 100, 3, 0);
    publish_executed(&w->feed, 6, 40000, chunk->tx_ids, 2);
    expect_run(fd, DSMR_SUBMIT_FRAME_EXECUTED, 6, 100, 2, 0);
    publish_expired(&w->feed, &chunk->tx_ids[2], 1);
    expect_run(fd, DSMR_SUBMIT_FRAME_EXPIRED, 0, 102, 1, 0);
    assert_int_equal(dsmr_metrics_get(&w->node.metrics, DSMR_METRIC_SUBMIT_TXS), 3);
    close(fd);
    dsmr_chunk_unref(chunk);
}

static void only_wanted_notices_come(void **state)
{
    struct world *w = *state;
    struct dsmr_chunk *chunk = make_chunk(1, 1, 50000);
    int none = dial(w, 0);
    int executed = dial(w, DSMR_SUBMIT_FRAME_WANT_EXECUTED);
    assert_true(submit(none, 1, 1));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(none, DSMR_SUBMIT_FRAME_ACK, 0, 1, 1, 0);
    assert_true(submit(executed, 1, 1));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(executed, DSMR_SUBMIT_FRAME_ACK, 0, 1, 1, 0);
    publish_certified(&w->feed, chunk);
    publish_executed(&w->feed, 2, 10, chunk->tx_ids, 1);
    expect_run(executed, DSMR_SUBMIT_FRAME_EXECUTED, 2, 1, 1, 0);
    assert_true(submit(none, 2, 1)); /* its next notice is this one's */
    publish_batch(&w->feed, fake_take(&w->node), DSMR_ERR_DUPLICATE);
    expect_run(none, DSMR_SUBMIT_FRAME_ACK, 0, 2, 1, DSMR_ERR_DUPLICATE);
    close(none);
    close(executed);
    dsmr_chunk_unref(chunk);
}

static void a_full_inbox_is_said_so(void **state)
{
    struct world *w = *state;
    int fd = dial(w, 3);
    w->node.is_full = true;
    assert_true(submit(fd, 5, 2));
    expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 5, 2, DSMR_ERR_MEMPOOL_FULL);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_MEMPOOL_FULL], 2);
    assert_int_equal(dsmr_metrics_get(&w->node.metrics, DSMR_METRIC_TXS_REFUSED), 2);
    close(fd);
}

/* The core may take one again that is in a chunk already; its second submitter hears that. */
static void a_second_submitter_is_refused_and_counted(void **state)
{
    struct world *w = *state;
    int first = dial(w, 3), second = dial(w, 3);
    assert_true(submit(first, 7, 1));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(first, DSMR_SUBMIT_FRAME_ACK, 0, 7, 1, DSMR_OK);
    assert_true(submit(second, 7, 1));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(second, DSMR_SUBMIT_FRAME_ACK, 0, 7, 1, DSMR_ERR_DUPLICATE);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_DUPLICATE], 1);
    close(first);
    close(second);
}

static void hello_must_be_right_and_first(void **state)
{
    struct world *w = *state;
    uint8_t frame[DSMR_SUBMIT_FRAME_HELLO_BYTES];
    struct dsmr_submit_frame_hello hello = {.domain = w->domain};
    hello.domain.network_id++;
    dsmr_submit_frame_hello_encode(frame, &hello);
    int fd = raw_connect(w->port);
    assert_true(raw_send(fd, frame, sizeof(frame)));
    expect_error(fd, DSMR_ERR_WRONG_NETWORK);
    hello.domain = w->domain;
    hello.domain.chain_id.bytes[31] ^= 1;
    dsmr_submit_frame_hello_encode(frame, &hello);
    fd = raw_connect(w->port);
    assert_true(raw_send(fd, frame, sizeof(frame)));
    expect_error(fd, DSMR_ERR_WRONG_CHAIN);
    frame[10] = 9;
    fd = raw_connect(w->port);
    assert_true(raw_send(fd, frame, sizeof(frame)));
    expect_error(fd, DSMR_ERR_VERSION);
    fd = raw_connect(w->port);
    assert_true(submit(fd, 1, 1));
    expect_error(fd, DSMR_ERR_UNEXPECTED);
    fd = dial(w, 0);
    say_hello(w, fd, 0);
    expect_error(fd, DSMR_ERR_UNEXPECTED);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_WRONG_NETWORK], 1);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_WRONG_CHAIN], 1);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_VERSION], 1);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_UNEXPECTED], 2);
    assert_int_equal(w->node.batches_count, 0);
}

static void garbage_and_oversize_close_the_connection(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *bytes;
        size_t len;
        enum dsmr_err err;
    } cases[] = {
        {"\0\0\0\0", 4, DSMR_ERR_MALFORMED},
        {"\xff\xff\xff\xff", 4, DSMR_ERR_TOO_LARGE},
        {"\0\x10\0\1", 4, DSMR_ERR_TOO_LARGE},
        {"GET / HTTP/1.1\r\n\r\n", 18, DSMR_ERR_TOO_LARGE},
        {"\0\0\0\1\x63", 5, DSMR_ERR_UNEXPECTED},
        {"\0\0\0\1\4", 5, DSMR_ERR_UNEXPECTED}, /* a frame that only the node sends */
        {"\0\0\0\1\2", 5, DSMR_ERR_MALFORMED},
        {"\0\0\0\x0d\2\0\0\0\0\0\0\0\1\0\0\0\0", 17, DSMR_ERR_MALFORMED},   /* count 0 */
        {"\0\0\0\x0d\2\0\0\0\0\0\0\0\1\0\0\x40\1", 17, DSMR_ERR_TOO_LARGE}, /* 16 385 */
        {"\0\0\0\x11\2\0\0\0\0\0\0\0\1\0\0\0\1\xff\xff\xff\xff", 21, DSMR_ERR_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t before = w->node.metrics.errors[cases[i].err];
        int fd = dial(w, 3);
        assert_true(raw_send(fd, cases[i].bytes, cases[i].len));
        expect_error(fd, cases[i].err);
        assert_int_equal(w->node.metrics.errors[cases[i].err], before + 1);
    }
    assert_int_equal(w->node.batches_count, 0);
    int fd = dial(w, 3); /* the node is as before */
    assert_true(submit(fd, 1, 1));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 1, 1, 0);
    close(fd);
}

static void a_frame_that_is_cut_off_is_counted(void **state)
{
    struct world *w = *state;
    uint8_t frame[DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + 36];
    size_t len = make_submit(frame, 1, 1);
    int fd = dial(w, 0);
    assert_true(raw_send(fd, frame, len - 1));
    close(fd);
    wait_for_error_count(w, DSMR_ERR_MALFORMED, 1);
    fd = dial(w, 0);
    close(fd); /* between frames: nothing wrong with that */
    fd = dial(w, 0);
    close(fd);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_MALFORMED], 1);
    assert_int_equal(w->node.batches_count, 0);
}

static void frames_by_the_byte_and_several_at_once(void **state)
{
    struct world *w = *state;
    uint8_t frames[3 * (DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + 36)];
    int fd = dial(w, 0);
    size_t len = make_submit(frames, 1, 1);
    for (size_t i = 0; i < len; i++) {
        assert_true(raw_send(fd, frames + i, 1));
    }
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 1, 1, 0);
    for (uint64_t i = 0; i < 3; i++) {
        (void)make_submit(frames + i * len, 10 + i, 1);
    }
    assert_true(raw_send(fd, frames, 3 * len));
    for (uint64_t i = 0; i < 3; i++) {
        struct dsmr_submit_batch *batch = fake_take(&w->node);
        assert_int_equal(batch->txs[0].tag, 10 + i);
        publish_batch(&w->feed, batch, DSMR_OK);
        expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 10 + i, 1, 0);
    }
    close(fd);
}

static void reading_stops_at_the_limit_of_flights(void **state)
{
    struct world *w = *state;
    struct dsmr_chunk *chunk = make_chunk(1, 1, 50000);
    int fd = dial(w, DSMR_SUBMIT_FRAME_WANT_EXECUTED);
    assert_true(submit(fd, 1, DSMR_SUBMIT_FRAME_TXS_MAX));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 1, DSMR_SUBMIT_FRAME_TXS_MAX, 0);
    assert_true(submit(fd, 100001, 1)); /* one too many: it waits in the socket */
    int other = dial(w, 0);             /* the thread has been around since */
    assert_true(submit(other, 1, 1));   /* and this one has to wait as well: the sum counts */
    assert_int_equal(w->node.batches_count, 1);
    publish_executed(&w->feed, 1, 1, chunk->tx_ids, 1);
    expect_run(fd, DSMR_SUBMIT_FRAME_EXECUTED, 1, 1, 1, 0);
    struct dsmr_submit_batch *batch = fake_take(&w->node); /* one of both */
    assert_int_equal(batch->count, 1);
    publish_batch(&w->feed, batch, DSMR_ERR_BAD_TX);
    batch = fake_take(&w->node); /* a refusal makes room for the other */
    publish_batch(&w->feed, batch, DSMR_ERR_BAD_TX);
    expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 100001, 1, DSMR_ERR_BAD_TX);
    expect_run(other, DSMR_SUBMIT_FRAME_ACK, 0, 1, 1, DSMR_ERR_BAD_TX);
    close(fd);
    close(other);
    dsmr_chunk_unref(chunk);
}

static void one_connection_cannot_take_all_the_room(void **state)
{
    struct world *w = *state;
    struct dsmr_chunk *chunk = make_chunk(1, 1, 50000);
    int greedy = dial(w, DSMR_SUBMIT_FRAME_WANT_EXECUTED);
    assert_true(submit(greedy, 1, DSMR_SUBMIT_FRAME_TXS_MAX));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(greedy, DSMR_SUBMIT_FRAME_ACK, 0, 1, DSMR_SUBMIT_FRAME_TXS_MAX, 0);
    assert_true(submit(greedy, 100001, 1)); /* waits */
    int other = dial(w, 0);
    assert_true(submit(other, 200001, 1)); /* does not */
    struct dsmr_submit_batch *batch = fake_take(&w->node);
    assert_int_equal(batch->txs[0].tag, 200001);
    publish_batch(&w->feed, batch, DSMR_OK);
    expect_run(other, DSMR_SUBMIT_FRAME_ACK, 0, 200001, 1, 0);
    publish_executed(&w->feed, 1, 1, chunk->tx_ids, 1);
    batch = fake_take(&w->node);
    assert_int_equal(batch->txs[0].tag, 100001);
    publish_batch(&w->feed, batch, DSMR_OK);
    close(greedy);
    close(other);
    dsmr_chunk_unref(chunk);
}

static void one_connection_too_many_is_told(void **state)
{
    struct world *w = *state;
    int fds[CONNECTIONS_MAX];
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        fds[i] = dial(w, 0);
    }
    expect_error(raw_connect(w->port), DSMR_ERR_FULL);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_FULL], 1);
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        close(fds[i]);
    }
}

static void a_client_that_left_is_forgotten(void **state)
{
    struct world *w = *state;
    struct dsmr_chunk *chunk = make_chunk(1, 2, 50000);
    for (int i = 0; i < 3 * CONNECTIONS_MAX; i++) {
        int fd = dial(w, 3);
        assert_true(submit(fd, 1, 2));
        struct dsmr_submit_batch *batch = fake_take(&w->node);
        uint8_t byte = 0;
        (void)shutdown(fd, SHUT_WR);
        assert_false(raw_recv(fd, &byte, 1)); /* the node has closed its end */
        close(fd);
        publish_batch(&w->feed, batch, DSMR_OK); /* comes back to nobody */
    }
    publish_executed(&w->feed, 1, 1, chunk->tx_ids, 2);
    int fd = dial(w, 3);
    assert_true(submit(fd, 1, 2));
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 1, 2, 0);
    publish_executed(&w->feed, 2, 2, chunk->tx_ids, 2);
    expect_run(fd, DSMR_SUBMIT_FRAME_EXECUTED, 2, 1, 2, 0);
    close(fd);
    dsmr_chunk_unref(chunk);
}

static void silence_and_slow_frames_time_out(void **state)
{
    struct world *w = *state;
    int silent = raw_connect(w->port);
    int slow = dial(w, 0);
    int idle = dial(w, 0);
    assert_true(raw_send(slow, "\0\0", 2));
    int last = dial(w, 0); /* after this the thread has read what came before */
    w->node.mono_ms += 10001;
    expect_error(silent, DSMR_ERR_TIMEOUT);
    w->node.mono_ms += 30001;
    expect_error(slow, DSMR_ERR_TIMEOUT);
    assert_true(submit(idle, 1, 1)); /* between frames a client may be silent */
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(idle, DSMR_SUBMIT_FRAME_ACK, 0, 1, 1, 0);
    close(idle);
    close(last);
}

/* Time goes on until the node says something on fd: the thread must not sleep over it. */
static void pass_time(struct world *w, int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    while (poll(&wanted, 1, 0) == 0) {
        w->node.mono_ms += 1000;
        sched_yield();
    }
}

static void each_slow_client_alone_times_out(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(w->port); /* no hello */
    int other = dial(w, 0);        /* after this the thread has seen the first */
    pass_time(w, fd);
    expect_error(fd, DSMR_ERR_TIMEOUT);
    assert_true(raw_send(other, "\0\0", 2)); /* a frame that does not go on */
    fd = dial(w, 0);
    pass_time(w, other);
    expect_error(other, DSMR_ERR_TIMEOUT);
    close(fd);
}

static void a_flight_that_no_notice_ends_is_swept(void **state)
{
    struct world *w = *state;
    int fd = dial(w, DSMR_SUBMIT_FRAME_WANT_EXECUTED);
    assert_true(submit(fd, 1, 1)); /* its expiry is 50000 */
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    expect_run(fd, DSMR_SUBMIT_FRAME_ACK, 0, 1, 1, 0);
    publish_executed(&w->feed, 1, 50000, NULL, 0); /* a block at the expiry could still run it */
    for (int i = 0; i < 2; i++) { /* whoever says no hello is told so just before a sweep */
        int silent = raw_connect(w->port);
        close(dial(w, 0)); /* after this the thread has heard of the block */
        pass_time(w, silent);
        close(silent);
    }
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0), 0);
    publish_executed(&w->feed, 1, 50001, NULL, 0);
    int other = dial(w, 0); /* after this the thread has heard of the block */
    pass_time(w, fd);
    expect_run(fd, DSMR_SUBMIT_FRAME_EXPIRED, 0, 1, 1, 0);
    close(fd);
    close(other);
}

static void on_wait_done(void *ctx, const struct dsmr_waits_news *news)
{
    atomic_store((_Atomic int *)ctx, (int)news->err);
}

/* Without clients and waits it has no time to look at; a wait must not sleep along with it. */
static void a_wait_wakes_the_thread(void **state)
{
    struct world *w = *state;
    const struct dsmr_waits_news what = {.mode = DSMR_WAITS_EXECUTED};
    uint64_t ticket = 0;
    for (int i = 0; i < 20; i++) {
        _Atomic int err = DSMR_OK;
        assert_int_equal(dsmr_waits_add(w->waits, &ticket, &what, 0, on_wait_done, &err), DSMR_OK);
        while (err == DSMR_OK) { /* time goes on; it must be looked at */
            w->node.mono_ms += 1000;
            sched_yield();
        }
        assert_int_equal(err, DSMR_ERR_TIMEOUT);
    }
}

static void stopping_says_closed(void **state)
{
    struct world *w = *state;
    int fd = dial(w, 3);
    assert_true(submit(fd, 1, 1));
    struct dsmr_submit_batch *batch = fake_take(&w->node);
    dsmr_submit_stream_stop(w->stream);
    expect_error(fd, DSMR_ERR_CLOSED);
    assert_int_equal(dsmr_submit_stream_port(w->stream), 0);
    publish_batch(&w->feed, batch, DSMR_OK); /* the driver may still give back */
}

static void addresses_are_checked(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *address;
        bool allow_remote;
        enum dsmr_err err;
    } cases[] = {
        {"0.0.0.0", false, DSMR_ERR_CONFIG},       {"::", false, DSMR_ERR_CONFIG},
        {"localhost", true, DSMR_ERR_CONFIG},      {"192.0.2.1", true, DSMR_ERR_UNAVAILABLE},
        {"192.0.2.1", false, DSMR_ERR_CONFIG},     {"", true, DSMR_ERR_CONFIG},
        {"127.0.0.1", false, DSMR_ERR_UNAVAILABLE}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *reason = NULL;
        const struct dsmr_submit_stream_config config = {.address = cases[i].address,
                                                         .port = w->port, /* in use */
                                                         .allow_remote = cases[i].allow_remote,
                                                         .connections_max = 1,
                                                         .in_flight_max = DSMR_SUBMIT_FRAME_TXS_MAX,
                                                         .waits = w->waits,
                                                         .clock = fake_clock(&w->node),
                                                         .metrics = &w->node.metrics};
        struct dsmr_submit_stream *stream = dsmr_submit_stream_new(&config);
        assert_int_equal(dsmr_submit_stream_start(stream, &reason, &w->query, &w->submit),
                         cases[i].err);
        assert_non_null(reason);
        dsmr_submit_stream_free(stream);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_goes_all_the_way),
        TEST(only_wanted_notices_come),
        TEST(a_full_inbox_is_said_so),
        TEST(a_second_submitter_is_refused_and_counted),
        TEST(hello_must_be_right_and_first),
        TEST(garbage_and_oversize_close_the_connection),
        TEST(a_frame_that_is_cut_off_is_counted),
        TEST(frames_by_the_byte_and_several_at_once),
        TEST(reading_stops_at_the_limit_of_flights),
        cmocka_unit_test_setup_teardown(a_transaction_goes_all_the_way, open_wider, close_world),
        cmocka_unit_test_setup_teardown(one_connection_cannot_take_all_the_room, open_wide,
                                        close_world),
        TEST(one_connection_too_many_is_told),
        TEST(a_client_that_left_is_forgotten),
        TEST(silence_and_slow_frames_time_out),
        TEST(each_slow_client_alone_times_out),
        TEST(a_flight_that_no_notice_ends_is_swept),
        TEST(a_wait_wakes_the_thread),
        TEST(stopping_says_closed),
        TEST(addresses_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
