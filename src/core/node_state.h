/* node_state.h - the one state that the flows of the core share. Internal to src/core.
 *
 * Why:        each flow (share_policy, share_collector, block_builder ...) is a file of functions
 * on this struct; each leaf (pools, journal, index) is an opaque member. Read:       node.c
 * (dispatch), then on_<message>.c, then the flows in the order of a transaction's life: submission,
 * chunk_builder, share_policy, share_collector, cert_intake, block_builder, block_verify,
 * block_accept, chunk_fetch, assembler, expiry. Invariants: INV-01 nothing leaves that depends on a
 * write or a signature before its answer came. INV-02 blocks are executed in the order of height,
 * each once. Threads:    one owner. */
#ifndef DSMR_CORE_NODE_STATE_H
#define DSMR_CORE_NODE_STATE_H

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/prng.h"
#include "core/accepted_index.h"
#include "core/admission.h"
#include "core/backpressure.h"
#include "core/block_tree.h"
#include "core/cert_gather.h"
#include "core/cert_pool.h"
#include "core/chunk_pool.h"
#include "core/clock_offset.h"
#include "core/effects.h"
#include "core/epochs.h"
#include "core/evidence_log.h"
#include "core/executed_ids.h"
#include "core/journal.h"
#include "core/mempool.h"
#include "core/own_ids.h"
#include "core/peer_table.h"
#include "core/requests.h"
#include "core/retry.h"
#include "core/verdict_cache.h"
#include "dsmr/node.h"
#include "wire/message.h"

#define DSMR_NODE_REQUESTS_MAX 8192u
#define DSMR_NODE_SHARE_JOBS_MAX 1024u
#define DSMR_NODE_OWN_MAX 128u /* own chunks, neither included nor expired */
#define DSMR_NODE_CERT_JOBS_MAX 2048u
#define DSMR_NODE_CERT_BATCH_MAX 64u
#define DSMR_NODE_CERT_BATCHES_MAX 2u
#define DSMR_NODE_VERIFICATIONS_MAX 64u
#define DSMR_NODE_VERIFY_WAITERS_MAX 4u /* calls of the engine that wait for one verification */
#define DSMR_NODE_BUILDS_MAX 4u         /* builds that wait for their time */
#define DSMR_NODE_EXECUTING_MAX 8u      /* plans handed over and not answered */
#define DSMR_NODE_EXEC_BLOCKS 128u      /* accepted blocks in memory that wait for execution */
#define DSMR_NODE_ACCEPTS_MAX 128u      /* accepts that are not durable */
#define DSMR_NODE_EVIDENCE_JOBS_MAX 16u
#define DSMR_NODE_GC_BATCH_MAX 256u /* deletions of one step */
#define DSMR_NODE_ASKED_MAX 8u      /* peers whose late answer a fetch still takes */
#define DSMR_NODE_WANTED_MAX 16u    /* epochs asked for */
#define DSMR_NODE_MARKS_MAX 1024u
#define DSMR_NODE_SENDS_MAX 256u /* resends of one tick */
#define DSMR_NODE_NONE UINT32_MAX

/* ---- shares that we give (share_policy.c) ---- */
enum dsmr_share_stage {
    DSMR_SHARE_FREE,
    DSMR_SHARE_LOADING, /* after a restart: is what the disk lists there? */
    DSMR_SHARE_VERIFYING,
    DSMR_SHARE_STORING, /* from here on (producer, slot) is claimed */
    DSMR_SHARE_SIGNING
};
struct dsmr_share_job { /* a request on its way; the peer is the producer */
    enum dsmr_share_stage stage;
    uint32_t use;
    struct dsmr_reference ref;
    struct dsmr_bls_sig producer_sig;
    struct dsmr_chunk *chunk; /* from STORING on; NULL if only the share is made again */
    uint64_t included_height; /* of the block that took it meanwhile; UINT64_MAX: none */
    bool has_reservation;
};

struct dsmr_evidence_job {
    bool is_used;
    uint32_t use;
    struct dsmr_evidence evidence;
    bool has_gone; /* being stored, and another one leaves with that */
    struct dsmr_evidence_key gone;
};

/* ---- own chunks (chunk_builder.c, share_collector.c) ----
 *
 *   LOADING (recovery) --+
 *   STORING -------------+--> SIGNING --> COLLECTING <--> AGGREGATING --> CERT_STORING -->
 * CERTIFIED ^                                |
 *                                                            +---- heavier, once ------------+   */
enum dsmr_own_state {
    DSMR_OWN_FREE,
    DSMR_OWN_STORING,
    DSMR_OWN_LOADING,
    DSMR_OWN_SIGNING,
    DSMR_OWN_COLLECTING,
    DSMR_OWN_AGGREGATING,
    DSMR_OWN_CERT_STORING,
    DSMR_OWN_CERTIFIED
};
struct dsmr_own_chunk {
    enum dsmr_own_state state;
    uint32_t use;
    struct dsmr_reference ref;
    struct dsmr_chunk *chunk; /* NULL while LOADING, and after recovery if certified; then: */
    struct dsmr_chunk *kept;  /* the same, for its transactions only: it is not sent again */
    struct dsmr_validator_set *set;
    struct dsmr_bls_sig sig; /* our share: what makes it the producer's chunk */
    struct dsmr_share *shares;
    uint32_t shares_count, shares_max; /* room for validators_max, or a larger set's if it came */
    uint64_t shares_weight;
    struct dsmr_bitset shared;  /* who has a share in shares */
    struct dsmr_bitset settled; /* whom we need not ask again: shared, refused for good, liar */
    struct dsmr_bitset acked;   /* who has the certificate */
    struct dsmr_bitset keepers; /* who has some certificate of it on disk, as they say; and we */
    bool is_told;               /* that it is certified: by the notice */
    uint64_t told_ms;           /* when; mono */
    struct dsmr_bitset asked;   /* who was asked to wait: not yet, or busy */
    struct dsmr_bitset resent;  /* to whom it went more than once */
    uint64_t first_sent_ms, last_sent_ms; /* mono */
    bool has_cert;
    bool is_reaggregated;
    uint64_t cert_weight;
    struct dsmr_cert cert;
    struct dsmr_retry retry;
};

/* ---- certificates on their way in (cert_intake.c) ---- */
enum dsmr_cert_stage { DSMR_CERT_FREE, DSMR_CERT_QUEUED, DSMR_CERT_VERIFYING, DSMR_CERT_STORING };
struct dsmr_cert_job {
    enum dsmr_cert_stage stage;
    uint32_t use;
    struct dsmr_cert cert;
    struct dsmr_id hash;
    uint64_t weight;
    struct dsmr_node_id from;
};
struct dsmr_cert_batch {
    uint32_t count; /* 0: free */
    uint32_t use;
    uint32_t jobs[DSMR_NODE_CERT_BATCH_MAX];
};

/* ---- blocks (block_verify.c, block_builder.c) ---- */
struct dsmr_verification {
    struct dsmr_block *block; /* NULL: free */
    uint32_t use;
    uint64_t waiters[DSMR_NODE_VERIFY_WAITERS_MAX];
    uint32_t waiters_count;
    uint32_t *unknown; /* block_certs_max: indexes of the certificates being verified */
    uint32_t unknown_count;
};
struct dsmr_pending_build {
    uint64_t request_id; /* 0 is a valid one: see is_used */
    bool is_used;
    struct dsmr_id parent_id;
    uint64_t epoch;
    uint64_t due_wall_ms;
};

/* ---- accepted blocks that are not executed (exec_queue.c, block_load.c, chunk_fetch.c,
 * assembler.c) ----
 *
 *   (UNREAD --> LOADING -->) WAITING --> FETCHING --> ASSEMBLED --> gone (executed)        */
enum dsmr_exec_state {
    DSMR_EXEC_UNREAD,   /* on disk; to be loaded */
    DSMR_EXEC_LOADING,  /* on its way from there */
    DSMR_EXEC_WAITING,  /* outside the window: the block is in memory, its bodies are not */
    DSMR_EXEC_FETCHING, /* slots tells what is there */
    DSMR_EXEC_ASSEMBLED /* handed over for execution */
};
enum dsmr_body_state {
    DSMR_BODY_MISSING,  /* not held: a fetch is needed */
    DSMR_BODY_FETCHING, /* a fetch has it */
    DSMR_BODY_ON_DISK,  /* held, or perhaps held: to be loaded */
    DSMR_BODY_LOADING,
    DSMR_BODY_HELD /* in memory */
};
struct dsmr_exec_body {
    enum dsmr_body_state state;
    struct dsmr_chunk *chunk; /* HELD */
};
struct dsmr_exec_block {
    uint64_t height;
    struct dsmr_block *block; /* NULL: UNREAD, LOADING */
    enum dsmr_exec_state state;
    bool
        is_maybe_on_disk; /* the pool may not know of its chunks: look there before asking others */
    uint64_t payload_bytes;
    uint64_t since_ms;             /* mono: accepted; until it is read back: not before */
    uint32_t missing;              /* bodies that are not HELD */
    uint32_t todo;                 /* of them, bodies for which nothing is under way */
    struct dsmr_exec_body *bodies; /* certs_count, from FETCHING on; NULL otherwise */
    struct dsmr_plan *plan;        /* ASSEMBLED */
};
struct dsmr_exec_queue {
    struct dsmr_exec_block *items; /* ring: heights first_height .. first_height + count - 1 */
    uint32_t blocks_max, head, count;
    uint64_t first_height;
    uint64_t unread_count;    /* accepted blocks above them: on disk only */
    uint64_t unread_bytes;    /* payload of all that are not in memory */
    uint64_t unread_ms;       /* mono: when the first of them was accepted */
    uint64_t durable_height;  /* accepts up to here are on disk: writes become durable in order */
    uint64_t window_bytes;    /* payload of the blocks inside the window */
    uint32_t window_count;    /* blocks from the head on that are FETCHING or ASSEMBLED */
    uint32_t executing;       /* blocks from the head on that are ASSEMBLED */
    uint64_t backlog_bytes;   /* payload of all */
    bool has_opened;          /* a block has entered the window */
    struct dsmr_id opened_id; /* the last one that did */
};

enum dsmr_fetch_stage {
    DSMR_FETCH_FREE,
    DSMR_FETCH_WAITING, /* grace, or backoff after a whole round */
    DSMR_FETCH_ASKED,
    DSMR_FETCH_VERIFYING,
    DSMR_FETCH_STORING
};
struct dsmr_fetch {
    enum dsmr_fetch_stage stage;
    uint32_t use;
    uint64_t height; /* of the block that needs it */
    uint32_t cert;   /* index in it */
    struct dsmr_reference ref;
    struct dsmr_bitset signers; /* whom to ask first */
    uint32_t start;             /* random place in the set where a round begins */
    uint32_t position;          /* of the round: signers, then other validators */
    uint64_t due_mono_ms;
    struct dsmr_retry rounds;
    struct dsmr_node_id
        asked[DSMR_NODE_ASKED_MAX]; /* ring: the newest at (asked_count - 1) % max */
    uint32_t asked_count;
    struct dsmr_node_id answered_by; /* VERIFYING */
    struct dsmr_bitset pruned;       /* validators of the chunk's epoch that said so */
    bool is_pruned;                  /* enough of them */
    struct dsmr_chunk *chunk;        /* STORING */
};

/* ---- timers: one array, one handler each (node.c) ---- */
enum dsmr_node_timer {
    DSMR_TIMER_CHUNK,   /* the slot allows a chunk */
    DSMR_TIMER_OWN,     /* resend own chunks and certificates */
    DSMR_TIMER_READY,   /* a certificate's slot begins, or the minimal gap is over */
    DSMR_TIMER_CERTS,   /* certificates have gathered long enough */
    DSMR_TIMER_HOLD,    /* something cannot be included: try an empty block */
    DSMR_TIMER_BUILD,   /* a build waits for its time */
    DSMR_TIMER_STATUS,  /* tell the others our heights */
    DSMR_TIMER_FETCH,   /* timeouts and backoff of fetches */
    DSMR_TIMER_MEMPOOL, /* drop expired transactions */
    DSMR_TIMER_GC,      /* garbage is left over */
    DSMR_TIMERS
};

struct dsmr_time_mark { /* block height at a time, about one a second */
    uint64_t height, time_ms;
};

struct dsmr_executed_above { /* executed, but above the block that the engine restarted from */
    struct dsmr_id id;
};

struct dsmr_node {
    struct dsmr_node_config config;
    struct dsmr_prng prng;

    /* Of the event that is being handled */
    uint64_t wall_ms, mono_ms;
    struct dsmr_effects *fx;

    bool is_started, is_halted, is_bootstrapping, is_disk_low, is_behind;
    bool is_fresh;      /* the journal was created by this start (section 12) */
    bool is_resume_due; /* own chunks from before this start wait for their validator set */
    uint64_t start_wall_ms;
    uint64_t floor_ms;            /* durable, or about to be */
    uint64_t timers[DSMR_TIMERS]; /* mono; UINT64_MAX: stopped */

    /* The chain */
    struct dsmr_block *accepted;
    struct dsmr_id preference;
    struct dsmr_block_tree *tree;
    struct dsmr_accepted_index *index;
    struct dsmr_epochs *epochs;
    uint64_t wanted[DSMR_NODE_WANTED_MAX];
    uint32_t wanted_count;
    struct dsmr_map *executed_above;                  /* height -> struct dsmr_executed_above */
    struct dsmr_time_mark marks[DSMR_NODE_MARKS_MAX]; /* ring */
    uint32_t marks_head, marks_count;
    uint64_t index_before; /* what was last given to the store */

    /* Chunks and certificates */
    struct dsmr_mempool *mempool;
    struct dsmr_own_ids *own_ids;
    struct dsmr_chunk_pool *chunks;
    struct dsmr_cert_pool *certs;
    struct dsmr_journal *journal;
    struct dsmr_verdict_cache *verdicts;
    struct dsmr_evidence_log *evidence;
    struct dsmr_peer_table *peers;
    struct dsmr_backpressure backpressure;
    struct dsmr_admission admission;
    struct dsmr_requests *requests;

    struct dsmr_share_job *share_jobs;
    uint32_t share_jobs_used;      /* from here on all are free and have always been */
    struct dsmr_map *share_job_of; /* chunk id -> u32 index */
    struct dsmr_evidence_job evidence_jobs[DSMR_NODE_EVIDENCE_JOBS_MAX];
    struct dsmr_own_chunk *own;
    uint32_t own_count, own_uncertified;
    uint64_t own_uncertified_bytes, own_waiting_bytes;
    uint64_t built_mono_ms;           /* the last own chunk; 0: none yet */
    struct dsmr_mempool_tx *take_txs; /* scratch of the builder: chunk_txs_max */
    struct dsmr_chunk_tx *build_txs;

    struct dsmr_cert_job *cert_jobs;
    uint32_t cert_jobs_used;      /* as share_jobs_used */
    struct dsmr_map *cert_job_of; /* certificate hash -> u32 index */
    uint32_t *cert_queue;         /* ring of QUEUED jobs */
    uint32_t cert_queue_head, cert_queue_count;
    uint64_t certs_queued_ms; /* mono: when the first of the queue came */
    struct dsmr_cert_batch cert_batches[DSMR_NODE_CERT_BATCHES_MAX];

    /* Blocks */
    struct dsmr_verification *verifications;
    struct dsmr_pending_build builds[DSMR_NODE_BUILDS_MAX];
    struct dsmr_cert *select_certs;           /* scratch of the builder: block_certs_max */
    const struct dsmr_reference **cert_order; /* scratch of the verifier: block_certs_max */
    struct dsmr_cert_gather gather;
    bool is_ready;       /* what was last said to the engine */
    bool is_ready_known; /* whether it was ever said */
    bool is_hold_due;    /* the timer HOLD fired and no build has answered since */
    struct dsmr_retry hold;

    /* Execution */
    struct dsmr_executed_ids *executed_ids;
    struct dsmr_exec_queue queue;
    uint64_t executed_height;
    uint64_t executed_time_ms;
    struct dsmr_id state_root;
    struct dsmr_fetch *fetches;
    uint32_t fetches_count;
    uint32_t fetches_pruned; /* of them, is_pruned: this node needs a newer state */
    uint32_t loads_count;
    uint32_t block_loads_count;

    /* Garbage, gossip */
    bool is_gc_running;
    bool is_floor_due;  /* to be written */
    bool has_gc_failed; /* the last one: the next waits its time */
    struct dsmr_id gc_ids[DSMR_NODE_GC_BATCH_MAX];
    uint32_t gc_count;
    struct dsmr_id
        gc_asked[DSMR_NODE_GC_BATCH_MAX]; /* the store has not confirmed: kept until then */
    uint32_t gc_asked_count;
    /* Of the oldest block that keeps its chunks on disk, or earlier: 0 until the store has said. */
    uint64_t retained_time_ms, retained_wall_ms;
    uint64_t gc_last_mono_ms;
    uint64_t gc_journal_floor_ms;              /* chain time of the last drop of journal entries */
    uint64_t status_accepted, status_executed; /* what was last told to all */
    uint64_t status_mono_ms;
    struct dsmr_clock_sample *clock_samples; /* scratch: validators_max */
    int64_t clock_offset_ms;                 /* 0 if unknown */
    uint64_t clock_due_mono_ms;
};

/* ---- small things that every flow needs (node_common.c) ---- */
/* Chain time, or the floor where that is higher: what 6.3 compares with. */
uint64_t dsmr_node_common_floor(const struct dsmr_node *node);
void dsmr_node_common_count(struct dsmr_node *node, enum dsmr_metric metric, uint64_t n);
void dsmr_node_common_gauge(struct dsmr_node *node, enum dsmr_metric metric, uint64_t value);
/* The time since since_ms (mono), of count transactions. */
void dsmr_node_common_observe(struct dsmr_node *node, enum dsmr_metric_histogram histogram,
                              uint64_t since_ms, uint64_t count);
void dsmr_node_common_error(struct dsmr_node *node, enum dsmr_err err);
void dsmr_node_common_fault(struct dsmr_node *node, const struct dsmr_node_id *peer,
                            enum dsmr_err err);
void dsmr_node_common_halt(struct dsmr_node *node, const char *reason);
/* The set of epoch, or NULL: then it has been asked for. */
struct dsmr_validator_set *dsmr_node_common_set(struct dsmr_node *node, uint64_t epoch);
/* Whether a chunk or certificate of epoch is of the last accepted block's epoch or list. */
bool dsmr_node_common_is_epoch_current(const struct dsmr_node *node, uint64_t epoch);
/* Whether peer is a validator of the last accepted block's epoch or of a listed one. */
bool dsmr_node_common_is_validator(struct dsmr_node *node, const struct dsmr_node_id *peer);
/* Neither halted, bootstrapping, behind nor out of disk: may sign and build. */
bool dsmr_node_common_is_healthy(const struct dsmr_node *node);
/* Arms a timer for the earlier of what it is and mono_ms. */
void dsmr_node_common_arm(struct dsmr_node *node, enum dsmr_node_timer timer, uint64_t mono_ms);
/* mono_ms at which the wall clock will show wall_ms; now if it has passed. */
uint64_t dsmr_node_common_mono_at(const struct dsmr_node *node, uint64_t wall_ms);
/* Slot start, saturated. */
uint64_t dsmr_node_common_slot_start(const struct dsmr_node *node, uint64_t slot);
/* Sum that saturates. */
static inline uint64_t dsmr_node_common_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}
/* Begins a request: its id; 0 at the limit. */
uint64_t dsmr_node_common_request(struct dsmr_node *node, enum dsmr_request_kind kind,
                                  uint32_t item, uint32_t item_use);
/* What a reference must satisfy whatever it stands in: expiry arithmetic, sizes, producer and, if
 * signers is not NULL, bitset and quorum. *weight: of the signers (may be NULL). */
DSMR_MUST_USE enum dsmr_err dsmr_node_common_check_ref(const struct dsmr_node *node,
                                                       const struct dsmr_reference *ref,
                                                       const struct dsmr_validator_set *set);
DSMR_MUST_USE enum dsmr_err dsmr_node_common_check_signers(const struct dsmr_bitset *signers,
                                                           uint64_t *weight,
                                                           const struct dsmr_validator_set *set);

#endif
