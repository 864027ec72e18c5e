/* vm_service.h - AvalancheGo's calls, brought to the logic thread.
 *
 * Why:     the engine port and the net port are used on the logic thread only; AvalancheGo calls
 *          from threads of gRPC's. Each call becomes a task of the inbox.
 * Limits:  struct dsmr_vm_service_config; a call above calls_max is refused. What peers sent
 *          (App*) is answered at once and counts against app_bytes_max until it was handled: above
 *          it, it is dropped and counted, never an error: an error would stop the chain. The ends
 *          of our own requests (AppResponse, AppRequestFailed) count and are never dropped.
 *          Calls of Gather above DSMR_VM_SERVICE_SCRAPES_MAX are refused: HTTP clients make them.
 * Threads: start and free by the owner; methods run on the logic thread. */
#ifndef DSMR_AVALANCHE_VM_SERVICE_H
#define DSMR_AVALANCHE_VM_SERVICE_H

#include "avalanche/grpc_server.h"
#include "base/metrics.h"
#include "dsmr/buf.h"
#include "ports/task.h"

#define DSMR_VM_SERVICE_SCRAPES_MAX 64u

struct dsmr_vm_service; /* opaque */

/* One call. The method answers it once, now or later, with the functions of grpc_server.h; one of
 * AvalancheGo's App* has been answered already and call is NULL. request: borrowed. */
struct dsmr_vm_service_method {
    const char *name; /* "BuildBlock" */
    void (*run)(void *self, struct dsmr_grpc_call *call, struct dsmr_buf *request);
};

struct dsmr_vm_service_config {
    const struct dsmr_vm_service_method *methods; /* ends with a name of NULL; borrowed for ever */
    void *self;
    /* The caller of the call with this serial does not wait any more. On the logic thread. */
    void (*cancelled)(void *self, uint64_t serial);
    struct dsmr_inbox inbox;
    struct dsmr_metrics *metrics;
    size_t request_bytes_max;
    size_t app_bytes_max;
    uint32_t calls_max;
};

DSMR_MUST_USE enum dsmr_err dsmr_vm_service_start(struct dsmr_vm_service **out,
                                                  const struct dsmr_vm_service_config *config);
const char *dsmr_vm_service_address(const struct dsmr_vm_service *service);
/* No task comes after it. What is in the inbox is answered by whoever empties that. */
void dsmr_vm_service_stop(struct dsmr_vm_service *service);
/* Every call has been answered. NULL is fine. */
void dsmr_vm_service_free(struct dsmr_vm_service *service);

#endif
