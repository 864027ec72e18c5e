/* check_table.c - open addressing with linear probing; removing moves later slots into the gap
 * (Knuth, TAOCP 3, 6.4, algorithm R). Nobody chooses keys to harm a simulator, so a few
 * multiplications hash them. */
#include "sim/check_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define SLOTS_AT_FIRST 16u
#define KEY_BYTES_MAX 64u

struct slot {
    uint32_t hash;
    uint32_t place; /* 1 + the entry's index; 0: empty */
};

struct dsmr_sim_table {
    size_t key_bytes, value_bytes;
    size_t key_offset, entry_bytes; /* an entry: value, then key */
    size_t count, mask;             /* slots - 1 */
    struct slot *slots;
    uint8_t *entries; /* half as many as slots */
    uint32_t used;    /* entries that have held something */
    uint32_t free;    /* the place of one that holds nothing any more, which names the next; 0 */
};

static size_t round_up_8(size_t n)
{
    return (n + 7u) & ~(size_t)7u;
}

static uint8_t *value_at(const struct dsmr_sim_table *table, uint32_t place)
{
    return table->entries + (size_t)(place - 1) * table->entry_bytes;
}

static uint8_t *key_at(const struct dsmr_sim_table *table, uint32_t place)
{
    return value_at(table, place) + table->key_offset;
}

static void resize(struct dsmr_sim_table *table, size_t slots)
{
    table->mask = slots - 1;
    table->slots = calloc(slots, sizeof(*table->slots));
    table->entries = realloc(table->entries, slots / 2 * table->entry_bytes);
    DSMR_ASSERT(table->slots != NULL && table->entries != NULL);
}

struct dsmr_sim_table *dsmr_sim_table_new(size_t key_bytes, size_t value_bytes)
{
    struct dsmr_sim_table *table = calloc(1, sizeof(*table));
    DSMR_ASSERT(table != NULL);
    DSMR_ASSERT(key_bytes >= 1 && key_bytes <= KEY_BYTES_MAX);
    table->key_bytes = key_bytes;
    table->value_bytes = value_bytes;
    table->key_offset = round_up_8(value_bytes);
    table->entry_bytes = table->key_offset + round_up_8(key_bytes);
    resize(table, SLOTS_AT_FIRST);
    return table;
}

void dsmr_sim_table_free(struct dsmr_sim_table *table)
{
    if (table != NULL) {
        free(table->slots);
        free(table->entries);
        free(table);
    }
}

static uint32_t hash_of(const void *key, size_t len)
{
    const uint8_t *from = key;
    uint64_t sum = len, word = 0;
    for (; len >= 8; len -= 8, from += 8) {
        memcpy(&word, from, 8);
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 32;
    }
    for (word = 0; len > 0; len--) {
        word = word << 8 | *from++;
    }
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(sum >> 32);
}

/* The slot of key, or the empty one where it belongs. */
static size_t probe(const struct dsmr_sim_table *table, const void *key, uint32_t hash)
{
    size_t at = hash & table->mask;
    while (table->slots[at].place != 0 &&
           (table->slots[at].hash != hash ||
            memcmp(key_at(table, table->slots[at].place), key, table->key_bytes) != 0)) {
        at = (at + 1) & table->mask;
    }
    return at;
}

void *dsmr_sim_table_find(const struct dsmr_sim_table *table, const void *key)
{
    uint32_t place = table->slots[probe(table, key, hash_of(key, table->key_bytes))].place;
    return place == 0 ? NULL : value_at(table, place);
}

static void grow(struct dsmr_sim_table *table)
{
    struct slot *old = table->slots;
    size_t old_slots = table->mask + 1;
    resize(table, old_slots * 2);
    for (size_t i = 0; i < old_slots; i++) {
        size_t at = old[i].hash & table->mask;
        while (old[i].place != 0 && table->slots[at].place != 0) {
            at = (at + 1) & table->mask;
        }
        if (old[i].place != 0) {
            table->slots[at] = old[i];
        }
    }
    free(old);
}

static uint32_t take_place(struct dsmr_sim_table *table)
{
    uint32_t place = table->free;
    if (place == 0) {
        return ++table->used;
    }
    memcpy(&table->free, key_at(table, place), sizeof(table->free));
    return place;
}

void *dsmr_sim_table_add(struct dsmr_sim_table *table, const void *key, bool *is_new)
{
    uint32_t hash = hash_of(key, table->key_bytes);
    size_t at = probe(table, key, hash);
    bool is_found = table->slots[at].place != 0;
    if (!is_found) {
        if (table->count == (table->mask + 1) / 2) {
            grow(table);
            at = probe(table, key, hash);
        }
        uint32_t place = take_place(table);
        table->slots[at] = (struct slot){.hash = hash, .place = place};
        memset(value_at(table, place), 0, table->value_bytes);
        memcpy(key_at(table, place), key, table->key_bytes);
        table->count++;
    }
    if (is_new != NULL) {
        *is_new = !is_found;
    }
    return value_at(table, table->slots[at].place);
}

void dsmr_sim_table_remove(struct dsmr_sim_table *table, const void *key)
{
    size_t hole = probe(table, key, hash_of(key, table->key_bytes));
    uint32_t place = table->slots[hole].place;
    if (place == 0) {
        return;
    }
    memcpy(key_at(table, place), &table->free, sizeof(table->free));
    table->free = place;
    for (size_t at = (hole + 1) & table->mask; table->slots[at].place != 0;
         at = (at + 1) & table->mask) {
        if (((at - table->slots[at].hash) & table->mask) >= ((at - hole) & table->mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].place = 0;
    table->count--;
}

size_t dsmr_sim_table_count(const struct dsmr_sim_table *table)
{
    return table->count;
}

bool dsmr_sim_table_next(const struct dsmr_sim_table *table, size_t *position, const void **key,
                         void **value)
{
    while (*position <= table->mask && table->slots[*position].place == 0) {
        ++*position;
    }
    if (*position > table->mask) {
        return false;
    }
    uint32_t place = table->slots[(*position)++].place;
    if (key != NULL) {
        *key = key_at(table, place);
    }
    if (value != NULL) {
        *value = value_at(table, place);
    }
    return true;
}
