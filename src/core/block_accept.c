#include "core/block_accept.h"

#include "core/block_builder.h"
#include "core/chunk_builder.h"
#include "core/chunk_fetch.h"
#include "core/expiry.h"
#include "core/give_up.h"
#include "core/health.h"
#include "core/share_collector.h"
#include "core/share_policy.h"

#define PRUNE_STEP 64u

static void add_mark(struct dsmr_node *node, const struct dsmr_block *block)
{
    uint64_t lifetime_ms = node->config.params.chunk_lifetime_ms;
    uint64_t step_ms = 4u * lifetime_ms / DSMR_NODE_MARKS_MAX + 1u;
    if (node->marks_count > 0) {
        uint32_t last = (node->marks_head + node->marks_count - 1) % DSMR_NODE_MARKS_MAX;
        if (block->time_ms < dsmr_node_common_add(node->marks[last].time_ms, step_ms)) {
            return;
        }
    }
    if (node->marks_count == DSMR_NODE_MARKS_MAX) {
        node->marks_head = (node->marks_head + 1) % DSMR_NODE_MARKS_MAX;
        node->marks_count--;
    }
    uint32_t at = (node->marks_head + node->marks_count) % DSMR_NODE_MARKS_MAX;
    node->marks[at] = (struct dsmr_time_mark){block->height, block->time_ms};
    node->marks_count++;
}

void dsmr_block_accept_set_tip(struct dsmr_node *node, struct dsmr_block *block)
{
    dsmr_block_ref(block);
    dsmr_block_unref(node->accepted);
    node->accepted = block;
    dsmr_epochs_pin(node->epochs, block);
    if (block->epoch != DSMR_EPOCH_NONE) {
        (void)dsmr_node_common_set(node, block->epoch); /* asks for it if need be */
    }
    for (uint32_t i = 0; i < block->past_epochs_count; i++) {
        (void)dsmr_node_common_set(node, block->past_epochs[i].epoch);
    }
    add_mark(node, block);
    dsmr_node_common_gauge(node, DSMR_METRIC_ACCEPTED_HEIGHT, block->height);
}

/* Its certificate waits no longer. */
static void end_own(struct dsmr_node *node, struct dsmr_own_chunk *own)
{
    if (!own->is_told && own->chunk != NULL && node->is_started) {
        /* A block was faster than those who were to keep the certificate. */
        dsmr_effects_notice_chunk(node->fx, DSMR_NOTICE_OWN_CERTIFIED, own->chunk);
        own->is_told = true;
        own->told_ms = node->mono_ms;
    }
    if (own->is_told) {
        dsmr_admission_on_accepted(&node->admission, node->mono_ms - own->told_ms);
        dsmr_node_common_observe(node, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED_ACCEPTED, own->told_ms,
                                 own->ref.tx_count);
    }
    dsmr_share_collector_remove(node, own);
}

void dsmr_block_accept_include(struct dsmr_node *node, const struct dsmr_block *block)
{
    for (uint32_t i = 0; i < block->certs_count; i++) {
        const struct dsmr_reference *ref = &block->certs[i].ref;
        enum dsmr_err err = dsmr_accepted_index_add(node->index, ref, block->height);
        if (err == DSMR_ERR_FULL || err == DSMR_ERR_NO_MEMORY) {
            dsmr_node_common_halt(node, "the index of accepted chunks is at its limit");
        }
        struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &ref->chunk_id);
        if (entry != NULL && entry->state != DSMR_CHUNK_INCLUDED) {
            dsmr_chunk_pool_set_state(node->chunks, &ref->chunk_id, DSMR_CHUNK_INCLUDED,
                                      block->height);
        }
        dsmr_share_policy_on_included(node, &ref->chunk_id, block->height);
        dsmr_cert_pool_remove(node->certs, &ref->chunk_id);
        struct dsmr_own_chunk *own = dsmr_share_collector_find(node, &ref->chunk_id);
        if (own != NULL && own->state != DSMR_OWN_STORING) {
            end_own(node, own);
        }
    }
}

/* Blocks that are no longer possible leave the tree, whether or not the engine says so. */
static void prune_tree(struct dsmr_node *node)
{
    struct dsmr_block *gone[PRUNE_STEP];
    uint32_t count;
    do {
        count = dsmr_block_tree_prune(node->tree, gone, PRUNE_STEP, &node->accepted->id);
        for (uint32_t i = 0; i < count; i++) {
            dsmr_effects_trace(node->fx, DSMR_TRACE_BLOCK_REJECTED, &gone[i]->id, gone[i]->height,
                               0);
            dsmr_block_unref(gone[i]);
        }
    } while (count > 0);
}

static bool request_store(struct dsmr_node *node, uint64_t engine_id, struct dsmr_block *block)
{
    struct dsmr_request request = {.kind = DSMR_REQUEST_ACCEPT_STORE,
                                   .number = block->height,
                                   .engine_id = engine_id,
                                   .id = block->id};
    uint64_t id = dsmr_requests_begin(node->requests, &request);
    if (id == 0) {
        return false;
    }
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_ACCEPT);
    fx->request_id = id;
    fx->u.store_accept.block = dsmr_block_ref(block);
    return true;
}

static enum dsmr_err check_accept(struct dsmr_node *node, const struct dsmr_block *block)
{
    if (node->is_halted) {
        return DSMR_ERR_HALTED;
    }
    if (block == NULL) {
        return DSMR_ERR_UNKNOWN;
    }
    if (!dsmr_id_equal(&block->parent_id, &node->accepted->id)) {
        return DSMR_ERR_UNKNOWN_PARENT;
    }
    const struct dsmr_executed_above *above = dsmr_map_find(node->executed_above, &block->height);
    if (above != NULL && !dsmr_id_equal(&above->id, &block->id)) {
        dsmr_node_common_halt(node, "the engine accepted another block at a height that is already "
                                    "executed: the state and the chain do not belong together");
        return DSMR_ERR_HALTED;
    }
    return DSMR_OK;
}

void dsmr_block_accept_on_accept(struct dsmr_node *node, uint64_t request_id,
                                 const struct dsmr_id *block_id)
{
    struct dsmr_block *block = dsmr_block_builder_find(node, block_id);
    bool is_again = block == node->accepted;
    enum dsmr_err err = is_again ? DSMR_OK : check_accept(node, block);
    if (err == DSMR_OK) {
        bool is_asked =
            dsmr_health_before_accept(node, block) && request_store(node, request_id, block);
        err = is_asked ? DSMR_OK : DSMR_ERR_BUSY;
    }
    if (err != DSMR_OK) {
        dsmr_effects_answer(node->fx, DSMR_FX_ACCEPTED, request_id, err, NULL);
        dsmr_node_common_error(node, err);
        return;
    }
    if (is_again) {
        return;
    }
    dsmr_block_ref(block);
    dsmr_block_tree_remove(node->tree, &block->id);
    dsmr_block_accept_set_tip(node, block);
    dsmr_block_accept_include(node, block);
    prune_tree(node);
    dsmr_effects_trace(node->fx, DSMR_TRACE_BLOCK_ACCEPTED, &block->id, block->height,
                       block->certs_count);
    dsmr_node_common_count(node, DSMR_METRIC_BLOCKS_ACCEPTED, 1);
    if (!dsmr_block_tree_descends(node->tree, &node->preference, &block->id)) {
        node->preference = block->id;
    }
    dsmr_chunk_fetch_push(node, block, false);
    dsmr_block_unref(block);
    dsmr_give_up_look_again(node);
    dsmr_health_on_accept(node);
    dsmr_expiry_run(node);
    dsmr_block_builder_on_tip(node);
    dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms);
}

void dsmr_block_accept_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                 enum dsmr_err err)
{
    dsmr_effects_answer(node->fx, DSMR_FX_ACCEPTED, request->engine_id, err, NULL);
    if (err != DSMR_OK) { /* what was accepted must not be forgotten: there is no way on */
        dsmr_node_common_error(node, err);
        dsmr_node_common_halt(node, "an accepted block could not be stored");
        return;
    }
    dsmr_chunk_fetch_on_durable(node, request->number);
}

void dsmr_block_accept_on_reject(struct dsmr_node *node, const struct dsmr_id *block_id)
{
    const struct dsmr_block *block = dsmr_block_tree_find(node->tree, block_id);
    if (block == NULL) {
        return;
    }
    dsmr_effects_trace(node->fx, DSMR_TRACE_BLOCK_REJECTED, block_id, block->height, 0);
    dsmr_block_tree_remove(node->tree, block_id);
    prune_tree(node); /* without it its descendants are no blocks of the chain either */
    if (dsmr_block_builder_find(node, &node->preference) == NULL) {
        node->preference = node->accepted->id;
    }
    dsmr_block_builder_on_tip(node); /* its certificates are free again */
}

void dsmr_block_accept_on_prefer(struct dsmr_node *node, const struct dsmr_id *block_id)
{
    if (dsmr_block_builder_find(node, block_id) == NULL ||
        dsmr_id_equal(&node->preference, block_id)) {
        return;
    }
    node->preference = *block_id;
    dsmr_block_builder_on_tip(node);
}
