/* frame_reader.h - from the bytes of one connection to messages.
 *
 * Why:        a large message is decrypted straight into the buffer that the node keeps; small ones
 *             come many at a time through one stage.
 * Invariants: the length is checked before anything is allocated. What a message has allocated is
 *             at most twice what the peer has sent on this connection, or
 *             DSMR_FRAME_READER_FREE_BYTES (adversary 70, decode-bomb).
 * Limits:     one message in the making per connection, message_bytes_max.
 * Threads:    the loop thread. */
#ifndef DSMR_NET_FRAME_READER_H
#define DSMR_NET_FRAME_READER_H

#include <stdbool.h>

#include "dsmr/types.h"

#define DSMR_FRAME_READER_STAGE_BYTES 16384u
#define DSMR_FRAME_READER_FREE_BYTES 65536u

struct dsmr_frame_reader { /* the caller's memory */
    uint32_t message_bytes_max;
    uint64_t received;    /* bytes so far */
    struct dsmr_buf *buf; /* the message in the making; its len is what is allocated */
    size_t filled;
    size_t wanted; /* its length; 0: the next bytes are a length */
    size_t stage_at, stage_len;
    uint8_t stage[DSMR_FRAME_READER_STAGE_BYTES];
};

void dsmr_frame_reader_init(struct dsmr_frame_reader *reader, uint32_t message_bytes_max);
void dsmr_frame_reader_close(struct dsmr_frame_reader *reader);

/* Where the next bytes of the connection go, and how many at most (never 0). Only after next()
 * has found no further message. */
void dsmr_frame_reader_space(struct dsmr_frame_reader *reader, uint8_t **bytes, size_t *len);
/* len bytes were put there. */
void dsmr_frame_reader_fill(struct dsmr_frame_reader *reader, size_t len);
/* *out: the next whole message, caller unrefs, or NULL: more bytes are needed. Frames of length 0
 * are pings and are skipped. TOO_LARGE, NO_MEMORY: the connection is of no further use. */
DSMR_MUST_USE enum dsmr_err dsmr_frame_reader_next(struct dsmr_frame_reader *reader,
                                                   struct dsmr_buf **out);
/* True if a frame has begun and is not complete. */
bool dsmr_frame_reader_is_partial(const struct dsmr_frame_reader *reader);

#endif
