#include "api/id_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "base/tags.h"

#define GROUP 16u /* look-ups that wait for memory together */
#define IN_USE UINT32_MAX
#define LINE_BYTES 64u

struct entry {
    struct dsmr_id id;
    uint32_t next_free; /* place; 0: none. IN_USE */
    uint32_t unused;
    uint64_t value[];
};

struct dsmr_id_table {
    struct dsmr_tag *tags;
    uint32_t mask; /* slots - 1 */
    uint64_t k0, k1;
    uint8_t *entries;
    size_t stride;
    uint32_t capacity;
    uint32_t entries_used; /* have held something */
    uint32_t first_free;
};

struct dsmr_id_table *dsmr_id_table_new(size_t value_bytes, uint32_t capacity, uint64_t seed)
{
    struct dsmr_prng prng;
    uint64_t slots = 16;
    DSMR_ASSERT(value_bytes % 8 == 0 && capacity < UINT32_MAX / 4);
    while (slots / 4 * 3 < capacity) { /* at most 3/4 full: a probe is a few slots long */
        slots *= 2;
    }
    struct dsmr_id_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return NULL;
    }
    dsmr_prng_init(&prng, seed);
    table->k0 = dsmr_prng_next(&prng) | 1;
    table->k1 = dsmr_prng_next(&prng) | 1;
    table->mask = (uint32_t)slots - 1;
    table->capacity = capacity;
    table->stride = sizeof(struct entry) + value_bytes;
    table->tags = calloc(slots, sizeof(*table->tags));
    table->entries = malloc((size_t)(capacity + 1) * table->stride);
    if (table->tags == NULL || table->entries == NULL) {
        dsmr_id_table_free(table);
        return NULL;
    }
    return table;
}

void dsmr_id_table_free(struct dsmr_id_table *table)
{
    if (table != NULL) {
        free(table->tags);
        free(table->entries);
        free(table);
    }
}

/* Multiplication by a secret odd number, of which the upper half is taken (Dietzfelbinger and
 * others, 1997): two ids that were chosen without it seldom meet. */
static uint32_t hash_of(const struct dsmr_id_table *table, const struct dsmr_id *id)
{
    uint64_t a, b;
    memcpy(&a, id->bytes, 8);
    memcpy(&b, id->bytes + 8, 8);
    a *= table->k0;
    return (uint32_t)(((a >> 32 | a << 32) + b) * table->k1 >> 32);
}

static struct entry *entry_at(const struct dsmr_id_table *table, uint32_t place)
{
    return (struct entry *)(void *)(table->entries + (size_t)(place - 1) * table->stride);
}

static uint32_t place_of(const struct dsmr_id_table *table, const void *value)
{
    const uint8_t *entry = (const uint8_t *)value - offsetof(struct entry, value);
    return (uint32_t)((size_t)(entry - table->entries) / table->stride) + 1;
}

static struct entry *find(const struct dsmr_id_table *table, const struct dsmr_id *id,
                          uint32_t hash)
{
    for (uint32_t at = hash & table->mask; table->tags[at].place != 0;
         at = (at + 1) & table->mask) {
        if (table->tags[at].hash == hash) {
            struct entry *entry = entry_at(table, table->tags[at].place);
            if (dsmr_id_equal(&entry->id, id)) {
                return entry;
            }
        }
    }
    return NULL;
}

void *dsmr_id_table_find(const struct dsmr_id_table *table, const struct dsmr_id *id)
{
    struct entry *entry = find(table, id, hash_of(table, id));
    return entry != NULL ? entry->value : NULL;
}

void *dsmr_id_table_add(struct dsmr_id_table *table, const struct dsmr_id *id)
{
    uint32_t hash = hash_of(table, id);
    uint32_t place = table->first_free;
    if (place != 0) {
        table->first_free = entry_at(table, place)->next_free;
    } else {
        DSMR_ASSERT(table->entries_used < table->capacity);
        place = ++table->entries_used;
    }
    dsmr_tags_put(table->tags, table->mask, (struct dsmr_tag){.hash = hash, .place = place});
    struct entry *entry = entry_at(table, place);
    memset(entry, 0, table->stride);
    entry->id = *id;
    entry->next_free = IN_USE;
    return entry->value;
}

void dsmr_id_table_remove(struct dsmr_id_table *table, void *value)
{
    uint32_t place = place_of(table, value);
    struct entry *entry = entry_at(table, place);
    DSMR_ASSERT(entry->next_free == IN_USE);
    uint32_t at = hash_of(table, &entry->id) & table->mask;
    while (table->tags[at].place != place) {
        DSMR_ASSERT(table->tags[at].place != 0);
        at = (at + 1) & table->mask;
    }
    dsmr_tags_empty(table->tags, table->mask, at);
    entry->next_free = table->first_free;
    table->first_free = place;
}

/* ---- many at once ---- */

void dsmr_id_table_expect(const struct dsmr_id_table *table, const struct dsmr_id *id)
{
    __builtin_prefetch(&table->tags[hash_of(table, id) & table->mask]);
}

/* Each group takes three turns, one while the next two take theirs: memory is asked for its tags,
 * then for the entries that they name; then it is looked at. */
struct group {
    uint32_t count;
    uint32_t hashes[GROUP];
    bool may_be_there[GROUP]; /* there is a tag like its own */
};

static void ask_for_tags(const struct dsmr_id_table *table, struct group *group,
                         const struct dsmr_id *ids, uint32_t count)
{
    group->count = count < GROUP ? count : GROUP;
    for (uint32_t i = 0; i < group->count; i++) {
        group->hashes[i] = hash_of(table, &ids[i]);
        __builtin_prefetch(&table->tags[group->hashes[i] & table->mask]);
    }
}

static void ask_for_entries(const struct dsmr_id_table *table, struct group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        uint32_t at = group->hashes[i] & table->mask;
        while (table->tags[at].place != 0 && table->tags[at].hash != group->hashes[i]) {
            at = (at + 1) & table->mask;
        }
        group->may_be_there[i] = table->tags[at].place != 0;
        if (group->may_be_there[i]) {
            const uint8_t *entry = (const uint8_t *)entry_at(table, table->tags[at].place);
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + LINE_BYTES);
        }
    }
}

void dsmr_id_table_find_all(struct dsmr_id_table *table, const struct dsmr_id *ids, uint32_t count,
                            void (*found)(void *ctx, uint32_t index, void *value), void *ctx)
{
    struct group groups[3] = {{0}};
    uint32_t groups_count = count / GROUP + (count % GROUP != 0 ? 1u : 0u);
    for (uint32_t g = 0; g < groups_count + 2; g++) {
        uint32_t first = g < groups_count ? g * GROUP : count;
        ask_for_tags(table, &groups[g % 3], ids + first, count - first);
        ask_for_entries(table, &groups[(g + 2) % 3]);
        const struct group *group = &groups[(g + 1) % 3];
        for (uint32_t i = 0; i < group->count; i++) {
            if (!group->may_be_there[i]) { /* nor is it now: nothing was added meanwhile */
                continue;
            }
            uint32_t index = (g - 2) * GROUP + i;
            struct entry *entry = find(table, &ids[index], group->hashes[i]);
            if (entry != NULL) {
                found(ctx, index, entry->value);
            }
        }
    }
}

void *dsmr_id_table_next(const struct dsmr_id_table *table, uint32_t *position,
                         const struct dsmr_id **id)
{
    while (*position < table->entries_used) {
        struct entry *entry = entry_at(table, ++*position);
        if (entry->next_free == IN_USE) {
            *id = &entry->id;
            return entry->value;
        }
    }
    return NULL;
}
