/* retry.h - when to try again: doubled delay with jitter.
 *
 * Threads: one owner; a plain value. */
#ifndef DSMR_CORE_RETRY_H
#define DSMR_CORE_RETRY_H

#include "base/prng.h"
#include "dsmr/types.h"

struct dsmr_retry {
    uint64_t due_mono_ms; /* UINT64_MAX: stopped */
    uint64_t delay_ms;    /* of the next try, before jitter */
    uint64_t delay_min_ms, delay_max_ms;
    uint32_t tries; /* since start */
};

/* Stopped. delay_min_ms >= 1, delay_max_ms >= delay_min_ms. */
void dsmr_retry_init(struct dsmr_retry *retry, uint64_t delay_min_ms, uint64_t delay_max_ms);
/* First try due delay_min_ms (jittered) from now; forgets earlier tries. */
void dsmr_retry_start(struct dsmr_retry *retry, struct dsmr_prng *prng, uint64_t mono_ms);
/* A try was made: the next is due after the doubled delay, at most delay_max_ms, jittered. */
void dsmr_retry_again(struct dsmr_retry *retry, struct dsmr_prng *prng, uint64_t mono_ms);
/* There was nothing to try: the next time comes after the same delay, jittered. */
void dsmr_retry_wait(struct dsmr_retry *retry, struct dsmr_prng *prng, uint64_t mono_ms);
void dsmr_retry_stop(struct dsmr_retry *retry);
bool dsmr_retry_is_due(const struct dsmr_retry *retry, uint64_t mono_ms);
/* All additions saturate. */

#endif
