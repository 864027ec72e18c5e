/* event.h - what the core is told. Everything in an event is borrowed during dsmr_node_step. */
#ifndef DSMR_EVENT_H
#define DSMR_EVENT_H

#include "dsmr/effect.h"
#include "dsmr/types.h"

enum dsmr_ev_kind {
    /* Recovery, before START, in this order */
    DSMR_EV_RESTORE_FLOOR,    /* u.floor_ms */
    DSMR_EV_RESTORE_JOURNAL,  /* u.journal */
    DSMR_EV_RESTORE_CHUNK,    /* u.restore_chunk */
    DSMR_EV_RESTORE_BLOCK,    /* u.restore_block: accepted blocks, ascending, far enough back for
                                 the duplicate index, and all that are not executed */
    DSMR_EV_RESTORE_EXECUTED, /* u.restore_executed: executed ids of each block in the window */
    DSMR_EV_RESTORE_CERT,     /* u.cert */
    DSMR_EV_RESTORE_EVIDENCE, /* u.evidence */
    DSMR_EV_START,            /* u.start: recovery is complete */
    /* Life */
    DSMR_EV_TICK,
    DSMR_EV_MESSAGE,
    DSMR_EV_PEER,
    DSMR_EV_SET,
    DSMR_EV_SUBMIT,
    DSMR_EV_BOOTSTRAPPING, /* u.flag: the engine is catching up: neither sign nor build */
    DSMR_EV_DISK_LOW,      /* u.flag: neither sign nor build */
    /* The engine's three entry points and their like (ports/engine.h) */
    DSMR_EV_BUILD,        /* -> FX_BUILT */
    DSMR_EV_VERIFY_BLOCK, /* -> FX_VERDICT */
    DSMR_EV_ACCEPT,       /* -> FX_ACCEPTED */
    DSMR_EV_REJECT,
    DSMR_EV_PREFER,
    /* Answers to effects, by request_id */
    DSMR_EV_STORED,
    DSMR_EV_SIGNED,
    DSMR_EV_CHUNK_VERIFIED,
    DSMR_EV_VERIFIED,
    DSMR_EV_AGGREGATED,
    DSMR_EV_CHUNK_LOADED,
    DSMR_EV_BLOCK_LOADED,
    DSMR_EV_EXECUTED
};

struct dsmr_msg; /* wire/message.h */

struct dsmr_submit_item {
    const uint8_t *bytes; /* in owner */
    uint32_t len;
    struct dsmr_id id;  /* computed on a worker, */
    uint64_t expiry_ms; /* and read there: the core does not look at bytes */
    enum dsmr_err err;  /* what the application's check said; only OK ones are admitted */
};

struct dsmr_event {
    enum dsmr_ev_kind kind;
    uint64_t wall_ms; /* the only clocks that the core has */
    uint64_t mono_ms;
    uint64_t request_id;
    enum dsmr_err err; /* of answers */
    union {
        uint64_t floor_ms;
        struct {
            struct dsmr_node_id producer;
            uint64_t slot;
            struct dsmr_id chunk_id;
            uint64_t epoch;
            uint64_t expiry_ms;
        } journal;
        struct { /* no accepted block has it; the body is on disk: see LOAD_CHUNK */
            struct dsmr_reference ref;
            struct dsmr_bls_sig producer_sig;
            bool is_own;
            bool is_signed;
        } restore_chunk;
        struct {
            struct dsmr_block *block;
            bool is_executed;
            bool is_above_pointer; /* executed, but the engine restarted below it: not accepted
                                      until accepted again, and then without execution */
        } restore_block;
        struct {
            uint64_t height;
            uint64_t time_ms;
            const struct dsmr_id *ids;
            const uint64_t *expiries_ms; /* of each */
            uint32_t count;
            struct dsmr_id state_root; /* after the block */
        } restore_executed;
        struct { /* START: the state that the application holds */
            uint64_t executed_height;
            struct dsmr_id state_root;
            bool has_blocks; /* the disk has accepted ones, wherever the engine stands: the journal
                                is not a new one */
        } start;
        const struct dsmr_cert *cert;
        const struct dsmr_evidence *evidence;
        struct {
            struct dsmr_node_id from;
            const struct dsmr_msg *msg; /* type < DSMR_MSG_BFT_FIRST */
            struct dsmr_buf *bytes;     /* what msg's views lie in */
        } message;
        struct {
            struct dsmr_node_id node_id;
            bool is_up;
        } peer;
        struct dsmr_validator_set *set; /* of set->epoch; the core takes a reference */
        struct {
            struct dsmr_buf *owner;
            const struct dsmr_submit_item *items;
            uint32_t count;
            uint64_t since_ms; /* mono: when they came, before they were checked; 0: now */
        } submit;
        bool flag;
        struct { /* BUILD: epoch is the context; PREFER: block_id */
            struct dsmr_id
                block_id;   /* parent to build on, or the block to accept, reject, prefer */
            uint64_t epoch; /* context; DSMR_EPOCH_NONE: none */
            struct dsmr_block *block; /* VERIFY_BLOCK */
        } engine;
        struct dsmr_bls_sig sig;  /* SIGNED */
        struct dsmr_chunk *chunk; /* CHUNK_VERIFIED, CHUNK_LOADED with OK; NULL otherwise */
        struct dsmr_block *block; /* BLOCK_LOADED with OK; NULL otherwise */
        struct {                  /* VERIFIED: one verdict for each certificate (or one) */
            const enum dsmr_err *errs;
            uint32_t count;
        } verified;
        struct { /* AGGREGATED */
            struct dsmr_bls_sig sig;
            struct dsmr_bitset signers;
            struct dsmr_bitset bad;
        } aggregated;
        struct { /* STORED of a STORE_GC with OK: the oldest accepted block that keeps its chunks;
                    UINT64_MAX both: none does; 0 both: retained was not wanted */
            uint64_t oldest_time_ms;
            uint64_t oldest_wall_ms; /* local time of its accept */
        } stored_gc;
        struct { /* EXECUTED */
            uint64_t height;
            struct dsmr_id state_root;
        } executed;
    } u;
};

#endif
