#include "core/executed_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/id_cells.h"
#include "core/id_pack.h"
#include "crypto/hash.h"

#define BUCKETS_A_WINDOW 32u
#define QUIET_BLOCKS 16u       /* in which hardly anything came, before a bucket is packed */
#define FEW_SHARE 1024u        /* of a bucket's ids: so few in a block are hardly anything */
#define PACKED_FOR_AN_ADDED 2u /* ids */

/* An id is in cells, in old if there is old, or else in pack if there is one. */
struct bucket {
    uint64_t number;             /* expiry / span */
    struct dsmr_id_cells *cells; /* what comes goes here; NULL: nothing came lately */
    struct dsmr_id_cells *old;   /* nothing is added any more; NULL: nothing, or all is packed */
    struct dsmr_id_pack *pack;   /* of old: as far as it has got, then instead of it; NULL: none */
    uint32_t seen;               /* in cells, at the last block */
    uint32_t quiet_blocks;
    bool is_apart; /* there is old or pack: one look for each id, not two */
};

struct dsmr_executed_ids {
    struct dsmr_id_print_key key;
    uint64_t span_ms;
    uint64_t time_ms; /* highest that advance was given */
    uint64_t count;
    uint64_t added; /* since the last block */
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

static void close_bucket(const struct bucket *bucket)
{
    dsmr_id_cells_free(bucket->cells);
    dsmr_id_cells_free(bucket->old);
    dsmr_id_pack_free(bucket->pack);
}

void dsmr_executed_ids_free(struct dsmr_executed_ids *ids)
{
    if (ids != NULL) {
        for (uint32_t i = 0; i < ids->buckets_count; i++) {
            close_bucket(&ids->buckets[i]);
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

/* ---- one bucket ---- */

static uint64_t count_of(const struct bucket *bucket)
{
    uint64_t count = bucket->cells != NULL ? dsmr_id_cells_count(bucket->cells) : 0;
    if (bucket->old != NULL) {
        return count + dsmr_id_cells_count(bucket->old);
    }
    return count + (bucket->pack != NULL ? dsmr_id_pack_count(bucket->pack) : 0);
}

/* Whether it is among those to which nothing is added any more; of a bucket that is_apart. */
static bool has_old(const struct bucket *bucket, const struct dsmr_id_print *print)
{
    return bucket->old != NULL ? dsmr_id_cells_has(bucket->old, print)
                               : dsmr_id_pack_has(bucket->pack, print);
}

static void prefetch_old(const struct bucket *bucket, const struct dsmr_id_print *print)
{
    if (bucket->old != NULL) {
        dsmr_id_cells_prefetch(bucket->old, print);
    } else {
        dsmr_id_pack_prefetch(bucket->pack, print);
    }
}

static inline enum dsmr_err add_print(struct dsmr_executed_ids *ids, struct bucket *bucket,
                                      const struct dsmr_id_print *print)
{
    if (bucket->is_apart && has_old(bucket, print)) {
        return DSMR_ERR_DUPLICATE;
    }
    if (bucket->cells == NULL && (bucket->cells = dsmr_id_cells_new(&ids->pages)) == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    return dsmr_id_cells_add(bucket->cells, print);
}

/* ---- packing ---- */

static void note_block(struct bucket *bucket)
{
    uint32_t count = bucket->cells != NULL ? dsmr_id_cells_count(bucket->cells) : 0;
    bool is_quiet = count - bucket->seen <= count / FEW_SHARE;
    bucket->seen = count;
    if (!is_quiet) {
        bucket->quiet_blocks = 0;
    } else if (bucket->quiet_blocks < QUIET_BLOCKS) {
        bucket->quiet_blocks++;
    }
}

/* The one that was begun: so no more than one is there twice. Then the first that is to be. */
static struct bucket *next_to_pack(const struct dsmr_executed_ids *ids)
{
    struct bucket *next = NULL;
    for (uint32_t i = 0; i < ids->buckets_count; i++) {
        struct bucket *bucket = &ids->buckets[i];
        if (bucket->pack != NULL && bucket->old != NULL) {
            return bucket;
        }
        if (next == NULL && !bucket->is_apart && bucket->quiet_blocks == QUIET_BLOCKS &&
            dsmr_id_cells_count(bucket->cells) >= DSMR_ID_PACK_COUNT_MIN) {
            next = bucket;
        }
    }
    return next;
}

/* About so many of its ids; returns how many. What cannot be packed stays as it is. */
static uint32_t pack_some(struct dsmr_executed_ids *ids, struct bucket *bucket, uint32_t about)
{
    uint32_t packed = 0;
    if (!bucket->is_apart) {
        bucket->is_apart = true;
        bucket->old = bucket->cells;
        bucket->cells = NULL;
        bucket->seen = 0;
        bucket->pack = dsmr_id_pack_new(&ids->pages, dsmr_id_cells_count(bucket->old));
    }
    if (bucket->pack == NULL ||
        dsmr_id_pack_fill(bucket->pack, &packed, bucket->old, about) != DSMR_OK) {
        dsmr_id_pack_free(bucket->pack);
        bucket->pack = NULL;
        return 0;
    }
    if (dsmr_id_pack_is_whole(bucket->pack)) {
        dsmr_id_cells_free(bucket->old);
        bucket->old = NULL;
    }
    return packed;
}

static void pack(struct dsmr_executed_ids *ids)
{
    uint64_t left = PACKED_FOR_AN_ADDED * ids->added;
    ids->added = 0;
    for (uint32_t i = 0; i < ids->buckets_count; i++) {
        note_block(&ids->buckets[i]);
    }
    for (struct bucket *bucket; left > 0 && (bucket = next_to_pack(ids)) != NULL;) {
        uint32_t packed = pack_some(ids, bucket, left < UINT32_MAX ? (uint32_t)left : UINT32_MAX);
        left -= packed < left ? packed : left;
    }
}

/* ---- ids ---- */

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
    enum dsmr_err err = add_print(ids, bucket, &print);
    if (err == DSMR_OK) {
        ids->count++;
        ids->added++;
    }
    return err;
}

void dsmr_executed_ids_prefetch(const struct dsmr_executed_ids *ids, const struct dsmr_id *id,
                                uint64_t expiry_ms)
{
    const struct bucket *bucket = find(ids, expiry_ms / ids->span_ms);
    if (bucket != NULL) {
        struct dsmr_id_print print = dsmr_id_print_make(&ids->key, id);
        if (bucket->is_apart) {
            prefetch_old(bucket, &print);
        }
        if (bucket->cells != NULL) {
            dsmr_id_cells_prefetch(bucket->cells, &print);
        }
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
    return (bucket->is_apart && has_old(bucket, &print)) ||
           (bucket->cells != NULL && dsmr_id_cells_has(bucket->cells, &print));
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
        ids->count -= count_of(&ids->buckets[i]);
        close_bucket(&ids->buckets[i]);
    }
    if (below > 0) {
        ids->buckets_count -= below;
        memmove(ids->buckets, ids->buckets + below, ids->buckets_count * sizeof(*ids->buckets));
        ids->first = ids->buckets_count > 0 ? ids->buckets[0].number : 0;
    }
    pack(ids);
}

uint64_t dsmr_executed_ids_count(const struct dsmr_executed_ids *ids)
{
    return ids->count;
}

size_t dsmr_executed_ids_bytes(const struct dsmr_executed_ids *ids)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < ids->buckets_count; i++) {
        const struct bucket *bucket = &ids->buckets[i];
        bytes += bucket->cells != NULL ? dsmr_id_cells_bytes(bucket->cells) : 0;
        bytes += bucket->old != NULL ? dsmr_id_cells_bytes(bucket->old) : 0;
        bytes += bucket->pack != NULL ? dsmr_id_pack_bytes(bucket->pack) : 0;
    }
    return bytes;
}

void dsmr_executed_ids_check(const struct dsmr_executed_ids *ids)
{
    uint64_t count = 0;
    DSMR_ASSERT(ids->buckets_count <= ids->buckets_room);
    for (uint32_t i = 0; i < ids->buckets_count; i++) {
        const struct bucket *bucket = &ids->buckets[i];
        DSMR_ASSERT(i == 0 || ids->buckets[i - 1].number < bucket->number);
        DSMR_ASSERT(bucket->number >= ids->time_ms / ids->span_ms);
        DSMR_ASSERT(bucket->cells != NULL || bucket->is_apart);
        DSMR_ASSERT(bucket->is_apart == (bucket->old != NULL || bucket->pack != NULL));
        DSMR_ASSERT(bucket->pack == NULL ||
                    dsmr_id_pack_is_whole(bucket->pack) == (bucket->old == NULL));
        if (bucket->cells != NULL) {
            dsmr_id_cells_check(bucket->cells);
        }
        if (bucket->old != NULL) {
            dsmr_id_cells_check(bucket->old);
        }
        if (bucket->pack != NULL) {
            dsmr_id_pack_check(bucket->pack);
        }
        count += count_of(bucket);
    }
    DSMR_ASSERT(count == ids->count);
    dsmr_id_pages_check(&ids->pages);
}
