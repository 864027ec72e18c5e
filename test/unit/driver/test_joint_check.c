/* test_joint_check.c - tasks that are checked together: each gets the verdicts of its own claims,
 * with real BLS, whatever the others claim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "driver/joint_check.h"
#include "unit/crypto/bls_set.h"

#define TASKS 5u
#define CLAIMS_MAX 3u

struct fake {
    struct dsmr_joint_task joint;
    uint32_t number, claims;
    struct dsmr_bls_sig sigs[CLAIMS_MAX];
    struct dsmr_bitset signers[CLAIMS_MAX];
    uint32_t settled;
    enum dsmr_err err, errs[CLAIMS_MAX];
};

static struct dsmr_validator_set *set;
static struct dsmr_driver_config config;
static struct dsmr_bls_ops ops;
static uint32_t batches, batch_count;

static enum dsmr_err counted(enum dsmr_err *errs, const struct dsmr_bls_batch_entry *entries,
                             size_t count, const uint8_t *random)
{
    batches++;
    batch_count = (uint32_t)count;
    return dsmr_bls_real.verify_batch(errs, entries, count, random);
}

static enum dsmr_err without_memory(enum dsmr_err *errs, const struct dsmr_bls_batch_entry *entries,
                                    size_t count, const uint8_t *random)
{
    (void)errs, (void)entries, (void)count, (void)random;
    return DSMR_ERR_NO_MEMORY;
}

static void random_bytes(void *self, uint8_t *out, size_t len)
{
    (void)self;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i * 37u + 11u);
}

static void message_of(uint8_t message[DSMR_VOTE_SIGNING_BYTES], uint32_t task, uint32_t claim)
{
    memset(message, 0, DSMR_VOTE_SIGNING_BYTES);
    message[0] = (uint8_t)task;
    message[1] = (uint8_t)claim;
}

static void claim(struct dsmr_joint_task *t, struct dsmr_joint_check *check)
{
    struct fake *fake = (struct fake *)t;
    for (uint32_t i = 0; i < fake->claims; i++)
        message_of(dsmr_joint_check_add(check, set, &fake->signers[i], &fake->sigs[i],
                                        DSMR_VOTE_SIGNING_BYTES),
                   fake->number, i);
}

static void settle(struct dsmr_joint_task *t, enum dsmr_err err, const enum dsmr_err *errs)
{
    struct fake *fake = (struct fake *)t;
    fake->settled++;
    fake->err = err;
    for (uint32_t i = 0; err == DSMR_OK && i < fake->claims; i++)
        fake->errs[i] = errs[i];
}

/* Tasks in a row, task i with so many good claims of one or two signers. */
static void make(struct fake fakes[TASKS], const uint32_t claims[TASKS])
{
    memset(fakes, 0, TASKS * sizeof fakes[0]);
    batches = batch_count = 0;
    ops = dsmr_bls_real;
    ops.verify_batch = counted;
    for (uint32_t i = 0; i < TASKS; i++) {
        fakes[i].joint = (struct dsmr_joint_task){
            .task = {.next = i + 1 < TASKS ? &fakes[i + 1].joint.task : NULL,
                     .run = dsmr_joint_check_run,
                     .run_many = dsmr_joint_check_run_many},
            .config = &config,
            .claims_max = claims[i] > 0 ? claims[i] : 1,
            .claim = claim,
            .settle = settle,
        };
        fakes[i].number = i;
        fakes[i].claims = claims[i];
        for (uint32_t c = 0; c < claims[i]; c++) {
            uint8_t message[DSMR_VOTE_SIGNING_BYTES];
            message_of(message, i, c);
            bls_set_sign(&fakes[i].sigs[c], (i + c) % 4, message, sizeof message);
            dsmr_bitset_add(&fakes[i].signers[c], (i + c) % 4);
        }
    }
}

static void expect(const struct fake *fake, const enum dsmr_err *errs)
{
    assert_int_equal(fake->settled, 1);
    assert_int_equal(fake->err, DSMR_OK);
    for (uint32_t i = 0; i < fake->claims; i++)
        assert_int_equal(fake->errs[i], errs[i]);
}

static void verdicts_reach_their_tasks(void **state)
{
    (void)state;
    static const uint32_t claims[TASKS] = {1, 3, 0, 2, 1};
    static const enum dsmr_err good[CLAIMS_MAX];
    struct fake fakes[TASKS];
    make(fakes, claims);
    dsmr_joint_check_run_many(&fakes[0].joint.task);
    for (uint32_t i = 0; i < TASKS; i++)
        expect(&fakes[i], good);
    assert_int_equal(batches, 1);
    assert_int_equal(batch_count, 7);

    make(fakes, claims);
    fakes[1].sigs[1] = fakes[0].sigs[0]; /* of another message */
    dsmr_bitset_add(&fakes[3].signers[0], 1);
    dsmr_bitset_add(&fakes[4].signers[0], 4); /* beyond the set */
    dsmr_joint_check_run_many(&fakes[0].joint.task);
    const enum dsmr_err second[CLAIMS_MAX] = {DSMR_OK, DSMR_ERR_BAD_SIGNATURE, DSMR_OK};
    const enum dsmr_err fourth[CLAIMS_MAX] = {DSMR_ERR_BAD_SIGNATURE, DSMR_OK};
    const enum dsmr_err last[CLAIMS_MAX] = {DSMR_ERR_BITSET};
    expect(&fakes[0], good);
    expect(&fakes[1], second);
    expect(&fakes[2], good);
    expect(&fakes[3], fourth);
    expect(&fakes[4], last);
    assert_int_equal(batches, 1);
}

/* A liar gives two tasks signatures whose errors are each other's inverse. */
static void errors_that_cancel_across_tasks_are_found(void **state)
{
    (void)state;
    static const uint32_t claims[TASKS] = {1, 1, 1, 1, 1};
    static const enum dsmr_err good[CLAIMS_MAX], bad[CLAIMS_MAX] = {DSMR_ERR_BAD_SIGNATURE};
    struct fake fakes[TASKS];
    struct dsmr_bls_sig pair[2];
    size_t place;
    make(fakes, claims);
    bls_set_sign(&pair[1], 3, "error", 5);
    pair[0] = fakes[1].sigs[0];
    assert_int_equal(dsmr_bls_aggregate(&fakes[1].sigs[0], &place, pair, 2), DSMR_OK);
    pair[1].bytes[0] ^= 0x20; /* the sign of y */
    pair[0] = fakes[3].sigs[0];
    assert_int_equal(dsmr_bls_aggregate(&fakes[3].sigs[0], &place, pair, 2), DSMR_OK);
    dsmr_joint_check_run_many(&fakes[0].joint.task);
    for (uint32_t i = 0; i < TASKS; i++)
        expect(&fakes[i], i == 1 || i == 3 ? bad : good);
}

static void one_alone_is_checked_as_well(void **state)
{
    (void)state;
    static const uint32_t claims[TASKS] = {1, 1, 1, 1, 1};
    static const enum dsmr_err good[CLAIMS_MAX], bad[CLAIMS_MAX] = {DSMR_ERR_BAD_SIGNATURE};
    struct fake fakes[TASKS];
    make(fakes, claims);
    fakes[1].sigs[0] = fakes[0].sigs[0];
    for (uint32_t i = 0; i < TASKS; i++) {
        fakes[i].joint.task.next = NULL;
        fakes[i].joint.task.run(&fakes[i].joint.task);
        expect(&fakes[i], i == 1 ? bad : good);
    }
}

static void without_memory_there_is_no_verdict(void **state)
{
    (void)state;
    static const uint32_t claims[TASKS] = {1, 3, 0, 2, 1};
    struct fake fakes[TASKS];
    make(fakes, claims);
    ops.verify_batch = without_memory;
    dsmr_joint_check_run_many(&fakes[0].joint.task);
    for (uint32_t i = 0; i < TASKS; i++) {
        assert_int_equal(fakes[i].settled, 1);
        assert_int_equal(fakes[i].err, DSMR_ERR_NO_MEMORY);
    }
}

static int group_setup(void **state)
{
    (void)state;
    static const struct dsmr_work_ops work = {.random = random_bytes};
    set = bls_set_new(4);
    config.bls = &ops;
    config.work = (struct dsmr_work){.ops = &work};
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    dsmr_validator_set_unref(set);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_reach_their_tasks),
        cmocka_unit_test(errors_that_cancel_across_tasks_are_found),
        cmocka_unit_test(one_alone_is_checked_as_well),
        cmocka_unit_test(without_memory_there_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
