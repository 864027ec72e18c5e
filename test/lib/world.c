#include "lib/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "crypto/hash.h"
#include "lib/world_state.h"
#include "sim/sim_bls.h"
#include "vm/opaque.h"
#include "wire/codec.h"

#define EXECUTED_MAX 1048576u

/* ---- life of a node ---- */

static void set_peer(struct dsmr_world *world, uint32_t node, uint32_t from, bool is_up)
{
    dsmr_world_push(world, (struct world_event){.due_ms = world->now_ms + 1,
                                                .kind = EVENT_PEER,
                                                .node = node,
                                                .life = world->nodes[node].life,
                                                .from = from,
                                                .is_up = is_up});
}

/* The opaque application takes everything; this one takes version 1. */
static uint32_t app_check(const void *self, enum dsmr_err *errs, const struct dsmr_tx_view *txs,
                          uint32_t count)
{
    uint32_t bad = 0;
    (void)self;
    for (uint32_t i = 0; i < count; i++) {
        errs[i] = txs[i].bytes[0] == 1 ? DSMR_OK : DSMR_ERR_BAD_TX;
        bad += errs[i] != DSMR_OK;
    }
    return bad;
}

static void configure(struct dsmr_world *world, struct world_node *node,
                      struct dsmr_driver_config *config)
{
    memset(config, 0, sizeof *config);
    config->node.params = world->params;
    config->node.node_id = dsmr_sim_bls_node_id(node->number);
    config->node.seed = dsmr_prng_next(&world->prng);
    config->node.validators_max = world->config.nodes;
    config->node.mempool_bytes_max = 1u << 20;
    config->node.mempool_txs_max = 4096;
    config->node.chunk_cache_bytes_max = 8u << 20;
    config->node.retry_ms = 200;
    config->node.fetch_timeout_ms = 200;
    config->node.fetches_max = 8;
    config->node.can_produce = true;
    config->bft.params = world->params;
    config->bft.node_id = config->node.node_id;
    config->bft.schedule = world->schedule;
    config->bft.schedule_count = world->schedule_count;
    config->bft.view_timeout_ms = 500;
    config->bft.view_timeout_max_ms = 8000;
    config->bft.retry_ms = 200;
    config->bft.seed = dsmr_prng_next(&world->prng);
    config->genesis = world->genesis;
    config->app_genesis = "{}";
    config->app_genesis_len = 2;
    config->submits_max = 4096;
    config->submit_bytes_max = 1u << 20;
    dsmr_world_set_ports(config, node);
    config->app = node->app;
}

static void start(struct dsmr_world *world, struct world_node *node)
{
    struct dsmr_driver_config config;
    DSMR_ASSERT(node->driver == NULL);
    configure(world, node, &config);
    if (world->config.tune != NULL)
        world->config.tune(&config);
    enum dsmr_err err = dsmr_opaque_new(&node->app);
    DSMR_ASSERT(err == DSMR_OK);
    node->app_ops = *node->app.ops;
    node->app_ops.check = app_check;
    node->app.ops = &node->app_ops;
    config.app = node->app;
    node->life++;
    err = dsmr_driver_new(&node->driver, &config);
    DSMR_ASSERT(err == DSMR_OK);
    err = dsmr_driver_recover(node->driver);
    DSMR_ASSERT(err == DSMR_OK);
    struct dsmr_query_status status; /* it may have died before it said so */
    dsmr_world_status(world, node->number, &status);
    if (status.height > node->told_height)
        node->told_height = status.height;
    for (uint32_t i = 0; i < world->config.nodes; i++) {
        if (i == node->number || world->nodes[i].driver == NULL)
            continue;
        if (world->links[i][node->number] && world->links[node->number][i]) {
            set_peer(world, node->number, i, true);
            set_peer(world, i, node->number, true);
        }
    }
}

void dsmr_world_crash(struct dsmr_world *world, uint32_t number)
{
    struct world_node *node = &world->nodes[number];
    struct dsmr_task *task;
    DSMR_ASSERT(node->driver != NULL);
    dsmr_driver_close(node->driver);
    dsmr_world_hold_execution(world, number, false);
    dsmr_world_hold_store(world, number, false);
    dsmr_world_drop_events(world, node);
    while ((task = dsmr_mem_store_forget(node->store)) != NULL)
        task->done(task, node->driver);
    dsmr_driver_free(node->driver);
    node->driver = NULL;
    node->app.ops->free(node->app.self);
    memset(node->work_due_ms, 0, sizeof node->work_due_ms);
    node->store_due_ms = 0;
    node->crash_at = UINT64_MAX;
    for (uint32_t i = 0; i < world->config.nodes; i++)
        if (i != number && world->nodes[i].driver != NULL)
            set_peer(world, i, number, false);
}

void dsmr_world_hold_execution(struct dsmr_world *world, uint32_t number, bool is_held)
{
    struct world_node *node = &world->nodes[number];
    node->is_execution_held = is_held;
    if (!is_held && node->held.task != NULL) {
        struct world_event event = node->held;
        node->held.task = NULL;
        event.due_ms = world->now_ms;
        dsmr_world_push(world, event);
    }
}

void dsmr_world_hold_store(struct dsmr_world *world, uint32_t number, bool is_held)
{
    struct world_node *node = &world->nodes[number];
    node->is_store_held = is_held;
    for (; !is_held && node->held_writes > 0; node->held_writes--)
        dsmr_world_store_queued(node);
}

void dsmr_world_restart(struct dsmr_world *world, uint32_t node)
{
    start(world, &world->nodes[node]);
}

static void make_disk(struct world_node *node)
{
    node->store = dsmr_mem_store_new();
    node->kv = dsmr_kv_mem_new();
    dsmr_mem_store_on_queued(node->store, dsmr_world_store_queued, node);
}

void dsmr_world_wipe(struct dsmr_world *world, uint32_t number)
{
    struct world_node *node = &world->nodes[number];
    DSMR_ASSERT(node->driver == NULL);
    dsmr_mem_store_free(node->store);
    dsmr_kv_mem_free(node->kv);
    make_disk(node);
}

void dsmr_world_crash_at(struct dsmr_world *world, uint32_t node, uint64_t events)
{
    world->nodes[node].crash_at = events;
}

void dsmr_world_may_halt(struct dsmr_world *world, uint32_t node)
{
    world->nodes[node].may_halt = true;
}

void dsmr_world_lose_chunk(struct dsmr_world *world, uint32_t node, const struct dsmr_id *chunk_id)
{
    dsmr_mem_store_lose_chunk(world->nodes[node].store, chunk_id);
}

void dsmr_world_forget_finalizations(struct dsmr_world *world, uint32_t node, uint64_t first,
                                     uint64_t last)
{
    dsmr_mem_store_forget_finalizations(world->nodes[node].store, first, last);
}

void dsmr_world_fail_store(struct dsmr_world *world, uint32_t node, enum dsmr_err err)
{
    world->nodes[node].store_err = err;
}

bool dsmr_world_is_up(const struct dsmr_world *world, uint32_t node)
{
    return world->nodes[node].driver != NULL;
}

void dsmr_world_link(struct dsmr_world *world, uint32_t from, uint32_t to, bool is_up)
{
    bool was_up = world->links[from][to] && world->links[to][from];
    world->links[from][to] = is_up;
    bool now_up = world->links[from][to] && world->links[to][from];
    if (was_up == now_up || world->nodes[from].driver == NULL || world->nodes[to].driver == NULL)
        return;
    set_peer(world, from, to, now_up);
    set_peer(world, to, from, now_up);
}

void dsmr_world_set_skew(struct dsmr_world *world, uint32_t node, int64_t ms)
{
    world->nodes[node].skew_ms = ms;
}

struct dsmr_world *dsmr_world_new(const struct dsmr_world_config *config)
{
    struct dsmr_world *world = calloc(1, sizeof *world);
    DSMR_ASSERT(world != NULL && config->nodes <= DSMR_WORLD_NODES_MAX);
    world->config = *config;
    world->config.delay_ms_max = config->delay_ms_max == 0 ? 5 : config->delay_ms_max;
    world->config.check_every = config->check_every == 0 ? 1 : config->check_every;
    dsmr_prng_init(&world->prng, config->seed);
    world->heap = calloc(WORLD_EVENTS_MAX, sizeof *world->heap);
    world->heights = calloc(WORLD_HEIGHTS_MAX, sizeof *world->heights);
    world->executed = dsmr_map_new(32, 8, EXECUTED_MAX, config->seed);
    world->votes = dsmr_vote_log_new();
    DSMR_ASSERT(world->heap != NULL && world->heights != NULL && world->executed != NULL);
    dsmr_params_default(&world->params);
    world->params.domain.network_id = 7;
    world->params.domain.chain_id.bytes[0] = 1;
    struct dsmr_driver_config tuned;
    memset(&tuned, 0, sizeof tuned);
    tuned.node.params = world->params;
    if (config->tune != NULL) /* the parameters are the chain's: every node and genesis have them */
        config->tune(&tuned);
    world->params = tuned.node.params;
    enum dsmr_err err = dsmr_block_genesis(&world->genesis, &world->params, WORLD_START_MS);
    DSMR_ASSERT(err == DSMR_OK);
    if (config->sets_count == 0) {
        world->schedule[0].set = dsmr_sim_bls_set(0, 0, config->nodes, NULL, 0);
        world->schedule_count = 1;
    }
    for (uint32_t i = 0; i < config->sets_count; i++) {
        world->schedule[i].from_height = config->sets[i].from_height;
        world->schedule[i].set = dsmr_sim_bls_set(
            config->sets[i].from_height, config->sets[i].first, config->sets[i].count, NULL, 0);
        world->schedule_count++;
    }
    memset(world->links, 1, sizeof world->links);
    for (uint32_t i = 0; i < config->nodes; i++) {
        struct world_node *node = &world->nodes[i];
        node->world = world;
        node->number = i;
        node->log_last = "";
        node->crash_at = UINT64_MAX;
        make_disk(node);
    }
    for (uint32_t i = 0; i < config->nodes; i++)
        start(world, &world->nodes[i]);
    return world;
}

void dsmr_world_free(struct dsmr_world *world)
{
    for (uint32_t i = 0; i < world->config.nodes; i++)
        if (world->nodes[i].driver != NULL)
            dsmr_world_crash(world, i);
    while (world->heap_count > 0)
        dsmr_buf_unref(dsmr_world_pop(world).bytes);
    for (uint32_t i = 0; i < world->config.nodes; i++) {
        dsmr_mem_store_free(world->nodes[i].store);
        dsmr_kv_mem_free(world->nodes[i].kv);
    }
    for (uint32_t i = 0; i < world->schedule_count; i++)
        dsmr_validator_set_unref(world->schedule[i].set);
    dsmr_block_unref(world->genesis);
    dsmr_map_free(world->executed);
    dsmr_vote_log_free(world->votes);
    free(world->heights);
    free(world->heap);
    free(world);
}

/* ---- what a test asks ---- */

uint64_t dsmr_world_now_ms(const struct dsmr_world *world)
{
    return WORLD_START_MS + world->now_ms;
}

uint64_t dsmr_world_events(const struct dsmr_world *world, uint32_t node)
{
    return world->nodes[node].events;
}

uint64_t dsmr_world_votes(const struct dsmr_world *world, uint32_t node)
{
    return dsmr_vote_log_count(world->votes, node);
}

uint64_t dsmr_world_admitted(const struct dsmr_world *world)
{
    return world->admitted;
}

uint64_t dsmr_world_executed(const struct dsmr_world *world)
{
    return dsmr_map_count(world->executed);
}

uint64_t dsmr_world_messages(const struct dsmr_world *world)
{
    return world->messages;
}

struct dsmr_metrics *dsmr_world_metrics(struct dsmr_world *world, uint32_t node)
{
    return &world->nodes[node].metrics;
}

uint32_t dsmr_world_log_lines(const struct dsmr_world *world, uint32_t node,
                              enum dsmr_log_level level)
{
    uint32_t lines = 0;
    for (uint32_t i = 0; i <= (uint32_t)level; i++)
        lines += world->nodes[node].log_lines[i];
    return lines;
}

const char *dsmr_world_log_last(const struct dsmr_world *world, uint32_t node)
{
    return world->nodes[node].log_last;
}

uint64_t dsmr_world_records(const struct dsmr_world *world, uint32_t node)
{
    return dsmr_mem_store_count(world->nodes[node].store);
}

uint64_t dsmr_world_keys(const struct dsmr_world *world, uint32_t node)
{
    return dsmr_kv_mem_count(world->nodes[node].kv);
}

struct dsmr_driver *dsmr_world_driver(struct dsmr_world *world, uint32_t node)
{
    return world->nodes[node].driver;
}

void dsmr_world_status(struct dsmr_world *world, uint32_t node, struct dsmr_query_status *out)
{
    struct dsmr_query query = dsmr_driver_query_port(world->nodes[node].driver);
    query.ops->status(query.self, out);
}

bool dsmr_world_is_level(struct dsmr_world *world)
{
    uint64_t height = UINT64_MAX;
    for (uint32_t i = 0; i < world->config.nodes; i++) {
        struct dsmr_query_status status;
        if (world->nodes[i].driver == NULL)
            continue;
        dsmr_world_status(world, i, &status);
        if (status.height != status.executed_height ||
            (height != UINT64_MAX && status.height != height))
            return false;
        height = status.height;
    }
    return true;
}

struct dsmr_id dsmr_world_submit(struct dsmr_world *world, uint32_t node, uint64_t number)
{
    struct dsmr_id id;
    uint8_t tx[64];
    struct dsmr_wr wr;
    memset(tx, 0, sizeof tx);
    dsmr_wr_init(&wr, tx, sizeof tx);
    dsmr_wr_u8(&wr, 1);
    dsmr_wr_u64(&wr, dsmr_world_now_ms(world) + 30000);
    dsmr_wr_u64(&wr, number);
    struct dsmr_submit_batch *batch = calloc(1, sizeof *batch + sizeof batch->txs[0]);
    DSMR_ASSERT(batch != NULL);
    batch->bytes = dsmr_buf_copy(tx, sizeof tx);
    batch->count = 1;
    batch->txs[0].len = sizeof tx;
    struct dsmr_submit submit = dsmr_driver_submit_port(world->nodes[node].driver);
    if (!submit.ops->submit(submit.self, batch)) {
        dsmr_buf_unref(batch->bytes);
        free(batch);
    }
    dsmr_hash(&id, tx, sizeof tx);
    return id;
}

const struct dsmr_params *dsmr_world_params(const struct dsmr_world *world)
{
    return &world->params;
}

uint64_t dsmr_world_drops(const struct dsmr_world *world, uint32_t node)
{
    return world->nodes[node].drops;
}
