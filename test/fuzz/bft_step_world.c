#include "bft_step_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitset.h"
#include "base/bytes.h"

enum { KIND_VOTES_FROM = 7, TIMEOUT_MS = 100, TIMEOUT_MAX_MS = 1600, RETRY_MS = 40 };

void world_broken(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, what);
    abort();
}

uint8_t world_take_u8(struct world *w)
{
    return w->in_at < w->in_len ? w->in[w->in_at++] : 0;
}

struct dsmr_node_id world_node_id(uint32_t i)
{
    struct dsmr_node_id id = {{0}};
    id.bytes[0] = (uint8_t)(i + 1);
    return id;
}

/* ---- the disk ---- */

static void put_record(struct world *w, const uint8_t *key, struct dsmr_buf *value)
{
    uint32_t i = 0;
    while (i < w->records_count && memcmp(w->records[i].key, key, KEY_BYTES) != 0) {
        i++;
    }
    REQUIRE(i < RECORDS_MAX);
    if (i == w->records_count) {
        memcpy(w->records[i].key, key, KEY_BYTES);
        w->records_count++;
    } else {
        dsmr_buf_unref(w->records[i].value);
    }
    w->records[i].value = dsmr_buf_ref(value);
}

static void prune_records(struct world *w, const uint8_t *below)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->records_count; i++) {
        if (memcmp(w->records[i].key, below, KEY_BYTES) < 0) {
            dsmr_buf_unref(w->records[i].value);
        } else {
            w->records[kept++] = w->records[i];
        }
    }
    w->records_count = kept;
    memcpy(w->pruned_key, below, KEY_BYTES);
}

static int compare_records(const void *a, const void *b)
{
    return memcmp(((const struct record *)a)->key, ((const struct record *)b)->key, KEY_BYTES);
}

/* Whether the vote's record is durable, or was before it became useless. */
static bool is_journaled(const struct world *w, const struct dsmr_vote_subject *subject)
{
    uint8_t key[KEY_BYTES];
    dsmr_store_be64(key, subject->epoch);
    dsmr_store_be64(key + 8, subject->view);
    key[16] = subject->kind;
    if (memcmp(key, w->pruned_key, KEY_BYTES) < 0) {
        return true;
    }
    for (uint32_t i = 0; i < w->records_count; i++) {
        const struct dsmr_buf *value = w->records[i].value;
        if (memcmp(w->records[i].key, key, KEY_BYTES) == 0) {
            return value->len >= 1 + 8 + 32 &&
                   dsmr_load_be64(value->bytes + 1) == subject->height &&
                   memcmp(value->bytes + 9, subject->block_id.bytes, 32) == 0;
        }
    }
    return false;
}

/* ---- what the engine may ask for, and what must be true when it does ---- */

static struct accepted *tip(struct world *w)
{
    return &w->accepted[w->accepted_count - 1];
}

static bool is_usable(struct world *w, const struct dsmr_id *id)
{
    uint32_t i = world_find(w, id);
    return dsmr_id_equal(&tip(w)->block->id, id) || (i < BLOCKS_MAX && w->is_valid_here[i]);
}

static void check_sign(struct world *w, const struct dsmr_vote_subject *subject)
{
    uint32_t set = world_set_of(w, subject->epoch);
    REQUIRE(set < SETS && subject->view > 0 && subject->view < SAID_VIEWS);
    REQUIRE(is_journaled(w, subject));
    const struct said *said = &w->said[set][0][subject->view];
    if (subject->kind == DSMR_VOTE_NOTARIZE) {
        REQUIRE(!said->has_notarized || world_has_signed(w, 0, subject));
    } else if (subject->kind == DSMR_VOTE_NULLIFY) {
        REQUIRE(!said->has_finalized);
    } else {
        REQUIRE(!said->has_nullified);
        REQUIRE(!said->has_finalized || world_has_signed(w, 0, subject));
    }
}

static void sign(struct world *w, const struct dsmr_vote_subject *subject)
{
    struct said *said = world_said(w, world_set_of(w, subject->epoch), 0, subject->view);
    if (subject->kind == DSMR_VOTE_NOTARIZE) {
        said->has_notarized = true;
        said->notarized = *subject;
    } else if (subject->kind == DSMR_VOTE_NULLIFY) {
        said->has_nullified = true;
    } else {
        said->has_finalized = true;
        said->finalized = *subject;
    }
}

/* Its own proposal: one a view, after the leader's own vote for it, and noted for the others. */
static void check_proposal(struct world *w, const struct dsmr_msg *msg)
{
    uint32_t set = world_set_of(w, msg->u.proposal.epoch);
    uint64_t view = msg->u.proposal.view;
    REQUIRE(set < SETS && view < SAID_VIEWS && world_leader(w, set, view) == 0);
    uint32_t i = world_find(w, &msg->u.proposal.block_id);
    REQUIRE(i < BLOCKS_MAX);
    struct dsmr_vote_subject subject = {.epoch = msg->u.proposal.epoch,
                                        .view = view,
                                        .kind = DSMR_VOTE_NOTARIZE,
                                        .height = w->blocks[i]->height,
                                        .block_id = msg->u.proposal.block_id};
    REQUIRE(is_journaled(w, &subject));
    for (uint32_t k = 0; k < w->proposals_count; k++) {
        const struct proposal *other = &w->proposals[k];
        if (other->set == set && other->view == view) {
            REQUIRE(dsmr_id_equal(&other->block_id, &msg->u.proposal.block_id));
            REQUIRE(other->parent_view == msg->u.proposal.parent_view);
            return;
        }
    }
    if (w->proposals_count < PROPOSALS_MAX) {
        w->proposals[w->proposals_count++] =
            (struct proposal){.set = set,
                              .view = view,
                              .parent_view = msg->u.proposal.parent_view,
                              .parent_id = msg->u.proposal.parent_id,
                              .block_id = msg->u.proposal.block_id,
                              .block = msg->u.proposal.block_len > 0 ? w->blocks[i] : NULL};
    }
}

static void check_send(struct world *w, const struct dsmr_bft_effect *fx)
{
    const struct dsmr_buf *head = fx->u.send.head, *body = fx->u.send.body;
    struct dsmr_msg msg;
    struct dsmr_buf *all = dsmr_buf_new((size_t)head->len + (body != NULL ? body->len : 0u));
    REQUIRE(all != NULL);
    memcpy(all->bytes, head->bytes, head->len);
    if (body != NULL) {
        memcpy(all->bytes + head->len, body->bytes, body->len);
    }
    REQUIRE(dsmr_msg_decode(&msg, all->bytes, all->len) == DSMR_OK);
    REQUIRE(dsmr_msg_class_of(msg.type) == (int)fx->u.send.cls);
    if (msg.type == DSMR_MSG_BFT_VOTE) {
        REQUIRE(world_has_signed(w, 0, &msg.u.vote.subject));
    } else if (msg.type == DSMR_MSG_BFT_QUORUM_CERT) {
        REQUIRE(world_is_true(w, &msg.u.quorum_cert));
    } else if (msg.type == DSMR_MSG_BFT_PROPOSAL) {
        check_proposal(w, &msg);
    } else if (msg.type == DSMR_MSG_BFT_REQUEST_VIEW && msg.u.request_view.to_view == 0) {
        w->question = msg.u.request_view.from_view;
    }
    dsmr_buf_unref(all);
}

static void check_accept(struct world *w, const struct dsmr_bft_effect *fx)
{
    const struct dsmr_block *block = fx->u.block.block;
    const struct dsmr_quorum_cert *qc = &fx->u.block.finalization;
    uint32_t i = world_find(w, &block->id);
    REQUIRE(i < BLOCKS_MAX && w->is_valid_here[i]);
    REQUIRE(w->accepted_count < BLOCKS_MAX && block->height == w->accepted_count);
    REQUIRE(dsmr_id_equal(&block->parent_id, &tip(w)->block->id));
    if (block->height < w->ever_count) {
        REQUIRE(dsmr_id_equal(&block->id, &w->accepted[block->height].block->id));
    }
    if (fx->u.block.has_finalization) {
        REQUIRE(qc->subject.kind == DSMR_VOTE_FINALIZE && world_is_true(w, qc));
        REQUIRE(qc->subject.height == block->height);
        REQUIRE(dsmr_id_equal(&qc->subject.block_id, &block->id));
    }
    w->accepted[w->accepted_count++] =
        (struct accepted){.block = w->blocks[i],
                          .has_finalization = fx->u.block.has_finalization,
                          .finalization = *qc};
    w->ever_count = w->ever_count > w->accepted_count ? w->ever_count : w->accepted_count;
}

/* Takes the references of fx that its answer needs; the effect is then the world's. */
static void keep_owed(struct world *w, struct dsmr_bft_effect *fx)
{
    REQUIRE(w->owed_count < OWED_MAX);
    for (uint32_t i = 0; i < w->owed_count && fx->request_id != 0; i++) {
        REQUIRE(w->owed[i].request_id != fx->request_id);
    }
    w->owed[w->owed_count++] = *fx;
    *fx = (struct dsmr_bft_effect){.kind = DSMR_BFT_FX_TRACE}; /* holds nothing */
}

static void on_effect(struct world *w, struct dsmr_bft_effect *fx)
{
    switch (fx->kind) {
    case DSMR_BFT_FX_SEND:
    case DSMR_BFT_FX_BROADCAST:
        check_send(w, fx);
        break;
    case DSMR_BFT_FX_SIGN:
        check_sign(w, &fx->u.sign);
        keep_owed(w, fx);
        break;
    case DSMR_BFT_FX_STORE:
    case DSMR_BFT_FX_PRUNE:
        REQUIRE(fx->u.store.key_len == KEY_BYTES);
        keep_owed(w, fx);
        break;
    case DSMR_BFT_FX_BUILD:
        REQUIRE(is_usable(w, &fx->u.block.parent_id));
        keep_owed(w, fx);
        break;
    case DSMR_BFT_FX_VERIFY:
        REQUIRE(is_usable(w, &fx->u.block.block->parent_id));
        REQUIRE(fx->u.block.epoch ==
                w->schedule[world_set_at(fx->u.block.block->height)].set->epoch);
        keep_owed(w, fx);
        break;
    case DSMR_BFT_FX_ACCEPT:
        check_accept(w, fx);
        keep_owed(w, fx); /* until it is durable */
        break;
    case DSMR_BFT_FX_REJECT: {
        uint32_t i = world_find(w, &fx->u.block.block->id);
        REQUIRE(i < BLOCKS_MAX);
        w->is_valid_here[i] = false;
        for (uint32_t h = 0; h < w->accepted_count; h++) {
            REQUIRE(!dsmr_id_equal(&w->accepted[h].block->id, &fx->u.block.block->id));
        }
        break;
    }
    case DSMR_BFT_FX_AGGREGATE:
    case DSMR_BFT_FX_CHECK_QC:
        keep_owed(w, fx);
        break;
    case DSMR_BFT_FX_FAULT: { /* never of itself */
        const struct dsmr_node_id self = world_node_id(0);
        REQUIRE(!dsmr_node_id_equal(&fx->u.fault.peer, &self));
        break;
    }
    default:
        break;
    }
}

void world_step(struct world *w, struct dsmr_bft_event *event)
{
    event->mono_ms = w->now_ms;
    event->wall_ms = w->now_ms;
    dsmr_bft_step(w->bft, &w->effects, event);
    dsmr_bft_check(w->bft);
    for (uint32_t i = 0; i < w->effects.count; i++) {
        on_effect(w, &w->effects.items[i]);
    }
    dsmr_bft_effects_clear(&w->effects);
    if (event->kind == DSMR_BFT_EV_TICK) { /* else its driver would spin */
        REQUIRE(dsmr_bft_deadline_ms(w->bft) > w->now_ms);
    }
}

void world_hear_bytes(struct world *w, uint32_t from, struct dsmr_buf *bytes)
{
    struct dsmr_msg decoded;
    if (dsmr_msg_decode(&decoded, bytes->bytes, bytes->len) == DSMR_OK &&
        decoded.type >= DSMR_MSG_BFT_FIRST) {
        struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_MESSAGE};
        event.u.message.from = world_node_id(from);
        event.u.message.msg = &decoded;
        event.u.message.bytes = bytes;
        world_step(w, &event);
    }
}

void world_hear(struct world *w, uint32_t from, const struct dsmr_msg *msg)
{
    struct dsmr_buf *bytes = dsmr_msg_encode(msg, true);
    REQUIRE(bytes != NULL);
    world_hear_bytes(w, from, bytes);
    dsmr_buf_unref(bytes);
}

/* ---- answers ---- */

static void answer_aggregate(struct world *w, const struct dsmr_bft_effect *fx,
                             struct dsmr_bft_event *event)
{
    uint32_t set = world_set_of(w, fx->u.aggregate.subject.epoch);
    REQUIRE(set < SETS);
    event->kind = DSMR_BFT_EV_AGGREGATED;
    for (uint32_t i = 0; i < fx->u.aggregate.votes_count; i++) {
        uint32_t signer = fx->u.aggregate.votes[i].signer;
        REQUIRE(signer < MEMBERS);
        bool is_good = fx->u.aggregate.votes[i].sig.bytes[0] != 0xee &&
                       world_has_signed(w, world_member(w, set, signer), &fx->u.aggregate.subject);
        dsmr_bitset_add(is_good ? &event->u.aggregated.signers : &event->u.aggregated.bad, signer);
    }
    if (dsmr_bitset_is_empty(&event->u.aggregated.signers)) {
        event->err = DSMR_ERR_BAD_SHARE;
    }
}

static void answer_build(struct world *w, const struct dsmr_bft_effect *fx,
                         struct dsmr_bft_event *event, uint8_t way)
{
    uint32_t parent = world_find(w, &fx->u.block.parent_id);
    REQUIRE(parent < BLOCKS_MAX);
    event->kind = DSMR_BFT_EV_BUILT;
    event->err = DSMR_ERR_NOTHING_TO_BUILD;
    if (way % 8 != 0) {
        uint64_t time_ms = w->blocks[parent]->time_ms + 8 - w->blocks[parent]->time_ms % 8;
        event->u.built = world_make(w, w->blocks[parent], time_ms + way % 4);
        event->err = event->u.built != NULL ? DSMR_OK : DSMR_ERR_NOTHING_TO_BUILD;
    }
    if (event->err == DSMR_OK) { /* what the block layer built it need not judge */
        w->is_valid_here[world_find(w, &event->u.built->id)] = true;
    }
}

static void answer_verify(struct world *w, const struct dsmr_bft_effect *fx,
                          struct dsmr_bft_event *event, uint8_t way)
{
    struct dsmr_block *block = world_note(w, fx->u.block.block);
    event->kind = DSMR_BFT_EV_VERDICT;
    event->err = block == NULL           ? DSMR_ERR_UNKNOWN_PARENT
                 : way % 8 == 0          ? DSMR_ERR_NOT_YET
                 : world_is_valid(block) ? DSMR_OK
                                         : DSMR_ERR_BLOCK_LIMIT;
    if (event->err == DSMR_OK) {
        w->is_valid_here[world_find(w, &block->id)] = true;
    }
}

static bool is_write(enum dsmr_bft_effect_kind kind)
{
    return kind == DSMR_BFT_FX_STORE || kind == DSMR_BFT_FX_PRUNE || kind == DSMR_BFT_FX_ACCEPT;
}

static void make_durable(struct world *w, const struct dsmr_bft_effect *fx)
{
    if (fx->kind == DSMR_BFT_FX_STORE) {
        put_record(w, fx->u.store.key, fx->u.store.value);
    } else if (fx->kind == DSMR_BFT_FX_PRUNE) {
        prune_records(w, fx->u.store.key);
    } else {
        w->durable_count++;
    }
}

/* Answers fx, whose references the caller gives back; way chooses success or a failure. */
static void answer(struct world *w, const struct dsmr_bft_effect *fx, uint8_t way)
{
    struct dsmr_bft_event event = {.request_id = fx->request_id};
    switch (fx->kind) {
    case DSMR_BFT_FX_STORE:
        event.kind = DSMR_BFT_EV_STORED;
        event.err = way % 16 == 0 ? DSMR_ERR_DISK_FULL : DSMR_OK;
        if (event.err == DSMR_OK) {
            make_durable(w, fx);
        }
        break;
    case DSMR_BFT_FX_PRUNE:
    case DSMR_BFT_FX_ACCEPT:
        make_durable(w, fx);
        return;
    case DSMR_BFT_FX_SIGN:
        event.kind = DSMR_BFT_EV_SIGNED;
        event.err = way % 16 == 0 ? DSMR_ERR_UNAVAILABLE : DSMR_OK;
        if (event.err == DSMR_OK) {
            sign(w, &fx->u.sign);
        }
        break;
    case DSMR_BFT_FX_AGGREGATE:
        answer_aggregate(w, fx, &event);
        break;
    case DSMR_BFT_FX_CHECK_QC:
        event.kind = DSMR_BFT_EV_CHECKED;
        event.err = world_is_true(w, &fx->u.check.qc) ? DSMR_OK : DSMR_ERR_BAD_VOTE;
        break;
    case DSMR_BFT_FX_BUILD:
        answer_build(w, fx, &event, way);
        break;
    default:
        REQUIRE(fx->kind == DSMR_BFT_FX_VERIFY);
        answer_verify(w, fx, &event, way);
        break;
    }
    world_step(w, &event);
}

static void drop(struct dsmr_bft_effect *fx)
{
    struct dsmr_bft_effects one = {.items = fx, .count = 1};
    dsmr_bft_effects_clear(&one);
}

static void answer_at(struct world *w, uint32_t i, uint8_t way)
{
    struct dsmr_bft_effect fx = w->owed[i];
    memmove(&w->owed[i], &w->owed[i + 1], (--w->owed_count - i) * sizeof(w->owed[0]));
    answer(w, &fx, way);
    drop(&fx);
}

void world_answer_one(struct world *w)
{
    if (w->owed_count == 0) {
        return;
    }
    uint32_t i = world_take_u8(w) % w->owed_count;
    if (is_write(w->owed[i].kind)) { /* in their order */
        i = 0;
        while (!is_write(w->owed[i].kind)) {
            i++;
        }
    }
    answer_at(w, i, world_take_u8(w));
}

void world_answer_all(struct world *w)
{
    for (uint32_t guard = 0; w->owed_count > 0 && guard < 8 * OWED_MAX; guard++) {
        answer_at(w, 0, 1);
    }
}

/* ---- life and death ---- */

static void start(struct world *w)
{
    struct dsmr_bft_config config = {.params = w->params,
                                     .node_id = world_node_id(0),
                                     .schedule = w->schedule,
                                     .schedule_count = SETS,
                                     .view_timeout_ms = TIMEOUT_MS,
                                     .view_timeout_max_ms = TIMEOUT_MAX_MS,
                                     .retry_ms = RETRY_MS,
                                     .seed = 9 + w->lives++,
                                     .last_accepted = tip(w)->block};
    if (tip(w)->has_finalization) {
        config.finalization = &tip(w)->finalization;
    }
    w->bft = dsmr_bft_new(&config);
    REQUIRE(w->bft != NULL);
    qsort(w->records, w->records_count, sizeof(w->records[0]), compare_records);
    for (uint32_t i = 0; i < w->records_count; i++) {
        REQUIRE(dsmr_bft_restore(w->bft, w->records[i].key, KEY_BYTES, w->records[i].value->bytes,
                                 w->records[i].value->len) == DSMR_OK);
    }
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_START};
    world_step(w, &event);
}

static void stop(struct world *w)
{
    dsmr_bft_free(w->bft);
    w->bft = NULL;
    for (uint32_t i = 0; i < w->owed_count; i++) {
        drop(&w->owed[i]);
    }
    w->owed_count = 0;
    memset(w->is_valid_here, 0, sizeof(w->is_valid_here));
}

void world_restart(struct world *w)
{
    uint32_t reached = world_take_u8(w);
    for (uint32_t i = 0; i < w->owed_count && reached > 0; i++) {
        if (is_write(w->owed[i].kind)) {
            make_durable(w, &w->owed[i]);
            reached--;
        }
    }
    stop(w);
    w->accepted_count = w->durable_count;
    start(w);
}

void world_wipe(struct world *w)
{
    stop(w);
    for (uint32_t i = 0; i < w->records_count; i++) {
        dsmr_buf_unref(w->records[i].value);
    }
    w->records_count = 0;
    memset(w->pruned_key, 0, sizeof(w->pruned_key));
    w->accepted_count = w->durable_count = 1;
    w->was_wiped = true;
    start(w);
}

static struct dsmr_validator_set *make_set(uint64_t epoch, const uint32_t *nodes)
{
    struct dsmr_validator_set *set =
        calloc(1, sizeof(*set) + MEMBERS * sizeof(struct dsmr_validator));
    REQUIRE(set != NULL);
    set->refs = 1;
    set->count = MEMBERS;
    set->epoch = epoch;
    set->total_weight = MEMBERS;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        set->validators[i].public_key.bytes[0] = (uint8_t)nodes[i];
        set->validators[i].weight = 1;
        set->validators[i].node_ids_count = 1;
        set->validators[i].node_ids[0] = world_node_id(nodes[i]);
    }
    return set;
}

void world_begin(struct world *w)
{
    static const uint32_t first[MEMBERS] = {0, 1, 2, 3}, stays[MEMBERS] = {0, 1, 2, 4},
                          goes[MEMBERS] = {1, 2, 5, 4};
    uint8_t choice = world_take_u8(w);
    dsmr_params_default(&w->params);
    w->params.domain.network_id = 7;
    w->schedule[0].set = make_set(0, first);
    w->schedule[1] = (struct dsmr_bft_schedule_entry){
        .from_height = BOUNDARY, .set = make_set(BOUNDARY, choice & 1 ? goes : stays)};
    REQUIRE(dsmr_bft_effects_init(&w->effects) == DSMR_OK);
    REQUIRE(dsmr_block_genesis(&w->blocks[0], &w->params, 1000) == DSMR_OK);
    w->blocks_count = 1;
    w->accepted[0].block = w->blocks[0];
    w->accepted_count = w->durable_count = w->ever_count = 1;
    w->now_ms = 1000;
    if ((choice & 2) == 0) { /* the journal knows all votes: there were none */
        uint8_t key[KEY_BYTES];
        struct dsmr_buf *value = dsmr_buf_new(KEY_BYTES);
        REQUIRE(value != NULL);
        memset(key, 0xff, sizeof(key));
        key[16] = KIND_VOTES_FROM;
        memset(value->bytes, 0, KEY_BYTES);
        value->bytes[0] = 1;
        put_record(w, key, value);
        dsmr_buf_unref(value);
    }
    start(w);
}

void world_end(struct world *w)
{
    world_check_truth(w);
    stop(w);
    for (uint32_t i = 0; i < w->records_count; i++) {
        dsmr_buf_unref(w->records[i].value);
    }
    for (uint32_t i = 0; i < w->blocks_count; i++) {
        dsmr_block_unref(w->blocks[i]);
    }
    for (uint32_t set = 0; set < SETS; set++) {
        dsmr_validator_set_unref(w->schedule[set].set);
    }
    dsmr_bft_effects_close(&w->effects);
    free(w);
}
