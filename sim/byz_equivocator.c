/* byz_equivocator.c - a producer that shows two chunks of one slot, each to one half of the others,
 * and after a while to each half the other's. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/byz.h"
#include "wire/codec.h"

struct equivocator {
    struct dsmr_chunk *twin; /* of the chunk that was sent last */
    struct dsmr_id of;
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
    dsmr_chunk_unref(self->twin);
    free(self);
}

static void send_twin(struct equivocator *self, struct dsmr_sim *sim, uint32_t node, uint32_t to)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    msg.u.request_share.sig = dsmr_sim_byz_share(sim, node, &self->twin->ref);
    msg.u.request_share.chunk = self->twin->bytes;
    msg.u.request_share.chunk_len = self->twin->ref.chunk_bytes;
    dsmr_sim_byz_send(sim, node, to, &msg);
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct equivocator *self = ctx;
    struct dsmr_chunk_header header;
    struct dsmr_reference ref;
    (void)bytes;
    if (msg->type != DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE ||
        dsmr_chunk_header_decode(&header, dsmr_sim_byz_params(sim), msg->u.request_share.chunk,
                                 msg->u.request_share.chunk_len) != DSMR_OK) {
        return true;
    }
    dsmr_chunk_reference(&ref, &header);
    if (self->twin == NULL || !dsmr_id_equal(&self->of, &ref.chunk_id)) {
        dsmr_chunk_unref(self->twin);
        self->twin = dsmr_sim_byz_chunk(sim, node, header.epoch, header.slot, 2);
        self->of = ref.chunk_id;
    }
    if (self->twin == NULL) {
        return true;
    }
    bool is_first = dsmr_sim_byz_random(sim, 4) != 0; /* now and then the other one */
    if ((to % 2 == 0) == is_first) {
        return true;
    }
    send_twin(self, sim, node, to);
    return false;
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_equivocator = {
    .name = "equivocator", .make = make, .free = free_self, .sends = sends};
