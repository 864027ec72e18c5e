/* world_events.c - what happens next in a world. */
#include <stdlib.h>

#include "base/assert.h"
#include "lib/world_state.h"
#include "sim/sim_bls.h"

/* ---- the heap of events ---- */

static bool is_before(const struct world_event *a, const struct world_event *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->sequence < b->sequence;
}

void dsmr_world_push(struct dsmr_world *world, struct world_event event)
{
    DSMR_ASSERT(world->heap_count < WORLD_EVENTS_MAX);
    event.sequence = world->sequence++;
    uint32_t i = world->heap_count++;
    while (i > 0 && is_before(&event, &world->heap[(i - 1) / 2])) {
        world->heap[i] = world->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    world->heap[i] = event;
}

struct world_event dsmr_world_pop(struct dsmr_world *world)
{
    struct world_event top = world->heap[0], last = world->heap[--world->heap_count];
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

void dsmr_world_drop_events(struct dsmr_world *world, struct world_node *node)
{
    struct world_event *kept = malloc(WORLD_EVENTS_MAX * sizeof *kept);
    uint32_t count = 0;
    DSMR_ASSERT(kept != NULL);
    while (world->heap_count > 0) {
        struct world_event event = dsmr_world_pop(world);
        if (event.node != node->number) {
            kept[count++] = event;
            continue;
        }
        if (event.kind == EVENT_WORK)
            event.task->done(event.task, node->driver);
        dsmr_buf_unref(event.bytes);
    }
    for (uint32_t i = 0; i < count; i++)
        dsmr_world_push(world, kept[i]);
    free(kept);
}

/* ---- running ---- */

struct call { /* what the net adapter would bring through the inbox */
    struct dsmr_task task;
    struct world_event event;
};

static void call_done(struct dsmr_task *task, void *owner)
{
    struct call *call = (struct call *)task;
    struct dsmr_node_id from = dsmr_sim_bls_node_id(call->event.from);
    if (call->event.kind == EVENT_MESSAGE)
        dsmr_driver_net_handler()->message(owner, &from, call->event.bytes);
    else
        dsmr_driver_net_handler()->peer(owner, &from, call->event.is_up);
    dsmr_buf_unref(call->event.bytes);
    free(call);
}

static void handle(struct dsmr_world *world, struct world_event event)
{
    struct world_node *node = &world->nodes[event.node];
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
    struct world_node *node = &world->nodes[number];
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
        struct world_event event = dsmr_world_pop(world);
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
