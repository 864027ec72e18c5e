#include "lib/other_engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/sim_bls.h"

#define WAIT_MS UINT64_C(60000)

struct seat { /* one node's engine and adapters */
    struct other_engine *engine;
    uint32_t number;
    struct dsmr_engine_tip tip;
    bool is_ready;
    uint64_t readies, answers;
    bool has_set[OTHER_ENGINE_EPOCHS_MAX];
    bool serves[DSMR_WORLD_NODES_MAX];
    struct dsmr_net net; /* the world's */
    struct dsmr_driver_config config;
    /* The last answer */
    uint64_t answered; /* its request id */
    enum dsmr_err err;
    struct dsmr_block *built;
};

struct other_engine {
    struct dsmr_world *world; /* NULL while it is made */
    struct dsmr_world_config config;
    struct dsmr_block *genesis;
    struct seat seats[DSMR_WORLD_NODES_MAX];
    struct dsmr_validator_set *sets[OTHER_ENGINE_EPOCHS_MAX];
    uint32_t sets_count;
    uint64_t requests, calls;
};

static struct other_engine *current; /* dsmr_world_config.tune has no context of its own */

/* ---- the ports that are not the world's ---- */

static void on_built(void *self, uint64_t request_id, enum dsmr_err err, struct dsmr_block *block)
{
    struct seat *seat = self;
    seat->answered = request_id;
    seat->answers++;
    seat->err = err;
    dsmr_block_unref(seat->built);
    seat->built = dsmr_block_ref(block);
}

static void on_answer(void *self, uint64_t request_id, enum dsmr_err err)
{
    struct seat *seat = self;
    seat->answered = request_id;
    seat->answers++;
    seat->err = err;
}

static void on_ready(void *self, bool is_ready)
{
    struct seat *seat = self;
    seat->is_ready = is_ready;
    seat->readies++;
}

static enum dsmr_err get_set(void *self, struct dsmr_validator_set **out, uint64_t epoch)
{
    const struct seat *seat = self;
    for (uint32_t i = 0; i < seat->engine->sets_count; i++) {
        if (seat->engine->sets[i]->epoch == epoch && seat->has_set[i]) {
            *out = dsmr_validator_set_ref(seat->engine->sets[i]);
            return DSMR_OK;
        }
    }
    return DSMR_ERR_EPOCH_UNKNOWN;
}

static enum dsmr_err net_send(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                              struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                              uint32_t body_len)
{
    const struct dsmr_net *net = &((struct seat *)self)->net;
    return net->ops->send(net->self, to, cls, head, owner, body, body_len);
}

static void net_drop(void *self, const struct dsmr_node_id *peer, enum dsmr_err why)
{
    const struct dsmr_net *net = &((struct seat *)self)->net;
    net->ops->drop(net->self, peer, why);
}

/* A connection stands while both ends want it. */
static void connect(struct other_engine *engine, uint32_t a, uint32_t b)
{
    bool is_up = engine->seats[a].serves[b] && engine->seats[b].serves[a];
    dsmr_world_link(engine->world, a, b, is_up);
    dsmr_world_link(engine->world, b, a, is_up);
}

static void serve(struct seat *seat, const struct dsmr_node_id *peers, uint32_t count)
{
    struct other_engine *engine = seat->engine;
    memset(seat->serves, 0, sizeof seat->serves);
    for (uint32_t i = 0; i < count; i++)
        seat->serves[dsmr_load_be32(peers[i].bytes + 16)] = true;
    for (uint32_t i = 0; i < engine->config.nodes; i++)
        if (i != seat->number)
            connect(engine, seat->number, i);
}

static void net_set_peers(void *self, const struct dsmr_node_id *peers, uint32_t count)
{
    serve(self, peers, count);
}

static const struct dsmr_engine_ops engine_ops = {
    .built = on_built, .verdict = on_answer, .accepted = on_answer, .ready = on_ready};
static const struct dsmr_validators_ops validators_ops = {.get = get_set};
static const struct dsmr_net_ops net_ops = {
    .send = net_send, .set_peers = net_set_peers, .drop = net_drop};

static void tune(struct dsmr_driver_config *config)
{
    if (current->config.tune != NULL)
        current->config.tune(config);
    if (config->genesis == NULL)
        return; /* only the parameters are wanted */
    uint32_t number = dsmr_load_be32(config->node.node_id.bytes + 16);
    struct seat *seat = &current->seats[number];
    if (seat->engine == NULL) {
        seat->engine = current;
        seat->number = number;
        seat->tip.block_id = config->genesis->id;
    }
    if (current->genesis == NULL)
        current->genesis = dsmr_block_ref(config->genesis);
    seat->net = config->net;
    seat->is_ready = false;
    config->bft.schedule = NULL;
    config->bft.schedule_count = 0;
    config->engine = (struct dsmr_engine){.self = seat, .ops = &engine_ops};
    config->has_engine_tip = true;
    config->engine_tip = seat->tip;
    config->validators = (struct dsmr_validators){.self = seat, .ops = &validators_ops};
    config->net = (struct dsmr_net){.self = seat, .ops = &net_ops};
    seat->config = *config;
}

struct other_engine *other_engine_new(const struct dsmr_world_config *config)
{
    struct dsmr_world_config world = *config;
    current = calloc(1, sizeof *current);
    DSMR_ASSERT(current != NULL);
    current->config = *config;
    world.tune = tune;
    current->world = dsmr_world_new(&world);
    for (uint32_t i = 0; i < config->nodes; i++) /* nobody is served who is no validator */
        serve(&current->seats[i], NULL, 0);
    return current;
}

void other_engine_free(struct other_engine *engine)
{
    dsmr_world_free(engine->world);
    for (uint32_t i = 0; i < engine->sets_count; i++)
        dsmr_validator_set_unref(engine->sets[i]);
    for (uint32_t i = 0; i < engine->config.nodes; i++)
        dsmr_block_unref(engine->seats[i].built);
    dsmr_block_unref(engine->genesis);
    free(engine);
    current = NULL;
}

struct dsmr_world *other_engine_world(struct other_engine *engine)
{
    return engine->world;
}

struct dsmr_block *other_engine_genesis(struct other_engine *engine)
{
    return engine->genesis;
}

/* ---- calls: tasks, as an adapter with threads of its own brings them ---- */

enum call_kind { BUILD, VERIFY, ACCEPT, REJECT, PREFER, BOOTSTRAPPING, AVAILABLE };

struct call {
    struct dsmr_task task;
    enum call_kind kind;
    uint64_t request_id;
    struct dsmr_id block_id;
    struct dsmr_block *block;
    uint64_t context;
    bool flag;
};

static void call_done(struct dsmr_task *task, void *owner)
{
    struct call *call = (struct call *)task;
    switch (call->kind) {
    case BUILD:
        dsmr_driver_build(owner, call->request_id, &call->block_id, call->context);
        break;
    case VERIFY:
        dsmr_driver_verify(owner, call->request_id, call->block, call->context);
        break;
    case ACCEPT:
        dsmr_driver_accept(owner, call->request_id, &call->block_id);
        break;
    case REJECT:
        dsmr_driver_reject(owner, &call->block_id);
        break;
    case PREFER:
        dsmr_driver_prefer(owner, &call->block_id);
        break;
    case BOOTSTRAPPING:
        dsmr_driver_set_bootstrapping(owner, call->flag);
        break;
    case AVAILABLE:
        dsmr_driver_set_available(owner, call->context);
        break;
    }
    free(call);
}

static void make_call(struct other_engine *engine, uint32_t node, const struct call *fields)
{
    struct dsmr_driver *driver = dsmr_world_driver(engine->world, node);
    struct call *call = malloc(sizeof *call);
    DSMR_ASSERT(call != NULL && driver != NULL);
    *call = *fields;
    call->task.done = call_done;
    dsmr_driver_task(driver, &call->task);
    if (engine->config.check_every == 0 || ++engine->calls % engine->config.check_every == 0)
        dsmr_driver_check(driver);
}

struct awaited {
    const struct seat *seat;
    uint64_t request_id;
};

static bool has_answer(struct dsmr_world *world, void *ctx)
{
    const struct awaited *awaited = ctx;
    (void)world;
    return awaited->seat->answered == awaited->request_id;
}

static enum dsmr_err ask(struct other_engine *engine, uint32_t node, struct call *fields)
{
    struct awaited awaited = {.seat = &engine->seats[node], .request_id = ++engine->requests};
    fields->request_id = awaited.request_id;
    make_call(engine, node, fields);
    const char *reason = NULL; /* one that halts answers nothing any more */
    if (dsmr_driver_halted(dsmr_world_driver(engine->world, node), &reason) != DSMR_OK)
        return DSMR_ERR_HALTED;
    bool is_answered = dsmr_world_run(engine->world, has_answer, &awaited, WAIT_MS);
    DSMR_ASSERT(is_answered);
    return awaited.seat->err;
}

enum dsmr_err other_engine_build(struct other_engine *engine, uint32_t node,
                                 const struct dsmr_block *parent, uint64_t context,
                                 struct dsmr_block **out)
{
    struct call call = {.kind = BUILD, .block_id = parent->id, .context = context};
    enum dsmr_err err = ask(engine, node, &call);
    if (err == DSMR_OK && out != NULL)
        *out = dsmr_block_ref(engine->seats[node].built);
    return err;
}

enum dsmr_err other_engine_verify(struct other_engine *engine, uint32_t node,
                                  struct dsmr_block *block, uint64_t context)
{
    struct call call = {.kind = VERIFY, .block = block, .context = context};
    return ask(engine, node, &call);
}

enum dsmr_err other_engine_accept(struct other_engine *engine, uint32_t node,
                                  const struct dsmr_block *block)
{
    struct call call = {.kind = ACCEPT, .block_id = block->id};
    enum dsmr_err err = ask(engine, node, &call);
    if (err == DSMR_OK)
        other_engine_set_tip(engine, node, block->height, &block->id);
    return err;
}

void other_engine_reject(struct other_engine *engine, uint32_t node, const struct dsmr_block *block)
{
    make_call(engine, node, &(struct call){.kind = REJECT, .block_id = block->id});
}

void other_engine_prefer(struct other_engine *engine, uint32_t node, const struct dsmr_block *block)
{
    make_call(engine, node, &(struct call){.kind = PREFER, .block_id = block->id});
}

void other_engine_set_bootstrapping(struct other_engine *engine, uint32_t node, bool is_on)
{
    make_call(engine, node, &(struct call){.kind = BOOTSTRAPPING, .flag = is_on});
}

bool other_engine_is_ready(const struct other_engine *engine, uint32_t node)
{
    return engine->seats[node].is_ready;
}

uint64_t other_engine_readies(const struct other_engine *engine, uint32_t node)
{
    return engine->seats[node].readies;
}

uint64_t other_engine_answers(const struct other_engine *engine, uint32_t node)
{
    return engine->seats[node].answers;
}

void other_engine_ask_all(struct other_engine *engine, uint32_t node, struct dsmr_block *parent,
                          struct dsmr_block *block)
{
    struct call calls[] = {
        {.kind = BUILD, .block_id = parent->id, .context = block->epoch},
        {.kind = VERIFY, .block = block, .context = block->epoch},
        {.kind = ACCEPT, .block_id = block->id},
    };
    for (uint32_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        calls[i].request_id = ++engine->requests;
        make_call(engine, node, &calls[i]);
    }
}

void other_engine_feed(struct other_engine *engine, uint32_t node, struct dsmr_block *block)
{
    enum dsmr_err err = other_engine_verify(engine, node, block, block->epoch);
    DSMR_ASSERT(err == DSMR_OK);
    err = other_engine_accept(engine, node, block);
    DSMR_ASSERT(err == DSMR_OK);
    other_engine_prefer(engine, node, block);
}

void other_engine_feed_all(struct other_engine *engine, struct dsmr_block *block)
{
    for (uint32_t i = 0; i < engine->config.nodes; i++)
        if (dsmr_world_is_up(engine->world, i))
            other_engine_feed(engine, i, block);
}

/* ---- validator sets ---- */

void other_engine_add_epoch(struct other_engine *engine, uint64_t epoch, uint32_t first,
                            uint32_t count)
{
    DSMR_ASSERT(engine->sets_count < OTHER_ENGINE_EPOCHS_MAX);
    engine->sets[engine->sets_count++] = dsmr_sim_bls_set(epoch, first, count, NULL, 0);
}

static void set_known(struct other_engine *engine, uint32_t node, uint64_t epoch, bool is_known)
{
    for (uint32_t i = 0; i < engine->sets_count; i++) {
        if (engine->sets[i]->epoch == epoch) {
            engine->seats[node].has_set[i] = is_known;
            return;
        }
    }
    DSMR_UNREACHABLE();
}

void other_engine_bring(struct other_engine *engine, uint32_t node, uint64_t epoch, bool is_told)
{
    set_known(engine, node, epoch, true);
    if (is_told && dsmr_world_is_up(engine->world, node))
        make_call(engine, node, &(struct call){.kind = AVAILABLE, .context = epoch});
}

void other_engine_bring_all(struct other_engine *engine, uint64_t epoch)
{
    for (uint32_t i = 0; i < engine->config.nodes; i++)
        other_engine_bring(engine, i, epoch, true);
}

void other_engine_take(struct other_engine *engine, uint32_t node, uint64_t epoch)
{
    set_known(engine, node, epoch, false);
}

bool other_engine_serves(const struct other_engine *engine, uint32_t node, uint32_t peer)
{
    return engine->seats[node].serves[peer];
}

/* ---- crash and restart ---- */

void other_engine_crash(struct other_engine *engine, uint32_t node)
{
    dsmr_world_crash(engine->world, node);
    serve(&engine->seats[node], NULL, 0);
}

void other_engine_set_tip(struct other_engine *engine, uint32_t node, uint64_t height,
                          const struct dsmr_id *block_id)
{
    engine->seats[node].tip.height = height;
    engine->seats[node].tip.block_id = *block_id;
}

void other_engine_restart(struct other_engine *engine, uint32_t node)
{
    dsmr_world_restart(engine->world, node);
}

enum dsmr_err other_engine_try_recover(struct other_engine *engine, uint32_t node)
{
    struct seat *seat = &engine->seats[node];
    struct dsmr_driver_config config = seat->config;
    struct dsmr_driver *driver = NULL;
    config.engine_tip = seat->tip;
    config.net.ops = NULL;
    DSMR_ASSERT(!dsmr_world_is_up(engine->world, node));
    enum dsmr_err err = dsmr_driver_new(&driver, &config);
    DSMR_ASSERT(err == DSMR_OK);
    err = dsmr_driver_recover(driver);
    DSMR_ASSERT(dsmr_driver_outstanding(driver) == 0);
    dsmr_driver_free(driver);
    return err;
}
