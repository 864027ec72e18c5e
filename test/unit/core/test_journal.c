#include "core/journal.h"
#include "leaf_fixture.h"

static void test_one_chunk_of_a_slot(void **state)
{
    (void)state;
    struct dsmr_journal *journal = dsmr_journal_new(4, 1);
    struct dsmr_reference first = ref_of(1, 1, 10);
    struct dsmr_reference other = ref_of(2, 1, 10);
    struct dsmr_reference next_slot = ref_of(3, 1, 11);
    struct dsmr_reference other_producer = ref_of(4, 2, 10);
    assert_int_equal(dsmr_journal_claim(journal, &first), DSMR_OK);
    assert_int_equal(dsmr_journal_claim(journal, &first), DSMR_ERR_DUPLICATE);
    assert_int_equal(dsmr_journal_claim(journal, &other), DSMR_ERR_CONFLICT);
    assert_int_equal(dsmr_journal_claim(journal, &next_slot), DSMR_OK);
    assert_int_equal(dsmr_journal_claim(journal, &other_producer), DSMR_OK);
    const struct dsmr_journal_entry *entry = dsmr_journal_find(journal, &first.producer, 10);
    assert_non_null(entry);
    assert_id_equal(&entry->chunk_id, &first.chunk_id);
    assert_int_equal(entry->state, DSMR_JOURNAL_CLAIMED);
    assert_null(dsmr_journal_find(journal, &first.producer, 12));
    dsmr_journal_check(journal);
    dsmr_journal_free(journal);
}

static void test_states(void **state)
{
    (void)state;
    struct dsmr_journal *journal = dsmr_journal_new(4, 1);
    struct dsmr_reference a = ref_of(1, 1, 10);
    struct dsmr_reference b = ref_of(2, 1, 11);
    struct dsmr_reference c = ref_of(3, 1, 12);
    assert_int_equal(dsmr_journal_claim(journal, &a), DSMR_OK);
    assert_int_equal(dsmr_journal_claim(journal, &b), DSMR_OK);
    assert_int_equal(dsmr_journal_claim(journal, &c), DSMR_OK);
    dsmr_journal_confirm(journal, &a);
    assert_int_equal(dsmr_journal_find(journal, &a.producer, 10)->state, DSMR_JOURNAL_DURABLE);
    dsmr_journal_doubt(journal, &a); /* durable stays durable */
    assert_int_equal(dsmr_journal_find(journal, &a.producer, 10)->state, DSMR_JOURNAL_DURABLE);
    dsmr_journal_doubt(journal, &b);
    assert_int_equal(dsmr_journal_find(journal, &b.producer, 11)->state, DSMR_JOURNAL_UNKNOWN);
    struct dsmr_reference rival = ref_of(9, 1, 11);
    assert_int_equal(dsmr_journal_claim(journal, &rival), DSMR_ERR_CONFLICT); /* honoured */
    dsmr_journal_release(journal, &c);
    assert_null(dsmr_journal_find(journal, &c.producer, 12));
    struct dsmr_reference later = ref_of(4, 1, 12);
    assert_int_equal(dsmr_journal_claim(journal, &later), DSMR_OK);
    dsmr_journal_check(journal);
    dsmr_journal_free(journal);
}

static void test_limit(void **state)
{
    (void)state;
    struct dsmr_journal *journal = dsmr_journal_new(2, 1);
    struct dsmr_reference a = ref_of(1, 1, 1);
    struct dsmr_reference b = ref_of(2, 1, 2);
    struct dsmr_reference c = ref_of(3, 1, 3);
    assert_int_equal(dsmr_journal_claim(journal, &a), DSMR_OK);
    assert_true(dsmr_journal_has_room(journal));
    assert_int_equal(dsmr_journal_claim(journal, &b), DSMR_OK);
    assert_false(dsmr_journal_has_room(journal));
    assert_int_equal(dsmr_journal_claim(journal, &c), DSMR_ERR_FULL);
    assert_int_equal(dsmr_journal_claim(journal, &a), DSMR_ERR_DUPLICATE); /* also when full */
    dsmr_journal_release(journal, &a);
    assert_int_equal(dsmr_journal_claim(journal, &c), DSMR_OK);
    dsmr_journal_free(journal);
}

static void test_prune_below_expiry_only(void **state)
{
    (void)state;
    struct dsmr_journal *journal = dsmr_journal_new(8, 1);
    assert_true(dsmr_journal_expiry_min_ms(journal) == UINT64_MAX);
    for (uint64_t slot = 1; slot <= 4; slot++) {
        struct dsmr_reference ref = ref_of(slot, 1, slot);
        assert_int_equal(dsmr_journal_claim(journal, &ref), DSMR_OK);
    }
    uint64_t first = ref_of(1, 1, 1).expiry_ms;
    assert_int_equal(dsmr_journal_expiry_min_ms(journal), first);
    assert_int_equal(dsmr_journal_prune(journal, first, 10), 0); /* expiry is still valid */
    assert_int_equal(dsmr_journal_prune(journal, first + 1, 10), 1);
    assert_int_equal(dsmr_journal_prune(journal, UINT64_MAX, 2), 2); /* in steps */
    assert_int_equal(dsmr_journal_count(journal), 1);
    struct dsmr_reference gone = ref_of(1, 1, 1);
    dsmr_journal_confirm(journal, &gone); /* its write ends after it was pruned */
    dsmr_journal_doubt(journal, &gone);
    dsmr_journal_release(journal, &gone);
    assert_int_equal(dsmr_journal_count(journal), 1);
    dsmr_journal_check(journal);
    dsmr_journal_free(journal);
}

static void test_restore(void **state)
{
    (void)state;
    struct dsmr_journal *journal = dsmr_journal_new(1, 1);
    struct dsmr_node_id producer = node_of(1);
    struct dsmr_journal_entry entry = {.chunk_id = id_of(1), .epoch = 3, .expiry_ms = 500};
    assert_int_equal(dsmr_journal_restore(journal, &producer, 5, &entry), DSMR_OK);
    assert_int_equal(dsmr_journal_find(journal, &producer, 5)->state, DSMR_JOURNAL_DURABLE);
    assert_int_equal(dsmr_journal_restore(journal, &producer, 5, &entry), DSMR_OK);
    entry.chunk_id = id_of(2);
    assert_int_equal(dsmr_journal_restore(journal, &producer, 5, &entry), DSMR_ERR_CONFLICT);
    assert_int_equal(dsmr_journal_restore(journal, &producer, 6, &entry), DSMR_ERR_FULL);
    dsmr_journal_free(journal);
    dsmr_journal_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_chunk_of_a_slot),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_prune_below_expiry_only),
        cmocka_unit_test(test_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
