#include "core/retry.h"

#include "base/assert.h"

static uint64_t later(uint64_t mono_ms, uint64_t delay_ms)
{
    /* UINT64_MAX means stopped: a time that far away is the one before it. */
    return delay_ms >= UINT64_MAX - mono_ms ? UINT64_MAX - 1 : mono_ms + delay_ms;
}

void dsmr_retry_init(struct dsmr_retry *retry, uint64_t delay_min_ms, uint64_t delay_max_ms)
{
    DSMR_ASSERT(delay_min_ms >= 1);
    DSMR_ASSERT(delay_max_ms >= delay_min_ms);
    *retry = (struct dsmr_retry){.due_mono_ms = UINT64_MAX,
                                 .delay_ms = delay_min_ms,
                                 .delay_min_ms = delay_min_ms,
                                 .delay_max_ms = delay_max_ms,
                                 .tries = 0};
}

void dsmr_retry_start(struct dsmr_retry *retry, struct dsmr_prng *prng, uint64_t mono_ms)
{
    retry->tries = 0;
    retry->delay_ms = retry->delay_min_ms;
    retry->due_mono_ms = later(mono_ms, dsmr_prng_jitter(prng, retry->delay_ms));
}

void dsmr_retry_again(struct dsmr_retry *retry, struct dsmr_prng *prng, uint64_t mono_ms)
{
    if (retry->tries < UINT32_MAX) {
        retry->tries++;
    }
    retry->delay_ms =
        retry->delay_ms > retry->delay_max_ms / 2 ? retry->delay_max_ms : 2 * retry->delay_ms;
    retry->due_mono_ms = later(mono_ms, dsmr_prng_jitter(prng, retry->delay_ms));
}

void dsmr_retry_wait(struct dsmr_retry *retry, struct dsmr_prng *prng, uint64_t mono_ms)
{
    retry->due_mono_ms = later(mono_ms, dsmr_prng_jitter(prng, retry->delay_ms));
}

void dsmr_retry_stop(struct dsmr_retry *retry)
{
    retry->due_mono_ms = UINT64_MAX;
}

bool dsmr_retry_is_due(const struct dsmr_retry *retry, uint64_t mono_ms)
{
    return retry->due_mono_ms != UINT64_MAX && mono_ms >= retry->due_mono_ms;
}
