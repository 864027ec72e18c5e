#include "core/assembler.h"

#include "core/chunk_fetch.h"
#include "core/exec_queue.h"
#include "core/expiry.h"
#include "core/health.h"
#include "core/plan.h"
#include "wire/codec.h"

#define LOOK_AHEAD 8u /* transactions: as much work as a fetch from memory takes */

/* OK: runs. DUPLICATE, EXPIRED (outside its window): does not. NO_MEMORY. */
static enum dsmr_err judge(struct dsmr_node *node, uint64_t *expiry_ms,
                           const struct dsmr_block *block, const struct dsmr_chunk *chunk,
                           uint32_t tx)
{
    uint64_t latest_ms =
        dsmr_node_common_add(block->time_ms, node->config.params.validity_window_ms);
    *expiry_ms = dsmr_chunk_tx_expiry_ms(chunk, tx);
    if (*expiry_ms < block->time_ms || *expiry_ms > latest_ms) {
        return DSMR_ERR_EXPIRED;
    }
    return dsmr_executed_ids_add(node->executed_ids, &chunk->tx_ids[tx], *expiry_ms);
}

/* The table of executed ids is larger than any cache. */
static void look_ahead(const struct dsmr_node *node, const struct dsmr_chunk *chunk, uint32_t tx)
{
    tx += LOOK_AHEAD;
    if (tx < chunk->ref.tx_count) {
        dsmr_executed_ids_prefetch(node->executed_ids, &chunk->tx_ids[tx],
                                   dsmr_chunk_tx_expiry_ms(chunk, tx));
    }
}

static bool add_chunk(struct dsmr_node *node, struct dsmr_plan *plan, uint32_t index)
{
    const struct dsmr_chunk *chunk = plan->chunks[index];
    for (uint32_t tx = 0; tx < chunk->ref.tx_count; tx++) {
        look_ahead(node, chunk, tx);
        struct dsmr_plan_tx *next = &plan->txs[plan->txs_count];
        enum dsmr_err err = judge(node, &next->expiry_ms, plan->block, chunk, tx);
        if (err == DSMR_OK) {
            next->chunk = index;
            next->tx = tx;
            plan->txs_count++;
        } else if (err == DSMR_ERR_DUPLICATE) {
            plan->dropped_duplicates++;
        } else if (err == DSMR_ERR_EXPIRED) {
            plan->dropped_expired++;
        } else {
            return false;
        }
    }
    return true;
}

static uint32_t count_txs(const struct dsmr_block *block)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        count += block->certs[i].ref.tx_count;
    }
    DSMR_ASSERT(count <= UINT32_MAX); /* block_txs_max was checked before accept */
    return (uint32_t)count;
}

static struct dsmr_plan *assemble(struct dsmr_node *node, struct dsmr_exec_block *item)
{
    struct dsmr_plan *plan = dsmr_plan_new(item->block, count_txs(item->block));
    if (plan == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < item->block->certs_count; i++) {
        DSMR_ASSERT(item->bodies[i].state == DSMR_BODY_HELD);
        plan->chunks[i] = item->bodies[i].chunk; /* the reference moves */
        item->bodies[i].chunk = NULL;
    }
    for (uint32_t i = 0; i < item->block->certs_count; i++) {
        if (!add_chunk(node, plan, i)) {
            dsmr_plan_unref(plan);
            return NULL;
        }
    }
    return plan;
}

static bool hand_over(struct dsmr_node *node, struct dsmr_exec_block *item)
{
    struct dsmr_request request = {.kind = DSMR_REQUEST_EXECUTE, .number = item->block->height};
    uint64_t id = dsmr_requests_begin(node->requests, &request);
    if (id == 0) {
        return false;
    }
    item->plan = assemble(node, item);
    if (item->plan == NULL) { /* ids may have entered the filter: there is no way back */
        dsmr_node_common_halt(node, "out of memory while a block was assembled");
        return false;
    }
    item->state = DSMR_EXEC_ASSEMBLED;
    node->queue.executing++;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_EXECUTE);
    fx->request_id = id;
    fx->u.execute = dsmr_plan_ref(item->plan);
    dsmr_effects_trace(node->fx, DSMR_TRACE_BLOCK_ASSEMBLED, &item->block->id, item->block->height,
                       item->plan->txs_count);
    dsmr_node_common_count(node, DSMR_METRIC_TXS_DUPLICATE, item->plan->dropped_duplicates);
    dsmr_node_common_count(node, DSMR_METRIC_TXS_EXPIRED, item->plan->dropped_expired);
    return true;
}

void dsmr_assembler_run(struct dsmr_node *node)
{
    struct dsmr_exec_queue *queue = &node->queue;
    while (!node->is_halted && queue->executing < queue->window_count &&
           queue->executing < DSMR_NODE_EXECUTING_MAX) {
        struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, queue->executing);
        if (item->missing > 0 || item->height > queue->durable_height || !hand_over(node, item)) {
            return;
        }
    }
}

/* What ran need not wait here any more; the bodies have done their service in memory. */
static void clean_up(struct dsmr_node *node, const struct dsmr_exec_block *item)
{
    for (uint32_t i = 0; i < item->block->certs_count; i++) {
        const struct dsmr_chunk *chunk = item->plan->chunks[i];
        dsmr_chunk_pool_drop_body(node->chunks, &chunk->ref.chunk_id);
        if (dsmr_node_id_equal(&chunk->ref.producer, &node->config.node_id)) {
            dsmr_own_ids_remove(node->own_ids, chunk);
            dsmr_admission_on_executed(&node->admission, &chunk->ref.chunk_id, node->mono_ms);
        }
        (void)dsmr_mempool_remove(node->mempool, chunk->tx_ids, chunk->ref.tx_count);
    }
}

void dsmr_assembler_on_executed(struct dsmr_node *node, const struct dsmr_request *request,
                                const struct dsmr_event *event)
{
    if (event->err != DSMR_OK) {
        dsmr_node_common_error(node, event->err);
        dsmr_node_common_halt(node, "a block could not be executed");
        return;
    }
    DSMR_ASSERT(node->queue.executing > 0);
    const struct dsmr_exec_block *item = dsmr_exec_queue_at(&node->queue, 0);
    DSMR_ASSERT(request->number == item->height); /* INV-02: answers come in order */
    DSMR_ASSERT(item->block->height == node->executed_height + 1);
    node->executed_height = item->block->height;
    node->executed_time_ms = item->block->time_ms;
    node->state_root = event->u.executed.state_root;
    dsmr_executed_ids_advance(node->executed_ids, node->executed_time_ms);
    dsmr_effects_trace(node->fx, DSMR_TRACE_BLOCK_EXECUTED, &item->block->id, item->block->height,
                       item->plan->txs_count);
    dsmr_node_common_count(node, DSMR_METRIC_BLOCKS_EXECUTED, 1);
    dsmr_node_common_observe(node, DSMR_METRIC_HISTOGRAM_TX_ACCEPTED_EXECUTED, item->since_ms,
                             item->plan->txs_count);
    dsmr_node_common_gauge(node, DSMR_METRIC_EXECUTED_HEIGHT, node->executed_height);
    clean_up(node, item);
    dsmr_exec_queue_pop(&node->queue);
    dsmr_health_on_executed(node);
    dsmr_chunk_fetch_run(node);
    dsmr_expiry_run(node);
    dsmr_node_common_arm(node, DSMR_TIMER_CHUNK, node->mono_ms);
}
