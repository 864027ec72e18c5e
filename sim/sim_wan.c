#include "sim/sim_wan.h"

#include <stdlib.h>

#include "sim/sim_pipe.h"
#include "sim/sim_state.h"

#define RECORD_BYTES 16384u      /* of a TLS record, at most */
#define RECORD_EXTRA_BYTES 22u   /* header, content type, tag */
#define FRAME_EXTRA_BYTES 4u     /* docs/transport.md, section 5 */
#define SEGMENT_BYTES 1448u      /* TCP payload of an Ethernet frame, with timestamps */
#define SEGMENT_EXTRA_BYTES 90u  /* TCP 32, IP 20, Ethernet 38 with preamble and gap */
#define HOLD_US_MIN UINT64_C(50) /* shorter waits for the downlink are not worth an event */
#define JITTER_DIVISOR 100u
#define WORKERS 4u
#define SYNC_JITTER_US 500u

const char *const dsmr_sim_wan_region_names[DSMR_SIM_WAN_REGIONS] = {
    "us-east-1", "us-west-1", "eu-north-1", "ap-northeast-1", "ap-southeast-2"};

/* Round trips in microseconds: docs/scale.md says who measured them. */
static const uint32_t round_trips_us[DSMR_SIM_WAN_REGIONS][DSMR_SIM_WAN_REGIONS] = {
    {264, 59911, 105050, 152425, 198034}, {59911, 133, 162926, 111696, 137107},
    {105050, 162926, 88, 265303, 294780}, {152425, 111696, 265303, 98, 104075},
    {198034, 137107, 294780, 104075, 89},
};

/* ---- places ---- */

uint32_t dsmr_sim_wan_region(uint32_t node)
{
    return node % DSMR_SIM_WAN_REGIONS;
}

void dsmr_sim_wan_link(uint32_t from, uint32_t to, struct dsmr_sim_link *link)
{
    link->latency_us = round_trips_us[dsmr_sim_wan_region(from)][dsmr_sim_wan_region(to)] / 2u;
    link->jitter_us = link->latency_us / JITTER_DIVISOR;
}

uint32_t dsmr_sim_wan_bytes(uint32_t len)
{
    uint32_t records = (len + FRAME_EXTRA_BYTES + RECORD_BYTES - 1u) / RECORD_BYTES;
    uint32_t stream = len + FRAME_EXTRA_BYTES + records * RECORD_EXTRA_BYTES;
    uint32_t segments = (stream + SEGMENT_BYTES - 1u) / SEGMENT_BYTES;
    return stream + segments * SEGMENT_EXTRA_BYTES;
}

void dsmr_sim_wan_configure(struct dsmr_sim_config *config, uint64_t bits_per_s)
{
    config->app = DSMR_SIM_OPAQUE;
    config->link_of = dsmr_sim_wan_link;
    config->wan.up_bytes_per_s = config->wan.down_bytes_per_s = bits_per_s / 8u;
    config->cores = WORKERS;
    config->costs = dsmr_sim_cpu_measured;
    config->sync_us_max = SYNC_JITTER_US;
}

bool dsmr_sim_wan_is_on(const struct dsmr_sim *sim)
{
    return sim->config.wan.up_bytes_per_s > 0;
}

/* ---- the uplink ---- */

static void schedule(struct dsmr_sim_node *node)
{
    uint64_t due_us = dsmr_sim_pipe_due_us(node->wan.pipe);
    if (due_us >= node->wan.due_us) {
        return; /* the event that comes first looks again */
    }
    node->wan.due_us = due_us;
    dsmr_sim_queue_push(&node->sim->queue, (struct dsmr_sim_event){.due_us = due_us,
                                                                   .kind = DSMR_SIM_PIPE,
                                                                   .node = node->number,
                                                                   .life = node->life});
}

enum dsmr_err dsmr_sim_wan_send(struct dsmr_sim_node *node, uint32_t to, enum dsmr_msg_class cls,
                                struct dsmr_buf *bytes)
{
    struct dsmr_sim_pipe_frame frame = {.item = dsmr_buf_ref(bytes),
                                        .flow = to,
                                        .bytes = dsmr_sim_wan_bytes(bytes->len),
                                        .cls = cls};
    if (!dsmr_sim_pipe_push(node->wan.pipe, &frame, bytes->len, node->sim->now_us)) {
        dsmr_buf_unref(bytes);
        node->usage.refused++;
        return DSMR_ERR_FULL;
    }
    dsmr_sim_cpu_net(node, bytes->len);
    schedule(node);
    return DSMR_OK;
}

/* They are the longest messages on which all wait. */
static void count_proposal(struct dsmr_sim_node *node, const struct dsmr_sim_pipe_frame *frame)
{
    const struct dsmr_buf *bytes = frame->item;
    if (bytes->len > 0 && bytes->bytes[0] == DSMR_MSG_BFT_PROPOSAL) {
        node->usage.proposals++;
        node->usage.proposal_bytes += frame->bytes;
        node->usage.proposal_us += node->sim->now_us - frame->queued_us;
    }
}

void dsmr_sim_wan_on_pipe(struct dsmr_sim_node *node, uint64_t due_us)
{
    struct dsmr_sim *sim = node->sim;
    struct dsmr_sim_pipe_frame frame;
    if (due_us != node->wan.due_us) {
        return; /* an earlier one has come instead */
    }
    node->wan.due_us = UINT64_MAX;
    while (dsmr_sim_pipe_pop(node->wan.pipe, &frame, sim->now_us)) {
        node->usage.up_bytes[frame.cls] += frame.bytes;
        node->usage.up_messages[frame.cls]++;
        node->usage.up_wait_us[frame.cls] += sim->now_us - frame.queued_us;
        count_proposal(node, &frame);
        dsmr_sim_net_travel(sim, node->number, frame.flow, frame.item,
                            sim->now_us - frame.begun_us);
        dsmr_buf_unref(frame.item);
    }
    node->usage.up_busy_us = dsmr_sim_pipe_busy_us(node->wan.pipe);
    schedule(node);
}

/* ---- the downlink ---- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool dsmr_sim_wan_holds(struct dsmr_sim_node *node, const struct dsmr_sim_event *arrival)
{
    struct dsmr_sim *sim = node->sim;
    struct dsmr_sim_item *item = arrival->item;
    if (item->bytes == NULL) {
        return false;
    }
    if (item->is_held) {
        node->wan.held--;
        return false;
    }
    uint64_t bytes = dsmr_sim_wan_bytes(item->bytes->len);
    uint64_t begun_ns = (sim->now_us - item->span_us) * 1000u;
    uint64_t takes_ns = bytes * UINT64_C(1000000000) / sim->config.wan.down_bytes_per_s;
    node->wan.down_free_ns = larger(node->wan.down_free_ns, begun_ns) + takes_ns;
    node->usage.down_bytes += bytes;
    node->usage.down_messages++;
    uint64_t through_us = larger(sim->now_us, node->wan.down_free_ns / 1000u);
    through_us = dsmr_sim_cpu_net_receive(node, item->bytes->len, through_us);
    if (node->wan.held == 0 && through_us <= sim->now_us + HOLD_US_MIN) {
        return false;
    }
    item->is_held = true;
    node->wan.held++;
    node->usage.down_wait_us += through_us - sim->now_us;
    struct dsmr_sim_event again = *arrival;
    again.due_us = through_us;
    dsmr_sim_queue_push(&sim->queue, again);
    return true;
}

/* ---- lives ---- */

void dsmr_sim_wan_init(struct dsmr_sim_node *node)
{
    const struct dsmr_sim_config *config = &node->sim->config;
    if (dsmr_sim_wan_is_on(node->sim)) {
        node->wan.pipe =
            dsmr_sim_pipe_new(config->nodes + DSMR_SIM_TWINS_MAX, config->wan.up_bytes_per_s);
        node->wan.due_us = UINT64_MAX;
        DSMR_ASSERT(config->wan.down_bytes_per_s > 0);
    }
}

void dsmr_sim_wan_stopped(struct dsmr_sim_node *node)
{
    struct dsmr_sim_pipe_frame frame;
    while (node->wan.pipe != NULL && dsmr_sim_pipe_drop(node->wan.pipe, &frame)) {
        dsmr_buf_unref(frame.item);
    }
    node->wan.due_us = UINT64_MAX;
    node->wan.held = 0;
}

void dsmr_sim_wan_close(struct dsmr_sim_node *node)
{
    dsmr_sim_wan_stopped(node);
    dsmr_sim_pipe_free(node->wan.pipe);
}

void dsmr_sim_wan_set_rate(struct dsmr_sim_node *node, uint64_t bytes_per_s)
{
    dsmr_sim_pipe_set_rate(node->wan.pipe, bytes_per_s, node->sim->now_us);
    schedule(node);
}
