/* prng.h - seeded pseudo-random numbers for jitter and orders; never for secrets.
 * xoshiro256** seeded by splitmix64 (Blackman and Vigna, 2018). */
#ifndef DSMR_BASE_PRNG_H
#define DSMR_BASE_PRNG_H

#include <stdint.h>

struct dsmr_prng {
    uint64_t state[4];
};
void dsmr_prng_init(struct dsmr_prng *prng, uint64_t seed);
uint64_t dsmr_prng_next(struct dsmr_prng *prng);
uint64_t dsmr_prng_below(struct dsmr_prng *prng, uint64_t bound); /* 0..bound-1; bound > 0 */
/* delay +- a quarter, at least 1: for retries. */
uint64_t dsmr_prng_jitter(struct dsmr_prng *prng, uint64_t delay);

#endif
