#include "core/exec_queue.h"

#include <stdlib.h>

struct dsmr_exec_block *dsmr_exec_queue_at(const struct dsmr_exec_queue *queue, uint32_t index)
{
    DSMR_ASSERT(index < queue->count);
    return &queue->items[(queue->head + index) % queue->capacity];
}

struct dsmr_exec_block *dsmr_exec_queue_find(const struct dsmr_exec_queue *queue, uint64_t height)
{
    if (queue->count == 0) {
        return NULL;
    }
    uint64_t first = dsmr_exec_queue_at(queue, 0)->block->height;
    if (height < first || height - first >= queue->count) {
        return NULL;
    }
    return dsmr_exec_queue_at(queue, (uint32_t)(height - first));
}

static bool grow(struct dsmr_exec_queue *queue)
{
    uint32_t capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
    struct dsmr_exec_block *items = calloc(capacity, sizeof(*items));
    if (items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < queue->count; i++) {
        items[i] = *dsmr_exec_queue_at(queue, i);
    }
    free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->head = 0;
    return true;
}

struct dsmr_exec_block *dsmr_exec_queue_push(struct dsmr_exec_queue *queue,
                                             struct dsmr_block *block)
{
    DSMR_ASSERT(queue->count == 0 ||
                dsmr_exec_queue_at(queue, queue->count - 1)->block->height + 1 == block->height);
    if (queue->count == queue->capacity && !grow(queue)) {
        return NULL;
    }
    queue->count++;
    struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, queue->count - 1);
    memset(item, 0, sizeof(*item));
    item->block = dsmr_block_ref(block);
    for (uint32_t i = 0; i < block->certs_count; i++) {
        item->payload_bytes += block->certs[i].ref.chunk_bytes;
    }
    queue->backlog_bytes += item->payload_bytes;
    return item;
}

bool dsmr_exec_queue_open(struct dsmr_exec_queue *queue)
{
    struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, queue->window_count);
    DSMR_ASSERT(item->state == DSMR_EXEC_WAITING);
    item->bodies = calloc((size_t)item->block->certs_count + 1u, sizeof(item->bodies[0]));
    if (item->bodies == NULL) {
        return false;
    }
    item->state = DSMR_EXEC_FETCHING;
    item->missing = item->block->certs_count;
    item->todo = item->block->certs_count;
    queue->window_count++;
    queue->window_bytes += item->payload_bytes;
    return true;
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
    queue->head = (queue->head + 1) % queue->capacity;
    queue->count--;
}

void dsmr_exec_queue_close(struct dsmr_exec_queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        release(dsmr_exec_queue_at(queue, i));
    }
    free(queue->items);
    memset(queue, 0, sizeof(*queue));
}

void dsmr_exec_queue_check(const struct dsmr_exec_queue *queue)
{
    uint64_t backlog = 0;
    uint64_t window = 0;
    for (uint32_t i = 0; i < queue->count; i++) {
        const struct dsmr_exec_block *item = dsmr_exec_queue_at(queue, i);
        enum dsmr_exec_state expected = i < queue->executing      ? DSMR_EXEC_ASSEMBLED
                                        : i < queue->window_count ? DSMR_EXEC_FETCHING
                                                                  : DSMR_EXEC_WAITING;
        uint32_t missing = 0;
        DSMR_ASSERT(item->state == expected); /* INV-02: in order */
        DSMR_ASSERT(i == 0 ||
                    item->block->height == dsmr_exec_queue_at(queue, i - 1)->block->height + 1);
        for (uint32_t c = 0; expected == DSMR_EXEC_FETCHING && c < item->block->certs_count; c++) {
            missing += item->bodies[c].state != DSMR_BODY_HELD;
            DSMR_ASSERT((item->bodies[c].state == DSMR_BODY_HELD) ==
                        (item->bodies[c].chunk != NULL));
        }
        DSMR_ASSERT(expected != DSMR_EXEC_FETCHING || missing == item->missing);
        backlog += item->payload_bytes;
        window += i < queue->window_count ? item->payload_bytes : 0;
    }
    DSMR_ASSERT(backlog == queue->backlog_bytes);
    DSMR_ASSERT(window == queue->window_bytes);
}
