#include "base/prng.h"

#include "base/assert.h"

static uint64_t rotl(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64u - bits);
}

void dsmr_prng_init(struct dsmr_prng *prng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) { /* splitmix64: the state is never all zero */
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        prng->state[i] = z ^ (z >> 31);
    }
}

uint64_t dsmr_prng_next(struct dsmr_prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotl(s[1] * 5u, 7) * 9u;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t dsmr_prng_below(struct dsmr_prng *prng, uint64_t bound)
{
    DSMR_ASSERT(bound > 0);
    /* 2^64 mod bound values at the low end would make the first results likelier: draw again. */
    uint64_t skip = (0 - bound) % bound;
    uint64_t v;
    do {
        v = dsmr_prng_next(prng);
    } while (v < skip);
    return v % bound;
}

uint64_t dsmr_prng_jitter(struct dsmr_prng *prng, uint64_t delay)
{
    uint64_t quarter = delay / 4u;
    uint64_t low = delay - quarter;
    uint64_t extra = dsmr_prng_below(prng, 2u * quarter + 1u);
    uint64_t v = extra > UINT64_MAX - low ? UINT64_MAX : low + extra;
    return v == 0 ? 1 : v;
}
