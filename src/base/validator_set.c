#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "dsmr/types.h"

struct dsmr_validator_set *dsmr_validator_set_ref(struct dsmr_validator_set *set)
{
    if (set != NULL) {
        uint32_t before = atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
        DSMR_ASSERT(before > 0 && before < UINT32_MAX);
    }
    return set;
}

void dsmr_validator_set_unref(struct dsmr_validator_set *set)
{
    if (set == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel);
    DSMR_ASSERT(before > 0);
    if (before == 1) {
        free(set);
    }
}

int dsmr_validator_set_find(const struct dsmr_validator_set *set,
                            const struct dsmr_node_id *node_id)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct dsmr_validator *validator = &set->validators[i];
        if (validator->node_ids_count == 1 &&
            dsmr_node_id_equal(&validator->node_ids[0], node_id)) {
            return (int)i;
        }
    }
    return -1;
}
