/* byz_amplifier.c - asks everybody for the same chunks and blocks all the time, and for some that
 * do not exist. */
#include <stdlib.h>

#include "base/assert.h"
#include "sim/byz.h"

#define KEPT 32u
#define CHUNKS_A_TICK 4u
#define UNKNOWN_A_TICK 8u

struct amplifier {
    struct dsmr_id chunks[KEPT];
    uint32_t next, ticks;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct amplifier *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct amplifier *self = ctx;
    (void)sim, (void)node, (void)from, (void)bytes;
    if (msg->type == DSMR_MSG_CERTIFICATE) {
        self->chunks[self->next++ % KEPT] = msg->u.certificate.ref.chunk_id;
    }
    return true;
}

static void ask_for_blocks(struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_REQUEST_BLOCKS};
    msg.u.request_blocks.from_height = 1;
    dsmr_sim_byz_send_all(sim, node, &msg);
    msg = (struct dsmr_msg){.type = DSMR_MSG_BFT_REQUEST_VIEW};
    msg.u.request_view.epoch = dsmr_sim_byz_epoch(sim, node);
    msg.u.request_view.from_view = 1;
    msg.u.request_view.to_view = dsmr_sim_byz_random(sim, 2) == 0 ? UINT64_MAX : 10;
    dsmr_sim_byz_send_all(sim, node, &msg);
    msg = (struct dsmr_msg){.type = DSMR_MSG_BFT_REQUEST_BLOCK};
    dsmr_sim_byz_random_id(sim, &msg.u.request_block.block_id);
    dsmr_sim_byz_send_all(sim, node, &msg);
}

static void tick(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    struct amplifier *self = ctx;
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK};
    for (uint32_t i = 0; i < CHUNKS_A_TICK; i++) {
        msg.u.request_chunk.chunk_id = self->chunks[dsmr_sim_byz_random(sim, KEPT)];
        dsmr_sim_byz_send_all(sim, node, &msg);
    }
    for (uint32_t i = 0; i < UNKNOWN_A_TICK; i++) {
        dsmr_sim_byz_random_id(sim, &msg.u.request_chunk.chunk_id);
        dsmr_sim_byz_send_all(sim, node, &msg);
    }
    if (++self->ticks % 4 == 0) {
        ask_for_blocks(sim, node);
    }
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_amplifier = {.name = "amplifier",
                                                        .make = make,
                                                        .free = free,
                                                        .receives = receives,
                                                        .tick = tick,
                                                        .tick_us = 50000};
