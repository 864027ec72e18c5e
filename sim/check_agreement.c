/* check_agreement.c - equal blocks, state roots and results at equal height; heights without gaps;
 * no transaction executed in two blocks. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "sim/check.h"

#define TXS_MAX (1u << 20)

struct height {
    bool is_accepted, is_executed;
    struct dsmr_id block_id, root;
    uint32_t count;
    uint64_t results; /* a digest of codes and fees */
};

struct agreement {
    struct height *heights;
    uint64_t heights_count;
    uint64_t executed[DSMR_SIM_NODES_MAX]; /* last height of each node */
    struct dsmr_map *txs;                  /* id -> height */
};

static void *make(struct dsmr_sim *sim)
{
    (void)sim;
    struct agreement *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    self->txs = dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint64_t), TXS_MAX, 1);
    DSMR_ASSERT(self->txs != NULL);
    return self;
}

static void free_self(void *ctx)
{
    struct agreement *self = ctx;
    dsmr_map_free(self->txs);
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
    if ((height->is_accepted || height->is_executed) &&
        memcmp(&height->block_id, id, sizeof(*id)) != 0) {
        dsmr_sim_fail(sim, "agreement", "node %u has another block at height %llu", node,
                      (unsigned long long)number);
    }
    height->block_id = *id;
}

static void accepted(void *ctx, struct dsmr_sim *sim, uint32_t node, const struct dsmr_block *block)
{
    struct height *height = at(ctx, block->height);
    check_id(sim, height, block->height, node, &block->id);
    height->is_accepted = true;
}

static uint64_t digest(const struct dsmr_executed *executed)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < executed->count; i++) {
        sum = sum * 31 + executed->results[i].code;
        sum = sum * 31 + executed->results[i].fee;
    }
    return sum;
}

static void check_txs(struct agreement *self, struct dsmr_sim *sim, uint32_t node,
                      const struct dsmr_executed *executed)
{
    for (uint32_t i = 0; i < executed->count; i++) {
        bool is_new = false;
        uint64_t *height = dsmr_map_add(self->txs, &executed->ids[i], &is_new);
        DSMR_ASSERT(height != NULL);
        if (!is_new && *height != executed->height) {
            dsmr_sim_fail(sim, "once", "node %u executes in block %llu what ran in block %llu",
                          node, (unsigned long long)executed->height, (unsigned long long)*height);
        }
        *height = executed->height;
    }
}

static void executed(void *ctx, struct dsmr_sim *sim, uint32_t node,
                     const struct dsmr_executed *executed)
{
    struct agreement *self = ctx;
    struct height *height = at(self, executed->height);
    check_id(sim, height, executed->height, node, &executed->block_id);
    uint64_t results = digest(executed);
    if (height->is_executed &&
        (memcmp(&height->root, &executed->state_root, sizeof(height->root)) != 0 ||
         height->count != executed->count || height->results != results)) {
        dsmr_sim_fail(sim, "roots", "node %u has another state at height %llu", node,
                      (unsigned long long)executed->height);
    }
    height->is_executed = true;
    height->root = executed->state_root;
    height->count = executed->count;
    height->results = results;
    uint64_t last = self->executed[node];
    if (executed->height > last + 1 || executed->height == 0) {
        dsmr_sim_fail(sim, "order", "node %u executes %llu after %llu", node,
                      (unsigned long long)executed->height, (unsigned long long)last);
    }
    self->executed[node] = executed->height > last ? executed->height : last;
    check_txs(self, sim, node, executed);
}

/* What it executed and did not live to tell is executed. */
static void started(void *ctx, struct dsmr_sim *sim, uint32_t node, uint64_t executed_height)
{
    struct agreement *self = ctx;
    if (executed_height < self->executed[node] || executed_height > self->executed[node] + 16) {
        dsmr_sim_fail(sim, "order", "node %u comes back at height %llu after %llu", node,
                      (unsigned long long)executed_height,
                      (unsigned long long)self->executed[node]);
    }
    self->executed[node] = executed_height;
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
                                                              .started = started,
                                                              .wiped = wiped};
