/* net_conn.h - one connection, from the first packet to the last.
 *
 * Threads: the loop thread. */
#ifndef DSMR_NET_NET_CONN_H
#define DSMR_NET_NET_CONN_H

#include "net/net_state.h"

/* Takes over the accepted socket fd. */
void dsmr_net_conn_accept(struct dsmr_tcp_net *net, int fd);
/* Starts a connection to peer at place; how it fails is told by dsmr_net_peer_gone. */
void dsmr_net_conn_dial(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer,
                        const struct dsmr_net_place *place);

/* Ends conn and tells the peer's state. OK: no fault; other errors are counted, and those of class
 * PEER of a known peer keep it away for a while. Twice is fine. */
void dsmr_net_conn_close(struct dsmr_net_conn *conn, enum dsmr_err why);

/* Watches the socket for what the connection waits for now. */
void dsmr_net_conn_watch(struct dsmr_net_conn *conn);

/* A message came before the connection is up: it must be the hello. */
void dsmr_net_conn_on_hello(struct dsmr_net_conn *conn, const struct dsmr_buf *hello);

/* Closes what has waited too long, pings what is idle; returns when to look again. */
uint64_t dsmr_net_conn_check_time(struct dsmr_net_conn *conn, uint64_t now_ms);

#endif
