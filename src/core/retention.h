/* retention.h - included chunks whose blocks are executed, in the order in which they may go.
 *
 * Why:     an included chunk is served until chain time has passed its block's time plus retention,
 *          and the same of local time since accept (protocol.md, section 11). Only for a chain with
 *          finite retention.
 * Limits:  grows up to entries_max; beyond it a chunk is kept for ever (add says FULL).
 * Threads: one owner. */
#ifndef DSMR_CORE_RETENTION_H
#define DSMR_CORE_RETENTION_H

#include "dsmr/types.h"

struct dsmr_retention; /* opaque */

struct dsmr_retention_entry {
    struct dsmr_id chunk_id;
    uint64_t block_time_ms;    /* of the block that includes it */
    uint64_t accepted_wall_ms; /* local time of accept */
};

DSMR_MUST_USE struct dsmr_retention *dsmr_retention_new(uint32_t entries_max,
                                                        uint64_t retention_ms);
void dsmr_retention_free(struct dsmr_retention *retention); /* NULL is fine */
/* Entries come roughly in block order; FULL or NO_MEMORY: not remembered. */
DSMR_MUST_USE enum dsmr_err dsmr_retention_add(struct dsmr_retention *retention,
                                               const struct dsmr_retention_entry *entry);
/* Recovery brings entries in any order: puts them in block order. Before the first take (asserted).
 */
void dsmr_retention_sort(struct dsmr_retention *retention);
/* Takes out up to max chunks that may go, oldest first, and stops at the first that may not:
 * chain_time_ms > block time + retention and wall_ms >= accepted + retention. */
uint32_t dsmr_retention_take(struct dsmr_retention *retention, struct dsmr_id *out, uint32_t max,
                             uint64_t chain_time_ms, uint64_t wall_ms);
uint32_t dsmr_retention_count(const struct dsmr_retention *retention);

#endif
