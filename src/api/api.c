#define _POSIX_C_SOURCE 200809L /* strdup */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/http_server.h"
#include "api/routes.h"
#include "api/submit_stream.h"
#include "api/waits.h"
#include "base/assert.h"
#include "wire/submit_frame.h"

struct dsmr_api {
    struct dsmr_api_config config;
    char *http_address;
    char *submit_address;
    char *hosts[DSMR_API_HOSTS_MAX];
    struct dsmr_query query;
    struct dsmr_waits *waits;
    struct dsmr_submit_stream *stream;
    struct dsmr_routes routes;
    struct dsmr_http_server *http;
    char reason[200]; /* why it did not start */
    bool is_running;
};

void dsmr_api_config_default(struct dsmr_api_config *config)
{
    memset(config, 0, sizeof(*config));
    config->http_address = "127.0.0.1";
    config->submit_address = "127.0.0.1";
    config->http_connections_max = 512;
    config->http_waits_max = 4096;
    config->http_wait_ms = 30000;
    config->stream_connections_max = 64;
    config->stream_in_flight_max = 262144;
    config->app_name = "";
    config->engine_name = "";
    config->version = "";
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static void fill_zeros(struct dsmr_api_config *config)
{
    struct dsmr_api_config defaults;
    dsmr_api_config_default(&defaults);
    config->http_connections_max =
        or_default(config->http_connections_max, defaults.http_connections_max);
    config->http_waits_max = or_default(config->http_waits_max, defaults.http_waits_max);
    config->http_wait_ms = or_default(config->http_wait_ms, defaults.http_wait_ms);
    config->stream_connections_max =
        or_default(config->stream_connections_max, defaults.stream_connections_max);
    config->stream_in_flight_max =
        or_default(config->stream_in_flight_max, defaults.stream_in_flight_max);
    if (config->stream_in_flight_max < DSMR_SUBMIT_FRAME_TXS_MAX) {
        config->stream_in_flight_max = DSMR_SUBMIT_FRAME_TXS_MAX;
    }
}

/* Into *out, which config then points to; NULL stays NULL. */
static bool copy_text(char **out, const char **text)
{
    if (*text == NULL) {
        return true;
    }
    *out = strdup(*text);
    *text = *out;
    return *out != NULL;
}

static bool copy_strings(struct dsmr_api *api)
{
    bool ok = copy_text(&api->http_address, &api->config.http_address) &&
              copy_text(&api->submit_address, &api->config.submit_address);
    for (uint32_t i = 0; i < api->config.hosts_count && ok; i++) {
        api->hosts[i] = strdup(api->config.hosts[i]);
        ok = api->hosts[i] != NULL;
    }
    api->config.hosts = (const char *const *)api->hosts;
    return ok;
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        seed ^= (uint64_t)(uintptr_t)&seed; /* at least differs from run to run */
    }
    return seed;
}

struct dsmr_api *dsmr_api_new(const struct dsmr_api_config *config)
{
    DSMR_ASSERT(config->hosts_count <= DSMR_API_HOSTS_MAX);
    struct dsmr_api *api = calloc(1, sizeof(*api));
    if (api == NULL) {
        return NULL;
    }
    api->config = *config;
    fill_zeros(&api->config);
    if (!copy_strings(api)) {
        dsmr_api_free(api);
        return NULL;
    }
    api->waits = dsmr_waits_new(api->config.http_waits_max, random_seed());
    if (api->waits == NULL) {
        dsmr_api_free(api);
        return NULL;
    }
    const struct dsmr_submit_stream_config stream = {
        .address = api->config.submit_address,
        .port = api->config.submit_port,
        .allow_remote = api->config.allow_remote,
        .connections_max = api->config.stream_connections_max,
        .in_flight_max = api->config.stream_in_flight_max,
        .seed = random_seed(),
        .domain = api->config.domain,
        .waits = api->waits,
        .clock = api->config.clock,
        .log = api->config.log,
        .metrics = api->config.metrics};
    api->stream = dsmr_submit_stream_new(&stream);
    if (api->stream == NULL) {
        dsmr_api_free(api);
        return NULL;
    }
    return api;
}

struct dsmr_feed dsmr_api_feed(struct dsmr_api *api)
{
    return dsmr_tracker_feed(dsmr_submit_stream_tracker(api->stream));
}

static enum dsmr_err start_http(struct dsmr_api *api, const char **reason)
{
    const struct dsmr_http_server_config config = {.address = api->config.http_address,
                                                   .port = api->config.http_port,
                                                   .allow_remote = api->config.allow_remote,
                                                   .hosts = api->config.hosts,
                                                   .hosts_count = api->config.hosts_count,
                                                   .connections_max =
                                                       api->config.http_connections_max,
                                                   .body_bytes_max = DSMR_ROUTES_BODY_BYTES_MAX,
                                                   .http = dsmr_routes_http(&api->routes),
                                                   .metrics = api->config.metrics};
    return config.address != NULL ? dsmr_http_server_start(&api->http, reason, &config) : DSMR_OK;
}

/* The reason with the door that it is about in front. */
static const char *explain(struct dsmr_api *api, const char *door, const char *address,
                           uint16_t port, const char *reason)
{
    (void)snprintf(api->reason, sizeof(api->reason), "%s on %.60s port %u: %.80s", door, address,
                   port, reason);
    return api->reason;
}

enum dsmr_err dsmr_api_start(struct dsmr_api *api, const char **reason,
                             const struct dsmr_query *query, const struct dsmr_submit *submit)
{
    DSMR_ASSERT(!api->is_running && api->http == NULL);
    api->query = *query;
    const struct dsmr_routes_config routes = {.query = *query,
                                              .submit = *submit,
                                              .waits = api->waits,
                                              .tracker = dsmr_submit_stream_tracker(api->stream),
                                              .clock = api->config.clock,
                                              .metrics = api->config.metrics,
                                              .tx_id = api->config.tx_id,
                                              .wait_ms_max = api->config.http_wait_ms,
                                              .app_name = api->config.app_name,
                                              .engine_name = api->config.engine_name,
                                              .version = api->config.version};
    dsmr_routes_init(&api->routes, &routes);
    enum dsmr_err err = dsmr_submit_stream_start(api->stream, reason, &api->query, submit);
    if (err != DSMR_OK) {
        *reason = explain(api, "submit stream", api->config.submit_address, api->config.submit_port,
                          *reason);
    } else {
        err = start_http(api, reason);
        if (err != DSMR_OK) {
            dsmr_submit_stream_stop(api->stream);
            *reason =
                explain(api, "HTTP", api->config.http_address, api->config.http_port, *reason);
        }
    }
    api->is_running = err == DSMR_OK;
    return err;
}

uint16_t dsmr_api_http_port(const struct dsmr_api *api)
{
    return api->http != NULL ? dsmr_http_server_port(api->http) : 0;
}

uint16_t dsmr_api_submit_port(const struct dsmr_api *api)
{
    return dsmr_submit_stream_port(api->stream);
}

struct dsmr_http dsmr_api_http(struct dsmr_api *api)
{
    return dsmr_routes_http(&api->routes);
}

void dsmr_api_stop(struct dsmr_api *api)
{
    if (!api->is_running) {
        return;
    }
    api->is_running = false;
    dsmr_waits_close(api->waits); /* who waits is answered while the server still runs */
    if (api->http != NULL) {
        dsmr_http_server_stop(api->http);
    }
    dsmr_submit_stream_stop(api->stream);
}

void dsmr_api_free(struct dsmr_api *api)
{
    if (api == NULL) {
        return;
    }
    dsmr_api_stop(api);
    dsmr_http_server_free(api->http);
    dsmr_submit_stream_free(api->stream);
    dsmr_waits_free(api->waits);
    for (uint32_t i = 0; i < DSMR_API_HOSTS_MAX; i++) {
        free(api->hosts[i]);
    }
    free(api->http_address);
    free(api->submit_address);
    free(api);
}
