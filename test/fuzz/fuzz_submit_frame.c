/* Bytes as a client or a node of the submit stream may send them, in cuts that the input chooses:
 * what decodes is written back the same, and a frame costs at most twice its bytes. */
#include <stdlib.h>
#include <string.h>

#include "api/stream_conn.h"
#include "base/bytes.h"
#include "wire/submit_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void on_hello(const uint8_t *payload, size_t len)
{
    struct dsmr_submit_frame_hello hello;
    uint8_t again[DSMR_SUBMIT_FRAME_HELLO_BYTES];
    if (dsmr_submit_frame_hello_decode(&hello, payload, len) == DSMR_OK) {
        dsmr_submit_frame_hello_encode(again, &hello);
        must(len == sizeof(again) - 5 && memcmp(again + 5, payload, len) == 0);
    }
}

static void on_welcome(const uint8_t *payload, size_t len)
{
    struct dsmr_submit_frame_welcome welcome;
    uint8_t again[DSMR_SUBMIT_FRAME_WELCOME_BYTES];
    if (dsmr_submit_frame_welcome_decode(&welcome, payload, len) == DSMR_OK) {
        dsmr_submit_frame_welcome_encode(again, &welcome);
        must(len == sizeof(again) - 5 && memcmp(again + 5, payload, len) == 0);
    }
}

/* The sum of all transactions is exactly the payload. */
static void on_submit(const uint8_t *payload, size_t len)
{
    uint64_t first_seq = 0;
    uint32_t count = 0;
    if (dsmr_submit_frame_submit_decode(&first_seq, &count, payload, len) == DSMR_OK) {
        size_t at = DSMR_SUBMIT_FRAME_TXS_AT;
        must(count >= 1 && count <= DSMR_SUBMIT_FRAME_TXS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            must(at + 4 <= len);
            at += 4 + (size_t)dsmr_load_be32(payload + at);
        }
        must(at == len);
    }
}

static void on_notice(const uint8_t *payload, size_t len)
{
    uint64_t height = 0;
    uint32_t count = 0;
    if (dsmr_submit_frame_notice_decode(&height, &count, payload, len) != DSMR_OK) {
        return;
    }
    must(len == 8 + (size_t)count * DSMR_SUBMIT_FRAME_RUN_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_submit_run run;
        uint8_t again[DSMR_SUBMIT_FRAME_RUN_BYTES];
        const uint8_t *at = payload + 8 + (size_t)i * DSMR_SUBMIT_FRAME_RUN_BYTES;
        dsmr_submit_frame_run_decode(&run, at);
        dsmr_submit_frame_run_encode(again, &run);
        must(memcmp(again, at, sizeof(again)) == 0);
    }
}

/* False when the stream cannot go on. */
static bool take_frames(struct dsmr_stream_conn *conn)
{
    uint8_t type = 0;
    const uint8_t *payload = NULL;
    size_t payload_len = 0;
    size_t frame_len = 0;
    enum dsmr_err err = DSMR_OK;
    for (;;) {
        err = dsmr_stream_conn_frame(conn, &type, &payload, &payload_len, &frame_len);
        if (err != DSMR_OK) {
            return err == DSMR_ERR_NOT_YET;
        }
        on_hello(payload, payload_len);
        on_welcome(payload, payload_len);
        on_submit(payload, payload_len);
        on_notice(payload, payload_len);
        dsmr_stream_conn_consume(conn, frame_len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_stream_conn conn;
    size_t total = 0;
    bool goes_on = true;
    memset(&conn, 0, sizeof(conn));
    dsmr_stream_conn_open(&conn, -1, 0);
    while (len > 0 && goes_on) {
        size_t cut = 1 + (size_t)bytes[0] % 97; /* also part of the stream */
        size_t room = 0;
        if (dsmr_stream_conn_in_room(&conn, &room) != DSMR_OK) {
            break;
        }
        cut = cut < len ? cut : len;
        cut = cut < room ? cut : room;
        memcpy(conn.in + conn.in_len, bytes, cut);
        conn.in_len += cut;
        total += cut;
        bytes += cut;
        len -= cut;
        must(conn.in_capacity <= 4096 || conn.in_capacity <= 2 * total);
        goes_on = take_frames(&conn);
    }
    dsmr_stream_conn_close(&conn);
    return 0;
}
