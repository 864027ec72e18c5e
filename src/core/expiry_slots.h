/* expiry_slots.h - slot numbers 0..capacity-1, those in use ordered by a time each.
 *
 * Why:        pools keep their entries in one array and must find the ones that expire first.
 * Not here:   the entries themselves: the owner keeps an array indexed by slot.
 * How:        one permutation of all slots: the first count are a binary heap by time, the rest are
 *             free. So taking and giving a slot needs no list of free ones.
 * Invariants: at[order[i]] == i; no child in the heap has an earlier time than its parent.
 * Threads:    one owner. */
#ifndef DSMR_CORE_EXPIRY_SLOTS_H
#define DSMR_CORE_EXPIRY_SLOTS_H

#include "dsmr/types.h"

#define DSMR_EXPIRY_SLOTS_NONE UINT32_MAX

struct dsmr_expiry_slots { /* read only for the owner */
    uint32_t *order;
    uint32_t *at;
    uint64_t *times_ms; /* by slot */
    uint32_t count;     /* in use */
    uint32_t capacity;
};

DSMR_MUST_USE enum dsmr_err dsmr_expiry_slots_init(struct dsmr_expiry_slots *slots,
                                                   uint32_t capacity); /* NO_MEMORY */
void dsmr_expiry_slots_close(struct dsmr_expiry_slots *slots);         /* zeroed memory is fine */
/* More slots; those in use keep their numbers. NO_MEMORY: unchanged. */
DSMR_MUST_USE enum dsmr_err dsmr_expiry_slots_grow(struct dsmr_expiry_slots *slots,
                                                   uint32_t capacity);
/* A free slot, now in use with this time; NONE: all are in use. */
uint32_t dsmr_expiry_slots_take(struct dsmr_expiry_slots *slots, uint64_t time_ms);
void dsmr_expiry_slots_give(struct dsmr_expiry_slots *slots, uint32_t slot);
void dsmr_expiry_slots_move(struct dsmr_expiry_slots *slots, uint32_t slot, uint64_t time_ms);
/* The slot in use with the smallest time; NONE: no slot is in use. */
uint32_t dsmr_expiry_slots_first(const struct dsmr_expiry_slots *slots);
uint64_t dsmr_expiry_slots_first_ms(const struct dsmr_expiry_slots *slots); /* UINT64_MAX: none */
/* Slots with time <= time_ms, the smallest first, at most max; returns how many. */
uint32_t dsmr_expiry_slots_list(const struct dsmr_expiry_slots *slots, uint32_t *out, uint32_t max,
                                uint64_t time_ms);
bool dsmr_expiry_slots_has(const struct dsmr_expiry_slots *slots, uint32_t slot); /* in use */
/* Slot in use number index of count, in no order: for walks. */
uint32_t dsmr_expiry_slots_used(const struct dsmr_expiry_slots *slots, uint32_t index);
void dsmr_expiry_slots_check(const struct dsmr_expiry_slots *slots); /* O(n) */

#endif
