#include "avalanche/direct_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "wire/cursor.h"

#define VERSION 1u
#define TAG "DSMR direct"
#define FIXED_BYTES (1u + 32u + 64u + 2u + 1u)
#define SIGNED_BYTES_MAX (sizeof TAG - 1u + 4u + 32u + 20u + 2u + DSMR_DIRECT_NET_HOST_BYTES_MAX)
#define ANNOUNCE_FIRST_MS 500u
#define ANNOUNCE_MAX_MS 30000u
#define ANSWER_PAUSE_MS 5000u /* two that cannot connect do not answer each other for ever */
/* A SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) is these bytes and the key. */
static const uint8_t spki_head[12] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                      0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

struct peer {
    struct dsmr_node_id id, transport_id;
    bool is_served, is_known, is_up;
    uint64_t due_ms;  /* the next announcement */
    uint64_t told_ms; /* the last one that left; 0: none */
    uint32_t wait_ms;
};

struct dsmr_direct_net {
    struct dsmr_direct_net_config config;
    struct dsmr_net_handler handler;
    struct dsmr_net transport;
    void *owner;
    struct dsmr_map *peers; /* NodeID -> struct peer */
    struct dsmr_map *keys;  /* transport id -> NodeID */
    uint8_t announcement[1u + FIXED_BYTES + DSMR_DIRECT_NET_HOST_BYTES_MAX];
    size_t announcement_len;
};

static uint64_t now_ms(const struct dsmr_direct_net *net)
{
    return net->config.clock.ops->mono_ms(net->config.clock.self);
}

/* ---- announcements ---- */

static size_t signed_bytes(uint8_t out[SIGNED_BYTES_MAX], const struct dsmr_direct_net *net,
                           const struct dsmr_node_id *id, const char *host, size_t host_len,
                           uint16_t port)
{
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, out, SIGNED_BYTES_MAX);
    dsmr_wr_bytes(&wr, TAG, sizeof TAG - 1u);
    dsmr_wr_domain(&wr, &net->config.domain);
    dsmr_wr_bytes(&wr, id->bytes, sizeof id->bytes);
    dsmr_wr_u16(&wr, port);
    dsmr_wr_bytes(&wr, host, host_len);
    DSMR_ASSERT(wr.err == DSMR_OK);
    return wr.at;
}

static bool make_announcement(struct dsmr_direct_net *net, uint16_t port)
{
    const char *host = net->config.host;
    size_t host_len = strlen(host);
    uint8_t message[SIGNED_BYTES_MAX], sig[64];
    struct dsmr_wr wr;
    if (host_len == 0 || host_len > DSMR_DIRECT_NET_HOST_BYTES_MAX)
        return false;
    size_t len = signed_bytes(message, net, &net->config.self_id, host, host_len, port);
    if (!net->config.sign(net->config.ctx, sig, message, len))
        return false;
    dsmr_wr_init(&wr, net->announcement, sizeof net->announcement);
    dsmr_wr_u8(&wr, DSMR_DIRECT_NET_HANDLER);
    dsmr_wr_u8(&wr, VERSION);
    dsmr_wr_bytes(&wr, net->config.key, sizeof net->config.key);
    dsmr_wr_bytes(&wr, sig, sizeof sig);
    dsmr_wr_u16(&wr, port);
    dsmr_wr_u8(&wr, (uint8_t)host_len);
    dsmr_wr_bytes(&wr, host, host_len);
    net->announcement_len = wr.at;
    return wr.err == DSMR_OK;
}

static void announce(struct dsmr_direct_net *net, struct peer *peer, uint64_t now)
{
    peer->wait_ms = peer->wait_ms * 2u < ANNOUNCE_MAX_MS ? peer->wait_ms * 2u : ANNOUNCE_MAX_MS;
    peer->due_ms = now + peer->wait_ms;
    if (dsmr_app_net_is_connected(net->config.app_net, &peer->id))
        peer->told_ms = now;
    dsmr_app_net_request(net->config.app_net, &peer->id, net->announcement, net->announcement_len);
}

struct announced {
    uint8_t key[32];
    struct dsmr_ed25519_sig sig;
    uint16_t port;
    char host[DSMR_DIRECT_NET_HOST_BYTES_MAX + 1u];
};

static enum dsmr_err read_announcement(struct announced *out, const struct dsmr_direct_net *net,
                                       const struct dsmr_node_id *from, const uint8_t *bytes,
                                       size_t len)
{
    struct dsmr_rd rd;
    struct dsmr_ed25519_public_key key;
    uint8_t message[SIGNED_BYTES_MAX];
    dsmr_rd_init(&rd, bytes, len);
    if (dsmr_rd_u8(&rd) != VERSION)
        return rd.err != DSMR_OK ? rd.err : DSMR_ERR_VERSION;
    dsmr_rd_bytes(&rd, out->key, sizeof out->key);
    dsmr_rd_bytes(&rd, out->sig.bytes, sizeof out->sig.bytes);
    out->port = dsmr_rd_u16(&rd);
    size_t host_len = dsmr_rd_u8(&rd);
    const uint8_t *host = dsmr_rd_view(&rd, host_len);
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err != DSMR_OK)
        return err;
    if (host_len == 0 || host_len > DSMR_DIRECT_NET_HOST_BYTES_MAX || out->port == 0 ||
        memchr(host, 0, host_len) != NULL)
        return DSMR_ERR_MALFORMED;
    memcpy(out->host, host, host_len);
    out->host[host_len] = '\0';
    memcpy(key.bytes, out->key, sizeof key.bytes);
    size_t message_len = signed_bytes(message, net, from, out->host, host_len, out->port);
    return dsmr_ed25519_verify(&key, &out->sig, message, message_len);
}

static void transport_id_of(struct dsmr_node_id *out, const uint8_t key[32])
{
    uint8_t spki[sizeof spki_head + 32u];
    struct dsmr_id hash;
    memcpy(spki, spki_head, sizeof spki_head);
    memcpy(spki + sizeof spki_head, key, 32);
    dsmr_hash(&hash, spki, sizeof spki);
    memcpy(out->bytes, hash.bytes, sizeof out->bytes);
}

/* ---- the address book ---- */

static void tell_transport(struct dsmr_direct_net *net)
{
    struct dsmr_node_id *ids = calloc(DSMR_APP_NET_PEERS_MAX, sizeof *ids);
    size_t position = 0;
    uint32_t count = 0;
    const void *key;
    void *value;
    if (ids == NULL)
        return; /* the next announcement or set tells */
    while (dsmr_map_next(net->peers, &position, &key, &value)) {
        const struct peer *peer = value;
        if (peer->is_served && peer->is_known)
            ids[count++] = peer->transport_id;
    }
    net->transport.ops->set_peers(net->transport.self, ids, count);
    free(ids);
}

static void tell_handler(struct dsmr_direct_net *net, struct peer *peer, bool is_up)
{
    struct dsmr_node_id id = peer->id;
    peer->is_up = is_up;
    net->config.handler->peer(net->owner, &id, is_up);
}

/* The key that was this peer's is nobody's any more, if no one else has announced it since. */
static void forget_key(struct dsmr_direct_net *net, struct peer *peer)
{
    const struct dsmr_node_id *owner = dsmr_map_find(net->keys, peer->transport_id.bytes);
    peer->is_known = false;
    if (owner == NULL || !dsmr_node_id_equal(owner, &peer->id))
        return;
    (void)dsmr_map_remove(net->keys, peer->transport_id.bytes);
    net->config.forget_address(net->config.ctx, &peer->transport_id);
}

/* The key's holder has signed that it is peer's now, and with it goes the connection. True if one
 * stands. */
static bool take_key(struct dsmr_direct_net *net, const struct dsmr_node_id *from)
{
    struct peer *before = dsmr_map_find(net->peers, from->bytes);
    if (before == NULL)
        return false;
    bool was_up = before->is_up;
    before->is_known = false;
    if (was_up)
        tell_handler(net, before, false);
    return was_up;
}

static enum dsmr_err learn(struct dsmr_direct_net *net, struct peer *peer,
                           const struct announced *announced)
{
    struct dsmr_node_id transport_id;
    bool is_new = false, is_standing = false;
    transport_id_of(&transport_id, announced->key);
    if (peer->is_known && !dsmr_node_id_equal(&peer->transport_id, &transport_id)) {
        forget_key(net, peer);
        if (peer->is_up) /* by the old key; its end will be nobody's */
            tell_handler(net, peer, false);
    }
    struct dsmr_node_id *owner = dsmr_map_add(net->keys, transport_id.bytes, &is_new);
    if (owner == NULL)
        return DSMR_ERR_FULL;
    if (!is_new && !dsmr_node_id_equal(owner, &peer->id))
        is_standing = take_key(net, owner);
    *owner = peer->id;
    if (!peer->is_known)
        peer->told_ms = 0; /* what we said before may have been said to a life that is over */
    peer->transport_id = transport_id;
    peer->is_known = true;
    if (!net->config.set_address(net->config.ctx, &transport_id, announced->host, announced->port))
        return DSMR_ERR_FULL;
    tell_transport(net);
    if (is_standing && !peer->is_up)
        tell_handler(net, peer, true);
    return DSMR_OK;
}

/* Whoever announces itself and has no connection may have started again: it wants to know us. */
static void answer_soon(const struct dsmr_direct_net *net, struct peer *peer)
{
    uint64_t soon_ms = now_ms(net), again_ms = peer->told_ms + ANSWER_PAUSE_MS;
    if (peer->told_ms != 0 && soon_ms < again_ms)
        soon_ms = again_ms;
    if (!peer->is_up && soon_ms < peer->due_ms)
        peer->due_ms = soon_ms;
}

void dsmr_direct_net_on_request(struct dsmr_direct_net *net, const struct dsmr_node_id *from,
                                uint32_t request_id, const uint8_t *bytes, size_t len)
{
    struct announced announced;
    struct peer *peer = dsmr_map_find(net->peers, from->bytes);
    enum dsmr_err err = DSMR_ERR_NOT_VALIDATOR;
    if (peer != NULL && peer->is_served)
        err = read_announcement(&announced, net, from, bytes, len);
    if (err == DSMR_OK)
        err = learn(net, peer, &announced);
    if (err == DSMR_OK) {
        answer_soon(net, peer);
        dsmr_app_net_respond(net->config.app_net, from, request_id, NULL, 0);
        return;
    }
    dsmr_metrics_count_error(net->config.metrics, err);
    dsmr_app_net_refuse(net->config.app_net, from, request_id,
                        err == DSMR_ERR_NOT_VALIDATOR ? DSMR_APP_NET_NOT_VALIDATOR
                                                      : DSMR_APP_NET_UNEXPECTED,
                        dsmr_err_text(err));
}

/* ---- the port ---- */

static enum dsmr_err send(void *self, const struct dsmr_node_id *to, enum dsmr_msg_class cls,
                          struct dsmr_buf *head, struct dsmr_buf *owner, const uint8_t *body,
                          uint32_t body_len)
{
    const struct dsmr_direct_net *net = self;
    const struct peer *peer = dsmr_map_find(net->peers, to->bytes);
    if (peer == NULL || !peer->is_known)
        return DSMR_ERR_UNKNOWN;
    return net->transport.ops->send(net->transport.self, &peer->transport_id, cls, head, owner,
                                    body, body_len);
}

static void forget_unserved(struct dsmr_direct_net *net)
{
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(net->peers, &position, &key, &value)) {
        struct peer *peer = value;
        if (peer->is_served || peer->is_up)
            continue;
        if (peer->is_known)
            forget_key(net, peer);
        (void)dsmr_map_remove(net->peers, key);
        position = 0; /* entries have moved */
    }
}

static void set_peers(void *self, const struct dsmr_node_id *ids, uint32_t count)
{
    struct dsmr_direct_net *net = self;
    struct dsmr_net beside = dsmr_app_net_port(net->config.app_net);
    size_t position = 0;
    const void *key;
    void *value;
    beside.ops->set_peers(beside.self, ids, count);
    while (dsmr_map_next(net->peers, &position, &key, &value))
        ((struct peer *)value)->is_served = false;
    for (uint32_t i = 0; i < count; i++) {
        bool is_new = false;
        struct peer *peer = dsmr_node_id_equal(&ids[i], &net->config.self_id)
                                ? NULL
                                : dsmr_map_add(net->peers, ids[i].bytes, &is_new);
        if (peer == NULL)
            continue;
        peer->is_served = true;
        if (is_new) {
            peer->id = ids[i];
            peer->due_ms = now_ms(net);
            peer->wait_ms = ANNOUNCE_FIRST_MS;
        }
    }
    forget_unserved(net);
    tell_transport(net);
}

static void drop(void *self, const struct dsmr_node_id *id, enum dsmr_err why)
{
    const struct dsmr_direct_net *net = self;
    const struct peer *peer = dsmr_map_find(net->peers, id->bytes);
    if (peer != NULL && peer->is_known)
        net->transport.ops->drop(net->transport.self, &peer->transport_id, why);
}

struct dsmr_net dsmr_direct_net_port(struct dsmr_direct_net *net)
{
    static const struct dsmr_net_ops ops = {.send = send, .set_peers = set_peers, .drop = drop};
    return (struct dsmr_net){.self = net, .ops = &ops};
}

/* ---- what the transport tells ---- */

static void on_message(void *self, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    struct dsmr_direct_net *net = self;
    const struct dsmr_node_id *id = dsmr_map_find(net->keys, from->bytes);
    if (id != NULL)
        net->config.handler->message(net->owner, id, bytes);
}

static void on_peer(void *self, const struct dsmr_node_id *transport_id, bool is_up)
{
    struct dsmr_direct_net *net = self;
    const struct dsmr_node_id *id = dsmr_map_find(net->keys, transport_id->bytes);
    struct peer *peer = id != NULL ? dsmr_map_find(net->peers, id->bytes) : NULL;
    if (peer == NULL || !dsmr_node_id_equal(&peer->transport_id, transport_id))
        return;
    peer->wait_ms = ANNOUNCE_FIRST_MS;
    peer->due_ms = is_up ? UINT64_MAX : now_ms(net) + ANNOUNCE_FIRST_MS;
    tell_handler(net, peer, is_up);
}

const struct dsmr_net_handler *dsmr_direct_net_handler(struct dsmr_direct_net *net)
{
    return &net->handler;
}

/* ---- time ---- */

void dsmr_direct_net_tick(struct dsmr_direct_net *net)
{
    uint64_t now = now_ms(net);
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(net->peers, &position, &key, &value)) {
        struct peer *peer = value;
        if (peer->is_served && peer->due_ms <= now)
            announce(net, peer, now);
    }
}

uint64_t dsmr_direct_net_deadline_ms(const struct dsmr_direct_net *net)
{
    uint64_t deadline_ms = UINT64_MAX;
    size_t position = 0;
    const void *key;
    void *value;
    while (dsmr_map_next(net->peers, &position, &key, &value)) {
        const struct peer *peer = value;
        if (peer->is_served && peer->due_ms < deadline_ms)
            deadline_ms = peer->due_ms;
    }
    return deadline_ms;
}

/* ---- the net ---- */

void dsmr_direct_net_attach(struct dsmr_direct_net *net, const struct dsmr_net *transport,
                            uint16_t port, void *owner)
{
    net->transport = *transport;
    net->owner = owner;
    if (!make_announcement(net, port))
        net->announcement_len = 0;
}

struct dsmr_direct_net *dsmr_direct_net_new(const struct dsmr_direct_net_config *config)
{
    struct dsmr_direct_net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return NULL;
    net->config = *config;
    net->handler = (struct dsmr_net_handler){.self = net, .message = on_message, .peer = on_peer};
    net->peers = dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(struct peer),
                              DSMR_APP_NET_PEERS_MAX, config->seed);
    net->keys = dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(struct dsmr_node_id),
                             DSMR_APP_NET_PEERS_MAX, config->seed + 1u);
    if (net->peers == NULL || net->keys == NULL) {
        dsmr_direct_net_free(net);
        return NULL;
    }
    return net;
}

void dsmr_direct_net_free(struct dsmr_direct_net *net)
{
    if (net == NULL)
        return;
    dsmr_map_free(net->peers);
    dsmr_map_free(net->keys);
    free(net);
}
