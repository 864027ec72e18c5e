/* byz_lazy.c - signs every chunk at once, unread and unstored, also a second one of a slot; serves
 * none of them, or something that is not it. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/byz.h"
#include "wire/codec.h"

#define KEPT 8u

struct lazy {
    struct dsmr_buf *seen[KEPT]; /* chunks, only to serve them wrongly */
    struct dsmr_id ids[KEPT];
    uint32_t next;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct lazy *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void free_self(void *ctx)
{
    struct lazy *self = ctx;
    for (uint32_t i = 0; i < KEPT; i++) {
        dsmr_buf_unref(self->seen[i]);
    }
    free(self);
}

static void sign_unread(struct lazy *self, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                        const struct dsmr_msg *msg)
{
    struct dsmr_chunk_header header;
    struct dsmr_msg answer = {.type = DSMR_MSG_CHUNK_SIGNATURE};
    struct dsmr_reference *ref = &answer.u.chunk_signature.ref;
    if (dsmr_chunk_header_decode(&header, dsmr_sim_byz_params(sim), msg->u.request_share.chunk,
                                 msg->u.request_share.chunk_len) != DSMR_OK) {
        return;
    }
    dsmr_chunk_reference(ref, &header);
    answer.u.chunk_signature.sig = dsmr_sim_byz_share(sim, node, ref);
    dsmr_sim_byz_send(sim, node, from, &answer);
    uint32_t i = self->next++ % KEPT;
    dsmr_buf_unref(self->seen[i]);
    self->seen[i] = dsmr_buf_copy(msg->u.request_share.chunk, msg->u.request_share.chunk_len);
    self->ids[i] = ref->chunk_id;
}

/* Nothing, "unknown", another chunk, or the true header with another body. */
static void serve(struct lazy *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_id *wanted)
{
    struct dsmr_msg answer = {.type = DSMR_MSG_CHUNK, .u.chunk.chunk_id = *wanted};
    uint32_t i = 0;
    while (i < KEPT && !dsmr_id_equal(&self->ids[i], wanted)) {
        i++;
    }
    switch (dsmr_sim_byz_random(sim, 4)) {
    case 0:
        return;
    case 1:
        answer.u.chunk.err = DSMR_ERR_UNKNOWN;
        break;
    case 2:
        i = (i + 1) % KEPT;
        break;
    default:
        break;
    }
    if (answer.u.chunk.err == 0 && (i == KEPT || self->seen[i] == NULL)) {
        return;
    }
    if (answer.u.chunk.err == 0) {
        self->seen[i]->bytes[self->seen[i]->len - 1] ^= 1; /* the last one is of the body */
        answer.u.chunk.chunk = self->seen[i]->bytes;
        answer.u.chunk.chunk_len = (uint32_t)self->seen[i]->len;
    }
    dsmr_sim_byz_send(sim, node, to, &answer);
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    (void)bytes;
    if (msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        sign_unread(ctx, sim, node, from, msg);
        return false;
    }
    if (msg->type == DSMR_MSG_REQUEST_CHUNK) {
        serve(ctx, sim, node, from, &msg->u.request_chunk.chunk_id);
        return false;
    }
    return true;
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_lazy = {
    .name = "lazy", .make = make, .free = free_self, .receives = receives};
