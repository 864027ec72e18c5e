/* wrapped_malloc.h - the allocator's names in a test that is linked with malloc, calloc and realloc
 * wrapped (cmake/tests.cmake): what the test defines, and what it calls instead. */
#ifndef DSMR_TEST_WRAPPED_MALLOC_H
#define DSMR_TEST_WRAPPED_MALLOC_H

#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

#endif
