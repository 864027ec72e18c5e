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

/* Place of a record, oldest first; SOLO_RECORDS_MAX: it is not there. */
static uint32_t place_of(const struct solo *s, uint64_t view, uint8_t kind)
{
    for (uint32_t i = 0; i < s->records; i++) {
        if (dsmr_load_be64(s->keys[i] + 8) == view && s->keys[i][16] == kind) {
            return i;
        }
    }
    return SOLO_RECORDS_MAX;
}

/* A full disk takes no certificates either. A vote that rests on one is not alone on the disk
 * afterwards: after a restart the node is in the view that the vote tells, and can say what led
 * there. Each of notarization, nullification and finalization. */
static void test_certificates_after_a_full_disk(void **state)
{
    (void)state;
    for (uint8_t kind = DSMR_VOTE_NOTARIZE; kind <= DSMR_VOTE_FINALIZE; kind++) {
        struct solo *s = solo_new(NULL);
        solo_start(s);
        uint64_t view = solo_go_to_view(s, false);
        struct dsmr_block *block = world_block(s->genesis, 0, 2000);
        solo_propose(s, view, 0, &s->genesis->id, block);
        s->stored = DSMR_ERR_DISK_FULL;
        if (kind == DSMR_VOTE_NOTARIZE) {
            solo_notarize(s, view, block);
        } else if (kind == DSMR_VOTE_NULLIFY) {
            solo_nullify(s, view);
        } else {
            solo_finalize(s, view, block);
        }
        assert_int_equal(solo_view(s), view + 1);
        solo_wanted(s, true);
        solo_tick(s); /* still full */
        assert_int_equal(place_of(s, view, 3 + kind), SOLO_RECORDS_MAX);
        s->stored = DSMR_OK;
        time_out(s);
        assert_int_equal(solo_voted(s, DSMR_VOTE_NULLIFY)->view, view + 1);
        uint32_t cert = place_of(s, view, 3 + kind);
        assert_true(cert < place_of(s, view + 1, DSMR_VOTE_NULLIFY));
        assert_true(cert < place_of(s, view, DSMR_VOTE_FINALIZE));
        solo_restart(s);
        assert_int_equal(solo_view(s), view + 1);
        solo_forget(s);
        solo_peer(s, 2, false);
        solo_peer(s, 2, true);
        const struct solo_sent *said = solo_said(s, DSMR_MSG_BFT_QUORUM_CERT);
        assert_non_null(said);
        assert_int_equal(said->msg.u.quorum_cert.subject.view, view);
        assert_int_equal(said->msg.u.quorum_cert.subject.kind, kind);
        dsmr_block_unref(block);
        solo_free(s);
    }
}

/* The vote's record was on its way already when the certificate's was refused: then the certificate
 * is written again as soon as the vote is durable. */
static void test_certificate_refused_just_before_a_vote(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_propose(s, view, 0, &s->genesis->id, block);
    s->refused_kind = 3 + DSMR_VOTE_NOTARIZE;
    s->refused_times = 1;
    solo_notarize(s, view, block);
    assert_int_equal(s->refused_times, 0);
    assert_int_equal(solo_voted(s, DSMR_VOTE_FINALIZE)->view, view);
    uint32_t cert = place_of(s, view, 3 + DSMR_VOTE_NOTARIZE);
    assert_int_equal(cert, place_of(s, view, DSMR_VOTE_FINALIZE) + 1);
    dsmr_block_unref(block);
    solo_free(s);
}

/* The disk refuses the certificate again and again, takes the vote that rests on it, and the node
 * dies: the vote's record has the certificate with it, so that the view to which it brings the node
 * back is one to which it can lead the others. Each kind of certificate, and each kind of vote. */
static void test_certificate_is_lost_with_a_crash_after_the_vote(void **state)
{
    (void)state;
    for (uint8_t kind = DSMR_VOTE_NOTARIZE; kind <= DSMR_VOTE_FINALIZE; kind++) {
        for (uint8_t voted = DSMR_VOTE_NOTARIZE; voted <= DSMR_VOTE_FINALIZE; voted++) {
            struct solo *s = solo_new(NULL);
            solo_start(s);
            uint64_t view = solo_go_to_view(s, false);
            struct dsmr_block *block = world_block(s->genesis, 0, 2000);
            if (voted == DSMR_VOTE_FINALIZE && kind != DSMR_VOTE_NOTARIZE) {
                dsmr_block_unref(block);
                solo_free(s);
                continue;
            }
            while (solo_leader(0, view, 4) == 0 || solo_leader(0, view + 1, 4) == 0) {
                solo_nullify(s, view++);
            }
            solo_propose(s, view, 0, &s->genesis->id, block);
            s->refused_kind = 3 + kind;
            s->refused_times = UINT32_MAX;
            if (kind == DSMR_VOTE_NOTARIZE) {
                solo_notarize(s, view, block);
            } else if (kind == DSMR_VOTE_NULLIFY) {
                solo_nullify(s, view);
            } else {
                solo_finalize(s, view, block);
            }
            if (voted == DSMR_VOTE_NULLIFY) {
                time_out(s);
            } else if (voted == DSMR_VOTE_NOTARIZE && kind == DSMR_VOTE_NULLIFY) {
                solo_propose(s, view + 1, 0, &s->genesis->id, block);
            } else if (voted == DSMR_VOTE_NOTARIZE) {
                solo_propose(s, view + 1, view, &block->id, NULL);
            }
            uint64_t at = voted == DSMR_VOTE_FINALIZE ? view : view + 1;
            assert_int_equal(solo_voted(s, voted)->view, at);
            assert_true(place_of(s, at, voted) < SOLO_RECORDS_MAX);
            assert_int_equal(place_of(s, view, 3 + kind), SOLO_RECORDS_MAX);
            solo_restart(s);
            assert_int_equal(solo_view(s), view + 1);
            assert_int_equal(place_of(s, view, 3 + kind), SOLO_RECORDS_MAX);
            solo_forget(s);
            solo_peer(s, 2, false);
            solo_peer(s, 2, true);
            const struct solo_sent *said = solo_said(s, DSMR_MSG_BFT_QUORUM_CERT);
            assert_non_null(said);
            assert_int_equal(said->msg.u.quorum_cert.subject.view, view);
            assert_int_equal(said->msg.u.quorum_cert.subject.kind, kind);
            s->refused_times = 0; /* and it gets its own record when there is room */
            solo_nullify(s, view + 1);
            assert_true(place_of(s, view, 3 + kind) < SOLO_RECORDS_MAX);
            dsmr_block_unref(block);
            solo_free(s);
        }
    }
}

/* Of more views than are written at a time. */
static void test_many_certificates_after_a_full_disk(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    s->stored = DSMR_ERR_DISK_FULL;
    for (uint64_t i = 0; i < 100; i++) {
        solo_nullify(s, view + i);
    }
    s->stored = DSMR_OK;
    time_out(s);
    assert_true(place_of(s, view + 99, 3 + DSMR_VOTE_NULLIFY) <
                place_of(s, view + 100, DSMR_VOTE_NULLIFY)); /* the newest first */
    for (uint32_t i = 0; i < 400; i++) {
        solo_tick(s);
    }
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(place_of(s, view + i, 3 + DSMR_VOTE_NULLIFY) < SOLO_RECORDS_MAX);
    }
    uint32_t records = s->records; /* each once */
    for (uint32_t i = 0; i < 100; i++) {
        solo_tick(s);
    }
    assert_int_equal(s->records, records);
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

/* ---- catch-up ---- */

#define CHAIN 140u

static void serve(struct solo *s, uint32_t peer, struct dsmr_block *const *chain, uint64_t from,
                  uint32_t count)
{
    static uint8_t buffer[CHAIN * 512];
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCKS};
    const struct dsmr_block *last = chain[from + count - 1];
    struct dsmr_vote_subject subject = solo_subject(last->height, DSMR_VOTE_FINALIZE, last);
    uint32_t at = 0;
    for (uint64_t i = from; i < from + count; i++) {
        dsmr_store_be32(buffer + at, chain[i]->bytes->len);
        memcpy(buffer + at + 4, chain[i]->bytes->bytes, chain[i]->bytes->len);
        at += 4 + chain[i]->bytes->len;
    }
    msg.u.blocks.count = count;
    msg.u.blocks.blocks = buffer;
    msg.u.blocks.blocks_len = at;
    msg.u.blocks.finalization = world_cert(&subject, 3);
    solo_hear(s, peer, &msg);
}

static uint32_t asked_for_blocks(struct solo *s)
{
    for (uint32_t i = 0; i < 50 && solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS) == NULL; i++) {
        solo_tick(s);
    }
    assert_non_null(solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS));
    return solo_said(s, DSMR_MSG_BFT_REQUEST_BLOCKS)->to;
}

/* A peer that gives one block at a time, each as late as it may, is not asked for ever: the next
 * one is asked, unless a batch was full. */
static void test_catch_up_leaves_who_gives_little(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    struct dsmr_block *chain[CHAIN] = {s->genesis};
    for (uint32_t i = 1; i < CHAIN; i++) {
        chain[i] = world_block(chain[i - 1], 0, 1000 + 10 * i);
    }
    solo_start(s);
    solo_finalize(s, CHAIN - 1, chain[CHAIN - 1]);
    uint32_t asked = 0;
    for (uint32_t i = 1; i <= 6; i++) {
        uint32_t peer = asked_for_blocks(s);
        asked |= 1u << peer;
        solo_forget(s);
        serve(s, peer, chain, i, 1);
        assert_int_equal(s->accepted_height, i);
    }
    assert_int_equal(asked, 0xe);
    uint32_t peer = asked_for_blocks(s);
    solo_forget(s);
    serve(s, peer, chain, 7, 127);
    assert_int_equal(s->accepted_height, 133);
    assert_int_equal(asked_for_blocks(s), peer);
    for (uint32_t i = 1; i < CHAIN; i++) {
        dsmr_block_unref(chain[i]);
    }
    solo_free(s);
}

/* Rule 1: what a set signs for heights beyond its own is worth nothing: no vote, no certificate,
 * no batch of blocks. */
static void test_old_set_decides_nothing_beyond_its_end(void **state)
{
    (void)state;
    static const uint32_t nodes[] = {0, 1, 2, 3};
    struct solo *s = solo_new(NULL);
    struct dsmr_block *chain[4] = {s->genesis};
    for (uint32_t i = 1; i < 4; i++) {
        chain[i] = world_block(chain[i - 1], 0, 1000 + 1000 * i);
    }
    dsmr_bft_free(s->bft);
    s->schedule[1].from_height = 2;
    s->schedule[1].set = world_set(2, nodes, NULL, 4);
    s->schedule_count = 2;
    solo_open(s);
    solo_start(s);
    struct dsmr_vote_subject beyond = solo_subject(5, DSMR_VOTE_FINALIZE, chain[2]);
    solo_vote(s, 1, &beyond);
    assert_int_equal(s->faults, 1);
    solo_finalize(s, 5, chain[2]);
    assert_int_equal(s->faults, 2);
    assert_int_equal(s->checks, 0);
    assert_int_equal(solo_view(s), 1);
    solo_finalize(s, 4, chain[1]); /* its last one */
    assert_int_equal(s->checks, 1);
    uint32_t peer = asked_for_blocks(s);
    solo_forget(s);
    serve(s, peer, chain, 1, 3); /* all of them, final by the old set */
    assert_int_equal(s->faults, 1);
    assert_int_equal(s->accepts, 0);
    peer = asked_for_blocks(s);
    solo_forget(s);
    serve(s, peer, chain, 1, 1);
    assert_int_equal(s->accepted_height, 1);
    for (uint32_t i = 1; i < 4; i++) {
        dsmr_block_unref(chain[i]);
    }
    solo_free(s);
}

/* Rule 8: what one vote costs an idle network. */
static void test_a_vote_ahead_costs_33_timeouts(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_vote_subject vote = solo_subject(33, DSMR_VOTE_NULLIFY, NULL);
    solo_vote(s, 1, &vote);
    uint32_t timeouts = 0;
    while (dsmr_bft_deadline_ms(s->bft) != UINT64_MAX && timeouts < 100) {
        uint64_t view = solo_view(s);
        while (solo_voted(s, DSMR_VOTE_NULLIFY) == NULL) {
            solo_tick(s);
        }
        timeouts++;
        solo_nullify(s, view);
        solo_forget(s);
    }
    assert_int_equal(timeouts, 33);
    solo_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_votes_after_a_full_disk),
        cmocka_unit_test(test_certificates_after_a_full_disk),
        cmocka_unit_test(test_certificate_is_lost_with_a_crash_after_the_vote),
        cmocka_unit_test(test_many_certificates_after_a_full_disk),
        cmocka_unit_test(test_certificate_refused_just_before_a_vote),
        cmocka_unit_test(test_nothing_is_pruned_for_what_is_not_durable),
        cmocka_unit_test(test_certificates_trickle_in),
        cmocka_unit_test(test_leader_asks_for_what_it_misses),
        cmocka_unit_test(test_catch_up_leaves_who_gives_little),
        cmocka_unit_test(test_old_set_decides_nothing_beyond_its_end),
        cmocka_unit_test(test_a_vote_ahead_costs_33_timeouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
