#include "host/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* A handful is enough for our few threads; the default of eight a core is memory that an idle node
 * would hold for nothing. */
#define ARENAS 4
/* What glibc allows at most: no body is mapped for itself. */
#define MAPPED_BYTES_MIN (32 << 20)
/* Two to eight bodies: what is free for a moment only. */
#define KEPT_BYTES_MAX (32 << 20)

static void set(int parameter, int value, const char *tunable, const char *variable)
{
    const char *tunables = getenv("GLIBC_TUNABLES");
    if (getenv(variable) != NULL || (tunables != NULL && strstr(tunables, tunable) != NULL))
        return;
    (void)mallopt(parameter, value); /* no: as slow as before, and as right */
}

void dsmr_heap_set_up(void)
{
    set(M_ARENA_MAX, ARENAS, "glibc.malloc.arena_max", "MALLOC_ARENA_MAX");
    set(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN, "glibc.malloc.mmap_threshold",
        "MALLOC_MMAP_THRESHOLD_");
    set(M_TRIM_THRESHOLD, KEPT_BYTES_MAX, "glibc.malloc.trim_threshold", "MALLOC_TRIM_THRESHOLD_");
}
