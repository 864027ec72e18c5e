/* api.h - the node's doors for clients: HTTP and the submit stream, in one object.
 *
 * Why:     app wires one thing: it takes the query and submit ports and gives the feed port.
 * Order:   new, feed -> driver, start; stop, close the driver, free. After stop nothing calls the
 *          ports any more; the feed still takes (and frees) what the driver gives back.
 * Threads: two of its own, http (libwebsockets) and stream (epoll; also tracks transactions);
 *          the functions here from the owner, feed.publish from the logic thread. */
#ifndef DSMR_API_API_H
#define DSMR_API_API_H

#include "base/metrics.h"
#include "dsmr/types.h"
#include "ports/clock.h"
#include "ports/http.h"
#include "ports/log.h"
#include "ports/query.h"
#include "ports/submit.h"

#define DSMR_API_HOSTS_MAX 16u

struct dsmr_api_config {
    const char *http_address;   /* "127.0.0.1"; NULL: no HTTP */
    uint16_t http_port;         /* 0: any free one */
    const char *submit_address; /* NULL: no submit stream */
    uint16_t submit_port;
    bool allow_remote;        /* without it only loopback addresses are bound */
    const char *const *hosts; /* further names that the Host header may carry, without port */
    uint32_t hosts_count;
    uint32_t http_connections_max;   /* 0: 512 */
    uint32_t http_waits_max;         /* 0: 4096 requests that wait for certified or executed */
    uint32_t http_wait_ms;           /* 0: 30 000; the most a request may wait */
    uint32_t stream_connections_max; /* 0: 64 */
    uint32_t stream_in_flight_max;   /* 0: 262 144 transactions, of all connections */
    struct dsmr_domain domain;       /* what a stream's hello must name */
    const char *app_name;            /* for /v1/status; borrowed for ever */
    const char *engine_name;         /* likewise */
    const char *version;             /* likewise */
    /* SHA-256 of the transaction: the api layer has no crypto. */
    void (*tx_id)(struct dsmr_id *out, const void *bytes, size_t len);
    struct dsmr_clock clock;
    struct dsmr_log log;
    struct dsmr_metrics
        *metrics; /* borrowed for ever: requests, transactions, errors are counted */
};

struct dsmr_api; /* opaque */

void dsmr_api_config_default(struct dsmr_api_config *config);
/* Copies config's strings but app_name, engine_name and version. NULL if out of memory. Caller
 * frees. */
struct dsmr_api *dsmr_api_new(const struct dsmr_api_config *config);
/* Valid until free. */
struct dsmr_feed dsmr_api_feed(struct dsmr_api *api);
/* Binds and starts the threads. *reason: a sentence, valid until free. UNAVAILABLE (port in use),
 * CONFIG (not an address, or not loopback without allow_remote), NO_MEMORY. On error nothing
 * runs. */
DSMR_MUST_USE enum dsmr_err dsmr_api_start(struct dsmr_api *api, const char **reason,
                                           const struct dsmr_query *query,
                                           const struct dsmr_submit *submit);
uint16_t dsmr_api_http_port(const struct dsmr_api *api); /* 0: not started or off */
uint16_t dsmr_api_submit_port(const struct dsmr_api *api);
/* The routes without the server, for another door; valid between start and stop. */
struct dsmr_http dsmr_api_http(struct dsmr_api *api);
/* Closes the ports, answers who waits with "closed", joins the threads. Idempotent. */
void dsmr_api_stop(struct dsmr_api *api);
void dsmr_api_free(struct dsmr_api *api); /* NULL is fine */

#endif
