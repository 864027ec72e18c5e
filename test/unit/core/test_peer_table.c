#include "core/peer_table.h"
#include "leaf_fixture.h"

static void test_add_find_walk(void **state)
{
    (void)state;
    struct dsmr_peer_table *table = dsmr_peer_table_new(3, 1);
    struct dsmr_node_id a = node_of(1);
    struct dsmr_node_id b = node_of(2);
    assert_null(dsmr_peer_table_find(table, &a));
    struct dsmr_peer *peer = dsmr_peer_table_add(table, &a);
    assert_non_null(peer);
    assert_false(peer->is_up);
    assert_int_equal(peer->work.filled_mono_ms, 0);
    peer->faults = 7;
    assert_ptr_equal(dsmr_peer_table_add(table, &a), peer);
    assert_int_equal(dsmr_peer_table_find(table, &a)->faults, 7);
    assert_non_null(dsmr_peer_table_add(table, &b));
    unsigned seen = 0;
    size_t position = 0;
    while (dsmr_peer_table_next(table, &position) != NULL) {
        seen++;
    }
    assert_int_equal(seen, 2);
    dsmr_peer_table_free(table);
    dsmr_peer_table_free(NULL);
}

static void test_at_the_limit_one_that_is_down_gives_way(void **state)
{
    (void)state;
    struct dsmr_peer_table *table = dsmr_peer_table_new(3, 1);
    struct dsmr_node_id ids[6];
    for (uint64_t i = 0; i < 6; i++) {
        ids[i] = node_of(i);
    }
    for (uint64_t i = 0; i < 3; i++) {
        dsmr_peer_table_add(table, &ids[i])->is_up = true;
    }
    assert_null(dsmr_peer_table_add(table, &ids[3]));
    struct dsmr_peer *one = dsmr_peer_table_find(table, &ids[1]);
    struct dsmr_peer *two = dsmr_peer_table_find(table, &ids[2]);
    one->is_up = two->is_up = false;
    one->has_status = true;
    one->accepted_height = 100;
    struct dsmr_peer *fresh = dsmr_peer_table_add(table, &ids[3]); /* 2 never said its height */
    assert_non_null(fresh);
    assert_false(fresh->has_status);
    assert_null(dsmr_peer_table_find(table, &ids[2]));
    assert_non_null(dsmr_peer_table_find(table, &ids[1]));
    fresh->is_up = true;
    assert_non_null(dsmr_peer_table_add(table, &ids[4])); /* now 1 goes */
    assert_null(dsmr_peer_table_find(table, &ids[1]));
    dsmr_peer_table_find(table, &ids[4])->is_up = true;
    assert_null(dsmr_peer_table_add(table, &ids[5]));
    dsmr_peer_table_free(table);
}

static void test_budget(void **state)
{
    (void)state;
    struct dsmr_peer_budget budget = {0};
    assert_true(dsmr_peer_budget_take(&budget, 100, 10, 100, 0)); /* a first use is a full burst */
    assert_false(dsmr_peer_budget_take(&budget, 1, 10, 100, 1));
    assert_false(dsmr_peer_budget_take(&budget, 1, 10, 100, 99));
    assert_true(dsmr_peer_budget_take(&budget, 1, 10, 100, 101)); /* 10 a second: one in 100 ms */
    assert_false(dsmr_peer_budget_take(&budget, 1, 10, 100, 101));
    assert_false(dsmr_peer_budget_take(&budget, 101, 10, 100, 1000000)); /* never above the burst */
    assert_true(dsmr_peer_budget_take(&budget, 100, 10, 100, 1000000));
    assert_false(dsmr_peer_budget_take(&budget, 1, 10, 100, 5)); /* a clock that went back */
}

static void test_budget_loses_no_fraction(void **state)
{
    (void)state;
    struct dsmr_peer_budget budget = {0};
    assert_true(dsmr_peer_budget_take(&budget, 1000, 3, 1000, 1));
    unsigned taken = 0;
    for (uint64_t mono_ms = 2; mono_ms <= 10001; mono_ms++) { /* ten seconds, asked every ms */
        taken += dsmr_peer_budget_take(&budget, 1, 3, 1000, mono_ms);
    }
    assert_in_range(taken, 29, 30);
}

/* A thousand times a millisecond: no more than the rate. One token a millisecond and a fraction is
 * what rounding would give away. */
static void test_budget_gives_no_more_to_who_asks_often(void **state)
{
    (void)state;
    struct dsmr_peer_budget budget = {0};
    const uint64_t rate = 2097152, burst = 1000;
    uint64_t taken = 0;
    assert_true(dsmr_peer_budget_take(&budget, burst, rate, burst, 1));
    for (uint64_t mono_ms = 2; mono_ms <= 1001; mono_ms++) {
        for (uint32_t i = 0; i < 1000; i++) {
            taken += dsmr_peer_budget_take(&budget, 500, rate, burst, mono_ms) ? 500u : 0u;
        }
    }
    assert_true(taken <= 1000 * burst); /* a millisecond gives more than a burst: that is kept */
    assert_true(taken >= 990 * burst);
    taken = 0;
    budget = (struct dsmr_peer_budget){0};
    assert_true(dsmr_peer_budget_take(&budget, rate, rate, rate, 1));
    for (uint64_t mono_ms = 2; mono_ms <= 1001; mono_ms++) {
        for (uint32_t i = 0; i < 1000; i++) {
            taken += dsmr_peer_budget_take(&budget, 7, rate, rate, mono_ms) ? 7u : 0u;
        }
    }
    assert_in_range(taken, rate - 7, rate);
}

static void test_budget_does_not_overflow(void **state)
{
    (void)state;
    struct dsmr_peer_budget budget = {0};
    assert_true(dsmr_peer_budget_take(&budget, UINT64_MAX, UINT64_MAX, UINT64_MAX, 1));
    assert_true(dsmr_peer_budget_take(&budget, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX));
    assert_false(dsmr_peer_budget_take(&budget, 1, 0, UINT64_MAX, UINT64_MAX));
    budget.tokens = UINT64_MAX;
    assert_false(dsmr_peer_budget_take(&budget, 11, 1, 10, UINT64_MAX)); /* a lowered burst */
    assert_true(dsmr_peer_budget_take(&budget, 10, 1, 10, UINT64_MAX));
    budget = (struct dsmr_peer_budget){.tokens = 0, .filled_mono_ms = 1};
    assert_true(dsmr_peer_budget_take(&budget, 1, UINT64_C(1) << 60, UINT64_C(1) << 60, 2));
}

static void test_weight_above(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = calloc(1, sizeof(*set) + 4 * sizeof(struct dsmr_validator));
    assert_non_null(set);
    struct dsmr_peer_table *table = dsmr_peer_table_new(8, 1);
    set->count = 4;
    for (uint32_t i = 0; i < 4; i++) {
        set->validators[i].weight = 10u + i;
        set->validators[i].node_ids_count = 1;
        set->validators[i].node_ids[0] = node_of(i);
        struct dsmr_peer *peer = dsmr_peer_table_add(table, &set->validators[i].node_ids[0]);
        peer->has_status = i != 3;
        peer->accepted_height = i == 3 ? 99 : i;
    }
    assert_int_equal(dsmr_peer_table_weight_above(table, set, 0), 11 + 12);
    assert_int_equal(dsmr_peer_table_weight_above(table, set, 1), 12);
    assert_int_equal(dsmr_peer_table_weight_above(table, set, 2), 0); /* 3 said nothing */
    set->validators[1].weight = UINT64_MAX;
    assert_true(dsmr_peer_table_weight_above(table, set, 0) == UINT64_MAX);
    dsmr_peer_table_free(table);
    free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_find_walk),
        cmocka_unit_test(test_at_the_limit_one_that_is_down_gives_way),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_loses_no_fraction),
        cmocka_unit_test(test_budget_gives_no_more_to_who_asks_often),
        cmocka_unit_test(test_budget_does_not_overflow),
        cmocka_unit_test(test_weight_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
