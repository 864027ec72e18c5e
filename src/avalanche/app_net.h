/* app_net.h - ports/net.h through AvalancheGo's own peer network.
 *
 * Why:     it is there, it reaches every validator, and it has proved who speaks: NodeID.
 * How:     messages to a peer are gathered into AppRequests. The other end answers each when its
 *          logic thread has handled it, so what is on its way to a slow peer is bounded. Gossip is
 *          not used: it is lossy without a word.
 * Window:  so many requests may be on their way to a peer. AvalancheGo drops a request that waited
 *          for longer than its deadline, so a failure says that too much waits: it halves the
 *          window, and a window of answers adds one again (as RFC 5681, 3.1). Each request costs
 *          four calls between node and plugin, so one that is no full batch leaves only while
 *          fewer than two such are on their way; the next ones gather behind them (as RFC 896).
 * Pace:    AvalancheGo allows a peer 512 KiB/s by default, for its consensus too; above it all of
 *          that peer's messages wait. So each peer has a budget below it, higher classes first.
 * Prefix:  an AppRequest begins with a handler's number (uvarint), as AvalancheGo's own do.
 *          DSMR_APP_NET_HANDLER: then messages, each with its length (u32). Other numbers go to
 *          config.other.
 * Delivery: at most once, like ports/net.h; a request that failed has lost its messages.
 * Limits:  config; messages up to DSMR_APP_NET_MESSAGE_BYTES_MAX.
 * Threads: all on the logic thread; answers of AvalancheGo come as tasks. */
#ifndef DSMR_AVALANCHE_APP_NET_H
#define DSMR_AVALANCHE_APP_NET_H

#include "avalanche/grpc_client.h"
#include "base/metrics.h"
#include "ports/clock.h"
#include "ports/net.h"

#define DSMR_APP_NET_HANDLER 68u                      /* 'D' */
#define DSMR_APP_NET_MESSAGE_BYTES_MAX (1900u * 1024) /* AvalancheGo's own limit is 2 MiB */
#define DSMR_APP_NET_PEERS_MAX 4096u

struct dsmr_app_net; /* opaque */

struct dsmr_app_net_config {
    struct dsmr_grpc_client *node; /* borrowed until free */
    struct dsmr_inbox inbox;
    struct dsmr_clock clock;
    struct dsmr_metrics *metrics;
    const struct dsmr_net_handler *handler;
    struct dsmr_node_id self_id;
    uint64_t peer_bytes_per_s;
    uint64_t peer_burst_bytes;
    size_t queue_bytes_max[DSMR_MSG_CLASS_COUNT]; /* per peer */
    uint32_t batch_bytes_max;                     /* small messages in one request */
    uint32_t window;                              /* requests on their way to one peer, at most */
    uint64_t seed;
    /* A request with another handler's number, to be answered with _respond or _refuse. */
    void (*other)(void *ctx, const struct dsmr_node_id *from, uint32_t request_id, uint64_t handler,
                  const uint8_t *bytes, size_t len);
    void *ctx;
};
/* 384 KiB/s with bursts of 512 KiB; queues as docs/transport.md, 6. */
void dsmr_app_net_config_default(struct dsmr_app_net_config *config);

/* NULL if out of memory. Caller frees, after node's client. */
struct dsmr_app_net *dsmr_app_net_new(const struct dsmr_app_net_config *config);
void dsmr_app_net_free(struct dsmr_app_net *net); /* NULL is fine */
struct dsmr_net dsmr_app_net_port(struct dsmr_app_net *net);
/* owner: what the handler is given. */
void dsmr_app_net_attach(struct dsmr_app_net *net, void *owner);

void dsmr_app_net_tick(struct dsmr_app_net *net);
uint64_t dsmr_app_net_deadline_ms(const struct dsmr_app_net *net);

/* ---- what AvalancheGo tells; requests borrowed ---- */
void dsmr_app_net_connected(struct dsmr_app_net *net, const struct dsmr_node_id *peer, bool is_up);
void dsmr_app_net_on_request(struct dsmr_app_net *net, const struct dsmr_node_id *from,
                             uint32_t request_id, const uint8_t *bytes, size_t len);
/* One of ours came to its end: with an answer, or without. */
void dsmr_app_net_on_end(struct dsmr_app_net *net, const struct dsmr_node_id *from,
                         uint32_t request_id, bool is_answered);

/* ---- requests of other handlers ---- */
bool dsmr_app_net_serves(const struct dsmr_app_net *net, const struct dsmr_node_id *peer);
bool dsmr_app_net_is_connected(const struct dsmr_app_net *net, const struct dsmr_node_id *peer);
/* Sends a request outside queues and pace: for rare and small ones. */
void dsmr_app_net_request(struct dsmr_app_net *net, const struct dsmr_node_id *to,
                          const uint8_t *bytes, size_t len);
void dsmr_app_net_respond(struct dsmr_app_net *net, const struct dsmr_node_id *to,
                          uint32_t request_id, const uint8_t *bytes, size_t len);
void dsmr_app_net_refuse(struct dsmr_app_net *net, const struct dsmr_node_id *to,
                         uint32_t request_id, int32_t code, const char *why);
#define DSMR_APP_NET_UNEXPECTED (-1)
#define DSMR_APP_NET_UNREGISTERED (-2)
#define DSMR_APP_NET_NOT_VALIDATOR (-3)

#endif
