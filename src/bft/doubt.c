/* A validator that has its key but not its journal of votes: docs/bft.md, rule 17. */
#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

void dsmr_doubt_begin(struct dsmr_bft *bft)
{
    bft->doubt.is_voter = false;
    for (uint32_t i = bft->instance; i < bft->schedule_count; i++) {
        if (dsmr_validator_set_find(bft->schedule[i].set, &bft->node_id) >= 0) {
            bft->doubt.is_voter = true;
        }
    }
    bft->doubt.asks = 0;
    bft->doubt.ask_ms = 0;
}

bool dsmr_doubt_may_vote(const struct dsmr_bft *bft, uint64_t view)
{
    const struct dsmr_bft_doubt *doubt = &bft->doubt;
    return doubt->is_over && (bft->set->epoch > doubt->epoch ||
                              (bft->set->epoch == doubt->epoch && view > doubt->view));
}

uint64_t dsmr_doubt_votes_from(const struct dsmr_bft *bft)
{
    const struct dsmr_bft_doubt *doubt = &bft->doubt;
    if (!doubt->is_over || bft->set->epoch < doubt->epoch) {
        return UINT64_MAX;
    }
    /* Once a later view is final, what was said before it is of no use to anyone. */
    bool is_past =
        bft->set->epoch > doubt->epoch || doubt->view == 0 || bft->final_view > doubt->view;
    return is_past ? 0 : doubt->view + 1;
}

/* ---- what we tell ---- */

/* The highest view of the window of which we hold a vote of that validator; 0: none. */
static uint64_t heard_view(const struct dsmr_bft *bft, const struct dsmr_node_id *node_id)
{
    int signer = dsmr_validator_set_find(bft->set, node_id);
    uint64_t view = 0;
    for (uint32_t i = 0; signer >= 0 && i < DSMR_BFT_ROUNDS; i++) {
        const struct dsmr_bft_round *round = &bft->rounds[i];
        for (uint32_t kind = 0; round->view > view && kind < 3; kind++) {
            if (round->slots[kind][signer].state == DSMR_BFT_SLOT_HELD) {
                view = round->view;
            }
        }
    }
    return view;
}

void dsmr_doubt_tell(struct dsmr_bft *bft, uint32_t peer, uint64_t question)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_POSITION};
    msg.u.position.epoch = bft->set->epoch;
    msg.u.position.view = bft->view;
    msg.u.position.height =
        bft->noted_height > bft->accepted->height ? bft->noted_height : bft->accepted->height;
    msg.u.position.votes_from = dsmr_doubt_votes_from(bft);
    msg.u.position.question = question;
    if (peer == DSMR_BFT_NO_PEER) {
        dsmr_bft_outbox_broadcast(bft, &msg, NULL);
        return;
    }
    msg.u.position.heard_view = heard_view(bft, &bft->peers[peer].node_id);
    dsmr_bft_outbox_send(bft, peer, &msg, NULL);
}

/* ---- what we are told ---- */

void dsmr_doubt_on_message(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg)
{
    uint64_t view = msg->u.position.view;
    uint64_t last = msg->u.position.votes_from - 1u; /* of the views in which it does not vote */
    int instance = dsmr_bft_instance_by_epoch(bft, msg->u.position.epoch);
    if (instance < 0) {
        dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_BAD_VOTE);
        return;
    }
    if (!bft->doubt.is_over && msg->u.position.question == bft->doubt.question) {
        bft->peers[peer].told = (struct dsmr_bft_told){
            .is_set = true,
            .epoch = msg->u.position.epoch,
            .view = view,
            .height = msg->u.position.height,
            .votes_from = msg->u.position.votes_from,
            .heard_view = msg->u.position.heard_view,
        };
    }
    if ((uint32_t)instance > bft->instance) {
        dsmr_catch_up_hint(bft, peer);
    } else if ((uint32_t)instance < bft->instance || view < bft->view) {
        dsmr_bft_peer_answer_stale(bft, peer);
    } else if (last >= bft->view && last - bft->view <= DSMR_BFT_VIEWS_AHEAD &&
               last > bft->seen_view &&
               dsmr_validator_set_find(bft->set, &bft->peers[peer].node_id) >= 0) {
        bft->seen_view = last; /* it waits for these views to end: rule 8 */
    }
}

static void ask(struct dsmr_bft *bft, uint32_t peer)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_REQUEST_VIEW};
    /* Only an answer to this life's question was given after the last one's votes. */
    msg.u.request_view.from_view = bft->doubt.question;
    msg.u.request_view.epoch = bft->set->epoch;
    if (peer == DSMR_BFT_NO_PEER) {
        dsmr_bft_outbox_broadcast(bft, &msg, NULL);
    } else {
        dsmr_bft_outbox_send(bft, peer, &msg, NULL);
    }
}

void dsmr_doubt_on_peer_up(struct dsmr_bft *bft, uint32_t peer)
{
    if (!bft->doubt.is_over && bft->doubt.is_voter) {
        ask(bft, peer);
    }
}

/* What entry i of the set told; NULL: nothing, or it is our own entry. */
static const struct dsmr_bft_told *told_by(const struct dsmr_bft *bft, uint32_t i)
{
    const struct dsmr_validator *validator = &bft->set->validators[i];
    uint32_t peer = validator->node_ids_count == 1
                        ? dsmr_bft_peer_find(bft, &validator->node_ids[0])
                        : DSMR_BFT_NO_PEER;
    if (peer == DSMR_BFT_NO_PEER || !bft->peers[peer].told.is_set ||
        bft->peers[peer].told.epoch != bft->set->epoch) {
        return NULL;
    }
    return &bft->peers[peer].told;
}

/* ---- what follows: rule 17 ---- */

/* 17.2: with us, a quorum is in the instance's first view, knows no certificate of it, and has no
 * vote of ours. */
static bool is_new(const struct dsmr_bft *bft)
{
    if (bft->self < 0 || bft->view != 1 || !bft->has_root ||
        bft->catch_up.target_height > bft->accepted->height) {
        return false;
    }
    uint64_t weight = bft->set->validators[bft->self].weight;
    for (uint32_t i = 0; i < bft->set->count; i++) {
        const struct dsmr_bft_told *told = told_by(bft, i);
        if (told != NULL && told->view == 1 && told->heard_view == 0 &&
            (told->votes_from == 0 || told->votes_from == UINT64_MAX)) {
            weight += bft->set->validators[i].weight;
        }
    }
    return dsmr_is_quorum(weight, bft->set->total_weight);
}

/* Weight of the others that have no doubts, are not ahead of us and have not voted to end the
 * instance. */
static uint64_t told_weight(const struct dsmr_bft *bft)
{
    uint64_t end = dsmr_bft_instance_end(bft, bft->instance);
    uint64_t weight = 0;
    for (uint32_t i = 0; i < bft->set->count; i++) {
        const struct dsmr_bft_told *told = told_by(bft, i);
        if (told != NULL && told->votes_from == 0 && told->height < end - 1u &&
            (bft->self < 0 || told->view <= bft->view)) {
            weight += bft->set->validators[i].weight;
        }
    }
    return weight;
}

/* No quorum leaves anyone out, so that no two certificates can contradict each other unless
 * every validator contradicts itself. */
static bool is_everyone_needed(const struct dsmr_validator_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (dsmr_is_quorum(set->total_weight - set->validators[i].weight, set->total_weight)) {
            return false;
        }
    }
    return true;
}

/* The last view in which an earlier life may have voted; false: not known yet. */
static bool find_last_view(const struct dsmr_bft *bft, uint64_t *last_view)
{
    const struct dsmr_validator_set *set = bft->set;
    if (bft->doubt.has_votes || is_new(bft)) { /* 17.2 */
        *last_view = 0;
        return true;
    }
    uint64_t weight = told_weight(bft);
    if (bft->self >= 0 && is_everyone_needed(set)) { /* 17.4 */
        *last_view = 0;
        return weight > (set->total_weight - 1u) / 3u;
    }
    *last_view = bft->self < 0 ? 0 : bft->view + 1u; /* 17.3 */
    return dsmr_is_quorum(weight, set->total_weight);
}

static void store(struct dsmr_bft *bft, uint64_t last_view)
{
    struct dsmr_bft_op *op = dsmr_bft_op_add(bft, DSMR_BFT_OP_STORE_VOTES_FROM);
    if (op == NULL) {
        return;
    }
    op->qc.subject.epoch = bft->set->epoch;
    op->qc.subject.view = last_view;
    bft->doubt.is_storing = dsmr_bft_journal_votes_from(bft, op);
    if (!bft->doubt.is_storing) {
        dsmr_bft_op_end(bft, op);
    }
}

static uint64_t later(struct dsmr_bft *bft)
{
    uint32_t shift = bft->doubt.asks < 4 ? bft->doubt.asks : 4;
    return bft->now_ms + dsmr_prng_jitter(&bft->prng, (uint64_t)bft->retry_ms << shift);
}

void dsmr_doubt_on_stored(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_STORE_VOTES_FROM, request_id);
    if (op == NULL) {
        return;
    }
    uint64_t epoch = op->qc.subject.epoch;
    uint64_t view = op->qc.subject.view;
    dsmr_bft_op_end(bft, op);
    bft->doubt.is_storing = false;
    if (err != DSMR_OK) {
        bft->doubt.store_ms = later(bft);
        return;
    }
    dsmr_doubt_on_restored(bft, epoch, view);
    dsmr_bft_outbox_trace(bft, DSMR_BFT_TRACE_VOTES_FROM, epoch, view + 1u);
    if (bft->self >= 0 && !dsmr_doubt_may_vote(bft, bft->view)) {
        dsmr_doubt_tell(bft, DSMR_BFT_NO_PEER, 0);
    }
}

void dsmr_doubt_on_restored(struct dsmr_bft *bft, uint64_t epoch, uint64_t view)
{
    DSMR_ASSERT(!bft->doubt.is_over);
    bft->doubt.is_over = true;
    bft->doubt.epoch = epoch;
    bft->doubt.view = view;
}

void dsmr_doubt_run(struct dsmr_bft *bft)
{
    struct dsmr_bft_doubt *doubt = &bft->doubt;
    if (doubt->is_over) {
        /* Views without our vote must end, even in an idle network. */
        if (bft->set->epoch == doubt->epoch && bft->view <= doubt->view &&
            bft->seen_view < doubt->view) {
            bft->seen_view = doubt->view;
        }
        return;
    }
    if (!doubt->is_voter || doubt->is_storing) {
        return;
    }
    uint64_t last_view;
    if (bft->now_ms >= doubt->store_ms && find_last_view(bft, &last_view)) {
        store(bft, last_view);
    }
    if (bft->now_ms >= doubt->ask_ms) {
        ask(bft, DSMR_BFT_NO_PEER);
        doubt->ask_ms = later(bft);
        doubt->asks++;
    }
}

uint64_t dsmr_doubt_deadline(const struct dsmr_bft *bft)
{
    const struct dsmr_bft_doubt *doubt = &bft->doubt;
    return doubt->is_over || !doubt->is_voter || doubt->is_storing ? UINT64_MAX : doubt->ask_ms;
}
