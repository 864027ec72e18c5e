#include "bft/bft.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/order.h"
#include "bft/engine_state.h"

uint32_t dsmr_bft_instance_of(const struct dsmr_bft *bft, uint64_t height)
{
    uint32_t index = 0;
    while (index + 1 < bft->schedule_count && bft->schedule[index + 1].from_height <= height) {
        index++;
    }
    return index;
}

uint64_t dsmr_bft_instance_end(const struct dsmr_bft *bft, uint32_t index)
{
    return index + 1 < bft->schedule_count ? bft->schedule[index + 1].from_height : UINT64_MAX;
}

int dsmr_bft_instance_by_epoch(const struct dsmr_bft *bft, uint64_t epoch)
{
    for (uint32_t i = 0; i < bft->schedule_count; i++) {
        if (bft->schedule[i].set->epoch == epoch) {
            return (int)i;
        }
    }
    return -1;
}

void dsmr_bft_begin_instance(struct dsmr_bft *bft, uint32_t index)
{
    bft->instance = index;
    bft->set = bft->schedule[index].set;
    bft->self = dsmr_validator_set_find(bft->set, &bft->node_id);
    dsmr_leader_begin(bft);
    /* A node that starts in the middle of an instance does not know the root, and needs no root:
     * a view of the instance is final, so that nothing may extend the root any more. */
    bft->has_root = index == 0 ? bft->accepted->height == 0 ||
                                     bft->accepted->height + 1 == bft->schedule[0].from_height
                               : bft->accepted->height + 1 == bft->schedule[index].from_height;
    bft->root_id = bft->accepted->id;
    bft->root_height = bft->accepted->height;
    bft->final_view =
        bft->has_final && bft->final.subject.epoch == bft->set->epoch ? bft->final.subject.view : 0;
    dsmr_round_clear_all(bft);
    dsmr_view_log_clear(bft);
    bft->has_entry_qc = false;
    bft->seen_view = 0;
    bft->failed_views = 0;
    bft->noted_height = bft->accepted->height;
    dsmr_doubt_begin(bft);
    bft->view = 0;
    dsmr_round_enter(bft, bft->final_view + 1);
    bft->view_fetch = (struct dsmr_bft_view_fetch){.hint = DSMR_BFT_NO_PEER};
}

static enum dsmr_err copy_schedule(struct dsmr_bft *bft, const struct dsmr_bft_config *config)
{
    uint32_t largest = 1;
    bft->schedule = calloc(config->schedule_count, sizeof(*bft->schedule));
    if (bft->schedule == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < config->schedule_count; i++) {
        DSMR_ASSERT(i == 0 ||
                    config->schedule[i].from_height > config->schedule[i - 1].from_height);
        DSMR_ASSERT(i == 0 || config->schedule[i].set->epoch > config->schedule[i - 1].set->epoch);
        bft->schedule[i].from_height = config->schedule[i].from_height;
        bft->schedule[i].set = dsmr_validator_set_ref(config->schedule[i].set);
        bft->schedule_count = i + 1;
        if (config->schedule[i].set->count > largest) {
            largest = config->schedule[i].set->count;
        }
    }
    bft->slots_per_kind = largest;
    return DSMR_OK;
}

static enum dsmr_err allocate(struct dsmr_bft *bft)
{
    bft->leaders = calloc(bft->slots_per_kind, sizeof(*bft->leaders));
    bft->rounds = calloc(DSMR_BFT_ROUNDS, sizeof(*bft->rounds));
    bft->slots = calloc((size_t)DSMR_BFT_ROUNDS * 3u * bft->slots_per_kind, sizeof(*bft->slots));
    bft->view_log = calloc(DSMR_BFT_VIEW_LOG, sizeof(*bft->view_log));
    bft->candidates = calloc(DSMR_BFT_CANDIDATES_MAX, sizeof(*bft->candidates));
    bft->ops = calloc(DSMR_BFT_OPS_MAX, sizeof(*bft->ops));
    if (bft->leaders == NULL || bft->rounds == NULL || bft->slots == NULL ||
        bft->view_log == NULL || bft->candidates == NULL || bft->ops == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < DSMR_BFT_ROUNDS; i++) {
        for (uint32_t kind = 0; kind < 3; kind++) {
            bft->rounds[i].slots[kind] = bft->slots + (size_t)(i * 3u + kind) * bft->slots_per_kind;
        }
    }
    return DSMR_OK;
}

struct dsmr_bft *dsmr_bft_new(const struct dsmr_bft_config *config)
{
    DSMR_ASSERT(config->schedule_count > 0);
    DSMR_ASSERT(config->last_accepted != NULL);
    struct dsmr_bft *bft = calloc(1, sizeof(*bft));
    if (bft == NULL) {
        return NULL;
    }
    bft->params = config->params;
    bft->node_id = config->node_id;
    bft->view_timeout_ms = config->view_timeout_ms > 0 ? config->view_timeout_ms : 1;
    bft->view_timeout_max_ms = config->view_timeout_max_ms > bft->view_timeout_ms
                                   ? config->view_timeout_max_ms
                                   : bft->view_timeout_ms;
    bft->retry_ms = config->retry_ms > 0 ? config->retry_ms : 1;
    dsmr_prng_init(&bft->prng, config->seed);
    bft->doubt.question = dsmr_prng_next(&bft->prng) | 1u;
    if (copy_schedule(bft, config) != DSMR_OK || allocate(bft) != DSMR_OK ||
        dsmr_bft_peer_init(bft, config->seed) != DSMR_OK) {
        dsmr_bft_free(bft);
        return NULL;
    }
    /* The configuration lends the block; the count is all that a reference changes in it. */
    bft->accepted = dsmr_block_ref((struct dsmr_block *)(uintptr_t)config->last_accepted);
    bft->preferred_id = bft->accepted->id;
    if (config->finalization != NULL &&
        dsmr_bft_instance_by_epoch(bft, config->finalization->subject.epoch) >= 0) {
        bft->has_final = true;
        bft->final = *config->finalization;
    }
    bft->view_deadline_ms = UINT64_MAX;
    bft->retry_deadline_ms = UINT64_MAX;
    dsmr_catch_up_clear(bft);
    dsmr_bft_begin_instance(bft, dsmr_bft_instance_of(bft, bft->accepted->height + 1));
    return bft;
}

void dsmr_bft_free(struct dsmr_bft *bft)
{
    if (bft == NULL) {
        return;
    }
    if (bft->rounds != NULL) {
        dsmr_round_clear_all(bft);
    }
    if (bft->candidates != NULL) {
        dsmr_candidate_clear(bft);
    }
    while (bft->ops_end > 0) {
        dsmr_bft_op_end(bft, &bft->ops[bft->ops_end - 1]);
    }
    dsmr_catch_up_clear(bft);
    dsmr_bft_replay_clear(bft);
    dsmr_bft_peer_close(bft);
    dsmr_block_unref(bft->accepted);
    for (uint32_t i = 0; i < bft->schedule_count; i++) {
        dsmr_validator_set_unref(bft->schedule[i].set);
    }
    free(bft->schedule);
    free(bft->leaders);
    free(bft->rounds);
    free(bft->slots);
    free(bft->view_log);
    free(bft->candidates);
    free(bft->ops);
    free(bft);
}

enum dsmr_err dsmr_bft_restore(struct dsmr_bft *bft, const uint8_t *key, uint32_t key_len,
                               const uint8_t *value, uint32_t value_len)
{
    DSMR_ASSERT(!bft->is_started);
    return dsmr_bft_replay_take(bft, key, key_len, value, value_len);
}

void dsmr_bft_never_voted(struct dsmr_bft_never_voted *out, uint64_t epoch)
{
    dsmr_bft_journal_put_votes_from(out->key, out->value, epoch, 0);
}

static void on_message(struct dsmr_bft *bft, const struct dsmr_bft_event *event)
{
    const struct dsmr_msg *msg = event->u.message.msg;
    struct dsmr_buf *bytes = event->u.message.bytes;
    if (dsmr_node_id_equal(&event->u.message.from, &bft->node_id)) {
        return;
    }
    uint32_t peer = dsmr_bft_peer_find(bft, &event->u.message.from);
    if (peer == DSMR_BFT_NO_PEER) {
        struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_FAULT);
        effect->u.fault.peer = event->u.message.from;
        effect->u.fault.err = DSMR_ERR_NOT_VALIDATOR;
        return;
    }
    dsmr_bft_peer_heard(bft, peer);
    switch (msg->type) {
    case DSMR_MSG_BFT_PROPOSAL:
        dsmr_proposal_on_message(bft, peer, msg, bytes);
        break;
    case DSMR_MSG_BFT_VOTE:
        dsmr_tally_on_message(bft, peer, msg);
        break;
    case DSMR_MSG_BFT_QUORUM_CERT:
        dsmr_bft_qc_on_message(bft, peer, msg);
        break;
    case DSMR_MSG_BFT_REQUEST_BLOCKS:
        dsmr_catch_up_serve(bft, peer, msg);
        break;
    case DSMR_MSG_BFT_BLOCKS:
        dsmr_catch_up_on_blocks(bft, peer, msg, bytes);
        break;
    case DSMR_MSG_BFT_REQUEST_VIEW:
        dsmr_block_fetch_serve_views(bft, peer, msg);
        break;
    case DSMR_MSG_BFT_REQUEST_BLOCK:
        dsmr_block_fetch_serve_block(bft, peer, msg);
        break;
    case DSMR_MSG_BFT_BLOCK:
        dsmr_block_fetch_on_block(bft, msg, bytes);
        break;
    case DSMR_MSG_BFT_POSITION:
        dsmr_doubt_on_message(bft, peer, msg);
        break;
    default:
        dsmr_bft_outbox_fault(bft, peer, DSMR_ERR_UNEXPECTED);
        break;
    }
}

static void on_wanted(struct dsmr_bft *bft, bool is_wanted)
{
    bft->is_wanted = is_wanted;
    bft->is_build_refused = false;
    bft->build_after_ms = 0;
}

static void handle(struct dsmr_bft *bft, const struct dsmr_bft_event *event)
{
    switch (event->kind) {
    case DSMR_BFT_EV_START:
        bft->is_started = true;
        bft->entered_ms = bft->now_ms;
        dsmr_bft_replay_run(bft);
        break;
    case DSMR_BFT_EV_TICK:
        break;
    case DSMR_BFT_EV_MESSAGE:
        on_message(bft, event);
        break;
    case DSMR_BFT_EV_PEER:
        dsmr_bft_peer_on_change(bft, &event->u.peer.node_id, event->u.peer.is_up);
        break;
    case DSMR_BFT_EV_WANTED:
        on_wanted(bft, event->u.wanted);
        break;
    case DSMR_BFT_EV_BUILT:
        dsmr_proposal_on_built(bft, event->request_id, event->err, event->u.built);
        break;
    case DSMR_BFT_EV_VERDICT:
        dsmr_candidate_on_verdict(bft, event->request_id, event->err);
        break;
    case DSMR_BFT_EV_SIGNED:
        dsmr_voting_on_signed(bft, event->request_id, event->err, &event->u.sig);
        break;
    case DSMR_BFT_EV_AGGREGATED:
        dsmr_tally_on_aggregated(bft, event);
        break;
    case DSMR_BFT_EV_CHECKED:
        dsmr_bft_qc_on_checked(bft, event->request_id, event->err);
        break;
    case DSMR_BFT_EV_STORED:
        dsmr_voting_on_stored(bft, event->request_id, event->err);
        dsmr_finality_on_stored(bft, event->request_id, event->err);
        dsmr_bft_journal_on_saved(bft, event->request_id, event->err);
        dsmr_doubt_on_stored(bft, event->request_id, event->err);
        if (event->err == DSMR_OK) { /* the disk takes records (again) */
            dsmr_bft_journal_save_again(bft);
        }
        break;
    }
}

/* What follows from the state, whatever the event was: the "upon" rules of docs/bft.md. */
static void settle(struct dsmr_bft *bft)
{
    dsmr_block_fetch_begin(bft);
    while (dsmr_finality_advance(bft) || dsmr_catch_up_advance(bft)) {
        /* each round accepts a block; the batch and the candidates are bounded */
    }
    dsmr_doubt_run(bft);
    dsmr_proposal_try(bft);
    dsmr_voting_try(bft);
    dsmr_finality_prefer(bft);
    dsmr_candidate_verify(bft);
    dsmr_block_fetch_run(bft);
    dsmr_catch_up_run(bft);
    dsmr_bft_peer_ask_missed(bft);
    dsmr_pacemaker_update(bft);
}

void dsmr_bft_step(struct dsmr_bft *bft, struct dsmr_bft_effects *effects,
                   const struct dsmr_bft_event *event)
{
    DSMR_ASSERT(effects->count == 0);
    if (!bft->is_started && event->kind != DSMR_BFT_EV_START && event->kind != DSMR_BFT_EV_PEER &&
        event->kind != DSMR_BFT_EV_WANTED) {
        return;
    }
    bft->out = effects;
    if (event->mono_ms > bft->now_ms) {
        bft->now_ms = event->mono_ms;
    }
    handle(bft, event);
    if (bft->is_started) {
        dsmr_pacemaker_on_time(bft);
        settle(bft);
    }
    bft->out = NULL;
}

uint64_t dsmr_bft_deadline_ms(const struct dsmr_bft *bft)
{
    if (!bft->is_started) {
        return UINT64_MAX;
    }
    uint64_t at = dsmr_smaller(bft->view_deadline_ms, bft->retry_deadline_ms);
    at = dsmr_smaller(at, bft->propose_ms);
    at = dsmr_smaller(at, dsmr_doubt_deadline(bft));
    at = dsmr_smaller(at, dsmr_bft_peer_deadline(bft));
    at = dsmr_smaller(at, dsmr_candidate_deadline(bft));
    at = dsmr_smaller(at, dsmr_block_fetch_deadline(bft));
    return dsmr_smaller(at, dsmr_catch_up_deadline(bft));
}

void dsmr_bft_position(const struct dsmr_bft *bft, uint64_t *epoch, uint64_t *view)
{
    *epoch = bft->set->epoch;
    *view = bft->view;
}

void dsmr_bft_refused_final(const struct dsmr_bft *bft, struct dsmr_bft_refusal *out)
{
    const struct dsmr_bft_candidate *refused = dsmr_finality_refused(bft);
    *out = (struct dsmr_bft_refusal){.err = DSMR_OK};
    if (refused != NULL) {
        out->err = refused->refusal;
        out->times = refused->attempts;
        out->height = refused->block->height;
    }
}

uint64_t dsmr_bft_votes_from(const struct dsmr_bft *bft)
{
    return bft->self < 0 || dsmr_doubt_may_vote(bft, bft->view) ? 0 : dsmr_doubt_votes_from(bft);
}

static void check_round(const struct dsmr_bft *bft, const struct dsmr_bft_round *round)
{
    const struct dsmr_bft_own_vote *own = round->own;
    if (round->view == 0) {
        return;
    }
    DSMR_ASSERT(round->view <= bft->view + DSMR_BFT_VIEWS_AHEAD);
    DSMR_ASSERT(own[DSMR_VOTE_NULLIFY - 1].state == DSMR_BFT_OWN_NONE ||
                own[DSMR_VOTE_FINALIZE - 1].state == DSMR_BFT_OWN_NONE); /* INV-BFT-2 */
    for (uint32_t kind = 0; kind < 3; kind++) {
        if (own[kind].state != DSMR_BFT_OWN_NONE) {
            DSMR_ASSERT(own[kind].subject.view == round->view);
            DSMR_ASSERT(own[kind].subject.epoch == bft->set->epoch);
            DSMR_ASSERT(own[kind].subject.kind == kind + 1); /* INV-BFT-1: one place a kind */
            DSMR_ASSERT(round->view <= bft->view);
        }
    }
}

void dsmr_bft_check(const struct dsmr_bft *bft)
{
    DSMR_ASSERT(bft->view > bft->final_view); /* INV-BFT-5 */
    DSMR_ASSERT(bft->tip_view == 0 || bft->tip_view > bft->final_view);
    DSMR_ASSERT(bft->tip_view < bft->view);
    DSMR_ASSERT(dsmr_bft_instance_of(bft, bft->accepted->height + 1) ==
                bft->instance); /* INV-BFT-4: the instance is the one of the next height */
    for (uint32_t i = 0; i < DSMR_BFT_ROUNDS; i++) {
        check_round(bft, &bft->rounds[i]);
    }
    uint32_t verifying = 0;
    for (uint32_t i = 0; i < bft->candidates_end; i++) {
        const struct dsmr_bft_candidate *candidate = &bft->candidates[i];
        if (candidate->block == NULL) {
            continue;
        }
        DSMR_ASSERT(candidate->block->height > bft->accepted->height);
        verifying += candidate->state == DSMR_BFT_CANDIDATE_VERIFYING ? 1 : 0;
        if (candidate->state == DSMR_BFT_CANDIDATE_VALID) {
            DSMR_ASSERT(dsmr_candidate_is_usable(bft, &candidate->block->parent_id));
        }
    }
    DSMR_ASSERT(verifying <= bft->verifies && bft->verifies <= DSMR_BFT_VERIFIES_MAX);
    uint32_t checks = 0;
    for (uint32_t i = 0; i < bft->ops_end; i++) {
        checks += bft->ops[i].kind == DSMR_BFT_OP_CHECK ? 1 : 0;
    }
    DSMR_ASSERT(checks == bft->checks && checks <= DSMR_BFT_CHECKS_MAX);
}
