/* bft_cluster.h - pure engines with fake disks, block layers and a lossy network, in one thread and
 * virtual time; every choice comes from a seed.
 *
 * The disk makes writes durable in order after a delay; a crash keeps a prefix of what waits. The
 * block layer wants blocks up to the height cluster.demand, checks that the engine keeps its side
 * of the contract (parents first, accepts in order), and now and then says "not yet". */
#ifndef TEST_UNIT_BFT_CLUSTER_H
#define TEST_UNIT_BFT_CLUSTER_H

#include "bft_checker.h"

#define CLUSTER_NODES_MAX 16u
#define CLUSTER_PROCESSING_MAX 256u

enum cluster_actor {
    CLUSTER_HONEST,
    CLUSTER_DEAD, /* never starts */
    CLUSTER_TWIN, /* one of two engines with one key that know nothing of each other */
    CLUSTER_LIAR  /* an engine whose messages are changed on the way out, all well signed */
};

struct cluster_record {
    uint8_t key[64];
    uint32_t key_len;
    struct dsmr_buf *value;
};

struct cluster_write { /* waits for the disk */
    enum { CLUSTER_PUT, CLUSTER_PRUNE, CLUSTER_ACCEPT } kind;
    uint64_t request_id;
    struct cluster_record record;
};

struct cluster_block { /* accepted */
    struct dsmr_block *block;
    bool has_finalization;
    struct dsmr_quorum_cert finalization;
};

struct cluster_node {
    struct dsmr_node_id id;
    uint32_t identity; /* node index of the key: twins share it */
    enum cluster_actor actor;
    bool is_up;
    bool is_away; /* stays down when all others are healed */
    uint32_t generation;
    struct dsmr_bft *bft;
    struct dsmr_bft_effects effects;
    /* disk */
    struct cluster_record *records;
    uint32_t records_count, records_capacity;
    struct cluster_write *writes;
    uint32_t writes_count, writes_capacity;
    uint64_t disk_free_ms;
    struct cluster_block *chain; /* accepted; the first durable_count of it are on disk */
    uint32_t chain_count, chain_capacity, durable_count;
    uint8_t pruned_key[64];
    /* block layer, gone with the process */
    struct dsmr_block *processing[CLUSTER_PROCESSING_MAX];
    uint32_t processing_count;
    struct dsmr_id preferred_id;
    bool was_wanted;
    uint64_t deadline_ms; /* of the engine, after its last step */
    /* crash after this many effects from now; UINT64_MAX: not */
    uint64_t crash_in;
    uint64_t effects_done;
    uint32_t rejects;
    uint32_t faults;
};

struct cluster_config {
    uint64_t seed;
    uint32_t nodes_count;
    uint32_t delay_ms;
    uint32_t loss_permille;
    uint32_t dup_permille;
    uint32_t not_yet_permille;
    uint32_t disk_ms;
    uint32_t view_timeout_ms;
    uint32_t batch_blocks_max; /* that fit into one BFT_BLOCKS; 0: plenty */
};

struct cluster {
    struct cluster_config config;
    struct dsmr_params params;
    struct dsmr_prng prng;
    struct world_queue queue;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    uint32_t count; /* engines: twins count twice */
    struct dsmr_bft_schedule_entry schedule[4];
    uint32_t schedule_count;
    struct dsmr_block *genesis;
    struct checker *checker;
    uint64_t now_ms;
    uint64_t demand;
    uint32_t group[CLUSTER_NODES_MAX]; /* by identity: messages pass within one group only */
    uint64_t messages;                 /* delivered */
    uint64_t sent;                     /* by honest engines */
    uint64_t proposals;                /* sent by honest engines */
    uint64_t timeouts, skipped;        /* views, of all engines */
    uint64_t block_requests;           /* by id, sent by honest engines */
    bool loses_finalize;               /* no FINALIZE vote arrives */
    bool is_crash_common;              /* crash_in of one node stops all */
    uint64_t restart_ms;               /* when crashed ones come back; UINT64_MAX: by hand */
    const char *broken;                /* first contract violation */
};

static inline void cluster_fail(struct cluster *c, const char *what)
{
    if (c->broken == NULL) {
        c->broken = what;
    }
}

static inline bool cluster_chance(struct cluster *c, uint32_t permille)
{
    return permille > 0 && dsmr_prng_below(&c->prng, 1000) < permille;
}

static inline const struct dsmr_validator_set *cluster_set_at(const struct cluster *c,
                                                              uint64_t height)
{
    uint32_t i = 0;
    while (i + 1 < c->schedule_count && c->schedule[i + 1].from_height <= height) {
        i++;
    }
    return c->schedule[i].set;
}

static inline struct dsmr_block *cluster_tip(const struct cluster_node *node)
{
    return node->chain[node->chain_count - 1].block;
}

/* ---- block layer ---- */

static inline struct dsmr_block *cluster_find(const struct cluster_node *node,
                                              const struct dsmr_id *id)
{
    if (dsmr_id_equal(&cluster_tip(node)->id, id)) {
        return cluster_tip(node);
    }
    for (uint32_t i = 0; i < node->processing_count; i++) {
        if (dsmr_id_equal(&node->processing[i]->id, id)) {
            return node->processing[i];
        }
    }
    return NULL;
}

static inline void cluster_forget(struct cluster_node *node, const struct dsmr_id *id)
{
    for (uint32_t i = 0; i < node->processing_count; i++) {
        if (dsmr_id_equal(&node->processing[i]->id, id)) {
            dsmr_block_unref(node->processing[i]);
            node->processing[i] = node->processing[--node->processing_count];
            return;
        }
    }
}

static inline enum dsmr_err cluster_verify(struct cluster *c, struct cluster_node *node,
                                           struct dsmr_block *block, uint64_t epoch)
{
    const struct dsmr_block *parent = cluster_find(node, &block->parent_id);
    if (parent == NULL) {
        cluster_fail(c, "VERIFY of a block whose parent is not known");
        return DSMR_ERR_UNKNOWN_PARENT;
    }
    if (epoch != cluster_set_at(c, block->height)->epoch) {
        cluster_fail(c, "VERIFY with another epoch than the schedule's");
    }
    if (cluster_chance(c, c->config.not_yet_permille)) {
        return DSMR_ERR_NOT_YET;
    }
    if (block->height != parent->height + 1) {
        return DSMR_ERR_BAD_HEIGHT;
    }
    if (block->epoch != epoch || block->time_ms <= parent->time_ms ||
        block->time_ms % 1000 == WORLD_INVALID_MARK) {
        return DSMR_ERR_BLOCK_TIME;
    }
    if (cluster_find(node, &block->id) == NULL) {
        if (node->processing_count == CLUSTER_PROCESSING_MAX) {
            cluster_fail(c, "more processing blocks than the block layer holds");
            return DSMR_ERR_FULL;
        }
        node->processing[node->processing_count++] = dsmr_block_ref(block);
    }
    return DSMR_OK;
}

static inline void cluster_write(struct cluster *c, uint32_t n, const struct cluster_write *write)
{
    struct cluster_node *node = &c->nodes[n];
    if (node->writes_count == node->writes_capacity) {
        node->writes_capacity = node->writes_capacity > 0 ? 2 * node->writes_capacity : 16;
        node->writes = realloc(node->writes, node->writes_capacity * sizeof(*node->writes));
        assert_non_null(node->writes);
    }
    node->writes[node->writes_count++] = *write;
    uint64_t at = c->now_ms + dsmr_prng_below(&c->prng, c->config.disk_ms + 1u);
    node->disk_free_ms = at > node->disk_free_ms ? at : node->disk_free_ms;
    struct world_ev ev = {.at_ms = node->disk_free_ms,
                          .kind = WORLD_EV_WRITTEN,
                          .node = n,
                          .generation = node->generation};
    world_push(&c->queue, &ev);
}

static inline void cluster_accept(struct cluster *c, uint32_t n,
                                  const struct dsmr_bft_effect *effect)
{
    struct cluster_node *node = &c->nodes[n];
    struct dsmr_block *block = effect->u.block.block;
    if (!dsmr_id_equal(&block->parent_id, &cluster_tip(node)->id) ||
        cluster_find(node, &block->id) == NULL) {
        cluster_fail(c, "ACCEPT of a block that was not verified, or out of order");
        return;
    }
    if (node->actor == CLUSTER_HONEST) {
        const struct dsmr_quorum_cert *qc = &effect->u.block.finalization;
        const struct dsmr_validator_set *set = cluster_set_at(c, block->height);
        checker_on_accept(c->checker, block, effect->u.block.has_finalization ? qc : NULL, set);
    }
    if (node->chain_count == node->chain_capacity) {
        node->chain_capacity *= 2;
        node->chain = realloc(node->chain, node->chain_capacity * sizeof(*node->chain));
        assert_non_null(node->chain);
    }
    node->chain[node->chain_count++] = (struct cluster_block){
        .block = dsmr_block_ref(block),
        .has_finalization = effect->u.block.has_finalization,
        .finalization = effect->u.block.finalization,
    };
    cluster_forget(node, &block->id);
    struct cluster_write write = {.kind = CLUSTER_ACCEPT};
    cluster_write(c, n, &write);
}

static inline void cluster_update_wanted(struct cluster *c, uint32_t n)
{
    struct cluster_node *node = &c->nodes[n];
    if (!node->is_up) {
        return;
    }
    const struct dsmr_block *preferred = cluster_find(node, &node->preferred_id);
    if (preferred == NULL) {
        cluster_fail(c, "PREFER names a block that is not known");
        return;
    }
    bool is_wanted = preferred->height < c->demand;
    if (is_wanted != node->was_wanted) {
        node->was_wanted = is_wanted;
        struct world_ev ev = {
            .at_ms = c->now_ms, .kind = WORLD_EV_ANSWER, .node = n, .generation = node->generation};
        ev.answer.kind = DSMR_BFT_EV_WANTED;
        ev.answer.u.wanted = is_wanted;
        world_push(&c->queue, &ev);
    }
}

static inline struct dsmr_block *cluster_build(struct cluster *c, struct cluster_node *node,
                                               const struct dsmr_bft_effect *effect,
                                               enum dsmr_err *err)
{
    const struct dsmr_block *parent = cluster_find(node, &effect->u.block.parent_id);
    if (parent == NULL) {
        cluster_fail(c, "BUILD on a block that is not known");
        *err = DSMR_ERR_UNKNOWN_PARENT;
        return NULL;
    }
    *err = parent->height >= c->demand                     ? DSMR_ERR_NOTHING_TO_BUILD
           : cluster_chance(c, c->config.not_yet_permille) ? DSMR_ERR_NOT_YET
                                                           : DSMR_OK;
    if (*err != DSMR_OK) {
        return NULL;
    }
    uint64_t time_ms = parent->time_ms + 1 + dsmr_prng_below(&c->prng, 100000);
    bool is_bad = node->actor == CLUSTER_LIAR && cluster_chance(c, 300);
    time_ms += is_bad                                 ? 1000 + WORLD_INVALID_MARK - time_ms % 1000
               : time_ms % 1000 == WORLD_INVALID_MARK ? 1
                                                      : 0;
    return world_block(parent, effect->u.block.epoch, time_ms);
}

/* ---- disk ---- */

static inline void cluster_put(struct cluster_node *node, const struct cluster_record *record)
{
    uint32_t at = 0;
    while (at < node->records_count &&
           memcmp(node->records[at].key, record->key, sizeof(record->key)) < 0) {
        at++;
    }
    if (at < node->records_count &&
        memcmp(node->records[at].key, record->key, sizeof(record->key)) == 0) {
        dsmr_buf_unref(node->records[at].value);
        node->records[at].value = dsmr_buf_ref(record->value);
        return;
    }
    if (node->records_count == node->records_capacity) {
        node->records_capacity = node->records_capacity > 0 ? 2 * node->records_capacity : 32;
        node->records = realloc(node->records, node->records_capacity * sizeof(*node->records));
        assert_non_null(node->records);
    }
    memmove(&node->records[at + 1], &node->records[at],
            (node->records_count - at) * sizeof(*node->records));
    node->records[at] = *record;
    dsmr_buf_ref(record->value);
    node->records_count++;
}

static inline void cluster_prune(struct cluster_node *node, const struct cluster_record *below)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < node->records_count; i++) {
        if (memcmp(node->records[i].key, below->key, sizeof(below->key)) < 0) {
            dsmr_buf_unref(node->records[i].value);
        } else {
            node->records[kept++] = node->records[i];
        }
    }
    node->records_count = kept;
    memcpy(node->pruned_key, below->key, sizeof(below->key));
}

/* Makes the oldest waiting write durable; true with *answer if somebody waits for it. */
static inline bool cluster_written(struct cluster_node *node, struct dsmr_bft_event *answer)
{
    struct cluster_write write = node->writes[0];
    memmove(&node->writes[0], &node->writes[1], (node->writes_count - 1) * sizeof(write));
    node->writes_count--;
    switch (write.kind) {
    case CLUSTER_PUT:
        cluster_put(node, &write.record);
        dsmr_buf_unref(write.record.value);
        break;
    case CLUSTER_PRUNE:
        cluster_prune(node, &write.record);
        break;
    case CLUSTER_ACCEPT:
        node->durable_count++;
        break;
    }
    *answer = (struct dsmr_bft_event){.kind = DSMR_BFT_EV_STORED, .request_id = write.request_id};
    return write.kind == CLUSTER_PUT;
}

/* Whether the vote's record is durable, or was before it became useless. */
static inline bool cluster_is_journaled(const struct cluster_node *node,
                                        const struct dsmr_vote_subject *subject)
{
    uint8_t key[64] = {0};
    dsmr_store_be64(key, subject->epoch);
    dsmr_store_be64(key + 8, subject->view);
    key[16] = subject->kind;
    for (uint32_t i = 0; i < node->records_count; i++) {
        if (memcmp(node->records[i].key, key, sizeof(key)) == 0) {
            return true;
        }
    }
    return memcmp(key, node->pruned_key, sizeof(key)) < 0;
}

/* ---- network ---- */

static inline void cluster_deliver(struct cluster *c, uint32_t from, uint32_t to_identity,
                                   struct dsmr_buf *bytes)
{
    if (c->group[from] != c->group[to_identity] || from == to_identity) {
        return;
    }
    for (uint32_t n = 0; n < c->count; n++) { /* twins both hear what is said to their identity */
        uint32_t copies = cluster_chance(c, c->config.loss_permille)  ? 0
                          : cluster_chance(c, c->config.dup_permille) ? 2
                                                                      : 1;
        for (; c->nodes[n].identity == to_identity && copies > 0; copies--) {
            struct world_ev ev = {
                .at_ms = c->now_ms + 1 + dsmr_prng_below(&c->prng, c->config.delay_ms),
                .kind = WORLD_EV_MESSAGE,
                .node = n,
                .generation = c->nodes[n].generation,
                .from = from,
                .bytes = dsmr_buf_ref(bytes),
            };
            world_push(&c->queue, &ev);
        }
    }
}

/* What a liar makes of its own message for one receiver. Caller unrefs. */
static inline struct dsmr_buf *cluster_lie(struct cluster *c, struct cluster_node *node,
                                           struct dsmr_buf *bytes)
{
    struct dsmr_msg msg;
    struct dsmr_block *block = NULL;
    assert_int_equal(dsmr_msg_decode(&msg, bytes->bytes, bytes->len), DSMR_OK);
    uint64_t dice = dsmr_prng_below(&c->prng, 8);
    if (dice < 3) {
        return dsmr_buf_ref(bytes);
    }
    if (msg.type == DSMR_MSG_BFT_POSITION) {
        static const uint64_t lies[] = {0, 1, 2, 7, UINT64_MAX / 2, UINT64_MAX};
        msg.u.position.view = lies[dsmr_prng_below(&c->prng, 6)];
        msg.u.position.height = lies[dsmr_prng_below(&c->prng, 6)];
        msg.u.position.votes_from = lies[dsmr_prng_below(&c->prng, 6)];
        msg.u.position.heard_view = lies[dsmr_prng_below(&c->prng, 6)];
    } else if (msg.type == DSMR_MSG_BFT_VOTE) {
        struct dsmr_vote_subject *subject = &msg.u.vote.subject;
        if (dice == 3) {
            subject->kind = DSMR_VOTE_NULLIFY;
            subject->height = 0;
            memset(&subject->block_id, 0, sizeof(subject->block_id));
        } else if (dice == 4 && subject->kind != DSMR_VOTE_NULLIFY) {
            subject->kind = (uint8_t)(DSMR_VOTE_NOTARIZE + DSMR_VOTE_FINALIZE - subject->kind);
        } else if (dice == 5 && subject->kind != DSMR_VOTE_NULLIFY) {
            subject->block_id.bytes[3] ^= 1;
        } else {
            subject->view += dsmr_prng_below(&c->prng, 40);
        }
        world_sign(&msg.u.vote.sig, node->identity, subject);
        msg.u.vote.sig.bytes[0] ^= dice == 7 ? 1 : 0;
    } else if (msg.type == DSMR_MSG_BFT_PROPOSAL) {
        if (msg.u.proposal.block_len > 0 && dice < 6) {
            struct dsmr_block parent = {.id = msg.u.proposal.parent_id};
            struct dsmr_block *own = NULL;
            struct dsmr_buf *copy = dsmr_buf_copy(msg.u.proposal.block, msg.u.proposal.block_len);
            assert_int_equal(dsmr_block_decode(&own, &c->params, copy, copy->bytes, copy->len),
                             DSMR_OK);
            parent.height = own->height - 1;
            block = world_block(&parent, own->epoch, own->time_ms + 1000 * dice);
            dsmr_block_unref(own);
            dsmr_buf_unref(copy);
            msg.u.proposal.block_id = block->id;
            msg.u.proposal.block = block->bytes->bytes;
            msg.u.proposal.block_len = block->bytes->len;
        } else if (dice == 6 && msg.u.proposal.parent_view > 0) {
            msg.u.proposal.parent_view--;
        } else {
            msg.u.proposal.parent_view = msg.u.proposal.view - 1;
        }
    } else if (msg.type == DSMR_MSG_BFT_QUORUM_CERT) {
        msg.u.quorum_cert.subject.view += dsmr_prng_below(&c->prng, 3);
        msg.u.quorum_cert.signers.words[0] ^= dice < 6 ? 0 : 1;
    }
    struct dsmr_buf *lie = dsmr_msg_encode(&msg, true);
    dsmr_block_unref(block);
    return lie;
}

static inline void cluster_check_sent(struct cluster *c, struct cluster_node *node,
                                      const struct dsmr_buf *bytes)
{
    struct dsmr_msg msg;
    assert_int_equal(dsmr_msg_decode(&msg, bytes->bytes, bytes->len), DSMR_OK);
    c->sent++;
    c->proposals += msg.type == DSMR_MSG_BFT_PROPOSAL ? 1 : 0;
    c->block_requests += msg.type == DSMR_MSG_BFT_REQUEST_BLOCK ? 1 : 0;
    if (msg.type == DSMR_MSG_BFT_VOTE) {
        checker_on_vote(c->checker, node->identity, &msg.u.vote.subject);
        if (!cluster_is_journaled(node, &msg.u.vote.subject)) {
            checker_fail(c->checker, "a vote left before its record was durable");
        }
    }
}

static inline void cluster_send(struct cluster *c, uint32_t n, const struct dsmr_bft_effect *effect)
{
    struct cluster_node *node = &c->nodes[n];
    struct dsmr_buf *bytes = world_bytes_of(effect);
    if (node->actor == CLUSTER_HONEST) {
        cluster_check_sent(c, node, bytes);
    }
    const struct dsmr_validator_set *set = effect->u.send.set;
    uint32_t count = effect->kind == DSMR_BFT_FX_SEND ? 1 : set->count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t to =
            world_node_of(effect->kind == DSMR_BFT_FX_SEND ? &effect->u.send.to
                                                           : &set->validators[i].node_ids[0]);
        struct dsmr_buf *said =
            node->actor == CLUSTER_LIAR ? cluster_lie(c, node, bytes) : dsmr_buf_ref(bytes);
        cluster_deliver(c, node->identity, to, said);
        dsmr_buf_unref(said);
    }
    dsmr_buf_unref(bytes);
}

static inline void cluster_serve_blocks(struct cluster *c, uint32_t n, uint32_t to, uint64_t from)
{
    struct cluster_node *node = &c->nodes[n];
    uint32_t fit = c->config.batch_blocks_max > 0 ? c->config.batch_blocks_max
                                                  : DSMR_BFT_BATCH_BLOCKS_MAX / 4; /* several */
    uint64_t end = from + fit, last = 0;
    size_t len = 0, at = 0;
    for (uint64_t h = from; h < node->chain_count && h < end; h++) {
        last = node->chain[h].has_finalization ? h : last;
    }
    if (last < from) { /* the last ones of the gap */
        for (last = end; last < node->chain_count && !node->chain[last].has_finalization;) {
            last++;
        }
        if (last >= node->chain_count) {
            return;
        }
        from = last + 1 - fit;
    }
    for (uint64_t h = from; h <= last; h++) {
        len += 4u + node->chain[h].block->bytes->len;
    }
    uint8_t *blocks = malloc(len);
    assert_non_null(blocks);
    for (uint64_t h = from; h <= last; h++) {
        const struct dsmr_buf *block = node->chain[h].block->bytes;
        dsmr_store_be32(blocks + at, block->len);
        memcpy(blocks + at + 4, block->bytes, block->len);
        at += 4u + block->len;
    }
    struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCKS};
    msg.u.blocks.count = (uint32_t)(last - from + 1);
    msg.u.blocks.blocks = blocks;
    msg.u.blocks.blocks_len = (uint32_t)len;
    msg.u.blocks.finalization = node->chain[last].finalization;
    struct dsmr_buf *bytes = dsmr_msg_encode(&msg, true);
    cluster_deliver(c, node->identity, to, bytes);
    dsmr_buf_unref(bytes);
    free(blocks);
}

static inline void cluster_serve_block(struct cluster *c, uint32_t n,
                                       const struct dsmr_bft_effect *effect)
{
    struct cluster_node *node = &c->nodes[n];
    for (uint32_t h = 0; h < node->chain_count; h++) {
        const struct dsmr_block *block = node->chain[h].block;
        if (dsmr_id_equal(&block->id, &effect->u.block.parent_id)) {
            struct dsmr_msg msg = {.type = DSMR_MSG_BFT_BLOCK};
            msg.u.block.block = block->bytes->bytes;
            msg.u.block.block_len = block->bytes->len;
            struct dsmr_buf *bytes = dsmr_msg_encode(&msg, true);
            cluster_deliver(c, node->identity, world_node_of(&effect->u.block.peer), bytes);
            dsmr_buf_unref(bytes);
            return;
        }
    }
}

/* ---- effects ---- */

static inline void cluster_answer(struct cluster *c, uint32_t n, uint64_t request_id,
                                  const struct dsmr_bft_event *answer, struct dsmr_block *block)
{
    struct world_ev ev = {.at_ms = c->now_ms + dsmr_prng_below(&c->prng, 4),
                          .kind = WORLD_EV_ANSWER,
                          .node = n,
                          .generation = c->nodes[n].generation,
                          .block = block,
                          .answer = *answer};
    ev.answer.request_id = request_id;
    world_push(&c->queue, &ev);
}

static inline void cluster_do(struct cluster *c, uint32_t n, const struct dsmr_bft_effect *effect)
{
    struct cluster_node *node = &c->nodes[n];
    struct dsmr_bft_event answer = {.kind = DSMR_BFT_EV_TICK};
    struct dsmr_block *block = NULL;
    switch (effect->kind) {
    case DSMR_BFT_FX_SEND:
    case DSMR_BFT_FX_BROADCAST:
        cluster_send(c, n, effect);
        return;
    case DSMR_BFT_FX_SIGN:
        answer.kind = DSMR_BFT_EV_SIGNED;
        world_sign(&answer.u.sig, node->identity, &effect->u.sign);
        break;
    case DSMR_BFT_FX_AGGREGATE:
        world_aggregate(&answer, effect);
        break;
    case DSMR_BFT_FX_CHECK_QC:
        answer.kind = DSMR_BFT_EV_CHECKED;
        answer.err = world_cert_verifies(&effect->u.check.qc) ? DSMR_OK : DSMR_ERR_BAD_VOTE;
        break;
    case DSMR_BFT_FX_STORE:
    case DSMR_BFT_FX_PRUNE: {
        struct cluster_write write = {.kind = effect->kind == DSMR_BFT_FX_STORE ? CLUSTER_PUT
                                                                                : CLUSTER_PRUNE,
                                      .request_id = effect->request_id,
                                      .record = {.key_len = effect->u.store.key_len,
                                                 .value = dsmr_buf_ref(effect->u.store.value)}};
        memcpy(write.record.key, effect->u.store.key, effect->u.store.key_len);
        cluster_write(c, n, &write);
        return;
    }
    case DSMR_BFT_FX_BUILD:
        answer.kind = DSMR_BFT_EV_BUILT;
        block = cluster_build(c, node, effect, &answer.err);
        break;
    case DSMR_BFT_FX_VERIFY:
        answer.kind = DSMR_BFT_EV_VERDICT;
        answer.err = cluster_verify(c, node, effect->u.block.block, effect->u.block.epoch);
        break;
    case DSMR_BFT_FX_ACCEPT:
        cluster_accept(c, n, effect);
        return;
    case DSMR_BFT_FX_REJECT:
        node->rejects++;
        if (cluster_find(node, &effect->u.block.block->id) == NULL ||
            dsmr_id_equal(&effect->u.block.block->id, &cluster_tip(node)->id)) {
            cluster_fail(c, "REJECT of a block that is not processing");
        }
        cluster_forget(node, &effect->u.block.block->id);
        return;
    case DSMR_BFT_FX_PREFER:
        node->preferred_id = effect->u.block.parent_id;
        return;
    case DSMR_BFT_FX_SERVE_BLOCKS:
        cluster_serve_blocks(c, n, world_node_of(&effect->u.serve.peer),
                             effect->u.serve.from_height);
        return;
    case DSMR_BFT_FX_SERVE_BLOCK:
        cluster_serve_block(c, n, effect);
        return;
    case DSMR_BFT_FX_FAULT:
        node->faults++;
        if (node->actor == CLUSTER_HONEST) {
            for (uint32_t i = 0; i < c->count; i++) {
                if (c->nodes[i].actor == CLUSTER_HONEST &&
                    dsmr_node_id_equal(&c->nodes[i].id, &effect->u.fault.peer)) {
                    cluster_fail(c, "an honest node was called faulty");
                }
            }
        }
        return;
    case DSMR_BFT_FX_TRACE:
        c->timeouts += effect->u.trace.what == DSMR_BFT_TRACE_TIMEOUT ? 1 : 0;
        c->skipped += effect->u.trace.what == DSMR_BFT_TRACE_SKIPPED ? 1 : 0;
        return;
    }
    cluster_answer(c, n, effect->request_id, &answer, block);
}

static inline void cluster_crash(struct cluster *c, uint32_t n);

static inline void cluster_step(struct cluster *c, uint32_t n, struct dsmr_bft_event *event)
{
    struct cluster_node *node = &c->nodes[n];
    uint32_t generation = node->generation;
    event->mono_ms = c->now_ms;
    dsmr_bft_step(node->bft, &node->effects, event);
    node->deadline_ms = dsmr_bft_deadline_ms(node->bft);
    dsmr_bft_check(node->bft);
    for (uint32_t i = 0; i < node->effects.count && node->generation == generation; i++) {
        if (node->crash_in == 0) {
            node->crash_in = UINT64_MAX;
            for (uint32_t other = 0; other < c->count; other++) {
                if (other == n || (c->is_crash_common && c->nodes[other].is_up)) {
                    cluster_crash(c, other);
                }
            }
            return;
        }
        node->crash_in -= node->crash_in != UINT64_MAX ? 1 : 0;
        node->effects_done++;
        cluster_do(c, n, &node->effects.items[i]);
    }
    dsmr_bft_effects_clear(&node->effects);
    cluster_update_wanted(c, n);
}

/* ---- processes ---- */

static inline void cluster_peer_event(struct cluster *c, uint32_t n, uint32_t identity, bool is_up)
{
    struct dsmr_bft_event event = {.kind = DSMR_BFT_EV_PEER};
    event.u.peer.node_id = world_node_id(identity);
    event.u.peer.is_up = is_up;
    cluster_step(c, n, &event);
}

static inline void cluster_stop_process(struct cluster_node *node)
{
    dsmr_bft_free(node->bft);
    node->bft = NULL;
    dsmr_bft_effects_clear(&node->effects);
    for (uint32_t i = 0; i < node->processing_count; i++) {
        dsmr_block_unref(node->processing[i]);
    }
    node->processing_count = 0;
    node->is_up = false;
    node->generation++;
}

static inline bool cluster_is_there(const struct cluster *c, uint32_t identity)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->nodes[i].identity == identity && c->nodes[i].is_up) {
            return true;
        }
    }
    return false;
}

/* The kernel of a process that has ended closes its connections. */
static inline void cluster_tell_gone(struct cluster *c, uint32_t identity)
{
    for (uint32_t i = 0; i < c->count && !cluster_is_there(c, identity); i++) {
        struct world_ev ev = {.at_ms = c->now_ms + 1,
                              .kind = WORLD_EV_GONE,
                              .node = i,
                              .generation = c->nodes[i].generation,
                              .from = identity};
        if (c->nodes[i].is_up) {
            world_push(&c->queue, &ev);
        }
    }
}

/* The process ends where it is; what waits for the disk is durable up to some point. */
static inline void cluster_crash(struct cluster *c, uint32_t n)
{
    struct cluster_node *node = &c->nodes[n];
    if (!node->is_up) {
        return;
    }
    cluster_stop_process(node);
    cluster_tell_gone(c, node->identity);
    uint64_t durable = dsmr_prng_below(&c->prng, node->writes_count + 1u);
    struct dsmr_bft_event ignored;
    for (uint64_t i = 0; i < durable; i++) {
        (void)cluster_written(node, &ignored);
    }
    for (uint32_t i = 0; i < node->writes_count; i++) {
        dsmr_buf_unref(node->writes[i].record.value);
    }
    node->writes_count = 0;
    while (node->chain_count > node->durable_count) {
        dsmr_block_unref(node->chain[--node->chain_count].block);
    }
    if (c->restart_ms != UINT64_MAX) {
        struct world_ev ev = {.at_ms = c->now_ms + c->restart_ms,
                              .kind = WORLD_EV_RESTART,
                              .node = n,
                              .generation = node->generation};
        world_push(&c->queue, &ev);
    }
}

/* The machine burns down; the key is elsewhere. It starts again by hand. */
static inline void cluster_wipe(struct cluster *c, uint32_t n)
{
    struct cluster_node *node = &c->nodes[n];
    cluster_crash(c, n);
    node->generation++; /* a restart that was planned does not happen */
    for (uint32_t i = 0; i < node->records_count; i++) {
        dsmr_buf_unref(node->records[i].value);
    }
    node->records_count = 0;
    while (node->chain_count > 1) {
        dsmr_block_unref(node->chain[--node->chain_count].block);
    }
    node->durable_count = 1;
    memset(node->pruned_key, 0, sizeof(node->pruned_key));
}

static inline void cluster_start(struct cluster *c, uint32_t n)
{
    struct cluster_node *node = &c->nodes[n];
    const struct cluster_block *last = &node->chain[node->chain_count - 1];
    if (node->is_up || node->actor == CLUSTER_DEAD) {
        return;
    }
    struct dsmr_bft_config config = {
        .params = c->params,
        .node_id = node->id,
        .schedule = c->schedule,
        .schedule_count = c->schedule_count,
        .view_timeout_ms = c->config.view_timeout_ms,
        .view_timeout_max_ms = 16 * c->config.view_timeout_ms,
        .retry_ms = c->config.view_timeout_ms / 4 + 1,
        .seed = c->config.seed + n + 1000u * node->generation,
        .last_accepted = last->block,
        .finalization = last->has_finalization ? &last->finalization : NULL,
    };
    node->bft = dsmr_bft_new(&config);
    assert_non_null(node->bft);
    for (uint32_t i = 0; i < node->records_count; i++) {
        const struct cluster_record *record = &node->records[i];
        assert_int_equal(dsmr_bft_restore(node->bft, record->key, record->key_len,
                                          record->value->bytes, record->value->len),
                         DSMR_OK);
    }
    node->is_up = true;
    node->was_wanted = false;
    node->preferred_id = last->block->id;
    uint32_t generation = node->generation;
    struct dsmr_bft_event start = {.kind = DSMR_BFT_EV_START};
    cluster_step(c, n, &start);
    for (uint32_t i = 0; i < c->count && node->generation == generation; i++) {
        if (i != n && c->nodes[i].is_up && c->nodes[i].identity != node->identity) {
            cluster_peer_event(c, n, c->nodes[i].identity, true);
            if (c->nodes[i].is_up) {
                cluster_peer_event(c, i, node->identity, true);
            }
        }
    }
}

/* ---- life ---- */

static inline void cluster_handle(struct cluster *c, struct world_ev *ev)
{
    struct cluster_node *node = &c->nodes[ev->node];
    if (ev->generation != node->generation) {
        return;
    }
    if (ev->kind == WORLD_EV_RESTART && !node->is_away) {
        cluster_start(c, ev->node);
    }
    if (ev->kind == WORLD_EV_RESTART || !node->is_up) {
        return;
    }
    if (ev->kind == WORLD_EV_GONE) {
        if (!cluster_is_there(c, ev->from)) { /* else it is back already */
            cluster_peer_event(c, ev->node, ev->from, false);
        }
        return;
    }
    struct dsmr_msg msg;
    struct dsmr_bft_event event = ev->answer;
    switch (ev->kind) {
    case WORLD_EV_MESSAGE:
        if (dsmr_msg_decode(&msg, ev->bytes->bytes, ev->bytes->len) != DSMR_OK) {
            return;
        }
        if (c->loses_finalize && msg.type == DSMR_MSG_BFT_VOTE &&
            msg.u.vote.subject.kind == DSMR_VOTE_FINALIZE) {
            return;
        }
        c->messages++;
        event = (struct dsmr_bft_event){.kind = DSMR_BFT_EV_MESSAGE};
        event.u.message.from = world_node_id(ev->from);
        event.u.message.msg = &msg;
        event.u.message.bytes = ev->bytes;
        break;
    case WORLD_EV_WRITTEN:
        if (!cluster_written(node, &event)) {
            return;
        }
        break;
    case WORLD_EV_ANSWER:
        if (event.kind == DSMR_BFT_EV_BUILT) {
            event.u.built = ev->block;
        }
        break;
    case WORLD_EV_RESTART:
    case WORLD_EV_GONE:
        return;
    }
    cluster_step(c, ev->node, &event);
}

static inline uint64_t cluster_next_deadline(const struct cluster *c, uint32_t *node)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t n = 0; n < c->count; n++) {
        uint64_t of = c->nodes[n].is_up ? c->nodes[n].deadline_ms : UINT64_MAX;
        if (of < at) {
            at = of;
            *node = n;
        }
    }
    return at;
}

/* One event or timer, unless the next lies beyond until_ms. False: nothing (more) to do. */
static inline bool cluster_once(struct cluster *c, uint64_t until_ms)
{
    uint32_t n = 0;
    uint64_t deadline = cluster_next_deadline(c, &n);
    uint64_t queued = c->queue.count > 0 ? c->queue.items[0]->at_ms : UINT64_MAX;
    if ((queued == UINT64_MAX && deadline == UINT64_MAX) ||
        (queued > until_ms && deadline > until_ms) || c->broken != NULL ||
        c->checker->violation != NULL) {
        return false;
    }
    if (queued <= deadline) {
        struct world_ev *ev = world_pop(&c->queue);
        c->now_ms = ev->at_ms > c->now_ms ? ev->at_ms : c->now_ms;
        cluster_handle(c, ev);
        world_ev_free(ev);
        return true;
    }
    c->now_ms = deadline > c->now_ms ? deadline : c->now_ms;
    struct dsmr_bft_event tick = {.kind = DSMR_BFT_EV_TICK};
    uint32_t generation = c->nodes[n].generation;
    cluster_step(c, n, &tick);
    if (c->nodes[n].generation == generation &&
        dsmr_bft_deadline_ms(c->nodes[n].bft) <= c->now_ms) {
        cluster_fail(c, "a deadline that a TICK does not move: a busy loop");
    }
    return true;
}

/* Lowest accepted height of the honest nodes that are up. */
static inline uint64_t cluster_height(const struct cluster *c)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t n = 0; n < c->count; n++) {
        const struct cluster_node *node = &c->nodes[n];
        if (node->actor == CLUSTER_HONEST && !node->is_away) {
            uint64_t height = node->is_up ? cluster_tip(node)->height : 0;
            lowest = height < lowest ? height : lowest;
        }
    }
    return lowest;
}

static inline void cluster_run(struct cluster *c, uint64_t duration_ms)
{
    uint64_t until_ms = c->now_ms + duration_ms;
    while (cluster_once(c, until_ms)) {
    }
    c->now_ms = c->now_ms > until_ms || c->broken != NULL ? c->now_ms : until_ms;
}

/* The block layer was told of every block that will never be. */
static inline bool cluster_is_tidy(const struct cluster *c)
{
    for (uint32_t n = 0; n < c->count; n++) {
        const struct cluster_node *node = &c->nodes[n];
        for (uint32_t i = 0; node->actor == CLUSTER_HONEST && i < node->processing_count; i++) {
            if (node->processing[i]->height <= cluster_tip(node)->height) {
                return false;
            }
        }
    }
    return true;
}

/* Until all honest nodes have accepted height; false if that takes longer. */
static inline bool cluster_run_to(struct cluster *c, uint64_t height, uint64_t patience_ms)
{
    uint64_t until_ms = c->now_ms + patience_ms;
    while (cluster_height(c) < height && cluster_once(c, until_ms)) {
    }
    return cluster_height(c) >= height;
}

/* True if nothing is under way or planned within patience_ms: no message, no timer. */
static inline bool cluster_run_to_rest(struct cluster *c, uint64_t patience_ms)
{
    uint64_t until_ms = c->now_ms + patience_ms;
    uint32_t n = 0;
    while (cluster_once(c, until_ms)) {
    }
    return c->queue.count == 0 && cluster_next_deadline(c, &n) == UINT64_MAX;
}

static inline void cluster_demand(struct cluster *c, uint64_t height)
{
    c->demand = height;
    for (uint32_t n = 0; n < c->count; n++) {
        cluster_update_wanted(c, n);
    }
}

/* ---- making and unmaking ---- */

static inline void cluster_add(struct cluster *c, uint32_t identity, enum cluster_actor actor)
{
    struct cluster_node *node = &c->nodes[c->count++];
    node->identity = identity;
    node->id = world_node_id(identity);
    node->actor = actor;
    node->crash_in = UINT64_MAX;
    node->chain_capacity = 16;
    node->chain = calloc(node->chain_capacity, sizeof(*node->chain));
    assert_non_null(node->chain);
    node->chain[0].block = dsmr_block_ref(c->genesis);
    node->chain_count = 1;
    node->durable_count = 1;
    assert_int_equal(dsmr_bft_effects_init(&node->effects), DSMR_OK);
}

/* One set of nodes_count equal validators; others can be appended to schedule before starting. */
static inline struct cluster *cluster_new(const struct cluster_config *config)
{
    struct cluster *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->config = *config;
    c->params = world_params();
    dsmr_prng_init(&c->prng, config->seed);
    c->checker = calloc(1, sizeof(*c->checker));
    assert_non_null(c->checker);
    c->genesis = world_genesis();
    c->restart_ms = UINT64_MAX;
    uint32_t nodes[CLUSTER_NODES_MAX];
    for (uint32_t i = 0; i < config->nodes_count; i++) {
        nodes[i] = i;
    }
    c->schedule[0].set = world_set(0, nodes, NULL, config->nodes_count);
    c->schedule_count = 1;
    return c;
}

static inline void cluster_schedule(struct cluster *c, uint64_t from_height, const uint32_t *nodes,
                                    uint32_t count)
{
    struct dsmr_bft_schedule_entry *entry = &c->schedule[c->schedule_count++];
    entry->from_height = from_height;
    entry->set = world_set(from_height, nodes, NULL, count);
}

/* actors: by identity; NULL: all honest. */
static inline void cluster_start_all(struct cluster *c, const enum cluster_actor *actors)
{
    for (uint32_t i = 0; i < c->config.nodes_count; i++) {
        cluster_add(c, i, actors != NULL ? actors[i] : CLUSTER_HONEST);
        if (actors != NULL && actors[i] == CLUSTER_TWIN) {
            cluster_add(c, i, CLUSTER_TWIN);
        }
    }
    for (uint32_t n = 0; n < c->count; n++) {
        cluster_start(c, n);
    }
}

static inline void cluster_free(struct cluster *c)
{
    for (uint32_t n = 0; n < c->count; n++) {
        struct cluster_node *node = &c->nodes[n];
        cluster_stop_process(node);
        dsmr_bft_effects_close(&node->effects);
        for (uint32_t i = 0; i < node->records_count; i++) {
            dsmr_buf_unref(node->records[i].value);
        }
        for (uint32_t i = 0; i < node->writes_count; i++) {
            dsmr_buf_unref(node->writes[i].record.value);
        }
        for (uint32_t i = 0; i < node->chain_count; i++) {
            dsmr_block_unref(node->chain[i].block);
        }
        free(node->records);
        free(node->writes);
        free(node->chain);
    }
    while (c->queue.count > 0) {
        world_ev_free(world_pop(&c->queue));
    }
    free(c->queue.items);
    for (uint32_t i = 0; i < c->schedule_count; i++) {
        dsmr_validator_set_unref(c->schedule[i].set);
    }
    dsmr_block_unref(c->genesis);
    free(c->checker->said);
    free(c->checker);
    free(c);
}

/* The end of each test: nothing broken, everyone at height, then rest. */
#define cluster_assert(c, condition)                                                               \
    do {                                                                                           \
        if ((c)->broken != NULL || (c)->checker->violation != NULL || !(condition)) {              \
            fail_msg("seed %llu at %llu ms, height %llu: %s%s%s",                                  \
                     (unsigned long long)(c)->config.seed, (unsigned long long)(c)->now_ms,        \
                     (unsigned long long)cluster_height(c),                                        \
                     (c)->broken != NULL ? (c)->broken : "",                                       \
                     (c)->checker->violation != NULL ? (c)->checker->violation : "",               \
                     (condition) ? "" : " not " #condition);                                       \
        }                                                                                          \
    } while (0)

#endif
