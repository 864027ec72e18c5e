#include "base/ring.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"

#define CACHE_LINE 64

/* A cell's turn says whose it is: equal to a producer's ticket: free for that producer; one more:
 * filled, for the consumer with that ticket. */
struct cell {
    _Atomic size_t turn;
    void *item;
};

struct dsmr_ring {
    size_t mask;
    struct cell *cells;
    alignas(CACHE_LINE) _Atomic size_t push_ticket;
    alignas(CACHE_LINE) _Atomic size_t pop_ticket;
};

struct dsmr_ring *dsmr_ring_new(size_t capacity)
{
    size_t size = 2; /* with one cell "filled" and "free for the next round" would be one number */
    while (size < capacity) {
        if (size > SIZE_MAX / 2 / sizeof(struct cell)) {
            return NULL;
        }
        size *= 2;
    }
    struct dsmr_ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));
    if (ring == NULL) {
        return NULL;
    }
    ring->cells = calloc(size, sizeof(*ring->cells));
    if (ring->cells == NULL) {
        free(ring);
        return NULL;
    }
    ring->mask = size - 1;
    for (size_t i = 0; i < size; i++) {
        atomic_init(&ring->cells[i].turn, i);
    }
    atomic_init(&ring->push_ticket, 0);
    atomic_init(&ring->pop_ticket, 0);
    return ring;
}

void dsmr_ring_free(struct dsmr_ring *ring)
{
    if (ring != NULL) {
        free(ring->cells);
        free(ring);
    }
}

bool dsmr_ring_push(struct dsmr_ring *ring, void *item)
{
    DSMR_ASSERT(item != NULL);
    size_t ticket = atomic_load_explicit(&ring->push_ticket, memory_order_relaxed);
    for (;;) {
        struct cell *cell = &ring->cells[ticket & ring->mask];
        size_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == ticket) {
            if (atomic_compare_exchange_weak_explicit(&ring->push_ticket, &ticket, ticket + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                cell->item = item;
                atomic_store_explicit(&cell->turn, ticket + 1, memory_order_release);
                return true;
            }
        } else if (ticket - turn <= SIZE_MAX / 2) { /* the consumer of a round ago is not done */
            return false;
        } else { /* another producer took the ticket */
            ticket = atomic_load_explicit(&ring->push_ticket, memory_order_relaxed);
        }
    }
}

void *dsmr_ring_pop(struct dsmr_ring *ring)
{
    size_t ticket = atomic_load_explicit(&ring->pop_ticket, memory_order_relaxed);
    for (;;) {
        struct cell *cell = &ring->cells[ticket & ring->mask];
        size_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == ticket + 1) {
            if (atomic_compare_exchange_weak_explicit(&ring->pop_ticket, &ticket, ticket + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                void *item = cell->item;
                atomic_store_explicit(&cell->turn, ticket + ring->mask + 1, memory_order_release);
                return item;
            }
        } else if (ticket + 1 - turn <= SIZE_MAX / 2) { /* not filled yet */
            return NULL;
        } else { /* another consumer took the ticket */
            ticket = atomic_load_explicit(&ring->pop_ticket, memory_order_relaxed);
        }
    }
}

size_t dsmr_ring_count(const struct dsmr_ring *ring)
{
    size_t pops = atomic_load_explicit(&ring->pop_ticket, memory_order_relaxed);
    size_t pushes = atomic_load_explicit(&ring->push_ticket, memory_order_relaxed);
    size_t count = pushes - pops;
    return count <= ring->mask + 1 ? count : 0; /* torn read: a pop overtook */
}
