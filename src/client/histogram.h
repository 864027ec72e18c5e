/* histogram.h - latencies in microseconds, in buckets of constant relative width.
 *
 * How:     the value's highest 7 bits pick the bucket, so a percentile is off by less than 1/64.
 * Limits:  values above DSMR_HISTOGRAM_MAX count in the last bucket; the maximum is kept exactly.
 * Threads: one owner. */
#ifndef DSMR_CLIENT_HISTOGRAM_H
#define DSMR_CLIENT_HISTOGRAM_H

#include <stdint.h>

#define DSMR_HISTOGRAM_SUB_BITS 6u
#define DSMR_HISTOGRAM_OCTAVES 34u /* 2^40 us are 12 days */
#define DSMR_HISTOGRAM_BUCKETS ((DSMR_HISTOGRAM_OCTAVES + 1u) << DSMR_HISTOGRAM_SUB_BITS)
#define DSMR_HISTOGRAM_MAX ((UINT64_C(1) << (DSMR_HISTOGRAM_OCTAVES + DSMR_HISTOGRAM_SUB_BITS)) - 1)

struct dsmr_histogram { /* zero it before use */
    uint64_t count;
    uint64_t max;
    uint64_t buckets[DSMR_HISTOGRAM_BUCKETS];
};

void dsmr_histogram_clear(struct dsmr_histogram *histogram);
void dsmr_histogram_add(struct dsmr_histogram *histogram, uint64_t value, uint64_t times);
void dsmr_histogram_merge(struct dsmr_histogram *into, const struct dsmr_histogram *from);
/* The smallest value that at least share (0..1) of all do not exceed, rounded up within its bucket
 * and never above max; 0 if there are none. */
uint64_t dsmr_histogram_percentile(const struct dsmr_histogram *histogram, double share);

#endif
