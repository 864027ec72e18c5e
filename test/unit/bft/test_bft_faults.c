/* What goes wrong around an engine: a disk that is full for a while, answers that come one by one,
 * peers that are slow on purpose. */
#include "bft_solo.h"

static void time_out(struct solo *s)
{
    uint64_t view = solo_view(s);
    solo_wanted(s, true);
    for (uint32_t i = 0; i < 100 && (solo_voted(s, DSMR_VOTE_NULLIFY) == NULL ||
                                     solo_voted(s, DSMR_VOTE_NULLIFY)->view != view);
         i++) {
        solo_tick(s);
    }
}

/* 51: a full disk refuses records; when it has space again the same votes are cast, no others. */
static void test_votes_after_a_full_disk(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    struct dsmr_block *other = world_block(s->genesis, 0, 3000);
    s->stored = DSMR_ERR_DISK_FULL;
    solo_propose(s, view, 0, &s->genesis->id, block);
    time_out(s);
    assert_null(solo_said(s, DSMR_MSG_BFT_VOTE));
    s->stored = DSMR_OK;
    solo_propose(s, view, 0, &s->genesis->id, other);
    time_out(s);
    assert_non_null(solo_voted(s, DSMR_VOTE_NULLIFY));
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    assert_true(dsmr_id_equal(&solo_voted(s, DSMR_VOTE_NOTARIZE)->block_id, &block->id));
    solo_notarize(s, view, block); /* NULLIFY was decided, whether or not it was durable */
    assert_null(solo_voted(s, DSMR_VOTE_FINALIZE));
    dsmr_block_unref(block);
    dsmr_block_unref(other);
    solo_free(s);
}

/* What PRUNE named is gone. */
static void prune(struct solo *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->records; i++) {
        if (s->prunes > 0 && memcmp(s->keys[i], s->prune_key, 17) < 0) {
            dsmr_buf_unref(s->values[i]);
        } else {
            memcpy(s->keys[kept], s->keys[i], 17);
            s->values[kept++] = s->values[i];
        }
    }
    s->records = kept;
}

/* Rule 12: own votes are not pruned before a later final view is durable. Here finalizations are
 * refused by the disk while their blocks are still on the way. */
static void test_nothing_is_pruned_for_what_is_not_durable(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    struct dsmr_block *chain[4] = {s->genesis};
    for (uint32_t i = 1; i < 4; i++) {
        chain[i] = world_block(chain[i - 1], 0, 1000 + 1000 * i);
    }
    struct dsmr_block *other = world_block(s->genesis, 0, 9000);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    solo_propose(s, view, 0, &s->genesis->id, other);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NOTARIZE)->view, view);
    s->stored = DSMR_ERR_DISK_FULL;
    for (uint32_t i = 1; i < 4; i++) {
        solo_finalize(s, view + i, chain[i]);
    }
    s->stored = DSMR_OK;
    prune(s);
    solo_restart(s);
    assert_true(solo_view(s) >= view);
    solo_propose(s, view, 0, &s->genesis->id, chain[1]);
    const struct dsmr_vote_subject *voted = solo_voted(s, DSMR_VOTE_NOTARIZE);
    assert_true(voted == NULL || dsmr_id_equal(&voted->block_id, &other->id));
    for (uint32_t i = 1; i < 4; i++) {
        dsmr_block_unref(chain[i]);
    }
    dsmr_block_unref(other);
    solo_free(s);
}

/* Rule 11: certificates that were asked for come one by one: they are not asked for again with
 * each of them. */
static void test_certificates_trickle_in(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = 40;
    while (solo_leader(0, view, 4) == 0) {
        view++;
    }
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_nullify(s, view - 1);
    solo_forget(s);
    solo_propose(s, view, 0, &s->genesis->id, block);
    uint32_t asked = 0;
    for (uint64_t at = 1; at < view - 1; at++) {
        solo_nullify(s, at);
    }
    for (uint32_t i = 0; i < s->sent_count; i++) {
        asked += s->sent[i].msg.type == DSMR_MSG_BFT_REQUEST_VIEW ? 1 : 0;
    }
    assert_non_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    assert_in_range(asked, 1, 6);
    dsmr_block_unref(block);
    solo_free(s);
}

/* Rule 3.1: a leader that jumped over many views gets to know them all, down to the parent. */
static void test_leader_asks_for_what_it_misses(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = 60;
    while (solo_leader(0, view, 4) != 0) {
        view++;
    }
    s->to_build = world_block(s->genesis, 0, 2000);
    solo_nullify(s, view - 1);
    solo_forget(s);
    solo_wanted(s, true);
    for (uint32_t asks = 0; asks < 20 && solo_said(s, DSMR_MSG_BFT_PROPOSAL) == NULL; asks++) {
        for (uint32_t i = 0; i < 20 && solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW) == NULL; i++) {
            solo_tick(s);
        }
        const struct solo_sent *sent = solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW);
        assert_non_null(sent);
        uint64_t from = sent->msg.u.request_view.from_view;
        uint64_t to = sent->msg.u.request_view.to_view;
        solo_forget(s);
        for (uint64_t at = from; at <= to; at++) {
            solo_nullify(s, at);
        }
    }
    assert_int_equal(solo_view(s), view);
    assert_non_null(solo_said(s, DSMR_MSG_BFT_PROPOSAL));
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_votes_after_a_full_disk),
        cmocka_unit_test(test_nothing_is_pruned_for_what_is_not_durable),
        cmocka_unit_test(test_certificates_trickle_in),
        cmocka_unit_test(test_leader_asks_for_what_it_misses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
