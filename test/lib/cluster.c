#include "lib/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "lib/cluster_item.h"
#include "sim/sim_bls.h"
#include "wire/codec.h"

#define CHECKED_CHUNKS 64u

/* ---- the heap of what is to come ---- */
static bool is_before(const struct cluster_item *a, const struct cluster_item *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap_items(struct cluster *cluster, uint32_t a, uint32_t b)
{
    struct cluster_item item = cluster->items[a];
    cluster->items[a] = cluster->items[b];
    cluster->items[b] = item;
}

/* Inserts with its time and order as they are. */
static void insert(struct cluster *cluster, const struct cluster_item *item)
{
    if (cluster->items_count == cluster->items_capacity) {
        cluster->items_capacity = cluster->items_capacity == 0 ? 256 : cluster->items_capacity * 2;
        cluster->items =
            realloc(cluster->items, cluster->items_capacity * sizeof(cluster->items[0]));
        DSMR_ASSERT(cluster->items != NULL);
    }
    uint32_t at = cluster->items_count++;
    cluster->items[at] = *item;
    while (at > 0 && is_before(&cluster->items[at], &cluster->items[(at - 1) / 2])) {
        swap_items(cluster, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

void cluster_push(struct cluster *cluster, struct cluster_item *item, uint64_t delay_ms)
{
    item->at_ms = cluster->mono_ms + delay_ms;
    item->order = cluster->items_made++;
    insert(cluster, item);
}

static struct cluster_item pop_item(struct cluster *cluster)
{
    struct cluster_item first = cluster->items[0];
    cluster->items[0] = cluster->items[--cluster->items_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < cluster->items_count &&
                is_before(&cluster->items[child], &cluster->items[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        swap_items(cluster, at, least);
        at = least;
    }
}

static void drop_item(struct cluster_item *item)
{
    dsmr_buf_unref(item->bytes);
    dsmr_plan_unref(item->plan);
    free(item->errs);
    if (item->kind == CLUSTER_ANSWER &&
        (item->event.kind == DSMR_EV_CHUNK_VERIFIED || item->event.kind == DSMR_EV_CHUNK_LOADED)) {
        dsmr_chunk_unref(item->event.u.chunk);
    }
    if (item->kind == CLUSTER_ANSWER && item->event.kind == DSMR_EV_BLOCK_LOADED) {
        dsmr_block_unref(item->event.u.block);
    }
    if (item->has_store) {
        struct dsmr_effects one = {.items = &item->store, .count = 1};
        dsmr_effects_clear(&one);
    }
}

void cluster_wake_engine(struct cluster *cluster, uint64_t delay_ms)
{
    struct cluster_item item = {.kind = CLUSTER_ENGINE};
    cluster_push(cluster, &item, delay_ms);
}

void cluster_answer(struct cluster *cluster, uint32_t number, uint64_t delay_ms,
                    const struct dsmr_event *event)
{
    struct cluster_item item = {
        .kind = CLUSTER_ANSWER, .to = number, .life = cluster->nodes[number].life, .event = *event};
    cluster_push(cluster, &item, delay_ms);
}

/* ---- events ---- */
/* A check looks at all that the node holds, so that thousands of chunks would take their square:
 * every step up to CHECKED_CHUNKS of them, every second up to twice that, and so on. */
static void check(struct cluster_node *node)
{
    uint64_t every =
        1u + dsmr_metrics_get(&node->metrics, DSMR_METRIC_INDEX_CHUNKS) / CHECKED_CHUNKS;
    if (++node->steps_unchecked >= every) {
        node->steps_unchecked = 0;
        dsmr_node_check(node->node);
    }
}

void cluster_event(struct cluster *cluster, uint32_t number, struct dsmr_event *event)
{
    struct cluster_node *node = &cluster->nodes[number];
    if (node->node == NULL) {
        return;
    }
    event->mono_ms = cluster->mono_ms;
    event->wall_ms = (uint64_t)((int64_t)(CLUSTER_WALL_MS + cluster->mono_ms) + node->skew_ms);
    dsmr_node_step(node->node, &node->effects, event);
    check(node);
    uint32_t life = node->life;
    for (uint32_t i = 0; i < node->effects.count && node->life == life; i++) {
        cluster_effect(cluster, number, &node->effects.items[i]);
        node->effects_total++;
        if (node->crash_after_effects > 0 && node->effects_total >= node->crash_after_effects) {
            node->crash_after_effects = 0;
            cluster_crash(cluster, number);
        }
    }
    if (node->life == life) {
        dsmr_effects_clear(&node->effects);
    }
}

static void deliver(struct cluster *cluster, struct cluster_item *item)
{
    struct dsmr_msg msg;
    if (dsmr_msg_decode(&msg, item->bytes->bytes, item->bytes->len) != DSMR_OK) {
        return;
    }
    struct dsmr_event event = {.kind = DSMR_EV_MESSAGE};
    event.u.message.from = cluster_node_id(item->from);
    event.u.message.msg = &msg;
    event.u.message.bytes = item->bytes;
    cluster_event(cluster, item->to, &event);
}

static void answer(struct cluster *cluster, struct cluster_item *item)
{
    if (item->has_store) {
        item->event.err = cluster_disk_write(cluster, item->to, &item->store, &item->event);
    }
    if (item->plan != NULL) {
        item->event.u.executed.height = item->plan->block->height;
        cluster_disk_execute(cluster, item->to, item->plan, &item->event.u.executed.state_root);
    }
    cluster_event(cluster, item->to, &item->event);
}

static void handle(struct cluster *cluster, struct cluster_item *item)
{
    struct cluster_node *node = &cluster->nodes[item->to];
    bool is_stale = node->node == NULL || item->life != node->life;
    if (item->kind == CLUSTER_ENGINE && item->from == 0) {
        cluster_engine_run(cluster);
    } else if (is_stale) {
        return;
    } else if (item->kind == CLUSTER_MESSAGE) {
        deliver(cluster, item);
    } else if (item->kind == CLUSTER_ENGINE) {
        if (item->from == 1) {
            cluster_engine_on_verdict(cluster, item->to, item->event.err);
        } else {
            cluster_engine_on_accepted(cluster, item->to, item->event.err);
        }
    } else {
        answer(cluster, item);
    }
}

/* Held back by the test: put again a little later. */
static bool is_held(const struct cluster *cluster, const struct cluster_item *item)
{
    const struct cluster_node *node = &cluster->nodes[item->to];
    return item->kind == CLUSTER_ANSWER && item->life == node->life &&
           ((item->has_store && node->is_store_slow) || (item->plan != NULL && node->is_exec_held));
}

static uint64_t next_deadline(const struct cluster *cluster, uint32_t *number)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        uint64_t at = node->node == NULL ? UINT64_MAX : dsmr_node_deadline_ms(node->node);
        if (at < least) {
            least = at;
            *number = i;
        }
    }
    return least;
}

/* One thing that happens at or before until_ms; false: nothing does. */
static bool happen(struct cluster *cluster, uint64_t until_ms)
{
    uint32_t number = 0;
    uint64_t timer_ms = next_deadline(cluster, &number);
    uint64_t item_ms = cluster->items_count == 0 ? UINT64_MAX : cluster->items[0].at_ms;
    if ((timer_ms < item_ms ? timer_ms : item_ms) > until_ms) {
        return false;
    }
    if (timer_ms < item_ms) {
        cluster->mono_ms = timer_ms > cluster->mono_ms ? timer_ms : cluster->mono_ms;
        struct dsmr_event tick = {.kind = DSMR_EV_TICK};
        cluster_event(cluster, number, &tick);
        return true;
    }
    struct cluster_item item = pop_item(cluster);
    cluster->mono_ms = item.at_ms > cluster->mono_ms ? item.at_ms : cluster->mono_ms;
    if (is_held(cluster, &item)) {
        item.at_ms = (cluster->mono_ms / 5u + 1u) * 5u; /* all that is held keeps its order */
        insert(cluster, &item);
        return true;
    }
    handle(cluster, &item);
    drop_item(&item);
    return true;
}

void cluster_run(struct cluster *cluster, uint64_t ms)
{
    uint64_t until_ms = cluster->mono_ms + ms;
    uint64_t steps = 0;
    while (happen(cluster, until_ms)) {
        DSMR_ASSERT(++steps < 20000000u); /* time must pass */
    }
    cluster->mono_ms = until_ms;
}

bool cluster_run_until(struct cluster *cluster, bool (*holds)(struct cluster *), uint64_t ms)
{
    uint64_t until_ms = cluster->mono_ms + ms;
    while (!holds(cluster)) {
        if (!happen(cluster, until_ms)) {
            return false;
        }
    }
    return true;
}

uint64_t cluster_wall_ms(const struct cluster *cluster)
{
    return CLUSTER_WALL_MS + cluster->mono_ms;
}

bool cluster_is_idle(struct cluster *cluster)
{
    uint32_t number;
    return cluster->items_count == 0 && next_deadline(cluster, &number) == UINT64_MAX;
}

bool cluster_is_level(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        if (node->node != NULL && node->disk.executed_height != cluster->chain_height) {
            return false;
        }
    }
    return true;
}

/* ---- transactions ---- */
struct dsmr_buf *cluster_tx(struct cluster *cluster, uint32_t len, uint64_t expiry_ms)
{
    struct dsmr_buf *tx = dsmr_buf_new(len);
    DSMR_ASSERT(tx != NULL && len >= 17);
    memset(tx->bytes, 0, len);
    tx->bytes[0] = 1;
    dsmr_store_be64(tx->bytes + 1, expiry_ms);
    dsmr_store_be64(tx->bytes + 9, ++cluster->txs_made);
    return tx;
}

void cluster_submit_bytes(struct cluster *cluster, uint32_t number, struct dsmr_buf *tx)
{
    struct dsmr_submit_item item = {.bytes = tx->bytes, .len = tx->len};
    struct dsmr_tx_head head = {.expiry_ms = 0};
    (void)!dsmr_tx_head_decode(&head, tx->bytes, tx->len);
    item.expiry_ms = head.expiry_ms;
    dsmr_hash(&item.id, tx->bytes, tx->len);
    struct dsmr_event event = {.kind = DSMR_EV_SUBMIT, .request_id = 20};
    event.u.submit.owner = tx;
    event.u.submit.items = &item;
    event.u.submit.count = 1;
    event.u.submit.since_ms = cluster->mono_ms - cluster->check_ms;
    cluster_event(cluster, number, &event);
}

void cluster_submit(struct cluster *cluster, uint32_t number, uint32_t count, uint32_t len)
{
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_buf *tx = cluster_tx(cluster, len, cluster_wall_ms(cluster) + 50000);
        cluster_submit_bytes(cluster, number, tx);
        dsmr_buf_unref(tx);
    }
}

void cluster_submit_rounds(struct cluster *cluster, uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < cluster->config.nodes; i++) {
            if (cluster->nodes[i].node != NULL) {
                cluster_submit(cluster, i, 1, 120);
            }
        }
        cluster_run(cluster, 100);
    }
}

uint64_t cluster_executed_txs(const struct cluster *cluster, uint32_t number)
{
    const struct cluster_disk *disk = &cluster->nodes[number].disk;
    uint64_t count = 0;
    for (uint64_t height = 1; height <= disk->executed_height; height++) {
        count += disk->executed[height].count;
    }
    return count;
}

void cluster_send(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    struct dsmr_buf *bytes = dsmr_msg_encode(msg, true);
    DSMR_ASSERT(bytes != NULL);
    struct cluster_item item = {.kind = CLUSTER_MESSAGE,
                                .from = from,
                                .to = to,
                                .life = cluster->nodes[to].life,
                                .bytes = bytes};
    cluster_push(cluster, &item, cluster->delay_ms);
}

uint64_t cluster_metric_errors(const struct cluster *cluster, uint32_t number, enum dsmr_err err)
{
    return cluster->nodes[number].metrics.errors[err];
}

/* ---- life ---- */
static void tell_peers(struct cluster *cluster, uint32_t number, bool is_up)
{
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        if (i == number || cluster->nodes[i].node == NULL) {
            continue;
        }
        struct dsmr_event event = {.kind = DSMR_EV_PEER};
        event.u.peer.node_id = cluster->nodes[number].id;
        event.u.peer.is_up = is_up;
        cluster_event(cluster, i, &event);
        if (is_up) {
            event.u.peer.node_id = cluster->nodes[i].id;
            cluster_event(cluster, number, &event);
        }
    }
}

static struct cluster_item *first_write(struct cluster *cluster, uint32_t number)
{
    struct cluster_item *first = NULL;
    for (uint32_t i = 0; i < cluster->items_count; i++) {
        struct cluster_item *item = &cluster->items[i];
        bool is_write = item->kind == CLUSTER_ANSWER && (item->has_store || item->plan != NULL);
        if (is_write && item->to == number && item->life == cluster->nodes[number].life &&
            (first == NULL || item->order < first->order)) {
            first = item;
        }
    }
    return first;
}

/* The disk was fast: all that the node had asked for got there, but the node was not told. */
static void finish_writes(struct cluster *cluster, uint32_t number)
{
    struct cluster_item *item;
    struct dsmr_id root;
    while ((item = first_write(cluster, number)) != NULL) {
        if (item->has_store) {
            (void)cluster_disk_write(cluster, number, &item->store, &item->event);
            struct dsmr_effects one = {.items = &item->store, .count = 1};
            dsmr_effects_clear(&one);
        } else {
            cluster_disk_execute(cluster, number, item->plan, &root);
            dsmr_plan_unref(item->plan);
        }
        item->has_store = false;
        item->plan = NULL;
    }
}

void cluster_crash(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];
    if (node->keeps_writes) {
        finish_writes(cluster, number);
    }
    dsmr_node_free(node->node);
    node->node = NULL;
    node->life++;
    node->is_ready = false;
    node->is_feeding = false;
    dsmr_effects_clear(&node->effects);
    if (cluster->is_building) { /* perhaps it was this one: the sequencer asks another */
        cluster->is_building = false;
    }
    tell_peers(cluster, number, false);
    cluster_wake_engine(cluster, 1);
}

void cluster_wipe(struct cluster *cluster, uint32_t number)
{
    DSMR_ASSERT(cluster->nodes[number].node == NULL);
    cluster_disk_close(&cluster->nodes[number].disk);
}

void cluster_start(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];
    struct dsmr_node_config config = {.params = cluster->params,
                                      .node_id = node->id,
                                      .seed = cluster->config.seed * 1000u + number,
                                      .validators_max = CLUSTER_NODES_MAX,
                                      .mempool_bytes_max = 4u << 20,
                                      .mempool_txs_max = 20000,
                                      .chunk_cache_bytes_max = 8u << 20,
                                      .retry_ms = 200,
                                      .fetch_timeout_ms = 200,
                                      .fetches_max = 16,
                                      .can_produce = true,
                                      .genesis = cluster->genesis,
                                      .metrics = &node->metrics};
    if (cluster->config.tune != NULL) {
        cluster->config.tune(&config, number);
    }
    node->node = dsmr_node_new(&config);
    DSMR_ASSERT(node->node != NULL);
    node->is_halted = false;
    node->life++;
    for (uint32_t i = 0; i < cluster->sets_count; i++) {
        struct dsmr_event set = {.kind = DSMR_EV_SET, .u.set = cluster->sets[i]};
        cluster_event(cluster, number, &set);
    }
    cluster_disk_restore(cluster, number);
    node->fed_height = node->disk.accepted_height;
    struct dsmr_event start = {.kind = DSMR_EV_START};
    start.u.start.executed_height = node->disk.executed_height;
    start.u.start.state_root = node->disk.executed[node->disk.executed_height].root;
    cluster_event(cluster, number, &start);
    tell_peers(cluster, number, true);
    cluster_wake_engine(cluster, 1);
}

struct cluster *cluster_new(const struct cluster_config *config)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    DSMR_ASSERT(cluster != NULL && config->nodes <= CLUSTER_NODES_MAX);
    cluster->config = *config;
    cluster->delay_ms = 2;
    cluster->work_ms = 1;
    dsmr_params_default(&cluster->params);
    cluster->params.domain.network_id = 7;
    cluster->params.chunk_bytes_max = 64u << 10;
    cluster->params.pending_bytes_max = 1u << 20;
    cluster->params.chunk_txs_max = 1024;
    cluster->params.block_txs_max = 16384;
    enum dsmr_err err =
        dsmr_block_genesis(&cluster->genesis, &cluster->params, CLUSTER_WALL_MS - 1000);
    DSMR_ASSERT(err == DSMR_OK);
    cluster->chain[0] = dsmr_block_ref(cluster->genesis);
    cluster_add_set(cluster, 0, 0, config->validators == 0 ? config->nodes : config->validators,
                    NULL);
    for (uint32_t i = 0; i < config->nodes; i++) {
        cluster->nodes[i].id = cluster_node_id(i);
        err = dsmr_effects_init(&cluster->nodes[i].effects);
        DSMR_ASSERT(err == DSMR_OK);
    }
    for (uint32_t i = 0; i < config->nodes; i++) {
        cluster_start(cluster, i);
    }
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (node->node != NULL) {
            dsmr_node_check(node->node);
        }
        dsmr_node_free(node->node);
        dsmr_effects_close(&node->effects);
        dsmr_block_unref(node->built);
        cluster_disk_close(&node->disk);
    }
    while (cluster->items_count > 0) {
        struct cluster_item item = pop_item(cluster);
        drop_item(&item);
    }
    for (uint64_t height = 0; height <= cluster->chain_height; height++) {
        dsmr_block_unref(cluster->chain[height]);
    }
    for (uint32_t i = 0; i < cluster->sets_count; i++) {
        dsmr_validator_set_unref(cluster->sets[i]);
    }
    dsmr_block_unref(cluster->genesis);
    free(cluster->items);
    free(cluster->story);
    free(cluster);
}
