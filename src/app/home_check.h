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
#include "host/home_lock.h"

/* The folder is there, and has something of a home in it. */
int dsmr_home_check_folder(const struct dsmr_cli_values *values, const struct dsmr_home *home);
/* The same, and locks it. The caller drops the lock. */
int dsmr_home_check_lock(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                         struct dsmr_home_lock *lock);
/* Every peer is a validator of genesis, and no two doors have one address. */
int dsmr_home_check_settings(const struct dsmr_cli_values *values,
                             const struct dsmr_node_settings *settings,
                             const struct dsmr_genesis *genesis);
/* The keys are two files: one of another node's is a validator that signs what nobody accepts.
 * *is_named: genesis has a validator with them. */
int dsmr_home_check_keys(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                         const struct dsmr_genesis *genesis, const struct dsmr_node_id *node_id,
                         const struct dsmr_bls_public_key *bls_key, bool *is_named);

/* What is known of data/. */
struct dsmr_home_check_data {
    enum {
        DSMR_HOME_CHECK_DATA_EMPTY, /* or not there */
        DSMR_HOME_CHECK_DATA_OF_THIS_CHAIN,
        DSMR_HOME_CHECK_DATA_NOT_LOOKED_AT
    } state;
    char why[DSMR_HOME_REASON_BYTES]; /* it was not looked at */
};
/* The data are of the chain of genesis. They are read only, and not while a node runs on them: what
 * cannot be looked at is no error. */
int dsmr_home_check_chain(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                          const struct dsmr_genesis *genesis, struct dsmr_home_check_data *out);

#endif
