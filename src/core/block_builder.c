#include "core/block_builder.h"

#include "core/block_load.h"
#include "wire/codec.h"

#define HOLD_FIRST_MS 1000u

struct dsmr_block *dsmr_block_builder_find(const struct dsmr_node *node,
                                           const struct dsmr_id *block_id)
{
    if (dsmr_id_equal(&node->accepted->id, block_id)) {
        return node->accepted;
    }
    return dsmr_block_tree_find(node->tree, block_id);
}

uint64_t dsmr_block_builder_time_min(const struct dsmr_node *node, const struct dsmr_block *parent)
{
    uint32_t gap_ms = node->config.params.min_block_gap_ms;
    return dsmr_node_common_add(parent->time_ms, gap_ms > 0 ? gap_ms : 1);
}

/* Whether something waits here that no block has taken yet. */
static bool is_holding(const struct dsmr_node *node)
{
    return dsmr_mempool_txs(node->mempool) > 0 || dsmr_cert_pool_count(node->certs) > 0 ||
           dsmr_chunk_pool_pending_total(node->chunks) > 0;
}

struct used_ctx {
    const struct dsmr_node *node;
    const struct dsmr_block *parent;
    uint64_t time_min_ms; /* older ancestors cannot matter */
};

static bool is_used(void *ctx, const struct dsmr_reference *ref)
{
    const struct used_ctx *used = ctx;
    return dsmr_block_tree_is_used(used->node->tree, &used->parent->id, ref, used->time_min_ms) ||
           dsmr_accepted_index_is_used(used->node->index, ref, used->node->accepted->height);
}

static void fill_wish(struct dsmr_cert_pool_wish *wish, struct used_ctx *used,
                      const struct dsmr_block *fields, const struct dsmr_block *parent)
{
    const struct dsmr_node *node = used->node;
    const struct dsmr_params *params = &node->config.params;
    used->parent = parent;
    used->time_min_ms = fields->time_ms > params->chunk_lifetime_ms
                            ? fields->time_ms - params->chunk_lifetime_ms
                            : 0;
    *wish = (struct dsmr_cert_pool_wish){
        .time_ms = fields->time_ms,
        .slot_ms = params->slot_ms,
        .certs_max = params->block_certs_max,
        .txs_max = params->block_txs_max,
        .payload_bytes_max = params->block_payload_bytes_max,
        .encoded_bytes_max = params->block_bytes_max - dsmr_block_encoded_size(fields),
        .is_used = is_used,
        .ctx = used,
    };
    if (fields->epoch != DSMR_EPOCH_NONE) {
        wish->epochs[wish->epochs_count++] = fields->epoch;
    }
    for (uint32_t i = 0; i < fields->past_epochs_count; i++) {
        wish->epochs[wish->epochs_count++] = fields->past_epochs[i].epoch;
    }
}

/* All but the certificates. */
static void fill_fields(const struct dsmr_node *node, struct dsmr_block *fields,
                        const struct dsmr_block *parent, uint64_t epoch, uint64_t time_ms)
{
    memset(fields, 0, sizeof(*fields));
    fields->parent_id = parent->id;
    fields->height = parent->height + 1;
    fields->time_ms = time_ms;
    fields->epoch = epoch;
    fields->past_epochs_count = dsmr_epochs_list(fields->past_epochs, parent, epoch, time_ms,
                                                 node->config.params.chunk_lifetime_ms);
}

/* Section 8: when a builder may leave a block empty. */
static bool may_be_empty(const struct dsmr_node *node, const struct dsmr_block *fields,
                         const struct dsmr_block *parent)
{
    if (parent->epoch == DSMR_EPOCH_NONE) {
        return true;
    }
    uint64_t idle_ms = fields->time_ms - parent->time_ms;
    return is_holding(node) &&
           (fields->epoch != parent->epoch || idle_ms >= node->config.params.chunk_lifetime_ms);
}

static enum dsmr_err build(struct dsmr_node *node, struct dsmr_block **out,
                           const struct dsmr_block *parent, uint64_t epoch, uint64_t time_ms)
{
    struct dsmr_block fields;
    struct dsmr_cert_pool_wish wish;
    struct used_ctx used = {.node = node};
    fill_fields(node, &fields, parent, epoch, time_ms);
    fill_wish(&wish, &used, &fields, parent);
    fields.certs = node->select_certs;
    fields.certs_count = dsmr_cert_pool_select(node->certs, node->select_certs, &wish);
    if (fields.certs_count == 0 && !may_be_empty(node, &fields, parent)) {
        return DSMR_ERR_NOTHING_TO_BUILD;
    }
    enum dsmr_err err = dsmr_block_build(out, &node->config.params, &fields);
    if (err != DSMR_OK) {
        return err;
    }
    err = dsmr_block_tree_add(node->tree, *out); /* verified by how it was made */
    if (err != DSMR_OK && err != DSMR_ERR_DUPLICATE) {
        dsmr_block_unref(*out);
        *out = NULL;
        return err == DSMR_ERR_FULL ? DSMR_ERR_BUSY : err;
    }
    return DSMR_OK;
}

static void finish(struct dsmr_node *node, uint64_t request_id, enum dsmr_err err,
                   struct dsmr_block *block)
{
    dsmr_effects_answer(node->fx, DSMR_FX_BUILT, request_id, err, block);
    if (err == DSMR_OK) {
        dsmr_effects_trace(node->fx, DSMR_TRACE_BLOCK_BUILT, &block->id, block->height,
                           block->certs_count);
        dsmr_node_common_count(node, DSMR_METRIC_BLOCKS_BUILT, 1);
    } else {
        dsmr_node_common_error(node, err);
        node->is_hold_due = false; /* back off: nothing was there after all */
        dsmr_block_builder_update(node);
    }
    dsmr_block_unref(block);
}

/* As far as a parent's time lies ahead if the clock has let it pass (9.2) and was not set back. The
 * engine may do nothing else while it waits: for longer it is told to ask again. */
static bool is_near(const struct dsmr_node *node, uint64_t due_wall_ms)
{
    const struct dsmr_params *params = &node->config.params;
    uint64_t gap_ms = params->min_block_gap_ms > 0 ? params->min_block_gap_ms : 1;
    return due_wall_ms <= dsmr_node_common_add(node->wall_ms, params->clock_skew_ms + gap_ms);
}

static void wait_for(struct dsmr_node *node, uint64_t request_id, const struct dsmr_id *parent_id,
                     uint64_t epoch, uint64_t due_wall_ms)
{
    struct dsmr_pending_build *pending = &node->builds[0];
    for (uint32_t i = 0; i < DSMR_NODE_BUILDS_MAX; i++) {
        if (!node->builds[i].is_used) {
            pending = &node->builds[i];
            break;
        }
    }
    if (pending->is_used) {
        dsmr_effects_answer(node->fx, DSMR_FX_BUILT, pending->request_id, DSMR_ERR_NOTHING_TO_BUILD,
                            NULL);
    }
    *pending = (struct dsmr_pending_build){.is_used = true,
                                           .request_id = request_id,
                                           .parent_id = *parent_id,
                                           .epoch = epoch,
                                           .due_wall_ms = due_wall_ms};
    dsmr_node_common_arm(node, DSMR_TIMER_BUILD, dsmr_node_common_mono_at(node, due_wall_ms));
}

void dsmr_block_builder_on_build(struct dsmr_node *node, uint64_t request_id,
                                 const struct dsmr_id *parent_id, uint64_t epoch)
{
    const struct dsmr_block *parent = dsmr_block_builder_find(node, parent_id);
    struct dsmr_block *block = NULL;
    enum dsmr_err err = DSMR_OK;
    if (node->is_halted) {
        err = DSMR_ERR_HALTED;
    } else if (node->is_bootstrapping || node->is_behind) {
        err = DSMR_ERR_BEHIND;
    } else if (node->is_disk_low) {
        err = DSMR_ERR_DISK_FULL;
    } else if (dsmr_block_load_is_disk_late(node)) {
        err = DSMR_ERR_BUSY;
    } else if (parent == NULL) {
        err = DSMR_ERR_UNKNOWN_PARENT;
    } else if (epoch == DSMR_EPOCH_NONE && parent->height > 0) {
        err = DSMR_ERR_NOT_YET; /* context missing above block 1 */
    } else if (epoch != DSMR_EPOCH_NONE && dsmr_node_common_set(node, epoch) == NULL) {
        err = DSMR_ERR_NOT_YET;
    } else if (!is_near(node, dsmr_block_builder_time_min(node, parent))) {
        err = DSMR_ERR_NOT_YET;
    }
    if (err == DSMR_OK) {
        uint64_t time_ms = dsmr_block_builder_time_min(node, parent);
        if (time_ms > node->wall_ms) {
            wait_for(node, request_id, parent_id, epoch, time_ms);
            return;
        }
        err = build(node, &block, parent, epoch, node->wall_ms);
    }
    finish(node, request_id, err, block);
}

void dsmr_block_builder_on_timer(struct dsmr_node *node)
{
    for (uint32_t i = 0; i < DSMR_NODE_BUILDS_MAX; i++) {
        struct dsmr_pending_build pending = node->builds[i];
        if (!pending.is_used) {
            continue;
        }
        if (pending.due_wall_ms > node->wall_ms && is_near(node, pending.due_wall_ms)) {
            dsmr_node_common_arm(node, DSMR_TIMER_BUILD,
                                 dsmr_node_common_mono_at(node, pending.due_wall_ms));
            continue;
        }
        node->builds[i].is_used = false;
        dsmr_block_builder_on_build(node, pending.request_id, &pending.parent_id, pending.epoch);
    }
}

static void arm_hold(struct dsmr_node *node, const struct dsmr_block *tip)
{
    if (node->hold.due_mono_ms == UINT64_MAX) {
        /* From parent time + 1 s; on a chain that was idle, a second from now, so that a lonely
         * transaction gets its certificate before anyone thinks of an empty block. */
        dsmr_retry_start(&node->hold, &node->prng, node->mono_ms);
        uint64_t first_ms =
            dsmr_node_common_mono_at(node, dsmr_node_common_add(tip->time_ms, HOLD_FIRST_MS));
        if (first_ms > node->hold.due_mono_ms) {
            node->hold.due_mono_ms = first_ms;
        }
    }
    dsmr_node_common_arm(node, DSMR_TIMER_HOLD, node->hold.due_mono_ms);
}

/* Whether a block is worth building now. Once it was, it is until there is nothing to build. */
static bool is_gathered(struct dsmr_node *node)
{
    uint64_t until_ms = node->is_ready ? 0 : dsmr_cert_gather_until(node);
    if (until_ms == 0) {
        return true;
    }
    dsmr_node_common_arm(node, DSMR_TIMER_READY, until_ms);
    return false;
}

static bool compute_ready(struct dsmr_node *node)
{
    const struct dsmr_block *tip = dsmr_block_builder_find(node, &node->preference);
    if (tip == NULL || !dsmr_node_common_is_healthy(node)) {
        dsmr_cert_gather_reset(node);
        return false;
    }
    if (tip->epoch == DSMR_EPOCH_NONE) {
        return true;
    }
    struct dsmr_block fields;
    struct dsmr_cert_pool_wish wish;
    struct used_ctx used = {.node = node};
    uint64_t time_ms = dsmr_block_builder_time_min(node, tip);
    time_ms = time_ms > node->wall_ms ? time_ms : node->wall_ms;
    if (dsmr_cert_pool_count(node->certs) > 0) {
        fill_fields(node, &fields, tip, tip->epoch, time_ms);
        fill_wish(&wish, &used, &fields, tip);
        if (dsmr_cert_pool_has_fitting(node->certs, &wish)) {
            return is_gathered(node);
        }
        /* A certificate may be ahead of its slot's start. */
        uint64_t slot_ms = node->config.params.slot_ms;
        uint64_t next_ms = (time_ms / slot_ms + 1) * slot_ms;
        wish.time_ms = dsmr_node_common_add(time_ms, node->config.params.clock_skew_ms);
        if (dsmr_cert_pool_has_fitting(node->certs, &wish)) {
            dsmr_node_common_arm(node, DSMR_TIMER_READY, dsmr_node_common_mono_at(node, next_ms));
        }
    }
    dsmr_cert_gather_reset(node);
    if (!is_holding(node)) {
        node->is_hold_due = false;
        dsmr_retry_stop(&node->hold);
        return false;
    }
    if (!node->is_hold_due) {
        arm_hold(node, tip);
    }
    return node->is_hold_due;
}

void dsmr_block_builder_update(struct dsmr_node *node)
{
    if (!node->is_started) {
        return;
    }
    bool is_ready = compute_ready(node);
    if (is_ready != node->is_ready || !node->is_ready_known) {
        node->is_ready = is_ready;
        node->is_ready_known = true;
        dsmr_effects_add(node->fx, DSMR_FX_BLOCK_READY)->u.block_ready = is_ready;
    }
}

/* Rule 8.3 (iii): from a lifetime after the parent on an empty block is allowed. The backoff must
 * not sleep over that moment: what is held may have waited for just this. */
static void hold_until_empty_is_allowed(struct dsmr_node *node)
{
    const struct dsmr_block *tip = dsmr_block_builder_find(node, &node->preference);
    if (tip == NULL) {
        return;
    }
    uint64_t allowed_ms = dsmr_node_common_mono_at(
        node, dsmr_node_common_add(tip->time_ms, node->config.params.chunk_lifetime_ms));
    if (node->mono_ms < allowed_ms && allowed_ms < node->hold.due_mono_ms) {
        node->hold.due_mono_ms = allowed_ms;
    }
}

void dsmr_block_builder_on_hold(struct dsmr_node *node)
{
    if (node->hold.due_mono_ms == UINT64_MAX) {
        return;
    }
    if (!dsmr_retry_is_due(&node->hold, node->mono_ms)) {
        dsmr_node_common_arm(node, DSMR_TIMER_HOLD, node->hold.due_mono_ms);
        return;
    }
    node->is_hold_due = true;
    dsmr_retry_again(&node->hold, &node->prng, node->mono_ms);
    hold_until_empty_is_allowed(node);
    dsmr_block_builder_update(node);
}

/* A build may have been refused for want of this set: the engine is told at once to ask again. */
void dsmr_block_builder_on_set(struct dsmr_node *node)
{
    if (node->hold.due_mono_ms != UINT64_MAX && node->hold.tries > 0) {
        node->hold.due_mono_ms = node->mono_ms;
        dsmr_node_common_arm(node, DSMR_TIMER_HOLD, node->mono_ms);
    }
    dsmr_block_builder_update(node);
}

void dsmr_block_builder_on_tip(struct dsmr_node *node)
{
    node->is_hold_due = false;
    dsmr_retry_stop(&node->hold);
    dsmr_block_builder_update(node);
}

void dsmr_block_builder_on_step(struct dsmr_node *node)
{
    if (!node->is_ready && node->hold.due_mono_ms == UINT64_MAX && is_holding(node)) {
        dsmr_block_builder_update(node);
    }
}
