#include "core/mempool.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/map.h"

#define NONE UINT32_MAX
#define PASSED_OVER_MAX 1024u

struct waiting {
    struct dsmr_mempool_tx tx;
    uint32_t older, younger; /* free places: younger is the next free one */
};

struct dsmr_mempool {
    uint32_t txs_max;
    uint64_t bytes_max;
    struct dsmr_map *by_id; /* struct dsmr_id -> uint32_t place in waiting */
    struct waiting *waiting;
    uint32_t oldest, youngest;
    uint32_t free_first; /* given back; places from used_end on were never used */
    uint32_t used_end;
    uint32_t sweep; /* where take_expired goes on; NONE: at the oldest */
    uint32_t count;
    uint64_t bytes;
};

struct dsmr_mempool *dsmr_mempool_new(uint32_t txs_max, uint64_t bytes_max, uint64_t seed)
{
    struct dsmr_mempool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    pool->txs_max = txs_max;
    pool->bytes_max = bytes_max;
    pool->oldest = pool->youngest = pool->free_first = pool->sweep = NONE;
    pool->by_id = dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), txs_max, seed);
    pool->waiting = calloc(txs_max > 0 ? txs_max : 1, sizeof(*pool->waiting));
    if (pool->by_id == NULL || pool->waiting == NULL) {
        dsmr_mempool_free(pool);
        return NULL;
    }
    return pool;
}

void dsmr_mempool_free(struct dsmr_mempool *pool)
{
    if (pool == NULL) {
        return;
    }
    for (uint32_t place = pool->oldest; pool->waiting != NULL && place != NONE;
         place = pool->waiting[place].younger) {
        dsmr_buf_unref(pool->waiting[place].tx.owner);
    }
    dsmr_map_free(pool->by_id);
    free(pool->waiting);
    free(pool);
}

/* A free place with a copy of tx, known by its id and counted, but not yet in the queue. */
static enum dsmr_err occupy(struct dsmr_mempool *pool, uint32_t *out,
                            const struct dsmr_mempool_tx *tx)
{
    if (pool->count == pool->txs_max || tx->len > pool->bytes_max - pool->bytes) {
        return dsmr_mempool_has(pool, &tx->id) ? DSMR_ERR_DUPLICATE : DSMR_ERR_MEMPOOL_FULL;
    }
    bool is_new;
    uint32_t *value = dsmr_map_add(pool->by_id, &tx->id, &is_new);
    DSMR_ASSERT(value != NULL);
    if (!is_new) {
        return DSMR_ERR_DUPLICATE;
    }
    uint32_t place = pool->free_first;
    if (place != NONE) {
        pool->free_first = pool->waiting[place].younger;
    } else {
        place = pool->used_end++;
    }
    DSMR_ASSERT(place < pool->txs_max);
    *value = place;
    pool->waiting[place].tx = *tx;
    (void)dsmr_buf_ref(tx->owner);
    pool->count++;
    pool->bytes += tx->len;
    *out = place;
    return DSMR_OK;
}

enum dsmr_err dsmr_mempool_add(struct dsmr_mempool *pool, const struct dsmr_mempool_tx *tx)
{
    uint32_t place;
    enum dsmr_err err = occupy(pool, &place, tx);
    if (err != DSMR_OK) {
        return err;
    }
    pool->waiting[place].older = pool->youngest;
    pool->waiting[place].younger = NONE;
    if (pool->youngest != NONE) {
        pool->waiting[pool->youngest].younger = place;
    } else {
        pool->oldest = place;
    }
    pool->youngest = place;
    return DSMR_OK;
}

enum dsmr_err dsmr_mempool_put_back(struct dsmr_mempool *pool, const struct dsmr_mempool_tx *tx)
{
    uint32_t place;
    enum dsmr_err err = occupy(pool, &place, tx);
    if (err != DSMR_OK) {
        return err;
    }
    pool->waiting[place].older = NONE;
    pool->waiting[place].younger = pool->oldest;
    if (pool->oldest != NONE) {
        pool->waiting[pool->oldest].older = place;
    } else {
        pool->youngest = place;
    }
    pool->oldest = place;
    return DSMR_OK;
}

/* Takes the place out of queue, map and counts; the reference on owner is the caller's now. */
static void vacate(struct dsmr_mempool *pool, uint32_t place)
{
    struct waiting *waiting = &pool->waiting[place];
    if (pool->sweep == place) {
        pool->sweep = waiting->younger;
    }
    if (waiting->older != NONE) {
        pool->waiting[waiting->older].younger = waiting->younger;
    } else {
        pool->oldest = waiting->younger;
    }
    if (waiting->younger != NONE) {
        pool->waiting[waiting->younger].older = waiting->older;
    } else {
        pool->youngest = waiting->older;
    }
    bool was_there = dsmr_map_remove(pool->by_id, &waiting->tx.id);
    DSMR_ASSERT(was_there);
    DSMR_ASSERT(pool->bytes >= waiting->tx.len);
    pool->count--;
    pool->bytes -= waiting->tx.len;
    waiting->tx.owner = NULL;
    waiting->younger = pool->free_first;
    pool->free_first = place;
}

bool dsmr_mempool_has(const struct dsmr_mempool *pool, const struct dsmr_id *id)
{
    return dsmr_map_find(pool->by_id, id) != NULL;
}

void dsmr_mempool_prefetch(const struct dsmr_mempool *pool, const struct dsmr_id *id)
{
    dsmr_map_prefetch(pool->by_id, id);
}

bool dsmr_mempool_remove(struct dsmr_mempool *pool, const struct dsmr_id *id)
{
    const uint32_t *value = dsmr_map_find(pool->by_id, id);
    if (value == NULL) {
        return false;
    }
    uint32_t place = *value;
    struct dsmr_buf *owner = pool->waiting[place].tx.owner;
    vacate(pool, place);
    dsmr_buf_unref(owner);
    return true;
}

struct walk { /* from the oldest on, what a chunk of this wish would take */
    const struct dsmr_mempool_wish *wish;
    uint32_t place; /* looked at next */
    uint32_t passed_over;
    uint32_t txs_left;
    uint64_t bytes_left;
};

static struct walk start_walk(const struct dsmr_mempool *pool, const struct dsmr_mempool_wish *wish)
{
    struct walk walk = {.wish = wish,
                        .place = pool->oldest,
                        .passed_over = 0,
                        .txs_left = wish->txs_max,
                        .bytes_left = wish->bytes_max};
    return walk;
}

/* The next place to take, or NONE at the end of the walk. */
static uint32_t step_walk(const struct dsmr_mempool *pool, struct walk *walk)
{
    const struct dsmr_mempool_wish *wish = walk->wish;
    while (walk->place != NONE && walk->txs_left > 0) {
        uint32_t place = walk->place;
        const struct waiting *waiting = &pool->waiting[place];
        uint64_t bytes = (uint64_t)waiting->tx.len + wish->overhead_bytes;
        if (waiting->tx.expiry_ms < wish->expiry_min_ms ||
            waiting->tx.expiry_ms > wish->expiry_max_ms) {
            if (walk->passed_over++ == PASSED_OVER_MAX) {
                break;
            }
            walk->place = waiting->younger;
            continue;
        }
        if (bytes > walk->bytes_left) {
            break;
        }
        walk->place = waiting->younger;
        walk->txs_left--;
        walk->bytes_left -= bytes;
        return place;
    }
    return NONE;
}

uint32_t dsmr_mempool_take(struct dsmr_mempool *pool, struct dsmr_mempool_tx *out,
                           const struct dsmr_mempool_wish *wish)
{
    uint32_t taken = 0;
    struct walk walk = start_walk(pool, wish);
    for (uint32_t place = step_walk(pool, &walk); place != NONE; place = step_walk(pool, &walk)) {
        out[taken++] = pool->waiting[place].tx;
        if (walk.place != NONE) { /* the next one's, while this one is taken out */
            dsmr_map_prefetch(pool->by_id, &pool->waiting[walk.place].tx.id);
        }
        vacate(pool, place);
    }
    return taken;
}

bool dsmr_mempool_has_fitting(const struct dsmr_mempool *pool, const struct dsmr_mempool_wish *wish)
{
    struct walk walk = start_walk(pool, wish);
    return step_walk(pool, &walk) != NONE;
}

uint32_t dsmr_mempool_take_expired(struct dsmr_mempool *pool, struct dsmr_id *out, uint32_t steps,
                                   uint64_t before_ms)
{
    uint32_t dropped = 0;
    uint32_t looks = steps < pool->count ? steps : pool->count;
    for (; looks > 0; looks--) {
        if (pool->sweep == NONE) {
            pool->sweep = pool->oldest;
        }
        uint32_t place = pool->sweep;
        struct dsmr_mempool_tx tx = pool->waiting[place].tx;
        pool->sweep = pool->waiting[place].younger;
        if (tx.expiry_ms < before_ms) {
            out[dropped++] = tx.id;
            vacate(pool, place);
            dsmr_buf_unref(tx.owner);
        }
    }
    return dropped;
}

uint32_t dsmr_mempool_txs(const struct dsmr_mempool *pool)
{
    return pool->count;
}

uint64_t dsmr_mempool_bytes(const struct dsmr_mempool *pool)
{
    return pool->bytes;
}

void dsmr_mempool_check(const struct dsmr_mempool *pool)
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    uint32_t older = NONE;
    for (uint32_t place = pool->oldest; place != NONE; place = pool->waiting[place].younger) {
        const struct waiting *waiting = &pool->waiting[place];
        const uint32_t *value = dsmr_map_find(pool->by_id, &waiting->tx.id);
        DSMR_ASSERT(value != NULL && *value == place); /* so no id stands twice */
        DSMR_ASSERT(waiting->older == older);
        bytes += waiting->tx.len;
        older = place;
        count++;
        DSMR_ASSERT(count <= pool->txs_max);
    }
    DSMR_ASSERT(older == pool->youngest);
    DSMR_ASSERT(count == pool->count && count == dsmr_map_count(pool->by_id));
    DSMR_ASSERT(bytes == pool->bytes && bytes <= pool->bytes_max);
}
