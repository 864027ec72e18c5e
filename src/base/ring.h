/* ring.h - bounded queue of pointers between threads; lock-free, any number of producers and
 * consumers. Vyukov, "Bounded MPMC queue" (1024cores.net). It only holds: waking a sleeping
 * consumer is the business of the host. */
#ifndef DSMR_BASE_RING_H
#define DSMR_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct dsmr_ring; /* opaque */

struct dsmr_ring *
dsmr_ring_new(size_t capacity);              /* rounded up to a power of two; NULL: no memory */
void dsmr_ring_free(struct dsmr_ring *ring); /* NULL is fine; what it holds is the caller's */
bool dsmr_ring_push(struct dsmr_ring *ring, void *item); /* false: full */
void *dsmr_ring_pop(struct dsmr_ring *ring);             /* NULL: empty */
size_t dsmr_ring_count(const struct dsmr_ring *ring);    /* approximate while others work on it */

#endif
