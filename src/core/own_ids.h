/* own_ids.h - transactions that are in this node's chunks and have not been executed yet.
 *
 * Why:        they have left the mempool and are not executed, so that a client that sends one
 *             again would be answered "admitted" and have it packed a second time.
 * Not here:   ids in the mempool (mempool) and executed ones (executed_ids).
 * How:        a set of 64-bit fingerprints under a secret key, open addressing, at most half full:
 *             16 bytes an id at most. Two ids with one fingerprint (one in 2^64 for each pair, and
 *             not to be found by trying) make a transaction look like a repeat, no more.
 * Invariants: empty when no own chunk waits for shares, inclusion or execution.
 * Limits:     ids_max; what is beyond it, or finds no memory, is not remembered: a repeat of it is
 *             admitted, and dropped where it would run twice (protocol.md, 10.4).
 * Threads:    one owner. */
#ifndef DSMR_CORE_OWN_IDS_H
#define DSMR_CORE_OWN_IDS_H

#include "dsmr/types.h"

struct dsmr_own_ids; /* opaque */

DSMR_MUST_USE struct dsmr_own_ids *dsmr_own_ids_new(uint32_t ids_max, uint64_t seed);
void dsmr_own_ids_free(struct dsmr_own_ids *ids); /* NULL is fine */
/* The transactions of a chunk that was just made, or came back with recovery. */
void dsmr_own_ids_add(struct dsmr_own_ids *ids, const struct dsmr_chunk *chunk);
/* The chunk was executed, or came to nothing. Ids that are not there are passed over. */
void dsmr_own_ids_remove(struct dsmr_own_ids *ids, const struct dsmr_chunk *chunk);
bool dsmr_own_ids_has(const struct dsmr_own_ids *ids, const struct dsmr_id *id);
/* Fetches from memory what has looks at; call it some ids ahead. */
void dsmr_own_ids_prefetch(const struct dsmr_own_ids *ids, const struct dsmr_id *id);
uint32_t dsmr_own_ids_count(const struct dsmr_own_ids *ids);
/* Bytes of memory; for tests. */
size_t dsmr_own_ids_bytes(const struct dsmr_own_ids *ids);
void dsmr_own_ids_check(const struct dsmr_own_ids *ids); /* O(n) */

#endif
