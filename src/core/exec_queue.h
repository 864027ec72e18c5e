/* exec_queue.h - accepted blocks that are not executed, in order of height. See node_state.h.
 *
 * Invariants: heights are consecutive from the executed height + 1; the first `executing` blocks
 * are ASSEMBLED, the next up to window_count FETCHING, the rest WAITING. Limits:     grows by
 * doubling with the blocks themselves: a block without its bodies is small. Threads:    one owner.
 */
#ifndef DSMR_CORE_EXEC_QUEUE_H
#define DSMR_CORE_EXEC_QUEUE_H

#include "core/node_state.h"

/* The block at index (0: the oldest); asserts index < count. */
struct dsmr_exec_block *dsmr_exec_queue_at(const struct dsmr_exec_queue *queue, uint32_t index);
/* The block of this height; NULL: not in the queue. */
struct dsmr_exec_block *dsmr_exec_queue_find(const struct dsmr_exec_queue *queue, uint64_t height);
/* Appends; takes a reference. NULL if out of memory. */
struct dsmr_exec_block *dsmr_exec_queue_push(struct dsmr_exec_queue *queue,
                                             struct dsmr_block *block);
/* Takes the next WAITING block into the window: bodies exist from now on. false: no memory. */
DSMR_MUST_USE bool dsmr_exec_queue_open(struct dsmr_exec_queue *queue);
/* Takes out the oldest. */
void dsmr_exec_queue_pop(struct dsmr_exec_queue *queue);
void dsmr_exec_queue_close(struct dsmr_exec_queue *queue);
void dsmr_exec_queue_check(const struct dsmr_exec_queue *queue);

#endif
