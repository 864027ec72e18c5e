#include "avalanche/app_net_state.h"

#include <stdlib.h>
#include <string.h>

#include "avalanche/pb.h"
#include "base/assert.h"
#include "wire/cursor.h"

#define SEND_TIMEOUT_MS 10000u
#define FLIGHTS_MAX 16384u
#define LENGTH_BYTES 4u
#define SMALL_WINDOW 2u /* requests on their way that are no full batch */

/* ---- calls of AppSender ---- */

struct sent {
    struct dsmr_task task;
    struct dsmr_app_net *net;
    struct dsmr_node_id to;
    uint32_t request_id;
};

static void on_lost(struct dsmr_task *task, void *owner)
{
    struct sent *sent = (struct sent *)task;
    (void)owner;
    dsmr_app_net_on_end(sent->net, &sent->to, sent->request_id, false);
    free(sent);
}

/* On the client's thread. A request that AvalancheGo did not take has no other end. */
static void on_sent(void *ctx, const struct dsmr_grpc_answer *answer)
{
    struct sent *sent = ctx;
    const struct dsmr_inbox *inbox = &sent->net->config.inbox;
    if (answer->err == DSMR_OK) {
        free(sent);
        return;
    }
    sent->task.done = on_lost;
    inbox->ops->complete(inbox->self, &sent->task);
}

static void ignore(void *ctx, const struct dsmr_grpc_answer *answer)
{
    (void)ctx;
    (void)answer;
}

static void call_sender(struct dsmr_app_net *net, const char *method,
                        const ProtobufCMessage *message, dsmr_grpc_client_done_fn done, void *ctx)
{
    struct dsmr_buf *bytes = dsmr_pb_bytes(message);
    if (bytes == NULL) {
        const struct dsmr_grpc_answer none = {.err = DSMR_ERR_NO_MEMORY, .reason = ""};
        done(ctx, &none);
        return;
    }
    dsmr_grpc_client_start(net->config.node, method, bytes->bytes, bytes->len, SEND_TIMEOUT_MS,
                           done, ctx);
    dsmr_buf_unref(bytes);
}

/* NULL: it did not leave. */
static struct dsmr_app_net_flight *send_request(struct dsmr_app_net *net,
                                                const struct dsmr_app_net_peer *peer,
                                                const uint8_t *bytes, size_t len)
{
    uint32_t request_id = net->last_request + 1u;
    struct dsmr_app_net_flight *flight = dsmr_map_add(net->flights, &request_id, NULL);
    struct sent *sent = flight != NULL ? calloc(1, sizeof *sent) : NULL;
    if (sent == NULL) {
        if (flight != NULL)
            (void)dsmr_map_remove(net->flights, &request_id);
        return NULL;
    }
    net->last_request = request_id;
    *flight = (struct dsmr_app_net_flight){.serial = ++net->last_serial};
    sent->net = net;
    sent->to = peer->id;
    sent->request_id = request_id;
    ProtobufCBinaryData to = {.len = sizeof peer->id.bytes,
                              .data = (uint8_t *)(uintptr_t)peer->id.bytes};
    Dsmr__Pb__SendAppRequestMsg message = DSMR__PB__SEND_APP_REQUEST_MSG__INIT;
    message.n_node_ids = 1;
    message.node_ids = &to;
    DSMR_PB_SET(&message, request_id, request_id);
    DSMR_PB_BYTES(&message, request, bytes, len);
    dsmr_metrics_add(net->config.metrics, DSMR_METRIC_NET_BYTES_SENT, len);
    call_sender(net, "/appsender.AppSender/SendAppRequest", &message.base, on_sent, sent);
    return flight;
}

void dsmr_app_net_request(struct dsmr_app_net *net, const struct dsmr_node_id *to,
                          const uint8_t *bytes, size_t len)
{
    const struct dsmr_app_net_peer *peer = dsmr_app_net_find(net, to);
    if (peer != NULL && peer->is_connected)
        (void)send_request(net, peer, bytes, len);
}

void dsmr_app_net_respond(struct dsmr_app_net *net, const struct dsmr_node_id *to,
                          uint32_t request_id, const uint8_t *bytes, size_t len)
{
    Dsmr__Pb__SendAppResponseMsg message = DSMR__PB__SEND_APP_RESPONSE_MSG__INIT;
    DSMR_PB_BYTES(&message, node_id, to->bytes, sizeof to->bytes);
    DSMR_PB_SET(&message, request_id, request_id);
    DSMR_PB_BYTES(&message, response, bytes, len);
    call_sender(net, "/appsender.AppSender/SendAppResponse", &message.base, ignore, NULL);
}

void dsmr_app_net_refuse(struct dsmr_app_net *net, const struct dsmr_node_id *to,
                         uint32_t request_id, int32_t code, const char *why)
{
    Dsmr__Pb__SendAppErrorMsg message = DSMR__PB__SEND_APP_ERROR_MSG__INIT;
    DSMR_PB_BYTES(&message, node_id, to->bytes, sizeof to->bytes);
    DSMR_PB_SET(&message, request_id, request_id);
    DSMR_PB_SET(&message, error_code, code);
    message.error_message = (char *)(uintptr_t)why;
    call_sender(net, "/appsender.AppSender/SendAppError", &message.base, ignore, NULL);
}

/* ---- sending ---- */

static void earn(const struct dsmr_app_net *net, struct dsmr_app_net_peer *peer)
{
    uint64_t now = dsmr_app_net_now_ms(net), passed_ms = now - peer->paid_ms;
    if (passed_ms > 60000u)
        passed_ms = 60000u;
    peer->budget += (int64_t)(passed_ms * net->config.peer_bytes_per_s / 1000u);
    if (peer->budget > (int64_t)net->config.peer_burst_bytes)
        peer->budget = (int64_t)net->config.peer_burst_bytes;
    peer->paid_ms = now;
}

static struct dsmr_app_net_queue *first_queue(struct dsmr_app_net_peer *peer)
{
    for (int i = 0; i < DSMR_MSG_CLASS_COUNT; i++)
        if (peer->queues[i].first != NULL)
            return &peer->queues[i];
    return NULL;
}

static bool has_messages(const struct dsmr_app_net_peer *peer)
{
    for (int i = 0; i < DSMR_MSG_CLASS_COUNT; i++)
        if (peer->queues[i].first != NULL)
            return true;
    return false;
}

/* Whether what waits fills a request. */
static bool is_batch_full(const struct dsmr_app_net *net, const struct dsmr_app_net_peer *peer)
{
    size_t bytes = 0;
    for (int i = 0; i < DSMR_MSG_CLASS_COUNT; i++)
        bytes += peer->queues[i].bytes;
    return bytes >= net->config.batch_bytes_max;
}

/* How much the next request holds: at least one message, then as many as fit into a batch. */
static size_t batch_bytes(const struct dsmr_app_net *net, struct dsmr_app_net_peer *peer)
{
    size_t bytes = 1;
    for (int i = 0; i < DSMR_MSG_CLASS_COUNT; i++) {
        for (const struct dsmr_app_net_message *m = peer->queues[i].first; m != NULL; m = m->next) {
            size_t more = LENGTH_BYTES + dsmr_app_net_message_bytes(m);
            if (bytes > 1 && bytes + more > net->config.batch_bytes_max)
                return bytes;
            bytes += more;
        }
    }
    return bytes;
}

static bool send_batch(struct dsmr_app_net *net, struct dsmr_app_net_peer *peer)
{
    bool is_small = !is_batch_full(net, peer);
    size_t len = batch_bytes(net, peer);
    uint8_t *bytes = malloc(len);
    if (bytes == NULL)
        return false;
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, bytes, len);
    dsmr_wr_u8(&wr, DSMR_APP_NET_HANDLER);
    while (wr.at < len) {
        struct dsmr_app_net_message *message = dsmr_app_net_take(first_queue(peer));
        dsmr_wr_u32(&wr, (uint32_t)dsmr_app_net_message_bytes(message));
        dsmr_wr_bytes(&wr, message->head->bytes, message->head->len);
        if (message->body_len > 0)
            dsmr_wr_bytes(&wr, message->body, message->body_len);
        dsmr_app_net_free_message(message);
    }
    DSMR_ASSERT(wr.err == DSMR_OK);
    struct dsmr_app_net_flight *flight = send_request(net, peer, bytes, len);
    free(bytes);
    if (flight == NULL)
        return false;
    flight->is_paced = true;
    flight->is_small = is_small;
    peer->on_way++;
    peer->small_on_way += is_small ? 1u : 0u;
    peer->budget -= (int64_t)len;
    return true;
}

static bool has_room(const struct dsmr_app_net *net, const struct dsmr_app_net_peer *peer)
{
    return peer->is_up && has_messages(peer) && peer->on_way < peer->window &&
           (peer->small_on_way < SMALL_WINDOW || is_batch_full(net, peer));
}

static void pump(struct dsmr_app_net *net, struct dsmr_app_net_peer *peer)
{
    earn(net, peer);
    while (has_room(net, peer) && peer->budget > 0 && send_batch(net, peer)) {
    }
}

static enum dsmr_err send(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                          struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                          uint32_t body_len)
{
    struct dsmr_app_net *net = self;
    struct dsmr_app_net_peer *peer = dsmr_app_net_find(net, to);
    if (peer == NULL || !peer->is_up)
        return DSMR_ERR_UNKNOWN;
    struct dsmr_app_net_queue *queue = &peer->queues[cls];
    size_t bytes = (size_t)head->len + body_len;
    struct dsmr_app_net_message *message = NULL;
    if (bytes <= DSMR_APP_NET_MESSAGE_BYTES_MAX &&
        queue->bytes + bytes <= net->config.queue_bytes_max[cls])
        message = calloc(1, sizeof *message);
    if (message == NULL) {
        dsmr_metrics_add(net->config.metrics, DSMR_METRIC_NET_DROPPED, 1);
        return DSMR_ERR_FULL;
    }
    message->head = dsmr_buf_ref(head);
    message->owner = dsmr_buf_ref(owner);
    message->body = body;
    message->body_len = body_len;
    *queue->last = message;
    queue->last = &message->next;
    queue->bytes += bytes;
    pump(net, peer);
    return DSMR_OK;
}

/* Requests that left before the window was cut fail for the same reason: they count once. */
static void learn(const struct dsmr_app_net *net, struct dsmr_app_net_peer *peer,
                  const struct dsmr_app_net_flight *flight, bool is_answered)
{
    if (!is_answered && flight->serial > peer->cut_serial) {
        peer->window = peer->window > 1 ? peer->window / 2 : peer->window;
        peer->cut_serial = net->last_serial;
        peer->answers = 0;
    } else if (is_answered && ++peer->answers >= peer->window) {
        peer->window += peer->window < net->config.window ? 1u : 0u;
        peer->answers = 0;
    }
}

void dsmr_app_net_on_end(struct dsmr_app_net *net, const struct dsmr_node_id *from,
                         uint32_t request_id, bool is_answered)
{
    const struct dsmr_app_net_flight *found = dsmr_map_find(net->flights, &request_id);
    struct dsmr_app_net_peer *peer = dsmr_app_net_find(net, from);
    const struct dsmr_app_net_flight flight =
        found != NULL ? *found : (struct dsmr_app_net_flight){0};
    (void)dsmr_map_remove(net->flights, &request_id);
    if (peer == NULL || !flight.is_paced)
        return;
    if (!is_answered)
        dsmr_metrics_count_error(net->config.metrics, DSMR_ERR_TIMEOUT);
    peer->on_way -= peer->on_way > 0 ? 1u : 0u;
    peer->small_on_way -= flight.is_small && peer->small_on_way > 0 ? 1u : 0u;
    learn(net, peer, &flight, is_answered);
    pump(net, peer);
}

/* ---- receiving ---- */

/* Each message is copied once: the node keeps what it needs of them. */
static void on_messages(struct dsmr_app_net *net, const struct dsmr_node_id *from,
                        struct dsmr_rd *rd)
{
    while (dsmr_rd_left(rd) > 0) {
        uint32_t len = dsmr_rd_u32(rd);
        const uint8_t *bytes = dsmr_rd_view(rd, len);
        if (rd->err != DSMR_OK || len == 0) {
            dsmr_metrics_count_error(net->config.metrics, DSMR_ERR_MALFORMED);
            return;
        }
        struct dsmr_buf *message = dsmr_buf_copy(bytes, len);
        if (message == NULL)
            return; /* lost, like any message may be */
        net->config.handler->message(net->owner, from, message);
        dsmr_buf_unref(message);
    }
}

void dsmr_app_net_on_request(struct dsmr_app_net *net, const struct dsmr_node_id *from,
                             uint32_t request_id, const uint8_t *bytes, size_t len)
{
    struct dsmr_rd rd;
    uint64_t handler = 0;
    dsmr_rd_init(&rd, bytes, len);
    dsmr_metrics_add(net->config.metrics, DSMR_METRIC_NET_BYTES_RECEIVED, len);
    if (!dsmr_pb_varint(&rd, &handler)) {
        dsmr_metrics_count_error(net->config.metrics, DSMR_ERR_MALFORMED);
        dsmr_app_net_refuse(net, from, request_id, DSMR_APP_NET_UNEXPECTED, "malformed");
    } else if (handler != DSMR_APP_NET_HANDLER) {
        net->config.other(net->config.ctx, from, request_id, handler, rd.bytes + rd.at,
                          dsmr_rd_left(&rd));
    } else if (!dsmr_app_net_serves(net, from)) {
        dsmr_metrics_count_error(net->config.metrics, DSMR_ERR_NOT_VALIDATOR);
        dsmr_app_net_refuse(net, from, request_id, DSMR_APP_NET_NOT_VALIDATOR, "not a validator");
    } else {
        on_messages(net, from, &rd);
        dsmr_app_net_respond(net, from, request_id, NULL, 0);
    }
}

/* ---- time ---- */

static bool waits_for_budget(const struct dsmr_app_net *net, const struct dsmr_app_net_peer *peer)
{
    return peer->budget <= 0 && has_room(net, peer);
}

void dsmr_app_net_tick(struct dsmr_app_net *net)
{
    uint64_t now = dsmr_app_net_now_ms(net);
    for (uint32_t i = 0; i < net->peers_count; i++) {
        struct dsmr_app_net_peer *peer = net->peers[i];
        pump(net, peer);
        if (peer->dropped_until_ms != 0 && peer->dropped_until_ms <= now) {
            peer->dropped_until_ms = 0;
            dsmr_app_net_tell_soon(net);
        }
    }
}

uint64_t dsmr_app_net_deadline_ms(const struct dsmr_app_net *net)
{
    uint64_t deadline_ms = UINT64_MAX;
    for (uint32_t i = 0; i < net->peers_count; i++) {
        struct dsmr_app_net_peer *peer = net->peers[i];
        uint64_t due_ms = peer->dropped_until_ms != 0 ? peer->dropped_until_ms : UINT64_MAX;
        if (waits_for_budget(net, peer)) {
            uint64_t missing = (uint64_t)(1 - peer->budget);
            uint64_t pause_ms = missing * 1000u / net->config.peer_bytes_per_s + 1u;
            due_ms = peer->paid_ms + pause_ms < due_ms ? peer->paid_ms + pause_ms : due_ms;
        }
        deadline_ms = due_ms < deadline_ms ? due_ms : deadline_ms;
    }
    return deadline_ms;
}

/* ---- the net ---- */

static const struct dsmr_net_ops net_ops = {
    .send = send, .set_peers = dsmr_app_net_set_peers, .drop = dsmr_app_net_drop_peer};

struct dsmr_net dsmr_app_net_port(struct dsmr_app_net *net)
{
    return (struct dsmr_net){.self = net, .ops = &net_ops};
}

void dsmr_app_net_attach(struct dsmr_app_net *net, void *owner)
{
    net->owner = owner;
    dsmr_app_net_tell_soon(net);
}

void dsmr_app_net_config_default(struct dsmr_app_net_config *config)
{
    memset(config, 0, sizeof *config);
    config->peer_bytes_per_s = 384u << 10;
    config->peer_burst_bytes = 512u << 10;
    config->queue_bytes_max[DSMR_MSG_CLASS_VOTE] = 4u << 20;
    config->queue_bytes_max[DSMR_MSG_CLASS_CERT] = 16u << 20;
    config->queue_bytes_max[DSMR_MSG_CLASS_CHUNK] = 64u << 20;
    config->queue_bytes_max[DSMR_MSG_CLASS_TX] = 4u << 20;
    config->batch_bytes_max = 256u << 10;
    config->window = 4;
}

struct dsmr_app_net *dsmr_app_net_new(const struct dsmr_app_net_config *config)
{
    struct dsmr_app_net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return NULL;
    net->config = *config;
    net->places = dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(uint32_t),
                               DSMR_APP_NET_PEERS_MAX, config->seed);
    net->flights = dsmr_map_new(sizeof(uint32_t), sizeof(struct dsmr_app_net_flight), FLIGHTS_MAX,
                                config->seed + 1u);
    net->peers = calloc(DSMR_APP_NET_PEERS_MAX, sizeof(struct dsmr_app_net_peer *));
    if (net->places == NULL || net->flights == NULL || net->peers == NULL) {
        dsmr_app_net_free(net);
        return NULL;
    }
    return net;
}

void dsmr_app_net_free(struct dsmr_app_net *net)
{
    if (net == NULL)
        return;
    for (uint32_t i = 0; i < net->peers_count; i++) {
        dsmr_app_net_empty_queues(net->peers[i]);
        free(net->peers[i]);
    }
    free(net->peers);
    dsmr_map_free(net->places);
    dsmr_map_free(net->flights);
    free(net);
}
