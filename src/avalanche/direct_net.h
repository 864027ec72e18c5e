/* direct_net.h - ports/net.h on the project's own transport, between AvalancheGo's nodes.
 *
 * Why:     AvalancheGo's peer network carries half a MiB a second to a peer, and shares it with
 *          consensus. The data goes beside it then, over TLS on a port of its own.
 * How:     each plugin has a TLS key. Who holds it is said twice: the announcement comes as an
 *          AppRequest, so AvalancheGo has proved the NodeID; and it is signed by the key over that
 *          NodeID, so nobody can announce another one's key as his. Only then is the key's id in
 *          the address book, and what comes over TLS from it counts as from the NodeID.
 *          Validators announce themselves to each other when they see each other, and again until
 *          the connection stands. Who hears an announcement and has no connection answers with its
 *          own, unless that has just been sent: the other one may have started again.
 * Announcement, after the handler's number: version u8 1, key 32, signature 64, port u16, host
 *          length u8, host. Signed: "DSMR direct", network id u32, chain id, NodeID, port, host.
 * Limits:  DSMR_APP_NET_PEERS_MAX peers, each with one key: a new one replaces it.
 * Threads: the logic thread. */
#ifndef DSMR_AVALANCHE_DIRECT_NET_H
#define DSMR_AVALANCHE_DIRECT_NET_H

#include "avalanche/app_net.h"
#include "ports/clock.h"
#include "ports/net.h"

#define DSMR_DIRECT_NET_HANDLER 69u /* 'E' */
#define DSMR_DIRECT_NET_HOST_BYTES_MAX 253u

struct dsmr_direct_net; /* opaque */

struct dsmr_direct_net_config {
    struct dsmr_app_net *app_net; /* for announcements; borrowed until free */
    const struct dsmr_net_handler *handler;
    struct dsmr_clock clock;
    struct dsmr_metrics *metrics;
    struct dsmr_domain domain;
    struct dsmr_node_id self_id;
    uint64_t seed;
    const char *host; /* announced; borrowed for ever */
    uint8_t key[32];  /* of the TLS identity */
    /* Signs by it. False: out of memory. */
    bool (*sign)(void *ctx, uint8_t out[64], const void *message, size_t len);
    /* Where the key with this transport id listens. False: it cannot be kept. */
    bool (*set_address)(void *ctx, const struct dsmr_node_id *transport_id, const char *host,
                        uint16_t port);
    /* The key is nobody's any more. */
    void (*forget_address)(void *ctx, const struct dsmr_node_id *transport_id);
    void *ctx;
};

/* NULL if out of memory. Caller frees. */
struct dsmr_direct_net *dsmr_direct_net_new(const struct dsmr_direct_net_config *config);
void dsmr_direct_net_free(struct dsmr_direct_net *net); /* NULL is fine */
/* What the transport is given: ids of keys in, NodeIDs on. Valid until free. */
const struct dsmr_net_handler *dsmr_direct_net_handler(struct dsmr_direct_net *net);
/* The transport has opened; port: announced. owner: what the handler of the config is given. */
void dsmr_direct_net_attach(struct dsmr_direct_net *net, const struct dsmr_net *transport,
                            uint16_t port, void *owner);
struct dsmr_net dsmr_direct_net_port(struct dsmr_direct_net *net);

/* An announcement, answered through app_net. */
void dsmr_direct_net_on_request(struct dsmr_direct_net *net, const struct dsmr_node_id *from,
                                uint32_t request_id, const uint8_t *bytes, size_t len);
/* Announces where it is due. */
void dsmr_direct_net_tick(struct dsmr_direct_net *net);
uint64_t dsmr_direct_net_deadline_ms(const struct dsmr_direct_net *net);

#endif
