/* inspect.h - reads what a stopped node has stored. */
#ifndef DSMR_APP_INSPECT_H
#define DSMR_APP_INSPECT_H

#include "app/cli_options.h"
#include "app/home.h"

/* Prints heights, root, promises and evidence of home's store. Returns an exit code. */
int dsmr_inspect_run(const struct dsmr_cli_values *values, const struct dsmr_home *home);

/* For a store's give_up: says which database is damaged, and ends the process. */
void dsmr_inspect_give_up(const char *path, const char *what);

#endif
