/* joint_check.h - checks of BLS signatures that wait for a worker at the same time, in one batch.
 *
 * Why:     a check by itself is two Miller loops and a final exponentiation. Those of n tasks with
 *          random coefficients are n + 1 and one: with 4 half of the time, and the more tasks wait,
 *          the faster they go. Votes, shares and certificates are the same to it: signers, a
 *          message, a signature.
 * How:     the worker pool hands over tasks of one lane that have the same run_many. Each names
 *          what it claims; one batch finds the verdict of each claim (9.6: coefficients, subgroup),
 *          so that a liar's claim spoils nobody else's; each task draws its conclusion.
 * Not here: what a task wants; the order of tasks.
 * Threads: a worker. */
#ifndef DSMR_DRIVER_JOINT_CHECK_H
#define DSMR_DRIVER_JOINT_CHECK_H

#include "driver/driver_state.h"
#include "wire/codec.h"
#include "wire/message.h"

_Static_assert(DSMR_SHARE_SIGNING_BYTES >= DSMR_VOTE_SIGNING_BYTES, "the longest message");

struct dsmr_joint_check {
    struct dsmr_bls_batch_entry *entries; /* room for all claims of the tasks */
    uint8_t (*messages)[DSMR_SHARE_SIGNING_BYTES];
    uint32_t count;
};

/* The first member of a task whose run and run_many are the functions below. */
struct dsmr_joint_task {
    struct dsmr_task task;
    const struct dsmr_driver_config *config;
    uint32_t claims_max;
    /* Adds what it claims, perhaps nothing. What an entry points to stays until settle. */
    void (*claim)(struct dsmr_joint_task *t, struct dsmr_joint_check *check);
    /* errs: the verdicts of what it claimed, in that order. err: OK, or NO_MEMORY and there are
     * none. */
    void (*settle)(struct dsmr_joint_task *t, enum dsmr_err err, const enum dsmr_err *errs);
};

void dsmr_joint_check_run(struct dsmr_task *task);
void dsmr_joint_check_run_many(struct dsmr_task *first);

/* Adds one; where its message goes. */
uint8_t *dsmr_joint_check_add(struct dsmr_joint_check *check, const struct dsmr_validator_set *set,
                              const struct dsmr_bitset *signers, const struct dsmr_bls_sig *sig,
                              size_t len);

#endif
