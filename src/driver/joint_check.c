#include "driver/joint_check.h"

#include <stdlib.h>

#include "base/assert.h"

#define COEFFICIENT_BYTES 8u

uint8_t *dsmr_joint_check_add(struct dsmr_joint_check *check, const struct dsmr_validator_set *set,
                              const struct dsmr_bitset *signers, const struct dsmr_bls_sig *sig,
                              size_t len)
{
    DSMR_ASSERT(len <= sizeof check->messages[0]);
    uint8_t *message = check->messages[check->count];
    check->entries[check->count++] = (struct dsmr_bls_batch_entry){
        .set = set, .signers = signers, .sig = sig, .message = message, .len = len};
    return message;
}

/* The claims of all; claimed[i]: how many the i-th task has made. */
static void gather(struct dsmr_joint_check *check, uint32_t *claimed, struct dsmr_task *first)
{
    for (struct dsmr_task *task = first; task != NULL; task = task->next) {
        struct dsmr_joint_task *t = (struct dsmr_joint_task *)task;
        uint32_t before = check->count;
        t->claim(t, check);
        *claimed = check->count - before;
        DSMR_ASSERT(*claimed++ <= t->claims_max);
    }
}

static void settle(struct dsmr_task *first, enum dsmr_err err, const enum dsmr_err *errs,
                   const uint32_t *claimed)
{
    for (struct dsmr_task *task = first; task != NULL; task = task->next) {
        struct dsmr_joint_task *t = (struct dsmr_joint_task *)task;
        t->settle(t, err, errs);
        errs += err == DSMR_OK ? *claimed++ : 0;
    }
}

void dsmr_joint_check_run_many(struct dsmr_task *first)
{
    const struct dsmr_driver_config *config = ((struct dsmr_joint_task *)first)->config;
    uint32_t tasks = 0, claims = 0;
    for (const struct dsmr_task *task = first; task != NULL; task = task->next, tasks++)
        claims += ((const struct dsmr_joint_task *)task)->claims_max;
    struct dsmr_joint_check check = {.entries = calloc(claims, sizeof *check.entries),
                                     .messages = calloc(claims, sizeof *check.messages)};
    uint32_t *claimed = calloc(tasks, sizeof *claimed);
    enum dsmr_err *errs = calloc(claims, sizeof *errs), err = DSMR_ERR_NO_MEMORY;
    uint8_t *random = malloc((size_t)claims * COEFFICIENT_BYTES);
    if (check.entries != NULL && check.messages != NULL && claimed != NULL && errs != NULL &&
        random != NULL) {
        gather(&check, claimed, first);
        config->work.ops->random(config->work.self, random, claims * COEFFICIENT_BYTES);
        err = check.count == 0
                  ? DSMR_OK
                  : config->bls->verify_batch(errs, check.entries, check.count, random);
    }
    settle(first, err, errs, claimed);
    free(check.entries);
    free(check.messages);
    free(claimed);
    free(errs);
    free(random);
}

void dsmr_joint_check_run(struct dsmr_task *task)
{
    DSMR_ASSERT(task->next == NULL);
    dsmr_joint_check_run_many(task);
}
