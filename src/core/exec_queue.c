#include "core/exec_queue.h"

#include <stdlib.h>

bool dsmr_exec_queue_init(struct dsmr_exec_queue *queue, uint32_t blocks_max)
{
    DSMR_ASSERT(blocks_max > 0);
    memset(queue, 0, sizeof(*queue));
    queue->blocks_max = blocks_max;
    queue->items = calloc(blocks_max, sizeof(queue->items[0]));
    return queue->items != NULL;
}

struct dsmr_exec_block *dsmr_exec_queue_at(const struct dsmr_exec_queue *queue, uint32_t index)
{
    DSMR_ASSERT(index < queue->count);
    return &queue->items[(queue->head + index) % queue->blocks_max];
}

struct dsmr_exec_block *dsmr_exec_queue_find(const struct dsmr_exec_queue *queue, uint64_t height)
{
    if (height < queue->first_height || height - queue->first_height >= queue->count) {
        return NULL;
    }
    return dsmr_exec_queue_at(queue, (uint32_t)(height - queue->first_height));
}

uint64_t dsmr_exec_queue_length(const struct dsmr_exec_queue *queue)
{
    return queue->count + queue->unread_count;
}

static uint64_t payload_of(const struct dsmr_block *block)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < block->certs_count; i++) {
        bytes += block->certs[i].ref.chunk_bytes;
    }
    return bytes;
}

static struct dsmr_exec_block *add(struct dsmr_exec_queue *queue, enum dsmr_exec_state state)
{
    queue->count++;
    struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, queue->count - 1);
    memset(item, 0, sizeof(*item));
    item->state = state;
    item->height = queue->first_height + queue->count - 1;
    return item;
}

struct dsmr_exec_block *dsmr_exec_queue_push(struct dsmr_exec_queue *queue,
                                             struct dsmr_block *block)
{
    uint64_t payload_bytes = payload_of(block);
    if (dsmr_exec_queue_length(queue) == 0) {
        queue->first_height = block->height;
    }
    DSMR_ASSERT(block->height == queue->first_height + dsmr_exec_queue_length(queue));
    queue->backlog_bytes += payload_bytes;
    if (queue->unread_count > 0 || queue->count == queue->blocks_max) {
        queue->unread_count++;
        queue->unread_bytes += payload_bytes;
        return NULL;
    }
    struct dsmr_exec_block *item = add(queue, DSMR_EXEC_WAITING);
    item->block = dsmr_block_ref(block);
    item->payload_bytes = payload_bytes;
    return item;
}

void dsmr_exec_queue_make_room(struct dsmr_exec_queue *queue)
{
    while (queue->unread_count > 0 && queue->count < queue->blocks_max &&
           queue->first_height + queue->count <= queue->durable_height) {
        queue->unread_count--;
        add(queue, DSMR_EXEC_UNREAD)->since_ms = queue->unread_ms;
    }
}

enum dsmr_err dsmr_exec_queue_fill(struct dsmr_exec_queue *queue, struct dsmr_exec_block *item,
                                   struct dsmr_block *block)
{
    uint64_t payload_bytes = payload_of(block);
    DSMR_ASSERT(item->state == DSMR_EXEC_LOADING);
    if (block->height != item->height || payload_bytes > queue->unread_bytes) {
        return DSMR_ERR_CORRUPT;
    }
    queue->unread_bytes -= payload_bytes;
    item->block = dsmr_block_ref(block);
    item->payload_bytes = payload_bytes;
    item->state = DSMR_EXEC_WAITING;
    return DSMR_OK;
}

struct dsmr_exec_block *dsmr_exec_queue_next(const struct dsmr_exec_queue *queue)
{
    if (queue->window_count == queue->count) {
        return NULL;
    }
    struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, queue->window_count);
    return item->state == DSMR_EXEC_WAITING ? item : NULL;
}

enum dsmr_err dsmr_exec_queue_open(struct dsmr_exec_queue *queue)
{
    struct dsmr_exec_block *item = dsmr_exec_queue_next(queue);
    DSMR_ASSERT(item != NULL);
    if (queue->has_opened && !dsmr_id_equal(&item->block->parent_id, &queue->opened_id)) {
        return DSMR_ERR_CORRUPT;
    }
    item->bodies = calloc((size_t)item->block->certs_count + 1u, sizeof(item->bodies[0]));
    if (item->bodies == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    item->state = DSMR_EXEC_FETCHING;
    item->missing = item->block->certs_count;
    item->todo = item->block->certs_count;
    queue->has_opened = true;
    queue->opened_id = item->block->id;
    queue->window_count++;
    queue->window_bytes += item->payload_bytes;
    return DSMR_OK;
}

static void release(struct dsmr_exec_block *item)
{
    for (uint32_t i = 0; item->bodies != NULL && i < item->block->certs_count; i++) {
        dsmr_chunk_unref(item->bodies[i].chunk);
    }
    free(item->bodies);
    dsmr_plan_unref(item->plan);
    dsmr_block_unref(item->block);
}

void dsmr_exec_queue_pop(struct dsmr_exec_queue *queue)
{
    struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, 0);
    DSMR_ASSERT(item->state == DSMR_EXEC_ASSEMBLED && queue->executing > 0);
    queue->backlog_bytes -= item->payload_bytes;
    queue->window_bytes -= item->payload_bytes;
    queue->window_count--;
    queue->executing--;
    release(item);
    queue->head = (queue->head + 1) % queue->blocks_max;
    queue->count--;
    queue->first_height++;
}

void dsmr_exec_queue_close(struct dsmr_exec_queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        release(dsmr_exec_queue_at(queue, i));
    }
    free(queue->items);
    memset(queue, 0, sizeof(*queue));
}

/* Behind the window: not in memory, on its way, or in memory without its bodies. */
static void check_waiting(const struct dsmr_exec_block *item)
{
    DSMR_ASSERT(item->state <= DSMR_EXEC_WAITING);
    DSMR_ASSERT((item->state == DSMR_EXEC_WAITING) == (item->block != NULL));
    DSMR_ASSERT(item->bodies == NULL && item->plan == NULL);
}

static void check_window(const struct dsmr_exec_block *item, bool is_executing)
{
    uint32_t missing = 0;
    DSMR_ASSERT(item->state == (is_executing ? DSMR_EXEC_ASSEMBLED : DSMR_EXEC_FETCHING));
    for (uint32_t c = 0; !is_executing && c < item->block->certs_count; c++) {
        missing += item->bodies[c].state != DSMR_BODY_HELD;
        DSMR_ASSERT((item->bodies[c].state == DSMR_BODY_HELD) == (item->bodies[c].chunk != NULL));
    }
    DSMR_ASSERT(is_executing || missing == item->missing);
}

void dsmr_exec_queue_check(const struct dsmr_exec_queue *queue)
{
    uint64_t backlog = queue->unread_bytes;
    uint64_t window = 0;
    bool has_unread = queue->unread_count > 0;
    DSMR_ASSERT(queue->count <= queue->blocks_max);
    DSMR_ASSERT(queue->executing <= queue->window_count && queue->window_count <= queue->count);
    for (uint32_t i = 0; i < queue->count; i++) {
        const struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, i);
        DSMR_ASSERT(item->height == queue->first_height + i); /* INV-02: in order */
        DSMR_ASSERT(item->block == NULL || item->block->height == item->height);
        if (i < queue->window_count) {
            check_window(item, i < queue->executing);
        } else {
            check_waiting(item);
        }
        has_unread = has_unread || item->block == NULL;
        backlog += item->payload_bytes;
        window += i < queue->window_count ? item->payload_bytes : 0;
    }
    DSMR_ASSERT(has_unread || queue->unread_bytes == 0);
    DSMR_ASSERT(backlog == queue->backlog_bytes);
    DSMR_ASSERT(window == queue->window_bytes);
}
