/* node.h - DSMR, the pure core: events in, effects out.
 *
 * Why:     everything that the protocol decides is in here, and nothing else: the same code runs in
 *          the daemon, in the AvalancheGo plugin, in the simulator and in an embedder's program.
 * Not here: clock, socket, file, thread, randomness (but a seed and a secret), BLS, logging.
 * Memory:  allocated in dsmr_node_new from the limits; payloads are reference-counted buffers.
 * Threads: one owner. */
#ifndef DSMR_NODE_H
#define DSMR_NODE_H

#include "dsmr/effect.h"
#include "dsmr/event.h"
#include "dsmr/types.h"

struct dsmr_node; /* opaque */
struct dsmr_metrics;

struct dsmr_node_config {
    struct dsmr_params params;
    struct dsmr_node_id node_id;
    struct dsmr_address fee_recipient; /* of own chunks */
    uint64_t seed;                     /* jitter and orders; others may come to know it */
    struct dsmr_id secret;   /* unpredictable, new with each start, and told to nobody: who knows it
                              * can make two ids that this node takes for one (decision 018) */
    uint32_t validators_max; /* largest set of the chain */
    uint64_t mempool_bytes_max;
    uint32_t mempool_txs_max;
    uint64_t chunk_cache_bytes_max; /* chunk bodies kept in memory; an eighth of it: 13.6 */
    uint32_t retry_ms;              /* first resend; backs off */
    uint32_t fetch_timeout_ms;      /* first; the next signer after each */
    uint32_t fetches_max;           /* in flight */
    uint32_t exec_blocks_max;       /* accepted blocks in memory that wait for execution; 0: 128 */
    uint32_t evidence_max;          /* pairs of evidence that are kept; 0: 1024 */
    uint32_t tables_max;        /* entries of each of chunk pool, certificates, journal; 0: what the
                                 * parameters can bring. Beyond it a chunk is answered with busy. */
    bool can_produce;           /* false: never builds chunks (a follower) */
    struct dsmr_block *genesis; /* referenced */
    struct dsmr_metrics *metrics; /* may be NULL; outlives the node */
};

/* NULL if out of memory. The config is copied. */
DSMR_MUST_USE struct dsmr_node *dsmr_node_new(const struct dsmr_node_config *config);
void dsmr_node_free(struct dsmr_node *node); /* NULL is fine */

/* Takes one event and appends what follows from it. effects must be empty before. */
void dsmr_node_step(struct dsmr_node *node, struct dsmr_effects *effects,
                    const struct dsmr_event *event);
/* mono_ms at which it wants a TICK; UINT64_MAX: none. */
uint64_t dsmr_node_deadline_ms(const struct dsmr_node *node);
/* Asserts every invariant; O(everything). */
void dsmr_node_check(const struct dsmr_node *node);

struct dsmr_node_status {
    uint64_t accepted_height, chain_time_ms, epoch, executed_height;
    struct dsmr_id accepted_id, state_root;
    uint64_t mempool_txs, mempool_bytes, backlog_bytes, pending_bytes;
    uint64_t
        room_bytes; /* of transactions that it would admit now; UINT64_MAX: as the mempool has */
    uint32_t certs_waiting, own_uncertified;
    bool is_behind;
    bool is_backlog_full;    /* too much is accepted and not executed: it does not sign */
    int64_t clock_offset_ms; /* the others' clocks less ours: a median; 0 if unknown */
    bool needs_state_sync;   /* a chunk that it has to execute is kept by nobody any more */
    bool is_unserved;    /* all were asked for a chunk in vain, and no set that is known has it */
    bool is_under_floor; /* what it could sign now expires before the floor: it signs nothing */
};
void dsmr_node_status(const struct dsmr_node *node, struct dsmr_node_status *out);
/* The sets whose validators are to be served: of the last accepted block's epoch and of its list,
 * and those of later epochs that are known, for a block may come that brings them. At most max into
 * out, borrowed until the next step; returns how many. */
uint32_t dsmr_node_served_sets(const struct dsmr_node *node, struct dsmr_validator_set **out,
                               uint32_t max);
/* Whether this node has made its share of ref since it was started: rules 6.1 to 6.8 have let the
 * chunk through, and its body has been read. share: gets it; NULL: not of interest. */
bool dsmr_node_has_shared(const struct dsmr_node *node, struct dsmr_bls_sig *share,
                          const struct dsmr_reference *ref);
/* Whether tx waits in the mempool. */
bool dsmr_node_has_pending_tx(const struct dsmr_node *node, const struct dsmr_id *tx_id);

#endif
