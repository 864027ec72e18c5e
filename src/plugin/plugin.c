#include "plugin/plugin.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/api.h"
#include "api/routes.h"
#include "app/application.h"
#include "app/exit_codes.h"
#include "app/files.h"
#include "app/genesis.h"
#include "app/node_settings.h"
#include "avalanche/acp118.h"
#include "avalanche/app_net.h"
#include "avalanche/direct_net.h"
#include "avalanche/gather.h"
#include "avalanche/grpc_client.h"
#include "avalanche/http_service.h"
#include "avalanche/p_validators.h"
#include "avalanche/pb.h"
#include "avalanche/snow_engine.h"
#include "avalanche/vm_service.h"
#include "avalanche/warp_signer.h"
#include "base/bytes.h"
#include "base/metrics.h"
#include "crypto/hash.h"
#include "driver/driver.h"
#include "host/host_clock.h"
#include "host/host_inbox.h"
#include "host/os_random.h"
#include "host/signals.h"
#include "host/stderr_log.h"
#include "host/workers.h"
#include "net/tcp_net.h"
#include "net/tls_identity.h"
#include "plugin/plugin_config.h"
#include "store/lmdb_store.h"

#define HANDSHAKE_TIMEOUT_MS 4500u /* AvalancheGo gives up after 5 s */
#define GRPC_BYTES_MAX (64u << 20)
#define CALLS_MAX 1024u
#define APP_BYTES_MAX (64u << 20)
#define HTTP_CALLS_MAX 1024u
#define PATTERNS_MAX 64u
#define LAST_WORDS_MS 500u /* for the answer to an Initialize that failed */

struct plugin {
    struct dsmr_host_inbox *inbox;
    struct dsmr_vm_service *service;
    struct dsmr_signals signals;
    bool has_signals;
    atomic_bool may_end; /* Shutdown was said */
    atomic_bool is_stopping;
    int parent_fd;
    pthread_t parent_thread;
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

static struct dsmr_log log_of(struct plugin *p)
{
    return dsmr_stderr_log_port(&p->log);
}

static void say(struct plugin *p, enum dsmr_log_level level, const char *text)
{
    struct dsmr_log log = log_of(p);
    log.ops->line(log.self, level, "plugin", text);
}

/* ---- Initialize, in the order in which things can go wrong cheaply ---- */

__attribute__((format(printf, 2, 3))) static bool refuse(struct plugin *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->reason, sizeof p->reason, format, args);
    va_end(args);
    return false;
}

static bool read_request(struct plugin *p, const Dsmr__Pb__InitializeRequest *request)
{
    const char *why = "";
    char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES] = "";
    struct dsmr_domain domain = {.network_id = request->network_id};
    if (!dsmr_pb_id(&p->subnet_id, request->subnet_id) ||
        !dsmr_pb_id(&domain.chain_id, request->chain_id) ||
        !dsmr_pb_node_id(&p->node_id, request->node_id) || request->chain_data_dir == NULL ||
        strlen(request->chain_data_dir) + 16u >= sizeof p->data_dir ||
        request->db_server_addr == NULL || request->server_addr == NULL)
        return refuse(p, "the request misses ids, addresses or the data directory");
    if (dsmr_plugin_config_read(&p->config, reason, request->config_bytes.data,
                                request->config_bytes.len) != DSMR_OK)
        return refuse(p, "%s", reason);
    if (dsmr_stderr_log_init(&p->log, &why, p->config.log_level, DSMR_STDERR_LOG_PLAIN, 2,
                             dsmr_host_clock()) != DSMR_OK)
        return refuse(p, "config: log_level: %s", why);
    strcpy(p->data_dir, request->chain_data_dir);
    char genesis_reason[DSMR_GENESIS_REASON_BYTES] = "out of memory";
    if (dsmr_genesis_read_chain(&p->genesis, genesis_reason, request->genesis_bytes.data,
                                request->genesis_bytes.len, &domain) != DSMR_OK)
        return refuse(p, "%s", genesis_reason);
    p->has_genesis = true;
    return true;
}

static bool open_application(struct plugin *p)
{
    char said[DSMR_APPLICATION_REASON_BYTES] = "out of memory";
    if (dsmr_application_new(&p->app, p->genesis.app_name, &p->genesis.params.domain) != DSMR_OK)
        return refuse(p, "genesis: app.name \"%s\" is not known: %s", p->genesis.app_name,
                      dsmr_application_names());
    if (dsmr_application_check(&p->app, said, p->genesis.app_json) != DSMR_OK)
        return refuse(p, "genesis: %s", said);
    if (dsmr_params_message_bytes_max(&p->genesis.params) > DSMR_APP_NET_MESSAGE_BYTES_MAX)
        return refuse(p,
                      "genesis: chunks and blocks need messages of %u bytes, AvalancheGo carries "
                      "%u: lower chunk_bytes_max or block_bytes_max",
                      dsmr_params_message_bytes_max(&p->genesis.params),
                      DSMR_APP_NET_MESSAGE_BYTES_MAX);
    return true;
}

static bool open_clients(struct plugin *p, const Dsmr__Pb__InitializeRequest *request)
{
    if (dsmr_grpc_client_new(&p->node, request->server_addr, GRPC_BYTES_MAX) != DSMR_OK ||
        dsmr_grpc_client_new(&p->db, request->db_server_addr, GRPC_BYTES_MAX) != DSMR_OK)
        return refuse(p, "out of memory");
    return true;
}

static bool open_store(struct plugin *p)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/data", p->data_dir);
    struct dsmr_inbox port = dsmr_host_inbox_port(p->inbox);
    p->workers = dsmr_workers_new(&port, p->config.workers);
    if (p->workers == NULL)
        return refuse(p, "threads cannot be started");
    struct dsmr_lmdb_store_config config = {.directory = path,
                                            .inbox = port,
                                            .log = log_of(p),
                                            .metrics = &p->metrics,
                                            .consensus_map_bytes = p->config.store_map_bytes,
                                            .state_map_bytes = p->config.store_map_bytes};
    enum dsmr_err err = dsmr_lmdb_store_open(&p->store, &config);
    if (err != DSMR_OK)
        return refuse(p, "%s: store cannot be opened: %s", path, dsmr_err_text(err));
    return true;
}

static void on_other_request(void *ctx, const struct dsmr_node_id *from, uint32_t request_id,
                             uint64_t handler, const uint8_t *bytes, size_t len);

/* ---- the data plane "direct" ---- */

static bool open_identity(struct plugin *p)
{
    char key[PATH_MAX + 32], certificate[PATH_MAX + 32], reason[DSMR_TLS_IDENTITY_REASON_BYTES];
    struct dsmr_node_id made;
    snprintf(key, sizeof key, "%s/direct.key", p->data_dir);
    snprintf(certificate, sizeof certificate, "%s/direct.crt", p->data_dir);
    if (access(key, F_OK) != 0 && errno == ENOENT &&
        dsmr_tls_identity_generate(&made, reason, key, certificate) != DSMR_OK)
        return refuse(p, "%s", reason);
    if (dsmr_tls_identity_open(&p->identity, reason, key, certificate) != DSMR_OK)
        return refuse(p, "%s", reason);
    return true;
}

static bool sign_announcement(void *ctx, uint8_t out[64], const void *message, size_t len)
{
    struct plugin *p = ctx;
    return dsmr_tls_identity_sign(out, p->identity, message, len) == DSMR_OK;
}

static bool set_address(void *ctx, const struct dsmr_node_id *transport_id, const char *host,
                        uint16_t port)
{
    struct plugin *p = ctx;
    const struct dsmr_tcp_net_address address = {
        .node_id = *transport_id, .host = host, .port = port};
    return dsmr_tcp_net_set_address(p->transport, &address) == DSMR_OK;
}

static bool open_transport(struct plugin *p, const struct dsmr_node_settings_address *listen)
{
    struct dsmr_tcp_net_config config;
    char reason[DSMR_TCP_NET_REASON_BYTES] = "";
    memset(&config, 0, sizeof config);
    dsmr_tcp_net_limits_default(&config.limits);
    config.limits.message_bytes_max = dsmr_params_message_bytes_max(&p->genesis.params);
    config.listen_host = listen->host;
    config.listen_port = listen->port;
    config.identity = p->identity;
    config.domain = p->genesis.params.domain;
    config.inbox = dsmr_host_inbox_port(p->inbox);
    config.handler = dsmr_direct_net_handler(p->direct);
    config.metrics = &p->metrics;
    config.log = log_of(p);
    dsmr_os_random((uint8_t *)&config.seed, sizeof config.seed);
    if (dsmr_tcp_net_open(&p->transport, reason, &config) != DSMR_OK)
        return refuse(p, "config: direct_listen: %s", reason);
    if (dsmr_host_inbox_add_listener(p->inbox, dsmr_tcp_net_resume, p->transport) != DSMR_OK)
        return refuse(p, "too many listeners");
    return true;
}

static bool open_direct(struct plugin *p)
{
    struct dsmr_node_settings_address listen;
    struct dsmr_direct_net_config config;
    memset(&config, 0, sizeof config);
    if (dsmr_node_settings_address(&listen, p->config.direct_listen) != DSMR_OK)
        return refuse(p, "config: direct_listen must be HOST:PORT");
    size_t host_len = strlen(p->config.direct_announce);
    if (host_len == 0 || host_len >= sizeof p->announced_host)
        return refuse(p, "config: direct_announce must be a host of 1 to %u characters",
                      DSMR_DIRECT_NET_HOST_BYTES_MAX);
    strcpy(p->announced_host, p->config.direct_announce);
    if (!open_identity(p))
        return false;
    if (dsmr_tls_identity_public(config.key, p->identity) != DSMR_OK)
        return refuse(p, "%s/direct.key is not an Ed25519 key", p->data_dir);
    config.app_net = p->net;
    config.handler = dsmr_driver_net_handler();
    config.clock = dsmr_host_clock();
    config.metrics = &p->metrics;
    config.domain = p->genesis.params.domain;
    config.self_id = p->node_id;
    config.host = p->announced_host;
    config.sign = sign_announcement;
    config.set_address = set_address;
    config.ctx = p;
    dsmr_os_random((uint8_t *)&config.seed, sizeof config.seed);
    p->direct = dsmr_direct_net_new(&config);
    if (p->direct == NULL)
        return refuse(p, "out of memory");
    return open_transport(p, &listen);
}

/* Data that comes through AvalancheGo while the data plane is another one. */
static void refuse_message(void *self, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    (void)self;
    (void)from;
    (void)bytes;
}

static void ignore_peer(void *self, const struct dsmr_node_id *peer, bool is_up)
{
    (void)self;
    (void)peer;
    (void)is_up;
}
static const struct dsmr_net_handler no_data = {.message = refuse_message, .peer = ignore_peer};

static bool open_ports(struct plugin *p)
{
    uint64_t seed;
    dsmr_os_random((uint8_t *)&seed, sizeof seed);
    struct dsmr_p_validators_config validators = {.node = p->node,
                                                  .subnet_id = p->subnet_id,
                                                  .inbox = dsmr_host_inbox_port(p->inbox),
                                                  .work = dsmr_workers_port(p->workers),
                                                  .log = log_of(p)};
    p->validators = dsmr_p_validators_new(&validators);
    struct dsmr_snow_engine_config engine = {.params = p->genesis.params,
                                             .genesis = p->genesis.block,
                                             .clock = dsmr_host_clock(),
                                             .log = log_of(p),
                                             .db = p->db,
                                             .seed = seed};
    p->engine = dsmr_snow_engine_new(&engine);
    struct dsmr_app_net_config net;
    dsmr_app_net_config_default(&net);
    net.node = p->node;
    net.inbox = dsmr_host_inbox_port(p->inbox);
    net.clock = dsmr_host_clock();
    net.metrics = &p->metrics;
    net.handler = p->config.is_direct ? &no_data : dsmr_driver_net_handler();
    net.self_id = p->node_id;
    net.peer_bytes_per_s = p->config.peer_bytes_per_s;
    net.peer_burst_bytes = p->config.peer_burst_bytes;
    net.seed = seed + 1u;
    net.other = on_other_request;
    net.ctx = p;
    p->net = dsmr_app_net_new(&net);
    if (p->validators == NULL || p->engine == NULL || p->net == NULL)
        return refuse(p, "out of memory");
    return !p->config.is_direct || open_direct(p);
}

static void fill_node_config(const struct plugin *p, struct dsmr_driver_config *config)
{
    uint64_t seed;
    dsmr_os_random((uint8_t *)&seed, sizeof seed);
    config->node.params = p->genesis.params;
    config->node.fee_recipient = p->config.fee_recipient;
    config->node.node_id = p->node_id;
    config->node.seed = seed;
    config->node.validators_max = p->genesis.validators_max;
    config->node.mempool_bytes_max = p->config.mempool_bytes;
    config->node.mempool_txs_max = p->config.mempool_txs;
    config->node.chunk_cache_bytes_max = p->config.chunk_cache_bytes;
    config->node.retry_ms = p->config.retry_ms;
    config->node.fetch_timeout_ms = p->config.fetch_timeout_ms;
    config->node.fetches_max = 32;
    config->node.can_produce = true;
}

static bool open_driver(struct plugin *p, const struct dsmr_engine_tip *tip)
{
    struct dsmr_driver_config config;
    memset(&config, 0, sizeof config);
    fill_node_config(p, &config);
    config.engine = dsmr_snow_engine_port(p->engine);
    config.has_engine_tip = true;
    config.engine_tip = *tip;
    config.genesis = p->genesis.block;
    config.app_genesis = p->genesis.app_json;
    config.app_genesis_len = strlen(p->genesis.app_json);
    config.disk_low_bytes = p->config.disk_low_bytes;
    config.submits_max = 1024;
    config.submit_bytes_max = config.node.mempool_bytes_max;
    config.store = dsmr_lmdb_store_port(p->store);
    config.kv = dsmr_lmdb_store_kv(p->store);
    config.net = p->direct != NULL ? dsmr_direct_net_port(p->direct) : dsmr_app_net_port(p->net);
    config.work = dsmr_workers_port(p->workers);
    config.clock = dsmr_host_clock();
    config.validators = dsmr_p_validators_port(p->validators);
    config.signer = dsmr_warp_signer_port(&p->signer, p->node);
    config.app = p->app;
    config.log = log_of(p);
    config.bls = &dsmr_bls_real;
    config.metrics = &p->metrics;
    if (dsmr_driver_new(&p->driver, &config) != DSMR_OK)
        return refuse(p, "out of memory");
    if (p->direct != NULL) { /* before recovery, which names the peers */
        struct dsmr_net transport = dsmr_tcp_net_port(p->transport);
        dsmr_direct_net_attach(p->direct, &transport, dsmr_tcp_net_listen_port(p->transport),
                               p->driver);
    }
    p->acp118 = (struct dsmr_acp118){.net = p->net,
                                     .driver = p->driver,
                                     .metrics = &p->metrics,
                                     .domain = p->genesis.params.domain,
                                     .signer = config.signer,
                                     .work = config.work};
    return true;
}

static void tx_id(struct dsmr_id *out, const void *bytes, size_t len)
{
    dsmr_hash(out, bytes, len);
}

static bool open_api(struct plugin *p)
{
    struct dsmr_api_config config;
    struct dsmr_node_settings_address submit, http;
    dsmr_api_config_default(&config);
    config.http_address = NULL;
    if (p->config.http_listen[0] != '\0') {
        if (dsmr_node_settings_address(&http, p->config.http_listen) != DSMR_OK)
            return refuse(p, "config: http_listen must be HOST:PORT");
        config.http_address = http.host;
        config.http_port = http.port;
    }
    config.submit_address = NULL;
    if (p->config.submit_listen[0] != '\0') {
        if (dsmr_node_settings_address(&submit, p->config.submit_listen) != DSMR_OK)
            return refuse(p, "config: submit_listen must be HOST:PORT");
        config.submit_address = submit.host;
        config.submit_port = submit.port;
    }
    config.allow_remote = p->config.allow_remote;
    config.domain = p->genesis.params.domain;
    config.app_name = p->app.ops->name;
    config.engine_name = "avalanchego";
    config.version = DSMR_VERSION;
    config.tx_id = tx_id;
    config.clock = dsmr_host_clock();
    config.log = log_of(p);
    config.metrics = &p->metrics;
    p->api = dsmr_api_new(&config);
    if (p->api == NULL)
        return refuse(p, "out of memory");
    struct dsmr_feed feed = dsmr_api_feed(p->api);
    dsmr_driver_set_feed(p->driver, &feed);
    return true;
}

/* Where AvalancheGo stands, or the store if that was set back: then AvalancheGo follows it. */
static struct dsmr_block *last_accepted(struct plugin *p, const struct dsmr_query *query,
                                        const struct dsmr_engine_tip *tip)
{
    struct dsmr_block *block = NULL;
    struct dsmr_query_status status;
    query->ops->status(query->self, &status);
    uint64_t height = tip->height < status.height ? tip->height : status.height;
    if (height == 0)
        return dsmr_block_ref(p->genesis.block);
    return query->ops->block(query->self, &block, height) == DSMR_OK ? block : NULL;
}

static bool start_node(struct plugin *p, const struct dsmr_engine_tip *tip)
{
    const char *why = "";
    enum dsmr_err err = dsmr_driver_recover(p->driver);
    if (err != DSMR_OK)
        return refuse(p, "%s cannot be recovered: %s", p->data_dir, dsmr_err_text(err));
    struct dsmr_query query = dsmr_driver_query_port(p->driver);
    struct dsmr_submit submit = dsmr_driver_submit_port(p->driver);
    struct dsmr_block *block = last_accepted(p, &query, tip);
    if (block == NULL)
        return refuse(p, "%s: the last accepted block cannot be read", p->data_dir);
    dsmr_snow_engine_attach(p->engine, p->driver, &query, block);
    dsmr_block_unref(block);
    dsmr_p_validators_attach(p->validators, p->driver);
    dsmr_app_net_attach(p->net, p->driver);
    if (dsmr_api_start(p->api, &why, &query, &submit) != DSMR_OK)
        return refuse(p, "%s", why);
    const struct dsmr_http_service_config http = {.http = dsmr_api_http(p->api),
                                                  .body_bytes_max = DSMR_ROUTES_BODY_BYTES_MAX,
                                                  .calls_max = HTTP_CALLS_MAX};
    if (dsmr_http_service_start(&p->http, &http) != DSMR_OK)
        return refuse(p, "no port for HTTP calls");
    return true;
}

/* Tools that load a chain look here for the door. */
static bool write_ports(struct plugin *p)
{
    char path[PATH_MAX + 16], text[256];
    snprintf(path, sizeof path, "%s/ports.json", p->data_dir);
    snprintf(text, sizeof text,
             "{\"pid\":%d,\"http_port\":%u,\"submit_port\":%u,\"direct_port\":%u}\n", (int)getpid(),
             dsmr_api_http_port(p->api), dsmr_api_submit_port(p->api),
             p->transport != NULL ? dsmr_tcp_net_listen_port(p->transport) : 0u);
    if (dsmr_files_write(path, text, strlen(text), 0644) != DSMR_OK)
        return refuse(p, "%s: cannot be written: %s", path, strerror(errno));
    return true;
}

/* Where AvalancheGo stands. If this disk is empty, one that was lost or is new, the chain is run
 * again from genesis; a disk that has blocks but not that one is refused by recovery. */
static bool find_tip(struct plugin *p, struct dsmr_engine_tip *tip)
{
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES] = "", text[160];
    struct dsmr_store store = dsmr_lmdb_store_port(p->store);
    struct dsmr_id id;
    uint64_t height;
    enum dsmr_err err = dsmr_snow_engine_read_tip(p->engine, tip, reason);
    if (err != DSMR_OK)
        return refuse(p, "the last accepted block is not to be had from AvalancheGo: %s",
                      reason[0] != '\0' ? reason : dsmr_err_text(err));
    if (tip->height == 0 || store.ops->last_accepted(store.self, &height, &id) != DSMR_ERR_UNKNOWN)
        return true;
    snprintf(text, sizeof text,
             "no blocks here, and AvalancheGo stands at height %" PRIu64
             ": all blocks are fetched and run again",
             tip->height);
    say(p, DSMR_LOG_WARN, text);
    err = dsmr_snow_engine_reset_tip(p->engine, tip, reason);
    if (err != DSMR_OK)
        return refuse(p, "AvalancheGo's database cannot be set back to genesis: %s",
                      reason[0] != '\0' ? reason : dsmr_err_text(err));
    return true;
}

static bool initialize(struct plugin *p, const Dsmr__Pb__InitializeRequest *request)
{
    struct dsmr_engine_tip tip;
    if (!read_request(p, request) || !open_application(p) || !open_clients(p, request) ||
        !open_store(p) || !open_ports(p) || !find_tip(p, &tip))
        return false;
    return open_driver(p, &tip) && open_api(p) && start_node(p, &tip) && write_ports(p);
}

static void on_initialize(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *bytes)
{
    struct plugin *p = self;
    if (p->is_initialized || p->reason[0] != '\0') {
        dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, "it is initialized");
        return;
    }
    Dsmr__Pb__InitializeRequest *request =
        dsmr_pb_read(call, &dsmr__pb__initialize_request__descriptor, bytes);
    if (request == NULL)
        return;
    p->is_initialized = initialize(p, request);
    protobuf_c_message_free_unpacked(&request->base, NULL);
    if (p->is_initialized) {
        dsmr_snow_engine_answer_initialize(p->engine, call);
        return;
    }
    struct dsmr_clock clock = dsmr_host_clock();
    say(p, DSMR_LOG_ERROR, p->reason);
    p->ends_ms = clock.ops->mono_ms(clock.self) + LAST_WORDS_MS;
    dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, p->reason);
}

/* ---- the other calls ---- */

/* True if there is a chain; else the call is answered. */
static bool has_chain(struct plugin *p, struct dsmr_grpc_call *call)
{
    if (p->is_initialized)
        return true;
    dsmr_grpc_server_fail(call, DSMR_GRPC_FAILED_PRECONDITION, "the chain is not initialized");
    return false;
}

#define ENGINE_CALL(name, function)                                                                \
    static void name(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)            \
    {                                                                                              \
        struct plugin *p = self;                                                                   \
        if (has_chain(p, call))                                                                    \
            function(p->engine, call, request);                                                    \
    }
ENGINE_CALL(on_set_state, dsmr_snow_engine_set_state)
ENGINE_CALL(on_build, dsmr_snow_engine_build)
ENGINE_CALL(on_parse, dsmr_snow_engine_parse)
ENGINE_CALL(on_parse_batch, dsmr_snow_engine_parse_batch)
ENGINE_CALL(on_get_block, dsmr_snow_engine_get_block)
ENGINE_CALL(on_get_ancestors, dsmr_snow_engine_get_ancestors)
ENGINE_CALL(on_get_id_at, dsmr_snow_engine_get_id_at)
ENGINE_CALL(on_prefer, dsmr_snow_engine_prefer)
ENGINE_CALL(on_verify, dsmr_snow_engine_verify)
ENGINE_CALL(on_accept, dsmr_snow_engine_accept)
ENGINE_CALL(on_reject, dsmr_snow_engine_reject)

static void on_wait_for_event(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    (void)request;
    if (has_chain(p, call))
        dsmr_snow_engine_wait_for_event(p->engine, call);
}

static void on_cancelled(void *self, uint64_t serial)
{
    struct plugin *p = self;
    if (p->is_initialized)
        dsmr_snow_engine_cancelled(p->engine, serial);
}

static void on_version(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__VersionResponse response = DSMR__PB__VERSION_RESPONSE__INIT;
    (void)self;
    (void)request;
    response.version = "dsmr/" DSMR_VERSION;
    dsmr_pb_reply(call, &response.base);
}

static void on_shutdown(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    (void)request;
    atomic_store(&p->may_end, true);
    atomic_store(&p->is_stopping, true);
    if (p->engine != NULL)
        dsmr_snow_engine_close(p->engine, "the chain is shut down");
    dsmr_grpc_server_reply(call, NULL, 0);
}

static void on_create_handlers(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    const struct dsmr_routes_entry *entries;
    const char *patterns[PATTERNS_MAX];
    size_t count = 0, entries_count = dsmr_routes_list(&entries);
    (void)request;
    if (!has_chain(p, call))
        return;
    for (size_t i = 0; i < entries_count && count < PATTERNS_MAX; i++) {
        size_t k = 0; /* a path may have several methods */
        while (k < count && strcmp(patterns[k], entries[i].pattern) != 0)
            k++;
        if (k == count)
            patterns[count++] = entries[i].pattern;
    }
    dsmr_http_service_answer_handlers(p->http, call, patterns, count);
}

static void answer_empty(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    (void)self;
    (void)request;
    dsmr_grpc_server_reply(call, NULL, 0);
}

static void on_gather(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    (void)request;
    dsmr_gather_answer(call, &p->metrics);
}

static void on_state_sync_enabled(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__StateSyncEnabledResponse response = DSMR__PB__STATE_SYNC_ENABLED_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, enabled, false);
    dsmr_pb_reply(call, &response.base);
}

static void no_summary(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__StateSummaryResponse response = DSMR__PB__STATE_SUMMARY_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_STATE_SYNC_NOT_IMPLEMENTED);
    dsmr_pb_reply(call, &response.base);
}

static void no_parsed_summary(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__ParseStateSummaryResponse response = DSMR__PB__PARSE_STATE_SUMMARY_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_STATE_SYNC_NOT_IMPLEMENTED);
    dsmr_pb_reply(call, &response.base);
}

static void no_summary_at(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__GetStateSummaryResponse response = DSMR__PB__GET_STATE_SUMMARY_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_STATE_SYNC_NOT_IMPLEMENTED);
    dsmr_pb_reply(call, &response.base);
}

static void no_summary_accept(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    Dsmr__Pb__StateSummaryAcceptResponse response = DSMR__PB__STATE_SUMMARY_ACCEPT_RESPONSE__INIT;
    (void)self;
    (void)request;
    DSMR_PB_SET(&response, err, DSMR__PB__ERROR__ERROR_STATE_SYNC_NOT_IMPLEMENTED);
    dsmr_pb_reply(call, &response.base);
}

static void on_health(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    char text[512];
    struct dsmr_query_status status;
    (void)request;
    if (!has_chain(p, call))
        return;
    if (p->is_halted) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_UNKNOWN, p->reason);
        return;
    }
    struct dsmr_query query = dsmr_driver_query_port(p->driver);
    query.ops->status(query.self, &status);
    snprintf(text, sizeof text,
             "{\"height\":%" PRIu64 ",\"executed_height\":%" PRIu64
             ",\"peers\":%u,\"validators\":%u,\"disk_low\":%s,\"behind\":%s}",
             status.height, status.executed_height, status.peers_connected, status.validators,
             status.is_disk_low ? "true" : "false", status.is_behind ? "true" : "false");
    Dsmr__Pb__HealthResponse response = DSMR__PB__HEALTH_RESPONSE__INIT;
    DSMR_PB_BYTES(&response, details, text, strlen(text));
    dsmr_pb_reply(call, &response.base);
}

/* ---- what peers send; these calls are answered ---- */

static void on_other_request(void *ctx, const struct dsmr_node_id *from, uint32_t request_id,
                             uint64_t handler, const uint8_t *bytes, size_t len)
{
    struct plugin *p = ctx;
    if (handler == DSMR_ACP118_HANDLER)
        dsmr_acp118_answer(&p->acp118, from, request_id, bytes, len);
    else if (handler == DSMR_DIRECT_NET_HANDLER && p->direct != NULL)
        dsmr_direct_net_on_request(p->direct, from, request_id, bytes, len);
    else {
        dsmr_metrics_count_error(&p->metrics, DSMR_ERR_UNEXPECTED);
        dsmr_app_net_refuse(p->net, from, request_id, DSMR_APP_NET_UNREGISTERED,
                            "unregistered handler");
    }
}

static void on_app_request(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    struct dsmr_node_id from;
    (void)call;
    Dsmr__Pb__AppRequestMsg *message =
        dsmr__pb__app_request_msg__unpack(NULL, request->len, request->bytes);
    if (message != NULL && p->is_initialized && dsmr_pb_node_id(&from, message->node_id))
        dsmr_app_net_on_request(p->net, &from, message->request_id, message->request.data,
                                message->request.len);
    dsmr__pb__app_request_msg__free_unpacked(message, NULL);
}

static void on_app_response(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    struct dsmr_node_id from;
    (void)call;
    Dsmr__Pb__AppResponseMsg *message =
        dsmr__pb__app_response_msg__unpack(NULL, request->len, request->bytes);
    if (message != NULL && p->is_initialized && dsmr_pb_node_id(&from, message->node_id))
        dsmr_app_net_on_end(p->net, &from, message->request_id);
    dsmr__pb__app_response_msg__free_unpacked(message, NULL);
}

static void on_app_failed(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    struct dsmr_node_id from;
    (void)call;
    Dsmr__Pb__AppRequestFailedMsg *message =
        dsmr__pb__app_request_failed_msg__unpack(NULL, request->len, request->bytes);
    if (message != NULL && p->is_initialized && dsmr_pb_node_id(&from, message->node_id))
        dsmr_app_net_on_end(p->net, &from, message->request_id);
    dsmr__pb__app_request_failed_msg__free_unpacked(message, NULL);
}

/* Nothing that we need comes so. */
static void on_app_gossip(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    (void)call;
    (void)request;
    dsmr_metrics_count_error(&p->metrics, DSMR_ERR_UNEXPECTED);
}

static void on_connected(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    struct dsmr_node_id peer;
    Dsmr__Pb__ConnectedRequest *message =
        dsmr__pb__connected_request__unpack(NULL, request->len, request->bytes);
    if (message != NULL && p->is_initialized && dsmr_pb_node_id(&peer, message->node_id))
        dsmr_app_net_connected(p->net, &peer, true);
    dsmr__pb__connected_request__free_unpacked(message, NULL);
    dsmr_grpc_server_reply(call, NULL, 0);
}

static void on_disconnected(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request)
{
    struct plugin *p = self;
    struct dsmr_node_id peer;
    Dsmr__Pb__DisconnectedRequest *message =
        dsmr__pb__disconnected_request__unpack(NULL, request->len, request->bytes);
    if (message != NULL && p->is_initialized && dsmr_pb_node_id(&peer, message->node_id))
        dsmr_app_net_connected(p->net, &peer, false);
    dsmr__pb__disconnected_request__free_unpacked(message, NULL);
    dsmr_grpc_server_reply(call, NULL, 0);
}

static const struct dsmr_vm_service_method methods[] = {
    {"Initialize", on_initialize},
    {"SetState", on_set_state},
    {"Shutdown", on_shutdown},
    {"CreateHandlers", on_create_handlers},
    {"NewHTTPHandler", answer_empty},
    {"WaitForEvent", on_wait_for_event},
    {"Connected", on_connected},
    {"Disconnected", on_disconnected},
    {"BuildBlock", on_build},
    {"ParseBlock", on_parse},
    {"GetBlock", on_get_block},
    {"SetPreference", on_prefer},
    {"Health", on_health},
    {"Version", on_version},
    {"AppRequest", on_app_request},
    {"AppRequestFailed", on_app_failed},
    {"AppResponse", on_app_response},
    {"AppGossip", on_app_gossip},
    {"Gather", on_gather},
    {"GetAncestors", on_get_ancestors},
    {"BatchedParseBlock", on_parse_batch},
    {"GetBlockIDAtHeight", on_get_id_at},
    {"StateSyncEnabled", on_state_sync_enabled},
    {"GetOngoingSyncStateSummary", no_summary},
    {"GetLastStateSummary", no_summary},
    {"ParseStateSummary", no_parsed_summary},
    {"GetStateSummary", no_summary_at},
    {"BlockVerify", on_verify},
    {"BlockAccept", on_accept},
    {"BlockReject", on_reject},
    {"StateSummaryAccept", no_summary_accept},
    {NULL, NULL},
};

/* ---- the loop ---- */

static uint64_t deadline_ms(const struct plugin *p)
{
    uint64_t deadline_ms = UINT64_MAX, each[4];
    if (!p->is_initialized || p->is_halted)
        return p->ends_ms != 0 ? p->ends_ms : UINT64_MAX;
    each[0] = dsmr_driver_deadline_ms(p->driver);
    each[1] = dsmr_snow_engine_deadline_ms(p->engine);
    each[2] = dsmr_app_net_deadline_ms(p->net);
    each[3] = p->direct != NULL ? dsmr_direct_net_deadline_ms(p->direct) : UINT64_MAX;
    for (int i = 0; i < 4; i++)
        deadline_ms = each[i] < deadline_ms ? each[i] : deadline_ms;
    return deadline_ms;
}

static void run_tasks(struct plugin *p, uint64_t until_ms)
{
    struct dsmr_task *task = dsmr_host_inbox_pop(p->inbox, until_ms);
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        if (p->driver != NULL)
            dsmr_driver_task(p->driver, task);
        else
            task->done(task, NULL);
        task = next;
    }
}

/* The chain stands still; AvalancheGo is told so by every call, and its health shows it. */
static void notice_halt(struct plugin *p)
{
    const char *why = NULL;
    char text[400];
    if (!p->is_initialized || p->is_halted || dsmr_driver_halted(p->driver, &why) == DSMR_OK)
        return;
    p->is_halted = true;
    snprintf(p->reason, sizeof p->reason, "halted: %.400s", why);
    snprintf(text, sizeof text, "%.390s", p->reason);
    say(p, DSMR_LOG_ERROR, text);
    dsmr_snow_engine_close(p->engine, p->reason);
}

static void loop(struct plugin *p)
{
    struct dsmr_clock clock = dsmr_host_clock();
    while (!atomic_load(&p->is_stopping)) {
        uint64_t until_ms = deadline_ms(p);
        bool is_due = until_ms <= clock.ops->mono_ms(clock.self);
        if (is_due && p->ends_ms != 0)
            return;
        if (is_due) {
            dsmr_snow_engine_tick(p->engine);
            dsmr_app_net_tick(p->net);
            if (p->direct != NULL)
                dsmr_direct_net_tick(p->direct);
            dsmr_driver_tick(p->driver);
        } else {
            run_tasks(p, until_ms);
        }
        notice_halt(p);
    }
}

/* Doors first, then what works behind them; everything that is on its way comes home. */
static void stop(struct plugin *p)
{
    if (p->engine != NULL)
        dsmr_snow_engine_close(p->engine, "the chain is shut down");
    if (p->http != NULL)
        dsmr_http_service_stop(p->http);
    if (p->api != NULL)
        dsmr_api_stop(p->api);
    dsmr_vm_service_stop(p->service);
    if (p->driver != NULL)
        run_tasks(p, 0);
    dsmr_grpc_client_free(p->db);
    dsmr_grpc_client_free(p->node);
    dsmr_tcp_net_close(p->transport);
    if (p->driver != NULL) {
        struct dsmr_net none = {NULL, NULL};
        dsmr_driver_set_net(p->driver, &none);
        dsmr_driver_close(p->driver);
    }
    dsmr_workers_free(p->workers);
    dsmr_lmdb_store_close(p->store);
    run_tasks(p, 0);
    while (p->driver != NULL && dsmr_driver_outstanding(p->driver) > 0)
        run_tasks(p, 0);
    dsmr_driver_free(p->driver);
    dsmr_http_service_free(p->http);
    dsmr_api_free(p->api);
    dsmr_vm_service_free(p->service);
    dsmr_snow_engine_free(p->engine);
    dsmr_direct_net_free(p->direct);
    dsmr_app_net_free(p->net);
    dsmr_tls_identity_free(p->identity);
    dsmr_p_validators_free(p->validators);
    if (p->app.ops != NULL)
        p->app.ops->free(p->app.self);
    if (p->has_genesis)
        dsmr_genesis_close(&p->genesis);
    dsmr_host_inbox_close(p->inbox);
    dsmr_host_inbox_free(p->inbox);
}

/* ---- the process ---- */

static void on_signal(void *ctx, int number)
{
    struct plugin *p = ctx;
    (void)number;
    if (!atomic_load(&p->may_end))
        return;
    atomic_store(&p->is_stopping, true);
    dsmr_host_inbox_wake(p->inbox);
}

/* AvalancheGo may be killed by force: nobody says Shutdown then. */
static void *watch_parent(void *ctx)
{
    struct plugin *p = ctx;
    struct pollfd ready = {.fd = p->parent_fd, .events = POLLIN};
    while (poll(&ready, 1, -1) < 0 && errno == EINTR) {
    }
    atomic_store(&p->is_stopping, true);
    dsmr_host_inbox_wake(p->inbox);
    return NULL;
}

static bool start_watch(struct plugin *p, pid_t parent)
{
    p->parent_fd = (int)syscall(SYS_pidfd_open, parent, 0u);
    if (p->parent_fd < 0 || getppid() != parent)
        return false;
    if (pthread_create(&p->parent_thread, NULL, watch_parent, p) != 0)
        return false;
    pthread_detach(p->parent_thread);
    return true;
}

static int shake_hands(struct plugin *p, const char *engine)
{
    struct dsmr_grpc_client *client = NULL;
    struct dsmr_buf *bytes, *answer = NULL;
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES] = "";
    Dsmr__Pb__RuntimeInitializeRequest request = DSMR__PB__RUNTIME_INITIALIZE_REQUEST__INIT;
    DSMR_PB_SET(&request, protocol_version, DSMR_RPCCHAINVM);
    request.addr = (char *)(uintptr_t)dsmr_vm_service_address(p->service);
    bytes = dsmr_pb_bytes(&request.base);
    if (bytes == NULL || dsmr_grpc_client_new(&client, engine, 1u << 20) != DSMR_OK) {
        dsmr_buf_unref(bytes);
        return DSMR_EXIT_INTERNAL;
    }
    enum dsmr_err err =
        dsmr_grpc_client_call(client, &answer, reason, "/vm.runtime.Runtime/Initialize",
                              bytes->bytes, bytes->len, HANDSHAKE_TIMEOUT_MS);
    dsmr_buf_unref(answer);
    dsmr_buf_unref(bytes);
    dsmr_grpc_client_free(client);
    if (err == DSMR_OK)
        return -1;
    fprintf(stderr, "dsmr-avalanche: AvalancheGo at %s does not take this plugin: %s\n", engine,
            reason[0] != '\0' ? reason : dsmr_err_text(err));
    return err == DSMR_ERR_MALFORMED ? DSMR_EXIT_CONFIG : DSMR_EXIT_UNAVAILABLE;
}

static int start(struct plugin *p, const char *engine, pid_t parent)
{
    const char *why;
    struct dsmr_host_inbox_config inbox;
    dsmr_host_inbox_config_default(&inbox);
    p->inbox = dsmr_host_inbox_new(&inbox);
    if (p->inbox == NULL || dsmr_signals_init(&p->signals, on_signal, p) != DSMR_OK)
        return DSMR_EXIT_INTERNAL;
    p->has_signals = true;
    if (!start_watch(p, parent)) {
        fprintf(stderr, "dsmr-avalanche: AvalancheGo cannot be watched, or is gone\n");
        return DSMR_EXIT_UNAVAILABLE;
    }
    if (dsmr_stderr_log_init(&p->log, &why, "info", DSMR_STDERR_LOG_PLAIN, 2, dsmr_host_clock()) !=
        DSMR_OK)
        return DSMR_EXIT_INTERNAL;
    const struct dsmr_vm_service_config service = {.methods = methods,
                                                   .self = p,
                                                   .cancelled = on_cancelled,
                                                   .inbox = dsmr_host_inbox_port(p->inbox),
                                                   .metrics = &p->metrics,
                                                   .request_bytes_max = GRPC_BYTES_MAX,
                                                   .app_bytes_max = APP_BYTES_MAX,
                                                   .calls_max = CALLS_MAX};
    if (dsmr_vm_service_start(&p->service, &service) != DSMR_OK) {
        fprintf(stderr, "dsmr-avalanche: no port of 127.0.0.1 to listen on\n");
        return DSMR_EXIT_UNAVAILABLE;
    }
    return shake_hands(p, engine);
}

int dsmr_plugin_run(const char *engine)
{
    static struct plugin plugin; /* the watching thread may outlive everything else */
    struct plugin *p = &plugin;
    pid_t parent = getppid();
    mallopt(M_ARENA_MAX, 4);
    int code = start(p, engine, parent);
    if (code < 0) {
        loop(p);
        code = p->is_halted ? DSMR_EXIT_HALTED : p->ends_ms != 0 ? DSMR_EXIT_CONFIG : DSMR_EXIT_OK;
    }
    if (p->service != NULL)
        stop(p);
    return code;
}
