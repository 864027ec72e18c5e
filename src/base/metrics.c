#include "base/metrics.h"

void dsmr_metrics_add(struct dsmr_metrics *metrics, enum dsmr_metric id, uint64_t n)
{
    atomic_fetch_add_explicit(&metrics->values[id], n, memory_order_relaxed);
}

void dsmr_metrics_set(struct dsmr_metrics *metrics, enum dsmr_metric id, uint64_t value)
{
    atomic_store_explicit(&metrics->values[id], value, memory_order_relaxed);
}

uint64_t dsmr_metrics_get(const struct dsmr_metrics *metrics, enum dsmr_metric id)
{
    return atomic_load_explicit(&metrics->values[id], memory_order_relaxed);
}

void dsmr_metrics_count_error(struct dsmr_metrics *metrics, enum dsmr_err err)
{
    /* A refusal's number comes from a peer: out of range is counted nowhere. */
    if ((unsigned)err < DSMR_ERR_NUMBER_MAX) {
        atomic_fetch_add_explicit(&metrics->errors[err], 1, memory_order_relaxed);
    }
}
