/* A validator that was away for a minute under load comes back: bft.md, rule 8.3, with whole nodes,
 * whose core wants no block while it is behind (protocol.md, 12.5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/world.h"

#define EACH_MS 25u
#define AWAY_MS UINT64_C(60000)
#define GIVE_UP_MS UINT64_C(60000)

static void patient(struct dsmr_driver_config *config)
{
    config->bft.view_timeout_ms = 1000;
}

static uint64_t height_of(struct dsmr_world *world, uint32_t node)
{
    struct dsmr_query_status status;
    dsmr_world_status(world, node, &status);
    return status.height;
}

static uint64_t of_the_others(struct dsmr_world *world, enum dsmr_metric metric)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 3; i++)
        sum += dsmr_metrics_get(dsmr_world_metrics(world, i), metric);
    return sum;
}

/* Transactions for the first three nodes all the time, for so long. */
static void load(struct dsmr_world *world, uint64_t ms)
{
    static uint64_t number = 0;
    for (uint64_t at = 0; at < ms; at += EACH_MS) {
        dsmr_world_submit(world, (uint32_t)(number % 3), 1000 + number);
        number++;
        dsmr_world_pass(world, EACH_MS);
    }
}

/* No view of the others times out, and their chain is as fast as while it was away. */
static void test_others_do_not_wait_for_who_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct dsmr_world_config config = {
            .nodes = 4, .seed = seed, .delay_ms_max = 40, .check_every = 50, .tune = patient};
        struct dsmr_world *world = dsmr_world_new(&config);
        load(world, 3000);
        dsmr_world_crash(world, 3);
        load(world, 1000);
        uint64_t begin = height_of(world, 0);
        load(world, AWAY_MS);
        uint64_t missed = height_of(world, 0) - begin;
        assert_true(missed > 300);
        uint64_t timeouts = of_the_others(world, DSMR_METRIC_VIEW_TIMEOUTS);
        uint64_t back = height_of(world, 0), took_ms = 0;
        dsmr_world_restart(world, 3);
        while (height_of(world, 3) + 3 < height_of(world, 0) && took_ms < GIVE_UP_MS) {
            load(world, 100);
            took_ms += 100;
        }
        uint64_t meanwhile = height_of(world, 0) - back;
        assert_true(took_ms > 500 && took_ms < GIVE_UP_MS); /* some views of its */
        assert_int_equal(of_the_others(world, DSMR_METRIC_VIEW_TIMEOUTS), timeouts);
        assert_true(meanwhile * AWAY_MS * 4 >= missed * took_ms * 3);
        load(world, 2000);
        uint64_t skipped = of_the_others(world, DSMR_METRIC_VIEWS_SKIPPED);
        load(world, 3000); /* its views are as good as any */
        assert_int_equal(of_the_others(world, DSMR_METRIC_VIEWS_SKIPPED), skipped);
        assert_int_equal(of_the_others(world, DSMR_METRIC_VIEW_TIMEOUTS), timeouts);
        dsmr_world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_do_not_wait_for_who_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
