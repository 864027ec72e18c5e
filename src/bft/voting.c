#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

static void send_vote(struct dsmr_bft *bft, const struct dsmr_bft_own_vote *own, uint32_t peer)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_VOTE};
    msg.u.vote.subject = own->subject;
    msg.u.vote.sig = own->sig;
    if (peer == DSMR_BFT_NO_PEER) {
        dsmr_bft_outbox_broadcast(bft, &msg, NULL);
    } else {
        dsmr_bft_outbox_send(bft, peer, &msg, NULL);
    }
}

/* docs/bft.md, rule 12: decide, store, and only when that is durable sign and send. */
static void store(struct dsmr_bft *bft, struct dsmr_bft_round *round,
                  const struct dsmr_vote_subject *subject)
{
    struct dsmr_bft_own_vote *own = &round->own[subject->kind - 1];
    dsmr_bft_journal_save_again(bft); /* what led into the view, if it is not there */
    struct dsmr_bft_op *op = dsmr_bft_op_add(bft, DSMR_BFT_OP_STORE_VOTE);
    if (op == NULL) {
        return; /* the disk is far behind; votes wait until it answers */
    }
    op->qc.subject = *subject;
    if (!dsmr_bft_journal_vote(bft, op, &round->proposal)) {
        dsmr_bft_op_end(bft, op);
        return;
    }
    own->subject = *subject;
    own->state = DSMR_BFT_OWN_STORING;
}

static void cast(struct dsmr_bft *bft, struct dsmr_bft_round *round,
                 const struct dsmr_vote_subject *subject)
{
    const struct dsmr_bft_own_vote *own = &round->own[subject->kind - 1];
    DSMR_ASSERT(dsmr_doubt_may_vote(bft, subject->view)); /* INV-BFT-6 */
    DSMR_ASSERT(own->state == DSMR_BFT_OWN_NONE);         /* INV-BFT-1 */
    DSMR_ASSERT(subject->kind == DSMR_VOTE_NOTARIZE ||    /* INV-BFT-2 */
                round->own[subject->kind == DSMR_VOTE_NULLIFY ? DSMR_VOTE_FINALIZE - 1
                                                              : DSMR_VOTE_NULLIFY - 1]
                        .state == DSMR_BFT_OWN_NONE);
    store(bft, round, subject);
}

static void sign(struct dsmr_bft *bft, struct dsmr_bft_own_vote *own)
{
    DSMR_ASSERT(own->state == DSMR_BFT_OWN_STORING); /* INV-BFT-3: and its record is durable */
    /* A vote of this life comes from its durable record, one of an earlier life was read there. */
    DSMR_ASSERT(own->state != DSMR_BFT_OWN_NONE); /* INV-BFT-3 */
    DSMR_ASSERT(own->state != DSMR_BFT_OWN_SIGNING);
    struct dsmr_bft_op *op = dsmr_bft_op_add(bft, DSMR_BFT_OP_SIGN);
    if (op == NULL) {
        own->state = DSMR_BFT_OWN_FAILED;
        return;
    }
    own->state = DSMR_BFT_OWN_SIGNING;
    op->qc.subject = own->subject;
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_SIGN);
    effect->request_id = op->request_id;
    effect->u.sign = own->subject;
}

/* The own vote that op speaks of; NULL if it no longer matters. */
static struct dsmr_bft_own_vote *own_of(const struct dsmr_bft *bft, const struct dsmr_bft_op *op,
                                        struct dsmr_bft_round **round)
{
    const struct dsmr_vote_subject *subject = &op->qc.subject;
    if (subject->epoch != bft->set->epoch) {
        return NULL;
    }
    *round = dsmr_round_find(bft, subject->view);
    if (*round == NULL) {
        return NULL;
    }
    struct dsmr_bft_own_vote *own = &(*round)->own[subject->kind - 1];
    return dsmr_vote_subject_equal(&own->subject, subject) ? own : NULL;
}

void dsmr_voting_on_stored(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_STORE_VOTE, request_id);
    if (op == NULL) {
        return; /* another record */
    }
    struct dsmr_bft_round *round = NULL;
    struct dsmr_bft_own_vote *own = own_of(bft, op, &round);
    dsmr_bft_op_end(bft, op);
    if (own == NULL || own->state != DSMR_BFT_OWN_STORING) {
        return;
    }
    if (err != DSMR_OK) {
        own->state = DSMR_BFT_OWN_FAILED; /* it may be on disk or not: never another one */
        return;
    }
    /* The proposal leaves only now, so that a leader that restarts finds it in its journal. */
    if (own->subject.kind == DSMR_VOTE_NOTARIZE && round->view == bft->view &&
        round->proposal.is_set && round->proposal.peer == DSMR_BFT_NO_PEER) {
        dsmr_proposal_send(bft, round, DSMR_BFT_NO_PEER);
    }
    sign(bft, own);
}

void dsmr_voting_on_signed(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err,
                           const struct dsmr_bls_sig *sig)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_SIGN, request_id);
    if (op == NULL) {
        return;
    }
    struct dsmr_bft_round *round = NULL;
    struct dsmr_bft_own_vote *own = own_of(bft, op, &round);
    dsmr_bft_op_end(bft, op);
    if (own == NULL || own->state != DSMR_BFT_OWN_SIGNING) {
        return;
    }
    if (err != DSMR_OK) {
        own->state = DSMR_BFT_OWN_FAILED;
        return;
    }
    DSMR_ASSERT(own->state == DSMR_BFT_OWN_SIGNING); /* INV-BFT-3: signing follows storing */
    own->state = DSMR_BFT_OWN_SIGNED;
    own->sig = *sig;
    send_vote(bft, own, DSMR_BFT_NO_PEER);
    dsmr_tally_add_own(bft, own);
}

void dsmr_voting_resume(struct dsmr_bft *bft, struct dsmr_bft_own_vote *own)
{
    sign(bft, own);
}

/* docs/bft.md, rule 5, 1 to 4: whether the proposal's place in the tree is right. height: of the
 * block to vote for. What is missing is asked for. */
static bool is_well_placed(struct dsmr_bft *bft, const struct dsmr_bft_round *round,
                           uint64_t *height)
{
    const struct dsmr_bft_proposal *proposal = &round->proposal;
    struct dsmr_id parent_id;
    uint64_t parent_height = 0;
    uint64_t missing[2];
    if (proposal->parent_view < bft->final_view) {
        return false; /* a final view cannot have been nullified */
    }
    if (!dsmr_view_log_block_at(bft, proposal->parent_view, &parent_id, &parent_height)) {
        if (proposal->parent_view > 0) {
            dsmr_block_fetch_views(bft, proposal->parent_view, proposal->parent_view,
                                   proposal->peer);
        }
        return false;
    }
    if (!dsmr_id_equal(&parent_id, &proposal->parent_id)) {
        return false;
    }
    if (!dsmr_view_log_nullified_between(bft, proposal->parent_view, round->view, missing)) {
        dsmr_block_fetch_views(bft, missing[0], missing[1], proposal->peer);
        return false;
    }
    *height = proposal->block == NULL ? parent_height : parent_height + 1;
    if (proposal->block == NULL) {
        return true;
    }
    return proposal->block->height == *height &&
           *height < dsmr_bft_instance_end(bft, bft->instance) &&
           *height <= bft->accepted->height + DSMR_BFT_DEPTH_MAX;
}

/* Rule 5.5: the block layer finds the block valid. */
static bool is_found_valid(struct dsmr_bft *bft, struct dsmr_bft_proposal *proposal)
{
    struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &proposal->block_id);
    if (proposal->block == NULL) {
        return true;
    }
    if (candidate == NULL) {
        candidate = dsmr_candidate_add(bft, proposal->block);
    }
    if (candidate == NULL) {
        return false;
    }
    if (candidate->state == DSMR_BFT_CANDIDATE_HELD &&
        !dsmr_candidate_is_usable(bft, &proposal->parent_id)) {
        (void)dsmr_block_fetch_chain(bft, &proposal->parent_id, proposal->peer);
    }
    return candidate->state == DSMR_BFT_CANDIDATE_VALID;
}

void dsmr_voting_try(struct dsmr_bft *bft)
{
    struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    uint64_t height;
    if (bft->self < 0 || round == NULL || !round->proposal.is_set ||
        round->own[DSMR_VOTE_NOTARIZE - 1].state != DSMR_BFT_OWN_NONE ||
        !dsmr_doubt_may_vote(bft, bft->view)) {
        return;
    }
    if (!is_well_placed(bft, round, &height) || !is_found_valid(bft, &round->proposal)) {
        return;
    }
    struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &round->proposal.block_id);
    if (candidate != NULL) {
        candidate->is_voted = true;
    }
    struct dsmr_vote_subject subject = {
        .epoch = bft->set->epoch,
        .view = bft->view,
        .height = height,
        .block_id = round->proposal.block_id,
        .kind = DSMR_VOTE_NOTARIZE,
    };
    cast(bft, round, &subject);
}

void dsmr_voting_nullify(struct dsmr_bft *bft)
{
    struct dsmr_bft_round *round = dsmr_round_open(bft, bft->view);
    if (bft->self < 0 || round->own[DSMR_VOTE_NULLIFY - 1].state != DSMR_BFT_OWN_NONE ||
        round->own[DSMR_VOTE_FINALIZE - 1].state != DSMR_BFT_OWN_NONE ||
        !dsmr_doubt_may_vote(bft, bft->view)) {
        return;
    }
    struct dsmr_vote_subject subject = {
        .epoch = bft->set->epoch,
        .view = bft->view,
        .kind = DSMR_VOTE_NULLIFY,
    };
    cast(bft, round, &subject);
}

void dsmr_voting_finalize(struct dsmr_bft *bft, const struct dsmr_quorum_cert *notarization)
{
    struct dsmr_bft_round *round = dsmr_round_open(bft, notarization->subject.view);
    if (bft->self < 0 || round == NULL ||
        round->own[DSMR_VOTE_FINALIZE - 1].state != DSMR_BFT_OWN_NONE ||
        round->own[DSMR_VOTE_NULLIFY - 1].state != DSMR_BFT_OWN_NONE ||
        !dsmr_doubt_may_vote(bft, notarization->subject.view)) {
        return;
    }
    struct dsmr_vote_subject subject = notarization->subject;
    subject.kind = DSMR_VOTE_FINALIZE;
    cast(bft, round, &subject);
}

/* A vote that helps others to go on: of the view itself, or FINALIZE of one that is not final. */
static bool is_useful(const struct dsmr_bft *bft, const struct dsmr_bft_own_vote *own,
                      enum dsmr_bft_own_state state)
{
    return own->state == (uint8_t)state &&
           (own->subject.view == bft->view ||
            (own->subject.kind == DSMR_VOTE_FINALIZE && own->subject.view > bft->final_view &&
             own->subject.height > bft->accepted->height));
}

void dsmr_voting_resend(struct dsmr_bft *bft, uint32_t peer)
{
    uint64_t low = bft->view > DSMR_BFT_VIEWS_BEHIND ? bft->view - DSMR_BFT_VIEWS_BEHIND : 1;
    for (uint64_t view = low; view <= bft->view; view++) {
        struct dsmr_bft_round *round = dsmr_round_find(bft, view);
        for (uint32_t kind = 0; round != NULL && kind < 3; kind++) {
            if (is_useful(bft, &round->own[kind], DSMR_BFT_OWN_SIGNED)) {
                send_vote(bft, &round->own[kind], peer);
            }
        }
    }
}

void dsmr_voting_again(struct dsmr_bft *bft)
{
    uint64_t low = bft->view > DSMR_BFT_VIEWS_BEHIND ? bft->view - DSMR_BFT_VIEWS_BEHIND : 1;
    for (uint64_t view = low; view <= bft->view; view++) {
        struct dsmr_bft_round *round = dsmr_round_find(bft, view);
        for (uint32_t kind = 0; round != NULL && kind < 3; kind++) {
            if (is_useful(bft, &round->own[kind], DSMR_BFT_OWN_FAILED)) {
                struct dsmr_vote_subject subject = round->own[kind].subject;
                store(bft, round, &subject);
            }
        }
    }
}
