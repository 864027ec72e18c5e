#include "lib/engine_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

void story_begin(struct engine_story *story, uint32_t nodes, uint32_t validators)
{
    struct dsmr_world_config config = {.nodes = nodes, .seed = 21};
    story->engine = other_engine_new(&config);
    story->world = other_engine_world(story->engine);
    story->tip = story->chain[0] = dsmr_block_ref(other_engine_genesis(story->engine));
    story->txs = 0;
    other_engine_add_epoch(story->engine, FIRST, 0, validators);
    dsmr_world_pass(story->world, 10);
}

void story_end(struct engine_story *story)
{
    for (uint64_t height = 0; height <= story->tip->height; height++)
        dsmr_block_unref(story->chain[height]);
    other_engine_free(story->engine);
}

void story_set_tip(struct engine_story *story, struct dsmr_block *block)
{
    assert_int_equal(block->height, story->tip->height + 1);
    assert_true(block->height < 64);
    story->tip = story->chain[block->height] = block;
}

struct dsmr_block *story_build(struct engine_story *story, uint32_t node,
                               const struct dsmr_block *parent, uint64_t context)
{
    struct dsmr_block *block = NULL;
    assert_int_equal(other_engine_build(story->engine, node, parent, context, &block), DSMR_OK);
    return block;
}

void story_go_on(struct engine_story *story, uint32_t node, uint64_t context)
{
    struct dsmr_block *block = story_build(story, node, story->tip, context);
    other_engine_feed_all(story->engine, block);
    story_set_tip(story, block);
}

void story_begin_epoch(struct engine_story *story, uint32_t nodes, uint32_t validators)
{
    story_begin(story, nodes, validators);
    story_go_on(story, 0, NONE);
    other_engine_bring_all(story->engine, FIRST);
    story_go_on(story, 0, FIRST);
    dsmr_world_pass(story->world, 10);
}

void story_submit(struct engine_story *story, uint32_t node, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        dsmr_world_submit(story->world, node, ++story->txs);
}

struct want {
    struct engine_story *story;
    uint32_t node;
};

static bool is_ready(struct dsmr_world *world, void *ctx)
{
    const struct want *want = ctx;
    (void)world;
    return other_engine_is_ready(want->story->engine, want->node);
}

void story_await_ready(struct engine_story *story, uint32_t node)
{
    struct want want = {story, node};
    assert_true(dsmr_world_run(story->world, is_ready, &want, MINUTE_MS));
}

bool story_has_run_all(struct dsmr_world *world, void *ctx)
{
    const struct engine_story *story = ctx;
    return dsmr_world_executed(world) == story->txs && dsmr_world_is_level(world);
}

static bool is_ready_or_done(struct dsmr_world *world, void *ctx)
{
    struct want *want = ctx;
    return is_ready(world, want) || story_has_run_all(world, want->story);
}

void story_run_all(struct engine_story *story, uint32_t builder, uint64_t context)
{
    struct want want = {story, builder};
    for (uint32_t i = 0; i < 20 && !story_has_run_all(story->world, story); i++) {
        assert_true(dsmr_world_run(story->world, is_ready_or_done, &want, MINUTE_MS));
        if (is_ready(story->world, &want))
            story_go_on(story, builder, context);
    }
    assert_true(story_has_run_all(story->world, story));
}

uint64_t story_metric(struct engine_story *story, uint32_t node, enum dsmr_metric id)
{
    return dsmr_metrics_get(dsmr_world_metrics(story->world, node), id);
}

struct dsmr_query_status story_status(struct engine_story *story, uint32_t node)
{
    struct dsmr_query_status status;
    dsmr_world_status(story->world, node, &status);
    return status;
}
