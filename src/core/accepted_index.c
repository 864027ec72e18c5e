#include "core/accepted_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "core/expiry_slots.h"
#include "core/slot_key.h"

#define ENTRIES_AT_FIRST 1024u

struct entry {
    struct dsmr_id chunk_id;
    struct dsmr_slot_key key;
    uint64_t height;
};

struct dsmr_accepted_index {
    uint32_t entries_max;
    uint64_t seed;
    struct dsmr_map *by_id;  /* struct dsmr_id -> uint32_t place in entries */
    struct dsmr_map *by_key; /* struct dsmr_slot_key -> the same */
    struct dsmr_expiry_slots places;
    struct entry *entries;
};

static void put(struct dsmr_map *map, const void *key, uint32_t place)
{
    bool is_new;
    uint32_t *value = dsmr_map_add(map, key, &is_new);
    DSMR_ASSERT(value != NULL); /* as large as places */
    DSMR_ASSERT(is_new);
    *value = place;
}

/* Everything anew with room for capacity; NO_MEMORY: unchanged. */
static enum dsmr_err grow(struct dsmr_accepted_index *index, uint32_t capacity)
{
    enum dsmr_err err = DSMR_ERR_NO_MEMORY;
    struct dsmr_map *by_id =
        dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), capacity, index->seed);
    struct dsmr_map *by_key =
        dsmr_map_new(sizeof(struct dsmr_slot_key), sizeof(uint32_t), capacity, index->seed);
    struct entry *entries = calloc(capacity > 0 ? capacity : 1, sizeof(*entries));
    if (by_id == NULL || by_key == NULL || entries == NULL) {
        goto out;
    }
    err = dsmr_expiry_slots_grow(&index->places, capacity);
    if (err != DSMR_OK) {
        goto out;
    }
    for (uint32_t i = 0; i < index->places.count; i++) {
        uint32_t place = dsmr_expiry_slots_used(&index->places, i);
        entries[place] = index->entries[place];
        put(by_id, &entries[place].chunk_id, place);
        put(by_key, &entries[place].key, place);
    }
    dsmr_map_free(index->by_id);
    dsmr_map_free(index->by_key);
    free(index->entries);
    index->by_id = by_id;
    index->by_key = by_key;
    index->entries = entries;
    return DSMR_OK;
out:
    dsmr_map_free(by_id);
    dsmr_map_free(by_key);
    free(entries);
    return err;
}

struct dsmr_accepted_index *dsmr_accepted_index_new(uint32_t entries_max, uint64_t seed)
{
    struct dsmr_accepted_index *index = calloc(1, sizeof(*index));
    if (index == NULL) {
        return NULL;
    }
    index->entries_max = entries_max;
    index->seed = seed;
    if (grow(index, entries_max < ENTRIES_AT_FIRST ? entries_max : ENTRIES_AT_FIRST) != DSMR_OK) {
        dsmr_accepted_index_free(index);
        return NULL;
    }
    return index;
}

void dsmr_accepted_index_free(struct dsmr_accepted_index *index)
{
    if (index != NULL) {
        dsmr_map_free(index->by_id);
        dsmr_map_free(index->by_key);
        dsmr_expiry_slots_close(&index->places);
        free(index->entries);
        free(index);
    }
}

static const struct entry *find(const struct dsmr_accepted_index *index, const struct dsmr_map *map,
                                const void *key)
{
    const uint32_t *place = dsmr_map_find(map, key);
    return place != NULL ? &index->entries[*place] : NULL;
}

static enum dsmr_err make_room(struct dsmr_accepted_index *index)
{
    uint32_t capacity = index->places.capacity;
    if (index->places.count < capacity) {
        return DSMR_OK;
    }
    if (capacity >= index->entries_max) {
        return DSMR_ERR_FULL;
    }
    return grow(index, capacity > index->entries_max / 2 ? index->entries_max : 2 * capacity);
}

enum dsmr_err dsmr_accepted_index_add(struct dsmr_accepted_index *index,
                                      const struct dsmr_reference *ref, uint64_t height)
{
    struct dsmr_slot_key key = dsmr_slot_key(&ref->producer, ref->slot);
    if (find(index, index->by_id, &ref->chunk_id) != NULL) {
        return DSMR_ERR_DUPLICATE;
    }
    if (find(index, index->by_key, &key) != NULL) {
        return DSMR_ERR_CONFLICT;
    }
    enum dsmr_err err = make_room(index);
    if (err != DSMR_OK) {
        return err;
    }
    uint32_t place = dsmr_expiry_slots_take(&index->places, ref->expiry_ms);
    DSMR_ASSERT(place != DSMR_EXPIRY_SLOTS_NONE);
    index->entries[place] = (struct entry){.chunk_id = ref->chunk_id, .key = key, .height = height};
    put(index->by_id, &ref->chunk_id, place);
    put(index->by_key, &key, place);
    return DSMR_OK;
}

uint64_t dsmr_accepted_index_find(const struct dsmr_accepted_index *index,
                                  const struct dsmr_id *chunk_id)
{
    const struct entry *entry = find(index, index->by_id, chunk_id);
    return entry != NULL ? entry->height : UINT64_MAX;
}

bool dsmr_accepted_index_is_used(const struct dsmr_accepted_index *index,
                                 const struct dsmr_reference *ref, uint64_t height_max)
{
    const struct entry *entry = find(index, index->by_id, &ref->chunk_id);
    if (entry != NULL && entry->height <= height_max) {
        return true;
    }
    struct dsmr_slot_key key = dsmr_slot_key(&ref->producer, ref->slot);
    entry = find(index, index->by_key, &key);
    return entry != NULL && entry->height <= height_max;
}

uint32_t dsmr_accepted_index_prune(struct dsmr_accepted_index *index, uint64_t chain_time_ms,
                                   uint32_t steps)
{
    uint32_t dropped = 0;
    while (dropped < steps && index->places.count > 0 &&
           dsmr_expiry_slots_first_ms(&index->places) < chain_time_ms) {
        uint32_t place = dsmr_expiry_slots_first(&index->places);
        bool had_id = dsmr_map_remove(index->by_id, &index->entries[place].chunk_id);
        bool had_key = dsmr_map_remove(index->by_key, &index->entries[place].key);
        DSMR_ASSERT(had_id && had_key);
        dsmr_expiry_slots_give(&index->places, place);
        dropped++;
    }
    return dropped;
}

uint64_t dsmr_accepted_index_expiry_min_ms(const struct dsmr_accepted_index *index)
{
    return dsmr_expiry_slots_first_ms(&index->places);
}

uint32_t dsmr_accepted_index_count(const struct dsmr_accepted_index *index)
{
    return index->places.count;
}

void dsmr_accepted_index_check(const struct dsmr_accepted_index *index)
{
    dsmr_expiry_slots_check(&index->places);
    DSMR_ASSERT(index->places.capacity <= index->entries_max);
    DSMR_ASSERT(dsmr_map_count(index->by_id) == index->places.count);
    DSMR_ASSERT(dsmr_map_count(index->by_key) == index->places.count);
    for (uint32_t i = 0; i < index->places.count; i++) {
        const struct entry *entry = &index->entries[dsmr_expiry_slots_used(&index->places, i)];
        DSMR_ASSERT(find(index, index->by_id, &entry->chunk_id) == entry);
        DSMR_ASSERT(find(index, index->by_key, &entry->key) == entry);
    }
}
