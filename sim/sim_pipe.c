#include "sim/sim_pipe.h"

#include <stdlib.h>

#include "base/assert.h"

#define FRACTION_BITS 20u /* of a byte, in virtual time and rate */
#define SECOND_US UINT64_C(1000000)

struct frame {
    struct frame *next;
    struct dsmr_sim_pipe_frame is;
    uint32_t payload;
};

struct queue {
    struct frame *first, **end;
    uint64_t bytes; /* payload */
};

struct flow {
    struct queue waiting[DSMR_MSG_CLASS_COUNT];
    struct queue begun; /* in the order in which they leave; the first is being sent */
    uint64_t begun_bytes;
    uint64_t finish; /* virtual time at which the first of begun has left */
};

struct dsmr_sim_pipe {
    uint32_t flows_count;
    struct flow *flows;
    /* Virtual time: bytes that each sending flow was given since the start. */
    uint64_t virtual; /* in 2^-FRACTION_BITS */
    uint64_t rate;    /* of all, the same in a microsecond */
    uint64_t updated_us, busy_us;
    uint32_t *heap; /* of the sending flows, by finish */
    uint32_t heap_count;
};

static const uint64_t queue_bytes_max[DSMR_MSG_CLASS_COUNT] = {
    [DSMR_MSG_CLASS_VOTE] = 4u << 20,
    [DSMR_MSG_CLASS_CERT] = 16u << 20,
    [DSMR_MSG_CLASS_CHUNK] = 64u << 20,
    [DSMR_MSG_CLASS_TX] = 4u << 20,
};

/* ---- queues ---- */

static void put(struct queue *queue, struct frame *frame)
{
    frame->next = NULL;
    *queue->end = frame;
    queue->end = &frame->next;
    queue->bytes += frame->payload;
}

static struct frame *take(struct queue *queue)
{
    struct frame *frame = queue->first;
    if (frame != NULL) {
        queue->first = frame->next;
        queue->end = queue->first == NULL ? &queue->first : queue->end;
        queue->bytes -= frame->payload;
    }
    return frame;
}

/* ---- the heap ---- */

static bool is_before(const struct dsmr_sim_pipe *pipe, uint32_t a, uint32_t b)
{
    const struct flow *first = &pipe->flows[a], *second = &pipe->flows[b];
    return first->finish != second->finish ? first->finish < second->finish : a < b;
}

static void heap_add(struct dsmr_sim_pipe *pipe, uint32_t flow)
{
    uint32_t i = pipe->heap_count++;
    for (; i > 0 && is_before(pipe, flow, pipe->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        pipe->heap[i] = pipe->heap[(i - 1) / 2];
    }
    pipe->heap[i] = flow;
}

/* Puts flow into the hole at the top. */
static void heap_sink(struct dsmr_sim_pipe *pipe, uint32_t flow)
{
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= pipe->heap_count) {
            break;
        }
        if (child + 1 < pipe->heap_count &&
            is_before(pipe, pipe->heap[child + 1], pipe->heap[child])) {
            child++;
        }
        if (!is_before(pipe, pipe->heap[child], flow)) {
            break;
        }
        pipe->heap[i] = pipe->heap[child];
        i = child;
    }
    pipe->heap[i] = flow;
}

static void heap_remove_first(struct dsmr_sim_pipe *pipe)
{
    uint32_t last = pipe->heap[--pipe->heap_count];
    if (pipe->heap_count > 0) {
        heap_sink(pipe, last);
    }
}

/* ---- time ---- */

static void advance(struct dsmr_sim_pipe *pipe, uint64_t now_us)
{
    DSMR_ASSERT(now_us >= pipe->updated_us);
    uint64_t passed_us = now_us - pipe->updated_us;
    pipe->updated_us = now_us;
    if (pipe->heap_count > 0) {
        pipe->virtual += passed_us * pipe->rate / pipe->heap_count;
        pipe->busy_us += passed_us;
    }
}

static uint64_t fixed(uint32_t bytes)
{
    return (uint64_t)bytes << FRACTION_BITS;
}

uint64_t dsmr_sim_pipe_due_us(const struct dsmr_sim_pipe *pipe)
{
    if (pipe->heap_count == 0) {
        return UINT64_MAX;
    }
    uint64_t finish = pipe->flows[pipe->heap[0]].finish;
    uint64_t left = finish > pipe->virtual ? finish - pipe->virtual : 0;
    return pipe->updated_us + (left * pipe->heap_count + pipe->rate - 1) / pipe->rate;
}

/* ---- frames ---- */

static void begin(struct flow *flow, struct frame *frame)
{
    put(&flow->begun, frame);
    flow->begun_bytes += frame->is.bytes;
}

/* Bytes that are begun and have not left. */
static uint64_t unsent(const struct dsmr_sim_pipe *pipe, const struct flow *flow)
{
    uint64_t left = flow->finish > pipe->virtual ? flow->finish - pipe->virtual : 0;
    return flow->begun.first == NULL
               ? 0
               : flow->begun_bytes - flow->begun.first->is.bytes + (left >> FRACTION_BITS);
}

/* Begins what may begin now. */
static void fill(struct dsmr_sim_pipe *pipe, uint32_t number, uint64_t now_us)
{
    struct flow *flow = &pipe->flows[number];
    for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++) {
        while (unsent(pipe, flow) < DSMR_SIM_PIPE_UNSENT_MAX) {
            bool is_idle = flow->begun.first == NULL;
            struct frame *frame = take(&flow->waiting[cls]);
            if (frame == NULL) {
                break;
            }
            begin(flow, frame);
            if (is_idle) {
                frame->is.begun_us = now_us;
                flow->finish = pipe->virtual + fixed(frame->is.bytes);
                heap_add(pipe, number);
            }
        }
    }
}

bool dsmr_sim_pipe_push(struct dsmr_sim_pipe *pipe, const struct dsmr_sim_pipe_frame *is,
                        uint32_t payload, uint64_t now_us)
{
    DSMR_ASSERT(is->flow < pipe->flows_count);
    struct flow *flow = &pipe->flows[is->flow];
    advance(pipe, now_us);
    fill(pipe, is->flow, now_us); /* what waited has had its chance before this one came */
    if (flow->waiting[is->cls].bytes + payload > queue_bytes_max[is->cls]) {
        return false;
    }
    struct frame *frame = calloc(1, sizeof(*frame));
    DSMR_ASSERT(frame != NULL);
    frame->is = *is;
    frame->is.queued_us = now_us;
    frame->payload = payload;
    put(&flow->waiting[is->cls], frame);
    fill(pipe, is->flow, now_us);
    return true;
}

bool dsmr_sim_pipe_pop(struct dsmr_sim_pipe *pipe, struct dsmr_sim_pipe_frame *out, uint64_t now_us)
{
    advance(pipe, now_us);
    if (pipe->heap_count == 0 || pipe->flows[pipe->heap[0]].finish > pipe->virtual) {
        return false;
    }
    uint32_t number = pipe->heap[0];
    struct flow *flow = &pipe->flows[number];
    struct frame *frame = take(&flow->begun);
    flow->begun_bytes -= frame->is.bytes;
    if (flow->begun.first != NULL) { /* it follows without a gap */
        flow->begun.first->is.begun_us = now_us;
        flow->finish += fixed(flow->begun.first->is.bytes);
        heap_sink(pipe, number);
    } else {
        heap_remove_first(pipe);
    }
    fill(pipe, number, now_us);
    *out = frame->is;
    free(frame);
    return true;
}

bool dsmr_sim_pipe_drop(struct dsmr_sim_pipe *pipe, struct dsmr_sim_pipe_frame *out)
{
    pipe->heap_count = 0; /* nothing is sent any more */
    for (uint32_t i = 0; i < pipe->flows_count; i++) {
        struct flow *flow = &pipe->flows[i];
        struct frame *frame = take(&flow->begun);
        for (int cls = 0; frame == NULL && cls < DSMR_MSG_CLASS_COUNT; cls++) {
            frame = take(&flow->waiting[cls]);
        }
        flow->begun_bytes = 0;
        if (frame != NULL) {
            *out = frame->is;
            free(frame);
            return true;
        }
    }
    return false;
}

/* ---- the rest ---- */

static uint64_t rate_of(uint64_t bytes_per_s)
{
    uint64_t rate = (bytes_per_s << FRACTION_BITS) / SECOND_US;
    DSMR_ASSERT(rate > 0);
    return rate;
}

struct dsmr_sim_pipe *dsmr_sim_pipe_new(uint32_t flows, uint64_t rate)
{
    struct dsmr_sim_pipe *pipe = calloc(1, sizeof(*pipe));
    DSMR_ASSERT(pipe != NULL);
    pipe->flows_count = flows;
    pipe->rate = rate_of(rate);
    pipe->flows = calloc(flows, sizeof(*pipe->flows));
    pipe->heap = calloc(flows, sizeof(*pipe->heap));
    DSMR_ASSERT(pipe->flows != NULL && pipe->heap != NULL);
    for (uint32_t i = 0; i < flows; i++) {
        struct flow *flow = &pipe->flows[i];
        flow->begun.end = &flow->begun.first;
        for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++) {
            flow->waiting[cls].end = &flow->waiting[cls].first;
        }
    }
    return pipe;
}

void dsmr_sim_pipe_free(struct dsmr_sim_pipe *pipe)
{
    if (pipe != NULL) {
        struct dsmr_sim_pipe_frame frame;
        bool is_empty = !dsmr_sim_pipe_drop(pipe, &frame);
        DSMR_ASSERT(is_empty);
        free(pipe->flows);
        free(pipe->heap);
        free(pipe);
    }
}

void dsmr_sim_pipe_set_rate(struct dsmr_sim_pipe *pipe, uint64_t rate, uint64_t now_us)
{
    advance(pipe, now_us);
    pipe->rate = rate_of(rate);
}

uint64_t dsmr_sim_pipe_busy_us(const struct dsmr_sim_pipe *pipe)
{
    return pipe->busy_us;
}
