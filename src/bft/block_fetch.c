#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

static uint64_t backoff(struct dsmr_bft *bft, uint32_t attempts)
{
    uint32_t shift = attempts < 5 ? attempts : 5;
    return bft->now_ms + dsmr_prng_jitter(&bft->prng, (uint64_t)bft->retry_ms << shift);
}

/* ---- blocks by id: docs/bft.md, rule 11 ---- */

static struct dsmr_bft_fetch *find_fetch(struct dsmr_bft *bft, const struct dsmr_id *id)
{
    for (uint32_t i = 0; i < DSMR_BFT_FETCHES_MAX; i++) {
        if (bft->fetches[i].is_used && dsmr_id_equal(&bft->fetches[i].block_id, id)) {
            return &bft->fetches[i];
        }
    }
    return NULL;
}

static void want_block(struct dsmr_bft *bft, const struct dsmr_id *id, uint32_t hint)
{
    struct dsmr_bft_fetch *fetch = find_fetch(bft, id);
    for (uint32_t i = 0; fetch == NULL && i < DSMR_BFT_FETCHES_MAX; i++) {
        if (!bft->fetches[i].is_live) {
            fetch = &bft->fetches[i];
            *fetch = (struct dsmr_bft_fetch){.is_used = true, .block_id = *id, .hint = hint};
        }
    }
    if (fetch != NULL) {
        fetch->is_live = true;
    }
}

bool dsmr_block_fetch_chain(struct dsmr_bft *bft, const struct dsmr_id *id, uint32_t hint)
{
    struct dsmr_id at = *id;
    for (uint32_t depth = 0; depth <= DSMR_BFT_DEPTH_MAX + 1u; depth++) {
        if (dsmr_id_equal(&at, &bft->accepted->id)) {
            return true;
        }
        struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &at);
        if (candidate == NULL) {
            want_block(bft, &at, hint);
            return false;
        }
        if (candidate->block->height <= bft->accepted->height + 1 &&
            !dsmr_id_equal(&candidate->block->parent_id, &bft->accepted->id)) {
            return false; /* another branch than the accepted one: dead */
        }
        dsmr_candidate_want(bft, &at);
        at = candidate->block->parent_id;
    }
    return false;
}

void dsmr_block_fetch_on_block(struct dsmr_bft *bft, const struct dsmr_msg *msg,
                               struct dsmr_buf *bytes)
{
    struct dsmr_block *block = NULL;
    bool is_any_asked = false;
    for (uint32_t i = 0; i < DSMR_BFT_FETCHES_MAX; i++) {
        is_any_asked = is_any_asked || (bft->fetches[i].is_used && bft->fetches[i].attempts > 0);
    }
    if (!is_any_asked || dsmr_block_decode(&block, &bft->params, bytes, msg->u.block.block,
                                           msg->u.block.block_len) != DSMR_OK) {
        return; /* late, or of no use: the next peer is asked in any case */
    }
    struct dsmr_bft_fetch *fetch = find_fetch(bft, &block->id);
    if (fetch != NULL) {
        struct dsmr_bft_candidate *candidate = dsmr_candidate_add(bft, block);
        if (candidate != NULL) {
            dsmr_candidate_want(bft, &block->id);
        }
        *fetch = (struct dsmr_bft_fetch){.is_used = false};
    }
    dsmr_block_unref(block);
}

/* ---- certificates by view ---- */

void dsmr_block_fetch_views(struct dsmr_bft *bft, uint64_t from, uint64_t to, uint32_t hint)
{
    struct dsmr_bft_view_fetch *fetch = &bft->view_fetch;
    if (from <= bft->final_view || to < from) {
        return;
    }
    if (to - from >= DSMR_BFT_VIEWS_ASKED_MAX) {
        to = from + DSMR_BFT_VIEWS_ASKED_MAX - 1u; /* the rest when these are there */
    }
    if (from <= fetch->to_view && to >= fetch->from_view) {
        /* Answers come one by one: what is left of the question has been asked already. */
        fetch->from_view = from > fetch->from_view ? from : fetch->from_view;
        fetch->to_view = to < fetch->to_view ? to : fetch->to_view;
    } else {
        *fetch = (struct dsmr_bft_view_fetch){.from_view = from, .to_view = to, .hint = hint};
    }
    fetch->is_live = true;
}

static void ask_views(struct dsmr_bft *bft)
{
    struct dsmr_bft_view_fetch *fetch = &bft->view_fetch;
    if (!fetch->is_live) {
        *fetch = (struct dsmr_bft_view_fetch){.hint = DSMR_BFT_NO_PEER};
        return;
    }
    if (bft->now_ms < fetch->next_ms) {
        return;
    }
    uint32_t peer = dsmr_bft_peer_next(bft, fetch->hint);
    fetch->hint = DSMR_BFT_NO_PEER; /* the next one next time */
    fetch->next_ms = backoff(bft, fetch->attempts++);
    if (peer != DSMR_BFT_NO_PEER) {
        struct dsmr_msg msg = {.type = DSMR_MSG_BFT_REQUEST_VIEW};
        msg.u.request_view.epoch = bft->set->epoch;
        msg.u.request_view.from_view = fetch->from_view;
        msg.u.request_view.to_view = fetch->to_view;
        dsmr_bft_outbox_send(bft, peer, &msg, NULL);
    }
}

/* ---- both ---- */

void dsmr_block_fetch_begin(struct dsmr_bft *bft)
{
    for (uint32_t i = 0; i < DSMR_BFT_FETCHES_MAX; i++) {
        bft->fetches[i].is_live = false;
    }
    bft->view_fetch.is_live = false;
}

void dsmr_block_fetch_run(struct dsmr_bft *bft)
{
    const struct dsmr_bft_view_entry *tip = dsmr_view_log_find(bft, bft->tip_view);
    /* The best tip is what the next leader builds on, and what we prefer. */
    if (tip != NULL && tip->is_notarized &&
        tip->notarization.subject.height > bft->accepted->height &&
        tip->notarization.subject.height - bft->accepted->height <= DSMR_BFT_DEPTH_MAX) {
        (void)dsmr_block_fetch_chain(bft, &tip->notarization.subject.block_id, DSMR_BFT_NO_PEER);
    }
    for (uint32_t i = 0; i < DSMR_BFT_FETCHES_MAX; i++) {
        struct dsmr_bft_fetch *fetch = &bft->fetches[i];
        if (!fetch->is_used || !fetch->is_live) {
            *fetch = (struct dsmr_bft_fetch){.is_used = false};
            continue;
        }
        if (bft->now_ms < fetch->next_ms) {
            continue;
        }
        uint32_t peer = dsmr_bft_peer_next(bft, fetch->hint);
        fetch->hint = DSMR_BFT_NO_PEER;
        fetch->next_ms = backoff(bft, fetch->attempts++);
        if (peer != DSMR_BFT_NO_PEER) {
            struct dsmr_msg msg = {.type = DSMR_MSG_BFT_REQUEST_BLOCK};
            msg.u.request_block.block_id = fetch->block_id;
            dsmr_bft_outbox_send(bft, peer, &msg, NULL);
        }
    }
    ask_views(bft);
}

uint64_t dsmr_block_fetch_deadline(const struct dsmr_bft *bft)
{
    uint64_t at = bft->view_fetch.is_live ? bft->view_fetch.next_ms : UINT64_MAX;
    for (uint32_t i = 0; i < DSMR_BFT_FETCHES_MAX; i++) {
        if (bft->fetches[i].is_used && bft->fetches[i].next_ms < at) {
            at = bft->fetches[i].next_ms;
        }
    }
    return at;
}

/* ---- serving: rule 13 ---- */

void dsmr_block_fetch_serve_views(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg)
{
    uint64_t from = msg->u.request_view.from_view;
    uint64_t to = msg->u.request_view.to_view;
    if (!dsmr_bft_peer_may_ask(bft, peer)) {
        return;
    }
    if (to == 0) {
        dsmr_bft_peer_answer_position(bft, peer, from);
        return;
    }
    if (msg->u.request_view.epoch != bft->set->epoch || to < from) {
        dsmr_bft_peer_answer_stale(bft, peer);
        return;
    }
    from = from > bft->final_view ? from : bft->final_view + 1;
    if (to >= from && to - from >= DSMR_BFT_VIEW_ANSWER_MAX / 2u) {
        to = from + DSMR_BFT_VIEW_ANSWER_MAX / 2u - 1u;
    }
    bool has_answer = false;
    for (uint64_t view = from; view <= to && view < bft->view; view++) {
        const struct dsmr_bft_view_entry *entry = dsmr_view_log_find(bft, view);
        if (entry != NULL && entry->is_notarized) {
            dsmr_bft_qc_send(bft, &entry->notarization, peer);
        }
        if (entry != NULL && entry->is_nullified) {
            dsmr_bft_qc_send(bft, &entry->nullification, peer);
        }
        has_answer = has_answer || entry != NULL;
    }
    if (!has_answer || msg->u.request_view.from_view <= bft->final_view) {
        dsmr_bft_peer_answer_stale(bft, peer);
    }
}

void dsmr_block_fetch_serve_block(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg)
{
    if (!dsmr_bft_peer_may_ask(bft, peer)) {
        return;
    }
    const struct dsmr_bft_candidate *candidate =
        dsmr_candidate_find(bft, &msg->u.request_block.block_id);
    if (candidate == NULL) {
        struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_SERVE_BLOCK);
        effect->u.block.parent_id = msg->u.request_block.block_id;
        effect->u.block.peer = bft->peers[peer].node_id;
        return;
    }
    struct dsmr_buf *bytes = candidate->block->bytes;
    struct dsmr_msg answer = {.type = DSMR_MSG_BFT_BLOCK};
    answer.u.block.block = bytes->bytes;
    answer.u.block.block_len = bytes->len;
    dsmr_bft_outbox_send(bft, peer, &answer, bytes);
}
