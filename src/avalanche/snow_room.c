#include "avalanche/snow_state.h"

#include "base/bytes.h"

/* The core keeps DSMR_PROCESSING_BLOCKS_MAX undecided blocks, and AvalancheGo any number: one
 * proposer may make hundreds of siblings, all of them valid. Where the core is full it forgets one,
 * as if that had been rejected; it stays in our table, for AvalancheGo it stays verified, and it is
 * verified once more before the core needs it. */

static struct dsmr_snow_block *find(const struct dsmr_snow_engine *engine, const struct dsmr_id *id)
{
    return dsmr_map_find(engine->blocks, id->bytes);
}

void dsmr_snow_hold(struct dsmr_snow_engine *engine, const struct dsmr_id *id)
{
    struct dsmr_snow_block *entry = find(engine, id);
    if (entry == NULL) { /* rejected while it was verified once more */
        dsmr_driver_reject(engine->driver, id);
        return;
    }
    if (entry->turn != 0)
        return;
    entry->turn = ++engine->last_turn;
    engine->held_count++;
    struct dsmr_snow_block *parent = find(engine, &entry->block->parent_id);
    if (parent != NULL)
        parent->children++;
    if (dsmr_id_equal(id, &engine->preferred))
        dsmr_driver_prefer(engine->driver, id);
}

bool dsmr_snow_let_go(struct dsmr_snow_engine *engine, const struct dsmr_id *id)
{
    struct dsmr_snow_block *entry = find(engine, id);
    if (entry == NULL || entry->turn == 0)
        return false;
    entry->turn = 0;
    engine->held_count--;
    struct dsmr_snow_block *parent = find(engine, &entry->block->parent_id);
    if (parent != NULL && parent->children > 0)
        parent->children--;
    return true;
}

/* ---- room ---- */

bool dsmr_snow_is_full(const struct dsmr_snow_engine *engine)
{
    return engine->held_count >= DSMR_PROCESSING_BLOCKS_MAX;
}

/* Whether block is tip_id or an ancestor of it. */
static bool leads_to(const struct dsmr_snow_engine *engine, const struct dsmr_block *block,
                     const struct dsmr_id *tip_id)
{
    const struct dsmr_snow_block *up = find(engine, tip_id);
    while (up != NULL && up->block->height > block->height)
        up = find(engine, &up->block->parent_id);
    return up != NULL && dsmr_id_equal(&up->block->id, &block->id);
}

/* Whether a call that has not ended needs it in the core. */
static bool is_needed(const struct dsmr_snow_engine *engine, const struct dsmr_block *block)
{
    for (uint32_t i = 0; i < DSMR_SNOW_ENGINE_REQUESTS_MAX; i++) {
        const struct dsmr_snow_request *request = &engine->requests[i];
        if (request->id == 0)
            continue;
        if (leads_to(engine, block, &request->needs) ||
            (request->block != NULL && leads_to(engine, block, &request->block->id)))
            return true;
    }
    return false;
}

/* The leaf that the core has had for longest. NULL: there is none that may go. */
static const struct dsmr_block *oldest_leaf(const struct dsmr_snow_engine *engine,
                                            bool is_preference_spared)
{
    const struct dsmr_snow_block *oldest = NULL;
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(engine->blocks, &position, &key, &value)) {
        const struct dsmr_snow_block *entry = value;
        if (entry->turn == 0 || entry->children > 0 ||
            (oldest != NULL && entry->turn > oldest->turn) ||
            (is_preference_spared && leads_to(engine, entry->block, &engine->preferred)) ||
            is_needed(engine, entry->block))
            continue;
        oldest = entry;
    }
    return oldest != NULL ? oldest->block : NULL;
}

bool dsmr_snow_make_room(struct dsmr_snow_engine *engine, const struct dsmr_snow_request *request)
{
    if (!dsmr_snow_is_full(engine))
        return false;
    const struct dsmr_block *block = oldest_leaf(engine, true);
    /* What the core has beside a block that is accepted is lost, also what was preferred. */
    if (block == NULL && request->kind == DSMR_SNOW_ACCEPT)
        block = oldest_leaf(engine, false);
    if (block == NULL)
        return false;
    (void)dsmr_snow_let_go(engine, &block->id);
    dsmr_driver_reject(engine->driver, &block->id);
    return true;
}

/* ---- once more ---- */

/* The lowest of id and its ancestors that the core has forgotten, or NULL. It never has a block
 * without its parent. */
static struct dsmr_block *lowest_forgotten(const struct dsmr_snow_engine *engine,
                                           const struct dsmr_id *id)
{
    struct dsmr_block *lowest = NULL;
    const struct dsmr_snow_block *up = find(engine, id);
    for (; up != NULL && up->turn == 0; up = find(engine, &up->block->parent_id))
        lowest = up->block;
    return lowest;
}

bool dsmr_snow_is_forgotten(const struct dsmr_snow_engine *engine, const struct dsmr_id *id)
{
    return lowest_forgotten(engine, id) != NULL;
}

void dsmr_snow_advance(struct dsmr_snow_engine *engine, struct dsmr_snow_request *request)
{
    struct dsmr_block *block = lowest_forgotten(engine, &request->needs);
    request->again_ms = 0;
    if (block != NULL) {
        request->restored = dsmr_block_ref(block);
        dsmr_driver_verify(engine->driver, request->id, block, block->epoch);
        return;
    }
    switch (request->kind) {
    case DSMR_SNOW_VERIFY:
        dsmr_driver_verify(engine->driver, request->id, request->block, request->context);
        return;
    case DSMR_SNOW_ACCEPT:
        dsmr_driver_accept(engine->driver, request->id, &request->needs);
        return;
    case DSMR_SNOW_BUILD:
        dsmr_driver_build(engine->driver, request->id, &request->needs, request->context);
        return;
    case DSMR_SNOW_PREFER: /* the core knows */
        dsmr_grpc_server_reply(request->call, NULL, 0);
        dsmr_snow_end_request(request);
        return;
    }
}
