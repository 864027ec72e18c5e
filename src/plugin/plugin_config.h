/* plugin_config.h - what an operator sets for one chain: InitializeRequest's config bytes.
 *
 * Form:   one JSON object, or nothing for the defaults; docs/avalanche.md has every key. An unknown
 *         key is an error.
 * Threads: plain data. */
#ifndef DSMR_PLUGIN_PLUGIN_CONFIG_H
#define DSMR_PLUGIN_PLUGIN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "dsmr/types.h"

#define DSMR_PLUGIN_CONFIG_REASON_BYTES 256u

struct dsmr_plugin_config {
    char log_level[128];
    bool is_direct;            /* data_plane: "direct" */
    uint64_t peer_bytes_per_s; /* of the data plane "avalanche" */
    uint64_t peer_burst_bytes;
    char direct_listen[256];   /* HOST:PORT, port 0: any */
    char direct_announce[256]; /* HOST; the port is that of direct_listen */
    char http_listen[256];     /* HOST:PORT; empty: only through AvalancheGo */
    char submit_listen[256];   /* HOST:PORT; empty: no submit stream */
    bool allow_remote;
    struct dsmr_address fee_recipient;
    uint32_t workers;
    uint64_t mempool_bytes;
    uint32_t mempool_txs;
    uint64_t chunk_cache_bytes;
    uint64_t store_map_bytes;
    uint64_t disk_low_bytes;
    uint32_t retry_ms;
    uint32_t fetch_timeout_ms;
};

/* CONFIG with one sentence in reason. text: len bytes, may be none. */
DSMR_MUST_USE enum dsmr_err dsmr_plugin_config_read(struct dsmr_plugin_config *out,
                                                    char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES],
                                                    const void *text, size_t len);

#endif
