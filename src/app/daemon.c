#include "app/daemon.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "app/application.h"
#include "app/exit_codes.h"
#include "app/genesis.h"
#include "app/home_check.h"
#include "app/inspect.h"
#include "app/never_voted.h"
#include "app/node_config.h"
#include "app/node_settings.h"
#include "base/bytes.h"
#include "base/metrics.h"
#include "crypto/bls.h"
#include "crypto/hash.h"
#include "driver/driver.h"
#include "host/file_signer.h"
#include "host/heap.h"
#include "host/home_lock.h"
#include "host/host_clock.h"
#include "host/host_inbox.h"
#include "host/os_random.h"
#include "host/signals.h"
#include "host/stderr_log.h"
#include "host/workers.h"
#include "net/tcp_net.h"
#include "net/tls_identity.h"
#include "store/lmdb_store.h"

struct daemon {
    const struct dsmr_cli_values *values;
    const struct dsmr_home *home;
    struct dsmr_home_lock lock;
    bool is_locked;
    struct dsmr_signals signals;
    bool has_signals;
    struct dsmr_node_settings settings;
    struct dsmr_metrics metrics;
    struct dsmr_genesis genesis;
    bool has_genesis;
    struct dsmr_app app;
    struct dsmr_file_signer *signer;
    struct dsmr_tls_identity *identity;
    struct dsmr_host_inbox *inbox;
    struct dsmr_workers *workers;
    struct dsmr_lmdb_store *store;
    struct dsmr_driver *driver;
    struct dsmr_api *api;
    struct dsmr_tcp_net *net;
    atomic_bool is_stopping;
};

static int exit_code_of(enum dsmr_err err)
{
    switch (err) {
    case DSMR_OK:
    case DSMR_ERR_CLOSED:
        return DSMR_EXIT_OK;
    case DSMR_ERR_HALTED:
        return DSMR_EXIT_HALTED;
    case DSMR_ERR_DISK_FULL:
        return DSMR_EXIT_DISK_LOW;
    case DSMR_ERR_IO:
        return DSMR_EXIT_IO;
    case DSMR_ERR_CORRUPT:
    case DSMR_ERR_NEWER_FORMAT:
    case DSMR_ERR_WRONG_NETWORK:
    case DSMR_ERR_WRONG_CHAIN:
        return DSMR_EXIT_DATA;
    case DSMR_ERR_CONFIG:
    case DSMR_ERR_LIMIT:
    case DSMR_ERR_LOCKED:
        return DSMR_EXIT_CONFIG;
    case DSMR_ERR_UNAVAILABLE:
        return DSMR_EXIT_UNAVAILABLE;
    default:
        return DSMR_EXIT_INTERNAL;
    }
}

static void on_signal(void *ctx, int number)
{
    struct daemon *d = ctx;
    (void)number;
    atomic_store(&d->is_stopping, true);
    dsmr_host_inbox_wake(d->inbox);
}

/* ---- start, in the order in which things can go wrong cheaply ---- */

static int read_settings(struct daemon *d)
{
    return dsmr_node_settings_read(&d->settings, d->values);
}

static int take_lock(struct daemon *d)
{
    int code = dsmr_home_check_lock(d->values, d->home, &d->lock);
    d->is_locked = code < 0;
    return code;
}

static int open_keys(struct daemon *d)
{
    char path[PATH_MAX], certificate[PATH_MAX];
    char reason[DSMR_KEY_FILE_REASON_BYTES] = "";
    char tls_reason[DSMR_TLS_IDENTITY_REASON_BYTES] = "";
    dsmr_home_path(path, d->home, "keys/bls.key");
    enum dsmr_err err = dsmr_file_signer_open(&d->signer, reason, path);
    if (err != DSMR_OK)
        return dsmr_cli_fail(d->values, DSMR_EXIT_CONFIG, "%s", reason);
    dsmr_home_path(path, d->home, "keys/tls.key");
    dsmr_home_path(certificate, d->home, "keys/tls.crt");
    err = dsmr_tls_identity_open(&d->identity, tls_reason, path, certificate);
    if (err != DSMR_OK)
        return dsmr_cli_fail(d->values, DSMR_EXIT_CONFIG, "%s", tls_reason);
    return -1;
}

static int open_genesis(struct daemon *d)
{
    char path[PATH_MAX], reason[DSMR_GENESIS_REASON_BYTES] = "out of memory";
    dsmr_home_path(path, d->home, "config/genesis.json");
    enum dsmr_err err = dsmr_genesis_load(&d->genesis, reason, path);
    if (err != DSMR_OK)
        return dsmr_cli_fail(d->values, DSMR_EXIT_DATA, "%s", reason);
    d->has_genesis = true;
    int code = dsmr_node_config_fits(d->values, &d->genesis.params);
    if (code >= 0)
        return code;
    if (dsmr_application_new(&d->app, d->genesis.app_name, &d->genesis.params.domain) != DSMR_OK)
        return dsmr_cli_fail(d->values, DSMR_EXIT_DATA, "%s: app.name \"%s\" is not known: %s",
                             path, d->genesis.app_name, dsmr_application_names());
    char state[PATH_MAX], said[DSMR_APPLICATION_REASON_BYTES] = "out of memory";
    dsmr_home_path(state, d->home, "data/state/data.mdb");
    /* Where there is a state, it came from a genesis that was good. */
    if (access(state, F_OK) != 0 &&
        dsmr_application_check(&d->app, said, d->genesis.app_json) != DSMR_OK)
        return dsmr_cli_fail(d->values, DSMR_EXIT_DATA, "%s: %s", path, said);
    return -1;
}

static int check_identity(struct daemon *d)
{
    bool is_named = false;
    int code = dsmr_home_check_keys(d->values, d->home, &d->genesis, &d->identity->node_id,
                                    dsmr_file_signer_public_key(d->signer), &is_named);
    if (code < 0)
        code = dsmr_home_check_settings(d->values, &d->settings, &d->genesis);
    if (code < 0 && !is_named && !dsmr_cli_flag(d->values, "follow"))
        fprintf(stderr, "dsmrd: genesis names no validator with this node's keys: validators will "
                        "not serve it\n");
    return code;
}

static int open_threads(struct daemon *d)
{
    struct dsmr_host_inbox_config inbox;
    dsmr_host_inbox_config_default(&inbox);
    d->inbox = dsmr_host_inbox_new(&inbox);
    if (d->inbox == NULL)
        return dsmr_cli_fail(d->values, DSMR_EXIT_INTERNAL, "out of memory");
    if (dsmr_signals_init(&d->signals, on_signal, d) != DSMR_OK)
        return dsmr_cli_fail(d->values, DSMR_EXIT_INTERNAL, "signals cannot be received");
    d->has_signals = true;
    struct dsmr_inbox port = dsmr_host_inbox_port(d->inbox);
    d->workers = dsmr_workers_new(&port, (uint32_t)dsmr_cli_number(d->values, "workers"));
    if (d->workers == NULL)
        return dsmr_cli_fail(d->values, DSMR_EXIT_INTERNAL, "threads cannot be started");
    return -1;
}

static int open_store(struct daemon *d)
{
    char path[PATH_MAX], reason[PATH_MAX] = "";
    dsmr_home_path(path, d->home, "data");
    uint64_t map_bytes = dsmr_cli_number(d->values, "store-map-bytes");
    struct dsmr_lmdb_store_config store = {.directory = path,
                                           .inbox = dsmr_host_inbox_port(d->inbox),
                                           .log = dsmr_stderr_log_port(&d->settings.log),
                                           .metrics = &d->metrics,
                                           .consensus_map_bytes = map_bytes,
                                           .state_map_bytes = map_bytes,
                                           .reason = reason,
                                           .reason_bytes = sizeof reason,
                                           .give_up = dsmr_inspect_give_up};
    enum dsmr_err err =
        dsmr_never_voted_open_store(&d->store, &store, dsmr_file_signer_public_key(d->signer),
                                    d->genesis.schedule[0].set->epoch);
    if (err == DSMR_ERR_NEWER_FORMAT)
        return dsmr_cli_fail(d->values, DSMR_EXIT_DATA,
                             "%s was written by a newer version of this program", path);
    if (err != DSMR_OK)
        return dsmr_cli_fail(d->values, exit_code_of(err), "%s (%s)", reason, dsmr_err_text(err));
    return -1;
}

static int open_driver(struct daemon *d)
{
    struct dsmr_driver_config config;
    memset(&config, 0, sizeof config);
    uint64_t seed;
    dsmr_os_random((uint8_t *)&seed, sizeof seed);
    config.node.params = d->genesis.params;
    config.node.fee_recipient = d->settings.fee_recipient;
    config.node.node_id = d->identity->node_id;
    config.node.seed = seed;
    dsmr_os_random(config.node.secret.bytes, sizeof config.node.secret.bytes);
    config.node.validators_max = d->genesis.validators_max;
    config.node.mempool_bytes_max = dsmr_cli_number(d->values, "mempool-bytes");
    config.node.mempool_txs_max = (uint32_t)dsmr_cli_number(d->values, "mempool-txs");
    config.node.chunk_cache_bytes_max = dsmr_cli_number(d->values, "chunk-cache-bytes");
    config.node.retry_ms = (uint32_t)dsmr_cli_number(d->values, "retry");
    config.node.fetch_timeout_ms = (uint32_t)dsmr_cli_number(d->values, "fetch-timeout");
    config.node.fetches_max = 32;
    config.node.can_produce = !dsmr_cli_flag(d->values, "follow");
    config.bft.params = d->genesis.params;
    config.bft.node_id = d->identity->node_id;
    config.bft.schedule = d->genesis.schedule;
    config.bft.schedule_count = d->genesis.schedule_count;
    config.bft.view_timeout_ms = (uint32_t)dsmr_cli_number(d->values, "view-timeout");
    config.bft.view_timeout_max_ms = config.bft.view_timeout_ms * 32u;
    config.bft.retry_ms = config.node.retry_ms;
    config.bft.seed = seed + 1;
    config.genesis = d->genesis.block;
    config.app_genesis = d->genesis.app_json;
    config.app_genesis_len = strlen(d->genesis.app_json);
    config.disk_low_bytes = dsmr_cli_number(d->values, "disk-low-bytes");
    config.submits_max = 1024;
    config.submit_bytes_max = config.node.mempool_bytes_max;
    config.store = dsmr_lmdb_store_port(d->store);
    config.kv = dsmr_lmdb_store_kv(d->store);
    config.work = dsmr_workers_port(d->workers);
    config.clock = dsmr_host_clock();
    config.validators = dsmr_genesis_validators(&d->genesis);
    config.signer = dsmr_file_signer_port(d->signer);
    config.app = d->app;
    config.log = dsmr_stderr_log_port(&d->settings.log);
    config.bls = &dsmr_bls_real;
    config.metrics = &d->metrics;
    if (dsmr_driver_new(&d->driver, &config) != DSMR_OK)
        return dsmr_cli_fail(d->values, DSMR_EXIT_INTERNAL, "out of memory");
    return -1;
}

static void tx_id(struct dsmr_id *out, const void *bytes, size_t len)
{
    dsmr_hash(out, bytes, len);
}

static int open_api(struct daemon *d)
{
    struct dsmr_api_config config;
    const struct dsmr_node_settings *settings = &d->settings;
    dsmr_api_config_default(&config);
    config.http_address = settings->http.host;
    config.http_port = settings->http.port;
    config.submit_address = settings->submit.host;
    config.submit_port = settings->submit.port;
    config.allow_remote = dsmr_cli_flag(d->values, "allow-remote");
    config.hosts = settings->hosts;
    config.hosts_count = settings->hosts_count;
    config.domain = d->genesis.params.domain;
    config.app_name = d->app.ops->name;
    config.engine_name = "bft";
    config.version = DSMR_VERSION;
    config.tx_id = tx_id;
    config.clock = dsmr_host_clock();
    config.log = dsmr_stderr_log_port(&d->settings.log);
    config.metrics = &d->metrics;
    d->api = dsmr_api_new(&config);
    if (d->api == NULL)
        return dsmr_cli_fail(d->values, DSMR_EXIT_INTERNAL, "out of memory");
    struct dsmr_feed feed = dsmr_api_feed(d->api);
    dsmr_driver_set_feed(d->driver, &feed);
    return -1;
}

static int open_net(struct daemon *d)
{
    const struct dsmr_node_settings *settings = &d->settings;
    struct dsmr_tcp_net_address *addresses = calloc(settings->peers_count + 1u, sizeof *addresses);
    if (addresses == NULL)
        return dsmr_cli_fail(d->values, DSMR_EXIT_INTERNAL, "out of memory");
    for (uint32_t i = 0; i < settings->peers_count; i++) {
        addresses[i].node_id = settings->peers[i].node_id;
        addresses[i].host = settings->peers[i].host;
        addresses[i].port = settings->peers[i].port;
    }
    struct dsmr_tcp_net_config config;
    memset(&config, 0, sizeof config);
    dsmr_tcp_net_limits_default(&config.limits);
    config.limits.message_bytes_max = dsmr_params_message_bytes_max(&d->genesis.params);
    config.listen_host = settings->p2p.host;
    config.listen_port = settings->p2p.port;
    config.identity = d->identity;
    config.domain = d->genesis.params.domain;
    config.addresses = addresses;
    config.addresses_count = settings->peers_count;
    config.inbox = dsmr_host_inbox_port(d->inbox);
    config.handler = dsmr_driver_net_handler();
    config.metrics = &d->metrics;
    config.log = dsmr_stderr_log_port(&d->settings.log);
    dsmr_os_random((uint8_t *)&config.seed, sizeof config.seed);
    char reason[DSMR_TCP_NET_REASON_BYTES] = "";
    enum dsmr_err err = dsmr_tcp_net_open(&d->net, reason, &config);
    free(addresses);
    if (err != DSMR_OK)
        return dsmr_cli_fail(d->values, exit_code_of(err), "%s", reason);
    if (dsmr_host_inbox_add_listener(d->inbox, dsmr_tcp_net_resume, d->net) != DSMR_OK)
        return dsmr_cli_fail(d->values, DSMR_EXIT_INTERNAL, "too many listeners");
    struct dsmr_net port = dsmr_tcp_net_port(d->net);
    dsmr_driver_set_net(d->driver, &port);
    return -1;
}

/* Which database it is, and what is wrong with it. */
static int say_unrecovered(struct daemon *d, enum dsmr_err err)
{
    char path[PATH_MAX], cause[PATH_MAX] = "";
    const char *reason = NULL;
    enum dsmr_driver_part part = dsmr_driver_recovered_to(d->driver, &reason);
    struct dsmr_kv kv = dsmr_lmdb_store_kv(d->store);
    struct dsmr_store store = dsmr_lmdb_store_port(d->store);
    bool is_state = part == DSMR_DRIVER_PART_STATE;
    dsmr_home_path(path, d->home, is_state ? "data/state/data.mdb" : "data/consensus/data.mdb");
    if (is_state)
        kv.ops->cause(kv.self, cause, sizeof cause);
    else
        store.ops->cause(store.self, cause, sizeof cause);
    if (reason != NULL)
        return dsmr_cli_fail(d->values, exit_code_of(err), "%s: %s", path, reason);
    if (cause[0] != '\0')
        return dsmr_cli_fail(d->values, exit_code_of(err), "%s (%s)", cause, dsmr_err_text(err));
    return dsmr_cli_fail(d->values, exit_code_of(err), "%s: %s", path, dsmr_err_text(err));
}

static int start_node(struct daemon *d)
{
    enum dsmr_err err = dsmr_driver_recover(d->driver);
    if (err == DSMR_ERR_WRONG_NETWORK || err == DSMR_ERR_WRONG_CHAIN)
        return dsmr_cli_fail(d->values, exit_code_of(err),
                             "%s/data is of another chain than config/genesis.json beside it",
                             d->home->path);
    if (err == DSMR_ERR_CONFIG) /* a first start that was cut off, and then another genesis */
        return dsmr_cli_fail(d->values, DSMR_EXIT_DATA,
                             "%s/config/genesis.json: the application does not take its part: the "
                             "log says why",
                             d->home->path);
    if (err != DSMR_OK)
        return say_unrecovered(d, err);
    const char *reason = "";
    struct dsmr_query query = dsmr_driver_query_port(d->driver);
    struct dsmr_submit submit = dsmr_driver_submit_port(d->driver);
    err = dsmr_api_start(d->api, &reason, &query, &submit);
    if (err != DSMR_OK)
        return dsmr_cli_fail(d->values, exit_code_of(err), "%s", reason);
    return -1;
}

static int start(struct daemon *d)
{
    static int (*const steps[])(struct daemon *) = {
        read_settings, take_lock,   open_keys, open_genesis, check_identity, open_threads,
        open_store,    open_driver, open_api,  open_net,     start_node};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int code = steps[i](d);
        if (code >= 0)
            return code;
    }
    return -1;
}

/* Others read this line: the localnet, scripts, tests. */
static void announce(const struct daemon *d)
{
    char node_id[2 * sizeof d->identity->node_id.bytes + 1], chain_id[65];
    dsmr_hex_encode(node_id, d->identity->node_id.bytes, sizeof d->identity->node_id.bytes);
    dsmr_hex_encode(chain_id, d->genesis.params.domain.chain_id.bytes, 32);
    if (dsmr_cli_flag(d->values, "json")) {
        printf("{\"event\":\"started\",\"home\":");
        dsmr_cli_print_json(stdout, d->home->path);
        printf(",\"pid\":%d,\"node_id\":\"%s\",\"chain_id\":\"%s\",\"p2p_port\":%u,"
               "\"http_port\":%u,\"submit_port\":%u}\n",
               (int)getpid(), node_id, chain_id, dsmr_tcp_net_listen_port(d->net),
               dsmr_api_http_port(d->api), dsmr_api_submit_port(d->api));
    } else
        printf("node %s on chain %.16s: peers on port %u, HTTP on port %u, submit stream on port "
               "%u\n",
               node_id, chain_id, dsmr_tcp_net_listen_port(d->net), dsmr_api_http_port(d->api),
               dsmr_api_submit_port(d->api));
    fflush(stdout);
}

static void run_tasks(struct daemon *d, uint64_t deadline_ms)
{
    struct dsmr_task *task = dsmr_host_inbox_pop(d->inbox, deadline_ms);
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        dsmr_driver_task(d->driver, task);
        task = next;
    }
}

static int run(struct daemon *d)
{
    struct dsmr_clock clock = dsmr_host_clock();
    const char *reason = NULL;
    while (!atomic_load(&d->is_stopping) && dsmr_driver_halted(d->driver, &reason) == DSMR_OK) {
        uint64_t deadline_ms = dsmr_driver_deadline_ms(d->driver);
        if (deadline_ms <= clock.ops->mono_ms(clock.self))
            dsmr_driver_tick(d->driver);
        else
            run_tasks(d, deadline_ms);
    }
    enum dsmr_err err = dsmr_driver_halted(d->driver, &reason);
    if (err != DSMR_OK)
        return dsmr_cli_fail(d->values, exit_code_of(err), "halted: %s", reason);
    return DSMR_EXIT_OK;
}

/* Doors first, then what works behind them; everything that is on its way comes home. */
static void stop(struct daemon *d)
{
    if (d->has_signals)
        dsmr_signals_close(&d->signals);
    if (d->inbox != NULL)
        dsmr_host_inbox_close(d->inbox);
    if (d->api != NULL)
        dsmr_api_stop(d->api);
    dsmr_tcp_net_close(d->net);
    if (d->driver != NULL) {
        struct dsmr_net none = {NULL, NULL};
        dsmr_driver_set_net(d->driver, &none);
        dsmr_driver_close(d->driver);
    }
    dsmr_workers_free(d->workers); /* completes what it has */
    dsmr_lmdb_store_close(d->store);
    if (d->driver != NULL)
        run_tasks(d, 0);
    while (d->driver != NULL && dsmr_driver_outstanding(d->driver) > 0)
        run_tasks(d, 0);
    dsmr_driver_free(d->driver);
    dsmr_api_free(d->api);
    dsmr_host_inbox_free(d->inbox);
    if (d->app.ops != NULL)
        d->app.ops->free(d->app.self);
    dsmr_file_signer_free(d->signer);
    dsmr_tls_identity_free(d->identity);
    if (d->has_genesis)
        dsmr_genesis_close(&d->genesis);
    if (d->is_locked)
        dsmr_home_lock_drop(&d->lock);
}

int dsmr_daemon_run(struct dsmr_cli_values *values, const struct dsmr_home *home)
{
    dsmr_heap_set_up(true);
    struct daemon *d = calloc(1, sizeof *d);
    if (d == NULL)
        return dsmr_cli_fail(values, DSMR_EXIT_INTERNAL, "out of memory");
    d->values = values;
    d->home = home;
    int code = start(d);
    if (code < 0) {
        announce(d);
        code = run(d);
    }
    stop(d);
    free(d);
    return code;
}
