/* daemon.h - one running node: wires adapters, driver, application and API, and owns the loop.
 *
 * Threads: the caller's becomes the logic thread; workers, store, net and API have their own. */
#ifndef DSMR_APP_DAEMON_H
#define DSMR_APP_DAEMON_H

#include "app/cli_options.h"
#include "app/home.h"

/* Runs the node of home until SIGTERM or SIGINT, or until it halts. values: the verb with
 * node_config's options and the flag "json". Returns an exit code. */
int dsmr_daemon_run(struct dsmr_cli_values *values, const struct dsmr_home *home);

#endif
