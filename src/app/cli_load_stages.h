/* cli_load_stages.h - how long transactions took from admission to certificate, from there to the
 * acceptance of their block, and from there to their result.
 *
 * Why:     the sum of the three is what a client waits; which of them is the longest says where a
 *          network is slow. The nodes measure them, each by its own clock (base/metrics.h).
 * Limits:  a percentile is interpolated inside of a bucket, as Prometheus does; above the last
 *          bound it is that bound. The mean is exact to a millisecond.
 * Threads: none. */
#ifndef DSMR_APP_CLI_LOAD_STAGES_H
#define DSMR_APP_CLI_LOAD_STAGES_H

#include "app/cli_load_gain.h"

enum dsmr_cli_load_stage_id {
    DSMR_CLI_LOAD_STAGE_CERTIFIED, /* from admission, of those that came in at the node */
    DSMR_CLI_LOAD_STAGE_ACCEPTED,  /* from the certificate, of those in the node's own chunks */
    DSMR_CLI_LOAD_STAGE_EXECUTED,  /* from the acceptance of the block, of all, on every node */
    DSMR_CLI_LOAD_STAGES
};
struct dsmr_cli_load_stage {
    uint64_t count; /* of transactions; 0: nothing is known */
    double p50_ms, p99_ms, mean_ms;
};

/* "admitted_certified" and so on. */
const char *dsmr_cli_load_stages_name(enum dsmr_cli_load_stage_id id);
/* Adds what a node's histogram of the stage has gained between two moments to times. */
void dsmr_cli_load_stages_add(struct dsmr_cli_times *times, enum dsmr_cli_load_stage_id id,
                              const struct dsmr_cli_load_gain *begin,
                              const struct dsmr_cli_load_gain *end);
void dsmr_cli_load_stages_of(struct dsmr_cli_load_stage *out, const struct dsmr_cli_times *times);

#endif
