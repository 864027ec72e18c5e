#include "base/assert.h"
#include "base/bitset.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

void dsmr_bft_qc_send(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc, uint32_t peer)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_QUORUM_CERT};
    msg.u.quorum_cert = *qc;
    if (peer == DSMR_BFT_NO_PEER) {
        dsmr_bft_outbox_broadcast(bft, &msg, NULL);
    } else {
        dsmr_bft_outbox_send(bft, peer, &msg, NULL);
    }
}

static bool is_well_formed(const struct dsmr_bft *bft, const struct dsmr_vote_subject *subject,
                           uint32_t instance)
{
    /* One below from_height: a re-proposal of the root. */
    if (subject->view == 0 || subject->view == UINT64_MAX) {
        return false;
    }
    if (subject->kind == DSMR_VOTE_NULLIFY) {
        return subject->height == 0 && dsmr_id_is_zero(&subject->block_id);
    }
    return (subject->kind == DSMR_VOTE_NOTARIZE || subject->kind == DSMR_VOTE_FINALIZE) &&
           subject->height < dsmr_bft_instance_end(bft, instance) &&
           subject->height + 1 >= bft->schedule[instance].from_height;
}

enum dsmr_err dsmr_bft_qc_precheck(const struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc,
                                   struct dsmr_validator_set **set)
{
    int instance = dsmr_bft_instance_by_epoch(bft, qc->subject.epoch);
    if (instance < 0 || !is_well_formed(bft, &qc->subject, (uint32_t)instance)) {
        return DSMR_ERR_BAD_VOTE;
    }
    struct dsmr_validator_set *of = bft->schedule[instance].set;
    uint32_t end = dsmr_bitset_end(&qc->signers);
    if (end == 0 || end > of->count) {
        return DSMR_ERR_BITSET;
    }
    for (uint32_t i = 0; i < end; i++) {
        if (dsmr_bitset_has(&qc->signers, i) && of->validators[i].node_ids_count != 1) {
            return DSMR_ERR_BITSET; /* a key of several nodes: none of them may sign */
        }
    }
    if (!dsmr_is_quorum(dsmr_bitset_weight(&qc->signers, of), of->total_weight)) {
        return DSMR_ERR_UNDER_QUORUM;
    }
    *set = of;
    return DSMR_OK;
}

bool dsmr_bft_qc_check(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_quorum_cert *qc,
                       bool is_catch_up)
{
    struct dsmr_validator_set *set = NULL;
    uint32_t same = 0;
    if (dsmr_bft_qc_precheck(bft, qc, &set) != DSMR_OK || bft->checks >= DSMR_BFT_CHECKS_MAX ||
        bft->peers[peer].checks >= DSMR_BFT_CHECKS_PER_PEER_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < bft->ops_end && !is_catch_up; i++) {
        const struct dsmr_bft_op *other = &bft->ops[i];
        if (other->kind == DSMR_BFT_OP_CHECK && !other->is_catch_up &&
            dsmr_vote_subject_equal(&other->qc.subject, &qc->subject)) {
            same += other->peer == peer ? DSMR_BFT_CHECKS_PER_SUBJECT : 1u;
        }
    }
    struct dsmr_bft_op *op =
        same < DSMR_BFT_CHECKS_PER_SUBJECT ? dsmr_bft_op_add(bft, DSMR_BFT_OP_CHECK) : NULL;
    if (op == NULL) {
        return false;
    }
    op->peer = peer;
    op->is_catch_up = is_catch_up;
    op->qc = *qc;
    bft->checks++;
    bft->peers[peer].checks++;
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_CHECK_QC);
    effect->request_id = op->request_id;
    effect->u.check.qc = *qc;
    effect->u.check.set = dsmr_validator_set_ref(set);
    return true;
}

/* docs/bft.md, rule 7.1: whether qc could teach us anything. */
static bool is_news(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_vote_subject *subject)
{
    int instance = dsmr_bft_instance_by_epoch(bft, subject->epoch);
    if (instance >= 0 && (uint32_t)instance < bft->instance) {
        dsmr_bft_peer_answer_stale(bft, peer);
        return false;
    }
    if ((uint32_t)instance > bft->instance) {
        if (subject->kind != DSMR_VOTE_FINALIZE) {
            dsmr_catch_up_hint(bft, peer);
            return false;
        }
        return subject->height > bft->accepted->height &&
               subject->height > bft->catch_up.target_height;
    }
    const struct dsmr_bft_round *round = dsmr_round_find(bft, subject->view);
    bool is_own_coming = round != NULL && round->is_aggregating[subject->kind - 1];
    if (subject->kind == DSMR_VOTE_FINALIZE) {
        return subject->view > bft->final_view && !is_own_coming;
    }
    return bft->self >= 0 && !is_own_coming && !dsmr_view_log_knows(bft, subject);
}

void dsmr_bft_qc_on_message(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg)
{
    const struct dsmr_quorum_cert *qc = &msg->u.quorum_cert;
    struct dsmr_validator_set *set = NULL;
    enum dsmr_err err = dsmr_bft_qc_precheck(bft, qc, &set);
    if (err != DSMR_OK) {
        dsmr_bft_outbox_fault(bft, peer, err);
        return;
    }
    if (is_news(bft, peer, &qc->subject)) {
        if (!dsmr_bft_qc_check(bft, peer, qc, false)) {
            bft->missed_peer = peer; /* at a limit, and perhaps nobody will say it again */
        }
    }
}

void dsmr_bft_qc_on_checked(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_CHECK, request_id);
    if (op == NULL) {
        return;
    }
    struct dsmr_quorum_cert qc = op->qc;
    uint32_t peer = op->peer;
    bool is_catch_up = op->is_catch_up;
    DSMR_ASSERT(bft->checks > 0 && bft->peers[peer].checks > 0);
    bft->checks--;
    bft->peers[peer].checks--;
    dsmr_block_pace_on_checked(bft, op);
    dsmr_bft_op_end(bft, op);
    if (err != DSMR_OK && dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER) {
        dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_BAD_VOTE);
    }
    if (is_catch_up) {
        dsmr_catch_up_on_checked(bft, err);
    } else if (err == DSMR_OK) {
        dsmr_bft_qc_apply(bft, &qc, peer);
    } else {
        dsmr_tally_on_bad_cert(bft, &qc.subject);
    }
}

/* Peers outside the set hear of a finalization from those who vote: they follow by it. */
static void tell_followers(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc)
{
    uint32_t told = 0;
    for (uint32_t i = 0; i < bft->peers_count && told < DSMR_BFT_FOLLOWERS_TOLD_MAX; i++) {
        uint32_t peer = (bft->peer_turn + i) % bft->peers_count;
        if (bft->peers[peer].is_up &&
            dsmr_validator_set_find(bft->set, &bft->peers[peer].node_id) < 0) {
            dsmr_bft_qc_send(bft, qc, peer);
            told++;
        }
    }
}

static void leave_view(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc)
{
    uint64_t jump = qc->subject.view - bft->view;
    if (qc->subject.kind == DSMR_VOTE_NULLIFY || bft->is_timed_out) {
        bft->failed_views += jump < 16 ? (uint32_t)jump + 1u : 16u;
        bft->failed_views = bft->failed_views < 64 ? bft->failed_views : 64;
    }
    dsmr_round_enter(bft, qc->subject.view + 1);
}

static void apply_finalization(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc,
                               uint32_t peer)
{
    if (qc->subject.height > bft->accepted->height) {
        bft->catch_up.hint = peer;
    }
    if (qc->subject.epoch != bft->set->epoch) {
        int instance = dsmr_bft_instance_by_epoch(bft, qc->subject.epoch);
        if (instance > (int)bft->instance) {
            dsmr_catch_up_target(bft, qc->subject.height, peer);
        }
        return;
    }
    if (!dsmr_finality_note(bft, qc)) {
        return;
    }
    if (bft->self >= 0) {
        dsmr_bft_qc_send(bft, qc, DSMR_BFT_NO_PEER);
        tell_followers(bft, qc);
    }
    if (qc->subject.view >= bft->view) {
        dsmr_round_enter(bft, qc->subject.view + 1);
        bft->has_entry_qc = false;
    }
}

void dsmr_bft_qc_apply(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc, uint32_t peer)
{
    bool is_notarization = qc->subject.kind == DSMR_VOTE_NOTARIZE;
    if (qc->subject.kind == DSMR_VOTE_FINALIZE) {
        apply_finalization(bft, qc, peer);
        return;
    }
    if (qc->subject.epoch != bft->set->epoch || !dsmr_view_log_add(bft, qc)) {
        return;
    }
    dsmr_bft_journal_save(bft, qc);
    dsmr_bft_outbox_trace(bft,
                          is_notarization ? DSMR_BFT_TRACE_NOTARIZED : DSMR_BFT_TRACE_NULLIFIED,
                          qc->subject.view, qc->subject.height);
    if (is_notarization) {
        dsmr_candidate_want(bft, &qc->subject.block_id);
    }
    if (qc->subject.view < bft->view) {
        return;
    }
    dsmr_bft_qc_send(bft, qc, DSMR_BFT_NO_PEER);
    leave_view(bft, qc);
    bft->entry_qc = *qc;
    bft->has_entry_qc = true;
    if (is_notarization) {
        dsmr_voting_finalize(bft, qc);
    }
}
