#include "core/peer_pace.h"
#include "leaf_fixture.h"

#define MIN_MS 250u

static void test_nothing_is_due_before_the_timeout(void **state)
{
    (void)state;
    struct dsmr_peer_pace pace = {0};
    assert_int_equal(dsmr_peer_pace_timeout_ms(&pace, MIN_MS), MIN_MS);
    assert_false(dsmr_peer_pace_take(&pace, 1000, MIN_MS, 999)); /* a clock that stands still */
    assert_false(dsmr_peer_pace_take(&pace, 1000, MIN_MS, 1249));
    assert_true(dsmr_peer_pace_take(&pace, 1000, MIN_MS, 1250));
}

/* A peer that answers nothing gets one chunk for each timeout, and the timeouts double. */
static void test_silence_doubles_the_timeout(void **state)
{
    (void)state;
    struct dsmr_peer_pace pace = {0};
    uint64_t taken = 0, last_ms = 0, gap_ms = 0;
    for (uint64_t ms = 1000; ms < 200000; ms++) {
        for (uint64_t chunk = 0; chunk < 3; chunk++) { /* three that were sent long ago */
            if (dsmr_peer_pace_take(&pace, 10, MIN_MS, ms)) {
                if (taken > 0) {
                    assert_true(ms - last_ms >= gap_ms);
                    gap_ms = ms - last_ms;
                }
                last_ms = ms;
                taken++;
            }
        }
    }
    assert_int_equal(gap_ms, MIN_MS << 4);
    /* At once, then after 500, 1000, 2000 ms, then every 4000. */
    assert_int_equal(taken, 1 + 3 + (199999 - 1000 - 3500) / 4000);
    dsmr_peer_pace_on_answer(&pace, 199000, 199100); /* it lives: as before */
    assert_int_equal(pace.doublings, 0);
    assert_true(dsmr_peer_pace_take(&pace, 199500, MIN_MS, 200000));
}

/* The timeout follows what the peer takes, so that nothing is sent twice to one that is slow. */
static void test_slow_answers_are_waited_for(void **state)
{
    (void)state;
    struct dsmr_peer_pace pace = {0};
    uint64_t resent = 0;
    for (uint64_t sent_ms = 1000; sent_ms < 60000; sent_ms += 100) {
        uint64_t took_ms = 3000 + sent_ms % 700;
        for (uint64_t ms = sent_ms; sent_ms > 20000 && ms < sent_ms + took_ms; ms += 50) {
            struct dsmr_peer_pace at_that_time = pace; /* answers of others came meanwhile */
            resent += dsmr_peer_pace_take(&at_that_time, sent_ms, MIN_MS, ms);
        }
        dsmr_peer_pace_on_answer(&pace, sent_ms, sent_ms + took_ms);
    }
    assert_int_equal(resent, 0);
    assert_true(dsmr_peer_pace_timeout_ms(&pace, MIN_MS) > 3700);
    assert_true(dsmr_peer_pace_timeout_ms(&pace, MIN_MS) < 6000);
    for (uint64_t sent_ms = 60000; sent_ms < 70000; sent_ms += 100) {
        dsmr_peer_pace_on_answer(&pace, sent_ms, sent_ms + 20); /* and back */
    }
    assert_int_equal(dsmr_peer_pace_timeout_ms(&pace, MIN_MS), MIN_MS);
}

static void test_what_was_overtaken_is_lost(void **state)
{
    (void)state;
    struct dsmr_peer_pace pace = {0};
    dsmr_peer_pace_on_answer(&pace, 1000, 1010);
    assert_false(dsmr_peer_pace_take(&pace, 900, MIN_MS, 1100)); /* perhaps by chance */
    dsmr_peer_pace_on_answer(&pace, 1150, 1160);
    assert_false(dsmr_peer_pace_take(&pace, 900, MIN_MS, 1140));
    dsmr_peer_pace_on_answer(&pace, 1151, 1161);
    assert_true(dsmr_peer_pace_take(&pace, 900, MIN_MS, 1140));
    assert_int_equal(pace.doublings, 0); /* lost, not slow */
}

static void test_a_new_connection_has_nothing(void **state)
{
    (void)state;
    struct dsmr_peer_pace pace = {0};
    dsmr_peer_pace_on_up(&pace, 1000);
    assert_true(dsmr_peer_pace_take(&pace, 999, MIN_MS, 1000));
    assert_true(dsmr_peer_pace_take(&pace, 998, MIN_MS, 1000));
    assert_false(dsmr_peer_pace_take(&pace, 1000, MIN_MS, 1001));
}

static void test_extremes(void **state)
{
    (void)state;
    struct dsmr_peer_pace pace = {0};
    dsmr_peer_pace_on_answer(&pace, 100, 50); /* from the future: no sample */
    assert_false(pace.has_rtt);
    for (int i = 0; i < 100; i++) {
        dsmr_peer_pace_on_answer(&pace, 0, UINT64_MAX / 2);
        assert_true(dsmr_peer_pace_timeout_ms(&pace, MIN_MS) <= 60000);
    }
    assert_int_equal(dsmr_peer_pace_timeout_ms(&pace, 100000), 100000);
    assert_true(dsmr_peer_pace_take(&pace, 0, MIN_MS, UINT64_MAX / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_due_before_the_timeout),
        cmocka_unit_test(test_silence_doubles_the_timeout),
        cmocka_unit_test(test_slow_answers_are_waited_for),
        cmocka_unit_test(test_what_was_overtaken_is_lost),
        cmocka_unit_test(test_a_new_connection_has_nothing),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
