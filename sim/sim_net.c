/* sim_net.c - the network: paths with latency, loss, cuts; uplinks with a bandwidth. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim/sim_bls.h"
#include "sim/sim_state.h"

static const uint64_t queue_bytes_max[DSMR_MSG_CLASS_COUNT] = {
    [DSMR_MSG_CLASS_VOTE] = 4u << 20,
    [DSMR_MSG_CLASS_CERT] = 16u << 20,
    [DSMR_MSG_CLASS_CHUNK] = 64u << 20,
    [DSMR_MSG_CLASS_TX] = 4u << 20,
};

uint32_t dsmr_sim_net_number(const struct dsmr_node_id *id)
{
    return dsmr_load_be32(id->bytes + 16);
}

struct dsmr_sim_path *dsmr_sim_net_path(const struct dsmr_sim *sim, uint32_t from, uint32_t to)
{
    return &sim->paths[(size_t)from * (sim->config.nodes + DSMR_SIM_TWINS_MAX) + to];
}

/* ---- twins: two bodies of one node; each other node sees one of them ---- */

/* Which body of a node with twins: 0 or 1. */
static uint32_t side_seen(const struct dsmr_sim *sim, uint32_t body, uint32_t number)
{
    const struct dsmr_sim_node *who = &sim->nodes[body];
    if (who->twin != 0 || who->number != who->identity) {
        return who->twin == 0; /* first bodies see first ones, second bodies second ones */
    }
    return sim->nodes[number].twin_mask >> (who->identity % 64) & 1;
}

uint32_t dsmr_sim_net_body(const struct dsmr_sim *sim, uint32_t body, uint32_t number)
{
    uint32_t twin = sim->nodes[number].twin;
    return twin != 0 && side_seen(sim, body, number) == 1 ? twin : number;
}

static bool is_in_sight(const struct dsmr_sim *sim, uint32_t a, uint32_t b)
{
    uint32_t a_identity = sim->nodes[a].identity, b_identity = sim->nodes[b].identity;
    return a_identity != b_identity && dsmr_sim_net_body(sim, a, b_identity) == b &&
           dsmr_sim_net_body(sim, b, a_identity) == a;
}

/* ---- travelling ---- */

static bool is_one_of_a_million(struct dsmr_sim *sim, uint32_t ppm)
{
    return ppm > 0 && dsmr_prng_below(&sim->net_prng, 1000000) < ppm;
}

#define TAIL_US_MAX (10 * DSMR_SIM_SECOND_US)

/* A distribution with a long tail: each doubling is half as likely as the one before. */
static uint64_t tail_us(struct dsmr_sim *sim, uint64_t takes_us)
{
    uint64_t toss = dsmr_prng_next(&sim->net_prng);
    for (takes_us *= 2; (toss & 1) != 0 && takes_us < TAIL_US_MAX; toss >>= 1) {
        takes_us *= 2;
    }
    takes_us += dsmr_prng_below(&sim->net_prng, takes_us + 1);
    return takes_us < TAIL_US_MAX ? takes_us : TAIL_US_MAX;
}

static void arrive(struct dsmr_sim *sim, uint32_t from, uint32_t to, struct dsmr_buf *bytes,
                   uint64_t span_us)
{
    struct dsmr_sim_path *path = dsmr_sim_net_path(sim, from, to);
    struct dsmr_sim_item *item = malloc(sizeof(*item));
    DSMR_ASSERT(item != NULL);
    *item = (struct dsmr_sim_item){.from = from, .bytes = dsmr_buf_ref(bytes), .span_us = span_us};
    uint64_t takes_us =
        path->link.latency_us + dsmr_prng_below(&sim->net_prng, path->link.jitter_us + 1);
    bool is_late = is_one_of_a_million(sim, path->link.tail_ppm);
    uint64_t due_us = sim->now_us + (is_late ? tail_us(sim, takes_us) : takes_us);
    if (!is_one_of_a_million(sim, path->link.reorder_ppm)) {
        due_us = due_us < path->last_us ? path->last_us : due_us;
        path->last_us = due_us;
    }
    dsmr_sim_queue_push(&sim->queue, (struct dsmr_sim_event){.due_us = due_us,
                                                             .kind = DSMR_SIM_ARRIVAL,
                                                             .node = to,
                                                             .life = sim->nodes[to].life,
                                                             .item = item});
}

void dsmr_sim_net_travel(struct dsmr_sim *sim, uint32_t from, uint32_t to, struct dsmr_buf *bytes,
                         uint64_t span_us)
{
    const struct dsmr_sim_path *path = dsmr_sim_net_path(sim, from, to);
    sim->messages++;
    dsmr_sim_story_sent(sim->story, sim->now_us, from, to, bytes);
    sim->nodes[from].usage.bytes_sent += bytes->len;
    if (path->is_cut || sim->nodes[to].driver == NULL ||
        is_one_of_a_million(sim, path->link.loss_ppm)) {
        return;
    }
    arrive(sim, from, to, bytes, span_us);
    if (is_one_of_a_million(sim, path->link.duplicate_ppm)) {
        arrive(sim, from, to, bytes, span_us);
    }
}

static void travel(struct dsmr_sim *sim, uint32_t from, uint32_t to, struct dsmr_buf *bytes)
{
    dsmr_sim_net_travel(sim, from, to, bytes, 0);
}

/* ---- the uplink ---- */

static void start_sending(struct dsmr_sim_node *node)
{
    struct dsmr_sim *sim = node->sim;
    for (int cls = 0; cls < DSMR_MSG_CLASS_COUNT; cls++) {
        struct dsmr_sim_out *out = node->out[cls];
        if (out == NULL) {
            continue;
        }
        node->out[cls] = out->next;
        node->out_end[cls] = out->next == NULL ? &node->out[cls] : node->out_end[cls];
        node->out_bytes[cls] -= out->bytes->len;
        node->is_sending = true;
        uint64_t takes_us =
            out->bytes->len * DSMR_SIM_SECOND_US / (node->uplink_bytes_per_s + 1) + 1;
        dsmr_sim_queue_push(&sim->queue, (struct dsmr_sim_event){.due_us = sim->now_us + takes_us,
                                                                 .kind = DSMR_SIM_UPLINK,
                                                                 .node = node->number,
                                                                 .life = node->life});
        travel(sim, node->number, out->to, out->bytes);
        dsmr_buf_unref(out->bytes);
        free(out);
        return;
    }
}

void dsmr_sim_net_uplink_free(struct dsmr_sim_node *node)
{
    node->is_sending = false;
    start_sending(node);
}

static enum dsmr_err queue(struct dsmr_sim_node *node, uint32_t to, enum dsmr_msg_class cls,
                           struct dsmr_buf *bytes)
{
    if (node->out_bytes[cls] + bytes->len > queue_bytes_max[cls]) {
        return DSMR_ERR_FULL;
    }
    struct dsmr_sim_out *out = calloc(1, sizeof(*out));
    DSMR_ASSERT(out != NULL);
    out->to = to;
    out->bytes = dsmr_buf_ref(bytes);
    *node->out_end[cls] = out;
    node->out_end[cls] = &out->next;
    node->out_bytes[cls] += bytes->len;
    if (!node->is_sending) {
        start_sending(node);
    }
    return DSMR_OK;
}

void dsmr_sim_net_send(struct dsmr_sim *sim, uint32_t from, uint32_t to, struct dsmr_buf *bytes)
{
    to = dsmr_sim_net_body(sim, from, to);
    struct dsmr_sim_node *node = &sim->nodes[from];
    int cls = bytes->len == 0 ? -1 : dsmr_msg_class_of(bytes->bytes[0]);
    if (dsmr_sim_wan_is_on(sim)) {
        (void)dsmr_sim_wan_send(node, to, cls < 0 ? DSMR_MSG_CLASS_TX : (enum dsmr_msg_class)cls,
                                bytes);
    } else if (node->uplink_bytes_per_s == 0) {
        travel(sim, from, to, bytes);
    } else {
        (void)queue(node, to, cls < 0 ? DSMR_MSG_CLASS_TX : (enum dsmr_msg_class)cls, bytes);
    }
}

/* ---- the port ---- */

static struct dsmr_buf *join(struct dsmr_buf *head, const uint8_t *body, uint32_t body_len)
{
    if (body_len == 0) {
        return dsmr_buf_ref(head);
    }
    struct dsmr_buf *bytes = dsmr_buf_new((size_t)head->len + body_len);
    DSMR_ASSERT(bytes != NULL);
    memcpy(bytes->bytes, head->bytes, head->len);
    memcpy(bytes->bytes + head->len, body, body_len);
    return bytes;
}

void dsmr_sim_net_forget(struct dsmr_sim_node *node)
{
    dsmr_buf_unref(node->joined.head);
    dsmr_buf_unref(node->joined.owner);
    dsmr_buf_unref(node->joined.bytes);
    memset(&node->joined, 0, sizeof(node->joined));
}

/* The bytes of a message, one copy for all who get the same. */
static struct dsmr_buf *join_once(struct dsmr_sim_node *node, struct dsmr_buf *head,
                                  struct dsmr_buf *owner, const uint8_t *body, uint32_t body_len)
{
    if (node->joined.head != head || node->joined.body != body ||
        node->joined.bytes->len != head->len + body_len) {
        dsmr_sim_net_forget(node);
        node->joined.head = dsmr_buf_ref(head); /* held: no other message can have its address */
        node->joined.owner = dsmr_buf_ref(owner);
        node->joined.body = body;
        node->joined.bytes = join(head, body, body_len);
    }
    return dsmr_buf_ref(node->joined.bytes);
}

static bool is_watched(const struct dsmr_sim *sim)
{
    for (uint32_t i = 0; i < sim->checkers_count; i++) {
        if (sim->checkers[i].ops->sent != NULL) {
            return true;
        }
    }
    return false;
}

/* What checkers and the liar behind this node make of it. False: it is held back. */
static bool may_leave(struct dsmr_sim_node *node, uint32_t to, struct dsmr_buf *bytes)
{
    struct dsmr_sim *sim = node->sim;
    struct dsmr_msg msg;
    if (node->byz == NULL && !is_watched(sim)) {
        return true;
    }
    if (dsmr_msg_decode(&msg, bytes->bytes, bytes->len) != DSMR_OK) {
        dsmr_sim_fail(sim, "X3", "node %u sends a message that does not decode", node->number);
        return false;
    }
    if (node->byz != NULL) {
        return node->byz->sends == NULL || node->byz->sends(node->byz_self, sim, node->number,
                                                            sim->nodes[to].identity, &msg, bytes);
    }
    for (uint32_t i = 0; i < sim->checkers_count; i++) {
        const struct dsmr_sim_checker *checker = &sim->checkers[i];
        if (checker->ops->sent != NULL) {
            checker->ops->sent(checker->self, sim, node->number, to, &msg);
        }
    }
    return true;
}

static enum dsmr_err send_now(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                              struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                              uint32_t body_len)
{
    struct dsmr_sim_node *node = self;
    struct dsmr_sim *sim = node->sim;
    uint32_t target = dsmr_sim_net_body(sim, node->number, dsmr_sim_net_number(to));
    if (!dsmr_sim_node_port_call(node)) {
        return DSMR_OK;
    }
    DSMR_ASSERT(target < sim->bodies);
    DSMR_ASSERT(sim->nodes[target].identity != node->identity);
    if (!dsmr_sim_net_path(sim, target, node->number)->is_known) {
        return DSMR_ERR_UNKNOWN;
    }
    struct dsmr_buf *bytes = join_once(node, head, owner, body, body_len);
    enum dsmr_err err = DSMR_OK;
    node->sends++;
    if (may_leave(node, target, bytes)) {
        if (dsmr_sim_wan_is_on(sim)) {
            err = dsmr_sim_wan_send(node, target, cls, bytes);
        } else if (node->uplink_bytes_per_s == 0) {
            travel(sim, node->number, target, bytes);
        } else {
            err = queue(node, target, cls, bytes);
        }
    }
    dsmr_buf_unref(bytes);
    return err;
}

static enum dsmr_err send(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                          struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                          uint32_t body_len)
{
    dsmr_sim_probe_pause();
    enum dsmr_err err = send_now(self, to, cls, head, owner, body, body_len);
    dsmr_sim_probe_resume();
    return err;
}

static void set_peers(void *self, const struct dsmr_node_id *peers, uint32_t count)
{
    (void)self, (void)peers, (void)count; /* all are connected; who gets service is the core's */
}

static void drop(void *self, const struct dsmr_node_id *peer, enum dsmr_err why)
{
    (void)self, (void)peer, (void)why; /* it would be back after a pause */
}

struct dsmr_net dsmr_sim_net_port(struct dsmr_sim_node *node)
{
    static const struct dsmr_net_ops ops = {.send = send, .set_peers = set_peers, .drop = drop};
    return (struct dsmr_net){.self = node, .ops = &ops};
}

/* ---- who sees whom ---- */

static void tell(struct dsmr_sim *sim, uint32_t node, uint32_t from, bool is_up)
{
    struct dsmr_sim_path *path = dsmr_sim_net_path(sim, from, node);
    if (sim->nodes[node].driver == NULL || path->is_known == is_up) {
        return;
    }
    struct dsmr_sim_item *item = calloc(1, sizeof(*item));
    DSMR_ASSERT(item != NULL);
    path->is_known = is_up;
    item->from = from;
    item->is_up = is_up;
    dsmr_sim_queue_push(&sim->queue, (struct dsmr_sim_event){.due_us = sim->now_us + 1000,
                                                             .kind = DSMR_SIM_ARRIVAL,
                                                             .node = node,
                                                             .life = sim->nodes[node].life,
                                                             .item = item});
}

static bool can_connect(const struct dsmr_sim *sim, uint32_t a, uint32_t b)
{
    return sim->nodes[a].driver != NULL && sim->nodes[b].driver != NULL && is_in_sight(sim, a, b) &&
           !dsmr_sim_net_path(sim, a, b)->is_cut && !dsmr_sim_net_path(sim, b, a)->is_cut;
}

void dsmr_sim_net_started(struct dsmr_sim *sim, uint32_t node)
{
    for (uint32_t i = 0; i < sim->bodies; i++) {
        if (i != node) {
            dsmr_sim_net_path(sim, i, node)->is_known = false; /* it has just begun */
            if (can_connect(sim, i, node)) {
                tell(sim, node, i, true);
                tell(sim, i, node, true);
            }
        }
    }
}

void dsmr_sim_net_stopped(struct dsmr_sim *sim, uint32_t node)
{
    for (uint32_t i = 0; i < sim->bodies; i++) {
        if (i != node) {
            tell(sim, i, node, false);
        }
    }
}

void dsmr_sim_net_regroup(struct dsmr_sim *sim, uint32_t number)
{
    const uint32_t both[2] = {number, sim->nodes[number].twin};
    for (uint32_t i = 0; i < sim->bodies; i++) {
        for (uint32_t k = 0; k < 2; k++) { /* who goes is told before who comes */
            bool is_seen = is_in_sight(sim, i, both[k]);
            if (i != both[k] && !is_seen) {
                tell(sim, i, both[k], false);
                tell(sim, both[k], i, false);
            }
        }
        for (uint32_t k = 0; k < 2; k++) {
            if (i != both[k] && can_connect(sim, i, both[k])) {
                tell(sim, i, both[k], true);
                tell(sim, both[k], i, true);
            }
        }
    }
}

void dsmr_sim_cut(struct dsmr_sim *sim, uint32_t from, uint32_t to, bool is_cut, bool is_seen)
{
    dsmr_sim_net_path(sim, from, to)->is_cut = is_cut;
    if (is_cut && is_seen) {
        tell(sim, to, from, false);
        tell(sim, from, to, false);
    } else if (!is_cut && can_connect(sim, from, to)) {
        tell(sim, to, from, true);
        tell(sim, from, to, true);
    }
}

void dsmr_sim_set_link(struct dsmr_sim *sim, uint32_t from, uint32_t to,
                       const struct dsmr_sim_link *link)
{
    dsmr_sim_net_path(sim, from, to)->link = *link;
}

void dsmr_sim_set_uplink(struct dsmr_sim *sim, uint32_t node, uint64_t bytes_per_s)
{
    if (dsmr_sim_wan_is_on(sim)) {
        dsmr_sim_wan_set_rate(&sim->nodes[node],
                              bytes_per_s > 0 ? bytes_per_s : sim->config.wan.up_bytes_per_s);
        return;
    }
    /* What waits already leaves as it did. */
    sim->nodes[node].uplink_bytes_per_s =
        bytes_per_s > 0 ? bytes_per_s : sim->config.uplink_bytes_per_s;
}
