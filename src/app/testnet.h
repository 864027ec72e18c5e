/* testnet.h - homes, genesis and funded accounts for a network of one's own. */
#ifndef DSMR_APP_TESTNET_H
#define DSMR_APP_TESTNET_H

#include "app/home.h"
#include "app/node_config.h"

#define DSMR_TESTNET_NODES_MAX 64u

struct dsmr_testnet_config {
    const char *directory; /* made, or empty */
    uint32_t validators;
    const char *node_prefix;     /* "node": homes are node0, node1, ... */
    const char *hostname_prefix; /* peers are PREFIX0, PREFIX1, ...; NULL: addresses */
    const char *address;         /* first node's; NULL: all on 127.0.0.1 */
    bool is_local;               /* one address; each node has ports of its own */
    uint16_t ports[DSMR_TESTNET_NODES_MAX][3]; /* p2p, http, submit */
    const char *app;                           /* "transfers" or "opaque" */
    uint32_t accounts;                         /* funded ones, for transfers */
    uint32_t network_id;
    uint32_t slot_ms;
    uint64_t retention_ms; /* UINT64_MAX: for ever */
    uint64_t time_ms;      /* of genesis */
    uint32_t workers;      /* threads of each node; 0: the default */
    /* Settings that every node gets; what a testnet sets itself goes before them. */
    const struct dsmr_node_config_override *settings;
    size_t settings_count;
};

/* Writes DIR/genesis.json, DIR/accounts/account-N.json and a home per node with its config.yaml.
 * CONFIG (the folder is not empty), IO, DISK_FULL with a sentence in reason. */
DSMR_MUST_USE enum dsmr_err dsmr_testnet_make(char reason[DSMR_HOME_REASON_BYTES],
                                              const struct dsmr_testnet_config *config);
/* Home of node i. */
void dsmr_testnet_home(char out[PATH_MAX], const struct dsmr_testnet_config *config, uint32_t i);
/* Host at which the others reach node i. */
void dsmr_testnet_host(char *out, const struct dsmr_testnet_config *config, uint32_t i,
                       size_t size);

#endif
