#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

static uint32_t count_node_ids(const struct dsmr_bft *bft)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < bft->schedule_count; i++) {
        for (uint32_t v = 0; v < bft->schedule[i].set->count; v++) {
            count += bft->schedule[i].set->validators[v].node_ids_count;
        }
    }
    return count;
}

static void add_peer(struct dsmr_bft *bft, const struct dsmr_node_id *node_id)
{
    bool is_new = false;
    if (dsmr_node_id_equal(node_id, &bft->node_id)) {
        return;
    }
    uint32_t *index = dsmr_map_add(bft->peer_index, node_id->bytes, &is_new);
    DSMR_ASSERT(index != NULL);
    if (is_new) {
        *index = bft->peers_count;
        bft->peers[bft->peers_count++].node_id = *node_id;
    }
}

enum dsmr_err dsmr_bft_peer_init(struct dsmr_bft *bft, uint64_t seed)
{
    uint32_t count = count_node_ids(bft) + 1u;
    bft->peers = calloc(count, sizeof(*bft->peers));
    bft->peer_index =
        dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(uint32_t), count, seed ^ 0x9e3779b9u);
    if (bft->peers == NULL || bft->peer_index == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < bft->schedule_count; i++) {
        const struct dsmr_validator_set *set = bft->schedule[i].set;
        for (uint32_t v = 0; v < set->count; v++) {
            for (uint32_t n = 0; n < set->validators[v].node_ids_count; n++) {
                add_peer(bft, &set->validators[v].node_ids[n]);
            }
        }
    }
    bft->peer_turn =
        bft->peers_count > 0 ? (uint32_t)dsmr_prng_below(&bft->prng, bft->peers_count) : 0;
    return DSMR_OK;
}

void dsmr_bft_peer_close(struct dsmr_bft *bft)
{
    dsmr_map_free(bft->peer_index);
    free(bft->peers);
}

uint32_t dsmr_bft_peer_find(const struct dsmr_bft *bft, const struct dsmr_node_id *node_id)
{
    const uint32_t *index = dsmr_map_find(bft->peer_index, node_id->bytes);
    return index != NULL ? *index : DSMR_BFT_NO_PEER;
}

uint32_t dsmr_bft_peer_next(struct dsmr_bft *bft, uint32_t hint)
{
    if (hint < bft->peers_count && bft->peers[hint].is_up) {
        return hint;
    }
    for (uint32_t i = 0; i < bft->peers_count; i++) {
        bft->peer_turn = (bft->peer_turn + 1u) % bft->peers_count;
        if (bft->peers[bft->peer_turn].is_up) {
            return bft->peer_turn;
        }
    }
    return DSMR_BFT_NO_PEER;
}

void dsmr_bft_peer_send_position(struct dsmr_bft *bft, uint32_t peer, bool with_votes)
{
    if (bft->has_final) {
        dsmr_bft_qc_send(bft, &bft->final, peer);
    }
    if (bft->has_entry_qc && bft->entry_qc.subject.view > bft->final_view) {
        dsmr_bft_qc_send(bft, &bft->entry_qc, peer);
    }
    const struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    if (with_votes && bft->self >= 0) {
        if (round != NULL && round->proposal.is_set && round->proposal.peer == DSMR_BFT_NO_PEER &&
            round->own[DSMR_VOTE_NOTARIZE - 1].state == DSMR_BFT_OWN_SIGNED) {
            dsmr_proposal_send(bft, round, peer);
        }
        dsmr_voting_resend(bft, peer);
    }
}

void dsmr_bft_peer_answer_stale(struct dsmr_bft *bft, uint32_t peer)
{
    struct dsmr_bft_peer *to = &bft->peers[peer];
    if (bft->now_ms >= to->answer_after_ms) {
        to->answer_after_ms = bft->now_ms + bft->retry_ms / 2u + 1u;
        dsmr_bft_peer_send_position(bft, peer, false);
    }
}

void dsmr_bft_peer_answer_position(struct dsmr_bft *bft, uint32_t peer, uint64_t question)
{
    struct dsmr_bft_peer *to = &bft->peers[peer];
    if (bft->now_ms >= to->answer_after_ms) {
        dsmr_bft_peer_answer_stale(bft, peer);
        dsmr_doubt_tell(bft, peer, question);
    }
}

void dsmr_bft_peer_ask_position(struct dsmr_bft *bft, uint32_t peer)
{
    struct dsmr_bft_peer *to = &bft->peers[peer];
    if (bft->now_ms >= to->hint_after_ms) {
        to->hint_after_ms = bft->now_ms + bft->retry_ms;
        struct dsmr_msg msg = {.type = DSMR_MSG_BFT_REQUEST_VIEW};
        msg.u.request_view.epoch = bft->set->epoch; /* views 0 to 0: only the position */
        dsmr_bft_outbox_send(bft, peer, &msg, NULL);
    }
}

bool dsmr_bft_peer_may_ask(struct dsmr_bft *bft, uint32_t peer)
{
    struct dsmr_bft_peer *from = &bft->peers[peer];
    if (bft->now_ms >= from->serve_from_ms + bft->retry_ms) {
        from->serve_from_ms = bft->now_ms;
        from->serves = 0;
    }
    if (from->serves >= DSMR_BFT_SERVES_PER_RETRY) {
        dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_RATE_LIMITED);
        return false;
    }
    from->serves++;
    return true;
}

void dsmr_bft_peer_heard(struct dsmr_bft *bft, uint32_t peer)
{
    if (bft->peers[peer].is_up) { /* else it was said before the connection ended */
        bft->peers[peer].is_silent = false;
    }
}

void dsmr_bft_peer_on_change(struct dsmr_bft *bft, const struct dsmr_node_id *node_id, bool is_up)
{
    uint32_t peer = dsmr_bft_peer_find(bft, node_id);
    if (peer == DSMR_BFT_NO_PEER) {
        return;
    }
    bft->peers[peer].is_up = is_up;
    bft->peers[peer].is_silent = !is_up;
    if (is_up && bft->is_started) {
        dsmr_bft_peer_send_position(bft, peer, true);
        dsmr_doubt_on_peer_up(bft, peer);
    }
}
