/* bft_solo.h - one engine under a test's hand: node 0 of a set of equal validators. Effects are
 * answered at once, in order, unless the test holds them back; what is sent is kept. */
#ifndef TEST_UNIT_BFT_SOLO_H
#define TEST_UNIT_BFT_SOLO_H

#include "bft_world.h"

#define SOLO_SENT_MAX 4096u
#define SOLO_RECORDS_MAX 1024u
#define SOLO_TIMEOUT_MS 100u
#define SOLO_TIMEOUT_MAX_MS 800u
#define SOLO_RETRY_MS 40u

struct solo_sent {
    bool is_broadcast;
    uint32_t to;
    struct dsmr_buf *bytes;
    struct dsmr_msg msg; /* views lie in bytes */
};

struct solo {
    struct dsmr_params params;
    struct dsmr_bft_schedule_entry schedule[2];
    uint32_t schedule_count;
    struct dsmr_block *genesis;
    struct dsmr_bft *bft;
    struct dsmr_bft_effects effects;
    uint64_t now_ms;
    struct solo_sent sent[SOLO_SENT_MAX];
    uint32_t sent_count;
    /* what the test decides */
    bool is_wiped; /* no record tells which views the earlier votes were in */
    bool holds_store, holds_sign, holds_aggregate, holds_check, holds_verify;
    enum dsmr_err stored; /* answers STORE */
    uint8_t refused_kind; /* so many STOREs of this kind find the disk full */
    uint32_t refused_times;
    enum dsmr_err verdict;
    struct dsmr_block *to_build; /* NULL: NOTHING_TO_BUILD */
    /* what happened */
    uint64_t held_request; /* of the last effect that was held back */
    uint32_t stores, signs, aggregates, checks, verifies, builds, accepts, rejects, serves, prunes;
    uint32_t faults;
    enum dsmr_err fault_err;
    uint64_t accepted_height;
    uint8_t keys[SOLO_RECORDS_MAX][17];
    struct dsmr_buf *values[SOLO_RECORDS_MAX];
    uint32_t records;
    uint8_t prune_key[17];
};

static inline void solo_step(struct solo *s, struct dsmr_bft_event *event);

static inline void solo_keep(struct solo *s, const struct dsmr_bft_effect *effect)
{
    assert_true(s->sent_count < SOLO_SENT_MAX);
    struct solo_sent *sent = &s->sent[s->sent_count++];
    sent->is_broadcast = effect->kind == DSMR_BFT_FX_BROADCAST;
    sent->to = sent->is_broadcast ? UINT32_MAX : world_node_of(&effect->u.send.to);
    sent->bytes = world_bytes_of(effect);
    assert_int_equal(dsmr_msg_decode(&sent->msg, sent->bytes->bytes, sent->bytes->len), DSMR_OK);
}

static inline void solo_record(struct solo *s, const struct dsmr_bft_effect *effect)
{
    assert_int_equal(effect->u.store.key_len, 17);
    assert_true(s->records < SOLO_RECORDS_MAX);
    memcpy(s->keys[s->records], effect->u.store.key, 17);
    s->values[s->records++] = dsmr_buf_ref(effect->u.store.value);
    s->stores++;
}

/* False: no answer now. */
static inline bool solo_answer(struct solo *s, const struct dsmr_bft_effect *effect,
                               struct dsmr_bft_event *answer)
{
    bool is_held = false;
    *answer = (struct dsmr_bft_event){.request_id = effect->request_id};
    switch (effect->kind) {
    case DSMR_BFT_FX_STORE:
        answer->kind = DSMR_BFT_EV_STORED;
        answer->err = s->stored;
        if (s->refused_times > 0 && effect->u.store.key[16] == s->refused_kind) {
            answer->err = DSMR_ERR_DISK_FULL;
            s->refused_times--;
        }
        if (answer->err == DSMR_OK) {
            solo_record(s, effect);
        }
        is_held = s->holds_store;
        break;
    case DSMR_BFT_FX_SIGN:
        s->signs++;
        answer->kind = DSMR_BFT_EV_SIGNED;
        world_sign(&answer->u.sig, 0, &effect->u.sign);
        is_held = s->holds_sign;
        break;
    case DSMR_BFT_FX_AGGREGATE:
        s->aggregates++;
        world_aggregate(answer, effect);
        is_held = s->holds_aggregate;
        break;
    case DSMR_BFT_FX_CHECK_QC:
        s->checks++;
        answer->kind = DSMR_BFT_EV_CHECKED;
        answer->err = world_cert_verifies(&effect->u.check.qc) ? DSMR_OK : DSMR_ERR_BAD_VOTE;
        is_held = s->holds_check;
        break;
    case DSMR_BFT_FX_VERIFY:
        s->verifies++;
        answer->kind = DSMR_BFT_EV_VERDICT;
        answer->err = s->verdict;
        is_held = s->holds_verify;
        break;
    case DSMR_BFT_FX_BUILD:
        s->builds++;
        answer->kind = DSMR_BFT_EV_BUILT;
        answer->err = s->to_build != NULL ? DSMR_OK : DSMR_ERR_NOTHING_TO_BUILD;
        answer->u.built = s->to_build;
        break;
    default:
        return false;
    }
    s->held_request = is_held ? effect->request_id : s->held_request;
    return !is_held;
}

static inline void solo_count(struct solo *s, const struct dsmr_bft_effect *effect)
{
    switch (effect->kind) {
    case DSMR_BFT_FX_SEND:
    case DSMR_BFT_FX_BROADCAST:
        solo_keep(s, effect);
        break;
    case DSMR_BFT_FX_ACCEPT:
        s->accepts++;
        assert_int_equal(effect->u.block.block->height, s->accepted_height + 1);
        s->accepted_height++;
        break;
    case DSMR_BFT_FX_REJECT:
        s->rejects++;
        break;
    case DSMR_BFT_FX_FAULT:
        s->faults++;
        s->fault_err = effect->u.fault.err;
        break;
    case DSMR_BFT_FX_PRUNE:
        s->prunes++;
        memcpy(s->prune_key, effect->u.store.key, 17);
        break;
    case DSMR_BFT_FX_SERVE_BLOCK:
    case DSMR_BFT_FX_SERVE_BLOCKS:
        s->serves++;
        break;
    default:
        break;
    }
}

static inline void solo_step(struct solo *s, struct dsmr_bft_event *event)
{
    struct dsmr_bft_event *answers = calloc(DSMR_BFT_EFFECTS_MAX, sizeof(*answers));
    uint32_t count = 0;
    assert_non_null(answers);
    event->mono_ms = s->now_ms;
    dsmr_bft_step(s->bft, &s->effects, event);
    dsmr_bft_check(s->bft);
    for (uint32_t i = 0; i < s->effects.count; i++) {
        solo_count(s, &s->effects.items[i]);
        count += solo_answer(s, &s->effects.items[i], &answers[count]) ? 1 : 0;
    }
    dsmr_bft_effects_clear(&s->effects);
    for (uint32_t i = 0; i < count; i++) {
        solo_step(s, &answers[i]);
    }
    free(answers);
}

static inline void solo_event(struct solo *s, enum dsmr_bft_event_kind kind)
{
    struct dsmr_bft_event event = {.kind = kind};
    solo_step(s, &event);
}

static inline void solo_wanted(struct solo *s, bool is_wanted)
{
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_WANTED, .u.wanted = is_wanted};
    solo_step(s, &event);
}

static inline void solo_peer(struct solo *s, uint32_t node, bool is_up)
{
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_PEER};
    event.u.peer.node_id = world_node_id(node);
    event.u.peer.is_up = is_up;
    solo_step(s, &event);
}

/* False if it does not even decode: nobody would hear it. */
static inline bool solo_try_hear(struct solo *s, uint32_t from, const struct dsmr_msg *msg)
{
    struct dsmr_buf *bytes = dsmr_msg_encode(msg, true);
    struct dsmr_msg decoded;
    assert_non_null(bytes);
    if (dsmr_msg_decode(&decoded, bytes->bytes, bytes->len) != DSMR_OK) {
        dsmr_buf_unref(bytes);
        return false;
    }
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_MESSAGE};
    event.u.message.from = world_node_id(from);
    event.u.message.msg = &decoded;
    event.u.message.bytes = bytes;
    solo_step(s, &event);
    dsmr_buf_unref(bytes);
    return true;
}

static inline void solo_hear(struct solo *s, uint32_t from, const struct dsmr_msg *msg)
{
    assert_true(solo_try_hear(s, from, msg));
}

/* Moves time to the next deadline and ticks. */
static inline void solo_tick(struct solo *s)
{
    uint64_t at = dsmr_bft_deadline_ms(s->bft);
    assert_true(at != UINT64_MAX);
    s->now_ms = at > s->now_ms ? at : s->now_ms;
    solo_event(s, DSMR_BFT_EV_TICK);
}

static inline void solo_forget(struct solo *s)
{
    for (uint32_t i = 0; i < s->sent_count; i++) {
        dsmr_buf_unref(s->sent[i].bytes);
    }
    s->sent_count = 0;
    s->faults = 0;
}

/* The last message of that type that was sent since the test forgot; NULL: none. */
static inline const struct solo_sent *solo_said(const struct solo *s, uint8_t type)
{
    for (uint32_t i = s->sent_count; i > 0; i--) {
        if (s->sent[i - 1].msg.type == type) {
            return &s->sent[i - 1];
        }
    }
    return NULL;
}

static inline const struct dsmr_vote_subject *solo_voted(const struct solo *s, uint8_t kind)
{
    for (uint32_t i = s->sent_count; i > 0; i--) {
        const struct dsmr_msg *msg = &s->sent[i - 1].msg;
        if (msg->type == DSMR_MSG_BFT_VOTE && msg->u.vote.subject.kind == kind) {
            return &msg->u.vote.subject;
        }
    }
    return NULL;
}

/* docs/bft.md, rule 2, once more. */
static inline uint32_t solo_leader(uint64_t epoch, uint64_t view, uint32_t count)
{
    uint8_t bytes[8];
    struct dsmr_id hash;
    dsmr_store_be64(bytes, epoch);
    dsmr_hash(&hash, bytes, sizeof(bytes));
    return (uint32_t)((view % count + dsmr_load_be64(hash.bytes) % count) % count);
}

static inline uint64_t solo_view(const struct solo *s)
{
    uint64_t epoch, view;
    dsmr_bft_position(s->bft, &epoch, &view);
    return view;
}

static inline struct dsmr_vote_subject solo_subject(uint64_t view, uint8_t kind,
                                                    const struct dsmr_block *block)
{
    struct dsmr_vote_subject subject = {.epoch = 0, .view = view, .kind = kind};
    if (block != NULL) {
        subject.height = block->height;
        subject.block_id = block->id;
    }
    return subject;
}

static inline void solo_vote(struct solo *s, uint32_t from, const struct dsmr_vote_subject *subject)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_VOTE};
    msg.u.vote.subject = *subject;
    world_sign(&msg.u.vote.sig, from, subject);
    solo_hear(s, from, &msg);
}

static inline void solo_cert(struct solo *s, uint32_t from, const struct dsmr_quorum_cert *qc)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_QUORUM_CERT};
    msg.u.quorum_cert = *qc;
    solo_hear(s, from, &msg);
}

/* Three of four nullify view. */
static inline void solo_nullify(struct solo *s, uint64_t view)
{
    struct dsmr_vote_subject subject = solo_subject(view, DSMR_VOTE_NULLIFY, NULL);
    struct dsmr_quorum_cert qc = world_cert(&subject, 3);
    solo_cert(s, 1, &qc);
}

static inline void solo_notarize(struct solo *s, uint64_t view, const struct dsmr_block *block)
{
    struct dsmr_vote_subject subject = solo_subject(view, DSMR_VOTE_NOTARIZE, block);
    struct dsmr_quorum_cert qc = world_cert(&subject, 3);
    solo_cert(s, 1, &qc);
}

static inline void solo_finalize(struct solo *s, uint64_t view, const struct dsmr_block *block)
{
    struct dsmr_vote_subject subject = solo_subject(view, DSMR_VOTE_FINALIZE, block);
    struct dsmr_quorum_cert qc = world_cert(&subject, 3);
    solo_cert(s, 1, &qc);
}

/* Proposes block, or parent_id again for NULL, as view's leader would. */
static inline void solo_propose(struct solo *s, uint64_t view, uint64_t parent_view,
                                const struct dsmr_id *parent_id, const struct dsmr_block *block)
{
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_PROPOSAL};
    msg.u.proposal.view = view;
    msg.u.proposal.parent_view = parent_view;
    msg.u.proposal.parent_id = *parent_id;
    msg.u.proposal.block_id = block != NULL ? block->id : *parent_id;
    if (block != NULL) {
        msg.u.proposal.block = block->bytes->bytes;
        msg.u.proposal.block_len = block->bytes->len;
    }
    solo_hear(s, solo_leader(0, view, 4), &msg);
}

/* Goes by nullifications to the next view (from the current one on) whose leader is, or is not,
 * this node; its number. */
static inline uint64_t solo_go_to_view(struct solo *s, bool is_leader)
{
    while ((solo_leader(0, solo_view(s), 4) == 0) != is_leader) {
        solo_nullify(s, solo_view(s));
    }
    return solo_view(s);
}

static inline void solo_open(struct solo *s)
{
    struct dsmr_bft_config config = {
        .params = s->params,
        .node_id = world_node_id(0),
        .schedule = s->schedule,
        .schedule_count = s->schedule_count,
        .view_timeout_ms = SOLO_TIMEOUT_MS,
        .view_timeout_max_ms = SOLO_TIMEOUT_MAX_MS,
        .retry_ms = SOLO_RETRY_MS,
        .seed = 9,
        .last_accepted = s->genesis,
    };
    s->bft = dsmr_bft_new(&config);
    assert_non_null(s->bft);
    if (!s->is_wiped) { /* the journal knows all votes: there were none before epoch 0, view 1 */
        uint8_t key[17], value[17] = {1};
        memset(key, 0xff, 16);
        key[16] = 7;
        assert_int_equal(dsmr_bft_restore(s->bft, key, 17, value, 17), DSMR_OK);
    }
}

/* weights: of four validators, nodes 0 to 3; NULL: 1 each. Not started yet. */
static inline struct solo *solo_new(const uint64_t *weights)
{
    static const uint32_t nodes[] = {0, 1, 2, 3};
    struct solo *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->params = world_params();
    s->genesis = world_genesis();
    s->schedule[0].set = world_set(0, nodes, weights, 4);
    s->schedule_count = 1;
    assert_int_equal(dsmr_bft_effects_init(&s->effects), DSMR_OK);
    solo_open(s);
    return s;
}

static inline void solo_start(struct solo *s)
{
    solo_event(s, DSMR_BFT_EV_START);
    for (uint32_t node = 1; node < 4; node++) {
        solo_peer(s, node, true);
    }
}

/* The process ends and begins again with what was stored. */
static inline void solo_restart(struct solo *s)
{
    dsmr_bft_free(s->bft);
    solo_open(s);
    for (uint32_t i = 0; i < s->records; i++) {
        assert_int_equal(
            dsmr_bft_restore(s->bft, s->keys[i], 17, s->values[i]->bytes, s->values[i]->len),
            DSMR_OK);
    }
    solo_forget(s);
    s->accepted_height = 0;
    solo_start(s);
}

static inline void solo_free(struct solo *s)
{
    solo_forget(s);
    dsmr_bft_free(s->bft);
    dsmr_bft_effects_close(&s->effects);
    for (uint32_t i = 0; i < s->records; i++) {
        dsmr_buf_unref(s->values[i]);
    }
    for (uint32_t i = 0; i < s->schedule_count; i++) {
        dsmr_validator_set_unref(s->schedule[i].set);
    }
    dsmr_block_unref(s->genesis);
    free(s);
}

static inline struct solo *solo_started(void)
{
    struct solo *s = solo_new(NULL);
    solo_start(s);
    return s;
}

static inline bool solo_has_nullified(const struct solo *s, uint64_t view)
{
    const struct dsmr_vote_subject *vote = solo_voted(s, DSMR_VOTE_NULLIFY);
    return vote != NULL && vote->view == view;
}

/* To the next view with the same leader, by certificates; the view before it is final. */
static inline uint64_t solo_next_turn(struct solo *s, uint64_t view)
{
    struct dsmr_block *block = world_block(s->genesis, 0, 2000);
    while (solo_view(s) < view + 4) {
        if (solo_view(s) == view + 3) {
            solo_finalize(s, solo_view(s), block);
        } else {
            solo_nullify(s, solo_view(s));
        }
    }
    dsmr_block_unref(block);
    return solo_view(s);
}

/* Node 4 is in the second set only, which decides from height 2 on. */
static inline struct solo *solo_with_two_sets(void)
{
    static const uint32_t nodes[] = {0, 1, 2, 4};
    struct solo *s = solo_new(NULL);
    s->schedule[1].from_height = 2;
    s->schedule[1].set = world_set(2, nodes, NULL, 4);
    s->schedule_count = 2;
    dsmr_bft_free(s->bft);
    solo_open(s);
    solo_start(s);
    return s;
}

#endif
