/* Buffers of one stream client: frames by the byte, growth, runs that join, partial sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/stream_conn.h"
#include "base/bytes.h"

static void feed(struct dsmr_stream_conn *conn, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        size_t room = 0;
        assert_int_equal(dsmr_stream_conn_in_room(conn, &room), DSMR_OK);
        assert_true(room > 0);
        size_t n = room < len ? room : len;
        memcpy(conn->in + conn->in_len, from, n);
        conn->in_len += n;
        from += n;
        len -= n;
    }
}

static void frames_come_byte_by_byte(void **state)
{
    struct dsmr_stream_conn conn = {.fd = -1};
    const uint8_t two[] = {0, 0, 0, 3, 7, 1, 2, 0, 0, 0, 1, 9};
    const uint8_t *payload = NULL;
    uint8_t type = 0;
    size_t payload_len = 0, frame_len = 0;
    (void)state;
    dsmr_stream_conn_open(&conn, 5, 0);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(dsmr_stream_conn_frame(&conn, &type, &payload, &payload_len, &frame_len),
                         DSMR_ERR_NOT_YET);
        feed(&conn, two + i, 1);
    }
    feed(&conn, two + 6, 6);
    assert_int_equal(dsmr_stream_conn_frame(&conn, &type, &payload, &payload_len, &frame_len),
                     DSMR_OK);
    assert_int_equal(type, 7);
    assert_int_equal(payload_len, 2);
    assert_memory_equal(payload, "\1\2", 2);
    dsmr_stream_conn_consume(&conn, frame_len);
    assert_int_equal(dsmr_stream_conn_frame(&conn, &type, &payload, &payload_len, &frame_len),
                     DSMR_OK);
    assert_int_equal(type, 9);
    assert_int_equal(payload_len, 0);
    dsmr_stream_conn_consume(&conn, frame_len);
    assert_int_equal(conn.in_len, 0);
    dsmr_stream_conn_close(&conn);
}

static void memory_is_at_most_twice_what_came(void **state)
{
    struct dsmr_stream_conn conn = {.fd = -1};
    uint8_t chunk[1000] = {0};
    uint8_t head[4];
    (void)state;
    dsmr_stream_conn_open(&conn, 5, 0);
    dsmr_store_be32(head, DSMR_SUBMIT_FRAME_BYTES_MAX);
    feed(&conn, head, 4);
    assert_true(conn.in_capacity <= 4096); /* the announced megabyte is not believed */
    size_t total = 4;
    while (total < 4 + DSMR_SUBMIT_FRAME_BYTES_MAX - sizeof(chunk)) {
        feed(&conn, chunk, sizeof(chunk));
        total += sizeof(chunk);
        assert_true(conn.in_capacity <= 4096 || conn.in_capacity <= 2 * total);
    }
    dsmr_stream_conn_close(&conn);
    assert_null(conn.in);
    assert_int_equal(conn.fd, -1);
}

/* Reads the next frame of out; returns its runs. */
static uint32_t take(struct dsmr_stream_conn *conn, uint8_t *type, uint64_t *height,
                     struct dsmr_submit_run *runs)
{
    size_t len = 0;
    uint32_t count = 0;
    const uint8_t *at = conn->out + conn->out_at;
    assert_int_equal(dsmr_submit_frame_peek(&len, at, dsmr_stream_conn_unsent(conn)), DSMR_OK);
    *type = at[4];
    assert_int_equal(dsmr_submit_frame_notice_decode(height, &count, at + 5, len - 5), DSMR_OK);
    for (uint32_t i = 0; i < count && i < 8; i++) {
        dsmr_submit_frame_run_decode(&runs[i], at + 13 + 16 * i);
    }
    dsmr_stream_conn_sent(conn, len);
    return count;
}

static void tell(struct dsmr_stream_conn *conn, enum dsmr_submit_frame_type type, uint64_t height,
                 uint64_t seq, uint32_t code)
{
    const struct dsmr_submit_run run = {seq, 1, code};
    assert_int_equal(dsmr_stream_conn_notice(conn, type, height, &run), DSMR_OK);
}

static void runs_join_where_they_can(void **state)
{
    struct dsmr_stream_conn conn = {.fd = -1};
    struct dsmr_submit_run runs[8];
    uint8_t type = 0;
    uint64_t height = 0;
    (void)state;
    dsmr_stream_conn_open(&conn, 5, 0);
    assert_int_equal(dsmr_stream_conn_finish(&conn), DSMR_OK);
    assert_int_equal(dsmr_stream_conn_unsent(&conn), 0);
    for (uint64_t seq = 10; seq < 20; seq++) {
        tell(&conn, DSMR_SUBMIT_FRAME_ACK, 0, seq, seq == 15 ? 74 : 0);
    }
    tell(&conn, DSMR_SUBMIT_FRAME_ACK, 0, 30, 0);      /* a gap */
    tell(&conn, DSMR_SUBMIT_FRAME_EXECUTED, 4, 10, 0); /* another type */
    tell(&conn, DSMR_SUBMIT_FRAME_EXECUTED, 4, 11, 0);
    tell(&conn, DSMR_SUBMIT_FRAME_EXECUTED, 5, 12, 0); /* another height */
    assert_int_equal(dsmr_stream_conn_finish(&conn), DSMR_OK);
    assert_int_equal(take(&conn, &type, &height, runs), 4);
    assert_int_equal(type, DSMR_SUBMIT_FRAME_ACK);
    assert_int_equal(runs[0].first_seq, 10);
    assert_int_equal(runs[0].count, 5);
    assert_int_equal(runs[1].code, 74);
    assert_int_equal(runs[1].count, 1);
    assert_int_equal(runs[2].first_seq, 16);
    assert_int_equal(runs[2].count, 4);
    assert_int_equal(runs[3].first_seq, 30);
    assert_int_equal(take(&conn, &type, &height, runs), 1);
    assert_int_equal(runs[0].count, 2);
    assert_int_equal(height, 4);
    assert_int_equal(take(&conn, &type, &height, runs), 1);
    assert_int_equal(height, 5);
    assert_int_equal(dsmr_stream_conn_unsent(&conn), 0);
    dsmr_stream_conn_close(&conn);
}

static void a_frame_of_runs_has_its_limit(void **state)
{
    struct dsmr_stream_conn conn = {.fd = -1};
    struct dsmr_submit_run runs[8];
    uint8_t type = 0;
    uint64_t height = 0;
    uint32_t total = 0, frames = 0;
    (void)state;
    dsmr_stream_conn_open(&conn, 5, 0);
    for (uint64_t seq = 0; seq < 200000; seq += 2) { /* none joins */
        tell(&conn, DSMR_SUBMIT_FRAME_CERTIFIED, 0, seq, 0);
    }
    assert_int_equal(dsmr_stream_conn_finish(&conn), DSMR_OK);
    while (dsmr_stream_conn_unsent(&conn) > 0) {
        total += take(&conn, &type, &height, runs);
        frames++;
    }
    assert_int_equal(total, 100000);
    assert_int_equal(frames, 2);
    dsmr_stream_conn_close(&conn);
}

static void partial_sends_keep_the_order(void **state)
{
    struct dsmr_stream_conn conn = {.fd = -1};
    uint8_t sent[300], expected[300];
    size_t at = 0;
    (void)state;
    dsmr_stream_conn_open(&conn, 5, 0);
    for (size_t i = 0; i < sizeof(expected); i++) {
        expected[i] = (uint8_t)i;
    }
    assert_int_equal(dsmr_stream_conn_write(&conn, expected, 200), DSMR_OK);
    size_t written = 200;
    while (at < sizeof(sent)) {
        size_t n = dsmr_stream_conn_unsent(&conn) < 7 ? dsmr_stream_conn_unsent(&conn) : 7;
        memcpy(sent + at, conn.out + conn.out_at, n);
        dsmr_stream_conn_sent(&conn, n);
        at += n;
        if (written < sizeof(expected)) {
            assert_int_equal(dsmr_stream_conn_write(&conn, expected + written, 10), DSMR_OK);
            written += 10;
        }
    }
    assert_memory_equal(sent, expected, sizeof(sent));
    assert_int_equal(conn.out_len, 0);
    dsmr_stream_conn_close(&conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_byte_by_byte),
        cmocka_unit_test(memory_is_at_most_twice_what_came),
        cmocka_unit_test(runs_join_where_they_can),
        cmocka_unit_test(a_frame_of_runs_has_its_limit),
        cmocka_unit_test(partial_sends_keep_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
