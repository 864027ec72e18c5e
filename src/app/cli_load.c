#include "app/cli_load.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/cli_load_check.h"
#include "app/cli_load_gain.h"
#include "app/cli_load_sender.h"
#include "base/bytes.h"
#include "vm/transfer_tx.h"

#define SCRAPE_MS 1000u
#define PROGRESS_MS 200u
#define ROOTS_WAIT_MS 30000u
#define GRACE_MS 5000u
#define LONELY_MS 500u
#define QUIET_MS 5000u
#define TRANSFER_MEMO_BYTES 16u

/* What all nodes had gained at one moment. */
struct moment {
    bool is_taken;
    uint64_t elapsed_ms;
    bool is_reachable[DSMR_CLI_NODES_MAX];
    struct dsmr_cli_load_gain gains[DSMR_CLI_NODES_MAX];
};

struct monitor {
    const struct dsmr_cli_load_config *config;
    struct dsmr_cli_load_sender *sender; /* NULL: only watching */
    struct dsmr_cli_load_snapshot snapshot;
    struct dsmr_cli_load_gain gains[DSMR_CLI_NODES_MAX];
    struct moment begin, end; /* of the measured part */
    uint64_t from_height;     /* executed before the load, on the slowest node */
    uint64_t rss_max_bytes;
    uint64_t backlog_blocks_max;
};

void dsmr_cli_load_config_default(struct dsmr_cli_load_config *config)
{
    memset(config, 0, sizeof(*config));
    config->kind = DSMR_CLI_LOAD_OPAQUE;
    config->rate = 1000;
    config->tx_bytes = 512;
    config->duration_ms = 30000;
    config->warmup_ms = 3000;
}

static void sleep_ms(uint64_t ms)
{
    const struct timespec time = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000 * 1000000)};
    nanosleep(&time, NULL);
}

bool dsmr_cli_load_is_stopped(const struct dsmr_cli_load_config *config)
{
    return config->stop != NULL && atomic_load(config->stop) != 0;
}

/* ---- before ---- */

static _Thread_local char misfit[192];

/* Whether the chain's application takes what would be sent. One of an embedder's own, which knows
 * neither load, may take random bytes. */
static bool fits(const struct dsmr_cli_load_config *config, const struct dsmr_cli_sample *sample)
{
    static const char *const names[] = {"opaque", "transfers"};
    bool is_transfers = strcmp(sample->app, names[DSMR_CLI_LOAD_TRANSFERS]) == 0;
    if (config->rate == 0 || sample->app[0] == '\0' ||
        is_transfers == (config->kind == DSMR_CLI_LOAD_TRANSFERS)) {
        return true;
    }
    (void)snprintf(misfit, sizeof(misfit),
                   "the application of this chain is `%s`, which takes no load of kind `%s`",
                   sample->app, names[config->kind]);
    return false;
}

/* A node that has no block yet does not say how many validators there are. */
static void learn(struct dsmr_cli_load_result *out, const struct dsmr_cli_sample *sample)
{
    if (sample->has_status) {
        memcpy(out->engine, sample->engine, sizeof(out->engine));
        out->validators = sample->validators > 0 ? sample->validators : out->validators;
    }
}

/* Domain and height of the nodes; they must be of one chain. */
static enum dsmr_err look(struct dsmr_cli_load_result *out, struct monitor *monitor,
                          struct dsmr_domain *domain, const char **reason)
{
    bool has_domain = false;
    monitor->from_height = UINT64_MAX;
    for (uint32_t i = 0; i < monitor->config->nodes_count; i++) {
        struct dsmr_cli_sample *sample = &monitor->snapshot.nodes[i].sample;
        if (dsmr_cli_scrape(sample, &monitor->config->nodes[i], true, 5 * SCRAPE_MS) != DSMR_OK) {
            continue;
        }
        if (has_domain && (sample->domain.network_id != domain->network_id ||
                           !dsmr_id_equal(&sample->domain.chain_id, &domain->chain_id))) {
            *reason = "the nodes are of different chains";
            return DSMR_ERR_CONFIG;
        }
        if (!fits(monitor->config, sample)) {
            *reason = misfit;
            return DSMR_ERR_WRONG_CHAIN;
        }
        *domain = sample->domain;
        has_domain = true;
        learn(out, sample);
        if (sample->executed_height < monitor->from_height) {
            monitor->from_height = sample->executed_height;
        }
    }
    *reason = "no node answers on its HTTP port";
    return has_domain ? DSMR_OK : DSMR_ERR_UNAVAILABLE;
}

static enum dsmr_err check_config(const struct dsmr_cli_load_config *config, const char **reason)
{
    if (config->nodes_count == 0 || config->nodes_count > DSMR_CLI_NODES_MAX) {
        *reason = "a load needs 1 to 64 nodes";
        return DSMR_ERR_CONFIG;
    }
    if (config->duration_ms != 0 && config->warmup_ms >= config->duration_ms) {
        *reason = "the warm-up must be shorter than the load";
        return DSMR_ERR_CONFIG;
    }
    if (config->idle_ms != 0 && config->burst_ms == 0) {
        *reason = "a burst must last a millisecond at least";
        return DSMR_ERR_CONFIG;
    }
    return DSMR_OK;
}

/* ---- during ---- */

static void scrape_all(struct monitor *monitor, bool with_status)
{
    for (uint32_t i = 0; i < monitor->config->nodes_count; i++) {
        struct dsmr_cli_sample *sample = &monitor->snapshot.nodes[i].sample;
        if (dsmr_cli_scrape(sample, &monitor->config->nodes[i], with_status, SCRAPE_MS) !=
            DSMR_OK) {
            sample->is_reachable = false;
        }
        dsmr_cli_load_gain_add(&monitor->gains[i], sample);
        if (sample->metrics[DSMR_METRIC_BACKLOG_BLOCKS] > monitor->backlog_blocks_max) {
            monitor->backlog_blocks_max = sample->metrics[DSMR_METRIC_BACKLOG_BLOCKS];
        }
        if (sample->rss_anon_bytes > monitor->rss_max_bytes) {
            monitor->rss_max_bytes = sample->rss_anon_bytes;
        }
    }
}

static void take(struct monitor *monitor, struct moment *moment)
{
    moment->is_taken = true;
    moment->elapsed_ms = dsmr_cli_load_sender_elapsed_ms(monitor->sender);
    for (uint32_t i = 0; i < monitor->config->nodes_count; i++) {
        moment->is_reachable[i] = monitor->snapshot.nodes[i].sample.is_reachable;
        moment->gains[i] = monitor->gains[i];
    }
}

static void watch_once(struct monitor *monitor, uint64_t elapsed_ms)
{
    enum dsmr_cli_load_phase phase = DSMR_CLI_LOAD_WARMUP;
    if (monitor->sender != NULL) {
        phase = dsmr_cli_load_sender_phase(monitor->sender);
    }
    scrape_all(monitor, false);
    if (monitor->sender != NULL) {
        if (phase >= DSMR_CLI_LOAD_MEASURING && !monitor->begin.is_taken) {
            take(monitor, &monitor->begin);
        } else if (phase >= DSMR_CLI_LOAD_DRAINING && !monitor->end.is_taken) {
            take(monitor, &monitor->end);
        }
        dsmr_cli_load_sender_snapshot(monitor->sender, &monitor->snapshot);
    } else {
        monitor->snapshot.elapsed_ms = elapsed_ms;
        monitor->snapshot.nodes_count = monitor->config->nodes_count;
    }
    if (monitor->config->progress != NULL) {
        monitor->config->progress(monitor->config->ctx, &monitor->snapshot);
    }
}

/* Sleeps in short steps, so that a stop and the end of a phase are noticed soon. */
static void pause_for(struct monitor *monitor, uint64_t ms)
{
    enum dsmr_cli_load_phase phase = DSMR_CLI_LOAD_WARMUP;
    if (monitor->sender != NULL) {
        phase = dsmr_cli_load_sender_phase(monitor->sender);
    }
    for (uint64_t slept = 0; slept < ms; slept += 10) {
        sleep_ms(10);
        if (monitor->sender != NULL ? dsmr_cli_load_sender_phase(monitor->sender) != phase
                                    : dsmr_cli_load_is_stopped(monitor->config)) {
            return;
        }
    }
}

static void watch(struct monitor *monitor)
{
    const struct dsmr_cli_load_config *config = monitor->config;
    uint64_t step_ms = config->progress_ms != 0 ? config->progress_ms : PROGRESS_MS;
    if (monitor->sender == NULL && config->progress == NULL) {
        step_ms = SCRAPE_MS; /* nobody looks: an idle network should be left alone */
    }
    struct timespec begin;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t elapsed_ms =
            (int64_t)(now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000;
        watch_once(monitor, (uint64_t)elapsed_ms);
        if (monitor->sender != NULL) {
            if (dsmr_cli_load_sender_phase(monitor->sender) == DSMR_CLI_LOAD_DONE &&
                monitor->end.is_taken) {
                return;
            }
        } else if (dsmr_cli_load_is_stopped(config) ||
                   (config->duration_ms != 0 && elapsed_ms >= (int64_t)config->duration_ms)) {
            return;
        }
        pause_for(monitor, step_ms);
    }
}

/* ---- after ---- */

static void latency(struct dsmr_cli_load_latency *out, const struct dsmr_histogram *histogram)
{
    out->count = histogram->count;
    out->p50_ms = (double)dsmr_histogram_percentile(histogram, 0.50) / 1000.0;
    out->p95_ms = (double)dsmr_histogram_percentile(histogram, 0.95) / 1000.0;
    out->p99_ms = (double)dsmr_histogram_percentile(histogram, 0.99) / 1000.0;
    out->max_ms = (double)histogram->max / 1000.0;
}

static bool measure_latencies(struct dsmr_cli_load_result *out, const struct monitor *monitor)
{
    const struct {
        struct dsmr_cli_load_latency *certified, *executed;
        unsigned parts;
    } rows[] = {
        {&out->certified, &out->executed, UINT_MAX},
        {&out->idle.certified, &out->idle.executed, 1u << DSMR_CLI_LOAD_PART_IDLE},
        {&out->burst_first.certified, &out->burst_first.executed, 1u << DSMR_CLI_LOAD_PART_FIRST},
        {&out->burst.certified, &out->burst.executed,
         1u << DSMR_CLI_LOAD_PART_FIRST | 1u << DSMR_CLI_LOAD_PART_REST},
    };
    struct dsmr_histogram *histograms = calloc(2, sizeof(*histograms));
    if (histograms == NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        dsmr_cli_load_sender_latency(monitor->sender, &histograms[0], &histograms[1],
                                     rows[i].parts);
        latency(rows[i].certified, &histograms[0]);
        latency(rows[i].executed, &histograms[1]);
    }
    out->has_bursts = monitor->config->idle_ms != 0;
    free(histograms);
    return true;
}

/* Rates and costs between the two moments. A cost is known if that of every node is. */
static void measure(struct dsmr_cli_load_result *out, const struct monitor *monitor)
{
    const struct dsmr_cli_load_config *config = monitor->config;
    uint64_t executed = UINT64_MAX;
    double cpu_us = 0;
    double disk = 0;
    double network = 0;
    double between_s =
        (double)(monitor->end.elapsed_ms - monitor->begin.elapsed_ms) / 1000.0 + 1e-9;
    for (uint32_t i = 0; i < config->nodes_count; i++) {
        const struct dsmr_cli_load_gain *begin = &monitor->begin.gains[i];
        const struct dsmr_cli_load_gain *end = &monitor->end.gains[i];
        if (!monitor->end.is_reachable[i]) {
            cpu_us = disk = network = out->node_cpu_us_per_tx[i] = NAN;
            continue;
        }
        uint64_t own = end->executed_txs - begin->executed_txs;
        executed = own < executed ? own : executed;
        out->node_cpu_us_per_tx[i] = end->has_cpu ? (double)(end->cpu_us - begin->cpu_us) : NAN;
        cpu_us += out->node_cpu_us_per_tx[i];
        disk += (double)(end->disk_bytes - begin->disk_bytes);
        network += (double)(end->net_bytes_sent - begin->net_bytes_sent);
    }
    uint32_t tx_bytes = config->kind == DSMR_CLI_LOAD_OPAQUE
                            ? config->tx_bytes
                            : (uint32_t)dsmr_transfer_tx_bytes(TRANSFER_MEMO_BYTES);
    double txs = executed > 0 && executed != UINT64_MAX ? (double)executed : NAN;
    out->executed_tx_per_s = executed != UINT64_MAX ? (double)executed / between_s : NAN;
    out->payload_mb_per_s = out->executed_tx_per_s * tx_bytes / 1e6;
    out->cpu_us_per_tx = cpu_us / txs;
    out->nodes_count = config->nodes_count;
    for (uint32_t i = 0; i < config->nodes_count; i++) {
        out->node_cpu_us_per_tx[i] /= txs;
    }
    out->disk_bytes_per_tx = disk / txs;
    out->network_bytes_per_tx = network / txs;
}

/* Where the time went between the two moments, over all nodes. */
static void measure_stages(struct dsmr_cli_load_result *out, const struct monitor *monitor)
{
    for (unsigned stage = 0; stage < DSMR_CLI_LOAD_STAGES; stage++) {
        struct dsmr_cli_times times = {0};
        for (uint32_t i = 0; i < monitor->config->nodes_count; i++) {
            dsmr_cli_load_stages_add(&times, (enum dsmr_cli_load_stage_id)stage,
                                     &monitor->begin.gains[i], &monitor->end.gains[i]);
        }
        dsmr_cli_load_stages_of(&out->stages[stage], &times);
    }
    out->backlog_blocks_max = monitor->backlog_blocks_max;
}

static enum dsmr_err summarise(struct dsmr_cli_load_result *out, const struct monitor *monitor)
{
    struct dsmr_cli_load_sender_totals totals;
    if (!measure_latencies(out, monitor)) {
        return DSMR_ERR_NO_MEMORY;
    }
    dsmr_cli_load_sender_totals(monitor->sender, &totals);
    uint64_t load_ms = monitor->end.elapsed_ms;
    if (monitor->config->duration_ms != 0 && load_ms > monitor->config->duration_ms) {
        load_ms = monitor->config->duration_ms;
    }
    uint64_t measured_ms =
        load_ms > monitor->config->warmup_ms ? load_ms - monitor->config->warmup_ms : 0;
    out->duration_s = (double)measured_ms / 1000.0;
    out->offered_tx_per_s = measured_ms > 0 ? (double)totals.measured_sent / out->duration_s : NAN;
    out->certified_tx_per_s =
        measured_ms > 0 ? (double)totals.window_certified / out->duration_s : NAN;
    measure(out, monitor);
    measure_stages(out, monitor);
    out->sent = totals.sent;
    out->admitted = totals.admitted;
    out->refused = totals.refused;
    out->certified_txs = totals.certified;
    out->executed_txs = totals.executed;
    out->failed_txs = totals.failed;
    out->expired_txs = totals.expired;
    out->lost_txs = totals.lost;
    out->executed_height_max = totals.executed_height_max;
    out->notices_twice = totals.twice;
    out->is_drained = totals.admitted + totals.refused >= totals.sent &&
                      totals.executed + totals.expired + totals.lost >= totals.admitted;
    return DSMR_OK;
}

/* Reading the blocks of a long load from every node takes its time. */
static void tell_check(struct monitor *monitor)
{
    if (monitor->sender != NULL && monitor->config->progress != NULL) {
        monitor->snapshot.is_checking = true;
        monitor->config->progress(monitor->config->ctx, &monitor->snapshot);
    }
}

static enum dsmr_err judge(struct dsmr_cli_load_result *out, const struct monitor *monitor)
{
    const struct dsmr_cli_load_config *config = monitor->config;
    uint64_t *ids = NULL;
    size_t ids_count = 0;
    uint32_t wait_ms = config->roots_wait_ms != 0 ? config->roots_wait_ms : ROOTS_WAIT_MS;
    if (monitor->sender == NULL) {
        wait_ms = 0; /* nothing was sent that would have to arrive anywhere */
    }
    dsmr_cli_load_check_roots(out, config, out->executed_height_max, wait_ms);
    for (uint32_t i = 0; i < config->nodes_count; i++) {
        learn(out, &out->last.nodes[i].sample);
    }
    if (!config->verify || monitor->sender == NULL || config->duration_ms == 0) {
        return DSMR_OK;
    }
    enum dsmr_err err = dsmr_cli_load_sender_executed(monitor->sender, &ids, &ids_count);
    if (err == DSMR_OK) {
        dsmr_cli_load_check_ids(out, config, monitor->from_height, ids, ids_count);
        free(ids);
    }
    return err;
}

enum dsmr_err dsmr_cli_load_run(struct dsmr_cli_load_result *out, const char **reason,
                                const struct dsmr_cli_load_config *config)
{
    struct dsmr_domain domain;
    struct timespec now;
    struct dsmr_cli_load_config own = *config;
    struct monitor *monitor = calloc(1, sizeof(*monitor));
    memset(out, 0, sizeof(*out));
    out->executed_tx_per_s = out->payload_mb_per_s = out->rss_max_mb = NAN;
    out->cpu_us_per_tx = out->disk_bytes_per_tx = out->network_bytes_per_tx = NAN;
    *reason = "out of memory for the load";
    if (monitor == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    own.seed =
        own.seed != 0 ? own.seed : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    own.grace_ms = own.grace_ms != 0 ? own.grace_ms : GRACE_MS;
    own.lonely_ms = own.lonely_ms != 0 ? own.lonely_ms : LONELY_MS;
    own.quiet_ms = own.quiet_ms != 0 ? own.quiet_ms : QUIET_MS;
    monitor->config = &own;
    enum dsmr_err err = check_config(&own, reason);
    if (err == DSMR_OK) {
        err = look(out, monitor, &domain, reason);
    }
    if (err == DSMR_OK && own.rate != 0) {
        err = dsmr_cli_load_sender_start(&monitor->sender, reason, &own, &domain);
    }
    if (err == DSMR_OK) {
        watch(monitor);
        *reason = "out of memory for the load";
        err = monitor->sender != NULL ? summarise(out, monitor) : DSMR_OK;
    }
    if (err == DSMR_OK) {
        tell_check(monitor);
        out->last = monitor->snapshot;
        err = judge(out, monitor);
    }
    out->rss_max_mb = monitor->rss_max_bytes > 0 ? (double)monitor->rss_max_bytes / 1e6 : NAN;
    if (monitor->sender == NULL) {
        out->duration_s = (double)monitor->snapshot.elapsed_ms / 1000.0;
    }
    dsmr_cli_load_sender_free(monitor->sender);
    free(monitor);
    return err;
}
