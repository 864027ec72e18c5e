/* world_ports.c - the ports of a world's nodes: clock, workers, disk, network, validator sets,
 * feed, log; and what is executed, checked by plain comparison. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "lib/world_state.h"
#include "sim/sim_bls.h"
#include "wire/tx_head.h"

static uint64_t later(struct dsmr_world *world, uint64_t *last_ms, uint64_t max_ms)
{
    /* At or after the last one of the same queue: queues keep their order. */
    uint64_t due_ms = world->now_ms + dsmr_prng_below(&world->prng, max_ms + 1);
    due_ms = due_ms < *last_ms ? *last_ms : due_ms;
    *last_ms = due_ms;
    return due_ms;
}

static uint64_t wall_ms(void *self)
{
    const struct world_node *node = self;
    return (uint64_t)((int64_t)(WORLD_START_MS + node->world->now_ms) + node->skew_ms);
}

static uint64_t mono_ms(void *self)
{
    return ((const struct world_node *)self)->world->now_ms + 1;
}

static void work_submit(void *self, enum dsmr_work_lane lane, struct dsmr_task *task)
{
    struct world_node *node = self;
    dsmr_world_push(node->world,
                    (struct world_event){.due_ms = later(node->world, &node->work_due_ms[lane], 2),
                                         .kind = EVENT_WORK,
                                         .node = node->number,
                                         .life = node->life,
                                         .task = task,
                                         .is_execution = lane == DSMR_WORK_EXECUTE});
}

static void work_random(void *self, uint8_t *out, size_t len)
{
    struct world_node *node = self;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)dsmr_prng_next(&node->world->prng);
}

void dsmr_world_store_queued(void *self)
{
    struct world_node *node = self;
    dsmr_world_push(node->world,
                    (struct world_event){.due_ms = later(node->world, &node->store_due_ms, 3),
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
    struct world_node *node = self;
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
    dsmr_world_push(world, (struct world_event){
                               .due_ms = later(world, &world->link_due_ms[node->number][target],
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
    ((struct world_node *)self)->drops++;
}

static enum dsmr_err validators_get(void *self, struct dsmr_validator_set **out, uint64_t epoch)
{
    const struct dsmr_world *world = ((const struct world_node *)self)->world;
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
    DSMR_ASSERT(executed->height < WORLD_HEIGHTS_MAX);
    struct world_height *height = &world->heights[executed->height];
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
    struct world_node *node = self;
    if (notice->kind == DSMR_NOTICE_ACCEPTED && notice->u.block->height > node->told_height)
        node->told_height = notice->u.block->height;
    if (notice->kind == DSMR_NOTICE_EXECUTED) {
        DSMR_ASSERT(notice->u.executed->height <= node->told_height); /* accepted first */
        on_executed(node->world, notice->u.executed);
    }
    if (notice->kind != DSMR_NOTICE_SUBMITTED)
        return;
    struct dsmr_submit_batch *batch = notice->u.batch;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct dsmr_submit_tx *tx = &batch->txs[i];
        DSMR_ASSERT(tx->err != DSMR_OK ||
                    tx->expiry_ms == dsmr_tx_expiry_ms(batch->bytes->bytes + tx->offset));
        node->world->admitted += tx->err == DSMR_OK;
    }
    dsmr_buf_unref(batch->bytes);
    free(batch);
}

static void log_line(void *self, enum dsmr_log_level level, const char *module, const char *text)
{
    struct world_node *node = self;
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

void dsmr_world_set_ports(struct dsmr_driver_config *config, struct world_node *node)
{
    config->store = dsmr_mem_store_port(node->store);
    config->kv = dsmr_kv_mem_port(node->kv);
    config->net = (struct dsmr_net){.self = node, .ops = &net_ops};
    config->work = (struct dsmr_work){.self = node, .ops = &work_ops};
    config->clock = (struct dsmr_clock){.self = node, .ops = &clock_ops};
    config->validators = (struct dsmr_validators){.self = node, .ops = &validators_ops};
    config->signer = dsmr_sim_bls_signer(&node->number);
    config->feed = (struct dsmr_feed){.self = node, .ops = &feed_ops};
    config->log = (struct dsmr_log){.self = node, .ops = &log_ops};
    config->bls = dsmr_sim_bls_ops_in_use();
    config->metrics = &node->metrics;
}

/* ---- messages that the test sends ---- */

void dsmr_world_send(struct dsmr_world *world, uint32_t from, uint32_t to,
                     const struct dsmr_msg *msg)
{
    struct dsmr_buf *head = dsmr_msg_encode(msg, true);
    struct dsmr_node_id id = dsmr_sim_bls_node_id(to);
    DSMR_ASSERT(head != NULL);
    enum dsmr_err err =
        net_send(&world->nodes[from], &id, (enum dsmr_msg_class)dsmr_msg_class_of(msg->type), head,
                 NULL, NULL, 0);
    DSMR_ASSERT(err == DSMR_OK);
    dsmr_buf_unref(head);
}

void dsmr_world_say(struct dsmr_world *world, uint32_t from, uint32_t to, const void *bytes,
                    size_t len)
{
    struct dsmr_buf *copy = dsmr_buf_copy(bytes, len);
    DSMR_ASSERT(copy != NULL);
    dsmr_world_push(world, (struct world_event){.due_ms = world->now_ms,
                                                .kind = EVENT_MESSAGE,
                                                .node = to,
                                                .life = world->nodes[to].life,
                                                .from = from,
                                                .bytes = copy});
}
