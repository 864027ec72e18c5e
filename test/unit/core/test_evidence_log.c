#include "core/evidence_log.h"
#include "leaf_fixture.h"

static struct dsmr_evidence_key key_of(uint64_t producer, uint64_t epoch)
{
    return (struct dsmr_evidence_key){node_of(producer), epoch};
}

static const uint64_t epochs[] = {6, 9};
static const struct dsmr_evidence_epochs live = {epochs, 2};

/* Its age is its epoch's here, unless a test says otherwise. */
static enum dsmr_err begin(struct dsmr_evidence_log *log, uint64_t producer, uint64_t epoch)
{
    struct dsmr_evidence_key key = key_of(producer, epoch);
    return dsmr_evidence_log_begin(log, &key, epoch, &live);
}

static enum dsmr_err record(struct dsmr_evidence_log *log, uint64_t producer, uint64_t epoch,
                            struct dsmr_evidence_key *gone, bool *has_gone)
{
    struct dsmr_evidence_key key = key_of(producer, epoch);
    return dsmr_evidence_log_record(log, &key, &live, gone, has_gone);
}

static void commit(struct dsmr_evidence_log *log, uint64_t producer, uint64_t epoch,
                   const struct dsmr_evidence_key *gone)
{
    struct dsmr_evidence_key key = key_of(producer, epoch);
    dsmr_evidence_log_commit(log, &key, gone);
}

static void abort_pair(struct dsmr_evidence_log *log, uint64_t producer, uint64_t epoch,
                       const struct dsmr_evidence_key *gone)
{
    struct dsmr_evidence_key key = key_of(producer, epoch);
    dsmr_evidence_log_abort(log, &key, gone);
}

/* Begun, verified and stored; another one may give way for it, which is not said here. */
static void add(struct dsmr_evidence_log *log, uint64_t producer, uint64_t epoch)
{
    struct dsmr_evidence_key gone;
    bool has_gone = true;
    assert_int_equal(begin(log, producer, epoch), DSMR_OK);
    assert_int_equal(record(log, producer, epoch, &gone, &has_gone), DSMR_OK);
    commit(log, producer, epoch, has_gone ? &gone : NULL);
}

static void test_one_pair_of_a_producer_and_epoch(void **state)
{
    (void)state;
    struct dsmr_evidence_log *log = dsmr_evidence_log_new(10, 3, 1);
    struct dsmr_evidence_key gone;
    bool has_gone = true;
    assert_int_equal(begin(log, 1, 0), DSMR_OK);
    assert_int_equal(begin(log, 1, 0), DSMR_ERR_DUPLICATE); /* while it is being verified */
    assert_int_equal(begin(log, 1, 1), DSMR_OK);
    assert_int_equal(begin(log, 2, 0), DSMR_OK);
    abort_pair(log, 1, 0, NULL);
    assert_int_equal(begin(log, 1, 0), DSMR_OK); /* a lie does not shield the producer */
    assert_int_equal(record(log, 1, 0, &gone, &has_gone), DSMR_OK);
    assert_false(has_gone);
    assert_int_equal(begin(log, 1, 0), DSMR_ERR_DUPLICATE); /* while it is being written */
    assert_int_equal(dsmr_evidence_log_count(log), 0);
    commit(log, 1, 0, NULL);
    assert_int_equal(begin(log, 1, 0), DSMR_ERR_DUPLICATE);
    assert_int_equal(dsmr_evidence_log_count(log), 1);
    dsmr_evidence_log_free(log);
    dsmr_evidence_log_free(NULL);
}

static void test_budget_serves_the_present(void **state)
{
    (void)state;
    struct dsmr_evidence_log *log = dsmr_evidence_log_new(3, 2, 1);
    struct dsmr_evidence_key gone;
    bool has_gone = false;
    add(log, 1, 5);
    add(log, 1, 6);
    add(log, 1, 4);
    assert_int_equal(begin(log, 1, 9), DSMR_OK);
    assert_int_equal(record(log, 1, 9, &gone, &has_gone), DSMR_OK);
    assert_true(has_gone && gone.epoch == 4); /* the oldest; 6 is live */
    struct dsmr_node_id one = node_of(1);
    assert_true(dsmr_node_id_equal(&gone.producer, &one));
    abort_pair(log, 1, 9, &gone); /* the disk did not take it: the other has not gone */
    assert_int_equal(dsmr_evidence_log_count(log), 3);
    assert_int_equal(begin(log, 1, 4), DSMR_ERR_DUPLICATE);
    add(log, 1, 9);
    assert_int_equal(dsmr_evidence_log_count(log), 3);
    assert_int_equal(begin(log, 1, 4), DSMR_OK); /* it has gone */
    assert_int_equal(begin(log, 2, 6), DSMR_OK); /* two are verified, and one may give way */
    assert_int_equal(record(log, 2, 6, &gone, &has_gone), DSMR_OK);
    assert_true(has_gone && gone.epoch == 5);
    assert_int_equal(record(log, 1, 4, &gone, &has_gone), DSMR_ERR_FULL); /* all are live */
    abort_pair(log, 1, 4, NULL);
    assert_int_equal(begin(log, 3, 6), DSMR_ERR_FULL);
    struct dsmr_evidence_key five = key_of(1, 5);
    commit(log, 2, 6, &five);
    assert_int_equal(dsmr_evidence_log_count(log), 3);
    assert_int_equal(begin(log, 3, 6), DSMR_ERR_FULL);
    assert_int_equal(begin(log, 2, 6), DSMR_ERR_DUPLICATE);
    dsmr_evidence_log_free(log);
}

static void test_what_is_on_disk_counts(void **state)
{
    (void)state;
    struct dsmr_evidence_log *log = dsmr_evidence_log_new(2, 1, 1);
    struct dsmr_evidence_key old = key_of(1, 1), older = key_of(2, 1), third = key_of(3, 1), gone;
    bool has_gone = false;
    assert_int_equal(dsmr_evidence_log_restore(log, &old, 20), DSMR_OK);
    assert_int_equal(dsmr_evidence_log_restore(log, &old, 20), DSMR_OK);
    assert_int_equal(dsmr_evidence_log_restore(log, &older, 10), DSMR_OK);
    assert_int_equal(dsmr_evidence_log_restore(log, &third, 5), DSMR_ERR_FULL);
    assert_int_equal(dsmr_evidence_log_count(log), 2);
    assert_int_equal(begin(log, 1, 1), DSMR_ERR_DUPLICATE);
    assert_int_equal(begin(log, 1, 6), DSMR_OK);
    assert_int_equal(record(log, 1, 6, &gone, &has_gone), DSMR_OK);
    assert_true(has_gone && dsmr_node_id_equal(&gone.producer, &older.producer)); /* by its age */
    commit(log, 1, 6, &gone);
    dsmr_evidence_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_pair_of_a_producer_and_epoch),
        cmocka_unit_test(test_budget_serves_the_present),
        cmocka_unit_test(test_what_is_on_disk_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
