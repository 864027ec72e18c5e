/* epochs.h - validator sets by epoch, and the list of past epochs that a block carries.
 *
 * Why:        every reference, share and certificate is judged by the set of its own epoch
 *             (protocol.md, section 3).
 * Limits:     sets_max sets; beyond it the one that was not pinned and longest not looked up goes.
 * Threads:    one owner. */
#ifndef DSMR_CORE_EPOCHS_H
#define DSMR_CORE_EPOCHS_H

#include "dsmr/types.h"

struct dsmr_epochs; /* opaque */

/* sets_max > DSMR_PAST_EPOCHS_MAX + 1 (asserted). */
DSMR_MUST_USE struct dsmr_epochs *dsmr_epochs_new(uint32_t sets_max);
void dsmr_epochs_free(struct dsmr_epochs *epochs); /* NULL is fine */
/* Takes a reference. A second set of one epoch is ignored: the first one counts. A set of epoch
 * NONE is ignored. */
void dsmr_epochs_add(struct dsmr_epochs *epochs, struct dsmr_validator_set *set);
/* Borrowed while it stays in the registry; NULL: not known. */
struct dsmr_validator_set *dsmr_epochs_find(struct dsmr_epochs *epochs, uint64_t epoch);
/* The known sets of epoch epoch_min or a later one, borrowed as above; at most max, returns how
 * many. */
uint32_t dsmr_epochs_since(const struct dsmr_epochs *epochs, struct dsmr_validator_set **out,
                           uint32_t max, uint64_t epoch_min);
/* True if node_id may sign in any set that is known: past, present or scheduled. */
bool dsmr_epochs_has_member(const struct dsmr_epochs *epochs, const struct dsmr_node_id *node_id);
/* Pins the epochs of block (its own and its list), and only those. */
void dsmr_epochs_pin(struct dsmr_epochs *epochs, const struct dsmr_block *block);
void dsmr_epochs_check(const struct dsmr_epochs *epochs);

/* The list of a block of this epoch and time on parent: the parent's list, plus {parent's epoch,
 * time_ms} if the epoch changed (never NONE), minus entries with ended_at + lifetime_ms < time_ms,
 * at most DSMR_PAST_EPOCHS_MAX, newest kept; oldest first. An entry of the block's own epoch (it
 * came back) is not special. Returns the count. Additions saturate. */
uint32_t dsmr_epochs_list(struct dsmr_past_epoch out[DSMR_PAST_EPOCHS_MAX],
                          const struct dsmr_block *parent, uint64_t epoch, uint64_t time_ms,
                          uint64_t lifetime_ms);
/* Whether a certificate of epoch may stand in a block with this epoch and list; NONE never may. */
bool dsmr_epochs_allows(uint64_t block_epoch, const struct dsmr_past_epoch *list, uint32_t count,
                        uint64_t epoch);

#endif
