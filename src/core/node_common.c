#include "core/node_state.h"

#include "base/bitset.h"

uint64_t dsmr_node_common_floor(const struct dsmr_node *node)
{
    return node->accepted->time_ms > node->floor_ms ? node->accepted->time_ms : node->floor_ms;
}

void dsmr_node_common_count(struct dsmr_node *node, enum dsmr_metric metric, uint64_t n)
{
    if (node->config.metrics != NULL) {
        dsmr_metrics_add(node->config.metrics, metric, n);
    }
}

void dsmr_node_common_gauge(struct dsmr_node *node, enum dsmr_metric metric, uint64_t value)
{
    if (node->config.metrics != NULL) {
        dsmr_metrics_set(node->config.metrics, metric, value);
    }
}

void dsmr_node_common_observe(struct dsmr_node *node, enum dsmr_metric_histogram histogram,
                              uint64_t since_ms, uint64_t count)
{
    if (node->config.metrics != NULL) {
        uint64_t ms = node->mono_ms > since_ms ? node->mono_ms - since_ms : 0;
        dsmr_metrics_observe(node->config.metrics, histogram, ms, count);
    }
}

void dsmr_node_common_error(struct dsmr_node *node, enum dsmr_err err)
{
    if (node->config.metrics != NULL && err != DSMR_OK) {
        dsmr_metrics_count_error(node->config.metrics, err);
    }
}

void dsmr_node_common_fault(struct dsmr_node *node, const struct dsmr_node_id *peer,
                            enum dsmr_err err)
{
    dsmr_node_common_error(node, err);
    struct dsmr_peer *entry = dsmr_peer_table_find(node->peers, peer);
    if (entry != NULL && entry->faults < UINT32_MAX) {
        entry->faults++;
    }
    dsmr_effects_fault(node->fx, peer, err);
}

void dsmr_node_common_halt(struct dsmr_node *node, const char *reason)
{
    if (!node->is_halted) {
        node->is_halted = true;
        dsmr_effects_add(node->fx, DSMR_FX_HALT)->u.halt = reason;
    }
}

struct dsmr_validator_set *dsmr_node_common_set(struct dsmr_node *node, uint64_t epoch)
{
    if (epoch == DSMR_EPOCH_NONE) {
        return NULL;
    }
    struct dsmr_validator_set *set = dsmr_epochs_find(node->epochs, epoch);
    if (set != NULL) {
        return set;
    }
    for (uint32_t i = 0; i < node->wanted_count; i++) {
        if (node->wanted[i] == epoch) {
            return NULL;
        }
    }
    if (node->wanted_count == DSMR_NODE_WANTED_MAX) { /* the oldest wish gives way */
        memmove(&node->wanted[0], &node->wanted[1],
                (DSMR_NODE_WANTED_MAX - 1u) * sizeof(node->wanted[0]));
        node->wanted_count--;
    }
    node->wanted[node->wanted_count++] = epoch;
    dsmr_effects_add(node->fx, DSMR_FX_WANT_SET)->u.want_set = epoch;
    return NULL;
}

bool dsmr_node_common_is_epoch_current(const struct dsmr_node *node, uint64_t epoch)
{
    const struct dsmr_block *tip = node->accepted;
    return tip->epoch != DSMR_EPOCH_NONE &&
           dsmr_epochs_allows(tip->epoch, tip->past_epochs, tip->past_epochs_count, epoch);
}

bool dsmr_node_common_is_validator(struct dsmr_node *node, const struct dsmr_node_id *peer)
{
    const struct dsmr_block *tip = node->accepted;
    struct dsmr_validator_set *set = dsmr_node_common_set(node, tip->epoch);
    if (set != NULL && dsmr_validator_set_find(set, peer) >= 0) {
        return true;
    }
    for (uint32_t i = 0; i < tip->past_epochs_count; i++) {
        set = dsmr_node_common_set(node, tip->past_epochs[i].epoch);
        if (set != NULL && dsmr_validator_set_find(set, peer) >= 0) {
            return true;
        }
    }
    return false;
}

bool dsmr_node_common_is_healthy(const struct dsmr_node *node)
{
    return node->is_started && !node->is_halted && !node->is_bootstrapping && !node->is_behind &&
           !node->is_disk_low;
}

void dsmr_node_common_arm(struct dsmr_node *node, enum dsmr_node_timer timer, uint64_t mono_ms)
{
    if (mono_ms < node->timers[timer]) {
        node->timers[timer] = mono_ms;
    }
}

uint64_t dsmr_node_common_mono_at(const struct dsmr_node *node, uint64_t wall_ms)
{
    uint64_t wait_ms = wall_ms > node->wall_ms ? wall_ms - node->wall_ms : 0;
    return dsmr_node_common_add(node->mono_ms, wait_ms);
}

uint64_t dsmr_node_common_slot_start(const struct dsmr_node *node, uint64_t slot)
{
    uint64_t slot_ms = node->config.params.slot_ms;
    return slot > UINT64_MAX / slot_ms ? UINT64_MAX : slot * slot_ms;
}

uint64_t dsmr_node_common_request(struct dsmr_node *node, enum dsmr_request_kind kind,
                                  uint32_t item, uint32_t item_use)
{
    struct dsmr_request request = {.kind = kind, .item = item, .item_use = item_use};
    return dsmr_requests_begin(node->requests, &request);
}

enum dsmr_err dsmr_node_common_check_ref(const struct dsmr_node *node,
                                         const struct dsmr_reference *ref,
                                         const struct dsmr_validator_set *set)
{
    const struct dsmr_params *params = &node->config.params;
    uint64_t start_ms = dsmr_node_common_slot_start(node, ref->slot);
    if (start_ms > UINT64_MAX - params->chunk_lifetime_ms ||
        ref->expiry_ms != start_ms + params->chunk_lifetime_ms) {
        return DSMR_ERR_EXPIRY_MISMATCH;
    }
    if (ref->chunk_bytes > params->chunk_bytes_max || ref->tx_count > params->chunk_txs_max) {
        return DSMR_ERR_TOO_LARGE;
    }
    if (ref->tx_count == 0 || ref->chunk_bytes < DSMR_CHUNK_HEADER_BYTES) {
        return DSMR_ERR_MALFORMED;
    }
    return dsmr_validator_set_find(set, &ref->producer) < 0 ? DSMR_ERR_NOT_VALIDATOR : DSMR_OK;
}

enum dsmr_err dsmr_node_common_check_signers(const struct dsmr_bitset *signers, uint64_t *weight,
                                             const struct dsmr_validator_set *set)
{
    if (dsmr_bitset_is_empty(signers) || dsmr_bitset_end(signers) > set->count) {
        return DSMR_ERR_BITSET;
    }
    for (uint32_t i = 0; i < set->count; i++) { /* two nodes with one key keep two journals */
        if (dsmr_bitset_has(signers, i) && set->validators[i].node_ids_count != 1) {
            return DSMR_ERR_NOT_VALIDATOR;
        }
    }
    *weight = dsmr_bitset_weight(signers, set);
    return dsmr_is_quorum(*weight, set->total_weight) ? DSMR_OK : DSMR_ERR_UNDER_QUORUM;
}
