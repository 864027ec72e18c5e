/* bft_cluster_node.h - what a cluster of bft_cluster.h is made of: its nodes, their block layers
 * and their disks.
 *
 * The disk makes writes durable in order after a delay; a crash keeps a prefix of what waits. The
 * block layer wants blocks up to the height cluster.demand, checks that the engine keeps its side
 * of the contract (parents first, accepts in order), and now and then says "not yet". */
#ifndef TEST_UNIT_BFT_CLUSTER_NODE_H
#define TEST_UNIT_BFT_CLUSTER_NODE_H

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
    bool knows_behind;  /* who is behind wants and builds nothing (protocol.md, 12.5) */
    uint32_t verify_ms; /* a VERIFY takes so long */
    const char *broken; /* first contract violation */
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

/* More than a third of the others are more than 16 blocks ahead. */
static inline bool cluster_is_behind(const struct cluster *c, const struct cluster_node *node)
{
    uint32_t ahead = 0;
    for (uint32_t n = 0; n < c->count; n++) {
        ahead +=
            c->nodes[n].is_up && cluster_tip(&c->nodes[n])->height > cluster_tip(node)->height + 16;
    }
    return c->knows_behind && 3 * ahead > c->count;
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
    bool is_wanted = preferred->height < c->demand && !cluster_is_behind(c, node);
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
           : cluster_is_behind(c, node)                    ? DSMR_ERR_BEHIND
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

#endif
