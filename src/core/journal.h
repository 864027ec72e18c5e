/* journal.h - (producer, slot) -> the one chunk that has, or may have, our share.
 *
 * Why:        rate limit and safety of signing: never two shares for one slot of a producer,
 *             across crashes and rewinds (protocol.md, 6.4, 6.7, 6.8).
 * Not here:   the disk: STORE_CHUNK with is_signed writes the entry.
 *
 *      claim --> CLAIMED --confirm--> DURABLE
 *                   |                            (a claim whose write has an unknown outcome stays
 *                   +--doubt--> UNKNOWN           UNKNOWN, and honoured, until it expires)
 *                   +--release--> gone           (only before a write was asked for)
 *
 * Invariants: an entry leaves by release or by prune below its expiry, in no other way.
 * Limits:     entries_max; FULL beyond.
 * Threads:    one owner. */
#ifndef DSMR_CORE_JOURNAL_H
#define DSMR_CORE_JOURNAL_H

#include "dsmr/types.h"

struct dsmr_journal; /* opaque */

enum dsmr_journal_state { DSMR_JOURNAL_CLAIMED = 1, DSMR_JOURNAL_DURABLE, DSMR_JOURNAL_UNKNOWN };

struct dsmr_journal_entry {
    struct dsmr_id chunk_id;
    uint64_t epoch;
    uint64_t expiry_ms;
    enum dsmr_journal_state state;
};

DSMR_MUST_USE struct dsmr_journal *dsmr_journal_new(uint32_t entries_max, uint64_t seed);
void dsmr_journal_free(struct dsmr_journal *journal); /* NULL is fine */
/* OK: claimed. DUPLICATE: this very chunk has the slot already (any state). CONFLICT: another chunk
 * has it. FULL. */
DSMR_MUST_USE enum dsmr_err dsmr_journal_claim(struct dsmr_journal *journal,
                                               const struct dsmr_reference *ref);
/* Recovery: DURABLE at once. OK, CONFLICT (two entries of one slot: the store is damaged), FULL. */
DSMR_MUST_USE enum dsmr_err dsmr_journal_restore(struct dsmr_journal *journal,
                                                 const struct dsmr_node_id *producer, uint64_t slot,
                                                 const struct dsmr_journal_entry *entry);
/* Borrowed until the next change; NULL: the slot is free. */
const struct dsmr_journal_entry *dsmr_journal_find(const struct dsmr_journal *journal,
                                                   const struct dsmr_node_id *producer,
                                                   uint64_t slot);
void dsmr_journal_confirm(struct dsmr_journal *journal, const struct dsmr_reference *ref);
void dsmr_journal_doubt(struct dsmr_journal *journal, const struct dsmr_reference *ref);
void dsmr_journal_release(struct dsmr_journal *journal, const struct dsmr_reference *ref);
/* Drops up to steps entries with expiry below chain_time_ms (in any state: rule 6.3 refuses their
 * chunks from then on). Returns how many. */
uint32_t dsmr_journal_prune(struct dsmr_journal *journal, uint64_t chain_time_ms, uint32_t steps);
uint64_t dsmr_journal_expiry_min_ms(const struct dsmr_journal *journal); /* UINT64_MAX if empty */
bool dsmr_journal_has_room(const struct dsmr_journal *journal);
uint32_t dsmr_journal_count(const struct dsmr_journal *journal);
void dsmr_journal_check(const struct dsmr_journal *journal); /* O(n) */

#endif
