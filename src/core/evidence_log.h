/* evidence_log.h - which provable faults are recorded, within a fixed budget.
 *
 * Why:     a producer that signs two chunks of a slot proves its own fault; one pair per (producer,
 *          epoch) is enough, and thousands must cost nothing. The budget serves the present: at its
 *          end the oldest pair of an epoch that is over gives way (protocol.md, 6.9).
 *
 *      begin --> VERIFYING --record--> STORING --commit--> RECORDED --record of another--> LEAVING
 *                    |                    |                   ^                              |  |
 *                    +-------abort--------+--> gone           +-------abort of that other----+  |
 *                                                                        commit of that other
 * --+--> gone
 *
 * Limits:  pairs_max RECORDED, STORING and not LEAVING; verifying_max that are neither yet; FULL
 *          beyond.
 * Threads: one owner. */
#ifndef DSMR_CORE_EVIDENCE_LOG_H
#define DSMR_CORE_EVIDENCE_LOG_H

#include "dsmr/types.h"

struct dsmr_evidence_log; /* opaque */

struct dsmr_evidence_epochs { /* those that are not over: borrowed */
    const uint64_t *epochs;
    uint32_t count;
};

DSMR_MUST_USE struct dsmr_evidence_log *
dsmr_evidence_log_new(uint32_t pairs_max, uint32_t verifying_max, uint64_t seed);
void dsmr_evidence_log_free(struct dsmr_evidence_log *log); /* NULL is fine */
/* OK: the caller verifies the second signature now. DUPLICATE: one is recorded or on its way. FULL:
 * the budget is used up, and every pair is of an epoch that is not over. */
DSMR_MUST_USE enum dsmr_err dsmr_evidence_log_begin(struct dsmr_evidence_log *log,
                                                    const struct dsmr_evidence_key *key,
                                                    uint64_t expiry_ms,
                                                    const struct dsmr_evidence_epochs *live);
/* The pair is one, and is written now. *has_gone: *gone is to leave the disk in the same write.
 * FULL as above: abort it. */
DSMR_MUST_USE enum dsmr_err dsmr_evidence_log_record(struct dsmr_evidence_log *log,
                                                     const struct dsmr_evidence_key *key,
                                                     const struct dsmr_evidence_epochs *live,
                                                     struct dsmr_evidence_key *gone,
                                                     bool *has_gone);
/* How the write, or the verification, ended. gone: what record gave, or NULL. */
void dsmr_evidence_log_commit(struct dsmr_evidence_log *log, const struct dsmr_evidence_key *key,
                              const struct dsmr_evidence_key *gone);
void dsmr_evidence_log_abort(struct dsmr_evidence_log *log, const struct dsmr_evidence_key *key,
                             const struct dsmr_evidence_key *gone);
/* One that is on the disk at the start. FULL; a pair that is there already is fine. */
DSMR_MUST_USE enum dsmr_err dsmr_evidence_log_restore(struct dsmr_evidence_log *log,
                                                      const struct dsmr_evidence_key *key,
                                                      uint64_t expiry_ms);
uint32_t dsmr_evidence_log_count(const struct dsmr_evidence_log *log); /* RECORDED or LEAVING */

#endif
