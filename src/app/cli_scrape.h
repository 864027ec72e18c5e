/* cli_scrape.h - what a running node says of itself, read over HTTP and from /proc.
 *
 * Why:     the load generator, the live view and the localnet judge nodes by the same numbers that
 *          an operator sees.
 * Limits:  an answer of at most 1 MiB; timeout_ms per request.
 * Threads: a sample belongs to one thread at a time; the functions block. */
#ifndef DSMR_APP_CLI_SCRAPE_H
#define DSMR_APP_CLI_SCRAPE_H

#include "base/metrics.h"
#include "dsmr/types.h"

#define DSMR_CLI_NODES_MAX 64u
#define DSMR_CLI_NAME_BYTES 32u

/* Where a node listens. pid 0: unknown, then CPU and memory stay 0. */
struct dsmr_cli_node {
    char host[64];
    uint16_t http_port;
    uint16_t submit_port;
    int pid;
};

/* A histogram: how many took at most as long as each bucket's bound, and all of them together. */
struct dsmr_cli_times {
    uint64_t counts[DSMR_METRIC_BUCKETS];
    uint64_t sum_ms;
};

struct dsmr_cli_sample {
    bool is_reachable;                   /* /metrics answered */
    uint64_t metrics[DSMR_METRIC_COUNT]; /* by enum dsmr_metric */
    struct dsmr_cli_times times[DSMR_METRIC_HISTOGRAM_COUNT];
    uint64_t errors_total; /* sum over all error names */
    bool has_status;       /* /v1/status answered; then the following are set */
    uint64_t height;
    uint64_t executed_height;
    struct dsmr_id state_root; /* at executed_height */
    struct dsmr_domain domain;
    char app[DSMR_CLI_NAME_BYTES]; /* "": it does not say, or no name of letters and digits */
    char engine[DSMR_CLI_NAME_BYTES];
    uint32_t validators;     /* in the set; 0: it does not say */
    bool has_process;        /* pid is known and runs; then the following are set */
    uint64_t cpu_us;         /* user and system time of pid since its start */
    uint64_t rss_anon_bytes; /* now */
};

/* Reads /metrics, and /v1/status if with_status. UNAVAILABLE if /metrics does not answer, MALFORMED
 * if an answer makes no sense; *out then has is_reachable or has_status false. */
enum dsmr_err dsmr_cli_scrape(struct dsmr_cli_sample *out, const struct dsmr_cli_node *node,
                              bool with_status, uint32_t timeout_ms);
/* Fills metrics and times from the text of /metrics; names it does not know are skipped. MALFORMED
 * if nothing in it is ours. Pure. */
DSMR_MUST_USE enum dsmr_err dsmr_cli_scrape_parse(struct dsmr_cli_sample *out, const char *text);
/* cpu_us and rss_anon_bytes of pid from /proc; zeros if it is gone. */
void dsmr_cli_scrape_process(struct dsmr_cli_sample *out, int pid);

#endif
