/* mem_table.h - an array whose entries are found by a key; removing one moves the last one into the
 * gap. */
#ifndef DSMR_SIM_MEM_TABLE_H
#define DSMR_SIM_MEM_TABLE_H

#include <stdint.h>

#include "sim/check_table.h"

#define DSMR_MEM_TABLE_KEY_MAX 64u

/* The key of an entry: in it, or made in space, which has room for the largest. */
typedef const void *dsmr_mem_table_key_of(const void *entry, void *space);

struct dsmr_mem_table {
    struct dsmr_sim_table *places; /* key -> uint32_t index in entries */
    dsmr_mem_table_key_of *key_of;
    size_t entry_bytes;
    uint32_t count, capacity;
    uint8_t *entries;
};

void dsmr_mem_table_init(struct dsmr_mem_table *table, size_t key_bytes, size_t entry_bytes,
                         dsmr_mem_table_key_of *key_of);
void dsmr_mem_table_close(struct dsmr_mem_table *table);
void *dsmr_mem_table_at(const struct dsmr_mem_table *table, uint32_t i);
void *dsmr_mem_table_find(const struct dsmr_mem_table *table, const void *key); /* NULL: none */
void *dsmr_mem_table_add(struct dsmr_mem_table *table, const void *key);        /* all zero */
void dsmr_mem_table_remove(struct dsmr_mem_table *table, void *entry);

#endif
