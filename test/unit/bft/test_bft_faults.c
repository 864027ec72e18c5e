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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_votes_after_a_full_disk),
        cmocka_unit_test(test_nothing_is_pruned_for_what_is_not_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
