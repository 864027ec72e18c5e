/* byz_flooder.c - certificates: real ones of the smallest chunks, as many as slots allow, with
 * slots that are past and slots that are ahead; and bogus ones, now and then two thousand at once.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "sim/byz_offer.h"
#include "sim/sim_bls.h"

#define OFFERS 64u       /* about what a producer may have pending */
#define OFFERS_A_TICK 3u /* the newest slot that is allowed, and older ones */
#define BOGUS_A_TICK 4u
#define BURST 2000u
#define BURST_TICKS 70u

struct flooder {
    struct dsmr_sim_byz_offer offers[OFFERS];
    uint32_t next, ticks;
    uint64_t newest, oldest; /* slots that were used; 0: none */
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct flooder *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void free_self(void *ctx)
{
    struct flooder *self = ctx;
    for (uint32_t i = 0; i < OFFERS; i++) {
        dsmr_sim_byz_offer_drop(&self->offers[i]);
    }
    free(self);
}

/* The slots belong to the flood: the honest code's own chunks do not leave. */
static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    (void)ctx, (void)sim, (void)node, (void)to, (void)bytes;
    return msg->type != DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE;
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct flooder *self = ctx;
    (void)bytes;
    for (uint32_t i = 0; msg->type == DSMR_MSG_CHUNK_SIGNATURE && i < OFFERS; i++) {
        if (dsmr_sim_byz_offer_take(&self->offers[i], sim, from, msg)) {
            dsmr_sim_byz_offer_send_cert(&self->offers[i], sim, node);
            return false;
        }
    }
    return true;
}

static void produce(struct flooder *self, struct dsmr_sim *sim, uint32_t node, uint64_t slot)
{
    struct dsmr_sim_byz_offer *offer = &self->offers[self->next++ % OFFERS];
    if (!dsmr_sim_byz_offer_make(offer, sim, node, dsmr_sim_byz_epoch(sim, node), slot, 1)) {
        return;
    }
    dsmr_sim_byz_offer_collude(offer, sim);
    for (uint32_t to = 0; to < dsmr_sim_byz_nodes(sim); to++) {
        if (to != node) {
            dsmr_sim_byz_offer_show(offer, sim, node, to);
        }
    }
}

static void produce_some(struct flooder *self, struct dsmr_sim *sim, uint32_t node)
{
    const struct dsmr_params *params = dsmr_sim_byz_params(sim);
    uint64_t newest = dsmr_sim_byz_slot(sim) + params->clock_skew_ms / params->slot_ms;
    uint64_t lifetime = params->chunk_lifetime_ms / params->slot_ms;
    if (self->newest == 0) {
        self->oldest = newest;
        self->newest = newest - 1;
    }
    for (uint32_t i = 0; i < OFFERS_A_TICK; i++) {
        if (self->newest < newest) {
            produce(self, sim, node, ++self->newest);
        } else if (self->oldest + lifetime > newest) {
            produce(self, sim, node, --self->oldest);
        }
    }
}

/* Each is wrong in another way; mostly only the signature tells. */
static void make_bogus(struct dsmr_cert *out, struct dsmr_sim *sim, uint32_t node)
{
    const struct dsmr_params *params = dsmr_sim_byz_params(sim);
    uint64_t epoch = dsmr_sim_byz_epoch(sim, node);
    const struct dsmr_validator_set *set = dsmr_sim_byz_set_of(sim, epoch);
    uint32_t count = set == NULL ? 1 : set->count;
    uint64_t how = dsmr_sim_byz_random(sim, 24);
    *out = (struct dsmr_cert){.ref.epoch = epoch, .ref.tx_count = 1, .ref.chunk_bytes = 300};
    dsmr_sim_byz_random_id(sim, &out->ref.chunk_id);
    out->ref.producer =
        dsmr_sim_bls_node_id((uint32_t)dsmr_sim_byz_random(sim, dsmr_sim_byz_nodes(sim)));
    out->ref.slot = dsmr_sim_byz_slot(sim) -
                    dsmr_sim_byz_random(sim, params->chunk_lifetime_ms / params->slot_ms);
    out->ref.slot -= how == 0 ? 1000 : 0; /* expired */
    out->ref.slot += how == 1 ? 1000 : 0;
    out->ref.expiry_ms = out->ref.slot * params->slot_ms + params->chunk_lifetime_ms;
    out->ref.expiry_ms += how == 2 ? 1 : 0;
    out->ref.epoch += how == 3 ? 7 : 0;
    out->ref.chunk_bytes = how == 4 ? UINT32_MAX : out->ref.chunk_bytes;
    for (uint32_t i = 0; i < (how == 5 ? 1 : count); i++) {
        dsmr_bitset_add(&out->signers, i);
    }
    if (how == 6) {
        dsmr_bitset_add(&out->signers, count + 3); /* beyond the set */
    }
    for (size_t i = 0; i < sizeof(out->sig.bytes); i += 32) {
        struct dsmr_id id;
        dsmr_sim_byz_random_id(sim, &id);
        for (size_t k = 0; k < 32; k++) {
            out->sig.bytes[i + k] = id.bytes[k];
        }
    }
}

static void send_bogus(struct dsmr_sim *sim, uint32_t node, uint32_t to, uint32_t count)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    for (uint32_t i = 0; to != node && i < count; i++) {
        make_bogus(&msg.u.certificate, sim, node);
        dsmr_sim_byz_send(sim, node, to, &msg);
    }
}

static void tick(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    struct flooder *self = ctx;
    uint32_t nodes = dsmr_sim_byz_nodes(sim);
    produce_some(self, sim, node);
    for (uint32_t to = 0; to < nodes; to++) {
        send_bogus(sim, node, to, BOGUS_A_TICK);
    }
    if (++self->ticks % BURST_TICKS == 0) {
        send_bogus(sim, node, (uint32_t)dsmr_sim_byz_random(sim, nodes), BURST);
    }
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_flooder = {.name = "flooder",
                                                      .make = make,
                                                      .free = free_self,
                                                      .sends = sends,
                                                      .receives = receives,
                                                      .tick = tick,
                                                      .tick_us = 100000};
