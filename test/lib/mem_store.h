/* mem_store.h - ports/store.h in memory, with a crash: writes become durable one by one when the
 * test says so, and a crash forgets those that had not. What is durable lies on sim/mem_disk.h. */
#ifndef DSMR_TEST_MEM_STORE_H
#define DSMR_TEST_MEM_STORE_H

#include "ports/store.h"

struct dsmr_mem_store; /* opaque */

struct dsmr_mem_store *dsmr_mem_store_new(void);
void dsmr_mem_store_free(struct dsmr_mem_store *store);
struct dsmr_store dsmr_mem_store_port(struct dsmr_mem_store *store);
/* queued(ctx) is called for each write that is queued. */
void dsmr_mem_store_on_queued(struct dsmr_mem_store *store, void (*queued)(void *ctx), void *ctx);
/* What it holds: chunks, certificates and journal entries together. */
uint32_t dsmr_mem_store_count(const struct dsmr_mem_store *store);
uint32_t dsmr_mem_store_queued(const struct dsmr_mem_store *store);
/* Makes the oldest queued write durable with err (OK: applied) and returns its task, which the
 * caller completes; NULL if none is queued. */
struct dsmr_task *dsmr_mem_store_finish(struct dsmr_mem_store *store, enum dsmr_err err);
/* The body and the record of a chunk are gone, as if the disk had lost them. */
void dsmr_mem_store_lose_chunk(struct dsmr_mem_store *store, const struct dsmr_id *chunk_id);
/* Blocks of these heights became final by that of a later one: their own is not there. */
void dsmr_mem_store_forget_finalizations(struct dsmr_mem_store *store, uint64_t first,
                                         uint64_t last);
/* Takes the oldest queued write off without doing it: a crash. */
struct dsmr_task *dsmr_mem_store_forget(struct dsmr_mem_store *store);

#endif
