/* inspect.h - reads what a stopped node has stored. */
#ifndef DSMR_APP_INSPECT_H
#define DSMR_APP_INSPECT_H

#include "app/cli_options.h"
#include "app/home.h"

/* Prints heights, root, promises and evidence of home's store. Returns an exit code. */
int dsmr_inspect_run(const struct dsmr_cli_values *values, const struct dsmr_home *home);

#endif
