/* id_pack.h - a set of fingerprints of ids that grows no more, in 8.0 to 9.7 bytes for each.
 *
 * Why:        most ids that a node remembers lie in buckets to which nothing comes any more, and
 *             cells (id_cells) pay for room to grow: 10.2 to 11.2 bytes an id.
 * How:        quotienting (Knuth, The Art of Computer Programming, volume 3, 6.4, exercise 13;
 *             Cleary, 1984): 18 of the 82 bits of a print, its address, lead to a group of it, and
 *             the group has the other 64 of each of its prints, all groups in a row, without gaps.
 *             Where a group ends is a byte for each. It is made from cells bit by bit: a segment,
 *             all prints whose address has the same low bits, is in few cells.
 * Limits:     from DSMR_ID_PACK_COUNT_MIN to 46 million prints. A segment has at most 255,
 *             where 88 to 176 are expected: a set in which one has more is left as it is.
 * Threads:    one owner. */
#ifndef DSMR_CORE_ID_PACK_H
#define DSMR_CORE_ID_PACK_H

#include <stdbool.h>

#include "base/id_print.h"
#include "core/id_cells.h"
#include "core/id_pages.h"

/* Fewer are not worth it: what groups take is more than what is saved. */
#define DSMR_ID_PACK_COUNT_MIN (160u << 10)

struct dsmr_id_pack; /* opaque */

/* An empty one, for the prints of a set of count. source outlives it. NULL: out of memory, or not
 * for as few, or as many. */
DSMR_MUST_USE struct dsmr_id_pack *dsmr_id_pack_new(struct dsmr_id_pages *source, uint32_t count);
void dsmr_id_pack_free(struct dsmr_id_pack *pack); /* NULL is fine */
/* Copies about so many prints more of the cells, which have been the same since it was made; *out:
 * how many. OK; FULL: a segment has too many, NO_MEMORY: it can only be freed. */
DSMR_MUST_USE enum dsmr_err dsmr_id_pack_fill(struct dsmr_id_pack *pack, uint32_t *out,
                                              const struct dsmr_id_cells *cells, uint32_t about);
/* Whether it has all of them; before that it is no set. */
bool dsmr_id_pack_is_whole(const struct dsmr_id_pack *pack);
bool dsmr_id_pack_has(const struct dsmr_id_pack *pack, const struct dsmr_id_print *print);
/* Fetches from memory what has looks at first; call it some ids ahead. */
void dsmr_id_pack_prefetch(const struct dsmr_id_pack *pack, const struct dsmr_id_print *print);
uint32_t dsmr_id_pack_count(const struct dsmr_id_pack *pack);
/* Bytes of memory; for tests. */
size_t dsmr_id_pack_bytes(const struct dsmr_id_pack *pack);
void dsmr_id_pack_check(const struct dsmr_id_pack *pack); /* O(n) */

#endif
