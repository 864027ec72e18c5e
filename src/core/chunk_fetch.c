#include "core/chunk_fetch.h"

#include "base/bitset.h"
#include "core/assembler.h"
#include "core/block_load.h"
#include "core/exec_queue.h"
#include "core/share_policy.h"
#include "wire/codec.h"

#define LOADS_MAX 64u
#define FAR_BEHIND_PART 5u
#define FAR_BEHIND_BLOCKS 4u /* at least, if memory holds them */
#define VAIN_ROUNDS 3u       /* so many after the first; connections may be missing at a start */
#define ROUND_DELAYS 16u     /* the longest pause between rounds is this many timeouts */

static struct dsmr_fetch *find_fetch(const struct dsmr_node *node, const struct dsmr_id *chunk_id)
{
    for (uint32_t i = 0; node->fetches_count > 0 && i < node->config.fetches_max; i++) {
        struct dsmr_fetch *fetch = &node->fetches[i];
        if (fetch->stage != DSMR_FETCH_FREE && dsmr_id_equal(&fetch->ref.chunk_id, chunk_id)) {
            return fetch;
        }
    }
    return NULL;
}

static void end_fetch(struct dsmr_node *node, struct dsmr_fetch *fetch)
{
    dsmr_chunk_unref(fetch->chunk);
    fetch->chunk = NULL;
    fetch->stage = DSMR_FETCH_FREE;
    fetch->use++;
    node->fetches_count--;
    node->fetches_pruned -= fetch->is_pruned ? 1u : 0u;
}

/* The body of the chunk in the block at height, if execution still needs it; NULL: not. */
static struct dsmr_exec_body *find_body(const struct dsmr_node *node, uint64_t height,
                                        const struct dsmr_id *chunk_id,
                                        struct dsmr_exec_block **block)
{
    *block = dsmr_exec_queue_find(&node->queue, height);
    if (*block == NULL || (*block)->state != DSMR_EXEC_FETCHING) {
        return NULL;
    }
    for (uint32_t i = 0; i < (*block)->block->certs_count; i++) {
        if (dsmr_id_equal(&(*block)->block->certs[i].ref.chunk_id, chunk_id)) {
            return &(*block)->bodies[i];
        }
    }
    return NULL;
}

static bool has_work(const struct dsmr_exec_body *body)
{
    return body->state == DSMR_BODY_MISSING || body->state == DSMR_BODY_ON_DISK;
}

/* The one place where a body changes, so that the block's counts stay right. */
static void set_body(struct dsmr_exec_block *block, struct dsmr_exec_body *body,
                     enum dsmr_body_state state, struct dsmr_chunk *chunk)
{
    DSMR_ASSERT(body->state != DSMR_BODY_HELD);
    block->todo -= has_work(body) ? 1u : 0u;
    body->state = state;
    body->chunk = dsmr_chunk_ref(chunk);
    block->todo += has_work(body) ? 1u : 0u;
    block->missing -= state == DSMR_BODY_HELD ? 1u : 0u;
}

void dsmr_chunk_fetch_included(const struct dsmr_node *node, const struct dsmr_id *chunk_id,
                               uint64_t *height, uint64_t *time_ms)
{
    *height = dsmr_accepted_index_find(node->index, chunk_id);
    *time_ms = 0;
    if (*height == UINT64_MAX) {
        return;
    }
    const struct dsmr_exec_block *item = dsmr_exec_queue_find(&node->queue, *height);
    bool is_here = item != NULL && item->block != NULL;
    *time_ms = is_here ? item->block->time_ms : node->accepted->time_ms; /* not too early */
}

void dsmr_chunk_fetch_push(struct dsmr_node *node, struct dsmr_block *block, bool is_restored)
{
    if (block->height <= node->executed_height) {
        return; /* the engine went back: executed once is enough */
    }
    struct dsmr_exec_block *item = dsmr_exec_queue_push(&node->queue, block);
    if (item != NULL) {
        item->is_maybe_on_disk = is_restored;
        item->since_ms = node->mono_ms;
    } else if (node->queue.unread_count == 1) {
        node->queue.unread_ms = node->mono_ms;
    }
    dsmr_chunk_fetch_run(node);
}

void dsmr_chunk_fetch_on_durable(struct dsmr_node *node, uint64_t height)
{
    if (height > node->queue.durable_height) {
        node->queue.durable_height = height;
    }
    dsmr_chunk_fetch_run(node);
}

/* What is here of a block that enters the window. */
static void look_around(struct dsmr_node *node, struct dsmr_exec_block *item)
{
    for (uint32_t i = 0; i < item->block->certs_count; i++) {
        const struct dsmr_id *id = &item->block->certs[i].ref.chunk_id;
        struct dsmr_chunk *chunk = dsmr_chunk_pool_body(node->chunks, id);
        if (chunk != NULL) {
            set_body(item, &item->bodies[i], DSMR_BODY_HELD, chunk);
        } else if (item->is_maybe_on_disk || dsmr_chunk_pool_find(node->chunks, id) != NULL) {
            set_body(item, &item->bodies[i], DSMR_BODY_ON_DISK, NULL);
        }
    }
}

static bool start_load(struct dsmr_node *node, const struct dsmr_exec_block *item, uint32_t cert)
{
    const struct dsmr_id *id = &item->block->certs[cert].ref.chunk_id;
    struct dsmr_request request = {
        .kind = DSMR_REQUEST_BODY_LOAD, .number = item->block->height, .item = cert, .id = *id};
    uint64_t request_id =
        node->loads_count < LOADS_MAX ? dsmr_requests_begin(node->requests, &request) : 0;
    if (request_id == 0) {
        return false;
    }
    node->loads_count++;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_LOAD_CHUNK);
    fx->request_id = request_id;
    fx->u.load_chunk = *id;
    return true;
}

/* The chunk of a fresh block may still be on its way from its producer: asking at once would bring
 * it twice. */
static uint64_t grace_ms(const struct dsmr_node *node, const struct dsmr_fetch *fetch)
{
    const struct dsmr_peer *producer = dsmr_peer_table_find(node->peers, &fetch->ref.producer);
    bool is_fresh = node->accepted->height - fetch->height < 2 && !node->is_behind;
    bool is_near = dsmr_map_find(node->share_job_of, &fetch->ref.chunk_id) != NULL ||
                   (producer != NULL && producer->is_up);
    return is_fresh && is_near ? node->config.fetch_timeout_ms / 4u : 0;
}

static bool start_fetch(struct dsmr_node *node, const struct dsmr_exec_block *item, uint32_t cert)
{
    if (node->fetches_count == node->config.fetches_max) {
        return false;
    }
    struct dsmr_fetch *fetch = node->fetches;
    while (fetch->stage != DSMR_FETCH_FREE) {
        fetch++;
    }
    uint32_t use = fetch->use + 1;
    *fetch = (struct dsmr_fetch){.stage = DSMR_FETCH_WAITING,
                                 .use = use,
                                 .height = item->block->height,
                                 .cert = cert,
                                 .ref = item->block->certs[cert].ref,
                                 .signers = item->block->certs[cert].signers,
                                 .start = (uint32_t)dsmr_prng_next(&node->prng)};
    uint64_t timeout_ms = node->config.fetch_timeout_ms;
    dsmr_retry_init(&fetch->rounds, timeout_ms, timeout_ms * ROUND_DELAYS);
    fetch->due_mono_ms = dsmr_node_common_add(node->mono_ms, grace_ms(node, fetch));
    node->fetches_count++;
    dsmr_node_common_arm(node, DSMR_TIMER_FETCH, fetch->due_mono_ms);
    return true;
}

/* false: the limits of this moment are reached. */
static bool start_work(struct dsmr_node *node, struct dsmr_exec_block *item)
{
    for (uint32_t i = 0; item->todo > 0 && i < item->block->certs_count; i++) {
        struct dsmr_exec_body *body = &item->bodies[i];
        if (body->state == DSMR_BODY_ON_DISK) {
            if (!start_load(node, item, i)) {
                return false;
            }
            set_body(item, body, DSMR_BODY_LOADING, NULL);
        } else if (body->state == DSMR_BODY_MISSING) {
            if (!start_fetch(node, item, i)) {
                return false;
            }
            set_body(item, body, DSMR_BODY_FETCHING, NULL);
        }
    }
    return true;
}

/* Bodies that may be fetched or in memory at a time. Whoever is further behind than memory reaches
 * asks the others for a fifth of that only: it executes hardly slower, and they are not kept from
 * what is new (docs/performance.md, Catching up). But for some blocks always: in a slow network one
 * may be larger than that, and one by one each would take a round trip, as long as the others need
 * to make the next. */
static bool has_room(const struct dsmr_node *node, const struct dsmr_exec_block *item)
{
    const struct dsmr_exec_queue *queue = &node->queue;
    uint64_t memory = node->config.chunk_cache_bytes_max;
    uint64_t bytes = queue->window_bytes + item->payload_bytes;
    bool is_far = queue->backlog_bytes > memory && queue->window_count >= FAR_BEHIND_BLOCKS;
    return queue->window_count == 0 || bytes <= (is_far ? memory / FAR_BEHIND_PART : memory);
}

/* Takes blocks into the window as long as their bodies may be in memory. */
static void open_window(struct dsmr_node *node)
{
    struct dsmr_exec_queue *queue = &node->queue;
    for (struct dsmr_exec_block *item; (item = dsmr_exec_queue_next(queue)) != NULL;) {
        if (!has_room(node, item)) {
            return;
        }
        enum dsmr_err err = dsmr_exec_queue_open(queue);
        if (err == DSMR_ERR_CORRUPT) {
            dsmr_node_common_halt(node, "a block on disk is not the one that was accepted");
        }
        if (err != DSMR_OK) {
            return; /* no memory now; the next event tries again */
        }
        look_around(node, item);
    }
}

void dsmr_chunk_fetch_run(struct dsmr_node *node)
{
    struct dsmr_exec_queue *queue = &node->queue;
    if (!node->is_started || node->is_halted) {
        return;
    }
    dsmr_block_load_run(node);
    open_window(node);
    for (uint32_t i = queue->executing; i < queue->window_count; i++) {
        if (!start_work(node, dsmr_exec_queue_at(queue, i))) {
            break;
        }
    }
    dsmr_assembler_run(node);
}

void dsmr_chunk_fetch_on_held(struct dsmr_node *node, struct dsmr_chunk *chunk)
{
    struct dsmr_exec_block *block;
    struct dsmr_fetch *fetch = find_fetch(node, &chunk->ref.chunk_id);
    /* The index forgets a chunk at its expiry; a fetch may take longer and remembers the height. */
    uint64_t height =
        fetch != NULL ? fetch->height : dsmr_accepted_index_find(node->index, &chunk->ref.chunk_id);
    if (fetch != NULL) {
        end_fetch(node, fetch);
    }
    struct dsmr_exec_body *body = find_body(node, height, &chunk->ref.chunk_id, &block);
    if (body != NULL && body->state != DSMR_BODY_HELD) {
        set_body(block, body, DSMR_BODY_HELD, chunk);
    }
    if (fetch != NULL || body != NULL) {
        dsmr_chunk_fetch_run(node);
    }
}

static bool is_askable(const struct dsmr_node *node, const struct dsmr_validator *validator)
{
    if (validator->node_ids_count != 1 ||
        dsmr_node_id_equal(&validator->node_ids[0], &node->config.node_id)) {
        return false;
    }
    const struct dsmr_peer *peer = dsmr_peer_table_find(node->peers, &validator->node_ids[0]);
    return peer == NULL || peer->is_up;
}

/* The next peer of the round: signers, then the others of that set, then validators of today. NULL:
 * the round is over. */
static const struct dsmr_node_id *next_peer(struct dsmr_node *node, struct dsmr_fetch *fetch)
{
    const struct dsmr_validator_set *old = dsmr_node_common_set(node, fetch->ref.epoch);
    const struct dsmr_validator_set *now = dsmr_node_common_set(node, node->accepted->epoch);
    uint32_t old_count = old == NULL ? 0 : old->count;
    uint32_t now_count = now == NULL || now == old ? 0 : now->count;
    while (fetch->position < 2 * old_count + now_count) {
        uint32_t position = fetch->position++;
        const struct dsmr_validator *validator;
        if (position < 2 * old_count) {
            uint32_t index = (fetch->start % old_count + position) % old_count;
            if (dsmr_bitset_has(&fetch->signers, index) != (position < old_count)) {
                continue;
            }
            validator = &old->validators[index];
        } else {
            validator = &now->validators[(fetch->start % now_count + position) % now_count];
        }
        if (is_askable(node, validator)) {
            return &validator->node_ids[0];
        }
    }
    return NULL;
}

/* More than a third of the weight say that they keep it no more, so at least one who is honest, and
 * nobody has it: this node came back too late (10.2). */
static void judge_pruned(struct dsmr_node *node, struct dsmr_fetch *fetch)
{
    const struct dsmr_validator_set *set = dsmr_node_common_set(node, fetch->ref.epoch);
    if (fetch->is_pruned || set == NULL ||
        dsmr_bitset_weight(&fetch->pruned, set) <= set->total_weight / 3u) {
        return;
    }
    fetch->is_pruned = true;
    node->fetches_pruned++;
    dsmr_effects_trace(node->fx, DSMR_TRACE_CHUNK_PRUNED, &fetch->ref.chunk_id, fetch->height, 0);
}

/* Nobody had it: all of them again after a pause. */
static void end_round(struct dsmr_node *node, struct dsmr_fetch *fetch)
{
    fetch->stage = DSMR_FETCH_WAITING;
    fetch->position = 0;
    fetch->start = (uint32_t)dsmr_prng_next(&node->prng);
    if (fetch->rounds.due_mono_ms == UINT64_MAX) {
        dsmr_retry_start(&fetch->rounds, &node->prng, node->mono_ms);
    } else {
        dsmr_retry_again(&fetch->rounds, &node->prng, node->mono_ms);
    }
    fetch->due_mono_ms = fetch->rounds.due_mono_ms;
    judge_pruned(node, fetch);
    if (fetch->is_pruned) {
        fetch->due_mono_ms =
            dsmr_node_common_add(node->mono_ms, node->config.params.chunk_lifetime_ms);
    }
}

static void ask(struct dsmr_node *node, struct dsmr_fetch *fetch)
{
    const struct dsmr_node_id *peer = next_peer(node, fetch);
    if (peer == NULL) {
        end_round(node, fetch);
    } else {
        struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK};
        msg.u.request_chunk.chunk_id = fetch->ref.chunk_id;
        msg.u.request_chunk.height = fetch->height;
        dsmr_effects_send(node->fx, peer, &msg, NULL);
        dsmr_effects_trace(node->fx, DSMR_TRACE_FETCH_SENT, &fetch->ref.chunk_id, fetch->position,
                           0);
        fetch->stage = DSMR_FETCH_ASKED;
        fetch->asked[fetch->asked_count++ % DSMR_NODE_ASKED_MAX] = *peer;
        fetch->due_mono_ms = dsmr_node_common_add(
            node->mono_ms, dsmr_prng_jitter(&node->prng, node->config.fetch_timeout_ms));
    }
    dsmr_node_common_arm(node, DSMR_TIMER_FETCH, fetch->due_mono_ms);
}

static void fail(struct dsmr_node *node, struct dsmr_fetch *fetch)
{
    dsmr_node_common_count(node, DSMR_METRIC_FETCH_FAILURES, 1);
    ask(node, fetch);
}

static bool was_asked(const struct dsmr_fetch *fetch, const struct dsmr_node_id *peer)
{
    uint32_t count =
        fetch->asked_count < DSMR_NODE_ASKED_MAX ? fetch->asked_count : DSMR_NODE_ASKED_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (dsmr_node_id_equal(&fetch->asked[i], peer)) {
            return true;
        }
    }
    return false;
}

static bool is_current(const struct dsmr_fetch *fetch, const struct dsmr_node_id *peer)
{
    return fetch->stage == DSMR_FETCH_ASKED &&
           dsmr_node_id_equal(&fetch->asked[(fetch->asked_count - 1) % DSMR_NODE_ASKED_MAX], peer);
}

/* OK, or what is wrong with the header. */
static enum dsmr_err check_header(const struct dsmr_node *node, const struct dsmr_fetch *fetch,
                                  const struct dsmr_msg *msg)
{
    struct dsmr_chunk_header header;
    struct dsmr_reference ref;
    enum dsmr_err err = dsmr_chunk_header_decode(&header, &node->config.params, msg->u.chunk.chunk,
                                                 msg->u.chunk.chunk_len);
    if (err != DSMR_OK) {
        return err;
    }
    dsmr_chunk_reference(&ref, &header);
    return dsmr_reference_equal(&ref, &fetch->ref) ? DSMR_OK : DSMR_ERR_REFERENCE_MISMATCH;
}

static void note_pruned(struct dsmr_node *node, struct dsmr_fetch *fetch,
                        const struct dsmr_node_id *from)
{
    const struct dsmr_validator_set *set = dsmr_node_common_set(node, fetch->ref.epoch);
    int index = set == NULL ? -1 : dsmr_validator_set_find(set, from);
    if (index >= 0) {
        dsmr_bitset_add(&fetch->pruned, (uint32_t)index);
    }
}

void dsmr_chunk_fetch_on_message(struct dsmr_node *node, const struct dsmr_node_id *from,
                                 const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct dsmr_fetch *fetch = find_fetch(node, &msg->u.chunk.chunk_id);
    if (fetch == NULL) {
        dsmr_node_common_error(node, DSMR_ERR_UNEXPECTED); /* late: it came by another way */
        return;
    }
    if (!was_asked(fetch, from)) {
        dsmr_node_common_fault(node, from, DSMR_ERR_UNEXPECTED);
        return;
    }
    if (fetch->stage > DSMR_FETCH_ASKED) {
        return;
    }
    if (msg->u.chunk.err == DSMR_ERR_PRUNED) {
        note_pruned(node, fetch, from);
    }
    if (msg->u.chunk.err != 0) {
        if (is_current(fetch, from)) {
            fail(node, fetch);
        }
        return;
    }
    enum dsmr_err err = check_header(node, fetch, msg);
    if (err != DSMR_OK) {
        dsmr_node_common_fault(node, from, err);
        if (is_current(fetch, from)) {
            fail(node, fetch);
        }
        return;
    }
    uint64_t id = dsmr_node_common_request(node, DSMR_REQUEST_FETCH_VERIFY,
                                           (uint32_t)(fetch - node->fetches), fetch->use);
    if (id == 0) {
        return; /* the timeout asks again */
    }
    fetch->stage = DSMR_FETCH_VERIFYING;
    fetch->answered_by = *from;
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_VERIFY_CHUNK);
    fx->request_id = id;
    fx->u.verify_chunk.owner = dsmr_buf_ref(bytes);
    fx->u.verify_chunk.bytes = msg->u.chunk.chunk;
    fx->u.verify_chunk.len = msg->u.chunk.chunk_len;
}

static struct dsmr_fetch *fetch_of(struct dsmr_node *node, const struct dsmr_request *request)
{
    struct dsmr_fetch *fetch = &node->fetches[request->item];
    return fetch->stage != DSMR_FETCH_FREE && fetch->use == request->item_use ? fetch : NULL;
}

/* Something of ours stood in the way: not the peer's fault. */
static void pause(struct dsmr_node *node, struct dsmr_fetch *fetch)
{
    fetch->stage = DSMR_FETCH_WAITING;
    fetch->due_mono_ms = dsmr_node_common_add(
        node->mono_ms, dsmr_prng_jitter(&node->prng, node->config.fetch_timeout_ms));
    dsmr_node_common_arm(node, DSMR_TIMER_FETCH, fetch->due_mono_ms);
}

void dsmr_chunk_fetch_on_verified(struct dsmr_node *node, const struct dsmr_request *request,
                                  enum dsmr_err err, struct dsmr_chunk *chunk)
{
    struct dsmr_fetch *fetch = fetch_of(node, request);
    if (fetch == NULL) {
        return;
    }
    DSMR_ASSERT(fetch->stage == DSMR_FETCH_VERIFYING);
    if (err == DSMR_OK && !dsmr_reference_equal(&chunk->ref, &fetch->ref)) {
        err = DSMR_ERR_REFERENCE_MISMATCH;
    }
    if (err != DSMR_OK && dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER) {
        dsmr_node_common_fault(node, &fetch->answered_by, err);
        fail(node, fetch);
        return;
    }
    uint64_t id = err != DSMR_OK ? 0
                                 : dsmr_node_common_request(node, DSMR_REQUEST_FETCH_STORE,
                                                            request->item, fetch->use);
    if (id == 0) {
        dsmr_node_common_error(node, err);
        pause(node, fetch);
        return;
    }
    fetch->stage = DSMR_FETCH_STORING;
    fetch->chunk = dsmr_chunk_ref(chunk);
    struct dsmr_effect *fx = dsmr_effects_add(node->fx, DSMR_FX_STORE_CHUNK);
    fx->request_id = id;
    fx->u.store_chunk.chunk = dsmr_chunk_ref(chunk);
    const struct dsmr_exec_block *item = dsmr_exec_queue_find(&node->queue, fetch->height);
    DSMR_ASSERT(item != NULL); /* it waits for this body */
    fx->u.store_chunk.included_height = fetch->height;
    fx->u.store_chunk.included_time_ms = item->block->time_ms;
}

void dsmr_chunk_fetch_on_stored(struct dsmr_node *node, const struct dsmr_request *request,
                                enum dsmr_err err)
{
    struct dsmr_fetch *fetch = fetch_of(node, request);
    if (fetch == NULL) {
        return;
    }
    DSMR_ASSERT(fetch->stage == DSMR_FETCH_STORING);
    if (err != DSMR_OK) {
        dsmr_node_common_error(node, err);
        dsmr_chunk_unref(fetch->chunk);
        fetch->chunk = NULL;
        pause(node, fetch);
        return;
    }
    struct dsmr_chunk *chunk = dsmr_chunk_ref(fetch->chunk);
    struct dsmr_chunk_entry fields = {.ref = fetch->ref, .included_height = fetch->height};
    err = dsmr_chunk_pool_add(node->chunks, &fields, chunk, false);
    if (err != DSMR_OK) { /* on disk all the same: it is served from there */
        dsmr_node_common_error(node, err);
    }
    dsmr_effects_trace(node->fx, DSMR_TRACE_CHUNK_FETCHED, &fetch->ref.chunk_id, 0, 0);
    dsmr_node_common_count(node, DSMR_METRIC_CHUNKS_FETCHED, 1);
    dsmr_chunk_fetch_on_held(node, chunk);
    dsmr_chunk_unref(chunk);
}

void dsmr_chunk_fetch_on_loaded(struct dsmr_node *node, const struct dsmr_request *request,
                                enum dsmr_err err, struct dsmr_chunk *chunk)
{
    struct dsmr_exec_block *item = dsmr_exec_queue_find(&node->queue, request->number);
    node->loads_count--;
    if (item == NULL || item->state != DSMR_EXEC_FETCHING ||
        item->bodies[request->item].state != DSMR_BODY_LOADING) {
        dsmr_chunk_fetch_run(node);
        return;
    }
    struct dsmr_exec_body *body = &item->bodies[request->item];
    const struct dsmr_reference *ref = &item->block->certs[request->item].ref;
    if (err == DSMR_OK && dsmr_reference_equal(&chunk->ref, ref)) {
        set_body(item, body, DSMR_BODY_HELD, chunk);
    } else { /* "have" means that it can be served: it cannot, so it is fetched */
        dsmr_node_common_error(node, err == DSMR_OK ? DSMR_ERR_CORRUPT : err);
        set_body(item, body, DSMR_BODY_MISSING, NULL);
    }
    dsmr_chunk_fetch_run(node);
}

void dsmr_chunk_fetch_on_timer(struct dsmr_node *node)
{
    dsmr_block_load_run(node); /* what could not be read a while ago */
    for (uint32_t i = 0; i < node->config.fetches_max; i++) {
        struct dsmr_fetch *fetch = &node->fetches[i];
        if (fetch->stage != DSMR_FETCH_WAITING && fetch->stage != DSMR_FETCH_ASKED) {
            continue;
        }
        if (fetch->due_mono_ms > node->mono_ms) {
            dsmr_node_common_arm(node, DSMR_TIMER_FETCH, fetch->due_mono_ms);
        } else if (fetch->stage == DSMR_FETCH_ASKED) {
            dsmr_node_common_error(node, DSMR_ERR_TIMEOUT);
            fail(node, fetch);
        } else {
            ask(node, fetch);
        }
    }
}

bool dsmr_chunk_fetch_is_in_vain(const struct dsmr_node *node)
{
    for (uint32_t i = 0; node->fetches_count > 0 && i < node->config.fetches_max; i++) {
        const struct dsmr_fetch *fetch = &node->fetches[i];
        if (fetch->stage != DSMR_FETCH_FREE && fetch->rounds.tries >= VAIN_ROUNDS) {
            return true;
        }
    }
    return false;
}

void dsmr_chunk_fetch_free(struct dsmr_node *node)
{
    for (uint32_t i = 0; node->fetches != NULL && i < node->config.fetches_max; i++) {
        dsmr_chunk_unref(node->fetches[i].chunk);
    }
    dsmr_exec_queue_close(&node->queue);
}
