/* large_bufs.h - memory for large buffers, apart from everything else.
 *
 * Why:     bodies of chunks, some MB each, live for a quarter of a second. Between small things
 *          that stay they leave holes in malloc's arenas, and what a burst took was never given
 *          back.
 * How:     a range of addresses, in units of 64 KiB. A buffer takes the lowest free units that lie
 *          side by side (address-ordered first fit: Wilson et al., "Dynamic Storage Allocation: A
 *          Survey and Critical Review", 1995, on sequential fits), so that the same ones are used
 *          again. Free units keep what memory they have, up to spare_bytes_max; the highest beyond
 *          that give theirs back to the kernel. A unit that was taken and never written counts as
 *          well.
 * Limits:  bytes_max of addresses; when none are left, malloc serves (dsmr/buf.h).
 * Threads: any; a lock for some microseconds, none while the kernel takes memory back. */
#ifndef DSMR_HOST_LARGE_BUFS_H
#define DSMR_HOST_LARGE_BUFS_H

#include "dsmr/buf.h"
#include "dsmr/types.h"

#define DSMR_LARGE_BUFS_UNIT_BYTES 65536u
#define DSMR_LARGE_BUFS_LEN_MIN (2u * DSMR_LARGE_BUFS_UNIT_BYTES) /* at most a third is wasted */

struct dsmr_large_bufs; /* opaque */

/* NULL: no memory, or no addresses. Takes memory only as it is used. */
DSMR_MUST_USE struct dsmr_large_bufs *dsmr_large_bufs_new(size_t bytes_max, size_t spare_bytes_max);
/* Nothing may be taken; not while dsmr_buf_use_memory knows it. NULL is fine. */
void dsmr_large_bufs_free(struct dsmr_large_bufs *bufs);

/* Not initialised, at least len bytes, aligned to a page. NULL: no place is long enough. */
DSMR_MUST_USE void *dsmr_large_bufs_take(struct dsmr_large_bufs *bufs, size_t len);
/* len: as it was taken. False: it is not from here. */
bool dsmr_large_bufs_give(struct dsmr_large_bufs *bufs, void *memory, size_t len);

/* What is taken or on its way to the kernel, and what is free and may have memory; whole units. */
void dsmr_large_bufs_sizes(struct dsmr_large_bufs *bufs, size_t *taken, size_t *spare);
void dsmr_large_bufs_check(struct dsmr_large_bufs *bufs); /* O(n) */

/* Large buffers of this process come from one that stays until its end: called once, at its begin,
 * by one thread. Without addresses for it malloc goes on serving all, as it does under
 * AddressSanitizer. */
void dsmr_large_bufs_use(void);

#endif
