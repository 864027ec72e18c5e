/* Leaders of whom nothing is heard: docs/bft.md, rule 8.2. */
#include "bft_cluster.h"
#include "bft_solo.h"

#define PATIENCE_MS 600000u

static void test_leader_that_went_is_not_waited_for(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    uint64_t view = solo_go_to_view(s, false);
    solo_forget(s);
    solo_peer(s, solo_leader(0, view, 4), false);
    assert_int_equal(s->sent_count, 0); /* an idle network stays silent */
    assert_true(dsmr_bft_deadline_ms(s->bft) == UINT64_MAX);
    solo_wanted(s, true);
    assert_true(solo_has_nullified(s, view)); /* no time has passed */
    solo_free(s);
}

static void test_leader_that_goes_while_others_wait(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    uint64_t view = solo_go_to_view(s, false);
    solo_wanted(s, true);
    s->now_ms += SOLO_TIMEOUT_MS / 2;
    solo_event(s, DSMR_BFT_EV_TICK);
    assert_false(solo_has_nullified(s, view));
    solo_peer(s, solo_leader(0, view, 4), false);
    assert_true(solo_has_nullified(s, view));
    solo_free(s);
}

static void test_leader_that_comes_back_has_its_time(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    uint64_t view = solo_go_to_view(s, false);
    solo_peer(s, solo_leader(0, view, 4), false);
    solo_peer(s, solo_leader(0, view, 4), true);
    solo_wanted(s, true);
    s->now_ms += SOLO_TIMEOUT_MS - 1;
    solo_event(s, DSMR_BFT_EV_TICK);
    assert_false(solo_has_nullified(s, view));
    solo_tick(s);
    assert_true(solo_has_nullified(s, view));
    solo_free(s);
}

/* What the leader has said counts more than that it went. */
static void test_proposal_of_who_went_is_voted_for(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    s->holds_verify = true;
    solo_wanted(s, true);
    solo_propose(s, view, 0, &s->genesis->id, block);
    solo_peer(s, solo_leader(0, view, 4), false);
    assert_false(solo_has_nullified(s, view));
    s->holds_verify = false;
    struct dsmr_bft_event verdict = {.kind = DSMR_BFT_EV_VERDICT, .request_id = s->held_request};
    solo_step(s, &verdict);
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    assert_false(solo_has_nullified(s, view));
    dsmr_block_unref(block);
    solo_free(s);
}

static uint32_t any_but(uint32_t node)
{
    return node == 1 ? 2 : 1;
}

/* The connection stands, but nothing comes: the first view costs a timeout, the next one none. */
static void test_who_timed_out_is_not_waited_for_again(void **state)
{
    (void)state;
    for (int speaks = 0; speaks < 2; speaks++) {
        struct solo *s = solo_started();
        uint64_t view = solo_go_to_view(s, false);
        while (solo_leader(0, view, 4) == 1) { /* certificates come from node 1 */
            solo_nullify(s, view);
            view = solo_go_to_view(s, false);
        }
        uint32_t leader = solo_leader(0, view, 4);
        solo_wanted(s, true);
        while (!solo_has_nullified(s, view)) {
            solo_tick(s);
        }
        if (speaks == 1) {
            struct dsmr_msg word = {.type = DSMR_MSG_BFT_REQUEST_VIEW};
            solo_hear(s, leader, &word);
        }
        view = solo_next_turn(s, view);
        assert_int_equal(solo_has_nullified(s, view), speaks == 0);
        solo_free(s);
    }
}

/* One who let its time pass although it had proposed is waited for as before. */
static void test_who_proposed_is_not_silent(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    s->verdict = DSMR_ERR_NOT_YET;
    solo_wanted(s, true);
    solo_propose(s, view, 0, &s->genesis->id, block);
    while (!solo_has_nullified(s, view)) {
        solo_tick(s);
    }
    view = solo_next_turn(s, view);
    assert_false(solo_has_nullified(s, view));
    dsmr_block_unref(block);
    solo_free(s);
}

/* All are gone, and certificates come all the same: connections that come and go. As many views as
 * there are leaders are skipped; then timers decide, until a view is final. */
static void test_each_leader_is_skipped_once(void **state)
{
    (void)state;
    struct solo *s = solo_started();
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_wanted(s, true);
    for (int final = 0; final < 2; final++) {
        for (uint32_t i = 0; i < 9; i++) {
            uint64_t view = solo_view(s);
            uint32_t leader = solo_leader(0, view, 4);
            solo_forget(s);
            if (leader != 0) {
                solo_peer(s, leader, true);
                solo_peer(s, leader, false);
                assert_int_equal(solo_has_nullified(s, view), i < 4);
            }
            struct dsmr_vote_subject subject = solo_subject(view, DSMR_VOTE_NULLIFY, NULL);
            struct dsmr_quorum_cert qc = world_cert(&subject, 3);
            solo_cert(s, any_but(solo_leader(0, view + 1, 4)), &qc);
        }
        solo_finalize(s, solo_view(s), block);
    }
    dsmr_block_unref(block);
    solo_free(s);
}

/* ---- many ---- */

static struct cluster *four(uint64_t seed)
{
    struct cluster *c = cluster_four(seed);
    cluster_start_all(c, NULL);
    cluster_demand(c, 4);
    cluster_assert(c, cluster_run_to(c, 4, PATIENCE_MS));
    c->timeouts = 0;
    c->skipped = 0;
    return c;
}

/* One of four is dead: its views cost a round of votes, not a timeout. */
static void test_dead_leader_costs_no_timeout(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster *c = four(seed);
        c->nodes[seed % 4].is_away = true;
        cluster_crash(c, (uint32_t)(seed % 4));
        cluster_demand(c, 100);
        uint64_t before_ms = c->now_ms;
        cluster_assert(c, cluster_run_to(c, 100, PATIENCE_MS));
        cluster_assert(c, c->timeouts == 0);
        cluster_assert(c, c->skipped >= 3u * 30u && c->skipped <= 3u * 35u);
        cluster_assert(c, c->now_ms - before_ms < 96u * 100u); /* one timeout is 1000 */
        cluster_free(c);
    }
}

/* The same without a word from the transport, as when the machine loses its power: a timeout of
 * each node, one time. When it is back its views are as good as any. */
static void test_silent_leader_costs_one_timeout(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster *c = four(seed);
        uint32_t silent = (uint32_t)(seed % 4);
        c->nodes[silent].is_away = true; /* what it does is not looked at */
        c->group[silent] = 1;
        cluster_demand(c, 60);
        cluster_assert(c, cluster_run_to(c, 60, PATIENCE_MS));
        cluster_assert(c, c->timeouts <= 3u + 1u); /* and its own */
        c->nodes[silent].is_away = false;
        c->group[silent] = 0;
        cluster_assert(c, cluster_run_to(c, 60, PATIENCE_MS));
        c->timeouts = 0;
        c->skipped = 0;
        cluster_demand(c, 100);
        cluster_assert(c, cluster_run_to(c, 100, PATIENCE_MS));
        cluster_assert(c, c->timeouts == 0 && c->skipped == 0);
        cluster_free(c);
    }
}

/* Every connection of everyone ends and comes back all the time, or those of one pair; with all
 * four, and with one of them dead. The chain goes on. */
static void test_connections_that_come_and_go(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct cluster *c = four(seed);
        if (seed % 2 == 0) {
            c->nodes[3].is_away = true;
            cluster_crash(c, 3);
        }
        cluster_demand(c, 30);
        uint64_t before_ms = c->now_ms;
        while (cluster_height(c) < 30 && c->now_ms - before_ms < 120000) {
            uint32_t a = (uint32_t)dsmr_prng_below(&c->prng, seed % 3 == 0 ? 2 : 4);
            uint32_t b = (uint32_t)dsmr_prng_below(&c->prng, seed % 3 == 0 ? 2 : 4);
            if (a != b && c->nodes[a].is_up && cluster_is_there(c, b)) {
                cluster_peer_event(c, a, b, cluster_chance(c, 300));
            }
            cluster_run(c, 1 + dsmr_prng_below(&c->prng, 10));
        }
        cluster_assert(c, cluster_height(c) >= 30);
        cluster_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader_that_went_is_not_waited_for),
        cmocka_unit_test(test_leader_that_goes_while_others_wait),
        cmocka_unit_test(test_leader_that_comes_back_has_its_time),
        cmocka_unit_test(test_proposal_of_who_went_is_voted_for),
        cmocka_unit_test(test_who_timed_out_is_not_waited_for_again),
        cmocka_unit_test(test_who_proposed_is_not_silent),
        cmocka_unit_test(test_each_leader_is_skipped_once),
        cmocka_unit_test(test_dead_leader_costs_no_timeout),
        cmocka_unit_test(test_silent_leader_costs_one_timeout),
        cmocka_unit_test(test_connections_that_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
