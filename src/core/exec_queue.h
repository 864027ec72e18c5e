/* exec_queue.h - accepted blocks that are not executed, in order of height. See node_state.h.
 *
 * Why:        execution may lag behind consensus without end; memory may not follow.
 * How:        the oldest blocks_max of them are in a ring; the rest is a number, and its blocks are
 *             read back from the disk (block_load) when their turn comes.
 *
 *      push --> WAITING ----open----> FETCHING --> ASSEMBLED --pop--> gone
 *        |         ^
 *        |         +--fill-- LOADING <--> UNREAD     (back to UNREAD: no memory now)
 *        |                                  ^
 *        +--> unread ------make_room--------+        (no room, or others are unread before it)
 *
 * Invariants: heights are consecutive from the executed height + 1: first the ring, in it the first
 *             `executing` blocks ASSEMBLED and the next up to window_count FETCHING, then
 *             unread_count blocks. A block is read back only when its accept is durable.
 *             backlog_bytes is exact.
 * Trust:      a block that is read back must have the height, follow the block before it and, at
 *             the tip, be the tip: as much as recovery asks of the disk.
 * Limits:     blocks_max blocks in memory, however many wait.
 * Threads:    one owner. */
#ifndef DSMR_CORE_EXEC_QUEUE_H
#define DSMR_CORE_EXEC_QUEUE_H

#include "core/node_state.h"

/* false: no memory. blocks_max >= 1. */
DSMR_MUST_USE bool dsmr_exec_queue_init(struct dsmr_exec_queue *queue, uint32_t blocks_max);
void dsmr_exec_queue_close(struct dsmr_exec_queue *queue);

/* The block at index (0: the oldest) of those in the ring; asserts index < count. */
struct dsmr_exec_block *dsmr_exec_queue_at(const struct dsmr_exec_queue *queue, uint32_t index);
/* The entry of this height; NULL: not in the ring (executed, or unread). Its block may be NULL. */
struct dsmr_exec_block *dsmr_exec_queue_find(const struct dsmr_exec_queue *queue, uint64_t height);
/* All that wait, read or not. */
uint64_t dsmr_exec_queue_length(const struct dsmr_exec_queue *queue);
/* Appends the next height. Takes a reference if it stays in memory: then its entry; else NULL. */
struct dsmr_exec_block *dsmr_exec_queue_push(struct dsmr_exec_queue *queue,
                                             struct dsmr_block *block);
/* Gives unread blocks whose accept is durable a place in the ring, as UNREAD. */
void dsmr_exec_queue_make_room(struct dsmr_exec_queue *queue);
/* The block of a LOADING entry has come; takes a reference. CORRUPT if it cannot be it. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_queue_fill(struct dsmr_exec_queue *queue,
                                                 struct dsmr_exec_block *item,
                                                 struct dsmr_block *block);
/* The entry that may enter the window next; NULL: none is WAITING in its turn. */
struct dsmr_exec_block *dsmr_exec_queue_next(const struct dsmr_exec_queue *queue);
/* Takes that entry into the window: bodies exist from now on. CORRUPT if it does not follow the
 * block before it (it was read back, and is not the one that was accepted); NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_queue_open(struct dsmr_exec_queue *queue);
/* Takes out the oldest. */
void dsmr_exec_queue_pop(struct dsmr_exec_queue *queue);
void dsmr_exec_queue_check(const struct dsmr_exec_queue *queue);

#endif
