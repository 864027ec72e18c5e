/* test_set_builder.c - the order, the merging and the weights of a validator set (protocol.md, 3.1
 * to 3.3), and what no set is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/set_builder.h"
#include "unit/crypto/bls_set.h"

#define COUNT 6u

static struct dsmr_set_builder_entry entries[COUNT];

static void fill(void)
{
    struct dsmr_validator_set *keys = bls_set_new(COUNT);
    memset(entries, 0, sizeof(entries));
    for (uint32_t i = 0; i < COUNT; i++) {
        entries[i].node_id.bytes[0] = (uint8_t)(i + 1);
        entries[i].weight = 10 + i;
        entries[i].has_key = true;
        entries[i].key = keys->validators[i].public_key;
    }
    dsmr_validator_set_unref(keys);
}

static struct dsmr_validator_set *build(size_t count)
{
    struct dsmr_validator_set *set = NULL;
    size_t bad = 0;
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 3, entries, count), DSMR_OK);
    assert_int_equal(set->epoch, 3);
    for (uint32_t i = 1; i < set->count; i++) {
        assert_true(memcmp(set->validators[i - 1].public_key.bytes,
                           set->validators[i].public_key.bytes, 96) < 0);
    }
    return set;
}

static void refuse(enum dsmr_err expected, size_t expected_bad, size_t count)
{
    struct dsmr_validator_set *set = NULL;
    size_t bad = SIZE_MAX;
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 3, entries, count), expected);
    assert_null(set);
    assert_int_equal(bad, expected_bad);
}

static void order_does_not_depend_on_the_list(void **state)
{
    (void)state;
    fill();
    struct dsmr_validator_set *set = build(COUNT);
    assert_int_equal(set->count, COUNT);
    assert_int_equal(set->total_weight, 10 + 11 + 12 + 13 + 14 + 15);
    for (uint32_t turn = 1; turn < COUNT; turn++) {
        struct dsmr_set_builder_entry first = entries[0];
        memmove(&entries[0], &entries[1], (COUNT - 1) * sizeof(entries[0]));
        entries[COUNT - 1] = first;
        struct dsmr_validator_set *other = build(COUNT);
        assert_memory_equal(other->validators, set->validators, COUNT * sizeof(set->validators[0]));
        dsmr_validator_set_unref(other);
    }
    dsmr_validator_set_unref(set);
}

static void equal_keys_are_one_entry_that_nobody_is(void **state)
{
    (void)state;
    fill();
    entries[4].key = entries[1].key;
    struct dsmr_validator_set *set = build(COUNT);
    assert_int_equal(set->count, COUNT - 1);
    assert_int_equal(set->total_weight, 10 + 11 + 12 + 13 + 14 + 15);
    for (uint32_t i = 0; i < COUNT; i++) {
        int at = dsmr_validator_set_find(set, &entries[i].node_id);
        assert_int_equal(at >= 0, i != 1 && i != 4);
        if (at >= 0) {
            assert_int_equal(set->validators[at].weight, entries[i].weight);
        }
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->validators[i].node_ids_count == 2) {
            assert_int_equal(set->validators[i].weight, 11 + 14);
            assert_int_equal(set->validators[i].node_ids[0].bytes[0], 2);
            assert_int_equal(set->validators[i].node_ids[1].bytes[0], 5);
        }
    }
    dsmr_validator_set_unref(set);
}

static void weight_without_a_key_counts_in_the_total(void **state)
{
    (void)state;
    fill();
    entries[2].has_key = false;
    struct dsmr_validator_set *set = build(COUNT);
    assert_int_equal(set->count, COUNT - 1);
    assert_int_equal(set->total_weight, 10 + 11 + 12 + 13 + 14 + 15);
    assert_int_equal(dsmr_validator_set_find(set, &entries[2].node_id), -1);
    dsmr_validator_set_unref(set);
}

static void keys_that_are_none_are_named(void **state)
{
    (void)state;
    fill();
    memset(entries[3].key.bytes, 0, sizeof(entries[3].key.bytes));
    refuse(DSMR_ERR_INVALID_KEY, 3, COUNT);
    entries[3].key.bytes[0] = 0x40; /* the identity */
    refuse(DSMR_ERR_INVALID_KEY, 3, COUNT);
}

static void weights_at_their_limits(void **state)
{
    (void)state;
    fill();
    for (uint32_t i = 0; i < COUNT; i++) {
        entries[i].weight = 0;
    }
    refuse(DSMR_ERR_LIMIT, SIZE_MAX, COUNT);
    refuse(DSMR_ERR_LIMIT, SIZE_MAX, 0);
    entries[0].weight = UINT64_MAX - 1;
    entries[5].weight = 1;
    struct dsmr_validator_set *set = build(COUNT);
    assert_true(set->total_weight == UINT64_MAX);
    dsmr_validator_set_unref(set);
    entries[5].has_key = false; /* counted all the same */
    entries[5].weight = 2;
    refuse(DSMR_ERR_LIMIT, SIZE_MAX, COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_does_not_depend_on_the_list),
        cmocka_unit_test(equal_keys_are_one_entry_that_nobody_is),
        cmocka_unit_test(weight_without_a_key_counts_in_the_total),
        cmocka_unit_test(keys_that_are_none_are_named),
        cmocka_unit_test(weights_at_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
