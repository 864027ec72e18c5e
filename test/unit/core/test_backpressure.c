#include "core/backpressure.h"
#include "leaf_fixture.h"

enum { CHUNK_MAX = 1 << 20, MARK = 1000, MARK_MS = 700, INTERVAL_MS = 50 };

static struct dsmr_backpressure new_bp(void)
{
    const struct dsmr_backpressure_config config = {.chunk_bytes_max = CHUNK_MAX,
                                                    .uncertified_bytes_mark = MARK,
                                                    .waiting_bytes_mark = MARK,
                                                    .backlog_bytes_mark = MARK,
                                                    .uncertified_ms_mark = MARK_MS,
                                                    .interval_ms = INTERVAL_MS};
    struct dsmr_backpressure bp;
    dsmr_backpressure_init(&bp, &config);
    return bp;
}

static void test_idle_is_not_held_back(void **state)
{
    (void)state;
    struct dsmr_backpressure bp = new_bp();
    const struct dsmr_backlogs at_the_mark = {MARK, MARK, MARK, MARK_MS};
    assert_int_equal(dsmr_backpressure_allow(&bp, &at_the_mark, 0), CHUNK_MAX);
    dsmr_backpressure_on_certified(&bp, &at_the_mark);
    assert_int_equal(dsmr_backpressure_allow(&bp, &at_the_mark, 0), CHUNK_MAX);
}

static void test_each_backlog_halves_once_an_interval(void **state)
{
    (void)state;
    const struct dsmr_backlogs over[] = {
        {MARK + 1, 0, 0, 0}, {0, MARK + 1, 0, 0}, {0, 0, MARK + 1, 0}, {0, 0, 0, MARK_MS + 1}};
    for (unsigned i = 0; i < 4; i++) {
        struct dsmr_backpressure bp = new_bp();
        assert_int_equal(dsmr_backpressure_allow(&bp, &over[i], 0), CHUNK_MAX / 2);
        assert_int_equal(dsmr_backpressure_allow(&bp, &over[i], INTERVAL_MS), CHUNK_MAX / 2);
        assert_int_equal(dsmr_backpressure_allow(&bp, &over[i], INTERVAL_MS + 1), CHUNK_MAX / 4);
        for (uint64_t n = 2; n < 40; n++) {
            (void)dsmr_backpressure_allow(&bp, &over[i], n * (INTERVAL_MS + 1));
        }
        assert_int_equal(bp.chunk_bytes, CHUNK_MAX / 64); /* never below */
        dsmr_backpressure_on_certified(&bp, &over[i]);
        assert_int_equal(bp.chunk_bytes, CHUNK_MAX / 64); /* no rise while over the mark */
    }
}

static void test_rises_by_sixteenths(void **state)
{
    (void)state;
    struct dsmr_backpressure bp = new_bp();
    const struct dsmr_backlogs over = {MARK + 1, 0, 0, 0};
    const struct dsmr_backlogs none = {0, 0, 0, 0};
    assert_int_equal(dsmr_backpressure_allow(&bp, &over, 1), CHUNK_MAX / 2);
    dsmr_backpressure_on_certified(&bp, &none);
    assert_int_equal(dsmr_backpressure_allow(&bp, &none, 2), CHUNK_MAX / 2 + CHUNK_MAX / 16);
    for (unsigned i = 0; i < 20; i++) {
        dsmr_backpressure_on_certified(&bp, &none);
    }
    assert_int_equal(dsmr_backpressure_allow(&bp, &none, 3), CHUNK_MAX);
}

/* From small chunks on the way up is steep, but no step is more than a half. */
static void test_rises_by_halves_from_below(void **state)
{
    (void)state;
    struct dsmr_backpressure bp = new_bp();
    const struct dsmr_backlogs over = {MARK + 1, 0, 0, 0}, none = {0, 0, 0, 0};
    for (uint64_t n = 1; n < 20; n++) {
        (void)dsmr_backpressure_allow(&bp, &over, n * (INTERVAL_MS + 1));
    }
    uint32_t least = CHUNK_MAX / 64;
    dsmr_backpressure_on_certified(&bp, &none);
    assert_int_equal(bp.chunk_bytes, least + least / 2);
    for (unsigned i = 0; i < 3; i++) {
        uint32_t before = bp.chunk_bytes;
        dsmr_backpressure_on_certified(&bp, &none);
        assert_int_equal(bp.chunk_bytes, before + before / 2);
    }
    for (unsigned i = 0; i < 20; i++) {
        dsmr_backpressure_on_certified(&bp, &none);
    }
    assert_int_equal(bp.chunk_bytes, CHUNK_MAX);
}

/* Bytes do not tell that a link is narrow; the age of what waits does. One chunk a mark's time
 * leaves nevertheless: the one that is late may be one that nobody certifies. */
static void test_late_certificates(void **state)
{
    (void)state;
    struct dsmr_backpressure bp = new_bp();
    const struct dsmr_backlogs twice = {1, 0, 0, 2 * MARK_MS}, more = {1, 0, 0, 2 * MARK_MS + 1};
    uint64_t now_ms = 5000;
    assert_true(dsmr_backpressure_allow(&bp, &twice, now_ms) > 0);
    assert_true(dsmr_backpressure_allow(&bp, &twice, now_ms) > 0);
    assert_true(dsmr_backpressure_allow(&bp, &more, now_ms) > 0);
    assert_int_equal(dsmr_backpressure_allow(&bp, &more, now_ms), 0);
    assert_int_equal(dsmr_backpressure_allow(&bp, &more, now_ms + MARK_MS - 1), 0);
    assert_true(dsmr_backpressure_allow(&bp, &more, now_ms + MARK_MS) > 0);
    assert_int_equal(dsmr_backpressure_allow(&bp, &more, now_ms + MARK_MS), 0);
    const struct dsmr_backlogs none = {0, 0, 0, 0};
    assert_true(dsmr_backpressure_allow(&bp, &none, now_ms + MARK_MS) > 0); /* at once */
}

static void test_stops_at_twice_the_mark(void **state)
{
    (void)state;
    struct dsmr_backpressure bp = new_bp();
    const struct dsmr_backlogs twice = {0, 2 * MARK, 0, 0};
    const struct dsmr_backlogs more = {0, 2 * MARK + 1, 0, 0};
    assert_true(dsmr_backpressure_allow(&bp, &twice, 1) > 0);
    assert_int_equal(dsmr_backpressure_allow(&bp, &more, 1), 0);
    const struct dsmr_backlogs none = {0, 0, 0, 0};
    assert_true(dsmr_backpressure_allow(&bp, &none, 1) > 0); /* at once, when it is gone */
}

static void test_extreme_configurations(void **state)
{
    (void)state;
    struct dsmr_backpressure_config config = {.chunk_bytes_max = 1000,
                                              .uncertified_bytes_mark = UINT64_MAX,
                                              .waiting_bytes_mark = UINT64_MAX,
                                              .backlog_bytes_mark = 0,
                                              .interval_ms = 0};
    struct dsmr_backpressure bp;
    dsmr_backpressure_init(&bp, &config);
    const struct dsmr_backlogs full = {UINT64_MAX, UINT64_MAX, 0, 0};
    assert_int_equal(dsmr_backpressure_allow(&bp, &full, 1), 1000); /* no mark is passed */
    const struct dsmr_backlogs any = {0, 0, 1, 0};
    assert_int_equal(dsmr_backpressure_allow(&bp, &any, 1), 0);
    assert_int_equal(bp.chunk_bytes, 1000); /* a largest chunk below 4 KiB is never cut */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_is_not_held_back),
        cmocka_unit_test(test_each_backlog_halves_once_an_interval),
        cmocka_unit_test(test_rises_by_sixteenths),
        cmocka_unit_test(test_rises_by_halves_from_below),
        cmocka_unit_test(test_late_certificates),
        cmocka_unit_test(test_stops_at_twice_the_mark),
        cmocka_unit_test(test_extreme_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
