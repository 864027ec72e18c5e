/* chunk_fetch.h - the bodies of accepted blocks. protocol.md, section 10.1.
 *
 * Why:        a block needs certificates only; a node fetches what it lacks after accept, from
 * those who promised to serve it. How:        a queue of accepted blocks; those inside a window of
 * payload bytes have their bodies loaded from disk or fetched, so that a node that is far behind
 * holds only a window in memory. A fetch asks one signer at a time, starting at a random one, the
 * next after each failure or timeout, then any other validator, then again after a pause.
 *
 *      WAITING (grace) --> ASKED --> VERIFYING --> STORING --> held
 *         ^                  |           |
 *         +------------------+-----------+   unknown, pruned, busy, wrong, timeout
 *
 * Invariants: INV-02; a body is used for execution only when it is on this node's disk.
 * Limits:     config.fetches_max in flight; DSMR_NODE_EXECUTING_MAX blocks executing; the window:
 *             chunk_cache_bytes_max, or one block; with more to execute a fifth, or four blocks.
 * Threads:    one owner. */
#ifndef DSMR_CORE_CHUNK_FETCH_H
#define DSMR_CORE_CHUNK_FETCH_H

#include "core/node_state.h"

/* Appends an accepted block, unless it is executed already. is_restored: it comes from the disk, is
 * durable, and its chunks may be on disk too. */
void dsmr_chunk_fetch_push(struct dsmr_node *node, struct dsmr_block *block, bool is_restored);
/* The accept of this height is on disk. */
void dsmr_chunk_fetch_on_durable(struct dsmr_node *node, uint64_t height);
/* Takes blocks into the window, starts loads and fetches, and hands over what is complete. */
void dsmr_chunk_fetch_run(struct dsmr_node *node);
/* A chunk became held by another way than a fetch. */
void dsmr_chunk_fetch_on_held(struct dsmr_node *node, struct dsmr_chunk *chunk);
/* Height and time of the accepted block that includes the chunk, for the store. UINT64_MAX and 0 if
 * none; the time is 0 too if the block is executed and gone. */
void dsmr_chunk_fetch_included(const struct dsmr_node *node, const struct dsmr_id *chunk_id,
                               uint64_t *height, uint64_t *time_ms);
/* Upon chunk(chunk_id, err, body) from peer. */
void dsmr_chunk_fetch_on_message(struct dsmr_node *node, const struct dsmr_node_id *from,
                                 const struct dsmr_msg *msg, struct dsmr_buf *bytes);
void dsmr_chunk_fetch_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                                  enum dsmr_err err, struct dsmr_chunk *chunk);
void dsmr_chunk_fetch_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                enum dsmr_err err);
void dsmr_chunk_fetch_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                                enum dsmr_err err, struct dsmr_chunk *chunk);
void dsmr_chunk_fetch_on_timer(struct dsmr_node *node);
/* Whether all who could have a chunk were asked for it, again and again, and none gave it. */
bool dsmr_chunk_fetch_is_in_vain(const struct dsmr_node *node);
void dsmr_chunk_fetch_free(struct dsmr_node *node);

#endif
