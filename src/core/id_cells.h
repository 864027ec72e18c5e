/* id_cells.h - a set of fingerprints of ids that only grows, and goes as a whole.
 *
 * Why:        millions of executed ids are remembered (executed_ids): each byte of one counts, and
 *             no single step may take long.
 * How:        extendible hashing (Fagin, Nievergelt, Pippenger and Strong, 1979): the low bits of a
 *             fingerprint lead through a table of pointers to its cell of up to 140, and a full
 *             cell is split in two. So the set grows by one cell at a time, and nothing is moved
 *             but 140 entries and now and then the pointers. A cell has a byte of each entry side
 *             by side for the search, and leads to the other ten, 20 entries in a block; four bits
 *             follow from the place. Cells and these are blocks of one size, in pages that are
 *             freed with the set.
 * Limits:     memory follows the count: about 13 bytes for an entry from a thousand on.
 * Threads:    one owner. */
#ifndef DSMR_CORE_ID_CELLS_H
#define DSMR_CORE_ID_CELLS_H

#include <stdbool.h>

#include "base/id_print.h"
#include "dsmr/types.h"

struct dsmr_id_cells; /* opaque */

DSMR_MUST_USE struct dsmr_id_cells *dsmr_id_cells_new(void); /* NULL: out of memory */
void dsmr_id_cells_free(struct dsmr_id_cells *set);          /* NULL is fine */
/* OK; DUPLICATE, NO_MEMORY: nothing changed. */
DSMR_MUST_USE enum dsmr_err dsmr_id_cells_add(struct dsmr_id_cells *set,
                                              const struct dsmr_id_print *print);
bool dsmr_id_cells_has(const struct dsmr_id_cells *set, const struct dsmr_id_print *print);
/* Fetches from memory what add and has look at; call it some ids ahead. */
void dsmr_id_cells_prefetch(const struct dsmr_id_cells *set, const struct dsmr_id_print *print);
uint32_t dsmr_id_cells_count(const struct dsmr_id_cells *set);
/* Bytes of memory; for tests. */
size_t dsmr_id_cells_bytes(const struct dsmr_id_cells *set);
void dsmr_id_cells_check(const struct dsmr_id_cells *set); /* O(n) */

#endif
