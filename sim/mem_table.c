#include "sim/mem_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void dsmr_mem_table_init(struct dsmr_mem_table *table, size_t key_bytes, size_t entry_bytes,
                         dsmr_mem_table_key_of *key_of)
{
    DSMR_ASSERT(key_bytes <= DSMR_MEM_TABLE_KEY_MAX);
    table->places = dsmr_sim_table_new(key_bytes, sizeof(uint32_t));
    table->key_of = key_of;
    table->entry_bytes = entry_bytes;
}

void dsmr_mem_table_close(struct dsmr_mem_table *table)
{
    dsmr_sim_table_free(table->places);
    free(table->entries);
}

void *dsmr_mem_table_at(const struct dsmr_mem_table *table, uint32_t i)
{
    return table->entries + (size_t)i * table->entry_bytes;
}

void *dsmr_mem_table_find(const struct dsmr_mem_table *table, const void *key)
{
    const uint32_t *place = dsmr_sim_table_find(table->places, key);
    return place == NULL ? NULL : dsmr_mem_table_at(table, *place);
}

void *dsmr_mem_table_add(struct dsmr_mem_table *table, const void *key)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        table->entries = realloc(table->entries, table->capacity * table->entry_bytes);
        DSMR_ASSERT(table->entries != NULL);
    }
    uint32_t i = table->count++;
    *(uint32_t *)dsmr_sim_table_add(table->places, key, NULL) = i;
    return memset(dsmr_mem_table_at(table, i), 0, table->entry_bytes);
}

void dsmr_mem_table_remove(struct dsmr_mem_table *table, void *entry)
{
    uint8_t space[DSMR_MEM_TABLE_KEY_MAX];
    const void *last = dsmr_mem_table_at(table, --table->count);
    uint32_t *place = dsmr_sim_table_find(table->places, table->key_of(entry, space));
    uint32_t i = *place;
    dsmr_sim_table_remove(table->places, table->key_of(entry, space));
    if (entry != last) {
        memcpy(entry, last, table->entry_bytes);
        *(uint32_t *)dsmr_sim_table_find(table->places, table->key_of(entry, space)) = i;
    }
}
