/* check_table.h - a map that grows: what checkers remember has no limit but the run's.
 *
 * Threads: one. */
#ifndef DSMR_SIM_CHECK_TABLE_H
#define DSMR_SIM_CHECK_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct dsmr_sim_table; /* opaque */

/* Keys of fixed size, up to 64 bytes, without padding. Asserts that there is memory. */
struct dsmr_sim_table *dsmr_sim_table_new(size_t key_bytes, size_t value_bytes);
void dsmr_sim_table_free(struct dsmr_sim_table *table);
/* Values move when others are added or removed. */
void *dsmr_sim_table_find(const struct dsmr_sim_table *table, const void *key); /* or NULL */
void *dsmr_sim_table_add(struct dsmr_sim_table *table, const void *key, bool *is_new);
void dsmr_sim_table_remove(struct dsmr_sim_table *table, const void *key);
size_t dsmr_sim_table_count(const struct dsmr_sim_table *table);
/* Walks all: start with *position 0; false at the end. Nothing may be added or removed meanwhile.
 */
bool dsmr_sim_table_next(const struct dsmr_sim_table *table, size_t *position, const void **key,
                         void **value);

#endif
