/* byz_shifter.c - is one kind of liar after another, and honest in between. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/byz.h"

#define KINDS_MAX 32u
#define TICK_US 5000u

struct shifter {
    const struct dsmr_sim_byz_ops *kinds[KINDS_MAX];
    void *selves[KINDS_MAX];
    uint64_t due_us[KINDS_MAX]; /* of each kind's next tick */
    uint32_t count, now;        /* now == count: honest */
    uint64_t change_us;
};

static void *make(struct dsmr_sim *sim, uint32_t node)
{
    struct shifter *self = calloc(1, sizeof(*self));
    DSMR_ASSERT(self != NULL);
    for (uint32_t i = 0; dsmr_sim_byz_kinds[i] != NULL; i++) {
        const struct dsmr_sim_byz_ops *kind = dsmr_sim_byz_kinds[i];
        /* A second body cannot be taken back. */
        if (strcmp(kind->name, "shifter") == 0 || strcmp(kind->name, "twins") == 0) {
            continue;
        }
        DSMR_ASSERT(self->count < KINDS_MAX);
        self->kinds[self->count] = kind;
        self->selves[self->count++] = kind->make == NULL ? NULL : kind->make(sim, node);
    }
    return self;
}

static void free_self(void *ctx)
{
    struct shifter *self = ctx;
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->kinds[i]->free != NULL) {
            self->kinds[i]->free(self->selves[i]);
        }
    }
    free(self);
}

static bool sends(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t to,
                  const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct shifter *self = ctx;
    const struct dsmr_sim_byz_ops *kind = self->kinds[self->now];
    return kind == NULL || kind->sends == NULL ||
           kind->sends(self->selves[self->now], sim, node, to, msg, bytes);
}

static bool receives(void *ctx, struct dsmr_sim *sim, uint32_t node, uint32_t from,
                     const struct dsmr_msg *msg, struct dsmr_buf *bytes)
{
    struct shifter *self = ctx;
    const struct dsmr_sim_byz_ops *kind = self->kinds[self->now];
    return kind == NULL || kind->receives == NULL ||
           kind->receives(self->selves[self->now], sim, node, from, msg, bytes);
}

static bool issues(void *ctx, struct dsmr_sim *sim, uint32_t node, struct dsmr_block *block,
                   uint64_t context)
{
    struct shifter *self = ctx;
    const struct dsmr_sim_byz_ops *kind = self->kinds[self->now];
    return kind == NULL || kind->issues == NULL ||
           kind->issues(self->selves[self->now], sim, node, block, context);
}

static void tick(void *ctx, struct dsmr_sim *sim, uint32_t node)
{
    struct shifter *self = ctx;
    uint64_t now_us = dsmr_sim_now_us(sim);
    if (now_us >= self->change_us) {
        self->now = (uint32_t)dsmr_sim_byz_random(sim, self->count + 1);
        self->change_us =
            now_us + DSMR_SIM_SECOND_US + dsmr_sim_byz_random(sim, 8 * DSMR_SIM_SECOND_US);
    }
    const struct dsmr_sim_byz_ops *kind = self->kinds[self->now];
    if (kind != NULL && kind->tick != NULL && now_us >= self->due_us[self->now]) {
        self->due_us[self->now] = now_us + kind->tick_us;
        kind->tick(self->selves[self->now], sim, node);
    }
}

const struct dsmr_sim_byz_ops dsmr_sim_byz_shifter = {.name = "shifter",
                                                      .make = make,
                                                      .free = free_self,
                                                      .sends = sends,
                                                      .receives = receives,
                                                      .issues = issues,
                                                      .tick = tick,
                                                      .tick_us = TICK_US};
