/* cluster.h - N pure nodes in one process and in virtual time, with a scripted engine.
 *
 * Why:     scenarios of the core need to hold back one message, forge another, accept a sibling or
 *          kill a node between two effects. So here is no driver: the cluster answers effects
 * itself (a store in memory, keyed hashes for BLS, a running hash as application). Engine:  a
 * sequencer: one block at a time, built by a node that says READY, verified and accepted by all. Or
 * manual: the test calls cluster_build, cluster_verify, cluster_accept. Checks:  dsmr_node_check
 * after every step, or after every so many where a node holds hundreds of chunks; blocks of honest
 * builders verify everywhere; equal roots at equal heights; no transaction executed twice (own
 * bookkeeping, not the code under test). Trace:   one line for each TRACE, FAULT, HALT effect,
 * printed with CLUSTER_TRACE=1. Threads: one. */
#ifndef DSMR_TEST_CLUSTER_H
#define DSMR_TEST_CLUSTER_H

#include "base/metrics.h"
#include "dsmr/node.h"
#include "wire/message.h"

#define CLUSTER_NODES_MAX 8u
#define CLUSTER_BLOCKS_MAX 512u
#define CLUSTER_SETS_MAX 16u
#define CLUSTER_WALL_MS UINT64_C(1700000000000)
#define CLUSTER_NO_SET UINT64_MAX

enum cluster_item_kind {
    CLUSTER_ANSWER,  /* an event for a node */
    CLUSTER_MESSAGE, /* bytes from one to another */
    CLUSTER_ENGINE   /* the sequencer looks around */
};

struct cluster_stored { /* one chunk on a disk */
    struct dsmr_reference ref;
    struct dsmr_bls_sig producer_sig;
    uint64_t included_height, included_time_ms;
    bool is_own, is_signed;
    struct dsmr_buf *bytes; /* NULL: lost by the test */
};
struct cluster_disk { /* what survives a crash */
    struct cluster_stored *chunks;
    uint32_t chunks_count;
    struct cluster_journal {
        struct dsmr_node_id producer;
        uint64_t slot, epoch, expiry_ms;
        struct dsmr_id chunk_id;
    } * journals;
    uint32_t journals_count;
    struct dsmr_cert *certs;
    uint32_t certs_count;
    struct dsmr_block *blocks[CLUSTER_BLOCKS_MAX]; /* accepted, by height */
    uint64_t accepted_wall_ms[CLUSTER_BLOCKS_MAX];
    uint64_t retained; /* blocks below this height have let their chunks go */
    uint64_t accepted_height;
    struct dsmr_evidence evidence[64];
    uint32_t evidence_count;
    uint64_t floor_ms;
    struct cluster_executed {
        struct dsmr_id *ids;
        uint64_t *expiries_ms;
        uint32_t count;
        struct dsmr_id root;
    } executed[CLUSTER_BLOCKS_MAX];
    uint64_t executed_height;
    uint32_t writes, gc_writes; /* so far */
};

struct cluster_node {
    struct dsmr_node *node; /* NULL: down */
    struct dsmr_node_id id;
    struct cluster_disk disk;
    struct dsmr_effects effects;
    struct dsmr_metrics metrics;
    int64_t skew_ms;
    uint32_t life; /* answers of an earlier life are dropped */
    bool is_ready; /* as it last said */
    bool is_halted;
    const char *halt_reason;
    /* What the test may watch */
    uint32_t traces[32]; /* by enum dsmr_trace */
    uint32_t faults;
    enum dsmr_err last_fault;
    uint32_t signs, chunk_stores, cert_verifies, chunk_verifies; /* so far */
    uint32_t cert_batches; /* effects that asked for cert_verifies certificates */
    uint32_t submitted_ok, submitted_refused;
    uint32_t returned, txs_expired, told_certified;
    enum dsmr_err last_submit, last_build, last_verdict, last_accept;
    struct dsmr_block *built; /* of the last BUILT */
    uint32_t verdicts, accepts, builds;
    uint64_t effects_total;
    uint64_t steps_unchecked; /* since the last dsmr_node_check */
    /* What the test may set */
    enum dsmr_err fail_store;     /* of the next STORE_CHUNK; OK: none */
    uint32_t fail_certs;          /* so many of the next STORE_CERT find the disk full */
    uint32_t fail_gcs;            /* so many of the next STORE_GC find the disk full */
    bool is_store_slow;           /* STORED answers wait until it is false again */
    bool is_exec_held;            /* EXECUTED answers wait */
    bool keeps_writes;            /* a crash comes after the writes on their way, not before */
    uint32_t fail_block_loads;    /* so many LOAD_BLOCKs are answered BUSY */
    uint64_t crash_after_effects; /* 0: never; else down when effects_total reaches it */
    /* The sequencer's */
    uint64_t fed_height; /* accepted by this node */
    bool is_feeding;
};

struct cluster_config {
    uint32_t nodes; /* numbers 0..nodes-1 */
    uint64_t seed;
    void (*tune)(struct dsmr_node_config *config, uint32_t number);
    uint32_t validators; /* of the set of epoch 0; 0: all nodes */
    bool is_manual;      /* no sequencer */
};

struct cluster {
    struct dsmr_params params;
    struct dsmr_block *genesis;
    struct cluster_config config;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    struct dsmr_validator_set *sets[CLUSTER_SETS_MAX];
    uint32_t sets_count;
    uint64_t mono_ms;
    uint64_t delay_ms; /* of messages */
    uint64_t work_ms;  /* of answers */
    uint64_t txs_made;
    /* The sequencer */
    struct dsmr_block *chain[CLUSTER_BLOCKS_MAX];
    uint64_t chain_height;
    uint64_t chain_epoch; /* context of the next blocks */
    bool is_building;
    bool is_engine_stopped; /* by the test: consensus stands still */
    uint64_t check_ms;      /* by the test: what is submitted has waited so long to be checked */
    uint32_t turn;
    /* Whether a message passes; may look but not keep. NULL: all pass. */
    bool (*passes)(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg);
    void *ctx;                  /* the test's */
    struct cluster_item *items; /* heap */
    uint32_t items_count, items_capacity;
    uint64_t items_made;
    uint64_t messages[64]; /* sent, by type */
    bool is_told;          /* the trace is kept (cluster_story.c) */
    char *story;
    size_t story_len;
};

/* Asserts on failure. Nodes are started at once. */
struct cluster *cluster_new(const struct cluster_config *config);
void cluster_free(struct cluster *cluster);

/* ---- time ---- */
void cluster_run(struct cluster *cluster, uint64_t ms); /* lets that much time pass */
/* Until holds() or ms have passed; the last value of holds(). */
bool cluster_run_until(struct cluster *cluster, bool (*holds)(struct cluster *), uint64_t ms);
uint64_t cluster_wall_ms(const struct cluster *cluster);
bool cluster_is_idle(struct cluster *cluster); /* nothing on its way, no timer but far ones */
/* Every running node has executed the whole chain of the sequencer, with equal roots. */
bool cluster_is_level(struct cluster *cluster);

/* ---- transactions ---- */
/* A distinct opaque transaction of len bytes: {version 1, expiry, number ...}. */
struct dsmr_buf *cluster_tx(struct cluster *cluster, uint32_t len, uint64_t expiry_ms);
void cluster_submit_bytes(struct cluster *cluster, uint32_t node, struct dsmr_buf *tx);
/* count new ones of len bytes that expire in 50 s. */
void cluster_submit(struct cluster *cluster, uint32_t node, uint32_t count, uint32_t len);
/* One of each node that is up, again and again: rounds of 100 ms. */
void cluster_submit_rounds(struct cluster *cluster, uint32_t rounds);
uint64_t cluster_executed_txs(const struct cluster *cluster, uint32_t node);

/* ---- nodes ---- */
void cluster_crash(struct cluster *cluster, uint32_t node);
void cluster_start(struct cluster *cluster, uint32_t node); /* from its disk */
void cluster_wipe(struct cluster *cluster, uint32_t node);  /* its disk; must be down */
void cluster_event(struct cluster *cluster, uint32_t node, struct dsmr_event *event);
uint64_t cluster_metric_errors(const struct cluster *cluster, uint32_t node, enum dsmr_err err);
struct dsmr_validator_set *cluster_set(struct cluster *cluster, uint64_t epoch);
/* A set of validators first..first+count-1 with these weights (NULL: 1 each), known to all. */
struct dsmr_validator_set *cluster_add_set(struct cluster *cluster, uint64_t epoch, uint32_t first,
                                           uint32_t count, const uint64_t *weights);

/* ---- forging ---- */
struct dsmr_node_id cluster_node_id(uint32_t number);
/* A valid chunk of producer, signed: as a Byzantine validator would make it. txs: count of new
 * transactions of 100 bytes. Caller unrefs. */
struct dsmr_chunk *cluster_forge_chunk(struct cluster *cluster, uint32_t producer, uint64_t slot,
                                       uint64_t epoch, uint32_t txs);
/* A header of the test's own making with valid producer field etc.; txs as given. */
struct dsmr_chunk *cluster_forge_chunk_of(struct cluster *cluster,
                                          const struct dsmr_chunk_header *header,
                                          struct dsmr_buf **txs, uint32_t txs_count);
struct dsmr_bls_sig cluster_share(struct cluster *cluster, uint32_t signer,
                                  const struct dsmr_reference *ref);
/* A certificate by validators numbers[0..count-1] of the set of ref's epoch, valid or not. */
struct dsmr_cert cluster_forge_cert(struct cluster *cluster, const struct dsmr_reference *ref,
                                    const uint32_t *signers, uint32_t count);
/* Sends as if from `from` (a number that may be no node's). */
void cluster_send(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg);
void cluster_send_chunk_request(struct cluster *cluster, uint32_t from, uint32_t to,
                                const struct dsmr_chunk *chunk, const struct dsmr_bls_sig *sig);
uint64_t cluster_slot(const struct cluster *cluster); /* the running one */

/* ---- the engine by hand ---- */
/* Each runs until its answer came; the answer. */
enum dsmr_err cluster_build(struct cluster *cluster, uint32_t node, const struct dsmr_id *parent,
                            uint64_t epoch, struct dsmr_block **out); /* caller unrefs */
enum dsmr_err cluster_verify(struct cluster *cluster, uint32_t node, struct dsmr_block *block,
                             uint64_t epoch);
enum dsmr_err cluster_accept(struct cluster *cluster, uint32_t node,
                             const struct dsmr_block *block);
/* A block of the test's own making: certs on parent; time 0: parent's + 1 or now, the later. */
struct dsmr_block *cluster_forge_block(struct cluster *cluster, const struct dsmr_block *parent,
                                       uint64_t epoch, uint64_t time_ms,
                                       const struct dsmr_cert *certs, uint32_t count);

/* ---- stories: the trace of a run, line by line ---- */
void cluster_story_begin(struct cluster *cluster); /* keeps the trace from now on */
/* Fails unless the trace equals test/scenario/stories/NAME.txt; UPDATE=1 in the environment writes
 * that file instead. One line an event: virtual ms, node, event, start of the id, two numbers. */
void cluster_story_check(struct cluster *cluster, const char *name);

/* ---- between the files of the cluster ---- */
void cluster_story_add(struct cluster *cluster, const char *line);
void cluster_answer(struct cluster *cluster, uint32_t node, uint64_t delay_ms,
                    const struct dsmr_event *event); /* copies what the event borrows */
void cluster_disk_restore(struct cluster *cluster, uint32_t node);
enum dsmr_err cluster_disk_write(struct cluster *cluster, uint32_t node,
                                 const struct dsmr_effect *fx, struct dsmr_event *answer);
struct cluster_stored *cluster_disk_find(struct cluster_disk *disk, const struct dsmr_id *chunk_id);
void cluster_disk_close(struct cluster_disk *disk);
void cluster_disk_execute(struct cluster *cluster, uint32_t node, struct dsmr_plan *plan,
                          struct dsmr_id *root);
void cluster_effect(struct cluster *cluster, uint32_t node, struct dsmr_effect *fx);
void cluster_engine_run(struct cluster *cluster);
void cluster_engine_on_built(struct cluster *cluster, uint32_t node, enum dsmr_err err,
                             struct dsmr_block *block);
void cluster_engine_on_verdict(struct cluster *cluster, uint32_t node, enum dsmr_err err);
void cluster_engine_on_accepted(struct cluster *cluster, uint32_t node, enum dsmr_err err);
void cluster_wake_engine(struct cluster *cluster, uint64_t delay_ms);

#endif
