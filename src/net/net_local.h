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

/* What a peer has sent and we have not read; the kernel allows for twice as much. There is no way
 * to fill, and votes wait behind it: left alone it grows to many megabytes while a node is busy. */
#define DSMR_NET_LOCAL_UNREAD_BYTES (256 << 10)

/* Before connect, or before listen for the connections that will be accepted: what paces does not
 * stop when it is replaced later. A wish. */
static inline void dsmr_net_local_tune(int fd, const struct sockaddr *address)
{
    int unread = DSMR_NET_LOCAL_UNREAD_BYTES;
    if (!dsmr_net_local_is(address))
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof("reno") - 1);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &unread, sizeof(unread));
}

#endif
