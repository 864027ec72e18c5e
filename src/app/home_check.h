/* home_check.h - whether the parts of a home belong together: settings, keys, genesis.
 *
 * Why:     start and config check ask the same, in the same words.
 * Errors:  each function prints one sentence and returns an exit code, or returns -1.
 * Threads: the caller's. */
#ifndef DSMR_APP_HOME_CHECK_H
#define DSMR_APP_HOME_CHECK_H

#include "app/cli_options.h"
#include "app/genesis.h"
#include "app/home.h"
#include "app/node_settings.h"

/* The folder is there. */
int dsmr_home_check_folder(const struct dsmr_cli_values *values, const struct dsmr_home *home);
/* Every peer is a validator of genesis, and no two doors have one address. */
int dsmr_home_check_settings(const struct dsmr_cli_values *values,
                             const struct dsmr_node_settings *settings,
                             const struct dsmr_genesis *genesis);
/* The keys are two files: one of another node's is a validator that signs what nobody accepts.
 * *is_named: genesis has a validator with them. */
int dsmr_home_check_keys(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                         const struct dsmr_genesis *genesis, const struct dsmr_node_id *node_id,
                         const struct dsmr_bls_public_key *bls_key, bool *is_named);

#endif
