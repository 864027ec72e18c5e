#include "core/expiry_slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum dsmr_err dsmr_expiry_slots_init(struct dsmr_expiry_slots *slots, uint32_t capacity)
{
    memset(slots, 0, sizeof(*slots));
    return dsmr_expiry_slots_grow(slots, capacity);
}

void dsmr_expiry_slots_close(struct dsmr_expiry_slots *slots)
{
    free(slots->order);
    free(slots->at);
    free(slots->times_ms);
    memset(slots, 0, sizeof(*slots));
}

enum dsmr_err dsmr_expiry_slots_grow(struct dsmr_expiry_slots *slots, uint32_t capacity)
{
    DSMR_ASSERT(capacity >= slots->capacity);
    DSMR_ASSERT(capacity < DSMR_EXPIRY_SLOTS_NONE);
    size_t room = capacity > 0 ? capacity : 1;
    uint32_t *order = malloc(room * sizeof(*order));
    uint32_t *at = malloc(room * sizeof(*at));
    uint64_t *times_ms = malloc(room * sizeof(*times_ms));
    if (order == NULL || at == NULL || times_ms == NULL) {
        free(order);
        free(at);
        free(times_ms);
        return DSMR_ERR_NO_MEMORY;
    }
    if (slots->capacity > 0) {
        memcpy(order, slots->order, slots->capacity * sizeof(*order));
        memcpy(at, slots->at, slots->capacity * sizeof(*at));
        memcpy(times_ms, slots->times_ms, slots->capacity * sizeof(*times_ms));
    }
    for (uint32_t slot = slots->capacity; slot < capacity; slot++) {
        order[slot] = slot;
        at[slot] = slot;
        times_ms[slot] = 0;
    }
    free(slots->order);
    free(slots->at);
    free(slots->times_ms);
    slots->order = order;
    slots->at = at;
    slots->times_ms = times_ms;
    slots->capacity = capacity;
    return DSMR_OK;
}

static void swap(const struct dsmr_expiry_slots *slots, uint32_t i, uint32_t j)
{
    uint32_t a = slots->order[i];
    uint32_t b = slots->order[j];
    slots->order[i] = b;
    slots->at[b] = i;
    slots->order[j] = a;
    slots->at[a] = j;
}

static uint64_t time_at(const struct dsmr_expiry_slots *slots, uint32_t i)
{
    return slots->times_ms[slots->order[i]];
}

static void sift_up(const struct dsmr_expiry_slots *slots, uint32_t i)
{
    while (i > 0 && time_at(slots, i) < time_at(slots, (i - 1) / 2)) {
        swap(slots, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

/* Within the first count places. */
static void sift_down(const struct dsmr_expiry_slots *slots, uint32_t i, uint32_t count)
{
    for (;;) {
        uint32_t least = i;
        for (uint64_t child = 2 * (uint64_t)i + 1; child <= 2 * (uint64_t)i + 2; child++) {
            if (child < count && time_at(slots, (uint32_t)child) < time_at(slots, least)) {
                least = (uint32_t)child;
            }
        }
        if (least == i) {
            return;
        }
        swap(slots, i, least);
        i = least;
    }
}

bool dsmr_expiry_slots_has(const struct dsmr_expiry_slots *slots, uint32_t slot)
{
    return slot < slots->capacity && slots->at[slot] < slots->count;
}

uint32_t dsmr_expiry_slots_take(struct dsmr_expiry_slots *slots, uint64_t time_ms)
{
    if (slots->count == slots->capacity) {
        return DSMR_EXPIRY_SLOTS_NONE;
    }
    uint32_t i = slots->count++;
    uint32_t slot = slots->order[i];
    slots->times_ms[slot] = time_ms;
    sift_up(slots, i);
    return slot;
}

void dsmr_expiry_slots_give(struct dsmr_expiry_slots *slots, uint32_t slot)
{
    DSMR_ASSERT(dsmr_expiry_slots_has(slots, slot));
    uint32_t i = slots->at[slot];
    slots->count--;
    swap(slots, i, slots->count);
    if (i < slots->count) {
        sift_up(slots, i);
        sift_down(slots, i, slots->count);
    }
}

void dsmr_expiry_slots_move(struct dsmr_expiry_slots *slots, uint32_t slot, uint64_t time_ms)
{
    DSMR_ASSERT(dsmr_expiry_slots_has(slots, slot));
    slots->times_ms[slot] = time_ms;
    sift_up(slots, slots->at[slot]);
    sift_down(slots, slots->at[slot], slots->count);
}

uint32_t dsmr_expiry_slots_first(const struct dsmr_expiry_slots *slots)
{
    return slots->count > 0 ? slots->order[0] : DSMR_EXPIRY_SLOTS_NONE;
}

uint64_t dsmr_expiry_slots_first_ms(const struct dsmr_expiry_slots *slots)
{
    return slots->count > 0 ? time_at(slots, 0) : UINT64_MAX;
}

/* Takes the smallest out of an ever shorter heap, then lets the heap grow over them again: what is
 * in use, and each time, are the same afterwards. */
uint32_t dsmr_expiry_slots_list(const struct dsmr_expiry_slots *slots, uint32_t *out, uint32_t max,
                                uint64_t time_ms)
{
    uint32_t left = slots->count;
    uint32_t listed = 0;
    while (left > 0 && listed < max && time_at(slots, 0) <= time_ms) {
        out[listed++] = slots->order[0];
        left--;
        swap(slots, 0, left);
        sift_down(slots, 0, left);
    }
    for (; left < slots->count; left++) {
        sift_up(slots, left);
    }
    return listed;
}

uint32_t dsmr_expiry_slots_used(const struct dsmr_expiry_slots *slots, uint32_t index)
{
    DSMR_ASSERT(index < slots->count);
    return slots->order[index];
}

void dsmr_expiry_slots_check(const struct dsmr_expiry_slots *slots)
{
    DSMR_ASSERT(slots->count <= slots->capacity);
    for (uint32_t i = 0; i < slots->count; i++) { /* the free part follows: it is a permutation */
        DSMR_ASSERT(slots->order[i] < slots->capacity);
        DSMR_ASSERT(slots->at[slots->order[i]] == i);
        if (i > 0) {
            DSMR_ASSERT(time_at(slots, (i - 1) / 2) <= time_at(slots, i));
        }
    }
}
