/* http_service.h - the node's HTTP routes behind AvalancheGo's HTTP door.
 *
 * Why:     AvalancheGo listens, and hands requests to /ext/bc/CHAIN/... on as gRPC calls.
 * How:     the routes are those of dsmrd, behind ports/http.h. AvalancheGo wants each path
 *          announced; it takes {patterns}.
 * Limits:  body_bytes_max, calls_max; above them 413 and a failed call.
 * Threads: requests on the server's thread, answers from any. */
#ifndef DSMR_AVALANCHE_HTTP_SERVICE_H
#define DSMR_AVALANCHE_HTTP_SERVICE_H

#include "avalanche/grpc_server.h"
#include "ports/http.h"

struct dsmr_http_service; /* opaque */

struct dsmr_http_service_config {
    struct dsmr_http http; /* stays valid until free */
    size_t body_bytes_max;
    uint32_t calls_max;
};

DSMR_MUST_USE enum dsmr_err dsmr_http_service_start(struct dsmr_http_service **out,
                                                    const struct dsmr_http_service_config *config);
const char *dsmr_http_service_address(const struct dsmr_http_service *service);
void dsmr_http_service_stop(struct dsmr_http_service *service);
void dsmr_http_service_free(struct dsmr_http_service *service); /* all is answered; NULL is fine */

/* Answers CreateHandlers: each of the count patterns ("/v1/tx/{id}") leads to service. */
void dsmr_http_service_answer_handlers(const struct dsmr_http_service *service,
                                       struct dsmr_grpc_call *call, const char *const *patterns,
                                       size_t count);

/* From "/ext/bc/CHAIN/v1/tx?mode=sync" to path "/v1/tx" (percent-decoded) and query "mode=sync"
 * (NULL if none), both in out, which has room for url and two more bytes. False: no such form. */
bool dsmr_http_service_split(char *out, const char **path, const char **query, const char *url);

#endif
