#include "core/mempool.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/id_hash.h"
#include "base/prng.h"
#include "base/tags.h"

#define NONE UINT32_MAX
#define PASSED_OVER_MAX 1024u
#define SLOTS_AT_FIRST 1024u
#define SLOTS_KEPT 32768u /* of an empty pool */
#define LOOK_AHEAD 16u

struct waiting {
    struct dsmr_mempool_tx tx;
    uint32_t older, younger; /* free places: younger is the next free one */
};

struct dsmr_mempool {
    uint32_t txs_max;
    uint64_t bytes_max;
    uint64_t keys[2];
    struct dsmr_tag *tables; /* one behind the other: of SLOTS_AT_FIRST slots, twice that, ... */
    struct dsmr_tag *slots;  /* the one in use; all slots of the others are empty */
    uint32_t mask;           /* its slots - 1 */
    uint32_t mask_max;
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
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, seed);
    pool->keys[0] = dsmr_prng_next(&prng);
    pool->keys[1] = dsmr_prng_next(&prng);
    uint64_t slots = SLOTS_AT_FIRST;
    while (slots / 2 < txs_max) {
        slots *= 2;
    }
    pool->mask = SLOTS_AT_FIRST - 1;
    pool->mask_max = (uint32_t)(slots - 1);
    pool->tables = slots <= UINT32_MAX ? calloc(2 * slots, sizeof(*pool->tables)) : NULL;
    pool->slots = pool->tables;
    pool->waiting = calloc(txs_max > 0 ? txs_max : 1, sizeof(*pool->waiting));
    if (pool->tables == NULL || pool->waiting == NULL) {
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
    free(pool->tables);
    free(pool->waiting);
    free(pool);
}

/* ---- places by id ---- */

static inline uint32_t hash_of(const struct dsmr_mempool *pool, const struct dsmr_id *id)
{
    return (uint32_t)dsmr_id_hash(pool->keys[0], pool->keys[1], id);
}

/* The slot of the id, or the empty one where it belongs. */
static inline struct dsmr_tag *probe(const struct dsmr_mempool *pool, const struct dsmr_id *id,
                                     uint32_t hash)
{
    uint32_t at = hash & pool->mask;
    while (pool->slots[at].place != 0 &&
           (pool->slots[at].hash != hash ||
            !dsmr_id_equal(&pool->waiting[pool->slots[at].place - 1].tx.id, id))) {
        at = (at + 1) & pool->mask;
    }
    return &pool->slots[at];
}

/* The table of so many slots begins where those of all smaller ones end. */
static void use_table(struct dsmr_mempool *pool, uint32_t slots)
{
    pool->slots = pool->tables + (slots - SLOTS_AT_FIRST);
    pool->mask = slots - 1;
}

static void grow(struct dsmr_mempool *pool)
{
    struct dsmr_tag *old = pool->slots;
    uint32_t old_mask = pool->mask;
    DSMR_ASSERT(old_mask < pool->mask_max);
    use_table(pool, 2 * (old_mask + 1));
    for (uint32_t i = 0; i <= old_mask; i++) {
        if (old[i].place != 0) {
            dsmr_tags_put(pool->slots, pool->mask, old[i]);
            old[i].place = 0;
        }
    }
}

/* ---- the queue ---- */

/* A free place with a copy of tx, known by its id and counted, but not yet in the queue. */
static enum dsmr_err occupy(struct dsmr_mempool *pool, uint32_t *out,
                            const struct dsmr_mempool_tx *tx)
{
    if (pool->count == pool->txs_max || tx->len > pool->bytes_max - pool->bytes) {
        return dsmr_mempool_has(pool, &tx->id) ? DSMR_ERR_DUPLICATE : DSMR_ERR_MEMPOOL_FULL;
    }
    if (2 * (uint64_t)pool->count > pool->mask) {
        grow(pool);
    }
    uint32_t hash = hash_of(pool, &tx->id);
    struct dsmr_tag *slot = probe(pool, &tx->id, hash);
    if (slot->place != 0) {
        return DSMR_ERR_DUPLICATE;
    }
    uint32_t place = pool->free_first;
    if (place != NONE) {
        pool->free_first = pool->waiting[place].younger;
    } else {
        place = pool->used_end++;
    }
    DSMR_ASSERT(place < pool->txs_max);
    *slot = (struct dsmr_tag){.hash = hash, .place = place + 1};
    pool->waiting[place].tx = *tx;
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

/* Takes the place of the slot out of queue, table and counts; the reference on owner is the
 * caller's now. */
static void vacate(struct dsmr_mempool *pool, struct dsmr_tag *slot)
{
    DSMR_ASSERT(slot->place != 0);
    uint32_t place = slot->place - 1;
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
    dsmr_tags_empty(pool->slots, pool->mask, (size_t)(slot - pool->slots));
    DSMR_ASSERT(pool->bytes >= waiting->tx.len);
    pool->count--;
    pool->bytes -= waiting->tx.len;
    waiting->tx.owner = NULL;
    waiting->younger = pool->free_first;
    pool->free_first = place;
    if (pool->count == 0 && pool->mask >= SLOTS_KEPT) {
        use_table(pool, SLOTS_KEPT);
    }
}

static struct dsmr_tag *slot_of(const struct dsmr_mempool *pool, uint32_t place)
{
    const struct dsmr_id *id = &pool->waiting[place].tx.id;
    return probe(pool, id, hash_of(pool, id));
}

bool dsmr_mempool_has(const struct dsmr_mempool *pool, const struct dsmr_id *id)
{
    return probe(pool, id, hash_of(pool, id))->place != 0;
}

void dsmr_mempool_prefetch(const struct dsmr_mempool *pool, const struct dsmr_id *id)
{
    __builtin_prefetch(&pool->slots[hash_of(pool, id) & pool->mask], 1);
}

uint32_t dsmr_mempool_remove(struct dsmr_mempool *pool, const struct dsmr_id *ids, uint32_t count)
{
    uint32_t hashes[LOOK_AHEAD], removed = 0;
    for (uint32_t i = 0; i < count + LOOK_AHEAD && pool->count > 0; i++) {
        uint32_t *hash = &hashes[i % LOOK_AHEAD]; /* of the id so far back, then of this one */
        struct dsmr_tag *slot = i < LOOK_AHEAD ? NULL : probe(pool, &ids[i - LOOK_AHEAD], *hash);
        if (slot != NULL && slot->place != 0) {
            struct dsmr_buf *owner = pool->waiting[slot->place - 1].tx.owner;
            vacate(pool, slot);
            dsmr_buf_unref(owner);
            removed++;
        }
        if (i < count) {
            *hash = hash_of(pool, &ids[i]);
            __builtin_prefetch(&pool->slots[*hash & pool->mask]);
        }
    }
    return removed;
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
            dsmr_mempool_prefetch(pool, &pool->waiting[walk.place].tx.id);
        }
        vacate(pool, slot_of(pool, place));
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
            vacate(pool, slot_of(pool, place));
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

static uint32_t slots_in_use(const struct dsmr_mempool *pool)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at <= pool->mask; at++) {
        count += pool->slots[at].place != 0;
    }
    return count;
}

void dsmr_mempool_check(const struct dsmr_mempool *pool)
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    uint32_t older = NONE;
    for (uint32_t place = pool->oldest; place != NONE; place = pool->waiting[place].younger) {
        const struct waiting *waiting = &pool->waiting[place];
        DSMR_ASSERT(slot_of(pool, place)->place == place + 1); /* so no id stands twice */
        DSMR_ASSERT(waiting->older == older);
        bytes += waiting->tx.len;
        older = place;
        count++;
        DSMR_ASSERT(count <= pool->txs_max);
    }
    DSMR_ASSERT(older == pool->youngest);
    DSMR_ASSERT(count == pool->count && count == slots_in_use(pool));
    DSMR_ASSERT(count <= (pool->mask + 1) / 2);
    DSMR_ASSERT(bytes == pool->bytes && bytes <= pool->bytes_max);
}
