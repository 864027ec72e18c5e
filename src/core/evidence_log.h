/* evidence_log.h - which provable faults are recorded, within a fixed budget.
 *
 * Why:     a producer that signs two chunks of a slot proves its own fault; one pair per (producer,
 *          epoch) is enough, and thousands must cost nothing (protocol.md, 6.8).
 *
 *      begin --> VERIFYING --abort--> gone
 *                    +------commit--> RECORDED (until forget)
 *
 * Limits:  pairs_max; FULL beyond.
 * Threads: one owner. */
#ifndef DSMR_CORE_EVIDENCE_LOG_H
#define DSMR_CORE_EVIDENCE_LOG_H

#include "dsmr/types.h"

struct dsmr_evidence_log; /* opaque */

DSMR_MUST_USE struct dsmr_evidence_log *dsmr_evidence_log_new(uint32_t pairs_max, uint64_t seed);
void dsmr_evidence_log_free(struct dsmr_evidence_log *log); /* NULL is fine */
/* OK: the caller verifies the second signature now. DUPLICATE: one is recorded or being verified.
 * FULL: the budget is used up. */
DSMR_MUST_USE enum dsmr_err dsmr_evidence_log_begin(struct dsmr_evidence_log *log,
                                                    const struct dsmr_node_id *producer,
                                                    uint64_t epoch);
void dsmr_evidence_log_abort(struct dsmr_evidence_log *log, const struct dsmr_node_id *producer,
                             uint64_t epoch);
void dsmr_evidence_log_commit(struct dsmr_evidence_log *log, const struct dsmr_node_id *producer,
                              uint64_t epoch);
/* Drops the recorded pairs of epochs that are not in keep_epochs, so that the budget serves the
 * present. */
void dsmr_evidence_log_forget(struct dsmr_evidence_log *log, const uint64_t *keep_epochs,
                              uint32_t keep_count);
uint32_t dsmr_evidence_log_count(const struct dsmr_evidence_log *log);

#endif
