#include <string.h>

#include "base/assert.h"
#include "bft/engine_state.h"

static void reset(const struct dsmr_bft *bft, struct dsmr_bft_round *round, uint64_t view)
{
    dsmr_block_unref(round->proposal.block);
    round->proposal = (struct dsmr_bft_proposal){.peer = DSMR_BFT_NO_PEER};
    for (uint32_t kind = 0; kind < 3; kind++) {
        if (round->view != 0) {
            memset(round->slots[kind], 0, bft->slots_per_kind * sizeof(*round->slots[kind]));
        }
        round->own[kind] = (struct dsmr_bft_own_vote){.state = DSMR_BFT_OWN_NONE};
        round->is_aggregating[kind] = false;
    }
    round->view = view;
}

struct dsmr_bft_round *dsmr_round_open(struct dsmr_bft *bft, uint64_t view)
{
    if (view == 0 || (view < bft->view && bft->view - view > DSMR_BFT_VIEWS_BEHIND) ||
        (view > bft->view && view - bft->view > DSMR_BFT_VIEWS_AHEAD)) {
        return NULL;
    }
    struct dsmr_bft_round *round = &bft->rounds[view % DSMR_BFT_ROUNDS];
    if (round->view != view) {
        /* The window moves up only, so what is there lies below it. */
        DSMR_ASSERT(round->view < view);
        reset(bft, round, view);
    }
    return round;
}

struct dsmr_bft_round *dsmr_round_find(const struct dsmr_bft *bft, uint64_t view)
{
    struct dsmr_bft_round *round = &bft->rounds[view % DSMR_BFT_ROUNDS];
    return view != 0 && round->view == view ? round : NULL;
}

void dsmr_round_clear_all(struct dsmr_bft *bft)
{
    for (uint32_t i = 0; i < DSMR_BFT_ROUNDS; i++) {
        reset(bft, &bft->rounds[i], 0);
    }
}

void dsmr_round_enter(struct dsmr_bft *bft, uint64_t view)
{
    DSMR_ASSERT(view > bft->view);
    bft->view = view;
    bft->entered_ms = bft->now_ms;
    bft->is_timed_out = false;
    bft->is_building = false;
    bft->is_build_refused = false;
    bft->build_after_ms = 0;
    bft->view_deadline_ms = UINT64_MAX;
    bft->retry_deadline_ms = UINT64_MAX;
    bft->retry_count = 0;
    dsmr_bft_outbox_trace(bft, DSMR_BFT_TRACE_VIEW, view, 0);
}
