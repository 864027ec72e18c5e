#include "core/executed_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/id_cells.h"
#include "crypto/hash.h"

#define BUCKETS_A_WINDOW 32u

struct bucket {
    uint64_t number; /* expiry / span */
    struct dsmr_id_cells *cells;
};

struct dsmr_executed_ids {
    struct dsmr_id_print_key key;
    uint64_t span_ms;
    uint64_t time_ms; /* highest that advance was given */
    uint64_t count;
    struct dsmr_id_pages pages;
    struct bucket *buckets; /* by number, ascending */
    uint64_t first;         /* number of the first, if there is one */
    uint32_t buckets_count;
    uint32_t buckets_room;
};

/* The key is SHA-256 of the secret and a counter, as long as it lasts. */
static void make_key(struct dsmr_id_print_key *key, const struct dsmr_id *secret)
{
    uint8_t from[sizeof(*secret) + 1] = {0};
    memcpy(from, secret, sizeof(*secret));
    uint8_t *to = (uint8_t *)key;
    for (size_t at = 0; at < sizeof(*key); at += sizeof(struct dsmr_id)) {
        struct dsmr_id part;
        from[sizeof(*secret)] = (uint8_t)(at / sizeof(part));
        dsmr_hash(&part, from, sizeof(from));
        size_t left = sizeof(*key) - at;
        memcpy(to + at, &part, left < sizeof(part) ? left : sizeof(part));
    }
}

struct dsmr_executed_ids *dsmr_executed_ids_new(uint64_t window_ms, const struct dsmr_id *secret)
{
    struct dsmr_executed_ids *ids = calloc(1, sizeof(*ids));
    if (ids == NULL) {
        return NULL;
    }
    ids->span_ms = window_ms / BUCKETS_A_WINDOW > 0 ? window_ms / BUCKETS_A_WINDOW : 1;
    make_key(&ids->key, secret);
    return ids;
}

void dsmr_executed_ids_free(struct dsmr_executed_ids *ids)
{
    if (ids != NULL) {
        for (uint32_t i = 0; i < ids->buckets_count; i++) {
            dsmr_id_cells_free(ids->buckets[i].cells);
        }
        dsmr_id_pages_free(&ids->pages);
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

static inline struct bucket *find(const struct dsmr_executed_ids *ids, uint64_t number)
{
    uint64_t i = number - ids->first; /* without gaps it stands there */
    if (i < ids->buckets_count && ids->buckets[i].number == number) {
        return &ids->buckets[i];
    }
    i = lower_bound(ids, number);
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
    struct bucket bucket = {.number = number, .cells = dsmr_id_cells_new(&ids->pages)};
    if (bucket.cells == NULL) {
        return NULL;
    }
    uint32_t i = lower_bound(ids, number);
    memmove(&ids->buckets[i + 1], &ids->buckets[i],
            (ids->buckets_count - i) * sizeof(*ids->buckets));
    ids->buckets[i] = bucket;
    ids->buckets_count++;
    ids->first = ids->buckets[0].number;
    return &ids->buckets[i];
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
    struct dsmr_id_print print = dsmr_id_print_make(&ids->key, id);
    enum dsmr_err err = dsmr_id_cells_add(bucket->cells, &print);
    if (err == DSMR_OK) {
        ids->count++;
    }
    return err;
}

void dsmr_executed_ids_prefetch(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                                uint64_t expiry_ms)
{
    const struct bucket *bucket = find(ids, expiry_ms / ids->span_ms);
    if (bucket != NULL) {
        struct dsmr_id_print print = dsmr_id_print_make(&ids->key, id);
        dsmr_id_cells_prefetch(bucket->cells, &print);
    }
}

bool dsmr_executed_ids_has(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                           uint64_t expiry_ms)
{
    const struct bucket *bucket = find(ids, expiry_ms / ids->span_ms);
    if (bucket == NULL) {
        return false;
    }
    struct dsmr_id_print print = dsmr_id_print_make(&ids->key, id);
    return dsmr_id_cells_has(bucket->cells, &print);
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
        ids->count -= dsmr_id_cells_count(ids->buckets[i].cells);
        dsmr_id_cells_free(ids->buckets[i].cells);
    }
    if (below > 0) {
        ids->buckets_count -= below;
        memmove(ids->buckets, ids->buckets + below, ids->buckets_count * sizeof(*ids->buckets));
        ids->first = ids->buckets_count > 0 ? ids->buckets[0].number : 0;
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
        dsmr_id_cells_check(bucket->cells);
        count += dsmr_id_cells_count(bucket->cells);
    }
    DSMR_ASSERT(count == ids->count);
    dsmr_id_pages_check(&ids->pages);
}
