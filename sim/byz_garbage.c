/* byz_garbage.c - sends random bytes, its own messages with one byte changed or cut, and again what
 * it was told before, whoever said it. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/byz.h"

#define BYTES_MAX 2048u
#define KEPT 16u
#define TYPES 24u

struct garbage {
    struct dsmr_buf *heard[KEPT];
    uint32_t next;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct garbage *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void free_self(void *ctx)
{
    struct garbage *self = ctx;
    for (uint32_t i = 0; i < KEPT; i++) {
        dsmr_buf_unref(self->heard[i]);
    }
    free(self);
}

static void send_spoiled(struct dsmr_sim *sim, uint32_t node, uint32_t to,
                         const struct dsmr_buf *bytes)
{
    uint8_t copy[BYTES_MAX];
    size_t len = bytes->len < BYTES_MAX ? bytes->len : BYTES_MAX;
    memcpy(copy, bytes->bytes, len);
    copy[dsmr_sim_byz_random(sim, len)] ^= (uint8_t)(1 + dsmr_sim_byz_random(sim, 255));
    if (dsmr_sim_byz_random(sim, 2) == 0) {
        len -= (size_t)dsmr_sim_byz_random(sim, len);
    }
    dsmr_sim_byz_send_bytes(sim, node, to, copy, len);
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    (void)ctx, (void)msg;
    if (dsmr_sim_byz_random(sim, 4) == 0) {
        send_spoiled(sim, node, to, bytes);
    }
    return true;
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct garbage *self = ctx;
    (void)node, (void)from, (void)msg;
    if (dsmr_sim_byz_random(sim, 8) == 0) {
        uint32_t i = self->next++ % KEPT;
        dsmr_buf_unref(self->heard[i]);
        self->heard[i] = dsmr_buf_ref(bytes);
    }
    return true;
}

static void tick(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    const struct garbage *self = ctx;
    uint8_t bytes[BYTES_MAX];
    uint32_t to = (uint32_t)dsmr_sim_byz_random(sim, dsmr_sim_byz_nodes(sim));
    const struct dsmr_buf *heard = self->heard[dsmr_sim_byz_random(sim, KEPT)];
    size_t len = 1 + (size_t)dsmr_sim_byz_random(sim, BYTES_MAX - 1);
    if (to == node) {
        return;
    }
    if (heard != NULL) {
        dsmr_sim_byz_send_bytes(sim, node, to, heard->bytes, heard->len);
        send_spoiled(sim, node, to, heard);
    }
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)dsmr_sim_byz_random(sim, 256);
    }
    bytes[0] = (uint8_t)(1 + dsmr_sim_byz_random(sim, TYPES)); /* mostly a type that there is */
    dsmr_sim_byz_send_bytes(sim, node, to, bytes, len);
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_garbage = {.name = "garbage",
                                                      .make = make,
                                                      .free = free_self,
                                                      .sends = sends,
                                                      .receives = receives,
                                                      .tick = tick,
                                                      .tick_us = 20000};
