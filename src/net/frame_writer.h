/* frame_writer.h - from queued messages to runs of bytes for one TLS connection.
 *
 * A frame is the message's length (u32, big-endian) and the message. Small messages are gathered
 * into one run of up to a TLS record, large bodies are handed on where they lie.
 * Invariants: a run that was handed out stays the same until done() has consumed it: TLS demands
 *             the same bytes again after it could not write.
 *             Only one message at a time leaves its queue unfinished, so a vote waits at most
 *             behind the rest of one frame.
 * Threads:    the loop thread. */
#ifndef DSMR_NET_FRAME_WRITER_H
#define DSMR_NET_FRAME_WRITER_H

#include <stdbool.h>

#include "net/outbox.h"

#define DSMR_FRAME_HEADER_BYTES 4u
#define DSMR_FRAME_RUN_BYTES_MAX 16384u /* what one TLS record holds */

struct dsmr_frame_writer { /* the caller's memory */
    struct dsmr_outbox_message *current;
    size_t offset; /* in the frame of current: what was handed out or staged */
    const uint8_t *run;
    size_t run_len; /* 0: no run is out */
    uint8_t stage[DSMR_FRAME_RUN_BYTES_MAX];
};

void dsmr_frame_writer_init(struct dsmr_frame_writer *writer);
/* Forgets what is half sent. */
void dsmr_frame_writer_close(struct dsmr_frame_writer *writer);

/* The bytes to write next; len is 0 if there is nothing. take(ctx): the next message, which the
 * writer then owns, or NULL. */
void dsmr_frame_writer_next(struct dsmr_frame_writer *writer, const uint8_t **bytes, size_t *len,
                            struct dsmr_outbox_message *(*take)(void *ctx), void *ctx);
/* len bytes of the run were written. */
void dsmr_frame_writer_done(struct dsmr_frame_writer *writer, size_t len);

/* Puts a frame of a few bytes in front of everything (hello, ping). false if a run or a message is
 * half sent. */
bool dsmr_frame_writer_add(struct dsmr_frame_writer *writer, const void *message, size_t len);

#endif
