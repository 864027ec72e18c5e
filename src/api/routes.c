#include "api/routes.h"

#include <string.h>

#include "api/route_call.h"

#define PARAM_BYTES_MAX 160u

static const struct route {
    struct dsmr_routes_entry entry;
    void (*run)(const struct dsmr_route_call *call);
} routes_table[] = {
    {{"POST", "/v1/tx", "mode timeout_ms"}, dsmr_route_tx_post},
    {{"GET", "/v1/tx/{id}", ""}, dsmr_route_tx_get},
    {{"GET", "/v1/block/{id}", ""}, dsmr_route_chain_block},
    {{"GET", "/v1/block/{id}/txs", "cursor limit"}, dsmr_route_chain_block_txs},
    {{"GET", "/v1/block/{id}/results", "cursor limit"}, dsmr_route_chain_block_results},
    {{"GET", "/v1/chunk/{id}", "cursor limit"}, dsmr_route_chain_chunk},
    {{"GET", "/v1/accounts/{address}", ""}, dsmr_route_node_account},
    {{"GET", "/v1/validators", ""}, dsmr_route_chain_validators},
    {{"GET", "/v1/status", ""}, dsmr_route_node_status},
    {{"GET", "/v1/evidence", "cursor limit"}, dsmr_route_chain_evidence},
    {{"GET", "/metrics", ""}, dsmr_route_node_metrics},
    {{"GET", "/health", ""}, dsmr_route_node_health},
    {{"GET", "/health/live", ""}, dsmr_route_node_live},
    {{"GET", "/health/ready", ""}, dsmr_route_node_ready},
};
#define ROUTES_COUNT (sizeof(routes_table) / sizeof(routes_table[0]))

size_t dsmr_routes_list(const struct dsmr_routes_entry **entries)
{
    static struct dsmr_routes_entry list[ROUTES_COUNT];
    for (size_t i = 0; i < ROUTES_COUNT; i++) {
        list[i] = routes_table[i].entry;
    }
    *entries = list;
    return ROUTES_COUNT;
}

/* True if path fits pattern; param gets what stands for {...}, "" if the pattern has none. */
static bool matches(const char *pattern, const char *path, char param[PARAM_BYTES_MAX])
{
    param[0] = '\0';
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (*pattern++ != *path++) {
                return false;
            }
            continue;
        }
        size_t len = strcspn(path, "/");
        if (len == 0 || len >= PARAM_BYTES_MAX) {
            return false;
        }
        memcpy(param, path, len);
        param[len] = '\0';
        path += len;
        pattern += strcspn(pattern, "}") + 1;
    }
    return *path == '\0';
}

static void handle(void *self, const struct dsmr_http_request *request, dsmr_http_answer_fn answer,
                   void *ctx)
{
    const struct dsmr_routes *routes = self;
    char param[PARAM_BYTES_MAX] = "";
    const char *allow = NULL;
    const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
    const struct dsmr_route_call call = {.config = &routes->config,
                                         .request = request,
                                         .param = param,
                                         .answer = answer,
                                         .ctx = ctx};
    dsmr_metrics_add(routes->config.metrics, DSMR_METRIC_HTTP_REQUESTS, 1);
    if (request->body_len > DSMR_ROUTES_BODY_BYTES_MAX) {
        dsmr_route_call_err(&call, DSMR_ERR_TOO_LARGE);
        return;
    }
    for (size_t i = 0; i < ROUTES_COUNT; i++) {
        const struct route *route = &routes_table[i];
        if (!matches(route->entry.pattern, request->path, param)) {
            continue;
        }
        if (strcmp(route->entry.method, method) == 0) {
            if (dsmr_route_call_check_query(&call, route->entry.query)) {
                route->run(&call);
            }
            return;
        }
        allow = strcmp(route->entry.method, "GET") == 0 ? "GET, HEAD" : route->entry.method;
    }
    if (allow != NULL) {
        dsmr_route_call_no_method(&call, allow);
    } else {
        dsmr_route_call_no_path(&call);
    }
}

void dsmr_routes_init(struct dsmr_routes *routes, const struct dsmr_routes_config *config)
{
    routes->config = *config;
}

struct dsmr_http dsmr_routes_http(struct dsmr_routes *routes)
{
    static const struct dsmr_http_ops ops = {.handle = handle};
    return (struct dsmr_http){.self = routes, .ops = &ops};
}
