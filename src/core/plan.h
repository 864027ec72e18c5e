/* plan.h - a block that is ready to run. */
#ifndef DSMR_CORE_PLAN_H
#define DSMR_CORE_PLAN_H

#include "dsmr/effect.h"

/* A plan without chunks and transactions, with room for block->certs_count and txs_max of them; one
 * reference. NULL if out of memory. */
struct dsmr_plan *dsmr_plan_new(struct dsmr_block *block, uint32_t txs_max);

#endif
