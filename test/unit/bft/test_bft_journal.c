/* Records and restart: docs/bft.md, rules 12 and 14. */
#include "bft_solo.h"

static struct dsmr_buf *record_of(const struct solo *s, uint64_t view, uint8_t kind)
{
    for (uint32_t i = s->records; i > 0; i--) {
        if (dsmr_load_be64(s->keys[i - 1] + 8) == view && s->keys[i - 1][16] == kind) {
            return s->values[i - 1];
        }
    }
    return NULL;
}

/* Times out in the current view. */
static void time_out(struct solo *s)
{
    solo_wanted(s, true);
    while (solo_voted(s, DSMR_VOTE_NULLIFY) == NULL) {
        solo_tick(s);
    }
}

static void test_records_have_the_documented_layout(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_propose(s, view, 0, &s->genesis->id, block);
    const struct dsmr_buf *value = record_of(s, view, DSMR_VOTE_NOTARIZE);
    const struct dsmr_buf *cert = view == 1 ? NULL : record_of(s, view - 1, 5);
    uint32_t cert_len = cert == NULL ? 0 : cert->len - 1; /* that led into the view */
    assert_non_null(value);
    assert_int_equal(value->len, 1 + 8 + 32 + 8 + 32 + cert_len + block->bytes->len);
    assert_int_equal(value->bytes[0], cert == NULL ? 1 : 2);
    assert_int_equal(dsmr_load_be64(value->bytes + 1), 1);
    assert_memory_equal(value->bytes + 9, block->id.bytes, 32);
    assert_int_equal(dsmr_load_be64(value->bytes + 41), 0);
    assert_memory_equal(value->bytes + 49, s->genesis->id.bytes, 32);
    if (cert != NULL) {
        assert_memory_equal(value->bytes + 81, cert->bytes + 1, cert_len);
    }
    assert_memory_equal(value->bytes + 81 + cert_len, block->bytes->bytes, block->bytes->len);
    solo_notarize(s, view, block);
    cert = record_of(s, view, 4);
    assert_int_equal(cert->len, 1 + DSMR_VOTE_SUBJECT_BYTES + 2 + 1 + 96);
    value = record_of(s, view, DSMR_VOTE_FINALIZE);
    assert_int_equal(value->len, 1 + 8 + 32 + cert->len - 1);
    assert_int_equal(value->bytes[0], 2);
    assert_memory_equal(value->bytes + 41, cert->bytes + 1, cert->len - 1);
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_votes_survive_a_restart(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    struct dsmr_block *other = world_block(s->genesis, 0, 3000);
    solo_propose(s, view, 0, &s->genesis->id, block);
    uint32_t signs = s->signs;
    solo_restart(s);
    assert_int_equal(solo_view(s), view);
    assert_int_equal(s->signs, signs + 1); /* again: the same bytes */
    assert_true(dsmr_id_equal(&solo_voted(s, DSMR_VOTE_NOTARIZE)->block_id, &block->id));
    solo_forget(s);
    uint32_t stores = s->stores;
    solo_propose(s, view, 0, &s->genesis->id, other);
    assert_null(solo_voted(s, DSMR_VOTE_NOTARIZE));
    assert_int_equal(s->stores, stores);
    struct dsmr_msg ask = {.type = DSMR_MSG_BFT_REQUEST_BLOCK};
    ask.u.request_block.block_id = block->id;
    solo_hear(s, 2, &ask); /* what we voted for we can show */
    assert_non_null(solo_said(s, DSMR_MSG_BFT_BLOCK));
    dsmr_block_unref(block);
    dsmr_block_unref(other);
    solo_free(s);
}

static void test_nullify_survives_and_forbids_finalize(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    time_out(s);
    solo_restart(s);
    assert_non_null(solo_voted(s, DSMR_VOTE_NULLIFY));
    solo_notarize(s, view, block);
    assert_int_equal(solo_view(s), view + 1);
    assert_null(solo_voted(s, DSMR_VOTE_FINALIZE));
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_finalize_survives_and_forbids_nullify(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_notarize(s, view, block);
    assert_non_null(solo_voted(s, DSMR_VOTE_FINALIZE));
    for (uint32_t i = 0; i < s->records; i++) { /* even if the certificate's record was lost */
        if (s->keys[i][16] == 4) {
            dsmr_buf_unref(s->values[i]);
            s->records--;
            memmove(s->keys[i], s->keys[i + 1], (s->records - i) * sizeof(s->keys[0]));
            memmove(&s->values[i], &s->values[i + 1], (s->records - i) * sizeof(s->values[0]));
            break;
        }
    }
    solo_restart(s);
    assert_int_equal(solo_view(s), view + 1);
    solo_forget(s);
    time_out(s);
    assert_int_equal(solo_voted(s, DSMR_VOTE_NULLIFY)->view, view + 1);
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_leader_resends_its_proposal_after_a_restart(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, true);
    s->to_build = world_block(s->genesis, 0, 2000);
    solo_wanted(s, true);
    struct dsmr_id first = s->to_build->id;
    dsmr_block_unref(s->to_build);
    s->to_build = world_block(s->genesis, 0, 9000);
    uint32_t builds = s->builds;
    solo_restart(s);
    solo_wanted(s, true);
    while (solo_said(s, DSMR_MSG_BFT_PROPOSAL) == NULL) {
        solo_tick(s);
    }
    const struct dsmr_msg *proposal = &solo_said(s, DSMR_MSG_BFT_PROPOSAL)->msg;
    assert_int_equal(proposal->u.proposal.view, view);
    assert_true(dsmr_id_equal(&proposal->u.proposal.block_id, &first));
    assert_int_equal(s->builds, builds);
    dsmr_block_unref(s->to_build);
    solo_free(s);
}

/* The store lost the accept, the journal has the finalization: the block is final all the same, and
 * no view up to it is voted in. */
static void test_journal_ahead_of_the_store(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_propose(s, view, 0, &s->genesis->id, block);
    solo_finalize(s, view, block);
    assert_int_equal(s->accepts, 1);
    solo_restart(s); /* begins at genesis */
    assert_int_equal(solo_view(s), view + 1);
    assert_int_equal(s->accepts, 2); /* from the journal's own NOTARIZE record */
    dsmr_block_unref(block);
    solo_free(s);
}

static void test_prune_keeps_the_last_two_final_views(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    struct dsmr_block *first = world_block(s->genesis, 0, 2000);
    struct dsmr_block *second = world_block(first, 0, 3000);
    uint64_t view = solo_go_to_view(s, false);
    solo_propose(s, view, 0, &s->genesis->id, first);
    solo_finalize(s, view, first);
    assert_int_equal(s->prunes, 0);
    uint64_t next = solo_go_to_view(s, false);
    solo_propose(s, next, view, &first->id, second);
    solo_finalize(s, next, second);
    assert_int_equal(s->accepts, 2);
    assert_int_equal(s->prunes, 1);
    assert_int_equal(dsmr_load_be64(s->prune_key + 8), view);
    assert_int_equal(s->prune_key[16], 0);
    dsmr_block_unref(first);
    dsmr_block_unref(second);
    solo_free(s);
}

static enum dsmr_err restore(struct solo *s, const uint8_t *key, uint32_t key_len,
                             const struct dsmr_buf *value, uint32_t len)
{
    return dsmr_bft_restore(s->bft, key, key_len, value->bytes, len);
}

static void test_damaged_records_are_refused(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = solo_go_to_view(s, false);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_propose(s, view, 0, &s->genesis->id, block);
    solo_notarize(s, view, block);
    dsmr_bft_free(s->bft);
    solo_open(s);
    for (uint32_t i = 0; i < s->records; i++) {
        const uint8_t *key = s->keys[i];
        struct dsmr_buf *value = s->values[i];
        struct dsmr_buf *damaged = dsmr_buf_copy(value->bytes, value->len);
        uint8_t bad_key[18] = {0};
        assert_int_equal(restore(s, key, 17, value, value->len), DSMR_OK);
        for (uint32_t len = 0; len < value->len; len++) {
            /* A NOTARIZE record without the block is a re-proposal's: well formed. */
            bool is_repeat = key[16] == DSMR_VOTE_NOTARIZE && len + block->bytes->len == value->len;
            assert_int_equal(restore(s, key, 17, value, len),
                             is_repeat ? DSMR_OK : DSMR_ERR_CORRUPT);
        }
        damaged->bytes[0] = 3; /* version */
        assert_int_equal(restore(s, key, 17, damaged, value->len), DSMR_ERR_CORRUPT);
        memcpy(bad_key, key, 17);
        assert_int_equal(restore(s, bad_key, 18, value, value->len), DSMR_ERR_CORRUPT);
        assert_int_equal(restore(s, bad_key, 16, value, value->len), DSMR_ERR_CORRUPT);
        bad_key[7] = 9; /* an epoch that the schedule does not have */
        assert_int_equal(restore(s, bad_key, 17, value, value->len), DSMR_ERR_CORRUPT);
        memcpy(bad_key, key, 17);
        bad_key[16] = 7; /* kind */
        assert_int_equal(restore(s, bad_key, 17, value, value->len), DSMR_ERR_CORRUPT);
        bad_key[16] = 0;
        assert_int_equal(restore(s, bad_key, 17, value, value->len), DSMR_ERR_CORRUPT);
        dsmr_buf_unref(damaged);
    }
    dsmr_block_unref(block);
    solo_free(s);
}

/* The certificate in a vote's record is of the view before, or for FINALIZE of its own and of its
 * block; anything else there is damage. */
static void test_a_vote_rests_on_its_own_certificate(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    solo_start(s);
    uint64_t view = 0;
    do { /* in the second view of others that follow each other */
        view = solo_view(s);
        solo_nullify(s, view);
    } while (solo_leader(0, view + 1, 4) == 0);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    solo_propose(s, ++view, 0, &s->genesis->id, block);
    solo_notarize(s, view, block);
    time_out(s);
    static const uint8_t kinds[] = {DSMR_VOTE_NOTARIZE, DSMR_VOTE_NULLIFY, DSMR_VOTE_FINALIZE};
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t at = kinds[i] == DSMR_VOTE_NULLIFY ? view + 1 : view;
        const struct dsmr_buf *value = record_of(s, at, kinds[i]);
        uint32_t cert_at = kinds[i] == DSMR_VOTE_NOTARIZE ? 81 : 41;
        uint8_t key[17] = {0};
        dsmr_store_be64(key + 8, at);
        key[16] = kinds[i];
        dsmr_bft_free(s->bft);
        solo_open(s);
        assert_int_equal(value->bytes[0], 2);
        /* kind, epoch, view, height, block id: docs/wire.md */
        for (uint32_t byte = 0; byte < DSMR_VOTE_SUBJECT_BYTES; byte++) {
            struct dsmr_buf *damaged = dsmr_buf_copy(value->bytes, value->len);
            damaged->bytes[cert_at + byte] ^= 0x40;
            enum dsmr_err err = restore(s, key, 17, damaged, damaged->len);
            /* Of another block it may be, where the vote says nothing of that. */
            assert_true(err == DSMR_ERR_CORRUPT ||
                        (err == DSMR_OK && kinds[i] == DSMR_VOTE_NULLIFY && byte >= 17));
            dsmr_buf_unref(damaged);
        }
        assert_int_equal(restore(s, key, 17, value, value->len), DSMR_OK);
    }
    dsmr_block_unref(block);
    solo_free(s);
}

/* INV-BFT-2 is not left to what the disk says: found by fuzz_bft_journal. */
static void test_contradicting_records_are_refused(void **state)
{
    (void)state;
    struct solo *s = solo_new(NULL);
    uint8_t key[17] = {0};
    uint8_t value[41] = {1};
    struct dsmr_buf *bytes = dsmr_buf_copy(value, sizeof(value));
    for (uint64_t view = 1; view <= 2; view++) {
        dsmr_store_be64(key + 8, view);
        key[16] = view == 1 ? DSMR_VOTE_NULLIFY : DSMR_VOTE_FINALIZE;
        assert_int_equal(restore(s, key, 17, bytes, sizeof(value)), DSMR_OK);
        key[16] = view == 1 ? DSMR_VOTE_FINALIZE : DSMR_VOTE_NULLIFY;
        assert_int_equal(restore(s, key, 17, bytes, sizeof(value)), DSMR_ERR_CORRUPT);
    }
    dsmr_store_be64(key + 8, 3); /* of another view it is no contradiction */
    assert_int_equal(restore(s, key, 17, bytes, sizeof(value)), DSMR_OK);
    dsmr_store_be64(key + 8, UINT64_MAX / 2 + 1); /* no chain comes so far */
    assert_int_equal(restore(s, key, 17, bytes, sizeof(value)), DSMR_ERR_CORRUPT);
    dsmr_store_be64(key + 8, UINT64_MAX / 2); /* one that does is not counted through */
    assert_int_equal(restore(s, key, 17, bytes, sizeof(value)), DSMR_OK);
    solo_start(s);
    dsmr_buf_unref(bytes);
    solo_free(s);
}

/* Records of an instance that has not begun here wait for it. */
static void test_records_of_a_later_instance_wait(void **state)
{
    (void)state;
    static const uint32_t nodes[] = {0, 1, 2, 3};
    struct solo *s = solo_new(NULL);
    s->schedule[1].from_height = 2;
    s->schedule[1].set = world_set(2, nodes, NULL, 4);
    s->schedule_count = 2;
    dsmr_bft_free(s->bft);
    solo_open(s);
    uint8_t key[17] = {0};
    uint8_t value[41] = {1};
    dsmr_store_be64(key, 2);
    dsmr_store_be64(key + 8, 3);
    key[16] = DSMR_VOTE_NULLIFY;
    assert_int_equal(dsmr_bft_restore(s->bft, key, 17, value, sizeof(value)), DSMR_OK);
    solo_start(s);
    assert_int_equal(solo_view(s), 1);
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    uint64_t view = solo_go_to_view(s, false);
    solo_propose(s, view, 0, &s->genesis->id, block);
    solo_finalize(s, view, block);
    assert_int_equal(s->accepts, 1);
    uint64_t epoch;
    dsmr_bft_position(s->bft, &epoch, &view);
    assert_int_equal(epoch, 2);
    assert_int_equal(view, 3); /* it voted there */
    assert_int_equal(solo_voted(s, DSMR_VOTE_NULLIFY)->epoch, 2);
    dsmr_block_unref(block);
    solo_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_have_the_documented_layout),
        cmocka_unit_test(test_votes_survive_a_restart),
        cmocka_unit_test(test_nullify_survives_and_forbids_finalize),
        cmocka_unit_test(test_finalize_survives_and_forbids_nullify),
        cmocka_unit_test(test_leader_resends_its_proposal_after_a_restart),
        cmocka_unit_test(test_journal_ahead_of_the_store),
        cmocka_unit_test(test_prune_keeps_the_last_two_final_views),
        cmocka_unit_test(test_damaged_records_are_refused),
        cmocka_unit_test(test_a_vote_rests_on_its_own_certificate),
        cmocka_unit_test(test_contradicting_records_are_refused),
        cmocka_unit_test(test_records_of_a_later_instance_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
