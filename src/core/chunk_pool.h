/* chunk_pool.h - chunks that are durably held here, and the bytes each producer has pending.
 *
 * Why:        a signature share is a promise to serve the chunk until its expiry; this is where the
 *             promise is remembered. "Have" means: its bytes are on this node's disk.
 * Not here:   no I/O (store first, then add), no signatures, not the journal of claims (journal).
 *
 *      add --> STORED --> SHARED --> CERTIFIED --> INCLUDED
 *                 |          |            |           ^
 *                 +----------+------------+-----------+     an included chunk skips what it missed
 *                 +----------+------------+--> EXPIRED      then it is removed at once
 *
 * Invariants: INV-03 at most one chunk of a (producer, slot) carries our share (is_signed).
 *             INV-04 the pending bytes of a producer are exactly the sum of pending_bytes of its
 *             entries plus what is reserved and not yet handed to an entry.
 *             An INCLUDED entry holds no pending bytes.
 * Limits:     chunks_max entries and reservations; FULL beyond: what is stored under a reservation
 *             finds its place. Bodies in memory: body_bytes_max; above it the body
 *             that was put in first goes (the disk has it). pending_bytes_max per producer.
 * Threads:    one owner. */
#ifndef DSMR_CORE_CHUNK_POOL_H
#define DSMR_CORE_CHUNK_POOL_H

#include "dsmr/types.h"

struct dsmr_chunk_pool; /* opaque */

enum dsmr_chunk_state {
    DSMR_CHUNK_STORED = 1, /* on disk */
    DSMR_CHUNK_SHARED,     /* our share was given, or it is our own */
    DSMR_CHUNK_CERTIFIED,  /* its certificate is known here */
    DSMR_CHUNK_INCLUDED,   /* an accepted block names it */
    DSMR_CHUNK_EXPIRED
};

struct dsmr_chunk_pool_config {
    uint32_t chunks_max;
    uint32_t producers_max; /* with pending bytes at one time */
    uint64_t body_bytes_max;
    uint64_t pending_bytes_max; /* of each producer */
    uint64_t seed;
};

struct dsmr_chunk_entry {
    struct dsmr_reference ref;
    struct dsmr_bls_sig producer_sig;
    struct dsmr_bls_sig share;   /* ours, if has_share */
    enum dsmr_chunk_state state; /* change it by dsmr_chunk_pool_set_state only */
    uint64_t pending_bytes;      /* handed over by the reservation; 0: none. Read only */
    uint64_t included_height;    /* UINT64_MAX: not included */
    bool is_own;
    bool is_signed; /* the journal names it */
    bool has_share;
    bool is_unreadable; /* the disk lists it, and did not give its body: to be stored again */
};

DSMR_MUST_USE struct dsmr_chunk_pool *
dsmr_chunk_pool_new(const struct dsmr_chunk_pool_config *config);
void dsmr_chunk_pool_free(struct dsmr_chunk_pool *pool); /* NULL is fine */

/* ---- pending bytes ---- */
/* What a chunk counts as: its bytes, at least DSMR_QUOTA_CHUNK_BYTES_MIN. */
uint64_t dsmr_chunk_pool_counted_bytes(uint32_t chunk_bytes);
/* Takes the counted bytes from the producer's quota, and a place. OK, QUOTA_FULL, FULL (of entries,
 * or of producers). */
DSMR_MUST_USE enum dsmr_err dsmr_chunk_pool_reserve(struct dsmr_chunk_pool *pool,
                                                    const struct dsmr_node_id *producer,
                                                    uint32_t chunk_bytes);
/* Gives a reservation back that was not handed to an entry. */
void dsmr_chunk_pool_unreserve(struct dsmr_chunk_pool *pool, const struct dsmr_node_id *producer,
                               uint32_t chunk_bytes);
/* Whether reserve would say OK now. */
bool dsmr_chunk_pool_has_quota(const struct dsmr_chunk_pool *pool,
                               const struct dsmr_node_id *producer, uint32_t chunk_bytes);
uint64_t dsmr_chunk_pool_pending_bytes(const struct dsmr_chunk_pool *pool,
                                       const struct dsmr_node_id *producer);
uint64_t dsmr_chunk_pool_pending_total(const struct dsmr_chunk_pool *pool);
uint32_t dsmr_chunk_pool_producers(const struct dsmr_chunk_pool *pool); /* with pending bytes */

/* ---- entries ---- */
/* Adds a stored chunk in state STORED (or, with fields->included_height set, INCLUDED): copies ref,
 * producer_sig, included_height, is_own, is_signed, share and has_share of fields; state and
 * pending_bytes are ignored. has_reservation: the caller's reservation passes to the entry (given
 * back at once if it is included). OK, DUPLICATE, FULL (without reservation only); on error the
 * reservation stays the caller's. body: may be NULL; the pool takes its own reference. */
DSMR_MUST_USE enum dsmr_err dsmr_chunk_pool_add(struct dsmr_chunk_pool *pool,
                                                const struct dsmr_chunk_entry *fields,
                                                struct dsmr_chunk *body, bool has_reservation);
/* The same for recovery: reserves by itself, over the quota if need be, unless it is included. */
DSMR_MUST_USE enum dsmr_err dsmr_chunk_pool_restore(struct dsmr_chunk_pool *pool,
                                                    const struct dsmr_chunk_entry *fields);
/* Borrowed until the next add or remove; NULL: not held. The caller may set share, has_share,
 * is_signed and is_unreadable. */
struct dsmr_chunk_entry *dsmr_chunk_pool_find(const struct dsmr_chunk_pool *pool,
                                              const struct dsmr_id *chunk_id);
/* Asserts that the transition is in the diagram (the same state is fine). INCLUDED gives the
 * pending bytes back and records height; height is ignored for the others. EXPIRED gives them back
 * too. */
void dsmr_chunk_pool_set_state(struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id,
                               enum dsmr_chunk_state state, uint64_t height);
/* false: not there. Gives pending bytes back. */
bool dsmr_chunk_pool_remove(struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id);
/* Room for one more entry or reservation. */
bool dsmr_chunk_pool_has_room(const struct dsmr_chunk_pool *pool);
/* Entries with expiry below chain_time_ms, the earliest first, without removing them; returns how
 * many were written to out (at most max). Entries in state INCLUDED count too: they may leave
 * memory once their block is executed. An entry that must stay for now is put behind by
 * dsmr_chunk_pool_defer: it is listed again from until_ms of chain time on. */
uint32_t dsmr_chunk_pool_list_expired(const struct dsmr_chunk_pool *pool, struct dsmr_id *out,
                                      uint32_t max, uint64_t chain_time_ms);
void dsmr_chunk_pool_defer(struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id,
                           uint64_t until_ms);
/* Smallest time at which list_expired gives something: expiry + 1; UINT64_MAX if empty. */
uint64_t dsmr_chunk_pool_expiry_min_ms(const struct dsmr_chunk_pool *pool);
/* Walks all entries: start with *position 0; NULL at the end. No add or remove meanwhile. */
const struct dsmr_chunk_entry *dsmr_chunk_pool_next(const struct dsmr_chunk_pool *pool,
                                                    size_t *position);

/* ---- bodies in memory ---- */
/* Borrowed until the next call that may drop bodies (add, put_body); NULL: only on disk. */
struct dsmr_chunk *dsmr_chunk_pool_body(const struct dsmr_chunk_pool *pool,
                                        const struct dsmr_id *chunk_id);
/* Remembers the body of an entry (no entry: nothing happens). Takes a reference. */
void dsmr_chunk_pool_put_body(struct dsmr_chunk_pool *pool, struct dsmr_chunk *body);
void dsmr_chunk_pool_drop_body(struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id);
uint64_t dsmr_chunk_pool_body_bytes(const struct dsmr_chunk_pool *pool);

uint32_t dsmr_chunk_pool_count(const struct dsmr_chunk_pool *pool);
void dsmr_chunk_pool_check(const struct dsmr_chunk_pool *pool); /* INV-03, INV-04; O(n) */

#endif
