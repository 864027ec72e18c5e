#include "avalanche/app_net_state.h"

#include <stdlib.h>

#define DROP_PAUSE_MS 10000u

/* ---- peers ---- */

struct dsmr_app_net_peer *dsmr_app_net_find(const struct dsmr_app_net *net,
                                            const struct dsmr_node_id *id)
{
    const uint32_t *place = dsmr_map_find(net->places, id->bytes);
    return place != NULL ? net->peers[*place] : NULL;
}

static struct dsmr_app_net_peer *find_or_add(struct dsmr_app_net *net,
                                             const struct dsmr_node_id *id)
{
    struct dsmr_app_net_peer *peer = dsmr_app_net_find(net, id);
    if (peer != NULL || net->peers_count == DSMR_APP_NET_PEERS_MAX)
        return peer;
    peer = calloc(1, sizeof *peer);
    uint32_t *place = peer != NULL ? dsmr_map_add(net->places, id->bytes, NULL) : NULL;
    if (place == NULL) {
        free(peer);
        return NULL;
    }
    peer->id = *id;
    peer->window = net->config.window;
    peer->budget = (int64_t)net->config.peer_burst_bytes;
    peer->paid_ms = dsmr_app_net_now_ms(net);
    for (int i = 0; i < DSMR_MSG_CLASS_COUNT; i++)
        peer->queues[i].last = &peer->queues[i].first;
    *place = net->peers_count;
    net->peers[net->peers_count++] = peer;
    return peer;
}

void dsmr_app_net_free_message(struct dsmr_app_net_message *message)
{
    dsmr_buf_unref(message->head);
    dsmr_buf_unref(message->owner);
    free(message);
}

struct dsmr_app_net_message *dsmr_app_net_take(struct dsmr_app_net_queue *queue)
{
    struct dsmr_app_net_message *message = queue->first;
    queue->first = message->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    queue->bytes -= dsmr_app_net_message_bytes(message);
    return message;
}

void dsmr_app_net_empty_queues(struct dsmr_app_net_peer *peer)
{
    for (int i = 0; i < DSMR_MSG_CLASS_COUNT; i++)
        while (peer->queues[i].first != NULL)
            dsmr_app_net_free_message(dsmr_app_net_take(&peer->queues[i]));
}

/* A peer that is neither connected nor served is nobody's: it makes room. */
static void remove_if_idle(struct dsmr_app_net *net, struct dsmr_app_net_peer *peer)
{
    if (peer->is_connected || peer->is_served || peer->is_up || peer->on_way > 0 ||
        peer->dropped_until_ms > dsmr_app_net_now_ms(net))
        return;
    uint32_t *place = dsmr_map_find(net->places, peer->id.bytes);
    uint32_t hole = *place, last = net->peers_count - 1u;
    (void)dsmr_map_remove(net->places, peer->id.bytes);
    if (hole != last) {
        net->peers[hole] = net->peers[last];
        *(uint32_t *)dsmr_map_find(net->places, net->peers[hole]->id.bytes) = hole;
    }
    net->peers_count--;
    dsmr_app_net_empty_queues(peer);
    free(peer);
}

/* ---- telling who is up ---- */

struct tell_task {
    struct dsmr_task task;
    struct dsmr_app_net *net;
};

static void tell_all(struct dsmr_task *task, void *owner)
{
    struct dsmr_app_net *net = ((struct tell_task *)task)->net;
    (void)owner;
    free(task);
    net->is_telling = false;
    for (uint32_t i = net->peers_count; i-- > 0;) {
        struct dsmr_app_net_peer *peer = net->peers[i];
        bool is_up = peer->is_connected && peer->is_served &&
                     peer->dropped_until_ms <= dsmr_app_net_now_ms(net);
        if (is_up != peer->is_up) {
            peer->is_up = is_up;
            if (!is_up)
                dsmr_app_net_empty_queues(peer);
            net->config.handler->peer(net->owner, &peer->id, is_up);
        }
        remove_if_idle(net, peer);
    }
}

void dsmr_app_net_tell_soon(struct dsmr_app_net *net)
{
    struct tell_task *task = net->is_telling ? NULL : calloc(1, sizeof *task);
    if (task == NULL)
        return;
    task->task.done = tell_all;
    task->net = net;
    net->is_telling = true;
    net->config.inbox.ops->complete(net->config.inbox.self, &task->task);
}

void dsmr_app_net_connected(struct dsmr_app_net *net, const struct dsmr_node_id *id, bool is_up)
{
    if (dsmr_node_id_equal(id, &net->config.self_id))
        return;
    struct dsmr_app_net_peer *peer = is_up ? find_or_add(net, id) : dsmr_app_net_find(net, id);
    if (peer == NULL)
        return;
    peer->is_connected = is_up;
    dsmr_app_net_tell_soon(net);
}

/* Strangers do not keep a validator out: one of them gives way. */
static void make_room(struct dsmr_app_net *net)
{
    for (uint32_t i = net->peers_count; i-- > 0 && net->peers_count == DSMR_APP_NET_PEERS_MAX;) {
        struct dsmr_app_net_peer *peer = net->peers[i];
        if (peer->is_served || peer->is_up || peer->on_way > 0)
            continue;
        peer->is_connected = false;
        peer->dropped_until_ms = 0;
        remove_if_idle(net, peer);
    }
}

void dsmr_app_net_set_peers(void *self, const struct dsmr_node_id *ids, uint32_t count)
{
    struct dsmr_app_net *net = self;
    for (uint32_t i = 0; i < net->peers_count; i++)
        net->peers[i]->is_served = false;
    for (uint32_t i = 0; i < count; i++) {
        if (dsmr_app_net_find(net, &ids[i]) == NULL)
            make_room(net);
        struct dsmr_app_net_peer *peer =
            dsmr_node_id_equal(&ids[i], &net->config.self_id) ? NULL : find_or_add(net, &ids[i]);
        if (peer != NULL)
            peer->is_served = true;
    }
    dsmr_app_net_tell_soon(net);
}

void dsmr_app_net_drop_peer(void *self, const struct dsmr_node_id *id, enum dsmr_err why)
{
    struct dsmr_app_net *net = self;
    struct dsmr_app_net_peer *peer = dsmr_app_net_find(net, id);
    dsmr_metrics_count_error(net->config.metrics, why);
    if (peer == NULL)
        return;
    peer->dropped_until_ms = dsmr_app_net_now_ms(net) + DROP_PAUSE_MS;
    dsmr_app_net_tell_soon(net);
}

bool dsmr_app_net_serves(const struct dsmr_app_net *net, const struct dsmr_node_id *id)
{
    const struct dsmr_app_net_peer *peer = dsmr_app_net_find(net, id);
    return peer != NULL && peer->is_served && peer->dropped_until_ms <= dsmr_app_net_now_ms(net);
}

bool dsmr_app_net_is_connected(const struct dsmr_app_net *net, const struct dsmr_node_id *id)
{
    const struct dsmr_app_net_peer *peer = dsmr_app_net_find(net, id);
    return peer != NULL && peer->is_connected;
}
