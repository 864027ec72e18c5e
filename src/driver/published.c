/* published.c - the live facts that other threads may read without asking the logic thread: a
 * sequence lock over atomic words (Boehm, "Can Seqlocks Get Along With Programming Language
 * Memory Models?", 2012, section 4). */
#include <string.h>

#include "driver/driver_state.h"

static void gather(struct dsmr_driver *driver, struct dsmr_query_status *out)
{
    struct dsmr_node_status node;
    dsmr_node_status(driver->node, &node);
    out->domain = driver->config.node.params.domain;
    out->node_id = driver->config.node.node_id;
    out->height = node.accepted_height;
    out->block_id = node.accepted_id;
    out->chain_time_ms = node.chain_time_ms;
    out->epoch = node.epoch;
    out->executed_height = node.executed_height;
    out->state_root = node.state_root;
    uint64_t bft_epoch;
    if (driver->bft != NULL) {
        dsmr_bft_position(driver->bft, &bft_epoch, &out->view);
        out->votes_from = dsmr_bft_votes_from(driver->bft);
    }
    out->peers_connected = driver->peers_up;
    struct dsmr_validator_set *set = NULL;
    if (node.epoch != DSMR_EPOCH_NONE &&
        driver->config.validators.ops->get(driver->config.validators.self, &set, node.epoch) ==
            DSMR_OK) {
        out->validators = set->count;
        out->is_validator = dsmr_validator_set_find(set, &driver->config.node.node_id) >= 0;
        dsmr_validator_set_unref(set);
    }
    out->mempool_txs = node.mempool_txs;
    out->mempool_bytes = node.mempool_bytes;
    atomic_store_explicit(&driver->room_bytes, node.room_bytes, memory_order_relaxed);
    out->disk_free_bytes = driver->disk_free_bytes;
    out->is_behind = node.is_behind;
    out->is_disk_low = driver->is_disk_low;
    out->needs_state_sync = node.needs_state_sync;
    out->is_unserved = node.is_unserved;
    out->is_under_floor = node.is_under_floor && out->is_validator;
    out->is_final_refused = driver->alarms[DSMR_ALARM_FINAL_REFUSED];
    out->is_halted = driver->halt != DSMR_OK;
    out->halt_reason = driver->halt;
    out->halt_text = driver->halt_reason;
    out->clock_offset_ms = node.clock_offset_ms;
    out->is_backlog_full = node.is_backlog_full;
    out->is_started = driver->is_started;
    /* Ready: more than two thirds of the set (with ourselves) can hear us, and we can sign. */
    uint32_t present = driver->peers_up + (out->is_validator ? 1u : 0u);
    out->has_peers = out->validators == 0 || 3u * present > 2u * out->validators;
    out->is_ready = out->is_started && out->has_peers && !out->is_halted && !out->is_behind &&
                    !out->is_disk_low && !out->is_backlog_full && !out->is_final_refused &&
                    !out->needs_state_sync && !out->is_unserved && !out->is_under_floor;
}

void dsmr_published_update(struct dsmr_driver *driver)
{
    struct dsmr_query_status status;
    memset(&status, 0, sizeof status); /* also what lies between the fields: it is compared */
    gather(driver, &status);
    dsmr_alarms_update(driver, &status);
    dsmr_metrics_set(driver->config.metrics, DSMR_METRIC_PEERS, status.peers_connected);
    dsmr_metrics_set(driver->config.metrics, DSMR_METRIC_DISK_LOW, status.is_disk_low);
    dsmr_metrics_set(driver->config.metrics, DSMR_METRIC_VIEW, status.view);
    dsmr_metrics_set(driver->config.metrics, DSMR_METRIC_ABSTAINS, status.votes_from != 0);
    dsmr_metrics_set(driver->config.metrics, DSMR_METRIC_UNDER_FLOOR, status.is_under_floor);
    dsmr_metrics_set(driver->config.metrics, DSMR_METRIC_UNSERVED, status.is_unserved);
    uint64_t copy[DSMR_DRIVER_STATUS_WORDS] = {0};
    memcpy(copy, &status, sizeof status);
    if (memcmp(copy, driver->published.last, sizeof copy) == 0)
        return;
    memcpy(driver->published.last, copy, sizeof copy);
    uint64_t sequence = atomic_load_explicit(&driver->published.sequence, memory_order_relaxed);
    atomic_store_explicit(&driver->published.sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < DSMR_DRIVER_STATUS_WORDS; i++)
        atomic_store_explicit(&driver->published.words[i], copy[i], memory_order_relaxed);
    atomic_store_explicit(&driver->published.sequence, sequence + 2, memory_order_release);
}

void dsmr_published_read(const struct dsmr_driver *driver, struct dsmr_query_status *out)
{
    uint64_t words[DSMR_DRIVER_STATUS_WORDS];
    uint64_t before, after;
    do {
        before = atomic_load_explicit(&driver->published.sequence, memory_order_acquire);
        for (size_t i = 0; i < DSMR_DRIVER_STATUS_WORDS; i++)
            words[i] = atomic_load_explicit(&driver->published.words[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&driver->published.sequence, memory_order_relaxed);
    } while (before != after || (before & 1) != 0);
    memcpy(out, words, sizeof *out);
}
