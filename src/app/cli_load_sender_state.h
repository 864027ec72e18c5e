/* cli_load_sender_state.h - what the sender's thread keeps. Private to cli_load_sender.c, which
 * writes it, and cli_load_sender_read.c, which reads it for the monitor. */
#ifndef DSMR_APP_CLI_LOAD_SENDER_STATE_H
#define DSMR_APP_CLI_LOAD_SENDER_STATE_H

#include <pthread.h>

#include "app/cli_load_flight.h"
#include "app/cli_load_lookup.h"
#include "app/cli_load_sender.h"
#include "app/cli_load_tx.h"
#include "client/submit_client.h"

#define DSMR_CLI_LOAD_SENDER_SEEN 1u

struct dsmr_cli_load_sender_node {
    struct dsmr_cli_load_sender *sender;
    const struct dsmr_cli_node *place;
    struct dsmr_submit_client *client;
    uint64_t retry_us;
    struct dsmr_cli_load_sender_totals totals;
    struct dsmr_cli_load_flight flight;
    uint64_t looked_up; /* those that left flight and are not decided */
    uint64_t expiry_ms; /* of the last that was sent */
    uint64_t *ids;      /* with verify: by sequence number, ids_count; see note_id */
    uint8_t *seen;
    size_t ids_count;
    struct dsmr_histogram interval[2]; /* certified, executed */
};

struct dsmr_cli_load_sender {
    const struct dsmr_cli_load_config *config;
    struct dsmr_domain domain;
    struct dsmr_cli_load_tx maker;
    struct dsmr_cli_load_lookup *lookup;
    struct dsmr_cli_load_sender_node *nodes;
    struct dsmr_cli_load_shape shape;
    struct dsmr_histogram (*latency)[2]; /* by part of the shape: certified, executed */
    int epoll_fd;
    pthread_t thread;
    bool is_running;
    _Atomic bool must_end;
    pthread_mutex_t lock; /* all below, and the nodes, while the thread runs */
    enum dsmr_cli_load_phase phase;
    uint64_t start_us;
    uint64_t expiry_base_ms; /* no expiry of the run is earlier */
    uint64_t end_us;         /* of the load */
    uint64_t news_us;        /* when a node or the lookup last told of a transaction */
    uint64_t next_index;
};

#endif
