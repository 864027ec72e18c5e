/* The stream's rules without sockets: when a frame has to wait, and what ends the waiting. */
#include "unit/api/fake_node.h"

#include "api/submit_session.h"

struct world {
    struct fake_node node;
    struct dsmr_submit_stream stream;
    struct dsmr_stream_conn conn;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    fake_init(&w->node);
    w->stream.config.in_flight_max = 100;
    w->stream.in_flight_conn_max = 50;
    w->stream.config.clock = fake_clock(&w->node);
    w->stream.config.metrics = &w->node.metrics;
    w->stream.submit = fake_submit_port(&w->node);
    w->stream.conns = &w->conn;
    w->stream.conns_used = 1;
    dsmr_stream_conn_open(&w->conn, 1000, 0); /* never used as a descriptor here */
    w->conn.state = DSMR_STREAM_CONN_OPEN;
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    while (w->node.batches_taken < w->node.batches_count) {
        dsmr_tracker_batch_free(w->node.batches[w->node.batches_taken++]);
    }
    dsmr_stream_conn_close(&w->conn);
    fake_close(&w->node);
    free(w);
    return 0;
}

static void put(struct world *w, uint64_t first, uint32_t count)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + 100 * 36];
    size_t len = DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES;
    size_t room = 0;
    dsmr_submit_frame_submit_head(frame, first, count, count * 36);
    for (uint32_t i = 0; i < count; i++, len += 36) {
        dsmr_store_be32(frame + len, 32);
        make_tx(frame + len + 4, first + i, 50000);
    }
    assert_int_equal(dsmr_stream_conn_in_room(&w->conn, &room), DSMR_OK);
    assert_true(room >= len);
    memcpy(w->conn.in + w->conn.in_len, frame, len);
    w->conn.in_len += len;
    dsmr_submit_session_frames(&w->stream, &w->conn);
}

static void frames_wait_at_each_limit(void **state)
{
    struct world *w = *state;
    put(w, 1, 49);
    put(w, 50, 1); /* exactly 50 */
    assert_false(w->conn.is_paused);
    assert_int_equal(w->conn.in_flight, 50);
    put(w, 51, 1);
    assert_true(w->conn.is_paused);
    assert_int_equal(w->node.batches_count, 2);
    w->conn.in_flight--;
    w->stream.in_flight = 100; /* of others */
    dsmr_submit_session_frames(&w->stream, &w->conn);
    assert_true(w->conn.is_paused);
    w->stream.in_flight = 99;
    dsmr_submit_session_frames(&w->stream, &w->conn);
    assert_false(w->conn.is_paused);
    assert_int_equal(w->node.batches_count, 3);
    assert_int_equal(w->conn.in_len, 0);
}

static void a_client_that_does_not_read_is_not_read(void **state)
{
    struct world *w = *state;
    char *unread = calloc(1, DSMR_STREAM_CONN_OUT_MAX + 1);
    assert_int_equal(dsmr_stream_conn_write(&w->conn, unread, DSMR_STREAM_CONN_OUT_MAX), DSMR_OK);
    put(w, 1, 1);
    assert_false(w->conn.is_paused);
    assert_int_equal(dsmr_stream_conn_write(&w->conn, unread, 1), DSMR_OK);
    put(w, 2, 1);
    assert_true(w->conn.is_paused);
    dsmr_stream_conn_sent(&w->conn, 1);
    dsmr_submit_session_frames(&w->stream, &w->conn);
    assert_false(w->conn.is_paused);
    assert_int_equal(w->node.batches_count, 2);
    free(unread);
}

static void a_refused_batch_gives_its_room_back(void **state)
{
    struct world *w = *state;
    w->node.is_full = true;
    for (int i = 0; i < 5; i++) {
        put(w, 1, 50);
        assert_false(w->conn.is_paused);
    }
    assert_int_equal(w->conn.in_flight, 0);
    assert_int_equal(w->stream.in_flight, 0);
    assert_int_equal(w->conn.batches, 0);
}

static void refused_transactions_give_their_room_back(void **state)
{
    struct world *w = *state;
    const struct dsmr_tracker_sink sink = dsmr_submit_session_sink(&w->stream);
    for (int i = 0; i < 5; i++) {
        put(w, 1, 50);
        assert_false(w->conn.is_paused);
        struct dsmr_submit_batch *batch = fake_take(&w->node);
        for (uint32_t k = 0; k < batch->count; k++) {
            batch->txs[k].err = DSMR_ERR_BAD_TX;
        }
        sink.submitted(sink.self, batch);
        dsmr_tracker_batch_free(batch);
        assert_int_equal(w->conn.in_flight, 0);
        assert_int_equal(w->stream.in_flight, 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(frames_wait_at_each_limit),
        TEST(a_client_that_does_not_read_is_not_read),
        TEST(a_refused_batch_gives_its_room_back),
        TEST(refused_transactions_give_their_room_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
