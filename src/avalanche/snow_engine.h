/* snow_engine.h - ports/engine.h for Snowman: AvalancheGo decides, this end answers.
 *
 * Why:     AvalancheGo builds, parses, verifies, accepts and rejects by calls of its own; the
 *          driver answers later. Each call is one request of the port.
 * Context: the P-Chain height of a call is the epoch of the block (protocol.md, 3.5); without one
 *          it is DSMR_EPOCH_NONE. Every block says that it wants one.
 * Begin:   the first block is empty and built at once, by whoever is first (protocol.md, 8.4).
 *          A node whose subnet has no validators, as where sybil protection is off, would accept
 *          its own and be alone with it for ever. And the P-Chain height which AvalancheGo gives
 *          the first block is the epoch of all blocks above it until a later one ends that: if
 *          the subnet had no validators then, there is none. Hence config.may_begin.
 * Pointer: the last accepted block of AvalancheGo's own database stands in that database too, so
 *          that both share the fate of a power loss; it is written after the node's own accept
 *          is durable and before the answer. Blocks above it are nobody's: GetBlock does not
 *          know them.
 * Waiting: a verdict that depends on what is still on its way (a validator set, a full queue)
 *          is asked for again, for DSMR_SNOW_ENGINE_WAIT_MS, ten times that while AvalancheGo
 *          bootstraps, as a block that fails there ends the chain. Not for a block whose time lies
 *          further ahead than that, nor for a context that is missing, nor for room among as many
 *          blocks as the core keeps undecided, if none may go: the node's consensus stands still
 *          while we wait. All blocks that wait for our clock between an accept and the next have
 *          that time together: one proposer may make any number of them.
 * Room:    the core keeps DSMR_PROCESSING_BLOCKS_MAX undecided blocks, this end more. The core
 *          forgets leaves that are not preferred, and gets them again before it needs them.
 * Threads: all on the logic thread. */
#ifndef DSMR_AVALANCHE_SNOW_ENGINE_H
#define DSMR_AVALANCHE_SNOW_ENGINE_H

#include "avalanche/grpc_client.h"
#include "avalanche/grpc_server.h"
#include "base/metrics.h"
#include "dsmr/types.h"
#include "ports/clock.h"
#include "ports/engine.h"
#include "ports/log.h"
#include "ports/query.h"

#define DSMR_SNOW_ENGINE_WAIT_MS 5000u
#define DSMR_SNOW_ENGINE_BLOCKS_MAX 4096u  /* verified or built, and not decided */
#define DSMR_SNOW_ENGINE_REQUESTS_MAX 256u /* calls that wait for the driver */

struct dsmr_snow_engine; /* opaque */

struct dsmr_snow_engine_config {
    struct dsmr_params params;
    struct dsmr_block *genesis; /* referenced */
    struct dsmr_clock clock;
    struct dsmr_log log;
    struct dsmr_metrics *metrics; /* counts what does not parse; NULL: nobody */
    struct dsmr_grpc_client *db;  /* AvalancheGo's database; borrowed until free */
    uint64_t seed;
    /* Whether the first block may be built, asked again and again while not. NULL: yes. */
    bool (*may_begin)(void *ctx);
    void *ctx;
};

/* NULL if out of memory. Caller frees. */
struct dsmr_snow_engine *dsmr_snow_engine_new(const struct dsmr_snow_engine_config *config);
void dsmr_snow_engine_free(struct dsmr_snow_engine *engine); /* after close; NULL is fine */
struct dsmr_engine dsmr_snow_engine_port(struct dsmr_snow_engine *engine);

/* Reads the pointer from AvalancheGo's database; height 0 and genesis' id if there is none.
 * UNAVAILABLE, TIMEOUT, MALFORMED with a sentence. Waits. */
DSMR_MUST_USE enum dsmr_err dsmr_snow_engine_read_tip(struct dsmr_snow_engine *engine,
                                                      struct dsmr_engine_tip *out,
                                                      char reason[DSMR_GRPC_CLIENT_REASON_BYTES]);
/* Sets the pointer to genesis, for a node whose own disk is empty: AvalancheGo follows it back and
 * brings all blocks again. As above. */
DSMR_MUST_USE enum dsmr_err dsmr_snow_engine_reset_tip(struct dsmr_snow_engine *engine,
                                                       struct dsmr_engine_tip *out,
                                                       char reason[DSMR_GRPC_CLIENT_REASON_BYTES]);
/* The driver has recovered and stands at last_accepted, as far as AvalancheGo knows. Borrowed. */
void dsmr_snow_engine_attach(struct dsmr_snow_engine *engine, struct dsmr_driver *driver,
                             const struct dsmr_query *query, struct dsmr_block *last_accepted);
/* Answers InitializeRequest: where the chain stands. */
void dsmr_snow_engine_answer_initialize(struct dsmr_snow_engine *engine,
                                        struct dsmr_grpc_call *call);
/* Every call that waits fails with reason, and every later one at once. */
void dsmr_snow_engine_close(struct dsmr_snow_engine *engine, const char *reason);

void dsmr_snow_engine_tick(struct dsmr_snow_engine *engine);
uint64_t dsmr_snow_engine_deadline_ms(const struct dsmr_snow_engine *engine);

/* ---- AvalancheGo's calls; each is answered once ---- */
void dsmr_snow_engine_set_state(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                const struct dsmr_buf *request);
void dsmr_snow_engine_wait_for_event(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call);
void dsmr_snow_engine_cancelled(struct dsmr_snow_engine *engine, uint64_t serial);
void dsmr_snow_engine_build(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                            const struct dsmr_buf *request);
void dsmr_snow_engine_parse(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                            const struct dsmr_buf *request);
void dsmr_snow_engine_parse_batch(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                  const struct dsmr_buf *request);
void dsmr_snow_engine_get_block(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                const struct dsmr_buf *request);
void dsmr_snow_engine_get_ancestors(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                    const struct dsmr_buf *request);
void dsmr_snow_engine_get_id_at(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                                const struct dsmr_buf *request);
void dsmr_snow_engine_prefer(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request);
void dsmr_snow_engine_verify(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request);
void dsmr_snow_engine_accept(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request);
void dsmr_snow_engine_reject(struct dsmr_snow_engine *engine, struct dsmr_grpc_call *call,
                             const struct dsmr_buf *request);

#endif
