/* byz_amnesiac.c - shows a chunk to one half, forgets its disk and comes back, and shows another
 * chunk of the same slot to all. */
#include <stdlib.h>

#include "base/assert.h"
#include "sim/byz_offer.h"

enum phase { SHOW_FIRST, FORGET, SHOW_SECOND };

struct amnesiac {
    enum phase phase;
    uint32_t ticks; /* until the phase begins */
    uint64_t slot, epoch;
    struct dsmr_sim_byz_offer first, second;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)node;
    struct amnesiac *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->ticks = (uint32_t)dsmr_sim_byz_random(sim, 5);
    return self;
}

static void free_self(void *ctx)
{
    struct amnesiac *self = ctx;
    dsmr_sim_byz_offer_drop(&self->first);
    dsmr_sim_byz_offer_drop(&self->second);
    free(self);
}

static void show(const struct dsmr_sim_byz_offer *offer, struct dsmr_sim *sim, uint32_t node,
                 bool is_to_all)
{
    for (uint32_t to = 0; to < dsmr_sim_byz_nodes(sim); to++) {
        if (to != node && (is_to_all || dsmr_sim_byz_side(sim, to) == 0)) {
            dsmr_sim_byz_offer_show(offer, sim, node, to);
        }
    }
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct amnesiac *self = ctx;
    (void)bytes;
    if (dsmr_sim_byz_offer_take(&self->first, sim, from, msg)) {
        dsmr_sim_byz_offer_send_cert(&self->first, sim, node);
    }
    if (dsmr_sim_byz_offer_take(&self->second, sim, from, msg)) {
        dsmr_sim_byz_offer_send_cert(&self->second, sim, node);
    }
    return true;
}

static void come_back(struct dsmr_sim *sim, uint32_t node)
{
    dsmr_sim_crash(sim, node);
    if (dsmr_sim_byz_random(sim, 4) != 0) { /* now and then the journal is there, and disregarded */
        dsmr_sim_wipe(sim, node);
    }
    dsmr_sim_restart(sim, node);
}

static void tick(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    struct amnesiac *self = ctx;
    if (self->ticks > 0) {
        self->ticks--;
        return;
    }
    switch (self->phase) {
    case SHOW_FIRST:
        self->epoch = dsmr_sim_byz_epoch(sim, node);
        self->slot = dsmr_sim_byz_slot(sim);
        if (dsmr_sim_byz_offer_make(&self->first, sim, node, self->epoch, self->slot, 1)) {
            show(&self->first, sim, node, false);
            self->phase = FORGET;
        }
        break;
    case FORGET:
        come_back(sim, node);
        self->phase = SHOW_SECOND;
        break;
    case SHOW_SECOND:
        if (dsmr_sim_byz_offer_make(&self->second, sim, node, self->epoch, self->slot, 2)) {
            dsmr_sim_byz_offer_collude(&self->second, sim);
            show(&self->second, sim, node, true);
        }
        self->phase = SHOW_FIRST;
        self->ticks = 10 + (uint32_t)dsmr_sim_byz_random(sim, 40);
        break;
    }
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_amnesiac = {.name = "amnesiac",
                                                       .make = make,
                                                       .free = free_self,
                                                       .receives = receives,
                                                       .tick = tick,
                                                       .tick_us = 300000};
