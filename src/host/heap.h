/* heap.h - how this process's malloc is set up.
 *
 * Why:     bodies of chunks of several MiB come and go many times a second. By default glibc gives
 *          the memory of one back as soon as it is free, and each page of the next is then a fault.
 * Threads: call it once, before others allocate. */
#ifndef DSMR_HOST_HEAP_H
#define DSMR_HOST_HEAP_H

/* Few arenas, each of which keeps up to 32 MiB that are free at its end. What the
 * user says in GLIBC_TUNABLES or MALLOC_... of the environment goes first. */
void dsmr_heap_set_up(void);

#endif
