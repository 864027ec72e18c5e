/* cli_load_gain.h - what one node's counters have gained, sample by sample.
 *
 * Why:        a node that is restarted during a load counts from 0 again. The difference of its
 *             first and last sample would lose what it did before.
 * Limits:     what a node did between its last sample and its end is not seen; nor what it did
 *             before its first one.
 * Threads:    one owner. */
#ifndef DSMR_APP_CLI_LOAD_GAIN_H
#define DSMR_APP_CLI_LOAD_GAIN_H

#include "app/cli_scrape.h"

struct dsmr_cli_load_gain { /* zeros to begin with */
    uint64_t executed_txs, disk_bytes, net_bytes_sent;
    struct dsmr_cli_times times[DSMR_METRIC_HISTOGRAM_COUNT];
    uint64_t cpu_us;
    bool has_cpu; /* cpu_us is all of it: each sample had it, of one and the same process */
    bool has_last;
    struct dsmr_cli_sample last; /* in which the node answered */
};

/* One that did not answer is left out. */
void dsmr_cli_load_gain_add(struct dsmr_cli_load_gain *gain, const struct dsmr_cli_sample *sample);

#endif
