/* localnet_nodes.h - the processes of a localnet. */
#ifndef DSMR_APP_LOCALNET_NODES_H
#define DSMR_APP_LOCALNET_NODES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "app/testnet.h"

#define DSMR_LOCALNET_REASON_BYTES 768u

struct dsmr_localnet_node {
    char home[PATH_MAX];
    pid_t pid;     /* 0: not running */
    int exit_code; /* after stop: how it ended by itself or when asked; -1: killed, or not known */
    uint16_t p2p_port, http_port, submit_port;
    char node_id[64];
};
struct dsmr_localnet_nodes {
    struct dsmr_localnet_node nodes[DSMR_TESTNET_NODES_MAX];
    uint32_t count;
};

/* Finds free ports on 127.0.0.1 for count nodes. UNAVAILABLE. */
DSMR_MUST_USE enum dsmr_err dsmr_localnet_nodes_ports(uint16_t ports[][3], uint32_t count);
/* Starts dsmrd, which lies beside this program, for each home and waits until each says that it
 * has started; its log goes to HOME/node.log. On error all are stopped again and reason says which
 * one failed and why. */
DSMR_MUST_USE enum dsmr_err dsmr_localnet_nodes_start(struct dsmr_localnet_nodes *nodes,
                                                      char reason[DSMR_LOCALNET_REASON_BYTES]);
/* SIGTERM to all, waits, SIGKILL to what is still there after 20 s. Returns how many did not end
 * with exit code 0. One that had ended before does not count: somebody may have killed it and
 * started it anew; whether its node is there is seen by asking it. */
uint32_t dsmr_localnet_nodes_stop(struct dsmr_localnet_nodes *nodes);

#endif
