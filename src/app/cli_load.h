/* cli_load.h - open-loop load on running nodes over their submit streams.
 *
 * Why:        latency is measured from the time at which a transaction was meant to be sent, so
 *             that a node that stalls cannot hide it by slowing the generator.
 * How:        one thread sends every tick_ms to every node; transaction i of the run goes to node
 *             i % nodes_count, or with to_all to each of them, and was meant for start + i / rate,
 *             or in bursts (cli_load_shape.h). Another thread (the caller's) scrapes the nodes and
 *             calls progress; a third looks up what a node took and says nothing more of.
 * Limits:     DSMR_CLI_NODES_MAX nodes; with verify 9 bytes a transaction are kept.
 * Threads:    dsmr_cli_load_run blocks; progress is called on the calling thread; *config.stop may
 *             be set by another thread or a signal handler. */
#ifndef DSMR_APP_CLI_LOAD_H
#define DSMR_APP_CLI_LOAD_H

#include <stdatomic.h>

#include "app/cli_load_stages.h"
#include "dsmr/types.h"

enum dsmr_cli_load_kind {
    DSMR_CLI_LOAD_OPAQUE,   /* random bytes, tx_bytes each, no two the same */
    DSMR_CLI_LOAD_TRANSFERS /* signed transfers between the accounts of accounts_dir */
};

struct dsmr_cli_load_snapshot {
    uint64_t elapsed_ms; /* since the first intended send time */
    bool is_draining;    /* all is sent; waiting for the last notices */
    bool is_checking;    /* they are in; reading roots and blocks of all nodes: the last snapshot */
    uint32_t nodes_count;
    struct dsmr_cli_load_node {
        struct dsmr_cli_sample sample; /* last scrape */
        bool is_connected;
        uint64_t sent, admitted, refused; /* of this run, through this node */
        uint64_t certified, executed, failed, expired, lost;
        uint32_t certified_p50_us, executed_p50_us; /* of the last interval; 0: none */
    } nodes[DSMR_CLI_NODES_MAX];
};

struct dsmr_cli_load_config {
    struct dsmr_cli_node nodes[DSMR_CLI_NODES_MAX];
    uint32_t nodes_count;
    enum dsmr_cli_load_kind kind;
    uint32_t rate;            /* transactions a second over all nodes; 0: no load, only watch */
    uint32_t idle_ms;         /* 0: even load; else idle and burst in turns, at rate in a burst */
    uint32_t burst_ms;        /* with idle_ms: at least 1 */
    uint32_t lonely_ms;       /* from one transaction to the next when idle; 0: 500 */
    bool to_all;              /* OPAQUE: each to every node; what is counted below is copies, but
                                 for offered_tx_per_s and what the nodes' own counters say */
    uint32_t tx_bytes;        /* opaque: whole transaction, at least 25 bytes */
    uint32_t duration_ms;     /* 0: until stopped */
    uint32_t warmup_ms;       /* at the start, not counted in rates and latencies */
    uint32_t drain_ms;        /* at most this long for the last notices; 0: 60 000 */
    uint32_t tick_ms;         /* 0: 4 */
    uint32_t expiry_ms;       /* a transaction's expiry: now + this; 0: 40 000 */
    uint32_t grace_ms;        /* after its expiry, until one no node knows is lost; 0: 5 000 */
    const char *accounts_dir; /* TRANSFERS: *.json as testnet writes them */
    uint32_t accounts_max;    /* TRANSFERS: only between so many of them, at least 2; 0: all */
    uint64_t amount;          /* TRANSFERS: 0: 1 */
    uint64_t seed;            /* 0: from the clock */
    uint32_t roots_wait_ms;   /* at most this long until all nodes tell one root; 0: 30 000 */
    bool verify;              /* keep ids, and find every executed one on every node at the end */
    void (*progress)(void *ctx, const struct dsmr_cli_load_snapshot *snapshot); /* may be NULL */
    void *ctx;
    uint32_t progress_ms; /* 0: 200 */
    atomic_int *stop;     /* may be NULL; not 0: end the load now, drain, return */
    uint32_t quiet_ms;    /* once stopped: what says nothing for so long is waited for no more;
                             0: 5 000 */
};

struct dsmr_cli_load_latency {
    uint64_t count;
    double p50_ms, p95_ms, p99_ms, max_ms;
};
/* NAN: not known. */
struct dsmr_cli_load_result {
    char engine[DSMR_CLI_NAME_BYTES]; /* as the nodes say; "" not known */
    uint32_t validators;              /* likewise; 0 not known */
    double duration_s;                /* of the measured part: without warm-up and draining */
    double offered_tx_per_s, certified_tx_per_s;
    double executed_tx_per_s; /* the minimum over nodes, from their own counters */
    double payload_mb_per_s;  /* of executed_tx_per_s */
    struct dsmr_cli_load_latency certified, executed;
    bool has_bursts; /* idle_ms was not 0 */
    struct dsmr_cli_load_moments {
        struct dsmr_cli_load_latency certified, executed;
    } idle, burst_first, burst; /* lonely ones; see DSMR_CLI_LOAD_SHAPE_FIRST_US; whole bursts */
    struct dsmr_cli_load_stage stages[DSMR_CLI_LOAD_STAGES]; /* by the nodes' own clocks */
    /* All nodes together, over transactions executed in the measured part. CPU: if all pids are
     * known, and no node was restarted. */
    double cpu_us_per_tx, disk_bytes_per_tx, network_bytes_per_tx;
    double node_cpu_us_per_tx[DSMR_CLI_NODES_MAX]; /* of them, nodes_count */
    uint32_t nodes_count;
    uint64_t backlog_blocks_max; /* accepted and not executed by one node, of the whole run */
    double rss_max_mb;           /* largest node's peak anonymous memory, of those with a pid */
    /* Of the whole run: */
    uint64_t sent, admitted, refused, certified_txs, executed_txs, failed_txs, expired_txs;
    uint64_t lost_txs; /* admitted by a node that died; no node knew it after its expiry */
    uint64_t executed_height_max; /* highest block that a notice named */
    uint64_t notices_twice;       /* transactions reported executed twice: a fault */
    uint64_t height;              /* at which state_root was compared */
    bool state_roots_equal;       /* on all nodes at height; a root that could not be read is not */
    bool has_state_root;
    struct dsmr_id state_root;
    bool is_drained;          /* each was refused, or admitted and executed, expired or lost */
    bool is_verified;         /* with verify: see missing_txs */
    uint64_t missing_txs;     /* reported executed, not found in the blocks of some node */
    uint32_t nodes_reachable; /* at the end */
    struct dsmr_cli_load_snapshot last;
};

/* Defaults: opaque, 1000 tx/s, 512 bytes, 30 s, 3 s warm-up. */
void dsmr_cli_load_config_default(struct dsmr_cli_load_config *config);
/* Whether *config->stop is set. */
bool dsmr_cli_load_is_stopped(const struct dsmr_cli_load_config *config);
/* Runs the load, drains, compares roots. *reason: a static or thread-local sentence on error:
 * CONFIG (bad config or accounts), WRONG_CHAIN (its application takes no such load), UNAVAILABLE
 * (no node answers), NO_MEMORY, IO. A node that goes away during the load is left out and
 * reconnected to; what it had admitted is looked up on the others. */
DSMR_MUST_USE enum dsmr_err dsmr_cli_load_run(struct dsmr_cli_load_result *out, const char **reason,
                                              const struct dsmr_cli_load_config *config);

/* The JSON members of the summary line, without braces, for {"event":"summary",...}: engine,
 * validators, duration_s to executed_txs as the contract names them, and more. null: not known.
 * Returns the length; capacity of 4096 suffices. */
size_t dsmr_cli_load_summary_json(char *out, size_t capacity,
                                  const struct dsmr_cli_load_result *result);

#endif
