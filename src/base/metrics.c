#include "base/metrics.h"

#include "base/assert.h"

/* What a local network reaches in the lower half, what a chunk's lifetime allows in the upper. From
 * 50 ms to 1 s a bound is at most half as much again as the one before, so that it is seen when a
 * percentile doubles. */
static const uint64_t bucket_ms[DSMR_METRIC_BUCKETS] = {
    5,   10,  25,   50,   75,   100,  150,   200,   250,   350,
    500, 700, 1000, 1500, 2500, 5000, 10000, 30000, 60000, UINT64_MAX};

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

uint64_t dsmr_metrics_bucket_ms(unsigned bucket)
{
    DSMR_ASSERT(bucket < DSMR_METRIC_BUCKETS);
    return bucket_ms[bucket];
}

void dsmr_metrics_observe(struct dsmr_metrics *metrics, enum dsmr_metric_histogram id, uint64_t ms,
                          uint64_t count)
{
    unsigned bucket = 0;
    while (ms > bucket_ms[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&metrics->histograms[id].counts[bucket], count, memory_order_relaxed);
    atomic_fetch_add_explicit(&metrics->histograms[id].sum_ms, ms * count, memory_order_relaxed);
}
