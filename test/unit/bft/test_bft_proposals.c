/* One engine, message by message: proposals, rules 2 to 5 of docs/bft.md at their edges. */
#include "bft_solo.h"

static void test_proposals_that_break_a_rule(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    uint32_t leader = solo_leader(0, view, 4);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    struct dsmr_block *other = world_block(s->genesis, 0, 3000);
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_PROPOSAL};
    msg.u.proposal.view = view;
    msg.u.proposal.parent_id = s->genesis->id;
    msg.u.proposal.block_id = block->id;
    msg.u.proposal.block = block->bytes->bytes;
    msg.u.proposal.block_len = block->bytes->len;
    solo_hear(s, leader % 3 + 1, &msg); /* not its leader */
    assert_int_equal(s->faults, 1);
    msg.u.proposal.block_id = other->id;
    solo_hear(s, leader, &msg); /* another id than the block's */
    assert_int_equal(s->faults, 2);
    msg.u.proposal.block_len = 0;
    solo_hear(s, leader, &msg); /* a re-proposal of something else than the parent */
    assert_int_equal(s->faults, 3);
    msg.u.proposal.block_len = 10;
    solo_hear(s, leader, &msg); /* truncated */
    assert_int_equal(s->faults, 4);
    msg.u.proposal.block_len = block->bytes->len;
    msg.u.proposal.block_id = block->id;
    msg.u.proposal.parent_view = view;
    solo_hear(s, leader, &msg); /* its own parent */
    assert_int_equal(s->faults, 5);
    msg.u.proposal.parent_view = 0;
    msg.u.proposal.parent_id = other->id;
    solo_hear(s, leader, &msg); /* not the block's parent */
    assert_int_equal(s->faults, 6);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX);
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_true(dsmr_id_equal(&solo_voted(s, DSMR_VOTE_NOTARIZE)->block_id, &block->id));
    solo_forget(s);
    solo_propose(s, view, 0, &s->genesis->id, other); /* the first one stands */
    assert_int_equal(s->faults, 1);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    dsmr_block_unref(block);
    dsmr_block_unref(other);
    solo_free(s);
}

static void test_unknown_ancestry_is_asked_for(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *parent = world_block(s->genesis, 0, 2000);
    struct dsmr_block *block = world_block(parent, 0, 3000);
    uint64_t view = 4; /* views 1 to 3 are not known here */
    while (solo_leader(0, view, 4) == 0) {
        view++;
    }
    solo_nullify(s, view - 1);
    solo_propose(s, view, 2, &parent->id, block);
    const struct solo_sent *ask = solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW);
    assert_int_equal(ask->to, solo_leader(0, view, 4)); /* the proposer first */
    assert_int_equal(ask->msg.u.request_view.from_view, 2);
    solo_notarize(s, 2, parent);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    for (uint64_t at = 3; at < view; at++) {
        solo_nullify(s, at);
    }
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE)); /* the parent's bytes are missing */
    assert_non_null(solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCK));
    struct dsmr_msg answer = {.type = DSMR_MSG_BFT_BLOCK};
    answer.u.block.block = block->bytes->bytes;
    answer.u.block.block_len = block->bytes->len;
    solo_hear(s, 1, &answer); /* another one than was asked for */
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    answer.u.block.block = parent->bytes->bytes;
    answer.u.block.block_len = parent->bytes->len;
    solo_hear(s, 1, &answer);
    assert_true(dsmr_id_equal(&solo_voted(s, DSMR_VOTE_NOTARIZE)->block_id, &block->id));
    assert_int_equal(s->verifies, 2); /* parent first */
    dsmr_block_unref(block);
    dsmr_block_unref(parent);
    solo_free(s);
}

/* Rule 5.2: a view of which nothing is known may be final. */
static void test_no_vote_across_an_unknown_view(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    uint64_t view = 4;
    while (solo_leader(0, view, 4) == 0) {
        view++;
    }
    solo_nullify(s, view - 1);
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    for (uint64_t at = 1; at < view - 2; at++) {
        solo_nullify(s, at);
    }
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE)); /* one is still missing */
    solo_nullify(s, view - 2);
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    dsmr_block_unref(block);
    solo_free(s);
}

/* Rule 5.1: the parent must be the block of its view, even if another one of that height is valid
 * here. */
static void test_no_vote_for_another_parent(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *passed = world_block(s->genesis, 0, 2000);
    struct dsmr_block *notarized = world_block(s->genesis, 0, 3000);
    struct dsmr_block *child = world_block(passed, 0, 4000);
    uint64_t view = solo_go_to_view(s, false);
    solo_propose(s, view, 0, &s->genesis->id, passed);
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    solo_nullify(s, view);
    while (solo_leader(0, solo_view(s) + 1, 4) == 0) {
        solo_nullify(s, solo_view(s));
    }
    view = solo_view(s);
    solo_notarize(s, view, notarized);
    solo_forget(s);
    solo_propose(s, view + 1, view, &passed->id, child);
    for (uint32_t i = 0; i < 4; i++) {
        solo_tick(s);
    }
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    dsmr_block_unref(passed);
    dsmr_block_unref(notarized);
    dsmr_block_unref(child);
    solo_free(s);
}

/* Rule 5.3. */
static void test_no_vote_for_a_wrong_height(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block fields = {.id = s->genesis->id, .height = 1};
    struct dsmr_block *block = world_block(&fields, 0, 2000); /* height 2, on height 0 */
    solo_propose(s, solo_go_to_view(s, false), 0, &s->genesis->id, block);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    assert_int_equal(s->verifies, 0);
    dsmr_block_unref(block);
    solo_free(s);
}

/* Rules 3.4 and 5.3: at the boundary only the parent may be proposed. */
static void test_boundary_allows_only_the_parent_again(void **state)
{
    (void)state;
    struct solo *s = solo_with_two_sets();
    struct dsmr_block *last = world_block(s->genesis, 0, 2000);
    struct dsmr_block *beyond = world_block(last, 0, 3000);
    uint64_t view = 1;
    while (solo_leader(0, view + 1, 4) == 0 || solo_leader(0, view, 4) == 0 ||
           solo_leader(0, view + 2, 4) == 0) {
        solo_nullify(s, view++);
    }
    solo_propose(s, view, 0, &s->genesis->id, last);
    solo_notarize(s, view, last);
    solo_forget(s);
    solo_propose(s, view + 1, view, &last->id, beyond);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    solo_nullify(s, view + 1);
    solo_propose(s, view + 2, view, &last->id, NULL);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NOTARIZE)->height, 1);
    dsmr_block_unref(last);
    dsmr_block_unref(beyond);
    solo_free(s);
}

/* The block layer holds what it found valid, also when nobody waits for that verdict any more. */
static void test_late_verdict_is_rejected(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *slow = world_block(s->genesis, 0, 2000);
    struct dsmr_block *final = world_block(s->genesis, 0, 3000);
    s->holds_verify = true;
    uint64_t view = solo_go_to_view(s, false);
    solo_propose(s, view, 0, &s->genesis->id, slow);
    struct dsmr_bft_event verdict = {.kind = DSMR_BFT_EV_VERDICT, .request_id = s->held_request};
    s->holds_verify = false;
    solo_nullify(s, view);
    view = solo_go_to_view(s, false);
    solo_propose(s, view, 0, &s->genesis->id, final);
    solo_finalize(s, view, final);
    assert_int_equal(s->accepts, 1);
    assert_int_equal(s->rejects, 0);
    solo_step(s, &verdict);
    assert_int_equal(s->rejects, 1);
    dsmr_block_unref(slow);
    dsmr_block_unref(final);
    solo_free(s);
}

/* Rule 5.3, and rule 3.4: only so many heights without a final one. */
static void test_depth_is_bounded(void **state)
{
    (void)state;
    enum { DEPTH = 16 };
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *chain[DEPTH + 2] = {s->genesis};
    uint64_t view = 1;
    uint64_t parent_view = 0;
    for (uint32_t height = 1; height <= DEPTH + 1; height++) {
        chain[height] = world_block(chain[height - 1], 0, 2000 + 10 * height);
        view = solo_go_to_view(s, false);
        solo_forget(s);
        solo_propose(s, view, parent_view, &chain[height - 1]->id, chain[height]);
        assert_true((solo_voted(s, DSMR_VOTE_NOTARIZE) != NULL) == (height <= DEPTH));
        if (height <= DEPTH) {
            solo_notarize(s, view, chain[height]);
            parent_view = view;
        }
    }
    (void)solo_go_to_view(s, true);
    solo_forget(s);
    uint32_t builds = s->builds;
    s->to_build = chain[DEPTH + 1];
    solo_wanted(s, true);
    while (solo_said(s, DSMR_MSG_BFT_PROPOSAL) == NULL) {
        solo_tick(s);
    }
    assert_int_equal(solo_said(s, DSMR_MSG_BFT_PROPOSAL)->msg.u.proposal.block_len, 0);
    assert_int_equal(s->builds, builds);
    solo_finalize(s, parent_view, chain[DEPTH]);
    assert_int_equal(s->accepts, DEPTH);
    for (uint32_t height = 1; height <= DEPTH + 1; height++) {
        dsmr_block_unref(chain[height]);
    }
    solo_free(s);
}

static void test_not_yet_is_asked_again(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    s->verdict = DSMR_ERR_NOT_YET;
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    solo_tick(s);
    s->verdict = DSMR_OK;
    uint64_t before_ms = s->now_ms;
    while (solo_voted(s, DSMR_VOTE_NOTARIZE) == NULL) {
        solo_tick(s);
    }
    assert_true(s->now_ms - before_ms < SOLO_TIMEOUT_MS);
    assert_int_equal(s->faults, 0);
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_invalid_block_gets_no_vote(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    s->verdict = DSMR_ERR_BLOCK_TIME;
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_int_equal(s->fault_err, DSMR_ERR_BAD_PROPOSAL);
    s->verdict = DSMR_OK;
    for (uint32_t i = 0; i < 5; i++) {
        solo_tick(s);
    }
    assert_int_equal(s->verifies, 1);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    solo_notarize(s, view, block); /* a quorum knows better: asked once more */
    assert_int_equal(s->verifies, 2);
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_leader_builds_and_proposes(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, true);
    solo_wanted(s, true);
    assert_int_equal(s->builds, 1);
    assert_null(solo_said(s, DSMR_MSG_BFT_PROPOSAL)); /* there was nothing */
    s->to_build = world_block(s->genesis, 0, 2000);
    solo_wanted(s, true); /* try again */
    assert_int_equal(s->builds, 2);
    const struct solo_sent *proposal = solo_said(s, DSMR_MSG_BFT_PROPOSAL);
    assert_true(proposal->is_broadcast);
    assert_int_equal(proposal->msg.u.proposal.view, view);
    assert_int_equal(proposal->msg.u.proposal.block_len, s->to_build->bytes->len);
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

/* Nullifies the current view by a certificate whose check takes so long. */
static void nullify_slowly(struct solo *s, uint64_t takes_ms)
{
    solo_nullify(s, solo_view(s));
    s->now_ms += takes_ms;
    struct dsmr_bft_event checked = {.kind = DSMR_BFT_EV_CHECKED, .request_id = s->held_request};
    solo_step(s, &checked);
}

/* Rule 3.7: how long after the block before one is built, when checks take so long. */
static uint64_t pause_of(uint64_t takes_ms)
{
    struct solo *s = solo_new(NULL);
    solo_start(s);
    s->holds_check = true;
    for (uint32_t i = 0; i < 4 || solo_leader(0, solo_view(s) + 1, 4) != 0; i++) {
        nullify_slowly(s, takes_ms);
    }
    uint64_t view = solo_view(s), begun_ms = s->now_ms;
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_propose(s, view, 0, &s->genesis->id, block);
    s->to_build = world_block(block, 0, 3000);
    solo_wanted(s, true);
    solo_notarize(s, view, block);
    struct dsmr_bft_event checked = {.kind = DSMR_BFT_EV_CHECKED, .request_id = s->held_request};
    solo_step(s, &checked);
    assert_int_equal(solo_view(s), view + 1);
    while (s->builds == 0) {
        solo_tick(s);
    }
    assert_int_equal(solo_view(s), view + 1);
    uint64_t pause_ms = s->now_ms - begun_ms;
    dsmr_block_unref(s->to_build);
    dsmr_block_unref(block);
    solo_free(s);
    return pause_ms;
}

static void test_blocks_are_slower_where_checks_are(void **state)
{
    (void)state;
    assert_int_equal(pause_of(0), 0);
    assert_in_range(pause_of(1), 1, 4);
    assert_int_equal(pause_of(10), SOLO_TIMEOUT_MS / 8);
    assert_int_equal(pause_of(5000), SOLO_TIMEOUT_MS / 8); /* the longest */
}

/* Rule 3.6: a proposal is as good as the leader's vote. */
static void test_proposal_waits_for_its_record(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    (void)solo_go_to_view(s, true);
    s->holds_store = true;
    s->to_build = world_block(s->genesis, 0, 2000);
    uint32_t stores = s->stores;
    solo_wanted(s, true);
    assert_int_equal(s->stores, stores + 1);
    assert_null(solo_said(s, DSMR_MSG_BFT_PROPOSAL));
    struct dsmr_bft_event stored = {.kind = DSMR_BFT_EV_STORED, .request_id = s->held_request};
    solo_step(s, &stored);
    assert_non_null(solo_said(s, DSMR_MSG_BFT_PROPOSAL));
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

/* After a view whose block is notarized but not final, a leader without demand proposes it again:
 * at once if a nullified view lies between, else only when finality is late. */
static void test_leader_proposes_the_parent_again(void **state)
{
    (void)state;
    for (uint32_t gap = 0; gap < 2; gap++) {
        struct solo *s = solo_new(NULL);
        solo_start(s);
        uint64_t before = 1;
        while (solo_leader(0, before + 1 + gap, 4) != 0) {
            before++;
        }
        struct dsmr_block *block = world_block(s->genesis, 0, 2000);
        for (uint64_t view = 1; view < before; view++) {
            solo_nullify(s, view);
        }
        solo_propose(s, before, 0, &s->genesis->id, block);
        solo_notarize(s, before, block);
        if (gap == 1) {
            solo_nullify(s, before + 1);
        } else {
            assert_null(solo_said(s, DSMR_MSG_BFT_PROPOSAL));
            solo_tick(s);
            while (solo_said(s, DSMR_MSG_BFT_PROPOSAL) == NULL) {
                assert_int_equal(solo_view(s), before + 1);
                assert_null(solo_voted(s, DSMR_VOTE_NULLIFY));
                solo_tick(s);
            }
        }
        const struct dsmr_msg *proposal = &solo_said(s, DSMR_MSG_BFT_PROPOSAL)->msg;
        assert_int_equal(proposal->u.proposal.block_len, 0);
        assert_int_equal(proposal->u.proposal.parent_view, before);
        assert_true(dsmr_id_equal(&proposal->u.proposal.block_id, &block->id));
        assert_int_equal(solo_voted(s, DSMR_VOTE_NOTARIZE)->height, 1);
        solo_finalize(s, before + 1 + gap, block); /* of the re-proposal */
        assert_int_equal(s->accepts, 1);
        dsmr_block_unref(block);
        solo_free(s);
    }
}

/* A Byzantine minority that keeps an idle network awake makes views fail; after 64 of them the
 * leader has the accepted tip finalized again, which ends the row. */
static void test_checkpoint_after_many_failed_views(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    for (uint64_t view = 1; view <= 70; view++) {
        solo_nullify(s, view);
    }
    solo_forget(s);
    uint64_t view = solo_go_to_view(s, true);
    assert_null(solo_said(s, DSMR_MSG_BFT_PROPOSAL)); /* nobody is awake */
    struct dsmr_vote_subject awake = solo_subject(view, DSMR_VOTE_NULLIFY, NULL);
    solo_vote(s, 2, &awake);
    const struct dsmr_msg *proposal = &solo_said(s, DSMR_MSG_BFT_PROPOSAL)->msg;
    assert_int_equal(proposal->u.proposal.block_len, 0);
    assert_true(dsmr_id_equal(&proposal->u.proposal.block_id, &s->genesis->id));
    solo_notarize(s, view, s->genesis);
    solo_finalize(s, view, s->genesis);
    assert_int_equal(s->accepts, 0);
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000); /* and life goes on */
    view = solo_go_to_view(s, false);
    solo_propose(s, view, view - 1, &s->genesis->id, block);
    solo_finalize(s, view, block);
    dsmr_block_unref(block);
    solo_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proposals_that_break_a_rule),
        cmocka_unit_test(test_unknown_ancestry_is_asked_for),
        cmocka_unit_test(test_no_vote_across_an_unknown_view),
        cmocka_unit_test(test_no_vote_for_another_parent),
        cmocka_unit_test(test_no_vote_for_a_wrong_height),
        cmocka_unit_test(test_boundary_allows_only_the_parent_again),
        cmocka_unit_test(test_late_verdict_is_rejected),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_not_yet_is_asked_again),
        cmocka_unit_test(test_invalid_block_gets_no_vote),
        cmocka_unit_test(test_leader_builds_and_proposes),
        cmocka_unit_test(test_blocks_are_slower_where_checks_are),
        cmocka_unit_test(test_proposal_waits_for_its_record),
        cmocka_unit_test(test_leader_proposes_the_parent_again),
        cmocka_unit_test(test_checkpoint_after_many_failed_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
