#include "core/epochs.h"
#include "leaf_fixture.h"

static struct dsmr_validator_set *set_of(uint64_t epoch)
{
    struct dsmr_validator_set *set = calloc(1, sizeof(*set));
    assert_non_null(set);
    set->refs = 1;
    set->epoch = epoch;
    return set;
}

static void add(struct dsmr_epochs *epochs, uint64_t epoch)
{
    struct dsmr_validator_set *set = set_of(epoch);
    dsmr_epochs_add(epochs, set);
    dsmr_validator_set_unref(set);
}

static void test_first_set_of_an_epoch_counts(void **state)
{
    (void)state;
    struct dsmr_epochs *epochs = dsmr_epochs_new(10);
    struct dsmr_validator_set *first = set_of(7);
    struct dsmr_validator_set *second = set_of(7);
    dsmr_epochs_add(epochs, first);
    dsmr_epochs_add(epochs, second);
    assert_ptr_equal(dsmr_epochs_find(epochs, 7), first);
    assert_int_equal(first->refs, 2);
    assert_int_equal(second->refs, 1);
    assert_null(dsmr_epochs_find(epochs, 8));
    add(epochs, DSMR_EPOCH_NONE);
    assert_null(dsmr_epochs_find(epochs, DSMR_EPOCH_NONE));
    dsmr_epochs_check(epochs);
    dsmr_epochs_free(epochs);
    assert_int_equal(first->refs, 1);
    dsmr_validator_set_unref(first);
    dsmr_validator_set_unref(second);
}

static void test_pinned_stay_and_least_looked_up_goes(void **state)
{
    (void)state;
    struct dsmr_epochs *epochs = dsmr_epochs_new(10);
    struct dsmr_block block = {.epoch = 1, .past_epochs_count = 1};
    block.past_epochs[0].epoch = 0;
    for (uint64_t epoch = 0; epoch < 10; epoch++) {
        add(epochs, epoch);
    }
    dsmr_epochs_pin(epochs, &block);
    assert_non_null(dsmr_epochs_find(epochs, 2)); /* so 3 is the one longest not looked up */
    add(epochs, 10);
    assert_null(dsmr_epochs_find(epochs, 3));
    assert_non_null(dsmr_epochs_find(epochs, 2));
    for (uint64_t epoch = 11; epoch < 40; epoch++) {
        add(epochs, epoch);
        dsmr_epochs_check(epochs);
    }
    assert_non_null(dsmr_epochs_find(epochs, 0));
    assert_non_null(dsmr_epochs_find(epochs, 1));
    block.epoch = 2; /* pins only 2 and 0 now */
    dsmr_epochs_pin(epochs, &block);
    (void)dsmr_epochs_find(epochs, 0);
    for (uint64_t epoch = 50; epoch < 70; epoch++) {
        add(epochs, epoch);
    }
    assert_null(dsmr_epochs_find(epochs, 1));
    assert_non_null(dsmr_epochs_find(epochs, 0));
    dsmr_epochs_free(epochs);
}

static void test_since(void **state)
{
    (void)state;
    struct dsmr_epochs *epochs = dsmr_epochs_new(10);
    struct dsmr_validator_set *sets[10];
    assert_int_equal(dsmr_epochs_since(epochs, sets, 10, 0), 0);
    for (uint64_t epoch = 3; epoch < 9; epoch++) {
        add(epochs, epoch);
    }
    assert_int_equal(dsmr_epochs_since(epochs, sets, 10, 0), 6);
    assert_int_equal(dsmr_epochs_since(epochs, sets, 10, 7), 2);
    assert_int_equal(sets[0]->epoch + sets[1]->epoch, 7 + 8);
    assert_int_equal(dsmr_epochs_since(epochs, sets, 4, 0), 4); /* no more than there is room for */
    assert_int_equal(dsmr_epochs_since(epochs, sets, 10, 9), 0);
    dsmr_epochs_free(epochs);
}

static void test_list_appends_prunes_and_keeps_the_newest(void **state)
{
    (void)state;
    struct dsmr_past_epoch out[DSMR_PAST_EPOCHS_MAX];
    struct dsmr_block parent = {.epoch = 5, .past_epochs_count = 2};
    parent.past_epochs[0] = (struct dsmr_past_epoch){.epoch = 3, .ended_at_ms = 1000};
    parent.past_epochs[1] = (struct dsmr_past_epoch){.epoch = 4, .ended_at_ms = 2000};
    /* The same epoch, the boundary of the lifetime. */
    assert_int_equal(dsmr_epochs_list(out, &parent, 5, 31000, 30000), 2);
    assert_int_equal(dsmr_epochs_list(out, &parent, 5, 31001, 30000), 1);
    assert_int_equal(out[0].epoch, 4);
    /* Another epoch. */
    assert_int_equal(dsmr_epochs_list(out, &parent, 6, 3000, 30000), 3);
    assert_int_equal(out[2].epoch, 5);
    assert_int_equal(out[2].ended_at_ms, 3000);
    /* From NONE nothing is appended. */
    parent.epoch = DSMR_EPOCH_NONE;
    assert_int_equal(dsmr_epochs_list(out, &parent, 6, 3000, 30000), 2);
    /* A full list: the oldest makes room. */
    parent.epoch = 100;
    parent.past_epochs_count = DSMR_PAST_EPOCHS_MAX;
    for (uint32_t i = 0; i < DSMR_PAST_EPOCHS_MAX; i++) {
        parent.past_epochs[i] = (struct dsmr_past_epoch){.epoch = i, .ended_at_ms = UINT64_MAX};
    }
    assert_int_equal(dsmr_epochs_list(out, &parent, 101, 3000, 30000), DSMR_PAST_EPOCHS_MAX);
    assert_int_equal(out[0].epoch, 1);
    assert_int_equal(out[DSMR_PAST_EPOCHS_MAX - 1].epoch, 100);
    /* No overflow near the end of time. */
    assert_int_equal(dsmr_epochs_list(out, &parent, 100, UINT64_MAX, UINT64_MAX), 8);
    parent.past_epochs[0].ended_at_ms = 0;
    assert_int_equal(dsmr_epochs_list(out, &parent, 100, UINT64_MAX, UINT64_MAX - 1), 7);
}

static void test_allows(void **state)
{
    (void)state;
    const struct dsmr_past_epoch list[] = {{.epoch = 3, .ended_at_ms = 1},
                                           {.epoch = DSMR_EPOCH_NONE, .ended_at_ms = 2}};
    assert_true(dsmr_epochs_allows(5, list, 2, 5));
    assert_true(dsmr_epochs_allows(5, list, 2, 3));
    assert_false(dsmr_epochs_allows(5, list, 0, 3));
    assert_false(dsmr_epochs_allows(5, list, 2, 4));
    assert_false(dsmr_epochs_allows(DSMR_EPOCH_NONE, list, 2, DSMR_EPOCH_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_set_of_an_epoch_counts),
        cmocka_unit_test(test_pinned_stay_and_least_looked_up_goes),
        cmocka_unit_test(test_since),
        cmocka_unit_test(test_list_appends_prunes_and_keeps_the_newest),
        cmocka_unit_test(test_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
