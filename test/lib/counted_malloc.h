/* counted_malloc.h - how much was asked of the allocator. Included by the one file of a test that
 * is linked with malloc, calloc and realloc wrapped (cmake/tests.cmake). */
#ifndef DSMR_TEST_COUNTED_MALLOC_H
#define DSMR_TEST_COUNTED_MALLOC_H

#include "lib/wrapped_malloc.h"

static size_t allocated;

void *__wrap_malloc(size_t size)
{
    allocated += size;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocated += count * size;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocated += size;
    return __real_realloc(old, size);
}

#endif
