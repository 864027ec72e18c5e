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
bool dsmr_leader_is_silent(const struct dsmr_bft *bft)
{
    const struct dsmr_bft_peer *leader = current_leader(bft);
    return leader != NULL && leader->is_silent && !has_proposal(bft) &&
           bft->view - bft->final_view <= bft->leaders_count;
}
