#define _GNU_SOURCE
#include "net/tcp_net.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/order.h"
#include "net/net_conn.h"
#include "net/net_io.h"
#include "net/net_listen.h"
#include "net/net_log.h"
#include "net/net_peer.h"
#include "net/net_state.h"

/* However idle, the loop looks around this often. */
#define LOOK_MS 60000u
#define PLACES_SPARE 64u

void dsmr_tcp_net_limits_default(struct dsmr_tcp_net_limits *limits)
{
    *limits = (struct dsmr_tcp_net_limits){
        .message_bytes_max = DSMR_CHUNK_BYTES_LIMIT + DSMR_MESSAGE_OVERHEAD_MAX,
        .queue_bytes_max = {[DSMR_MSG_CLASS_VOTE] = (size_t)4 << 20,
                            [DSMR_MSG_CLASS_CERT] = (size_t)16 << 20,
                            [DSMR_MSG_CLASS_CHUNK] = (size_t)64 << 20,
                            [DSMR_MSG_CLASS_TX] = (size_t)4 << 20},
        .inbound_bytes_max = (size_t)16 << 20,
        .unsent_bytes_max = 256u << 10,
        .peers_max = 4096,
        .unauthenticated_max = 64,
        .accepts_per_second = 100,
        .handshake_timeout_ms = 10000,
        .frame_timeout_ms = 30000,
        .ping_ms = 10000,
        .silence_timeout_ms = 30000,
        .backoff_min_ms = 100,
        .backoff_max_ms = 10000,
        .dial_delay_ms = 250,
        .drop_pause_ms = 10000,
    };
}

/* ---- the loop thread ---- */

static void on_timer(uv_timer_t *timer);

void dsmr_tcp_net_arm(struct dsmr_tcp_net *net, uint64_t at_ms)
{
    if (at_ms >= net->timer_at_ms || net->is_going_away)
        return;
    uint64_t now_ms = net_now(net);
    net->timer_at_ms = at_ms;
    uv_timer_start(&net->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct dsmr_tcp_net *net = timer->data;
    uint64_t now_ms = net_now(net);
    net->timer_at_ms = UINT64_MAX; /* from here on whatever is armed counts */
    uint64_t next_ms = now_ms + LOOK_MS;
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(net->peers, &position, &key, &value)) {
        struct dsmr_net_peer *peer = *(struct dsmr_net_peer **)value;
        next_ms = dsmr_smaller(next_ms, dsmr_net_peer_check_time(net, peer, now_ms));
    }
    bool has_paused = false;
    for (struct dsmr_net_conn *conn = net->conns; conn != NULL; conn = conn->next) {
        next_ms = dsmr_smaller(next_ms, dsmr_net_conn_check_time(conn, now_ms));
        has_paused = has_paused || conn->is_paused;
    }
    next_ms = dsmr_smaller(next_ms, dsmr_net_listen_check_time(net, now_ms));
    dsmr_tcp_net_arm(net, next_ms);
    if (has_paused)
        dsmr_net_io_resume(net);
}

/* Next peer that the logic thread has something for; NULL: none. */
static struct dsmr_net_peer *take_dirty(struct dsmr_tcp_net *net, bool *is_drop, enum dsmr_err *why)
{
    pthread_mutex_lock(&net->mutex);
    struct dsmr_net_peer *peer = net->dirty;
    if (peer != NULL) {
        net->dirty = peer->next_dirty;
        peer->is_dirty = false;
        *is_drop = peer->is_drop_wanted;
        *why = peer->drop_why;
        peer->is_drop_wanted = false;
    }
    pthread_mutex_unlock(&net->mutex);
    return peer;
}

static void drop_peer(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer, enum dsmr_err why)
{
    char text[DSMR_NET_LOG_ID_BYTES];
    dsmr_net_log_line(&net->log, DSMR_LOG_WARN, "peer %s is dropped: %s",
                      dsmr_net_log_id(text, &peer->id), dsmr_err_text(why));
    peer->paused_until_ms = net_now(net) + net->limits.drop_pause_ms;
    dsmr_tcp_net_arm(net, peer->paused_until_ms);
    for (struct dsmr_net_conn *conn = net->conns; conn != NULL; conn = conn->next)
        if (conn->peer == peer)
            dsmr_net_conn_close(conn, DSMR_OK); /* who dropped it has counted why */
}

static void serve_dirty(struct dsmr_tcp_net *net)
{
    bool is_drop = false;
    enum dsmr_err why = DSMR_OK;
    struct dsmr_net_peer *peer;
    while ((peer = take_dirty(net, &is_drop, &why)) != NULL) {
        if (is_drop)
            drop_peer(net, peer, why);
        else if (peer->conn != NULL && !peer->conn->is_write_blocked)
            dsmr_net_io_write(peer->conn);
    }
}

static void end_loop(struct dsmr_tcp_net *net)
{
    net->is_going_away = true;
    dsmr_net_peer_free_all(net);
    while (net->conns != NULL)
        dsmr_net_conn_close(net->conns, DSMR_OK);
    dsmr_net_listen_stop(net);
    uv_close((uv_handle_t *)&net->listen_poll, NULL);
    uv_close((uv_handle_t *)&net->idle, NULL);
    uv_close((uv_handle_t *)&net->timer, NULL);
    uv_close((uv_handle_t *)&net->async, NULL);
}

static void on_async(uv_async_t *async)
{
    struct dsmr_tcp_net *net = async->data;
    pthread_mutex_lock(&net->mutex);
    bool is_closing = net->is_closing;
    bool has_wanted = net->has_wanted;
    bool is_place_new = net->is_place_new;
    struct dsmr_node_id *wanted = net->wanted;
    uint32_t wanted_count = net->wanted_count;
    net->has_wanted = false;
    net->is_place_new = false;
    net->wanted = NULL;
    pthread_mutex_unlock(&net->mutex);
    if (has_wanted)
        dsmr_net_peer_replace_all(net, wanted, wanted_count);
    free(wanted);
    if (is_closing) {
        end_loop(net);
        return;
    }
    if (is_place_new)
        dsmr_net_peer_dial_soon(net);
    serve_dirty(net);
    if (atomic_exchange(&net->is_resume_wanted, false))
        dsmr_net_io_resume(net);
}

static void *run_loop(void *arg)
{
    struct dsmr_tcp_net *net = arg;
    uv_run(&net->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* ---- the port, on the logic thread ---- */

/* With the mutex held. True: the loop has to be woken. */
static bool mark_dirty(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer)
{
    if (peer->is_dirty)
        return false;
    peer->is_dirty = true;
    peer->next_dirty = net->dirty;
    net->dirty = peer;
    return true;
}

static enum dsmr_err port_send(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                               struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                               uint32_t body_len)
{
    struct dsmr_tcp_net *net = self;
    struct dsmr_outbox_message *message = dsmr_outbox_message_new(head, owner, body, body_len);
    if (message == NULL)
        return DSMR_ERR_NO_MEMORY;
    size_t bytes = dsmr_outbox_message_bytes(message);
    DSMR_ASSERT(bytes > 0);
    DSMR_ASSERT(bytes <= net->limits.message_bytes_max);
    bool has_to_wake = false;
    enum dsmr_err err = DSMR_ERR_UNKNOWN;
    pthread_mutex_lock(&net->mutex);
    struct dsmr_net_peer *peer = dsmr_net_peer_find(net, to);
    if (peer != NULL && peer->is_up) {
        err = dsmr_outbox_add(&peer->outbox, message, cls, net->limits.queue_bytes_max[cls]);
        if (err == DSMR_OK)
            has_to_wake = mark_dirty(net, peer);
    }
    pthread_mutex_unlock(&net->mutex);
    if (has_to_wake)
        uv_async_send(&net->async);
    if (err != DSMR_OK)
        dsmr_outbox_message_free(message);
    if (err == DSMR_ERR_FULL)
        dsmr_metrics_add(net->metrics, DSMR_METRIC_NET_DROPPED, 1);
    return err;
}

static void port_set_peers(void *self, const struct dsmr_node_id *peers, uint32_t count)
{
    struct dsmr_tcp_net *net = self;
    struct dsmr_node_id *copy = calloc(count + 1u, sizeof(*copy));
    if (copy == NULL) { /* the old set stays; the next change of the set tries again */
        dsmr_net_log_line(&net->log, DSMR_LOG_ERROR, "no memory for the set of peers");
        return;
    }
    if (count > 0)
        memcpy(copy, peers, count * sizeof(*copy));
    pthread_mutex_lock(&net->mutex);
    free(net->wanted);
    net->wanted = copy;
    net->wanted_count = count;
    net->has_wanted = true;
    pthread_mutex_unlock(&net->mutex);
    uv_async_send(&net->async);
}

static void port_drop(void *self, const struct dsmr_node_id *id, enum dsmr_err why)
{
    struct dsmr_tcp_net *net = self;
    bool has_to_wake = false;
    pthread_mutex_lock(&net->mutex);
    struct dsmr_net_peer *peer = dsmr_net_peer_find(net, id);
    if (peer != NULL) {
        peer->is_drop_wanted = true;
        peer->drop_why = why;
        peer->is_up = false; /* nothing more is queued for it */
        has_to_wake = mark_dirty(net, peer);
    }
    pthread_mutex_unlock(&net->mutex);
    if (has_to_wake)
        uv_async_send(&net->async);
}

struct dsmr_net dsmr_tcp_net_port(struct dsmr_tcp_net *net)
{
    static const struct dsmr_net_ops ops = {port_send, port_set_peers, port_drop};
    return (struct dsmr_net){net, &ops};
}

uint16_t dsmr_tcp_net_listen_port(const struct dsmr_tcp_net *net)
{
    return net->listen_port;
}

void dsmr_tcp_net_resume(void *ctx)
{
    struct dsmr_tcp_net *net = ctx;
    atomic_store(&net->is_resume_wanted, true);
    uv_async_send(&net->async);
}

enum dsmr_err dsmr_tcp_net_set_address(struct dsmr_tcp_net *net,
                                       const struct dsmr_tcp_net_address *address)
{
    size_t len = strlen(address->host);
    if (len == 0 || len > DSMR_TCP_NET_HOST_BYTES_MAX)
        return DSMR_ERR_CONFIG;
    pthread_mutex_lock(&net->mutex);
    struct dsmr_net_place *place = dsmr_map_add(net->places, &address->node_id, NULL);
    if (place != NULL) {
        memcpy(place->host, address->host, len + 1);
        place->port = address->port;
        net->is_place_new = true;
    }
    pthread_mutex_unlock(&net->mutex);
    if (place == NULL)
        return DSMR_ERR_FULL;
    uv_async_send(&net->async);
    return DSMR_OK;
}

void dsmr_tcp_net_forget_address(struct dsmr_tcp_net *net, const struct dsmr_node_id *node_id)
{
    pthread_mutex_lock(&net->mutex);
    (void)dsmr_map_remove(net->places, node_id);
    pthread_mutex_unlock(&net->mutex);
}

/* ---- making and ending ---- */

static void free_state(struct dsmr_tcp_net *net)
{
    if (net->listen_fd >= 0)
        close(net->listen_fd);
    SSL_CTX_free(net->tls);
    dsmr_net_flow_gate_close(net->gate);
    dsmr_map_free(net->peers);
    dsmr_map_free(net->places);
    free(net->wanted);
    pthread_mutex_destroy(&net->mutex);
    free(net);
}

static void wake_for_flow(void *ctx)
{
    dsmr_tcp_net_resume(ctx);
}

static struct dsmr_tcp_net *new_state(const struct dsmr_tcp_net_config *config)
{
    struct dsmr_tcp_net *net = calloc(1, sizeof(*net));
    if (net == NULL)
        return NULL;
    if (pthread_mutex_init(&net->mutex, NULL) != 0) {
        free(net);
        return NULL;
    }
    net->limits = config->limits;
    net->identity = config->identity;
    net->domain = config->domain;
    net->inbox = config->inbox;
    net->handler = config->handler;
    net->metrics = config->metrics;
    net->log = config->log;
    net->listen_fd = -1;
    net->timer_at_ms = UINT64_MAX;
    dsmr_prng_init(&net->prng, config->seed);
    uint32_t peers_max = config->limits.peers_max;
    uint32_t places_max = config->addresses_count + PLACES_SPARE;
    if (places_max < config->addresses_max)
        places_max = config->addresses_max;
    net->peers = dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(struct dsmr_net_peer *),
                              peers_max, dsmr_prng_next(&net->prng));
    net->places = dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(struct dsmr_net_place),
                               places_max, dsmr_prng_next(&net->prng));
    net->gate = dsmr_net_flow_gate_new(wake_for_flow, net);
    net->tls = dsmr_tls_session_context(config->identity);
    if (net->peers == NULL || net->places == NULL || net->gate == NULL || net->tls == NULL) {
        free_state(net);
        return NULL;
    }
    return net;
}

static void add_addresses(struct dsmr_tcp_net *net, const struct dsmr_tcp_net_config *config)
{
    for (uint32_t i = 0; i < config->addresses_count; i++) {
        const struct dsmr_tcp_net_address *address = &config->addresses[i];
        struct dsmr_net_place *place = dsmr_map_add(net->places, &address->node_id, NULL);
        DSMR_ASSERT(place != NULL); /* the table was made for all of them */
        snprintf(place->host, sizeof(place->host), "%s", address->host);
        place->port = address->port;
    }
}

static enum dsmr_err init_handles(struct dsmr_tcp_net *net)
{
    if (uv_async_init(&net->loop, &net->async, on_async) != 0)
        return DSMR_ERR_NO_MEMORY;
    net->async.data = net;
    uv_timer_init(&net->loop, &net->timer);
    net->timer.data = net;
    uv_idle_init(&net->loop, &net->idle);
    net->idle.data = net;
    return dsmr_net_listen_start(net);
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_loop(struct dsmr_tcp_net *net)
{
    uv_walk(&net->loop, close_handle, NULL);
    uv_run(&net->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&net->loop);
    DSMR_ASSERT(rc == 0);
}

/* With every signal blocked: they belong to the thread that waits for them, and a broken pipe is
 * an error code here. */
static bool start_thread(struct dsmr_tcp_net *net)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_started = pthread_create(&net->thread, NULL, run_loop, net) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_started)
        pthread_setname_np(net->thread, "dsmr-net");
    return is_started;
}

enum dsmr_err dsmr_tcp_net_open(struct dsmr_tcp_net **out, char reason[DSMR_TCP_NET_REASON_BYTES],
                                const struct dsmr_tcp_net_config *config)
{
    snprintf(reason, DSMR_TCP_NET_REASON_BYTES, "no memory or threads for the network");
    DSMR_ASSERT(config->limits.accepts_per_second > 0);
    DSMR_ASSERT(config->limits.unauthenticated_max > 0);
    struct dsmr_tcp_net *net = new_state(config);
    if (net == NULL)
        return DSMR_ERR_NO_MEMORY;
    add_addresses(net, config);
    enum dsmr_err err = dsmr_net_listen_bind(net, reason, config->listen_host, config->listen_port);
    if (err == DSMR_OK && uv_loop_init(&net->loop) != 0)
        err = DSMR_ERR_NO_MEMORY;
    if (err != DSMR_OK) {
        free_state(net);
        return err;
    }
    err = init_handles(net);
    if (err == DSMR_OK && !start_thread(net))
        err = DSMR_ERR_NO_MEMORY;
    if (err != DSMR_OK) {
        close_loop(net);
        free_state(net);
        return err;
    }
    dsmr_net_log_line(&net->log, DSMR_LOG_INFO, "listening for peers on %s port %u",
                      config->listen_host, (unsigned)net->listen_port);
    *out = net;
    return DSMR_OK;
}

void dsmr_tcp_net_close(struct dsmr_tcp_net *net)
{
    if (net == NULL)
        return;
    pthread_mutex_lock(&net->mutex);
    net->is_closing = true;
    pthread_mutex_unlock(&net->mutex);
    uv_async_send(&net->async);
    pthread_join(net->thread, NULL);
    close_loop(net);
    free_state(net);
}
