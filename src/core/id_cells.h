/* id_cells.h - a set of fingerprints of ids that only grows, and goes as a whole.
 *
 * Why:        millions of executed ids are remembered (executed_ids): each byte of one counts, and
 *             no single step may take long.
 * How:        extendible hashing (Fagin, Nievergelt, Pippenger and Strong, 1979): bits of a
 *             fingerprint, its address, lead through a table of pointers to its cell of up to 168,
 *             and a full cell is split in two. So the set grows by one cell at a time, and nothing
 *             is moved but 168 entries and now and then the pointers. Of the 82 bits of an entry
 *             ten follow from the place of its cell, the cell has eight (the tag) side by side for
 *             the search, and leads to the other 64 (the rest) by numbers of parts, which have
 *             eight each. A number leaves a byte of its word: there the cell has a ninth bit of
 *             each entry for the search. As long as a place is less than ten bits, a cell takes
 *             half as many entries, and has what is missing behind their tags. Pages have cells or
 *             parts, and are freed with the set.
 * Limits:     memory follows the count: from 100 000 entries on 10.2 to 11.2 bytes for each, by how
 *             full the cells are; with fewer up to 14, and 20 000 for pages that were begun. About
 *             100 million entries, a GiB, then NO_MEMORY.
 * Threads:    one owner. */
#ifndef DSMR_CORE_ID_CELLS_H
#define DSMR_CORE_ID_CELLS_H

#include <stdbool.h>

#include "base/id_print.h"
#include "core/id_pages.h"
#include "dsmr/types.h"

struct dsmr_id_cells; /* opaque */

#define DSMR_ID_CELLS_ADDRESS_BITS 18u

/* The low bits of the address by which cells are found. */
static inline uint32_t dsmr_id_cells_address(const struct dsmr_id_print *print)
{
    return (uint32_t)(print->high >> 24 & 0xffu) << 10 | (uint32_t)(print->high >> 54);
}

/* source outlives the set. NULL: out of memory. */
DSMR_MUST_USE struct dsmr_id_cells *dsmr_id_cells_new(struct dsmr_id_pages *source);
void dsmr_id_cells_free(struct dsmr_id_cells *set); /* NULL is fine */
/* OK; DUPLICATE, NO_MEMORY: nothing changed. */
DSMR_MUST_USE enum dsmr_err dsmr_id_cells_add(struct dsmr_id_cells *set,
                                              const struct dsmr_id_print *print);
bool dsmr_id_cells_has(const struct dsmr_id_cells *set, const struct dsmr_id_print *print);
/* Fetches from memory what add and has look at; call it some ids ahead. */
void dsmr_id_cells_prefetch(const struct dsmr_id_cells *set, const struct dsmr_id_print *print);
/* The prints whose address has these low bits, DSMR_ID_CELLS_ADDRESS_BITS at most; returns how many
 * there are, of which at most max are written. The lower the bits, the fewer cells are looked at:
 * with as many as the cells are deep, one. */
uint32_t dsmr_id_cells_list(const struct dsmr_id_cells *set, struct dsmr_id_print *out,
                            uint32_t max, uint32_t low, uint32_t bits);
uint32_t dsmr_id_cells_count(const struct dsmr_id_cells *set);
/* Bytes of memory; for tests. */
size_t dsmr_id_cells_bytes(const struct dsmr_id_cells *set);
void dsmr_id_cells_check(const struct dsmr_id_cells *set); /* O(n) */

#endif
