/* A final block that the block layer refuses: what the engine tells of it (dsmr_bft_refused_final).
 */
#include "bft_solo.h"

static struct dsmr_bft_refusal refusal_of(const struct solo *s)
{
    struct dsmr_bft_refusal refusal;
    dsmr_bft_refused_final(s->bft, &refusal);
    return refusal;
}

/* What was refused before it was final is asked again: only the new verdict counts. */
static void test_only_a_verdict_on_what_is_final(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    s->verdict = DSMR_ERR_BLOCK_TIME;
    solo_propose(s, view, 0, &s->genesis->id, block);
    assert_int_equal(refusal_of(s).err, DSMR_OK); /* one proposal of many */
    s->holds_verify = true;
    solo_finalize(s, view, block);
    assert_int_equal(s->verifies, 2);
    assert_int_equal(refusal_of(s).err, DSMR_OK);
    struct dsmr_bft_event verdict = {
        .kind = DSMR_BFT_EV_VERDICT, .request_id = s->held_request, .err = DSMR_ERR_BLOCK_TIME};
    solo_step(s, &verdict);
    assert_int_equal(refusal_of(s).err, DSMR_ERR_BLOCK_TIME);
    assert_int_equal(refusal_of(s).times, 1);
    assert_int_equal(refusal_of(s).height, 1);
    s->holds_verify = false;
    s->verdict = DSMR_OK; /* it is asked on, and may change its mind */
    while (s->accepts == 0) {
        solo_tick(s);
    }
    assert_int_equal(refusal_of(s).err, DSMR_OK);
    dsmr_block_unref(block);
    solo_free(s);
}

/* Not yet is counted; of several the lowest is told, and what became valid is not. */
static void test_the_lowest_is_told(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *low = world_block(s->genesis, 0, 2000);
    struct dsmr_block *high = world_block(low, 0, 3000);
    uint64_t first = solo_go_to_view(s, false);
    s->verdict = DSMR_ERR_NOT_YET;
    solo_propose(s, first, 0, &s->genesis->id, low);
    solo_notarize(s, first, low);
    uint64_t second = solo_go_to_view(s, false);
    solo_propose(s, second, first, &low->id, high);
    assert_int_equal(refusal_of(s).err, DSMR_OK);
    solo_finalize(s, second, high);
    uint32_t times = refusal_of(s).times;
    assert_int_equal(refusal_of(s).height, 1);
    assert_int_equal(refusal_of(s).err, DSMR_ERR_NOT_YET);
    for (uint32_t i = 0; i < 20; i++) {
        solo_tick(s);
    }
    assert_true(refusal_of(s).times > times);
    s->holds_verify = true;
    while (s->held_request == 0) {
        solo_tick(s);
    }
    struct dsmr_bft_event verdict = {.kind = DSMR_BFT_EV_VERDICT, .request_id = s->held_request};
    s->holds_verify = false;
    solo_step(s, &verdict);
    assert_int_equal(s->accepts, 0); /* all or nothing */
    assert_int_equal(refusal_of(s).height, 2);
    assert_int_equal(refusal_of(s).times, 1);
    s->verdict = DSMR_OK;
    while (s->accepts < 2) {
        solo_tick(s);
    }
    assert_int_equal(refusal_of(s).times, 0);
    dsmr_block_unref(low);
    dsmr_block_unref(high);
    solo_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_a_verdict_on_what_is_final),
        cmocka_unit_test(test_the_lowest_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
