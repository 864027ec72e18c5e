#include "core/health.h"

#include "core/block_builder.h"
#include "core/expiry.h"
#include "core/give_up.h"
#include "core/share_collector.h"

#define STATUS_GAP_MS 1000u
#define CLOCK_GAP_MS 1000u

static void status_message(const struct dsmr_node *node, struct dsmr_msg *msg)
{
    memset(msg, 0, sizeof(*msg));
    msg->type = DSMR_MSG_STATUS;
    msg->u.status.accepted_height = node->accepted->height;
    msg->u.status.executed_height = node->executed_height;
    msg->u.status.wall_ms = node->wall_ms;
}

static void update_behind(struct dsmr_node *node)
{
    bool is_behind = false;
    const struct dsmr_validator_set *set = dsmr_node_common_set(node, node->accepted->epoch);
    if (set != NULL) {
        uint64_t height = node->accepted->height + DSMR_BEHIND_BLOCKS;
        uint64_t ahead = dsmr_peer_table_weight_above(node->peers, set, height);
        is_behind = ahead > set->total_weight / 3u; /* more than a third, in integers */
    }
    if (is_behind != node->is_behind) {
        struct dsmr_id none = {{0}};
        node->is_behind = is_behind;
        dsmr_effects_trace(node->fx, DSMR_TRACE_BEHIND, &none, is_behind, 0);
        dsmr_node_common_gauge(node, DSMR_METRIC_BEHIND, is_behind);
        dsmr_block_builder_update(node);
        dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms);
    }
}

/* The chain ran before this journal was made: what this key has promised is not known here. The
 * latest slot that it can have signed starts at now + skew, so nothing that expires before that
 * slot does is signed (section 12). */
static bool set_wiped_floor(struct dsmr_node *node)
{
    const struct dsmr_params *params = &node->config.params;
    uint64_t past_ms = (uint64_t)params->clock_skew_ms + params->chunk_lifetime_ms;
    return dsmr_expiry_set_floor(node, dsmr_node_common_add(node->wall_ms, past_ms));
}

void dsmr_health_on_status(struct dsmr_node *node, const struct dsmr_node_id *from,
                           const struct dsmr_msg *msg)
{
    struct dsmr_peer *peer = dsmr_peer_table_add(node->peers, from);
    if (peer == NULL) {
        dsmr_node_common_error(node, DSMR_ERR_FULL);
        return;
    }
    peer->has_status = true;
    peer->accepted_height = msg->u.status.accepted_height;
    peer->executed_height = msg->u.status.executed_height;
    peer->told_wall_ms = msg->u.status.wall_ms;
    peer->heard_mono_ms = node->mono_ms;
    /* A fresh journal decides at its first own accept whether the chain is older than it
     * (dsmr_health_before_accept): before that the epoch is NONE and nothing is signed anyway. */
    update_behind(node);
}

void dsmr_health_on_step(struct dsmr_node *node)
{
    const struct dsmr_validator_set *set = dsmr_epochs_find(node->epochs, node->accepted->epoch);
    uint32_t count = 0;
    if (node->mono_ms < node->clock_due_mono_ms) {
        return;
    }
    node->clock_due_mono_ms = dsmr_node_common_add(node->mono_ms, CLOCK_GAP_MS);
    for (uint32_t i = 0; set != NULL && i < set->count && count < node->config.validators_max;
         i++) {
        const struct dsmr_validator *validator = &set->validators[i];
        const struct dsmr_node_id *id = &validator->node_ids[0];
        const struct dsmr_peer *peer = dsmr_peer_table_find(node->peers, id);
        bool is_self = dsmr_node_id_equal(id, &node->config.node_id);
        if (is_self || (peer != NULL && peer->is_up && peer->has_status)) {
            node->clock_samples[count++] = (struct dsmr_clock_sample){
                is_self ? 0
                        : dsmr_clock_offset_of(peer->told_wall_ms, peer->heard_mono_ms,
                                               node->wall_ms, node->mono_ms),
                validator->weight};
        }
    }
    node->clock_offset_ms =
        set == NULL ? 0 : dsmr_clock_offset_median(node->clock_samples, count, set->total_weight);
    uint64_t distance =
        (uint64_t)(node->clock_offset_ms < 0 ? -node->clock_offset_ms : node->clock_offset_ms);
    dsmr_node_common_gauge(node, DSMR_METRIC_CLOCK_SKEW_MS, distance);
}

void dsmr_health_on_peer(struct dsmr_node *node, const struct dsmr_node_id *peer, bool is_up)
{
    struct dsmr_peer *entry = dsmr_peer_table_add(node->peers, peer);
    if (entry == NULL) {
        return;
    }
    entry->is_up = is_up;
    if (is_up) {
        struct dsmr_msg msg;
        status_message(node, &msg);
        dsmr_effects_send(node->fx, peer, &msg, NULL);
        dsmr_peer_pace_on_up(&entry->pace, node->mono_ms);
        dsmr_share_collector_on_peer_up(node);
    } else {
        dsmr_give_up_look_again(node);
    }
}

static void tell(struct dsmr_node *node)
{
    uint64_t due_ms = dsmr_node_common_add(node->status_mono_ms, STATUS_GAP_MS);
    if (node->status_accepted == node->accepted->height &&
        node->status_executed == node->executed_height) {
        return;
    }
    if (node->mono_ms < due_ms) {
        dsmr_node_common_arm(node, DSMR_TIMER_STATUS, due_ms);
        return;
    }
    struct dsmr_validator_set *set = dsmr_node_common_set(node, node->accepted->epoch);
    if (set == NULL) {
        return;
    }
    struct dsmr_msg msg;
    status_message(node, &msg);
    dsmr_effects_broadcast(node->fx, set, &msg, NULL);
    node->status_accepted = node->accepted->height;
    node->status_executed = node->executed_height;
    node->status_mono_ms = node->mono_ms;
}

uint64_t dsmr_health_floor_ends_ms(const struct dsmr_node *node)
{
    const struct dsmr_params *params = &node->config.params;
    uint64_t floor_ms = dsmr_node_common_floor(node);
    return floor_ms < params->chunk_lifetime_ms
               ? 0
               : ((floor_ms - params->chunk_lifetime_ms) / params->slot_ms + 1) * params->slot_ms;
}

/* Who looks at the status learns when it is over, in an idle network, too. */
static void watch_floor(struct dsmr_node *node)
{
    uint64_t ends_ms = dsmr_health_floor_ends_ms(node);
    if (ends_ms > node->wall_ms) {
        dsmr_node_common_arm(node, DSMR_TIMER_STATUS, dsmr_node_common_mono_at(node, ends_ms));
    }
}

void dsmr_health_on_start(struct dsmr_node *node)
{
    watch_floor(node);
}

bool dsmr_health_before_accept(struct dsmr_node *node, const struct dsmr_block *block)
{
    /* Our first block: was it made before we started? */
    if (node->is_fresh && block->time_ms < node->start_wall_ms && !set_wiped_floor(node)) {
        return false;
    }
    node->is_fresh = false;
    return true;
}

void dsmr_health_on_accept(struct dsmr_node *node)
{
    update_behind(node);
    dsmr_node_common_arm(node, DSMR_TIMER_STATUS,
                         dsmr_node_common_add(node->status_mono_ms, STATUS_GAP_MS));
    watch_floor(node);
}

void dsmr_health_on_executed(struct dsmr_node *node)
{
    dsmr_node_common_arm(node, DSMR_TIMER_STATUS,
                         dsmr_node_common_add(node->status_mono_ms, STATUS_GAP_MS));
}

void dsmr_health_on_flag(struct dsmr_node *node, bool *flag, bool value)
{
    if (*flag != value) {
        *flag = value;
        dsmr_block_builder_update(node);
        dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms);
    }
}

void dsmr_health_on_timer(struct dsmr_node *node)
{
    tell(node);
    watch_floor(node);
}
