/* bft_step_world.h - the world around the engine of fuzz_bft_step.c.
 *
 * Why:  the driver's side of the engine's contract: each effect is kept until the input chooses to
 *       answer it; writes are durable in their order, a crash keeps a prefix of what waits. The
 *       other validators are truth tables of what each key has really signed, so that a
 *       certificate verifies exactly if its signers signed, and honest ones sign by the rules.
 * Who:  node 0 is the engine. Of the others 1, 2 and 5 are honest, 3 and 4 sign anything. Each of
 *       the two sets has four members and one of the latter. */
#ifndef DSMR_TEST_FUZZ_BFT_STEP_WORLD_H
#define DSMR_TEST_FUZZ_BFT_STEP_WORLD_H

#include <stdint.h>

#include "bft/bft.h"

enum {
    NODES = 6,
    STRANGER = NODES, /* of no set */
    SETS = 2,
    MEMBERS = 4,
    QUORUM = 3,
    BOUNDARY = 5, /* first height of the second set, which is also its epoch */
    VIEWS = 96,   /* honest validators go no further */
    SAID_VIEWS = VIEWS + 48,
    BLOCKS_MAX = 512,
    PROPOSALS_MAX = 256,
    OWED_MAX = 640,
    RECORDS_MAX = 4096,
    KEY_BYTES = 17
};
#define REQUIRE(a) ((a) ? (void)0 : world_broken(#a, __FILE__, __LINE__))

struct said { /* by one key in one view: what its signatures exist of */
    bool has_notarized, has_nullified, has_finalized;
    struct dsmr_vote_subject notarized, finalized;
};

struct proposal {
    uint32_t set;
    uint64_t view, parent_view;
    struct dsmr_id parent_id, block_id;
    struct dsmr_block *block; /* borrowed from the pool; NULL: the parent again */
};

struct world {
    const uint8_t *in;
    size_t in_len, in_at;
    struct dsmr_params params;
    struct dsmr_bft_schedule_entry schedule[SETS];
    struct dsmr_bft *bft;
    struct dsmr_bft_effects effects;
    uint64_t now_ms, question;
    uint32_t lives;
    bool was_wiped;

    /* what is true, whatever the engine knows of it */
    struct said said[SETS][NODES][SAID_VIEWS];
    uint64_t views_end;                    /* nothing honest was signed from this view on */
    struct dsmr_block *blocks[BLOCKS_MAX]; /* genesis first; a block's parent stands before it */
    uint32_t blocks_count;
    struct proposal proposals[PROPOSALS_MAX];
    uint32_t proposals_count;

    /* what the engine waits for, in the order in which it was asked */
    struct dsmr_bft_effect owed[OWED_MAX];
    uint32_t owed_count;

    /* the disk */
    struct record {
        uint8_t key[KEY_BYTES];
        struct dsmr_buf *value;
    } records[RECORDS_MAX];
    uint32_t records_count;
    uint8_t pruned_key[KEY_BYTES]; /* what lies below has been durable */

    /* the block layer: accepted[h] of height h; the first durable_count are on the disk */
    struct accepted {
        struct dsmr_block *block; /* borrowed from the pool */
        bool has_finalization;
        struct dsmr_quorum_cert finalization;
    } accepted[BLOCKS_MAX];
    uint32_t accepted_count, durable_count, ever_count; /* ever: over all lives */
    bool is_valid_here[BLOCKS_MAX];                     /* found valid in this life */
};

void world_broken(const char *what, const char *file, int line);
/* The next byte of the input; 0 at its end. */
uint8_t world_take_u8(struct world *w);
struct dsmr_node_id world_node_id(uint32_t i);

/* ---- bft_step_world.c: the engine and its driver ---- */
void world_begin(struct world *w);
void world_end(struct world *w);
/* Gives the engine an event at the world's time, checks it and takes its effects. */
void world_step(struct world *w, struct dsmr_bft_event *event);
/* The bytes that a peer sends; those that do not decode go no further. */
void world_hear_bytes(struct world *w, uint32_t from, struct dsmr_buf *bytes);
void world_hear(struct world *w, uint32_t from, const struct dsmr_msg *msg);
/* Answers an effect that the input chooses, as the input chooses. */
void world_answer_one(struct world *w);
/* Answers all, well, the oldest first. */
void world_answer_all(struct world *w);
/* Crashes at this point, some of the writes under way being done, and starts again. */
void world_restart(struct world *w);
/* The same, and the disk is lost. */
void world_wipe(struct world *w);

/* ---- bft_step_truth.c: what the keys have signed ---- */
uint32_t world_set_of(const struct world *w, uint64_t epoch); /* SETS: no such epoch */
uint32_t world_set_at(uint64_t height);
uint32_t world_member(const struct world *w, uint32_t set, uint32_t i); /* a node */
bool world_is_honest(uint32_t node);
/* Independent of the engine: rule 2. */
uint32_t world_leader(const struct world *w, uint32_t set, uint64_t view);
/* Where to note what node signs in view; not for those who sign anything. */
struct said *world_said(struct world *w, uint32_t set, uint32_t node, uint64_t view);
bool world_has_signed(const struct world *w, uint32_t node,
                      const struct dsmr_vote_subject *subject);
/* All of its signers have signed, and they are a quorum. */
bool world_is_true(const struct world *w, const struct dsmr_quorum_cert *qc);
/* The certificate of subject by all who have signed; false if they are no quorum. */
bool world_certify(const struct world *w, struct dsmr_quorum_cert *out,
                   const struct dsmr_vote_subject *subject);
bool world_notarized(const struct world *w, struct dsmr_vote_subject *out, uint32_t set,
                     uint64_t view);
bool world_finalized(const struct world *w, struct dsmr_vote_subject *out, uint32_t set,
                     uint64_t view);
bool world_nullified(const struct world *w, uint32_t set, uint64_t view);
/* Index in the pool, or BLOCKS_MAX. */
uint32_t world_find(const struct world *w, const struct dsmr_id *id);
/* Notes a block whose parent is in the pool; takes a reference. NULL: no room, or no parent. */
struct dsmr_block *world_note(struct world *w, struct dsmr_block *block);
/* A new block on that one. */
struct dsmr_block *world_make(struct world *w, const struct dsmr_block *parent, uint64_t time_ms);
bool world_is_valid(const struct dsmr_block *block);
/* An honest node votes if its rules allow; true if this signature now exists. */
bool world_vote(struct world *w, uint32_t node, uint8_t kind, const struct proposal *proposal);
bool world_nullify(struct world *w, uint32_t node, uint32_t set, uint64_t view);
/* The parent that rule 3.1 gives a leader of view: its view, and the block; false: not known. */
bool world_parent(const struct world *w, uint32_t set, uint64_t view, uint64_t *parent_view,
                  uint32_t *parent);
/* All that is final lies on one chain. */
void world_check_truth(const struct world *w);

#endif
