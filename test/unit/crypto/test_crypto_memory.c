/* test_crypto_memory.c - out of memory at every allocation: the sources are compiled in, with an
 * allocator that fails on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/crypto/bls_set.h"

static unsigned allocations_left;

static void *limited_malloc(size_t size)
{
    return allocations_left > 0 && allocations_left-- > 0 ? malloc(size) : NULL;
}

static void *limited_calloc(size_t count, size_t size)
{
    return allocations_left > 0 && allocations_left-- > 0 ? calloc(count, size) : NULL;
}

#define malloc limited_malloc
#define calloc limited_calloc
#include "crypto/bls.c"

#include "crypto/bls_batch.c"

#include "crypto/key_sum.c"

#include "crypto/aggregate.c"

#include "crypto/set_builder.c"
#undef malloc
#undef calloc

static void aggregation_says_so(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = bls_set_new(2);
    struct dsmr_share shares[2] = {{.signer = 0}, {.signer = 1}};
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers, bad;
    bls_set_sign(&shares[0].sig, 0, "m", 1);
    bls_set_sign(&shares[1].sig, 1, "m", 1);
    allocations_left = 0;
    assert_int_equal(dsmr_aggregate_shares(&sig, &signers, &bad, set, shares, 2, "m", 1),
                     DSMR_ERR_NO_MEMORY);
    allocations_left = 1;
    assert_int_equal(dsmr_aggregate_shares(&sig, &signers, &bad, set, shares, 2, "m", 1), DSMR_OK);
    dsmr_validator_set_unref(set);
}

static void batch_says_so_and_leaks_nothing(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = bls_set_new(1);
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers = {{1}};
    uint8_t random[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    bls_set_sign(&sig, 0, "m", 1);
    struct dsmr_bls_batch_item item = {
        .set = set, .signers = &signers, .sig = &sig, .message = "m", .len = 1};
    struct dsmr_bls_batch_item items[2] = {item, item}; /* one alone needs no memory */
    enum dsmr_err err = DSMR_ERR_NO_MEMORY;
    unsigned needed = 0;
    for (; err == DSMR_ERR_NO_MEMORY && needed < 20; needed++) {
        allocations_left = needed;
        err = dsmr_bls_verify_batch(items, 2, random);
    }
    assert_int_equal(err, DSMR_OK);
    assert_int_equal(needed - 1, 12);
    dsmr_validator_set_unref(set);
}

static void set_says_so(void **state)
{
    (void)state;
    struct dsmr_set_builder_entry entry = {.weight = 1};
    struct dsmr_validator_set *set = NULL;
    size_t bad;
    allocations_left = 0;
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 0, &entry, 1), DSMR_ERR_NO_MEMORY);
    assert_null(set);
    allocations_left = 1;
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 0, &entry, 1), DSMR_OK);
    dsmr_validator_set_unref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aggregation_says_so),
        cmocka_unit_test(batch_says_so_and_leaks_nothing),
        cmocka_unit_test(set_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
