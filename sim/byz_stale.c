/* byz_stale.c - lives in the wrong epoch: chunks, shares and certificates under epochs that have
 * ended or not begun, one slot under two epochs, and certificates that come when theirs is over. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/byz_offer.h"

#define OFFERS 32u
#define HELD 16u
#define HELD_US (25 * DSMR_SIM_SECOND_US)

struct held { /* a certificate of its honest code */
    struct dsmr_cert cert;
    uint64_t since_us;
    bool is_used;
};
struct stale {
    struct dsmr_sim_byz_offer offers[OFFERS];
    struct held held[HELD];
    uint32_t next;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct stale *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void free_self(void *ctx)
{
    struct stale *self = ctx;
    for (uint32_t i = 0; i < OFFERS; i++) {
        dsmr_sim_byz_offer_drop(&self->offers[i]);
    }
    free(self);
}

/* ---- what its honest code sends ---- */

/* True: it was put aside. Half of them are, each for all receivers. */
static bool hold(struct stale *self, struct dsmr_sim *sim, const struct dsmr_cert *cert)
{
    struct held *free_one = NULL;
    if ((cert->ref.chunk_id.bytes[0] & 1) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < HELD; i++) {
        struct held *held = &self->held[i];
        if (held->is_used && dsmr_id_equal(&held->cert.ref.chunk_id, &cert->ref.chunk_id)) {
            return true;
        }
        free_one = held->is_used ? free_one : held;
    }
    if (free_one == NULL) {
        return false;
    }
    *free_one = (struct held){.cert = *cert, .since_us = dsmr_sim_now_us(sim), .is_used = true};
    return true;
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_msg other = *msg;
    uint64_t epochs[DSMR_SIM_SETS_MAX];
    uint32_t count = dsmr_sim_byz_epochs(sim, epochs);
    (void)bytes;
    if (msg->type == DSMR_MSG_CERTIFICATE) {
        return !hold(ctx, sim, &msg->u.certificate);
    }
    if (msg->type == DSMR_MSG_CHUNK_SIGNATURE && dsmr_sim_byz_random(sim, 4) == 0) {
        other.u.chunk_signature.ref.epoch = epochs[dsmr_sim_byz_random(sim, count)];
        other.u.chunk_signature.sig = dsmr_sim_byz_share(sim, node, &other.u.chunk_signature.ref);
        dsmr_sim_byz_send(sim, node, to, &other);
        return false;
    }
    return true;
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct stale *self = ctx;
    (void)bytes;
    for (uint32_t i = 0; msg->type == DSMR_MSG_CHUNK_SIGNATURE && i < OFFERS; i++) {
        if (dsmr_sim_byz_offer_take(&self->offers[i], sim, from, msg)) {
            dsmr_sim_byz_offer_send_cert(&self->offers[i], sim, node);
        }
    }
    return true;
}

/* ---- what it does itself ---- */

static void release(struct stale *self, struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE};
    uint64_t epoch = dsmr_sim_byz_epoch(sim, node);
    for (uint32_t i = 0; i < HELD; i++) {
        struct held *held = &self->held[i];
        bool is_over = epoch != DSMR_EPOCH_NONE && held->cert.ref.epoch != epoch;
        if (held->is_used && (is_over || dsmr_sim_now_us(sim) - held->since_us > HELD_US)) {
            msg.u.certificate = held->cert;
            dsmr_sim_byz_send_all(sim, node, &msg);
            held->is_used = false;
        }
    }
}

/* One slot, a chunk of it under each epoch there is, to all. */
static void produce(struct stale *self, struct dsmr_sim *sim, uint32_t node)
{
    uint64_t epochs[DSMR_SIM_SETS_MAX];
    uint32_t count = dsmr_sim_byz_epochs(sim, epochs);
    uint64_t slot = dsmr_sim_byz_slot(sim) + dsmr_sim_byz_random(sim, 8);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_sim_byz_offer *offer = &self->offers[self->next++ % OFFERS];
        if (!dsmr_sim_byz_offer_make(offer, sim, node, epochs[i], slot, 1)) {
            continue;
        }
        dsmr_sim_byz_offer_collude(offer, sim);
        for (uint32_t to = 0; to < dsmr_sim_byz_nodes(sim); to++) {
            if (to != node) {
                dsmr_sim_byz_offer_show(offer, sim, node, to);
            }
        }
        if (dsmr_sim_byz_random(sim, 8) == 0) {
            dsmr_sim_byz_offer_send_cert(offer, sim, node); /* of liars only */
        }
    }
}

/* An epoch that nobody knows. */
static void invent(struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_chunk *chunk =
        dsmr_sim_byz_chunk(sim, node, dsmr_sim_byz_random(sim, 2) == 0 ? DSMR_EPOCH_NONE : 1000000,
                           dsmr_sim_byz_slot(sim), 1);
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    if (chunk == NULL) {
        return;
    }
    msg.u.request_share.sig = dsmr_sim_byz_share(sim, node, &chunk->ref);
    msg.u.request_share.chunk = chunk->bytes;
    msg.u.request_share.chunk_len = chunk->ref.chunk_bytes;
    dsmr_sim_byz_send_all(sim, node, &msg);
    dsmr_chunk_unref(chunk);
}

static void tick(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    release(ctx, sim, node);
    produce(ctx, sim, node);
    if (dsmr_sim_byz_random(sim, 4) == 0) {
        invent(sim, node);
    }
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_stale = {.name = "stale",
                                                    .make = make,
                                                    .free = free_self,
                                                    .sends = sends,
                                                    .receives = receives,
                                                    .tick = tick,
                                                    .tick_us = 400000};
