#include "core/executed_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"

#define BUCKETS_A_WINDOW 32u
#define IDS_AT_FIRST 96u /* of a bucket: fills a table of 128 slots to three quarters */

struct bucket {
    uint64_t number; /* expiry / span */
    uint32_t capacity;
    struct dsmr_map *ids; /* struct dsmr_id, no value */
};

struct dsmr_executed_ids {
    uint64_t span_ms;
    uint64_t seed;
    uint64_t time_ms; /* highest that advance was given */
    uint64_t count;
    struct bucket *buckets; /* by number, ascending */
    uint32_t buckets_count;
    uint32_t buckets_room;
};

struct dsmr_executed_ids *dsmr_executed_ids_new(uint64_t window_ms, uint64_t seed)
{
    struct dsmr_executed_ids *ids = calloc(1, sizeof(*ids));
    if (ids == NULL) {
        return NULL;
    }
    ids->span_ms = window_ms / BUCKETS_A_WINDOW > 0 ? window_ms / BUCKETS_A_WINDOW : 1;
    ids->seed = seed;
    return ids;
}

void dsmr_executed_ids_free(struct dsmr_executed_ids *ids)
{
    if (ids != NULL) {
        for (uint32_t i = 0; i < ids->buckets_count; i++) {
            dsmr_map_free(ids->buckets[i].ids);
        }
        free(ids->buckets);
        free(ids);
    }
}

/* Index of the first bucket whose number is not below number. */
static uint32_t lower_bound(const struct dsmr_executed_ids *ids, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = ids->buckets_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ids->buckets[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct bucket *find(const struct dsmr_executed_ids *ids, uint64_t number)
{
    uint32_t i = lower_bound(ids, number);
    return i < ids->buckets_count && ids->buckets[i].number == number ? &ids->buckets[i] : NULL;
}

/* A new, empty bucket in its place; NULL: no memory. */
static struct bucket *insert(struct dsmr_executed_ids *ids, uint64_t number)
{
    if (ids->buckets_count == ids->buckets_room) {
        uint32_t room = ids->buckets_room > 0 ? 2 * ids->buckets_room : 2 * BUCKETS_A_WINDOW;
        struct bucket *buckets = realloc(ids->buckets, room * sizeof(*buckets));
        if (buckets == NULL) {
            return NULL;
        }
        ids->buckets = buckets;
        ids->buckets_room = room;
    }
    struct dsmr_map *map = dsmr_map_new(sizeof(struct dsmr_id), 0, IDS_AT_FIRST, ids->seed);
    if (map == NULL) {
        return NULL;
    }
    uint32_t i = lower_bound(ids, number);
    memmove(&ids->buckets[i + 1], &ids->buckets[i],
            (ids->buckets_count - i) * sizeof(*ids->buckets));
    ids->buckets[i] = (struct bucket){.number = number, .capacity = IDS_AT_FIRST, .ids = map};
    ids->buckets_count++;
    return &ids->buckets[i];
}

static enum dsmr_err grow(struct bucket *bucket, uint64_t seed)
{
    if (bucket->capacity > UINT32_MAX / 4) {
        return DSMR_ERR_NO_MEMORY;
    }
    uint32_t capacity = 2 * bucket->capacity;
    struct dsmr_map *larger = dsmr_map_new(sizeof(struct dsmr_id), 0, capacity, seed);
    if (larger == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    size_t position = 0;
    const void *id;
    while (dsmr_map_next(bucket->ids, &position, &id, NULL)) {
        const void *added = dsmr_map_add(larger, id, NULL);
        DSMR_ASSERT(added != NULL);
    }
    dsmr_map_free(bucket->ids);
    bucket->ids = larger;
    bucket->capacity = capacity;
    return DSMR_OK;
}

enum dsmr_err dsmr_executed_ids_add(struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                                    uint64_t expiry_ms)
{
    if (expiry_ms < ids->time_ms) {
        return DSMR_ERR_EXPIRED;
    }
    uint64_t number = expiry_ms / ids->span_ms;
    struct bucket *bucket = find(ids, number);
    if (bucket == NULL) {
        bucket = insert(ids, number);
        if (bucket == NULL) {
            return DSMR_ERR_NO_MEMORY;
        }
    }
    if (dsmr_map_count(bucket->ids) == bucket->capacity) { /* one too early for a duplicate */
        enum dsmr_err err = grow(bucket, ids->seed);
        if (err != DSMR_OK) {
            return err;
        }
    }
    bool is_new;
    const void *added = dsmr_map_add(bucket->ids, id, &is_new);
    DSMR_ASSERT(added != NULL);
    ids->count += is_new;
    return is_new ? DSMR_OK : DSMR_ERR_DUPLICATE;
}

void dsmr_executed_ids_prefetch(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                                uint64_t expiry_ms)
{
    const struct bucket *bucket = find(ids, expiry_ms / ids->span_ms);
    if (bucket != NULL) {
        dsmr_map_prefetch(bucket->ids, id);
    }
}

bool dsmr_executed_ids_has(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                           uint64_t expiry_ms)
{
    const struct bucket *bucket = find(ids, expiry_ms / ids->span_ms);
    return bucket != NULL && dsmr_map_find(bucket->ids, id) != NULL;
}

void dsmr_executed_ids_advance(struct dsmr_executed_ids *ids, uint64_t block_time_ms)
{
    if (block_time_ms <= ids->time_ms) {
        return;
    }
    ids->time_ms = block_time_ms;
    /* The block's own bucket stays: some of its ids may expire at or after the block's time. */
    uint32_t below = lower_bound(ids, block_time_ms / ids->span_ms);
    for (uint32_t i = 0; i < below; i++) {
        ids->count -= dsmr_map_count(ids->buckets[i].ids);
        dsmr_map_free(ids->buckets[i].ids);
    }
    if (below > 0) {
        ids->buckets_count -= below;
        memmove(ids->buckets, ids->buckets + below, ids->buckets_count * sizeof(*ids->buckets));
    }
}

uint64_t dsmr_executed_ids_count(const struct dsmr_executed_ids *ids)
{
    return ids->count;
}

void dsmr_executed_ids_check(const struct dsmr_executed_ids *ids)
{
    uint64_t count = 0;
    DSMR_ASSERT(ids->buckets_count <= ids->buckets_room);
    for (uint32_t i = 0; i < ids->buckets_count; i++) {
        const struct bucket *bucket = &ids->buckets[i];
        DSMR_ASSERT(i == 0 || ids->buckets[i - 1].number < bucket->number);
        DSMR_ASSERT(bucket->number >= ids->time_ms / ids->span_ms);
        DSMR_ASSERT(dsmr_map_count(bucket->ids) <= bucket->capacity);
        count += dsmr_map_count(bucket->ids);
    }
    DSMR_ASSERT(count == ids->count);
}
