/* fuzz_bft_step.c - the engine under any sequence of events that a driver could give it.
 *
 * Why:  peers choose messages, the machine chooses the order in which writes, signatures and
 *       verdicts end, and when it stops; whatever the order, no assertion of the engine may fail
 *       and the promises of docs/bft.md must hold.
 * How:  each input byte chooses an operation. Less than a third of each set lies and signs
 *       anything; honest validators sign what their rules allow, in any order (bft_step_truth.c).
 * Checks, derived here again from docs/bft.md, not asked of the engine:
 *       S1 what a quorum finalized lies on one chain, with this engine's votes in it; S2 no two
 *       votes of a view that exclude each other, across crashes and the loss of the disk; S3 no
 *       vote is signed before its record is durable; S4 blocks are accepted in order, without
 *       gaps, valid, the same ones in each life; certificates that it passes on are true ones; one
 *       proposal a view, by its leader; a tick leaves no deadline that has passed. */
#include <stdlib.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "bft_step_world.h"

enum { STEPS_MAX = 800, BATCH_BYTES_MAX = 1u << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* ---- choices ---- */

static uint32_t current_set(const struct world *w, uint64_t *view)
{
    uint64_t epoch = 0;
    dsmr_bft_position(w->bft, &epoch, view);
    return world_set_of(w, epoch);
}

/* Mostly near the engine's view, of its instance or the other one. */
static uint32_t any_view(struct world *w, uint64_t *view)
{
    uint8_t choice = world_take_u8(w);
    uint32_t set = current_set(w, view);
    uint64_t back = choice % 8;
    *view = choice < 128 ? *view : choice < 224 ? *view + 3 - (back < *view + 3 ? back : 0) : back;
    return choice % 32 == 31 ? 1 - set : set;
}

static struct dsmr_block *any_block(struct world *w)
{
    uint32_t back = world_take_u8(w) % w->blocks_count;
    return w->blocks[w->blocks_count - 1 - back];
}

static struct proposal *any_proposal(struct world *w)
{
    uint32_t back = world_take_u8(w);
    return w->proposals_count == 0
               ? NULL
               : &w->proposals[w->proposals_count - 1 - back % w->proposals_count];
}

/* ---- what the others do ---- */

static void send_vote(struct world *w, uint32_t from, const struct dsmr_vote_subject *subject)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_VOTE};
    msg.u.vote.subject = *subject;
    world_hear(w, from, &msg);
}

static struct dsmr_vote_subject subject_of(const struct world *w, const struct proposal *proposal,
                                           uint8_t kind)
{
    struct dsmr_vote_subject subject = {
        .epoch = w->schedule[proposal->set].set->epoch, .view = proposal->view, .kind = kind};
    uint32_t i = world_find(w, &proposal->block_id);
    if (kind != DSMR_VOTE_NULLIFY && i < BLOCKS_MAX) {
        subject.height = w->blocks[i]->height;
        subject.block_id = proposal->block_id;
    }
    return subject;
}

static void honest_vote(struct world *w)
{
    static const uint32_t honest[] = {1, 2, 5, 1};
    const struct proposal *proposal = any_proposal(w);
    uint8_t choice = world_take_u8(w);
    uint32_t node = honest[choice % 4];
    uint8_t kind = (uint8_t)(1 + choice / 4 % 3);
    struct dsmr_vote_subject subject = {.kind = kind};
    if (kind == DSMR_VOTE_NULLIFY) {
        uint32_t set = any_view(w, &subject.view);
        subject.epoch = w->schedule[set].set->epoch;
        if (world_nullify(w, node, set, subject.view) && choice < 192) {
            send_vote(w, node, &subject);
        }
    } else if (proposal != NULL && world_vote(w, node, kind, proposal) && choice < 192) {
        subject = subject_of(w, proposal, kind);
        send_vote(w, node, &subject);
    }
}

/* Of anybody, whether it was signed or not. */
static void any_vote(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    const struct dsmr_block *block = any_block(w);
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_VOTE};
    struct dsmr_vote_subject *subject = &msg.u.vote.subject;
    subject->epoch = w->schedule[any_view(w, &subject->view)].set->epoch;
    subject->kind = (uint8_t)(1 + choice % 3);
    if (subject->kind != DSMR_VOTE_NULLIFY) {
        subject->block_id = block->id;
        subject->height = block->height + (choice > 240 ? 1 : 0);
    }
    msg.u.vote.sig.bytes[0] = choice & 64 ? 0xee : 0;
    world_hear(w, 1 + choice / 3 % NODES, &msg);
}

static void send_proposal(struct world *w, const struct proposal *proposal, uint32_t from)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_PROPOSAL};
    msg.u.proposal.epoch = w->schedule[proposal->set].set->epoch;
    msg.u.proposal.view = proposal->view;
    msg.u.proposal.parent_view = proposal->parent_view;
    msg.u.proposal.parent_id = proposal->parent_id;
    msg.u.proposal.block_id = proposal->block_id;
    if (proposal->block != NULL) {
        msg.u.proposal.block = proposal->block->bytes->bytes;
        msg.u.proposal.block_len = proposal->block->bytes->len;
    }
    world_hear(w, from, &msg);
}

/* Honest leaders propose once in a view, on the parent that the rules give; NULL: there is none. */
static struct proposal *propose(struct world *w, uint32_t set, uint64_t view, uint8_t choice)
{
    uint32_t leader = world_leader(w, set, view);
    uint32_t parent = 0;
    struct proposal proposal = {.set = set, .view = view};
    for (uint32_t i = 0; i < w->proposals_count; i++) {
        if (w->proposals[i].set == set && w->proposals[i].view == view &&
            (leader < 3 || leader == 5)) {
            return &w->proposals[i];
        }
    }
    if (leader == 0 || view == 0 || w->proposals_count == PROPOSALS_MAX ||
        !world_parent(w, set, view, &proposal.parent_view, &parent)) {
        return NULL;
    }
    if (!world_is_honest(leader) && choice & 64) { /* on what it likes */
        parent = choice % w->blocks_count;
        proposal.parent_view = choice % 4u < view ? view - 1 - choice % 4u : 0;
    }
    proposal.parent_id = proposal.block_id = w->blocks[parent]->id;
    if (world_set_at(w->blocks[parent]->height + 1) == set && choice % 8 != 1) {
        uint64_t time_ms = w->blocks[parent]->time_ms + 8 - w->blocks[parent]->time_ms % 8;
        proposal.block =
            world_make(w, w->blocks[parent],
                       time_ms + (world_is_honest(leader) ? 4 + choice % 2 : 4 + choice / 8 % 4));
        if (proposal.block == NULL) {
            return NULL;
        }
        proposal.block_id = proposal.block->id;
    }
    w->proposals[w->proposals_count++] = proposal;
    return &w->proposals[w->proposals_count - 1];
}

static void peer_proposes(struct world *w)
{
    uint64_t view = 0;
    uint32_t set = any_view(w, &view);
    uint8_t choice = world_take_u8(w);
    struct proposal *proposal = propose(w, set, view, choice);
    if (choice >= 224) {
        proposal = any_proposal(w);
    }
    if (proposal != NULL) {
        uint32_t leader = world_leader(w, proposal->set, proposal->view);
        send_proposal(w, proposal, choice == 255 || leader == 0 ? 3 : leader);
    }
}

/* A certificate: of something that is true, or of anything. */
static bool any_cert(struct world *w, struct dsmr_quorum_cert *qc)
{
    uint8_t choice = world_take_u8(w);
    struct dsmr_vote_subject subject = {.kind = (uint8_t)(1 + choice % 3)};
    uint64_t view = 0;
    uint32_t set = any_view(w, &view);
    bool is_there = true;
    if (subject.kind == DSMR_VOTE_NOTARIZE) {
        is_there = world_notarized(w, &subject, set, view);
    } else if (subject.kind == DSMR_VOTE_FINALIZE) {
        is_there = world_finalized(w, &subject, set, view);
    }
    if (!is_there || subject.kind == DSMR_VOTE_NULLIFY) {
        const struct dsmr_block *block = any_block(w);
        bool is_null = choice % 3 == 1;
        subject = (struct dsmr_vote_subject){.kind = (uint8_t)(1 + choice % 3),
                                             .epoch = w->schedule[set].set->epoch,
                                             .view = view,
                                             .height = is_null ? 0 : block->height};
        subject.block_id = is_null ? subject.block_id : block->id;
    }
    is_there = world_certify(w, qc, &subject);
    if (choice & 128) {
        for (uint32_t i = 0; i < 6; i++) {
            if (choice >> i & 1) {
                dsmr_bitset_add(&qc->signers, i);
            }
        }
    }
    return is_there || choice & 64;
}

static void send_cert(struct world *w)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_QUORUM_CERT};
    if (any_cert(w, &msg.u.quorum_cert)) {
        world_hear(w, 1 + world_take_u8(w) % NODES, &msg);
    }
}

/* A chain that ends in a final block, as one that catches up is given it. */
static void send_batch(struct world *w)
{
    static uint8_t bytes[BATCH_BYTES_MAX];
    const struct dsmr_block *chain[DSMR_BFT_BATCH_BLOCKS_MAX];
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCKS};
    uint8_t choice = world_take_u8(w);
    uint32_t count = 0;
    size_t len = 0;
    if (!any_cert(w, &msg.u.blocks.finalization)) {
        return;
    }
    uint32_t at = world_find(w, &msg.u.blocks.finalization.subject.block_id);
    while (at < BLOCKS_MAX && count < DSMR_BFT_BATCH_BLOCKS_MAX &&
           w->blocks[at]->height >= w->accepted_count - (choice % 16 == 15 ? 1u : 0u)) {
        chain[count++] = w->blocks[at];
        at = world_find(w, &w->blocks[at]->parent_id);
    }
    for (uint32_t i = count; i > 0; i--) {
        const struct dsmr_buf *block = chain[i - 1]->bytes;
        REQUIRE(len + 4 + block->len <= sizeof(bytes));
        dsmr_store_be32(bytes + len, block->len);
        for (uint32_t k = 0; k < block->len; k++) {
            bytes[len + 4 + k] = block->bytes[k];
        }
        len += 4 + block->len;
    }
    msg.u.blocks.count = count;
    msg.u.blocks.blocks = bytes;
    msg.u.blocks.blocks_len = (uint32_t)len;
    world_hear(w, 1 + choice / 16 % NODES, &msg);
}

/* What an honest validator tells is true: no view of its own is higher, and it has heard all. */
static void send_position(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    uint32_t from = 1 + choice % NODES;
    uint64_t view = 0;
    uint32_t set = current_set(w, &view);
    struct dsmr_vote_subject subject;
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_POSITION};
    msg.u.position.epoch = w->schedule[set].set->epoch;
    msg.u.position.question = w->question;
    msg.u.position.view = 1;
    for (uint32_t k = 0; k < SETS; k++) {
        for (uint64_t v = 1; v < w->views_end; v++) {
            const struct said *own = &w->said[k][0][v];
            bool has_voted = own->has_notarized || own->has_nullified || own->has_finalized;
            bool is_notarized = world_notarized(w, &subject, k, v);
            if (is_notarized && subject.height > msg.u.position.height) {
                msg.u.position.height = subject.height;
            }
            if (k == set && (is_notarized || world_nullified(w, k, v))) {
                msg.u.position.view = v + 1;
            }
            if (k == set && has_voted) {
                msg.u.position.heard_view = v;
            }
        }
    }
    if (!world_is_honest(from)) {
        msg.u.position.view = choice & 32 ? view + choice : msg.u.position.view;
        msg.u.position.votes_from = choice & 64 ? UINT64_MAX - (choice & 1) : choice / 128;
        msg.u.position.heard_view = 0;
    }
    world_hear(w, from, &msg);
}

static void send_request(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    uint32_t from = 1 + choice % NODES;
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_REQUEST_BLOCK};
    const struct dsmr_block *block = any_block(w);
    if (choice % 4 == 0) {
        msg.type = DSMR_MSG_BFT_REQUEST_BLOCKS;
        msg.u.request_blocks.from_height = choice & 64 ? UINT64_MAX : choice / 8 % 8;
    } else if (choice % 4 == 1) {
        msg.type = DSMR_MSG_BFT_REQUEST_VIEW;
        msg.u.request_view.epoch = w->schedule[any_view(w, &msg.u.request_view.to_view)].set->epoch;
        msg.u.request_view.from_view = choice & 64 ? UINT64_MAX : choice / 8 % 8;
    } else if (choice % 4 == 2) {
        msg.type = DSMR_MSG_BFT_BLOCK;
        msg.u.block.block = block->bytes->bytes;
        msg.u.block.block_len = block->bytes->len;
    } else {
        msg.u.request_block.block_id = block->id;
    }
    world_hear(w, from, &msg);
}

/* The next bytes of the input as they are. */
static void send_raw(struct world *w)
{
    uint32_t from = 1 + world_take_u8(w) % NODES;
    size_t len = world_take_u8(w);
    len = len < w->in_len - w->in_at ? len : w->in_len - w->in_at;
    struct dsmr_buf *bytes = dsmr_buf_copy(w->in + w->in_at, len);
    REQUIRE(bytes != NULL);
    w->in_at += len;
    world_hear_bytes(w, from, bytes);
    dsmr_buf_unref(bytes);
}

/* ---- the engine's own side ---- */

static void simple_event(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_WANTED};
    event.u.wanted = choice & 128;
    if (choice % 2 == 1) {
        event.kind = DSMR_BFT_EV_PEER;
        event.u.peer.node_id = world_node_id(1 + choice / 2 % NODES);
        event.u.peer.is_up = choice & 128;
    }
    world_step(w, &event);
}

static void pass_time(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    uint64_t deadline = dsmr_bft_deadline_ms(w->bft);
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_TICK};
    if (choice >= 64 && deadline != UINT64_MAX) {
        w->now_ms = deadline > w->now_ms ? deadline : w->now_ms;
    } else {
        w->now_ms += choice;
    }
    world_step(w, &event);
}

/* All goes well for a view: proposed, voted for by all, certificates and all. */
static void good_view(struct world *w, uint8_t choice)
{
    static const uint8_t kinds[] = {DSMR_VOTE_NOTARIZE, DSMR_VOTE_FINALIZE};
    uint64_t view = 0;
    uint32_t set = current_set(w, &view);
    struct dsmr_bft_event wanted = {.kind = DSMR_BFT_EV_WANTED, .u.wanted = true};
    world_step(w, &wanted);
    world_answer_all(w);
    struct proposal *proposal = propose(w, set, view, (uint8_t)(choice & ~64u));
    if (proposal == NULL) {
        return;
    }
    if (world_leader(w, set, view) != 0) {
        send_proposal(w, proposal, world_leader(w, set, view));
    }
    for (uint32_t k = 0; k < 2; k++) {
        struct dsmr_vote_subject subject = subject_of(w, proposal, kinds[k]);
        world_answer_all(w);
        for (uint32_t i = 0; i < MEMBERS; i++) {
            uint32_t node = world_member(w, set, i);
            if (node == 3 || node == 4 || world_vote(w, node, kinds[k], proposal)) {
                send_vote(w, node, &subject);
            }
        }
    }
    world_answer_all(w);
}

static void bad_view(struct world *w)
{
    struct dsmr_vote_subject subject = {.kind = DSMR_VOTE_NULLIFY};
    uint32_t set = current_set(w, &subject.view);
    subject.epoch = w->schedule[set].set->epoch;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        uint32_t node = world_member(w, set, i);
        if (node == 3 || node == 4 || world_nullify(w, node, set, subject.view)) {
            send_vote(w, node, &subject);
        }
    }
    world_answer_all(w);
}

static void lose_life(struct world *w)
{
    uint8_t choice = world_take_u8(w);
    if (choice == 77 && !w->was_wiped) {
        world_wipe(w);
    } else {
        world_restart(w);
    }
}

static void operate(struct world *w)
{
    switch (world_take_u8(w) % 20) {
    case 0:
    case 1:
    case 2:
        world_answer_one(w);
        break;
    case 3:
        world_answer_all(w);
        break;
    case 4:
        simple_event(w);
        break;
    case 5:
    case 6:
        pass_time(w);
        break;
    case 7:
    case 8:
        peer_proposes(w);
        break;
    case 9:
    case 10:
        honest_vote(w);
        break;
    case 11:
        any_vote(w);
        break;
    case 12:
        send_cert(w);
        break;
    case 13:
        send_batch(w);
        break;
    case 14:
        send_position(w);
        break;
    case 15:
        send_request(w);
        break;
    case 16:
        send_raw(w);
        break;
    case 17:
        lose_life(w);
        break;
    case 18:
        good_view(w, world_take_u8(w));
        break;
    default:
        bad_view(w);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct world *w = calloc(1, sizeof(*w));
    REQUIRE(w != NULL);
    w->in = bytes;
    w->in_len = len;
    world_begin(w);
    for (unsigned i = 0; i < STEPS_MAX && w->in_at < w->in_len; i++) {
        operate(w);
    }
    world_end(w);
    return 0;
}
