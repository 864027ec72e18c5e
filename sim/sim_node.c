/* sim_node.c - one node: its ports, its logic thread, its lives. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim/sim_bls.h"
#include "sim/sim_state.h"
#include "vm/opaque.h"
#include "vm/transfers.h"

/* ---- clock ---- */

static int64_t drift_us(const struct dsmr_sim_node *node)
{
    return (int64_t)(node->sim->now_us - node->drift_from_us) * node->drift_ppm / 1000000;
}

uint64_t dsmr_sim_node_mono_us(const struct dsmr_sim_node *node)
{
    return node->sim->now_us + (uint64_t)(node->mono_ahead_us + drift_us(node)) + 1000;
}

static uint64_t mono_ms(void *self)
{
    return dsmr_sim_node_mono_us(self) / 1000;
}

uint64_t dsmr_sim_node_wall_ms(const struct dsmr_sim_node *node)
{
    int64_t us = (int64_t)node->sim->now_us + drift_us(node);
    return (uint64_t)((int64_t)DSMR_SIM_START_MS + us / 1000 + node->skew_ms);
}

static uint64_t wall_ms(void *self)
{
    struct dsmr_sim_node *node = self;
    uint64_t now_ms = dsmr_sim_node_wall_ms(node);
    node->latest_ms = now_ms > node->latest_ms ? now_ms : node->latest_ms;
    return now_ms;
}

void dsmr_sim_set_clock(struct dsmr_sim *sim, uint32_t number, int64_t skew_ms, int32_t drift_ppm)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    node->mono_ahead_us += drift_us(node);
    node->drift_from_us = sim->now_us;
    node->drift_ppm = drift_ppm;
    node->skew_ms = skew_ms;
}

/* ---- the logic thread ---- */

bool dsmr_sim_node_port_call(struct dsmr_sim_node *node)
{
    node->port_calls++;
    if (node->port_calls >= node->crash_at) {
        node->is_dying = true;
    }
    return !node->is_dying;
}

static void start_logic(struct dsmr_sim_node *node, uint64_t in_us)
{
    node->is_logic_busy = true;
    dsmr_sim_queue_push(&node->sim->queue,
                        (struct dsmr_sim_event){.due_us = node->sim->now_us + in_us,
                                                .kind = DSMR_SIM_LOGIC,
                                                .node = node->number,
                                                .life = node->life});
}

void dsmr_sim_node_push(struct dsmr_sim_node *node, struct dsmr_sim_item *item)
{
    item->next = NULL;
    item->queued_us = node->sim->now_us;
    *node->inbox_end = item;
    node->inbox_end = &item->next;
    if (!node->is_logic_busy && !node->is_paused) {
        start_logic(node, dsmr_sim_cpu_logic_wait_us(node));
    }
}

void dsmr_sim_node_push_task(struct dsmr_sim_node *node, struct dsmr_task *task)
{
    struct dsmr_sim_item *item = malloc(sizeof(*item));
    DSMR_ASSERT(item != NULL);
    *item = (struct dsmr_sim_item){.task = task};
    dsmr_sim_node_push(node, item);
}

struct call { /* what the net adapter would bring through the inbox */
    struct dsmr_task task;
    struct dsmr_buf *bytes;
    uint32_t from;
    bool is_up;
};

static void call_done(struct dsmr_task *task, void *owner)
{
    struct call *call = (struct call *)task;
    struct dsmr_node_id from = dsmr_sim_bls_node_id(call->from);
    if (call->bytes != NULL) {
        dsmr_driver_net_handler()->message(owner, &from, call->bytes);
    } else {
        dsmr_driver_net_handler()->peer(owner, &from, call->is_up);
    }
}

/* Whether the liar behind this node lets its honest code see the message. */
static bool may_enter(struct dsmr_sim_node *node, const struct dsmr_sim_item *item)
{
    struct dsmr_msg msg;
    if (item->bytes == NULL || node->byz == NULL || node->byz->receives == NULL) {
        return true;
    }
    return dsmr_msg_decode(&msg, item->bytes->bytes, item->bytes->len) != DSMR_OK ||
           node->byz->receives(node->byz_self, node->sim, node->number,
                               node->sim->nodes[item->from].identity, &msg, item->bytes);
}

/* Looks at a node after each event: invariants, halts, a crash that was asked for, its next tick.
 */
static void after_event(struct dsmr_sim_node *node)
{
    struct dsmr_sim *sim = node->sim;
    const char *reason = "";
    if (node->is_dying) {
        dsmr_sim_crash(sim, node->number);
        return;
    }
    enum dsmr_err halted = dsmr_driver_halted(node->driver, &reason);
    if (halted != DSMR_OK) {
        /* Fail-stop is right then; else only a liar may get itself into it. */
        if (!node->has_bad_disk && node->byz == NULL) {
            dsmr_sim_fail(sim, "X1", "node %u has halted: %s", node->number, reason);
        }
        dsmr_sim_trace(sim, "n%u halts: %s", node->number, reason);
        dsmr_sim_crash(sim, node->number);
        return;
    }
    if ((sim->events & 1023u) == 0 && !sim->config.is_unchecked) {
        dsmr_driver_check(node->driver);
    }
    uint64_t deadline_ms = dsmr_driver_deadline_ms(node->driver);
    if (deadline_ms == UINT64_MAX) {
        return;
    }
    uint64_t mono_us = dsmr_sim_node_mono_us(node);
    uint64_t wait_us = deadline_ms > mono_us / 1000 ? deadline_ms * 1000 - mono_us : 0;
    /* A slow clock needs longer. */
    uint64_t slow_ppm = node->drift_ppm < 0 ? (uint64_t)-node->drift_ppm : 0;
    wait_us += wait_us * slow_ppm / (1000000 - slow_ppm) + (wait_us > 0);
    uint64_t at_us = sim->now_us + wait_us;
    if (at_us < node->tick_us) {
        node->tick_us = at_us;
        dsmr_sim_queue_push(&sim->queue, (struct dsmr_sim_event){.due_us = at_us,
                                                                 .kind = DSMR_SIM_TICK,
                                                                 .node = node->number,
                                                                 .life = node->life});
    }
}

void dsmr_sim_node_logic(struct dsmr_sim_node *node)
{
    struct dsmr_sim_item *item = node->inbox;
    node->is_logic_busy = false;
    if (item == NULL || node->is_paused) {
        return;
    }
    node->inbox = item->next;
    node->inbox_end = node->inbox == NULL ? &node->inbox : node->inbox_end;
    uint64_t sends = node->sends;
    bool is_message = item->bytes != NULL;
    node->usage.logic_wait_us += node->sim->now_us - item->queued_us;
    node->usage.logic_items++;
    if (is_message) {
        node->usage.bytes_received += item->bytes->len;
        dsmr_sim_story_received(node->sim->story, node->sim->now_us, node->number, item->from,
                                item->bytes);
    }
    uint32_t kind =
        !is_message || item->bytes->len == 0 ? DSMR_SIM_PROBE_TASK : item->bytes->bytes[0] % 30u;
    dsmr_sim_probe_begin();
    if (item->task != NULL) {
        dsmr_driver_task(node->driver, item->task);
    } else if (may_enter(node, item)) {
        struct call call = {.task.done = call_done,
                            .bytes = item->bytes,
                            .from = node->sim->nodes[item->from].identity,
                            .is_up = item->is_up};
        dsmr_driver_task(node->driver, &call.task);
    }
    dsmr_sim_probe_end(kind);
    dsmr_sim_cpu_logic(node, item, node->sends - sends);
    dsmr_buf_unref(item->bytes);
    free(item);
    uint32_t life = node->life;
    after_event(node);
    if (node->driver != NULL && node->life == life && node->inbox != NULL && !node->is_logic_busy) {
        start_logic(node, dsmr_sim_cpu_logic_wait_us(node));
    }
}

void dsmr_sim_node_tick(struct dsmr_sim_node *node)
{
    node->tick_us = UINT64_MAX;
    if (!node->is_paused) {
        uint64_t sends = node->sends;
        dsmr_sim_probe_begin();
        dsmr_driver_tick(node->driver);
        dsmr_sim_probe_end(DSMR_SIM_PROBE_TICK);
        dsmr_sim_cpu_logic(node, NULL, node->sends - sends);
        after_event(node);
    }
}

void dsmr_sim_pause(struct dsmr_sim *sim, uint32_t number, bool is_paused)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    if (node->driver == NULL || node->is_paused == is_paused) {
        return;
    }
    node->is_paused = is_paused;
    if (!is_paused) {
        node->steady_since_us = sim->now_us;
        dsmr_sim_work_start(node);
        if (!node->is_logic_busy && node->inbox != NULL) {
            start_logic(node, 0);
        }
        dsmr_sim_node_tick(node);
    }
}

/* ---- other ports ---- */

static bool store_queued(void *ctx)
{
    struct dsmr_sim_node *node = ctx;
    struct dsmr_sim *sim = node->sim;
    if (!dsmr_sim_node_port_call(node)) {
        return false;
    }
    uint64_t bytes = dsmr_sim_store_begin_sync(node->store);
    uint64_t min_us = sim->config.sync_us_min, max_us = sim->config.sync_us_max;
    max_us = max_us == 0 ? 3000 : max_us;
    uint64_t takes_us = min_us + dsmr_prng_below(&sim->disk_prng, max_us - min_us + 1) +
                        dsmr_sim_cpu_sync_us(node, bytes) + dsmr_sim_disk_extra_us(node);
    node->usage.disk_us += takes_us;
    dsmr_sim_queue_push(&sim->queue, (struct dsmr_sim_event){.due_us = sim->now_us + takes_us,
                                                             .kind = DSMR_SIM_SYNC,
                                                             .node = node->number,
                                                             .life = node->life});
    return true;
}

static enum dsmr_err validators_get(void *self, struct dsmr_validator_set **out, uint64_t epoch)
{
    const struct dsmr_sim_node *node = self;
    const struct dsmr_sim *sim = node->sim;
    struct dsmr_validator_set *set = dsmr_sim_byz_set_of(sim, epoch);
    if (set == NULL ||
        (sim->snow != NULL && !dsmr_sim_snow_has_set(sim->snow, node->number, epoch))) {
        return DSMR_ERR_EPOCH_UNKNOWN;
    }
    *out = dsmr_validator_set_ref(set);
    return DSMR_OK;
}

static void feed_publish(void *self, const struct dsmr_notice *notice)
{
    struct dsmr_sim_node *node = self;
    dsmr_sim_probe_pause();
    dsmr_sim_cpu_notice(node, notice);
    dsmr_sim_notice(node->sim, node->number, notice);
    dsmr_sim_probe_resume();
}

static const struct dsmr_clock_ops clock_ops = {.wall_ms = wall_ms, .mono_ms = mono_ms};
static const struct dsmr_validators_ops validators_ops = {.get = validators_get};
static const struct dsmr_feed_ops feed_ops = {.publish = feed_publish};

/* ---- lives ---- */

static void configure_core(const struct dsmr_sim *sim, const struct dsmr_sim_node *node,
                           struct dsmr_driver_config *config)
{
    config->node.params = sim->params;
    config->node.node_id = dsmr_sim_bls_node_id(node->identity);
    config->node.validators_max = sim->config.nodes;
    config->node.mempool_bytes_max = 1u << 20;
    config->node.mempool_txs_max = 4096;
    config->node.chunk_cache_bytes_max = 8u << 20;
    config->node.retry_ms = 200;
    config->node.fetch_timeout_ms = 200;
    config->node.fetches_max = 8;
    config->node.can_produce = true;
    config->bft.params = sim->params;
    config->bft.node_id = config->node.node_id;
    config->bft.schedule = sim->schedule;
    config->bft.schedule_count = sim->schedule_count;
    config->bft.view_timeout_ms = 500;
    config->bft.view_timeout_max_ms = 8000;
    config->bft.retry_ms = 200;
}

static void configure(struct dsmr_sim *sim, struct dsmr_sim_node *node,
                      struct dsmr_driver_config *config)
{
    memset(config, 0, sizeof(*config));
    configure_core(sim, node, config);
    config->node.seed = dsmr_prng_next(&sim->seed_prng);
    config->bft.seed = dsmr_prng_next(&sim->seed_prng);
    config->genesis = sim->genesis;
    config->app_genesis = sim->app_genesis;
    config->app_genesis_len = strlen(sim->app_genesis);
    config->disk_low_bytes = 1;
    config->submits_max = 4096;
    config->submit_bytes_max = 1u << 20;
    config->store = dsmr_sim_store_port(node->store);
    config->kv = dsmr_sim_kv_port(&node->sim_kv);
    config->net = dsmr_sim_net_port(node);
    config->work = dsmr_sim_work_port(node);
    config->clock = (struct dsmr_clock){.self = node, .ops = &clock_ops};
    config->validators = (struct dsmr_validators){.self = node, .ops = &validators_ops};
    node->signer = dsmr_sim_bls_signer(&node->identity);
    config->signer = dsmr_sim_cpu_signer(&node->signer);
    config->app = node->app_wrapped;
    config->feed = (struct dsmr_feed){.self = node, .ops = &feed_ops};
    config->bls = &dsmr_sim_cpu_bls;
    config->metrics = &node->metrics;
    if (sim->snow != NULL) {
        dsmr_sim_snow_configure(sim->snow, node->number, config);
    }
    if (sim->config.tune != NULL) {
        sim->config.tune(config);
    }
}

static void tell_started(struct dsmr_sim_node *node)
{
    struct dsmr_sim *sim = node->sim;
    struct dsmr_query_status status;
    dsmr_sim_status(sim, node->number, &status);
    for (uint32_t i = 0; node->byz == NULL && i < sim->checkers_count; i++) {
        if (sim->checkers[i].ops->started != NULL) {
            sim->checkers[i].ops->started(sim->checkers[i].self, sim, node->number,
                                          status.executed_height);
        }
    }
}

static void start(struct dsmr_sim_node *node)
{
    struct dsmr_sim *sim = node->sim;
    struct dsmr_driver_config config;
    struct dsmr_transfers_config transfers = {.domain = sim->params.domain};
    DSMR_ASSERT(node->driver == NULL);
    enum dsmr_err err = sim->config.app == DSMR_SIM_OPAQUE
                            ? dsmr_opaque_new(&node->app)
                            : dsmr_transfers_new(&node->app, &transfers);
    DSMR_ASSERT(err == DSMR_OK);
    dsmr_sim_work_wrap_app(node);
    configure(sim, node, &config);
    node->mempool_bytes_max = config.node.mempool_bytes_max;
    node->mempool_txs_max = config.node.mempool_txs_max;
    node->steady_since_us = sim->now_us;
    dsmr_sim_kv_restarted(&node->sim_kv);
    node->life++;
    err = dsmr_driver_new(&node->driver, &config);
    DSMR_ASSERT(err == DSMR_OK);
    err = dsmr_driver_recover(node->driver);
    if (err != DSMR_OK && dsmr_sim_kv_is_bad(&node->sim_kv)) {
        dsmr_sim_crash(sim, node->number); /* the state of genesis could not be written */
        return;
    }
    if (err != DSMR_OK) {
        dsmr_sim_fail(sim, "X2", "node %u does not come back: %s", node->number,
                      dsmr_err_text(err));
        return;
    }
    node->has_bad_disk =
        dsmr_sim_disk_may_halt(node->store_state) || dsmr_sim_kv_is_bad(&node->sim_kv);
    tell_started(node);
    if (sim->snow != NULL) {
        dsmr_sim_snow_started(sim->snow, node->number);
    }
    dsmr_sim_net_started(sim, node->number);
    after_event(node);
}

static void on_durable(void *ctx, const struct dsmr_store_write *write)
{
    struct dsmr_sim_node *node = ctx;
    struct dsmr_sim *sim = node->sim;
    dsmr_sim_story_stored(sim->story, sim->now_us, node->number, write);
    for (uint32_t i = 0; node->byz == NULL && i < sim->checkers_count; i++) {
        const struct dsmr_sim_checker *checker = &sim->checkers[i];
        if (checker->ops->stored != NULL) {
            checker->ops->stored(checker->self, sim, node->number, write);
        }
    }
}

void dsmr_sim_node_synced(struct dsmr_sim_node *node)
{
    bool has_more = false;
    struct dsmr_task *task =
        dsmr_sim_store_end_sync(node->store, &node->sim->disk_prng, on_durable, node, &has_more);
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        dsmr_sim_node_push_task(node, task);
        task = next;
    }
    if (has_more) {
        (void)store_queued(node);
    }
}

static void drop_inbox(struct dsmr_sim_node *node)
{
    while (node->inbox != NULL) {
        struct dsmr_sim_item *item = node->inbox;
        node->inbox = item->next;
        if (item->task != NULL) {
            item->task->done(item->task, node->driver);
        }
        dsmr_buf_unref(item->bytes);
        free(item);
    }
    node->inbox_end = &node->inbox;
}

static void drop_outbox(struct dsmr_sim_node *node)
{
    for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++) {
        while (node->out[cls] != NULL) {
            struct dsmr_sim_out *out = node->out[cls];
            node->out[cls] = out->next;
            dsmr_buf_unref(out->bytes);
            free(out);
        }
        node->out_end[cls] = &node->out[cls];
        node->out_bytes[cls] = 0;
    }
    node->is_sending = false;
    dsmr_sim_wan_stopped(node);
    dsmr_sim_net_forget(node);
}

void dsmr_sim_crash(struct dsmr_sim *sim, uint32_t number)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    DSMR_ASSERT(node->driver != NULL);
    dsmr_sim_story_did(sim->story, sim->now_us, number, "is down", NULL, 0);
    node->is_dying = true;
    dsmr_driver_close(node->driver);
    dsmr_sim_work_drop_all(node);
    drop_inbox(node);
    struct dsmr_task *task = dsmr_sim_store_crash(node->store, &sim->disk_prng, on_durable, node);
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        task->done(task, node->driver);
        task = next;
    }
    drop_outbox(node);
    dsmr_driver_free(node->driver);
    node->driver = NULL;
    node->app.ops->free(node->app.self);
    node->is_dying = false;
    node->is_paused = false;
    node->is_logic_busy = false;
    node->crash_at = UINT64_MAX;
    node->tick_us = UINT64_MAX;
    node->life++;
    dsmr_sim_net_stopped(sim, number);
    if (sim->snow != NULL) {
        dsmr_sim_snow_stopped(sim->snow, number);
    }
}

void dsmr_sim_restart(struct dsmr_sim *sim, uint32_t node)
{
    dsmr_sim_story_did(sim->story, sim->now_us, node, "starts", NULL, 0);
    start(&sim->nodes[node]);
}

static void make_disk(struct dsmr_sim_node *node)
{
    node->store = dsmr_sim_store_new();
    node->kv = dsmr_kv_mem_new();
    node->sim_kv.inner = dsmr_kv_mem_port(node->kv);
    node->sim_kv.prng = &node->sim->disk_prng;
    dsmr_sim_store_on_queued(node->store, store_queued, node);
    dsmr_sim_store_set_counts(node->store, &node->disk_counts);
}

void dsmr_sim_wipe(struct dsmr_sim *sim, uint32_t number)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    DSMR_ASSERT(node->driver == NULL);
    dsmr_sim_store_free(node->store);
    dsmr_kv_mem_free(node->kv);
    make_disk(node);
    if (sim->snow != NULL) {
        dsmr_sim_snow_wiped(sim->snow, number);
    }
    for (uint32_t i = 0; i < sim->checkers_count; i++) {
        if (sim->checkers[i].ops->wiped != NULL) {
            sim->checkers[i].ops->wiped(sim->checkers[i].self, sim, number);
        }
    }
}

void dsmr_sim_crash_after(struct dsmr_sim *sim, uint32_t node, uint64_t port_calls)
{
    sim->nodes[node].crash_at = sim->nodes[node].port_calls + port_calls;
}

struct dsmr_sim_link dsmr_sim_node_link(const struct dsmr_sim *sim, uint32_t from, uint32_t to)
{
    struct dsmr_sim_link link = sim->config.link;
    if (sim->config.link_of != NULL) {
        sim->config.link_of(sim->nodes[from].identity, sim->nodes[to].identity, &link);
    }
    return link;
}

static void init_path(struct dsmr_sim *sim, uint32_t from, uint32_t to)
{
    dsmr_sim_net_path(sim, from, to)->link = dsmr_sim_node_link(sim, from, to);
}

/* As `dsmrd init` leaves it: docs/bft.md, rule 17.6. A wipe takes that away for good. */
static void make_first_disk(struct dsmr_sim *sim, struct dsmr_sim_node *node)
{
    struct dsmr_bft_never_voted record;
    struct dsmr_store_write write = {.kind = DSMR_STORE_BFT_PUT};
    make_disk(node);
    dsmr_bft_never_voted(&record, sim->schedule[0].set->epoch);
    write.u.bft.key = record.key;
    write.u.bft.key_len = sizeof(record.key);
    write.u.bft.value = record.value;
    write.u.bft.value_len = sizeof(record.value);
    dsmr_sim_store_put(node->store, &write);
}

void dsmr_sim_node_init(struct dsmr_sim *sim, uint32_t number, uint32_t identity)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    node->sim = sim;
    node->number = number;
    node->identity = identity;
    node->crash_at = UINT64_MAX;
    node->tick_us = UINT64_MAX;
    node->inbox_end = &node->inbox;
    for (int lane = 0; lane < DSMR_WORK_LANES; lane++) {
        node->work_end[lane] = &node->work[lane];
    }
    for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++) {
        node->out_end[cls] = &node->out[cls];
    }
    node->uplink_bytes_per_s = sim->config.uplink_bytes_per_s;
    dsmr_sim_wan_init(node);
    make_first_disk(sim, node);
    for (uint32_t i = 0; i < number; i++) {
        init_path(sim, i, number);
        init_path(sim, number, i);
    }
}

void dsmr_sim_node_close(struct dsmr_sim *sim, uint32_t number)
{
    struct dsmr_sim_node *node = &sim->nodes[number];
    if (dsmr_sim_has_failed(sim)) {
        dsmr_sim_trace_metrics(sim, number);
    }
    if (node->driver != NULL) {
        dsmr_sim_crash(sim, number);
    }
    if (node->byz != NULL && node->byz->free != NULL) {
        node->byz->free(node->byz_self);
    }
    dsmr_sim_wan_close(node);
    dsmr_sim_net_forget(node);
    dsmr_sim_store_free(node->store);
    dsmr_kv_mem_free(node->kv);
}
