#include "base/assert.h"
#include "base/bytes.h"
#include "bft/engine_state.h"

struct dsmr_bft_candidate *dsmr_candidate_find(const struct dsmr_bft *bft, const struct dsmr_id *id)
{
    for (uint32_t i = 0; i < bft->candidates_end; i++) {
        struct dsmr_bft_candidate *candidate = &bft->candidates[i];
        if (candidate->block != NULL && dsmr_id_equal(&candidate->block->id, id)) {
            return candidate;
        }
    }
    return NULL;
}

static bool has_child(const struct dsmr_bft *bft, const struct dsmr_id *id)
{
    for (uint32_t i = 0; i < bft->candidates_end; i++) {
        const struct dsmr_bft_candidate *candidate = &bft->candidates[i];
        if (candidate->block != NULL && dsmr_id_equal(&candidate->block->parent_id, id)) {
            return true;
        }
    }
    return false;
}

static bool is_proposed_now(const struct dsmr_bft *bft, const struct dsmr_id *id)
{
    const struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    return round != NULL && round->proposal.block != NULL &&
           dsmr_id_equal(&round->proposal.block->id, id);
}

void dsmr_candidate_release(struct dsmr_bft *bft, struct dsmr_bft_candidate *candidate)
{
    dsmr_block_unref(candidate->block);
    *candidate = (struct dsmr_bft_candidate){.block = NULL};
    while (bft->candidates_end > 0 && bft->candidates[bft->candidates_end - 1].block == NULL) {
        bft->candidates_end--;
    }
}

/* The block layer knows what it found valid: it is told when that will never be. */
static void drop(struct dsmr_bft *bft, struct dsmr_bft_candidate *candidate)
{
    if (candidate->state == DSMR_BFT_CANDIDATE_VALID) {
        dsmr_bft_outbox_block(bft, DSMR_BFT_FX_REJECT, candidate->block);
    }
    dsmr_candidate_release(bft, candidate);
}

/* A free place; or that of the oldest block of a view that has passed without notarizing it, one
 * without our vote first: others may ask us for what we voted for. */
static struct dsmr_bft_candidate *find_place(struct dsmr_bft *bft)
{
    struct dsmr_bft_candidate *worst = NULL;
    for (uint32_t i = 0; i < DSMR_BFT_CANDIDATES_MAX; i++) {
        struct dsmr_bft_candidate *candidate = &bft->candidates[i];
        if (candidate->block == NULL) {
            return candidate;
        }
        if (candidate->is_wanted || candidate->state == DSMR_BFT_CANDIDATE_VERIFYING ||
            is_proposed_now(bft, &candidate->block->id) || has_child(bft, &candidate->block->id)) {
            continue;
        }
        if (worst == NULL || candidate->is_voted < worst->is_voted ||
            (candidate->is_voted == worst->is_voted && candidate->view < worst->view)) {
            worst = candidate;
        }
    }
    if (worst != NULL) {
        drop(bft, worst);
    }
    return worst;
}

struct dsmr_bft_candidate *dsmr_candidate_add(struct dsmr_bft *bft, struct dsmr_block *block)
{
    struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &block->id);
    if (candidate != NULL) {
        return candidate;
    }
    if (block->height <= bft->accepted->height ||
        block->height - bft->accepted->height > DSMR_BFT_DEPTH_MAX + 1u) {
        return NULL;
    }
    candidate = find_place(bft);
    if (candidate != NULL) {
        *candidate = (struct dsmr_bft_candidate){
            .block = dsmr_block_ref(block),
            .state = DSMR_BFT_CANDIDATE_HELD,
            .view = bft->view,
        };
        uint32_t end = (uint32_t)(candidate - bft->candidates) + 1u;
        bft->candidates_end = end > bft->candidates_end ? end : bft->candidates_end;
    }
    return candidate;
}

void dsmr_candidate_want(struct dsmr_bft *bft, const struct dsmr_id *id)
{
    struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, id);
    if (candidate != NULL && !candidate->is_wanted) {
        candidate->is_wanted = true;
        /* A quorum found valid what we refused: ask again rather than stand alone. */
        if (candidate->state == DSMR_BFT_CANDIDATE_REFUSED) {
            candidate->state = DSMR_BFT_CANDIDATE_HELD;
            candidate->retry_ms = bft->now_ms;
            candidate->refusal = DSMR_OK;
        }
    }
}

bool dsmr_candidate_is_usable(const struct dsmr_bft *bft, const struct dsmr_id *id)
{
    if (dsmr_id_equal(id, &bft->accepted->id)) {
        return true;
    }
    const struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, id);
    return candidate != NULL && candidate->state == DSMR_BFT_CANDIDATE_VALID;
}

static bool is_needed(const struct dsmr_bft *bft, const struct dsmr_bft_candidate *candidate)
{
    return candidate->is_wanted || is_proposed_now(bft, &candidate->block->id);
}

void dsmr_candidate_verify(struct dsmr_bft *bft)
{
    for (uint32_t i = 0; i < bft->candidates_end; i++) {
        struct dsmr_bft_candidate *candidate = &bft->candidates[i];
        if (candidate->block == NULL || candidate->state != DSMR_BFT_CANDIDATE_HELD ||
            candidate->retry_ms > bft->now_ms || !is_needed(bft, candidate) ||
            !dsmr_candidate_is_usable(bft, &candidate->block->parent_id)) {
            continue;
        }
        struct dsmr_bft_op *op =
            bft->verifies < DSMR_BFT_VERIFIES_MAX ? dsmr_bft_op_add(bft, DSMR_BFT_OP_VERIFY) : NULL;
        if (op == NULL) {
            return; /* the next verdict makes room */
        }
        bft->verifies++;
        op->block = dsmr_block_ref(candidate->block);
        candidate->state = DSMR_BFT_CANDIDATE_VERIFYING;
        candidate->retry_ms = 0;
        dsmr_bft_outbox_block(bft, DSMR_BFT_FX_VERIFY, candidate->block);
        bft->out->items[bft->out->count - 1].request_id = op->request_id;
    }
}

static void refuse(struct dsmr_bft *bft, struct dsmr_bft_candidate *candidate, enum dsmr_err err)
{
    struct dsmr_bft_round *round = dsmr_round_find(bft, bft->view);
    candidate->refusal = err;
    bool is_final_word = dsmr_err_class_of(err) == DSMR_ERR_CLASS_PEER && !candidate->is_wanted;
    if (is_final_word) {
        candidate->state = DSMR_BFT_CANDIDATE_REFUSED;
        if (round != NULL && is_proposed_now(bft, &candidate->block->id)) {
            /* What is wrong with the block is the block layer's to count. */
            dsmr_bft_outbox_fault(bft, round->proposal.peer, DSMR_ERR_BAD_PROPOSAL);
        }
        return;
    }
    uint32_t shift = candidate->attempts < 5 ? candidate->attempts : 5;
    uint64_t delay = (uint64_t)(bft->retry_ms / 4u + 1u) << shift;
    candidate->attempts++;
    candidate->state = DSMR_BFT_CANDIDATE_HELD;
    candidate->retry_ms = bft->now_ms + dsmr_prng_jitter(&bft->prng, delay);
}

void dsmr_candidate_on_verdict(struct dsmr_bft *bft, uint64_t request_id, enum dsmr_err err)
{
    struct dsmr_bft_op *op = dsmr_bft_op_find(bft, DSMR_BFT_OP_VERIFY, request_id);
    if (op == NULL) {
        return;
    }
    DSMR_ASSERT(bft->verifies > 0);
    bft->verifies--;
    struct dsmr_bft_candidate *candidate = dsmr_candidate_find(bft, &op->block->id);
    if (candidate == NULL || candidate->state != DSMR_BFT_CANDIDATE_VERIFYING) {
        if (err == DSMR_OK) { /* dropped meanwhile, but the block layer holds it now */
            dsmr_bft_outbox_block(bft, DSMR_BFT_FX_REJECT, op->block);
        }
    } else if (err == DSMR_OK) {
        candidate->state = DSMR_BFT_CANDIDATE_VALID;
        candidate->attempts = 0;
        candidate->refusal = DSMR_OK;
    } else {
        refuse(bft, candidate, err);
    }
    dsmr_bft_op_end(bft, op);
}

static bool is_dead(const struct dsmr_bft *bft, const struct dsmr_bft_candidate *candidate)
{
    const struct dsmr_block *block = candidate->block;
    if (block->height <= bft->accepted->height) {
        return true;
    }
    if (block->height == bft->accepted->height + 1) {
        return !dsmr_id_equal(&block->parent_id, &bft->accepted->id);
    }
    const struct dsmr_bft_candidate *parent = dsmr_candidate_find(bft, &block->parent_id);
    return parent != NULL && (parent->is_dead || parent->block->height + 1 != block->height);
}

static struct dsmr_bft_candidate *lowest_dead(struct dsmr_bft *bft)
{
    struct dsmr_bft_candidate *lowest = NULL;
    for (uint32_t i = 0; i < bft->candidates_end; i++) {
        struct dsmr_bft_candidate *candidate = &bft->candidates[i];
        if (candidate->block != NULL && candidate->is_dead &&
            (lowest == NULL || candidate->block->height < lowest->block->height)) {
            lowest = candidate;
        }
    }
    return lowest;
}

void dsmr_candidate_sweep(struct dsmr_bft *bft)
{
    bool has_changed = true;
    while (has_changed) { /* at most once for each height of the pool */
        has_changed = false;
        for (uint32_t i = 0; i < bft->candidates_end; i++) {
            struct dsmr_bft_candidate *candidate = &bft->candidates[i];
            if (candidate->block != NULL && !candidate->is_dead && is_dead(bft, candidate)) {
                candidate->is_dead = true;
                has_changed = true;
            }
        }
    }
    for (struct dsmr_bft_candidate *dead = lowest_dead(bft); dead != NULL;
         dead = lowest_dead(bft)) {
        drop(bft, dead); /* parents before children, as a chain would reject them */
    }
}

void dsmr_candidate_clear(struct dsmr_bft *bft)
{
    while (bft->candidates_end > 0) {
        dsmr_candidate_release(bft, &bft->candidates[bft->candidates_end - 1]);
    }
}

uint64_t dsmr_candidate_deadline(const struct dsmr_bft *bft)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; i < bft->candidates_end; i++) {
        const struct dsmr_bft_candidate *candidate = &bft->candidates[i];
        if (candidate->block != NULL && candidate->state == DSMR_BFT_CANDIDATE_HELD &&
            candidate->retry_ms > bft->now_ms && candidate->retry_ms < at &&
            is_needed(bft, candidate)) {
            at = candidate->retry_ms;
        }
    }
    return at;
}
