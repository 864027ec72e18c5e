/* node_config.h - what an operator may choose for a node: one table for flags, environment,
 * config.yaml, --help and the man page. */
#ifndef DSMR_APP_NODE_CONFIG_H
#define DSMR_APP_NODE_CONFIG_H

#include "app/cli_options.h"
#include "app/config_yaml.h"
#include "app/home.h"

extern const struct dsmr_cli_option dsmr_node_config_options[];
extern const size_t dsmr_node_config_options_count;

/* Fills what flags and environment left open from home's config.yaml (absent is fine). Returns -1
 * or an exit code after one sentence with file and line. The texts stay valid until the process
 * ends. */
int dsmr_node_config_merge(struct dsmr_cli_values *values, const struct dsmr_home *home);
/* What is chosen here fits the chain's parameters. Returns -1 or an exit code after one sentence.
 */
int dsmr_node_config_fits(const struct dsmr_cli_values *values, const struct dsmr_params *params);
/* Writes a commented config.yaml: every option with its help, set where overrides has its name. */
struct dsmr_node_config_override {
    const char *name, *value;
};
/* Reads a file like config.yaml, with the same checks. -1, or an exit code after one sentence. The
 * texts stay valid until the process ends. */
#define DSMR_NODE_CONFIG_ENTRIES_MAX DSMR_CONFIG_YAML_ENTRIES_MAX
int dsmr_node_config_read(struct dsmr_node_config_override out[DSMR_NODE_CONFIG_ENTRIES_MAX],
                          size_t *count, const struct dsmr_cli_values *values, const char *path);
DSMR_MUST_USE enum dsmr_err
dsmr_node_config_write(const struct dsmr_home *home,
                       const struct dsmr_node_config_override *overrides, size_t count);

#endif
