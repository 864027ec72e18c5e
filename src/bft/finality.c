#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

void dsmr_finality_save(struct dsmr_bft *bft)
{
    struct dsmr_bft_op *op = dsmr_bft_op_add(bft, DSMR_BFT_OP_STORE_FINAL);
    bft->is_final_unsaved = op == NULL;
    if (op != NULL) { /* else nothing is pruned for it so far */
        op->qc.subject = bft->final.subject;
        if (!dsmr_bft_journal_quorum_cert(bft, op->request_id, &bft->final)) {
            bft->is_final_unsaved = true;
            dsmr_bft_op_end(bft, op);
        }
    }
}

bool dsmr_finality_note(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc)
{
    DSMR_ASSERT(qc->subject.kind == DSMR_VOTE_FINALIZE);
    DSMR_ASSERT(qc->subject.epoch == bft->set->epoch);
    if (qc->subject.view <= bft->final_view) {
        return false;
    }
    bft->has_final = true;
    bft->final = *qc;
    DSMR_ASSERT(qc->subject.view > bft->final_view); /* INV-BFT-5 */
    bft->final_view = qc->subject.view;
    if (qc->subject.height > bft->noted_height) {
        bft->noted_height = qc->subject.height;
    }
    bft->failed_views = 0;
    if (bft->tip_view <= bft->final_view) {
        bft->tip_view = 0;
    }
    dsmr_candidate_want(bft, &qc->subject.block_id);
    dsmr_finality_save(bft);
    dsmr_bft_outbox_trace(bft, DSMR_BFT_TRACE_FINALIZED, qc->subject.view, qc->subject.height);
    return true;
}

/* Records below the final view before this one go: should the accept of the block that makes them
 * useless not have become durable yet, the last two still allow to go on. */
void dsmr_finality_on_stored(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_STORE_FINAL, request_id);
    if (op == NULL) {
        return;
    }
    uint64_t epoch = op->qc.subject.epoch;
    uint64_t view = op->qc.subject.view;
    dsmr_bft_op_end(bft, op);
    if (err != DSMR_OK && epoch == bft->final.subject.epoch && view == bft->final.subject.view) {
        bft->is_final_unsaved = true;
    }
    if (err != DSMR_OK || epoch < bft->prune_epoch ||
        (epoch == bft->prune_epoch && view <= bft->prune_view)) {
        return;
    }
    if (bft->prune_view != 0) {
        dsmr_bft_journal_prune(bft, bft->prune_epoch, bft->prune_view);
    }
    bft->prune_epoch = epoch;
    bft->prune_view = view;
}

void dsmr_finality_accept(struct dsmr_bft *bft, struct dsmr_block *block,
                          const struct dsmr_quorum_cert *qc)
{
    DSMR_ASSERT(dsmr_id_equal(&block->parent_id, &bft->accepted->id)); /* INV-BFT-4 */
    DSMR_ASSERT(block->height == bft->accepted->height + 1);
    struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &block->id);
    DSMR_ASSERT(candidate != NULL && candidate->state == DSMR_BFT_CANDIDATE_VALID);
    dsmr_bft_outbox_block(bft, DSMR_BFT_FX_ACCEPT, block);
    if (qc != NULL) {
        struct dsmr_bft_effect *effect = &bft->out->items[bft->out->count - 1];
        effect->u.block.has_finalization = true;
        effect->u.block.finalization = *qc;
    }
    struct dsmr_block *before = bft->accepted;
    bft->accepted = dsmr_block_ref(block);
    dsmr_block_unref(before);
    dsmr_candidate_release(bft, candidate);
    dsmr_candidate_sweep(bft);
    if (bft->accepted->height + 1 == dsmr_bft_instance_end(bft, bft->instance)) {
        dsmr_bft_begin_instance(bft, bft->instance + 1);
        dsmr_bft_outbox_trace(bft, DSMR_BFT_TRACE_EPOCH, bft->set->epoch, 0);
        dsmr_bft_replay_run(bft);
    }
}

struct dsmr_bft_candidate *dsmr_finality_next(const struct dsmr_bft *bft, const struct dsmr_id *id)
{
    struct dsmr_id at = *id;
    for (uint32_t depth = 0; depth <= DSMR_BFT_DEPTH_MAX + 1u; depth++) {
        struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &at);
        if (candidate == NULL || candidate->block->height == bft->accepted->height + 1) {
            return candidate;
        }
        at = candidate->block->parent_id;
    }
    return NULL;
}

static bool is_line_valid(const struct dsmr_bft *bft)
{
    struct dsmr_id id = bft->final.subject.block_id;
    while (!dsmr_id_equal(&id, &bft->accepted->id)) { /* VALID ones are connected */
        const struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &id);
        if (candidate == NULL || candidate->state != DSMR_BFT_CANDIDATE_VALID) {
            return false;
        }
        id = candidate->block->parent_id;
    }
    return true;
}

bool dsmr_finality_advance(struct dsmr_bft *bft)
{
    if (!bft->has_final || bft->final.subject.epoch != bft->set->epoch ||
        bft->final.subject.height <= bft->accepted->height) {
        return false;
    }
    if (!is_line_valid(bft)) {
        /* What is held becomes wanted, so that it is verified; what is not comes by catch-up. What
         * is too far above to be held is not asked for. */
        if (bft->final.subject.height - bft->accepted->height > DSMR_BFT_GAP_MAX ||
            !dsmr_block_fetch_chain(bft, &bft->final.subject.block_id, DSMR_BFT_NO_PEER)) {
            dsmr_catch_up_target(bft, bft->final.subject.height, DSMR_BFT_NO_PEER);
        }
        return false;
    }
    struct dsmr_quorum_cert final = bft->final;
    struct dsmr_id last_id = final.subject.block_id;
    bool is_last = false;
    while (!is_last) {
        struct dsmr_bft_candidate *next = dsmr_finality_next(bft, &last_id);
        DSMR_ASSERT(next != NULL && next->state == DSMR_BFT_CANDIDATE_VALID);
        struct dsmr_block *block = dsmr_block_ref(next->block);
        is_last = dsmr_id_equal(&block->id, &last_id);
        dsmr_finality_accept(bft, block, is_last ? &final : NULL);
        dsmr_block_unref(block);
    }
    return true;
}

/* The lowest refused block between the accepted one and id, which is final. */
static const struct dsmr_bft_candidate *lowest_refused(const struct dsmr_bft *bft,
                                                       struct dsmr_id id)
{
    const struct dsmr_bft_candidate *refused = NULL;
    for (uint32_t depth = 0; depth <= DSMR_BFT_DEPTH_MAX + 1u; depth++) {
        const struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &id);
        if (candidate == NULL) {
            break;
        }
        refused = candidate->refusal != DSMR_OK ? candidate : refused;
        id = candidate->block->parent_id;
    }
    return refused;
}

const struct dsmr_bft_candidate *dsmr_finality_refused(const struct dsmr_bft *bft)
{
    const struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    const struct dsmr_bft_candidate *refused = NULL;
    if (bft->has_final && bft->final.subject.epoch == bft->set->epoch &&
        bft->final.subject.height > bft->accepted->height) {
        refused = lowest_refused(bft, bft->final.subject.block_id);
    }
    if (refused == NULL && catch_up->state == DSMR_BFT_CATCH_UP_APPLYING &&
        catch_up->blocks_at < catch_up->blocks_count) { /* its last block is final */
        refused = lowest_refused(bft, catch_up->blocks[catch_up->blocks_at]->id);
    }
    return refused;
}

void dsmr_finality_prefer(struct dsmr_bft *bft)
{
    struct dsmr_id id = bft->accepted->id;
    const struct dsmr_bft_view_entry *tip = dsmr_view_log_find(bft, bft->tip_view);
    if (tip != NULL && tip->is_notarized &&
        dsmr_candidate_is_usable(bft, &tip->notarization.subject.block_id)) {
        id = tip->notarization.subject.block_id;
    } else if (bft->has_final && bft->final.subject.height > bft->accepted->height &&
               dsmr_candidate_is_usable(bft, &bft->final.subject.block_id)) {
        id = bft->final.subject.block_id;
    }
    /* While the best tip is on its way, the one before it will do, as long as it lives. */
    bool is_tip_coming = tip != NULL && tip->is_notarized &&
                         dsmr_id_equal(&id, &bft->accepted->id) &&
                         tip->notarization.subject.height > bft->accepted->height;
    if (dsmr_id_equal(&id, &bft->preferred_id) ||
        (is_tip_coming && dsmr_candidate_is_usable(bft, &bft->preferred_id))) {
        return;
    }
    bft->preferred_id = id;
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_PREFER);
    effect->u.block.parent_id = id;
}
