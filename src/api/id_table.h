/* id_table.h - ids to values that stay where they are, made for many look-ups at once.
 *
 * Why:        every transaction is looked up several times on its way, and each node looks for all
 *             that ran, most of which came in elsewhere. One after the other, each look-up waits
 *             for memory; in groups they wait together.
 * How:        open addressing over tags of 8 bytes, apart from the entries: one that is not there
 *             costs one cache line. Ids are hashes already, so their first words are multiplied
 *             by secret ones: nobody can choose ids that fall into one place.
 * Limits:     capacity entries. What an entry takes is touched when it is first used.
 * Threads:    one owner. */
#ifndef DSMR_API_ID_TABLE_H
#define DSMR_API_ID_TABLE_H

#include "dsmr/types.h"

struct dsmr_id_table; /* opaque */

/* value_bytes: a multiple of 8. seed: unpredictable. NULL if out of memory. Caller frees. */
struct dsmr_id_table *dsmr_id_table_new(size_t value_bytes, uint32_t capacity, uint64_t seed);
void dsmr_id_table_free(struct dsmr_id_table *table); /* NULL is fine */

/* A value stays where it is until it is removed. NULL: not there. */
void *dsmr_id_table_find(const struct dsmr_id_table *table, const struct dsmr_id *id);
/* Adds id with a zeroed value. It must not be there, and there must be room. */
void *dsmr_id_table_add(struct dsmr_id_table *table, const struct dsmr_id *id);
void dsmr_id_table_remove(struct dsmr_id_table *table, void *value);
/* Calls found, in their order, for those of the ids that are there. It may remove the value that it
 * is given, and no other; it must not add. */
void dsmr_id_table_find_all(struct dsmr_id_table *table, const struct dsmr_id *ids, uint32_t count,
                            void (*found)(void *ctx, uint32_t index, void *value), void *ctx);
/* The id will be looked for soon: memory may begin. */
void dsmr_id_table_expect(const struct dsmr_id_table *table, const struct dsmr_id *id);
/* The entries, in any order: start with *position 0. NULL at the end. One that is there all the
 * time is not left out, whatever is added and removed between two calls. */
void *dsmr_id_table_next(const struct dsmr_id_table *table, uint32_t *position,
                         const struct dsmr_id **id);

#endif
