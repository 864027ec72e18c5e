#include "app/cli_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bytes.h"

#define PLAIN_MS 2000u
#define JSON_MS 1000u
#define LINE_BYTES 256
#define BAR_CHARS 20u

struct dsmr_cli_view {
    FILE *out;
    char title[128];
    bool is_live;
    bool is_json;
    uint32_t plain_ms;
    uint32_t lines; /* drawn last time: how far to go up */
    bool has_last;
    uint64_t plain_next_ms;
    struct dsmr_cli_load_snapshot last;
};

struct dsmr_cli_view *dsmr_cli_view_begin(const struct dsmr_cli_view_config *config)
{
    struct dsmr_cli_view *view = calloc(1, sizeof(*view));
    if (view == NULL) {
        return NULL;
    }
    const char *term = getenv("TERM");
    bool is_terminal = isatty(fileno(config->out)) && term != NULL && strcmp(term, "dumb") != 0;
    view->out = config->out;
    view->is_live = is_terminal && !config->is_plain && !config->is_json;
    view->is_json = config->is_json;
    view->plain_ms = config->plain_ms != 0 ? config->plain_ms
                     : config->is_json     ? JSON_MS
                                           : PLAIN_MS;
    (void)snprintf(view->title, sizeof(view->title), "%s",
                   config->title != NULL ? config->title : "");
    if (view->is_live) {
        fputs("\033[?25l", view->out); /* the cursor would flicker */
    }
    return view;
}

static unsigned columns(const struct dsmr_cli_view *view)
{
    struct winsize size;
    if (ioctl(fileno(view->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 20) {
        return size.ws_col;
    }
    return 120;
}

/* One line, cut at the terminal's width: a wrapped one would spoil the way back up. */
static void __attribute__((format(printf, 2, 3)))
line(struct dsmr_cli_view *view, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(view->out, "%.*s\033[K\n", (int)columns(view) - 1, text);
    view->lines++;
}

/* 1234567 as "1.23M": five characters at most. */
static const char *shorten(char out[16], double value)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    size_t unit = 0;
    while (value >= 9999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000.0;
        unit++;
    }
    if (unit == 0 && value < 9999.5) {
        (void)snprintf(out, 16, "%.0f", value);
    } else {
        (void)snprintf(out, 16, value < 100.0 ? "%.1f%s" : "%.0f%s", value, units[unit]);
    }
    return out;
}

/* A second's gain of a metric; 0 where it is not known. */
static double rate(const struct dsmr_cli_view *view, const struct dsmr_cli_load_snapshot *now,
                   uint32_t node, enum dsmr_metric metric)
{
    uint64_t after = now->nodes[node].sample.metrics[metric];
    uint64_t before = view->last.nodes[node].sample.metrics[metric];
    uint64_t ms = now->elapsed_ms - view->last.elapsed_ms;
    if (!view->has_last || now->elapsed_ms <= view->last.elapsed_ms || after < before ||
        !view->last.nodes[node].sample.is_reachable) {
        return 0;
    }
    return (double)(after - before) * 1000.0 / (double)ms;
}

static const char *milliseconds(char out[16], uint32_t us)
{
    if (us == 0) {
        return "-";
    }
    (void)snprintf(out, 16, us < 100000 ? "%.1f" : "%.0f", (double)us / 1000.0);
    return out;
}

static void draw_node(struct dsmr_cli_view *view, const struct dsmr_cli_load_snapshot *now,
                      uint32_t i)
{
    char t[11][16];
    const struct dsmr_cli_load_node *node = &now->nodes[i];
    const uint64_t *m = node->sample.metrics;
    if (!node->sample.is_reachable) {
        line(view, " %4u  does not answer", i);
        return;
    }
    line(view, " %4u %8s %8s %8s %8s %8s %8llu %8llu %9s %9s %8s %8s", i,
         shorten(t[0], (double)m[DSMR_METRIC_MEMPOOL_TXS]),
         shorten(t[1], rate(view, now, i, DSMR_METRIC_CHUNKS_BUILT)),
         shorten(t[2], rate(view, now, i, DSMR_METRIC_SHARES_RECEIVED)),
         shorten(t[3], rate(view, now, i, DSMR_METRIC_CERTS_FORMED)),
         shorten(t[4], (double)m[DSMR_METRIC_CERTS_WAITING]),
         (unsigned long long)m[DSMR_METRIC_ACCEPTED_HEIGHT],
         (unsigned long long)m[DSMR_METRIC_EXECUTED_HEIGHT],
         shorten(t[5], rate(view, now, i, DSMR_METRIC_TXS_EXECUTED)),
         shorten(t[6], (double)m[DSMR_METRIC_TXS_EXECUTED]),
         milliseconds(t[7], node->certified_p50_us), milliseconds(t[8], node->executed_p50_us));
}

struct sums {
    uint64_t sent, admitted, refused, certified, executed, failed, expired, lost;
};

static struct sums sum(const struct dsmr_cli_load_snapshot *snapshot)
{
    struct sums s = {0};
    for (uint32_t i = 0; i < snapshot->nodes_count; i++) {
        const struct dsmr_cli_load_node *node = &snapshot->nodes[i];
        s.sent += node->sent;
        s.admitted += node->admitted;
        s.refused += node->refused;
        s.certified += node->certified;
        s.executed += node->executed;
        s.failed += node->failed;
        s.expired += node->expired;
        s.lost += node->lost;
    }
    return s;
}

/* Admitted, and neither executed nor expired nor lost as far as we have heard. */
static uint64_t waiting(const struct sums *s)
{
    uint64_t landed = s->executed + s->expired + s->lost;
    return s->admitted > landed ? s->admitted - landed : 0;
}

/* "   waiting for the last 17", or nothing while the load goes on. */
static const char *stage(char out[64], const struct dsmr_cli_load_snapshot *now,
                         const struct sums *s)
{
    out[0] = '\0';
    if (now->is_checking) {
        (void)snprintf(out, 64, "   comparing the nodes' blocks and roots");
    } else if (now->is_draining) {
        (void)snprintf(out, 64, "   waiting for the last %llu", (unsigned long long)waiting(s));
    }
    return out;
}

static void draw_bar(struct dsmr_cli_view *view, const char *name, uint64_t part, uint64_t whole)
{
    char bar[BAR_CHARS + 1];
    char text[16];
    uint64_t filled = whole > 0 ? part * BAR_CHARS / whole : 0;
    filled = filled < BAR_CHARS ? filled : BAR_CHARS;
    memset(bar, '.', BAR_CHARS);
    memset(bar, '#', filled);
    bar[BAR_CHARS] = '\0';
    line(view, " %-10s %s %8s", name, bar, shorten(text, (double)part));
}

static void draw(struct dsmr_cli_view *view, const struct dsmr_cli_load_snapshot *now)
{
    const struct sums s = sum(now);
    char text[64];
    if (view->lines > 0) {
        fprintf(view->out, "\033[%uA\r", view->lines);
    }
    view->lines = 0;
    line(view, "%s   %.1f s%s", view->title, (double)now->elapsed_ms / 1000.0,
         stage(text, now, &s));
    line(view, " node  mempool chunks/s shares/s  certs/s  waiting accepted executed    exec/s"
               "   exec all cert p50 exec p50");
    for (uint32_t i = 0; i < now->nodes_count; i++) {
        draw_node(view, now, i);
    }
    if (s.sent > 0) {
        draw_bar(view, "sent", s.sent, s.sent);
        draw_bar(view, "admitted", s.admitted, s.sent);
        draw_bar(view, "certified", s.certified, s.sent);
        draw_bar(view, "executed", s.executed, s.sent);
        line(view,
             " refused %llu   failed %llu   expired %llu   lost %llu   (latencies in ms, of the "
             "last "
             "interval)",
             (unsigned long long)s.refused, (unsigned long long)s.failed,
             (unsigned long long)s.expired, (unsigned long long)s.lost);
    }
    fflush(view->out);
}

static void print_plain(struct dsmr_cli_view *view, const struct dsmr_cli_load_snapshot *now)
{
    const struct sums s = sum(now);
    uint64_t lowest = UINT64_MAX;
    double executed = 0;
    uint32_t reachable = 0;
    char text[64];
    for (uint32_t i = 0; i < now->nodes_count; i++) {
        const struct dsmr_cli_sample *sample = &now->nodes[i].sample;
        double own = rate(view, now, i, DSMR_METRIC_TXS_EXECUTED);
        if (!sample->is_reachable) {
            continue;
        }
        reachable++;
        executed = own > executed ? own : executed;
        if (sample->metrics[DSMR_METRIC_EXECUTED_HEIGHT] < lowest) {
            lowest = sample->metrics[DSMR_METRIC_EXECUTED_HEIGHT];
        }
    }
    fprintf(view->out,
            "%6.1f s  %u of %u nodes  height %llu  sent %llu  admitted %llu  certified %llu  "
            "executed %llu (%.0f/s)  refused %llu  expired %llu  lost %llu%s\n",
            (double)now->elapsed_ms / 1000.0, reachable, now->nodes_count,
            (unsigned long long)(lowest == UINT64_MAX ? 0 : lowest), (unsigned long long)s.sent,
            (unsigned long long)s.admitted, (unsigned long long)s.certified,
            (unsigned long long)s.executed, executed, (unsigned long long)s.refused,
            (unsigned long long)s.expired, (unsigned long long)s.lost, stage(text, now, &s));
    fflush(view->out);
}

static void print_json(struct dsmr_cli_view *view, const struct dsmr_cli_load_snapshot *now)
{
    const struct sums s = sum(now);
    fprintf(view->out,
            "{\"event\":\"%s\",\"elapsed_s\":%.1f,\"admitted_txs\":%llu,\"executed_txs\":%llu,"
            "\"expired_txs\":%llu,\"lost_txs\":%llu,\"waiting_txs\":%llu}\n",
            now->is_checking ? "checking" : "draining", (double)now->elapsed_ms / 1000.0,
            (unsigned long long)s.admitted, (unsigned long long)s.executed,
            (unsigned long long)s.expired, (unsigned long long)s.lost,
            (unsigned long long)waiting(&s));
    fflush(view->out);
}

void dsmr_cli_view_update(struct dsmr_cli_view *view, const struct dsmr_cli_load_snapshot *snapshot)
{
    if (view == NULL) {
        return;
    }
    bool is_due = snapshot->elapsed_ms >= view->plain_next_ms || snapshot->is_checking;
    if (view->is_live) {
        draw(view, snapshot);
    } else if (is_due && (snapshot->is_draining || !view->is_json)) {
        (view->is_json ? print_json : print_plain)(view, snapshot);
        view->plain_next_ms = snapshot->elapsed_ms + view->plain_ms;
    } else {
        return; /* rates are over the time between lines */
    }
    view->last = *snapshot;
    view->has_last = true;
}

void dsmr_cli_view_end(struct dsmr_cli_view *view)
{
    if (view != NULL && view->is_live) {
        fputs("\033[?25h", view->out);
        fflush(view->out);
    }
    free(view);
}

static void print_latency(FILE *out, const char *name, const struct dsmr_cli_load_latency *latency)
{
    if (latency->count > 0) {
        fprintf(out, "  %-22s p50 %.1f ms   p95 %.1f ms   p99 %.1f ms   max %.1f ms\n", name,
                latency->p50_ms, latency->p95_ms, latency->p99_ms, latency->max_ms);
    }
}

static void print_bursts(FILE *out, const struct dsmr_cli_load_result *r)
{
    if (r->has_bursts) {
        print_latency(out, "idle, certified", &r->idle.certified);
        print_latency(out, "idle, executed", &r->idle.executed);
        print_latency(out, "first 0.1 s, certified", &r->burst_first.certified);
        print_latency(out, "first 0.1 s, executed", &r->burst_first.executed);
        print_latency(out, "burst, certified", &r->burst.certified);
        print_latency(out, "burst, executed", &r->burst.executed);
    }
}

static void print_stages(FILE *out, const struct dsmr_cli_load_result *r)
{
    static const char *const names[DSMR_CLI_LOAD_STAGES] = {
        [DSMR_CLI_LOAD_STAGE_CERTIFIED] = "admitted to certified",
        [DSMR_CLI_LOAD_STAGE_ACCEPTED] = "certified to accepted",
        [DSMR_CLI_LOAD_STAGE_EXECUTED] = "accepted to executed"};
    for (size_t i = 0; i < DSMR_CLI_LOAD_STAGES; i++) {
        const struct dsmr_cli_load_stage *stage = &r->stages[i];
        if (stage->count > 0) {
            fprintf(out, "  %-22s p50 %.1f ms   p99 %.1f ms   mean %.1f ms\n", names[i],
                    stage->p50_ms, stage->p99_ms, stage->mean_ms);
        }
    }
    fprintf(out, "  %-22s at most %llu blocks accepted and not executed on a node\n", "backlog",
            (unsigned long long)r->backlog_blocks_max);
}

/* "17.3", or "unknown". */
static const char *known(char out[32], double value, int decimals)
{
    (void)snprintf(out, 32, "%.*f", decimals, value);
    return isnan(value) ? "unknown" : out;
}

static void print_rate(FILE *out, const char *name, double tx_per_s, const char *rest)
{
    if (isnan(tx_per_s)) {
        fprintf(out, "  %-22s unknown\n", name);
    } else {
        fprintf(out, "  %-22s %.0f tx/s%s\n", name, tx_per_s, rest);
    }
}

static void print_load(FILE *out, const struct dsmr_cli_load_result *r)
{
    char rest[96];
    char text[3][32];
    (void)snprintf(rest, sizeof(rest), " for %.1f s", r->duration_s);
    print_rate(out, "offered", r->offered_tx_per_s, rest);
    print_rate(out, "certified", r->certified_tx_per_s, "");
    (void)snprintf(rest, sizeof(rest), " on the slowest node (%.2f MB/s of payload)",
                   r->payload_mb_per_s);
    print_rate(out, "executed", r->executed_tx_per_s, rest);
    print_latency(out, "latency to certified", &r->certified);
    print_latency(out, "latency to executed", &r->executed);
    print_bursts(out, r);
    print_stages(out, r);
    fprintf(out,
            "  %-22s %llu sent, %llu admitted, %llu executed (%llu failed), %llu refused, "
            "%llu expired, %llu lost\n",
            "transactions", (unsigned long long)r->sent, (unsigned long long)r->admitted,
            (unsigned long long)r->executed_txs, (unsigned long long)r->failed_txs,
            (unsigned long long)r->refused, (unsigned long long)r->expired_txs,
            (unsigned long long)r->lost_txs);
    fprintf(out, "  %-22s CPU %s us, bytes to disk %s, bytes between nodes %s\n",
            "a transaction costs", known(text[0], r->cpu_us_per_tx, 1),
            known(text[1], r->disk_bytes_per_tx, 0), known(text[2], r->network_bytes_per_tx, 0));
}

void dsmr_cli_view_summary(FILE *out, const struct dsmr_cli_load_result *r)
{
    char root[65];
    dsmr_hex_encode(root, r->state_root.bytes, sizeof(r->state_root.bytes));
    fputc('\n', out);
    if (r->engine[0] != '\0' && r->validators > 0) {
        fprintf(out, "  %-22s %u, engine %s\n", "validators", r->validators, r->engine);
    }
    if (r->sent > 0) {
        print_load(out, r);
    }
    if (isnan(r->rss_max_mb)) {
        fprintf(out, "  %-22s unknown\n", "memory");
    } else {
        fprintf(out, "  %-22s %.0f MB in the largest node\n", "memory", r->rss_max_mb);
    }
    if (r->is_verified) {
        fprintf(out, "  %-22s %llu missing, %llu executed twice\n", "found on every node",
                (unsigned long long)r->missing_txs, (unsigned long long)r->notices_twice);
    }
    if (r->has_state_root) {
        fprintf(out, "  %-22s %s at height %llu on %u nodes: %s\n", "state roots",
                r->state_roots_equal ? "equal" : "NOT EQUAL", (unsigned long long)r->height,
                r->nodes_reachable, root);
    } else {
        fprintf(out, "  %-22s unknown\n", "state roots");
    }
    fflush(out);
}
