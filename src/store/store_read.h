/* store_read.h - the reading half of the store port, and what happens at open.
 *
 * Threads: loads from any thread, each with a short read transaction of its own; recover and
 *          prepare before the first write, on one thread. */
#ifndef DSMR_STORE_STORE_READ_H
#define DSMR_STORE_STORE_READ_H

#include "store/store_state.h"

/* As in struct dsmr_store_ops; self is struct dsmr_lmdb_store. */
enum dsmr_err dsmr_store_read_chunk(void *self, struct dsmr_buf **out,
                                    const struct dsmr_id *chunk_id);
enum dsmr_err dsmr_store_read_chunk_meta(void *self, struct dsmr_store_chunk_meta *out,
                                         const struct dsmr_id *chunk_id);
enum dsmr_err dsmr_store_read_cert(void *self, struct dsmr_cert *out,
                                   const struct dsmr_id *chunk_id);
enum dsmr_err dsmr_store_read_block(void *self, struct dsmr_buf **out,
                                    struct dsmr_quorum_cert *finalization, bool *has_finalization,
                                    uint64_t height);
enum dsmr_err dsmr_store_read_height(void *self, uint64_t *height, const struct dsmr_id *block_id);
enum dsmr_err dsmr_store_read_accepted(void *self, uint64_t *height, struct dsmr_id *block_id);
enum dsmr_err dsmr_store_read_evidence(void *self, struct dsmr_evidence *out, uint64_t *cursor);
enum dsmr_err dsmr_store_read_recover(void *self, const struct dsmr_store_visitor *visitor);

/* Checks the format (and writes it into an empty database, with first, if not NULL), cuts torn
 * tails off the segments and removes those that nothing points to. NEWER_FORMAT, CORRUPT, IO,
 * DISK_FULL.
 */
DSMR_MUST_USE enum dsmr_err dsmr_store_read_prepare(struct dsmr_lmdb_store *store,
                                                    const struct dsmr_store_write *first);

#endif
