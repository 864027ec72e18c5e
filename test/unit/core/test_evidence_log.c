#include "core/evidence_log.h"
#include "leaf_fixture.h"

static enum dsmr_err begin(struct dsmr_evidence_log *log, uint64_t producer, uint64_t epoch)
{
    struct dsmr_node_id id = node_of(producer);
    return dsmr_evidence_log_begin(log, &id, epoch);
}

static void test_one_pair_of_a_producer_and_epoch(void **state)
{
    (void)state;
    struct dsmr_evidence_log *log = dsmr_evidence_log_new(10, 1);
    struct dsmr_node_id one = node_of(1);
    assert_int_equal(begin(log, 1, 0), DSMR_OK);
    assert_int_equal(begin(log, 1, 0), DSMR_ERR_DUPLICATE); /* while it is being verified */
    assert_int_equal(begin(log, 1, 1), DSMR_OK);
    assert_int_equal(begin(log, 2, 0), DSMR_OK);
    dsmr_evidence_log_abort(log, &one, 0);
    assert_int_equal(begin(log, 1, 0), DSMR_OK); /* a lie does not shield the producer */
    dsmr_evidence_log_commit(log, &one, 0);
    assert_int_equal(begin(log, 1, 0), DSMR_ERR_DUPLICATE);
    assert_int_equal(dsmr_evidence_log_count(log), 3);
    dsmr_evidence_log_free(log);
    dsmr_evidence_log_free(NULL);
}

static void test_budget_serves_the_present(void **state)
{
    (void)state;
    struct dsmr_evidence_log *log = dsmr_evidence_log_new(3, 1);
    struct dsmr_node_id one = node_of(1);
    assert_int_equal(begin(log, 1, 5), DSMR_OK);
    assert_int_equal(begin(log, 1, 6), DSMR_OK);
    assert_int_equal(begin(log, 1, 7), DSMR_OK);
    assert_int_equal(begin(log, 1, 8), DSMR_ERR_FULL);
    dsmr_evidence_log_commit(log, &one, 5);
    dsmr_evidence_log_commit(log, &one, 6);
    const uint64_t keep[] = {6, 9};
    dsmr_evidence_log_forget(log, keep, 2); /* 5 goes; 6 is kept; 7 is being verified */
    assert_int_equal(dsmr_evidence_log_count(log), 2);
    assert_int_equal(begin(log, 1, 6), DSMR_ERR_DUPLICATE);
    assert_int_equal(begin(log, 1, 7), DSMR_ERR_DUPLICATE);
    assert_int_equal(begin(log, 1, 8), DSMR_OK);
    dsmr_evidence_log_forget(log, NULL, 0);
    assert_int_equal(dsmr_evidence_log_count(log), 2);
    dsmr_evidence_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_pair_of_a_producer_and_epoch),
        cmocka_unit_test(test_budget_serves_the_present),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
