#include "core/block_load.h"

#include "core/chunk_fetch.h"
#include "core/exec_queue.h"

#define BLOCK_LOADS_MAX 8u

void dsmr_block_load_run(struct dsmr_node *node)
{
    struct dsmr_exec_queue *queue = &node->queue;
    dsmr_exec_queue_make_room(queue);
    for (uint32_t i = queue->window_count; i < queue->count; i++) {
        struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, i);
        if (item->state != DSMR_EXEC_UNREAD) {
            continue;
        }
        struct dsmr_request request = {.kind = DSMR_REQUEST_BLOCK_LOAD, .number = item->height};
        uint64_t id = node->block_loads_count < BLOCK_LOADS_MAX
                          ? dsmr_requests_begin(node->requests, &request)
                          : 0;
        if (id == 0) {
            return;
        }
        node->block_loads_count++;
        item->state = DSMR_EXEC_LOADING;
        struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_LOAD_BLOCK);
        fx->request_id = id;
        fx->u.load_block = item->height;
    }
}

/* Nothing is wrong with the disk: again a little later. */
static bool is_passing(enum dsmr_err err)
{
    return err == DSMR_ERR_NO_MEMORY || err == DSMR_ERR_BUSY;
}

/* About when it was accepted, which nobody has kept: after not_before_ms, and after it was made. */
static uint64_t accepted_at(const struct dsmr_node *node, const struct dsmr_block *block,
                            uint64_t not_before_ms)
{
    uint64_t age_ms = node->wall_ms > block->time_ms ? node->wall_ms - block->time_ms : 0;
    uint64_t made_ms = node->mono_ms > age_ms ? node->mono_ms - age_ms : 0;
    return made_ms > not_before_ms ? made_ms : not_before_ms;
}

void dsmr_block_load_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                               enum dsmr_err err, struct dsmr_block *block)
{
    struct dsmr_exec_block *item = dsmr_exec_queue_find(&node->queue, request->number);
    node->block_loads_count--;
    DSMR_ASSERT(item != NULL && item->state == DSMR_EXEC_LOADING); /* it cannot run before */
    if (is_passing(err)) {
        dsmr_node_common_error(node, err);
        item->state = DSMR_EXEC_UNREAD;
        dsmr_node_common_arm(node, DSMR_TIMER_FETCH,
                             dsmr_node_common_add(node->mono_ms, node->config.fetch_timeout_ms));
        return;
    }
    if (err == DSMR_OK && block->height == node->accepted->height &&
        !dsmr_id_equal(&block->id, &node->accepted->id)) {
        err = DSMR_ERR_CORRUPT;
    }
    if (err == DSMR_OK) {
        err = dsmr_exec_queue_fill(&node->queue, item, block);
    }
    if (err != DSMR_OK) {
        dsmr_node_common_error(node, err);
        dsmr_node_common_halt(node, "an accepted block could not be read back from the disk");
        return;
    }
    /* Later than it was: it is kept longer, which nobody minds. */
    item->is_maybe_on_disk = true;
    item->since_ms = accepted_at(node, block, item->since_ms);
    dsmr_chunk_fetch_run(node);
}

bool dsmr_block_load_is_disk_late(const struct dsmr_node *node)
{
    return node->accepted->height > node->queue.durable_height &&
           node->accepted->height - node->queue.durable_height >= DSMR_NODE_ACCEPTS_MAX;
}
