/* What becomes of a node that comes back after the others have pruned (adversary 53), with whole
 * nodes in virtual time and a retention of one chunk's lifetime. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"

#define MINUTE_MS UINT64_C(60000)
#define AWAY 3u

static void tune(struct dsmr_driver_config *config)
{
    config->node.params.retention_ms = config->node.params.chunk_lifetime_ms;
}

static void live(struct dsmr_world *world, uint64_t ms)
{
    static uint64_t number;
    uint64_t end_ms = dsmr_world_now_ms(world) + ms;
    while (dsmr_world_now_ms(world) < end_ms) {
        dsmr_world_submit(world, (uint32_t)(number % 3), number);
        number++;
        dsmr_world_pass(world, 500);
    }
}

static struct dsmr_world *start(uint64_t seed)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = seed, .check_every = 11, .tune = tune};
    struct dsmr_world *world = dsmr_world_new(&config);
    live(world, 3000);
    dsmr_world_crash(world, AWAY);
    return world;
}

static uint64_t said(struct dsmr_world *world, enum dsmr_err err)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < 3; i++)
        count += dsmr_world_metrics(world, i)->errors[err];
    return count;
}

static bool is_level(struct dsmr_world *world, void *ctx)
{
    (void)ctx;
    return dsmr_world_is_level(world);
}

static void test_back_in_time(void **state)
{
    (void)state;
    struct dsmr_world *world = start(71);
    struct dsmr_query_status status;
    live(world, 25000);
    dsmr_world_restart(world, AWAY);
    assert_true(dsmr_world_run(world, is_level, NULL, MINUTE_MS));
    dsmr_world_status(world, AWAY, &status);
    assert_false(status.needs_state_sync);
    assert_int_equal(said(world, DSMR_ERR_PRUNED), 0);
    dsmr_world_free(world);
}

static void test_back_too_late(void **state)
{
    (void)state;
    struct dsmr_world *world = start(72);
    struct dsmr_query_status status, other;
    live(world, 3 * MINUTE_MS);
    uint32_t lines = dsmr_world_log_lines(world, AWAY, DSMR_LOG_ERROR);
    dsmr_world_restart(world, AWAY);
    live(world, 20000);
    dsmr_world_status(world, AWAY, &status);
    dsmr_world_status(world, 0, &other);
    assert_true(said(world, DSMR_ERR_PRUNED) >= 2);
    assert_true(status.needs_state_sync);
    assert_false(status.is_halted);
    assert_true(status.height + 5 > other.height); /* consensus it has, the state it has not */
    assert_true(status.executed_height < 30);
    assert_int_equal(other.executed_height, other.height);
    assert_int_equal(
        dsmr_metrics_get(dsmr_world_metrics(world, AWAY), DSMR_METRIC_STATE_SYNC_NEEDED), 1);
    live(world, 3 * MINUTE_MS); /* it is said once */
    assert_int_equal(dsmr_world_log_lines(world, AWAY, DSMR_LOG_ERROR), lines + 1);
    assert_non_null(strstr(dsmr_world_log_last(world, AWAY), "newer state"));
    dsmr_world_free(world);
}

/* The height that a peer names proves nothing by itself: the block must hold the chunk, be executed
 * and be old. */
static void test_only_what_was_removed_is_pruned(void **state)
{
    (void)state;
    struct dsmr_world *world = start(73);
    struct dsmr_query query = dsmr_driver_query_port(dsmr_world_driver(world, 0));
    struct dsmr_query_status status;
    struct dsmr_block *old = NULL, *fresh = NULL, *lost = NULL;
    live(world, 2 * MINUTE_MS);
    dsmr_world_status(world, 0, &status);
    assert_int_equal(query.ops->block(query.self, &old, 3), DSMR_OK);
    assert_int_equal(query.ops->block(query.self, &fresh, status.height - 1), DSMR_OK);
    assert_int_equal(query.ops->block(query.self, &lost, status.height - 10), DSMR_OK);
    assert_true(old->certs_count > 0 && fresh->certs_count > 0 && lost->certs_count > 0);
    dsmr_world_lose_chunk(world, 0, &lost->certs[0].ref.chunk_id);
    struct dsmr_id none = {{1}};
    const struct {
        const struct dsmr_id *id;
        uint64_t height;
        enum dsmr_err answer;
    } asks[] = {
        {&old->certs[0].ref.chunk_id, 3, DSMR_ERR_PRUNED},
        {&old->certs[0].ref.chunk_id, 4, DSMR_ERR_UNKNOWN}, /* another block */
        {&old->certs[0].ref.chunk_id, 0, DSMR_ERR_UNKNOWN},
        {&old->certs[0].ref.chunk_id, UINT64_MAX, DSMR_ERR_UNKNOWN},
        {&lost->certs[0].ref.chunk_id, status.height - 10, DSMR_ERR_UNKNOWN}, /* not old */
        {&none, 3, DSMR_ERR_UNKNOWN},
        {&none, status.height - 1, DSMR_ERR_UNKNOWN},
        {&fresh->certs[0].ref.chunk_id, status.height - 1, DSMR_OK},
        {&fresh->certs[0].ref.chunk_id, 3, DSMR_OK}, /* it is here: who cares */
    };
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        uint64_t pruned = said(world, DSMR_ERR_PRUNED), unknown = said(world, DSMR_ERR_UNKNOWN);
        struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK};
        msg.u.request_chunk.chunk_id = *asks[i].id;
        msg.u.request_chunk.height = asks[i].height;
        dsmr_world_send(world, 1, 0, &msg);
        dsmr_world_pass(world, 100);
        assert_int_equal(said(world, DSMR_ERR_PRUNED) - pruned, asks[i].answer == DSMR_ERR_PRUNED);
        assert_int_equal(said(world, DSMR_ERR_UNKNOWN) - unknown,
                         asks[i].answer == DSMR_ERR_UNKNOWN);
    }
    dsmr_block_unref(old);
    dsmr_block_unref(fresh);
    dsmr_block_unref(lost);
    dsmr_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back_in_time),
        cmocka_unit_test(test_back_too_late),
        cmocka_unit_test(test_only_what_was_removed_is_pruned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
