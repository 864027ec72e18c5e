/* http_server.h - libwebsockets in front of ports/http.h.
 *
 * Why:        the routes know no server, the server knows no route.
 * How:        one thread. An answer from another thread is queued and the loop is woken.
 * Limits:     connections_max connections (more are refused), 8 KiB of headers, a body of
 *             body_bytes_max, 10 s for the headers, 30 s for a body, 30 s of keep-alive.
 * Threads:    the server's own; the functions here from the owner. */
#ifndef DSMR_API_HTTP_SERVER_H
#define DSMR_API_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "dsmr/err.h"
#include "ports/http.h"

#define DSMR_HTTP_SERVER_HEAD_BYTES_MAX 8192u
#define DSMR_HTTP_SERVER_HEAD_TIMEOUT_S 10u

struct dsmr_http_server_config {
    const char *address; /* numeric; borrowed until free, as hosts */
    uint16_t port;       /* 0: any free one */
    bool allow_remote;
    const char *const *hosts;
    uint32_t hosts_count;
    uint32_t connections_max;
    uint32_t body_bytes_max;
    struct dsmr_http http;
    struct dsmr_metrics *metrics;
};

struct dsmr_http_server; /* opaque */

/* Binds and starts the thread. *reason: static. UNAVAILABLE, CONFIG, NO_MEMORY. Caller frees. */
DSMR_MUST_USE enum dsmr_err dsmr_http_server_start(struct dsmr_http_server **out,
                                                   const char **reason,
                                                   const struct dsmr_http_server_config *config);
uint16_t dsmr_http_server_port(const struct dsmr_http_server *server);
/* Joins the thread and closes all connections. Requests that are not answered yet may still be
 * answered afterwards (and nobody hears it): free only when none is left. */
void dsmr_http_server_stop(struct dsmr_http_server *server); /* idempotent */
void dsmr_http_server_free(struct dsmr_http_server *server); /* NULL is fine */

#endif
