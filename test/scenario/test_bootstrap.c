/* A validator that lost its disk, under an engine that brings it thousands of blocks.
 * Scenario: as AvalancheGo bootstraps, one verify and one accept after the other, through several
 * epochs, while chunks are fetched and nothing runs yet (protocol.md, sections 9, 10, 12). Blocks
 * wait for neither. The world checks equal roots, and that nothing runs twice, at every executed
 * block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/other_engine.h"

#define NONE DSMR_EPOCH_NONE
#define BLOCKS 2400u
#define EPOCH_BLOCKS 600u /* an epoch holds so many of them */
#define EPOCH_FIRST UINT64_C(100)
#define EPOCH_STEP UINT64_C(10)
#define NODES 4u
#define LATE 3u /* the node */
#define MINUTE_MS UINT64_C(60000)

struct story {
    struct other_engine *engine;
    struct dsmr_world *world;
    struct dsmr_block *chain[BLOCKS + 1];
    uint64_t txs;
};

static uint64_t epoch_of(uint64_t height)
{
    return height == 1 ? NONE : EPOCH_FIRST + height / EPOCH_BLOCKS * EPOCH_STEP;
}

static bool is_ready(struct dsmr_world *world, void *ctx)
{
    (void)world;
    return other_engine_is_ready(((struct story *)ctx)->engine, 0);
}

/* The three others make the chain: each block but the first has transactions. */
static void make_chain(struct story *story)
{
    for (uint64_t height = 1; height <= BLOCKS; height++) {
        struct dsmr_block *block = NULL;
        if (height > 2)
            dsmr_world_submit(story->world, (uint32_t)(height % LATE), ++story->txs);
        assert_true(dsmr_world_run(story->world, is_ready, story, MINUTE_MS));
        assert_int_equal(other_engine_build(story->engine, 0, story->chain[height - 1],
                                            epoch_of(height), &block),
                         DSMR_OK);
        other_engine_feed_all(story->engine, block);
        story->chain[height] = block;
    }
}

static bool has_run_all(struct dsmr_world *world, void *ctx)
{
    return dsmr_world_executed(world) == ((struct story *)ctx)->txs && dsmr_world_is_level(world);
}

static uint64_t executed_height(struct story *story, uint32_t node)
{
    struct dsmr_query_status status;
    dsmr_world_status(story->world, node, &status);
    return status.executed_height;
}

static uint64_t metric(struct story *story, uint32_t node, enum dsmr_metric id)
{
    return dsmr_metrics_get(dsmr_world_metrics(story->world, node), id);
}

/* A verdict for later is asked for again, as the engine for Snowman does. */
static void take(struct story *story, struct dsmr_block *block)
{
    enum dsmr_err err = other_engine_verify(story->engine, LATE, block, block->epoch);
    for (uint32_t i = 0; i < 50000 && err != DSMR_OK; i += 20) {
        assert_true(err == DSMR_ERR_BUSY || err == DSMR_ERR_NOT_YET ||
                    err == DSMR_ERR_EPOCH_UNKNOWN || err == DSMR_ERR_BEHIND);
        dsmr_world_pass(story->world, 20);
        err = other_engine_verify(story->engine, LATE, block, block->epoch);
    }
    assert_int_equal(err, DSMR_OK);
    assert_int_equal(other_engine_accept(story->engine, LATE, block), DSMR_OK);
}

static void test_thousands_of_blocks(void **state)
{
    static struct story story;
    const struct dsmr_world_config config = {.nodes = NODES, .seed = 33, .check_every = 97};
    (void)state;
    story.engine = other_engine_new(&config);
    story.world = other_engine_world(story.engine);
    story.chain[0] = dsmr_block_ref(other_engine_genesis(story.engine));
    for (uint64_t height = 2; height <= BLOCKS + EPOCH_BLOCKS; height += EPOCH_BLOCKS) {
        other_engine_add_epoch(story.engine, epoch_of(height), 0, NODES);
        other_engine_bring_all(story.engine, epoch_of(height));
    }
    dsmr_world_pass(story.world, 10);
    other_engine_crash(story.engine, LATE);
    make_chain(&story);

    dsmr_world_wipe(story.world, LATE);
    other_engine_restart(story.engine, LATE);
    other_engine_set_bootstrapping(story.engine, LATE, true);
    dsmr_world_hold_execution(story.world, LATE, true); /* none of it runs meanwhile */
    for (uint64_t height = 1; height <= BLOCKS; height++)
        take(&story, story.chain[height]);
    assert_int_equal(executed_height(&story, LATE), 0);
    dsmr_world_hold_execution(story.world, LATE, false);
    assert_true(dsmr_world_run(story.world, has_run_all, &story, 10 * MINUTE_MS));
    assert_int_equal(executed_height(&story, LATE), BLOCKS);
    assert_int_equal(metric(&story, LATE, DSMR_METRIC_CHUNKS_SHARED), 0);
    assert_true(metric(&story, LATE, DSMR_METRIC_CHUNKS_FETCHED) > BLOCKS / 2);

    other_engine_set_bootstrapping(story.engine, LATE, false);
    for (uint64_t height = 0; height <= BLOCKS; height++)
        dsmr_block_unref(story.chain[height]);
    other_engine_free(story.engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thousands_of_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
