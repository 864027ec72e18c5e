/* engine_state.h - the state of the built-in engine, shared by the files of src/bft only.
 *
 * Why:        the rules of docs/bft.md touch one small state; each file holds the rules of one
 *             subject and is the only writer of its part.
 * Invariants: INV-BFT-1 at most one own NOTARIZE vote in a view, never for two blocks.
 *             INV-BFT-2 never own NULLIFY and own FINALIZE in one view.
 *             INV-BFT-3 no vote is signed before its journal record is durable.
 *             INV-BFT-4 accepted heights have no gap; each accepted block's parent is the one
 *             accepted before it.
 *             INV-BFT-5 view > final_view, and it only grows within an instance.
 *             INV-BFT-6 no vote is cast and nothing proposed in a view in which an earlier life of
 *             this key, whose journal is lost, may have voted.
 * Limits:     the constants below. Nothing is allocated from a peer's number.
 * Threads:    one owner. */
#ifndef DSMR_BFT_ENGINE_STATE_H
#define DSMR_BFT_ENGINE_STATE_H

#include "base/map.h"
#include "base/prng.h"
#include "bft/bft.h"

#define DSMR_BFT_VIEWS_AHEAD 32u  /* votes and proposals of later views that are kept */
#define DSMR_BFT_VIEWS_BEHIND 31u /* FINALIZE votes of earlier views that are kept */
#define DSMR_BFT_ROUNDS 64u       /* both, and the current view */
#define DSMR_BFT_VIEW_LOG 4096u   /* views whose quorum certificates are kept */
#define DSMR_BFT_DEPTH_MAX 16u    /* heights above the last accepted that are voted for */
#define DSMR_BFT_CANDIDATES_MAX 192u
/* Effects that wait for an answer: of a disk that stands still, four records for each of
 * DSMR_NODE_ACCEPTS_MAX views. */
#define DSMR_BFT_OPS_MAX 1024u
#define DSMR_BFT_CHECKS_MAX 64u         /* CHECK_QC outstanding */
#define DSMR_BFT_CHECKS_PER_PEER_MAX 8u /* CHECK_QC outstanding for one peer */
#define DSMR_BFT_CHECKS_PER_SUBJECT 2u  /* for one subject: one liar must not block it */
#define DSMR_BFT_VERIFIES_MAX 16u       /* VERIFY outstanding */
#define DSMR_BFT_FETCHES_MAX 4u         /* blocks asked for by id at one time */
#define DSMR_BFT_VIEWS_ASKED_MAX 8u     /* in one BFT_REQUEST_VIEW: as many checks as a peer gets */
#define DSMR_BFT_VIEW_ANSWER_MAX 64u    /* certificates sent for one BFT_REQUEST_VIEW */
#define DSMR_BFT_SERVES_PER_RETRY 64u   /* requests of one peer served within retry_ms */
#define DSMR_BFT_FOLLOWERS_TOLD_MAX 256u /* peers outside the set told of a finalization */
#define DSMR_BFT_CHECKPOINT_VIEWS 64u    /* re-propose a final tip after that many views */
#define DSMR_BFT_SLOWER_AFTER_VIEWS 256u /* the longest timeout doubles again after these */
#define DSMR_BFT_FAULTS_MAX 64u          /* FAULT effects for one aggregate */
#define DSMR_BFT_SAVED_AGAIN_MAX 32u     /* views whose certificates are written again at a time */
#define DSMR_BFT_RECORDS_MAX 65536u      /* journal records taken at restart */
#define DSMR_BFT_NO_PEER UINT32_MAX

_Static_assert(DSMR_BFT_VIEWS_AHEAD + 1u + DSMR_BFT_VIEWS_BEHIND == DSMR_BFT_ROUNDS,
               "every view of the window has its own round");
_Static_assert(DSMR_BFT_GAP_MAX == DSMR_BFT_DEPTH_MAX + 1u,
               "what becomes final at once is above the accepted block, and not too deep to hold");
_Static_assert(DSMR_BFT_CANDIDATES_MAX < DSMR_PROCESSING_BLOCKS_MAX,
               "the block layer holds every candidate");
_Static_assert(DSMR_BFT_BATCH_BLOCKS_MAX <= DSMR_BFT_EFFECTS_MAX / 4u, "a batch fits a step");
_Static_assert(DSMR_BFT_CANDIDATES_MAX + DSMR_BFT_DEPTH_MAX + DSMR_BFT_FOLLOWERS_TOLD_MAX +
                       DSMR_BFT_VIEW_ANSWER_MAX + 3u * DSMR_BFT_ROUNDS + DSMR_BFT_FAULTS_MAX +
                       4u * DSMR_BFT_SAVED_AGAIN_MAX + 64u <
                   DSMR_BFT_EFFECTS_MAX,
               "the worst step fits the queue of effects");

/* ---- a round: what is known of one view of the window ---- */
enum dsmr_bft_slot_state { DSMR_BFT_SLOT_EMPTY, DSMR_BFT_SLOT_HELD, DSMR_BFT_SLOT_BAD };

struct dsmr_bft_vote_slot { /* the one vote of (view, kind, signer) */
    uint8_t state;          /* enum dsmr_bft_slot_state */
    uint64_t height;
    struct dsmr_id block_id;
    struct dsmr_bls_sig sig;
};

/* NONE -> STORING -> SIGNING -> SIGNED; FAILED where storing or signing did not work. */
enum dsmr_bft_own_state {
    DSMR_BFT_OWN_NONE,
    DSMR_BFT_OWN_STORING,
    DSMR_BFT_OWN_SIGNING,
    DSMR_BFT_OWN_SIGNED,
    DSMR_BFT_OWN_FAILED
};

struct dsmr_bft_own_vote {
    uint8_t state; /* enum dsmr_bft_own_state */
    struct dsmr_vote_subject subject;
    struct dsmr_bls_sig sig; /* SIGNED */
};

struct dsmr_bft_proposal { /* the first one from the view's leader */
    bool is_set;
    uint32_t peer; /* who sent it; NO_PEER: this node */
    uint64_t parent_view;
    struct dsmr_id parent_id;
    struct dsmr_id block_id;
    struct dsmr_block *block; /* NULL: proposes the parent again */
};

struct dsmr_bft_round {
    uint64_t view; /* 0: unused */
    struct dsmr_bft_proposal proposal;
    struct dsmr_bft_own_vote own[3];     /* by kind - 1, as the next two */
    struct dsmr_bft_vote_slot *slots[3]; /* one for each validator of the set */
    bool is_aggregating[3];
};

/* ---- quorum certificates above the last final view ---- */
struct dsmr_bft_view_entry {
    uint64_t view; /* 0: unused */
    bool is_notarized;
    bool is_nullified;
    bool is_unsaved; /* the disk took no record of one of them */
    struct dsmr_quorum_cert notarization;
    struct dsmr_quorum_cert nullification;
};

/* ---- blocks that are not final ---- */
/* HELD -> VERIFYING -> VALID, or back to HELD (not yet), or REFUSED. */
enum dsmr_bft_candidate_state {
    DSMR_BFT_CANDIDATE_HELD,
    DSMR_BFT_CANDIDATE_VERIFYING,
    DSMR_BFT_CANDIDATE_VALID,
    DSMR_BFT_CANDIDATE_REFUSED
};

struct dsmr_bft_candidate {
    struct dsmr_block *block; /* NULL: free */
    uint8_t state;            /* enum dsmr_bft_candidate_state */
    bool is_wanted;           /* notarized, or an ancestor of such: must become VALID */
    bool is_voted;            /* has our NOTARIZE vote: others may ask for it */
    bool is_dead;             /* marked during the sweep after an accept */
    uint32_t attempts;
    uint64_t view;         /* in which it was added */
    uint64_t retry_ms;     /* HELD: not before */
    enum dsmr_err refusal; /* the last verdict, if it was not OK */
};

/* ---- effects that wait for their answer ---- */
enum dsmr_bft_op_kind {
    DSMR_BFT_OP_FREE,
    DSMR_BFT_OP_STORE_VOTE,
    DSMR_BFT_OP_STORE_VOTES_FROM,
    DSMR_BFT_OP_STORE_FINAL,
    DSMR_BFT_OP_STORE_CERT, /* notarization or nullification */
    DSMR_BFT_OP_SIGN,
    DSMR_BFT_OP_AGGREGATE,
    DSMR_BFT_OP_CHECK,
    DSMR_BFT_OP_BUILD,
    DSMR_BFT_OP_VERIFY
};

struct dsmr_bft_op {
    uint64_t request_id;
    uint64_t begun_ms;
    uint8_t kind;               /* enum dsmr_bft_op_kind */
    bool is_catch_up;           /* CHECK: of a batch of blocks */
    uint32_t peer;              /* CHECK: who sent it */
    struct dsmr_block *block;   /* VERIFY */
    struct dsmr_id parent_id;   /* BUILD */
    uint64_t parent_view;       /* BUILD */
    struct dsmr_quorum_cert qc; /* CHECK; the others use its subject */
};

/* ---- peers: every node id of the schedule but our own ---- */
struct dsmr_bft_told { /* BFT_POSITION */
    bool is_set;
    uint64_t epoch, view;
    uint64_t height;     /* highest that it knows notarized or final */
    uint64_t votes_from; /* first view of its votes; 0: all; UINT64_MAX: it does not know */
    uint64_t heard_view; /* highest of which it holds a vote of ours */
};

struct dsmr_bft_peer {
    struct dsmr_node_id node_id;
    bool is_up;
    bool is_silent;           /* it went, or a view of its timed out, and nothing has come since */
    uint64_t passes_until_ms; /* it gave a view of its up, and took no part since; 0: not so */
    uint32_t checks;          /* CHECK_QC outstanding */
    uint32_t serves;          /* requests served since serve_from_ms */
    uint64_t serve_from_ms;
    uint64_t answer_after_ms;  /* our position is not sent before */
    uint64_t hint_after_ms;    /* it is not asked for its position before */
    struct dsmr_bft_told told; /* in this life, while our journal was in doubt */
};

/* ---- a journal that may not know all that our key has signed: docs/bft.md, rule 17 ---- */
/* In doubt -> is_storing -> is_over: the record "votes from" is durable. */
struct dsmr_bft_doubt {
    bool is_over;
    bool is_storing;
    bool is_voter;        /* this instance or a later one names us */
    bool has_votes;       /* in the journal: it was begun before there was such a record */
    uint64_t epoch, view; /* is_over: no vote in this view, nor in any before it */
    uint64_t ask_ms;      /* the peers are asked again */
    uint64_t store_ms;    /* the record is not written before: the disk refused it */
    uint32_t asks;
    uint64_t question; /* tells answers to this life from late ones to the life before; not 0 */
};

/* ---- fetching ---- */
struct dsmr_bft_fetch {
    bool is_used;
    bool is_live; /* still wanted, found out anew after each event */
    struct dsmr_id block_id;
    uint32_t hint; /* peer to ask first */
    uint32_t attempts;
    uint64_t next_ms;
};

struct dsmr_bft_view_fetch {
    bool is_live;
    uint64_t from_view, to_view;
    uint32_t hint;
    uint32_t attempts;
    uint64_t next_ms;
};

/* IDLE -> ASKED -> CHECKING -> APPLYING -> IDLE or ASKED. */
enum dsmr_bft_catch_up_state {
    DSMR_BFT_CATCH_UP_IDLE,
    DSMR_BFT_CATCH_UP_ASKED,
    DSMR_BFT_CATCH_UP_CHECKING,
    DSMR_BFT_CATCH_UP_APPLYING
};

struct dsmr_bft_catch_up {
    uint8_t state;        /* enum dsmr_bft_catch_up_state */
    uint32_t peer;        /* asked */
    uint32_t hint;        /* to ask next */
    uint32_t attempts;    /* without progress */
    uint32_t more;        /* requests that are still made though nothing says that there is more */
    uint64_t deadline_ms; /* ASKED: the answer is late; IDLE: ask again */
    uint64_t target_height; /* proven final by a verified certificate */
    uint32_t blocks_count;
    uint32_t blocks_at; /* next to accept */
    struct dsmr_block *blocks[DSMR_BFT_BATCH_BLOCKS_MAX];
    struct dsmr_quorum_cert finalization;
};

struct dsmr_bft_record { /* restored from the journal, not yet applied */
    uint64_t epoch, view;
    uint8_t kind;
    struct dsmr_buf *value;
};

struct dsmr_bft {
    /* configuration */
    struct dsmr_params params;
    struct dsmr_node_id node_id;
    struct dsmr_bft_schedule_entry *schedule;
    uint32_t schedule_count;
    uint32_t view_timeout_ms, view_timeout_max_ms, retry_ms;
    struct dsmr_prng prng;

    /* this step */
    uint64_t now_ms;
    struct dsmr_bft_effects *out;
    uint64_t request_id;
    bool is_started;

    /* instance */
    uint32_t instance;              /* index in schedule */
    struct dsmr_validator_set *set; /* of the instance; borrowed from schedule */
    int self;                       /* our index in set, or -1: we follow */
    uint32_t *leaders;              /* indexes of those who may sign */
    uint32_t leaders_count;
    uint64_t leader_offset;
    bool has_root; /* accepted was the instance's root when we began */
    struct dsmr_id root_id;
    uint64_t root_height;

    /* view */
    uint64_t view;
    uint64_t entered_ms;
    uint64_t seen_view; /* highest view of which a vote or proposal came */
    uint32_t failed_views;
    bool is_timed_out; /* in this view */
    bool is_wanted;
    struct dsmr_quorum_cert entry_qc; /* the one that led into this view */
    bool has_entry_qc;
    struct dsmr_bft_round *rounds; /* DSMR_BFT_ROUNDS, by view */
    struct dsmr_bft_vote_slot *slots;
    uint32_t slots_per_kind;
    struct dsmr_bft_view_entry *view_log; /* DSMR_BFT_VIEW_LOG, by view */
    uint64_t low_view, high_view; /* of what was added to it since it was cleared; 0: nothing */
    uint64_t tip_view;            /* highest notarized view above final_view; 0: none */
    uint64_t unsaved_view;        /* no entry below is is_unsaved; 0: none at all */
    bool is_final_unsaved;        /* final: neither durable nor on its way to the disk */

    /* proposing */
    bool is_building;
    bool is_build_refused; /* in this view, since the last WANTED */
    uint64_t build_after_ms;
    uint64_t propose_ms; /* when try_propose must run again */
    bool has_proposed_block;
    uint64_t proposed_block_ms; /* when the last proposal of a block was made or came */
    uint64_t checks_ms;         /* what eight checks of votes or certificates take, of late */

    /* finality */
    struct dsmr_block *accepted;
    bool has_final;
    struct dsmr_quorum_cert final; /* highest that we know, of this instance or the one before */
    uint64_t final_view;           /* its view if it is of this instance, else 0 */
    struct dsmr_id preferred_id;
    uint64_t prune_epoch, prune_view; /* the latest final view whose record is durable */
    uint64_t noted_height;            /* highest that was notarized or final in this instance */
    struct dsmr_bft_doubt doubt;

    /* timers; UINT64_MAX: off */
    uint64_t view_deadline_ms;
    uint64_t retry_deadline_ms;
    uint32_t retry_count;

    struct dsmr_bft_candidate *candidates; /* DSMR_BFT_CANDIDATES_MAX */
    uint32_t candidates_end;               /* all from here on are free */
    struct dsmr_bft_op *ops;               /* DSMR_BFT_OPS_MAX */
    uint32_t ops_end;                      /* all from here on are free */
    uint32_t checks, verifies;             /* outstanding */
    struct dsmr_bft_peer *peers;
    uint32_t peers_count;
    uint32_t peer_turn;
    uint32_t missed_peer;        /* sent a certificate that was dropped at a limit; NO_PEER: none */
    struct dsmr_map *peer_index; /* node id -> uint32_t */
    struct dsmr_bft_fetch fetches[DSMR_BFT_FETCHES_MAX];
    struct dsmr_bft_view_fetch view_fetch;
    struct dsmr_bft_catch_up catch_up;
    struct dsmr_bft_record *records;
    uint32_t records_count, records_capacity;
};

/* ---- bft.c ---- */
/* Begins instance index at its root, the accepted block. No effects but TRACE. */
void dsmr_bft_begin_instance(struct dsmr_bft *bft, uint32_t index);
/* Index of the instance that decides height. */
uint32_t dsmr_bft_instance_of(const struct dsmr_bft *bft, uint64_t height);
/* First height that the instance does not decide. */
uint64_t dsmr_bft_instance_end(const struct dsmr_bft *bft, uint32_t index);
/* Index of the instance with that epoch, or -1. */
int dsmr_bft_instance_by_epoch(const struct dsmr_bft *bft, uint64_t epoch);

/* ---- bft_op.c ---- */
/* A free op with a new request id; NULL at the limit. */
struct dsmr_bft_op *dsmr_bft_op_add(struct dsmr_bft *bft, enum dsmr_bft_op_kind kind);
bool dsmr_bft_op_has_room(const struct dsmr_bft *bft);
/* The op that request_id names, if of that kind; else NULL: a stale answer. */
struct dsmr_bft_op *dsmr_bft_op_find(struct dsmr_bft *bft, enum dsmr_bft_op_kind kind,
                                     uint64_t request_id);
void dsmr_bft_op_end(struct dsmr_bft *bft, struct dsmr_bft_op *op); /* gives its references back */

/* ---- bft_outbox.c ---- */
struct dsmr_bft_effect *dsmr_bft_outbox_push(struct dsmr_bft *bft, enum dsmr_bft_effect_kind kind);
/* body: borrowed, may be NULL; follows the head. peer: index. Out of memory: nothing is sent. */
void dsmr_bft_outbox_send(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg,
                          struct dsmr_buf *body);
void dsmr_bft_outbox_broadcast(struct dsmr_bft *bft, const struct dsmr_msg *msg,
                               struct dsmr_buf *body);
void dsmr_bft_outbox_fault(struct dsmr_bft *bft, uint32_t peer, enum dsmr_err err);
void dsmr_bft_outbox_trace(struct dsmr_bft *bft, enum dsmr_bft_trace what, uint64_t a, uint64_t b);
void dsmr_bft_outbox_block(struct dsmr_bft *bft, enum dsmr_bft_effect_kind kind,
                           struct dsmr_block *block);

/* ---- bft_peer.c ---- */
DSMR_MUST_USE enum dsmr_err dsmr_bft_peer_init(struct dsmr_bft *bft, uint64_t seed);
void dsmr_bft_peer_close(struct dsmr_bft *bft);
/* NO_PEER: not in any set of the schedule. */
uint32_t dsmr_bft_peer_find(const struct dsmr_bft *bft, const struct dsmr_node_id *node_id);
/* hint if it is up, else the next one that is up; NO_PEER: none. */
uint32_t dsmr_bft_peer_next(struct dsmr_bft *bft, uint32_t hint);
/* Latest finalization, the certificate that led into the view; with_votes: own votes as well. */
void dsmr_bft_peer_send_position(struct dsmr_bft *bft, uint32_t peer, bool with_votes);
/* The same without votes, at most once in half a retry_ms: it seems to lag. */
void dsmr_bft_peer_answer_stale(struct dsmr_bft *bft, uint32_t peer);
/* It asked for our position: the same, and BFT_POSITION. */
void dsmr_bft_peer_answer_position(struct dsmr_bft *bft, uint32_t peer, uint64_t question);
/* It spoke of views far ahead of ours: ask for its position, at most once in a retry_ms. */
void dsmr_bft_peer_ask_position(struct dsmr_bft *bft, uint32_t peer);
/* Asks who sent the certificate that was dropped at a limit, once there is room. */
void dsmr_bft_peer_ask_missed(struct dsmr_bft *bft);
uint64_t dsmr_bft_peer_deadline(const struct dsmr_bft *bft);
/* False, with a FAULT, if it asks more than it may. */
bool dsmr_bft_peer_may_ask(struct dsmr_bft *bft, uint32_t peer);
void dsmr_bft_peer_heard(struct dsmr_bft *bft, uint32_t peer); /* a message of it came */
void dsmr_bft_peer_on_change(struct dsmr_bft *bft, const struct dsmr_node_id *node_id, bool is_up);

/* ---- doubt.c ---- */
void dsmr_doubt_begin(struct dsmr_bft *bft); /* an instance begins */
/* False: our key may have voted in that view of the instance before its journal was lost. */
bool dsmr_doubt_may_vote(const struct dsmr_bft *bft, uint64_t view);
/* What BFT_POSITION says: 0, the first view of our votes, or UINT64_MAX. */
uint64_t dsmr_doubt_votes_from(const struct dsmr_bft *bft);
/* Our BFT_POSITION to peer, or to all for NO_PEER. question: what peer asked with, or 0. */
void dsmr_doubt_tell(struct dsmr_bft *bft, uint32_t peer, uint64_t question);
void dsmr_doubt_on_message(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg);
void dsmr_doubt_on_peer_up(struct dsmr_bft *bft, uint32_t peer);
void dsmr_doubt_on_stored(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err);
/* The journal holds the record: no vote up to that view. */
void dsmr_doubt_on_restored(struct dsmr_bft *bft, uint64_t epoch, uint64_t view);
void dsmr_doubt_run(struct dsmr_bft *bft); /* asks, and decides */
uint64_t dsmr_doubt_deadline(const struct dsmr_bft *bft);

/* ---- leader.c ---- */
void dsmr_leader_begin(struct dsmr_bft *bft);
/* Index in the set of view's leader; -1 if nobody may sign. */
int dsmr_leader_of(const struct dsmr_bft *bft, uint64_t view);
void dsmr_leader_timed_out(struct dsmr_bft *bft); /* in the current view, without a proposal */
/* Waiting for the current view's leader is of no use: it is silent, or passes (rules 8.2, 8.3). */
bool dsmr_leader_is_skipped(const struct dsmr_bft *bft);
bool dsmr_leader_must_pass(const struct dsmr_bft *bft); /* we lead, and are far behind: rule 8.3 */
/* A proposal of peer (NULL), or its first vote of that kind and view. */
void dsmr_leader_on_word(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_vote_subject *vote);

/* ---- round.c ---- */
/* The round of a view of the window, made empty if it was not there; NULL outside the window. */
struct dsmr_bft_round *dsmr_round_open(struct dsmr_bft *bft, uint64_t view);
/* The round of view if anything was put into it; else NULL. */
struct dsmr_bft_round *dsmr_round_find(const struct dsmr_bft *bft, uint64_t view);
void dsmr_round_clear_all(struct dsmr_bft *bft);
/* Moves to view > bft->view. */
void dsmr_round_enter(struct dsmr_bft *bft, uint64_t view);

/* ---- view_log.c ---- */
struct dsmr_bft_view_entry *dsmr_view_log_find(const struct dsmr_bft *bft, uint64_t view);
/* False if it was known or is of no use any more. qc is NOTARIZE or NULLIFY, verified. */
bool dsmr_view_log_add(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc);
bool dsmr_view_log_knows(const struct dsmr_bft *bft, const struct dsmr_vote_subject *subject);
void dsmr_view_log_clear(struct dsmr_bft *bft);
/* The block that a proposal may extend at view: root (0), final or notarized. */
bool dsmr_view_log_block_at(const struct dsmr_bft *bft, uint64_t view, struct dsmr_id *id,
                            uint64_t *height);
/* Whether all views between are nullified; else the lowest and highest that are not known. */
bool dsmr_view_log_nullified_between(const struct dsmr_bft *bft, uint64_t low, uint64_t high,
                                     uint64_t missing[2]);
/* Highest view below view that a proposal in view may extend. False: *missing is the view about
 * which nothing is known. */
bool dsmr_view_log_parent_of(const struct dsmr_bft *bft, uint64_t view, uint64_t *parent_view,
                             uint64_t *missing);
/* A notarized block is not final. */
bool dsmr_view_log_has_unfinalized(const struct dsmr_bft *bft);

/* ---- candidate.c ---- */
struct dsmr_bft_candidate *dsmr_candidate_find(const struct dsmr_bft *bft,
                                               const struct dsmr_id *id);
/* Takes a reference. The one that is there, or a new one; NULL if the pool is full of better ones
 * or the height is out of reach. */
struct dsmr_bft_candidate *dsmr_candidate_add(struct dsmr_bft *bft, struct dsmr_block *block);
void dsmr_candidate_want(struct dsmr_bft *bft, const struct dsmr_id *id); /* it is notarized */
/* Accepted, or found valid by the block layer. */
bool dsmr_candidate_is_usable(const struct dsmr_bft *bft, const struct dsmr_id *id);
/* Emits VERIFY for what is needed and can be. */
void dsmr_candidate_verify(struct dsmr_bft *bft);
void dsmr_candidate_on_verdict(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err);
/* After an accept: drops what cannot become final any more, with REJECT. */
void dsmr_candidate_sweep(struct dsmr_bft *bft);
/* Frees its place without a word to the block layer. */
void dsmr_candidate_release(struct dsmr_bft *bft, struct dsmr_bft_candidate *candidate);
void dsmr_candidate_clear(struct dsmr_bft *bft); /* without effects */
uint64_t dsmr_candidate_deadline(const struct dsmr_bft *bft);

/* ---- proposal.c ---- */
void dsmr_proposal_on_message(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg,
                              struct dsmr_buf *bytes);
void dsmr_proposal_try(struct dsmr_bft *bft); /* as leader */
void dsmr_proposal_on_built(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err,
                            struct dsmr_block *block);
/* Broadcasts our proposal of the round, or sends it to peer. */
void dsmr_proposal_send(struct dsmr_bft *bft, const struct dsmr_bft_round *round, uint32_t peer);

/* ---- voting.c ---- */
void dsmr_voting_try(struct dsmr_bft *bft); /* NOTARIZE for the current view's proposal */
void dsmr_voting_nullify(struct dsmr_bft *bft);
void dsmr_voting_finalize(struct dsmr_bft *bft, const struct dsmr_quorum_cert *notarization);
void dsmr_voting_on_stored(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err);
void dsmr_voting_on_signed(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err,
                           const struct dsmr_bls_sig *sig);
/* A vote that the journal holds is signed again. */
void dsmr_voting_resume(struct dsmr_bft *bft, struct dsmr_bft_own_vote *own);
/* Own votes of the view and FINALIZE votes that still matter: to peer, or to all for NO_PEER. */
void dsmr_voting_resend(struct dsmr_bft *bft, uint32_t peer);
/* Those whose record or signature failed once more: the same votes, never others. */
void dsmr_voting_again(struct dsmr_bft *bft);

/* ---- block_pace.c ---- */
/* AGGREGATE or CHECK_QC of op was answered. */
void dsmr_block_pace_on_checked(struct dsmr_bft *bft, const struct dsmr_bft_op *op);
/* A block was proposed, by us or by another leader. */
void dsmr_block_pace_on_block(struct dsmr_bft *bft);
/* From when on the next one may be built. */
uint64_t dsmr_block_pace_due_ms(const struct dsmr_bft *bft);

/* ---- tally.c ---- */
void dsmr_tally_on_message(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg);
void dsmr_tally_add_own(struct dsmr_bft *bft, const struct dsmr_bft_own_vote *own);
/* A certificate of subject, received, did not verify: the votes may do without it. */
void dsmr_tally_on_bad_cert(struct dsmr_bft *bft, const struct dsmr_vote_subject *subject);
/* Aggregates once more what has a quorum: the machine may have failed at it. */
void dsmr_tally_again(struct dsmr_bft *bft);
void dsmr_tally_on_aggregated(struct dsmr_bft *bft, const struct dsmr_bft_event *event);

/* ---- bft_qc.c ---- */
void dsmr_bft_qc_on_message(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg);
/* OK if epoch, height, bitset and weight are such that only the signature is left to check;
 * *set is that of its epoch. */
DSMR_MUST_USE enum dsmr_err dsmr_bft_qc_precheck(const struct dsmr_bft *bft,
                                                 const struct dsmr_quorum_cert *qc,
                                                 struct dsmr_validator_set **set);
/* Emits CHECK_QC; false at a limit. */
bool dsmr_bft_qc_check(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_quorum_cert *qc,
                       bool is_catch_up);
void dsmr_bft_qc_on_checked(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err);
/* A verified certificate; peer: who to ask for what it names, or NO_PEER. */
void dsmr_bft_qc_apply(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc, uint32_t peer);
void dsmr_bft_qc_send(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc, uint32_t peer);

/* ---- finality.c ---- */
/* A verified finalization of this instance. False: nothing new. */
bool dsmr_finality_note(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc);
void dsmr_finality_on_stored(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err);
void dsmr_finality_save(struct dsmr_bft *bft); /* STORE of the latest finalization */
/* The ancestor of block id, or that itself, just above the accepted block; NULL if the line is not
 * held so far. */
struct dsmr_bft_candidate *dsmr_finality_next(const struct dsmr_bft *bft, const struct dsmr_id *id);
/* Accepts the final block and its ancestors if all are held and valid; else sees to it that they
 * will be. True if something was accepted. */
bool dsmr_finality_advance(struct dsmr_bft *bft);
/* block's parent is the last accepted one. qc: its own finalization, or NULL. */
void dsmr_finality_accept(struct dsmr_bft *bft, struct dsmr_block *block,
                          const struct dsmr_quorum_cert *qc);
void dsmr_finality_prefer(struct dsmr_bft *bft); /* emits PREFER if the best tip changed */
/* The lowest block that is final, not accepted, and refused by the block layer; NULL: none. */
const struct dsmr_bft_candidate *dsmr_finality_refused(const struct dsmr_bft *bft);

/* ---- block_fetch.c ---- */
/* Walks from id down; true if everything above the last accepted block is held. Else, unless the
 * branch is dead, the first block that is missing will be asked for. */
bool dsmr_block_fetch_chain(struct dsmr_bft *bft, const struct dsmr_id *id, uint32_t hint);
void dsmr_block_fetch_views(struct dsmr_bft *bft, uint64_t from, uint64_t to, uint32_t hint);
void dsmr_block_fetch_begin(struct dsmr_bft *bft); /* before what is wanted is found out */
void dsmr_block_fetch_run(struct dsmr_bft *bft);   /* asks */
void dsmr_block_fetch_on_block(struct dsmr_bft *bft, const struct dsmr_msg *msg,
                               struct dsmr_buf *bytes);
uint64_t dsmr_block_fetch_deadline(const struct dsmr_bft *bft);
void dsmr_block_fetch_serve_views(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg);
void dsmr_block_fetch_serve_block(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg);

/* ---- catch_up.c ---- */
void dsmr_catch_up_target(struct dsmr_bft *bft, uint64_t height, uint32_t peer); /* is final */
bool dsmr_catch_up_is_far(const struct dsmr_bft *bft);        /* as rule 8.3 says it */
void dsmr_catch_up_hint(struct dsmr_bft *bft, uint32_t peer); /* peer speaks of a later epoch */
void dsmr_catch_up_on_blocks(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg,
                             struct dsmr_buf *bytes);
void dsmr_catch_up_on_checked(struct dsmr_bft *bft, enum dsmr_err err);
bool dsmr_catch_up_advance(struct dsmr_bft *bft); /* true if a block was accepted */
void dsmr_catch_up_run(struct dsmr_bft *bft);     /* asks, gives up on a late peer */
void dsmr_catch_up_serve(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg);
void dsmr_catch_up_clear(struct dsmr_bft *bft);
uint64_t dsmr_catch_up_deadline(const struct dsmr_bft *bft);

/* ---- pacemaker.c ---- */
bool dsmr_pacemaker_is_needed(const struct dsmr_bft *bft);
uint64_t dsmr_pacemaker_timeout(const struct dsmr_bft *bft); /* of the current view */
void dsmr_pacemaker_on_time(struct dsmr_bft *bft);
void dsmr_pacemaker_update(struct dsmr_bft *bft); /* starts and stops the timers */

/* ---- bft_journal.c: records as they are written ---- */
#define DSMR_BFT_JOURNAL_KEY_BYTES 17u
/* Kinds of records; votes have the numbers of enum dsmr_vote_kind, certificates follow. */
#define DSMR_BFT_JOURNAL_CERT 3u       /* plus the vote's kind: 4, 5, 6 */
#define DSMR_BFT_JOURNAL_VOTES_FROM 7u /* once, under a key of ones but for that */
#define DSMR_BFT_JOURNAL_VERSION 1u
#define DSMR_BFT_JOURNAL_VERSION_WITH_CERT 2u /* a vote's, with what it rests on */
/* STORE of an own vote, answered to op; proposal: NOTARIZE only. False: out of memory. */
bool dsmr_bft_journal_vote(struct dsmr_bft *bft, const struct dsmr_bft_op *op,
                           const struct dsmr_bft_proposal *proposal);
#define DSMR_BFT_JOURNAL_VOTES_FROM_BYTES 17u
/* The record "votes from": no vote up to that view of that epoch. */
void dsmr_bft_journal_put_votes_from(uint8_t key[DSMR_BFT_JOURNAL_KEY_BYTES],
                                     uint8_t value[DSMR_BFT_JOURNAL_VOTES_FROM_BYTES],
                                     uint64_t epoch, uint64_t view);
/* STORE of "votes from": no vote up to the op's epoch and view. False: out of memory. */
bool dsmr_bft_journal_votes_from(struct dsmr_bft *bft, const struct dsmr_bft_op *op);
/* STORE of a certificate. False: out of memory. */
bool dsmr_bft_journal_quorum_cert(struct dsmr_bft *bft, uint64_t request_id,
                                  const struct dsmr_quorum_cert *qc);
/* STORE of a certificate of the view log; what cannot be stored is remembered. */
void dsmr_bft_journal_save(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc);
/* The disk has no record of that certificate of the view log. */
void dsmr_bft_journal_unsaved(struct dsmr_bft *bft, const struct dsmr_vote_subject *subject);
void dsmr_bft_journal_on_saved(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err);
/* STORE again of what the disk did not take, the latest finalization and newest views first: before
 * an own vote, so that the vote's record is not alone on the disk; when the disk has taken another
 * record; and as long as it takes. */
void dsmr_bft_journal_save_again(struct dsmr_bft *bft);
void dsmr_bft_journal_prune(struct dsmr_bft *bft, uint64_t epoch, uint64_t view);

/* ---- bft_replay.c: records as they are read ---- */
/* dsmr_bft_restore. */
DSMR_MUST_USE enum dsmr_err dsmr_bft_replay_take(struct dsmr_bft *bft, const uint8_t *key,
                                                 uint32_t key_len, const uint8_t *value,
                                                 uint32_t value_len);
/* Applies what was taken for the instance that begins, drops what is older. */
void dsmr_bft_replay_run(struct dsmr_bft *bft);
void dsmr_bft_replay_clear(struct dsmr_bft *bft);

#endif
