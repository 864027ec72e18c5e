/* grpc_client.h - unary gRPC calls to one server, as bytes.
 *
 * Why:     what AvalancheGo serves to its plugins: senders, validator sets, signatures, its
 *          database.
 * Limits:  an answer has at most bytes_max. Calls on their way are the caller's to bound.
 * Threads: call and start from any; done on the client's own thread, which must not be blocked. */
#ifndef DSMR_AVALANCHE_GRPC_CLIENT_H
#define DSMR_AVALANCHE_GRPC_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "dsmr/buf.h"
#include "dsmr/err.h"

#define DSMR_GRPC_CLIENT_REASON_BYTES 160u

struct dsmr_grpc_client; /* opaque */

/* address: "127.0.0.1:PORT". Connects when the first call needs it. NO_MEMORY. Caller frees. */
DSMR_MUST_USE enum dsmr_err dsmr_grpc_client_new(struct dsmr_grpc_client **out, const char *address,
                                                 size_t bytes_max);
/* Calls on their way end as CLOSED, all before it returns, and later ones at once. For an end in
 * which other threads still may call. NULL is fine. */
void dsmr_grpc_client_close(struct dsmr_grpc_client *client);
/* Closes it first. Nobody calls any more. NULL is fine. */
void dsmr_grpc_client_free(struct dsmr_grpc_client *client);

/* How a call ended. OK: bytes are the answer. TIMEOUT, CLOSED (this client is closed),
 * UNAVAILABLE (nobody answers there), MALFORMED (an error that the server answered). reason: the
 * server's words, never NULL. Borrowed. */
struct dsmr_grpc_answer {
    enum dsmr_err err;
    const uint8_t *bytes;
    size_t len;
    const char *reason;
};
typedef void (*dsmr_grpc_client_done_fn)(void *ctx, const struct dsmr_grpc_answer *answer);

/* Starts a call and returns; bytes are copied. done comes once, perhaps at once when there is no
 * memory (NO_MEMORY) or the client is being freed. */
void dsmr_grpc_client_start(struct dsmr_grpc_client *client, const char *method,
                            const uint8_t *bytes, size_t len, uint32_t timeout_ms,
                            dsmr_grpc_client_done_fn done, void *ctx);
/* The same, and waits; never on a thread that a done runs on. *out: the answer, caller unrefs;
 * NULL on error. */
DSMR_MUST_USE enum dsmr_err dsmr_grpc_client_call(struct dsmr_grpc_client *client,
                                                  struct dsmr_buf **out,
                                                  char reason[DSMR_GRPC_CLIENT_REASON_BYTES],
                                                  const char *method, const uint8_t *bytes,
                                                  size_t len, uint32_t timeout_ms);

#endif
