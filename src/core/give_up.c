#include "core/give_up.h"

#include "base/bitset.h"
#include "core/chunk_builder.h"
#include "core/share_collector.h"

#define STRANDED_MS 1000u /* time for connections to come up again */

uint64_t dsmr_give_up_useless_at(const struct dsmr_node *node, const struct dsmr_own_chunk *own)
{
    return dsmr_node_common_add(own->ref.expiry_ms, node->config.params.clock_skew_ms + 1u);
}

void dsmr_give_up_if_too_late(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    uint64_t lost = 0;
    if (own->state != DSMR_OWN_COLLECTING || own->has_cert || own->chunk == NULL) {
        return;
    }
    for (uint32_t i = 0; i < own->set->count; i++) {
        if (dsmr_bitset_has(&own->settled, i) && !dsmr_bitset_has(&own->shared, i)) {
            lost += own->set->validators[i].weight;
        }
    }
    if (!dsmr_is_quorum(own->set->total_weight - lost, own->set->total_weight)) {
        dsmr_chunk_builder_return(node, own->chunk);
        dsmr_share_collector_remove(node, own);
    }
}

static bool waits_in_a_past_epoch(const struct dsmr_node *node, const struct dsmr_own_chunk *own)
{
    return own->state == DSMR_OWN_COLLECTING && !own->has_cert && own->chunk != NULL &&
           own->ref.epoch != node->accepted->epoch;
}

/* The chain has left the chunk's epoch, and those of its set who are connected or have signed are
 * no quorum: validators that have gone for good may be missing. */
static bool is_stranded(const struct dsmr_node *node, const struct dsmr_own_chunk *own)
{
    uint64_t weight = 0;
    if (!waits_in_a_past_epoch(node, own) ||
        node->mono_ms < dsmr_node_common_add(own->first_sent_ms, STRANDED_MS)) {
        return false;
    }
    for (uint32_t i = 0; i < own->set->count; i++) {
        const struct dsmr_validator *validator = &own->set->validators[i];
        const struct dsmr_peer *peer =
            validator->node_ids_count == 1
                ? dsmr_peer_table_find(node->peers, &validator->node_ids[0])
                : NULL;
        if (dsmr_bitset_has(&own->shared, i) || (peer != NULL && peer->is_up)) {
            weight += validator->weight;
        }
    }
    return !dsmr_is_quorum(weight, own->set->total_weight);
}

bool dsmr_give_up_if_useless(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    uint64_t latest_ms = dsmr_node_common_add(node->wall_ms, node->config.params.clock_skew_ms);
    bool is_far_ahead =
        !own->has_cert && dsmr_node_common_slot_start(node, own->ref.slot) > latest_ms;
    if (own->chunk == NULL || own->state == DSMR_OWN_STORING ||
        (!is_far_ahead && node->wall_ms < dsmr_give_up_useless_at(node, own) &&
         !is_stranded(node, own))) {
        return false;
    }
    dsmr_chunk_builder_return(node, own->chunk);
    dsmr_share_collector_remove(node, own);
    return true;
}

void dsmr_give_up_look_again(struct dsmr_node *node)
{
    for (uint32_t i = 0; node->own_count > 0 && i < DSMR_NODE_OWN_MAX; i++) {
        const struct dsmr_own_chunk *own = &node->own[i];
        uint64_t at_ms = dsmr_node_common_add(own->first_sent_ms, STRANDED_MS);
        if (waits_in_a_past_epoch(node, own) && (at_ms > node->mono_ms || is_stranded(node, own))) {
            dsmr_node_common_arm(node, DSMR_TIMER_OWN, at_ms);
        }
    }
}
