/* check_agreement.c - equal blocks, state roots and results at equal height; each node executes
 * height after height, once; no transaction in two blocks (docs/protocol.md, 10.6; docs/bft.md, S1;
 * INV-02). */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "sim/check.h"
#include "sim/check_rules.h"
#include "sim/check_table.h"

/* What one commit may hold: a node that dies after it comes back so much further. */
#define UNTOLD_MAX 16u

struct height {
    bool is_accepted, is_executed;
    struct dsmr_id block_id, root;
    uint32_t count;
    uint64_t results; /* a digest of ids, codes and fees */
};

struct agreement {
    struct height *heights;
    uint64_t heights_count;
    uint64_t executed[DSMR_SIM_NODES_MAX]; /* last height of each node */
    struct dsmr_sim_table *txs;            /* id -> height */
};

static void *make(struct dsmr_sim *sim)
{
    (void)sim;
    struct agreement *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->txs = dsmr_sim_table_new(sizeof(struct dsmr_id), sizeof(uint64_t));
    return self;
}

static void free_self(void *ctx)
{
    struct agreement *self = ctx;
    dsmr_sim_table_free(self->txs);
    free(self->heights);
    free(self);
}

static struct height *at(struct agreement *self, uint64_t height)
{
    if (height >= self->heights_count) {
        uint64_t count = height * 2 + 64;
        self->heights = realloc(self->heights, count * sizeof(*self->heights));
        DSMR_ASSERT(self->heights != NULL);
        memset(self->heights + self->heights_count, 0,
               (count - self->heights_count) * sizeof(*self->heights));
        self->heights_count = count;
    }
    return &self->heights[height];
}

static void check_id(struct dsmr_sim *sim, struct height *height, uint64_t number, uint32_t node,
                     const struct dsmr_id *id)
{
    if (!height->is_accepted && !height->is_executed) {
        height->block_id = *id;
    } else if (!dsmr_id_equal(&height->block_id, id)) {
        dsmr_sim_fail(sim, "S1", "node %u has block %s at height %llu, others have %s", node,
                      dsmr_sim_rules_name(id), (unsigned long long)number,
                      dsmr_sim_rules_name(&height->block_id));
    }
}

static void accept(struct agreement *self, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_block *block)
{
    struct height *height = at(self, block->height);
    check_id(sim, height, block->height, node, &block->id);
    height->is_accepted = true;
}

static void accepted(void *ctx, struct dsmr_sim *sim, uint32_t node, const struct dsmr_block *block)
{
    accept(ctx, sim, node, block);
}

/* A node that dies before it can tell has accepted all the same. */
static void stored(void *ctx, struct dsmr_sim *sim, uint32_t node,
                   const struct dsmr_store_write *write)
{
    if (write->kind == DSMR_STORE_ACCEPT) {
        accept(ctx, sim, node, write->u.accept.block);
    }
}

static uint64_t digest(const struct dsmr_executed *executed)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < executed->count; i++) {
        sum = sum * 31 + dsmr_load_be64(executed->ids[i].bytes);
        sum = sum * 31 + executed->results[i].code;
        sum = sum * 31 + executed->results[i].fee;
    }
    return sum;
}

static void check_txs(struct agreement *self, struct dsmr_sim *sim, uint32_t node,
                      const struct dsmr_executed *executed)
{
    struct dsmr_sim_table *here = dsmr_sim_table_new(sizeof(struct dsmr_id), 0);
    for (uint32_t i = 0; i < executed->count; i++) {
        bool is_new = false, is_first = false;
        uint64_t *height = dsmr_sim_table_add(self->txs, &executed->ids[i], &is_new);
        (void)dsmr_sim_table_add(here, &executed->ids[i], &is_first);
        if ((!is_new && *height != executed->height) || !is_first) {
            dsmr_sim_fail(sim, "10.4", "node %u executes %s in block %llu, and did in block %llu",
                          node, dsmr_sim_rules_name(&executed->ids[i]),
                          (unsigned long long)executed->height, (unsigned long long)*height);
        }
        *height = executed->height;
    }
    dsmr_sim_table_free(here);
}

static void executed(void *ctx, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed)
{
    struct agreement *self = ctx;
    struct height *height = at(self, executed->height);
    check_id(sim, height, executed->height, node, &executed->block_id);
    uint64_t results = digest(executed);
    if (!height->is_executed) {
        height->root = executed->state_root;
        height->count = executed->count;
        height->results = results;
    } else if (!dsmr_id_equal(&height->root, &executed->state_root) ||
               height->count != executed->count || height->results != results) {
        dsmr_sim_fail(sim, "10.6", "node %u has another state or other results at height %llu",
                      node, (unsigned long long)executed->height);
    }
    height->is_executed = true;
    if (executed->height != self->executed[node] + 1) {
        dsmr_sim_fail(sim, "10.6", "node %u executes block %llu after block %llu", node,
                      (unsigned long long)executed->height,
                      (unsigned long long)self->executed[node]);
    }
    self->executed[node] = executed->height;
    check_txs(self, sim, node, executed);
}

/* What it executed and did not live to tell is executed. */
static void started(void *ctx, struct dsmr_sim *sim, uint32_t node, uint64_t executed_height)
{
    struct agreement *self = ctx;
    struct dsmr_query_status status;
    if (executed_height < self->executed[node] ||
        executed_height > self->executed[node] + UNTOLD_MAX) {
        dsmr_sim_fail(sim, "10.6", "node %u comes back at height %llu after %llu", node,
                      (unsigned long long)executed_height,
                      (unsigned long long)self->executed[node]);
    }
    self->executed[node] = executed_height;
    dsmr_sim_status(sim, node, &status);
    const struct height *height = at(self, executed_height);
    if (height->is_executed && !dsmr_id_equal(&height->root, &status.state_root)) {
        dsmr_sim_fail(sim, "10.6", "node %u comes back with another state at height %llu", node,
                      (unsigned long long)executed_height);
    }
}

static void wiped(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    (void)sim;
    ((struct agreement *)ctx)->executed[node] = 0;
}

const struct dsmr_sim_checker_ops dsmr_sim_check_agreement = {.name = "agreement",
                                                              .make = make,
                                                              .free = free_self,
                                                              .accepted = accepted,
                                                              .executed = executed,
                                                              .stored = stored,
                                                              .started = started,
                                                              .wiped = wiped};
