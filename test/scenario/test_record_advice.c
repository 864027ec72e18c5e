/* What is executed leaves the operating system's memory some blocks later, and is announced before
 * it is read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/world.h"

#define WATCHED 2u
#define IN_MEMORY 16u
#define HEIGHTS_MAX 1000u

static struct dsmr_kv_ops ops; /* of the watched node */
static uint32_t dropped[HEIGHTS_MAX], wanted[HEIGHTS_MAX];

static void on_advise(void *self, const void *key, size_t key_len, bool is_needed)
{
    (void)self;
    const uint8_t *bytes = key;
    assert_int_equal(key_len, 10);
    assert_memory_equal(key, "xr", 2);
    uint64_t height = dsmr_load_be64(bytes + 2);
    assert_true(height < HEIGHTS_MAX);
    (is_needed ? wanted : dropped)[height]++;
}

static void tune(struct dsmr_driver_config *config)
{
    if (config->kv.ops != NULL && config->node.node_id.bytes[19] == WATCHED) {
        ops = *config->kv.ops;
        ops.advise = on_advise;
        config->kv.ops = &ops;
    }
}

static uint64_t executed_height(struct dsmr_world *world)
{
    struct dsmr_query_status status;
    dsmr_world_status(world, WATCHED, &status);
    return status.executed_height;
}

static bool is_high(struct dsmr_world *world, void *ctx)
{
    const uint64_t *height = ctx;
    return executed_height(world) >= *height && dsmr_world_is_level(world);
}

static void run_to(struct dsmr_world *world, uint64_t height)
{
    uint64_t number = 1000 * height;
    while (executed_height(world) < height) {
        (void)dsmr_world_submit(world, 0, number++);
        dsmr_world_pass(world, 200);
    }
    assert_true(dsmr_world_run(world, is_high, &height, 60000));
}

static void test_records_leave_memory_in_order(void **state)
{
    (void)state;
    struct dsmr_world_config config = {.nodes = 4, .seed = 5, .tune = tune};
    struct dsmr_world *world = dsmr_world_new(&config);
    memset(dropped, 0, sizeof dropped);
    memset(wanted, 0, sizeof wanted);
    run_to(world, IN_MEMORY + 8);
    uint64_t height = executed_height(world);
    for (uint64_t h = 0; h < HEIGHTS_MAX; h++) {
        assert_int_equal(dropped[h], h >= 1 && h + IN_MEMORY <= height);
        assert_int_equal(wanted[h], 0);
    }

    dsmr_world_crash(world, WATCHED);
    memset(dropped, 0, sizeof dropped);
    dsmr_world_restart(world, WATCHED);
    assert_int_equal(executed_height(world), height);
    assert_int_equal(wanted[height], 0); /* read at once */
    for (uint64_t h = 1; h < height; h++) {
        assert_int_equal(wanted[h], 1);
        assert_int_equal(dropped[h], 0);
    }
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_leave_memory_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
