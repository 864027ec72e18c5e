/* executed_ids.h - ids of transactions that were executed and could come again.
 *
 * Why:        a transaction runs once, whatever chunks carry it (protocol.md, section 10.4).
 * Not here:   durability: the executed ids of each block are stored with the block's results and
 *             come back by dsmr_executed_ids_add before anything executes.
 * How:        one set of fingerprints (base/id_print.h) for each bucket of expiry times (the
 *             bucket of an id is a function of its expiry alone), made with its first id, freed
 *             whole. So a lookup touches one set. 82 bits under a key that nobody knows tell ids
 *             apart (decisions/018-executed-ids.md); 10 to 11 bytes of memory for each. A large
 *             set to which hardly anything comes any more is packed (core/id_pack.h), a part at
 *             each block: 8.0 to 9.7 bytes. What comes meanwhile or later lies beside it, in a set
 *             that can grow.
 * Invariants: an id goes only when a block whose own time exceeds its expiry was executed.
 * Limits:     memory follows what was executed in the window; NO_MEMORY is the caller's reason to
 *             halt, because to forget an id would fork.
 * Threads:    one owner. */
#ifndef DSMR_CORE_EXECUTED_IDS_H
#define DSMR_CORE_EXECUTED_IDS_H

#include "dsmr/types.h"

struct dsmr_executed_ids; /* opaque */

/* window_ms: the validity window; a bucket spans about a 32nd of it, at least 1 ms. secret: random,
 * and told to nobody. */
DSMR_MUST_USE struct dsmr_executed_ids *dsmr_executed_ids_new(uint64_t window_ms,
                                                              const struct dsmr_id *secret);
void dsmr_executed_ids_free(struct dsmr_executed_ids *ids); /* NULL is fine */
/* OK, DUPLICATE (nothing changed), NO_MEMORY, EXPIRED: expiry_ms is below the highest time given to
 * advance, so that it can never run again (nothing changed). Expiries may lie anywhere from there
 * up to 2^64-1; an id needs a bucket of its own span only, so a far one costs one table. */
DSMR_MUST_USE enum dsmr_err dsmr_executed_ids_add(struct dsmr_executed_ids *ids,
                                                  const struct dsmr_id *id, uint64_t expiry_ms);
bool dsmr_executed_ids_has(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                           uint64_t expiry_ms);
/* Fetches from memory what add and has look at first; call it some ids ahead. */
void dsmr_executed_ids_prefetch(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                                uint64_t expiry_ms);
/* A block of this time was executed: drops the buckets that lie wholly below it, and packs some of
 * what stays: as many ids as were added since the last call, twice, which takes a tenth of the
 * time. */
void dsmr_executed_ids_advance(struct dsmr_executed_ids *ids, uint64_t block_time_ms);
uint64_t dsmr_executed_ids_count(const struct dsmr_executed_ids *ids);
/* Bytes of memory of all sets; for tests. */
size_t dsmr_executed_ids_bytes(const struct dsmr_executed_ids *ids);
void dsmr_executed_ids_check(const struct dsmr_executed_ids *ids); /* O(n) */

#endif
