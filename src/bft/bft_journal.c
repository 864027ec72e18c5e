#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

#define VOTE_BYTES (1u + 8u + 32u)             /* version, height, block id */
#define NOTARIZE_BYTES (VOTE_BYTES + 8u + 32u) /* parent view, parent id; then the block */

_Static_assert(DSMR_BFT_NEVER_VOTED_BYTES == DSMR_BFT_JOURNAL_KEY_BYTES &&
                   DSMR_BFT_NEVER_VOTED_BYTES == DSMR_BFT_JOURNAL_VOTES_FROM_BYTES,
               "the record fits what bft.h gives it");

static void put_key(uint8_t key[DSMR_BFT_JOURNAL_KEY_BYTES], uint64_t epoch, uint64_t view,
                    uint8_t kind)
{
    dsmr_store_be64(key, epoch);
    dsmr_store_be64(key + 8, view);
    key[16] = kind;
}

static void push_store(struct dsmr_bft *bft, uint64_t request_id, struct dsmr_buf *value,
                       const struct dsmr_vote_subject *subject, uint8_t kind)
{
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_STORE);
    effect->request_id = request_id;
    put_key(effect->u.store.key, subject->epoch, subject->view, kind);
    effect->u.store.key_len = DSMR_BFT_JOURNAL_KEY_BYTES;
    effect->u.store.value = value;
}

/* The certificate without which nobody could follow us to where the vote brings us back: of what
 * FINALIZE says, else one of the view before, that which the proposal needs if there are two. NULL:
 * there is none, or it is not known. */
static const struct dsmr_quorum_cert *cert_below(const struct dsmr_bft *bft,
                                                 const struct dsmr_vote_subject *subject,
                                                 const struct dsmr_bft_proposal *proposal)
{
    bool is_finalize = subject->kind == DSMR_VOTE_FINALIZE;
    uint64_t view = is_finalize ? subject->view : subject->view - 1;
    const struct dsmr_bft_view_entry *entry = dsmr_view_log_find(bft, view);
    if (!is_finalize && view != 0 && bft->final_view == view) {
        return &bft->final;
    }
    if (entry == NULL) {
        return NULL;
    }
    bool is_passed_by = subject->kind == DSMR_VOTE_NOTARIZE && proposal->parent_view != view;
    if (entry->is_nullified && !is_finalize && (is_passed_by || !entry->is_notarized)) {
        return &entry->nullification;
    }
    return entry->is_notarized ? &entry->notarization : NULL;
}

bool dsmr_bft_journal_vote(struct dsmr_bft *bft, const struct dsmr_bft_op *op,
                           const struct dsmr_bft_proposal *proposal)
{
    const struct dsmr_vote_subject *subject = &op->qc.subject;
    const struct dsmr_quorum_cert *cert = cert_below(bft, subject, proposal);
    bool is_notarize = subject->kind == DSMR_VOTE_NOTARIZE;
    const struct dsmr_buf *block =
        is_notarize && proposal->block != NULL ? proposal->block->bytes : NULL;
    uint8_t head[NOTARIZE_BYTES + DSMR_QUORUM_CERT_BYTES_MAX];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, head, sizeof(head));
    dsmr_wr_u8(&wr, cert != NULL ? DSMR_BFT_JOURNAL_VERSION_WITH_CERT : DSMR_BFT_JOURNAL_VERSION);
    dsmr_wr_u64(&wr, subject->height);
    dsmr_wr_bytes(&wr, subject->block_id.bytes, sizeof(subject->block_id.bytes));
    if (is_notarize) {
        dsmr_wr_u64(&wr, proposal->parent_view);
        dsmr_wr_bytes(&wr, proposal->parent_id.bytes, sizeof(proposal->parent_id.bytes));
    }
    if (cert != NULL) {
        dsmr_quorum_cert_encode(&wr, cert);
    }
    DSMR_ASSERT(wr.err == DSMR_OK);
    struct dsmr_buf *value = dsmr_buf_new(wr.at + (block != NULL ? block->len : 0u));
    if (value == NULL) {
        return false;
    }
    memcpy(value->bytes, head, wr.at);
    if (block != NULL) {
        memcpy(value->bytes + wr.at, block->bytes, block->len);
    }
    push_store(bft, op->request_id, value, subject, subject->kind);
    return true;
}

void dsmr_bft_journal_put_votes_from(uint8_t key[DSMR_BFT_JOURNAL_KEY_BYTES],
                                     uint8_t value[DSMR_BFT_JOURNAL_VOTES_FROM_BYTES],
                                     uint64_t epoch, uint64_t view)
{
    put_key(key, UINT64_MAX, UINT64_MAX, DSMR_BFT_JOURNAL_VOTES_FROM);
    value[0] = DSMR_BFT_JOURNAL_VERSION;
    dsmr_store_be64(value + 1, epoch);
    dsmr_store_be64(value + 9, view);
}

bool dsmr_bft_journal_votes_from(struct dsmr_bft *bft, const struct dsmr_bft_op *op)
{
    struct dsmr_buf *value = dsmr_buf_new(DSMR_BFT_JOURNAL_VOTES_FROM_BYTES);
    if (value == NULL) {
        return false;
    }
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_STORE);
    effect->request_id = op->request_id;
    dsmr_bft_journal_put_votes_from(effect->u.store.key, value->bytes, op->qc.subject.epoch,
                                    op->qc.subject.view);
    effect->u.store.key_len = DSMR_BFT_JOURNAL_KEY_BYTES;
    effect->u.store.value = value;
    return true;
}

bool dsmr_bft_journal_quorum_cert(struct dsmr_bft *bft, uint64_t request_id,
                                  const struct dsmr_quorum_cert *qc)
{
    uint8_t bytes[1u + DSMR_QUORUM_CERT_BYTES_MAX];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_wr_u8(&wr, DSMR_BFT_JOURNAL_VERSION);
    dsmr_quorum_cert_encode(&wr, qc);
    DSMR_ASSERT(wr.err == DSMR_OK);
    struct dsmr_buf *value = dsmr_buf_copy(bytes, wr.at);
    if (value == NULL) {
        return false;
    }
    push_store(bft, request_id, value, &qc->subject,
               (uint8_t)(DSMR_BFT_JOURNAL_CERT + qc->subject.kind));
    return true;
}

void dsmr_bft_journal_unsaved(struct dsmr_bft *bft, const struct dsmr_vote_subject *subject)
{
    struct dsmr_bft_view_entry *entry =
        subject->epoch == bft->set->epoch ? dsmr_view_log_find(bft, subject->view) : NULL;
    if (entry != NULL) { /* else it is final by now, or of the instance before */
        entry->is_unsaved = true;
        if (bft->unsaved_view == 0 || subject->view < bft->unsaved_view) {
            bft->unsaved_view = subject->view;
        }
    }
}

void dsmr_bft_journal_save(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc)
{
    struct dsmr_bft_op *op = dsmr_bft_op_add(bft, DSMR_BFT_OP_STORE_CERT);
    if (op == NULL) {
        dsmr_bft_journal_unsaved(bft, &qc->subject);
        return;
    }
    op->qc.subject = qc->subject;
    if (!dsmr_bft_journal_quorum_cert(bft, op->request_id, qc)) {
        dsmr_bft_journal_unsaved(bft, &qc->subject);
        dsmr_bft_op_end(bft, op);
    }
}

void dsmr_bft_journal_on_saved(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_STORE_CERT, request_id);
    if (op == NULL) {
        return;
    }
    struct dsmr_vote_subject subject = op->qc.subject;
    dsmr_bft_op_end(bft, op);
    if (err != DSMR_OK) {
        dsmr_bft_journal_unsaved(bft, &subject);
    }
}

void dsmr_bft_journal_save_again(struct dsmr_bft *bft)
{
    uint64_t low = bft->unsaved_view, left = DSMR_BFT_SAVED_AGAIN_MAX;
    if (bft->is_final_unsaved) {
        dsmr_finality_save(bft);
    }
    if (low == 0) {
        return;
    }
    uint64_t views = bft->high_view - low + 1;
    views = views < DSMR_BFT_VIEW_LOG ? views : DSMR_BFT_VIEW_LOG;
    bft->unsaved_view = 0; /* until the next failure, or where not all could be tried */
    for (uint64_t view = bft->high_view; views > 0; views--, view--) {
        struct dsmr_bft_view_entry *entry = dsmr_view_log_find(bft, view);
        if (entry == NULL || !entry->is_unsaved) {
            continue;
        }
        if (left-- == 0) {
            bft->unsaved_view = low;
            return;
        }
        entry->is_unsaved = false;
        if (entry->is_notarized) {
            dsmr_bft_journal_save(bft, &entry->notarization);
        }
        if (entry->is_nullified) {
            dsmr_bft_journal_save(bft, &entry->nullification);
        }
    }
}

void dsmr_bft_journal_prune(struct dsmr_bft *bft, uint64_t epoch, uint64_t view)
{
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_PRUNE);
    put_key(effect->u.store.key, epoch, view, 0);
    effect->u.store.key_len = DSMR_BFT_JOURNAL_KEY_BYTES;
}
