/* sim_pipe.h - an uplink that many connections share.
 *
 * Why:     what a wide network can carry is decided here: which bytes leave first, and how long a
 *          vote stands behind a chunk.
 * How:     connections with something to send get equal shares of the rate (Demers, Keshav and
 *          Shenker, "Analysis and Simulation of a Fair Queueing Algorithm", 1989, with bytes
 *          instead of packets). Within a connection frames leave by class, as docs/transport.md,
 *          sections 5 and 6 have it: a large one goes in pieces, a piece that has begun is not
 *          interrupted, and the next begins as soon as what is begun and unsent takes less than 5
 * ms at the rate that the connection has. A frame here is a message. Limits:  those of
 * docs/transport.md for each peer and class. Threads: one owner; no clock, no randomness. */
#ifndef DSMR_SIM_SIM_PIPE_H
#define DSMR_SIM_SIM_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

struct dsmr_sim_pipe; /* opaque */

struct dsmr_sim_pipe_frame { /* what has left */
    void *item;
    uint32_t flow, bytes;
    enum dsmr_msg_class cls;
    uint64_t queued_us, begun_us; /* begun: the first byte */
};

/* rate in bytes a second, not 0. */
struct dsmr_sim_pipe *dsmr_sim_pipe_new(uint32_t flows, uint64_t rate);
void dsmr_sim_pipe_free(struct dsmr_sim_pipe *pipe); /* must be empty */
/* Times never go back. False: that queue of the flow is full; item stays the caller's. payload:
 * what counts for the limit; bytes: what the wire carries. */
bool dsmr_sim_pipe_push(struct dsmr_sim_pipe *pipe, const struct dsmr_sim_pipe_frame *frame,
                        uint32_t payload, uint64_t now_us);
/* When the next piece has left if nothing is pushed; UINT64_MAX: it is empty. */
uint64_t dsmr_sim_pipe_due_us(const struct dsmr_sim_pipe *pipe);
/* The next frame that has left by now_us; false: none. */
bool dsmr_sim_pipe_pop(struct dsmr_sim_pipe *pipe, struct dsmr_sim_pipe_frame *out,
                       uint64_t now_us);
/* Takes any frame out, whether it has left or not; false: it is empty. */
bool dsmr_sim_pipe_drop(struct dsmr_sim_pipe *pipe, struct dsmr_sim_pipe_frame *out);
void dsmr_sim_pipe_set_rate(struct dsmr_sim_pipe *pipe, uint64_t rate, uint64_t now_us);
/* Time in which something was being sent, up to the last call. */
uint64_t dsmr_sim_pipe_busy_us(const struct dsmr_sim_pipe *pipe);

#endif
