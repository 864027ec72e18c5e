/* id_pages.h - memory for sets of ids, in pages that lie apart from everything else.
 *
 * Why:        ids stay for a minute, bodies of chunks, some MB each, for less than a second: side
 *             by side they leave holes. And a set takes its pages one by one and gives all back at
 *             once: the next set takes the same ones.
 * How:        pages are cut from slabs, each as large as all before it together. A page comes from
 *             the oldest slab that has one; so when there are fewer ids, the youngest and largest
 *             slabs become empty, and go. What was never taken of a large slab takes no memory:
 *             allocators map such blocks apart, glibc's all above 32 MiB.
 * Limits:     a slab is at most 64 MiB. NULL: no memory, nothing changed.
 * Threads:    one owner. */
#ifndef DSMR_CORE_ID_PAGES_H
#define DSMR_CORE_ID_PAGES_H

#include "dsmr/types.h"

#define DSMR_ID_PAGES_PAGE_BYTES 8192u
#define DSMR_ID_PAGES_ALIGNMENT 64u /* of each page */

struct dsmr_id_page {
    _Alignas(DSMR_ID_PAGES_ALIGNMENT) uint8_t bytes[DSMR_ID_PAGES_PAGE_BYTES];
};

struct dsmr_id_slab; /* opaque */

struct dsmr_id_pages { /* zeroed: empty */
    struct dsmr_id_slab *slabs;
    uint32_t count;
    uint32_t room;
};

void dsmr_id_pages_free(struct dsmr_id_pages *pages); /* all are given back */
/* Not initialised. */
DSMR_MUST_USE struct dsmr_id_page *dsmr_id_pages_take(struct dsmr_id_pages *pages);
void dsmr_id_pages_give(struct dsmr_id_pages *pages, struct dsmr_id_page *page);
uint32_t dsmr_id_pages_taken(const struct dsmr_id_pages *pages);
/* Bytes asked for, whether touched or not; for tests. */
size_t dsmr_id_pages_bytes(const struct dsmr_id_pages *pages);
void dsmr_id_pages_check(const struct dsmr_id_pages *pages); /* O(n) */

#endif
