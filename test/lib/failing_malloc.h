/* failing_malloc.h - one allocation fails, those after it do not. Included by the one file of a
 * test that is linked with malloc, calloc and realloc wrapped (cmake/tests.cmake). */
#ifndef DSMR_TEST_FAILING_MALLOC_H
#define DSMR_TEST_FAILING_MALLOC_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wrapped_malloc.h"

#define NEVER UINT32_MAX

static uint32_t allocations_left = NEVER; /* until one fails; NEVER: none fails */
static bool has_failed;

static bool may_allocate(void)
{
    if (allocations_left == NEVER)
        return true;
    if (allocations_left == 0) {
        has_failed = true;
        allocations_left = NEVER;
        return false;
    }
    allocations_left--;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
    return may_allocate() ? __real_realloc(old, size) : NULL;
}

#endif
