/* test_bitset.c - signer sets and their weight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"

static const uint32_t edges[] = {0, 1, 63, 64, 65, 127, 128, 1022, 1023};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

static void each_bit_by_itself(void **state)
{
    (void)state;
    for (size_t e = 0; e < EDGES; e++) {
        struct dsmr_bitset set = {{0}};
        assert_true(dsmr_bitset_is_empty(&set));
        assert_int_equal(dsmr_bitset_end(&set), 0);
        dsmr_bitset_add(&set, edges[e]);
        dsmr_bitset_add(&set, edges[e]);
        for (uint32_t i = 0; i < DSMR_VALIDATORS_MAX; i++) {
            assert_int_equal(dsmr_bitset_has(&set, i), i == edges[e]);
        }
        assert_int_equal(dsmr_bitset_count(&set), 1);
        assert_int_equal(dsmr_bitset_end(&set), edges[e] + 1);
        assert_false(dsmr_bitset_is_empty(&set));
        dsmr_bitset_remove(&set, edges[e]);
        assert_true(dsmr_bitset_is_empty(&set));
    }
    struct dsmr_bitset full;
    memset(&full, 0xff, sizeof(full));
    assert_int_equal(dsmr_bitset_count(&full), DSMR_VALIDATORS_MAX);
    assert_false(dsmr_bitset_has(&full, DSMR_VALIDATORS_MAX));
}

static struct dsmr_validator_set *new_set(uint32_t count)
{
    struct dsmr_validator_set *set = calloc(1, sizeof(*set) + count * sizeof(set->validators[0]));
    assert_non_null(set);
    atomic_init(&set->refs, 1);
    set->count = count;
    return set;
}

static void weight_is_the_sum_of_the_signers(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = new_set(130);
    struct dsmr_bitset signers = {{0}};
    uint64_t expected = 0;
    for (uint32_t i = 0; i < 130; i++) {
        set->validators[i].weight = i * i + 1;
        if (i % 3 == 0) {
            dsmr_bitset_add(&signers, i);
            expected += i * i + 1;
        }
    }
    assert_int_equal(dsmr_bitset_weight(&signers, set), expected);
    memset(&signers, 0, sizeof(signers));
    assert_int_equal(dsmr_bitset_weight(&signers, set), 0);
    dsmr_validator_set_unref(set);
}

static void weight_saturates(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = new_set(3);
    struct dsmr_bitset signers = {{7}};
    set->validators[0].weight = UINT64_MAX - 1;
    set->validators[1].weight = 1;
    set->validators[2].weight = 0;
    assert_true(dsmr_bitset_weight(&signers, set) == UINT64_MAX);
    set->validators[2].weight = 1;
    assert_true(dsmr_bitset_weight(&signers, set) == UINT64_MAX);
    dsmr_validator_set_unref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bit_by_itself),
        cmocka_unit_test(weight_is_the_sum_of_the_signers),
        cmocka_unit_test(weight_saturates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
