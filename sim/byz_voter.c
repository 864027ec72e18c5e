/* byz_voter.c - says one thing to one half and another to the other: two proposals in a view, and
 * NOTARIZE votes for both; FINALIZE and NULLIFY in one view. All voters of a run agree on the
 * halves and on which block is for which, and pass what they see on to each other. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/byz.h"
#include "wire/codec.h"

#define FORKS 16u
#define BOTH 16u /* one in so many hears both sides */

struct fork { /* the blocks of one view; two, by id, once there are two */
    uint64_t epoch, view;
    struct dsmr_block *blocks[2];
};
struct voter {
    struct fork forks[FORKS];
    uint32_t next;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    (void)sim, (void)node;
    struct voter *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    return self;
}

static void drop(struct fork *fork)
{
    dsmr_block_unref(fork->blocks[0]);
    dsmr_block_unref(fork->blocks[1]);
    memset(fork, 0, sizeof(*fork));
}

static void free_self(void *ctx)
{
    struct voter *self = ctx;
    for (uint32_t i = 0; i < FORKS; i++) {
        drop(&self->forks[i]);
    }
    free(self);
}

static struct fork *find(struct voter *self, uint64_t epoch, uint64_t view)
{
    for (uint32_t i = 0; i < FORKS; i++) {
        struct fork *fork = &self->forks[i];
        if (fork->blocks[0] != NULL && fork->epoch == epoch && fork->view == view) {
            return fork;
        }
    }
    return NULL;
}

/* True: now there are two blocks of that view. Takes the reference. */
static bool add(struct voter *self, uint64_t epoch, uint64_t view, struct dsmr_block *block)
{
    struct fork *fork = find(self, epoch, view);
    if (fork == NULL) {
        fork = &self->forks[self->next++ % FORKS];
        drop(fork);
        *fork = (struct fork){.epoch = epoch, .view = view, .blocks[0] = block};
        return false;
    }
    int order = memcmp(block->id.bytes, fork->blocks[0]->id.bytes, sizeof(block->id.bytes));
    if (order == 0 || fork->blocks[1] != NULL) {
        dsmr_block_unref(block);
        return false;
    }
    fork->blocks[1] = order > 0 ? block : fork->blocks[0];
    fork->blocks[0] = order > 0 ? fork->blocks[0] : block;
    return true;
}

/* The block that to is to believe in. */
static const struct dsmr_block *meant_for(const struct dsmr_sim *sim, const struct fork *fork,
                                          uint32_t to)
{
    uint32_t side = dsmr_sim_byz_side(sim, to);
    return fork->blocks[fork->blocks[1] == NULL ? 0 : side];
}

/* ---- proposals ---- */

/* As good a block as the other. */
static struct dsmr_block *twin_of(const struct dsmr_sim *sim, const struct dsmr_block *block)
{
    struct dsmr_block fields = *block, *twin = NULL;
    fields.time_ms++;
    enum dsmr_err err = dsmr_block_build(&twin, dsmr_sim_byz_params(sim), &fields);
    DSMR_ASSERT(err == DSMR_OK);
    return twin;
}

static void send_proposal(struct dsmr_sim *sim, uint32_t node, uint32_t to,
                          const struct dsmr_msg *like, const struct dsmr_block *block)
{
    struct dsmr_msg msg = *like;
    msg.u.proposal.block_id = block->id;
    msg.u.proposal.block = block->bytes->bytes;
    msg.u.proposal.block_len = (uint32_t)block->bytes->len;
    dsmr_sim_byz_send(sim, node, to, &msg);
}

static bool propose(struct voter *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                    const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    uint64_t epoch = msg->u.proposal.epoch, view = msg->u.proposal.view;
    struct dsmr_block *block = dsmr_sim_byz_block(sim, msg, bytes);
    if (block == NULL) {
        return true;
    }
    const struct fork *fork = find(self, epoch, view);
    if (fork == NULL || fork->blocks[1] == NULL) {
        (void)add(self, epoch, view, dsmr_block_ref(block));
        (void)add(self, epoch, view, twin_of(sim, block));
        fork = find(self, epoch, view);
    }
    dsmr_block_unref(block);
    uint32_t side = dsmr_sim_byz_side(sim, to);
    send_proposal(sim, node, to, msg, fork->blocks[side]);
    if (dsmr_sim_byz_is(sim, to) || dsmr_sim_byz_random(sim, BOTH) == 0) {
        send_proposal(sim, node, to, msg, fork->blocks[1 - side]);
    }
    return false;
}

/* ---- votes ---- */

static void vote(struct dsmr_sim *sim, uint32_t node, uint32_t to,
                 const struct dsmr_vote_subject *subject)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_VOTE, .u.vote.subject = *subject};
    msg.u.vote.sig = dsmr_sim_byz_vote(sim, node, subject);
    dsmr_sim_byz_send(sim, node, to, &msg);
}

static void vote_for(struct dsmr_sim *sim, uint32_t node, uint32_t to, const struct fork *fork,
                     uint8_t kind)
{
    const struct dsmr_block *block = meant_for(sim, fork, to);
    struct dsmr_vote_subject subject = {.epoch = fork->epoch,
                                        .view = fork->view,
                                        .height = block->height,
                                        .block_id = block->id,
                                        .kind = kind};
    vote(sim, node, to, &subject);
}

static void vote_nullify(struct dsmr_sim *sim, uint32_t node, uint32_t to,
                         const struct dsmr_vote_subject *instead_of)
{
    struct dsmr_vote_subject subject = {
        .epoch = instead_of->epoch, .view = instead_of->view, .kind = DSMR_VOTE_NULLIFY};
    vote(sim, node, to, &subject);
}

/* A vote of the honest code. False: to hears something else. */
static bool revote(struct voter *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                   const struct dsmr_vote_subject *subject)
{
    const struct fork *fork = find(self, subject->epoch, subject->view);
    bool is_other_side = dsmr_sim_byz_side(sim, to) == 1;
    bool hears_both = dsmr_sim_byz_random(sim, BOTH) == 0;
    if (subject->kind == DSMR_VOTE_NULLIFY) {
        if (fork == NULL || !is_other_side) {
            return true;
        }
        vote_for(sim, node, to, fork, DSMR_VOTE_FINALIZE);
        return hears_both;
    }
    if (subject->kind == DSMR_VOTE_FINALIZE && is_other_side) {
        vote_nullify(sim, node, to, subject);
        return hears_both;
    }
    if (fork != NULL && fork->blocks[1] != NULL) {
        vote_for(sim, node, to, fork, subject->kind);
        return hears_both;
    }
    if (hears_both) {
        struct dsmr_vote_subject invented = *subject;
        dsmr_sim_byz_random_id(sim, &invented.block_id);
        vote(sim, node, to, &invented);
    }
    return true;
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    if (msg->type == DSMR_MSG_BFT_PROPOSAL) {
        return propose(ctx, sim, node, to, msg, bytes);
    }
    return msg->type != DSMR_MSG_BFT_VOTE || revote(ctx, sim, node, to, &msg->u.vote.subject);
}

/* ---- what it is told ---- */

static void on_proposal(struct voter *self, struct dsmr_sim *sim, uint32_t node,
                        const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_block *block = dsmr_sim_byz_block(sim, msg, bytes);
    if (block == NULL || !add(self, msg->u.proposal.epoch, msg->u.proposal.view, block)) {
        return;
    }
    const struct fork *fork = find(self, msg->u.proposal.epoch, msg->u.proposal.view);
    for (uint32_t to = 0; to < dsmr_sim_byz_nodes(sim); to++) {
        if (to != node) {
            vote_for(sim, node, to, fork, DSMR_VOTE_NOTARIZE);
        }
    }
}

/* It serves what it invented. */
static bool serve(struct voter *self, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_id *block_id)
{
    for (uint32_t i = 0; i < 2 * FORKS; i++) {
        const struct dsmr_block *block = self->forks[i / 2].blocks[i % 2];
        if (block != NULL && dsmr_id_equal(&block->id, block_id)) {
            struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCK};
            msg.u.block.block = block->bytes->bytes;
            msg.u.block.block_len = (uint32_t)block->bytes->len;
            dsmr_sim_byz_send(sim, node, to, &msg);
            return true;
        }
    }
    return false;
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    if (msg->type == DSMR_MSG_BFT_PROPOSAL) {
        on_proposal(ctx, sim, node, msg, bytes);
    }
    return msg->type != DSMR_MSG_BFT_REQUEST_BLOCK ||
           !serve(ctx, sim, node, from, &msg->u.request_block.block_id);
}

static bool issues(void *ctx, struct dsmr_sim *sim, uint32_t node, struct dsmr_block *block,
                   uint64_t context)
{
    struct dsmr_block *twin = twin_of(sim, block);
    (void)ctx;
    dsmr_sim_byz_issue(sim, node, twin, context);
    dsmr_block_unref(twin);
    return true;
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_voter = {.name = "voter",
                                                    .make = make,
                                                    .free = free_self,
                                                    .sends = sends,
                                                    .receives = receives,
                                                    .issues = issues};
