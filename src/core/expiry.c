#include "core/expiry.h"

#include <stdlib.h>

#include "core/block_builder.h"
#include "core/chunk_builder.h"
#include "core/share_collector.h"

#define STEP 64u /* entries of each kind in one step */
#define GC_GAP_MS 1000u
#define INDEX_LIFETIMES 2u /* the engine's pointer may trail ours by a lifetime */
#define MEMPOOL_STEP 4096u

static bool has_gc_room(const struct dsmr_node *node)
{
    return node->gc_count + STEP <= DSMR_NODE_GC_BATCH_MAX;
}

static void add_garbage(struct dsmr_node *node, const struct dsmr_id *chunk_id)
{
    DSMR_ASSERT(node->gc_count < DSMR_NODE_GC_BATCH_MAX);
    node->gc_ids[node->gc_count++] = *chunk_id;
}

/* A chunk that no block took. Its producer puts the valid transactions back. */
static void expire(struct dsmr_node *node, const struct dsmr_id *chunk_id)
{
    struct dsmr_own_chunk *own = dsmr_share_collector_find(node, chunk_id);
    if (own != NULL) {
        struct dsmr_chunk *chunk = own->chunk != NULL ? own->chunk : own->kept;
        if (chunk != NULL) {
            dsmr_chunk_builder_return(node, chunk);
        }
        dsmr_share_collector_remove(node, own);
    }
    dsmr_chunk_pool_set_state(node->chunks, chunk_id, DSMR_CHUNK_EXPIRED, 0);
    dsmr_chunk_pool_remove(node->chunks, chunk_id);
    dsmr_cert_pool_remove(node->certs, chunk_id);
    add_garbage(node, chunk_id);
    dsmr_effects_trace(node->fx, DSMR_TRACE_CHUNK_EXPIRED, chunk_id, 0, 0);
    dsmr_node_common_count(node, DSMR_METRIC_CHUNKS_EXPIRED, 1);
}

static bool expire_chunks(struct dsmr_node *node)
{
    struct dsmr_id ids[STEP];
    uint64_t now_ms = node->accepted->time_ms;
    uint32_t count = dsmr_chunk_pool_list_expired(node->chunks, ids, STEP, now_ms);
    for (uint32_t i = 0; i < count; i++) {
        const struct dsmr_chunk_entry *entry = dsmr_chunk_pool_find(node->chunks, &ids[i]);
        DSMR_ASSERT(entry != NULL);
        bool is_included = entry->state == DSMR_CHUNK_INCLUDED;
        if (is_included ? entry->included_height > node->executed_height
                        : dsmr_block_tree_names(node->tree, &ids[i])) {
            dsmr_chunk_pool_defer(node->chunks, &ids[i], now_ms + 1000u);
        } else if (is_included) {
            dsmr_chunk_pool_remove(node->chunks, &ids[i]); /* the disk keeps and serves it */
        } else {
            expire(node, &ids[i]);
        }
    }
    return count == STEP;
}

static bool expire_certs(struct dsmr_node *node)
{
    struct dsmr_id ids[STEP];
    uint32_t count = dsmr_cert_pool_take_expired(node->certs, ids, STEP, node->accepted->time_ms);
    for (uint32_t i = 0; i < count; i++) {
        if (dsmr_chunk_pool_find(node->chunks, &ids[i]) == NULL) {
            add_garbage(node, &ids[i]); /* its chunk never came */
        }
    }
    return count == STEP;
}

/* Rule 11.3 as limits on the time of a block and the local time of its accept. False: nothing is
 * old enough. */
static bool retained_limits(const struct dsmr_node *node, uint64_t *time_max_ms,
                            uint64_t *wall_max_ms)
{
    uint64_t retention_ms = node->config.params.retention_ms;
    /* Executed time, not chain time: what is older was executed here. */
    if (retention_ms == UINT64_MAX || node->executed_time_ms <= retention_ms ||
        node->wall_ms < retention_ms) {
        return false;
    }
    *time_max_ms = node->executed_time_ms - retention_ms - 1;
    *wall_max_ms = node->wall_ms - retention_ms;
    return true;
}

static bool is_retained_due(const struct dsmr_node *node)
{
    uint64_t time_max_ms;
    uint64_t wall_max_ms;
    return retained_limits(node, &time_max_ms, &wall_max_ms) &&
           node->retained_time_ms <= time_max_ms && node->retained_wall_ms <= wall_max_ms;
}

/* Height below which no certificate of the accepted chain can matter again. */
static uint64_t index_floor(struct dsmr_node *node)
{
    uint64_t keep_ms = (uint64_t)INDEX_LIFETIMES * node->config.params.chunk_lifetime_ms;
    uint64_t before = node->index_before;
    while (node->marks_count > 0) {
        const struct dsmr_time_mark *mark = &node->marks[node->marks_head];
        if (dsmr_node_common_add(mark->time_ms, keep_ms) >= node->accepted->time_ms) {
            break;
        }
        before = mark->height;
        node->marks_head = (node->marks_head + 1) % DSMR_NODE_MARKS_MAX;
        node->marks_count--;
    }
    return before;
}

/* What the store is to remove: what it could not the last time, or what has come together since.
 * false: no memory. */
static bool take_garbage(struct dsmr_node *node, struct dsmr_id **ids)
{
    *ids = NULL;
    if (node->gc_asked_count == 0) {
        memcpy(node->gc_asked, node->gc_ids, node->gc_count * sizeof(node->gc_ids[0]));
        node->gc_asked_count = node->gc_count;
        node->gc_count = 0;
    }
    if (node->gc_asked_count > 0) {
        *ids = malloc(node->gc_asked_count * sizeof(**ids));
        if (*ids == NULL) {
            return false;
        }
        memcpy(*ids, node->gc_asked, node->gc_asked_count * sizeof(**ids));
    }
    return true;
}

static void start_gc(struct dsmr_node *node)
{
    struct dsmr_id *ids;
    uint64_t id = dsmr_node_common_request(node, DSMR_REQUEST_GC, 0, 0);
    if (id == 0) {
        return;
    }
    if (!take_garbage(node, &ids)) {
        struct dsmr_request gone;
        (void)dsmr_requests_end(node->requests, &gone, id);
        return; /* the next step tries again */
    }
    uint64_t floor_ms = dsmr_node_common_floor(node);
    uint64_t journal_step_ms = node->config.params.chunk_lifetime_ms / 4u;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_GC);
    fx->request_id = id;
    fx->u.store_gc.floor_ms = floor_ms;
    fx->u.store_gc.chunks = ids;
    fx->u.store_gc.chunks_count = node->gc_asked_count;
    if (floor_ms >= dsmr_node_common_add(node->gc_journal_floor_ms, journal_step_ms)) {
        fx->u.store_gc.drop_journals = true;
        node->gc_journal_floor_ms = floor_ms;
    }
    uint64_t before = index_floor(node);
    if (before > node->index_before) {
        node->index_before = before;
        fx->u.store_gc.index_before_height = before;
    }
    fx->u.store_gc.retained.is_wanted = retained_limits(node, &fx->u.store_gc.retained.time_max_ms,
                                                        &fx->u.store_gc.retained.wall_max_ms);
    fx->u.store_gc.retained.height_max = node->executed_height;
    node->floor_ms = floor_ms;
    node->is_floor_due = false;
    node->is_gc_running = true;
    node->gc_last_mono_ms = node->mono_ms;
}

/* Journal entries on disk go a few times in a lifetime, if there are any. */
static bool is_journal_due(const struct dsmr_node *node)
{
    uint64_t step_ms = node->config.params.chunk_lifetime_ms / 4u;
    return dsmr_node_common_floor(node) >=
           dsmr_node_common_add(node->gc_journal_floor_ms,
                                step_ms + node->config.params.chunk_lifetime_ms);
}

void dsmr_expiry_run(struct dsmr_node *node)
{
    bool is_left = false;
    if (!node->is_started || node->is_halted) {
        return;
    }
    is_left = has_gc_room(node) ? expire_chunks(node) || is_left : true;
    is_left = has_gc_room(node) ? expire_certs(node) || is_left : true;
    uint64_t chain_ms = node->accepted->time_ms;
    bool has_dropped = dsmr_journal_prune(node->journal, chain_ms, STEP) == STEP;
    has_dropped |= dsmr_accepted_index_prune(node->index, chain_ms, STEP * 4u) == STEP * 4u;
    is_left |= has_dropped;
    bool is_wanted = node->gc_count + node->gc_asked_count > 0 || is_journal_due(node) ||
                     is_retained_due(node) || node->is_floor_due;
    uint64_t due_ms = dsmr_node_common_add(node->gc_last_mono_ms, GC_GAP_MS);
    bool is_urgent = (!has_gc_room(node) || node->is_floor_due) && !node->has_gc_failed;
    if (is_wanted && !node->is_gc_running && (node->mono_ms >= due_ms || is_urgent)) {
        start_gc(node);
    } else if (is_wanted && !node->is_gc_running) {
        dsmr_node_common_arm(node, DSMR_TIMER_GC, due_ms);
    }
    if (is_left && (has_gc_room(node) || !(node->is_gc_running || node->has_gc_failed))) {
        dsmr_node_common_arm(node, DSMR_TIMER_GC, node->mono_ms + 1);
    }
}

/* The floor of an empty journal: without it the node must not go on. */
static void on_own_floor(struct dsmr_node *node, enum dsmr_err err)
{
    if (err != DSMR_OK) {
        dsmr_node_common_error(node, err);
        dsmr_node_common_halt(node, "what an empty journal must not sign could not be stored");
    }
}

void dsmr_expiry_on_gc(struct dsmr_node *node, const struct dsmr_request *request,
                       const struct dsmr_event *event)
{
    if (request->number != 0) {
        on_own_floor(node, event->err);
        return;
    }
    node->is_gc_running = false;
    node->has_gc_failed = event->err != DSMR_OK;
    if (event->err != DSMR_OK) { /* the ids are asked for again, and so are journal entries */
        dsmr_node_common_error(node, event->err);
        node->gc_journal_floor_ms = 0;
        node->is_floor_due = true;
        dsmr_expiry_run(node);
        return;
    }
    node->gc_asked_count = 0;
    node->retained_time_ms = event->u.stored_gc.oldest_time_ms;
    node->retained_wall_ms = event->u.stored_gc.oldest_wall_ms;
    if (node->retained_time_ms == UINT64_MAX) { /* no block keeps any: later ones are not older */
        node->retained_time_ms = node->accepted->time_ms;
        node->retained_wall_ms = node->wall_ms;
    }
    if (is_retained_due(node)) {
        node->gc_last_mono_ms = 0; /* one write takes only so many: go on at once */
    }
    dsmr_expiry_run(node);
}

bool dsmr_expiry_set_floor(struct dsmr_node *node, uint64_t floor_ms)
{
    struct dsmr_request request = {.kind = DSMR_REQUEST_GC, .number = floor_ms};
    if (floor_ms <= node->floor_ms) {
        return true;
    }
    uint64_t id = dsmr_requests_begin(node->requests, &request);
    if (id == 0) {
        return false;
    }
    node->floor_ms = floor_ms;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_GC);
    fx->request_id = id;
    fx->u.store_gc.floor_ms = dsmr_node_common_floor(node);
    return true;
}

void dsmr_expiry_on_mempool(struct dsmr_node *node)
{
    struct dsmr_id *ids = malloc(MEMPOOL_STEP * sizeof(*ids));
    if (dsmr_mempool_txs(node->mempool) == 0 || ids == NULL) {
        free(ids);
        return;
    }
    uint32_t steps = dsmr_mempool_txs(node->mempool);
    steps = steps < MEMPOOL_STEP ? steps : MEMPOOL_STEP;
    uint32_t count = dsmr_mempool_take_expired(node->mempool, ids, steps, node->wall_ms);
    if (count > 0) {
        struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_NOTICE);
        fx->u.notice.what = DSMR_NOTICE_TXS_EXPIRED;
        fx->u.notice.tx_ids = ids;
        fx->u.notice.tx_ids_count = count;
        ids = NULL;
        dsmr_block_builder_update(node);
    }
    free(ids);
    if (dsmr_mempool_txs(node->mempool) > 0) {
        uint64_t rounds = dsmr_mempool_txs(node->mempool) / MEMPOOL_STEP + 1u;
        uint64_t wait_ms = node->config.params.validity_window_ms / 8u / rounds + 1u;
        dsmr_node_common_arm(node, DSMR_TIMER_MEMPOOL,
                             dsmr_node_common_add(node->mono_ms, wait_ms));
    }
}
