#define _GNU_SOURCE
#include "host/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* A handful is enough for our few threads; the default of eight a core is memory that an idle node
 * would hold for nothing. */
#define ARENAS 4
/* Blocks from here on are mapped each for itself: what glibc's own rule would come to at most, and
 * more than any body. */
#define MAPPED_BYTES_MIN (32 << 20)
/* Of free bodies at the end of an arena: three of the largest kind. */
#define KEPT_BYTES_MAX (32 << 20)

/* As glibc does, which looks at no environment where it is not the user's own (setuid). */
static bool is_set(const char *tunable, const char *variable)
{
    const char *tunables = secure_getenv("GLIBC_TUNABLES");
    return secure_getenv(variable) != NULL ||
           (tunables != NULL && strstr(tunables, tunable) != NULL);
}

void dsmr_heap_set_up(bool keeps_bodies)
{
    if (!is_set("glibc.malloc.arena_max", "MALLOC_ARENA_MAX"))
        (void)mallopt(M_ARENA_MAX, ARENAS);
    /* One of them that is set ends glibc's own rule for all: then they are to be what it says. */
    if (!keeps_bodies || is_set("glibc.malloc.mmap_threshold", "MALLOC_MMAP_THRESHOLD_") ||
        is_set("glibc.malloc.trim_threshold", "MALLOC_TRIM_THRESHOLD_") ||
        is_set("glibc.malloc.top_pad", "MALLOC_TOP_PAD_") ||
        is_set("glibc.malloc.mmap_max", "MALLOC_MMAP_MAX_"))
        return;
    if (mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN) == 1)
        (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES_MAX);
}
