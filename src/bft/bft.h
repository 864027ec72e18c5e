/* bft.h - the built-in BFT engine: which block comes next.
 *
 * Protocol:  Simplex (Chan and Pass, "Simplex Consensus: A Simple and Fast Consensus Protocol",
 *            TCC 2023), with BLS quorum certificates, views apart from heights, and re-proposal:
 *            a leader that has nothing to build but an unfinalized notarized parent proposes that
 *            parent again, so that finality never needs an empty block. docs/bft.md has the rules.
 * Shape:     events in, effects out. No clock, I/O, thread, crypto: signing, verifying,
 *            aggregating, storing, building and judging blocks are effects that come back as
 *            events with the same request_id.
 * Idle:      a view timer runs only while a block is wanted, a higher view was seen or a notarized
 *            block is not finalized. An idle network sends nothing.
 * Epochs:    an instance per entry of the validator-set schedule; it begins when the block below
 *            its from_height is final. Views count from 1 within an instance. The last block of an
 *            instance is re-proposed until final.
 * Promises:  a vote leaves only after its journal record is durable. Never two NOTARIZE votes for
 *            different blocks in a view, never FINALIZE and NULLIFY in one view, across restarts,
 *            and across the loss of the journal while other validators remember.
 * Threads:   one owner. */
#ifndef DSMR_BFT_BFT_H
#define DSMR_BFT_BFT_H

#include "dsmr/types.h"
#include "wire/message.h"

struct dsmr_bft; /* opaque */

/* Most blocks in one BFT_BLOCKS message; more are refused. Whoever answers SERVE_BLOCKS keeps to
 * it, and ends with the last block that has a stored finalization. Where the blocks up to the first
 * one that has one do not fit into a message, it gives the last of them that do: the others are
 * asked for by id. */
#define DSMR_BFT_BATCH_BLOCKS_MAX 128u
/* Most heights from one stored finalization to the next, but for batches that came in one message.
 */
#define DSMR_BFT_GAP_MAX 17u

struct dsmr_bft_schedule_entry {
    uint64_t from_height; /* the set's epoch; the first entry's is 0 */
    struct dsmr_validator_set *set;
};

struct dsmr_bft_config {
    struct dsmr_params params;
    struct dsmr_node_id node_id;
    const struct dsmr_bft_schedule_entry *schedule; /* ascending; sets are referenced */
    uint32_t schedule_count;
    uint32_t view_timeout_ms;     /* first timeout of a view */
    uint32_t view_timeout_max_ms; /* doubled per failed view up to this */
    uint32_t retry_ms;            /* resend of what was not answered, with jitter */
    uint64_t seed;
    const struct dsmr_block *last_accepted; /* genesis, or what the store says; referenced */
    /* Finalization of last_accepted; NULL for genesis or where only a descendant has one. */
    const struct dsmr_quorum_cert *finalization;
};

/* NULL if out of memory. */
struct dsmr_bft *dsmr_bft_new(const struct dsmr_bft_config *config);
void dsmr_bft_free(struct dsmr_bft *bft);

/* Before START: each record that the journal holds, ascending. CORRUPT if it does not decode. */
DSMR_MUST_USE enum dsmr_err dsmr_bft_restore(struct dsmr_bft *bft, const uint8_t *key,
                                             uint32_t key_len, const uint8_t *value,
                                             uint32_t value_len);

/* The record of a journal that is known to hold every vote that its key has cast, from the epoch of
 * the schedule's first entry on: docs/bft.md, rule 17.6. Whoever makes the disk of a key that has
 * never voted puts it there, and nobody else may. */
#define DSMR_BFT_NEVER_VOTED_BYTES 17u
struct dsmr_bft_never_voted {
    uint8_t key[DSMR_BFT_NEVER_VOTED_BYTES];
    uint8_t value[DSMR_BFT_NEVER_VOTED_BYTES];
};
void dsmr_bft_never_voted(struct dsmr_bft_never_voted *out, uint64_t epoch);

enum dsmr_bft_event_kind {
    DSMR_BFT_EV_START,
    DSMR_BFT_EV_TICK,       /* time has passed */
    DSMR_BFT_EV_MESSAGE,    /* a decoded message of type >= DSMR_MSG_BFT_FIRST */
    DSMR_BFT_EV_PEER,       /* a validator connected or went */
    DSMR_BFT_EV_WANTED,     /* whether the block layer has something to build on the preference */
    DSMR_BFT_EV_BUILT,      /* answers BUILD */
    DSMR_BFT_EV_VERDICT,    /* answers VERIFY; NOT_YET: ask again later */
    DSMR_BFT_EV_SIGNED,     /* answers SIGN */
    DSMR_BFT_EV_AGGREGATED, /* answers AGGREGATE */
    DSMR_BFT_EV_CHECKED,    /* answers CHECK_QC */
    DSMR_BFT_EV_STORED      /* answers STORE: durable */
};

struct dsmr_bft_event {
    enum dsmr_bft_event_kind kind;
    uint64_t wall_ms; /* informational; the engine uses mono_ms only */
    uint64_t mono_ms;
    uint64_t request_id;
    enum dsmr_err err; /* BUILT, VERDICT, SIGNED, AGGREGATED, CHECKED, STORED */
    union {
        struct {
            struct dsmr_node_id from;
            const struct dsmr_msg *msg;
            struct dsmr_buf *bytes; /* what msg's views lie in; reference it to keep them */
        } message;
        struct {
            struct dsmr_node_id node_id;
            bool is_up;
        } peer;
        bool wanted;
        struct dsmr_block *built; /* borrowed */
        struct dsmr_bls_sig sig;  /* SIGNED */
        struct {
            struct dsmr_bls_sig sig;
            struct dsmr_bitset signers;
            struct dsmr_bitset bad; /* their votes did not verify */
        } aggregated;
    } u;
};

enum dsmr_bft_effect_kind {
    DSMR_BFT_FX_SEND,         /* to one peer */
    DSMR_BFT_FX_BROADCAST,    /* to every other validator of set */
    DSMR_BFT_FX_SIGN,         /* subject, with this node's key */
    DSMR_BFT_FX_AGGREGATE,    /* votes to a quorum certificate: add up, verify once, bisect */
    DSMR_BFT_FX_CHECK_QC,     /* verify qc against set (weight and bitset were checked) */
    DSMR_BFT_FX_STORE,        /* journal record key -> value, durable */
    DSMR_BFT_FX_PRUNE,        /* journal records below key may go; no answer */
    DSMR_BFT_FX_BUILD,        /* a block on parent_id with context epoch */
    DSMR_BFT_FX_VERIFY,       /* block, whose parent was VERIFYed or accepted, with context epoch */
    DSMR_BFT_FX_ACCEPT,       /* block is final; in height order, without gaps; no answer */
    DSMR_BFT_FX_REJECT,       /* block will never be; no answer */
    DSMR_BFT_FX_PREFER,       /* build on parent_id from now on; no answer */
    DSMR_BFT_FX_SERVE_BLOCKS, /* send accepted blocks from from_height on to peer; no answer */
    DSMR_BFT_FX_SERVE_BLOCK,  /* send the accepted block parent_id, if known, to peer */
    DSMR_BFT_FX_FAULT,        /* peer did what no honest one does: err */
    DSMR_BFT_FX_TRACE         /* for tests and debugging: what happened */
};

enum dsmr_bft_trace {
    DSMR_BFT_TRACE_VIEW,      /* entered view a */
    DSMR_BFT_TRACE_TIMEOUT,   /* view a timed out */
    DSMR_BFT_TRACE_SKIPPED,   /* view a: its leader is silent or passes, and is not waited for */
    DSMR_BFT_TRACE_PROPOSED,  /* we lead view a and proposed */
    DSMR_BFT_TRACE_NOTARIZED, /* view a, height b */
    DSMR_BFT_TRACE_NULLIFIED, /* view a */
    DSMR_BFT_TRACE_FINALIZED, /* view a, height b */
    DSMR_BFT_TRACE_EPOCH,     /* instance a began */
    DSMR_BFT_TRACE_CATCH_UP,  /* asked for blocks from height a */
    DSMR_BFT_TRACE_VOTES_FROM /* epoch a: our votes begin with view b */
};

struct dsmr_bft_effect { /* references that it holds are given back by dsmr_bft_effects_clear */
    enum dsmr_bft_effect_kind kind;
    uint64_t request_id;
    union {
        struct {
            struct dsmr_node_id to;         /* SEND */
            struct dsmr_validator_set *set; /* BROADCAST */
            enum dsmr_msg_class cls;
            struct dsmr_buf *head;
            struct dsmr_buf *body; /* may be NULL; follows head; all of it */
        } send;
        struct dsmr_vote_subject sign;
        struct {
            struct dsmr_vote_subject subject;
            struct dsmr_validator_set *set;
            struct dsmr_share *votes; /* owned by the effect */
            uint32_t votes_count;
        } aggregate;
        struct {
            struct dsmr_quorum_cert qc;
            struct dsmr_validator_set *set;
        } check;
        struct {
            uint8_t key[64];
            uint32_t key_len;
            struct dsmr_buf *value; /* NULL for PRUNE */
        } store;
        struct { /* BUILD, VERIFY, ACCEPT, REJECT, PREFER, SERVE_BLOCK */
            struct dsmr_id parent_id;
            struct dsmr_block *block;
            uint64_t epoch;
            bool has_finalization;
            struct dsmr_quorum_cert finalization; /* ACCEPT: if the block itself has one */
            struct dsmr_node_id peer;
        } block;
        struct {
            struct dsmr_node_id peer;
            uint64_t from_height;
        } serve;
        struct {
            struct dsmr_node_id peer;
            enum dsmr_err err;
        } fault;
        struct {
            enum dsmr_bft_trace what;
            uint64_t a, b;
        } trace;
    } u;
};

/* Bounded queue of effects; an event never makes more than its capacity. */
#define DSMR_BFT_EFFECTS_MAX 1024u
struct dsmr_bft_effects {
    struct dsmr_bft_effect *items; /* DSMR_BFT_EFFECTS_MAX */
    uint32_t count;
};
/* NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_bft_effects_init(struct dsmr_bft_effects *effects);
void dsmr_bft_effects_clear(struct dsmr_bft_effects *effects); /* gives references back */
void dsmr_bft_effects_close(struct dsmr_bft_effects *effects);

/* Takes one event; appends what follows from it. effects must be empty. */
void dsmr_bft_step(struct dsmr_bft *bft, struct dsmr_bft_effects *effects,
                   const struct dsmr_bft_event *event);
/* mono_ms of the next TICK that it needs; UINT64_MAX: none (idle). */
uint64_t dsmr_bft_deadline_ms(const struct dsmr_bft *bft);
/* Current epoch and view, for status. */
void dsmr_bft_position(const struct dsmr_bft *bft, uint64_t *epoch, uint64_t *view);
/* A block that is final and that the block layer has refused, the lowest of them: what it said last
 * and how often it has refused (0 of either: there is none). NOT_YET and its like are asked again
 * with backoff; an error of class PEER means that the layers' views of the chain have come apart.
 */
struct dsmr_bft_refusal {
    enum dsmr_err err;
    uint32_t times;
    uint64_t height;
};
void dsmr_bft_refused_final(const struct dsmr_bft *bft, struct dsmr_bft_refusal *out);
/* The first view in which this validator votes, since the journal of its earlier votes is lost;
 * UINT64_MAX: that is not known yet. 0: it votes, or is no validator of the current set. */
uint64_t dsmr_bft_votes_from(const struct dsmr_bft *bft);
void dsmr_bft_check(const struct dsmr_bft *bft); /* asserts the invariants */

#endif
