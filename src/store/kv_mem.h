/* kv_mem.h - the state store in memory: the same contract as the durable one, nothing on disk.
 *
 * Why:     tests and the simulator need transactions, snapshots and failures without files.
 * Not here: durability. What was committed lives as long as the object.
 * How:     a persistent treap: a write transaction copies the nodes it changes, a snapshot holds
 *          the root that it began with. Priorities come from a fixed seed: one sequence of
 *          operations gives one tree.
 * Limits:  memory only.
 * Threads: as ports/kv.h: one writer, any number of readers. */
#ifndef DSMR_STORE_KV_MEM_H
#define DSMR_STORE_KV_MEM_H

#include <stdint.h>

#include "ports/kv.h"

struct dsmr_kv_mem; /* opaque */

DSMR_MUST_USE struct dsmr_kv_mem *dsmr_kv_mem_new(void); /* NULL: out of memory. Caller frees. */
/* NULL is fine. No transaction may be open. */
void dsmr_kv_mem_free(struct dsmr_kv_mem *mem);
/* The port; valid as long as mem. */
struct dsmr_kv dsmr_kv_mem_port(struct dsmr_kv_mem *mem);

/* Number of keys that are committed. */
uint64_t dsmr_kv_mem_count(const struct dsmr_kv_mem *mem);
/* The next `operations` calls of begin, commit, get, put, del and seek work, the one after them
 * fails with err, and then all work again. A commit that fails changes nothing.
 * UINT64_MAX: none fails (the state of a new object). */
void dsmr_kv_mem_fail_after(struct dsmr_kv_mem *mem, uint64_t operations, enum dsmr_err err);
/* True if the failure that was asked for has happened. */
bool dsmr_kv_mem_has_failed(const struct dsmr_kv_mem *mem);

#endif
