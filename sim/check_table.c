#include "sim/check_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"

#define CAPACITY_AT_FIRST 64u

struct dsmr_sim_table {
    struct dsmr_map *map;
    size_t key_bytes, value_bytes, capacity;
};

struct dsmr_sim_table *dsmr_sim_table_new(size_t key_bytes, size_t value_bytes)
{
    struct dsmr_sim_table *table = calloc(1, sizeof(*table));
    DSMR_ASSERT(table != NULL);
    table->key_bytes = key_bytes;
    table->value_bytes = value_bytes;
    table->capacity = CAPACITY_AT_FIRST;
    table->map = dsmr_map_new(key_bytes, value_bytes, table->capacity, 1);
    DSMR_ASSERT(table->map != NULL);
    return table;
}

void dsmr_sim_table_free(struct dsmr_sim_table *table)
{
    if (table != NULL) {
        dsmr_map_free(table->map);
        free(table);
    }
}

void *dsmr_sim_table_find(const struct dsmr_sim_table *table, const void *key)
{
    return dsmr_map_find(table->map, key);
}

static void grow(struct dsmr_sim_table *table)
{
    size_t position = 0;
    const void *key;
    void *value;
    table->capacity *= 4;
    struct dsmr_map *larger =
        dsmr_map_new(table->key_bytes, table->value_bytes, table->capacity, 1);
    DSMR_ASSERT(larger != NULL);
    while (dsmr_map_next(table->map, &position, &key, &value)) {
        void *copy = dsmr_map_add(larger, key, NULL);
        DSMR_ASSERT(copy != NULL);
        memcpy(copy, value, table->value_bytes);
    }
    dsmr_map_free(table->map);
    table->map = larger;
}

void *dsmr_sim_table_add(struct dsmr_sim_table *table, const void *key, bool *is_new)
{
    if (dsmr_map_count(table->map) == table->capacity) {
        grow(table);
    }
    void *value = dsmr_map_add(table->map, key, is_new);
    DSMR_ASSERT(value != NULL);
    return value;
}

void dsmr_sim_table_remove(struct dsmr_sim_table *table, const void *key)
{
    (void)dsmr_map_remove(table->map, key);
}

size_t dsmr_sim_table_count(const struct dsmr_sim_table *table)
{
    return dsmr_map_count(table->map);
}

bool dsmr_sim_table_next(const struct dsmr_sim_table *table, size_t *position, const void **key,
                         void **value)
{
    return dsmr_map_next(table->map, position, key, value);
}
