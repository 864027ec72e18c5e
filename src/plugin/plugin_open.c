#include "plugin/plugin_state.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/routes.h"
#include "app/application.h"
#include "app/files.h"
#include "app/node_settings.h"
#include "crypto/hash.h"
#include "host/host_clock.h"
#include "host/os_random.h"

#define HTTP_CALLS_MAX 1024u
#define LOCK_WAIT_MS 20000
#define LOCK_RETRY_MS 50

static bool read_request(struct dsmr_plugin *p, const Dsmr__Pb__InitializeRequest *request)
{
    const char *why = "";
    char reason[DSMR_PLUGIN_CONFIG_REASON_BYTES] = "";
    struct dsmr_domain domain = {.network_id = request->network_id};
    if (!dsmr_pb_id(&p->subnet_id, request->subnet_id) ||
        !dsmr_pb_id(&domain.chain_id, request->chain_id) ||
        !dsmr_pb_node_id(&p->node_id, request->node_id) || request->chain_data_dir == NULL ||
        strlen(request->chain_data_dir) + 16u >= sizeof p->data_dir ||
        request->db_server_addr == NULL || request->server_addr == NULL)
        return dsmr_plugin_refuse(p, "the request misses ids, addresses or the data directory");
    if (request->upgrade_bytes.len > 0) /* who put it there expects something of it */
        return dsmr_plugin_refuse(p, "upgrade.json: this VM has no upgrades, remove the file");
    if (dsmr_plugin_config_read(&p->config, reason, request->config_bytes.data,
                                request->config_bytes.len) != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s", reason);
    if (dsmr_stderr_log_init(&p->log, &why, p->config.log_level, DSMR_STDERR_LOG_PLAIN, 2,
                             dsmr_host_clock()) != DSMR_OK)
        return dsmr_plugin_refuse(p, "config: log_level: %s", why);
    strcpy(p->data_dir, request->chain_data_dir);
    char genesis_reason[DSMR_GENESIS_REASON_BYTES] = "out of memory";
    if (dsmr_genesis_read_chain(&p->genesis, genesis_reason, request->genesis_bytes.data,
                                request->genesis_bytes.len, &domain) != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s", genesis_reason);
    p->has_genesis = true;
    return true;
}

/* That may be meant: a chain that begins at an hour. It may as well be a wrong unit, or clock. */
static void warn_of_future(struct dsmr_plugin *p)
{
    struct dsmr_clock clock = dsmr_host_clock();
    uint64_t begin_ms = p->genesis.block->time_ms, wall_ms = clock.ops->wall_ms(clock.self);
    time_t begin = (time_t)(begin_ms / 1000u);
    struct tm utc;
    char date[64] = "a time without a date", text[256];
    if (begin_ms <= wall_ms)
        return;
    if (gmtime_r(&begin, &utc) != NULL)
        (void)strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &utc);
    snprintf(text, sizeof text,
             "genesis: time_ms is %s, %" PRIu64
             " s ahead of this node's clock: the chain makes no block before then",
             date, (begin_ms - wall_ms + 999u) / 1000u);
    dsmr_plugin_say(p, DSMR_LOG_WARN, text);
}

/* A block whose parent is older than this upgrade is one of the first kind of AvalancheGo's: the
 * child of the first block would never get a context, and the chain stand at height 1 for ever. */
static bool check_time(struct dsmr_plugin *p, const Dsmr__Pb__NetworkUpgrades *upgrades)
{
    const Dsmr__Pb__Timestamp *begin = upgrades != NULL ? upgrades->apricot_phase_4_time : NULL;
    uint64_t begin_ms = begin != NULL && begin->seconds > 0 ? (uint64_t)begin->seconds * 1000u : 0;
    if (p->genesis.block->time_ms < begin_ms)
        return dsmr_plugin_refuse(
            p, "genesis: time_ms is before %" PRIu64 ", when the network's present rules began",
            begin_ms);
    warn_of_future(p);
    return true;
}

static bool open_application(struct dsmr_plugin *p)
{
    char said[DSMR_APPLICATION_REASON_BYTES] = "out of memory";
    if (dsmr_application_new(&p->app, p->genesis.app_name, &p->genesis.params.domain) != DSMR_OK)
        return dsmr_plugin_refuse(p, "genesis: app.name \"%s\" is not known: %s",
                                  p->genesis.app_name, dsmr_application_names());
    if (dsmr_application_check(&p->app, said, p->genesis.app_json) != DSMR_OK)
        return dsmr_plugin_refuse(p, "genesis: %s", said);
    if (dsmr_params_message_bytes_max(&p->genesis.params) > DSMR_APP_NET_MESSAGE_BYTES_MAX)
        return dsmr_plugin_refuse(
            p,
            "genesis: chunks and blocks need messages of %u bytes, AvalancheGo carries "
            "%u: lower chunk_bytes_max or block_bytes_max",
            dsmr_params_message_bytes_max(&p->genesis.params), DSMR_APP_NET_MESSAGE_BYTES_MAX);
    return true;
}

static bool open_clients(struct dsmr_plugin *p, const Dsmr__Pb__InitializeRequest *request)
{
    if (dsmr_grpc_client_new(&p->node, request->server_addr, DSMR_PLUGIN_GRPC_BYTES_MAX) !=
            DSMR_OK ||
        dsmr_grpc_client_new(&p->db, request->db_server_addr, DSMR_PLUGIN_GRPC_BYTES_MAX) !=
            DSMR_OK)
        return dsmr_plugin_refuse(p, "out of memory");
    return true;
}

/* A node that was killed and started again at once meets its last life's plugin, which is about to
 * end: a chain that failed for that would be gone until the node's next start. */
static enum dsmr_err open_when_free(struct dsmr_plugin *p,
                                    const struct dsmr_lmdb_store_config *config)
{
    enum dsmr_err err = dsmr_lmdb_store_open(&p->store, config);
    if (err == DSMR_ERR_LOCKED)
        dsmr_plugin_say(p, DSMR_LOG_WARN, "another process has the store: waits for its end");
    for (uint32_t left = LOCK_WAIT_MS / LOCK_RETRY_MS;
         err == DSMR_ERR_LOCKED && left > 0 && !atomic_load(&p->is_stopping); left--) {
        (void)poll(NULL, 0, LOCK_RETRY_MS);
        err = dsmr_lmdb_store_open(&p->store, config);
    }
    return err;
}

static bool open_store(struct dsmr_plugin *p)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/data", p->data_dir);
    struct dsmr_inbox port = dsmr_host_inbox_port(p->inbox);
    p->workers = dsmr_workers_new(&port, p->config.workers);
    if (p->workers == NULL)
        return dsmr_plugin_refuse(p, "threads cannot be started");
    struct dsmr_lmdb_store_config config = {.directory = path,
                                            .inbox = port,
                                            .log = dsmr_plugin_log(p),
                                            .metrics = &p->metrics,
                                            .consensus_map_bytes = p->config.store_map_bytes,
                                            .state_map_bytes = p->config.store_map_bytes};
    enum dsmr_err err = open_when_free(p, &config);
    if (err != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s: store cannot be opened: %s", path, dsmr_err_text(err));
    return true;
}

/* Data that comes through AvalancheGo while the data plane is another one. */
static void refuse_message(void *self, const struct dsmr_node_id *from, struct dsmr_buf *bytes)
{
    struct dsmr_plugin *p = self;
    dsmr_metrics_count_error(&p->metrics, DSMR_ERR_UNEXPECTED);
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

static bool may_begin(void *ctx)
{
    struct dsmr_plugin *p = ctx;
    return dsmr_p_validators_look(p->validators);
}

static bool open_ports(struct dsmr_plugin *p)
{
    uint64_t seed;
    dsmr_os_random((uint8_t *)&seed, sizeof seed);
    struct dsmr_p_validators_config validators = {.node = p->node,
                                                  .subnet_id = p->subnet_id,
                                                  .inbox = dsmr_host_inbox_port(p->inbox),
                                                  .work = dsmr_workers_port(p->workers),
                                                  .log = dsmr_plugin_log(p)};
    p->validators = dsmr_p_validators_new(&validators);
    struct dsmr_snow_engine_config engine = {.params = p->genesis.params,
                                             .genesis = p->genesis.block,
                                             .clock = dsmr_host_clock(),
                                             .log = dsmr_plugin_log(p),
                                             .metrics = &p->metrics,
                                             .db = p->db,
                                             .seed = seed,
                                             .may_begin = may_begin,
                                             .ctx = p};
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
    net.other = dsmr_plugin_on_other_request;
    net.ctx = p;
    p->net = dsmr_app_net_new(&net);
    if (p->validators == NULL || p->engine == NULL || p->net == NULL)
        return dsmr_plugin_refuse(p, "out of memory");
    return !p->config.is_direct || dsmr_plugin_open_direct(p);
}

static void fill_node_config(const struct dsmr_plugin *p, struct dsmr_driver_config *config)
{
    uint64_t seed;
    dsmr_os_random((uint8_t *)&seed, sizeof seed);
    config->node.params = p->genesis.params;
    config->node.fee_recipient = p->config.fee_recipient;
    config->node.node_id = p->node_id;
    config->node.seed = seed;
    dsmr_os_random(config->node.secret.bytes, sizeof config->node.secret.bytes);
    config->node.validators_max = p->genesis.validators_max;
    config->node.mempool_bytes_max = p->config.mempool_bytes;
    config->node.mempool_txs_max = p->config.mempool_txs;
    config->node.chunk_cache_bytes_max = p->config.chunk_cache_bytes;
    config->node.retry_ms = p->config.retry_ms;
    config->node.fetch_timeout_ms = p->config.fetch_timeout_ms;
    config->node.fetches_max = 32;
    config->node.can_produce = true;
}

static bool open_driver(struct dsmr_plugin *p, const struct dsmr_engine_tip *tip)
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
    config.log = dsmr_plugin_log(p);
    config.bls = &dsmr_bls_real;
    config.metrics = &p->metrics;
    if (dsmr_driver_new(&p->driver, &config) != DSMR_OK)
        return dsmr_plugin_refuse(p, "out of memory");
    if (p->direct != NULL) { /* before recovery, which names the peers */
        struct dsmr_net transport = dsmr_tcp_net_port(p->transport);
        dsmr_direct_net_attach(p->direct, &transport, dsmr_tcp_net_listen_port(p->transport),
                               p->driver);
    }
    p->acp118 = (struct dsmr_acp118){.net = p->net,
                                     .driver = p->driver,
                                     .metrics = &p->metrics,
                                     .domain = p->genesis.params.domain};
    return true;
}

static void tx_id(struct dsmr_id *out, const void *bytes, size_t len)
{
    dsmr_hash(out, bytes, len);
}

static bool open_api(struct dsmr_plugin *p)
{
    struct dsmr_api_config config;
    struct dsmr_node_settings_address submit, http;
    dsmr_api_config_default(&config);
    config.http_address = NULL;
    if (p->config.http_listen[0] != '\0') {
        if (dsmr_node_settings_address(&http, p->config.http_listen) != DSMR_OK)
            return dsmr_plugin_refuse(p, "config: http_listen must be HOST:PORT");
        config.http_address = http.host;
        config.http_port = http.port;
    }
    config.submit_address = NULL;
    if (p->config.submit_listen[0] != '\0') {
        if (dsmr_node_settings_address(&submit, p->config.submit_listen) != DSMR_OK)
            return dsmr_plugin_refuse(p, "config: submit_listen must be HOST:PORT");
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
    config.log = dsmr_plugin_log(p);
    config.metrics = &p->metrics;
    p->api = dsmr_api_new(&config);
    if (p->api == NULL)
        return dsmr_plugin_refuse(p, "out of memory");
    struct dsmr_feed feed = dsmr_api_feed(p->api);
    dsmr_driver_set_feed(p->driver, &feed);
    return true;
}

/* Where AvalancheGo stands, or the store if that was set back: then AvalancheGo follows it. */
static struct dsmr_block *last_accepted(struct dsmr_plugin *p, const struct dsmr_query *query,
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

static bool start_node(struct dsmr_plugin *p, const struct dsmr_engine_tip *tip)
{
    const char *why = "";
    enum dsmr_err err = dsmr_driver_recover(p->driver);
    if (err != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s cannot be recovered: %s", p->data_dir, dsmr_err_text(err));
    struct dsmr_query query = dsmr_driver_query_port(p->driver);
    struct dsmr_submit submit = dsmr_driver_submit_port(p->driver);
    struct dsmr_block *block = last_accepted(p, &query, tip);
    if (block == NULL)
        return dsmr_plugin_refuse(p, "%s: the last accepted block cannot be read", p->data_dir);
    dsmr_snow_engine_attach(p->engine, p->driver, &query, block);
    dsmr_block_unref(block);
    dsmr_p_validators_attach(p->validators, p->driver);
    dsmr_app_net_attach(p->net, p->config.is_direct ? (void *)p : (void *)p->driver);
    if (dsmr_api_start(p->api, &why, &query, &submit) != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s", why);
    const struct dsmr_http_service_config http = {.http = dsmr_api_http(p->api),
                                                  .body_bytes_max = DSMR_ROUTES_BODY_BYTES_MAX,
                                                  .calls_max = HTTP_CALLS_MAX};
    if (dsmr_http_service_start(&p->http, &http) != DSMR_OK)
        return dsmr_plugin_refuse(p, "no port for HTTP calls");
    return true;
}

/* Tools that load a chain look here for the door. */
static bool write_ports(struct dsmr_plugin *p)
{
    char path[PATH_MAX + 16], text[256];
    snprintf(path, sizeof path, "%s/ports.json", p->data_dir);
    snprintf(text, sizeof text,
             "{\"pid\":%d,\"http_port\":%u,\"submit_port\":%u,\"direct_port\":%u}\n", (int)getpid(),
             dsmr_api_http_port(p->api), dsmr_api_submit_port(p->api),
             p->transport != NULL ? dsmr_tcp_net_listen_port(p->transport) : 0u);
    if (dsmr_files_write(path, text, strlen(text), 0644) != DSMR_OK)
        return dsmr_plugin_refuse(p, "%s: cannot be written: %s", path, strerror(errno));
    return true;
}

/* Where AvalancheGo stands. If this disk is empty, one that was lost or is new, the chain is run
 * again from genesis; a disk that has blocks but not that one is refused by recovery. */
static bool find_tip(struct dsmr_plugin *p, struct dsmr_engine_tip *tip)
{
    char reason[DSMR_GRPC_CLIENT_REASON_BYTES] = "", text[160];
    struct dsmr_store store = dsmr_lmdb_store_port(p->store);
    struct dsmr_id id;
    uint64_t height;
    enum dsmr_err err = dsmr_snow_engine_read_tip(p->engine, tip, reason);
    if (err != DSMR_OK)
        return dsmr_plugin_refuse(p,
                                  "the last accepted block is not to be had from AvalancheGo: %s",
                                  reason[0] != '\0' ? reason : dsmr_err_text(err));
    if (tip->height == 0 || store.ops->last_accepted(store.self, &height, &id) != DSMR_ERR_UNKNOWN)
        return true;
    snprintf(text, sizeof text,
             "no blocks here, and AvalancheGo stands at height %" PRIu64
             ": all blocks are fetched and run again",
             tip->height);
    dsmr_plugin_say(p, DSMR_LOG_WARN, text);
    err = dsmr_snow_engine_reset_tip(p->engine, tip, reason);
    if (err != DSMR_OK)
        return dsmr_plugin_refuse(p, "AvalancheGo's database cannot be set back to genesis: %s",
                                  reason[0] != '\0' ? reason : dsmr_err_text(err));
    return true;
}

bool dsmr_plugin_initialize(struct dsmr_plugin *p, const Dsmr__Pb__InitializeRequest *request)
{
    struct dsmr_engine_tip tip;
    if (!read_request(p, request) || !check_time(p, request->network_upgrades) ||
        !open_application(p) || !open_clients(p, request) || !open_store(p) || !open_ports(p) ||
        !find_tip(p, &tip))
        return false;
    return open_driver(p, &tip) && open_api(p) && start_node(p, &tip) && write_ports(p);
}
