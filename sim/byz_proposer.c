/* byz_proposer.c - proposes blocks that break one rule each, some with valid certificates that it
 * has kept to itself, and votes for them. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "sim/byz_stash.h"
#include "wire/codec.h"

#define CERTS_MAX 16u

struct proposer {
    struct dsmr_cert old; /* in a block of its own before */
    bool has_old;
    uint64_t epoch, view; /* of bad */
    struct dsmr_block *bad;
    struct dsmr_sim_byz_stash stash;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct proposer *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void free_self(void *ctx)
{
    struct proposer *self = ctx;
    dsmr_block_unref(self->bad);
    dsmr_sim_byz_stash_close(&self->stash);
    free(self);
}

static void break_cert(struct proposer *self, struct dsmr_sim *sim, struct dsmr_cert *cert)
{
    switch (dsmr_sim_byz_random(sim, 6)) {
    case 0:
        cert->sig.bytes[dsmr_sim_byz_random(sim, sizeof(cert->sig.bytes))] ^= 1;
        break;
    case 1: /* one signer less than was signed by */
        dsmr_bitset_remove(&cert->signers, dsmr_bitset_end(&cert->signers) - 1);
        break;
    case 2:
        memset(&cert->signers, 0, sizeof(cert->signers));
        dsmr_bitset_add(&cert->signers, (uint32_t)dsmr_sim_byz_random(sim, 4));
        break;
    case 3:
        cert->ref.expiry_ms++;
        break;
    case 4:
        cert->ref.epoch += 1;
        break;
    default:
        *cert = self->has_old ? self->old : *cert;
        break;
    }
}

static void break_fields(struct dsmr_sim *sim, struct dsmr_block *fields)
{
    switch (dsmr_sim_byz_random(sim, 8)) {
    case 0:
        fields->time_ms = 1;
        break;
    case 1:
        fields->time_ms += 100000; /* when its certificates have expired */
        break;
    case 2:
        fields->height += 1 + dsmr_sim_byz_random(sim, 2) * 1000000;
        break;
    case 3:
        if (fields->past_epochs_count < DSMR_PAST_EPOCHS_MAX) {
            fields->past_epochs[fields->past_epochs_count++] =
                (struct dsmr_past_epoch){.epoch = 3, .ended_at_ms = fields->time_ms};
        }
        break;
    case 4:
        fields->certs_count = 0;
        break;
    case 5:
        fields->epoch++;
        break;
    case 6: /* ahead of all clocks, but no certificate has expired */
        fields->time_ms += 2000 + dsmr_sim_byz_random(sim, 20000);
        break;
    default:
        dsmr_sim_byz_random_id(sim, &fields->parent_id);
        break;
    }
}

static struct dsmr_block *broken(struct proposer *self, struct dsmr_sim *sim,
                                 const struct dsmr_block *block)
{
    struct dsmr_cert certs[CERTS_MAX];
    struct dsmr_block fields = *block, *bad = NULL;
    uint32_t count = block->certs_count < CERTS_MAX - 1 ? block->certs_count : CERTS_MAX - 1;
    memcpy(certs, block->certs, count * sizeof(certs[0]));
    fields.certs = certs;
    fields.certs_count = count;
    bool is_broken = dsmr_sim_byz_random(sim, 3) == 0 &&
                     dsmr_sim_byz_stash_break(&self->stash, sim, &fields, CERTS_MAX);
    switch (is_broken ? 3 : count == 0 ? 0 : dsmr_sim_byz_random(sim, 3)) {
    case 0:
        break_fields(sim, &fields);
        break;
    case 1: /* one stands twice */
        certs[fields.certs_count++] = certs[dsmr_sim_byz_random(sim, count)];
        break;
    case 3:
        break;
    default:
        break_cert(self, sim, &certs[dsmr_sim_byz_random(sim, count)]);
        break;
    }
    if (count > 0) {
        self->old = block->certs[0];
        self->has_old = true;
    }
    enum dsmr_err err = dsmr_block_build(&bad, dsmr_sim_byz_params(sim), &fields);
    DSMR_ASSERT(err == DSMR_OK);
    return bad;
}

static bool propose(struct proposer *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                    const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_msg other = *msg;
    bool is_same = self->epoch == msg->u.proposal.epoch && self->view == msg->u.proposal.view;
    struct dsmr_block *block = is_same ? NULL : dsmr_sim_byz_block(sim, msg, bytes);
    if (block != NULL) {
        dsmr_block_unref(self->bad);
        self->bad = dsmr_sim_byz_random(sim, 3) == 0 ? NULL : broken(self, sim, block);
        self->epoch = msg->u.proposal.epoch;
        self->view = msg->u.proposal.view;
        is_same = true;
        dsmr_block_unref(block);
    }
    if (!is_same || self->bad == NULL) {
        return true;
    }
    other.u.proposal.parent_id = self->bad->parent_id;
    other.u.proposal.block_id = self->bad->id;
    other.u.proposal.block = self->bad->bytes->bytes;
    other.u.proposal.block_len = (uint32_t)self->bad->bytes->len;
    dsmr_sim_byz_send(sim, node, to, &other);
    return false;
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct proposer *self = ctx;
    if (msg->type == DSMR_MSG_BFT_PROPOSAL) {
        return propose(self, sim, node, to, msg, bytes);
    }
    if (msg->type == DSMR_MSG_BFT_VOTE && msg->u.vote.subject.kind == DSMR_VOTE_NOTARIZE &&
        self->bad != NULL && msg->u.vote.subject.epoch == self->epoch &&
        msg->u.vote.subject.view == self->view) {
        struct dsmr_msg other = *msg;
        other.u.vote.subject.block_id = self->bad->id;
        other.u.vote.subject.height = self->bad->height;
        other.u.vote.sig = dsmr_sim_byz_vote(sim, node, &other.u.vote.subject);
        dsmr_sim_byz_send(sim, node, to, &other);
        return false;
    }
    return true;
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    (void)node, (void)bytes;
    dsmr_sim_byz_stash_take(&((struct proposer *)ctx)->stash, sim, from, msg);
    return true;
}

static void tick(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    dsmr_sim_byz_stash_grow(&((struct proposer *)ctx)->stash, sim, node);
}

static bool issues(void *ctx, struct dsmr_sim *sim, uint32_t node, struct dsmr_block *block,
                   uint64_t context)
{
    if (dsmr_sim_byz_random(sim, 3) == 0) {
        return true;
    }
    struct dsmr_block *bad = broken(ctx, sim, block);
    dsmr_sim_byz_issue(sim, node, bad, context);
    dsmr_block_unref(bad);
    return false;
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_proposer = {.name = "proposer",
                                                       .make = make,
                                                       .free = free_self,
                                                       .sends = sends,
                                                       .receives = receives,
                                                       .issues = issues,
                                                       .tick = tick,
                                                       .tick_us = 1000000};
