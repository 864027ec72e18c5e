/* plan.c - life of struct dsmr_plan (dsmr/effect.h), and making one (core/plan.h). */
#include "core/plan.h"

#include <stdlib.h>

#include "base/assert.h"

struct dsmr_plan *dsmr_plan_new(struct dsmr_block *block, uint32_t txs_max)
{
    struct dsmr_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL) {
        return NULL;
    }
    atomic_init(&plan->refs, 1);
    plan->block = dsmr_block_ref(block);
    plan->chunks = calloc(block->certs_count + 1u, sizeof(struct dsmr_chunk *));
    plan->txs = malloc(((size_t)txs_max + 1u) * sizeof(struct dsmr_plan_tx));
    if (plan->chunks == NULL || plan->txs == NULL) {
        dsmr_plan_unref(plan);
        return NULL;
    }
    return plan;
}

struct dsmr_plan *dsmr_plan_ref(struct dsmr_plan *plan)
{
    if (plan != NULL) {
        atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
    }
    return plan;
}

void dsmr_plan_unref(struct dsmr_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel);
    DSMR_ASSERT(before > 0);
    if (before > 1) {
        return;
    }
    for (uint32_t i = 0; plan->chunks != NULL && i < plan->block->certs_count; i++) {
        dsmr_chunk_unref(plan->chunks[i]);
    }
    dsmr_block_unref(plan->block);
    free(plan->chunks);
    free(plan->txs);
    free(plan);
}
