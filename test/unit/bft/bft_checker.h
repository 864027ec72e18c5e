/* bft_checker.h - re-derives what must hold from the effects alone: it asks no predicate of the
 * engine, and does its own arithmetic of quorums.
 *
 * Checked: one accepted block a height, in order, on every honest node, across restarts; no honest
 * node says two things that exclude each other in a view, across restarts; no vote leaves before
 * its record is durable; each finalization that comes with an accept is genuine. */
#ifndef TEST_UNIT_BFT_CHECKER_H
#define TEST_UNIT_BFT_CHECKER_H

#include "bft_world.h"

#define CHECKER_HEIGHTS_MAX 4096u

__extension__ typedef unsigned __int128 checker_u128; /* not in ISO C */

struct checker_said { /* by one node in one view */
    uint32_t node;
    uint64_t epoch, view;
    bool has_notarized, has_nullified, has_finalized;
    struct dsmr_id notarized, finalized;
};

struct checker {
    struct dsmr_id accepted[CHECKER_HEIGHTS_MAX];
    bool is_accepted[CHECKER_HEIGHTS_MAX];
    struct checker_said *said;
    uint32_t said_count, said_capacity;
    const char *violation; /* the first; NULL: none */
};

static inline void checker_fail(struct checker *checker, const char *what)
{
    if (checker->violation == NULL) {
        checker->violation = what;
    }
}

static inline struct checker_said *checker_find(struct checker *checker, uint32_t node,
                                                uint64_t epoch, uint64_t view)
{
    for (uint32_t i = checker->said_count; i > 0; i--) {
        struct checker_said *said = &checker->said[i - 1];
        if (said->node == node && said->epoch == epoch && said->view == view) {
            return said;
        }
    }
    if (checker->said_count == checker->said_capacity) {
        checker->said_capacity = checker->said_capacity > 0 ? 2 * checker->said_capacity : 256;
        checker->said = realloc(checker->said, checker->said_capacity * sizeof(*checker->said));
        assert_non_null(checker->said);
    }
    struct checker_said *said = &checker->said[checker->said_count++];
    *said = (struct checker_said){.node = node, .epoch = epoch, .view = view};
    return said;
}

static inline void checker_on_vote(struct checker *checker, uint32_t node,
                                   const struct dsmr_vote_subject *subject)
{
    struct checker_said *said = checker_find(checker, node, subject->epoch, subject->view);
    switch (subject->kind) {
    case DSMR_VOTE_NOTARIZE:
        if (said->has_notarized && !dsmr_id_equal(&said->notarized, &subject->block_id)) {
            checker_fail(checker, "two NOTARIZE votes in a view");
        }
        said->has_notarized = true;
        said->notarized = subject->block_id;
        break;
    case DSMR_VOTE_NULLIFY:
        said->has_nullified = true;
        break;
    default:
        if (said->has_finalized && !dsmr_id_equal(&said->finalized, &subject->block_id)) {
            checker_fail(checker, "two FINALIZE votes in a view");
        }
        said->has_finalized = true;
        said->finalized = subject->block_id;
        break;
    }
    if (said->has_finalized && said->has_nullified) {
        checker_fail(checker, "FINALIZE and NULLIFY in a view");
    }
}

static inline void checker_on_accept(struct checker *checker, const struct dsmr_block *block,
                                     const struct dsmr_quorum_cert *finalization,
                                     const struct dsmr_validator_set *set)
{
    assert_true(block->height < CHECKER_HEIGHTS_MAX);
    if (checker->is_accepted[block->height] &&
        !dsmr_id_equal(&checker->accepted[block->height], &block->id)) {
        checker_fail(checker, "two accepted blocks at one height");
    }
    checker->is_accepted[block->height] = true;
    checker->accepted[block->height] = block->id;
    if (finalization != NULL) {
        uint64_t weight = 0;
        for (uint32_t i = 0; i < set->count; i++) {
            if ((finalization->signers.words[i / 64] >> (i % 64) & 1) != 0) {
                weight += set->validators[i].weight;
            }
        }
        if (finalization->subject.kind != DSMR_VOTE_FINALIZE ||
            !dsmr_id_equal(&finalization->subject.block_id, &block->id) ||
            finalization->subject.height != block->height || !world_cert_verifies(finalization) ||
            (checker_u128)3 * weight <= (checker_u128)2 * set->total_weight) {
            checker_fail(checker, "a finalization that proves nothing");
        }
    }
}

#endif
