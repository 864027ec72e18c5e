/* byz_equivocator.c - a producer that shows two chunks of one slot, each to one half of the others,
 * and now and then to one the other half's. The liars sign both. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/byz_offer.h"
#include "wire/codec.h"

#define KEPT 4u

struct equivocator {
    struct dsmr_sim_byz_offer twins[KEPT]; /* of the chunks that were sent last */
    struct dsmr_id of[KEPT];
    uint32_t next;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct equivocator *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void free_self(void *ctx)
{
    struct equivocator *self = ctx;
    for (uint32_t i = 0; i < KEPT; i++) {
        dsmr_sim_byz_offer_drop(&self->twins[i]);
    }
    free(self);
}

/* NULL: there is none. */
static const struct dsmr_sim_byz_offer *twin_of(struct equivocator *self, struct dsmr_sim *sim,
                                                uint32_t node,
                                                const struct dsmr_chunk_header *header)
{
    struct dsmr_reference ref;
    dsmr_chunk_reference(&ref, header);
    for (uint32_t i = 0; i < KEPT; i++) {
        if (self->twins[i].chunk != NULL && dsmr_id_equal(&self->of[i], &ref.chunk_id)) {
            return &self->twins[i];
        }
    }
    uint32_t i = self->next++ % KEPT;
    if (!dsmr_sim_byz_offer_make(&self->twins[i], sim, node, header->epoch, header->slot, 2)) {
        return NULL;
    }
    dsmr_sim_byz_offer_collude(&self->twins[i], sim);
    self->of[i] = ref.chunk_id;
    return &self->twins[i];
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_chunk_header header;
    (void)bytes;
    if (msg->type != DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE ||
        dsmr_chunk_header_decode(&header, dsmr_sim_byz_params(sim), msg->u.request_share.chunk,
                                 msg->u.request_share.chunk_len) != DSMR_OK) {
        return true;
    }
    const struct dsmr_sim_byz_offer *twin = twin_of(ctx, sim, node, &header);
    bool is_swapped = dsmr_sim_byz_random(sim, 4) == 0;
    if (twin == NULL || (dsmr_sim_byz_side(sim, to) == 1) == is_swapped) {
        return true;
    }
    dsmr_sim_byz_offer_show(twin, sim, node, to);
    return false;
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct equivocator *self = ctx;
    (void)bytes;
    for (uint32_t i = 0; i < KEPT; i++) {
        if (dsmr_sim_byz_offer_take(&self->twins[i], sim, from, msg)) {
            dsmr_sim_byz_offer_send_cert(&self->twins[i], sim, node);
        }
    }
    return true;
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_equivocator = {
    .name = "equivocator", .make = make, .free = free_self, .sends = sends, .receives = receives};
