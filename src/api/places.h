/* places.h - where the transactions are that came in at this node, until they have run.
 *
 * Why:        GET /v1/tx/{id} says where a transaction is before it has run, and its owner is told
 *             what became of it. The store knows only results.
 * How:        one entry a transaction with the slot of the own chunk that carries it; a ring of own
 *             chunks by slot says how far each is. So a block costs a step for each certificate,
 *             not one for each transaction. The transaction of another validator's chunk is
 *             unknown here until it has run. Entries are counted by the second in which they
 *             expire, so that nobody walks through them while none can have.
 * Invariants: at most flights_max entries with an owner and others_max without. A producer has one
 *             chunk a slot (INV-03), so a slot names a chunk.
 * Limits:     beyond others_max a transaction without an owner is not noted; of a
 *             chunk that is DSMR_PLACES_CHUNKS_MAX slots old only that it was built is known.
 * Threads:    one lock. where and the functions about chunks take it; with the others, the caller
 *             does, between lock and unlock. Only one thread adds, removes and disowns. */
#ifndef DSMR_API_PLACES_H
#define DSMR_API_PLACES_H

#include "dsmr/types.h"
#include "ports/query.h"

#define DSMR_PLACES_NOBODY UINT64_MAX /* owner: nobody is told */
#define DSMR_PLACES_CHUNKS_MAX 4096u
#define DSMR_PLACES_SLOT_NONE UINT64_MAX

struct dsmr_place {
    uint64_t owner; /* the stream's name of the connection, or NOBODY */
    uint64_t seq;
    uint64_t expiry_ms;   /* of the transaction */
    uint64_t admitted_ms; /* monotonic */
    uint64_t slot;        /* of the own chunk that has it; SLOT_NONE: in the mempool */
    bool wants_certified;
    bool wants_executed;
    bool is_certified; /* its first certificate was seen */
};

struct dsmr_places; /* opaque */

/* NULL if out of memory. Caller frees. */
struct dsmr_places *dsmr_places_new(uint32_t flights_max, uint32_t others_max, uint64_t seed);
void dsmr_places_free(struct dsmr_places *places); /* NULL is fine */

/* PENDING, IN_CHUNK, CERTIFIED or IN_BLOCK with what belongs to it; false if it is not known here.
 */
bool dsmr_places_where(struct dsmr_places *places, struct dsmr_query_tx *out,
                       const struct dsmr_id *id);
/* It will be added soon: memory may begin. Without the lock. */
void dsmr_places_expect(const struct dsmr_places *places, const struct dsmr_id *id);

/* ---- own chunks ---- */
void dsmr_places_built(struct dsmr_places *places, const struct dsmr_chunk *chunk);
void dsmr_places_certified(struct dsmr_places *places, const struct dsmr_chunk *chunk);
/* Its transactions are in the mempool again, or have expired. */
void dsmr_places_returned(struct dsmr_places *places, const struct dsmr_chunk *chunk);
void dsmr_places_accepted(struct dsmr_places *places, const struct dsmr_block *block);

/* ---- entries; between lock and unlock ---- */
void dsmr_places_lock(struct dsmr_places *places);
void dsmr_places_unlock(struct dsmr_places *places);
/* Notes an admitted transaction; place->slot is not read. One that is there without an owner gets
 * this one's. FULL; DUPLICATE: it is there already. */
DSMR_MUST_USE enum dsmr_err dsmr_places_add(struct dsmr_places *places, const struct dsmr_id *id,
                                            const struct dsmr_place *place);
/* NULL if it is not there. Valid until its removal. */
struct dsmr_place *dsmr_places_find(struct dsmr_places *places, const struct dsmr_id *id);
/* Calls found for those that are there; it may remove or disown the place that it is given. */
typedef void (*dsmr_places_found_fn)(void *ctx, uint32_t index, struct dsmr_place *place);
void dsmr_places_find_all(struct dsmr_places *places, const struct dsmr_id *ids, uint32_t count,
                          dsmr_places_found_fn found, void *ctx);
void dsmr_places_remove(struct dsmr_places *places, struct dsmr_place *place);
/* Nobody is told any more; the entry goes if there is no room for one without an owner. */
void dsmr_places_disown(struct dsmr_places *places, struct dsmr_place *place);
/* Whether an entry may have expired before now_ms: looks at the times of expiry by the second, not
 * at the entries. False: none has. */
bool dsmr_places_may_expire(struct dsmr_places *places, uint64_t now_ms);
/* Walks all: start with *position 0; NULL at the end. */
struct dsmr_place *dsmr_places_next(struct dsmr_places *places, uint32_t *position,
                                    const struct dsmr_id **id);
/* Without the lock: approximate. */
uint32_t dsmr_places_flights(const struct dsmr_places *places); /* entries with an owner */
bool dsmr_places_is_empty(const struct dsmr_places *places);

#endif
