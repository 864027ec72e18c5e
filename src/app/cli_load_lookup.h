/* cli_load_lookup.h - asks the nodes what became of transactions whose connection has ended.
 *
 * Why:        a load must not call lost what another node has executed.
 * How:        GET /v1/tx/{id}, first half a second after the end of the connection, then after
 *             waits that double up to 8 s. Before its expiry (and the grace behind it) one node is
 *             asked; after that every node that answers. What then no node knows is lost; while no
 *             node answers, and while one says that it is on its way, nothing is decided.
 * Limits:     DSMR_CLI_LOAD_LOOKUP_MAX at once; what comes beyond is called lost unasked.
 * Threads:    its own, which calls decided without a lock held; add from any thread. */
#ifndef DSMR_APP_CLI_LOAD_LOOKUP_H
#define DSMR_APP_CLI_LOAD_LOOKUP_H

#include "app/cli_load_flight.h"
#include "app/cli_load_tx.h"

#define DSMR_CLI_LOAD_LOOKUP_MAX (1u << 20)

struct dsmr_cli_load_lookup; /* opaque */

enum dsmr_cli_load_verdict {
    DSMR_CLI_LOAD_UNDECIDED,
    DSMR_CLI_LOAD_EXECUTED,
    DSMR_CLI_LOAD_FAILED,
    DSMR_CLI_LOAD_EXPIRED,
    DSMR_CLI_LOAD_LOST
};

/* Called once for every transaction that was added, unless the lookup is freed before. height: of
 * EXECUTED and FAILED. */
typedef void (*dsmr_cli_load_lookup_decided)(void *ctx, uint32_t node,
                                             const struct dsmr_cli_load_flight_tx *tx,
                                             enum dsmr_cli_load_verdict verdict, uint64_t height);

/* config, maker (which makes the transactions again, for their ids): borrowed until free. NULL: no
 * memory. Caller frees. */
struct dsmr_cli_load_lookup *dsmr_cli_load_lookup_new(const struct dsmr_cli_load_config *config,
                                                      const struct dsmr_cli_load_tx *maker,
                                                      dsmr_cli_load_lookup_decided decided,
                                                      void *ctx);
/* Waits for the request that is under way. The caller holds nothing that decided needs. */
void dsmr_cli_load_lookup_free(struct dsmr_cli_load_lookup *lookup); /* NULL is fine */
/* A transaction that went to node. false if there is no room for it. */
DSMR_MUST_USE bool dsmr_cli_load_lookup_add(struct dsmr_cli_load_lookup *lookup, uint32_t node,
                                            const struct dsmr_cli_load_flight_tx *tx);

#endif
