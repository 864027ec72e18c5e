#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

static void set_state(struct dsmr_bft_catch_up *catch_up, enum dsmr_bft_catch_up_state to)
{
    static const bool may[4][4] = {
        [DSMR_BFT_CATCH_UP_IDLE] = {[DSMR_BFT_CATCH_UP_ASKED] = true},
        [DSMR_BFT_CATCH_UP_ASKED] =
            {[DSMR_BFT_CATCH_UP_IDLE] = true, [DSMR_BFT_CATCH_UP_CHECKING] = true},
        [DSMR_BFT_CATCH_UP_CHECKING] =
            {[DSMR_BFT_CATCH_UP_IDLE] = true, [DSMR_BFT_CATCH_UP_APPLYING] = true},
        [DSMR_BFT_CATCH_UP_APPLYING] = {[DSMR_BFT_CATCH_UP_IDLE] = true},
    };
    DSMR_ASSERT(may[catch_up->state][to]);
    catch_up->state = (uint8_t)to;
}

static void drop_blocks(struct dsmr_bft_catch_up *catch_up)
{
    for (uint32_t i = 0; i < catch_up->blocks_count; i++) {
        dsmr_block_unref(catch_up->blocks[i]);
        catch_up->blocks[i] = NULL;
    }
    catch_up->blocks_count = 0;
    catch_up->blocks_at = 0;
}

void dsmr_catch_up_clear(struct dsmr_bft *bft)
{
    drop_blocks(&bft->catch_up);
    bft->catch_up = (struct dsmr_bft_catch_up){
        .state = DSMR_BFT_CATCH_UP_IDLE,
        .peer = DSMR_BFT_NO_PEER,
        .hint = DSMR_BFT_NO_PEER,
        .deadline_ms = UINT64_MAX,
    };
}

static bool is_behind(const struct dsmr_bft *bft)
{
    return bft->catch_up.target_height > bft->accepted->height;
}

/* More than the next block is known final, and not all of them are here: a target is set for
 * certificates whose blocks are missing only. */
bool dsmr_catch_up_is_far(const struct dsmr_bft *bft)
{
    return bft->catch_up.target_height > bft->accepted->height + 1;
}

/* Who follows hears of a finalization once. While its block layer waits for a block it asks, in
 * case that one message was lost; voters have timers for that. */
static bool is_polling(const struct dsmr_bft *bft)
{
    return bft->self < 0 && bft->is_wanted;
}

/* How many more requests follow a batch that was of use: whoever gave it may have more, and while
 * nobody proposes nothing else tells. */
#define MORE_MAX 3u

static uint64_t delay(struct dsmr_bft *bft)
{
    uint32_t shift = bft->catch_up.attempts < 6 ? bft->catch_up.attempts : 6;
    uint64_t timeout = (uint64_t)bft->view_timeout_ms << shift;
    if (timeout > bft->view_timeout_max_ms) {
        timeout = bft->view_timeout_max_ms;
    }
    return bft->now_ms + dsmr_prng_jitter(&bft->prng, timeout);
}

static void ask(struct dsmr_bft *bft, uint32_t peer)
{
    struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_REQUEST_BLOCKS};
    catch_up->peer = peer;
    catch_up->hint = DSMR_BFT_NO_PEER;
    catch_up->deadline_ms = delay(bft);
    set_state(catch_up, DSMR_BFT_CATCH_UP_ASKED);
    msg.u.request_blocks.from_height = bft->accepted->height + 1;
    dsmr_bft_outbox_send(bft, peer, &msg, NULL);
    dsmr_bft_outbox_trace(bft, DSMR_BFT_TRACE_CATCH_UP, bft->accepted->height + 1, 0);
}

void dsmr_catch_up_target(struct dsmr_bft *bft, uint64_t height, uint32_t peer)
{
    struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    if (height > catch_up->target_height) {
        catch_up->target_height = height;
        if (catch_up->state == DSMR_BFT_CATCH_UP_IDLE) {
            catch_up->attempts = 0;
            catch_up->deadline_ms = bft->now_ms;
        }
    }
    if (peer != DSMR_BFT_NO_PEER) {
        catch_up->hint = peer;
    }
}

void dsmr_catch_up_hint(struct dsmr_bft *bft, uint32_t peer)
{
    struct dsmr_bft_peer *from = &bft->peers[peer];
    if (bft->now_ms >= from->hint_after_ms && bft->catch_up.state == DSMR_BFT_CATCH_UP_IDLE &&
        from->is_up) {
        from->hint_after_ms = bft->now_ms + bft->retry_ms;
        ask(bft, peer);
    }
}

/* Gives the batch up; the next peer is asked after a while, at once after progress. Who gave a
 * full batch is asked again; who gives little may be slow on purpose. */
static void end(struct dsmr_bft *bft, bool has_progress)
{
    struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    bool is_full = catch_up->blocks_count >= DSMR_BFT_BATCH_BLOCKS_MAX / 2u;
    drop_blocks(catch_up);
    set_state(catch_up, DSMR_BFT_CATCH_UP_IDLE);
    if (has_progress) {
        catch_up->more = MORE_MAX;
        catch_up->attempts = 0;
        catch_up->hint = is_full ? catch_up->peer : DSMR_BFT_NO_PEER;
        catch_up->deadline_ms = bft->now_ms;
    } else {
        catch_up->more -= catch_up->more > 0 ? 1u : 0u;
        catch_up->attempts++;
        catch_up->deadline_ms = bft->now_ms + dsmr_prng_jitter(&bft->prng, bft->retry_ms);
    }
}

/* Decodes the batch and checks that it is a chain. Its first block may lie at or below the
 * accepted one: others of the same may have been accepted while it travelled. Or it lies a little
 * above the next one: then the rest did not fit. */
static enum dsmr_err decode(struct dsmr_bft *bft, const struct dsmr_msg *msg,
                            struct dsmr_buf *bytes)
{
    struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    struct dsmr_rd rd;
    if (msg->u.blocks.count == 0 || msg->u.blocks.count > DSMR_BFT_BATCH_BLOCKS_MAX) {
        return DSMR_ERR_TOO_LARGE;
    }
    dsmr_rd_init(&rd, msg->u.blocks.blocks, msg->u.blocks.blocks_len);
    for (uint32_t i = 0; i < msg->u.blocks.count; i++) {
        uint32_t len = dsmr_rd_u32(&rd);
        const uint8_t *encoded = dsmr_rd_view(&rd, len);
        if (encoded == NULL) {
            return DSMR_ERR_MALFORMED;
        }
        enum dsmr_err err =
            dsmr_block_decode(&catch_up->blocks[i], &bft->params, bytes, encoded, len);
        if (err != DSMR_OK) {
            catch_up->blocks[i] = NULL;
            return err;
        }
        catch_up->blocks_count = i + 1;
        const struct dsmr_block *block = catch_up->blocks[i];
        const struct dsmr_block *before = i > 0 ? catch_up->blocks[i - 1] : NULL;
        if (before != NULL && (block->height != before->height + 1 ||
                               !dsmr_id_equal(&block->parent_id, &before->id))) {
            return DSMR_ERR_BAD_HEIGHT;
        }
    }
    return dsmr_rd_end(&rd);
}

static enum dsmr_err check_batch(const struct dsmr_bft *bft, const struct dsmr_quorum_cert *qc)
{
    const struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    const struct dsmr_block *first = catch_up->blocks[0];
    const struct dsmr_block *last = catch_up->blocks[catch_up->blocks_count - 1];
    struct dsmr_validator_set *set = NULL;
    if (qc->subject.kind != DSMR_VOTE_FINALIZE || qc->subject.height != last->height ||
        !dsmr_id_equal(&qc->subject.block_id, &last->id)) {
        return DSMR_ERR_BAD_VOTE;
    }
    if (last->height <= bft->accepted->height) {
        return DSMR_ERR_DUPLICATE;
    }
    if (first->height <= bft->accepted->height + 1) {
        const struct dsmr_block *next = catch_up->blocks[bft->accepted->height + 1 - first->height];
        if (!dsmr_id_equal(&next->parent_id, &bft->accepted->id)) {
            return DSMR_ERR_BAD_HEIGHT;
        }
    } else if (last->height - bft->accepted->height > DSMR_BFT_GAP_MAX) {
        return DSMR_ERR_NOT_YET; /* answers what was asked before a restart */
    }
    return dsmr_bft_qc_precheck(bft, qc, &set);
}

void dsmr_catch_up_on_blocks(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg,
                             struct dsmr_buf *bytes)
{
    struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    if (catch_up->state != DSMR_BFT_CATCH_UP_ASKED || catch_up->peer != peer) {
        return; /* late: another peer was asked meanwhile */
    }
    set_state(catch_up, DSMR_BFT_CATCH_UP_CHECKING);
    enum dsmr_err err = decode(bft, msg, bytes);
    if (err == DSMR_OK) {
        err = check_batch(bft, &msg->u.blocks.finalization);
    }
    if (err == DSMR_OK && !dsmr_bft_qc_check(bft, peer, &msg->u.blocks.finalization, true)) {
        err = DSMR_ERR_BUSY;
    }
    if (err != DSMR_OK) {
        if (dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER) {
            dsmr_bft_outbox_fault(bft, peer, err);
        }
        end(bft, false);
        return;
    }
    catch_up->finalization = msg->u.blocks.finalization;
    catch_up->deadline_ms = UINT64_MAX;
}

void dsmr_catch_up_on_checked(struct dsmr_bft *bft, enum dsmr_err err)
{
    struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    if (catch_up->state != DSMR_BFT_CATCH_UP_CHECKING) {
        return;
    }
    if (err != DSMR_OK) {
        end(bft, false);
        return;
    }
    set_state(catch_up, DSMR_BFT_CATCH_UP_APPLYING);
    uint64_t height = catch_up->finalization.subject.height;
    if (height > catch_up->target_height) {
        catch_up->target_height = height;
    }
}

/* The last block of the batch is accepted: its finalization is our position now. */
static void finish(struct dsmr_bft *bft)
{
    struct dsmr_quorum_cert qc = bft->catch_up.finalization;
    end(bft, true);
    if (qc.subject.epoch == bft->set->epoch) {
        dsmr_bft_qc_apply(bft, &qc, DSMR_BFT_NO_PEER);
    } else if (!bft->has_final || bft->final.subject.epoch < qc.subject.epoch) {
        bft->has_final = true; /* of the instance's root */
        bft->final = qc;
    }
}

/* The blocks below first did not fit into the message: they come by id. Their hashes are in a line
 * whose last block is final, so any peer may give them. */
static bool advance_below(struct dsmr_bft *bft, struct dsmr_block *first)
{
    struct dsmr_bft_candidate *candidate = dsmr_candidate_add(bft, first);
    if (candidate == NULL) {
        return false; /* the pool is full of blocks under verification: soon */
    }
    bool is_held = dsmr_block_fetch_chain(bft, &first->id, bft->catch_up.peer);
    struct dsmr_bft_candidate *next = dsmr_finality_next(bft, &first->id);
    if (next != NULL && !dsmr_id_equal(&next->block->parent_id, &bft->accepted->id)) {
        end(bft, false); /* cannot be while two thirds are honest */
        return false;
    }
    if (!is_held || next->state != DSMR_BFT_CANDIDATE_VALID) {
        return false;
    }
    struct dsmr_block *block = dsmr_block_ref(next->block);
    dsmr_finality_accept(bft, block, NULL);
    dsmr_block_unref(block);
    return true;
}

bool dsmr_catch_up_advance(struct dsmr_bft *bft)
{
    struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    if (catch_up->state != DSMR_BFT_CATCH_UP_APPLYING) {
        return false;
    }
    while (catch_up->blocks_at < catch_up->blocks_count &&
           catch_up->blocks[catch_up->blocks_at]->height <= bft->accepted->height) {
        catch_up->blocks_at++;
    }
    if (catch_up->blocks_at == catch_up->blocks_count) {
        finish(bft);
        return false;
    }
    struct dsmr_block *block = catch_up->blocks[catch_up->blocks_at];
    if (block->height > bft->accepted->height + 1) {
        return advance_below(bft, block);
    }
    if (!dsmr_id_equal(&block->parent_id, &bft->accepted->id)) {
        end(bft, false); /* cannot be while two thirds are honest */
        return false;
    }
    struct dsmr_bft_candidate *candidate = dsmr_candidate_add(bft, block);
    if (candidate == NULL) {
        return false; /* the pool is full of blocks under verification: soon */
    }
    dsmr_candidate_want(bft, &block->id);
    if (candidate->state != DSMR_BFT_CANDIDATE_VALID) {
        return false;
    }
    bool is_last = catch_up->blocks_at + 1 == catch_up->blocks_count;
    catch_up->blocks_at++;
    dsmr_finality_accept(bft, block, is_last ? &catch_up->finalization : NULL);
    return true;
}

void dsmr_catch_up_run(struct dsmr_bft *bft)
{
    struct dsmr_bft_catch_up *catch_up = &bft->catch_up;
    if (catch_up->state == DSMR_BFT_CATCH_UP_ASKED && bft->now_ms >= catch_up->deadline_ms) {
        end(bft, false);
    }
    if (catch_up->state != DSMR_BFT_CATCH_UP_IDLE) {
        return;
    }
    if (!is_behind(bft) && !is_polling(bft) && catch_up->more == 0) {
        catch_up->deadline_ms = UINT64_MAX;
        return;
    }
    if (catch_up->deadline_ms == UINT64_MAX) {
        catch_up->deadline_ms = is_behind(bft) ? bft->now_ms : delay(bft);
    }
    if (bft->now_ms < catch_up->deadline_ms) {
        return;
    }
    uint32_t peer = dsmr_bft_peer_next(bft, catch_up->hint);
    if (peer == DSMR_BFT_NO_PEER) {
        catch_up->attempts++;
        catch_up->deadline_ms = delay(bft);
        return;
    }
    ask(bft, peer);
}

void dsmr_catch_up_serve(struct dsmr_bft *bft, uint32_t peer, const struct dsmr_msg *msg)
{
    uint64_t from_height = msg->u.request_blocks.from_height;
    if (!dsmr_bft_peer_may_ask(bft, peer) || from_height > bft->accepted->height) {
        return;
    }
    struct dsmr_bft_effect *effect = dsmr_bft_outbox_push(bft, DSMR_BFT_FX_SERVE_BLOCKS);
    effect->u.serve.peer = bft->peers[peer].node_id;
    effect->u.serve.from_height = from_height;
}

uint64_t dsmr_catch_up_deadline(const struct dsmr_bft *bft)
{
    return bft->catch_up.deadline_ms;
}
