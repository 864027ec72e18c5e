/* One engine, message by message: each rule of docs/bft.md at its edges. */
#include "bft_solo.h"

#define WINDOW_AHEAD 32u

/* ---- votes: rules 5, 6, 12 ---- */

static void test_store_then_sign_then_send(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    s->holds_store = true;
    s->holds_sign = true;
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    uint32_t stores = s->stores;
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_int_equal(s->stores, stores + 1);
    assert_int_equal(s->signs, 0);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    struct dsmr_bft_event stored = {.kind = DSMR_BFT_EV_STORED, .request_id = s->held_request};
    solo_step(s, &stored);
    assert_int_equal(s->signs, 1);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    struct dsmr_bft_event sig = {.kind = DSMR_BFT_EV_SIGNED, .request_id = s->held_request};
    solo_step(s, &sig);
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    solo_step(s, &sig); /* an answer that nobody waits for */
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_failed_store_is_never_replaced(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    s->holds_store = true;
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_propose(s, view, 0, &s->genesis->id, block);
    struct dsmr_bft_event stored = {
        .kind = DSMR_BFT_EV_STORED, .request_id = s->held_request, .err = DSMR_ERR_IO};
    uint32_t stores = s->stores;
    solo_step(s, &stored);
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_int_equal(s->signs, 0);
    assert_int_equal(s->stores, stores);
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_votes_make_a_certificate(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    struct dsmr_vote_subject notarize = solo_subject(view, DSMR_VOTE_NOTARIZE, block);
    struct dsmr_vote_subject finalize = solo_subject(view, DSMR_VOTE_FINALIZE, block);
    solo_propose(s, view, 0, &s->genesis->id, block);
    solo_vote(s, 1, &notarize);
    assert_int_equal(solo_view(s), view); /* two of four: none */
    solo_vote(s, 2, &notarize);
    assert_int_equal(solo_view(s), view + 1);
    const struct solo_sent *qc = solo_said(s, DSMR_MSG_BFT_QUORUM_CERT);
    assert_true(qc->is_broadcast && world_cert_verifies(&qc->msg.u.quorum_cert));
    assert_non_null(solo_voted(s, DSMR_VOTE_FINALIZE));
    assert_true(dsmr_bft_deadline_ms(s->bft) != UINT64_MAX);
    solo_vote(s, 1, &finalize);
    assert_int_equal(s->accepts, 0);
    solo_vote(s, 3, &finalize);
    assert_int_equal(s->accepts, 1);
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX); /* nothing is open: idle */
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_no_finalize_after_nullify(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    struct dsmr_vote_subject notarize = solo_subject(view, DSMR_VOTE_NOTARIZE, block);
    solo_wanted(s, true);
    while (solo_voted(s, DSMR_VOTE_NULLIFY) == NULL) {
        solo_tick(s);
    }
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE)); /* that much is still allowed */
    solo_vote(s, 1, &notarize);
    solo_vote(s, 2, &notarize);
    assert_int_equal(solo_view(s), view + 1);
    assert_null(solo_voted(s, DSMR_VOTE_FINALIZE));
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_equivocating_votes(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *a = world_block(s->genesis, 0, 2000);
    struct dsmr_block *b = world_block(s->genesis, 0, 3000);
    struct dsmr_vote_subject for_a = solo_subject(1, DSMR_VOTE_NOTARIZE, a);
    struct dsmr_vote_subject for_b = solo_subject(1, DSMR_VOTE_NOTARIZE, b);
    solo_vote(s, 1, &for_a);
    solo_vote(s, 1, &for_a); /* the same again is nothing */
    assert_int_equal(s->faults, 0);
    solo_vote(s, 1, &for_b);
    assert_int_equal(s->faults, 1);
    assert_int_equal(s->fault_err, DSMR_ERR_BAD_VOTE);
    solo_vote(s, 2, &for_b);
    solo_vote(s, 3, &for_b); /* with the equivocator's this would be three */
    assert_int_equal(solo_view(s), 1);
    struct dsmr_vote_subject nullify = solo_subject(2, DSMR_VOTE_NULLIFY, NULL);
    struct dsmr_vote_subject finalize = solo_subject(2, DSMR_VOTE_FINALIZE, a);
    solo_vote(s, 1, &nullify);
    solo_vote(s, 1, &finalize);
    assert_int_equal(s->faults, 2);
    dsmr_block_unref(a);
    dsmr_block_unref(b);
    solo_free(s);
}

static void test_forged_votes_are_dropped(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    struct dsmr_vote_subject subject = solo_subject(1, DSMR_VOTE_NOTARIZE, block);
    struct dsmr_msg forged = {.type = DSMR_MSG_BFT_VOTE};
    forged.u.vote.subject = subject;
    world_sign(&forged.u.vote.sig, 1, &subject);
    solo_hear(s, 3, &forged); /* 1's signature from 3 */
    solo_vote(s, 1, &subject);
    assert_int_equal(s->faults, 0); /* unchecked until a quorum is there */
    solo_vote(s, 2, &subject);
    assert_int_equal(s->faults, 1);
    assert_int_equal(solo_view(s), 1);
    solo_vote(s, 3, &subject); /* the liar gets no second try in this view */
    assert_int_equal(solo_view(s), 1);
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_votes_at_the_edges(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_vote_subject subject = solo_subject(1, DSMR_VOTE_NULLIFY, NULL);
    solo_vote(s, 9, &subject); /* in no set */
    assert_int_equal(s->fault_err, DSMR_ERR_NOT_VALIDATOR);
    subject.epoch = 5;
    solo_vote(s, 1, &subject); /* in no schedule */
    assert_int_equal(s->fault_err, DSMR_ERR_BAD_VOTE);
    assert_int_equal(s->faults, 2);
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX);
    subject.epoch = 0;
    subject.view = 1 + WINDOW_AHEAD + 1;
    solo_vote(s, 1, &subject); /* beyond the window: where are you? */
    assert_non_null(solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW));
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX);
    solo_forget(s);
    solo_vote(s, 1, &subject);
    assert_int_equal(s->sent_count, 0); /* once in a while only */
    subject.view = 1 + WINDOW_AHEAD;
    solo_vote(s, 1, &subject);
    assert_int_equal(s->faults, 0);
    assert_true(dsmr_bft_deadline_ms(s->bft) != UINT64_MAX); /* somebody is awake */
    subject.view = UINT64_MAX;
    solo_vote(s, 2, &subject);
    subject.view = 0;
    solo_vote(s, 2, &subject);
    assert_int_equal(solo_view(s), 1);
    solo_free(s);
}

static void test_quorum_is_by_weight(void **state)
{
    (void)state;
    static const uint64_t weights[] = {1, 1, 1, 1000000000};
    static const uint64_t huge[] = {UINT64_MAX / 4, UINT64_MAX / 4, UINT64_MAX / 4, UINT64_MAX / 4};
    struct solo *s = solo_new(weights);
    solo_start(s);
    struct dsmr_vote_subject subject = solo_subject(1, DSMR_VOTE_NULLIFY, NULL);
    solo_vote(s, 1, &subject);
    solo_vote(s, 2, &subject);
    assert_int_equal(solo_view(s), 1);
    solo_vote(s, 3, &subject);
    assert_int_equal(solo_view(s), 2);
    solo_free(s);
    s = solo_new(huge);
    solo_start(s);
    struct dsmr_quorum_cert two = world_cert(&subject, 2);
    struct dsmr_quorum_cert three = world_cert(&subject, 3);
    solo_cert(s, 1, &two);
    assert_int_equal(s->fault_err, DSMR_ERR_UNDER_QUORUM);
    assert_int_equal(s->checks, 0);
    solo_cert(s, 1, &three);
    assert_int_equal(solo_view(s), 2);
    solo_free(s);
}

/* ---- certificates: rule 7 ---- */

static void test_certificates_are_filtered_before_pairing(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_vote_subject subject = solo_subject(1, DSMR_VOTE_NULLIFY, NULL);
    struct dsmr_quorum_cert qc = world_cert(&subject, 3);
    struct dsmr_quorum_cert bad = qc;
    dsmr_bitset_add(&bad.signers, 4); /* beyond the set */
    solo_cert(s, 1, &bad);
    assert_int_equal(s->fault_err, DSMR_ERR_BITSET);
    bad = world_cert(&subject, 2);
    solo_cert(s, 1, &bad);
    assert_int_equal(s->fault_err, DSMR_ERR_UNDER_QUORUM);
    bad = qc;
    bad.subject.epoch = 3;
    solo_cert(s, 1, &bad);
    assert_int_equal(s->fault_err, DSMR_ERR_BAD_VOTE);
    bad = qc;
    bad.subject.view = UINT64_MAX;
    solo_cert(s, 1, &bad);
    assert_int_equal(s->faults, 4);
    assert_int_equal(s->checks, 0);
    bad = qc;
    bad.sig.bytes[5] ^= 1;
    solo_cert(s, 1, &bad);
    assert_int_equal(s->checks, 1);
    assert_int_equal(s->faults, 5);
    assert_int_equal(solo_view(s), 1);
    solo_cert(s, 2, &qc);
    assert_int_equal(solo_view(s), 2);
    solo_cert(s, 3, &qc); /* known */
    assert_int_equal(s->checks, 2);
    solo_free(s);
}

static void test_flood_of_certificates(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    s->holds_check = true;
    for (uint64_t view = 1; view <= 100; view++) {
        solo_nullify(s, view);
    }
    assert_int_equal(s->checks, 8); /* of one peer */
    struct dsmr_vote_subject subject = solo_subject(1, DSMR_VOTE_NULLIFY, NULL);
    struct dsmr_quorum_cert qc = world_cert(&subject, 3);
    solo_cert(s, 1, &qc);
    solo_cert(s, 2, &qc);
    solo_cert(s, 3, &qc); /* two for one subject are enough */
    assert_int_equal(s->checks, 9);
    solo_free(s);
}

static void test_shared_key_does_not_sign(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    s->schedule[0].set->validators[2].node_ids_count = 2;
    s->schedule[0].set->validators[2].node_ids[1] = world_node_id(8);
    dsmr_bft_free(s->bft);
    solo_open(s);
    solo_start(s);
    struct dsmr_vote_subject subject = solo_subject(1, DSMR_VOTE_NULLIFY, NULL);
    solo_vote(s, 2, &subject);
    assert_int_equal(s->fault_err, DSMR_ERR_NOT_VALIDATOR);
    struct dsmr_quorum_cert qc = world_cert(&subject, 3);
    solo_cert(s, 1, &qc);
    assert_int_equal(s->fault_err, DSMR_ERR_BITSET);
    assert_int_equal(solo_view(s), 1);
    solo_free(s);
}

static void test_jump_to_a_higher_view(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    solo_nullify(s, 5000);
    assert_int_equal(solo_view(s), 5001);
    solo_nullify(s, 3); /* old news: kept, not broadcast */
    assert_int_equal(solo_view(s), 5001);
    solo_free(s);
}

/* ---- proposals: rules 3, 4, 5 ---- */

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

/* Node 4 is in the second set only, which decides from height 2 on. */
static struct solo *solo_with_two_sets(void)
{
    static const uint32_t nodes[] = {0, 1, 2, 4};
    struct solo *s = solo_new(NULL);
    s->schedule[1].from_height = 2;
    s->schedule[1].set = world_set(2, nodes, NULL, 4);
    s->schedule_count = 2;
    dsmr_bft_free(s->bft);
    solo_open(s);
    solo_start(s);
    return s;
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

/* Rule 9: who is outside the set follows by what it is told. */
static void test_finalization_is_told_outside_the_set(void **state)
{
    (void)state;
    struct solo *s = solo_with_two_sets();
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_peer(s, 4, true);
    uint64_t view = solo_go_to_view(s, false);
    solo_propose(s, view, 0, &s->genesis->id, block);
    solo_forget(s);
    solo_finalize(s, view, block);
    bool is_told = false;
    for (uint32_t i = 0; i < s->sent_count; i++) {
        is_told =
            is_told || (s->sent[i].to == 4 && s->sent[i].msg.type == DSMR_MSG_BFT_QUORUM_CERT);
    }
    assert_true(is_told);
    dsmr_block_unref(block);
    solo_free(s);
}

/* Rule 15: a follower whose block layer waits asks, one peer after another; else it is silent. */
static void test_follower_asks_while_it_waits(void **state)
{
    (void)state;
    static const uint32_t nodes[] = {1, 2, 3, 4};
    struct solo *s = solo_new(NULL);
    dsmr_validator_set_unref(s->schedule[0].set);
    s->schedule[0].set = world_set(0, nodes, NULL, 4);
    dsmr_bft_free(s->bft);
    solo_open(s);
    solo_start(s);
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX);
    solo_wanted(s, true);
    uint32_t asked = 0;
    for (uint32_t i = 0; i < 12; i++) {
        solo_tick(s);
        const struct solo_sent *ask = solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS);
        asked |= ask != NULL ? 1u << ask->to : 0;
        solo_forget(s);
    }
    assert_int_equal(asked, 0xe);
    assert_int_equal(s->stores, 0); /* and never votes */
    solo_wanted(s, false);
    while (dsmr_bft_deadline_ms(s->bft) != UINT64_MAX) { /* the last request runs out */
        solo_tick(s);
    }
    assert_null(solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS));
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

/* ---- timers: rules 8, 10 ---- */

static void test_timeouts_double_up_to_the_maximum(void **state)
{
    (void)state;
    static const uint64_t expected[] = {100, 200, 400, 800, 800, 800};
    struct solo *s = solo_new(NULL);
    solo_start(s);
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX);
    solo_wanted(s, true);
    for (uint32_t i = 0; i < 6; i++) {
        uint64_t entered_ms = s->now_ms;
        while (solo_voted(s, DSMR_VOTE_NULLIFY) == NULL) {
            solo_tick(s);
        }
        assert_int_equal(s->now_ms - entered_ms, expected[i]);
        solo_nullify(s, solo_view(s));
        solo_forget(s);
    }
    solo_wanted(s, false);
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX);
    solo_free(s);
}

static void test_resends_with_backoff(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    (void)solo_go_to_view(s, false);
    solo_wanted(s, true);
    while (solo_voted(s, DSMR_VOTE_NULLIFY) == NULL) {
        solo_tick(s);
    }
    s->now_ms += 60000;
    solo_tick(s);
    solo_forget(s);
    uint64_t from_ms = s->now_ms;
    uint32_t resent = 0;
    while (s->now_ms < from_ms + 10000) {
        solo_forget(s);
        solo_tick(s);
        resent += solo_voted(s, DSMR_VOTE_NULLIFY) != NULL ? 1 : 0;
    }
    assert_in_range(resent, 5, 10000 / (16 * SOLO_RETRY_MS * 3 / 4) + 1);
    solo_free(s);
}

static void test_position_for_who_connects_and_who_lags(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_propose(s, view, 0, &s->genesis->id, block);
    solo_notarize(s, view, block);
    solo_forget(s);
    solo_peer(s, 2, true);
    assert_non_null(solo_voted(s, DSMR_VOTE_FINALIZE));
    assert_int_equal(solo_said(s, DSMR_MSG_BFT_QUORUM_CERT)->to, 2);
    solo_finalize(s, view, block);
    solo_forget(s);
    struct dsmr_vote_subject late = solo_subject(view, DSMR_VOTE_NOTARIZE, block);
    s->now_ms += 1000;
    solo_vote(s, 3, &late); /* crossed on the way */
    assert_int_equal(s->sent_count, 0);
    solo_vote(s, 3, &late); /* said again: it lacks the certificate */
    const struct solo_sent *answer = solo_said(s, DSMR_MSG_BFT_QUORUM_CERT);
    assert_int_equal(answer->to, 3);
    assert_int_equal(answer->msg.u.quorum_cert.subject.kind, DSMR_VOTE_FINALIZE);
    uint32_t sent = s->sent_count;
    for (uint32_t i = 0; i < 100; i++) {
        solo_vote(s, 3, &late);
    }
    assert_int_equal(s->sent_count, sent); /* not more often than it is useful */
    dsmr_block_unref(block);
    solo_free(s);
}

/* ---- serving: rule 13 ---- */

static void test_requests_are_served_within_bounds(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    for (uint64_t view = 1; view <= 100; view++) {
        solo_nullify(s, view);
    }
    solo_forget(s);
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_REQUEST_VIEW};
    msg.u.request_view.from_view = 1;
    msg.u.request_view.to_view = UINT64_MAX;
    solo_hear(s, 1, &msg);
    assert_int_equal(s->sent_count, 32);
    solo_forget(s);
    struct dsmr_msg blocks = {.type = DSMR_MSG_BFT_REQUEST_BLOCKS};
    blocks.u.request_blocks.from_height = 1;
    solo_hear(s, 2, &blocks); /* we have none */
    assert_int_equal(s->serves, 0);
    blocks.u.request_blocks.from_height = 0;
    for (uint32_t i = 0; i < 200; i++) {
        solo_hear(s, 2, &blocks);
    }
    assert_int_equal(s->serves, 63);
    assert_int_equal(s->fault_err, DSMR_ERR_RATE_LIMITED);
    s->now_ms += SOLO_RETRY_MS;
    solo_hear(s, 2, &blocks);
    assert_int_equal(s->serves, 64);
    solo_free(s);
}

/* ---- catch-up: rule 15 ---- */

static struct dsmr_msg batch_of(struct dsmr_block *const *blocks, uint32_t count, uint8_t *buffer,
                                const struct dsmr_quorum_cert *qc)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCKS};
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        dsmr_store_be32(buffer + at, blocks[i]->bytes->len);
        memcpy(buffer + at + 4, blocks[i]->bytes->bytes, blocks[i]->bytes->len);
        at += 4 + blocks[i]->bytes->len;
    }
    msg.u.blocks.count = count;
    msg.u.blocks.blocks = buffer;
    msg.u.blocks.blocks_len = at;
    msg.u.blocks.finalization = *qc;
    return msg;
}

static void test_catch_up_takes_only_a_proven_chain(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    uint8_t buffer[4096];
    struct dsmr_block *chain[4] = {s->genesis};
    for (uint32_t i = 1; i < 4; i++) {
        chain[i] = world_block(chain[i - 1], 0, 1000 + 1000 * i);
    }
    struct dsmr_block *false_first = world_block(s->genesis, 0, 9000);
    struct dsmr_block *false_last = world_block(chain[2], 0, 9000);
    struct dsmr_block *forked[] = {false_first, chain[2], chain[3]};
    struct dsmr_block *replaced[] = {chain[1], chain[2], false_last};
    struct dsmr_block below_far = {.id = chain[3]->id, .height = DSMR_BFT_GAP_MAX};
    struct dsmr_block *far[] = {world_block(&below_far, 0, 9000)};
    struct dsmr_vote_subject far_subject = solo_subject(30, DSMR_VOTE_FINALIZE, far[0]);
    struct dsmr_quorum_cert far_qc = world_cert(&far_subject, 3);
    solo_start(s);
    solo_finalize(s, 9, chain[3]); /* from node 1 */
    uint32_t asked = 0;
    uint32_t faults = 0;
    struct dsmr_vote_subject subject = solo_subject(9, DSMR_VOTE_FINALIZE, chain[3]);
    for (uint32_t attempt = 0; attempt < 8; attempt++) {
        while (solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS) == NULL) {
            solo_tick(s);
        }
        uint32_t to = solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS)->to;
        assert_true(attempt > 0 || to == 1);
        asked |= 1u << to;
        struct dsmr_quorum_cert qc = world_cert(&subject, 3);
        struct dsmr_msg msg = batch_of(chain + 1, 3, buffer, &qc);
        solo_forget(s);
        switch (attempt) {
        case 0: /* from somebody else than was asked */
            solo_hear(s, to % 3 + 1, &msg);
            assert_int_equal(s->checks, 1);
            break;
        case 1: /* too deep a hole: it may answer what another life of ours asked */
            msg = batch_of(far, 1, buffer, &far_qc);
            solo_hear(s, to, &msg);
            break;
        case 2: /* the certificate is for another block */
            msg = batch_of(chain + 1, 2, buffer, &qc);
            solo_hear(s, to, &msg);
            break;
        case 3:
            msg.u.blocks.finalization.sig.bytes[7] ^= 1;
            solo_hear(s, to, &msg);
            break;
        case 4:
            msg.u.blocks.finalization = world_cert(&subject, 2);
            solo_hear(s, to, &msg);
            break;
        case 5: /* begins on the accepted block, ends in the final one, and is no chain */
            msg = batch_of(forked, 3, buffer, &qc);
            solo_hear(s, to, &msg);
            break;
        case 6: /* of the right height, and not the final one */
            msg = batch_of(replaced, 3, buffer, &qc);
            solo_hear(s, to, &msg);
            break;
        default:
            solo_hear(s, to, &msg);
            break;
        }
        faults += s->faults > 0 ? 1 : 0;
        assert_int_equal(s->accepts, attempt < 7 ? 0 : 3);
    }
    assert_int_equal(asked, 0xe); /* each of the three in turn */
    assert_int_equal(faults, 5);
    dsmr_block_unref(false_first);
    dsmr_block_unref(false_last);
    dsmr_block_unref(far[0]);
    for (uint32_t i = 1; i < 4; i++) {
        dsmr_block_unref(chain[i]);
    }
    solo_free(s);
}

static void give_block(struct solo *s, uint32_t from, const struct dsmr_block *block)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCK};
    msg.u.block.block = block->bytes->bytes;
    msg.u.block.block_len = block->bytes->len;
    solo_hear(s, from, &msg);
}

/* As deep as it may be: a batch whose first blocks did not fit. They are asked for by id, from the
 * highest down, and accepted from the lowest up; those of another line are not taken. */
static void test_catch_up_fills_a_gap_by_id(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    uint8_t buffer[4096];
    struct dsmr_block *chain[DSMR_BFT_GAP_MAX + 1u] = {s->genesis};
    for (uint32_t i = 1; i <= DSMR_BFT_GAP_MAX; i++) {
        chain[i] = world_block(chain[i - 1], 0, 1000 + 1000 * i);
    }
    struct dsmr_block *other = world_block(s->genesis, 0, 9000);
    struct dsmr_vote_subject subject =
        solo_subject(40, DSMR_VOTE_FINALIZE, chain[DSMR_BFT_GAP_MAX]);
    struct dsmr_quorum_cert qc = world_cert(&subject, 3);
    solo_start(s);
    solo_finalize(s, 40, chain[DSMR_BFT_GAP_MAX]); /* from node 1 */
    assert_non_null(solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS));
    uint32_t to = solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS)->to;
    solo_forget(s);
    struct dsmr_msg msg = batch_of(chain + DSMR_BFT_GAP_MAX - 1u, 2, buffer, &qc);
    solo_hear(s, to, &msg);
    for (uint32_t i = DSMR_BFT_GAP_MAX - 2u; i > 0; i--) {
        assert_int_equal(s->accepts, 0);
        while (solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCK) == NULL) {
            solo_tick(s);
        }
        const struct solo_sent *asked = solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCK);
        assert_memory_equal(asked->msg.u.request_block.block_id.bytes, chain[i]->id.bytes, 32);
        to = asked->to;
        solo_forget(s);
        give_block(s, to, other);
        give_block(s, to, chain[i]);
    }
    assert_int_equal(s->accepts, DSMR_BFT_GAP_MAX);
    assert_int_equal(s->faults, 0);
    for (uint32_t i = 1; i <= DSMR_BFT_GAP_MAX; i++) {
        dsmr_block_unref(chain[i]);
    }
    dsmr_block_unref(other);
    solo_free(s);
}

/* What is final and too far above to be held is not asked for by id again and again. */
static void test_far_final_block_is_not_asked_for(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    struct dsmr_block below = {.id = s->genesis->id, .height = DSMR_BFT_GAP_MAX};
    struct dsmr_block *block = world_block(&below, 0, 9000);
    solo_start(s);
    solo_finalize(s, 40, block);
    for (uint32_t i = 0; i < 20; i++) {
        solo_tick(s);
        give_block(s, 1, block);
    }
    assert_null(solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCK));
    dsmr_block_unref(block);
    solo_free(s);
}

/* ---- everything: nothing that a peer says may break an invariant ---- */

static struct dsmr_vote_subject any_subject(struct dsmr_prng *prng,
                                            struct dsmr_block *const *blocks)
{
    const struct dsmr_block *block = blocks[dsmr_prng_below(prng, 4)];
    struct dsmr_vote_subject subject = {
        .epoch = dsmr_prng_below(prng, 20) == 0 ? 1 : 0,
        .view = dsmr_prng_below(prng, 50) == 0 ? dsmr_prng_next(prng) : dsmr_prng_below(prng, 60),
        .kind = (uint8_t)(1 + dsmr_prng_below(prng, 3)),
    };
    if (subject.kind != DSMR_VOTE_NULLIFY) {
        subject.height = block->height + (dsmr_prng_below(prng, 10) == 0 ? 1 : 0);
        subject.block_id = block->id;
    }
    return subject;
}

static struct dsmr_msg any_message(struct dsmr_prng *prng, struct dsmr_block *const *blocks)
{
    struct dsmr_msg msg = {.type = (uint8_t)(16 + dsmr_prng_below(prng, 8))};
    const struct dsmr_block *block = blocks[dsmr_prng_below(prng, 4)];
    struct dsmr_vote_subject subject = any_subject(prng, blocks);
    switch (msg.type) {
    case DSMR_MSG_BFT_PROPOSAL:
        msg.u.proposal.view = subject.view;
        msg.u.proposal.parent_view = dsmr_prng_below(prng, subject.view + 1);
        msg.u.proposal.parent_id = dsmr_prng_below(prng, 2) == 0 ? block->parent_id : blocks[0]->id;
        msg.u.proposal.block_id = block->id;
        msg.u.proposal.block = block->bytes->bytes;
        msg.u.proposal.block_len = block->bytes->len;
        break;
    case DSMR_MSG_BFT_VOTE:
        msg.u.vote.subject = subject;
        world_sign(&msg.u.vote.sig, (uint32_t)dsmr_prng_below(prng, 4), &subject);
        break;
    case DSMR_MSG_BFT_QUORUM_CERT: /* only nullifications verify: the rest would be a fork */
        msg.u.quorum_cert = world_cert(&subject, 1 + (uint32_t)dsmr_prng_below(prng, 5));
        msg.u.quorum_cert.sig.bytes[0] ^= subject.kind != DSMR_VOTE_NULLIFY ? 1 : 0;
        break;
    case DSMR_MSG_BFT_REQUEST_BLOCKS:
        msg.u.request_blocks.from_height = dsmr_prng_below(prng, 3);
        break;
    case DSMR_MSG_BFT_REQUEST_VIEW:
        msg.u.request_view.from_view = dsmr_prng_below(prng, 60);
        msg.u.request_view.to_view = dsmr_prng_next(prng) >> dsmr_prng_below(prng, 64);
        break;
    case DSMR_MSG_BFT_REQUEST_BLOCK:
        msg.u.request_block.block_id = block->id;
        break;
    case DSMR_MSG_BFT_BLOCKS:
        msg.u.blocks.finalization = world_cert(&subject, 3);
        break;
    default:
        msg.u.block.block = block->bytes->bytes;
        msg.u.block.block_len = block->bytes->len;
        break;
    }
    return msg;
}

static void test_any_sequence_of_messages(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct solo *s = solo_new(NULL);
        struct dsmr_prng prng;
        struct dsmr_block *blocks[4];
        dsmr_prng_init(&prng, seed);
        blocks[0] = s->genesis;
        for (uint32_t i = 1; i < 4; i++) {
            blocks[i] = world_block(blocks[dsmr_prng_below(&prng, i)], 0, 5000 + i);
        }
        solo_start(s);
        for (uint32_t i = 0; i < 400; i++) {
            struct dsmr_msg msg = any_message(&prng, blocks);
            (void)solo_try_hear(s, (uint32_t)dsmr_prng_below(&prng, 6), &msg);
            if (dsmr_prng_below(&prng, 5) == 0 && dsmr_bft_deadline_ms(s->bft) != UINT64_MAX) {
                solo_tick(s);
            }
            solo_forget(s);
            while (s->records > 8) { /* not needed here */
                dsmr_buf_unref(s->values[--s->records]);
            }
        }
        for (uint32_t i = 1; i < 4; i++) {
            dsmr_block_unref(blocks[i]);
        }
        solo_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_then_sign_then_send),
        cmocka_unit_test(test_failed_store_is_never_replaced),
        cmocka_unit_test(test_votes_make_a_certificate),
        cmocka_unit_test(test_no_finalize_after_nullify),
        cmocka_unit_test(test_equivocating_votes),
        cmocka_unit_test(test_forged_votes_are_dropped),
        cmocka_unit_test(test_votes_at_the_edges),
        cmocka_unit_test(test_quorum_is_by_weight),
        cmocka_unit_test(test_certificates_are_filtered_before_pairing),
        cmocka_unit_test(test_flood_of_certificates),
        cmocka_unit_test(test_shared_key_does_not_sign),
        cmocka_unit_test(test_jump_to_a_higher_view),
        cmocka_unit_test(test_proposals_that_break_a_rule),
        cmocka_unit_test(test_unknown_ancestry_is_asked_for),
        cmocka_unit_test(test_no_vote_across_an_unknown_view),
        cmocka_unit_test(test_no_vote_for_another_parent),
        cmocka_unit_test(test_no_vote_for_a_wrong_height),
        cmocka_unit_test(test_boundary_allows_only_the_parent_again),
        cmocka_unit_test(test_finalization_is_told_outside_the_set),
        cmocka_unit_test(test_follower_asks_while_it_waits),
        cmocka_unit_test(test_late_verdict_is_rejected),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_not_yet_is_asked_again),
        cmocka_unit_test(test_invalid_block_gets_no_vote),
        cmocka_unit_test(test_leader_builds_and_proposes),
        cmocka_unit_test(test_proposal_waits_for_its_record),
        cmocka_unit_test(test_leader_proposes_the_parent_again),
        cmocka_unit_test(test_checkpoint_after_many_failed_views),
        cmocka_unit_test(test_timeouts_double_up_to_the_maximum),
        cmocka_unit_test(test_resends_with_backoff),
        cmocka_unit_test(test_position_for_who_connects_and_who_lags),
        cmocka_unit_test(test_requests_are_served_within_bounds),
        cmocka_unit_test(test_catch_up_takes_only_a_proven_chain),
        cmocka_unit_test(test_catch_up_fills_a_gap_by_id),
        cmocka_unit_test(test_far_final_block_is_not_asked_for),
        cmocka_unit_test(test_any_sequence_of_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
