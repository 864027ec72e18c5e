/* net_peer.h - whom we serve, whom we dial, and which connection of theirs counts.
 *
 * Threads: the loop thread, but for find, which needs the mutex on any other. */
#ifndef DSMR_NET_NET_PEER_H
#define DSMR_NET_NET_PEER_H

#include "net/net_state.h"

/* NULL: not served. */
struct dsmr_net_peer *dsmr_net_peer_find(const struct dsmr_tcp_net *net,
                                         const struct dsmr_node_id *id);
/* Takes over the list of set_peers: new ones are dialed, others closed and forgotten. ids: distinct
 * or not; the node itself is skipped. */
void dsmr_net_peer_replace_all(struct dsmr_tcp_net *net, const struct dsmr_node_id *ids,
                               uint32_t count);
void dsmr_net_peer_free_all(struct dsmr_tcp_net *net);

/* conn's hello is right. True: it is the peer's connection from now on, another one was closed.
 * False: another one is better; the caller closes this one. */
bool dsmr_net_peer_is_better(struct dsmr_net_conn *conn);
/* conn, which is better, is up. NO_MEMORY: the caller closes it. */
DSMR_MUST_USE enum dsmr_err dsmr_net_peer_up(struct dsmr_net_conn *conn);
/* conn, of a peer, is closed; before: the state it was in. */
void dsmr_net_peer_gone(struct dsmr_net_conn *conn, enum dsmr_net_conn_state before,
                        enum dsmr_err why);

/* Dials peer if it is time; returns when to look again. */
uint64_t dsmr_net_peer_check_time(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer,
                                  uint64_t now_ms);
/* The address book has changed: those without a connection are dialed at once. */
void dsmr_net_peer_dial_soon(struct dsmr_tcp_net *net);

/* One line, once per peer and error until it is up again. */
void dsmr_net_peer_log_once(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer, enum dsmr_err err,
                            const char *what);

#endif
