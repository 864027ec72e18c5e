/* routes.h - which path answers what; knows no server.
 *
 * Why:        one table of paths, which docs/openapi.yaml is tested against, behind any HTTP door
 *             (ports/http.h).
 * Limits:     body DSMR_ROUTES_BODY_BYTES_MAX, JSON depth DSMR_ROUTES_DEPTH_MAX, lists
 *             DSMR_ROUTES_PAGE_MAX entries a page, pages of results as wire/results_page.h.
 * Threads:    handle() on any thread; it reads through ports/query.h and never waits. A POST that
 *             waits is answered by waits.h on the stream thread. */
#ifndef DSMR_API_ROUTES_H
#define DSMR_API_ROUTES_H

#include "api/tracker.h"
#include "api/waits.h"
#include "base/metrics.h"
#include "ports/clock.h"
#include "ports/http.h"
#include "ports/query.h"
#include "ports/submit.h"

#define DSMR_ROUTES_BODY_BYTES_MAX 65536u
#define DSMR_ROUTES_DEPTH_MAX 8u
#define DSMR_ROUTES_PAGE_DEFAULT 100u
#define DSMR_ROUTES_PAGE_MAX 1000u
#define DSMR_ROUTES_CLOCK_OFFSET_MS_MAX 1000 /* beyond it the node is not healthy */

struct dsmr_routes_config {
    struct dsmr_query query;
    struct dsmr_submit submit;
    struct dsmr_waits *waits;
    struct dsmr_tracker *tracker;
    struct dsmr_clock clock;
    struct dsmr_metrics *metrics;
    void (*tx_id)(struct dsmr_id *out, const void *bytes, size_t len);
    uint32_t wait_ms_max;
    const char *app_name;
    const char *engine_name;
    const char *version;
};

struct dsmr_routes { /* plain value: nothing to close */
    struct dsmr_routes_config config;
};

void dsmr_routes_init(struct dsmr_routes *routes, const struct dsmr_routes_config *config);
struct dsmr_http dsmr_routes_http(struct dsmr_routes *routes);

/* The table, for the test that compares it with docs/openapi.yaml. */
struct dsmr_routes_entry {
    const char *method;
    const char *pattern; /* "/v1/tx/{id}" */
    const char *query;   /* names of its query parameters, a space between two; "": none */
};
size_t dsmr_routes_list(const struct dsmr_routes_entry **entries);

#endif
