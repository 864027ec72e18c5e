#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

struct dsmr_bft_view_entry *dsmr_view_log_find(const struct dsmr_bft *bft, uint64_t view)
{
    struct dsmr_bft_view_entry *entry = &bft->view_log[view % DSMR_BFT_VIEW_LOG];
    return view > bft->final_view && entry->view == view ? entry : NULL;
}

bool dsmr_view_log_knows(const struct dsmr_bft *bft, const struct dsmr_vote_subject *subject)
{
    const struct dsmr_bft_view_entry *entry = dsmr_view_log_find(bft, subject->view);
    if (subject->view <= bft->final_view) {
        return true; /* whatever it says, it is of no use */
    }
    return entry != NULL &&
           (subject->kind == DSMR_VOTE_NOTARIZE ? entry->is_notarized : entry->is_nullified);
}

bool dsmr_view_log_add(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc)
{
    uint64_t view = qc->subject.view;
    struct dsmr_bft_view_entry *entry = &bft->view_log[view % DSMR_BFT_VIEW_LOG];
    DSMR_ASSERT(qc->subject.kind != DSMR_VOTE_FINALIZE);
    /* Where the log is too short the newest views win: they are what proposals need. */
    if (dsmr_view_log_knows(bft, &qc->subject) || entry->view > view) {
        return false;
    }
    if (entry->view != view) {
        memset(entry, 0, sizeof(*entry));
        entry->view = view;
        bft->low_view = bft->low_view == 0 || view < bft->low_view ? view : bft->low_view;
        bft->high_view = view > bft->high_view ? view : bft->high_view;
    }
    if (qc->subject.kind == DSMR_VOTE_NULLIFY) {
        entry->is_nullified = true;
        entry->nullification = *qc;
    } else {
        entry->is_notarized = true;
        entry->notarization = *qc;
        if (qc->subject.height > bft->noted_height) {
            bft->noted_height = qc->subject.height;
        }
        if (view > bft->tip_view) {
            bft->tip_view = view;
        }
    }
    return true;
}

void dsmr_view_log_clear(struct dsmr_bft *bft)
{
    uint64_t more = bft->high_view - bft->low_view; /* than one */
    uint64_t views = bft->low_view == 0         ? 0
                     : more < DSMR_BFT_VIEW_LOG ? more + 1
                                                : DSMR_BFT_VIEW_LOG;
    for (uint64_t i = 0; i < views; i++) { /* untouched pages stay untouched */
        bft->view_log[(bft->low_view + i) % DSMR_BFT_VIEW_LOG].view = 0;
    }
    bft->low_view = 0;
    bft->high_view = 0;
    bft->tip_view = 0;
    bft->unsaved_view = 0;
}

bool dsmr_view_log_block_at(const struct dsmr_bft *bft, uint64_t view, struct dsmr_id *id,
                            uint64_t *height)
{
    const struct dsmr_bft_view_entry *entry = dsmr_view_log_find(bft, view);
    if (view == bft->final_view) {
        if (view == 0) {
            *id = bft->root_id;
            *height = bft->root_height;
            return bft->has_root;
        }
        *id = bft->final.subject.block_id;
        *height = bft->final.subject.height;
        return true;
    }
    if (entry == NULL || !entry->is_notarized) {
        return false;
    }
    *id = entry->notarization.subject.block_id;
    *height = entry->notarization.subject.height;
    return true;
}

bool dsmr_view_log_nullified_between(const struct dsmr_bft *bft, uint64_t low, uint64_t high,
                                     uint64_t missing[2])
{
    bool all = true;
    /* Longer gaps cannot be in the log. */
    if (high - low > DSMR_BFT_VIEW_LOG) {
        missing[0] = high - DSMR_BFT_VIEW_LOG;
        missing[1] = high - 1;
        return false;
    }
    for (uint64_t view = low + 1; view < high; view++) {
        const struct dsmr_bft_view_entry *entry = dsmr_view_log_find(bft, view);
        if (entry == NULL || !entry->is_nullified) {
            missing[0] = all ? view : missing[0];
            missing[1] = view;
            all = false;
        }
    }
    return all;
}

bool dsmr_view_log_parent_of(const struct dsmr_bft *bft, uint64_t view, uint64_t *parent_view,
                             uint64_t *missing)
{
    uint64_t at = view - 1;
    while (at > bft->final_view) {
        const struct dsmr_bft_view_entry *entry = dsmr_view_log_find(bft, at);
        if (entry != NULL && entry->is_notarized) {
            break;
        }
        if (entry == NULL || !entry->is_nullified) {
            *missing = at;
            return false;
        }
        at--;
    }
    *parent_view = at;
    return true;
}

bool dsmr_view_log_has_unfinalized(const struct dsmr_bft *bft)
{
    const struct dsmr_bft_view_entry *tip = dsmr_view_log_find(bft, bft->tip_view);
    return tip != NULL && tip->is_notarized &&
           tip->notarization.subject.height > bft->accepted->height;
}
