#include <stdlib.h>
#include <string.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "bft_step_world.h"
#include "crypto/hash.h"

uint32_t world_set_of(const struct world *w, uint64_t epoch)
{
    uint32_t set = 0;
    while (set < SETS && w->schedule[set].set->epoch != epoch) {
        set++;
    }
    return set;
}

uint32_t world_set_at(uint64_t height)
{
    return height < BOUNDARY ? 0 : 1;
}

uint32_t world_member(const struct world *w, uint32_t set, uint32_t i)
{
    return w->schedule[set].set->validators[i].node_ids[0].bytes[0] - 1u;
}

bool world_is_honest(uint32_t node)
{
    return node == 1 || node == 2 || node == 5;
}

uint32_t world_leader(const struct world *w, uint32_t set, uint64_t view)
{
    uint8_t epoch[8];
    struct dsmr_id hash;
    dsmr_store_be64(epoch, w->schedule[set].set->epoch);
    dsmr_hash(&hash, epoch, sizeof(epoch));
    uint64_t offset = dsmr_load_be64(hash.bytes) % MEMBERS;
    return world_member(w, set, (uint32_t)((view % MEMBERS + offset) % MEMBERS));
}

static bool is_equal(const struct dsmr_vote_subject *a, const struct dsmr_vote_subject *b)
{
    return a->epoch == b->epoch && a->view == b->view && a->kind == b->kind &&
           a->height == b->height && dsmr_id_equal(&a->block_id, &b->block_id);
}

struct said *world_said(struct world *w, uint32_t set, uint32_t node, uint64_t view)
{
    REQUIRE(view < SAID_VIEWS);
    w->views_end = w->views_end > view ? w->views_end : view + 1;
    return &w->said[set][node][view];
}

bool world_has_signed(const struct world *w, uint32_t node, const struct dsmr_vote_subject *subject)
{
    uint32_t set = world_set_of(w, subject->epoch);
    if (set == SETS || node >= NODES) {
        return false;
    }
    if (node == 3 || node == 4) {
        return true;
    }
    if (subject->view >= SAID_VIEWS) {
        return false;
    }
    const struct said *said = &w->said[set][node][subject->view];
    switch (subject->kind) {
    case DSMR_VOTE_NOTARIZE:
        return said->has_notarized && is_equal(&said->notarized, subject);
    case DSMR_VOTE_NULLIFY:
        return said->has_nullified;
    default:
        return said->has_finalized && is_equal(&said->finalized, subject);
    }
}

bool world_is_true(const struct world *w, const struct dsmr_quorum_cert *qc)
{
    uint32_t set = world_set_of(w, qc->subject.epoch);
    uint32_t count = 0;
    for (uint32_t i = 0; i < DSMR_VALIDATORS_MAX; i++) {
        if ((qc->signers.words[i / 64] >> (i % 64) & 1) == 0) {
            continue;
        }
        if (set == SETS || i >= MEMBERS ||
            !world_has_signed(w, world_member(w, set, i), &qc->subject)) {
            return false;
        }
        count++;
    }
    return count >= QUORUM;
}

bool world_certify(const struct world *w, struct dsmr_quorum_cert *out,
                   const struct dsmr_vote_subject *subject)
{
    uint32_t set = world_set_of(w, subject->epoch);
    memset(out, 0, sizeof(*out));
    out->subject = *subject;
    for (uint32_t i = 0; set < SETS && i < MEMBERS; i++) {
        if (world_has_signed(w, world_member(w, set, i), subject)) {
            dsmr_bitset_add(&out->signers, i);
        }
    }
    return world_is_true(w, out);
}

/* A quorum has an honest signer or the engine, so that what one of them signed is all to look at.
 */
static bool certified(const struct world *w, struct dsmr_vote_subject *out, uint32_t set,
                      uint64_t view, uint8_t kind)
{
    struct dsmr_quorum_cert qc;
    for (uint32_t node = 0; view < SAID_VIEWS && node < NODES; node++) {
        const struct said *said = &w->said[set][node][view];
        bool is_there = kind == DSMR_VOTE_NOTARIZE ? said->has_notarized : said->has_finalized;
        const struct dsmr_vote_subject *subject =
            kind == DSMR_VOTE_NOTARIZE ? &said->notarized : &said->finalized;
        if (is_there && world_certify(w, &qc, subject)) {
            *out = *subject;
            return true;
        }
    }
    return false;
}

bool world_notarized(const struct world *w, struct dsmr_vote_subject *out, uint32_t set,
                     uint64_t view)
{
    return certified(w, out, set, view, DSMR_VOTE_NOTARIZE);
}

bool world_finalized(const struct world *w, struct dsmr_vote_subject *out, uint32_t set,
                     uint64_t view)
{
    return certified(w, out, set, view, DSMR_VOTE_FINALIZE);
}

bool world_nullified(const struct world *w, uint32_t set, uint64_t view)
{
    struct dsmr_quorum_cert qc;
    struct dsmr_vote_subject subject = {
        .epoch = w->schedule[set].set->epoch, .view = view, .kind = DSMR_VOTE_NULLIFY};
    return world_certify(w, &qc, &subject);
}

/* ---- blocks ---- */

uint32_t world_find(const struct world *w, const struct dsmr_id *id)
{
    uint32_t i = 0;
    while (i < w->blocks_count && !dsmr_id_equal(&w->blocks[i]->id, id)) {
        i++;
    }
    return i < w->blocks_count ? i : BLOCKS_MAX;
}

struct dsmr_block *world_note(struct world *w, struct dsmr_block *block)
{
    uint32_t i = world_find(w, &block->id);
    if (i < BLOCKS_MAX) {
        return w->blocks[i];
    }
    if (w->blocks_count == BLOCKS_MAX || world_find(w, &block->parent_id) == BLOCKS_MAX) {
        return NULL;
    }
    return w->blocks[w->blocks_count++] = dsmr_block_ref(block);
}

struct dsmr_block *world_make(struct world *w, const struct dsmr_block *parent, uint64_t time_ms)
{
    struct dsmr_block fields = {.parent_id = parent->id, .height = parent->height + 1};
    struct dsmr_block *block = NULL;
    fields.time_ms = time_ms;
    fields.epoch = w->schedule[world_set_at(fields.height)].set->epoch;
    REQUIRE(dsmr_block_build(&block, &w->params, &fields) == DSMR_OK);
    struct dsmr_block *noted = world_note(w, block);
    dsmr_block_unref(block);
    return noted;
}

bool world_is_valid(const struct dsmr_block *block)
{
    return block->time_ms % 8 != 7;
}

static bool is_ancestor(const struct world *w, const struct dsmr_block *above,
                        const struct dsmr_block *below)
{
    while (above->height > below->height) {
        uint32_t i = world_find(w, &above->parent_id);
        REQUIRE(i < BLOCKS_MAX);
        above = w->blocks[i];
    }
    return dsmr_id_equal(&above->id, &below->id);
}

/* ---- honest validators ---- */

/* The final block below the boundary, once there is one. */
static uint32_t root_of(const struct world *w, uint32_t set)
{
    struct dsmr_vote_subject subject;
    if (set == 0) {
        return 0;
    }
    for (uint64_t view = 1; view < w->views_end; view++) {
        if (world_finalized(w, &subject, 0, view) && subject.height == BOUNDARY - 1) {
            return world_find(w, &subject.block_id);
        }
    }
    return BLOCKS_MAX;
}

bool world_parent(const struct world *w, uint32_t set, uint64_t view, uint64_t *parent_view,
                  uint32_t *parent)
{
    struct dsmr_vote_subject subject;
    uint64_t p = view;
    do {
        p--;
        if (p > 0 && world_notarized(w, &subject, set, p)) {
            *parent_view = p;
            *parent = world_find(w, &subject.block_id);
            return *parent < BLOCKS_MAX;
        }
    } while (p > 0 && world_nullified(w, set, p));
    *parent_view = 0;
    *parent = root_of(w, set);
    return p == 0 && *parent < BLOCKS_MAX;
}

/* Rule 5, derived from the truth instead of from what one node knows. */
static bool may_notarize(const struct world *w, const struct proposal *proposal)
{
    struct dsmr_vote_subject subject;
    uint32_t parent = 0;
    if (proposal->parent_view >= proposal->view) {
        return false;
    }
    if (proposal->parent_view == 0) {
        parent = root_of(w, proposal->set);
    } else if (world_notarized(w, &subject, proposal->set, proposal->parent_view)) {
        parent = world_find(w, &subject.block_id);
    } else {
        return false;
    }
    if (parent == BLOCKS_MAX || !dsmr_id_equal(&w->blocks[parent]->id, &proposal->parent_id)) {
        return false;
    }
    for (uint64_t view = proposal->parent_view + 1; view < proposal->view; view++) {
        if (!world_nullified(w, proposal->set, view)) {
            return false;
        }
    }
    if (proposal->block == NULL) {
        return proposal->parent_view > 0 &&
               dsmr_id_equal(&proposal->block_id, &proposal->parent_id);
    }
    return dsmr_id_equal(&proposal->block->parent_id, &proposal->parent_id) &&
           world_set_at(proposal->block->height) == proposal->set &&
           world_is_valid(proposal->block);
}

bool world_vote(struct world *w, uint32_t node, uint8_t kind, const struct proposal *proposal)
{
    uint32_t block = world_find(w, &proposal->block_id);
    struct dsmr_vote_subject notarized;
    if (!world_is_honest(node) || proposal->view >= VIEWS || block == BLOCKS_MAX) {
        return false;
    }
    struct said *said = world_said(w, proposal->set, node, proposal->view);
    struct dsmr_vote_subject subject = {.epoch = w->schedule[proposal->set].set->epoch,
                                        .view = proposal->view,
                                        .kind = kind,
                                        .height = w->blocks[block]->height,
                                        .block_id = proposal->block_id};
    if (kind == DSMR_VOTE_NOTARIZE && !said->has_notarized && may_notarize(w, proposal)) {
        said->has_notarized = true;
        said->notarized = subject;
    }
    if (kind == DSMR_VOTE_FINALIZE && !said->has_finalized && !said->has_nullified &&
        world_notarized(w, &notarized, proposal->set, proposal->view) &&
        dsmr_id_equal(&notarized.block_id, &proposal->block_id)) {
        said->has_finalized = true;
        said->finalized = subject;
    }
    return world_has_signed(w, node, &subject);
}

bool world_nullify(struct world *w, uint32_t node, uint32_t set, uint64_t view)
{
    if (!world_is_honest(node) || view == 0 || view >= VIEWS) {
        return false;
    }
    struct said *said = world_said(w, set, node, view);
    said->has_nullified = said->has_nullified || !said->has_finalized;
    return said->has_nullified;
}

void world_check_truth(const struct world *w)
{
    const struct dsmr_block *finals[SETS * SAID_VIEWS];
    uint32_t count = 0;
    struct dsmr_vote_subject subject;
    for (uint32_t set = 0; set < SETS; set++) {
        for (uint64_t view = 1; view < w->views_end; view++) {
            if (world_finalized(w, &subject, set, view)) {
                uint32_t i = world_find(w, &subject.block_id);
                REQUIRE(i < BLOCKS_MAX && w->blocks[i]->height == subject.height);
                finals[count++] = w->blocks[i];
            }
        }
    }
    for (uint32_t i = 1; i < count; i++) {
        bool is_above = finals[i]->height >= finals[i - 1]->height;
        REQUIRE(is_ancestor(w, finals[is_above ? i : i - 1], finals[is_above ? i - 1 : i]));
    }
}
