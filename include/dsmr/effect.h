/* effect.h - what the core wants done. The driver does effects in order.
 *
 * SIGN, VERIFY_*, AGGREGATE, STORE_*, LOAD_* and EXECUTE are answered by an event with the same
 * request_id; the core sends nothing that depends on them before that. References that an effect
 * holds are given back by dsmr_effects_clear: whoever needs them longer takes its own. */
#ifndef DSMR_EFFECT_H
#define DSMR_EFFECT_H

#include "dsmr/types.h"

enum dsmr_fx_kind {
    DSMR_FX_SEND,           /* message to one peer */
    DSMR_FX_BROADCAST,      /* message to every other validator of the set */
    DSMR_FX_STORE_CHUNK,    /* body, meta and journal entry -> EV_STORED */
    DSMR_FX_STORE_CERT,     /* -> EV_STORED */
    DSMR_FX_STORE_ACCEPT,   /* accepted block -> EV_STORED */
    DSMR_FX_STORE_EVIDENCE, /* -> EV_STORED */
    DSMR_FX_STORE_GC,       /* floor and deletions -> EV_STORED */
    DSMR_FX_SIGN,           /* share over a reference -> EV_SIGNED */
    DSMR_FX_VERIFY_CHUNK,   /* decode, hash, transactions, producer's share -> EV_CHUNK_VERIFIED */
    DSMR_FX_VERIFY_SIG,     /* one producer's share over a reference -> EV_VERIFIED (evidence) */
    DSMR_FX_AGGREGATE,      /* shares to a certificate -> EV_AGGREGATED */
    DSMR_FX_VERIFY_CERTS,   /* batch of certificates -> EV_VERIFIED with a verdict each */
    DSMR_FX_LOAD_CHUNK,     /* from the store -> EV_CHUNK_LOADED */
    DSMR_FX_LOAD_BLOCK,     /* accepted block of a height, from the store -> EV_BLOCK_LOADED */
    DSMR_FX_SERVE_CHUNK,    /* load from the store and send to peer as message CHUNK; no answer */
    DSMR_FX_EXECUTE,        /* run a block -> EV_EXECUTED */
    DSMR_FX_BLOCK_READY,    /* whether there is something to build on the preference; no answer */
    DSMR_FX_BUILT,          /* answers EV_BUILD */
    DSMR_FX_VERDICT,        /* answers EV_VERIFY_BLOCK */
    DSMR_FX_ACCEPTED,       /* answers EV_ACCEPT once durable */
    DSMR_FX_SUBMITTED,      /* answers EV_SUBMIT: a verdict per transaction */
    DSMR_FX_NOTICE,         /* own chunk built, certified, returned; transactions expired */
    DSMR_FX_WANT_SET,       /* an epoch's set is needed -> EV_SET once it is there; said once */
    DSMR_FX_FAULT,          /* a peer did what no honest one does */
    DSMR_FX_HALT,           /* safety cannot be kept: stop the node with this reason */
    DSMR_FX_TRACE           /* a step of the protocol, for tests, metrics and the live view */
};

enum dsmr_notice_what { /* of DSMR_FX_NOTICE */
                        DSMR_NOTICE_OWN_BUILT,
                        DSMR_NOTICE_OWN_CERTIFIED,
                        DSMR_NOTICE_OWN_RETURNED,
                        DSMR_NOTICE_TXS_EXPIRED
};

/* One block ready to run: its transactions after the duplicate filter, in order. Shared;
 * dsmr_plan_ref and _unref. */
struct dsmr_plan {
    _Atomic uint32_t refs;
    struct dsmr_block *block;
    struct dsmr_chunk **chunks; /* certs_count, in certificate order */
    uint32_t txs_count;
    struct dsmr_plan_tx {
        uint32_t chunk; /* index into chunks */
        uint32_t tx;
        uint64_t expiry_ms;
    } * txs;
    uint32_t dropped_duplicates;
    uint32_t dropped_expired;
};
struct dsmr_plan *dsmr_plan_ref(struct dsmr_plan *plan);
void dsmr_plan_unref(struct dsmr_plan *plan);

enum dsmr_trace {                             /* id and a, b as the comment says */
                  DSMR_TRACE_CHUNK_BUILT,     /* chunk, txs, bytes */
                  DSMR_TRACE_SHARE_GIVEN,     /* chunk */
                  DSMR_TRACE_SHARE_REFUSED,   /* chunk, error */
                  DSMR_TRACE_SHARE_RECEIVED,  /* chunk, signer */
                  DSMR_TRACE_CERT_FORMED,     /* chunk, signers */
                  DSMR_TRACE_CERT_ADDED,      /* chunk */
                  DSMR_TRACE_BLOCK_BUILT,     /* block, height, certs */
                  DSMR_TRACE_BLOCK_VERIFIED,  /* block, height, error */
                  DSMR_TRACE_BLOCK_ACCEPTED,  /* block, height, certs */
                  DSMR_TRACE_BLOCK_REJECTED,  /* block, height */
                  DSMR_TRACE_FETCH_SENT,      /* chunk, signer */
                  DSMR_TRACE_CHUNK_FETCHED,   /* chunk */
                  DSMR_TRACE_BLOCK_ASSEMBLED, /* block, height, txs */
                  DSMR_TRACE_BLOCK_EXECUTED,  /* block, height, txs */
                  DSMR_TRACE_CHUNK_EXPIRED,   /* chunk */
                  DSMR_TRACE_EVIDENCE,        /* chunk */
                  DSMR_TRACE_BEHIND,          /* -, 1 or 0 */
                  DSMR_TRACE_CHUNK_PRUNED     /* chunk, height: those who held it keep it no more */
};

struct dsmr_effect {
    enum dsmr_fx_kind kind;
    uint64_t request_id;
    union {
        struct { /* SEND, BROADCAST */
            struct dsmr_node_id to;
            struct dsmr_validator_set *set;
            uint8_t cls; /* enum dsmr_msg_class */
            struct dsmr_buf *head;
            struct dsmr_chunk *body; /* its encoding follows head; may be NULL */
        } send;
        struct { /* STORE_CHUNK */
            struct dsmr_chunk *chunk;
            struct dsmr_bls_sig producer_sig; /* zero for an own chunk that is not signed yet */
            uint64_t included_height;         /* UINT64_MAX: not included */
            uint64_t included_time_ms;
            bool is_own;
            bool is_signed; /* journal (producer, slot) -> chunk_id in the same atom */
        } store_chunk;
        struct dsmr_cert *store_cert; /* owned by the effect */
        struct {                      /* STORE_ACCEPT */
            struct dsmr_block *block;
        } store_accept;
        struct {
            struct dsmr_evidence *pair; /* owned by the effect */
            bool has_gone;              /* the budget is used up: that pair goes in the same atom */
            struct dsmr_evidence_key gone;
        } store_evidence;
        struct { /* STORE_GC */
            uint64_t floor_ms;
            struct dsmr_id *chunks; /* owned by the effect */
            uint32_t chunks_count;
            bool drop_journals;           /* entries with expiry < floor_ms */
            uint64_t index_before_height; /* 0: none */
            struct { /* accepted blocks that may let their chunks go: within all three */
                bool is_wanted;
                uint64_t height_max;
                uint64_t time_max_ms; /* the block's own time */
                uint64_t wall_max_ms; /* local time of its accept */
            } retained;
        } store_gc;
        struct dsmr_reference sign;
        struct { /* VERIFY_CHUNK: dsmr_chunk_decode, then the producer's share
                    (if set), then dsmr_chunk_check_txs, then the application's
                    check (if check_txs) */
            struct dsmr_buf *owner;
            const uint8_t *bytes;
            uint32_t len;
            bool check_txs;
            struct dsmr_validator_set *set; /* NULL: no share to verify */
            uint32_t producer;              /* index in set */
            struct dsmr_bls_sig producer_sig;
        } verify_chunk;
        struct { /* VERIFY_SIG */
            struct dsmr_reference ref;
            struct dsmr_bls_sig sig;
            struct dsmr_validator_set *set;
            uint32_t signer;
        } verify_sig;
        struct { /* AGGREGATE */
            struct dsmr_reference ref;
            struct dsmr_validator_set *set;
            struct dsmr_share *shares; /* owned by the effect */
            uint32_t shares_count;
        } aggregate;
        struct {                     /* VERIFY_CERTS: bitsets and weights are already checked */
            struct dsmr_cert *certs; /* owned by the effect */
            struct dsmr_validator_set **sets; /* one each; array owned, sets referenced */
            uint32_t count;
        } verify_certs;
        struct dsmr_id load_chunk;
        uint64_t load_block; /* height; its STORE_ACCEPT was answered */
        struct { /* SERVE_CHUNK: if it is not there, PRUNED if the accepted block of height names
                    it and has a time below horizon_ms, else UNKNOWN */
            struct dsmr_id chunk_id;
            struct dsmr_node_id to;
            uint64_t height; /* 0: no block would prove it */
            uint64_t horizon_ms;
        } serve_chunk;
        struct dsmr_plan *execute;
        bool block_ready;
        struct { /* BUILT, VERDICT, ACCEPTED */
            enum dsmr_err err;
            struct dsmr_block *block; /* BUILT with OK */
        } answer;
        struct {                 /* SUBMITTED */
            enum dsmr_err *errs; /* owned by the effect */
            uint32_t count;      /* 0: none was admitted, for want of memory */
        } submitted;
        struct { /* NOTICE */
            enum dsmr_notice_what what;
            struct dsmr_chunk *chunk; /* NULL for TXS_EXPIRED */
            struct dsmr_id *tx_ids;   /* owned by the effect; TXS_EXPIRED only */
            uint32_t tx_ids_count;
        } notice;
        uint64_t want_set; /* epoch */
        struct {
            struct dsmr_node_id peer;
            enum dsmr_err err;
        } fault;
        const char *halt; /* static sentence */
        struct {
            enum dsmr_trace what;
            struct dsmr_id id;
            uint64_t a, b;
        } trace;
    } u;
};

/* Bounded, ordered; an event never makes more than its capacity. */
#define DSMR_EFFECTS_MAX 4096u
struct dsmr_effects {
    struct dsmr_effect *items; /* DSMR_EFFECTS_MAX */
    uint32_t count;
};
DSMR_MUST_USE enum dsmr_err dsmr_effects_init(struct dsmr_effects *effects); /* NO_MEMORY */
void dsmr_effects_clear(struct dsmr_effects *effects); /* gives back what they hold */
void dsmr_effects_close(struct dsmr_effects *effects);

#endif
