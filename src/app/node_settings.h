/* node_settings.h - what an operator chose for a node, read out of the texts.
 *
 * Why:     config check and start find the same mistakes, before anything is opened.
 * Not here: which address may be bound, and whether it is free. */
#ifndef DSMR_APP_NODE_SETTINGS_H
#define DSMR_APP_NODE_SETTINGS_H

#include "app/cli_options.h"
#include "dsmr/types.h"
#include "host/stderr_log.h"

#define DSMR_NODE_SETTINGS_PEERS_MAX 1024u
#define DSMR_NODE_SETTINGS_HOSTS_MAX 16u

struct dsmr_node_settings_address {
    char host[256];
    uint16_t port;
};
struct dsmr_node_settings {
    struct dsmr_stderr_log log; /* to standard error */
    struct dsmr_node_settings_address p2p, http, submit;
    struct dsmr_address fee_recipient;               /* zero if none is set */
    const char *hosts[DSMR_NODE_SETTINGS_HOSTS_MAX]; /* in host_names */
    uint32_t hosts_count;
    char host_names[512];
    struct dsmr_node_settings_peer {
        struct dsmr_node_id node_id;
        char host[256];
        uint16_t port;
    } peers[DSMR_NODE_SETTINGS_PEERS_MAX];
    uint32_t peers_count;
};

/* values: with the file's part merged in. -1, or an exit code after one sentence. */
int dsmr_node_settings_read(struct dsmr_node_settings *out, const struct dsmr_cli_values *values);
/* "HOST:PORT"; IPv6 in brackets. CONFIG. */
DSMR_MUST_USE enum dsmr_err dsmr_node_settings_address(struct dsmr_node_settings_address *out,
                                                       const char *text);

#endif
