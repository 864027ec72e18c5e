#include "core/executed_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/id_hash.h"
#include "base/prng.h"

#define BUCKETS_A_WINDOW 32u
#define SLOTS_AT_FIRST 128u
#define IDS_A_PAGE 256u

/* Ids lie in pages in the order in which they came, each once; a slot has the place of one, and
 * what is left of its 32 bits has a part of the hash, so that a look-up hardly ever reads an id
 * that is another one. At 3/4 full that is 32 bytes and 5 to 11 for an id. */
struct bucket {
    uint64_t number; /* expiry / span */
    uint32_t count;
    uint32_t mask;   /* slots - 1 */
    uint32_t *slots; /* tag | 1 + place; 0: empty */
    struct dsmr_id **pages;
};

struct dsmr_executed_ids {
    uint64_t span_ms;
    uint64_t keys[2]; /* of the hash */
    uint64_t time_ms; /* highest that advance was given */
    uint64_t count;
    struct bucket *buckets; /* by number, ascending */
    uint32_t buckets_count;
    uint32_t buckets_room;
};

static uint64_t hash(const struct dsmr_executed_ids *ids, const struct dsmr_id *id)
{
    return dsmr_id_hash(ids->keys[0], ids->keys[1], id->bytes);
}

static uint32_t tag_of(const struct bucket *bucket, uint64_t hashed)
{
    return (uint32_t)(hashed >> 32) & ~bucket->mask;
}

static struct dsmr_id *id_at(const struct bucket *bucket, uint32_t place)
{
    return &bucket->pages[place / IDS_A_PAGE][place % IDS_A_PAGE];
}

static uint32_t capacity_of(uint32_t mask)
{
    return mask / 4u * 3u;
}

/* For all that the slots allow. */
static uint32_t pages_of(uint32_t mask)
{
    return capacity_of(mask) / IDS_A_PAGE + 1u;
}

static void bucket_free(struct bucket *bucket)
{
    for (uint32_t i = 0; i < bucket->count; i += IDS_A_PAGE) {
        free(bucket->pages[i / IDS_A_PAGE]);
    }
    free(bucket->pages);
    free(bucket->slots);
}

/* The slot of id, or the empty one where it belongs. */
static uint32_t probe(const struct bucket *bucket, const struct dsmr_id *id, uint64_t hashed)
{
    uint32_t tag = tag_of(bucket, hashed), slot = (uint32_t)hashed & bucket->mask;
    for (; bucket->slots[slot] != 0; slot = (slot + 1u) & bucket->mask) {
        uint32_t place = (bucket->slots[slot] & bucket->mask) - 1u;
        if ((bucket->slots[slot] & ~bucket->mask) == tag &&
            dsmr_id_equal(id_at(bucket, place), id)) {
            break;
        }
    }
    return slot;
}

/* More slots, for the ids that are there; NO_MEMORY: all as it was. */
static enum dsmr_err resize(const struct dsmr_executed_ids *ids, struct bucket *bucket,
                            uint32_t slots_count)
{
    uint32_t mask = slots_count - 1u;
    uint32_t *slots = calloc(slots_count, sizeof(*slots));
    struct dsmr_id **pages =
        slots == NULL ? NULL : realloc(bucket->pages, pages_of(mask) * sizeof(*pages));
    if (pages == NULL) {
        free(slots);
        return DSMR_ERR_NO_MEMORY;
    }
    free(bucket->slots);
    bucket->slots = slots;
    bucket->pages = pages;
    bucket->mask = mask;
    for (uint32_t place = 0; place < bucket->count; place++) {
        uint64_t hashed = hash(ids, id_at(bucket, place));
        uint32_t slot = (uint32_t)hashed & mask;
        while (slots[slot] != 0) {
            slot = (slot + 1u) & mask;
        }
        slots[slot] = tag_of(bucket, hashed) | (place + 1u);
    }
    return DSMR_OK;
}

struct dsmr_executed_ids *dsmr_executed_ids_new(uint64_t window_ms, uint64_t seed)
{
    struct dsmr_executed_ids *ids = calloc(1, sizeof(*ids));
    if (ids == NULL) {
        return NULL;
    }
    ids->span_ms = window_ms / BUCKETS_A_WINDOW > 0 ? window_ms / BUCKETS_A_WINDOW : 1;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, seed);
    ids->keys[0] = dsmr_prng_next(&prng);
    ids->keys[1] = dsmr_prng_next(&prng);
    return ids;
}

void dsmr_executed_ids_free(struct dsmr_executed_ids *ids)
{
    if (ids != NULL) {
        for (uint32_t i = 0; i < ids->buckets_count; i++) {
            bucket_free(&ids->buckets[i]);
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
    struct bucket bucket = {.number = number};
    if (resize(ids, &bucket, SLOTS_AT_FIRST) != DSMR_OK) {
        return NULL;
    }
    uint32_t i = lower_bound(ids, number);
    memmove(&ids->buckets[i + 1], &ids->buckets[i],
            (ids->buckets_count - i) * sizeof(*ids->buckets));
    ids->buckets[i] = bucket;
    ids->buckets_count++;
    return &ids->buckets[i];
}

/* Makes room for one more; one too early for a duplicate. */
static enum dsmr_err make_room(const struct dsmr_executed_ids *ids, struct bucket *bucket)
{
    if (bucket->count == capacity_of(bucket->mask)) {
        enum dsmr_err err = bucket->mask > UINT32_MAX / 4
                                ? DSMR_ERR_NO_MEMORY
                                : resize(ids, bucket, 2u * (bucket->mask + 1u));
        if (err != DSMR_OK) {
            return err;
        }
    }
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
    enum dsmr_err err = make_room(ids, bucket);
    if (err != DSMR_OK) {
        return err;
    }
    uint64_t hashed = hash(ids, id);
    uint32_t slot = probe(bucket, id, hashed);
    if (bucket->slots[slot] != 0) {
        return DSMR_ERR_DUPLICATE;
    }
    if (bucket->count % IDS_A_PAGE == 0) {
        struct dsmr_id *page = malloc(IDS_A_PAGE * sizeof(*page));
        if (page == NULL) {
            return DSMR_ERR_NO_MEMORY;
        }
        DSMR_ASSERT(bucket->count / IDS_A_PAGE < pages_of(bucket->mask));
        bucket->pages[bucket->count / IDS_A_PAGE] = page;
    }
    *id_at(bucket, bucket->count) = *id;
    bucket->slots[slot] = tag_of(bucket, hashed) | ++bucket->count;
    ids->count++;
    return DSMR_OK;
}

void dsmr_executed_ids_prefetch(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                                uint64_t expiry_ms)
{
    const struct bucket *bucket = find(ids, expiry_ms / ids->span_ms);
    if (bucket != NULL) {
        __builtin_prefetch(&bucket->slots[(uint32_t)hash(ids, id) & bucket->mask], 1);
    }
}

bool dsmr_executed_ids_has(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                           uint64_t expiry_ms)
{
    const struct bucket *bucket = find(ids, expiry_ms / ids->span_ms);
    return bucket != NULL && bucket->slots[probe(bucket, id, hash(ids, id))] != 0;
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
        ids->count -= ids->buckets[i].count;
        bucket_free(&ids->buckets[i]);
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
        DSMR_ASSERT(bucket->count <= capacity_of(bucket->mask));
        count += bucket->count;
    }
    DSMR_ASSERT(count == ids->count);
}
