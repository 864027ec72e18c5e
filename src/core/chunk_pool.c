#include "core/chunk_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "core/expiry_slots.h"
#include "core/slot_key.h"

#define NONE DSMR_EXPIRY_SLOTS_NONE

struct held {
    struct dsmr_chunk_entry entry;
    struct dsmr_chunk *body;           /* NULL: only on disk */
    uint32_t older_body, younger_body; /* places with a body, in the order they were put in */
};

struct quota {
    uint64_t entries_bytes;  /* held by entries */
    uint64_t reserved_bytes; /* not yet handed to an entry */
};

struct dsmr_chunk_pool {
    struct dsmr_chunk_pool_config config;
    struct dsmr_map *by_id;  /* struct dsmr_id -> uint32_t place in held */
    struct dsmr_map *quotas; /* struct dsmr_node_id -> struct quota, none that is all zero */
    struct dsmr_expiry_slots places; /* time: from when on the entry is listed as expired */
    uint32_t reservations;           /* not yet handed to an entry: each has a place coming */
    struct held *held;
    uint32_t *listed; /* scratch of list_expired */
    uint32_t oldest_body, youngest_body;
    uint64_t body_bytes;
    uint64_t pending_total;
};

struct dsmr_chunk_pool *dsmr_chunk_pool_new(const struct dsmr_chunk_pool_config *config)
{
    struct dsmr_chunk_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    uint32_t max = config->chunks_max;
    pool->config = *config;
    pool->oldest_body = pool->youngest_body = NONE;
    pool->by_id = dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), max, config->seed);
    pool->quotas = dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(struct quota),
                                config->producers_max, config->seed);
    pool->held = calloc(max > 0 ? max : 1, sizeof(*pool->held));
    pool->listed = calloc(max > 0 ? max : 1, sizeof(*pool->listed));
    if (dsmr_expiry_slots_init(&pool->places, max) != DSMR_OK || pool->listed == NULL ||
        pool->by_id == NULL || pool->quotas == NULL || pool->held == NULL) {
        dsmr_chunk_pool_free(pool);
        return NULL;
    }
    return pool;
}

void dsmr_chunk_pool_free(struct dsmr_chunk_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    for (uint32_t i = 0; i < pool->places.count; i++) {
        dsmr_chunk_unref(pool->held[dsmr_expiry_slots_used(&pool->places, i)].body);
    }
    dsmr_map_free(pool->by_id);
    dsmr_map_free(pool->quotas);
    dsmr_expiry_slots_close(&pool->places);
    free(pool->held);
    free(pool->listed);
    free(pool);
}

/* ---- pending bytes ---- */

uint64_t dsmr_chunk_pool_counted_bytes(uint32_t chunk_bytes)
{
    return chunk_bytes > DSMR_QUOTA_CHUNK_BYTES_MIN ? chunk_bytes : DSMR_QUOTA_CHUNK_BYTES_MIN;
}

uint64_t dsmr_chunk_pool_pending_bytes(const struct dsmr_chunk_pool *pool,
                                       const struct dsmr_node_id *producer)
{
    const struct quota *quota = dsmr_map_find(pool->quotas, producer);
    return quota != NULL ? quota->entries_bytes + quota->reserved_bytes : 0;
}

uint32_t dsmr_chunk_pool_producers(const struct dsmr_chunk_pool *pool)
{
    return (uint32_t)dsmr_map_count(pool->quotas);
}

uint64_t dsmr_chunk_pool_pending_total(const struct dsmr_chunk_pool *pool)
{
    return pool->pending_total;
}

/* OK, QUOTA_FULL or FULL. */
static enum dsmr_err judge_quota(const struct dsmr_chunk_pool *pool,
                                 const struct dsmr_node_id *producer, uint64_t bytes)
{
    const struct quota *quota = dsmr_map_find(pool->quotas, producer);
    uint64_t pending = quota != NULL ? quota->entries_bytes + quota->reserved_bytes : 0;
    uint64_t max = pool->config.pending_bytes_max;
    if (pending > max || bytes > max - pending) {
        return DSMR_ERR_QUOTA_FULL;
    }
    bool has_room = quota != NULL || dsmr_map_count(pool->quotas) < pool->config.producers_max;
    return has_room && dsmr_chunk_pool_has_room(pool) ? DSMR_OK : DSMR_ERR_FULL;
}

bool dsmr_chunk_pool_has_quota(const struct dsmr_chunk_pool *pool,
                               const struct dsmr_node_id *producer, uint32_t chunk_bytes)
{
    return judge_quota(pool, producer, dsmr_chunk_pool_counted_bytes(chunk_bytes)) == DSMR_OK;
}

enum dsmr_err dsmr_chunk_pool_reserve(struct dsmr_chunk_pool *pool,
                                      const struct dsmr_node_id *producer, uint32_t chunk_bytes)
{
    uint64_t bytes = dsmr_chunk_pool_counted_bytes(chunk_bytes);
    enum dsmr_err err = judge_quota(pool, producer, bytes);
    if (err != DSMR_OK) {
        return err;
    }
    struct quota *quota = dsmr_map_add(pool->quotas, producer, NULL);
    DSMR_ASSERT(quota != NULL);
    quota->reserved_bytes += bytes;
    pool->pending_total += bytes;
    pool->reservations++;
    return DSMR_OK;
}

/* Forgets a producer that has nothing pending, so that the table holds those that have. */
static void drop_empty_quota(struct dsmr_chunk_pool *pool, const struct dsmr_node_id *producer,
                             const struct quota *quota)
{
    if (quota->entries_bytes == 0 && quota->reserved_bytes == 0) {
        bool was_there = dsmr_map_remove(pool->quotas, producer);
        DSMR_ASSERT(was_there);
    }
}

void dsmr_chunk_pool_unreserve(struct dsmr_chunk_pool *pool, const struct dsmr_node_id *producer,
                               uint32_t chunk_bytes)
{
    uint64_t bytes = dsmr_chunk_pool_counted_bytes(chunk_bytes);
    struct quota *quota = dsmr_map_find(pool->quotas, producer);
    /* INV-04: what is given back was reserved. */
    DSMR_ASSERT(quota != NULL && quota->reserved_bytes >= bytes && pool->reservations > 0);
    quota->reserved_bytes -= bytes;
    pool->pending_total -= bytes;
    pool->reservations--;
    drop_empty_quota(pool, producer, quota);
}

/* The entry gives its pending bytes back. */
static void release_pending(struct dsmr_chunk_pool *pool, struct dsmr_chunk_entry *entry)
{
    uint64_t bytes = entry->pending_bytes;
    if (bytes == 0) {
        return;
    }
    struct quota *quota = dsmr_map_find(pool->quotas, &entry->ref.producer);
    /* INV-04: the producer's sum has what this entry adds to it. */
    DSMR_ASSERT(quota != NULL && quota->entries_bytes >= bytes);
    quota->entries_bytes -= bytes;
    pool->pending_total -= bytes;
    entry->pending_bytes = 0;
    drop_empty_quota(pool, &entry->ref.producer, quota);
}

/* ---- entries ---- */

static struct held *find(const struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id)
{
    const uint32_t *place = dsmr_map_find(pool->by_id, chunk_id);
    return place != NULL ? &pool->held[*place] : NULL;
}

static uint64_t listed_from_ms(const struct dsmr_reference *ref)
{
    return ref->expiry_ms < UINT64_MAX ? ref->expiry_ms + 1 : UINT64_MAX;
}

/* NULL, with *err DUPLICATE or FULL; otherwise the new entry, without pending bytes. */
static struct held *add_entry(struct dsmr_chunk_pool *pool, enum dsmr_err *err,
                              const struct dsmr_chunk_entry *fields, bool has_reservation)
{
    if (find(pool, &fields->ref.chunk_id) != NULL) {
        *err = DSMR_ERR_DUPLICATE;
        return NULL;
    }
    if (!has_reservation && !dsmr_chunk_pool_has_room(pool)) {
        *err = DSMR_ERR_FULL;
        return NULL;
    }
    uint32_t place = dsmr_expiry_slots_take(&pool->places, listed_from_ms(&fields->ref));
    DSMR_ASSERT(place != NONE); /* there is one for each reservation */
    uint32_t *value = dsmr_map_add(pool->by_id, &fields->ref.chunk_id, NULL);
    DSMR_ASSERT(value != NULL);
    *value = place;
    struct held *held = &pool->held[place];
    held->entry = *fields;
    held->entry.state =
        fields->included_height != UINT64_MAX ? DSMR_CHUNK_INCLUDED : DSMR_CHUNK_STORED;
    held->entry.pending_bytes = 0;
    held->body = NULL;
    held->older_body = held->younger_body = NONE;
    *err = DSMR_OK;
    return held;
}

enum dsmr_err dsmr_chunk_pool_add(struct dsmr_chunk_pool *pool,
                                  const struct dsmr_chunk_entry *fields, struct dsmr_chunk *body,
                                  bool has_reservation)
{
    enum dsmr_err err;
    struct held *held = add_entry(pool, &err, fields, has_reservation);
    if (held == NULL) {
        return err;
    }
    struct dsmr_chunk_entry *entry = &held->entry;
    if (has_reservation && entry->state == DSMR_CHUNK_INCLUDED) {
        dsmr_chunk_pool_unreserve(pool, &entry->ref.producer, entry->ref.chunk_bytes);
    } else if (has_reservation) {
        uint64_t bytes = dsmr_chunk_pool_counted_bytes(entry->ref.chunk_bytes);
        struct quota *quota = dsmr_map_find(pool->quotas, &entry->ref.producer);
        DSMR_ASSERT(quota != NULL && quota->reserved_bytes >= bytes && pool->reservations > 0);
        quota->reserved_bytes -= bytes;
        quota->entries_bytes += bytes;
        pool->reservations--;
        entry->pending_bytes = bytes;
    }
    if (body != NULL) {
        dsmr_chunk_pool_put_body(pool, body);
    }
    return DSMR_OK;
}

enum dsmr_err dsmr_chunk_pool_restore(struct dsmr_chunk_pool *pool,
                                      const struct dsmr_chunk_entry *fields)
{
    bool reserves = fields->included_height == UINT64_MAX;
    bool has_room = dsmr_map_find(pool->quotas, &fields->ref.producer) != NULL ||
                    dsmr_map_count(pool->quotas) < pool->config.producers_max;
    if (reserves && !has_room && find(pool, &fields->ref.chunk_id) == NULL) {
        return DSMR_ERR_FULL;
    }
    enum dsmr_err err;
    struct held *held = add_entry(pool, &err, fields, false);
    if (held == NULL) {
        return err;
    }
    if (reserves) {
        uint64_t bytes = dsmr_chunk_pool_counted_bytes(fields->ref.chunk_bytes);
        struct quota *quota = dsmr_map_add(pool->quotas, &fields->ref.producer, NULL);
        DSMR_ASSERT(quota != NULL);
        quota->entries_bytes += bytes;
        pool->pending_total += bytes;
        held->entry.pending_bytes = bytes;
    }
    return DSMR_OK;
}

struct dsmr_chunk_entry *dsmr_chunk_pool_find(const struct dsmr_chunk_pool *pool,
                                              const struct dsmr_id *chunk_id)
{
    struct held *held = find(pool, chunk_id);
    return held != NULL ? &held->entry : NULL;
}

/* The diagram of the header: bit b of row a means that a -> b is allowed. */
static bool is_transition(enum dsmr_chunk_state from, enum dsmr_chunk_state to)
{
    static const unsigned allowed[] = {
        [DSMR_CHUNK_STORED] = 1u << DSMR_CHUNK_SHARED | 1u << DSMR_CHUNK_CERTIFIED |
                              1u << DSMR_CHUNK_INCLUDED | 1u << DSMR_CHUNK_EXPIRED,
        [DSMR_CHUNK_SHARED] =
            1u << DSMR_CHUNK_CERTIFIED | 1u << DSMR_CHUNK_INCLUDED | 1u << DSMR_CHUNK_EXPIRED,
        [DSMR_CHUNK_CERTIFIED] = 1u << DSMR_CHUNK_INCLUDED | 1u << DSMR_CHUNK_EXPIRED,
        [DSMR_CHUNK_INCLUDED] = 0,
        [DSMR_CHUNK_EXPIRED] = 0,
    };
    return from == to || (allowed[from] >> to & 1u) != 0;
}

void dsmr_chunk_pool_set_state(struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id,
                               enum dsmr_chunk_state state, uint64_t height)
{
    struct held *held = find(pool, chunk_id);
    DSMR_ASSERT(held != NULL);
    DSMR_ASSERT(state >= DSMR_CHUNK_STORED && state <= DSMR_CHUNK_EXPIRED);
    DSMR_ASSERT(is_transition(held->entry.state, state));
    held->entry.state = state;
    if (state == DSMR_CHUNK_INCLUDED) {
        DSMR_ASSERT(height != UINT64_MAX);
        held->entry.included_height = height;
    }
    if (state == DSMR_CHUNK_INCLUDED || state == DSMR_CHUNK_EXPIRED) {
        release_pending(pool, &held->entry);
    }
}

static uint32_t place_of(const struct dsmr_chunk_pool *pool, const struct held *held)
{
    return (uint32_t)(held - pool->held);
}

static void drop_body(struct dsmr_chunk_pool *pool, struct held *held)
{
    if (held->body == NULL) {
        return;
    }
    if (held->older_body != NONE) {
        pool->held[held->older_body].younger_body = held->younger_body;
    } else {
        pool->oldest_body = held->younger_body;
    }
    if (held->younger_body != NONE) {
        pool->held[held->younger_body].older_body = held->older_body;
    } else {
        pool->youngest_body = held->older_body;
    }
    held->older_body = held->younger_body = NONE;
    DSMR_ASSERT(pool->body_bytes >= held->body->ref.chunk_bytes);
    pool->body_bytes -= held->body->ref.chunk_bytes;
    dsmr_chunk_unref(held->body);
    held->body = NULL;
}

bool dsmr_chunk_pool_remove(struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id)
{
    struct held *held = find(pool, chunk_id);
    if (held == NULL) {
        return false;
    }
    release_pending(pool, &held->entry);
    drop_body(pool, held);
    bool was_there = dsmr_map_remove(pool->by_id, &held->entry.ref.chunk_id);
    DSMR_ASSERT(was_there);
    dsmr_expiry_slots_give(&pool->places, place_of(pool, held));
    return true;
}

bool dsmr_chunk_pool_has_room(const struct dsmr_chunk_pool *pool)
{
    return pool->reservations < pool->places.capacity - pool->places.count;
}

uint32_t dsmr_chunk_pool_list_expired(const struct dsmr_chunk_pool *pool, struct dsmr_id *out,
                                      uint32_t max, uint64_t chain_time_ms)
{
    uint32_t count = dsmr_expiry_slots_list(&pool->places, pool->listed, max, chain_time_ms);
    for (uint32_t i = 0; i < count; i++) {
        out[i] = pool->held[pool->listed[i]].entry.ref.chunk_id;
    }
    return count;
}

void dsmr_chunk_pool_defer(struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id,
                           uint64_t until_ms)
{
    struct held *held = find(pool, chunk_id);
    DSMR_ASSERT(held != NULL);
    uint64_t from_ms = listed_from_ms(&held->entry.ref);
    dsmr_expiry_slots_move(&pool->places, place_of(pool, held),
                           until_ms > from_ms ? until_ms : from_ms);
}

uint64_t dsmr_chunk_pool_expiry_min_ms(const struct dsmr_chunk_pool *pool)
{
    return dsmr_expiry_slots_first_ms(&pool->places);
}

const struct dsmr_chunk_entry *dsmr_chunk_pool_next(const struct dsmr_chunk_pool *pool,
                                                    size_t *position)
{
    /* By place, not by order of expiry: that changes when something is listed or deferred. */
    for (; *position < pool->places.capacity; *position += 1) {
        uint32_t place = (uint32_t)*position;
        if (dsmr_expiry_slots_has(&pool->places, place)) {
            *position += 1;
            return &pool->held[place].entry;
        }
    }
    return NULL;
}

/* ---- bodies in memory ---- */

struct dsmr_chunk *dsmr_chunk_pool_body(const struct dsmr_chunk_pool *pool,
                                        const struct dsmr_id *chunk_id)
{
    const struct held *held = find(pool, chunk_id);
    return held != NULL ? held->body : NULL;
}

void dsmr_chunk_pool_put_body(struct dsmr_chunk_pool *pool, struct dsmr_chunk *body)
{
    struct held *held = find(pool, &body->ref.chunk_id);
    uint64_t bytes = body->ref.chunk_bytes;
    if (held == NULL || held->body != NULL || bytes > pool->config.body_bytes_max) {
        return;
    }
    while (pool->body_bytes > pool->config.body_bytes_max - bytes) {
        DSMR_ASSERT(pool->oldest_body != NONE);
        drop_body(pool, &pool->held[pool->oldest_body]);
    }
    uint32_t place = place_of(pool, held);
    held->body = dsmr_chunk_ref(body);
    held->older_body = pool->youngest_body;
    held->younger_body = NONE;
    if (pool->youngest_body != NONE) {
        pool->held[pool->youngest_body].younger_body = place;
    } else {
        pool->oldest_body = place;
    }
    pool->youngest_body = place;
    pool->body_bytes += bytes;
}

void dsmr_chunk_pool_drop_body(struct dsmr_chunk_pool *pool, const struct dsmr_id *chunk_id)
{
    struct held *held = find(pool, chunk_id);
    if (held != NULL) {
        drop_body(pool, held);
    }
}

uint64_t dsmr_chunk_pool_body_bytes(const struct dsmr_chunk_pool *pool)
{
    return pool->body_bytes;
}

uint32_t dsmr_chunk_pool_count(const struct dsmr_chunk_pool *pool)
{
    return pool->places.count;
}

/* ---- invariants ---- */

static void check_one_share_a_slot(const struct dsmr_chunk_pool *pool)
{
    struct dsmr_map *seen =
        dsmr_map_new(sizeof(struct dsmr_slot_key), 0, pool->places.count, pool->config.seed);
    if (seen == NULL) {
        return; /* no memory for a check is no broken invariant */
    }
    for (uint32_t i = 0; i < pool->places.count; i++) {
        const struct dsmr_chunk_entry *entry =
            &pool->held[dsmr_expiry_slots_used(&pool->places, i)].entry;
        if (entry->is_signed) {
            struct dsmr_slot_key key = dsmr_slot_key(&entry->ref.producer, entry->ref.slot);
            bool is_new = false;
            (void)dsmr_map_add(seen, &key, &is_new);
            DSMR_ASSERT(is_new); /* INV-03 */
        }
    }
    dsmr_map_free(seen);
}

static void check_quotas(const struct dsmr_chunk_pool *pool)
{
    uint64_t entries_sum = 0;
    uint64_t total = 0;
    size_t position = 0;
    const void *producer;
    void *value;
    while (dsmr_map_next(pool->quotas, &position, &producer, &value)) {
        const struct quota *quota = value;
        DSMR_ASSERT(quota->entries_bytes > 0 || quota->reserved_bytes > 0);
        uint64_t left = quota->entries_bytes;
        for (uint32_t i = 0; i < pool->places.count; i++) {
            const struct dsmr_chunk_entry *entry =
                &pool->held[dsmr_expiry_slots_used(&pool->places, i)].entry;
            if (memcmp(&entry->ref.producer, producer, sizeof(entry->ref.producer)) == 0) {
                DSMR_ASSERT(left >= entry->pending_bytes); /* INV-04 */
                left -= entry->pending_bytes;
            }
        }
        DSMR_ASSERT(left == 0); /* INV-04 */
        entries_sum += quota->entries_bytes;
        total += quota->entries_bytes + quota->reserved_bytes;
    }
    for (uint32_t i = 0; i < pool->places.count; i++) {
        entries_sum -= pool->held[dsmr_expiry_slots_used(&pool->places, i)].entry.pending_bytes;
    }
    DSMR_ASSERT(entries_sum == 0); /* INV-04: no entry's producer lacks a quota */
    DSMR_ASSERT(total == pool->pending_total);
}

static void check_bodies(const struct dsmr_chunk_pool *pool)
{
    uint64_t bytes = 0;
    uint32_t older = NONE;
    for (uint32_t place = pool->oldest_body; place != NONE;
         place = pool->held[place].younger_body) {
        const struct held *held = &pool->held[place];
        DSMR_ASSERT(held->body != NULL);
        DSMR_ASSERT(held->older_body == older);
        DSMR_ASSERT(dsmr_id_equal(&held->body->ref.chunk_id, &held->entry.ref.chunk_id));
        bytes += held->body->ref.chunk_bytes;
        older = place;
    }
    DSMR_ASSERT(older == pool->youngest_body);
    DSMR_ASSERT(bytes == pool->body_bytes);
    DSMR_ASSERT(bytes <= pool->config.body_bytes_max);
}

void dsmr_chunk_pool_check(const struct dsmr_chunk_pool *pool)
{
    dsmr_expiry_slots_check(&pool->places);
    DSMR_ASSERT(dsmr_map_count(pool->by_id) == pool->places.count);
    for (uint32_t i = 0; i < pool->places.count; i++) {
        uint32_t place = dsmr_expiry_slots_used(&pool->places, i);
        const struct dsmr_chunk_entry *entry = &pool->held[place].entry;
        DSMR_ASSERT(find(pool, &entry->ref.chunk_id) == &pool->held[place]);
        DSMR_ASSERT(entry->state >= DSMR_CHUNK_STORED && entry->state <= DSMR_CHUNK_EXPIRED);
        bool is_included = entry->state == DSMR_CHUNK_INCLUDED;
        DSMR_ASSERT(is_included == (entry->included_height != UINT64_MAX));
        DSMR_ASSERT(!is_included || entry->pending_bytes == 0);
        DSMR_ASSERT(pool->places.times_ms[place] >= listed_from_ms(&entry->ref));
    }
    check_one_share_a_slot(pool);
    check_quotas(pool);
    check_bodies(pool);
}
