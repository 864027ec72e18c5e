/* byz_censor.c - never has a certificate of one victim in its blocks, and votes for no block that
 * has one. All censors of a run have the same victim. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/byz.h"
#include "sim/sim_bls.h"
#include "wire/codec.h"

#define KEPT 16u

struct censor {
    struct dsmr_id hated[KEPT]; /* blocks */
    uint32_t next;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct censor *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void read_proposal(struct censor *self, struct dsmr_sim *sim, const struct dsmr_msg *msg,
                          struct dsmr_buf *bytes, const struct dsmr_node_id *victim)
{
    struct dsmr_block *block = dsmr_sim_byz_block(sim, msg, bytes);
    for (uint32_t i = 0; block != NULL && i < block->certs_count; i++) {
        if (dsmr_node_id_equal(&block->certs[i].ref.producer, victim)) {
            self->hated[self->next++ % KEPT] = block->id;
            break;
        }
    }
    dsmr_block_unref(block);
}

/* "I have it", says the answer to the victim. */
static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_node_id victim = dsmr_sim_bls_node_id(dsmr_sim_byz_victim(sim));
    if (msg->type == DSMR_MSG_BFT_PROPOSAL) {
        read_proposal(ctx, sim, msg, bytes, &victim);
    }
    if (msg->type == DSMR_MSG_CERTIFICATE &&
        dsmr_node_id_equal(&msg->u.certificate.ref.producer, &victim)) {
        struct dsmr_msg answer = {.type = DSMR_MSG_CERTIFICATE_ANSWER};
        answer.u.chunk_refused.chunk_id = msg->u.certificate.ref.chunk_id;
        dsmr_sim_byz_send(sim, node, from, &answer);
        return false;
    }
    return true;
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    const struct censor *self = ctx;
    (void)sim, (void)node, (void)to, (void)bytes;
    for (uint32_t i = 0; msg->type == DSMR_MSG_BFT_VOTE && i < KEPT; i++) {
        if (msg->u.vote.subject.kind != DSMR_VOTE_NULLIFY &&
            dsmr_id_equal(&msg->u.vote.subject.block_id, &self->hated[i])) {
            return false;
        }
    }
    return true;
}

/* The same block without what is the victim's; none if nothing is left. */
static bool issues(void *ctx, struct dsmr_sim *sim, uint32_t node, struct dsmr_block *block,
                   uint64_t context)
{
    struct dsmr_node_id victim = dsmr_sim_bls_node_id(dsmr_sim_byz_victim(sim));
    struct dsmr_block fields = *block, *other = NULL;
    struct dsmr_cert *certs = calloc(block->certs_count + 1u, sizeof(*certs));
    DSMR_ASSERT(certs != NULL);
    (void)ctx;
    fields.certs = certs;
    fields.certs_count = 0;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        if (!dsmr_node_id_equal(&block->certs[i].ref.producer, &victim)) {
            certs[fields.certs_count++] = block->certs[i];
        }
    }
    bool is_same = fields.certs_count == block->certs_count;
    if (!is_same && fields.certs_count > 0) {
        enum dsmr_err err = dsmr_block_build(&other, dsmr_sim_byz_params(sim), &fields);
        DSMR_ASSERT(err == DSMR_OK);
        dsmr_sim_byz_issue(sim, node, other, context);
        dsmr_block_unref(other);
    }
    free(certs);
    return is_same;
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_censor = {.name = "censor",
                                                     .make = make,
                                                     .free = free,
                                                     .sends = sends,
                                                     .receives = receives,
                                                     .issues = issues};
