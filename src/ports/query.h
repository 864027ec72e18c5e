/* query.h - what the node knows, for HTTP and the CLI. Any thread; nothing here waits for the
 * logic thread: durable facts come from a store snapshot, live ones from a published copy. */
#ifndef DSMR_PORTS_QUERY_H
#define DSMR_PORTS_QUERY_H

#include "base/metrics.h"
#include "dsmr/types.h"
#include "ports/app.h"
#include "ports/submit.h"

struct dsmr_query_status {
    struct dsmr_domain domain;
    struct dsmr_node_id node_id;
    uint64_t height;         /* accepted */
    struct dsmr_id block_id; /* of the last accepted block */
    uint64_t chain_time_ms;
    uint64_t epoch; /* DSMR_EPOCH_NONE before the first */
    uint64_t executed_height;
    struct dsmr_id state_root;
    uint64_t view;
    uint32_t peers_connected;
    uint32_t validators;
    uint64_t mempool_txs, mempool_bytes;
    uint64_t disk_free_bytes;
    int64_t clock_offset_ms; /* the validators' clocks less ours: a median; 0 if unknown */
    bool is_validator;
    bool is_behind;
    bool is_ready;        /* no reason against it, but perhaps the clock */
    bool is_started;      /* recovery is over: the replay window is complete */
    bool has_peers;       /* more than two thirds of the validators, with this node */
    bool is_backlog_full; /* too much is accepted and not executed: it does not sign */
    bool is_halted;
    enum dsmr_err halt_reason;
    const char *halt_text; /* the logged sentence, for the life of the driver; NULL before */
    bool is_disk_low;
    bool is_final_refused; /* a final block cannot be taken, again and again */
    bool needs_state_sync; /* a chunk that it has to execute is kept by nobody any more */
    bool is_unserved;      /* all were asked for a chunk in vain, and no set that is known has it */
    bool is_under_floor;   /* its journal is new and the chain is not: it signs no chunk yet */
    /* First view in which this validator votes, as the journal of its votes was lost; UINT64_MAX:
     * not known yet. 0: it votes, or is none. */
    uint64_t votes_from;
};

enum dsmr_query_tx_state {
    DSMR_TX_UNKNOWN,
    DSMR_TX_PENDING, /* in this node's mempool */
    DSMR_TX_IN_CHUNK,
    DSMR_TX_CERTIFIED,
    DSMR_TX_IN_BLOCK, /* accepted, not executed */
    DSMR_TX_EXECUTED, /* code 0 */
    DSMR_TX_FAILED,   /* executed with another code */
    DSMR_TX_EXPIRED
};
struct dsmr_query_tx {
    enum dsmr_query_tx_state state;
    struct dsmr_id chunk_id; /* from IN_CHUNK on, if known here */
    uint64_t height;         /* from IN_BLOCK on */
    struct dsmr_app_result result;
    const char *code_text; /* static; NULL before execution */
};

struct dsmr_query_ops {
    void (*status)(void *self, struct dsmr_query_status *out);
    enum dsmr_err (*tx)(void *self, struct dsmr_query_tx *out, const struct dsmr_id *tx_id);
    /* Caller unrefs. UNKNOWN, PRUNED. */
    enum dsmr_err (*block)(void *self, struct dsmr_block **out, uint64_t height);
    enum dsmr_err (*find_block)(void *self, uint64_t *height, const struct dsmr_id *block_id);
    enum dsmr_err (*executed)(void *self, struct dsmr_executed **out, uint64_t height);
    enum dsmr_err (*chunk)(void *self, struct dsmr_chunk **out, struct dsmr_cert *cert,
                           bool *has_cert, const struct dsmr_id *chunk_id);
    /* The set of the last accepted block's epoch; NULL before the first. Caller unrefs. */
    struct dsmr_validator_set *(*validators)(void *self);
    enum dsmr_err (*next_evidence)(void *self, struct dsmr_evidence *out, uint64_t *cursor);
    /* The application's own queries, as app.h. */
    enum dsmr_err (*app)(void *self, struct dsmr_app_text *out, const char *path);
    const struct dsmr_metrics *(*metrics)(void *self);
};
struct dsmr_query {
    void *self;
    const struct dsmr_query_ops *ops;
};

#endif
