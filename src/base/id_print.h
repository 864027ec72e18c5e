/* id_print.h - a fingerprint of an id, 82 bits under a secret key.
 *
 * Why:     a third of an id's memory, where what matters is only whether two ids are the same.
 * How:     the id's four words times secret ones of 128 bits, summed; the high 82 bits count
 *          (multilinear hashing: Lemire and Kaser, Strongly universal string hashing is fast,
 *          2014). Over the choice of the key two different ids have one fingerprint with a
 *          probability of at most 2^-81, unless each word of one is that of the other in its low
 *          48 bits: then up to 2^-65, but two such hashes are among 2^96.
 * Threads: plain. */
#ifndef DSMR_BASE_ID_PRINT_H
#define DSMR_BASE_ID_PRINT_H

#include <stdint.h>
#include <string.h>

#define DSMR_ID_PRINT_WORDS 4u
#define DSMR_ID_PRINT_LOW_BITS 18u /* of low, its high ones */

struct dsmr_id_print_key { /* uniformly random, and told to nobody */
    uint64_t low[DSMR_ID_PRINT_WORDS], high[DSMR_ID_PRINT_WORDS];
};

struct dsmr_id_print {
    uint64_t high;
    uint64_t low;
};

/* id: 32 bytes. */
static inline struct dsmr_id_print dsmr_id_print_make(const struct dsmr_id_print_key *key,
                                                      const void *id)
{
    uint64_t words[DSMR_ID_PRINT_WORDS], high = 0;
    __uint128_t sum = 0;
    memcpy(words, id, sizeof(words));
    for (uint32_t i = 0; i < DSMR_ID_PRINT_WORDS; i++) {
        sum += (__uint128_t)key->low[i] * words[i];
        high += key->high[i] * words[i];
    }
    return (struct dsmr_id_print){.high = high + (uint64_t)(sum >> 64), .low = (uint64_t)sum};
}

#endif
