#include "base/bytes.h"
#include "bft/engine_state.h"
#include "crypto/hash.h"

/* docs/bft.md, rule 2: in turn over the entries that may sign, from a place that the epoch gives.
 */
void dsmr_leader_begin(struct dsmr_bft *bft)
{
    bft->leaders_count = 0;
    for (uint32_t i = 0; i < bft->set->count; i++) {
        if (bft->set->validators[i].node_ids_count == 1) {
            bft->leaders[bft->leaders_count++] = i;
        }
    }
    uint8_t epoch[8];
    struct dsmr_id hash;
    dsmr_store_be64(epoch, bft->set->epoch);
    dsmr_hash(&hash, epoch, sizeof(epoch));
    bft->leader_offset =
        bft->leaders_count > 0 ? dsmr_load_be64(hash.bytes) % bft->leaders_count : 0;
}

int dsmr_leader_of(const struct dsmr_bft *bft, uint64_t view)
{
    if (bft->leaders_count == 0) {
        return -1;
    }
    uint64_t turn = (view % bft->leaders_count + bft->leader_offset) % bft->leaders_count;
    return (int)bft->leaders[turn];
}

/* Who leads the current view, if that is another node; else NULL. */
static struct dsmr_bft_peer *current_leader(const struct dsmr_bft *bft)
{
    int leader = dsmr_leader_of(bft, bft->view);
    if (leader < 0 || leader == bft->self) {
        return NULL;
    }
    return &bft->peers[dsmr_bft_peer_find(bft, &bft->set->validators[leader].node_ids[0])];
}

static bool has_proposal(const struct dsmr_bft *bft)
{
    const struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    return round != NULL && round->proposal.is_set;
}

void dsmr_leader_timed_out(struct dsmr_bft *bft)
{
    struct dsmr_bft_peer *leader = current_leader(bft);
    if (leader != NULL && !has_proposal(bft)) {
        leader->is_silent = true;
    }
}

/* Each leader is skipped at most once between two final views: should the signs be wrong, by
 * connections that come and go or by messages that are late, timers decide as before. */
static bool is_first_turn(const struct dsmr_bft *bft)
{
    return bft->view - bft->final_view <= bft->leaders_count;
}

bool dsmr_leader_is_skipped(const struct dsmr_bft *bft)
{
    const struct dsmr_bft_peer *leader = current_leader(bft);
    return leader != NULL && (leader->is_silent || bft->now_ms < leader->passes_until_ms) &&
           !has_proposal(bft) && is_first_turn(bft);
}

bool dsmr_leader_must_pass(const struct dsmr_bft *bft)
{
    return bft->self >= 0 && dsmr_leader_of(bft, bft->view) == bft->self &&
           dsmr_catch_up_is_far(bft) && !has_proposal(bft) && is_first_turn(bft) &&
           dsmr_doubt_may_vote(bft, bft->view);
}

void dsmr_leader_on_word(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_vote_subject *vote)
{
    struct dsmr_bft_peer *from = &bft->peers[peer];
    if (vote == NULL || vote->kind == DSMR_VOTE_NOTARIZE) {
        from->passes_until_ms = 0;
        return;
    }
    const struct dsmr_bft_round *round = dsmr_round_find(bft, vote->view);
    bool is_leader =
        dsmr_leader_of(bft, vote->view) == dsmr_validator_set_find(bft->set, &from->node_id);
    if (vote->kind == DSMR_VOTE_NULLIFY && is_leader &&
        (round == NULL || !round->proposal.is_set)) {
        /* In an idle network it votes for nothing, and is as good as any when it is there again. In
         * a slow one its next turn is some views away. */
        from->passes_until_ms = bft->now_ms + bft->view_timeout_max_ms;
    }
}
