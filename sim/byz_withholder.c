/* byz_withholder.c - a producer whose chunks only as many honest nodes get as a certificate needs
 * beside the liars, who sign unseen; it serves them to nobody. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/byz.h"
#include "wire/codec.h"

#define KEPT 16u

struct withholder {
    struct dsmr_id chunks[KEPT];
    uint64_t shown_to[KEPT]; /* bit i: node i */
    uint32_t next;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct withholder *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

/* As few honest nodes as make a quorum with all liars, from a random one on. */
static uint64_t choose(struct dsmr_sim *sim, const struct dsmr_validator_set *set)
{
    uint64_t weight = 0, chosen = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t node = dsmr_sim_byz_number(&set->validators[i].node_ids[0]);
        weight += dsmr_sim_byz_is(sim, node) ? set->validators[i].weight : 0;
    }
    uint32_t from = (uint32_t)dsmr_sim_byz_random(sim, set->count);
    for (uint32_t k = 0; k < set->count && !dsmr_is_quorum(weight, set->total_weight); k++) {
        const struct dsmr_validator *validator = &set->validators[(from + k) % set->count];
        uint32_t node = dsmr_sim_byz_number(&validator->node_ids[0]);
        if (!dsmr_sim_byz_is(sim, node)) {
            chosen |= UINT64_C(1) << (node % 64);
            weight += validator->weight;
        }
    }
    return chosen;
}

/* The other liars' shares reach the honest code of node, which makes the certificate. */
static void collude(struct dsmr_sim *sim, uint32_t node, const struct dsmr_reference *ref)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK_SIGNATURE, .u.chunk_signature.ref = *ref};
    for (uint32_t i = 0; i < dsmr_sim_byz_nodes(sim); i++) {
        if (i != node && dsmr_sim_byz_is(sim, i)) {
            msg.u.chunk_signature.sig = dsmr_sim_byz_share(sim, i, ref);
            dsmr_sim_byz_deliver(sim, node, i, &msg);
        }
    }
}

static uint64_t shown_to(struct withholder *self, struct dsmr_sim *sim, uint32_t node,
                         const struct dsmr_reference *ref)
{
    for (uint32_t i = 0; i < KEPT; i++) {
        if (dsmr_id_equal(&self->chunks[i], &ref->chunk_id)) {
            return self->shown_to[i];
        }
    }
    const struct dsmr_validator_set *set = dsmr_sim_byz_set_of(sim, ref->epoch);
    uint32_t i = self->next++ % KEPT;
    self->chunks[i] = ref->chunk_id;
    self->shown_to[i] = set == NULL ? 0 : choose(sim, set);
    collude(sim, node, ref);
    return self->shown_to[i];
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_chunk_header header;
    struct dsmr_reference ref;
    (void)bytes;
    if (msg->type == DSMR_MSG_CHUNK) {
        return false;
    }
    if (msg->type != DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE ||
        dsmr_chunk_header_decode(&header, dsmr_sim_byz_params(sim), msg->u.request_share.chunk,
                                 msg->u.request_share.chunk_len) != DSMR_OK) {
        return true;
    }
    dsmr_chunk_reference(&ref, &header);
    return (shown_to(ctx, sim, node, &ref) >> (to % 64) & 1) != 0;
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_withholder = {
    .name = "withholder", .make = make, .free = free, .sends = sends};
