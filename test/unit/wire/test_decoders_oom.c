/* test_decoders_oom.c - decoders of fixed parts, messages and frames of the submit stream allocate
 * nothing, whatever they are given. Chunks and blocks: test_wire_memory.c.
 *
 * Linked with malloc, calloc and realloc wrapped (cmake/tests.cmake). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/counted_malloc.h"
#include "unit/wire/wire_samples.h"
#include "wire/submit_frame.h"

static void allocations_are_counted(void **state)
{
    (void)state;
    allocated = 0;
    struct dsmr_buf *buf = dsmr_buf_new(100);
    assert_int_equal(allocated, sizeof(*buf) + 100);
    dsmr_buf_unref(buf);
}

/* Each type of message: whole, cut at every byte, with every byte set to 0xff. */
static void messages(void **state)
{
    (void)state;
    unsigned decoded = 0;
    for (size_t i = 0; i < SAMPLES_TYPES; i++) {
        struct dsmr_msg msg;
        uint8_t bytes[1024];
        samples_message(&msg, samples_types[i], samples_body, sizeof(samples_body));
        struct dsmr_buf *buf = dsmr_msg_encode(&msg, true);
        size_t len = buf->len;
        assert_in_range(len, 1, sizeof(bytes));
        memcpy(bytes, buf->bytes, len);
        dsmr_buf_unref(buf);
        allocated = 0;
        assert_int_equal(dsmr_msg_decode(&msg, bytes, len), DSMR_OK);
        for (size_t at = 0; at < len; at++) {
            decoded += dsmr_msg_decode(&msg, bytes, at) == DSMR_OK;
            uint8_t kept = bytes[at];
            bytes[at] = 0xff;
            decoded += dsmr_msg_decode(&msg, bytes, len) == DSMR_OK;
            bytes[at] = kept;
        }
        assert_int_equal(allocated, 0);
    }
    assert_true(decoded > 0);
}

static void fixed_parts(void **state)
{
    (void)state;
    static uint8_t bytes[DSMR_CERT_BYTES_MAX];
    struct dsmr_params params;
    struct dsmr_cert cert;
    struct dsmr_quorum_cert qc;
    struct dsmr_evidence evidence;
    struct dsmr_chunk_header header;
    struct dsmr_tx_head head;
    struct dsmr_wr wr;
    struct dsmr_rd rd;
    struct dsmr_chunk *chunk = samples_chunk();
    samples_params(&params);
    samples_cert(&cert, 1, DSMR_VALIDATORS_MAX - 1);
    samples_quorum_cert(&qc, DSMR_VOTE_NOTARIZE);
    samples_evidence(&evidence);
    allocated = 0;
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_cert_encode(&wr, &cert);
    dsmr_rd_init(&rd, bytes, wr.at);
    dsmr_cert_decode(&rd, &cert, DSMR_VALIDATORS_MAX);
    assert_int_equal(dsmr_rd_end(&rd), DSMR_OK);
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_quorum_cert_encode(&wr, &qc);
    dsmr_rd_init(&rd, bytes, wr.at);
    dsmr_quorum_cert_decode(&rd, &qc, DSMR_VALIDATORS_MAX);
    assert_int_equal(dsmr_rd_end(&rd), DSMR_OK);
    uint8_t pair[DSMR_EVIDENCE_BYTES];
    dsmr_evidence_encode(pair, &evidence);
    assert_int_equal(dsmr_evidence_decode(&evidence, pair, sizeof(pair)), DSMR_OK);
    assert_int_equal(
        dsmr_chunk_header_decode(&header, &params, chunk->bytes, chunk->ref.chunk_bytes), DSMR_OK);
    struct dsmr_tx_view first = dsmr_chunk_tx(chunk, 0);
    assert_int_equal(dsmr_tx_head_decode(&head, first.bytes, first.len), DSMR_OK);
    assert_int_equal(allocated, 0);
    dsmr_chunk_unref(chunk);
}

/* The most transactions that a frame may announce, and the most that fit. */
static void submit_frames(void **state)
{
    (void)state;
    enum { TXS = DSMR_SUBMIT_FRAME_TXS_MAX, PER_TX = 4 + DSMR_TX_BYTES_MIN };
    uint8_t *submit = calloc(DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + TXS * PER_TX, 1);
    uint8_t hello[DSMR_SUBMIT_FRAME_HELLO_BYTES], welcome[DSMR_SUBMIT_FRAME_WELCOME_BYTES];
    uint8_t error[DSMR_SUBMIT_FRAME_ERROR_BYTES];
    uint8_t notice[DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES + DSMR_SUBMIT_FRAME_RUN_BYTES] = {0};
    struct dsmr_submit_frame_hello hello_fields = {.wants = 3};
    struct dsmr_submit_frame_welcome welcome_fields = {1, 2, 3};
    struct dsmr_submit_run run = {1, 2, 3};
    enum dsmr_err err;
    uint64_t number;
    uint32_t count;
    size_t len;
    assert_non_null(submit);
    allocated = 0;
    dsmr_submit_frame_submit_head(submit, 1, TXS, TXS * PER_TX);
    for (uint32_t i = 0; i < TXS; i++) {
        dsmr_store_be32(submit + DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES + i * PER_TX,
                        DSMR_TX_BYTES_MIN);
    }
    len = DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES - 5 + (size_t)TXS * PER_TX;
    assert_int_equal(dsmr_submit_frame_submit_decode(&number, &count, submit + 5, len), DSMR_OK);
    assert_int_equal(count, TXS);
    dsmr_store_be32(submit + 5 + 8, TXS + 1);
    assert_int_equal(dsmr_submit_frame_submit_decode(&number, &count, submit + 5, len),
                     DSMR_ERR_TOO_LARGE);
    dsmr_store_be32(submit + 5 + 8, TXS);
    assert_int_equal(dsmr_submit_frame_submit_decode(&number, &count, submit + 5, len - 1),
                     DSMR_ERR_MALFORMED);
    dsmr_store_be32(submit, UINT32_MAX);
    assert_int_equal(dsmr_submit_frame_peek(&len, submit, 4), DSMR_ERR_TOO_LARGE);
    dsmr_submit_frame_hello_encode(hello, &hello_fields);
    assert_int_equal(dsmr_submit_frame_peek(&len, hello, sizeof(hello)), DSMR_OK);
    assert_int_equal(dsmr_submit_frame_hello_decode(&hello_fields, hello + 5, sizeof(hello) - 5),
                     DSMR_OK);
    dsmr_submit_frame_welcome_encode(welcome, &welcome_fields);
    assert_int_equal(
        dsmr_submit_frame_welcome_decode(&welcome_fields, welcome + 5, sizeof(welcome) - 5),
        DSMR_OK);
    dsmr_submit_frame_error_encode(error, DSMR_ERR_BUSY);
    assert_int_equal(dsmr_submit_frame_error_decode(&err, error + 5, sizeof(error) - 5), DSMR_OK);
    dsmr_submit_frame_notice_head(notice, DSMR_SUBMIT_FRAME_ACK, 9, 1);
    assert_int_equal(
        dsmr_submit_frame_notice_decode(&number, &count, notice + 5, sizeof(notice) - 5), DSMR_OK);
    dsmr_submit_frame_run_decode(&run, notice + DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES);
    assert_int_equal(allocated, 0);
    free(submit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_counted),
        cmocka_unit_test(messages),
        cmocka_unit_test(fixed_parts),
        cmocka_unit_test(submit_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
