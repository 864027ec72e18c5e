/* mem_disk.h - what the writes of ports/store.h leave on a disk, in memory. When a write is
 * durable, and what a crash forgets, is up to the stores over it: sim_store.h, and
 * test/lib/mem_store.h. */
#ifndef DSMR_SIM_MEM_DISK_H
#define DSMR_SIM_MEM_DISK_H

#include "ports/store.h"

struct dsmr_mem_disk; /* opaque */

/* What a write that a correct node may never make did. */
enum dsmr_mem_disk_news {
    DSMR_MEM_DISK_NO_NEWS,
    DSMR_MEM_DISK_SECOND_OF_SLOT, /* signed, and the journal has another chunk there, which stays */
    DSMR_MEM_DISK_OTHER_BLOCK     /* where one was: that one and what stood on it are gone */
};

struct dsmr_mem_disk *dsmr_mem_disk_new(void);
void dsmr_mem_disk_free(struct dsmr_mem_disk *disk);
/* The write is durable. */
enum dsmr_mem_disk_news dsmr_mem_disk_apply(struct dsmr_mem_disk *disk,
                                            struct dsmr_store_write *write);
/* Sets the operations that read, and recover. Their self is that of the store, whose first member
 * must be a struct dsmr_mem_disk *. */
void dsmr_mem_disk_set_reads(struct dsmr_store_ops *ops);

bool dsmr_mem_disk_has_chunk(const struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id);
uint64_t dsmr_mem_disk_bytes(const struct dsmr_mem_disk *disk);  /* of chunks */
uint64_t dsmr_mem_disk_height(const struct dsmr_mem_disk *disk); /* last accepted; 0: none */
/* Chunks, certificates and journal entries together. */
uint32_t dsmr_mem_disk_count(const struct dsmr_mem_disk *disk);
/* The body and the record of a chunk are gone, as if the disk had lost them. */
void dsmr_mem_disk_lose_chunk(struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id);
/* The body cannot be read any more, and reads say err (IO, CORRUPT), until the chunk is written
 * again: as in the real store, its record is whole. */
void dsmr_mem_disk_damage(struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id,
                          enum dsmr_err err);
bool dsmr_mem_disk_can_read(const struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id);
/* Whoever has the disk has started again. */
void dsmr_mem_disk_restarted(struct dsmr_mem_disk *disk);
/* Damaged before that: nothing that is in memory can come from this body. */
bool dsmr_mem_disk_was_damaged(const struct dsmr_mem_disk *disk, const struct dsmr_id *chunk_id);
/* The i-th chunk, NULL behind the last one: new ones come last, mostly. */
const struct dsmr_reference *dsmr_mem_disk_chunk_at(const struct dsmr_mem_disk *disk, uint32_t i);
/* Blocks of these heights became final by that of a later one: their own is not there. */
void dsmr_mem_disk_forget_finalizations(struct dsmr_mem_disk *disk, uint64_t first, uint64_t last);

#endif
