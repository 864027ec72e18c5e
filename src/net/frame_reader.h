/* frame_reader.h - from the bytes of one connection to messages.
 *
 * Why:        a large message is decrypted straight into the buffer that the node keeps; small ones
 *             come many at a time through one stage. The pieces of a large one may have others
 *             between them.
 * Invariants: the length is checked before anything is allocated. What all messages in the making
 *             have allocated is at most twice what the peer has sent on this connection, and
 *             DSMR_FRAME_READER_FREE_BYTES for each of them (adversary 70, decode-bomb).
 * Limits:     one message of each class in the making, message_bytes_max each, and one frame.
 * Threads:    the loop thread. */
#ifndef DSMR_NET_FRAME_READER_H
#define DSMR_NET_FRAME_READER_H

#include <stdbool.h>

#include "net/frame.h"

#define DSMR_FRAME_READER_STAGE_BYTES 16384u
#define DSMR_FRAME_READER_FREE_BYTES 65536u

/* One for each class, and one for messages that are a frame of their own. */
#define DSMR_FRAME_READER_LANES (DSMR_MSG_CLASS_COUNT + 1u)

struct dsmr_frame_reader_lane {
    struct dsmr_buf *buf; /* the message in the making; its len is what is allocated */
    size_t filled;
    size_t wanted;   /* its length; 0: none is in the making */
    uint64_t number; /* counted as they begin, from 1 */
};

struct dsmr_frame_reader { /* the caller's memory */
    uint32_t message_bytes_max;
    uint64_t received; /* bytes so far */
    uint64_t begun;    /* messages so far */
    struct dsmr_frame_reader_lane lanes[DSMR_FRAME_READER_LANES];
    struct dsmr_frame_reader_lane *at; /* of the frame at hand; NULL: the next bytes are a header */
    size_t frame_left;                 /* bytes of that frame */
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
/* *out: the next whole message, caller unrefs, or NULL: more bytes are needed. Pings are skipped.
 * TOO_LARGE, MALFORMED (pieces that do not fit together), NO_MEMORY: the connection is of no
 * further use. */
DSMR_MUST_USE enum dsmr_err dsmr_frame_reader_next(struct dsmr_frame_reader *reader,
                                                   struct dsmr_buf **out);
/* The number of the oldest message that has begun and is not complete; 0: there is none. */
uint64_t dsmr_frame_reader_oldest(const struct dsmr_frame_reader *reader);

#endif
