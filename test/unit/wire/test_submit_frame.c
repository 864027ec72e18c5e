/* Frames of the submit stream: round trips, each limit, every truncation, flipped bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "wire/submit_frame.h"

static void frames_are_peeked_at_their_limits(void **state)
{
    uint8_t bytes[8] = {0, 0, 0, 2, 9, 9, 7, 7};
    size_t len = 1;
    (void)state;
    for (size_t have = 0; have < 4; have++) {
        assert_int_equal(dsmr_submit_frame_peek(&len, bytes, have), DSMR_ERR_NOT_YET);
        assert_int_equal(len, 0);
    }
    assert_int_equal(dsmr_submit_frame_peek(&len, bytes, 5), DSMR_ERR_NOT_YET);
    assert_int_equal(len, 6);
    assert_int_equal(dsmr_submit_frame_peek(&len, bytes, 6), DSMR_OK);
    assert_int_equal(dsmr_submit_frame_peek(&len, bytes, 8), DSMR_OK);
    assert_int_equal(len, 6);
    dsmr_store_be32(bytes, 0);
    assert_int_equal(dsmr_submit_frame_peek(&len, bytes, 8), DSMR_ERR_MALFORMED);
    dsmr_store_be32(bytes, DSMR_SUBMIT_FRAME_BYTES_MAX);
    assert_int_equal(dsmr_submit_frame_peek(&len, bytes, 8), DSMR_ERR_NOT_YET);
    dsmr_store_be32(bytes, DSMR_SUBMIT_FRAME_BYTES_MAX + 1);
    assert_int_equal(dsmr_submit_frame_peek(&len, bytes, 8), DSMR_ERR_TOO_LARGE);
    dsmr_store_be32(bytes, UINT32_MAX);
    assert_int_equal(dsmr_submit_frame_peek(&len, bytes, 8), DSMR_ERR_TOO_LARGE);
}

static void hello_has_one_form(void **state)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_HELLO_BYTES + 1] = {0};
    struct dsmr_submit_frame_hello hello = {.domain = {.network_id = 0x01020304}, .wants = 3};
    struct dsmr_submit_frame_hello out;
    const uint8_t *payload = frame + 5;
    const size_t len = DSMR_SUBMIT_FRAME_HELLO_BYTES - 5;
    size_t frame_len = 0;
    (void)state;
    memset(hello.domain.chain_id.bytes, 0xcd, 32);
    dsmr_submit_frame_hello_encode(frame, &hello);
    assert_int_equal(dsmr_submit_frame_peek(&frame_len, frame, DSMR_SUBMIT_FRAME_HELLO_BYTES),
                     DSMR_OK);
    assert_int_equal(frame_len, DSMR_SUBMIT_FRAME_HELLO_BYTES);
    assert_int_equal(frame[4], DSMR_SUBMIT_FRAME_HELLO);
    assert_memory_equal(payload, "DSMR\0\1\1\2\3\4", 10);
    assert_int_equal(dsmr_submit_frame_hello_decode(&out, payload, len), DSMR_OK);
    assert_memory_equal(&out.domain, &hello.domain, sizeof(out.domain));
    assert_int_equal(out.wants, 3);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_not_equal(dsmr_submit_frame_hello_decode(&out, payload, cut), DSMR_OK);
    }
    assert_int_equal(dsmr_submit_frame_hello_decode(&out, payload, len + 1),
                     DSMR_ERR_TRAILING_BYTES);
    frame[5] ^= 1;
    assert_int_equal(dsmr_submit_frame_hello_decode(&out, payload, len), DSMR_ERR_MALFORMED);
    frame[5] ^= 1;
    frame[10] ^= 3;
    assert_int_equal(dsmr_submit_frame_hello_decode(&out, payload, len), DSMR_ERR_VERSION);
    frame[10] ^= 3;
    frame[5 + len - 1] = 4;
    assert_int_equal(dsmr_submit_frame_hello_decode(&out, payload, len), DSMR_ERR_NON_CANONICAL);
}

static void welcome_and_error_round_trip(void **state)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_WELCOME_BYTES + 1];
    const struct dsmr_submit_frame_welcome welcome = {1, 2, 3};
    struct dsmr_submit_frame_welcome out;
    enum dsmr_err err = DSMR_OK;
    (void)state;
    dsmr_submit_frame_welcome_encode(frame, &welcome);
    const size_t len = DSMR_SUBMIT_FRAME_WELCOME_BYTES - 5;
    assert_int_equal(dsmr_submit_frame_welcome_decode(&out, frame + 5, len), DSMR_OK);
    assert_memory_equal(&out, &welcome, sizeof(out));
    assert_int_not_equal(dsmr_submit_frame_welcome_decode(&out, frame + 5, len - 1), DSMR_OK);
    assert_int_not_equal(dsmr_submit_frame_welcome_decode(&out, frame + 5, len + 1), DSMR_OK);
    frame[6] = 9;
    assert_int_equal(dsmr_submit_frame_welcome_decode(&out, frame + 5, len), DSMR_ERR_VERSION);
    dsmr_submit_frame_error_encode(frame, DSMR_ERR_WRONG_CHAIN);
    assert_int_equal(dsmr_submit_frame_error_decode(&err, frame + 5, 2), DSMR_OK);
    assert_int_equal(err, DSMR_ERR_WRONG_CHAIN);
    assert_int_not_equal(dsmr_submit_frame_error_decode(&err, frame + 5, 1), DSMR_OK);
    assert_int_not_equal(dsmr_submit_frame_error_decode(&err, frame + 5, 3), DSMR_OK);
}

/* A payload of SUBMIT with count transactions of len bytes; the caller frees. */
static uint8_t *submit(uint64_t first_seq, uint32_t count, uint32_t len, size_t *payload_len)
{
    *payload_len = 12 + (size_t)count * (4 + len);
    uint8_t *payload = calloc(1, *payload_len + 1);
    dsmr_store_be64(payload, first_seq);
    dsmr_store_be32(payload + 8, count);
    for (uint32_t i = 0; i < count; i++) {
        dsmr_store_be32(payload + 12 + (size_t)i * (4 + len), len);
    }
    return payload;
}

static enum dsmr_err decode(uint64_t first_seq, uint32_t count, uint32_t len)
{
    size_t payload_len = 0;
    uint64_t seq = 77;
    uint32_t n = 77;
    uint8_t *payload = submit(first_seq, count, len, &payload_len);
    enum dsmr_err err = dsmr_submit_frame_submit_decode(&seq, &n, payload, payload_len);
    assert_int_equal(seq, err == DSMR_OK ? first_seq : 77);
    assert_int_equal(n, err == DSMR_OK ? count : 77);
    free(payload);
    return err;
}

static void submits_are_checked_at_their_limits(void **state)
{
    (void)state;
    assert_int_equal(decode(1, 1, DSMR_TX_BYTES_MIN), DSMR_OK);
    assert_int_equal(decode(1, 1, DSMR_TX_BYTES_MIN - 1), DSMR_ERR_MALFORMED);
    assert_int_equal(decode(1, 1, DSMR_TX_BYTES_MAX), DSMR_OK);
    assert_int_equal(decode(1, 1, DSMR_TX_BYTES_MAX + 1), DSMR_ERR_TOO_LARGE);
    assert_int_equal(decode(1, 0, DSMR_TX_BYTES_MIN), DSMR_ERR_MALFORMED);
    assert_int_equal(decode(1, DSMR_SUBMIT_FRAME_TXS_MAX, DSMR_TX_BYTES_MIN), DSMR_OK);
    assert_int_equal(decode(1, DSMR_SUBMIT_FRAME_TXS_MAX + 1, DSMR_TX_BYTES_MIN),
                     DSMR_ERR_TOO_LARGE);
    assert_int_equal(decode(UINT64_MAX - 2, 2, DSMR_TX_BYTES_MIN), DSMR_OK);
    assert_int_equal(decode(UINT64_MAX - 1, 2, DSMR_TX_BYTES_MIN), DSMR_ERR_MALFORMED);
    assert_int_equal(decode(UINT64_MAX, 1, DSMR_TX_BYTES_MIN), DSMR_ERR_MALFORMED);
}

static void every_cut_and_every_wrong_count_is_refused(void **state)
{
    size_t len = 0;
    uint64_t seq = 0;
    uint32_t count = 0;
    uint8_t *payload = submit(5, 3, 17, &len);
    (void)state;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut + 1); /* so that a read beyond it is seen */
        memcpy(exact, payload, cut);
        assert_int_not_equal(dsmr_submit_frame_submit_decode(&seq, &count, exact, cut), DSMR_OK);
        free(exact);
    }
    assert_int_equal(dsmr_submit_frame_submit_decode(&seq, &count, payload, len + 1),
                     DSMR_ERR_TRAILING_BYTES);
    dsmr_store_be32(payload + 8, 2);
    assert_int_equal(dsmr_submit_frame_submit_decode(&seq, &count, payload, len),
                     DSMR_ERR_TRAILING_BYTES);
    dsmr_store_be32(payload + 8, 4);
    assert_int_equal(dsmr_submit_frame_submit_decode(&seq, &count, payload, len),
                     DSMR_ERR_MALFORMED);
    dsmr_store_be32(payload + 8, 3);
    dsmr_store_be32(payload + 12, UINT32_MAX);
    assert_int_equal(dsmr_submit_frame_submit_decode(&seq, &count, payload, len),
                     DSMR_ERR_TOO_LARGE);
    free(payload);
}

static void notices_are_whole_runs(void **state)
{
    uint8_t frame[DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES + 2 * DSMR_SUBMIT_FRAME_RUN_BYTES];
    const struct dsmr_submit_run runs[2] = {{1, 2, 3}, {UINT64_MAX, UINT32_MAX, 5}};
    struct dsmr_submit_run out;
    uint64_t height = 0;
    uint32_t count = 0;
    size_t len = 0;
    (void)state;
    dsmr_submit_frame_notice_head(frame, DSMR_SUBMIT_FRAME_EXECUTED, 99, 2);
    for (uint32_t i = 0; i < 2; i++) {
        dsmr_submit_frame_run_encode(frame + DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES +
                                         i * DSMR_SUBMIT_FRAME_RUN_BYTES,
                                     &runs[i]);
    }
    assert_int_equal(dsmr_submit_frame_peek(&len, frame, sizeof(frame)), DSMR_OK);
    assert_int_equal(len, sizeof(frame));
    assert_int_equal(dsmr_submit_frame_notice_decode(&height, &count, frame + 5, len - 5), DSMR_OK);
    assert_int_equal(height, 99);
    assert_int_equal(count, 2);
    dsmr_submit_frame_run_decode(&out, frame + 5 + 8 + DSMR_SUBMIT_FRAME_RUN_BYTES);
    assert_memory_equal(&out, &runs[1], sizeof(out));
    assert_int_equal(dsmr_submit_frame_notice_decode(&height, &count, frame + 5, 8), DSMR_OK);
    assert_int_equal(count, 0);
    for (size_t cut = 0; cut < len - 5; cut++) {
        if (cut != 8 && cut != 24) {
            assert_int_equal(dsmr_submit_frame_notice_decode(&height, &count, frame + 5, cut),
                             DSMR_ERR_MALFORMED);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_peeked_at_their_limits),
        cmocka_unit_test(hello_has_one_form),
        cmocka_unit_test(welcome_and_error_round_trip),
        cmocka_unit_test(submits_are_checked_at_their_limits),
        cmocka_unit_test(every_cut_and_every_wrong_count_is_refused),
        cmocka_unit_test(notices_are_whole_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
