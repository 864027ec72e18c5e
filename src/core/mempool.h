/* mempool.h - transactions that wait for a chunk of this node.
 *
 * Why:        a first-in first-out queue of slices of the buffers they came in; nothing is copied.
 * How:        a list in a table of places, and a hash table of these by id (base/tags.h, at most
 *             half full) that grows and shrinks with what waits, so that it stays in the caches:
 *             most look-ups are for transactions of other nodes, which are not here.
 * Not here:   what a transaction means (checked before it gets here), other nodes' transactions.
 * Invariants: no id twice; txs and bytes never over their limits; the count of bytes is exact.
 * Limits:     txs_max transactions, bytes_max bytes (lengths of the transactions only);
 *             MEMPOOL_FULL beyond. All memory is allocated by new, and used as far as it is needed.
 * Threads:    one owner. */
#ifndef DSMR_CORE_MEMPOOL_H
#define DSMR_CORE_MEMPOOL_H

#include "dsmr/types.h"

struct dsmr_mempool; /* opaque */

struct dsmr_mempool_tx {
    struct dsmr_buf *owner; /* keeps bytes alive */
    const uint8_t *bytes;
    uint32_t len;
    uint64_t expiry_ms;
    uint64_t since_ms; /* mono: when it came to this node */
    struct dsmr_id id;
};

/* NULL if out of memory. */
DSMR_MUST_USE struct dsmr_mempool *dsmr_mempool_new(uint32_t txs_max, uint64_t bytes_max,
                                                    uint64_t seed);
void dsmr_mempool_free(struct dsmr_mempool *pool); /* NULL is fine */

/* Adds at the end; with OK a reference of the caller's on tx->owner is the pool's. DUPLICATE,
 * MEMPOOL_FULL. */
DSMR_MUST_USE enum dsmr_err dsmr_mempool_add(struct dsmr_mempool *pool,
                                             const struct dsmr_mempool_tx *tx);
/* The same at the front, for transactions of a chunk that came to nothing: call it for the last
 * transaction first, so that the old order is kept. */
DSMR_MUST_USE enum dsmr_err dsmr_mempool_put_back(struct dsmr_mempool *pool,
                                                  const struct dsmr_mempool_tx *tx);
bool dsmr_mempool_has(const struct dsmr_mempool *pool, const struct dsmr_id *id);
/* Fetches from memory what add and has look at first; call it some ids ahead. */
void dsmr_mempool_prefetch(const struct dsmr_mempool *pool, const struct dsmr_id *id);
/* Those of ids that are there go. Returns how many. */
uint32_t dsmr_mempool_remove(struct dsmr_mempool *pool, const struct dsmr_id *ids, uint32_t count);

struct dsmr_mempool_wish { /* what a chunk of one slot can hold */
    uint32_t txs_max;
    uint64_t bytes_max;      /* each transaction counts len + overhead_bytes */
    uint32_t overhead_bytes; /* of each transaction in a chunk */
    uint64_t expiry_min_ms;  /* transactions below it have expired */
    uint64_t expiry_max_ms;  /* those above it stay where they are */
};
/* Moves the oldest transactions that fit into out (room for wish->txs_max) with their references:
 * the caller unrefs each owner. Stops at the first that does not fit any more by bytes; passes over
 * at most 1024 that must stay. Expired ones that it meets are left to dsmr_mempool_take_expired. */
uint32_t dsmr_mempool_take(struct dsmr_mempool *pool, struct dsmr_mempool_tx *out,
                           const struct dsmr_mempool_wish *wish);
/* Whether dsmr_mempool_take would give at least one (same walk, same bound). */
bool dsmr_mempool_has_fitting(const struct dsmr_mempool *pool,
                              const struct dsmr_mempool_wish *wish);
/* Drops transactions with expiry below before_ms: looks at up to steps entries from where the last
 * call stopped, and writes the dropped ids to out (room for steps). Returns how many. */
uint32_t dsmr_mempool_take_expired(struct dsmr_mempool *pool, struct dsmr_id *out, uint32_t steps,
                                   uint64_t before_ms);
uint32_t dsmr_mempool_txs(const struct dsmr_mempool *pool);
uint64_t dsmr_mempool_bytes(const struct dsmr_mempool *pool);
void dsmr_mempool_check(const struct dsmr_mempool *pool); /* asserts the invariants; O(n) */

#endif
