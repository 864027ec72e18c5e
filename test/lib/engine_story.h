/* engine_story.h - a chain under an engine by hand (other_engine.h): blocks that all accept, and
 * what is submitted meanwhile. */
#ifndef DSMR_TEST_ENGINE_STORY_H
#define DSMR_TEST_ENGINE_STORY_H

#include "lib/other_engine.h"

#define NONE DSMR_EPOCH_NONE
#define FIRST UINT64_C(100) /* epochs: heights of the chain elsewhere */
#define SECOND UINT64_C(200)
#define MINUTE_MS UINT64_C(60000)

struct engine_story {
    struct other_engine *engine;
    struct dsmr_world *world;
    struct dsmr_block *tip;
    struct dsmr_block *chain[64]; /* those that all accepted, by height */
    uint64_t txs;
};

void story_begin(struct engine_story *story, uint32_t nodes, uint32_t validators);
/* With blocks 1, without a context, and 2, which brings the first epoch. */
void story_begin_epoch(struct engine_story *story, uint32_t nodes, uint32_t validators);
void story_end(struct engine_story *story);

void story_set_tip(struct engine_story *story, struct dsmr_block *block); /* takes over block */
struct dsmr_block *story_build(struct engine_story *story, uint32_t node,
                               const struct dsmr_block *parent, uint64_t context);
/* The next block, which all accept. */
void story_go_on(struct engine_story *story, uint32_t node, uint64_t context);

void story_submit(struct engine_story *story, uint32_t node, uint32_t count);
/* Until node says that there is something to build on its preference. */
void story_await_ready(struct engine_story *story, uint32_t node);
/* All that was submitted has run on all nodes that are up. For dsmr_world_run; ctx: the story. */
bool story_has_run_all(struct dsmr_world *world, void *ctx);
/* Blocks until it has. */
void story_run_all(struct engine_story *story, uint32_t builder, uint64_t context);

uint64_t story_metric(struct engine_story *story, uint32_t node, enum dsmr_metric id);
struct dsmr_query_status story_status(struct engine_story *story, uint32_t node);

#endif
