#include <ctype.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/route_call.h"

#define HEX(field) dsmr_route_call_hex((field).bytes, sizeof((field).bytes))
#define NUMBER(value) dsmr_route_call_number(value)
#define METRICS_BYTES_MAX 65536u
#define APP_TEXT_BYTES_MAX 65536u
#define ADDRESS_CHARS_MAX 128u

static void get_status(const struct dsmr_route_call *call, struct dsmr_query_status *out)
{
    memset(out, 0, sizeof(*out));
    call->config->query.ops->status(call->config->query.self, out);
}

void dsmr_route_node_status(const struct dsmr_route_call *call)
{
    struct dsmr_query_status s;
    get_status(call, &s);
    json_t *body = json_pack(
        "{s:s,s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "version", call->config->version,
        "app", call->config->app_name, "engine", call->config->engine_name, "network_id",
        (json_int_t)s.domain.network_id, "chain_id", HEX(s.domain.chain_id), "node_id",
        HEX(s.node_id), "height", NUMBER(s.height), "block_id", HEX(s.block_id), "chain_time_ms",
        NUMBER(s.chain_time_ms), "epoch", dsmr_route_call_epoch(s.epoch), "executed_height",
        NUMBER(s.executed_height), "state_root", HEX(s.state_root), "view", NUMBER(s.view));
    if (body != NULL) {
        json_t *more = json_pack(
            "{s:I,s:I,s:o,s:o,s:o,s:I,s:b,s:b,s:b,s:b,s:b,s:o}", "peers_connected",
            (json_int_t)s.peers_connected, "validators", (json_int_t)s.validators, "mempool_txs",
            NUMBER(s.mempool_txs), "mempool_bytes", NUMBER(s.mempool_bytes), "disk_free_bytes",
            NUMBER(s.disk_free_bytes), "clock_offset_ms", (json_int_t)s.clock_offset_ms,
            "is_validator", s.is_validator, "is_behind", s.is_behind, "is_ready", s.is_ready,
            "is_disk_low", s.is_disk_low, "is_halted", s.is_halted, "halt_reason",
            s.is_halted ? json_string(dsmr_err_name(s.halt_reason)) : json_null());
        json_object_update(body, more);
        json_decref(more);
    }
    dsmr_route_call_json(call, 200, body);
}

void dsmr_route_node_account(const struct dsmr_route_call *call)
{
    char path[16 + ADDRESS_CHARS_MAX];
    size_t len = strlen(call->param);
    const struct dsmr_query *query = &call->config->query;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)call->param[i]) || len > ADDRESS_CHARS_MAX) {
            dsmr_route_call_bad(call, "an address has letters and digits only");
            return;
        }
    }
    struct dsmr_app_text text = {.bytes = malloc(APP_TEXT_BYTES_MAX),
                                 .capacity = APP_TEXT_BYTES_MAX};
    if (text.bytes == NULL) {
        dsmr_route_call_err(call, DSMR_ERR_NO_MEMORY);
        return;
    }
    (void)snprintf(path, sizeof(path), "accounts/%s", call->param);
    enum dsmr_err err = query->ops->app(query->self, &text, path);
    if (err == DSMR_OK) {
        dsmr_route_call_text(call, 200, "application/json", text.bytes, text.len);
    } else if (err == DSMR_ERR_MALFORMED) {
        dsmr_route_call_bad(call, "this is not an address");
    } else {
        dsmr_route_call_absent(call, err, "the application of this chain has no accounts");
    }
    free(text.bytes);
}

/* ---- metrics ---- */

struct page {
    char *bytes;
    size_t len;
};

static void __attribute__((format(printf, 2, 3))) add(struct page *page, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(page->bytes + page->len, METRICS_BYTES_MAX - page->len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < METRICS_BYTES_MAX - page->len) {
        page->len += (size_t)n;
    }
}

/* Prometheus wants cumulative buckets and a count that is the last of them. */
static void add_histogram(struct page *page, const struct dsmr_metrics *metrics,
                          enum dsmr_metric_histogram id, const char *name, const char *help)
{
    uint64_t count = 0;
    add(page, "# HELP dsmr_%s %s\n# TYPE dsmr_%s histogram\n", name, help, name);
    for (unsigned i = 0; i < DSMR_METRIC_BUCKETS; i++) {
        uint64_t bound_ms = dsmr_metrics_bucket_ms(i);
        count += atomic_load_explicit(&metrics->histograms[id].counts[i], memory_order_relaxed);
        if (bound_ms == UINT64_MAX) {
            add(page, "dsmr_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
        } else {
            add(page, "dsmr_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, (double)bound_ms / 1000.0,
                count);
        }
    }
    uint64_t sum_ms = atomic_load_explicit(&metrics->histograms[id].sum_ms, memory_order_relaxed);
    add(page, "dsmr_%s_sum %" PRIu64 ".%03u\ndsmr_%s_count %" PRIu64 "\n", name, sum_ms / 1000u,
        (unsigned)(sum_ms % 1000u), name, count);
}

void dsmr_route_node_metrics(const struct dsmr_route_call *call)
{
    static const struct {
        const char *type, *name, *help;
    } table[] = {
#define ROUTE_NODE_X(id, type, name, help) {#type, name, help},
        DSMR_METRIC_MAP(ROUTE_NODE_X)
#undef ROUTE_NODE_X
    };
    static const enum dsmr_err errors[] = {
#define ROUTE_NODE_X(name, number, cls, text) DSMR_ERR_##name,
        DSMR_ERR_MAP(ROUTE_NODE_X)
#undef ROUTE_NODE_X
    };
    const struct dsmr_metrics *metrics = call->config->query.ops->metrics(call->config->query.self);
    struct page page = {.bytes = malloc(METRICS_BYTES_MAX)};
    if (page.bytes == NULL) {
        dsmr_route_call_err(call, DSMR_ERR_NO_MEMORY);
        return;
    }
    for (size_t i = 0; i < DSMR_METRIC_COUNT; i++) {
        add(&page, "# HELP dsmr_%s %s\n# TYPE dsmr_%s %s\ndsmr_%s %" PRIu64 "\n", table[i].name,
            table[i].help, table[i].name, table[i].type, table[i].name,
            dsmr_metrics_get(metrics, (enum dsmr_metric)i));
    }
#define ROUTE_NODE_X(id, name, help)                                                               \
    add_histogram(&page, metrics, DSMR_METRIC_HISTOGRAM_##id, name, help);
    DSMR_METRIC_HISTOGRAM_MAP(ROUTE_NODE_X)
#undef ROUTE_NODE_X
    add(&page, "# HELP dsmr_errors_total errors by name\n# TYPE dsmr_errors_total counter\n");
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i] != DSMR_OK) {
            add(&page, "dsmr_errors_total{name=\"%s\"} %" PRIu64 "\n", dsmr_err_name(errors[i]),
                (uint64_t)atomic_load_explicit(&metrics->errors[errors[i]], memory_order_relaxed));
        }
    }
    dsmr_route_call_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", page.bytes,
                         page.len);
    free(page.bytes);
}

/* ---- health ---- */

static void reason(json_t *reasons, bool is_so, const char *code, const char *message)
{
    if (is_so) {
        json_array_append_new(reasons, json_pack("{s:s,s:s}", "code", code, "message", message));
    }
}

static json_t *live_reasons(const struct dsmr_query_status *s)
{
    json_t *reasons = json_array();
    reason(reasons, s->is_halted, "halted",
           s->halt_text != NULL ? s->halt_text : dsmr_err_text(s->halt_reason));
    return reasons;
}

static json_t *ready_reasons(const struct dsmr_query_status *s)
{
    json_t *reasons = live_reasons(s);
    reason(reasons, s->is_behind, "behind", "this node is behind and neither signs nor builds");
    reason(reasons, s->is_disk_low, "disk_low", "the disk is nearly full");
    reason(reasons, s->is_final_refused, "final_block_refused",
           "consensus has made a block final that this node cannot take yet, again and again");
    reason(reasons, s->needs_state_sync, "needs_state_sync",
           "chunks that this node has to execute are kept by nobody any more: it must begin from a "
           "newer state");
    reason(reasons, s->is_unserved, "not_served",
           "this node is in no validator set that it knows, and chunks are served to validators "
           "only: it executes nothing until it is one");
    reason(reasons, s->is_under_floor, "under_floor",
           "this node signs no chunk yet: its journal was made while the chain ran already, and "
           "slots in which its key may have signed before are not over");
    reason(reasons, s->is_backlog_full, "backlog_full",
           "too much is accepted and not executed: this node does not sign");
    reason(reasons, !s->is_started, "window_incomplete",
           "recovery is not over: the replay window is incomplete");
    reason(reasons, s->is_started && !s->has_peers, "few_peers",
           "not more than two thirds of the validators are connected, with this node");
    reason(reasons, s->votes_from == UINT64_MAX, "votes_unknown",
           "this validator has no journal of its votes: it votes when a quorum of the others has "
           "told in which views it may have voted, or that the network is new");
    reason(reasons, s->votes_from != 0 && s->votes_from != UINT64_MAX, "abstaining",
           "the journal of this validator's votes was lost: it votes again when the views are over "
           "in which it may have voted");
    reason(reasons,
           s->clock_offset_ms > DSMR_ROUTES_CLOCK_OFFSET_MS_MAX ||
               s->clock_offset_ms < -DSMR_ROUTES_CLOCK_OFFSET_MS_MAX,
           "clock_skew", "this clock differs from the other validators' by more than a second");
    return reasons;
}

static void answer_health(const struct dsmr_route_call *call, json_t *reasons)
{
    bool is_good = json_array_size(reasons) == 0;
    dsmr_route_call_json(
        call, is_good ? 200 : 503,
        json_pack("{s:s,s:o}", "status", is_good ? "ok" : "unhealthy", "reasons", reasons));
}

void dsmr_route_node_health(const struct dsmr_route_call *call)
{
    struct dsmr_query_status s;
    get_status(call, &s);
    answer_health(call, ready_reasons(&s));
}

void dsmr_route_node_live(const struct dsmr_route_call *call)
{
    struct dsmr_query_status s;
    get_status(call, &s);
    answer_health(call, live_reasons(&s));
}

void dsmr_route_node_ready(const struct dsmr_route_call *call)
{
    struct dsmr_query_status s;
    get_status(call, &s);
    answer_health(call, ready_reasons(&s));
}
