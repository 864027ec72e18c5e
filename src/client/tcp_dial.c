#define _GNU_SOURCE /* SOCK_NONBLOCK, SOCK_CLOEXEC, getaddrinfo */
#include "client/tcp_dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum dsmr_err dsmr_tcp_dial_wait(int fd, int for_writing, uint32_t timeout_ms)
{
    struct pollfd wanted = {.fd = fd, .events = for_writing ? POLLOUT : POLLIN};
    int n = 0;
    do {
        n = poll(&wanted, 1, timeout_ms > INT32_MAX ? -1 : (int)timeout_ms);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return DSMR_ERR_IO;
    }
    return n == 0 ? DSMR_ERR_TIMEOUT : DSMR_OK;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    }
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static enum dsmr_err dial_one(int *out, const struct addrinfo *address, uint32_t timeout_ms)
{
    int one = 1;
    int error = 0;
    socklen_t len = sizeof(error);
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return DSMR_ERR_UNAVAILABLE;
    }
    if (is_loopback(address->ai_addr)) { /* nothing to pace for: net/net_local.h */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof("reno") - 1);
    }
    enum dsmr_err err = DSMR_OK;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        err = errno == EINPROGRESS ? dsmr_tcp_dial_wait(fd, 1, timeout_ms) : DSMR_ERR_UNAVAILABLE;
    }
    if (err == DSMR_OK && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)) {
        err = DSMR_ERR_UNAVAILABLE;
    }
    if (err != DSMR_OK) {
        close(fd);
        return err;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    *out = fd;
    return DSMR_OK;
}

enum dsmr_err dsmr_tcp_dial(int *fd, const char *host, uint16_t port, uint32_t timeout_ms)
{
    struct addrinfo hints;
    struct addrinfo *found = NULL;
    char service[8];
    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    (void)snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        return DSMR_ERR_CONFIG;
    }
    enum dsmr_err err = DSMR_ERR_UNAVAILABLE;
    for (const struct addrinfo *at = found; at != NULL && err != DSMR_OK; at = at->ai_next) {
        err = dial_one(fd, at, timeout_ms);
    }
    freeaddrinfo(found);
    return err;
}
