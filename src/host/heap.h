/* heap.h - how this process's malloc is set up.
 *
 * Why:     bodies of chunks of several MiB come and go many times a second. By default glibc gives
 *          all back that is free at an arena's end once it is twice the largest block that was
 *          ever mapped and freed: two or three bodies, and each page of the next is then a fault.
 * Limits:  an arena whose free end reaches the limit gives all of it back; what lies free between
 *          blocks in use stays in any case. So after a burst each arena may hold as much as the
 *          limit for nothing, until something is freed at its end again.
 * Threads: call it once, before others allocate or threads begin. */
#ifndef DSMR_HOST_HEAP_H
#define DSMR_HOST_HEAP_H

#include <stdbool.h>

/* Four arenas; with keeps_bodies each has 32 MiB as its limit, else glibc's own rule. If
 * GLIBC_TUNABLES or MALLOC_... of the environment name the number of arenas, that stays theirs; if
 * they name any of glibc's four thresholds, all of these do. AvalancheGo gives its plugins no such
 * environment. */
void dsmr_heap_set_up(bool keeps_bodies);

#endif
