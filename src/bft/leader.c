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
