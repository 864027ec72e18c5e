/* One engine, message by message: votes and certificates, rules 5 to 7 and 12 of docs/bft.md at
 * their edges. */
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

static void check_ends(struct solo *s, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_bft_event checked = {
        .kind = DSMR_BFT_EV_CHECKED, .request_id = request_id, .err = err};
    solo_step(s, &checked);
}

/* Rule 6: a certificate that is just being checked is not made again from the votes. */
static void test_checked_certificates_are_not_made_again(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    s->holds_check = true;
    uint64_t view = solo_view(s);
    struct dsmr_vote_subject nullify = solo_subject(view, DSMR_VOTE_NULLIFY, NULL);
    struct dsmr_quorum_cert qc = world_cert(&nullify, 3);
    solo_cert(s, 1, &qc);
    assert_int_equal(s->checks, 1);
    for (uint32_t peer = 1; peer <= 3; peer++) {
        solo_vote(s, peer, &nullify);
    }
    assert_int_equal(s->aggregates, 0);
    assert_int_equal(solo_view(s), view);
    check_ends(s, s->held_request, DSMR_OK);
    assert_int_equal(solo_view(s), view + 1);
    assert_int_equal(s->aggregates, 0);
    solo_free(s);
}

/* Liars say certificates that are none, each its own: the votes wait for one of them, not for all,
 * nor if the machine fails at it. */
static void test_a_bad_certificate_does_not_hold_votes_up(void **state)
{
    (void)state;
    static const enum dsmr_err errs[] = {DSMR_ERR_BAD_VOTE, DSMR_ERR_NO_MEMORY};
    for (uint32_t i = 0; i < 2; i++) {
        struct solo *s = solo_new(NULL);
        solo_start(s);
        s->holds_check = true;
        uint64_t view = solo_view(s);
        struct dsmr_vote_subject nullify = solo_subject(view, DSMR_VOTE_NULLIFY, NULL);
        struct dsmr_quorum_cert qc = world_cert(&nullify, 3);
        qc.sig.bytes[5] ^= 1;
        solo_cert(s, 1, &qc);
        uint64_t first = s->held_request;
        solo_cert(s, 2, &qc);
        assert_int_equal(s->checks, 2);
        for (uint32_t peer = 1; peer <= 3; peer++) {
            solo_vote(s, peer, &nullify);
        }
        assert_int_equal(s->aggregates, 0);
        check_ends(s, first, errs[i]);
        assert_int_equal(s->aggregates, 1);
        assert_int_equal(solo_view(s), view + 1);
        solo_free(s);
    }
}

/* Rule 7.1: the other way round, of each kind. */
static void test_certificates_that_are_being_made_are_not_checked(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    struct dsmr_vote_subject notarize = solo_subject(view, DSMR_VOTE_NOTARIZE, block);
    struct dsmr_vote_subject finalize = solo_subject(view, DSMR_VOTE_FINALIZE, block);
    solo_propose(s, view, 0, &s->genesis->id, block);
    struct dsmr_vote_subject subjects[] = {notarize, finalize};
    uint32_t checks = s->checks;
    for (uint32_t i = 0; i < 2; i++) {
        struct dsmr_quorum_cert qc = world_cert(&subjects[i], 3);
        s->holds_aggregate = true;
        solo_vote(s, 1, &subjects[i]);
        solo_vote(s, 2, &subjects[i]);
        solo_cert(s, 3, &qc);
        assert_int_equal(s->checks, checks);
        s->holds_aggregate = false;
        struct dsmr_bft_event made = {.kind = DSMR_BFT_EV_AGGREGATED,
                                      .request_id = s->held_request};
        made.u.aggregated.sig = qc.sig;
        made.u.aggregated.signers = qc.signers;
        solo_step(s, &made);
    }
    assert_int_equal(solo_view(s), view + 1);
    assert_int_equal(s->accepts, 1);
    assert_int_equal(s->checks, checks);
    dsmr_block_unref(block);
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
        cmocka_unit_test(test_checked_certificates_are_not_made_again),
        cmocka_unit_test(test_a_bad_certificate_does_not_hold_votes_up),
        cmocka_unit_test(test_certificates_that_are_being_made_are_not_checked),
        cmocka_unit_test(test_shared_key_does_not_sign),
        cmocka_unit_test(test_jump_to_a_higher_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
