#define _GNU_SOURCE /* memmem, MSG_NOSIGNAL, strcasestr */
#include "client/http_client.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client/tcp_dial.h"

#define HEAD_BYTES_MAX 8192u
#define BODY_MAX_DEFAULT (16u << 20)

struct exchange {
    uint64_t deadline_ms;
    char head[HEAD_BYTES_MAX + 1];
    size_t head_len; /* received, body bytes that came with it included */
    size_t body_at;  /* in head */
    int status;
    size_t body_len;
    bool is_kept;
    bool has_begun; /* some byte of an answer came */
};

static uint64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static uint32_t left_ms(const struct exchange *exchange)
{
    uint64_t now = mono_ms();
    return now < exchange->deadline_ms ? (uint32_t)(exchange->deadline_ms - now) : 0;
}

enum dsmr_err dsmr_http_client_init(struct dsmr_http_client *client, const char *host,
                                    uint16_t port, uint32_t timeout_ms, size_t body_max)
{
    memset(client, 0, sizeof(*client));
    client->fd = -1;
    client->port = port;
    client->timeout_ms = timeout_ms;
    client->body_max = body_max != 0 ? body_max : BODY_MAX_DEFAULT;
    if (strlen(host) >= sizeof(client->host)) {
        return DSMR_ERR_CONFIG;
    }
    memcpy(client->host, host, strlen(host) + 1);
    return DSMR_OK;
}

static void hang_up(struct dsmr_http_client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
}

void dsmr_http_client_close(struct dsmr_http_client *client)
{
    hang_up(client);
    free(client->body);
    client->body = NULL;
    client->body_capacity = 0;
}

static enum dsmr_err send_all(struct dsmr_http_client *client, const struct exchange *exchange,
                              const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(client->fd, bytes, len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            enum dsmr_err err = dsmr_tcp_dial_wait(client->fd, 1, left_ms(exchange));
            if (err != DSMR_OK) {
                return err;
            }
        } else if (n == 0 || errno != EINTR) {
            return DSMR_ERR_UNAVAILABLE;
        }
    }
    return DSMR_OK;
}

/* At least one byte; UNAVAILABLE at the end of the stream. */
static enum dsmr_err receive(struct dsmr_http_client *client, const struct exchange *exchange,
                             char *out, size_t capacity, size_t *len)
{
    for (;;) {
        ssize_t n = recv(client->fd, out, capacity, 0);
        if (n > 0) {
            *len = (size_t)n;
            return DSMR_OK;
        }
        if (n < 0 && errno == EAGAIN) {
            enum dsmr_err err = dsmr_tcp_dial_wait(client->fd, 0, left_ms(exchange));
            if (err != DSMR_OK) {
                return err;
            }
        } else if (n == 0 || errno != EINTR) {
            return DSMR_ERR_UNAVAILABLE;
        }
    }
}

/* The value of a header in the received head, or NULL; ends at the line's end. */
static const char *header(const struct exchange *exchange, const char *name)
{
    size_t name_len = strlen(name);
    const char *line = strstr(exchange->head, "\r\n");
    while (line != NULL && line + 2 < exchange->head + exchange->body_at) {
        line += 2;
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            line += name_len + 1;
            return line + strspn(line, " \t");
        }
        line = strstr(line, "\r\n");
    }
    return NULL;
}

static enum dsmr_err parse_head(struct exchange *exchange)
{
    /* "HTTP/1.x NNN": the digits stand at fixed places. */
    const char *head = exchange->head;
    if (strncmp(head, "HTTP/1.", 7) != 0 || strspn(head + 7, "01") < 1 || head[8] != ' ' ||
        strspn(head + 9, "0123456789") != 3 || head[9] == '0') {
        return DSMR_ERR_MALFORMED;
    }
    exchange->status = (int)strtol(head + 9, NULL, 10);
    const char *length = header(exchange, "content-length");
    const char *connection = header(exchange, "connection");
    if (length == NULL || !isdigit((unsigned char)*length)) {
        return DSMR_ERR_MALFORMED;
    }
    char *end = NULL;
    unsigned long long value = strtoull(length, &end, 10);
    if (*end != '\r' || value > SIZE_MAX / 2) {
        return DSMR_ERR_MALFORMED;
    }
    exchange->body_len = (size_t)value;
    exchange->is_kept =
        head[7] == '1' && (connection == NULL || strncasecmp(connection, "close", 5) != 0);
    return DSMR_OK;
}

static enum dsmr_err read_head(struct dsmr_http_client *client, struct exchange *exchange)
{
    exchange->head_len = 0;
    for (;;) {
        size_t n = 0;
        if (exchange->head_len == HEAD_BYTES_MAX) {
            return DSMR_ERR_TOO_LARGE;
        }
        enum dsmr_err err = receive(client, exchange, exchange->head + exchange->head_len,
                                    HEAD_BYTES_MAX - exchange->head_len, &n);
        if (err != DSMR_OK) {
            return err;
        }
        exchange->has_begun = true;
        exchange->head_len += n;
        exchange->head[exchange->head_len] = '\0';
        if (strncmp(exchange->head, "HTTP/", exchange->head_len < 5 ? exchange->head_len : 5) !=
            0) {
            return DSMR_ERR_MALFORMED; /* something else, which need not end with an empty line */
        }
        const char *end = memmem(exchange->head, exchange->head_len, "\r\n\r\n", 4);
        if (end != NULL) {
            exchange->body_at = (size_t)(end - exchange->head) + 4;
            return parse_head(exchange);
        }
    }
}

static enum dsmr_err read_body(struct dsmr_http_client *client, struct exchange *exchange)
{
    size_t have = exchange->head_len - exchange->body_at;
    if (exchange->body_len > client->body_max) {
        return DSMR_ERR_TOO_LARGE;
    }
    if (have > exchange->body_len) {
        return DSMR_ERR_MALFORMED; /* nothing was asked beyond this answer */
    }
    if (client->body_capacity < exchange->body_len + 1) {
        char *larger = realloc(client->body, exchange->body_len + 1);
        if (larger == NULL) {
            return DSMR_ERR_NO_MEMORY;
        }
        client->body = larger;
        client->body_capacity = exchange->body_len + 1;
    }
    memcpy(client->body, exchange->head + exchange->body_at, have);
    while (have < exchange->body_len) {
        size_t n = 0;
        enum dsmr_err err =
            receive(client, exchange, client->body + have, exchange->body_len - have, &n);
        if (err != DSMR_OK) {
            return err == DSMR_ERR_UNAVAILABLE ? DSMR_ERR_MALFORMED : err;
        }
        have += n;
    }
    client->body[exchange->body_len] = '\0';
    return DSMR_OK;
}

static enum dsmr_err attempt(struct dsmr_http_client *client, struct exchange *exchange,
                             const char *request, size_t request_len, const char *body,
                             size_t body_len)
{
    enum dsmr_err err = DSMR_OK;
    exchange->has_begun = false;
    if (client->fd < 0) {
        err = dsmr_tcp_dial(&client->fd, client->host, client->port, left_ms(exchange));
    }
    client->was_connected = client->was_connected || err == DSMR_OK;
    if (err == DSMR_OK) {
        err = send_all(client, exchange, request, request_len);
    }
    if (err == DSMR_OK && body_len > 0) {
        err = send_all(client, exchange, body, body_len);
    }
    /* A server that refuses early may close while we still send: its answer is there to read. */
    if (err == DSMR_OK || err == DSMR_ERR_UNAVAILABLE) {
        enum dsmr_err read_err = client->fd >= 0 ? read_head(client, exchange) : err;
        err = read_err;
    }
    if (err == DSMR_OK) {
        err = read_body(client, exchange);
    }
    return err;
}

enum dsmr_err dsmr_http_client_request(struct dsmr_http_client *client, struct dsmr_http_reply *out,
                                       const char *method, const char *path, const char *body,
                                       size_t body_len)
{
    char request[1024];
    struct exchange exchange;
    bool is_v6 = strchr(client->host, ':') != NULL;
    int len = snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nAccept: application/json\r\n", method,
                       path, is_v6 ? "[" : "", client->host, is_v6 ? "]" : "", client->port);
    if (body != NULL && len > 0 && (size_t)len < sizeof(request)) {
        len += snprintf(request + len, sizeof(request) - (size_t)len,
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n", body_len);
    }
    if (len > 0 && (size_t)len < sizeof(request)) {
        len += snprintf(request + len, sizeof(request) - (size_t)len, "\r\n");
    }
    if (len <= 0 || (size_t)len >= sizeof(request)) {
        return DSMR_ERR_TOO_LARGE;
    }
    exchange.deadline_ms = mono_ms() + client->timeout_ms;
    bool was_kept = client->fd >= 0;
    client->was_connected = false;
    enum dsmr_err err = attempt(client, &exchange, request, (size_t)len, body, body_len);
    if (err == DSMR_ERR_UNAVAILABLE && was_kept && !exchange.has_begun && body == NULL) {
        hang_up(client);
        err = attempt(client, &exchange, request, (size_t)len, body, body_len);
    }
    if (err != DSMR_OK || !exchange.is_kept) {
        hang_up(client);
    }
    if (err == DSMR_OK) {
        *out = (struct dsmr_http_reply){
            .status = exchange.status, .body = client->body, .body_len = exchange.body_len};
    }
    return err;
}
