#include "client/histogram.h"

#include <string.h>

#define SUB (UINT64_C(1) << DSMR_HISTOGRAM_SUB_BITS)

/* Values below SUB have a bucket each; above, every power of two is cut into SUB parts. */
static uint32_t bucket_of(uint64_t value)
{
    if (value > DSMR_HISTOGRAM_MAX) {
        value = DSMR_HISTOGRAM_MAX;
    }
    if (value < SUB) {
        return (uint32_t)value;
    }
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(value) - DSMR_HISTOGRAM_SUB_BITS;
    return (uint32_t)(((octave + 1) << DSMR_HISTOGRAM_SUB_BITS) + ((value >> octave) - SUB));
}

/* The largest value of a bucket. */
static uint64_t top_of(uint32_t bucket)
{
    if (bucket < SUB) {
        return bucket;
    }
    uint32_t octave = (bucket >> DSMR_HISTOGRAM_SUB_BITS) - 1;
    uint64_t part = (bucket & (SUB - 1)) + SUB;
    return ((part + 1) << octave) - 1;
}

void dsmr_histogram_clear(struct dsmr_histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

void dsmr_histogram_add(struct dsmr_histogram *histogram, uint64_t value, uint64_t times)
{
    histogram->buckets[bucket_of(value)] += times;
    histogram->count += times;
    if (times > 0 && value > histogram->max) {
        histogram->max = value;
    }
}

void dsmr_histogram_merge(struct dsmr_histogram *into, const struct dsmr_histogram *from)
{
    for (uint32_t i = 0; i < DSMR_HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
    into->count += from->count;
    into->max = from->max > into->max ? from->max : into->max;
}

uint64_t dsmr_histogram_percentile(const struct dsmr_histogram *histogram, double share)
{
    if (histogram->count == 0) {
        return 0;
    }
    double exact = share * (double)histogram->count;
    uint64_t wanted = (uint64_t)exact;
    if ((double)wanted < exact || wanted == 0) {
        wanted++;
    }
    uint64_t seen = 0;
    for (uint32_t i = 0; i < DSMR_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            uint64_t top = top_of(i);
            return top < histogram->max ? top : histogram->max;
        }
    }
    return histogram->max;
}
