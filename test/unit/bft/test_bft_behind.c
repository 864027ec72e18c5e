/* Leaders that are behind: docs/bft.md, rule 8.3. */
#include "bft_cluster.h"
#include "bft_solo.h"

#define PATIENCE_MS 600000u
#define AWAY_BLOCKS 600u

/* Shows the engine that a block of that height is final, one that it has not got, in the view
 * before the next one that it leads or does not lead. That next view. */
static uint64_t show_final(struct solo *s, uint64_t height, bool is_leader)
{
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    struct dsmr_vote_subject subject = solo_subject(0, DSMR_VOTE_FINALIZE, block);
    uint64_t view = solo_view(s);
    while ((solo_leader(0, view + 1, 4) == 0) != is_leader) {
        view++;
    }
    subject.view = view;
    subject.height = height;
    struct dsmr_quorum_cert qc = world_cert(&subject, 3);
    solo_forget(s);
    solo_cert(s, 1, &qc);
    dsmr_block_unref(block);
    assert_int_equal(solo_view(s), view + 1);
    return view + 1;
}

/* ---- the one who is behind ---- */

/* Its block layer wants nothing, as one that is behind does; no time passes. */
static void test_who_is_behind_gives_its_view_up(void **state)
{
    (void)state;
    for (uint64_t height = 1; height <= 1000; height += height < 3 ? 1 : 997) {
        struct solo *s = solo_started();
        uint64_t view = show_final(s, height, true);
        /* Of the next block alone it is not known that others have it long since. */
        assert_int_equal(solo_has_nullified(s, view), height > 1);
        assert_null(solo_said(s, DSMR_MSG_BFT_PROPOSAL));
        solo_free(s);
    }
}

static void test_who_does_not_lead_gives_nothing_up(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    (void)show_final(s, 1000, false);
    assert_null(solo_voted(s, DSMR_VOTE_NULLIFY));
    solo_free(s);
}

/* Views are given up in the first round of turns after a final one; then timers decide, so that
 * views without a block do not fly past where all are behind. */
static void test_who_is_behind_gives_up_one_turn(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    uint64_t first = show_final(s, 1000, true), view = first;
    assert_true(solo_has_nullified(s, view));
    for (int turn = 0; turn < 2; turn++) {
        solo_forget(s);
        do {
            solo_nullify(s, solo_view(s));
        } while (solo_leader(0, solo_view(s), 4) != 0);
        view = solo_view(s);
        assert_false(solo_has_nullified(s, view));
    }
    assert_int_equal(view, first + 8);
    view = show_final(s, 2000, true);
    assert_true(solo_has_nullified(s, view));
    solo_free(s);
}

/* INV-BFT-6: whoever may have voted in this view before does not vote at all. */
static void test_who_is_in_doubt_gives_nothing_up(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    dsmr_bft_free(s->bft);
    s->is_wiped = true;
    solo_open(s);
    solo_start(s);
    (void)show_final(s, 1000, true);
    assert_null(solo_voted(s, DSMR_VOTE_NULLIFY));
    assert_int_equal(s->signs, 0);
    solo_free(s);
}

/* ---- the others ---- */

static void leader_gives_up(struct solo *s, uint64_t view)
{
    struct dsmr_vote_subject vote = solo_subject(view, DSMR_VOTE_NULLIFY, NULL);
    solo_vote(s, solo_leader(0, view, 4), &vote);
}

static void test_a_view_that_is_given_up_is_not_waited_for(void **state)
{
    (void)state;
    for (int is_wanted = 0; is_wanted < 2; is_wanted++) {
        struct solo *s = solo_started();
        uint64_t view = solo_go_to_view(s, false);
        solo_wanted(s, is_wanted == 1);
        solo_forget(s);
        leader_gives_up(s, view);
        assert_true(solo_has_nullified(s, view));
        solo_free(s);
    }
}

static void test_the_word_of_another_does_not_count(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_vote_subject vote = solo_subject(view, DSMR_VOTE_NULLIFY, NULL);
    solo_wanted(s, true);
    solo_forget(s);
    for (uint32_t node = 1; node < 4; node++) {
        if (node != solo_leader(0, view, 4)) {
            solo_vote(s, node, &vote);
            break;
        }
    }
    assert_false(solo_has_nullified(s, view));
    solo_free(s);
}

/* A leader that proposed and then let its timer end may still get its block. */
static void test_a_proposal_counts_more(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    s->holds_verify = true;
    solo_wanted(s, true);
    solo_propose(s, view, 0, &s->genesis->id, block);
    solo_forget(s);
    leader_gives_up(s, view);
    assert_false(solo_has_nullified(s, view));
    s->holds_verify = false;
    struct dsmr_bft_event verdict = {.kind = DSMR_BFT_EV_VERDICT, .request_id = s->held_request};
    solo_step(s, &verdict);
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    dsmr_block_unref(block);
    solo_free(s);
}

enum sign { NOTHING, FETCHES, VOTES_NULLIFY, VOTES_NOTARIZE, PROPOSES, RESTS, SIGNS };

/* In its next turn it is passed over unasked, unless it has shown that it is there again, or had
 * the time to come back while nobody wanted anything. */
static void test_who_gave_up_is_passed_over_until_it_takes_part(void **state)
{
    (void)state;
    for (int sign = NOTHING; sign < SIGNS; sign++) {
        struct solo *s = solo_started();
        uint64_t view = solo_go_to_view(s, false);
        while (solo_leader(0, view, 4) == 1) { /* certificates come from node 1 */
            solo_nullify(s, view);
            view = solo_go_to_view(s, false);
        }
        uint32_t leader = solo_leader(0, view, 4);
        struct dsmr_block *block = world_block(s->genesis, 0, 3000);
        struct dsmr_msg blocks = {.type = DSMR_MSG_BFT_REQUEST_BLOCKS};
        struct dsmr_vote_subject nullify = solo_subject(view + 1, DSMR_VOTE_NULLIFY, NULL);
        struct dsmr_vote_subject notarize = solo_subject(view + 1, DSMR_VOTE_NOTARIZE, block);
        solo_wanted(s, true);
        leader_gives_up(s, view);
        if (sign == FETCHES) {
            solo_hear(s, leader, &blocks);
        } else if (sign == VOTES_NULLIFY) {
            solo_vote(s, leader, &nullify);
        } else if (sign == VOTES_NOTARIZE) {
            solo_vote(s, leader, &notarize);
        } else if (sign == PROPOSES) {
            solo_propose(s, view, 0, &s->genesis->id, block);
        } else if (sign == RESTS) {
            s->now_ms += SOLO_TIMEOUT_MAX_MS;
        }
        solo_forget(s);
        view = solo_next_turn(s, view);
        assert_int_equal(solo_has_nullified(s, view), sign < VOTES_NOTARIZE);
        dsmr_block_unref(block);
        solo_free(s);
    }
}

/* ---- many ---- */

static struct cluster *ten_blocks(uint64_t seed, uint32_t verify_ms)
{
    struct cluster *c = cluster_four(seed);
    c->knows_behind = true;
    c->verify_ms = verify_ms;
    cluster_start_all(c, NULL);
    cluster_demand(c, 10);
    cluster_assert(c, cluster_run_to(c, 10, PATIENCE_MS));
    return c;
}

/* Four nodes, blocks as fast as it goes; one is away for a minute of virtual time and comes back
 * under the same load. Its block layer wants nothing until it is there again. No view of the others
 * times out, and they are as fast as while it was away. */
static void test_one_that_comes_back_costs_no_timeout(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster *c = ten_blocks(seed, 3);
        struct cluster_node *node = &c->nodes[seed % 4];
        cluster_demand(c, UINT64_MAX);
        node->is_away = true;
        cluster_crash(c, (uint32_t)(seed % 4));
        cluster_run(c, 60000);
        uint64_t missed = cluster_height(c) - 10;
        cluster_assert(c, missed > AWAY_BLOCKS);
        c->timeouts = 0;
        uint64_t back_ms = c->now_ms;
        cluster_start(c, (uint32_t)(seed % 4));
        while (cluster_tip(node)->height + 3 < cluster_height(c) &&
               cluster_once(c, back_ms + PATIENCE_MS)) {
        }
        uint64_t took_ms = c->now_ms - back_ms;
        uint64_t meanwhile = cluster_height(c) - 10 - missed;
        cluster_assert(c, took_ms > 2000 && took_ms < 20000); /* some turns of its */
        cluster_assert(c, c->timeouts == 0);
        cluster_assert(c, meanwhile * 60000 > missed * took_ms * 9 / 10);
        node->is_away = false;
        cluster_run(c, 2000);
        c->skipped = 0;
        cluster_run(c, 2000);
        cluster_assert(c, c->timeouts == 0 && c->skipped == 0); /* its views are as good as any */
        cluster_free(c);
    }
}

/* One after another is away for a hundred blocks, then all at once: the chain goes on, and where
 * nothing is wanted any more it rests. */
static void test_all_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster *c = ten_blocks(seed, 0);
        for (uint32_t n = 0; n < 4; n++) {
            c->nodes[n].is_away = true;
            cluster_crash(c, n);
            uint64_t height = 100u * (n + 1);
            cluster_demand(c, height);
            cluster_assert(c, cluster_run_to(c, height, PATIENCE_MS));
            cluster_start(c, n);
            c->nodes[n].is_away = false;
        }
        cluster_assert(c, cluster_run_to(c, 400, PATIENCE_MS));
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        for (uint32_t n = 0; n < 4; n++) {
            cluster_crash(c, n);
        }
        for (uint32_t n = 0; n < 4; n++) {
            cluster_start(c, n);
        }
        cluster_demand(c, 420);
        cluster_assert(c, cluster_run_to(c, 420, PATIENCE_MS));
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        cluster_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_behind_gives_its_view_up),
        cmocka_unit_test(test_who_does_not_lead_gives_nothing_up),
        cmocka_unit_test(test_who_is_behind_gives_up_one_turn),
        cmocka_unit_test(test_who_is_in_doubt_gives_nothing_up),
        cmocka_unit_test(test_a_view_that_is_given_up_is_not_waited_for),
        cmocka_unit_test(test_the_word_of_another_does_not_count),
        cmocka_unit_test(test_a_proposal_counts_more),
        cmocka_unit_test(test_who_gave_up_is_passed_over_until_it_takes_part),
        cmocka_unit_test(test_one_that_comes_back_costs_no_timeout),
        cmocka_unit_test(test_all_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
