/* cli_verbs.h - the verbs of dsmr; each returns an exit code. */
#ifndef DSMR_APP_CLI_VERBS_H
#define DSMR_APP_CLI_VERBS_H

#include "app/cli_options.h"

/* cli_chain.c: questions about the chain */
int dsmr_cli_chain_tx(const struct dsmr_cli_values *values);
int dsmr_cli_chain_block(const struct dsmr_cli_values *values);
int dsmr_cli_chain_chunk(const struct dsmr_cli_values *values);
int dsmr_cli_chain_validators(const struct dsmr_cli_values *values);
int dsmr_cli_chain_status(const struct dsmr_cli_values *values);
int dsmr_cli_chain_evidence(const struct dsmr_cli_values *values);

/* cli_money.c */
int dsmr_cli_money_send(const struct dsmr_cli_values *values);
int dsmr_cli_money_balance(const struct dsmr_cli_values *values);

/* cli_keys.c */
int dsmr_cli_keys_new(const struct dsmr_cli_values *values);
int dsmr_cli_keys_list(const struct dsmr_cli_values *values);
int dsmr_cli_keys_import(const struct dsmr_cli_values *values);
int dsmr_cli_keys_export(const struct dsmr_cli_values *values);

/* cli_bench.c */
int dsmr_cli_bench_run(const struct dsmr_cli_values *values);
/* cli_calibrate.c: measures this machine's primitives and prints the implied limits. */
int dsmr_cli_calibrate_run(const struct dsmr_cli_values *values);

#endif
