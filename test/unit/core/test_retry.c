#include "core/retry.h"
#include "leaf_fixture.h"

static void assert_due_in(const struct dsmr_retry *retry, uint64_t mono_ms, uint64_t delay_ms)
{
    uint64_t wait = retry->due_mono_ms - mono_ms;
    assert_in_range(wait, delay_ms - delay_ms / 4, delay_ms + delay_ms / 4);
}

static void test_doubles_up_to_the_maximum(void **state)
{
    (void)state;
    struct dsmr_retry retry;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 1);
    dsmr_retry_init(&retry, 100, 500);
    assert_false(dsmr_retry_is_due(&retry, UINT64_MAX)); /* stopped */
    dsmr_retry_start(&retry, &prng, 1000);
    assert_due_in(&retry, 1000, 100);
    assert_false(dsmr_retry_is_due(&retry, retry.due_mono_ms - 1));
    assert_true(dsmr_retry_is_due(&retry, retry.due_mono_ms));
    dsmr_retry_again(&retry, &prng, 2000);
    assert_due_in(&retry, 2000, 200);
    dsmr_retry_again(&retry, &prng, 3000);
    assert_due_in(&retry, 3000, 400);
    for (unsigned i = 0; i < 5; i++) {
        dsmr_retry_again(&retry, &prng, 4000);
        assert_due_in(&retry, 4000, 500);
    }
    assert_int_equal(retry.tries, 7);
    dsmr_retry_stop(&retry);
    assert_false(dsmr_retry_is_due(&retry, UINT64_MAX));
    dsmr_retry_start(&retry, &prng, 5000);
    assert_due_in(&retry, 5000, 100);
    assert_int_equal(retry.tries, 0);
}

static void test_saturates(void **state)
{
    (void)state;
    struct dsmr_retry retry;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 1);
    dsmr_retry_init(&retry, 1, UINT64_MAX);
    dsmr_retry_start(&retry, &prng, UINT64_MAX - 1);
    assert_true(dsmr_retry_is_due(&retry, UINT64_MAX)); /* late, but not stopped */
    for (unsigned i = 0; i < 70; i++) {
        dsmr_retry_again(&retry, &prng, 10);
    }
    assert_true(retry.delay_ms == UINT64_MAX);
    assert_true(retry.due_mono_ms != UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_up_to_the_maximum),
        cmocka_unit_test(test_saturates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
