/* order.h - the smaller and the larger one of two numbers. */
#ifndef DSMR_BASE_ORDER_H
#define DSMR_BASE_ORDER_H

#include <stdint.h>

static inline uint64_t dsmr_smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t dsmr_larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
