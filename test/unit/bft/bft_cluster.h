/* bft_cluster.h - pure engines with fake disks, block layers and a lossy network, in one thread and
 * virtual time; every choice comes from a seed. bft_cluster_node.h says what a node is. */
#ifndef TEST_UNIT_BFT_CLUSTER_H
#define TEST_UNIT_BFT_CLUSTER_H

#include "bft_cluster_net.h"

/* ---- effects ---- */

static inline void cluster_answer(struct cluster *c, uint32_t n, uint64_t request_id,
                                  const struct dsmr_bft_event *answer, struct dsmr_block *block)
{
    uint32_t more_ms = answer->kind == DSMR_BFT_EV_VERDICT ? c->verify_ms : 0;
    struct world_ev ev = {.at_ms = c->now_ms + dsmr_prng_below(&c->prng, 4) + more_ms,
                          .kind = WORLD_EV_ANSWER,
                          .node = n,
                          .generation = c->nodes[n].generation,
                          .block = block,
                          .answer = *answer};
    ev.answer.request_id = request_id;
    world_push(&c->queue, &ev);
}

static inline void cluster_do(struct cluster *c, uint32_t n, const struct dsmr_bft_effect *effect)
{
    struct cluster_node *node = &c->nodes[n];
    struct dsmr_bft_event answer = {.kind = DSMR_BFT_EV_TICK};
    struct dsmr_block *block = NULL;
    switch (effect->kind) {
    case DSMR_BFT_FX_SEND:
    case DSMR_BFT_FX_BROADCAST:
        cluster_send(c, n, effect);
        return;
    case DSMR_BFT_FX_SIGN:
        answer.kind = DSMR_BFT_EV_SIGNED;
        world_sign(&answer.u.sig, node->identity, &effect->u.sign);
        break;
    case DSMR_BFT_FX_AGGREGATE:
        world_aggregate(&answer, effect);
        break;
    case DSMR_BFT_FX_CHECK_QC:
        answer.kind = DSMR_BFT_EV_CHECKED;
        answer.err = world_cert_verifies(&effect->u.check.qc) ? DSMR_OK : DSMR_ERR_BAD_VOTE;
        break;
    case DSMR_BFT_FX_STORE:
    case DSMR_BFT_FX_PRUNE: {
        struct cluster_write write = {.kind = effect->kind == DSMR_BFT_FX_STORE ? CLUSTER_PUT
                                                                                : CLUSTER_PRUNE,
                                      .request_id = effect->request_id,
                                      .record = {.key_len = effect->u.store.key_len,
                                                 .value = dsmr_buf_ref(effect->u.store.value)}};
        memcpy(write.record.key, effect->u.store.key, effect->u.store.key_len);
        cluster_write(c, n, &write);
        return;
    }
    case DSMR_BFT_FX_BUILD:
        answer.kind = DSMR_BFT_EV_BUILT;
        block = cluster_build(c, node, effect, &answer.err);
        break;
    case DSMR_BFT_FX_VERIFY:
        answer.kind = DSMR_BFT_EV_VERDICT;
        answer.err = cluster_verify(c, node, effect->u.block.block, effect->u.block.epoch);
        break;
    case DSMR_BFT_FX_ACCEPT:
        cluster_accept(c, n, effect);
        return;
    case DSMR_BFT_FX_REJECT:
        node->rejects++;
        if (cluster_find(node, &effect->u.block.block->id) == NULL ||
            dsmr_id_equal(&effect->u.block.block->id, &cluster_tip(node)->id)) {
            cluster_fail(c, "REJECT of a block that is not processing");
        }
        cluster_forget(node, &effect->u.block.block->id);
        return;
    case DSMR_BFT_FX_PREFER:
        node->preferred_id = effect->u.block.parent_id;
        return;
    case DSMR_BFT_FX_SERVE_BLOCKS:
        cluster_serve_blocks(c, n, world_node_of(&effect->u.serve.peer),
                             effect->u.serve.from_height);
        return;
    case DSMR_BFT_FX_SERVE_BLOCK:
        cluster_serve_block(c, n, effect);
        return;
    case DSMR_BFT_FX_FAULT:
        node->faults++;
        if (node->actor == CLUSTER_HONEST) {
            for (uint32_t i = 0; i < c->count; i++) {
                if (c->nodes[i].actor == CLUSTER_HONEST &&
                    dsmr_node_id_equal(&c->nodes[i].id, &effect->u.fault.peer)) {
                    cluster_fail(c, "an honest node was called faulty");
                }
            }
        }
        return;
    case DSMR_BFT_FX_TRACE:
        c->timeouts += effect->u.trace.what == DSMR_BFT_TRACE_TIMEOUT ? 1 : 0;
        c->skipped += effect->u.trace.what == DSMR_BFT_TRACE_SKIPPED ? 1 : 0;
        return;
    }
    cluster_answer(c, n, effect->request_id, &answer, block);
}

static inline void cluster_crash(struct cluster *c, uint32_t n);

static inline void cluster_step(struct cluster *c, uint32_t n, struct dsmr_bft_event *event)
{
    struct cluster_node *node = &c->nodes[n];
    uint32_t generation = node->generation;
    event->mono_ms = c->now_ms;
    dsmr_bft_step(node->bft, &node->effects, event);
    node->deadline_ms = dsmr_bft_deadline_ms(node->bft);
    dsmr_bft_check(node->bft);
    for (uint32_t i = 0; i < node->effects.count && node->generation == generation; i++) {
        if (node->crash_in == 0) {
            node->crash_in = UINT64_MAX;
            for (uint32_t other = 0; other < c->count; other++) {
                if (other == n || (c->is_crash_common && c->nodes[other].is_up)) {
                    cluster_crash(c, other);
                }
            }
            return;
        }
        node->crash_in -= node->crash_in != UINT64_MAX ? 1 : 0;
        node->effects_done++;
        cluster_do(c, n, &node->effects.items[i]);
    }
    dsmr_bft_effects_clear(&node->effects);
    cluster_update_wanted(c, n);
}

/* ---- processes ---- */

static inline void cluster_peer_event(struct cluster *c, uint32_t n, uint32_t identity, bool is_up)
{
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_PEER};
    event.u.peer.node_id = world_node_id(identity);
    event.u.peer.is_up = is_up;
    cluster_step(c, n, &event);
}

static inline void cluster_stop_process(struct cluster_node *node)
{
    dsmr_bft_free(node->bft);
    node->bft = NULL;
    dsmr_bft_effects_clear(&node->effects);
    for (uint32_t i = 0; i < node->processing_count; i++) {
        dsmr_block_unref(node->processing[i]);
    }
    node->processing_count = 0;
    node->is_up = false;
    node->generation++;
}

static inline bool cluster_is_there(const struct cluster *c, uint32_t identity)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->nodes[i].identity == identity && c->nodes[i].is_up) {
            return true;
        }
    }
    return false;
}

/* The kernel of a process that has ended closes its connections. */
static inline void cluster_tell_gone(struct cluster *c, uint32_t identity)
{
    for (uint32_t i = 0; i < c->count && !cluster_is_there(c, identity); i++) {
        struct world_ev ev = {.at_ms = c->now_ms + 1,
                              .kind = WORLD_EV_GONE,
                              .node = i,
                              .generation = c->nodes[i].generation,
                              .from = identity};
        if (c->nodes[i].is_up) {
            world_push(&c->queue, &ev);
        }
    }
}

/* The process ends where it is; what waits for the disk is durable up to some point. */
static inline void cluster_crash(struct cluster *c, uint32_t n)
{
    struct cluster_node *node = &c->nodes[n];
    if (!node->is_up) {
        return;
    }
    cluster_stop_process(node);
    cluster_tell_gone(c, node->identity);
    uint64_t durable = dsmr_prng_below(&c->prng, node->writes_count + 1u);
    struct dsmr_bft_event ignored;
    for (uint64_t i = 0; i < durable; i++) {
        (void)cluster_written(node, &ignored);
    }
    for (uint32_t i = 0; i < node->writes_count; i++) {
        dsmr_buf_unref(node->writes[i].record.value);
    }
    node->writes_count = 0;
    while (node->chain_count > node->durable_count) {
        dsmr_block_unref(node->chain[--node->chain_count].block);
    }
    if (c->restart_ms != UINT64_MAX) {
        struct world_ev ev = {.at_ms = c->now_ms + c->restart_ms,
                              .kind = WORLD_EV_RESTART,
                              .node = n,
                              .generation = node->generation};
        world_push(&c->queue, &ev);
    }
}

/* The machine burns down; the key is elsewhere. It starts again by hand. */
static inline void cluster_wipe(struct cluster *c, uint32_t n)
{
    struct cluster_node *node = &c->nodes[n];
    cluster_crash(c, n);
    node->generation++; /* a restart that was planned does not happen */
    for (uint32_t i = 0; i < node->records_count; i++) {
        dsmr_buf_unref(node->records[i].value);
    }
    node->records_count = 0;
    while (node->chain_count > 1) {
        dsmr_block_unref(node->chain[--node->chain_count].block);
    }
    node->durable_count = 1;
    memset(node->pruned_key, 0, sizeof(node->pruned_key));
}

static inline void cluster_start(struct cluster *c, uint32_t n)
{
    struct cluster_node *node = &c->nodes[n];
    const struct cluster_block *last = &node->chain[node->chain_count - 1];
    if (node->is_up || node->actor == CLUSTER_DEAD) {
        return;
    }
    struct dsmr_bft_config config = {
        .params = c->params,
        .node_id = node->id,
        .schedule = c->schedule,
        .schedule_count = c->schedule_count,
        .view_timeout_ms = c->config.view_timeout_ms,
        .view_timeout_max_ms = 16 * c->config.view_timeout_ms,
        .retry_ms = c->config.view_timeout_ms / 4 + 1,
        .seed = c->config.seed + n + 1000u * node->generation,
        .last_accepted = last->block,
        .finalization = last->has_finalization ? &last->finalization : NULL,
    };
    node->bft = dsmr_bft_new(&config);
    assert_non_null(node->bft);
    for (uint32_t i = 0; i < node->records_count; i++) {
        const struct cluster_record *record = &node->records[i];
        assert_int_equal(dsmr_bft_restore(node->bft, record->key, record->key_len,
                                          record->value->bytes, record->value->len),
                         DSMR_OK);
    }
    node->is_up = true;
    node->was_wanted = false;
    node->preferred_id = last->block->id;
    uint32_t generation = node->generation;
    struct dsmr_bft_event start = {.kind = DSMR_BFT_EV_START};
    cluster_step(c, n, &start);
    for (uint32_t i = 0; i < c->count && node->generation == generation; i++) {
        if (i != n && c->nodes[i].is_up && c->nodes[i].identity != node->identity) {
            cluster_peer_event(c, n, c->nodes[i].identity, true);
            if (c->nodes[i].is_up) {
                cluster_peer_event(c, i, node->identity, true);
            }
        }
    }
}

/* ---- life ---- */

static inline void cluster_handle(struct cluster *c, struct world_ev *ev)
{
    struct cluster_node *node = &c->nodes[ev->node];
    if (ev->generation != node->generation) {
        return;
    }
    if (ev->kind == WORLD_EV_RESTART && !node->is_away) {
        cluster_start(c, ev->node);
    }
    if (ev->kind == WORLD_EV_RESTART || !node->is_up) {
        return;
    }
    if (ev->kind == WORLD_EV_GONE) {
        if (!cluster_is_there(c, ev->from)) { /* else it is back already */
            cluster_peer_event(c, ev->node, ev->from, false);
        }
        return;
    }
    struct dsmr_msg msg;
    struct dsmr_bft_event event = ev->answer;
    switch (ev->kind) {
    case WORLD_EV_MESSAGE:
        if (dsmr_msg_decode(&msg, ev->bytes->bytes, ev->bytes->len) != DSMR_OK) {
            return;
        }
        if (c->loses_finalize && msg.type == DSMR_MSG_BFT_VOTE &&
            msg.u.vote.subject.kind == DSMR_VOTE_FINALIZE) {
            return;
        }
        c->messages++;
        event = (struct dsmr_bft_event){.kind = DSMR_BFT_EV_MESSAGE};
        event.u.message.from = world_node_id(ev->from);
        event.u.message.msg = &msg;
        event.u.message.bytes = ev->bytes;
        break;
    case WORLD_EV_WRITTEN:
        if (!cluster_written(node, &event)) {
            return;
        }
        break;
    case WORLD_EV_ANSWER:
        if (event.kind == DSMR_BFT_EV_BUILT) {
            event.u.built = ev->block;
        }
        break;
    case WORLD_EV_RESTART:
    case WORLD_EV_GONE:
        return;
    }
    cluster_step(c, ev->node, &event);
}

static inline uint64_t cluster_next_deadline(const struct cluster *c, uint32_t *node)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t n = 0; n < c->count; n++) {
        uint64_t of = c->nodes[n].is_up ? c->nodes[n].deadline_ms : UINT64_MAX;
        if (of < at) {
            at = of;
            *node = n;
        }
    }
    return at;
}

/* One event or timer, unless the next lies beyond until_ms. False: nothing (more) to do. */
static inline bool cluster_once(struct cluster *c, uint64_t until_ms)
{
    uint32_t n = 0;
    uint64_t deadline = cluster_next_deadline(c, &n);
    uint64_t queued = c->queue.count > 0 ? c->queue.items[0]->at_ms : UINT64_MAX;
    if ((queued == UINT64_MAX && deadline == UINT64_MAX) ||
        (queued > until_ms && deadline > until_ms) || c->broken != NULL ||
        c->checker->violation != NULL) {
        return false;
    }
    if (queued <= deadline) {
        struct world_ev *ev = world_pop(&c->queue);
        c->now_ms = ev->at_ms > c->now_ms ? ev->at_ms : c->now_ms;
        cluster_handle(c, ev);
        world_ev_free(ev);
        return true;
    }
    c->now_ms = deadline > c->now_ms ? deadline : c->now_ms;
    struct dsmr_bft_event tick = {.kind = DSMR_BFT_EV_TICK};
    uint32_t generation = c->nodes[n].generation;
    cluster_step(c, n, &tick);
    if (c->nodes[n].generation == generation &&
        dsmr_bft_deadline_ms(c->nodes[n].bft) <= c->now_ms) {
        cluster_fail(c, "a deadline that a TICK does not move: a busy loop");
    }
    return true;
}

/* Lowest accepted height of the honest nodes that are up. */
static inline uint64_t cluster_height(const struct cluster *c)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t n = 0; n < c->count; n++) {
        const struct cluster_node *node = &c->nodes[n];
        if (node->actor == CLUSTER_HONEST && !node->is_away) {
            uint64_t height = node->is_up ? cluster_tip(node)->height : 0;
            lowest = height < lowest ? height : lowest;
        }
    }
    return lowest;
}

static inline void cluster_run(struct cluster *c, uint64_t duration_ms)
{
    uint64_t until_ms = c->now_ms + duration_ms;
    while (cluster_once(c, until_ms)) {
    }
    c->now_ms = c->now_ms > until_ms || c->broken != NULL ? c->now_ms : until_ms;
}

/* The block layer was told of every block that will never be. */
static inline bool cluster_is_tidy(const struct cluster *c)
{
    for (uint32_t n = 0; n < c->count; n++) {
        const struct cluster_node *node = &c->nodes[n];
        for (uint32_t i = 0; node->actor == CLUSTER_HONEST && i < node->processing_count; i++) {
            if (node->processing[i]->height <= cluster_tip(node)->height) {
                return false;
            }
        }
    }
    return true;
}

/* Until all honest nodes have accepted height; false if that takes longer. */
static inline bool cluster_run_to(struct cluster *c, uint64_t height, uint64_t patience_ms)
{
    uint64_t until_ms = c->now_ms + patience_ms;
    while (cluster_height(c) < height && cluster_once(c, until_ms)) {
    }
    return cluster_height(c) >= height;
}

/* True if nothing is under way or planned within patience_ms: no message, no timer. */
static inline bool cluster_run_to_rest(struct cluster *c, uint64_t patience_ms)
{
    uint64_t until_ms = c->now_ms + patience_ms;
    uint32_t n = 0;
    while (cluster_once(c, until_ms)) {
    }
    return c->queue.count == 0 && cluster_next_deadline(c, &n) == UINT64_MAX;
}

static inline void cluster_demand(struct cluster *c, uint64_t height)
{
    c->demand = height;
    for (uint32_t n = 0; n < c->count; n++) {
        cluster_update_wanted(c, n);
    }
}

/* ---- making and unmaking ---- */

static inline void cluster_add(struct cluster *c, uint32_t identity, enum cluster_actor actor)
{
    struct cluster_node *node = &c->nodes[c->count++];
    node->identity = identity;
    node->id = world_node_id(identity);
    node->actor = actor;
    node->crash_in = UINT64_MAX;
    node->chain_capacity = 16;
    node->chain = calloc(node->chain_capacity, sizeof(*node->chain));
    assert_non_null(node->chain);
    node->chain[0].block = dsmr_block_ref(c->genesis);
    node->chain_count = 1;
    node->durable_count = 1;
    assert_int_equal(dsmr_bft_effects_init(&node->effects), DSMR_OK);
}

/* One set of nodes_count equal validators; others can be appended to schedule before starting. */
static inline struct cluster *cluster_new(const struct cluster_config *config)
{
    struct cluster *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->config = *config;
    c->params = world_params();
    dsmr_prng_init(&c->prng, config->seed);
    c->checker = calloc(1, sizeof(*c->checker));
    assert_non_null(c->checker);
    c->genesis = world_genesis();
    c->restart_ms = UINT64_MAX;
    uint32_t nodes[CLUSTER_NODES_MAX];
    for (uint32_t i = 0; i < config->nodes_count; i++) {
        nodes[i] = i;
    }
    c->schedule[0].set = world_set(0, nodes, NULL, config->nodes_count);
    c->schedule_count = 1;
    return c;
}

/* Four nodes whose messages and writes take a while, and whose views are long beside that. */
static inline struct cluster *cluster_four(uint64_t seed)
{
    struct cluster_config config = {
        .seed = seed, .nodes_count = 4, .delay_ms = 10, .disk_ms = 5, .view_timeout_ms = 1000};
    return cluster_new(&config);
}

static inline void cluster_schedule(struct cluster *c, uint64_t from_height, const uint32_t *nodes,
                                    uint32_t count)
{
    struct dsmr_bft_schedule_entry *entry = &c->schedule[c->schedule_count++];
    entry->from_height = from_height;
    entry->set = world_set(from_height, nodes, NULL, count);
}

/* actors: by identity; NULL: all honest. */
static inline void cluster_start_all(struct cluster *c, const enum cluster_actor *actors)
{
    for (uint32_t i = 0; i < c->config.nodes_count; i++) {
        cluster_add(c, i, actors != NULL ? actors[i] : CLUSTER_HONEST);
        if (actors != NULL && actors[i] == CLUSTER_TWIN) {
            cluster_add(c, i, CLUSTER_TWIN);
        }
    }
    for (uint32_t n = 0; n < c->count; n++) {
        cluster_start(c, n);
    }
}

static inline void cluster_free(struct cluster *c)
{
    for (uint32_t n = 0; n < c->count; n++) {
        struct cluster_node *node = &c->nodes[n];
        cluster_stop_process(node);
        dsmr_bft_effects_close(&node->effects);
        for (uint32_t i = 0; i < node->records_count; i++) {
            dsmr_buf_unref(node->records[i].value);
        }
        for (uint32_t i = 0; i < node->writes_count; i++) {
            dsmr_buf_unref(node->writes[i].record.value);
        }
        for (uint32_t i = 0; i < node->chain_count; i++) {
            dsmr_block_unref(node->chain[i].block);
        }
        free(node->records);
        free(node->writes);
        free(node->chain);
    }
    while (c->queue.count > 0) {
        world_ev_free(world_pop(&c->queue));
    }
    free(c->queue.items);
    for (uint32_t i = 0; i < c->schedule_count; i++) {
        dsmr_validator_set_unref(c->schedule[i].set);
    }
    dsmr_block_unref(c->genesis);
    free(c->checker->said);
    free(c->checker);
    free(c);
}

/* The end of each test: nothing broken, everyone at height, then rest. */
#define cluster_assert(c, condition)                                                               \
    do {                                                                                           \
        if ((c)->broken != NULL || (c)->checker->violation != NULL || !(condition)) {              \
            fail_msg("seed %llu at %llu ms, height %llu: %s%s%s",                                  \
                     (unsigned long long)(c)->config.seed, (unsigned long long)(c)->now_ms,        \
                     (unsigned long long)cluster_height(c),                                        \
                     (c)->broken != NULL ? (c)->broken : "",                                       \
                     (c)->checker->violation != NULL ? (c)->checker->violation : "",               \
                     (condition) ? "" : " not " #condition);                                       \
        }                                                                                          \
    } while (0)

#endif
