/* grpc_server.h - unary gRPC calls on a port of the loopback, as bytes.
 *
 * Why:     AvalancheGo speaks gRPC to its plugins. gRPC's C core is the library; here it is a table
 *          of nothing but "method, bytes in, bytes out", so that no other file knows it.
 * Not here: what the bytes mean (vm_service.h, http_service.h).
 * Limits:  a request has at most bytes_max; calls that wait for an answer at once: calls_max, one
 *          above it is refused as RESOURCE_EXHAUSTED.
 * Threads: handle and cancelled on the server's own thread, which must not be blocked; reply and
 *          fail from any. */
#ifndef DSMR_AVALANCHE_GRPC_SERVER_H
#define DSMR_AVALANCHE_GRPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmr/err.h"

#define DSMR_GRPC_SERVER_ADDRESS_BYTES 32u

struct dsmr_grpc_server; /* opaque */
struct dsmr_grpc_call;   /* opaque: a request that waits for its answer */

struct dsmr_grpc_server_config {
    /* method: "/vm.VM/Version". bytes: borrowed during the call. The call has to be answered once,
     * during this or later. */
    void (*handle)(void *ctx, struct dsmr_grpc_call *call, const char *method, const uint8_t *bytes,
                   size_t len);
    /* The caller does not wait any more; the call has to be answered all the same, with anything.
     * Not called for one that is answered. NULL: not of interest. */
    void (*cancelled)(void *ctx, struct dsmr_grpc_call *call);
    void *ctx;
    size_t bytes_max;
    uint32_t calls_max;
};

/* Listens on 127.0.0.1, any free port, and starts the thread. NO_MEMORY, UNAVAILABLE. Caller
 * frees. */
DSMR_MUST_USE enum dsmr_err dsmr_grpc_server_start(struct dsmr_grpc_server **out,
                                                   const struct dsmr_grpc_server_config *config);
const char *dsmr_grpc_server_address(const struct dsmr_grpc_server *server); /* "127.0.0.1:PORT" */
/* Ends all calls (they count as cancelled) and the thread. Answers that are on their way have a
 * second to arrive. A call that is held may still be answered, until free. */
void dsmr_grpc_server_stop(struct dsmr_grpc_server *server);
/* All calls have been answered by now. NULL is fine. */
void dsmr_grpc_server_free(struct dsmr_grpc_server *server);

/* Answers, and gives the call away. bytes are copied. */
void dsmr_grpc_server_reply(struct dsmr_grpc_call *call, const uint8_t *bytes, size_t len);
/* Which call of the server it is, from 1 on: to name one that may have ended meanwhile. */
uint64_t dsmr_grpc_server_serial(const struct dsmr_grpc_call *call);
/* status: a code of gRPC's, not 0. message: copied. */
void dsmr_grpc_server_fail(struct dsmr_grpc_call *call, int status, const char *message);

#define DSMR_GRPC_UNKNOWN 2
#define DSMR_GRPC_DEADLINE_EXCEEDED 4
#define DSMR_GRPC_RESOURCE_EXHAUSTED 8
#define DSMR_GRPC_FAILED_PRECONDITION 9
#define DSMR_GRPC_UNIMPLEMENTED 12
#define DSMR_GRPC_INTERNAL 13
#define DSMR_GRPC_UNAVAILABLE 14

#endif
