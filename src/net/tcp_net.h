/* tcp_net.h - ports/net.h over TCP and TLS 1.3.
 *
 * Why:        validators exchange chunks, shares, certificates and votes; who speaks is what TLS
 *             has proved. docs/transport.md describes the protocol.
 * Not here:   what messages mean; who is a validator (set_peers says so).
 * Invariants: a peer that is not in the set gets no service: it is disconnected after TLS, before
 *             any message. Per peer at most one connection is up; of two, the one dialed by the
 *             smaller node id stays. Messages of one class to one peer keep their order.
 *             Delivery is at most once: what was on its way when a connection ended is lost, and
 *             peer(down), peer(up) tell so.
 * Limits:     struct dsmr_tcp_net_limits; nothing grows beyond them.
 * Threads:    open and close by the owner; the port's functions on the logic thread; resume,
 *             set_address, forget_address from any. The loop has a thread of its own. */
#ifndef DSMR_NET_TCP_NET_H
#define DSMR_NET_TCP_NET_H

#include "base/metrics.h"
#include "net/tls_identity.h"
#include "ports/log.h"
#include "ports/net.h"

#define DSMR_TCP_NET_HOST_BYTES_MAX 255u
#define DSMR_TCP_NET_REASON_BYTES 256u

struct dsmr_tcp_net; /* opaque */

struct dsmr_tcp_net_address { /* where a validator listens */
    struct dsmr_node_id node_id;
    const char *host; /* name or number */
    uint16_t port;
};

struct dsmr_tcp_net_limits {
    uint32_t message_bytes_max;                   /* dsmr_params_message_bytes_max of the chain */
    size_t queue_bytes_max[DSMR_MSG_CLASS_COUNT]; /* outgoing, per peer */
    size_t inbound_bytes_max;  /* per peer: received, not yet handled by the logic thread */
    uint32_t unsent_bytes_max; /* encrypted, not yet on its way; less on a slow line */
    uint32_t peers_max;
    uint32_t unauthenticated_max; /* accepted connections that have not proved who they are */
    uint32_t accepts_per_second;
    uint32_t handshake_timeout_ms; /* from connect to hello */
    uint32_t frame_timeout_ms;     /* a message, from its first byte to its last */
    uint32_t ping_ms;              /* silence after which we send a ping */
    uint32_t silence_timeout_ms;   /* silence after which a peer counts as gone */
    uint32_t backoff_min_ms;       /* between dials, doubled up to max, with jitter */
    uint32_t backoff_max_ms;
    uint32_t dial_delay_ms; /* the larger node id waits this long for the smaller one to dial */
    uint32_t drop_pause_ms; /* a dropped peer stays away this long */
};
/* message_bytes_max is 8 MiB and a little; the rest as docs/transport.md. */
void dsmr_tcp_net_limits_default(struct dsmr_tcp_net_limits *limits);

struct dsmr_tcp_net_config {
    const char *listen_host;                  /* number or name; "0.0.0.0", "::" for all */
    uint16_t listen_port;                     /* 0: any free one */
    const struct dsmr_tls_identity *identity; /* borrowed until close */
    struct dsmr_domain domain;
    const struct dsmr_tcp_net_address *addresses; /* address book; borrowed during open */
    uint32_t addresses_count;
    uint32_t addresses_max; /* places of the book; at least addresses_count and 64 */
    struct dsmr_inbox inbox;
    const struct dsmr_net_handler *handler; /* must stay valid until the inbox is empty */
    struct dsmr_metrics *metrics;           /* borrowed until close */
    struct dsmr_log log;
    struct dsmr_tcp_net_limits limits;
    uint64_t seed; /* for jitter */
};

/* Listens and starts the loop; set_peers must follow, until then nobody is served. UNAVAILABLE:
 * the address cannot be bound (port in use); CONFIG; NO_MEMORY; reason is one sentence on any
 * error. Caller closes. */
DSMR_MUST_USE enum dsmr_err dsmr_tcp_net_open(struct dsmr_tcp_net **out,
                                              char reason[DSMR_TCP_NET_REASON_BYTES],
                                              const struct dsmr_tcp_net_config *config);
/* Ends all connections and the thread, and frees. Tasks that it has offered stay in the inbox and
 * may be handled or freed later. NULL is fine. */
void dsmr_tcp_net_close(struct dsmr_tcp_net *net);

/* The port; valid until close. */
struct dsmr_net dsmr_tcp_net_port(struct dsmr_tcp_net *net);
uint16_t dsmr_tcp_net_listen_port(const struct dsmr_tcp_net *net);

/* The inbox has room again: register it as the inbox's listener, ctx is the net. (Without it a
 * refused peer is tried again ten times a second.) */
void dsmr_tcp_net_resume(void *ctx);
/* Adds to or changes the address book. CONFIG: host too long; FULL; NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_tcp_net_set_address(struct dsmr_tcp_net *net,
                                                     const struct dsmr_tcp_net_address *address);
/* Takes it out of the book: its place is free. A connection stays. */
void dsmr_tcp_net_forget_address(struct dsmr_tcp_net *net, const struct dsmr_node_id *node_id);

#endif
