#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "app/cli_load.h"
#include "base/bytes.h"

struct text {
    char *bytes;
    size_t len, capacity;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
    va_list args;
    size_t room = text->capacity > text->len ? text->capacity - text->len : 0;
    va_start(args, format);
    int len = vsnprintf(room > 0 ? text->bytes + text->len : NULL, room, format, args);
    va_end(args);
    text->len += len > 0 ? (size_t)len : 0;
}

static void member(struct text *text, const char *name)
{
    bool is_first =
        text->len == 0 || text->len >= text->capacity || text->bytes[text->len - 1] == '{';
    add(text, "%s\"%s\":", is_first ? "" : ",", name);
}

static void real(struct text *text, const char *name, double value, int decimals)
{
    member(text, name);
    if (isnan(value)) {
        add(text, "null");
    } else {
        add(text, "%.*f", decimals, value);
    }
}

static void count(struct text *text, const char *name, bool is_known, uint64_t value)
{
    member(text, name);
    if (is_known) {
        add(text, "%" PRIu64, value);
    } else {
        add(text, "null");
    }
}

static void flag(struct text *text, const char *name, bool value)
{
    member(text, name);
    add(text, value ? "true" : "false");
}

/* value needs no escapes. */
static void word(struct text *text, const char *name, bool is_known, const char *value)
{
    const char *quote = is_known ? "\"" : "";
    member(text, name);
    add(text, "%s%s%s", quote, is_known ? value : "null", quote);
}

static void latency(struct text *text, const char *name, const struct dsmr_cli_load_latency *l)
{
    bool has_any = l->count > 0;
    member(text, name);
    add(text, "{");
    real(text, "p50", has_any ? l->p50_ms : NAN, 2);
    real(text, "p95", has_any ? l->p95_ms : NAN, 2);
    real(text, "p99", has_any ? l->p99_ms : NAN, 2);
    real(text, "max", has_any ? l->max_ms : NAN, 2);
    add(text, "}");
}

/* Of each node, in the order of the nodes. */
static void cpu_of_nodes(struct text *text, const struct dsmr_cli_load_result *r)
{
    member(text, "node_cpu_us_per_tx");
    add(text, "[");
    for (uint32_t i = 0; i < r->nodes_count; i++) {
        add(text, "%s", i == 0 ? "" : ",");
        if (isnan(r->node_cpu_us_per_tx[i])) {
            add(text, "null");
        } else {
            add(text, "%.2f", r->node_cpu_us_per_tx[i]);
        }
    }
    add(text, "]");
}

static void moments(struct text *text, const char *name,
                    const struct dsmr_cli_load_latency *certified,
                    const struct dsmr_cli_load_latency *executed)
{
    member(text, name);
    add(text, "{");
    latency(text, "certified", certified);
    latency(text, "executed", executed);
    add(text, "}");
}

/* null: the load was an even one. */
static void bursts(struct text *text, const struct dsmr_cli_load_result *r)
{
    member(text, "bursts_ms");
    if (!r->has_bursts) {
        add(text, "null");
        return;
    }
    add(text, "{");
    moments(text, "idle", &r->idle.certified, &r->idle.executed);
    moments(text, "burst_first", &r->burst_first.certified, &r->burst_first.executed);
    moments(text, "burst", &r->burst.certified, &r->burst.executed);
    add(text, "}");
}

static void stage(struct text *text, const char *name, const struct dsmr_cli_load_stage *s)
{
    bool has_any = s->count > 0;
    member(text, name);
    add(text, "{");
    real(text, "p50", has_any ? s->p50_ms : NAN, 1);
    real(text, "p99", has_any ? s->p99_ms : NAN, 1);
    real(text, "mean", has_any ? s->mean_ms : NAN, 1);
    add(text, "}");
}

static void stages(struct text *text, const struct dsmr_cli_load_result *r)
{
    member(text, "stages_ms");
    add(text, "{");
    for (unsigned i = 0; i < DSMR_CLI_LOAD_STAGES; i++) {
        stage(text, dsmr_cli_load_stages_name((enum dsmr_cli_load_stage_id)i), &r->stages[i]);
    }
    add(text, "}");
    count(text, "backlog_blocks_max", r->sent > 0, r->backlog_blocks_max);
}

size_t dsmr_cli_load_summary_json(char *out, size_t capacity, const struct dsmr_cli_load_result *r)
{
    struct text text = {.bytes = out, .capacity = capacity};
    char root[65];
    bool has_twice = r->is_verified || r->notices_twice > 0;
    dsmr_hex_encode(root, r->state_root.bytes, sizeof(r->state_root.bytes));
    word(&text, "engine", r->engine[0] != '\0', r->engine);
    count(&text, "validators", r->validators > 0, r->validators);
    real(&text, "duration_s", r->duration_s, 3);
    real(&text, "offered_tx_per_s", r->offered_tx_per_s, 1);
    real(&text, "certified_tx_per_s", r->certified_tx_per_s, 1);
    real(&text, "executed_tx_per_s", r->executed_tx_per_s, 1);
    real(&text, "payload_mb_per_s", r->payload_mb_per_s, 3);
    moments(&text, "latency_ms", &r->certified, &r->executed);
    bursts(&text, r);
    stages(&text, r);
    real(&text, "cpu_us_per_tx", r->cpu_us_per_tx, 2);
    cpu_of_nodes(&text, r);
    real(&text, "disk_bytes_per_tx", r->disk_bytes_per_tx, 1);
    real(&text, "network_bytes_per_tx", r->network_bytes_per_tx, 1);
    real(&text, "rss_max_mb", r->rss_max_mb, 1);
    count(&text, "height", r->nodes_reachable > 0, r->height);
    word(&text, "state_root", r->has_state_root, root);
    flag(&text, "state_roots_equal", r->state_roots_equal);
    count(&text, "executed_txs", true, r->executed_txs);
    count(&text, "sent_txs", true, r->sent);
    count(&text, "admitted_txs", true, r->admitted);
    count(&text, "refused_txs", true, r->refused);
    count(&text, "certified_txs", true, r->certified_txs);
    count(&text, "failed_txs", true, r->failed_txs);
    count(&text, "expired_txs", true, r->expired_txs);
    count(&text, "lost_txs", true, r->lost_txs);
    flag(&text, "drained", r->is_drained);
    flag(&text, "verified", r->is_verified);
    count(&text, "missing_txs", r->is_verified, r->missing_txs);
    count(&text, "executed_twice_txs", has_twice, r->notices_twice);
    count(&text, "nodes_reachable", true, r->nodes_reachable);
    return text.len < capacity ? text.len : 0;
}
