/* One engine, message by message: timers and what is sent again, rules 8 and 10 of docs/bft.md; and
 * any sequence of messages. */
#include "bft_solo.h"

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
        cmocka_unit_test(test_timeouts_double_up_to_the_maximum),
        cmocka_unit_test(test_resends_with_backoff),
        cmocka_unit_test(test_position_for_who_connects_and_who_lags),
        cmocka_unit_test(test_any_sequence_of_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
