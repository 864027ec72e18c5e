/* check_limits.c - memory, disk and queues of honest nodes: mempool, what a producer has pending,
 * backlog, work on its way, messages; what may leave the disk leaves it (docs/protocol.md, 6.5,
 * 11.1, 11.3, 11.4, 13.3, 13.4; docs/bft.md, rule 12). */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

#define CHUNK_BYTES_MIN 4096u                /* 6.5: a chunk counts as at least this */
#define TICKS 10u                            /* looks at a node's queues once a second */
#define GARBAGE_US (20 * DSMR_SIM_SECOND_US) /* in which what may go has gone, ... */
#define GARBAGE_LOOKS 3u /* ... unless the chain stood still: each look is upon an accept */
#define BEHIND_BLOCKS 16u
#define JOURNAL_MS 20000u
#define OUTSTANDING_MAX 16384u
#define HELD_BLOCKS_MAX 128u /* accepted and not executed, in memory */
#define EVIDENCE_MAX 1024u
#define OWN_CHUNKS_MAX 128u
#define EXPIRY_US (3 * DSMR_SIM_SECOND_US)  /* after a start, until what has expired is let go */
#define SIGNING_US (3 * DSMR_SIM_SECOND_US) /* from a decision to sign until it is on the disk */
#define RECORDS_MAX 4096u                   /* of the engine's journal, at the end */

struct held { /* a chunk on a node's disk */
    struct dsmr_reference ref;
    uint64_t height, time_ms; /* of the block that has it; height 0: none */
    uint64_t accepted_ms;     /* what the node's clock said then */
    bool is_pending;
    uint64_t garbage_us; /* since when it may go; 0: it may not */
    uint32_t looks;      /* that found it since then */
};
struct included {
    uint64_t height, time_ms, accepted_ms;
};
struct pending {
    uint64_t bytes;
};
struct slot_key {
    struct dsmr_node_id producer;
    uint8_t slot[8];
};
struct node {
    struct dsmr_sim_table *held;     /* chunk id -> struct held */
    struct dsmr_sim_table *included; /* chunk id -> struct included */
    struct dsmr_sim_table *pending;  /* producer -> struct pending */
    struct dsmr_sim_table *journal;  /* struct slot_key -> expiry */
    struct dsmr_sim_table *records;  /* 17 bytes: of the engine's journal */
    uint64_t height, time_ms, executed;
    uint64_t accepted_ms; /* latest of all: blocks let go in order, also behind a wrong clock */
    uint64_t looked_us;   /* at its disk */
    uint64_t over_us;     /* since when nothing ran and the backlog is over its limit; 0: not so */
    uint64_t started_ms;  /* chain time at the latest start */
    uint64_t before_ms;   /* chain time at the look before: the chain may have stood still since */
};
struct limits {
    struct node *nodes;
    uint32_t count;
    uint32_t ticks;
};

static void open_node(struct node *node)
{
    *node = (struct node){
        .held = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct held)),
        .included = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct included)),
        .pending = dsmr_sim_table_new(sizeof(struct dsmr_node_id), sizeof(struct pending)),
        .journal = dsmr_sim_table_new(sizeof(struct slot_key), sizeof(uint64_t)),
        .records = dsmr_sim_table_new(17, 0)};
}

static void close_node(struct node *node)
{
    dsmr_sim_table_free(node->held);
    dsmr_sim_table_free(node->included);
    dsmr_sim_table_free(node->pending);
    dsmr_sim_table_free(node->journal);
    dsmr_sim_table_free(node->records);
}

static void *make(struct dsmr_sim *sim)
{
    struct limits *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->count = dsmr_sim_check_nodes(sim);
    self->nodes = calloc(self->count, sizeof(*self->nodes));
    DSMR_ASSERT(self->nodes != NULL);
    for (uint32_t i = 0; i < self->count; i++) {
        open_node(&self->nodes[i]);
    }
    return self;
}

static void free_self(void *ctx)
{
    struct limits *self = ctx;
    for (uint32_t i = 0; i < self->count; i++) {
        close_node(&self->nodes[i]);
    }
    free(self->nodes);
    free(self);
}

/* ---- pending bytes ---- */

static uint64_t quota_bytes(const struct held *held)
{
    return held->ref.chunk_bytes < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : held->ref.chunk_bytes;
}

static void release(struct node *node, struct held *held)
{
    if (held->is_pending) {
        struct pending *pending = dsmr_sim_table_find(node->pending, &held->ref.producer);
        pending->bytes -= quota_bytes(held);
        held->is_pending = false;
    }
}

static void release_expired(struct node *node)
{
    size_t position = 0;
    void *value;
    while (dsmr_sim_table_next(node->held, &position, NULL, &value)) {
        struct held *held = value;
        if (held->ref.expiry_ms < node->time_ms) {
            release(node, held);
        }
    }
}

static void on_chunk(struct dsmr_sim *sim, uint32_t number, struct node *node,
                     const struct dsmr_store_chunk_meta *meta)
{
    const struct dsmr_reference *ref = &meta->ref;
    uint64_t max = dsmr_sim_check_params(sim)->pending_bytes_max;
    bool is_new = false;
    struct held *held = dsmr_sim_table_add(node->held, &ref->chunk_id, &is_new);
    const struct included *block = dsmr_sim_table_find(node->included, &ref->chunk_id);
    if (is_new) {
        *held = (struct held){.ref = *ref};
    }
    if (block != NULL) {
        held->height = block->height;
        held->time_ms = block->time_ms;
        held->accepted_ms = block->accepted_ms;
    }
    if (meta->is_signed) {
        struct slot_key key = {.producer = ref->producer};
        dsmr_store_be64(key.slot, ref->slot);
        *(uint64_t *)dsmr_sim_table_add(node->journal, &key, NULL) = ref->expiry_ms;
    }
    if (!meta->is_signed || held->is_pending || held->height != 0 ||
        ref->expiry_ms < node->time_ms) {
        return;
    }
    if (node->over_us != 0 && dsmr_sim_now_us(sim) > node->over_us + SIGNING_US) {
        dsmr_sim_fail(sim, "6.5",
                      "node %u signs for chunk %s of n%u, and its backlog is over the limit since "
                      "%.3f s",
                      number, dsmr_sim_rules_name(&ref->chunk_id),
                      dsmr_sim_check_number(&ref->producer), (double)node->over_us / 1e6);
    }
    held->is_pending = true;
    struct pending *pending = dsmr_sim_table_add(node->pending, &ref->producer, NULL);
    pending->bytes += quota_bytes(held);
    if (pending->bytes > max) {
        release_expired(node);
    }
    /* A block frees its chunks when it is accepted; a disk may then refuse it and take what came
     * after. The node halts. */
    if (pending->bytes > max && !dsmr_sim_check_has_bad_disk(sim, number)) {
        dsmr_sim_fail(sim, "6.5", "node %u has signed for %llu bytes of n%u, which may have %llu",
                      number, (unsigned long long)pending->bytes,
                      dsmr_sim_check_number(&ref->producer), (unsigned long long)max);
    }
}

/* ---- the disk ---- */

static bool may_go(const struct dsmr_sim *sim, uint32_t number, const struct node *node,
                   const struct held *held)
{
    uint64_t retention_ms = dsmr_sim_check_params(sim)->retention_ms;
    if (held->height == 0) {
        return held->ref.expiry_ms < node->time_ms;
    }
    return retention_ms != UINT64_MAX && held->height <= node->executed &&
           (dsmr_sim_u128)held->time_ms + retention_ms < node->time_ms &&
           (dsmr_sim_u128)held->accepted_ms + retention_ms <= dsmr_sim_check_wall_ms(sim, number);
}

/* Now and then, upon an accept: what may go has some time to do so. */
static void look_at_disk(struct dsmr_sim *sim, uint32_t number, struct node *node)
{
    size_t position = 0;
    const void *id;
    void *value;
    uint64_t now_us = dsmr_sim_now_us(sim);
    uint64_t steady_us = dsmr_sim_check_steady_us(sim, number);
    /* Whose execution is far behind lets go by the time of what it has executed. */
    bool is_far_behind = node->height > node->executed + BEHIND_BLOCKS;
    while (dsmr_sim_table_next(node->held, &position, &id, &value)) {
        struct held *held = value;
        if (is_far_behind || !may_go(sim, number, node, held)) {
            held->garbage_us = 0;
        } else if (held->garbage_us == 0) {
            held->garbage_us = now_us;
            held->looks = 0;
        } else if (++held->looks >= GARBAGE_LOOKS && now_us - held->garbage_us > GARBAGE_US &&
                   steady_us > GARBAGE_US) {
            dsmr_sim_fail(sim, "11.4",
                          "node %u keeps chunk %s of n%u, which might have gone at %.3f s: expiry "
                          "%llu, block %llu, block time %llu, chain time %llu",
                          number, dsmr_sim_rules_name(id),
                          dsmr_sim_check_number(&held->ref.producer),
                          (double)held->garbage_us / 1e6, (unsigned long long)held->ref.expiry_ms,
                          (unsigned long long)held->height, (unsigned long long)held->time_ms,
                          (unsigned long long)node->time_ms);
            return;
        }
    }
}

/* Entries go from the disk a few times in a lifetime, counted from a start: none stays for more
 * than two. */
static void look_at_journal(struct dsmr_sim *sim, uint32_t number, const struct node *node)
{
    size_t position = 0;
    void *value;
    uint64_t lifetime_ms = dsmr_sim_check_params(sim)->chunk_lifetime_ms;
    if (dsmr_sim_check_steady_us(sim, number) < GARBAGE_US) {
        return;
    }
    while (dsmr_sim_table_next(node->journal, &position, NULL, &value)) {
        uint64_t expiry_ms = *(const uint64_t *)value;
        uint64_t from_ms = expiry_ms > node->started_ms ? expiry_ms : node->started_ms;
        if ((dsmr_sim_u128)from_ms + 2 * (dsmr_sim_u128)lifetime_ms + JOURNAL_MS <
            node->before_ms) {
            dsmr_sim_fail(sim, "11.4", "node %u keeps a journal entry of expiry %llu at %llu",
                          number, (unsigned long long)expiry_ms, (unsigned long long)node->time_ms);
            return;
        }
    }
}

static void drop_journal(struct node *node, uint64_t floor_ms)
{
    size_t position = 0, count = 0;
    const void *key;
    void *value;
    struct slot_key *gone = calloc(dsmr_sim_table_count(node->journal) + 1, sizeof(*gone));
    DSMR_ASSERT(gone != NULL);
    while (dsmr_sim_table_next(node->journal, &position, &key, &value)) {
        if (*(const uint64_t *)value < floor_ms) {
            memcpy(&gone[count++], key, sizeof(gone[0]));
        }
    }
    while (count > 0) {
        dsmr_sim_table_remove(node->journal, &gone[--count]);
    }
    free(gone);
}

static void on_accept(struct dsmr_sim *sim, uint32_t number, struct node *node,
                      const struct dsmr_store_write *write)
{
    const struct dsmr_block *block = write->u.accept.block;
    if (block->height <= node->height) {
        return;
    }
    node->height = block->height;
    node->time_ms = block->time_ms;
    if (write->u.accept.wall_ms > node->accepted_ms) {
        node->accepted_ms = write->u.accept.wall_ms;
    }
    for (uint32_t i = 0; i < block->certs_count; i++) {
        const struct dsmr_id *id = &block->certs[i].ref.chunk_id;
        struct included *entry = dsmr_sim_table_add(node->included, id, NULL);
        struct held *held = dsmr_sim_table_find(node->held, id);
        *entry = (struct included){
            .height = block->height, .time_ms = block->time_ms, .accepted_ms = node->accepted_ms};
        if (held != NULL) {
            release(node, held);
            held->height = block->height;
            held->time_ms = block->time_ms;
            held->accepted_ms = node->accepted_ms;
        }
    }
    if (dsmr_sim_now_us(sim) >= node->looked_us + DSMR_SIM_SECOND_US) {
        look_at_disk(sim, number, node);
        look_at_journal(sim, number, node);
        node->looked_us = dsmr_sim_now_us(sim);
        node->before_ms = node->time_ms;
    }
}

/* What old blocks have let go is not listed: the disk tells. */
static void on_retained_gone(struct dsmr_sim *sim, uint32_t number, struct node *node)
{
    size_t count = 0, position = 0;
    const void *id;
    void *value;
    struct dsmr_id *gone = calloc(dsmr_sim_table_count(node->held) + 1, sizeof(*gone));
    DSMR_ASSERT(gone != NULL);
    while (dsmr_sim_table_next(node->held, &position, &id, &value)) {
        if (((const struct held *)value)->height != 0 &&
            !dsmr_sim_check_has_chunk(sim, number, id)) {
            memcpy(&gone[count++], id, sizeof(*gone));
        }
    }
    while (count > 0) {
        dsmr_sim_table_remove(node->held, &gone[--count]);
    }
    free(gone);
}

static void on_gc(struct dsmr_sim *sim, uint32_t number, struct node *node,
                  const struct dsmr_store_gc *gc)
{
    if (gc->retained.is_wanted) {
        on_retained_gone(sim, number, node);
    }
    if (gc->drop_journals) {
        drop_journal(node, gc->floor_ms);
    }
    for (uint32_t i = 0; i < gc->chunks_count; i++) {
        struct held *held = dsmr_sim_table_find(node->held, &gc->chunks[i]);
        if (held != NULL) {
            release(node, held);
            dsmr_sim_table_remove(node->held, &gc->chunks[i]);
        }
    }
}

/* ---- the engine's journal ---- */

static void on_record(struct node *node, const struct dsmr_store_write *write)
{
    const uint8_t *key = write->u.bft.key;
    if (write->u.bft.key_len != 17) {
        return;
    }
    if (write->kind == DSMR_STORE_BFT_PUT) {
        (void)dsmr_sim_table_add(node->records, key, NULL);
        return;
    }
    size_t count = 0;
    uint8_t(*gone)[17] = calloc(dsmr_sim_table_count(node->records) + 1, sizeof(*gone));
    size_t position = 0;
    const void *record;
    DSMR_ASSERT(gone != NULL);
    while (dsmr_sim_table_next(node->records, &position, &record, NULL)) {
        if (memcmp(record, key, 17) < 0) {
            memcpy(gone[count++], record, 17);
        }
    }
    while (count > 0) {
        dsmr_sim_table_remove(node->records, gone[--count]);
    }
    free(gone);
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t number,
                   const struct dsmr_store_write *write)
{
    struct node *node = &((struct limits *)ctx)->nodes[number];
    if (write->kind == DSMR_STORE_CHUNK) {
        on_chunk(sim, number, node, write->u.chunk.meta);
    } else if (write->kind == DSMR_STORE_ACCEPT) {
        on_accept(sim, number, node, write);
    } else if (write->kind == DSMR_STORE_GC) {
        on_gc(sim, number, node, &write->u.gc);
    } else if (write->kind == DSMR_STORE_BFT_PUT || write->kind == DSMR_STORE_BFT_PRUNE) {
        on_record(node, write);
    }
}

static void executed(void *ctx, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed)
{
    (void)sim;
    ((struct limits *)ctx)->nodes[node].executed = executed->height;
    ((struct limits *)ctx)->nodes[node].over_us = 0;
}

static void started(void *ctx, struct dsmr_sim *sim, uint32_t node, uint64_t executed_height)
{
    struct limits *self = ctx;
    (void)sim;
    self->nodes[node].executed = executed_height;
    self->nodes[node].over_us = 0;
    self->nodes[node].started_ms = self->nodes[node].time_ms;
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    struct limits *self = ctx;
    (void)sim;
    close_node(&self->nodes[node]);
    open_node(&self->nodes[node]);
}

/* ---- queues ---- */

/* 6.5 stops signing while more is accepted and not executed. What others sign goes on: the backlog
 * itself has no limit, but its blocks in memory do. */
static void watch_backlog(const struct dsmr_sim *sim, uint64_t backlog, struct node *node)
{
    if (backlog <= dsmr_sim_check_params(sim)->backlog_bytes_max) {
        node->over_us = 0;
    } else if (node->over_us == 0) {
        node->over_us = dsmr_sim_now_us(sim);
    }
}

/* What a node tells of its tables. A producer may have a chunk in each slot, and signs for no more
 * than its quota; what is in the chain waits in the index until it expires. */
static void look_at_gauges(struct dsmr_sim *sim, uint32_t node)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    uint64_t nodes = dsmr_sim_check_nodes(sim);
    uint64_t span_ms = (uint64_t)params->chunk_lifetime_ms + params->clock_skew_ms;
    uint64_t slots = span_ms / params->slot_ms + 2;
    const struct {
        enum dsmr_metric metric;
        const char *text;
        uint64_t max;
    } gauges[] = {{DSMR_METRIC_BACKLOG_BLOCKS_HELD, "blocks to execute in memory", HELD_BLOCKS_MAX},
                  {DSMR_METRIC_CERTS_WAITING, "waiting certificates",
                   nodes * (params->pending_bytes_max / CHUNK_BYTES_MIN + 1)},
                  {DSMR_METRIC_PENDING_BYTES, "pending bytes", nodes * params->pending_bytes_max},
                  {DSMR_METRIC_INDEX_CHUNKS, "chunks in its index", nodes * slots},
                  {DSMR_METRIC_EVIDENCE_KEPT, "pairs of evidence", EVIDENCE_MAX},
                  {DSMR_METRIC_CHUNKS_UNCERTIFIED, "own uncertified chunks", OWN_CHUNKS_MAX},
                  {DSMR_METRIC_PEERS, "peers", nodes}};
    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        /* An engine that went back to an older block takes chunks out of the chain again (12.2). */
        if (gauges[i].metric == DSMR_METRIC_PENDING_BYTES && dsmr_sim_engine(sim) != NULL) {
            continue;
        }
        uint64_t value = dsmr_metrics_get(dsmr_sim_metrics(sim, node), gauges[i].metric);
        bool is_restored = gauges[i].metric == DSMR_METRIC_PENDING_BYTES &&
                           dsmr_sim_check_steady_us(sim, node) < EXPIRY_US;
        if (value > gauges[i].max && !is_restored) {
            dsmr_sim_fail(sim, "13.4", "node %u has %llu %s, at most %llu", node,
                          (unsigned long long)value, gauges[i].text,
                          (unsigned long long)gauges[i].max);
        }
    }
}

static void look_at_queues(struct dsmr_sim *sim, uint32_t node)
{
    struct dsmr_query_status status;
    uint64_t bytes_max, txs_max;
    dsmr_sim_status(sim, node, &status);
    dsmr_sim_check_mempool(sim, node, &bytes_max, &txs_max);
    if (status.mempool_bytes > bytes_max || status.mempool_txs > txs_max) {
        dsmr_sim_fail(sim, "13.3", "node %u has %llu transactions, %llu bytes in its mempool", node,
                      (unsigned long long)status.mempool_txs,
                      (unsigned long long)status.mempool_bytes);
    }
    look_at_gauges(sim, node);
    uint32_t outstanding = dsmr_driver_outstanding(dsmr_sim_driver(sim, node));
    if (outstanding > OUTSTANDING_MAX) {
        dsmr_sim_fail(sim, "13.4", "node %u has %u tasks on their way", node, outstanding);
    }
}

static void tick(void *ctx, struct dsmr_sim *sim)
{
    struct limits *self = ctx;
    self->ticks++;
    for (uint32_t i = 0; i < self->count; i++) {
        if (!dsmr_sim_is_up(sim, i) || !dsmr_sim_check_is_honest(sim, i)) {
            continue;
        }
        watch_backlog(sim, dsmr_metrics_get(dsmr_sim_metrics(sim, i), DSMR_METRIC_BACKLOG_BYTES),
                      &self->nodes[i]);
        if ((self->ticks + i) % TICKS == 0) {
            look_at_queues(sim, i);
        }
    }
}

static void sent(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                 const struct dsmr_msg *msg)
{
    const struct dsmr_params *params = dsmr_sim_check_params(sim);
    uint32_t max = params->chunk_bytes_max > params->block_bytes_max ? params->chunk_bytes_max
                                                                     : params->block_bytes_max;
    uint32_t len = msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE
                       ? msg->u.request_share.chunk_len
                   : msg->type == DSMR_MSG_CHUNK        ? msg->u.chunk.chunk_len
                   : msg->type == DSMR_MSG_BFT_PROPOSAL ? msg->u.proposal.block_len
                   : msg->type == DSMR_MSG_BFT_BLOCKS   ? msg->u.blocks.blocks_len
                   : msg->type == DSMR_MSG_BFT_BLOCK    ? msg->u.block.block_len
                                                        : 0;
    (void)ctx, (void)to;
    if (len > max + DSMR_MESSAGE_OVERHEAD_MAX) {
        dsmr_sim_fail(sim, "2.2", "node %u sends a message with %u bytes of payload", node, len);
    }
}

static void end(void *ctx, struct dsmr_sim *sim)
{
    struct limits *self = ctx;
    for (uint32_t i = 0; i < self->count; i++) {
        size_t records = dsmr_sim_table_count(self->nodes[i].records);
        if (dsmr_sim_check_is_honest(sim, i) && records > RECORDS_MAX) {
            dsmr_sim_fail(sim, "bft 12", "node %u keeps %zu records in the engine's journal", i,
                          records);
        }
    }
}

const struct dsmr_sim_checker_ops dsmr_sim_check_limits = {.name = "limits",
                                                           .make = make,
                                                           .free = free_self,
                                                           .executed = executed,
                                                           .sent = sent,
                                                           .stored = stored,
                                                           .started = started,
                                                           .wiped = wiped,
                                                           .tick = tick,
                                                           .end = end};
