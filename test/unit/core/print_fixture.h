/* print_fixture.h - fingerprints by a generator, for the tests of sets of them. */
#ifndef DSMR_TEST_UNIT_CORE_PRINT_FIXTURE_H
#define DSMR_TEST_UNIT_CORE_PRINT_FIXTURE_H

#include "base/id_print.h"
#include "base/prng.h"

#define PRINT_BITS 82u /* that count */

static inline struct dsmr_id_print print_of(struct dsmr_prng *prng)
{
    return (struct dsmr_id_print){.high = dsmr_prng_next(prng), .low = dsmr_prng_next(prng)};
}

static inline void flip(struct dsmr_id_print *print, uint32_t bit)
{
    if (bit < 64) {
        print->high ^= UINT64_C(1) << bit;
    } else {
        print->low ^= UINT64_C(1) << (127u - bit);
    }
}

#endif
