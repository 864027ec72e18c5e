#include <stdlib.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

/* docs/bft.md, rule 6: the weight of all who voted as subject says, in the set's order. */
static bool has_quorum(const struct dsmr_bft *bft, const struct dsmr_bft_round *round,
                       const struct dsmr_vote_subject *subject, uint32_t *votes_count)
{
    const struct dsmr_bft_vote_slot *slots = round->slots[subject->kind - 1];
    struct dsmr_bitset signers = {{0}};
    *votes_count = 0;
    for (uint32_t i = 0; i < bft->set->count; i++) {
        if (slots[i].state == DSMR_BFT_SLOT_HELD && slots[i].height == subject->height &&
            dsmr_id_equal(&slots[i].block_id, &subject->block_id)) {
            dsmr_bitset_add(&signers, i);
            (*votes_count)++;
        }
    }
    return dsmr_is_quorum(dsmr_bitset_weight(&signers, bft->set), bft->set->total_weight);
}

static bool is_known(const struct dsmr_bft *bft, const struct dsmr_vote_subject *subject)
{
    return subject->kind == DSMR_VOTE_FINALIZE ? subject->view <= bft->final_view
                                               : dsmr_view_log_knows(bft, subject);
}

/* Somebody's certificate of it has been given to a worker. */
static bool is_being_checked(const struct dsmr_bft *bft, const struct dsmr_vote_subject *subject)
{
    for (uint32_t i = 0; bft->checks > 0 && i < bft->ops_end; i++) {
        const struct dsmr_bft_op *op = &bft->ops[i];
        if (op->kind == DSMR_BFT_OP_CHECK && !op->is_catch_up &&
            dsmr_vote_subject_equal(&op->qc.subject, subject)) {
            return true;
        }
    }
    return false;
}

static void aggregate(struct dsmr_bft *bft, struct dsmr_bft_round *round,
                      const struct dsmr_vote_subject *subject)
{
    uint32_t count;
    if (round->is_aggregating[subject->kind - 1] || is_known(bft, subject) ||
        !has_quorum(bft, round, subject, &count)) {
        return;
    }
    struct dsmr_share *votes = malloc(count * sizeof(*votes));
    struct dsmr_bft_op *op = votes != NULL ? dsmr_bft_op_add(bft, DSMR_BFT_OP_AGGREGATE) : NULL;
    if (op == NULL) {
        free(votes);
        return; /* votes come again */
    }
    const struct dsmr_bft_vote_slot *slots = round->slots[subject->kind - 1];
    uint32_t at = 0;
    for (uint32_t i = 0; i < bft->set->count; i++) {
        if (slots[i].state == DSMR_BFT_SLOT_HELD && slots[i].height == subject->height &&
            dsmr_id_equal(&slots[i].block_id, &subject->block_id)) {
            votes[at].signer = i;
            votes[at].sig = slots[i].sig;
            at++;
        }
    }
    DSMR_ASSERT(at == count);
    op->qc.subject = *subject;
    round->is_aggregating[subject->kind - 1] = true;
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_AGGREGATE);
    effect->request_id = op->request_id;
    effect->u.aggregate.subject = *subject;
    effect->u.aggregate.set = dsmr_validator_set_ref(bft->set);
    effect->u.aggregate.votes = votes;
    effect->u.aggregate.votes_count = count;
}

/* A certificate that is being checked makes an own one needless, unless it is bad. */
static void aggregate_news(struct dsmr_bft *bft, struct dsmr_bft_round *round,
                           const struct dsmr_vote_subject *subject)
{
    if (!is_being_checked(bft, subject)) {
        aggregate(bft, round, subject);
    }
}

static void put(struct dsmr_bft_vote_slot *slot, const struct dsmr_vote_subject *subject,
                const struct dsmr_bls_sig *sig)
{
    slot->state = DSMR_BFT_SLOT_HELD;
    slot->height = subject->height;
    slot->block_id = subject->block_id;
    slot->sig = *sig;
}

void dsmr_tally_add_own(struct dsmr_bft *bft, const struct dsmr_bft_own_vote *own)
{
    struct dsmr_bft_round *round = dsmr_round_open(bft, own->subject.view);
    DSMR_ASSERT(bft->self >= 0);
    if (round == NULL) {
        return;
    }
    put(&round->slots[own->subject.kind - 1][bft->self], &own->subject, &own->sig);
    if (own->subject.view > bft->seen_view) {
        bft->seen_view = own->subject.view;
    }
    aggregate_news(bft, round, &own->subject);
}

static bool is_well_formed(const struct dsmr_bft *bft, const struct dsmr_vote_subject *subject)
{
    uint64_t from = bft->schedule[bft->instance].from_height;
    if (subject->kind == DSMR_VOTE_NULLIFY) {
        return subject->height == 0 && dsmr_id_is_zero(&subject->block_id);
    }
    return (subject->kind == DSMR_VOTE_NOTARIZE || subject->kind == DSMR_VOTE_FINALIZE) &&
           subject->height + 1 >= from &&
           subject->height < dsmr_bft_instance_end(bft, bft->instance);
}

/* False: not for this instance; whoever lags, they or we, is told. */
static bool is_for_this_instance(struct dsmr_bft *bft, uint32_t peer, uint64_t epoch)
{
    int instance = dsmr_bft_instance_by_epoch(bft, epoch);
    if (instance < 0) {
        dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_BAD_VOTE);
    } else if ((uint32_t)instance > bft->instance) {
        dsmr_catch_up_hint(bft, peer);
    } else if ((uint32_t)instance < bft->instance) {
        dsmr_bft_peer_answer_stale(bft, peer);
    } else {
        return true;
    }
    return false;
}

static bool is_equivocation(const struct dsmr_bft_round *round, uint32_t signer,
                            const struct dsmr_vote_subject *subject)
{
    const struct dsmr_bft_vote_slot *same = &round->slots[subject->kind - 1][signer];
    if (same->state == DSMR_BFT_SLOT_HELD &&
        (same->height != subject->height || !dsmr_id_equal(&same->block_id, &subject->block_id))) {
        return true;
    }
    uint8_t other = subject->kind == DSMR_VOTE_NULLIFY    ? DSMR_VOTE_FINALIZE
                    : subject->kind == DSMR_VOTE_FINALIZE ? DSMR_VOTE_NULLIFY
                                                          : 0;
    return other != 0 && round->slots[other - 1][signer].state == DSMR_BFT_SLOT_HELD;
}

void dsmr_tally_on_message(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg)
{
    const struct dsmr_vote_subject *subject = &msg->u.vote.subject;
    if (!is_for_this_instance(bft, peer, subject->epoch) || bft->self < 0) {
        return;
    }
    int signer = dsmr_validator_set_find(bft->set, &bft->peers[peer].node_id);
    if (signer < 0 || !is_well_formed(bft, subject)) {
        dsmr_bft_outbox_fault(bft, peer, signer < 0 ? DSMR_ERR_NOT_VALIDATOR : DSMR_ERR_BAD_VOTE);
        return;
    }
    struct dsmr_bft_round *round = dsmr_round_open(bft, subject->view);
    if (round == NULL) {
        if (subject->view > bft->view) {
            dsmr_bft_peer_ask_position(bft, peer);
        } else {
            dsmr_bft_peer_answer_stale(bft, peer);
        }
        return;
    }
    struct dsmr_bft_vote_slot *slot = &round->slots[subject->kind - 1][signer];
    if (is_equivocation(round, (uint32_t)signer, subject)) {
        dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_BAD_VOTE); /* the first one stands */
        return;
    }
    if (slot->state != DSMR_BFT_SLOT_EMPTY) {
        /* Sent again although that view is over: its certificate has not reached them. */
        if (subject->view < bft->view) {
            dsmr_bft_peer_answer_stale(bft, peer);
        }
        return;
    }
    put(slot, subject, &msg->u.vote.sig);
    dsmr_leader_on_word(bft, peer, subject);
    if (subject->view > bft->seen_view) {
        bft->seen_view = subject->view;
    }
    if (subject->view >= bft->view || subject->kind == DSMR_VOTE_FINALIZE) {
        aggregate_news(bft, round, subject);
    }
}

/* Others may be being checked, and bad as well: the own votes do not wait for those. */
void dsmr_tally_on_bad_cert(struct dsmr_bft *bft, const struct dsmr_vote_subject *subject)
{
    struct dsmr_bft_round *round =
        subject->epoch == bft->set->epoch ? dsmr_round_find(bft, subject->view) : NULL;
    if (round != NULL && bft->self >= 0) {
        aggregate(bft, round, subject);
    }
}

/* The liars' votes are out; honest ones may make a quorum without them. */
static void retry(struct dsmr_bft *bft, struct dsmr_bft_round *round, uint32_t kind)
{
    for (uint32_t i = 0; i < bft->set->count; i++) {
        const struct dsmr_bft_vote_slot *slot = &round->slots[kind - 1][i];
        if (slot->state == DSMR_BFT_SLOT_HELD) {
            struct dsmr_vote_subject subject = {
                .epoch = bft->set->epoch,
                .view = round->view,
                .height = slot->height,
                .block_id = slot->block_id,
                .kind = (uint8_t)kind,
            };
            aggregate(bft, round, &subject);
            if (round->is_aggregating[kind - 1]) {
                return;
            }
        }
    }
}

static void drop_bad(struct dsmr_bft *bft, struct dsmr_bft_round *round, uint32_t kind,
                     const struct dsmr_bitset *bad)
{
    uint32_t told = 0;
    for (uint32_t i = 0; i < bft->set->count; i++) {
        struct dsmr_bft_vote_slot *slot = &round->slots[kind - 1][i];
        if (!dsmr_bitset_has(bad, i) || slot->state != DSMR_BFT_SLOT_HELD) {
            continue;
        }
        slot->state = DSMR_BFT_SLOT_BAD; /* no second try in this view */
        if (told++ < DSMR_BFT_FAULTS_MAX) {
            dsmr_bft_outbox_fault(bft,
                                  dsmr_bft_peer_find(bft, &bft->set->validators[i].node_ids[0]),
                                  DSMR_ERR_BAD_VOTE);
        }
    }
}

void dsmr_tally_again(struct dsmr_bft *bft)
{
    struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    struct dsmr_bft_round *before = dsmr_round_find(bft, bft->view - 1);
    if (round != NULL) {
        retry(bft, round, DSMR_VOTE_NOTARIZE);
        retry(bft, round, DSMR_VOTE_NULLIFY);
    }
    if (before != NULL) {
        retry(bft, before, DSMR_VOTE_FINALIZE);
    }
}

void dsmr_tally_on_aggregated(struct dsmr_bft *bft, const struct dsmr_bft_event *event)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_AGGREGATE, event->request_id);
    if (op == NULL) {
        return;
    }
    struct dsmr_quorum_cert qc = {
        .subject = op->qc.subject,
        .signers = event->u.aggregated.signers,
        .sig = event->u.aggregated.sig,
    };
    dsmr_block_pace_on_checked(bft, op);
    dsmr_bft_op_end(bft, op);
    if (qc.subject.epoch != bft->set->epoch) {
        return;
    }
    struct dsmr_bft_round *round = dsmr_round_find(bft, qc.subject.view);
    if (round != NULL) {
        round->is_aggregating[qc.subject.kind - 1] = false;
        drop_bad(bft, round, qc.subject.kind, &event->u.aggregated.bad);
    }
    struct dsmr_validator_set *set = NULL;
    if (event->err == DSMR_OK && dsmr_bft_qc_precheck(bft, &qc, &set) == DSMR_OK) {
        dsmr_bft_qc_apply(bft, &qc, DSMR_BFT_NO_PEER);
    } else if (round != NULL && !dsmr_bitset_is_empty(&event->u.aggregated.bad)) {
        retry(bft, round, qc.subject.kind);
    }
}
