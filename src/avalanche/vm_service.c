#include "avalanche/vm_service.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "/vm.VM/"

struct dsmr_vm_service {
    struct dsmr_vm_service_config config;
    struct dsmr_grpc_server *server;
    _Atomic size_t app_bytes; /* of peers' messages that wait for the logic thread */
    _Atomic uint32_t scrapes; /* calls of Gather that do */
};

struct call_task {
    struct dsmr_task task;
    struct dsmr_vm_service *service;
    const struct dsmr_vm_service_method *method;
    struct dsmr_grpc_call *call; /* NULL: it is answered */
    struct dsmr_buf *request;
    size_t app_bytes;
};
struct cancel_task {
    struct dsmr_task task;
    struct dsmr_vm_service *service;
    uint64_t serial;
};

/* Each HTTP client that asks the node for its metrics is one, and there may be any number. All
 * other calls are few, and if one of them found no place the chain would be shut down. */
static bool is_scrape(const struct dsmr_vm_service_method *method)
{
    return strcmp(method->name, "Gather") == 0;
}

/* ---- on the logic thread ---- */

static void run_call(struct dsmr_task *task, void *owner)
{
    struct call_task *call = (struct call_task *)task;
    (void)owner;
    call->method->run(call->service->config.self, call->call, call->request);
    if (is_scrape(call->method))
        atomic_fetch_sub(&call->service->scrapes, 1);
    atomic_fetch_sub(&call->service->app_bytes, call->app_bytes);
    dsmr_buf_unref(call->request);
    free(call);
}

static void run_cancel(struct dsmr_task *task, void *owner)
{
    struct cancel_task *cancel = (struct cancel_task *)task;
    (void)owner;
    cancel->service->config.cancelled(cancel->service->config.self, cancel->serial);
    free(cancel);
}

/* ---- on the server's thread ---- */

static const struct dsmr_vm_service_method *find(const struct dsmr_vm_service *service,
                                                 const char *method)
{
    size_t prefix = strlen(PREFIX);
    if (strncmp(method, PREFIX, prefix) != 0)
        return NULL;
    const struct dsmr_vm_service_method *found = service->config.methods;
    while (found->name != NULL && strcmp(found->name, method + prefix) != 0)
        found++;
    return found->name != NULL ? found : NULL;
}

/* Two of these run at once, and AvalancheGo waits for both with everything that peers send. */
static bool is_app(const struct dsmr_vm_service_method *method)
{
    return strncmp(method->name, "App", 3) == 0;
}

/* What ends a request of ours: without it that request would be on its way for ever. There are no
 * more of them than requests. */
static bool is_end(const struct dsmr_vm_service_method *method)
{
    return strcmp(method->name, "AppResponse") == 0 ||
           strcmp(method->name, "AppRequestFailed") == 0;
}

/* False: there is no room for it, and it is lost. */
static bool take_room(struct dsmr_vm_service *service, const struct dsmr_vm_service_method *method,
                      size_t len)
{
    size_t before = atomic_fetch_add(&service->app_bytes, len);
    if (before + len <= service->config.app_bytes_max || is_end(method))
        return true;
    atomic_fetch_sub(&service->app_bytes, len);
    dsmr_metrics_count_error(service->config.metrics, DSMR_ERR_FULL);
    return false;
}

/* False: there are too many, and it has been answered so. */
static bool take_scrape(struct dsmr_vm_service *service, struct dsmr_grpc_call *call)
{
    if (atomic_fetch_add(&service->scrapes, 1) < DSMR_VM_SERVICE_SCRAPES_MAX)
        return true;
    atomic_fetch_sub(&service->scrapes, 1);
    dsmr_grpc_server_fail(call, DSMR_GRPC_RESOURCE_EXHAUSTED, "too many ask for metrics");
    return false;
}

static void handle(void *ctx, struct dsmr_grpc_call *call, const char *name, const uint8_t *bytes,
                   size_t len)
{
    struct dsmr_vm_service *service = ctx;
    const struct dsmr_vm_service_method *method = find(service, name);
    if (method == NULL) {
        dsmr_grpc_server_fail(call, DSMR_GRPC_UNIMPLEMENTED, "there is no such method");
        return;
    }
    bool is_of_peer = is_app(method);
    size_t app_bytes = is_of_peer ? len + sizeof(struct call_task) : 0;
    if (is_of_peer && !take_room(service, method, app_bytes)) {
        dsmr_grpc_server_reply(call, NULL, 0);
        return;
    }
    if (is_scrape(method) && !take_scrape(service, call))
        return;
    struct call_task *task = calloc(1, sizeof *task);
    struct dsmr_buf *request = dsmr_buf_copy(bytes, len);
    if (task == NULL || request == NULL) {
        atomic_fetch_sub(&service->app_bytes, app_bytes);
        atomic_fetch_sub(&service->scrapes, is_scrape(method) ? 1u : 0u);
        free(task);
        dsmr_buf_unref(request);
        if (is_of_peer)
            dsmr_grpc_server_reply(call, NULL, 0);
        else
            dsmr_grpc_server_fail(call, DSMR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    *task = (struct call_task){.task.done = run_call,
                               .service = service,
                               .method = method,
                               .call = is_of_peer ? NULL : call,
                               .request = request,
                               .app_bytes = app_bytes};
    service->config.inbox.ops->complete(service->config.inbox.self, &task->task);
    if (is_of_peer)
        dsmr_grpc_server_reply(call, NULL, 0);
}

static void cancelled(void *ctx, struct dsmr_grpc_call *call)
{
    struct dsmr_vm_service *service = ctx;
    struct cancel_task *task = calloc(1, sizeof *task);
    if (task == NULL)
        return; /* it is answered when there is something to say */
    task->task.done = run_cancel;
    task->service = service;
    task->serial = dsmr_grpc_server_serial(call);
    service->config.inbox.ops->complete(service->config.inbox.self, &task->task);
}

/* ---- start and stop ---- */

enum dsmr_err dsmr_vm_service_start(struct dsmr_vm_service **out,
                                    const struct dsmr_vm_service_config *config)
{
    struct dsmr_vm_service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return DSMR_ERR_NO_MEMORY;
    service->config = *config;
    const struct dsmr_grpc_server_config server = {.handle = handle,
                                                   .cancelled = cancelled,
                                                   .ctx = service,
                                                   .bytes_max = config->request_bytes_max,
                                                   .calls_max = config->calls_max};
    enum dsmr_err err = dsmr_grpc_server_start(&service->server, &server);
    if (err != DSMR_OK) {
        free(service);
        return err;
    }
    *out = service;
    return DSMR_OK;
}

const char *dsmr_vm_service_address(const struct dsmr_vm_service *service)
{
    return dsmr_grpc_server_address(service->server);
}

void dsmr_vm_service_stop(struct dsmr_vm_service *service)
{
    dsmr_grpc_server_stop(service->server);
}

void dsmr_vm_service_free(struct dsmr_vm_service *service)
{
    if (service == NULL)
        return;
    dsmr_grpc_server_free(service->server);
    free(service);
}
