#include "sim/sim_queue.h"

#include <stdlib.h>

#include "base/assert.h"

static bool is_before(const struct dsmr_sim_event *a, const struct dsmr_sim_event *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->sequence < b->sequence;
}

void dsmr_sim_queue_push(struct dsmr_sim_queue *queue, struct dsmr_sim_event event)
{
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity == 0 ? 1024 : queue->capacity * 2;
        queue->heap = realloc(queue->heap, queue->capacity * sizeof(*queue->heap));
        DSMR_ASSERT(queue->heap != NULL);
    }
    event.sequence = queue->sequence++;
    uint32_t i = queue->count++;
    while (i > 0 && is_before(&event, &queue->heap[(i - 1) / 2])) {
        queue->heap[i] = queue->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    queue->heap[i] = event;
}

bool dsmr_sim_queue_pop(struct dsmr_sim_queue *queue, struct dsmr_sim_event *out)
{
    if (queue->count == 0) {
        return false;
    }
    *out = queue->heap[0];
    struct dsmr_sim_event last = queue->heap[--queue->count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= queue->count) {
            break;
        }
        if (child + 1 < queue->count && is_before(&queue->heap[child + 1], &queue->heap[child])) {
            child++;
        }
        if (!is_before(&queue->heap[child], &last)) {
            break;
        }
        queue->heap[i] = queue->heap[child];
        i = child;
    }
    queue->heap[i] = last;
    return true;
}

void dsmr_sim_queue_close(struct dsmr_sim_queue *queue)
{
    DSMR_ASSERT(queue->count == 0);
    free(queue->heap);
}
