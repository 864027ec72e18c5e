/* test_validator_set.c - quorum arithmetic, who may sign, reference counting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "dsmr/types.h"

__extension__ typedef unsigned __int128 wide;

/* The rule as docs/protocol.md states it, in 128 bits. */
static bool rule(uint64_t weight, uint64_t total)
{
    return (wide)3 * weight > (wide)2 * total;
}

static void check_total(uint64_t total)
{
    uint64_t quorum = dsmr_quorum_weight(total);
    assert_true(rule(quorum, total));
    assert_true(quorum > 0);
    assert_false(rule(quorum - 1, total));
    assert_true(dsmr_is_quorum(quorum, total));
    assert_false(dsmr_is_quorum(quorum - 1, total));
    assert_true(dsmr_is_quorum(UINT64_MAX, total));
    assert_false(dsmr_is_quorum(0, total));
}

static void quorum_is_the_smallest_weight_over_two_thirds(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 1);
    for (uint64_t total = 0; total < 1000; total++) {
        check_total(total);
        check_total(UINT64_MAX - total);
        check_total(UINT64_MAX / 2 - 500 + total);
        check_total(UINT64_MAX / 3 - 500 + total);
        check_total(dsmr_prng_next(&prng));
    }
    for (uint64_t f = 1; f < 400; f++) {
        assert_int_equal(dsmr_quorum_weight(3 * f + 1), 2 * f + 1);
    }
}

static void only_a_node_with_a_key_of_its_own_is_found(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = calloc(1, sizeof(*set) + 3 * sizeof(set->validators[0]));
    assert_non_null(set);
    atomic_init(&set->refs, 1);
    set->count = 3;
    set->validators[0].node_ids_count = 1;
    set->validators[0].node_ids[0].bytes[0] = 1;
    set->validators[1].node_ids_count = 2; /* two nodes with one key */
    set->validators[1].node_ids[0].bytes[0] = 2;
    set->validators[1].node_ids[1].bytes[0] = 3;
    set->validators[2].node_ids_count = 1;
    set->validators[2].node_ids[0].bytes[0] = 4;
    static const int expected[] = {-1, 0, -1, -1, 2, -1};
    for (uint8_t i = 0; i < 6; i++) {
        struct dsmr_node_id id = {{i}};
        assert_int_equal(dsmr_validator_set_find(set, &id), expected[i]);
    }
    assert_ptr_equal(dsmr_validator_set_ref(set), set);
    dsmr_validator_set_unref(set);
    assert_int_equal(set->refs, 1);
    dsmr_validator_set_unref(set);
    dsmr_validator_set_unref(NULL);
    assert_null(dsmr_validator_set_ref(NULL));
}

/* As a walk through the set finds it, at every size; ids that share a place are told apart. */
static void every_entry_is_found_in_sets_of_any_size(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= DSMR_VALIDATORS_MAX; count += count < 40 ? 1 : 123) {
        struct dsmr_validator_set *set =
            calloc(1, sizeof(*set) + count * sizeof(set->validators[0]));
        assert_non_null(set);
        atomic_init(&set->refs, 1);
        set->count = count;
        for (uint32_t i = 0; i < count; i++) {
            set->validators[i].node_ids_count = i % 5 == 3 ? 2 : 1;
            dsmr_store_be32(set->validators[i].node_ids[0].bytes, i + 1);
            dsmr_store_be32(set->validators[i].node_ids[0].bytes + 16, i % 7); /* few places */
        }
        for (uint32_t i = 0; i <= count; i++) {
            struct dsmr_node_id id = {{0}};
            dsmr_store_be32(id.bytes, i + 1);
            dsmr_store_be32(id.bytes + 16, i % 7);
            bool is_there = i < count && i % 5 != 3;
            assert_int_equal(dsmr_validator_set_find(set, &id), is_there ? (int)i : -1);
        }
        dsmr_validator_set_unref(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quorum_is_the_smallest_weight_over_two_thirds),
        cmocka_unit_test(only_a_node_with_a_key_of_its_own_is_found),
        cmocka_unit_test(every_entry_is_found_in_sets_of_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
