/* One engine that comes back with its key and without its journal: docs/bft.md, rule 17. */
#include "bft_solo.h"

/* The number that the engine asks with in this life. */
static uint64_t question(const struct solo *s)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < s->sent_count; i++) {
        const struct dsmr_msg *msg = &s->sent[i].msg;
        if (msg->type == DSMR_MSG_BFT_REQUEST_VIEW && msg->u.request_view.to_view == 0) {
            number = msg->u.request_view.from_view;
        }
    }
    return number;
}

/* What peer tells when it is asked. */
static void tell(struct solo *s, uint32_t peer, uint64_t view, uint64_t votes_from_view)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_POSITION};
    msg.u.position.question = question(s);
    msg.u.position.view = view;
    msg.u.position.height = s->accepted_height;
    msg.u.position.votes_from = votes_from_view;
    solo_hear(s, peer, &msg);
}

/* Whether anything was stored, signed or sent that is a vote of ours. */
static bool is_silent(const struct solo *s)
{
    for (uint32_t i = 0; i < s->records; i++) {
        if (s->keys[i][16] <= 3) {
            return false;
        }
    }
    return s->signs == 0 && solo_said(s, DSMR_MSG_BFT_VOTE) == NULL &&
           solo_said(s, DSMR_MSG_BFT_PROPOSAL) == NULL;
}

static struct solo *wiped(void)
{
    struct solo *s = solo_new(NULL);
    dsmr_bft_free(s->bft);
    s->is_wiped = true;
    solo_open(s);
    solo_start(s);
    return s;
}

/* Everything that would make it vote in its view: a valid proposal, or a block to propose; then
 * time. */
static void tempt(struct solo *s)
{
    uint64_t view = solo_view(s);
    solo_wanted(s, true);
    if (solo_leader(0, view, 4) != 0) {
        solo_propose(s, view, 0, &s->genesis->id, s->to_build);
    }
    for (uint32_t i = 0; i < 40 && dsmr_bft_deadline_ms(s->bft) != UINT64_MAX; i++) {
        solo_tick(s);
    }
}

/* 88: the old key, no journal, a conflicting proposal in the view of the old vote. */
static void test_wiped_voter_signs_nothing_in_its_old_views(void **state)
{
    (void)state;
    struct solo *s = wiped();
    s->to_build = world_block(s->genesis, 0, 2000);
    do {
        tempt(s);
        solo_nullify(s, solo_view(s));
    } while (solo_view(s) < 7 || solo_leader(0, solo_view(s) + 2, 4) != 0);
    uint64_t view = solo_view(s);
    assert_int_equal(dsmr_bft_votes_from(s->bft), UINT64_MAX);
    tell(s, 1, view, 0);
    tell(s, 2, view, 0);
    tempt(s);
    assert_int_equal(dsmr_bft_votes_from(s->bft), UINT64_MAX); /* the third may know better */
    tell(s, 3, view + 1, 0);
    tempt(s);
    assert_int_equal(dsmr_bft_votes_from(s->bft), UINT64_MAX); /* it is ahead of us: not yet */
    solo_nullify(s, view);
    assert_int_equal(dsmr_bft_votes_from(s->bft), view + 3); /* 1 is where we are, 2 its last */
    tempt(s);
    solo_nullify(s, view + 1);
    assert_int_equal(solo_leader(0, view + 2, 4), 0); /* it would lead */
    tempt(s);
    assert_true(is_silent(s));
    solo_notarize(s, view + 2, s->to_build); /* and vote FINALIZE */
    assert_int_equal(solo_view(s), view + 3);
    assert_true(is_silent(s));
    assert_int_equal(dsmr_bft_votes_from(s->bft), 0);
    tempt(s);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NULLIFY)->view, view + 3);
    assert_null(solo_voted(s, DSMR_VOTE_FINALIZE));
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

/* The record is written once, and read again: nothing is asked after a restart. */
static void test_record_of_the_first_view(void **state)
{
    (void)state;
    struct solo *s = wiped();
    solo_nullify(s, 1);
    for (uint32_t peer = 1; peer < 4; peer++) {
        tell(s, peer, 2, 0);
    }
    uint32_t at = s->records - 1;
    assert_int_equal(s->keys[at][16], 7);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(s->keys[at][i], 0xff);
    }
    assert_int_equal(s->values[at]->len, 17);
    assert_int_equal(s->values[at]->bytes[0], 1);
    assert_int_equal(dsmr_load_be64(s->values[at]->bytes + 1), 0); /* epoch */
    assert_int_equal(dsmr_load_be64(s->values[at]->bytes + 9), 3); /* the last view without it */
    solo_restart(s);
    assert_int_equal(dsmr_bft_votes_from(s->bft), 4);
    assert_null(solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW));
    solo_nullify(s, 2);
    s->to_build = world_block(s->genesis, 0, 2000);
    tempt(s);
    assert_true(is_silent(s));
    solo_nullify(s, 3);
    tempt(s);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NULLIFY)->view, 4);
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

static void test_damaged_record_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t at, len;
        uint8_t value;
    } cases[] = {{0, 17, 2}, {1, 17, 1}, {0, 16, 1}, {0, 18, 1}};
    for (uint32_t i = 0; i < 4; i++) {
        struct solo *s = solo_new(NULL);
        dsmr_bft_free(s->bft);
        s->is_wiped = true;
        solo_open(s);
        uint8_t key[17], value[18] = {1};
        memset(key, 0xff, 16);
        key[16] = 7;
        value[cases[i].at] = cases[i].value;
        assert_int_equal(dsmr_bft_restore(s->bft, key, 17, value, cases[i].len), DSMR_ERR_CORRUPT);
        value[cases[i].at] = cases[i].at == 0 ? 1 : 0;
        key[i] = 0; /* in another place */
        assert_int_equal(dsmr_bft_restore(s->bft, key, 17, value, 17), DSMR_ERR_CORRUPT);
        key[i] = 0xff;
        memset(value + 9, 0xff, 8); /* no view follows this one */
        assert_int_equal(dsmr_bft_restore(s->bft, key, 17, value, 17), DSMR_ERR_CORRUPT);
        memset(value + 9, 0, 8);
        assert_int_equal(dsmr_bft_restore(s->bft, key, 17, value, 17), DSMR_OK);
        assert_int_equal(dsmr_bft_restore(s->bft, key, 17, value, 17), DSMR_ERR_CORRUPT);
        solo_free(s);
    }
}

/* No vote before the record is durable; a disk that refuses it is asked again, not at once. */
static void test_record_is_durable_before_the_first_vote(void **state)
{
    (void)state;
    struct solo *s = wiped();
    s->to_build = world_block(s->genesis, 0, 2000);
    s->stored = DSMR_ERR_DISK_FULL;
    tell(s, 1, 1, UINT64_MAX);
    tell(s, 2, 1, 0);
    tempt(s);
    assert_true(is_silent(s));
    assert_int_equal(dsmr_bft_votes_from(s->bft), UINT64_MAX);
    s->stored = DSMR_OK;
    s->holds_store = true;
    while (s->records == 0) {
        solo_tick(s);
    }
    assert_int_equal(s->keys[0][16], 7);
    uint64_t request = s->held_request;
    tempt(s);
    assert_true(is_silent(s));
    s->holds_store = false;
    struct dsmr_bft_event stored = {.kind = DSMR_BFT_EV_STORED, .request_id = request};
    solo_step(s, &stored);
    assert_int_equal(dsmr_bft_votes_from(s->bft), 0);
    tempt(s);
    assert_non_null(solo_said(s, DSMR_MSG_BFT_VOTE));
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

/* 17.2: in a network where nothing has happened yet, two others of four are enough; not if one of
 * them has heard us vote, knows a certificate, or has its own doubts about a past. */
static void test_new_network_or_not(void **state)
{
    (void)state;
    static const struct {
        uint64_t view, votes_from, heard_view;
        bool is_new;
    } cases[] = {{1, 0, 0, true},  {1, UINT64_MAX, 0, true}, {1, 0, 1, false},
                 {2, 0, 0, false}, {1, 3, 0, false},         {UINT64_MAX, 0, 0, false}};
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct solo *s = wiped();
        struct dsmr_msg msg = {.type = DSMR_MSG_BFT_POSITION};
        tell(s, 1, 1, UINT64_MAX);
        msg.u.position.view = cases[i].view;
        msg.u.position.votes_from = cases[i].votes_from;
        msg.u.position.heard_view = cases[i].heard_view;
        msg.u.position.question = question(s);
        solo_hear(s, 2, &msg);
        assert_int_equal(dsmr_bft_votes_from(s->bft), cases[i].is_new ? 0 : UINT64_MAX);
        solo_free(s);
    }
    struct solo *s = wiped(); /* we know a certificate ourselves */
    solo_nullify(s, 1);
    tell(s, 1, 1, UINT64_MAX);
    tell(s, 2, 1, UINT64_MAX);
    assert_int_equal(dsmr_bft_votes_from(s->bft), UINT64_MAX);
    solo_free(s);
}

/* 17.3: an answer to an earlier life says nothing about that life's last votes; one who has voted
 * to end the instance may have let us into the next one; one of another epoch is no answer. */
static void test_answers_that_do_not_count(void **state)
{
    (void)state;
    static const uint32_t nodes[] = {0, 1, 2, 3};
    for (uint32_t i = 0; i < 4; i++) {
        struct solo *s = solo_new(NULL);
        dsmr_bft_free(s->bft);
        s->schedule[1].from_height = 3;
        s->schedule[1].set = world_set(3, nodes, NULL, 4);
        s->schedule_count = 2;
        s->is_wiped = true;
        solo_open(s);
        solo_start(s);
        solo_nullify(s, 1);
        struct dsmr_msg msg = {.type = DSMR_MSG_BFT_POSITION};
        msg.u.position.view = 2;
        msg.u.position.height = i == 1 ? 2 : 1;
        msg.u.position.epoch = i == 2 ? 3 : 0;
        msg.u.position.question = question(s) + (i == 0 ? 1 : 0);
        solo_hear(s, 1, &msg);
        tell(s, 2, 2, 0);
        tell(s, 3, 2, 0);
        assert_int_equal(dsmr_bft_votes_from(s->bft), i == 3 ? 4 : UINT64_MAX);
        solo_free(s);
    }
}

/* A journal with votes was never lost: it is from before there was this record. */
static void test_journal_from_before_the_record(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    s->to_build = world_block(s->genesis, 0, 2000);
    solo_propose(s, view, 0, &s->genesis->id, s->to_build);
    s->is_wiped = true;
    solo_restart(s);
    assert_int_equal(s->keys[s->records - 1][16], 7);
    assert_int_equal(dsmr_bft_votes_from(s->bft), 0);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NOTARIZE)->view, view);
    solo_restart(s); /* now it is there */
    tempt(s);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NULLIFY)->view, view);
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

/* The disk was made with the key, and says so: nothing is asked, and any view is its own. */
static void test_first_start_on_a_disk_made_with_its_key(void **state)
{
    (void)state;
    struct dsmr_bft_never_voted record, other;
    struct solo *s = solo_new(NULL);
    dsmr_bft_free(s->bft);
    s->is_wiped = true;
    solo_open(s);
    dsmr_bft_never_voted(&other, 5); /* of another genesis: that epoch is not in the schedule */
    assert_int_equal(dsmr_bft_restore(s->bft, other.key, 17, other.value, 17), DSMR_ERR_CORRUPT);
    dsmr_bft_never_voted(&record, 0);
    assert_int_equal(dsmr_bft_restore(s->bft, record.key, 17, record.value, 17), DSMR_OK);
    assert_int_equal(dsmr_bft_restore(s->bft, record.key, 17, record.value, 17), DSMR_ERR_CORRUPT);
    solo_start(s);
    assert_int_equal(dsmr_bft_votes_from(s->bft), 0);
    solo_nullify(s, 1);
    s->to_build = world_block(s->genesis, 0, 2000);
    tempt(s);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NULLIFY)->view, 2);
    const struct solo_sent *asked = solo_said(s, DSMR_MSG_BFT_REQUEST_VIEW);
    assert_true(asked == NULL || asked->msg.u.request_view.to_view != 0);
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

/* Whoever asks is told all of it, at most twice in a retry_ms. */
static void test_position_is_told(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    struct dsmr_msg ask = {.type = DSMR_MSG_BFT_REQUEST_VIEW};
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_start(s);
    struct dsmr_vote_subject vote = solo_subject(3, DSMR_VOTE_NULLIFY, NULL);
    solo_vote(s, 2, &vote);
    solo_notarize(s, 1, block);
    solo_nullify(s, 2);
    solo_forget(s);
    solo_hear(s, 2, &ask);
    const struct solo_sent *sent = solo_said(s, DSMR_MSG_BFT_POSITION);
    assert_non_null(sent);
    assert_int_equal(sent->to, 2);
    assert_int_equal(sent->msg.u.position.epoch, 0);
    assert_int_equal(sent->msg.u.position.view, 3);
    assert_int_equal(sent->msg.u.position.height, 1);
    assert_int_equal(sent->msg.u.position.votes_from, 0);
    assert_int_equal(sent->msg.u.position.heard_view, 3);
    assert_non_null(solo_said(s, DSMR_MSG_BFT_QUORUM_CERT));
    solo_forget(s);
    solo_hear(s, 2, &ask);
    assert_null(solo_said(s, DSMR_MSG_BFT_POSITION));
    s->now_ms += SOLO_RETRY_MS / 2 + 1;
    ask.u.request_view.epoch = 7; /* even if it speaks of what we do not know */
    solo_hear(s, 2, &ask);
    assert_non_null(solo_said(s, DSMR_MSG_BFT_POSITION));
    solo_forget(s);
    solo_hear(s, 1, &ask);
    assert_int_equal(solo_said(s, DSMR_MSG_BFT_POSITION)->msg.u.position.heard_view, 0);
    dsmr_block_unref(block);
    solo_free(s);
}

/* An idle network ends the views that somebody waits for; only a validator's, only near ones. */
static void test_views_that_somebody_waits_for_are_ended(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    tell(s, 1, 1, 0);
    tell(s, 1, 1, UINT64_MAX);
    tell(s, 1, 1, 1);
    tell(s, 1, 1, UINT64_MAX / 2);
    assert_int_equal(dsmr_bft_deadline_ms(s->bft), UINT64_MAX);
    tell(s, 1, 1, 3);
    for (uint64_t view = 1; view <= 2; view++) {
        assert_int_equal(solo_view(s), view);
        while (solo_voted(s, DSMR_VOTE_NULLIFY) == NULL) {
            solo_tick(s);
        }
        solo_forget(s);
        solo_nullify(s, view);
    }
    assert_int_equal(dsmr_bft_deadline_ms(s->bft), UINT64_MAX);
    solo_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wiped_voter_signs_nothing_in_its_old_views),
        cmocka_unit_test(test_record_of_the_first_view),
        cmocka_unit_test(test_damaged_record_is_refused),
        cmocka_unit_test(test_record_is_durable_before_the_first_vote),
        cmocka_unit_test(test_new_network_or_not),
        cmocka_unit_test(test_answers_that_do_not_count),
        cmocka_unit_test(test_journal_from_before_the_record),
        cmocka_unit_test(test_first_start_on_a_disk_made_with_its_key),
        cmocka_unit_test(test_position_is_told),
        cmocka_unit_test(test_views_that_somebody_waits_for_are_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
