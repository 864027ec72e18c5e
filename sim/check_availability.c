/* check_availability.c - a certified chunk can be served: by more than a third of its epoch's
 * weight in honest hands while it is neither expired nor forgotten by the rules, and no node drops
 * a chunk before it may (docs/protocol.md, 11.1, 11.3; 1-protocol: a share is a promise to serve).
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

#define TICKS 10u /* of check.h: looks once a second */

struct chunk { /* one that a certificate or an honest node's disk names */
    uint64_t epoch, expiry_ms;
    uint64_t height, time_ms; /* of the block that has it; height 0: none */
    bool is_certified;
};
struct accept_key {
    uint8_t node[4], height[8];
};
struct node {
    uint64_t height, time_ms; /* accepted durably */
    uint64_t executed, floor_ms;
    bool is_wiped; /* once: it need not have what it had */
};
struct availability {
    struct dsmr_sim_table *chunks;  /* id -> struct chunk */
    struct dsmr_sim_table *accepts; /* struct accept_key -> what the node's clock said */
    struct dsmr_id *open;           /* certified ones that are looked at each second */
    uint32_t open_count, open_capacity;
    uint64_t time_ms; /* highest of any node */
    uint32_t ticks;
    struct node nodes[DSMR_SIM_NODES_MAX];
};

static void *make(struct dsmr_sim *sim)
{
    (void)sim;
    struct availability *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->chunks = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(struct chunk));
    self->accepts = dsmr_sim_table_new(sizeof(struct accept_key), sizeof(uint64_t));
    return self;
}

static void free_self(void *ctx)
{
    struct availability *self = ctx;
    dsmr_sim_table_free(self->chunks);
    dsmr_sim_table_free(self->accepts);
    free(self->open);
    free(self);
}

static struct accept_key accept_key(uint32_t node, uint64_t height)
{
    struct accept_key key;
    dsmr_store_be32(key.node, node);
    dsmr_store_be64(key.height, height);
    return key;
}

static struct chunk *add(struct availability *self, const struct dsmr_reference *ref)
{
    struct chunk *chunk = dsmr_sim_table_add(self->chunks, &ref->chunk_id, NULL);
    chunk->epoch = ref->epoch;
    chunk->expiry_ms = ref->expiry_ms;
    return chunk;
}

static struct chunk *add_certified(struct availability *self, const struct dsmr_reference *ref)
{
    struct chunk *chunk = add(self, ref);
    if (!chunk->is_certified) {
        chunk->is_certified = true;
        if (self->open_count == self->open_capacity) {
            self->open_capacity = self->open_capacity == 0 ? 64 : self->open_capacity * 2;
            self->open = realloc(self->open, self->open_capacity * sizeof(*self->open));
            DSMR_ASSERT(self->open != NULL);
        }
        self->open[self->open_count++] = ref->chunk_id;
    }
    return chunk;
}

/* ---- nobody drops what it may not ---- */

static const char *why_not(const struct availability *self, const struct dsmr_sim *sim,
                           uint32_t number, const struct chunk *chunk,
                           const struct dsmr_store_gc *gc)
{
    const struct node *node = &self->nodes[number];
    uint64_t retention_ms = dsmr_sim_check_params(sim)->retention_ms;
    /* A full disk takes a collection and not the block that it goes by. */
    bool is_ahead = dsmr_sim_check_has_bad_disk(sim, number) && gc->floor_ms > node->time_ms;
    uint64_t time_ms = is_ahead ? gc->floor_ms : node->time_ms;
    if (chunk->height == 0 || chunk->height > node->height) {
        return chunk->expiry_ms >= time_ms        ? "it has not expired"
               : chunk->expiry_ms >= gc->floor_ms ? "its expiry is above the floor"
                                                  : NULL;
    }
    dsmr_sim_u128 end_ms = (dsmr_sim_u128)chunk->time_ms + retention_ms;
    if (retention_ms == UINT64_MAX || node->executed < chunk->height) {
        return "it is included and kept for ever, or not executed";
    }
    struct accept_key key = accept_key(number, chunk->height);
    const uint64_t *accepted_ms = dsmr_sim_table_find(self->accepts, &key);
    dsmr_sim_u128 local_ms = (dsmr_sim_u128)(accepted_ms == NULL ? 0 : *accepted_ms) + retention_ms;
    return end_ms >= time_ms ? "chain time has not passed its retention"
           : local_ms > dsmr_sim_check_latest_ms(sim, number)
               ? "local time has not passed its retention"
               : NULL;
}

static void on_gc(struct availability *self, struct dsmr_sim *sim, uint32_t node,
                  const struct dsmr_store_gc *gc)
{
    for (uint32_t i = 0; i < gc->chunks_count; i++) {
        const struct chunk *chunk = dsmr_sim_table_find(self->chunks, &gc->chunks[i]);
        const char *wrong = chunk == NULL ? NULL : why_not(self, sim, node, chunk, gc);
        if (wrong != NULL) {
            dsmr_sim_fail(sim, "11.1", "node %u drops chunk %s at chain time %llu, expiry %llu: %s",
                          node, dsmr_sim_rules_name(&gc->chunks[i]),
                          (unsigned long long)self->nodes[node].time_ms,
                          (unsigned long long)chunk->expiry_ms, wrong);
        }
    }
}

/* A full disk takes a collection and not the block that it goes by: that one's time is the chain's
 * all the same. But a floor that a lost disk or a first start made is none. */
static void on_floor(struct availability *self, const struct dsmr_sim *sim, uint32_t number,
                     uint64_t floor_ms)
{
    struct node *node = &self->nodes[number];
    bool is_chain_time = dsmr_sim_check_has_bad_disk(sim, number) && !node->is_wiped &&
                         node->height > 0 && floor_ms > node->floor_ms;
    if (is_chain_time && floor_ms > self->time_ms) {
        self->time_ms = floor_ms;
    }
    node->floor_ms = floor_ms > node->floor_ms ? floor_ms : node->floor_ms;
}

static void on_block(struct availability *self, const struct dsmr_block *block)
{
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct chunk *chunk = add_certified(self, &block->certs[i].ref);
        chunk->height = block->height;
        chunk->time_ms = block->time_ms;
    }
    self->time_ms = block->time_ms > self->time_ms ? block->time_ms : self->time_ms;
}

static void stored(void *ctx, struct dsmr_sim *sim, uint32_t number,
                   const struct dsmr_store_write *write)
{
    struct availability *self = ctx;
    struct node *node = &self->nodes[number];
    if (write->kind == DSMR_STORE_CHUNK) {
        (void)add(self, &write->u.chunk.meta->ref);
    } else if (write->kind == DSMR_STORE_CERT) {
        (void)add_certified(self, &write->u.cert->ref);
    } else if (write->kind == DSMR_STORE_GC) {
        on_gc(self, sim, number, &write->u.gc);
        on_floor(self, sim, number, write->u.gc.floor_ms);
    } else if (write->kind == DSMR_STORE_ACCEPT) {
        const struct dsmr_block *block = write->u.accept.block;
        struct accept_key key = accept_key(number, block->height);
        bool is_new = false;
        uint64_t *accepted_ms = dsmr_sim_table_add(self->accepts, &key, &is_new);
        *accepted_ms = is_new ? write->u.accept.wall_ms : *accepted_ms;
        on_block(self, block);
        node->height = block->height > node->height ? block->height : node->height;
        node->time_ms = block->time_ms > node->time_ms ? block->time_ms : node->time_ms;
    }
}

static void executed(void *ctx, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed)
{
    (void)sim;
    ((struct availability *)ctx)->nodes[node].executed = executed->height;
}

static void started(void *ctx, struct dsmr_sim *sim, uint32_t node, uint64_t executed_height)
{
    (void)sim;
    ((struct availability *)ctx)->nodes[node].executed = executed_height;
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    (void)sim;
    ((struct availability *)ctx)->nodes[node] = (struct node){.is_wiped = true};
}

/* ---- somebody has it ---- */

static bool is_needed(const struct availability *self, const struct dsmr_sim *sim,
                      const struct chunk *chunk)
{
    uint64_t retention_ms = dsmr_sim_check_params(sim)->retention_ms;
    if (chunk->height == 0) {
        return chunk->expiry_ms >= self->time_ms;
    }
    return retention_ms == UINT64_MAX ||
           (dsmr_sim_u128)chunk->time_ms + retention_ms >= self->time_ms;
}

static void check_holders(const struct availability *self, struct dsmr_sim *sim,
                          const struct dsmr_id *id, const struct chunk *chunk)
{
    const struct dsmr_validator_set *set = dsmr_sim_check_set(sim, chunk->epoch);
    dsmr_sim_u128 total = 0, bad = 0, holders = 0;
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        uint32_t node = dsmr_sim_check_number(&set->validators[i].node_ids[0]);
        uint64_t weight = set->validators[i].weight;
        bool is_honest = dsmr_sim_check_is_honest(sim, node);
        total += weight;
        bad += is_honest && !self->nodes[node].is_wiped ? 0 : weight;
        holders += is_honest && dsmr_sim_check_can_serve(sim, node, id) ? weight : 0;
    }
    if (dsmr_sim_rules_is_third(bad, total)) {
        return; /* more are bad than anybody promised to survive */
    }
    if (3 * holders <= total) {
        dsmr_sim_fail(sim, chunk->height == 0 ? "11.1" : "11.3",
                      "chunk %s, certified in epoch %llu, expiry %llu, block %llu: honest holders "
                      "weigh %llu of %llu",
                      dsmr_sim_rules_name(id), (unsigned long long)chunk->epoch,
                      (unsigned long long)chunk->expiry_ms, (unsigned long long)chunk->height,
                      (unsigned long long)holders, (unsigned long long)total);
    }
}

static void tick(void *ctx, struct dsmr_sim *sim)
{
    struct availability *self = ctx;
    uint64_t lifetime_ms = dsmr_sim_check_params(sim)->chunk_lifetime_ms;
    uint32_t left = 0;
    if (++self->ticks % TICKS != 0) {
        return;
    }
    for (uint32_t i = 0; i < self->open_count; i++) {
        const struct chunk *chunk = dsmr_sim_table_find(self->chunks, &self->open[i]);
        if (is_needed(self, sim, chunk)) {
            check_holders(self, sim, &self->open[i], chunk);
        }
        /* What is in the chain for long is looked at once more at the end. */
        uint64_t from_ms = chunk->height == 0 ? chunk->expiry_ms : chunk->time_ms;
        if ((dsmr_sim_u128)from_ms + 2 * lifetime_ms >= self->time_ms) {
            self->open[left++] = self->open[i];
        }
    }
    self->open_count = left;
}

static void end(void *ctx, struct dsmr_sim *sim)
{
    struct availability *self = ctx;
    size_t position = 0;
    const void *id;
    void *value;
    while (dsmr_sim_table_next(self->chunks, &position, &id, &value)) {
        const struct chunk *chunk = value;
        if (chunk->is_certified && is_needed(self, sim, chunk)) {
            check_holders(self, sim, id, chunk);
        }
    }
}

const struct dsmr_sim_checker_ops dsmr_sim_check_availability = {.name = "availability",
                                                                 .make = make,
                                                                 .free = free_self,
                                                                 .executed = executed,
                                                                 .stored = stored,
                                                                 .started = started,
                                                                 .wiped = wiped,
                                                                 .tick = tick,
                                                                 .end = end};
