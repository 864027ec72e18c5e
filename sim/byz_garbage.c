/* byz_garbage.c - sends random bytes, its own messages with one byte changed, and cut ones. */
#include <string.h>

#include "sim/byz.h"

#define BYTES_MAX 2048u

static bool sends(void *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    uint8_t copy[BYTES_MAX];
    (void)self, (void)msg;
    if (bytes->len < BYTES_MAX && dsmr_sim_byz_random(sim, 4) == 0) {
        memcpy(copy, bytes->bytes, bytes->len);
        copy[dsmr_sim_byz_random(sim, bytes->len)] ^= (uint8_t)(1 + dsmr_sim_byz_random(sim, 255));
        size_t len =
            bytes->len - dsmr_sim_byz_random(sim, bytes->len) * (dsmr_sim_byz_random(sim, 2));
        dsmr_sim_byz_send_bytes(sim, node, to, copy, len);
    }
    return true;
}

static void tick(void *self, struct dsmr_sim *sim, uint32_t node)
{
    uint8_t bytes[BYTES_MAX];
    (void)self;
    size_t len = 1 + dsmr_sim_byz_random(sim, BYTES_MAX - 1);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)dsmr_sim_byz_random(sim, 256);
    }
    uint32_t to = (uint32_t)dsmr_sim_byz_random(sim, dsmr_sim_byz_nodes(sim));
    if (to != node) {
        bytes[0] = (uint8_t)(1 + dsmr_sim_byz_random(sim, 24)); /* mostly a type that there is */
        dsmr_sim_byz_send_bytes(sim, node, to, bytes, len);
    }
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_garbage = {
    .name = "garbage", .sends = sends, .tick = tick, .tick_us = 20000};
