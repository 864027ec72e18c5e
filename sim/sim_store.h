/* sim_store.h - ports/store.h in memory, with what disks do: group commits that take time, writes
 * that a crash forgets, errors whose outcome is unknown, a full disk.
 *
 * How:     writes wait in a queue; a sync takes all that wait then. When it is done they are
 * durable in order and are answered. A crash forgets what was not durable, but a part of the group
 *          that was being synced may be. A group that finds too little room is refused whole (no
 *          pages for its records), or written without the bodies that no file took: so does
 *          store/store_queue.c.
 * Threads: one. */
#ifndef DSMR_SIM_SIM_STORE_H
#define DSMR_SIM_SIM_STORE_H

#include "base/prng.h"
#include "ports/store.h"
#include "sim/mem_disk.h"
#include "sim/sim.h"

struct dsmr_sim_store; /* opaque */

struct dsmr_sim_store *dsmr_sim_store_new(void);
void dsmr_sim_store_free(struct dsmr_sim_store *store); /* nothing may be queued */
struct dsmr_store dsmr_sim_store_port(struct dsmr_sim_store *store);
/* queued(ctx) is called when a write is queued while none is being synced. */
void dsmr_sim_store_on_queued(struct dsmr_sim_store *store, bool (*queued)(void *ctx), void *ctx);
void dsmr_sim_store_set_state(struct dsmr_sim_store *store, enum dsmr_sim_disk state);
/* Adds to counts what happens from now on; borrowed. */
void dsmr_sim_store_set_counts(struct dsmr_sim_store *store, struct dsmr_sim_disk_counts *counts);

/* Durable at once: what is there before the first life. */
void dsmr_sim_store_put(struct dsmr_sim_store *store, struct dsmr_store_write *write);
/* Takes what waits into a group; its size in bytes. */
uint64_t dsmr_sim_store_begin_sync(struct dsmr_sim_store *store);
/* The group is durable, or has failed. Returns its tasks, linked, in order; durable(ctx, write) is
 * called for each that is durable, before. has_more: others wait already. */
struct dsmr_task *dsmr_sim_store_end_sync(struct dsmr_sim_store *store, struct dsmr_prng *prng,
                                          void (*durable)(void *ctx,
                                                          const struct dsmr_store_write *write),
                                          void *ctx, bool *has_more);
/* The process is gone: all that was queued comes back undone, but some of the group may be durable.
 */
struct dsmr_task *
dsmr_sim_store_crash(struct dsmr_sim_store *store, struct dsmr_prng *prng,
                     void (*durable)(void *ctx, const struct dsmr_store_write *write), void *ctx);
/* What is on it, whoever asks: nothing here fails. */
const struct dsmr_mem_disk *dsmr_sim_store_disk(const struct dsmr_sim_store *store);
/* From now on reads of this body fail with err: mem_disk.h. */
void dsmr_sim_store_damage(struct dsmr_sim_store *store, const struct dsmr_id *chunk_id,
                           enum dsmr_err err);
uint64_t dsmr_sim_store_reads(const struct dsmr_sim_store *store); /* of bodies, ever */
bool dsmr_sim_store_has_chunk(struct dsmr_sim_store *store, const struct dsmr_id *chunk_id);
uint64_t dsmr_sim_store_bytes(const struct dsmr_sim_store *store);   /* held now */
uint64_t dsmr_sim_store_written(const struct dsmr_sim_store *store); /* ever */

#endif
