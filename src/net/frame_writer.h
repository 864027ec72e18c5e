/* frame_writer.h - from queued messages to runs of bytes for one TLS connection.
 *
 * Why:        a vote must not wait behind a chunk that is being sent (decision 012).
 * How:        small messages are gathered into one run of up to a TLS record; large ones go in
 *             pieces, handed on where they lie, and before each piece the writer asks for a message
 *             of a more urgent class.
 * Invariants: a run that was handed out stays the same until done() has consumed it: TLS demands
 *             the same bytes again after it could not write.
 *             Of each class at most one message is half sent, and none while a more urgent one
 *             waits longer than for the rest of a frame.
 * Threads:    the loop thread. */
#ifndef DSMR_NET_FRAME_WRITER_H
#define DSMR_NET_FRAME_WRITER_H

#include <stdbool.h>

#include "net/frame.h"
#include "net/outbox.h"

#define DSMR_FRAME_RUN_BYTES_MAX 16384u /* what one TLS record holds */

struct dsmr_frame_writer_lane {
    struct dsmr_outbox_message *message; /* half sent; NULL: none */
    size_t offset;                       /* what of it was handed out or staged */
};

struct dsmr_frame_writer { /* the caller's memory */
    struct dsmr_frame_writer_lane lanes[DSMR_MSG_CLASS_COUNT];
    struct dsmr_frame_writer_lane *at; /* of the frame at hand; NULL: none */
    size_t frame_left;                 /* bytes of that frame */
    size_t piece_bytes_max;            /* of a frame of a large message, with its header */
    const uint8_t *run;
    size_t run_len; /* 0: no run is out */
    uint8_t stage[DSMR_FRAME_RUN_BYTES_MAX];
};

/* The oldest message of the first class, which the writer then owns; of those before the class
 * end only. NULL: there is none. */
typedef struct dsmr_outbox_message *dsmr_frame_writer_take(void *ctx, unsigned end);

void dsmr_frame_writer_init(struct dsmr_frame_writer *writer);
/* Forgets what is half sent. */
void dsmr_frame_writer_close(struct dsmr_frame_writer *writer);

/* Large messages go in pieces of DSMR_FRAME_BYTES_MAX, which cost least; while is_slow in pieces of
 * one TLS record, behind which a vote waits least. */
void dsmr_frame_writer_set_slow(struct dsmr_frame_writer *writer, bool is_slow);
static inline bool dsmr_frame_writer_is_slow(const struct dsmr_frame_writer *writer)
{
    return writer->piece_bytes_max < DSMR_FRAME_BYTES_MAX;
}

/* The bytes to write next; len is 0 if there is nothing. */
void dsmr_frame_writer_next(struct dsmr_frame_writer *writer, const uint8_t **bytes, size_t *len,
                            dsmr_frame_writer_take *take, void *ctx);
/* len bytes of the run were written. */
void dsmr_frame_writer_done(struct dsmr_frame_writer *writer, size_t len);

/* Puts a frame of a few bytes in front of everything (hello, ping). false if a run or a message is
 * half sent. */
bool dsmr_frame_writer_add(struct dsmr_frame_writer *writer, const void *message, size_t len);

#endif
