#include "plugin/plugin.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/exit_codes.h"
#include "host/heap.h"
#include "host/host_clock.h"
#include "plugin/plugin_state.h"

#define HANDSHAKE_TIMEOUT_MS 4500u /* AvalancheGo gives up after 5 s */
#define CALLS_MAX 1024u
#define APP_BYTES_MAX (64u << 20)

/* ---- what all files of it say ---- */

struct dsmr_log dsmr_plugin_log(struct dsmr_plugin *p)
{
    return dsmr_stderr_log_port(&p->log);
}

void dsmr_plugin_say(struct dsmr_plugin *p, enum dsmr_log_level level, const char *text)
{
    struct dsmr_log log = dsmr_plugin_log(p);
    log.ops->line(log.self, level, "plugin", text);
}

__attribute__((format(printf, 2, 3))) bool dsmr_plugin_refuse(struct dsmr_plugin *p,
                                                              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->reason, sizeof p->reason, format, args);
    va_end(args);
    return false;
}

/* ---- the loop ---- */

static uint64_t deadline_ms(const struct dsmr_plugin *p)
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

/* False: there were none. */
static bool run_tasks(struct dsmr_plugin *p, uint64_t until_ms)
{
    struct dsmr_task *task = dsmr_host_inbox_pop(p->inbox, until_ms);
    bool is_any = task != NULL;
    while (task != NULL) {
        struct dsmr_task *next = task->next;
        if (p->driver != NULL)
            dsmr_driver_task(p->driver, task);
        else
            task->done(task, NULL);
        task = next;
    }
    return is_any;
}

/* The chain stands still; AvalancheGo is told so by every call, and its health shows it. */
static void notice_halt(struct dsmr_plugin *p)
{
    const char *why = NULL;
    char text[400];
    if (!p->is_initialized || p->is_halted || dsmr_driver_halted(p->driver, &why) == DSMR_OK)
        return;
    p->is_halted = true;
    snprintf(p->reason, sizeof p->reason, "halted: %.400s", why);
    snprintf(text, sizeof text, "%.390s", p->reason);
    dsmr_plugin_say(p, DSMR_LOG_ERROR, text);
    dsmr_snow_engine_close(p->engine, p->reason);
}

static void loop(struct dsmr_plugin *p)
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
            (void)run_tasks(p, until_ms);
        }
        notice_halt(p);
    }
}

/* Signals and the parent's end come at any time: from here on they find nobody. */
static void stop_watching(struct dsmr_plugin *p)
{
    if (p->has_signals)
        dsmr_signals_close(&p->signals);
    p->has_signals = false;
    if (p->has_watch) {
        eventfd_write(p->watch_end_fd, 1);
        pthread_join(p->watch_thread, NULL);
        close(p->parent_fd);
        close(p->watch_end_fd);
    }
    p->has_watch = false;
}

/* Doors first, then what works behind them; everything that is on its way comes home. What works
 * may still call AvalancheGo, and be told that it is over: the clients are closed, and freed last.
 */
void dsmr_plugin_stop(struct dsmr_plugin *p)
{
    stop_watching(p);
    dsmr_host_inbox_close(p->inbox);
    if (p->engine != NULL)
        dsmr_snow_engine_close(p->engine, "the chain is shut down");
    if (p->http != NULL)
        dsmr_http_service_stop(p->http);
    if (p->api != NULL)
        dsmr_api_stop(p->api);
    dsmr_vm_service_stop(p->service);
    (void)run_tasks(p, 0);
    dsmr_grpc_client_close(p->db);
    dsmr_grpc_client_close(p->node);
    dsmr_tcp_net_close(p->transport);
    if (p->driver != NULL) {
        struct dsmr_net none = {NULL, NULL};
        dsmr_driver_set_net(p->driver, &none);
        dsmr_driver_close(p->driver);
    }
    dsmr_workers_free(p->workers);
    dsmr_lmdb_store_close(p->store);
    while (run_tasks(p, 0) || (p->driver != NULL && dsmr_driver_outstanding(p->driver) > 0)) {
    }
    dsmr_driver_free(p->driver);
    dsmr_http_service_free(p->http);
    dsmr_api_free(p->api);
    dsmr_vm_service_free(p->service);
    dsmr_snow_engine_free(p->engine);
    dsmr_direct_net_free(p->direct);
    dsmr_app_net_free(p->net);
    dsmr_tls_identity_free(p->identity);
    dsmr_p_validators_free(p->validators);
    dsmr_grpc_client_free(p->db);
    dsmr_grpc_client_free(p->node);
    if (p->app.ops != NULL)
        p->app.ops->free(p->app.self);
    if (p->has_genesis)
        dsmr_genesis_close(&p->genesis);
    dsmr_host_inbox_free(p->inbox);
}

/* ---- the process ---- */

static void on_signal(void *ctx, int number)
{
    struct dsmr_plugin *p = ctx;
    (void)number;
    if (!atomic_load(&p->may_end))
        return;
    atomic_store(&p->is_stopping, true);
    dsmr_host_inbox_wake(p->inbox);
}

/* AvalancheGo may be killed by force: nobody says Shutdown then. */
static void *watch_parent(void *ctx)
{
    struct dsmr_plugin *p = ctx;
    struct pollfd ready[2] = {{.fd = p->parent_fd, .events = POLLIN},
                              {.fd = p->watch_end_fd, .events = POLLIN}};
    while (poll(ready, 2, -1) < 0 && errno == EINTR) {
    }
    if (ready[1].revents != 0)
        return NULL;
    atomic_store(&p->is_stopping, true);
    dsmr_host_inbox_wake(p->inbox);
    return NULL;
}

static bool start_watch(struct dsmr_plugin *p, pid_t parent)
{
    p->parent_fd = (int)syscall(SYS_pidfd_open, parent, 0u);
    p->watch_end_fd = eventfd(0, EFD_CLOEXEC);
    if (p->parent_fd < 0 || p->watch_end_fd < 0 || getppid() != parent)
        return false;
    p->has_watch = pthread_create(&p->watch_thread, NULL, watch_parent, p) == 0;
    return p->has_watch;
}

static int shake_hands(struct dsmr_plugin *p, const char *engine)
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

static int start(struct dsmr_plugin *p, const char *engine, pid_t parent)
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
    const struct dsmr_vm_service_config service = {.methods = dsmr_plugin_methods,
                                                   .self = p,
                                                   .cancelled = dsmr_plugin_on_cancelled,
                                                   .inbox = dsmr_host_inbox_port(p->inbox),
                                                   .metrics = &p->metrics,
                                                   .request_bytes_max = DSMR_PLUGIN_GRPC_BYTES_MAX,
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
    static struct dsmr_plugin plugin; /* large */
    struct dsmr_plugin *p = &plugin;
    pid_t parent = getppid();
    dsmr_heap_set_up(false); /* its chunks are small, and so is to be its memory */
    int code = start(p, engine, parent);
    if (code < 0) {
        loop(p);
        code = p->is_halted ? DSMR_EXIT_HALTED : p->ends_ms != 0 ? DSMR_EXIT_CONFIG : DSMR_EXIT_OK;
    }
    if (p->service != NULL)
        dsmr_plugin_stop(p);
    return code;
}
