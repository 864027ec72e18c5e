/* snow_calls.c - the door between a seat and its node: calls that go in as tasks, the answers that
 * come back, and the lives of both. */
#include <stdlib.h>

#include "base/bytes.h"
#include "sim/snow_state.h"
#include "wire/codec.h"

#define AGAIN_US (DSMR_SIM_SECOND_US / 4) /* after about that what is not yet is asked again */

bool dsmr_sim_snow_is_bound(const struct dsmr_sim_snow_seat *seat)
{
    const struct dsmr_sim_node *node = &seat->snow->sim->nodes[seat->body];
    return node->byz == NULL && !node->has_bad_disk;
}

/* ---- calls ---- */

struct call {
    struct dsmr_task task;
    enum dsmr_sim_snow_kind kind;
    uint64_t request_id;
    struct dsmr_id block_id;
    struct dsmr_block *block;
    uint64_t value;
};

static void call_done(struct dsmr_task *task, void *owner)
{
    struct call *call = (struct call *)task;
    switch (call->kind) {
    case DSMR_SIM_SNOW_BUILD:
        dsmr_driver_build(owner, call->request_id, &call->block_id, call->value);
        break;
    case DSMR_SIM_SNOW_VERIFY:
        dsmr_driver_verify(owner, call->request_id, call->block, call->value);
        break;
    case DSMR_SIM_SNOW_ACCEPT:
        dsmr_driver_accept(owner, call->request_id, &call->block_id);
        break;
    case DSMR_SIM_SNOW_REJECT:
        dsmr_driver_reject(owner, &call->block_id);
        break;
    case DSMR_SIM_SNOW_PREFER:
        dsmr_driver_prefer(owner, &call->block_id);
        break;
    case DSMR_SIM_SNOW_BOOTSTRAPPING:
        dsmr_driver_set_bootstrapping(owner, call->value != 0);
        break;
    case DSMR_SIM_SNOW_AVAILABLE:
        dsmr_driver_set_available(owner, call->value);
        break;
    }
    dsmr_block_unref(call->block);
    free(call);
}

static struct call *new_call(enum dsmr_sim_snow_kind kind, const struct dsmr_id *block_id,
                             uint64_t value)
{
    struct call *call = calloc(1, sizeof(*call));
    DSMR_ASSERT(call != NULL);
    call->task.done = call_done;
    call->kind = kind;
    call->value = value;
    if (block_id != NULL) {
        call->block_id = *block_id;
    }
    return call;
}

void dsmr_sim_snow_tell(struct dsmr_sim_snow_seat *seat, enum dsmr_sim_snow_kind kind,
                        const struct dsmr_id *block_id, uint64_t value)
{
    dsmr_sim_node_push_task(&seat->snow->sim->nodes[seat->body],
                            &new_call(kind, block_id, value)->task);
}

/* Each node has blocks of its own, as from the wire. */
static struct dsmr_block *parse(const struct dsmr_sim_snow *snow, const struct dsmr_block *block)
{
    struct dsmr_block *copy = NULL;
    enum dsmr_err err = dsmr_block_decode(&copy, &snow->sim->params, block->bytes,
                                          block->bytes->bytes, block->bytes->len);
    DSMR_ASSERT(err == DSMR_OK); /* it was built */
    return copy;
}

static struct dsmr_sim_snow_ask *free_ask(struct dsmr_sim_snow_seat *seat)
{
    for (uint32_t i = 0; i < seat->asks_max; i++) {
        if (!seat->asks[i].is_used) {
            return &seat->asks[i];
        }
    }
    return NULL;
}

bool dsmr_sim_snow_has_room(struct dsmr_sim_snow_seat *seat)
{
    return free_ask(seat) != NULL;
}

struct dsmr_sim_snow_ask *dsmr_sim_snow_ask(struct dsmr_sim_snow_seat *seat,
                                            enum dsmr_sim_snow_kind kind, uint32_t number,
                                            uint64_t context)
{
    struct dsmr_sim_snow *snow = seat->snow;
    struct dsmr_sim_snow_ask *ask = free_ask(seat);
    const struct dsmr_block *block = snow->blocks[number].block;
    if (ask == NULL) {
        return NULL;
    }
    *ask = (struct dsmr_sim_snow_ask){.is_used = true,
                                      .kind = kind,
                                      .request_id = ++snow->requests,
                                      .since_us = snow->sim->now_us,
                                      .block = number,
                                      .context = context};
    struct call *call = new_call(kind, &block->id, context);
    call->request_id = ask->request_id;
    call->block = kind == DSMR_SIM_SNOW_VERIFY ? parse(snow, block) : NULL;
    dsmr_sim_node_push_task(&snow->sim->nodes[seat->body], &call->task);
    return ask;
}

/* ---- answers ---- */

/* The ask that is answered, by value; its place is free. False: none, or the node is dead. */
static bool take(struct dsmr_sim_snow_seat *seat, struct dsmr_sim_snow_ask *out,
                 uint64_t request_id)
{
    if (!dsmr_sim_node_port_call(&seat->snow->sim->nodes[seat->body])) {
        return false;
    }
    for (uint32_t i = 0; i < seat->asks_max; i++) {
        if (seat->asks[i].is_used && seat->asks[i].request_id == request_id) {
            *out = seat->asks[i];
            seat->asks[i].is_used = false;
            dsmr_sim_snow_seat_wake(seat, 1 + seat->snow->turn_us / 4);
            return true;
        }
    }
    if (dsmr_sim_snow_is_bound(seat)) {
        dsmr_sim_fail(seat->snow->sim, "14.1", "node %u answers what nobody asked", seat->body);
    }
    return false;
}

static void issue_built(struct dsmr_sim_snow_seat *seat, const struct dsmr_sim_snow_ask *ask,
                        struct dsmr_block *block)
{
    struct dsmr_sim_snow *snow = seat->snow;
    const struct dsmr_sim_node *node = &snow->sim->nodes[seat->body];
    const struct dsmr_block *parent = snow->blocks[ask->block].block;
    bool is_right = block->epoch == ask->context && block->height == parent->height + 1 &&
                    dsmr_id_equal(&block->parent_id, &parent->id);
    if (!is_right && dsmr_sim_snow_is_bound(seat)) {
        dsmr_sim_fail(snow->sim, "8", "node %u builds another block than it was asked for",
                      seat->body);
        return;
    }
    if (node->byz != NULL && node->byz->issues != NULL &&
        !node->byz->issues(node->byz_self, snow->sim, seat->body, block, ask->context)) {
        return;
    }
    uint32_t number = dsmr_sim_snow_add(snow, seat->body, block, ask->context, node->byz == NULL);
    enum dsmr_sim_snow_stage *stage = &seat->views[number].stage;
    /* It may have built the same before, in the same millisecond, and been told to reject that:
     * then it holds it again. */
    if (*stage < DSMR_SIM_SNOW_GOOD || *stage == DSMR_SIM_SNOW_REJECTED) {
        *stage = DSMR_SIM_SNOW_GOOD;
    }
}

static void on_built(void *self, uint64_t request_id, enum dsmr_err err, struct dsmr_block *block)
{
    struct dsmr_sim_snow_seat *seat = self;
    struct dsmr_sim_snow_ask ask;
    if (!take(seat, &ask, request_id)) {
        return;
    }
    if (ask.is_probe) {
        dsmr_sim_snow_probe_answer(seat, &ask, err);
    } else if (err == DSMR_OK) {
        issue_built(seat, &ask, block);
    }
}

static bool is_later(enum dsmr_err err)
{
    return err == DSMR_ERR_NOT_YET || err == DSMR_ERR_BUSY ||
           dsmr_err_class_of(err) == DSMR_ERR_CLASS_LOCAL;
}

/* What an honest node may not say of a block with its own context. */
static void judge_refusal(struct dsmr_sim_snow_seat *seat, uint32_t number, enum dsmr_err err)
{
    struct dsmr_sim_snow *snow = seat->snow;
    struct dsmr_sim_snow_block *block = &snow->blocks[number];
    bool is_invalid = dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER;
    block->is_bad |= is_invalid && dsmr_sim_snow_is_honest(snow, seat->body);
    seat->views[number].stage = is_invalid ? DSMR_SIM_SNOW_BAD : DSMR_SIM_SNOW_HERE;
    bool is_next =
        block->fate == DSMR_SIM_SNOW_DECIDED && block->block->height == seat->accepting + 1;
    if (dsmr_sim_snow_is_bound(seat) && ((block->is_honest && is_invalid) || is_next)) {
        dsmr_sim_fail(snow->sim, "9", "node %u does not take block %u of n%u, height %llu%s: %s",
                      seat->body, number, block->issuer, (unsigned long long)block->block->height,
                      is_next ? ", which is decided" : "", dsmr_err_text(err));
    }
}

static void on_verdict(void *self, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_sim_snow_seat *seat = self;
    struct dsmr_sim_snow *snow = seat->snow;
    struct dsmr_sim_snow_ask ask;
    if (!take(seat, &ask, request_id)) {
        return;
    }
    struct dsmr_sim_snow_view *view = &seat->views[ask.block];
    if (ask.is_probe) {
        dsmr_sim_snow_probe_answer(seat, &ask, err);
    } else if (view->stage == DSMR_SIM_SNOW_ASKED) {
        snow->counts.sets_late += err == DSMR_ERR_NOT_YET;
        if (err == DSMR_OK) {
            view->stage = DSMR_SIM_SNOW_GOOD;
        } else if (is_later(err)) {
            view->stage = DSMR_SIM_SNOW_HERE;
            view->due_us = snow->sim->now_us + dsmr_sim_snow_about(snow, AGAIN_US);
        } else {
            judge_refusal(seat, ask.block, err);
        }
    }
}

static void on_accepted(void *self, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_sim_snow_seat *seat = self;
    struct dsmr_sim_snow *snow = seat->snow;
    struct dsmr_sim_snow_ask ask;
    if (!take(seat, &ask, request_id)) {
        return;
    }
    if (ask.is_probe) {
        dsmr_sim_snow_probe_answer(seat, &ask, err);
        return;
    }
    const struct dsmr_block *block = snow->blocks[ask.block].block;
    if (err != DSMR_OK) {
        if (dsmr_sim_snow_is_bound(seat)) {
            dsmr_sim_fail(snow->sim, "10.1", "node %u does not accept block %u: %s", seat->body,
                          ask.block, dsmr_err_text(err));
        }
        return;
    }
    dsmr_sim_trace(snow->sim, "snow: n%u has accepted block %u, height %llu", seat->body, ask.block,
                   (unsigned long long)block->height);
    seat->views[ask.block].stage = DSMR_SIM_SNOW_ACCEPTED;
    seat->accepted = block->height;
    seat->tip = (struct dsmr_engine_tip){.height = block->height, .block_id = block->id};
    snow->counts.caught_up += seat->is_bootstrapping;
}

static void on_ready(void *self, bool is_ready)
{
    struct dsmr_sim_snow_seat *seat = self;
    if (dsmr_sim_node_port_call(&seat->snow->sim->nodes[seat->body])) {
        seat->is_ready = is_ready;
    }
}

static const struct dsmr_engine_ops engine_ops = {
    .built = on_built, .verdict = on_verdict, .accepted = on_accepted, .ready = on_ready};

/* ---- lives ---- */

void dsmr_sim_snow_configure(struct dsmr_sim_snow *snow, uint32_t node,
                             struct dsmr_driver_config *config)
{
    struct dsmr_sim_snow_seat *seat = &snow->seats[node];
    config->bft.schedule = NULL;
    config->bft.schedule_count = 0;
    config->engine = (struct dsmr_engine){.self = seat, .ops = &engine_ops};
    config->has_engine_tip = true;
    config->engine_tip = seat->tip;
}

/* For a while it may not see what it saw: the other chain starts, too. */
static void close_eyes(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    bool is_blind = dsmr_sim_snow_chance(snow, 125) && !dsmr_sim_snow_is_healed(snow);
    uint64_t until_us = snow->sim->now_us + dsmr_prng_below(&snow->prng, 4 * DSMR_SIM_SECOND_US);
    for (uint32_t i = 0; i < snow->sim->schedule_count; i++) {
        seat->is_told[i] = seat->sees_us[i] <= snow->sim->now_us && !is_blind;
        if (is_blind && seat->sees_us[i] < until_us) {
            seat->sees_us[i] = until_us;
        }
    }
}

void dsmr_sim_snow_started(struct dsmr_sim_snow *snow, uint32_t node)
{
    struct dsmr_sim_snow_seat *seat = &snow->seats[node];
    struct dsmr_query_status status;
    dsmr_sim_status(snow->sim, node, &status);
    if (status.height != seat->tip.height ||
        !dsmr_id_equal(&status.block_id, &seat->tip.block_id)) {
        dsmr_sim_fail(snow->sim, "12.2", "node %u starts at height %llu, its engine at %llu", node,
                      (unsigned long long)status.height, (unsigned long long)seat->tip.height);
    }
    seat->is_up = true;
    seat->accepting = seat->accepted = seat->tip.height;
    seat->preference = snow->chain[seat->tip.height];
    seat->is_bootstrapping = true;
    seat->bootstrap_to = UINT64_MAX;
    seat->build_due_us = 0;
    dsmr_driver_task(snow->sim->nodes[node].driver,
                     &new_call(DSMR_SIM_SNOW_BOOTSTRAPPING, NULL, true)->task);
    close_eyes(seat);
    dsmr_sim_snow_seat_wake(seat, dsmr_sim_snow_about(snow, snow->turn_us));
}

/* Of what the engine's disk was told last, it may have lost some; the node's disk is synced. */
static void go_back(struct dsmr_sim_snow_seat *seat)
{
    struct dsmr_sim_snow *snow = seat->snow;
    uint64_t most = dsmr_sim_snow_chance(snow, 600)   ? 3
                    : dsmr_sim_snow_chance(snow, 900) ? 40
                                                      : 400;
    uint64_t blocks = 1 + dsmr_prng_below(&snow->prng, most);
    if (!dsmr_sim_snow_chance(snow, snow->back) || seat->tip.height == 0) {
        return;
    }
    seat->tip.height -= blocks < seat->tip.height ? blocks : seat->tip.height;
    seat->tip.block_id = snow->blocks[snow->chain[seat->tip.height]].block->id;
    snow->counts.rollbacks++;
}

void dsmr_sim_snow_stopped(struct dsmr_sim_snow *snow, uint32_t node)
{
    struct dsmr_sim_snow_seat *seat = &snow->seats[node];
    seat->is_up = false;
    seat->is_ready = false;
    for (uint32_t i = 0; i < seat->asks_max; i++) {
        seat->asks[i].is_used = false;
    }
    for (uint32_t i = 0; i < snow->blocks_count; i++) {
        seat->views[i].stage = DSMR_SIM_SNOW_AWAY;
    }
    go_back(seat);
}

void dsmr_sim_snow_wiped(struct dsmr_sim_snow *snow, uint32_t node)
{
    snow->seats[node].tip = (struct dsmr_engine_tip){.block_id = snow->sim->genesis->id};
}
