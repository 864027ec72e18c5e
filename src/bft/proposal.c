#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

/* ---- what others propose: docs/bft.md, rule 4 ---- */

static bool is_same(const struct dsmr_bft_proposal *held, const struct dsmr_msg *msg)
{
    return held->parent_view == msg->u.proposal.parent_view &&
           dsmr_id_equal(&held->parent_id, &msg->u.proposal.parent_id) &&
           dsmr_id_equal(&held->block_id, &msg->u.proposal.block_id);
}

/* Decodes the proposed block, NULL for a re-proposal. */
static enum dsmr_err decode(const struct dsmr_bft *bft, struct dsmr_block **out,
                            const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_block *block = NULL;
    if (msg->u.proposal.block_len == 0) {
        *out = NULL;
        return dsmr_id_equal(&msg->u.proposal.block_id, &msg->u.proposal.parent_id)
                   ? DSMR_OK
                   : DSMR_ERR_BAD_PROPOSAL;
    }
    enum dsmr_err err = dsmr_block_decode(&block, &bft->params, bytes, msg->u.proposal.block,
                                          msg->u.proposal.block_len);
    if (err != DSMR_OK) {
        return err;
    }
    if (!dsmr_id_equal(&block->id, &msg->u.proposal.block_id) ||
        !dsmr_id_equal(&block->parent_id, &msg->u.proposal.parent_id)) {
        dsmr_block_unref(block);
        return DSMR_ERR_BAD_PROPOSAL;
    }
    *out = block;
    return DSMR_OK;
}

static bool is_for_this_view(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg)
{
    int instance = dsmr_bft_instance_by_epoch(bft, msg->u.proposal.epoch);
    if (instance < 0) {
        dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_BAD_PROPOSAL);
        return false;
    }
    if ((uint32_t)instance != bft->instance) {
        if ((uint32_t)instance > bft->instance) {
            dsmr_catch_up_hint(bft, peer);
        } else {
            dsmr_bft_peer_answer_stale(bft, peer);
        }
        return false;
    }
    return bft->self >= 0;
}

void dsmr_proposal_on_message(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg,
                              struct dsmr_buf *bytes)
{
    uint64_t view = msg->u.proposal.view;
    if (!is_for_this_view(bft, peer, msg)) {
        return;
    }
    int leader = dsmr_leader_of(bft, view);
    if (leader < 0 || leader != dsmr_validator_set_find(bft->set, &bft->peers[peer].node_id)) {
        dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_BAD_PROPOSAL);
        return;
    }
    if (view < bft->view) {
        return; /* common: the view was decided while it travelled */
    }
    struct dsmr_bft_round *round = dsmr_round_open(bft, view);
    if (round == NULL) {
        dsmr_bft_peer_ask_position(bft, peer);
        return;
    }
    if (round->proposal.is_set) {
        if (!is_same(&round->proposal, msg)) {
            dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_BAD_PROPOSAL); /* the first one stands */
        }
        return;
    }
    struct dsmr_block *block = NULL;
    enum dsmr_err err = msg->u.proposal.parent_view < view ? decode(bft, &block, msg, bytes)
                                                           : DSMR_ERR_BAD_PROPOSAL;
    if (err != DSMR_OK) {
        if (err != DSMR_ERR_NO_MEMORY) {
            dsmr_bft_outbox_fault(bft, peer, err);
        }
        return;
    }
    round->proposal = (struct dsmr_bft_proposal){
        .is_set = true,
        .peer = peer,
        .parent_view = msg->u.proposal.parent_view,
        .parent_id = msg->u.proposal.parent_id,
        .block_id = msg->u.proposal.block_id,
        .block = block,
    };
    dsmr_leader_on_word(bft, peer, NULL);
    if (block != NULL) {
        dsmr_block_pace_on_block(bft);
    }
    if (view > bft->seen_view) {
        bft->seen_view = view;
    }
}

/* ---- what we propose: docs/bft.md, rule 3 ---- */

void dsmr_proposal_send(struct dsmr_bft *bft, const struct dsmr_bft_round *round, uint32_t peer)
{
    const struct dsmr_bft_proposal *proposal = &round->proposal;
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_PROPOSAL};
    struct dsmr_buf *body = proposal->block != NULL ? proposal->block->bytes : NULL;
    msg.u.proposal.epoch = bft->set->epoch;
    msg.u.proposal.view = round->view;
    msg.u.proposal.parent_view = proposal->parent_view;
    msg.u.proposal.parent_id = proposal->parent_id;
    msg.u.proposal.block_id = proposal->block_id;
    if (body != NULL) {
        msg.u.proposal.block = body->bytes;
        msg.u.proposal.block_len = body->len;
    }
    if (peer == DSMR_BFT_NO_PEER) {
        dsmr_bft_outbox_broadcast(bft, &msg, body);
    } else {
        dsmr_bft_outbox_send(bft, peer, &msg, body);
    }
}

static void propose(struct dsmr_bft *bft, uint64_t parent_view, const struct dsmr_id *parent_id,
                    struct dsmr_block *block)
{
    struct dsmr_bft_round *round = dsmr_round_open(bft, bft->view);
    DSMR_ASSERT(round != NULL && !round->proposal.is_set);
    DSMR_ASSERT(dsmr_doubt_may_vote(bft, bft->view)); /* INV-BFT-6 */
    round->proposal = (struct dsmr_bft_proposal){
        .is_set = true,
        .peer = DSMR_BFT_NO_PEER,
        .parent_view = parent_view,
        .parent_id = *parent_id,
        .block_id = block != NULL ? block->id : *parent_id,
        .block = dsmr_block_ref(block),
    };
    if (block != NULL) {
        dsmr_block_pace_on_block(bft);
    }
    bft->seen_view = bft->view > bft->seen_view ? bft->view : bft->seen_view;
    dsmr_bft_outbox_trace(bft, DSMR_BFT_TRACE_PROPOSED, bft->view, 0);
}

static void build(struct dsmr_bft *bft, uint64_t parent_view, const struct dsmr_id *parent_id)
{
    struct dsmr_bft_op *op = dsmr_bft_op_add(bft, DSMR_BFT_OP_BUILD);
    if (op == NULL) {
        return;
    }
    op->parent_id = *parent_id;
    op->parent_view = parent_view;
    op->qc.subject.epoch = bft->set->epoch;
    op->qc.subject.view = bft->view;
    bft->is_building = true;
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_BUILD);
    effect->request_id = op->request_id;
    effect->u.block.parent_id = *parent_id;
    effect->u.block.epoch = bft->set->epoch;
}

/* The view's quorum may still be about to finalize the parent; only when that takes long, or a
 * view between was nullified, is it worth proposing the parent again. */
static void repropose(struct dsmr_bft *bft, uint64_t parent_view, const struct dsmr_id *parent_id)
{
    uint64_t at = bft->entered_ms;
    if (parent_view + 1 == bft->view) {
        at += bft->view_timeout_ms / 4u;
    }
    if (bft->now_ms < at) {
        bft->propose_ms = at;
        return;
    }
    propose(bft, parent_view, parent_id, NULL);
}

static bool may_lead(const struct dsmr_bft *bft)
{
    const struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    return bft->self >= 0 && dsmr_leader_of(bft, bft->view) == bft->self && !bft->is_building &&
           dsmr_pacemaker_is_needed(bft) && dsmr_doubt_may_vote(bft, bft->view) &&
           (round == NULL || (!round->proposal.is_set &&
                              round->own[DSMR_VOTE_NOTARIZE - 1].state == DSMR_BFT_OWN_NONE));
}

void dsmr_proposal_try(struct dsmr_bft *bft)
{
    uint64_t parent_view, missing, height;
    struct dsmr_id parent_id;
    bft->propose_ms = UINT64_MAX;
    if (!may_lead(bft)) {
        return;
    }
    if (!dsmr_view_log_parent_of(bft, bft->view, &parent_view, &missing)) {
        uint64_t low =
            missing > DSMR_BFT_VIEWS_ASKED_MAX ? missing - DSMR_BFT_VIEWS_ASKED_MAX + 1u : 1u;
        low = low > bft->final_view ? low : bft->final_view + 1;
        dsmr_block_fetch_views(bft, low, missing, DSMR_BFT_NO_PEER);
        return;
    }
    if (!dsmr_view_log_block_at(bft, parent_view, &parent_id, &height)) {
        return; /* the root is not known: a final view will come by catch-up */
    }
    bool is_last = height + 1 == dsmr_bft_instance_end(bft, bft->instance);
    bool is_deep = height >= bft->accepted->height + DSMR_BFT_DEPTH_MAX;
    bool may_repeat =
        height > bft->accepted->height || bft->view - bft->final_view > DSMR_BFT_CHECKPOINT_VIEWS;
    if (is_last || is_deep || !bft->is_wanted || bft->is_build_refused) {
        if (may_repeat) {
            repropose(bft, parent_view, &parent_id);
            return;
        }
    }
    if (is_last || is_deep || !bft->is_wanted) {
        return;
    }
    if (!dsmr_candidate_is_usable(bft, &parent_id)) {
        (void)dsmr_block_fetch_chain(bft, &parent_id, DSMR_BFT_NO_PEER);
        return;
    }
    uint64_t due_ms = dsmr_block_pace_due_ms(bft);
    due_ms = due_ms > bft->build_after_ms ? due_ms : bft->build_after_ms;
    if (bft->now_ms < due_ms) {
        bft->propose_ms = due_ms;
        return;
    }
    build(bft, parent_view, &parent_id);
}

void dsmr_proposal_on_built(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err,
                            struct dsmr_block *block)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_BUILD, request_id);
    if (op == NULL) {
        return;
    }
    struct dsmr_id parent_id = op->parent_id;
    uint64_t parent_view = op->parent_view;
    bool is_current = op->qc.subject.epoch == bft->set->epoch && op->qc.subject.view == bft->view;
    dsmr_bft_op_end(bft, op);
    if (!is_current) {
        return; /* the view went on: the block is nothing to anyone */
    }
    bft->is_building = false;
    const struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    if (err == DSMR_OK && (round == NULL || !round->proposal.is_set) && block != NULL &&
        dsmr_id_equal(&block->parent_id, &parent_id) && dsmr_candidate_add(bft, block) != NULL) {
        propose(bft, parent_view, &parent_id, block);
        return;
    }
    /* Nothing to build, or not yet: again when WANTED says so, or after a while. */
    bft->is_build_refused = true;
    bft->build_after_ms = bft->now_ms + dsmr_prng_jitter(&bft->prng, bft->retry_ms);
}
