/* byz_forger.c - shares that are garbage, over another reference, somebody else's, sent again and
 * again, or of chunks that do not exist. */
#include <stdlib.h>

#include "base/assert.h"
#include "sim/byz.h"
#include "sim/sim_bls.h"

struct forger {
    struct dsmr_bls_sig other; /* of a producer, seen last */
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct forger *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void garble(struct dsmr_sim *sim, struct dsmr_bls_sig *sig)
{
    size_t at = (size_t)dsmr_sim_byz_random(sim, sizeof(sig->bytes));
    sig->bytes[at] ^= (uint8_t)(1 + dsmr_sim_byz_random(sim, 255));
}

/* One field is another one. */
static void misquote(struct dsmr_sim *sim, struct dsmr_reference *ref)
{
    switch (dsmr_sim_byz_random(sim, 5)) {
    case 0:
        ref->expiry_ms++;
        break;
    case 1:
        ref->epoch++;
        break;
    case 2:
        ref->slot++;
        break;
    case 3:
        ref->tx_count++;
        break;
    default:
        ref->chunk_bytes--;
        break;
    }
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    const struct forger *self = ctx;
    struct dsmr_msg forged = *msg;
    struct dsmr_reference *ref = &forged.u.chunk_signature.ref;
    struct dsmr_bls_sig *sig = &forged.u.chunk_signature.sig;
    (void)bytes;
    if (msg->type != DSMR_MSG_CHUNK_SIGNATURE) {
        return true;
    }
    switch (dsmr_sim_byz_random(sim, 6)) {
    case 0:
        garble(sim, sig);
        break;
    case 1: /* a right share of another reference */
        misquote(sim, ref);
        *sig = dsmr_sim_byz_share(sim, node, ref);
        break;
    case 2: /* the same, said to be of this one */
        misquote(sim, ref);
        *sig = dsmr_sim_byz_share(sim, node, ref);
        *ref = msg->u.chunk_signature.ref;
        break;
    case 3:
        *sig = self->other;
        break;
    case 4:
        for (uint32_t i = 0; i < 5; i++) {
            dsmr_sim_byz_send(sim, node, to, msg);
        }
        break;
    default:
        return true;
    }
    dsmr_sim_byz_send(sim, node, to, &forged);
    return false;
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct forger *self = ctx;
    (void)sim, (void)node, (void)from, (void)bytes;
    if (msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        self->other = msg->u.request_share.sig;
    }
    return true;
}

static void tick(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    const struct dsmr_params *params = dsmr_sim_byz_params(sim);
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK_SIGNATURE};
    struct dsmr_reference *ref = &msg.u.chunk_signature.ref;
    uint32_t to = (uint32_t)dsmr_sim_byz_random(sim, dsmr_sim_byz_nodes(sim));
    (void)ctx;
    if (to == node) {
        return;
    }
    dsmr_sim_byz_random_id(sim, &ref->chunk_id);
    ref->epoch = dsmr_sim_byz_epoch(sim, node);
    ref->producer = dsmr_sim_bls_node_id(to);
    ref->slot = dsmr_sim_byz_slot(sim);
    ref->expiry_ms = ref->slot * params->slot_ms + params->chunk_lifetime_ms;
    ref->tx_count = 1;
    ref->chunk_bytes = 300;
    msg.u.chunk_signature.sig = dsmr_sim_byz_share(sim, node, ref);
    dsmr_sim_byz_send(sim, node, to, &msg);
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_forger = {.name = "forger",
                                                     .make = make,
                                                     .free = free,
                                                     .sends = sends,
                                                     .receives = receives,
                                                     .tick = tick,
                                                     .tick_us = 50000};
