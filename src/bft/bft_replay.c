/* Restart: docs/bft.md, rules 12 and 14. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

#define VIEW_MAX (UINT64_MAX / 2) /* no chain comes so far, and sums stay in 64 bits */

struct vote_record {
    struct dsmr_vote_subject subject;
    uint64_t parent_view;
    struct dsmr_id parent_id;
    struct dsmr_block *block; /* NULL: none */
    bool has_cert;
    struct dsmr_quorum_cert cert; /* that it rests on */
};

/* What rule 12 lets stand in a vote's record. */
static enum dsmr_err check_cert_below(const struct dsmr_bft *bft, const struct vote_record *vote)
{
    const struct dsmr_vote_subject *subject = &vote->cert.subject;
    struct dsmr_validator_set *set = NULL;
    bool is_finalize = vote->subject.kind == DSMR_VOTE_FINALIZE;
    if (subject->epoch != vote->subject.epoch ||
        subject->view != vote->subject.view - (is_finalize ? 0u : 1u) ||
        (is_finalize &&
         (subject->kind != DSMR_VOTE_NOTARIZE || subject->height != vote->subject.height ||
          !dsmr_id_equal(&subject->block_id, &vote->subject.block_id)))) {
        return DSMR_ERR_CORRUPT;
    }
    return dsmr_bft_qc_precheck(bft, &vote->cert, &set) == DSMR_OK ? DSMR_OK : DSMR_ERR_CORRUPT;
}

static enum dsmr_err decode_block(const struct dsmr_bft *bft, struct vote_record *out,
                                  const struct dsmr_bft_record *record, struct dsmr_rd *rd)
{
    size_t left = dsmr_rd_left(rd);
    const uint8_t *block = dsmr_rd_view(rd, left);
    enum dsmr_err err = DSMR_OK;
    if (rd->err == DSMR_OK && left > 0) { /* what is wrong with rd is seen at the end */
        err = dsmr_block_decode(&out->block, &bft->params, record->value, block, left);
    }
    out->block = err == DSMR_OK ? out->block : NULL;
    return err == DSMR_OK || err == DSMR_ERR_NO_MEMORY ? err : DSMR_ERR_CORRUPT;
}

static enum dsmr_err decode_vote(const struct dsmr_bft *bft, struct vote_record *out,
                                 const struct dsmr_bft_record *record)
{
    struct dsmr_rd rd;
    dsmr_rd_init(&rd, record->value->bytes, record->value->len);
    *out = (struct vote_record){
        .subject = {.epoch = record->epoch, .view = record->view, .kind = record->kind}};
    uint8_t version = dsmr_rd_u8(&rd);
    out->subject.height = dsmr_rd_u64(&rd);
    dsmr_rd_bytes(&rd, out->subject.block_id.bytes, sizeof(out->subject.block_id.bytes));
    if (record->kind == DSMR_VOTE_NOTARIZE) {
        out->parent_view = dsmr_rd_u64(&rd);
        dsmr_rd_bytes(&rd, out->parent_id.bytes, sizeof(out->parent_id.bytes));
    }
    out->has_cert = version == DSMR_BFT_JOURNAL_VERSION_WITH_CERT;
    if (out->has_cert) {
        dsmr_quorum_cert_decode(&rd, &out->cert, DSMR_VALIDATORS_MAX);
    }
    enum dsmr_err err = DSMR_OK;
    if (record->kind == DSMR_VOTE_NOTARIZE) {
        err = decode_block(bft, out, record, &rd);
    }
    if (err == DSMR_OK &&
        ((version != DSMR_BFT_JOURNAL_VERSION && version != DSMR_BFT_JOURNAL_VERSION_WITH_CERT) ||
         dsmr_rd_end(&rd) != DSMR_OK ||
         (out->block != NULL && !dsmr_id_equal(&out->block->id, &out->subject.block_id)))) {
        err = DSMR_ERR_CORRUPT;
    }
    if (err == DSMR_OK && out->has_cert) {
        err = check_cert_below(bft, out);
    }
    if (err != DSMR_OK) {
        dsmr_block_unref(out->block);
        out->block = NULL;
    }
    return err;
}

static enum dsmr_err decode_cert(const struct dsmr_bft *bft, struct dsmr_quorum_cert *out,
                                 const struct dsmr_bft_record *record)
{
    struct dsmr_rd rd;
    struct dsmr_validator_set *set = NULL;
    dsmr_rd_init(&rd, record->value->bytes, record->value->len);
    bool is_known = dsmr_rd_u8(&rd) == DSMR_BFT_JOURNAL_VERSION;
    dsmr_quorum_cert_decode(&rd, out, DSMR_VALIDATORS_MAX);
    if (!is_known || dsmr_rd_end(&rd) != DSMR_OK || out->subject.epoch != record->epoch ||
        out->subject.view != record->view ||
        DSMR_BFT_JOURNAL_CERT + out->subject.kind != record->kind ||
        dsmr_bft_qc_precheck(bft, out, &set) != DSMR_OK) {
        return DSMR_ERR_CORRUPT;
    }
    return DSMR_OK;
}

static enum dsmr_err check_record(const struct dsmr_bft *bft, const struct dsmr_bft_record *record)
{
    struct vote_record vote;
    struct dsmr_quorum_cert qc;
    if (record->view == 0 || record->view > VIEW_MAX || record->kind == 0 ||
        record->kind > DSMR_BFT_JOURNAL_CERT + DSMR_VOTE_FINALIZE ||
        dsmr_bft_instance_by_epoch(bft, record->epoch) < 0) {
        return DSMR_ERR_CORRUPT;
    }
    if (record->kind > DSMR_BFT_JOURNAL_CERT) {
        return decode_cert(bft, &qc, record);
    }
    enum dsmr_err err = decode_vote(bft, &vote, record);
    if (err == DSMR_OK) {
        dsmr_block_unref(vote.block);
    }
    return err;
}

/* INV-BFT-2 holds for what the disk says, too. Records come in the order of their keys. */
static bool contradicts(const struct dsmr_bft *bft, const struct dsmr_bft_record *record)
{
    for (uint32_t i = bft->records_count; i > 0; i--) {
        const struct dsmr_bft_record *other = &bft->records[i - 1];
        if (other->epoch != record->epoch || other->view != record->view) {
            return false;
        }
        if ((other->kind == DSMR_VOTE_NULLIFY && record->kind == DSMR_VOTE_FINALIZE) ||
            (other->kind == DSMR_VOTE_FINALIZE && record->kind == DSMR_VOTE_NULLIFY)) {
            return true;
        }
    }
    return false;
}

static enum dsmr_err restore_votes_from(struct dsmr_bft *bft, const uint8_t *key,
                                        const uint8_t *value, uint32_t value_len)
{
    if (bft->doubt.is_over || dsmr_load_be64(key) != UINT64_MAX ||
        dsmr_load_be64(key + 8) != UINT64_MAX || value_len != DSMR_BFT_JOURNAL_VOTES_FROM_BYTES ||
        value[0] != DSMR_BFT_JOURNAL_VERSION || dsmr_load_be64(value + 9) > VIEW_MAX ||
        dsmr_bft_instance_by_epoch(bft, dsmr_load_be64(value + 1)) < 0) {
        return DSMR_ERR_CORRUPT;
    }
    dsmr_doubt_on_restored(bft, dsmr_load_be64(value + 1), dsmr_load_be64(value + 9));
    return DSMR_OK;
}

static bool grow(struct dsmr_bft *bft)
{
    if (bft->records_count < bft->records_capacity) {
        return true;
    }
    uint32_t capacity = bft->records_capacity > 0 ? 2 * bft->records_capacity : 64;
    struct dsmr_bft_record *records = realloc(bft->records, capacity * sizeof(*records));
    if (records == NULL) {
        return false;
    }
    bft->records = records;
    bft->records_capacity = capacity;
    return true;
}

enum dsmr_err dsmr_bft_replay_take(struct dsmr_bft *bft, const uint8_t *key, uint32_t key_len,
                                   const uint8_t *value, uint32_t value_len)
{
    if (key_len != DSMR_BFT_JOURNAL_KEY_BYTES) {
        return DSMR_ERR_CORRUPT;
    }
    if (key[16] == DSMR_BFT_JOURNAL_VOTES_FROM) {
        return restore_votes_from(bft, key, value, value_len);
    }
    if (bft->records_count >= DSMR_BFT_RECORDS_MAX) {
        return DSMR_ERR_LIMIT;
    }
    struct dsmr_bft_record record = {
        .epoch = dsmr_load_be64(key),
        .view = dsmr_load_be64(key + 8),
        .kind = key[16],
        .value = dsmr_buf_copy(value, value_len),
    };
    if (record.value == NULL || !grow(bft)) {
        dsmr_buf_unref(record.value);
        return DSMR_ERR_NO_MEMORY;
    }
    enum dsmr_err err = contradicts(bft, &record) ? DSMR_ERR_CORRUPT : check_record(bft, &record);
    if (err != DSMR_OK) {
        dsmr_buf_unref(record.value);
        return err;
    }
    bft->records[bft->records_count++] = record;
    bft->doubt.has_votes = bft->doubt.has_votes || record.kind <= DSMR_BFT_JOURNAL_CERT;
    return DSMR_OK;
}

/* The certificate that a record of this instance is, or that a vote's record carries. */
static bool cert_of(const struct dsmr_bft *bft, struct dsmr_quorum_cert *out,
                    const struct dsmr_bft_record *record)
{
    struct vote_record vote;
    if (record->epoch != bft->set->epoch) {
        return false;
    }
    if (record->kind > DSMR_BFT_JOURNAL_CERT) {
        return decode_cert(bft, out, record) == DSMR_OK;
    }
    if (decode_vote(bft, &vote, record) != DSMR_OK) {
        return false;
    }
    dsmr_block_unref(vote.block);
    *out = vote.cert;
    return vote.has_cert;
}

static void replay_cert(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc, bool is_saved,
                        uint64_t *view)
{
    if (!dsmr_view_log_add(bft, qc)) {
        return; /* known */
    }
    if (!is_saved) {
        dsmr_bft_journal_unsaved(bft, &qc->subject);
    }
    if (qc->subject.kind == DSMR_VOTE_NULLIFY && bft->failed_views < 16) {
        bft->failed_views++;
    }
    if (qc->subject.view >= *view) {
        *view = qc->subject.view + 1;
        bft->entry_qc = *qc;
        bft->has_entry_qc = true;
    }
}

/* A finalization that only a vote's record holds allows no pruning before it has its own. */
static void replay_final(struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc, bool is_saved)
{
    bft->has_final = true;
    bft->final = *qc;
    bft->final_view = qc->subject.view;
    bft->is_final_unsaved = !is_saved;
    if (is_saved) {
        bft->prune_epoch = qc->subject.epoch;
        bft->prune_view = qc->subject.view;
    }
}

/* Certificates first: they tell which views are over. Votes of ours tell which view we were in. */
static uint64_t replay_certs(struct dsmr_bft *bft)
{
    uint64_t view = bft->view;
    struct dsmr_quorum_cert qc;
    for (uint32_t i = 0; i < bft->records_count; i++) { /* ascending: its own record comes first */
        const struct dsmr_bft_record *record = &bft->records[i];
        if (cert_of(bft, &qc, record) && qc.subject.kind == DSMR_VOTE_FINALIZE &&
            qc.subject.view > bft->final_view) {
            replay_final(bft, &qc, record->kind > DSMR_BFT_JOURNAL_CERT);
            view = qc.subject.view >= view ? qc.subject.view + 1 : view;
        }
    }
    for (uint32_t pass = 0; pass < 2; pass++) { /* those with records of their own come first */
        for (uint32_t i = 0; i < bft->records_count; i++) {
            bool is_saved = bft->records[i].kind > DSMR_BFT_JOURNAL_CERT;
            if (is_saved == (pass == 0) && cert_of(bft, &qc, &bft->records[i]) &&
                qc.subject.kind != DSMR_VOTE_FINALIZE && qc.subject.view > bft->final_view) {
                replay_cert(bft, &qc, is_saved, &view);
            }
        }
    }
    for (uint32_t i = 0; i < bft->records_count; i++) {
        const struct dsmr_bft_record *record = &bft->records[i];
        if (record->epoch == bft->set->epoch && record->kind <= DSMR_BFT_JOURNAL_CERT) {
            uint64_t least = record->kind == DSMR_VOTE_FINALIZE ? record->view + 1 : record->view;
            view = least > view ? least : view;
        }
    }
    return view;
}

static void replay_vote(struct dsmr_bft *bft, const struct vote_record *vote)
{
    if (vote->block != NULL) {
        struct dsmr_bft_candidate *candidate = dsmr_candidate_add(bft, vote->block);
        if (candidate != NULL) {
            candidate->is_voted = true;
            candidate->view = vote->subject.view;
        }
    }
    struct dsmr_bft_round *round = dsmr_round_open(bft, vote->subject.view);
    if (round == NULL) {
        return; /* too old to vote in again */
    }
    struct dsmr_bft_own_vote *own = &round->own[vote->subject.kind - 1];
    own->subject = vote->subject;
    own->state = DSMR_BFT_OWN_STORING; /* durable already: what follows is to sign */
    if (vote->subject.kind == DSMR_VOTE_NULLIFY && vote->subject.view == bft->view) {
        bft->is_timed_out = true;
    }
    if (vote->subject.kind == DSMR_VOTE_NOTARIZE && !round->proposal.is_set) {
        uint32_t peer = DSMR_BFT_NO_PEER;
        int leader = dsmr_leader_of(bft, vote->subject.view);
        if (leader >= 0 && leader != bft->self) {
            peer = dsmr_bft_peer_find(bft, &bft->set->validators[leader].node_ids[0]);
        }
        round->proposal = (struct dsmr_bft_proposal){
            .is_set = true,
            .peer = peer,
            .parent_view = vote->parent_view,
            .parent_id = vote->parent_id,
            .block_id = vote->subject.block_id,
            .block = dsmr_block_ref(vote->block),
        };
    }
    bft->seen_view = vote->subject.view > bft->seen_view ? vote->subject.view : bft->seen_view;
    if (vote->subject.kind == DSMR_VOTE_FINALIZE && vote->subject.height > bft->noted_height) {
        bft->noted_height = vote->subject.height;
    }
    if (vote->subject.view > bft->final_view) {
        dsmr_voting_resume(bft, own);
    }
}

static void drop_old(struct dsmr_bft *bft)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < bft->records_count; i++) {
        if (bft->records[i].epoch > bft->set->epoch) {
            bft->records[kept++] = bft->records[i];
        } else {
            dsmr_buf_unref(bft->records[i].value);
        }
    }
    bft->records_count = kept;
}

/* The finalization of the accepted block may stand in the journal of the instance before. */
static void find_final(struct dsmr_bft *bft)
{
    for (uint32_t i = 0; i < bft->records_count; i++) {
        const struct dsmr_bft_record *record = &bft->records[i];
        struct dsmr_quorum_cert qc;
        if (!bft->has_final && record->epoch < bft->set->epoch &&
            record->kind == DSMR_BFT_JOURNAL_CERT + DSMR_VOTE_FINALIZE &&
            decode_cert(bft, &qc, record) == DSMR_OK &&
            dsmr_id_equal(&qc.subject.block_id, &bft->accepted->id)) {
            bft->has_final = true;
            bft->final = qc;
        }
    }
}

void dsmr_bft_replay_run(struct dsmr_bft *bft)
{
    uint64_t view = replay_certs(bft);
    if (view > bft->view) {
        dsmr_round_enter(bft, view);
    }
    for (uint32_t i = 0; i < bft->records_count; i++) {
        const struct dsmr_bft_record *record = &bft->records[i];
        struct vote_record vote;
        if (record->epoch != bft->set->epoch || record->kind > DSMR_BFT_JOURNAL_CERT ||
            decode_vote(bft, &vote, record) != DSMR_OK) {
            continue;
        }
        replay_vote(bft, &vote);
        dsmr_block_unref(vote.block);
    }
    /* What a quorum notarized must be verified again before it is used. */
    uint64_t logged = bft->view > DSMR_BFT_VIEW_LOG ? bft->view - DSMR_BFT_VIEW_LOG : 0;
    for (uint64_t at = (logged > bft->final_view ? logged : bft->final_view) + 1; at < bft->view;
         at++) {
        const struct dsmr_bft_view_entry *entry = dsmr_view_log_find(bft, at);
        if (entry != NULL && entry->is_notarized) {
            dsmr_candidate_want(bft, &entry->notarization.subject.block_id);
        }
    }
    if (bft->has_final) {
        dsmr_candidate_want(bft, &bft->final.subject.block_id);
    }
    find_final(bft);
    drop_old(bft);
}

void dsmr_bft_replay_clear(struct dsmr_bft *bft)
{
    for (uint32_t i = 0; i < bft->records_count; i++) {
        dsmr_buf_unref(bft->records[i].value);
    }
    free(bft->records);
    bft->records = NULL;
    bft->records_count = 0;
    bft->records_capacity = 0;
}
