/* net_local.h - connections that never leave this machine.
 *
 * Why: congestion control guesses at a network that is not there. One that paces (BBR) sets a timer
 *      for nearly every segment, which cost a third of the processor time of a network on one
 *      machine. Reno, which every kernel has, does nothing until something is lost. Connections to
 *      other machines keep what the operator has chosen. */
#ifndef DSMR_NET_NET_LOCAL_H
#define DSMR_NET_NET_LOCAL_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>

static inline bool dsmr_net_local_is(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* Before connect, or before listen for the connections that will be accepted: what paces does not
 * stop when it is replaced later. A wish. */
static inline void dsmr_net_local_tune(int fd, const struct sockaddr *address)
{
    if (dsmr_net_local_is(address))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof("reno") - 1);
}

#endif
