/* http_conn.h - a connection of the HTTP server, and what libwebsockets refuses on it by itself.
 *
 * Why:        the library ends a connection whose request it cannot read and tells nobody: there is
 *             no callback, and its answer is HTML or none. A refusal is counted all the same.
 * How:        what does not begin as HTTP, and CONNECT, falls to a raw protocol, which answers as
 *             the routes do. Of the rest the kernel knows how many bytes came since the last
 * request that was answered (TCP_INFO): a connection that ends with some was refused. Limits: bytes
 * that came in one piece with a request that was answered are taken for its own; a single one may
 * be the end of the stream, and counts for none. Threads:    the server's. */
#ifndef DSMR_API_HTTP_CONN_H
#define DSMR_API_HTTP_CONN_H

#include <libwebsockets.h>
#include <stdbool.h>

#include "base/metrics.h"

enum dsmr_http_conn_state {
    DSMR_HTTP_CONN_HEAD,   /* a request's head is to come */
    DSMR_HTTP_CONN_BODY,   /* the head is read, its body is to come */
    DSMR_HTTP_CONN_ANSWER, /* the request is whole, or was refused and counted */
};

/* A connection is there; false if out of memory. It is found by its wsi from now on. */
DSMR_MUST_USE bool dsmr_http_conn_open(struct lws *wsi, struct dsmr_metrics *metrics);
void dsmr_http_conn_set(struct lws *wsi, enum dsmr_http_conn_state state);
/* What has come so far is of the request whose answer is about to be sent. */
void dsmr_http_conn_answered(struct lws *wsi);
/* Its request is answered and another may come. */
void dsmr_http_conn_next(struct lws *wsi);
/* The socket is about to go: what came and was no request is counted. */
void dsmr_http_conn_end(struct lws *wsi);
/* The last word about wsi: true if it was opened; now it is not. */
bool dsmr_http_conn_close(struct lws *wsi);

/* The answer to a request for an upgrade, which nobody gets; what the callback returns. */
int dsmr_http_conn_on_upgrade(struct lws *wsi);
/* The answer to one connection too many, whose socket the caller closes. */
void dsmr_http_conn_on_full(int fd, struct dsmr_metrics *metrics);
/* The callback of the protocol for what is no HTTP. */
int dsmr_http_conn_raw(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t len);

#endif
