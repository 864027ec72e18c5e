#include "lib/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "base/prng.h"
#include "crypto/hash.h"
#include "lib/hash_bls.h"
#include "lib/mem_store.h"
#include "lib/vote_log.h"
#include "store/kv_mem.h"
#include "vm/opaque.h"
#include "wire/codec.h"

#define START_MS UINT64_C(1700000000000)
#define EVENTS_MAX 65536u
#define HEIGHTS_MAX 65536u
#define EXECUTED_MAX 1048576u

enum kind { EVENT_WORK, EVENT_STORE, EVENT_MESSAGE, EVENT_PEER };

struct event {
    uint64_t due_ms, sequence;
    enum kind kind;
    uint32_t node;
    uint32_t life;          /* of the node: events of an earlier one are not its own */
    struct dsmr_task *task; /* WORK */
    bool is_execution;      /* WORK */
    uint32_t from;          /* MESSAGE, PEER */
    bool is_up;             /* PEER */
    struct dsmr_buf *bytes; /* MESSAGE */
};

struct node {
    struct dsmr_world *world;
    uint32_t number;
    struct dsmr_driver *driver; /* NULL: down */
    uint32_t life;
    uint64_t events, crash_at, drops;
    uint64_t told_height; /* it has said that it accepted blocks up to here */
    int64_t skew_ms;
    struct dsmr_mem_store *store;
    enum dsmr_err store_err; /* of its writes */
    struct dsmr_kv_mem *kv;
    struct dsmr_app app;
    struct dsmr_app_ops app_ops; /* the opaque application's, but for check */
    struct dsmr_metrics metrics;
    uint64_t work_due_ms[DSMR_WORK_LANES], store_due_ms;
    uint32_t log_lines[DSMR_LOG_DEBUG + 1];
    const char *log_last; /* at least a warning */
    bool is_execution_held, is_store_held, may_halt;
    uint32_t held_writes;
    struct event held; /* task: what waits for execution to go on; the driver gives one at a time */
};

struct dsmr_world {
    struct dsmr_world_config config;
    struct dsmr_prng prng;
    uint64_t now_ms, sequence, messages, admitted;
    struct event *heap;
    uint32_t heap_count;
    struct node nodes[DSMR_WORLD_NODES_MAX];
    bool links[DSMR_WORLD_NODES_MAX][DSMR_WORLD_NODES_MAX];
    uint64_t link_due_ms[DSMR_WORLD_NODES_MAX][DSMR_WORLD_NODES_MAX];
    struct dsmr_params params;
    struct dsmr_block *genesis;
    struct dsmr_bft_schedule_entry schedule[4];
    uint32_t schedule_count;
    struct dsmr_map *executed; /* tx id -> height */
    struct dsmr_vote_log *votes;
    struct height {
        struct dsmr_id block_id, root;
        bool is_known;
    } * heights;
};

/* ---- the heap of events ---- */

static bool is_before(const struct event *a, const struct event *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->sequence < b->sequence;
}

static void push(struct dsmr_world *world, struct event event)
{
    DSMR_ASSERT(world->heap_count < EVENTS_MAX);
    event.sequence = world->sequence++;
    uint32_t i = world->heap_count++;
    while (i > 0 && is_before(&event, &world->heap[(i - 1) / 2])) {
        world->heap[i] = world->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    world->heap[i] = event;
}

static struct event pop(struct dsmr_world *world)
{
    struct event top = world->heap[0], last = world->heap[--world->heap_count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= world->heap_count)
            break;
        if (child + 1 < world->heap_count &&
            is_before(&world->heap[child + 1], &world->heap[child]))
            child++;
        if (!is_before(&world->heap[child], &last))
            break;
        world->heap[i] = world->heap[child];
        i = child;
    }
    world->heap[i] = last;
    return top;
}

static uint64_t later(struct dsmr_world *world, uint64_t *last_ms, uint64_t max_ms)
{
    /* At or after the last one of the same queue: queues keep their order. */
    uint64_t due_ms = world->now_ms + dsmr_prng_below(&world->prng, max_ms + 1);
    due_ms = due_ms < *last_ms ? *last_ms : due_ms;
    *last_ms = due_ms;
    return due_ms;
}

/* ---- ports of a node ---- */

static uint64_t wall_ms(void *self)
{
    const struct node *node = self;
    return (uint64_t)((int64_t)(START_MS + node->world->now_ms) + node->skew_ms);
}

static uint64_t mono_ms(void *self)
{
    return ((const struct node *)self)->world->now_ms + 1;
}

static void work_submit(void *self, enum dsmr_work_lane lane, struct dsmr_task *task)
{
    struct node *node = self;
    push(node->world, (struct event){.due_ms = later(node->world, &node->work_due_ms[lane], 2),
                                     .kind = EVENT_WORK,
                                     .node = node->number,
                                     .life = node->life,
                                     .task = task,
                                     .is_execution = lane == DSMR_WORK_EXECUTE});
}

static void work_random(void *self, uint8_t *out, size_t len)
{
    struct node *node = self;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)dsmr_prng_next(&node->world->prng);
}

static void store_queued(void *self)
{
    struct node *node = self;
    push(node->world, (struct event){.due_ms = later(node->world, &node->store_due_ms, 3),
                                     .kind = EVENT_STORE,
                                     .node = node->number,
                                     .life = node->life});
}

static uint32_t number_of(const struct dsmr_node_id *id)
{
    return dsmr_load_be32(id->bytes + 16);
}

static enum dsmr_err net_send(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                              struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                              uint32_t body_len)
{
    struct node *node = self;
    struct dsmr_world *world = node->world;
    uint32_t target = number_of(to);
    (void)cls, (void)owner;
    DSMR_ASSERT(target < world->config.nodes && target != node->number);
    dsmr_vote_log_add(world->votes, node->number, head);
    if (!world->links[node->number][target] || world->nodes[target].driver == NULL)
        return DSMR_ERR_UNKNOWN;
    world->messages++;
    if (dsmr_prng_below(&world->prng, 1000) < world->config.loss_per_mille)
        return DSMR_OK;
    struct dsmr_buf *bytes = dsmr_buf_new((size_t)head->len + body_len);
    DSMR_ASSERT(bytes != NULL);
    memcpy(bytes->bytes, head->bytes, head->len);
    if (body_len > 0)
        memcpy(bytes->bytes + head->len, body, body_len);
    push(world, (struct event){.due_ms = later(world, &world->link_due_ms[node->number][target],
                                               world->config.delay_ms_max),
                               .kind = EVENT_MESSAGE,
                               .node = target,
                               .life = world->nodes[target].life,
                               .from = node->number,
                               .bytes = bytes});
    return DSMR_OK;
}

static void net_set_peers(void *self, const struct dsmr_node_id *peers, uint32_t count)
{
    (void)self, (void)peers, (void)count;
}

static void net_drop(void *self, const struct dsmr_node_id *peer, enum dsmr_err why)
{
    (void)peer, (void)why;
    ((struct node *)self)->drops++;
}

static enum dsmr_err validators_get(void *self, struct dsmr_validator_set **out, uint64_t epoch)
{
    const struct dsmr_world *world = ((const struct node *)self)->world;
    for (uint32_t i = 0; i < world->schedule_count; i++) {
        if (world->schedule[i].from_height == epoch) {
            *out = dsmr_validator_set_ref(world->schedule[i].set);
            return DSMR_OK;
        }
    }
    return DSMR_ERR_EPOCH_UNKNOWN;
}

/* ---- what is executed: checked by plain comparison ---- */

static void on_executed(struct dsmr_world *world, const struct dsmr_executed *executed)
{
    DSMR_ASSERT(executed->height < HEIGHTS_MAX);
    struct height *height = &world->heights[executed->height];
    if (height->is_known) {
        DSMR_ASSERT(dsmr_id_equal(&height->block_id, &executed->block_id));
        DSMR_ASSERT(dsmr_id_equal(&height->root, &executed->state_root));
    }
    height->is_known = true;
    height->block_id = executed->block_id;
    height->root = executed->state_root;
    for (uint32_t i = 0; i < executed->count; i++) {
        bool is_new = false;
        uint64_t *at = dsmr_map_add(world->executed, &executed->ids[i], &is_new);
        DSMR_ASSERT(at != NULL);
        /* Every node runs it, in the same block; never in two. */
        DSMR_ASSERT(is_new || *at == executed->height);
        *at = executed->height;
    }
}

static void feed_publish(void *self, const struct dsmr_notice *notice)
{
    struct node *node = self;
    if (notice->kind == DSMR_NOTICE_ACCEPTED && notice->u.block->height > node->told_height)
        node->told_height = notice->u.block->height;
    if (notice->kind == DSMR_NOTICE_EXECUTED) {
        DSMR_ASSERT(notice->u.executed->height <= node->told_height); /* accepted first */
        on_executed(node->world, notice->u.executed);
    }
    if (notice->kind != DSMR_NOTICE_SUBMITTED)
        return;
    for (uint32_t i = 0; i < notice->u.batch->count; i++)
        node->world->admitted += notice->u.batch->txs[i].err == DSMR_OK;
    dsmr_buf_unref(notice->u.batch->bytes);
    free(notice->u.batch);
}

static void log_line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    struct node *node = self;
    (void)module;
    node->log_lines[level]++;
    node->log_last = level <= DSMR_LOG_WARN ? text : node->log_last;
}

static const struct dsmr_clock_ops clock_ops = {.wall_ms = wall_ms, .mono_ms = mono_ms};
static const struct dsmr_work_ops work_ops = {.submit = work_submit, .random = work_random};
static const struct dsmr_net_ops net_ops = {
    .send = net_send, .set_peers = net_set_peers, .drop = net_drop};
static const struct dsmr_validators_ops validators_ops = {.get = validators_get};
static const struct dsmr_feed_ops feed_ops = {.publish = feed_publish};
static const struct dsmr_log_ops log_ops = {.line = log_line};

/* ---- life of a node ---- */

static void set_peer(struct dsmr_world *world, uint32_t node, uint32_t from, bool is_up)
{
    push(world, (struct event){.due_ms = world->now_ms + 1,
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

static void configure(struct dsmr_world *world, struct node *node,
                      struct dsmr_driver_config *config)
{
    memset(config, 0, sizeof *config);
    config->node.params = world->params;
    config->node.node_id = dsmr_hash_bls_node_id(node->number);
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
    config->store = dsmr_mem_store_port(node->store);
    config->kv = dsmr_kv_mem_port(node->kv);
    config->net = (struct dsmr_net){.self = node, .ops = &net_ops};
    config->work = (struct dsmr_work){.self = node, .ops = &work_ops};
    config->clock = (struct dsmr_clock){.self = node, .ops = &clock_ops};
    config->validators = (struct dsmr_validators){.self = node, .ops = &validators_ops};
    config->signer = dsmr_hash_bls_signer(&node->number);
    config->app = node->app;
    config->feed = (struct dsmr_feed){.self = node, .ops = &feed_ops};
    config->log = (struct dsmr_log){.self = node, .ops = &log_ops};
    config->bls = &dsmr_hash_bls;
    config->metrics = &node->metrics;
}

static void start(struct dsmr_world *world, struct node *node)
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

/* Takes node's own work out of the heap and gives it back undone; messages to it are lost. */
static void drop_events(struct dsmr_world *world, struct node *node)
{
    struct event *kept = malloc(EVENTS_MAX * sizeof *kept);
    uint32_t count = 0;
    DSMR_ASSERT(kept != NULL);
    while (world->heap_count > 0) {
        struct event event = pop(world);
        if (event.node != node->number) {
            kept[count++] = event;
            continue;
        }
        if (event.kind == EVENT_WORK)
            event.task->done(event.task, node->driver);
        dsmr_buf_unref(event.bytes);
    }
    for (uint32_t i = 0; i < count; i++)
        push(world, kept[i]);
    free(kept);
}

void dsmr_world_crash(struct dsmr_world *world, uint32_t number)
{
    struct node *node = &world->nodes[number];
    struct dsmr_task *task;
    DSMR_ASSERT(node->driver != NULL);
    dsmr_driver_close(node->driver);
    dsmr_world_hold_execution(world, number, false);
    dsmr_world_hold_store(world, number, false);
    drop_events(world, node);
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
    struct node *node = &world->nodes[number];
    node->is_execution_held = is_held;
    if (!is_held && node->held.task != NULL) {
        struct event event = node->held;
        node->held.task = NULL;
        event.due_ms = world->now_ms;
        push(world, event);
    }
}

void dsmr_world_hold_store(struct dsmr_world *world, uint32_t number, bool is_held)
{
    struct node *node = &world->nodes[number];
    node->is_store_held = is_held;
    for (; !is_held && node->held_writes > 0; node->held_writes--)
        store_queued(node);
}

void dsmr_world_restart(struct dsmr_world *world, uint32_t node)
{
    start(world, &world->nodes[node]);
}

static void make_disk(struct node *node)
{
    node->store = dsmr_mem_store_new();
    node->kv = dsmr_kv_mem_new();
    dsmr_mem_store_on_queued(node->store, store_queued, node);
}

void dsmr_world_wipe(struct dsmr_world *world, uint32_t number)
{
    struct node *node = &world->nodes[number];
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

void dsmr_world_send(struct dsmr_world *world, uint32_t from, uint32_t to,
                     const struct dsmr_msg *msg)
{
    struct dsmr_buf *head = dsmr_msg_encode(msg, true);
    struct dsmr_node_id id = dsmr_hash_bls_node_id(to);
    DSMR_ASSERT(head != NULL);
    enum dsmr_err err =
        net_send(&world->nodes[from], &id, (enum dsmr_msg_class)dsmr_msg_class_of(msg->type), head,
                 NULL, NULL, 0);
    DSMR_ASSERT(err == DSMR_OK);
    dsmr_buf_unref(head);
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
    world->heap = calloc(EVENTS_MAX, sizeof *world->heap);
    world->heights = calloc(HEIGHTS_MAX, sizeof *world->heights);
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
    enum dsmr_err err = dsmr_block_genesis(&world->genesis, &world->params, START_MS);
    DSMR_ASSERT(err == DSMR_OK);
    if (config->sets_count == 0) {
        world->schedule[0].set = dsmr_hash_bls_set(0, 0, config->nodes);
        world->schedule_count = 1;
    }
    for (uint32_t i = 0; i < config->sets_count; i++) {
        world->schedule[i].from_height = config->sets[i].from_height;
        world->schedule[i].set = dsmr_hash_bls_set(config->sets[i].from_height,
                                                   config->sets[i].first, config->sets[i].count);
        world->schedule_count++;
    }
    memset(world->links, 1, sizeof world->links);
    for (uint32_t i = 0; i < config->nodes; i++) {
        struct node *node = &world->nodes[i];
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
        dsmr_buf_unref(pop(world).bytes);
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

/* ---- running ---- */

struct call { /* what the net adapter would bring through the inbox */
    struct dsmr_task task;
    struct event event;
};

static void call_done(struct dsmr_task *task, void *owner)
{
    struct call *call = (struct call *)task;
    struct dsmr_node_id from = dsmr_hash_bls_node_id(call->event.from);
    if (call->event.kind == EVENT_MESSAGE)
        dsmr_driver_net_handler()->message(owner, &from, call->event.bytes);
    else
        dsmr_driver_net_handler()->peer(owner, &from, call->event.is_up);
    dsmr_buf_unref(call->event.bytes);
    free(call);
}

static void handle(struct dsmr_world *world, struct event event)
{
    struct node *node = &world->nodes[event.node];
    if (node->driver == NULL || node->life != event.life) {
        dsmr_buf_unref(event.bytes);
        return;
    }
    struct dsmr_task *task = event.task;
    if (event.kind == EVENT_STORE && node->is_store_held) {
        node->held_writes++;
        return;
    }
    if (event.is_execution && node->is_execution_held) {
        DSMR_ASSERT(node->held.task == NULL);
        node->held = event;
        return;
    }
    if (event.kind == EVENT_WORK) {
        task->run(task);
    } else if (event.kind == EVENT_STORE) {
        task = dsmr_mem_store_finish(node->store, node->store_err);
    } else {
        struct call *call = calloc(1, sizeof *call);
        DSMR_ASSERT(call != NULL);
        call->task.done = call_done;
        call->event = event;
        task = &call->task;
    }
    dsmr_driver_task(node->driver, task);
}

static void after_event(struct dsmr_world *world, uint32_t number)
{
    struct node *node = &world->nodes[number];
    const char *reason = NULL;
    if (node->driver == NULL)
        return;
    enum dsmr_err halted = dsmr_driver_halted(node->driver, &reason);
    DSMR_ASSERT(halted == DSMR_OK || node->may_halt || world->config.halted != NULL);
    if (halted != DSMR_OK && world->config.halted != NULL) {
        world->config.halted(number, halted, reason);
        dsmr_world_crash(world, number);
        return;
    }
    if (node->events % world->config.check_every == 0)
        dsmr_driver_check(node->driver);
    node->events++;
    if (node->events >= node->crash_at)
        dsmr_world_crash(world, number);
}

/* One event or tick; false if nothing is due until until_ms. */
static bool step(struct dsmr_world *world, uint64_t until_ms)
{
    uint64_t due_ms = world->heap_count > 0 ? world->heap[0].due_ms : UINT64_MAX;
    uint32_t ticking = UINT32_MAX;
    for (uint32_t i = 0; i < world->config.nodes; i++) {
        const char *reason;
        if (world->nodes[i].driver == NULL ||
            dsmr_driver_halted(world->nodes[i].driver, &reason) != DSMR_OK)
            continue;
        uint64_t deadline_ms = dsmr_driver_deadline_ms(world->nodes[i].driver);
        deadline_ms = deadline_ms == UINT64_MAX ? UINT64_MAX
                      : deadline_ms == 0        ? 0
                                                : deadline_ms - 1;
        if (deadline_ms < due_ms) {
            due_ms = deadline_ms;
            ticking = i;
        }
    }
    if (due_ms > until_ms)
        return false;
    world->now_ms = due_ms > world->now_ms ? due_ms : world->now_ms;
    uint32_t number;
    if (ticking != UINT32_MAX) {
        number = ticking;
        dsmr_driver_tick(world->nodes[number].driver);
    } else {
        struct event event = pop(world);
        number = event.node;
        handle(world, event);
    }
    after_event(world, number);
    return true;
}

bool dsmr_world_run(struct dsmr_world *world, bool (*holds)(struct dsmr_world *, void *), void *ctx,
                    uint64_t ms)
{
    uint64_t until_ms = world->now_ms + ms;
    uint64_t events = 0;
    if (holds != NULL && holds(world, ctx))
        return true;
    while (step(world, until_ms)) {
        /* A node that wants a tick for ever at the same moment would spin here. */
        DSMR_ASSERT(++events < UINT64_C(50000000));
        if (holds != NULL && holds(world, ctx))
            return true;
    }
    world->now_ms = until_ms;
    return holds == NULL;
}

void dsmr_world_pass(struct dsmr_world *world, uint64_t ms)
{
    bool done = dsmr_world_run(world, NULL, NULL, ms);
    DSMR_ASSERT(done);
}

uint64_t dsmr_world_now_ms(const struct dsmr_world *world)
{
    return START_MS + world->now_ms;
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

void dsmr_world_say(struct dsmr_world *world, uint32_t from, uint32_t to, const void *bytes,
                    size_t len)
{
    struct dsmr_buf *copy = dsmr_buf_copy(bytes, len);
    DSMR_ASSERT(copy != NULL);
    push(world, (struct event){.due_ms = world->now_ms,
                               .kind = EVENT_MESSAGE,
                               .node = to,
                               .life = world->nodes[to].life,
                               .from = from,
                               .bytes = copy});
}

uint64_t dsmr_world_drops(const struct dsmr_world *world, uint32_t node)
{
    return world->nodes[node].drops;
}
