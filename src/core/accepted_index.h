/* accepted_index.h - which chunks and which slots the accepted chain already holds.
 *
 * Why:        a block may name neither a chunk id nor a (producer, slot) twice in a chain
 *             (protocol.md, sections 8 and 9).
 * Not here:   processing blocks (block_tree).
 * Invariants: both keys of an entry are there or neither; an entry leaves only when chain time has
 *             passed its expiry.
 * Limits:     doubles up to entries_max; FULL beyond is the caller's reason to halt.
 * Threads:    one owner. */
#ifndef DSMR_CORE_ACCEPTED_INDEX_H
#define DSMR_CORE_ACCEPTED_INDEX_H

#include "dsmr/types.h"

struct dsmr_accepted_index; /* opaque */

DSMR_MUST_USE struct dsmr_accepted_index *dsmr_accepted_index_new(uint32_t entries_max,
                                                                  uint64_t seed);
void dsmr_accepted_index_free(struct dsmr_accepted_index *index); /* NULL is fine */
/* Adds ref's chunk id and (producer, slot) at height. OK; DUPLICATE if the chunk id is there
 * already (accept is idempotent; nothing changed); FULL; NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_accepted_index_add(struct dsmr_accepted_index *index,
                                                    const struct dsmr_reference *ref,
                                                    uint64_t height);
/* Height of the block that holds the chunk; UINT64_MAX: none. */
uint64_t dsmr_accepted_index_find(const struct dsmr_accepted_index *index,
                                  const struct dsmr_id *chunk_id);
/* Whether ref's chunk id or (producer, slot) stands at a height of at most height_max: entries
 * count only up to the judged block's last accepted ancestor. */
bool dsmr_accepted_index_is_used(const struct dsmr_accepted_index *index,
                                 const struct dsmr_reference *ref, uint64_t height_max);
/* Drops up to steps entries with expiry below chain_time_ms. Returns how many. */
uint32_t dsmr_accepted_index_prune(struct dsmr_accepted_index *index, uint64_t chain_time_ms,
                                   uint32_t steps);
/* Smallest expiry that it holds; UINT64_MAX if empty. */
uint64_t dsmr_accepted_index_expiry_min_ms(const struct dsmr_accepted_index *index);
uint32_t dsmr_accepted_index_count(const struct dsmr_accepted_index *index);
void dsmr_accepted_index_check(const struct dsmr_accepted_index *index); /* O(n) */

#endif
