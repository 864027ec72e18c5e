#include "core/clock_offset.h"

#include <stdlib.h>

int64_t dsmr_clock_offset_of(uint64_t told_wall_ms, uint64_t heard_mono_ms, uint64_t wall_ms,
                             uint64_t mono_ms)
{
    const uint64_t max = (uint64_t)DSMR_CLOCK_OFFSET_MAX_MS;
    uint64_t since_ms = mono_ms > heard_mono_ms ? mono_ms - heard_mono_ms : 0;
    uint64_t theirs_ms =
        told_wall_ms > UINT64_MAX - since_ms ? UINT64_MAX : told_wall_ms + since_ms;
    uint64_t distance = theirs_ms > wall_ms ? theirs_ms - wall_ms : wall_ms - theirs_ms;
    int64_t offset_ms = (int64_t)(distance < max ? distance : max);
    return theirs_ms > wall_ms ? offset_ms : -offset_ms;
}

static int by_offset(const void *a, const void *b)
{
    const struct dsmr_clock_sample *x = a;
    const struct dsmr_clock_sample *y = b;
    return (x->offset_ms > y->offset_ms) - (x->offset_ms < y->offset_ms);
}

int64_t dsmr_clock_offset_median(struct dsmr_clock_sample *samples, uint32_t count,
                                 uint64_t total_weight)
{
    uint64_t weight = 0; /* of some validators of a set: at most its total, a u64 */
    for (uint32_t i = 0; i < count; i++) {
        weight += samples[i].weight;
    }
    if (count == 0 || !dsmr_is_quorum(weight, total_weight)) {
        return 0;
    }
    qsort(samples, count, sizeof(samples[0]), by_offset);
    uint64_t below = 0;
    for (uint32_t i = 0; i < count; i++) {
        below += samples[i].weight;
        if (below > weight / 2u) {
            return samples[i].offset_ms;
        }
    }
    return samples[count - 1].offset_ms;
}
