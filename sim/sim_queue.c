#include "sim/sim_queue.h"

#include <stdlib.h>

#include "base/assert.h"

#define CHILDREN 4u
#define PLACE_BITS 24u

struct dsmr_sim_entry {
    uint64_t due_us;
    uint64_t order; /* of two at one time: the sequence number, then the event's place */
};

static bool is_before(const struct dsmr_sim_entry *a, const struct dsmr_sim_entry *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void grow(struct dsmr_sim_queue *queue)
{
    uint32_t capacity = queue->capacity == 0 ? 1024 : queue->capacity * 2;
    DSMR_ASSERT(capacity <= 1u << PLACE_BITS);
    queue->heap = realloc(queue->heap, capacity * sizeof(*queue->heap));
    queue->events = realloc(queue->events, capacity * sizeof(*queue->events));
    queue->free = realloc(queue->free, capacity * sizeof(*queue->free));
    DSMR_ASSERT(queue->heap != NULL && queue->events != NULL && queue->free != NULL);
    for (uint32_t i = queue->capacity; i < capacity; i++) {
        queue->free[capacity - 1 - i] = i;
    }
    queue->capacity = capacity;
}

void dsmr_sim_queue_push(struct dsmr_sim_queue *queue, struct dsmr_sim_event event)
{
    if (queue->count == queue->capacity) {
        grow(queue);
    }
    uint32_t i = queue->count++;
    uint32_t place = queue->free[queue->capacity - queue->count];
    struct dsmr_sim_entry entry = {.due_us = event.due_us,
                                   .order = queue->sequence++ << PLACE_BITS | place};
    queue->events[place] = event;
    while (i > 0 && is_before(&entry, &queue->heap[(i - 1) / CHILDREN])) {
        queue->heap[i] = queue->heap[(i - 1) / CHILDREN];
        i = (i - 1) / CHILDREN;
    }
    queue->heap[i] = entry;
}

uint64_t dsmr_sim_queue_due_us(const struct dsmr_sim_queue *queue)
{
    return queue->count == 0 ? UINT64_MAX : queue->heap[0].due_us;
}

static uint32_t earliest_child(const struct dsmr_sim_queue *queue, uint32_t parent)
{
    uint32_t first = CHILDREN * parent + 1, earliest = first;
    for (uint32_t i = first + 1; i < first + CHILDREN && i < queue->count; i++) {
        earliest = is_before(&queue->heap[i], &queue->heap[earliest]) ? i : earliest;
    }
    return earliest;
}

bool dsmr_sim_queue_pop(struct dsmr_sim_queue *queue, struct dsmr_sim_event *out)
{
    if (queue->count == 0) {
        return false;
    }
    uint32_t place = (uint32_t)queue->heap[0].order & ((1u << PLACE_BITS) - 1);
    *out = queue->events[place];
    queue->free[queue->capacity - queue->count] = place;
    struct dsmr_sim_entry last = queue->heap[--queue->count];
    uint32_t i = 0;
    while (CHILDREN * i + 1 < queue->count) {
        uint32_t child = earliest_child(queue, i);
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
    free(queue->events);
    free(queue->free);
}
