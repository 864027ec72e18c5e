/* allocated.h - how much a decoder asks the allocator for, where a sanitizer tells; 0 elsewhere.
 *
 * The rule (docs/wire.md, docs/transport.md): bytes of a peer make this node allocate at most twice
 * what came, and what a header names on top. Included by one file of a target. */
#ifndef DSMR_TEST_FUZZ_ALLOCATED_H
#define DSMR_TEST_FUZZ_ALLOCATED_H

#include <stddef.h>

typedef void (*allocated_hook)(const volatile void *pointer, size_t size);
typedef void (*freed_hook)(const volatile void *pointer);
__attribute__((weak)) int __sanitizer_install_malloc_and_free_hooks(allocated_hook allocated,
                                                                    freed_hook freed);

static size_t allocated_sum;

static void allocated_note(const volatile void *pointer, size_t size)
{
    (void)pointer;
    allocated_sum += size;
}
static void allocated_ignore(const volatile void *pointer)
{
    (void)pointer;
}

/* From here on. One thread allocates. */
static void allocated_begin(void)
{
    static int is_installed;
    if (!is_installed && __sanitizer_install_malloc_and_free_hooks != NULL)
        (void)__sanitizer_install_malloc_and_free_hooks(allocated_note, allocated_ignore);
    is_installed = 1;
    allocated_sum = 0;
}

/* Since allocated_begin, whether or not it was given back. */
static size_t allocated_bytes(void)
{
    return allocated_sum;
}

#endif
