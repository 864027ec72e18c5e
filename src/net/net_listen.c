#define _GNU_SOURCE
#include "net/net_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_conn.h"
#include "net/net_local.h"

#define TOKEN 1000u /* one connection */
#define NO_FILES_PAUSE_MS 200u

static enum dsmr_err fail(char *reason, enum dsmr_err err, const char *host, uint16_t port,
                          const char *what)
{
    snprintf(reason, DSMR_TCP_NET_REASON_BYTES, "cannot listen for peers on %.100s port %u: %s",
             host, (unsigned)port, what);
    return err;
}

static int bind_one(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    dsmr_net_local_tune(fd, address->ai_addr);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, 256) != 0) {
        int number = errno;
        close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t len = sizeof(address);
    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

enum dsmr_err dsmr_net_listen_bind(struct dsmr_tcp_net *net, char reason[DSMR_TCP_NET_REASON_BYTES],
                                   const char *host, uint16_t port)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return fail(reason, DSMR_ERR_CONFIG, host, port, gai_strerror(rc));
    int fd = -1;
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next)
        fd = bind_one(at);
    int number = errno;
    freeaddrinfo(found);
    if (fd < 0)
        return fail(reason, DSMR_ERR_UNAVAILABLE, host, port, strerror(number));
    net->listen_fd = fd;
    net->listen_port = port_of(fd);
    return DSMR_OK;
}

static void refill(struct dsmr_tcp_net *net, uint64_t now_ms)
{
    uint64_t full = (uint64_t)net->limits.accepts_per_second * TOKEN;
    net->accept_tokens += (now_ms - net->accept_tokens_ms) * net->limits.accepts_per_second;
    net->accept_tokens_ms = now_ms;
    if (net->accept_tokens > full)
        net->accept_tokens = full;
}

static void pause_until(struct dsmr_tcp_net *net, uint64_t at_ms)
{
    uv_poll_stop(&net->listen_poll);
    net->is_listening = false;
    dsmr_tcp_net_arm(net, at_ms);
}

/* Whoever has waited longest is the likeliest not to mean it. */
static void make_room(struct dsmr_tcp_net *net)
{
    struct dsmr_net_conn *oldest = NULL; /* the list has the newest first */
    for (struct dsmr_net_conn *conn = net->conns; conn != NULL; conn = conn->next)
        if (!conn->is_dialed && conn->state == DSMR_NET_CONN_TLS)
            oldest = conn;
    if (oldest != NULL)
        dsmr_net_conn_close(oldest, DSMR_ERR_TIMEOUT);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct dsmr_tcp_net *net = poll->data;
    (void)status;
    (void)events;
    uint64_t now_ms = net_now(net);
    refill(net, now_ms);
    while (net->accept_tokens >= TOKEN) {
        int fd = accept4(net->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_until(net, now_ms + NO_FILES_PAUSE_MS);
            return; /* none left, or one that went away by itself */
        }
        net->accept_tokens -= TOKEN;
        if (net->unauthenticated >= net->limits.unauthenticated_max)
            make_room(net);
        dsmr_net_conn_accept(net, fd);
    }
    pause_until(net, now_ms + 1 + TOKEN / net->limits.accepts_per_second);
}

enum dsmr_err dsmr_net_listen_start(struct dsmr_tcp_net *net)
{
    if (uv_poll_init(&net->loop, &net->listen_poll, net->listen_fd) != 0)
        return DSMR_ERR_NO_MEMORY;
    net->listen_poll.data = net;
    net->accept_tokens = (uint64_t)net->limits.accepts_per_second * TOKEN;
    net->accept_tokens_ms = net_now(net);
    uv_poll_start(&net->listen_poll, UV_READABLE, on_connection);
    net->is_listening = true;
    return DSMR_OK;
}

void dsmr_net_listen_stop(struct dsmr_tcp_net *net)
{
    uv_poll_stop(&net->listen_poll);
    net->is_listening = false;
}

uint64_t dsmr_net_listen_check_time(struct dsmr_tcp_net *net, uint64_t now_ms)
{
    if (net->is_listening)
        return UINT64_MAX;
    refill(net, now_ms);
    if (net->accept_tokens < TOKEN)
        return now_ms + 1 + TOKEN / net->limits.accepts_per_second;
    uv_poll_start(&net->listen_poll, UV_READABLE, on_connection);
    net->is_listening = true;
    return UINT64_MAX;
}
