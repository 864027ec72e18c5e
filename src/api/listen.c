#define _GNU_SOURCE /* SOCK_NONBLOCK, SOCK_CLOEXEC */
#include "api/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse(union address *out, socklen_t *len, const char *text)
{
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        *len = sizeof(out->v4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        *len = sizeof(out->v6);
        return true;
    }
    return false;
}

static bool is_loopback(const union address *address)
{
    if (address->any.sa_family == AF_INET) {
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static enum dsmr_err check(union address *out, socklen_t *len, const char **reason,
                           const char *address, bool allow_remote)
{
    if (!parse(out, len, address)) {
        *reason = "the address to listen on is not a numeric IPv4 or IPv6 address";
        return DSMR_ERR_CONFIG;
    }
    if (!allow_remote && !is_loopback(out)) {
        *reason = "the address to listen on is not loopback and remote clients are not allowed";
        return DSMR_ERR_CONFIG;
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_listen_check(const char **reason, const char *address, bool allow_remote)
{
    union address parsed;
    socklen_t len = 0;
    return check(&parsed, &len, reason, address, allow_remote);
}

static const char *reason_of(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "the port is in use";
    case EADDRNOTAVAIL:
        return "the address to listen on is not one of this machine";
    case EACCES:
        return "binding the port is not permitted";
    default:
        return "the port cannot be bound";
    }
}

enum dsmr_err dsmr_listen_open(int *fd, uint16_t *port, const char **reason, const char *address,
                               uint16_t wanted_port, bool allow_remote)
{
    union address bound;
    socklen_t len = 0;
    enum dsmr_err err = check(&bound, &len, reason, address, allow_remote);
    if (err != DSMR_OK) {
        return err;
    }
    if (bound.any.sa_family == AF_INET) {
        bound.v4.sin_port = htons(wanted_port);
    } else {
        bound.v6.sin6_port = htons(wanted_port);
    }
    int one = 1;
    int s = socket(bound.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) {
        *reason = "no socket is to be had";
        return DSMR_ERR_UNAVAILABLE;
    }
    (void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (is_loopback(&bound)) { /* nothing to pace for: net/net_local.h */
        (void)setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof("reno") - 1);
    }
    if (bind(s, &bound.any, len) != 0 || listen(s, BACKLOG) != 0 ||
        getsockname(s, &bound.any, &len) != 0) {
        *reason = reason_of(errno);
        close(s);
        return DSMR_ERR_UNAVAILABLE;
    }
    *fd = s;
    *port = ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
    return DSMR_OK;
}
