/* cli_load_sender.h - the thread that sends at the given rate and hears what became of it.
 *
 * Invariants: when transaction i is meant to be sent depends on nothing but cli_load_shape.h,
 *             whether or not the node keeps up. A node whose connection or send buffer cannot take
 *             it loses it: counted as refused.
 *             What was in flight on a connection that ended is looked up (cli_load_lookup.h), and
 *             so is, once its expiry is over, what a node has said nothing more of.
 * Limits:     latencies are known for transactions that were reported on their own connection, and
 *             for the last DSMR_CLI_LOAD_FLIGHT_WINDOW of it.
 * Threads:    its own; snapshot, mark and stats from the monitor, under one lock. */
#ifndef DSMR_APP_CLI_LOAD_SENDER_H
#define DSMR_APP_CLI_LOAD_SENDER_H

#include "app/cli_load.h"
#include "app/cli_load_shape.h"
#include "client/histogram.h"

struct dsmr_cli_load_sender; /* opaque */

struct dsmr_cli_load_sender_totals {
    uint64_t sent, admitted, refused, certified, executed, failed, expired, lost;
    uint64_t executed_height_max;
    uint64_t twice;            /* reported executed and had been closed before */
    uint64_t measured_sent;    /* with an intended time after the warm-up */
    uint64_t window_certified; /* notices that came between warm-up and the end of the load */
};

/* Starts the thread; the load begins at once. CONFIG, NO_MEMORY, UNAVAILABLE (no node takes the
 * stream) with a static sentence. config is borrowed until free. Caller frees. */
DSMR_MUST_USE enum dsmr_err dsmr_cli_load_sender_start(struct dsmr_cli_load_sender **out,
                                                       const char **reason,
                                                       const struct dsmr_cli_load_config *config,
                                                       const struct dsmr_domain *domain);
/* Ends the thread. */
void dsmr_cli_load_sender_free(struct dsmr_cli_load_sender *sender); /* NULL is fine */

enum dsmr_cli_load_phase {
    DSMR_CLI_LOAD_WARMUP,
    DSMR_CLI_LOAD_MEASURING,
    DSMR_CLI_LOAD_DRAINING, /* nothing more is sent */
    DSMR_CLI_LOAD_DONE      /* all landed, or the time for it is over */
};
enum dsmr_cli_load_phase dsmr_cli_load_sender_phase(struct dsmr_cli_load_sender *sender);
uint64_t dsmr_cli_load_sender_elapsed_ms(struct dsmr_cli_load_sender *sender);
/* Fills all but sample of each node, and starts a new interval of latencies. */
void dsmr_cli_load_sender_snapshot(struct dsmr_cli_load_sender *sender,
                                   struct dsmr_cli_load_snapshot *out);
void dsmr_cli_load_sender_totals(struct dsmr_cli_load_sender *sender,
                                 struct dsmr_cli_load_sender_totals *out);
/* Latencies of transactions meant for after the warm-up, over all nodes; parts: 1 << part of each
 * dsmr_cli_load_part that counts. */
void dsmr_cli_load_sender_latency(struct dsmr_cli_load_sender *sender,
                                  struct dsmr_histogram *certified, struct dsmr_histogram *executed,
                                  unsigned parts);
/* With verify, after DONE: first eight bytes of the ids that were reported executed. Caller frees
 * *out. NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_cli_load_sender_executed(struct dsmr_cli_load_sender *sender,
                                                          uint64_t **out, size_t *count);
#endif
