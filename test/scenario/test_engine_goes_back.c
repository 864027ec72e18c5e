/* What an engine like AvalancheGo may do besides the stories of test_other_engine: reject a block
 * that others stand on, ask for a block while this node's clock is wrong, go back to genesis. Each
 * was found by the simulator's snow engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/other_engine.h"

#define NONE DSMR_EPOCH_NONE
#define FIRST UINT64_C(100)
#define MINUTE_MS UINT64_C(60000)
#define DAY_MS INT64_C(86400000)

struct story {
    struct other_engine *engine;
    struct dsmr_world *world;
    struct dsmr_block *first, *second; /* without certificates */
    uint64_t txs;
};

static struct dsmr_block *build(struct story *story, uint32_t node, const struct dsmr_block *parent,
                                uint64_t context)
{
    struct dsmr_block *block = NULL;
    assert_int_equal(other_engine_build(story->engine, node, parent, context, &block), DSMR_OK);
    return block;
}

static void begin(struct story *story)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = 23};
    *story = (struct story){.engine = other_engine_new(&config)};
    story->world = other_engine_world(story->engine);
    other_engine_add_epoch(story->engine, FIRST, 0, 4);
    dsmr_world_pass(story->world, 10);
    story->first = build(story, 0, other_engine_genesis(story->engine), NONE);
    other_engine_feed_all(story->engine, story->first);
    other_engine_bring_all(story->engine, FIRST);
    story->second = build(story, 0, story->first, FIRST);
}

static void end(struct story *story)
{
    dsmr_block_unref(story->first);
    dsmr_block_unref(story->second);
    other_engine_free(story->engine);
}

static bool is_ready(struct dsmr_world *world, void *ctx)
{
    const struct story *story = ctx;
    (void)world;
    return other_engine_is_ready(story->engine, 0);
}

/* A certificate of a new chunk of node is at node 0. */
static void certify(struct story *story, uint32_t node)
{
    dsmr_world_submit(story->world, node, ++story->txs);
    assert_true(dsmr_world_run(story->world, is_ready, story, MINUTE_MS));
}

static bool has_run_all(struct dsmr_world *world, void *ctx)
{
    const struct story *story = ctx;
    return dsmr_world_executed(world) == story->txs && dsmr_world_is_level(world);
}

/* 8.5, 9.1: who stands on a rejected block has no parent any more. Else the certificates of the
 * rejected one could come twice in one branch. */
static void test_descendants_of_a_rejected_block(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    other_engine_feed_all(story.engine, story.second);
    certify(&story, 1);
    struct dsmr_block *lost = build(&story, 0, story.second, FIRST);
    assert_int_equal(lost->certs_count, 1);
    other_engine_prefer(story.engine, 0, lost);
    certify(&story, 2);
    struct dsmr_block *child = build(&story, 0, lost, FIRST);
    assert_int_equal(child->certs_count, 1);
    other_engine_prefer(story.engine, 0, child);
    other_engine_reject(story.engine, 0, lost);
    assert_int_equal(other_engine_build(story.engine, 0, child, FIRST, NULL),
                     DSMR_ERR_UNKNOWN_PARENT);
    assert_int_equal(other_engine_verify(story.engine, 0, child, FIRST), DSMR_ERR_UNKNOWN_PARENT);
    assert_true(other_engine_is_ready(story.engine, 0)); /* on the last accepted one */
    struct dsmr_block *next = build(&story, 0, story.second, FIRST);
    assert_int_equal(next->certs_count, 2);
    other_engine_feed_all(story.engine, next);
    assert_true(dsmr_world_run(story.world, has_run_all, &story, MINUTE_MS));
    dsmr_block_unref(lost);
    dsmr_block_unref(child);
    dsmr_block_unref(next);
    end(&story);
}

/* 8.1: an engine that asks one thing at a time must not wait for a day. */
static void test_clock_set_back_before_a_build(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    other_engine_feed_all(story.engine, story.second);
    certify(&story, 1);
    dsmr_world_set_skew(story.world, 0, -DAY_MS);
    assert_int_equal(other_engine_build(story.engine, 0, story.second, FIRST, NULL),
                     DSMR_ERR_NOT_YET);
    dsmr_world_set_skew(story.world, 0, -500); /* within what clocks may differ: it waits */
    uint64_t asked_ms = dsmr_world_now_ms(story.world);
    struct dsmr_block *block = build(&story, 0, story.second, FIRST);
    assert_true(block->time_ms > story.second->time_ms);
    assert_true(dsmr_world_now_ms(story.world) - asked_ms <= 1000);
    other_engine_feed_all(story.engine, block);
    assert_true(dsmr_world_run(story.world, has_run_all, &story, MINUTE_MS));
    dsmr_block_unref(block);
    end(&story);
}

/* 12.4: back at genesis, with an empty journal, but with a disk that knows better: the node has
 * nothing to be afraid of, and signs as soon as it has caught up. */
static void test_back_to_genesis(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    dsmr_world_pass(story.world, 100);
    other_engine_crash(story.engine, 3);
    other_engine_set_tip(story.engine, 3, 0, &other_engine_genesis(story.engine)->id);
    other_engine_restart(story.engine, 3);
    other_engine_bring(story.engine, 3, FIRST, true);
    other_engine_feed(story.engine, 3, story.first);
    other_engine_feed_all(story.engine, story.second);
    other_engine_crash(story.engine, 2); /* three are a quorum: node 3 is needed */
    certify(&story, 1);
    struct dsmr_block *block = build(&story, 0, story.second, FIRST);
    assert_int_equal(block->certs_count, 1);
    other_engine_feed_all(story.engine, block);
    assert_true(dsmr_world_run(story.world, has_run_all, &story, MINUTE_MS));
    assert_true(dsmr_metrics_get(dsmr_world_metrics(story.world, 3), DSMR_METRIC_CHUNKS_SHARED) >
                0);
    dsmr_block_unref(block);
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descendants_of_a_rejected_block),
        cmocka_unit_test(test_clock_set_back_before_a_build),
        cmocka_unit_test(test_back_to_genesis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
