/* One engine, message by message: who follows, who serves and who catches up, rules 9, 10, 13 and
 * 15 of docs/bft.md at their edges. */
#include "bft_solo.h"

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

/* A certificate that comes while as many are being checked as may be is dropped, and nobody says it
 * twice: its sender is asked for its position when there is room. */
static void test_dropped_certificate_is_asked_for(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_start(s);
    solo_forget(s);
    s->holds_check = true;
    for (uint64_t view = 1; view <= 9; view++) {
        solo_finalize(s, view, block); /* from node 1 */
    }
    assert_int_equal(s->checks, 8);
    assert_null(solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW));
    struct dsmr_bft_event checked = {.kind = DSMR_BFT_EV_CHECKED, .request_id = s->held_request};
    solo_step(s, &checked); /* of view 8 */
    s->now_ms += SOLO_RETRY_MS;
    solo_event(s, DSMR_BFT_EV_TICK);
    const struct solo_sent *asked = solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW);
    assert_non_null(asked);
    assert_int_equal(asked->to, 1);
    assert_int_equal(asked->msg.u.request_view.to_view, 0);
    solo_forget(s);
    solo_finalize(s, 9, block);
    assert_int_equal(s->checks, 9);
    s->now_ms += 10 * SOLO_RETRY_MS;
    solo_event(s, DSMR_BFT_EV_TICK);
    assert_null(solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW)); /* once */
    dsmr_block_unref(block);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finalization_is_told_outside_the_set),
        cmocka_unit_test(test_follower_asks_while_it_waits),
        cmocka_unit_test(test_requests_are_served_within_bounds),
        cmocka_unit_test(test_catch_up_takes_only_a_proven_chain),
        cmocka_unit_test(test_catch_up_fills_a_gap_by_id),
        cmocka_unit_test(test_dropped_certificate_is_asked_for),
        cmocka_unit_test(test_far_final_block_is_not_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
