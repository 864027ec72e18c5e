#define _GNU_SOURCE
#include "net/net_peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "net/net_conn.h"
#include "net/net_log.h"

struct dsmr_net_event {
    struct dsmr_task task;
    const struct dsmr_net_handler *handler;
    struct dsmr_node_id id;
    bool is_up;
};

/* On the logic thread. */
static void event_done(struct dsmr_task *task, void *owner)
{
    struct dsmr_net_event *event = (struct dsmr_net_event *)task;
    event->handler->peer(event->handler->self != NULL ? event->handler->self : owner, &event->id,
                         event->is_up);
    free(event);
}

static struct dsmr_net_event *event_new(const struct dsmr_net_conn *conn, bool is_up)
{
    struct dsmr_net_event *event = calloc(1, sizeof(*event));
    if (event == NULL)
        return NULL;
    event->task.done = event_done;
    event->handler = conn->net->handler;
    event->id = conn->peer->id;
    event->is_up = is_up;
    return event;
}

static void tell(struct dsmr_tcp_net *net, struct dsmr_net_event *event)
{
    net->inbox.ops->complete(net->inbox.self, &event->task);
}

struct dsmr_net_peer *dsmr_net_peer_find(const struct dsmr_tcp_net *net,
                                         const struct dsmr_node_id *id)
{
    struct dsmr_net_peer **place = dsmr_map_find(net->peers, id);
    return place == NULL ? NULL : *place;
}

static bool is_self(const struct dsmr_tcp_net *net, const struct dsmr_node_id *id)
{
    return dsmr_node_id_equal(&net->identity->node_id, id);
}

/* The smaller of two ids dials first, and its connection is the one that stays. */
static bool is_ours_better(const struct dsmr_tcp_net *net, const struct dsmr_node_id *id)
{
    return memcmp(net->identity->node_id.bytes, id->bytes, sizeof(id->bytes)) < 0;
}

void dsmr_net_peer_log_once(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer, enum dsmr_err err,
                            const char *what)
{
    uint64_t bit = UINT64_C(1) << (err % 64);
    if ((peer->logged[err / 64] & bit) != 0)
        return;
    peer->logged[err / 64] |= bit;
    char text[DSMR_NET_LOG_ID_BYTES];
    dsmr_net_log_line(&net->log, DSMR_LOG_WARN, "peer %s: %s", dsmr_net_log_id(text, &peer->id),
                      what);
}

/* ---- the set ---- */

static struct dsmr_net_peer *add_peer(struct dsmr_tcp_net *net, const struct dsmr_node_id *id)
{
    struct dsmr_net_peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL)
        return NULL;
    peer->id = *id;
    dsmr_outbox_init(&peer->outbox);
    peer->backoff_ms = net->limits.backoff_min_ms;
    peer->dial_at_ms = net_now(net) + (is_ours_better(net, id) ? 0 : net->limits.dial_delay_ms);
    pthread_mutex_lock(&net->mutex);
    struct dsmr_net_peer **place = dsmr_map_add(net->peers, id, NULL);
    if (place != NULL)
        *place = peer;
    pthread_mutex_unlock(&net->mutex);
    if (place == NULL) {
        free(peer);
        return NULL;
    }
    return peer;
}

static void remove_peer(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer)
{
    for (struct dsmr_net_conn *conn = net->conns; conn != NULL; conn = conn->next)
        if (conn->peer == peer)
            dsmr_net_conn_close(conn, DSMR_OK);
    DSMR_ASSERT(peer->conn == NULL);
    DSMR_ASSERT(peer->dialing == NULL);
    pthread_mutex_lock(&net->mutex);
    for (struct dsmr_net_peer **at = &net->dirty; *at != NULL; at = &(*at)->next_dirty) {
        if (*at == peer) {
            *at = peer->next_dirty;
            break;
        }
    }
    dsmr_outbox_clear(&peer->outbox);
    dsmr_map_remove(net->peers, &peer->id);
    pthread_mutex_unlock(&net->mutex);
    free(peer);
}

/* Removes those that are not allowed, one walk each: a walk ends where the table changes. */
static void remove_others(struct dsmr_tcp_net *net)
{
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(net->peers, &position, &key, &value)) {
        struct dsmr_net_peer *peer = *(struct dsmr_net_peer **)value;
        if (!peer->is_allowed) {
            remove_peer(net, peer);
            position = 0;
        }
    }
}

static void allow_none(struct dsmr_tcp_net *net)
{
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(net->peers, &position, &key, &value))
        (*(struct dsmr_net_peer **)value)->is_allowed = false;
}

void dsmr_net_peer_replace_all(struct dsmr_tcp_net *net, const struct dsmr_node_id *ids,
                               uint32_t count)
{
    allow_none(net);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_net_peer *peer = dsmr_net_peer_find(net, &ids[i]);
        if (peer != NULL)
            peer->is_allowed = true;
    }
    remove_others(net); /* first, so that there is room for the new ones */
    for (uint32_t i = 0; i < count; i++) {
        if (is_self(net, &ids[i]) || dsmr_net_peer_find(net, &ids[i]) != NULL)
            continue;
        struct dsmr_net_peer *peer = add_peer(net, &ids[i]);
        if (peer == NULL) {
            dsmr_net_log_line(&net->log, DSMR_LOG_ERROR,
                              "more validators than this node can have as peers");
            break;
        }
        peer->is_allowed = true;
    }
    dsmr_tcp_net_arm(net, net_now(net));
}

void dsmr_net_peer_free_all(struct dsmr_tcp_net *net)
{
    allow_none(net);
    remove_others(net);
}

/* ---- connections ---- */

bool dsmr_net_peer_is_better(struct dsmr_net_conn *conn)
{
    const struct dsmr_net_conn *other = conn->peer->conn;
    if (other == NULL || other->is_dialed == conn->is_dialed)
        return true; /* the same side dialed again: it has lost the old one */
    return conn->is_dialed == is_ours_better(conn->net, &conn->peer->id);
}

enum dsmr_err dsmr_net_peer_up(struct dsmr_net_conn *conn)
{
    struct dsmr_tcp_net *net = conn->net;
    struct dsmr_net_peer *peer = conn->peer;
    struct dsmr_net_event *up = event_new(conn, true);
    struct dsmr_net_event *down = event_new(conn, false);
    conn->flow = dsmr_net_flow_new(net->gate, net->limits.inbound_bytes_max);
    if (up == NULL || down == NULL || conn->flow == NULL) {
        free(up);
        free(down);
        return DSMR_ERR_NO_MEMORY;
    }
    if (peer->conn != NULL)
        dsmr_net_conn_close(peer->conn, DSMR_OK);
    conn->state = DSMR_NET_CONN_UP;
    conn->down = down;
    conn->up_since_ms = conn->received_ms = conn->sent_ms = net_now(net);
    dsmr_tcp_net_arm(net, conn->sent_ms + net->limits.ping_ms);
    peer->conn = conn;
    if (peer->dialing == conn)
        peer->dialing = NULL;
    memset(peer->logged, 0, sizeof(peer->logged));
    pthread_mutex_lock(&net->mutex);
    peer->is_up = true;
    pthread_mutex_unlock(&net->mutex);
    dsmr_metrics_set(net->metrics, DSMR_METRIC_PEERS, ++net->peers_up);
    char text[DSMR_NET_LOG_ID_BYTES];
    dsmr_net_log_line(&net->log, DSMR_LOG_INFO, "peer %s is connected (%s)",
                      dsmr_net_log_id(text, &peer->id), conn->is_dialed ? "dialed" : "accepted");
    tell(net, up);
    return DSMR_OK;
}

static void go_down(struct dsmr_net_conn *conn, enum dsmr_err why)
{
    struct dsmr_tcp_net *net = conn->net;
    struct dsmr_net_peer *peer = conn->peer;
    peer->conn = NULL;
    pthread_mutex_lock(&net->mutex);
    peer->is_up = false;
    size_t dropped = dsmr_outbox_clear(&peer->outbox);
    pthread_mutex_unlock(&net->mutex);
    dsmr_metrics_add(net->metrics, DSMR_METRIC_NET_DROPPED, dropped);
    dsmr_metrics_set(net->metrics, DSMR_METRIC_PEERS, --net->peers_up);
    char text[DSMR_NET_LOG_ID_BYTES];
    dsmr_net_log_line(&net->log, DSMR_LOG_INFO, "peer %s is disconnected: %s",
                      dsmr_net_log_id(text, &peer->id),
                      why == DSMR_OK ? "connection ended" : dsmr_err_text(why));
    tell(net, conn->down);
    conn->down = NULL;
    if (net_now(net) - conn->up_since_ms >= net->limits.backoff_max_ms)
        peer->backoff_ms = net->limits.backoff_min_ms; /* it was well: try again soon */
}

/* The next dial, later each time. */
static void back_off(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer)
{
    peer->dial_at_ms = net_now(net) + dsmr_prng_jitter(&net->prng, peer->backoff_ms);
    peer->backoff_ms *= 2;
    if (peer->backoff_ms > net->limits.backoff_max_ms)
        peer->backoff_ms = net->limits.backoff_max_ms;
    dsmr_tcp_net_arm(net, peer->dial_at_ms);
}

void dsmr_net_peer_gone(struct dsmr_net_conn *conn, enum dsmr_net_conn_state before,
                        enum dsmr_err why)
{
    struct dsmr_tcp_net *net = conn->net;
    struct dsmr_net_peer *peer = conn->peer;
    bool is_proven = before == DSMR_NET_CONN_HELLO || before == DSMR_NET_CONN_UP;
    if (is_proven && why != DSMR_OK && dsmr_err_class_of(why) == DSMR_ERR_CLASS_PEER) {
        peer->paused_until_ms = net_now(net) + net->limits.drop_pause_ms;
        dsmr_tcp_net_arm(net, peer->paused_until_ms);
    }
    if (peer->conn == conn) {
        go_down(conn, why);
        back_off(net, peer);
    } else if (peer->dialing == conn) {
        peer->dialing = NULL;
        back_off(net, peer);
    }
}

/* ---- dialing ---- */

uint64_t dsmr_net_peer_check_time(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer,
                                  uint64_t now_ms)
{
    if (peer->conn != NULL || peer->dialing != NULL)
        return UINT64_MAX;
    if (now_ms < peer->paused_until_ms)
        return peer->paused_until_ms;
    if (now_ms < peer->dial_at_ms)
        return peer->dial_at_ms;
    pthread_mutex_lock(&net->mutex);
    const struct dsmr_net_place *found = dsmr_map_find(net->places, &peer->id);
    struct dsmr_net_place place;
    if (found != NULL)
        place = *found;
    pthread_mutex_unlock(&net->mutex);
    if (found == NULL)
        return UINT64_MAX;                        /* it has to dial us */
    peer->dial_at_ms = now_ms + peer->backoff_ms; /* should there be no memory for a connection */
    dsmr_net_conn_dial(net, peer, &place);
    return peer->dialing != NULL ? UINT64_MAX : peer->dial_at_ms;
}

void dsmr_net_peer_dial_soon(struct dsmr_tcp_net *net)
{
    dsmr_tcp_net_arm(net, net_now(net));
}
