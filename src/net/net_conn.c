#define _GNU_SOURCE
#include "net/net_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/order.h"
#include "net/hello.h"
#include "net/net_io.h"
#include "net/net_listen.h"
#include "net/net_local.h"
#include "net/net_log.h"
#include "net/net_peer.h"

static void free_if_unused(struct dsmr_net_conn *conn)
{
    if (conn->state == DSMR_NET_CONN_CLOSED && conn->handles == 0)
        free(conn);
}

static struct dsmr_net_conn *conn_new(struct dsmr_tcp_net *net, enum dsmr_net_conn_state state,
                                      struct dsmr_net_peer *dialed)
{
    struct dsmr_net_conn *conn = malloc(sizeof(*conn));
    if (conn == NULL)
        return NULL;
    /* Not the two stages: 32 KiB that need no clearing. */
    memset(conn, 0, offsetof(struct dsmr_net_conn, reader));
    conn->net = net;
    conn->state = state;
    conn->peer = dialed;
    conn->is_dialed = dialed != NULL;
    conn->fd = -1;
    conn->setup_until_ms = net_now(net) + net->limits.handshake_timeout_ms;
    dsmr_tcp_net_arm(net, conn->setup_until_ms);
    dsmr_frame_reader_init(&conn->reader, DSMR_HELLO_BYTES_MAX);
    dsmr_frame_writer_init(&conn->writer);
    conn->next = net->conns;
    conn->link = &net->conns;
    if (conn->next != NULL)
        conn->next->link = &conn->next;
    net->conns = conn;
    return conn;
}

static void set_options(const struct dsmr_tcp_net *net, int fd)
{
    int one = 1;
    unsigned unsent = net->limits.unsent_bytes_max / 2; /* until it is measured */
    unsigned timeout = net->limits.silence_timeout_ms;
    /* Each is a wish: without it the connection works, only worse. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

/* ---- the end ---- */

static void on_poll_closed(uv_handle_t *handle)
{
    struct dsmr_net_conn *conn = handle->data;
    conn->handles--;
    free_if_unused(conn);
}

static void unlink_conn(struct dsmr_net_conn *conn)
{
    struct dsmr_tcp_net *net = conn->net;
    *conn->link = conn->next; /* next stays: a walk that stands here goes on */
    if (conn->next != NULL)
        conn->next->link = conn->link;
    for (struct dsmr_net_conn **at = &net->again; *at != NULL; at = &(*at)->next_again) {
        if (*at == conn) {
            *at = conn->next_again;
            break;
        }
    }
}

static void close_socket(struct dsmr_net_conn *conn)
{
    if (conn->ssl != NULL) {
        if (SSL_is_init_finished(conn->ssl))
            SSL_shutdown(conn->ssl); /* a goodbye if it fits; no answer is waited for */
        ERR_clear_error();
        SSL_free(conn->ssl);
        conn->ssl = NULL;
    }
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

void dsmr_net_conn_close(struct dsmr_net_conn *conn, enum dsmr_err why)
{
    if (conn->state == DSMR_NET_CONN_CLOSED)
        return;
    enum dsmr_net_conn_state before = conn->state;
    struct dsmr_tcp_net *net = conn->net;
    conn->state = DSMR_NET_CONN_CLOSED;
    unlink_conn(conn);
    if (why != DSMR_OK)
        dsmr_metrics_count_error(net->metrics, why);
    if (!conn->is_dialed && before == DSMR_NET_CONN_TLS)
        net->unauthenticated--;
    if (before == DSMR_NET_CONN_RESOLVING)
        uv_cancel((uv_req_t *)&conn->resolve); /* if it is too late, its callback frees conn */
    else if (conn->handles > 0)
        uv_close((uv_handle_t *)&conn->poll, on_poll_closed);
    close_socket(conn);
    dsmr_net_io_forget(conn);
    dsmr_frame_reader_close(&conn->reader);
    dsmr_frame_writer_close(&conn->writer);
    if (conn->peer != NULL)
        dsmr_net_peer_gone(conn, before, why);
    dsmr_net_flow_unref(conn->flow);
    conn->flow = NULL;
    DSMR_ASSERT(conn->down == NULL);
    free_if_unused(conn);
}

/* ---- TLS and hello ---- */

static void send_hello(struct dsmr_net_conn *conn)
{
    uint8_t hello[DSMR_HELLO_BYTES];
    dsmr_hello_encode(hello, &conn->net->domain);
    dsmr_net_io_send_now(conn, hello, sizeof(hello));
}

/* A peer that proves itself again and again without saying hello holds one connection only. */
static void close_other_greetings(struct dsmr_net_conn *conn)
{
    for (struct dsmr_net_conn *other = conn->net->conns; other != NULL; other = other->next)
        if (other != conn && !other->is_dialed && other->peer == conn->peer &&
            other->state == DSMR_NET_CONN_HELLO)
            dsmr_net_conn_close(other, DSMR_OK);
}

/* Who is it, and do we serve it? */
static enum dsmr_err name_peer(struct dsmr_net_conn *conn)
{
    struct dsmr_tcp_net *net = conn->net;
    struct dsmr_node_id id;
    enum dsmr_err err = dsmr_tls_session_peer(conn->ssl, &id);
    if (err != DSMR_OK)
        return err;
    if (conn->is_dialed) {
        if (dsmr_node_id_equal(&id, &conn->peer->id))
            return DSMR_OK;
        char text[DSMR_NET_LOG_ID_BYTES], what[96];
        snprintf(what, sizeof(what), "its address answers as %s", dsmr_net_log_id(text, &id));
        dsmr_net_peer_log_once(net, conn->peer, DSMR_ERR_HANDSHAKE, what);
        return DSMR_ERR_HANDSHAKE;
    }
    struct dsmr_net_peer *peer = dsmr_net_peer_find(net, &id);
    if (peer == NULL)
        return DSMR_ERR_NOT_VALIDATOR;
    if (net_now(net) < peer->paused_until_ms)
        return DSMR_ERR_RATE_LIMITED;
    conn->peer = peer;
    return DSMR_OK;
}

static void handshake(struct dsmr_net_conn *conn)
{
    switch (dsmr_tls_session_handshake(conn->ssl)) {
    case DSMR_TLS_WANT_READ:
        conn->is_write_blocked = false;
        dsmr_net_conn_watch(conn);
        return;
    case DSMR_TLS_WANT_WRITE:
        conn->is_write_blocked = true;
        dsmr_net_conn_watch(conn);
        return;
    case DSMR_TLS_ENDED:
    case DSMR_TLS_FAILED:
        dsmr_net_conn_close(conn, DSMR_ERR_HANDSHAKE);
        return;
    case DSMR_TLS_DONE:
        break;
    }
    enum dsmr_err err = name_peer(conn);
    if (err != DSMR_OK) {
        dsmr_net_conn_close(conn, err);
        return;
    }
    conn->state = DSMR_NET_CONN_HELLO;
    conn->is_write_blocked = false;
    if (conn->is_dialed) {
        send_hello(conn);
    } else {
        conn->net->unauthenticated--;
        close_other_greetings(conn);
    }
    if (conn->state != DSMR_NET_CONN_CLOSED)
        dsmr_net_io_read(conn); /* the hello may have come with the handshake's last bytes */
}

static void start_tls(struct dsmr_net_conn *conn)
{
    conn->state = DSMR_NET_CONN_TLS;
    conn->ssl = dsmr_tls_session_new(conn->net->tls, conn->fd, conn->is_dialed);
    if (conn->ssl == NULL)
        dsmr_net_conn_close(conn, DSMR_ERR_NO_MEMORY);
    else
        handshake(conn);
}

void dsmr_net_conn_on_hello(struct dsmr_net_conn *conn, const struct dsmr_buf *hello)
{
    struct dsmr_tcp_net *net = conn->net;
    enum dsmr_err err = dsmr_hello_check(hello->bytes, hello->len, &net->domain);
    if (err != DSMR_OK) {
        dsmr_net_peer_log_once(net, conn->peer, err, dsmr_err_text(err));
        if (!conn->is_dialed)
            send_hello(conn); /* so that its operator is told, too */
        dsmr_net_conn_close(conn, err);
        return;
    }
    if (!dsmr_net_peer_is_better(conn)) {
        dsmr_net_conn_close(conn, DSMR_OK);
        return;
    }
    if (!conn->is_dialed)
        send_hello(conn);
    if (conn->state == DSMR_NET_CONN_CLOSED)
        return;
    err = dsmr_net_peer_up(conn);
    if (err != DSMR_OK) {
        dsmr_net_conn_close(conn, err);
        return;
    }
    conn->reader.message_bytes_max = net->limits.message_bytes_max;
}

/* ---- the beginning ---- */

static bool init_poll(struct dsmr_net_conn *conn)
{
    if (uv_poll_init(&conn->net->loop, &conn->poll, conn->fd) != 0)
        return false;
    conn->poll.data = conn;
    conn->handles++;
    return true;
}

void dsmr_net_conn_accept(struct dsmr_tcp_net *net, int fd)
{
    set_options(net, fd);
    struct dsmr_net_conn *conn = conn_new(net, DSMR_NET_CONN_TLS, NULL);
    if (conn == NULL) {
        close(fd);
        return;
    }
    net->unauthenticated++;
    conn->fd = fd;
    if (init_poll(conn))
        start_tls(conn);
    else
        dsmr_net_conn_close(conn, DSMR_ERR_NO_MEMORY);
}

static void fail_dial(struct dsmr_net_conn *conn, int number)
{
    char what[96];
    snprintf(what, sizeof(what), "cannot be reached: %s", strerror(number));
    dsmr_net_peer_log_once(conn->net, conn->peer, DSMR_ERR_UNAVAILABLE, what);
    dsmr_net_conn_close(conn, DSMR_OK);
}

static void start_connect(struct dsmr_net_conn *conn, const struct sockaddr *address)
{
    socklen_t len =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    conn->state = DSMR_NET_CONN_CONNECTING;
    conn->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        fail_dial(conn, errno);
        return;
    }
    set_options(conn->net, conn->fd);
    dsmr_net_local_tune(conn->fd, address);
    if (connect(conn->fd, address, len) != 0 && errno != EINPROGRESS) {
        fail_dial(conn, errno);
        return;
    }
    if (init_poll(conn))
        dsmr_net_conn_watch(conn);
    else
        dsmr_net_conn_close(conn, DSMR_ERR_NO_MEMORY);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct dsmr_net_conn *conn = request->data;
    conn->handles--;
    if (conn->state == DSMR_NET_CONN_CLOSED) {
        free_if_unused(conn);
    } else if (status != 0 || found == NULL) {
        dsmr_net_peer_log_once(conn->net, conn->peer, DSMR_ERR_UNAVAILABLE,
                               "its host name does not resolve");
        conn->state = DSMR_NET_CONN_CONNECTING; /* the request is over: nothing to cancel */
        dsmr_net_conn_close(conn, DSMR_OK);
    } else {
        start_connect(conn, found->ai_addr);
    }
    uv_freeaddrinfo(found);
}

void dsmr_net_conn_dial(struct dsmr_tcp_net *net, struct dsmr_net_peer *peer,
                        const struct dsmr_net_place *place)
{
    struct dsmr_net_conn *conn = conn_new(net, DSMR_NET_CONN_RESOLVING, peer);
    if (conn == NULL)
        return; /* the next check tries again */
    peer->dialing = conn;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    if (uv_ip4_addr(place->host, place->port, &address.v4) == 0 ||
        uv_ip6_addr(place->host, place->port, &address.v6) == 0) {
        start_connect(conn, &address.any);
        return;
    }
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)place->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    conn->resolve.data = conn;
    if (uv_getaddrinfo(&net->loop, &conn->resolve, on_resolved, place->host, service, &hints) ==
        0) {
        conn->handles++;
        return;
    }
    conn->state = DSMR_NET_CONN_CONNECTING;
    dsmr_net_conn_close(conn, DSMR_OK);
}

/* ---- events ---- */

static void on_connected(struct dsmr_net_conn *conn)
{
    int number = 0;
    socklen_t len = sizeof(number);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
        number = errno;
    if (number != 0)
        fail_dial(conn, number);
    else
        start_tls(conn);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct dsmr_net_conn *conn = poll->data;
    if (status < 0) { /* libuv has stopped watching: let the calls below find out why */
        conn->events = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    switch (conn->state) {
    case DSMR_NET_CONN_CONNECTING:
        on_connected(conn);
        break;
    case DSMR_NET_CONN_TLS:
        handshake(conn);
        break;
    case DSMR_NET_CONN_HELLO:
    case DSMR_NET_CONN_UP:
        if ((events & UV_WRITABLE) != 0)
            dsmr_net_io_write(conn);
        if (conn->state != DSMR_NET_CONN_CLOSED && !conn->is_paused)
            dsmr_net_io_read(conn);
        break;
    case DSMR_NET_CONN_RESOLVING:
    case DSMR_NET_CONN_CLOSED:
        DSMR_UNREACHABLE();
    }
}

void dsmr_net_conn_watch(struct dsmr_net_conn *conn)
{
    int events = 0;
    if (conn->state == DSMR_NET_CONN_CONNECTING)
        events = UV_WRITABLE;
    else
        events = (conn->is_paused ? 0 : UV_READABLE) | (conn->is_write_blocked ? UV_WRITABLE : 0);
    if (events == conn->events)
        return;
    conn->events = events;
    if (events == 0)
        uv_poll_stop(&conn->poll);
    else
        uv_poll_start(&conn->poll, events, on_poll);
}

uint64_t dsmr_net_conn_check_time(struct dsmr_net_conn *conn, uint64_t now_ms)
{
    const struct dsmr_tcp_net_limits *limits = &conn->net->limits;
    if (conn->state == DSMR_NET_CONN_CLOSED)
        return UINT64_MAX;
    if (conn->state != DSMR_NET_CONN_UP) {
        if (now_ms >= conn->setup_until_ms)
            dsmr_net_conn_close(conn, DSMR_ERR_TIMEOUT);
        return now_ms < conn->setup_until_ms ? conn->setup_until_ms : UINT64_MAX;
    }
    uint64_t next = UINT64_MAX;
    if (!conn->is_paused) { /* else it is we who do not listen */
        next = conn->received_ms + limits->silence_timeout_ms;
        if (conn->message_until_ms != 0)
            next = dsmr_smaller(next, conn->message_until_ms);
        if (now_ms >= next) {
            dsmr_net_conn_close(conn, DSMR_ERR_TIMEOUT);
            return UINT64_MAX;
        }
    }
    if (now_ms >= conn->sent_ms + limits->ping_ms) {
        conn->sent_ms = now_ms;
        dsmr_net_io_send_now(conn, NULL, 0);
    }
    return dsmr_smaller(next, conn->sent_ms + limits->ping_ms);
}
