#include "core/backpressure.h"

#include "base/assert.h"

#define STEPS_TO_FULL 16u /* certified chunks from nothing to the largest chunk */
#define SMALLEST_SHARE 64u
#define SMALLEST_BYTES 4096u

static uint32_t smallest(const struct dsmr_backpressure *bp)
{
    uint32_t share = bp->config.chunk_bytes_max / SMALLEST_SHARE;
    uint32_t bytes = share > SMALLEST_BYTES ? share : SMALLEST_BYTES;
    return bytes < bp->config.chunk_bytes_max ? bytes : bp->config.chunk_bytes_max;
}

/* backlog > mark * times, without overflow. */
static bool is_over(uint64_t backlog, uint64_t mark, uint64_t times)
{
    return mark <= UINT64_MAX / times && backlog > mark * times;
}

static bool is_any_over(const struct dsmr_backpressure *bp, const struct dsmr_backlogs *backlogs,
                        uint64_t times)
{
    return is_over(backlogs->uncertified_bytes, bp->config.uncertified_bytes_mark, times) ||
           is_over(backlogs->waiting_bytes, bp->config.waiting_bytes_mark, times) ||
           is_over(backlogs->backlog_bytes, bp->config.backlog_bytes_mark, times);
}

static bool is_late(const struct dsmr_backpressure *bp, const struct dsmr_backlogs *backlogs,
                    uint64_t times)
{
    return is_over(backlogs->uncertified_ms, bp->config.uncertified_ms_mark, times);
}

void dsmr_backpressure_init(struct dsmr_backpressure *bp,
                            const struct dsmr_backpressure_config *config)
{
    DSMR_ASSERT(config->chunk_bytes_max > 0);
    *bp = (struct dsmr_backpressure){.config = *config, .chunk_bytes = config->chunk_bytes_max};
}

uint32_t dsmr_backpressure_allow(struct dsmr_backpressure *bp, const struct dsmr_backlogs *backlogs,
                                 uint64_t mono_ms)
{
    bool may_cut = bp->cut_mono_ms == 0 || (mono_ms >= bp->cut_mono_ms &&
                                            mono_ms - bp->cut_mono_ms >= bp->config.interval_ms);
    if (may_cut && (is_any_over(bp, backlogs, 1) || is_late(bp, backlogs, 1))) {
        uint32_t least = smallest(bp);
        bp->chunk_bytes = bp->chunk_bytes / 2 > least ? bp->chunk_bytes / 2 : least;
        bp->cut_mono_ms = mono_ms > 0 ? mono_ms : 1;
    }
    if (is_any_over(bp, backlogs, 2)) {
        return 0;
    }
    if (is_late(bp, backlogs, 2)) {
        if (bp->late_mono_ms != 0 && mono_ms >= bp->late_mono_ms &&
            mono_ms - bp->late_mono_ms < bp->config.uncertified_ms_mark) {
            return 0;
        }
        bp->late_mono_ms = mono_ms > 0 ? mono_ms : 1;
    }
    return bp->chunk_bytes;
}

void dsmr_backpressure_on_certified(struct dsmr_backpressure *bp,
                                    const struct dsmr_backlogs *backlogs)
{
    if (is_any_over(bp, backlogs, 1) || is_late(bp, backlogs, 1)) {
        return;
    }
    uint32_t max = bp->config.chunk_bytes_max;
    uint32_t step = max / STEPS_TO_FULL;
    step = step < bp->chunk_bytes / 2 ? step : bp->chunk_bytes / 2;
    step = step > 0 ? step : 1;
    bp->chunk_bytes = step > max - bp->chunk_bytes ? max : bp->chunk_bytes + step;
}
