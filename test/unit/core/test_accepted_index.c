#include "core/accepted_index.h"
#include "leaf_fixture.h"

static void test_ids_and_slots(void **state)
{
    (void)state;
    struct dsmr_accepted_index *index = dsmr_accepted_index_new(10, 1);
    struct dsmr_reference a = ref_of(1, 1, 10);
    struct dsmr_reference same_slot = ref_of(2, 1, 10);
    struct dsmr_reference other = ref_of(3, 2, 10);
    assert_int_equal(dsmr_accepted_index_add(index, &a, 5), DSMR_OK);
    assert_int_equal(dsmr_accepted_index_add(index, &a, 6), DSMR_ERR_DUPLICATE);
    assert_int_equal(dsmr_accepted_index_find(index, &a.chunk_id), 5);
    assert_int_equal(dsmr_accepted_index_add(index, &same_slot, 6), DSMR_ERR_CONFLICT);
    assert_true(dsmr_accepted_index_find(index, &same_slot.chunk_id) == UINT64_MAX);
    assert_true(dsmr_accepted_index_is_used(index, &a, 5));
    assert_true(dsmr_accepted_index_is_used(index, &same_slot, 5));
    assert_false(dsmr_accepted_index_is_used(index, &a, 4)); /* above the judged ancestor */
    assert_false(dsmr_accepted_index_is_used(index, &same_slot, 4));
    assert_false(dsmr_accepted_index_is_used(index, &other, 5));
    dsmr_accepted_index_check(index);
    dsmr_accepted_index_free(index);
}

static void test_grows_to_its_limit(void **state)
{
    (void)state;
    enum { MAX = 3000 };
    struct dsmr_accepted_index *index = dsmr_accepted_index_new(MAX, 1);
    for (uint64_t i = 0; i < MAX; i++) {
        struct dsmr_reference ref = ref_of(i, i % 7, i);
        assert_int_equal(dsmr_accepted_index_add(index, &ref, i), DSMR_OK);
    }
    dsmr_accepted_index_check(index);
    struct dsmr_reference more = ref_of(MAX, 0, MAX);
    assert_int_equal(dsmr_accepted_index_add(index, &more, 1), DSMR_ERR_FULL);
    for (uint64_t i = 0; i < MAX; i++) {
        struct dsmr_id id = id_of(i);
        assert_int_equal(dsmr_accepted_index_find(index, &id), i);
    }
    assert_int_equal(dsmr_accepted_index_count(index), MAX);
    dsmr_accepted_index_free(index);
}

static void test_prune(void **state)
{
    (void)state;
    struct dsmr_accepted_index *index = dsmr_accepted_index_new(10, 1);
    assert_true(dsmr_accepted_index_expiry_min_ms(index) == UINT64_MAX);
    for (uint64_t i = 1; i <= 3; i++) {
        struct dsmr_reference ref = ref_of(i, 1, i);
        assert_int_equal(dsmr_accepted_index_add(index, &ref, i), DSMR_OK);
    }
    struct dsmr_reference first = ref_of(1, 1, 1);
    assert_int_equal(dsmr_accepted_index_prune(index, first.expiry_ms, 9), 0);
    assert_true(dsmr_accepted_index_is_used(index, &first, 9));
    assert_int_equal(dsmr_accepted_index_prune(index, first.expiry_ms + 1, 9), 1);
    assert_false(dsmr_accepted_index_is_used(index, &first, 9));
    assert_int_equal(dsmr_accepted_index_prune(index, UINT64_MAX, 1), 1);
    assert_int_equal(dsmr_accepted_index_count(index), 1);
    dsmr_accepted_index_check(index);
    dsmr_accepted_index_free(index);
    dsmr_accepted_index_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_and_slots),
        cmocka_unit_test(test_grows_to_its_limit),
        cmocka_unit_test(test_prune),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
