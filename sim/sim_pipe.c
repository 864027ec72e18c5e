#include "sim/sim_pipe.h"

#include <stdlib.h>

#include "base/assert.h"

#define FRACTION_BITS 20u /* of a byte, in virtual time and rate */
#define SECOND_US UINT64_C(1000000)
#define PIECE_BYTES (16u << 10)
#define UNSENT_BYTES_MAX (256u << 10)
#define UNSENT_US 5000u

struct frame {
    struct frame *next;
    struct dsmr_sim_pipe_frame is;
    uint32_t payload;
    uint32_t begun; /* bytes of the pieces that have */
};

struct piece {
    struct piece *next;
    struct frame *frame;
    uint32_t bytes;
    bool is_last;
};

struct queue {
    struct frame *first, **end;
    uint64_t bytes; /* payload */
};

struct flow {
    struct queue waiting[DSMR_MSG_CLASS_COUNT];
    struct frame *half[DSMR_MSG_CLASS_COUNT]; /* some pieces have begun, not all */
    struct piece *first, **end; /* begun, in the order in which they leave; the first is sent */
    uint64_t begun_bytes;
    uint64_t finish; /* virtual time at which the first has left */
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

/* The most urgent frame of which a piece may begin; NULL: there is none. */
static struct frame *choose(struct flow *flow)
{
    for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++) {
        if (flow->half[cls] == NULL) {
            flow->half[cls] = take(&flow->waiting[cls]);
        }
        if (flow->half[cls] != NULL) {
            return flow->half[cls];
        }
    }
    return NULL;
}

static void begin_piece(struct flow *flow, struct frame *frame)
{
    struct piece *piece = calloc(1, sizeof(*piece));
    DSMR_ASSERT(piece != NULL);
    uint32_t left = frame->is.bytes - frame->begun;
    piece->frame = frame;
    piece->bytes = left < PIECE_BYTES ? left : PIECE_BYTES;
    piece->is_last = piece->bytes == left;
    frame->begun += piece->bytes;
    if (piece->is_last) {
        flow->half[frame->is.cls] = NULL;
    }
    *flow->end = piece;
    flow->end = &piece->next;
    flow->begun_bytes += piece->bytes;
}

/* Takes the first piece out; the frame if it was its last. */
static struct frame *end_piece(struct flow *flow)
{
    struct piece *piece = flow->first;
    struct frame *frame = piece->is_last ? piece->frame : NULL;
    flow->first = piece->next;
    flow->end = flow->first == NULL ? &flow->first : flow->end;
    flow->begun_bytes -= piece->bytes;
    free(piece);
    return frame;
}

/* The first piece of the flow is sent from now on. */
static void send_first(struct flow *flow, uint64_t now_us)
{
    struct piece *piece = flow->first;
    flow->finish += fixed(piece->bytes);
    if (piece->frame->is.begun_us == UINT64_MAX) {
        piece->frame->is.begun_us = now_us;
    }
}

/* Bytes that are begun and have not left. */
static uint64_t unsent(const struct dsmr_sim_pipe *pipe, const struct flow *flow)
{
    uint64_t left = flow->finish > pipe->virtual ? flow->finish - pipe->virtual : 0;
    return flow->first == NULL ? 0
                               : flow->begun_bytes - flow->first->bytes + (left >> FRACTION_BITS);
}

/* As src/net/net_unsent.h. */
static uint64_t unsent_max(const struct dsmr_sim_pipe *pipe)
{
    uint64_t flows = pipe->heap_count > 0 ? pipe->heap_count : 1;
    uint64_t bytes = (pipe->rate * UNSENT_US / flows) >> FRACTION_BITS;
    if (bytes > UNSENT_BYTES_MAX) {
        return UNSENT_BYTES_MAX;
    }
    return bytes < PIECE_BYTES ? PIECE_BYTES : bytes;
}

/* Begins what may begin now. */
static void fill(struct dsmr_sim_pipe *pipe, uint32_t number, uint64_t now_us)
{
    struct flow *flow = &pipe->flows[number];
    while (unsent(pipe, flow) < unsent_max(pipe)) {
        bool is_idle = flow->first == NULL;
        struct frame *frame = choose(flow);
        if (frame == NULL) {
            return;
        }
        begin_piece(flow, frame);
        if (is_idle) {
            flow->finish = pipe->virtual;
            send_first(flow, now_us);
            heap_add(pipe, number);
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
    frame->is.begun_us = UINT64_MAX;
    frame->payload = payload;
    put(&flow->waiting[is->cls], frame);
    fill(pipe, is->flow, now_us);
    return true;
}

/* The next piece that has left by now; false: none. *frame: NULL unless it was the last. */
static bool pop_piece(struct dsmr_sim_pipe *pipe, struct frame **frame, uint64_t now_us)
{
    if (pipe->heap_count == 0 || pipe->flows[pipe->heap[0]].finish > pipe->virtual) {
        return false;
    }
    uint32_t number = pipe->heap[0];
    struct flow *flow = &pipe->flows[number];
    *frame = end_piece(flow);
    if (flow->first != NULL) { /* it follows without a gap */
        send_first(flow, now_us);
        heap_sink(pipe, number);
    } else {
        heap_remove_first(pipe);
    }
    fill(pipe, number, now_us);
    return true;
}

bool dsmr_sim_pipe_pop(struct dsmr_sim_pipe *pipe, struct dsmr_sim_pipe_frame *out, uint64_t now_us)
{
    struct frame *frame = NULL;
    advance(pipe, now_us);
    while (frame == NULL) {
        if (!pop_piece(pipe, &frame, now_us)) {
            return false;
        }
    }
    *out = frame->is;
    free(frame);
    return true;
}

/* Any frame of the flow; NULL: it is empty. */
static struct frame *drop_one(struct flow *flow)
{
    struct frame *frame = NULL;
    while (frame == NULL && flow->first != NULL) {
        frame = end_piece(flow);
    }
    if (frame == NULL) {
        frame = choose(flow);
        if (frame != NULL) {
            flow->half[frame->is.cls] = NULL;
        }
    }
    return frame;
}

bool dsmr_sim_pipe_drop(struct dsmr_sim_pipe *pipe, struct dsmr_sim_pipe_frame *out)
{
    pipe->heap_count = 0; /* nothing is sent any more */
    for (uint32_t i = 0; i < pipe->flows_count; i++) {
        struct frame *frame = drop_one(&pipe->flows[i]);
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
        flow->end = &flow->first;
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
