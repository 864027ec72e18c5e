#include "base/assert.h"
#include "bft/engine_state.h"

/* docs/bft.md, rule 8: an idle network needs no timer; nor does who does not know yet from which
 * view on it votes. */
bool dsmr_pacemaker_is_needed(const struct dsmr_bft *bft)
{
    return bft->self >= 0 && bft->doubt.is_over &&
           (bft->is_wanted || dsmr_view_log_has_unfinalized(bft) || bft->seen_view >= bft->view);
}

/* Doubles with each failed view up to the configured maximum. Beyond that, once in 256 views:
 * should an adversary keep views failing for hours, their number stays within the log. */
uint64_t dsmr_pacemaker_timeout(const struct dsmr_bft *bft)
{
    uint32_t shift = bft->failed_views < 16 ? bft->failed_views : 16;
    uint64_t timeout = (uint64_t)bft->view_timeout_ms << shift;
    uint64_t slower = (bft->view - bft->final_view) / DSMR_BFT_SLOWER_AFTER_VIEWS;
    if (timeout > bft->view_timeout_max_ms) {
        timeout = bft->view_timeout_max_ms;
    }
    return timeout << (slower < 16 ? slower : 16);
}

static uint64_t retry_delay(struct dsmr_bft *bft)
{
    uint32_t shift = bft->retry_count < 4 ? bft->retry_count : 4;
    return dsmr_prng_jitter(&bft->prng, (uint64_t)bft->retry_ms << shift);
}

/* Rule 10: whatever may have been lost on the way is sent again. */
static void resend(struct dsmr_bft *bft)
{
    const struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    if (bft->has_entry_qc && bft->entry_qc.subject.view > bft->final_view) {
        dsmr_bft_qc_send(bft, &bft->entry_qc, DSMR_BFT_NO_PEER);
    } else if (bft->has_final && bft->final.subject.epoch == bft->set->epoch) {
        dsmr_bft_qc_send(bft, &bft->final, DSMR_BFT_NO_PEER);
    }
    if (round != NULL && round->proposal.is_set && round->proposal.peer == DSMR_BFT_NO_PEER &&
        round->own[DSMR_VOTE_NOTARIZE - 1].state == DSMR_BFT_OWN_SIGNED) {
        dsmr_proposal_send(bft, round, DSMR_BFT_NO_PEER);
    }
    dsmr_voting_resend(bft, DSMR_BFT_NO_PEER);
    dsmr_bft_journal_save_again(bft);
    dsmr_voting_again(bft);
    dsmr_tally_again(bft);
    if (!dsmr_doubt_may_vote(bft, bft->view)) {
        dsmr_doubt_tell(bft, DSMR_BFT_NO_PEER, 0); /* the others are to end these views */
    }
}

void dsmr_pacemaker_on_time(struct dsmr_bft *bft)
{
    if (bft->now_ms >= bft->view_deadline_ms && dsmr_pacemaker_is_needed(bft)) {
        bft->view_deadline_ms = UINT64_MAX;
        bft->is_timed_out = true;
        dsmr_leader_timed_out(bft);
        dsmr_bft_outbox_trace(bft, DSMR_BFT_TRACE_TIMEOUT, bft->view, 0);
    }
    if (bft->is_timed_out) {
        dsmr_voting_nullify(bft); /* once; again only where no op was free */
    }
    if (bft->now_ms >= bft->retry_deadline_ms) {
        resend(bft);
        bft->retry_count++;
        bft->retry_deadline_ms = bft->now_ms + retry_delay(bft);
    }
    if (bft->is_build_refused && bft->now_ms >= bft->build_after_ms) {
        bft->is_build_refused = false;
    }
}

/* Rules 8.2 and 8.3: nobody waits for who is known to propose nothing, ourselves included. */
static void skip(struct dsmr_bft *bft)
{
    bft->view_deadline_ms = UINT64_MAX;
    bft->is_timed_out = true;
    dsmr_bft_outbox_trace(bft, DSMR_BFT_TRACE_SKIPPED, bft->view, 0);
    dsmr_voting_nullify(bft);
}

void dsmr_pacemaker_update(struct dsmr_bft *bft)
{
    if (!bft->is_timed_out && dsmr_leader_must_pass(bft)) {
        skip(bft); /* whether a block is wanted is what who is behind does not know */
    }
    if (!dsmr_pacemaker_is_needed(bft)) {
        bft->view_deadline_ms = UINT64_MAX;
        bft->retry_deadline_ms = UINT64_MAX;
        bft->retry_count = 0;
        return;
    }
    if (!bft->is_timed_out && dsmr_leader_is_skipped(bft)) {
        skip(bft);
    }
    if (bft->view_deadline_ms == UINT64_MAX && !bft->is_timed_out) {
        bft->view_deadline_ms = bft->now_ms + dsmr_pacemaker_timeout(bft);
    }
    if (bft->retry_deadline_ms == UINT64_MAX) {
        bft->retry_deadline_ms = bft->now_ms + retry_delay(bft);
    }
}
