#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim/sim_accounts.h"
#include "sim/sim_bls.h"
#include "sim/sim_state.h"
#include "wire/codec.h"

#define CHECK_TICK_US UINT64_C(100000)
#define MIXED_BYTES_MAX 512u

/* ---- the hash of the run: FNV-1a over words ---- */

void dsmr_sim_mix(struct dsmr_sim *sim, uint64_t word)
{
    sim->hash = (sim->hash ^ word) * UINT64_C(0x100000001b3);
    sim->hash ^= sim->hash >> 29;
}

void dsmr_sim_mix_bytes(struct dsmr_sim *sim, const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        dsmr_sim_mix(sim, dsmr_load_be64(bytes + at));
    }
    for (; at < len; at++) {
        dsmr_sim_mix(sim, bytes[at]);
    }
}

void dsmr_sim_trace(const struct dsmr_sim *sim, const char *format, ...)
{
    if (!sim->config.is_traced) {
        return;
    }
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%10.3f ", (double)sim->now_us / 1000.0);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static const char *const metric_names[] = {
#define METRIC(id, type, name, help) name,
    DSMR_METRIC_MAP(METRIC)
#undef METRIC
};

void dsmr_sim_trace_metrics(const struct dsmr_sim *sim, uint32_t number)
{
    const struct dsmr_sim_node *node = &sim->nodes[number];
    for (int i = 0; i < DSMR_METRIC_COUNT; i++) {
        uint64_t value = dsmr_metrics_get(&node->metrics, (enum dsmr_metric)i);
        if (value > 0) {
            dsmr_sim_trace(sim, "n%u %s %llu", node->number, metric_names[i],
                           (unsigned long long)value);
        }
    }
    for (uint32_t i = 1; i < DSMR_ERR_NUMBER_MAX; i++) {
        uint64_t value = atomic_load(&node->metrics.errors[i]);
        if (value > 0) {
            dsmr_sim_trace(sim, "n%u errors %s %llu", node->number, dsmr_err_name((enum dsmr_err)i),
                           (unsigned long long)value);
        }
    }
}

/* ---- failures ---- */

void dsmr_sim_fail(struct dsmr_sim *sim, const char *rule, const char *format, ...)
{
    if (sim->failure[0] != '\0') {
        return;
    }
    int used = snprintf(sim->failure, sizeof(sim->failure), "%s at %.3f s: ", rule,
                        (double)sim->now_us / 1e6);
    va_list args;
    va_start(args, format);
    vsnprintf(sim->failure + used, sizeof(sim->failure) - (size_t)used, format, args);
    va_end(args);
    dsmr_sim_trace(sim, "FAILURE %s", sim->failure);
}

bool dsmr_sim_has_failed(const struct dsmr_sim *sim)
{
    return sim->failure[0] != '\0';
}

const char *dsmr_sim_failure(const struct dsmr_sim *sim)
{
    return sim->failure;
}

/* ---- notices ---- */

static void tell_checkers(struct dsmr_sim *sim, uint32_t node, const struct dsmr_notice *notice)
{
    for (uint32_t i = 0; i < sim->checkers_count; i++) {
        const struct dsmr_sim_checker *checker = &sim->checkers[i];
        if (notice->kind == DSMR_NOTICE_EXECUTED && checker->ops->executed != NULL) {
            checker->ops->executed(checker->self, sim, node, notice->u.executed);
        } else if (notice->kind == DSMR_NOTICE_ACCEPTED && checker->ops->accepted != NULL) {
            checker->ops->accepted(checker->self, sim, node, notice->u.block);
        } else if (notice->kind == DSMR_NOTICE_CERTIFIED && checker->ops->certified != NULL) {
            checker->ops->certified(checker->self, sim, node, notice->u.chunk);
        }
    }
}

void dsmr_sim_notice(struct dsmr_sim *sim, uint32_t node, const struct dsmr_notice *notice)
{
    if (notice->kind == DSMR_NOTICE_EXECUTED) {
        const struct dsmr_executed *executed = notice->u.executed;
        dsmr_sim_mix(sim, executed->height);
        dsmr_sim_mix_bytes(sim, executed->state_root.bytes, sizeof(executed->state_root.bytes));
        dsmr_sim_story_did(sim->story, sim->now_us, node, "executes to root", &executed->state_root,
                           executed->height);
    } else if (notice->kind == DSMR_NOTICE_ACCEPTED) {
        dsmr_sim_story_did(sim->story, sim->now_us, node, "accepts block", &notice->u.block->id,
                           notice->u.block->height);
    } else if (notice->kind == DSMR_NOTICE_CERTIFIED) {
        dsmr_sim_story_did(sim->story, sim->now_us, node, "calls certified chunk",
                           &notice->u.chunk->ref.chunk_id, 0);
    }
    if (sim->nodes[node].byz == NULL && !sim->nodes[node].is_dying) {
        tell_checkers(sim, node, notice);
    }
    if (sim->on_notice != NULL) {
        sim->on_notice(sim->notice_ctx, node, notice);
    }
    if (notice->kind == DSMR_NOTICE_SUBMITTED) {
        dsmr_buf_unref(notice->u.batch->bytes);
        free(notice->u.batch);
    }
}

/* ---- making ---- */

static void check_tick(struct dsmr_sim *sim, void *ctx)
{
    (void)ctx;
    for (uint32_t i = 0; i < sim->checkers_count; i++) {
        if (sim->checkers[i].ops->tick != NULL) {
            sim->checkers[i].ops->tick(sim->checkers[i].self, sim);
        }
    }
    dsmr_sim_at(sim, sim->now_us + CHECK_TICK_US, check_tick, NULL);
}

static void make_params(struct dsmr_sim *sim)
{
    struct dsmr_driver_config *tuned = calloc(1, sizeof(*tuned));
    DSMR_ASSERT(tuned != NULL);
    dsmr_params_default(&sim->params);
    sim->params.domain.network_id = 7;
    sim->params.domain.chain_id.bytes[0] = 1;
    tuned->node.params = sim->params;
    if (sim->config.tune != NULL) { /* the parameters are the chain's: all nodes have them */
        sim->config.tune(tuned);
        sim->params = tuned->node.params;
    }
    free(tuned);
    enum dsmr_err err = dsmr_block_genesis(&sim->genesis, &sim->params, DSMR_SIM_START_MS);
    DSMR_ASSERT(err == DSMR_OK);
}

static void make_schedule(struct dsmr_sim *sim)
{
    const struct dsmr_sim_config *config = &sim->config;
    if (config->sets_count == 0) {
        sim->schedule[0].set = dsmr_sim_bls_set(0, 0, config->nodes, NULL, 0);
        sim->schedule_count = 1;
    }
    for (uint32_t i = 0; i < config->sets_count; i++) {
        const struct dsmr_sim_set *set = &config->sets[i];
        DSMR_ASSERT(set->first + set->count <= config->nodes);
        sim->schedule[i].from_height = set->from_height;
        sim->schedule[i].set =
            dsmr_sim_bls_set(set->from_height, set->first, set->count, set->weights, 16);
        sim->schedule_count++;
    }
}

struct dsmr_sim *dsmr_sim_new(const struct dsmr_sim_config *config)
{
    struct dsmr_sim *sim = calloc(1, sizeof(*sim));
    DSMR_ASSERT(sim != NULL);
    DSMR_ASSERT(config->nodes >= 1);
    DSMR_ASSERT(config->nodes <= DSMR_SIM_NODES_MAX);
    sim->config = *config;
    sim->healed_us = UINT64_MAX;
    if (config->link.latency_us == 0 && config->link.jitter_us == 0) {
        sim->config.link.jitter_us = 5000;
    }
    dsmr_prng_init(&sim->net_prng, config->seed * 4 + 1);
    dsmr_prng_init(&sim->disk_prng, config->seed * 4 + 2);
    dsmr_prng_init(&sim->work_prng, config->seed * 4 + 3);
    dsmr_prng_init(&sim->seed_prng, config->seed * 4 + 4);
    dsmr_prng_init(&sim->byz_prng, ~config->seed);
    sim->hash = UINT64_C(0xcbf29ce484222325);
    sim->verdicts = dsmr_sim_verdicts_new();
    dsmr_sim_bls_use_real(config->has_real_crypto);
    make_params(sim);
    if (config->engine == DSMR_SIM_SNOW) {
        dsmr_sim_snow_sets(&sim->config);
    }
    make_schedule(sim);
    dsmr_sim_accounts_genesis(sim->app_genesis, sizeof(sim->app_genesis),
                              config->app == DSMR_SIM_TRANSFERS);
    size_t bodies_max = config->nodes + DSMR_SIM_TWINS_MAX;
    sim->nodes = calloc(bodies_max, sizeof(*sim->nodes));
    sim->paths = calloc(bodies_max * bodies_max, sizeof(*sim->paths));
    DSMR_ASSERT(sim->nodes != NULL && sim->paths != NULL);
    sim->story = dsmr_sim_story_new((uint32_t)bodies_max, config->is_traced);
    sim->busy = UINT32_MAX;
    for (uint32_t i = 0; i < config->nodes; i++) {
        dsmr_sim_node_init(sim, i, i);
    }
    sim->bodies = config->nodes;
    sim->snow = config->engine == DSMR_SIM_SNOW ? dsmr_sim_snow_new(sim) : NULL;
    for (uint32_t i = 0; i < config->nodes; i++) {
        dsmr_sim_restart(sim, i);
    }
    dsmr_sim_at(sim, CHECK_TICK_US, check_tick, NULL);
    return sim;
}

static void free_item(struct dsmr_sim_event *event)
{
    if (event->kind == DSMR_SIM_ARRIVAL) {
        struct dsmr_sim_item *item = event->item;
        dsmr_buf_unref(item->bytes);
        free(item);
    }
}

void dsmr_sim_free(struct dsmr_sim *sim)
{
    struct dsmr_sim_event event;
    for (uint32_t i = 0; i < sim->bodies; i++) {
        dsmr_sim_node_close(sim, i);
    }
    while (dsmr_sim_queue_pop(&sim->queue, &event)) {
        free_item(&event);
    }
    dsmr_sim_queue_close(&sim->queue);
    dsmr_sim_snow_free(sim->snow);
    for (uint32_t i = 0; i < sim->checkers_count; i++) {
        sim->checkers[i].ops->free(sim->checkers[i].self);
    }
    for (uint32_t i = 0; i < sim->schedule_count; i++) {
        dsmr_validator_set_unref(sim->schedule[i].set);
    }
    dsmr_block_unref(sim->genesis);
    dsmr_sim_story_free(sim->story);
    dsmr_sim_verdicts_free(sim->verdicts);
    free(sim->nodes);
    free(sim->paths);
    free(sim);
}

/* ---- running ---- */

/* Of the long messages of a wide network only the beginning, which names the rest by its hash. */
static void mix_message(struct dsmr_sim *sim, const struct dsmr_buf *bytes)
{
    bool is_long = dsmr_sim_wan_is_on(sim) && bytes->len > MIXED_BYTES_MAX;
    dsmr_sim_mix_bytes(sim, bytes->bytes, is_long ? MIXED_BYTES_MAX : bytes->len);
}

static void handle(struct dsmr_sim *sim, struct dsmr_sim_event *event)
{
    sim->busy = event->kind == DSMR_SIM_ACT ? UINT32_MAX : event->node;
    if (event->kind == DSMR_SIM_ACT) {
        event->act(sim, event->item);
        return;
    }
    struct dsmr_sim_node *node = &sim->nodes[event->node];
    if (event->kind == DSMR_SIM_BYZ) { /* a liar goes on lying after a crash */
        dsmr_sim_byz_tick(sim, event->node);
        return;
    }
    if (node->driver == NULL || node->life != event->life) {
        free_item(event);
        return;
    }
    switch (event->kind) {
    case DSMR_SIM_ARRIVAL: {
        struct dsmr_sim_item *item = event->item;
        if (item->bytes != NULL && !item->is_held) {
            mix_message(sim, item->bytes);
        }
        if (!dsmr_sim_wan_is_on(sim) || !dsmr_sim_wan_holds(node, event)) {
            dsmr_sim_node_push(node, item);
        }
        break;
    }
    case DSMR_SIM_LOGIC:
        dsmr_sim_node_logic(node);
        break;
    case DSMR_SIM_TICK:
        if (node->tick_us == event->due_us) {
            dsmr_sim_node_tick(node);
        }
        break;
    case DSMR_SIM_WORK:
        dsmr_sim_work_done(node, event->a);
        break;
    case DSMR_SIM_SYNC:
        dsmr_sim_node_synced(node);
        break;
    case DSMR_SIM_UPLINK:
        dsmr_sim_net_uplink_free(node);
        break;
    case DSMR_SIM_PIPE:
        dsmr_sim_wan_on_pipe(node, event->due_us);
        break;
    case DSMR_SIM_BYZ:
    case DSMR_SIM_ACT:
        DSMR_UNREACHABLE();
    }
}

static bool step(struct dsmr_sim *sim, uint64_t until_us)
{
    struct dsmr_sim_event event;
    if (dsmr_sim_queue_due_us(&sim->queue) > until_us || dsmr_sim_has_failed(sim) ||
        !dsmr_sim_queue_pop(&sim->queue, &event)) {
        return false;
    }
    sim->now_us = event.due_us;
    sim->events++;
    dsmr_sim_mix(sim, event.due_us);
    dsmr_sim_mix(sim, (uint64_t)event.kind << 32 | event.node);
    handle(sim, &event);
    return true;
}

bool dsmr_sim_run(struct dsmr_sim *sim, bool (*holds)(struct dsmr_sim *, void *), void *ctx,
                  uint64_t us)
{
    uint64_t until_us = sim->now_us + us;
    if (holds != NULL && holds(sim, ctx)) {
        return true;
    }
    while (step(sim, until_us)) {
        if (holds != NULL && holds(sim, ctx)) {
            return true;
        }
    }
    if (!dsmr_sim_has_failed(sim)) {
        sim->now_us = until_us;
    }
    return holds == NULL && !dsmr_sim_has_failed(sim);
}

void dsmr_sim_pass(struct dsmr_sim *sim, uint64_t us)
{
    (void)dsmr_sim_run(sim, NULL, NULL, us);
}

void dsmr_sim_at(struct dsmr_sim *sim, uint64_t at_us, void (*act)(struct dsmr_sim *, void *),
                 void *ctx)
{
    dsmr_sim_queue_push(
        &sim->queue,
        (struct dsmr_sim_event){.due_us = at_us, .kind = DSMR_SIM_ACT, .act = act, .item = ctx});
}

/* ---- looking ---- */

uint64_t dsmr_sim_now_us(const struct dsmr_sim *sim)
{
    return sim->now_us;
}

uint64_t dsmr_sim_wall_ms(const struct dsmr_sim *sim)
{
    return DSMR_SIM_START_MS + sim->now_us / 1000;
}

bool dsmr_sim_is_up(const struct dsmr_sim *sim, uint32_t node)
{
    return sim->nodes[node].driver != NULL;
}

struct dsmr_driver *dsmr_sim_driver(struct dsmr_sim *sim, uint32_t node)
{
    return sim->nodes[node].driver;
}

struct dsmr_metrics *dsmr_sim_metrics(struct dsmr_sim *sim, uint32_t node)
{
    return &sim->nodes[node].metrics;
}

void dsmr_sim_status(struct dsmr_sim *sim, uint32_t node, struct dsmr_query_status *out)
{
    struct dsmr_query query = dsmr_driver_query_port(sim->nodes[node].driver);
    query.ops->status(query.self, out);
}

uint64_t dsmr_sim_port_calls(const struct dsmr_sim *sim, uint32_t node)
{
    return sim->nodes[node].port_calls;
}

struct dsmr_sim_snow *dsmr_sim_engine(const struct dsmr_sim *sim)
{
    return sim->snow;
}

uint64_t dsmr_sim_hash(const struct dsmr_sim *sim)
{
    return sim->hash;
}

uint64_t dsmr_sim_messages(const struct dsmr_sim *sim)
{
    return sim->messages;
}

uint64_t dsmr_sim_events(const struct dsmr_sim *sim)
{
    return sim->events;
}

void dsmr_sim_usage(const struct dsmr_sim *sim, uint32_t node, struct dsmr_sim_usage *out)
{
    *out = sim->nodes[node].usage;
    out->bytes_stored = dsmr_sim_store_written(sim->nodes[node].store);
}

/* ---- for checkers ---- */

void dsmr_sim_check_add(struct dsmr_sim *sim, const struct dsmr_sim_checker_ops *ops)
{
    DSMR_ASSERT(sim->checkers_count < DSMR_SIM_CHECKERS_MAX);
    sim->checkers[sim->checkers_count++] =
        (struct dsmr_sim_checker){.ops = ops, .self = ops->make(sim)};
}

void dsmr_sim_check_end(struct dsmr_sim *sim)
{
    for (uint32_t i = 0; i < sim->checkers_count; i++) {
        if (sim->checkers[i].ops->end != NULL) {
            sim->checkers[i].ops->end(sim->checkers[i].self, sim);
        }
    }
}

bool dsmr_sim_check_is_honest(const struct dsmr_sim *sim, uint32_t node)
{
    return sim->nodes[node].byz == NULL;
}

uint32_t dsmr_sim_check_nodes(const struct dsmr_sim *sim)
{
    return sim->config.nodes;
}

bool dsmr_sim_check_is_transfers(const struct dsmr_sim *sim)
{
    return sim->config.app == DSMR_SIM_TRANSFERS;
}

const struct dsmr_block *dsmr_sim_check_genesis(const struct dsmr_sim *sim)
{
    return sim->genesis;
}

const struct dsmr_validator_set *dsmr_sim_check_set(const struct dsmr_sim *sim, uint64_t epoch)
{
    return dsmr_sim_byz_set_of(sim, epoch);
}

bool dsmr_sim_check_has_contexts(const struct dsmr_sim *sim)
{
    return sim->snow != NULL;
}

uint64_t dsmr_sim_check_context(const struct dsmr_sim *sim, const struct dsmr_block *block)
{
    uint64_t context = DSMR_EPOCH_NONE;
    return dsmr_sim_snow_context(sim->snow, block, &context) ? context : DSMR_EPOCH_NONE;
}

const struct dsmr_params *dsmr_sim_check_params(const struct dsmr_sim *sim)
{
    return &sim->params;
}

const struct dsmr_sim_config *dsmr_sim_check_config(const struct dsmr_sim *sim)
{
    return &sim->config;
}

bool dsmr_sim_check_has_chunk(const struct dsmr_sim *sim, uint32_t node,
                              const struct dsmr_id *chunk_id)
{
    return dsmr_sim_store_has_chunk(sim->nodes[node].store, chunk_id);
}

bool dsmr_sim_check_can_serve(const struct dsmr_sim *sim, uint32_t node,
                              const struct dsmr_id *chunk_id)
{
    return dsmr_mem_disk_can_read(dsmr_sim_store_disk(sim->nodes[node].store), chunk_id);
}

bool dsmr_sim_check_was_damaged(const struct dsmr_sim *sim, uint32_t node,
                                const struct dsmr_id *chunk_id)
{
    return dsmr_mem_disk_was_damaged(dsmr_sim_store_disk(sim->nodes[node].store), chunk_id);
}

struct dsmr_bls_sig dsmr_sim_check_signature(uint32_t number, const void *bytes, size_t len)
{
    struct dsmr_bls_sig sig;
    dsmr_sim_bls_sign(&sig, number, bytes, len);
    return sig;
}

void dsmr_sim_check_add_signature(struct dsmr_bls_sig *sum, const struct dsmr_bls_sig *sig)
{
    dsmr_sim_bls_add(sum, sig);
}

uint32_t dsmr_sim_check_number(const struct dsmr_node_id *id)
{
    return dsmr_sim_net_number(id);
}

uint64_t dsmr_sim_check_stored_bytes(const struct dsmr_sim *sim, uint32_t node)
{
    return dsmr_sim_store_bytes(sim->nodes[node].store);
}

uint64_t dsmr_sim_check_wall_ms(const struct dsmr_sim *sim, uint32_t node)
{
    return dsmr_sim_node_wall_ms(&sim->nodes[node]);
}

uint64_t dsmr_sim_check_latest_ms(const struct dsmr_sim *sim, uint32_t node)
{
    return sim->nodes[node].latest_ms;
}

uint64_t dsmr_sim_check_steady_us(const struct dsmr_sim *sim, uint32_t number)
{
    const struct dsmr_sim_node *node = &sim->nodes[number];
    bool is_steady = node->driver != NULL && !node->is_paused;
    return is_steady ? sim->now_us - node->steady_since_us : 0;
}

bool dsmr_sim_check_has_bad_disk(const struct dsmr_sim *sim, uint32_t node)
{
    return sim->nodes[node].has_bad_disk;
}

uint64_t dsmr_sim_check_healed_ms(const struct dsmr_sim *sim)
{
    return sim->healed_us == UINT64_MAX ? UINT64_MAX : DSMR_SIM_START_MS + sim->healed_us / 1000;
}

void dsmr_sim_check_mempool(const struct dsmr_sim *sim, uint32_t node, uint64_t *bytes_max,
                            uint64_t *txs_max)
{
    *bytes_max = sim->nodes[node].mempool_bytes_max;
    *txs_max = sim->nodes[node].mempool_txs_max;
}
