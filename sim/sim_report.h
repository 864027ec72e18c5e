/* sim_report.h - what a run under load has done between two moments: transactions, latencies,
 * bytes, and how busy each part of each node was.
 *
 * How:     it hears the notices of sim, which must be nobody else's, and takes the differences of
 *          what the nodes have counted. A latency counts when it ends between the two moments.
 * Threads: one. */
#ifndef DSMR_SIM_SIM_REPORT_H
#define DSMR_SIM_SIM_REPORT_H

#include "sim/sim.h"

struct dsmr_sim_recorder; /* opaque */

struct dsmr_sim_recorder *dsmr_sim_recorder_new(struct dsmr_sim *sim); /* sim frees it */
void dsmr_sim_recorder_begin(struct dsmr_sim_recorder *recorder);

struct dsmr_sim_spread { /* milliseconds */
    uint64_t count;
    double mean, p50, p95, p99;
};
struct dsmr_sim_share { /* of a part's time, over the nodes that are up */
    double mean, max;
};
struct dsmr_sim_report {
    double seconds;
    uint32_t up; /* nodes */
    double admitted_per_s, refused_per_s, certified_per_s;
    double executed_per_s, executed_min_per_s; /* mean over the nodes; the slowest */
    /* From the making of a transaction, at the node that it was sent to. */
    struct dsmr_sim_spread built, certified, executed;
    /* A chunk at its producer: built to certified, to accepted, to executed. */
    struct dsmr_sim_spread to_cert, to_accept, to_execute;
    double blocks_per_s, views_per_s, certs_per_block, chunks_per_s, chunk_bytes;
    double messages_per_s;                   /* sent, of a node */
    double up_bytes_per_s, up_bytes_max;     /* of a node; of the one that sends most */
    double down_bytes_per_s, down_bytes_max; /* on the wire, as the others */
    double up_class_per_s[4];                /* of a node, by class */
    double up_wait_ms[4];                    /* of a message, by class, until it has left */
    double down_wait_ms, logic_wait_ms;
    double proposal_bytes,
        proposal_ms; /* of an engine's proposal: on the wire; until it has left */
    double stored_bytes_per_s;
    uint64_t refused_sends; /* queues that were full */
    struct dsmr_sim_share uplink, downlink, logic, net, workers, execution, disk;
    double cpu_us_per_tx; /* all threads of all nodes */
};
void dsmr_sim_recorder_end(struct dsmr_sim_recorder *recorder, struct dsmr_sim_report *out);
/* The part that is busiest on its busiest node, if it is more than nine tenths; else "latency". */
const char *dsmr_sim_report_limit(const struct dsmr_sim_report *report);

#endif
