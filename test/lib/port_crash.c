#include "lib/port_crash.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "lib/mem_store.h"
#include "wire/codec.h"

#define PROMISES_MAX 65536u

struct ward {
    uint32_t number;
    uint64_t calls, crash_at; /* UINT64_MAX: never */
    bool keeps_writes, is_dead, is_starting;
    uint64_t accepted, executed; /* the highest that it has told */
    struct dsmr_net net;         /* the world's, as the rest */
    struct dsmr_store store;
    struct dsmr_store_ops store_ops;
    struct dsmr_kv kv;
    struct dsmr_kv_ops kv_ops;
    struct dsmr_feed feed;
};

enum promise_kind { PROMISE_CHUNK, PROMISE_PROPOSAL, PROMISE_NOTARIZE, PROMISE_END };

struct promise_key { /* no padding: compared as bytes */
    uint32_t node;
    uint32_t kind;
    uint64_t a, b; /* slot, or epoch and view */
    struct dsmr_node_id producer;
    uint32_t zero;
};

static struct {
    struct dsmr_world *world; /* NULL while it is made */
    struct dsmr_world_config config;
    struct dsmr_params params;
    struct ward wards[DSMR_WORLD_NODES_MAX];
    struct dsmr_map *promises; /* struct promise_key -> struct dsmr_id */
} all;

/* ---- what has left, and what may therefore not leave any more ---- */

static void promise(const struct promise_key *key, const struct dsmr_id *id)
{
    bool is_new = false;
    struct dsmr_id *old = dsmr_map_add(all.promises, key, &is_new);
    DSMR_ASSERT(old != NULL);
    DSMR_ASSERT(is_new || dsmr_id_equal(old, id)); /* a node went back on its word */
    *old = *id;
}

static void promise_chunk(uint32_t node, const struct dsmr_reference *ref)
{
    struct promise_key key = {.node = node, .kind = PROMISE_CHUNK, .a = ref->slot};
    key.producer = ref->producer;
    promise(&key, &ref->chunk_id);
}

static void promise_vote(uint32_t node, const struct dsmr_vote_subject *subject)
{
    bool is_notarize = subject->kind == DSMR_VOTE_NOTARIZE;
    struct promise_key key = {.node = node,
                              .kind = is_notarize ? PROMISE_NOTARIZE : PROMISE_END,
                              .a = subject->epoch,
                              .b = subject->view};
    promise(&key, &subject->block_id); /* a NULLIFY names no block: its id is zero */
}

static void watch(uint32_t node, const struct dsmr_buf *head, const uint8_t *body,
                  uint32_t body_len)
{
    struct dsmr_buf *bytes = dsmr_buf_new((size_t)head->len + body_len);
    struct dsmr_msg msg;
    DSMR_ASSERT(bytes != NULL);
    memcpy(bytes->bytes, head->bytes, head->len);
    if (body_len > 0)
        memcpy(bytes->bytes + head->len, body, body_len);
    enum dsmr_err err = dsmr_msg_decode(&msg, bytes->bytes, bytes->len);
    DSMR_ASSERT(err == DSMR_OK);
    if (msg.type == DSMR_MSG_CHUNK_SIGNATURE) {
        promise_chunk(node, &msg.u.chunk_signature.ref);
    } else if (msg.type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        struct dsmr_chunk_header header;
        struct dsmr_reference ref;
        err = dsmr_chunk_header_decode(&header, &all.params, msg.u.request_share.chunk,
                                       msg.u.request_share.chunk_len);
        DSMR_ASSERT(err == DSMR_OK);
        dsmr_chunk_reference(&ref, &header);
        promise_chunk(node, &ref);
    } else if (msg.type == DSMR_MSG_BFT_VOTE) {
        promise_vote(node, &msg.u.vote.subject);
    } else if (msg.type == DSMR_MSG_BFT_PROPOSAL) {
        struct promise_key key = {.node = node,
                                  .kind = PROMISE_PROPOSAL,
                                  .a = msg.u.proposal.epoch,
                                  .b = msg.u.proposal.view};
        promise(&key, &msg.u.proposal.block_id);
    }
    dsmr_buf_unref(bytes);
}

/* ---- the ports ---- */

static void die(struct ward *ward)
{
    struct dsmr_task *task;
    ward->is_dead = true;
    if (ward->keeps_writes)
        while ((task = dsmr_mem_store_finish(ward->store.self, DSMR_OK)) != NULL)
            task->done(task, dsmr_world_driver(all.world, ward->number));
    if (!ward->is_starting)
        dsmr_world_crash_at(all.world, ward->number, 0); /* when the event is over */
}

/* False: the node is dead, and the call must have no effect. */
static bool reach(struct ward *ward)
{
    if (ward->is_dead)
        return false;
    if (ward->calls == ward->crash_at) {
        die(ward);
        return false;
    }
    ward->calls++;
    return true;
}

static struct ward *ward_of(const void *store_or_kv)
{
    for (uint32_t i = 0; i < DSMR_WORLD_NODES_MAX; i++)
        if (all.wards[i].store.self == store_or_kv || all.wards[i].kv.self == store_or_kv)
            return &all.wards[i];
    DSMR_UNREACHABLE();
}

static enum dsmr_err net_send(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                              struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                              uint32_t body_len)
{
    struct ward *ward = self;
    if (!reach(ward))
        return DSMR_ERR_UNKNOWN;
    watch(ward->number, head, body, body_len);
    return ward->net.ops->send(ward->net.self, to, cls, head, owner, body, body_len);
}

static void net_set_peers(void *self, const struct dsmr_node_id *peers, uint32_t count)
{
    struct ward *ward = self;
    if (reach(ward))
        ward->net.ops->set_peers(ward->net.self, peers, count);
}

static void net_drop(void *self, const struct dsmr_node_id *peer, enum dsmr_err why)
{
    struct ward *ward = self;
    if (reach(ward))
        ward->net.ops->drop(ward->net.self, peer, why);
}

/* The store keeps the task in every case; at the crash it forgets what is not durable. */
static void store_write(void *self, struct dsmr_store_write *write)
{
    struct ward *ward = ward_of(self);
    (void)reach(ward);
    ward->store.ops->write(self, write);
}

/* A node may die before a commit of its state, and after it without having heard of it. */
static enum dsmr_err kv_commit(void *self, struct dsmr_kv_txn *txn)
{
    struct ward *ward = ward_of(self);
    if (ward->is_starting) /* genesis: nothing depends on it yet, and a lie would be noticed */
        return ward->kv.ops->commit(self, txn);
    if (!reach(ward)) {
        ward->kv.ops->abort(self, txn);
        return DSMR_OK;
    }
    enum dsmr_err err = ward->kv.ops->commit(self, txn);
    (void)reach(ward);
    return err;
}

static void feed_publish(void *self, const struct dsmr_notice *notice)
{
    struct ward *ward = self;
    if (reach(ward)) {
        if (notice->kind == DSMR_NOTICE_ACCEPTED)
            ward->accepted = notice->u.block->height;
        if (notice->kind == DSMR_NOTICE_EXECUTED)
            ward->executed = notice->u.executed->height;
        ward->feed.ops->publish(ward->feed.self, notice);
    } else if (notice->kind == DSMR_NOTICE_SUBMITTED) {
        dsmr_buf_unref(notice->u.batch->bytes);
        free(notice->u.batch);
    }
}

static const struct dsmr_net_ops net_ops = {
    .send = net_send, .set_peers = net_set_peers, .drop = net_drop};
static const struct dsmr_feed_ops feed_ops = {.publish = feed_publish};

static void tune(struct dsmr_driver_config *config)
{
    if (all.config.tune != NULL)
        all.config.tune(config);
    if (config->genesis == NULL)
        return; /* only the parameters are wanted */
    struct ward *ward = &all.wards[dsmr_load_be32(config->node.node_id.bytes + 16)];
    all.params = config->node.params;
    ward->net = config->net;
    ward->store = config->store;
    ward->store_ops = *config->store.ops;
    ward->store_ops.write = store_write;
    ward->kv = config->kv;
    ward->kv_ops = *config->kv.ops;
    ward->kv_ops.commit = kv_commit;
    ward->feed = config->feed;
    config->net = (struct dsmr_net){.self = ward, .ops = &net_ops};
    config->store.ops = &ward->store_ops;
    config->kv.ops = &ward->kv_ops;
    config->feed = (struct dsmr_feed){.self = ward, .ops = &feed_ops};
}

/* ---- life ---- */

struct dsmr_world *port_crash_new(const struct dsmr_world_config *config)
{
    struct dsmr_world_config world = *config;
    memset(&all, 0, sizeof all);
    all.config = *config;
    all.promises = dsmr_map_new(sizeof(struct promise_key), sizeof(struct dsmr_id), PROMISES_MAX,
                                config->seed);
    DSMR_ASSERT(all.promises != NULL);
    for (uint32_t i = 0; i < DSMR_WORLD_NODES_MAX; i++) {
        all.wards[i].number = i;
        all.wards[i].crash_at = UINT64_MAX;
    }
    world.tune = tune;
    all.world = dsmr_world_new(&world);
    return all.world;
}

void port_crash_free(struct dsmr_world *world)
{
    DSMR_ASSERT(world == all.world);
    dsmr_world_free(world);
    dsmr_map_free(all.promises);
    all.promises = NULL;
}

uint64_t port_crash_calls(uint32_t node)
{
    return all.wards[node].calls;
}

void port_crash_at(uint32_t node, uint64_t call, bool keeps_writes)
{
    all.wards[node].crash_at = call;
    all.wards[node].keeps_writes = keeps_writes;
}

bool port_crash_is_due(uint32_t node)
{
    return all.wards[node].crash_at != UINT64_MAX && !all.wards[node].is_dead;
}

void port_crash_restart(struct dsmr_world *world, uint32_t node)
{
    struct ward *ward = &all.wards[node];
    if (ward->is_dead)
        ward->crash_at = UINT64_MAX;
    ward->is_dead = false;
    ward->is_starting = true;
    dsmr_world_restart(world, node);
    ward->is_starting = false;
    if (ward->is_dead) {
        dsmr_world_crash(world, node);
        return;
    }
    struct dsmr_query_status status;
    dsmr_world_status(world, node, &status);
    DSMR_ASSERT(status.height >= ward->accepted && status.executed_height >= ward->executed);
}

void port_crash_wipe(struct dsmr_world *world, uint32_t node)
{
    struct ward *ward = &all.wards[node];
    dsmr_world_wipe(world, node);
    ward->accepted = ward->executed = 0; /* nothing of it can be asked of a new disk */
}
