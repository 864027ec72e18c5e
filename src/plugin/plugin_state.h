/* plugin_state.h - the inside of the plugin, shared by its files only.
 *
 * plugin.c the process: handshake, loop, end; plugin_open.c Initialize, which makes everything;
 * plugin_direct.c the data plane "direct"; plugin_calls.c the calls of AvalancheGo.
 * Threads: all on the logic thread, but for may_end, is_stopping and the two descriptors of
 * the watch. */
#ifndef DSMR_PLUGIN_PLUGIN_STATE_H
#define DSMR_PLUGIN_PLUGIN_STATE_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "app/genesis.h"
#include "avalanche/acp118.h"
#include "avalanche/app_net.h"
#include "avalanche/direct_net.h"
#include "avalanche/grpc_client.h"
#include "avalanche/http_service.h"
#include "avalanche/p_validators.h"
#include "avalanche/pb.h"
#include "avalanche/snow_engine.h"
#include "avalanche/vm_service.h"
#include "avalanche/warp_signer.h"
#include "base/metrics.h"
#include "driver/driver.h"
#include "host/host_inbox.h"
#include "host/signals.h"
#include "host/stderr_log.h"
#include "host/workers.h"
#include "net/tcp_net.h"
#include "net/tls_identity.h"
#include "plugin/plugin_config.h"
#include "store/lmdb_store.h"

#define DSMR_PLUGIN_GRPC_BYTES_MAX (64u << 20)

struct dsmr_plugin {
    struct dsmr_host_inbox *inbox;
    struct dsmr_vm_service *service;
    struct dsmr_signals signals;
    bool has_signals;
    atomic_bool may_end; /* Shutdown was said */
    atomic_bool is_stopping;
    int parent_fd, watch_end_fd;
    pthread_t watch_thread;
    bool has_watch;
    struct dsmr_stderr_log log;
    struct dsmr_metrics metrics;

    /* From Initialize on. */
    bool is_initialized;
    uint64_t ends_ms; /* of the process, after an Initialize that failed; 0: it did not */
    char reason[512]; /* why it failed, or why the node halted */
    struct dsmr_plugin_config config;
    struct dsmr_id subnet_id;
    struct dsmr_node_id node_id;
    char data_dir[PATH_MAX];
    struct dsmr_genesis genesis;
    bool has_genesis;
    struct dsmr_app app;
    struct dsmr_grpc_client *node;
    struct dsmr_grpc_client *db;
    struct dsmr_warp_signer signer;
    struct dsmr_workers *workers;
    struct dsmr_p_validators *validators;
    struct dsmr_snow_engine *engine;
    struct dsmr_app_net *net;
    struct dsmr_tls_identity *identity; /* these three: data plane "direct" */
    struct dsmr_direct_net *direct;
    struct dsmr_tcp_net *transport;
    char announced_host[DSMR_DIRECT_NET_HOST_BYTES_MAX + 1u];
    struct dsmr_acp118 acp118;
    struct dsmr_lmdb_store *store;
    struct dsmr_driver *driver;
    struct dsmr_api *api;
    struct dsmr_http_service *http;
    bool is_halted;
};

/* ---- plugin.c ---- */
struct dsmr_log dsmr_plugin_log(struct dsmr_plugin *p);
void dsmr_plugin_say(struct dsmr_plugin *p, enum dsmr_log_level level, const char *text);
/* Notes why; false. */
__attribute__((format(printf, 2, 3))) bool dsmr_plugin_refuse(struct dsmr_plugin *p,
                                                              const char *format, ...);
void dsmr_plugin_stop(struct dsmr_plugin *p); /* ends and frees what there is */

/* ---- plugin_open.c: false if it was refused ---- */
bool dsmr_plugin_initialize(struct dsmr_plugin *p, const Dsmr__Pb__InitializeRequest *request);

/* ---- plugin_direct.c: as above; after the net through AvalancheGo ---- */
bool dsmr_plugin_open_direct(struct dsmr_plugin *p);

/* ---- plugin_calls.c ---- */
extern const struct dsmr_vm_service_method dsmr_plugin_methods[];
void dsmr_plugin_on_cancelled(void *self, uint64_t serial);
void dsmr_plugin_on_other_request(void *ctx, const struct dsmr_node_id *from, uint32_t request_id,
                                  uint64_t handler, const uint8_t *bytes, size_t len);

#endif
