/* node_config.h - what an operator may choose for a node: one table for flags, environment,
 * config.yaml, --help and the man page. */
#ifndef DSMR_APP_NODE_CONFIG_H
#define DSMR_APP_NODE_CONFIG_H

#include "app/cli_options.h"
#include "app/home.h"

extern const struct dsmr_cli_option dsmr_node_config_options[];
extern const size_t dsmr_node_config_options_count;

#define DSMR_NODE_CONFIG_PEERS_MAX 1024u
struct dsmr_node_config_peer {
    struct dsmr_node_id node_id;
    char host[256];
    uint16_t port;
};
struct dsmr_node_config_address {
    char host[256];
    uint16_t port;
};

/* Fills what flags and environment left open from home's config.yaml (absent is fine). Returns -1
 * or an exit code after one sentence with file and line. The texts stay valid until the process
 * ends. */
int dsmr_node_config_merge(struct dsmr_cli_values *values, const struct dsmr_home *home);
/* "HOST:PORT"; IPv6 in brackets. CONFIG. */
DSMR_MUST_USE enum dsmr_err dsmr_node_config_address(struct dsmr_node_config_address *out,
                                                     const char *text);
/* "NODEID@HOST:PORT,...": CONFIG with *bad the place (from 1) of the wrong entry, LIMIT. */
DSMR_MUST_USE enum dsmr_err dsmr_node_config_peers(struct dsmr_node_config_peer *out,
                                                   uint32_t *count, uint32_t *bad, uint32_t max,
                                                   const char *text);
/* Writes a commented config.yaml: every option with its help, set where overrides has its name. */
struct dsmr_node_config_override {
    const char *name, *value;
};
DSMR_MUST_USE enum dsmr_err
dsmr_node_config_write(const struct dsmr_home *home,
                       const struct dsmr_node_config_override *overrides, size_t count);

#endif
