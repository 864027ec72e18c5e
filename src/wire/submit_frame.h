/* submit_frame.h - frames of the submit stream (docs/submit-stream.md), for node and client.
 *
 * A frame is u32 length, u8 type, payload; the length counts type and payload. Integers are
 * big-endian. All four notices have one shape: u64 height, then runs until the end.
 * Limits:  DSMR_SUBMIT_FRAME_BYTES_MAX for the length, DSMR_SUBMIT_FRAME_TXS_MAX transactions.
 * Threads: pure; any thread. Nothing here allocates. */
#ifndef DSMR_WIRE_SUBMIT_FRAME_H
#define DSMR_WIRE_SUBMIT_FRAME_H

#include "dsmr/types.h"
#include "wire/cursor.h"

#define DSMR_SUBMIT_FRAME_VERSION 1u
#define DSMR_SUBMIT_FRAME_BYTES_MAX (1u << 20)
#define DSMR_SUBMIT_FRAME_TXS_MAX 16384u
#define DSMR_SUBMIT_FRAME_HEAD_BYTES 4u

enum dsmr_submit_frame_type {
    DSMR_SUBMIT_FRAME_HELLO = 1,   /* client: first frame */
    DSMR_SUBMIT_FRAME_SUBMIT = 2,  /* client */
    DSMR_SUBMIT_FRAME_WELCOME = 3, /* node: answers HELLO */
    DSMR_SUBMIT_FRAME_ACK = 4,     /* node: code is an enum dsmr_err, 0 admitted */
    DSMR_SUBMIT_FRAME_CERTIFIED = 5,
    DSMR_SUBMIT_FRAME_EXECUTED = 6, /* code is the application's, 0 success */
    DSMR_SUBMIT_FRAME_EXPIRED = 7,  /* admitted, never to be executed */
    DSMR_SUBMIT_FRAME_ERROR = 8     /* node: u16 enum dsmr_err; it closes after this */
};

#define DSMR_SUBMIT_FRAME_WANT_CERTIFIED 1u
#define DSMR_SUBMIT_FRAME_WANT_EXECUTED 2u /* and EXPIRED */

struct dsmr_submit_frame_hello {
    struct dsmr_domain domain;
    uint8_t wants;
};
struct dsmr_submit_frame_welcome {
    uint32_t frame_bytes_max;
    uint32_t frame_txs_max;
    uint32_t in_flight_max; /* transactions; beyond it the node stops reading */
};
/* count transactions from first_seq on share one code. */
struct dsmr_submit_run {
    uint64_t first_seq;
    uint32_t count;
    uint32_t code;
};
#define DSMR_SUBMIT_FRAME_RUN_BYTES 16u
#define DSMR_SUBMIT_FRAME_HELLO_BYTES (4u + 1u + 4u + 2u + 4u + 32u + 1u) /* with length */
#define DSMR_SUBMIT_FRAME_WELCOME_BYTES (4u + 1u + 2u + 12u)
#define DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES (4u + 1u + 8u)
#define DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES (4u + 1u + 8u + 4u)
#define DSMR_SUBMIT_FRAME_ERROR_BYTES (4u + 1u + 2u)

/* A frame at the start of bytes. *frame_len: of the whole frame with its length field, once that
 * field is there, else 0. OK; NOT_YET if more bytes are needed; MALFORMED for length 0, TOO_LARGE.
 */
DSMR_MUST_USE enum dsmr_err dsmr_submit_frame_peek(size_t *frame_len, const uint8_t *bytes,
                                                   size_t len);

/* Whole frames, length field included. */
void dsmr_submit_frame_hello_encode(uint8_t out[DSMR_SUBMIT_FRAME_HELLO_BYTES],
                                    const struct dsmr_submit_frame_hello *hello);
void dsmr_submit_frame_welcome_encode(uint8_t out[DSMR_SUBMIT_FRAME_WELCOME_BYTES],
                                      const struct dsmr_submit_frame_welcome *welcome);
void dsmr_submit_frame_error_encode(uint8_t out[DSMR_SUBMIT_FRAME_ERROR_BYTES], enum dsmr_err err);
/* The heads; payload_bytes of transactions or runs_count runs follow. */
void dsmr_submit_frame_submit_head(uint8_t out[DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES],
                                   uint64_t first_seq, uint32_t count, uint32_t payload_bytes);
void dsmr_submit_frame_notice_head(uint8_t out[DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES],
                                   enum dsmr_submit_frame_type type, uint64_t height,
                                   uint32_t runs_count);
void dsmr_submit_frame_run_encode(uint8_t out[DSMR_SUBMIT_FRAME_RUN_BYTES],
                                  const struct dsmr_submit_run *run);

/* Decoders take the payload: what follows the type byte. Outputs are untouched on error. */
DSMR_MUST_USE enum dsmr_err dsmr_submit_frame_hello_decode(struct dsmr_submit_frame_hello *out,
                                                           const uint8_t *payload, size_t len);
DSMR_MUST_USE enum dsmr_err dsmr_submit_frame_welcome_decode(struct dsmr_submit_frame_welcome *out,
                                                             const uint8_t *payload, size_t len);
DSMR_MUST_USE enum dsmr_err dsmr_submit_frame_error_decode(enum dsmr_err *out,
                                                           const uint8_t *payload, size_t len);
/* Checks a SUBMIT to its end: count in 1..DSMR_SUBMIT_FRAME_TXS_MAX, first_seq + count without
 * overflow, every transaction DSMR_TX_BYTES_MIN..DSMR_TX_BYTES_MAX long, nothing behind the last.
 * Then its transactions begin at payload + DSMR_SUBMIT_FRAME_TXS_AT, each u32 length and bytes. */
#define DSMR_SUBMIT_FRAME_TXS_AT 12u
DSMR_MUST_USE enum dsmr_err dsmr_submit_frame_submit_decode(uint64_t *first_seq, uint32_t *count,
                                                            const uint8_t *payload, size_t len);
/* *height and the number of runs, which begin at payload + 8. */
DSMR_MUST_USE enum dsmr_err dsmr_submit_frame_notice_decode(uint64_t *height, uint32_t *runs_count,
                                                            const uint8_t *payload, size_t len);
void dsmr_submit_frame_run_decode(struct dsmr_submit_run *out, const uint8_t *bytes);

#endif
