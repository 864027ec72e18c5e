#include "core/expiry_slots.h"
#include "leaf_fixture.h"

static void test_takes_in_order_of_time(void **state)
{
    (void)state;
    struct dsmr_expiry_slots slots;
    assert_int_equal(dsmr_expiry_slots_init(&slots, 3), DSMR_OK);
    assert_int_equal(dsmr_expiry_slots_first(&slots), DSMR_EXPIRY_SLOTS_NONE);
    assert_true(dsmr_expiry_slots_first_ms(&slots) == UINT64_MAX);
    uint32_t late = dsmr_expiry_slots_take(&slots, 30);
    uint32_t early = dsmr_expiry_slots_take(&slots, 10);
    uint32_t middle = dsmr_expiry_slots_take(&slots, 20);
    assert_int_equal(dsmr_expiry_slots_take(&slots, 5), DSMR_EXPIRY_SLOTS_NONE);
    assert_int_equal(dsmr_expiry_slots_first(&slots), early);
    assert_int_equal(dsmr_expiry_slots_first_ms(&slots), 10);
    dsmr_expiry_slots_move(&slots, early, 40);
    assert_int_equal(dsmr_expiry_slots_first(&slots), middle);
    dsmr_expiry_slots_give(&slots, middle);
    assert_false(dsmr_expiry_slots_has(&slots, middle));
    assert_int_equal(dsmr_expiry_slots_first(&slots), late);
    dsmr_expiry_slots_check(&slots);
    assert_int_equal(dsmr_expiry_slots_grow(&slots, 5), DSMR_OK);
    assert_true(dsmr_expiry_slots_has(&slots, late));
    assert_int_equal(dsmr_expiry_slots_first_ms(&slots), 30);
    dsmr_expiry_slots_check(&slots);
    dsmr_expiry_slots_close(&slots);
}

static void test_lists_smallest_first_and_changes_nothing(void **state)
{
    (void)state;
    struct dsmr_expiry_slots slots;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 7);
    assert_int_equal(dsmr_expiry_slots_init(&slots, 200), DSMR_OK);
    for (uint32_t i = 0; i < 200; i++) {
        (void)dsmr_expiry_slots_take(&slots, dsmr_prng_below(&prng, 100));
    }
    uint32_t out[200];
    uint32_t count = dsmr_expiry_slots_list(&slots, out, 200, 49);
    uint32_t expected = 0;
    for (uint32_t slot = 0; slot < 200; slot++) {
        expected += slots.times_ms[slot] <= 49;
    }
    assert_int_equal(count, expected);
    for (uint32_t i = 1; i < count; i++) {
        assert_true(slots.times_ms[out[i - 1]] <= slots.times_ms[out[i]]);
    }
    dsmr_expiry_slots_check(&slots);
    assert_int_equal(dsmr_expiry_slots_list(&slots, out, 3, 49), 3);
    dsmr_expiry_slots_check(&slots);
    assert_int_equal(slots.count, 200);
    dsmr_expiry_slots_close(&slots);
}

/* Against a model: an array of times. */
static void test_random_operations(void **state)
{
    (void)state;
    enum { CAPACITY = 50 };
    struct dsmr_expiry_slots slots;
    struct dsmr_prng prng;
    uint64_t times[CAPACITY];
    memset(times, 0xff, sizeof(times));
    dsmr_prng_init(&prng, 11);
    assert_int_equal(dsmr_expiry_slots_init(&slots, CAPACITY), DSMR_OK);
    for (unsigned step = 0; step < 5000; step++) {
        uint64_t time = dsmr_prng_below(&prng, 1000);
        uint32_t slot = (uint32_t)dsmr_prng_below(&prng, CAPACITY);
        if (times[slot] == UINT64_MAX || dsmr_prng_below(&prng, 3) == 0) {
            uint32_t taken = dsmr_expiry_slots_take(&slots, time);
            if (taken != DSMR_EXPIRY_SLOTS_NONE) {
                assert_true(times[taken] == UINT64_MAX);
                times[taken] = time;
            }
        } else if (dsmr_prng_below(&prng, 2) == 0) {
            dsmr_expiry_slots_give(&slots, slot);
            times[slot] = UINT64_MAX;
        } else {
            dsmr_expiry_slots_move(&slots, slot, time);
            times[slot] = time;
        }
        uint64_t least = UINT64_MAX;
        uint32_t count = 0;
        for (uint32_t i = 0; i < CAPACITY; i++) {
            least = times[i] < least ? times[i] : least;
            count += times[i] != UINT64_MAX;
            assert_int_equal(dsmr_expiry_slots_has(&slots, i), times[i] != UINT64_MAX);
        }
        assert_true(dsmr_expiry_slots_first_ms(&slots) == least);
        assert_int_equal(slots.count, count);
        dsmr_expiry_slots_check(&slots);
    }
    dsmr_expiry_slots_close(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_in_order_of_time),
        cmocka_unit_test(test_lists_smallest_first_and_changes_nothing),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
