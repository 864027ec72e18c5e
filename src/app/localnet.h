/* localnet.h - a whole network on this machine: homes, processes, load, live view, summary.
 *
 * Contract: {"event":"started",...} is the first and {"event":"summary",...} the last line with
 *           --json; docs/cli.md has the others. The nodes die with this process. A node that is
 * killed is not restarted; `dsmrd start --home H` does that, on the same ports. */
#ifndef DSMR_APP_LOCALNET_H
#define DSMR_APP_LOCALNET_H

#include "app/cli_options.h"

/* For the verbs "localnet" and "demo" of dsmr: the same options, other defaults. */
extern const struct dsmr_cli_option dsmr_localnet_options[];
extern const size_t dsmr_localnet_options_count;
extern const struct dsmr_cli_option dsmr_localnet_demo_options[];
extern const size_t dsmr_localnet_demo_options_count;

/* Returns an exit code: OK only if something was executed (with load), at least 99 in 100 admitted
 * transactions were executed after draining, all state roots are equal at one height, and every
 * transaction that was reported executed was found on every node. */
int dsmr_localnet_run(const struct dsmr_cli_values *values);

#endif
