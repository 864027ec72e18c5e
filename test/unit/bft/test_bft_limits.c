/* Rule 16 of docs/bft.md: what gives way when a Byzantine leader fills the table of blocks. */
#include "bft_solo.h"

#define CANDIDATES 192u /* docs/bft.md */
#define UNVOTED 60u
#define VOTED (CANDIDATES + 8u)

/* A block on genesis in the next view that is not ours; the view passes. */
static struct dsmr_block *pass_a_view(struct solo *s, uint32_t number, bool is_valid)
{
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000 + number);
    s->verdict = is_valid ? DSMR_OK : DSMR_ERR_NOT_YET;
    solo_forget(s);
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NOTARIZE) != NULL, is_valid);
    solo_nullify(s, view);
    while (s->records > 8) { /* not needed here */
        dsmr_buf_unref(s->values[--s->records]);
    }
    return block;
}

static bool is_held(struct solo *s, const struct dsmr_block *block)
{
    struct dsmr_msg ask = {.type = DSMR_MSG_BFT_REQUEST_BLOCK};
    ask.u.request_block.block_id = block->id;
    solo_forget(s);
    s->now_ms += SOLO_RETRY_MS; /* within the budget of a peer */
    solo_hear(s, 2, &ask);
    return solo_said(s, DSMR_MSG_BFT_BLOCK) != NULL;
}

static void test_passed_blocks_give_way(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    struct dsmr_block *unvoted[UNVOTED];
    struct dsmr_block *voted[VOTED];
    solo_start(s);
    for (uint32_t i = 0; i < UNVOTED; i++) {
        unvoted[i] = pass_a_view(s, i, false);
    }
    assert_true(is_held(s, unvoted[0]));
    for (uint32_t i = 0; i < CANDIDATES - 1; i++) {
        voted[i] = pass_a_view(s, UNVOTED + i, true);
    }
    /* One without our vote is left, and it is the youngest; nothing that we voted for is gone. */
    assert_false(is_held(s, unvoted[UNVOTED - 2]));
    assert_true(is_held(s, unvoted[UNVOTED - 1]));
    assert_true(is_held(s, voted[0]));
    assert_int_equal(s->rejects, 0); /* the block layer knew none of them */
    for (uint32_t i = CANDIDATES - 1; i < VOTED; i++) {
        voted[i] = pass_a_view(s, UNVOTED + i, true);
    }
    assert_false(is_held(s, unvoted[UNVOTED - 1]));
    assert_false(is_held(s, voted[VOTED - CANDIDATES - 1]));
    assert_true(is_held(s, voted[VOTED - CANDIDATES]));
    assert_true(is_held(s, voted[VOTED - 1]));
    assert_int_equal(s->rejects, VOTED - CANDIDATES); /* and is told of each that went */
    for (uint32_t i = 0; i < UNVOTED; i++) {
        dsmr_block_unref(unvoted[i]);
    }
    for (uint32_t i = 0; i < VOTED; i++) {
        dsmr_block_unref(voted[i]);
    }
    solo_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passed_blocks_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
