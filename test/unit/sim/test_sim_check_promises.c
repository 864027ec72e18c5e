/* The checkers of shares, votes, availability and evidence: a right history passes, each wrong one
 * is found, by the rule that it breaks. */
#include <stdlib.h>

#include "history.h"

extern const struct dsmr_sim_checker_ops dsmr_sim_check_shares;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_votes;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_availability;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_evidence;

#define T(ms) (DSMR_SIM_START_MS + (uint64_t)(ms))

static void send_share(struct history *h, uint32_t node, const struct dsmr_chunk *chunk)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_CHUNK_SIGNATURE};
    msg.u.chunk_signature.ref = chunk->ref;
    h->ops->sent(h->self, h->sim, node, 0, &msg);
}

static void send_own(struct history *h, uint32_t node, const struct dsmr_chunk *chunk)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE};
    msg.u.request_share.chunk = chunk->bytes;
    msg.u.request_share.chunk_len = chunk->ref.chunk_bytes;
    h->ops->sent(h->self, h->sim, node, 1, &msg);
}

static void begin_shares(struct history *h)
{
    history_begin(h, &dsmr_sim_check_shares);
    extend(h, T(1), NULL, 0);
    for (uint32_t i = 0; i < NODES; i++) {
        h->sim->nodes[i].latest_ms = T(1000000);
    }
}

/* ---- shares ---- */

static void test_share_after_its_journal(void **state)
{
    struct history h;
    (void)state;
    begin_shares(&h);
    struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT + 1, 1);
    hold(&h, 0, chunk, true);
    hold(&h, 1, chunk, true);
    send_own(&h, 0, chunk);
    send_share(&h, 1, chunk);
    send_share(&h, 1, chunk); /* the same again */
    history_is_right(&h);
    dsmr_chunk_unref(chunk);
    history_end(&h);
}

static void test_share_before_its_journal(void **state)
{
    (void)state;
    for (int what = 0; what < 6; what++) {
        struct history h;
        begin_shares(&h);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT + 1, 1);
        if (what == 0) { /* nothing is there */
            send_share(&h, 1, chunk);
            history_breaks(&h, "6.8");
        } else if (what == 1) { /* the chunk, but no journal entry */
            hold(&h, 1, chunk, false);
            send_share(&h, 1, chunk);
            history_breaks(&h, "6.8");
        } else if (what == 2) { /* the journal, but not the chunk */
            tell_chunk(&h, 1, chunk, true);
            send_share(&h, 1, chunk);
            history_breaks(&h, "6.8");
        } else if (what == 3) {
            send_own(&h, 0, chunk);
            history_breaks(&h, "5.2");
        } else if (what == 4) { /* of another node */
            hold(&h, 1, chunk, true);
            send_own(&h, 1, chunk);
            history_breaks(&h, "5.2");
        } else { /* by another node's journal */
            hold(&h, 1, chunk, true);
            send_share(&h, 2, chunk);
            history_breaks(&h, "6.8");
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

static void test_two_chunks_of_a_slot(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        struct history h;
        begin_shares(&h);
        struct dsmr_chunk *first = chunk_of(&h, 0, SLOT + 30, 1);
        struct dsmr_chunk *second = chunk_of(&h, 0, SLOT + 30, 1);
        assert_false(dsmr_id_equal(&first->ref.chunk_id, &second->ref.chunk_id));
        hold(&h, 1, first, true);
        send_share(&h, 1, first);
        hold(&h, 2, second, true); /* another node may */
        send_share(&h, 2, second);
        history_is_right(&h);
        if (what == 1) {
            restart(&h, 1, false);
        } else if (what >= 2) {
            /* It lost its disk: forgiven only if its clock was further ahead before. */
            h.sim->nodes[1].latest_ms = what == 2 ? T(0) : T(50000);
            restart(&h, 1, true);
            tell_gc(&h, 1, T(31500), NULL);
            tell_accept(&h, 1, h.tip, NULL);
            history_is_right(&h);
        }
        tell_chunk(&h, 1, second, true);
        if (what == 3) {
            history_is_right(&h);
            tell_chunk(&h, 1, first, true); /* once in the new life */
        }
        history_breaks(&h, "6.4");
        dsmr_chunk_unref(first);
        dsmr_chunk_unref(second);
        history_end(&h);
    }
}

static void test_claims_outside_the_rules(void **state)
{
    static const char *const rules[] = {NULL,  "3.8", "6.2", "6.2",  "6.3", "6.3",
                                        "6.3", NULL,  NULL,  "12.1", "12.1"};
    (void)state;
    for (int what = 0; what < 11; what++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_shares);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT + 10, 1);
        uint64_t expiry_ms = chunk->ref.expiry_ms;
        if (what != 1) { /* before the first block nothing is signed */
            extend(&h, T(1), NULL, 0);
        }
        chunk->ref.epoch += what == 2;
        if (what == 3) {
            chunk->ref.producer = dsmr_sim_bls_node_id(NODES);
        } else if (what == 4) { /* slot start is now + skew + 1 */
            h.sim->nodes[1].latest_ms = T(1000) - h.sim->params.clock_skew_ms - 1;
        } else if (what >= 5 && what <= 7) { /* chain time beyond, at, before the expiry */
            extend(&h, expiry_ms + 6 - (uint64_t)what, NULL, 0);
        } else if (what == 8) { /* the floor is just below */
            extend(&h, expiry_ms - 1, NULL, 0);
            tell_gc(&h, 1, expiry_ms - 1, NULL);
        } else if (what >= 9) { /* a floor that is not chain time's */
            tell_gc(&h, 1, expiry_ms + (uint64_t)(what - 9), NULL);
        }
        tell_chunk(&h, 1, chunk, true);
        if (rules[what] == NULL) {
            history_is_right(&h);
        } else {
            history_breaks(&h, rules[what]);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* 12.4: a node that starts while the chain runs and has nothing. */
static void test_floor_of_a_new_journal(void **state)
{
    static const struct {
        uint64_t start_ms, floor_ms; /* floor 0: none is told */
        bool is_right;
    } cases[] = {
        {0, 0, true}, /* the first block is not older: the network is new */
        {20000, 0, false},
        {20000, 20000 + 31000 - 1, false},
        {20000, 20000 + 31000, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_shares);
        assert_int_equal(h.sim->params.clock_skew_ms + h.sim->params.chunk_lifetime_ms, 31000);
        dsmr_sim_pass(h.sim, cases[i].start_ms * 1000);
        restart(&h, 1, true);
        if (cases[i].floor_ms > 0) {
            tell_gc(&h, 1, T(cases[i].floor_ms), NULL);
        }
        extend(&h, T(1), NULL, 0);
        if (cases[i].is_right) {
            history_is_right(&h);
        } else {
            history_breaks(&h, "12.4");
        }
        history_end(&h);
    }
}

/* ---- votes ---- */

static void journal(struct history *h, uint32_t node, const struct dsmr_vote_subject *vote)
{
    uint8_t key[17], value[41] = {1};
    struct dsmr_store_write write = {.kind = DSMR_STORE_BFT_PUT,
                                     .u.bft.key = key,
                                     .u.bft.key_len = sizeof(key),
                                     .u.bft.value = value,
                                     .u.bft.value_len = sizeof(value)};
    dsmr_store_be64(key, vote->epoch);
    dsmr_store_be64(key + 8, vote->view);
    key[16] = vote->kind;
    memcpy(value + 9, vote->block_id.bytes, sizeof(vote->block_id.bytes));
    h->ops->stored(h->self, h->sim, node, &write);
}

static void send_vote(struct history *h, uint32_t node, const struct dsmr_vote_subject *vote)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_VOTE};
    msg.u.vote.subject = *vote;
    h->ops->sent(h->self, h->sim, node, 1, &msg);
}

static void test_votes_that_agree(void **state)
{
    struct history h;
    struct dsmr_vote_subject notarize = {.view = 3, .kind = DSMR_VOTE_NOTARIZE, .block_id = {{1}}};
    struct dsmr_vote_subject other = {.view = 4, .kind = DSMR_VOTE_NOTARIZE, .block_id = {{2}}};
    struct dsmr_vote_subject nullify = {.view = 3, .kind = DSMR_VOTE_NULLIFY};
    struct dsmr_vote_subject finalize = {.view = 4, .kind = DSMR_VOTE_FINALIZE, .block_id = {{2}}};
    struct dsmr_vote_subject *votes[] = {&notarize, &other, &nullify, &finalize};
    (void)state;
    history_begin(&h, &dsmr_sim_check_votes);
    for (int i = 0; i < 4; i++) {
        journal(&h, 0, votes[i]);
        send_vote(&h, 0, votes[i]);
        restart(&h, 0, false);
        send_vote(&h, 0, votes[i]);
    }
    struct dsmr_vote_subject of_another = {.view = 3, .kind = 1, .block_id = {{9}}};
    journal(&h, 1, &of_another); /* another node may */
    send_vote(&h, 1, &of_another);
    of_another.epoch = 1; /* and the same one in another instance */
    journal(&h, 0, &of_another);
    send_vote(&h, 0, &of_another);
    history_is_right(&h);
    history_end(&h);
}

static void test_votes_that_contradict(void **state)
{
    static const struct {
        uint8_t first, second, block;
        bool is_wrong;
    } cases[] = {{1, 1, 2, true}, {3, 3, 2, true},  {2, 3, 1, true},
                 {3, 2, 0, true}, {1, 2, 0, false}, {1, 3, 1, false}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int after = 0; after < 3; after++) {
            struct history h;
            struct dsmr_vote_subject first = {.view = 3, .kind = cases[i].first};
            struct dsmr_vote_subject second = {.view = 3, .kind = cases[i].second};
            first.block_id.bytes[0] = cases[i].first == DSMR_VOTE_NULLIFY ? 0 : 1;
            second.block_id.bytes[0] = cases[i].block;
            history_begin(&h, &dsmr_sim_check_votes);
            journal(&h, 0, &first);
            send_vote(&h, 0, &first);
            if (after > 0) {
                restart(&h, 0, after == 2);
            }
            journal(&h, 0, &second);
            if (cases[i].is_wrong && after < 2) {
                history_breaks(&h, "S2");
            } else { /* right, or forgotten with the disk */
                history_is_right(&h);
            }
            history_end(&h);
        }
    }
}

static void test_votes_before_their_record(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        struct history h;
        struct dsmr_vote_subject vote = {.view = 3, .kind = 1, .block_id = {{1}}};
        struct dsmr_vote_subject other = {.view = 3, .kind = 1, .block_id = {{2}}};
        struct dsmr_msg proposal = {.type = DSMR_MSG_BFT_PROPOSAL};
        history_begin(&h, &dsmr_sim_check_votes);
        proposal.u.proposal.view = 3;
        proposal.u.proposal.block_id.bytes[0] = 2;
        if (what == 0) {
            send_vote(&h, 0, &vote);
        } else if (what == 1) {
            journal(&h, 0, &vote);
            restart(&h, 0, true); /* its record is gone with the disk */
            send_vote(&h, 0, &vote);
        } else {
            journal(&h, 0, what == 2 ? &vote : &other);
            h.ops->sent(h.self, h.sim, 0, 1, &proposal);
        }
        if (what == 3) {
            history_is_right(&h);
        } else {
            history_breaks(&h, "S3");
        }
        history_end(&h);
    }
}

/* ---- availability ---- */

/* Holders of four equal validators: two are more than a third. Chain time before the expiry. */
static void test_holders_of_a_certified_chunk(void **state)
{
    (void)state;
    for (uint32_t holders = 0; holders <= 3; holders++) {
        for (int is_over = 0; is_over < 2; is_over++) {
            struct history h;
            history_begin(&h, &dsmr_sim_check_availability);
            struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
            struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
            struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = &cert};
            for (uint32_t i = 0; i < holders; i++) {
                hold(&h, i, chunk, true);
            }
            extend(&h, chunk->ref.expiry_ms + (is_over ? 1 : 0), NULL, 0);
            h.ops->stored(h.self, h.sim, 3, &write);
            dsmr_sim_pass(h.sim, 2 * DSMR_SIM_SECOND_US);
            if (holders >= 2 || is_over) {
                history_is_right(&h);
            } else {
                history_breaks(&h, "11.1");
            }
            dsmr_chunk_unref(chunk);
            history_end(&h);
        }
    }
}

/* A disk that has no room takes a collection and refuses the block that it goes by: chain time is
 * there. Not with a good disk, nor with a lost one, whose floor goes by the clock. */
static void test_a_floor_without_its_block(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_availability);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
        struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = &cert};
        hold(&h, 1, chunk, true);
        extend(&h, T(1), NULL, 0);
        h.ops->stored(h.self, h.sim, 3, &write);
        if (what == 2) {
            restart(&h, 2, true);
        }
        if (what != 1) {
            dsmr_sim_set_disk(h.sim, 2, DSMR_SIM_DISK_FULL);
        }
        tell_gc(&h, 2, chunk->ref.expiry_ms + 1, NULL);
        dsmr_sim_pass(h.sim, 2 * DSMR_SIM_SECOND_US);
        if (what == 0) {
            history_is_right(&h);
        } else {
            history_breaks(&h, "11.1");
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* What a liar holds does not count; what one that lost its disk has lost is not asked of it. */
static void test_liars_hold_nothing(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_availability);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
        struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = &cert};
        if (what != 1) {
            hold(&h, 0, chunk, true);
        }
        hold(&h, 1, chunk, true);
        hold(&h, 2, chunk, true);
        if (what < 2) {
            dsmr_sim_byz_set(h.sim, 1, dsmr_sim_byz_kinds[0]);
        } else {
            restart(&h, 1, true); /* one of four may; the other two are enough */
        }
        h.ops->stored(h.self, h.sim, 3, &write);
        dsmr_sim_pass(h.sim, 2 * DSMR_SIM_SECOND_US);
        if (what == 1) {
            history_breaks(&h, "11.1");
        } else {
            history_is_right(&h);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

static void test_dropped_too_early(void **state)
{
    (void)state;
    for (int what = 0; what < 6; what++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_availability);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        uint64_t expiry_ms = chunk->ref.expiry_ms;
        hold(&h, 1, chunk, true);
        h.sim->nodes[1].has_bad_disk = what >= 4; /* the block that it goes by may be refused */
        bool is_early = what == 0 || what >= 4;
        extend(&h, is_early ? expiry_ms : expiry_ms + 1, NULL, 0);
        if (what == 2) { /* another node is further, this one is not */
            extend(&h, expiry_ms + 100, NULL, 0);
            h.sim->nodes[1].latest_ms = 0;
        }
        let_go(&h, 1, chunk, what == 3 ? expiry_ms : what == 4 ? expiry_ms + 1 : h.tip->time_ms);
        if (what == 0 || what == 3 || what == 5) { /* not expired; expired, not by the floor */
            history_breaks(&h, "11.1");
        } else {
            history_is_right(&h);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

static void retain(struct dsmr_driver_config *config)
{
    config->node.params.retention_ms = 40000;
}

/* An included chunk: executed here, and both times have passed. */
static void test_dropped_within_retention(void **state)
{
    (void)state;
    for (int what = 0; what < 5; what++) {
        struct history h;
        struct told told;
        struct dsmr_sim_config config = {.seed = 1, .nodes = NODES, .tune = retain};
        history_begin_with(&h, &dsmr_sim_check_availability, &config);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
        hold(&h, 0, chunk, true);
        hold(&h, 1, chunk, true);
        hold(&h, 2, chunk, true);
        extend(&h, T(500), &cert, 1);
        tell_of(&told, h.tip, chunk);
        if (what != 1) {
            h.ops->executed(h.self, h.sim, 1, &told.executed);
        }
        extend(&h, T(40500 + (what == 2 ? 0 : 1)), NULL, 0);
        h.sim->nodes[1].latest_ms = T(what == 3 ? 40499 : 40500);
        if (what == 4) {
            tell_accept(&h, 1, h.tip, NULL);
        }
        let_go(&h, 1, chunk, h.tip->time_ms);
        if (what == 0 || what == 4) {
            history_is_right(&h);
        } else { /* not executed; chain time; local time */
            history_breaks(&h, "11.1");
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* Kept for ever by default; at the end all of the chain is looked at. */
static void test_included_and_lost(void **state)
{
    (void)state;
    for (int is_lost = 0; is_lost < 2; is_lost++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_availability);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
        hold(&h, 0, chunk, true);
        if (!is_lost) {
            hold(&h, 1, chunk, true);
        }
        extend(&h, T(500), &cert, 1);
        extend(&h, T(500000), NULL, 0);
        h.ops->end(h.self, h.sim);
        if (is_lost) {
            history_breaks(&h, "11.3");
        } else {
            history_is_right(&h);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* ---- evidence ---- */

static void test_evidence(void **state)
{
    (void)state;
    for (int what = 0; what < 8; what++) {
        struct history h;
        struct dsmr_evidence evidence;
        struct dsmr_store_write write = {.kind = DSMR_STORE_EVIDENCE, .u.evidence.pair = &evidence};
        history_begin(&h, &dsmr_sim_check_evidence);
        struct dsmr_chunk *first = chunk_of(&h, 3, SLOT + 1, 1);
        struct dsmr_chunk *second = chunk_of(&h, 3, SLOT + 1 + (what == 1), 1);
        if (what != 2) {
            dsmr_sim_byz_set(h.sim, 3, dsmr_sim_byz_kinds[0]);
        }
        evidence.refs[0] = first->ref;
        evidence.refs[1] = what == 3 ? first->ref : second->ref;
        for (int i = 0; i < 2; i++) {
            evidence.sigs[i] =
                dsmr_sim_byz_share(h.sim, what == 4 && i == 1 ? 2 : 3, &evidence.refs[i]);
        }
        if (what == 5) {
            evidence.refs[1].producer = dsmr_sim_bls_node_id(2);
        }
        h.ops->stored(h.self, h.sim, 1, &write);
        if (what >= 6) {
            history_is_right(&h);
            if (what == 7) {
                restart(&h, 1, false); /* it does not remember; its store does */
            }
            h.ops->stored(h.self, h.sim, 1, &write);
        }
        if (what == 0 || what == 7) {
            history_is_right(&h);
        } else {
            history_breaks(&h, "6.9");
        }
        dsmr_chunk_unref(first);
        dsmr_chunk_unref(second);
        history_end(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_after_its_journal),
        cmocka_unit_test(test_share_before_its_journal),
        cmocka_unit_test(test_two_chunks_of_a_slot),
        cmocka_unit_test(test_claims_outside_the_rules),
        cmocka_unit_test(test_floor_of_a_new_journal),
        cmocka_unit_test(test_votes_that_agree),
        cmocka_unit_test(test_votes_that_contradict),
        cmocka_unit_test(test_votes_before_their_record),
        cmocka_unit_test(test_holders_of_a_certified_chunk),
        cmocka_unit_test(test_a_floor_without_its_block),
        cmocka_unit_test(test_liars_hold_nothing),
        cmocka_unit_test(test_dropped_too_early),
        cmocka_unit_test(test_dropped_within_retention),
        cmocka_unit_test(test_included_and_lost),
        cmocka_unit_test(test_evidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
