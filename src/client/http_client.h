/* http_client.h - a small blocking HTTP/1.1 client for the node's own API.
 *
 * Why:        CLI, load generator and tests ask one node short questions; the connection is kept.
 * Not here:   TLS, redirects, chunked bodies: the node sends Content-Length.
 * Limits:     8 KiB of headers, a body of body_max bytes, one timeout for the whole request.
 * Threads:    one owner. */
#ifndef DSMR_CLIENT_HTTP_CLIENT_H
#define DSMR_CLIENT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmr/err.h"

struct dsmr_http_client {
    char host[256];
    uint16_t port;
    uint32_t timeout_ms; /* for one request, connecting included */
    size_t body_max;
    int fd;             /* -1: not connected */
    bool was_connected; /* in the last request: who then says UNAVAILABLE was hung up on */
    char *body;
    size_t body_capacity;
};

struct dsmr_http_reply { /* borrowed until the next request or close */
    int status;
    const char *body; /* with a zero byte behind it */
    size_t body_len;
};

/* body_max 0: 16 MiB. Does not connect yet. CONFIG if host is too long. */
DSMR_MUST_USE enum dsmr_err dsmr_http_client_init(struct dsmr_http_client *client, const char *host,
                                                  uint16_t port, uint32_t timeout_ms,
                                                  size_t body_max);
void dsmr_http_client_close(
    struct dsmr_http_client *client); /* init'ed ones, any number of times */

/* Sends one request; body NULL: none. UNAVAILABLE (not reachable), TIMEOUT, MALFORMED (no sensible
 * answer), TOO_LARGE, NO_MEMORY. A GET is repeated once if a kept connection turns out closed. */
DSMR_MUST_USE enum dsmr_err dsmr_http_client_request(struct dsmr_http_client *client,
                                                     struct dsmr_http_reply *out,
                                                     const char *method, const char *path,
                                                     const char *body, size_t body_len);
DSMR_MUST_USE static inline enum dsmr_err
dsmr_http_client_get(struct dsmr_http_client *client, struct dsmr_http_reply *out, const char *path)
{
    return dsmr_http_client_request(client, out, "GET", path, NULL, 0);
}

#endif
