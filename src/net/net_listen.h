/* net_listen.h - the listening socket: bind, accept, and how much of it.
 *
 * Limits:  limits.accepts_per_second on average, as many at once; limits.unauthenticated_max:
 *          beyond it the oldest that has not proved who it is goes.
 * Threads: bind by the owner before the loop starts, the rest on the loop thread. */
#ifndef DSMR_NET_NET_LISTEN_H
#define DSMR_NET_NET_LISTEN_H

#include "net/net_state.h"

/* Sets net->listen_fd and listen_port. UNAVAILABLE, CONFIG with a sentence. */
DSMR_MUST_USE enum dsmr_err dsmr_net_listen_bind(struct dsmr_tcp_net *net,
                                                 char reason[DSMR_TCP_NET_REASON_BYTES],
                                                 const char *host, uint16_t port);
DSMR_MUST_USE enum dsmr_err dsmr_net_listen_start(struct dsmr_tcp_net *net);
void dsmr_net_listen_stop(struct dsmr_tcp_net *net);
/* Goes on if it had paused for the rate; returns when to look again. */
uint64_t dsmr_net_listen_check_time(struct dsmr_tcp_net *net, uint64_t now_ms);

#endif
