#include "core/cert_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "core/expiry_slots.h"
#include "core/slot_key.h"
#include "wire/codec.h"

#define NONE DSMR_EXPIRY_SLOTS_NONE

struct waiting {
    struct dsmr_cert cert;
    uint64_t weight;
    uint64_t seen;           /* smaller was seen earlier */
    uint32_t encoded_bytes;  /* in a block */
    uint32_t older, younger; /* of the same producer */
    bool is_stored;          /* this one, or a lighter one before */
};

struct producer {
    struct dsmr_node_id node_id;
    uint32_t oldest, youngest;
    uint32_t count;
};

/* What a producer puts forward in one round of a selection. */
struct candidate {
    uint32_t place;
    uint32_t producer;
};

struct dsmr_cert_pool {
    uint32_t producer_max;
    uint64_t seen_next;
    struct dsmr_map *by_id;       /* struct dsmr_id -> uint32_t place in waiting */
    struct dsmr_map *by_producer; /* struct dsmr_node_id -> uint32_t index in producers */
    struct dsmr_expiry_slots places;
    struct waiting *waiting;
    struct producer *producers; /* dense: the first producers_count have certificates */
    uint32_t producers_count;
    /* Scratch of a selection. */
    uint32_t *cursors; /* by producer: place of what it puts forward next */
    struct candidate *round;
    struct dsmr_map *chosen; /* struct dsmr_slot_key */
};

struct dsmr_cert_pool *dsmr_cert_pool_new(uint32_t certs_max, uint32_t producer_max, uint64_t seed)
{
    struct dsmr_cert_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    size_t room = certs_max > 0 ? certs_max : 1;
    pool->producer_max = producer_max;
    pool->by_id = dsmr_map_new(sizeof(struct dsmr_id), sizeof(uint32_t), certs_max, seed);
    pool->by_producer =
        dsmr_map_new(sizeof(struct dsmr_node_id), sizeof(uint32_t), certs_max, seed);
    pool->chosen = dsmr_map_new(sizeof(struct dsmr_slot_key), 0, DSMR_BLOCK_CERTS_LIMIT, seed);
    pool->waiting = calloc(room, sizeof(*pool->waiting));
    pool->producers = calloc(room, sizeof(*pool->producers));
    pool->cursors = calloc(room, sizeof(*pool->cursors));
    pool->round = calloc(room, sizeof(*pool->round));
    if (dsmr_expiry_slots_init(&pool->places, certs_max) != DSMR_OK || pool->by_id == NULL ||
        pool->by_producer == NULL || pool->chosen == NULL || pool->waiting == NULL ||
        pool->producers == NULL || pool->cursors == NULL || pool->round == NULL) {
        dsmr_cert_pool_free(pool);
        return NULL;
    }
    return pool;
}

void dsmr_cert_pool_free(struct dsmr_cert_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    dsmr_map_free(pool->by_id);
    dsmr_map_free(pool->by_producer);
    dsmr_map_free(pool->chosen);
    dsmr_expiry_slots_close(&pool->places);
    free(pool->waiting);
    free(pool->producers);
    free(pool->cursors);
    free(pool->round);
    free(pool);
}

static struct waiting *find(const struct dsmr_cert_pool *pool, const struct dsmr_id *chunk_id)
{
    const uint32_t *place = dsmr_map_find(pool->by_id, chunk_id);
    return place != NULL ? &pool->waiting[*place] : NULL;
}

static struct producer *find_producer(const struct dsmr_cert_pool *pool,
                                      const struct dsmr_node_id *node_id)
{
    const uint32_t *index = dsmr_map_find(pool->by_producer, node_id);
    return index != NULL ? &pool->producers[*index] : NULL;
}

static bool has_room(const struct dsmr_cert_pool *pool, const struct dsmr_node_id *producer_id)
{
    const struct producer *producer = find_producer(pool, producer_id);
    return pool->places.count < pool->places.capacity &&
           (producer != NULL ? producer->count : 0) < pool->producer_max;
}

bool dsmr_cert_pool_wants(const struct dsmr_cert_pool *pool, const struct dsmr_reference *ref,
                          uint64_t weight)
{
    const struct waiting *waiting = find(pool, &ref->chunk_id);
    return waiting != NULL ? weight > waiting->weight : has_room(pool, &ref->producer);
}

static void set_cert(struct waiting *waiting, const struct dsmr_cert *cert, uint64_t weight)
{
    waiting->cert = *cert;
    waiting->weight = weight;
    waiting->encoded_bytes = (uint32_t)(1u + DSMR_REFERENCE_BYTES + sizeof(cert->sig.bytes) +
                                        dsmr_signers_encoded_size(&cert->signers));
}

/* Appends the certificate at place to its producer's queue. */
static void link_last(struct dsmr_cert_pool *pool, uint32_t place)
{
    struct waiting *waiting = &pool->waiting[place];
    struct producer *producer = find_producer(pool, &waiting->cert.ref.producer);
    if (producer == NULL) {
        uint32_t index = pool->producers_count++;
        uint32_t *value = dsmr_map_add(pool->by_producer, &waiting->cert.ref.producer, NULL);
        DSMR_ASSERT(value != NULL); /* no more producers than certificates */
        *value = index;
        producer = &pool->producers[index];
        *producer = (struct producer){
            .node_id = waiting->cert.ref.producer, .oldest = NONE, .youngest = NONE, .count = 0};
    }
    waiting->older = producer->youngest;
    waiting->younger = NONE;
    if (producer->youngest != NONE) {
        pool->waiting[producer->youngest].younger = place;
    } else {
        producer->oldest = place;
    }
    producer->youngest = place;
    producer->count++;
}

/* The last producer takes the place of the one that has nothing any more. */
static void drop_producer(struct dsmr_cert_pool *pool, struct producer *producer)
{
    bool was_there = dsmr_map_remove(pool->by_producer, &producer->node_id);
    DSMR_ASSERT(was_there);
    struct producer *last = &pool->producers[--pool->producers_count];
    if (producer != last) {
        *producer = *last;
        uint32_t *index = dsmr_map_find(pool->by_producer, &producer->node_id);
        DSMR_ASSERT(index != NULL);
        *index = (uint32_t)(producer - pool->producers);
    }
}

static void unlink_place(struct dsmr_cert_pool *pool, uint32_t place)
{
    const struct waiting *waiting = &pool->waiting[place];
    struct producer *producer = find_producer(pool, &waiting->cert.ref.producer);
    DSMR_ASSERT(producer != NULL);
    if (waiting->older != NONE) {
        pool->waiting[waiting->older].younger = waiting->younger;
    } else {
        producer->oldest = waiting->younger;
    }
    if (waiting->younger != NONE) {
        pool->waiting[waiting->younger].older = waiting->older;
    } else {
        producer->youngest = waiting->older;
    }
    if (--producer->count == 0) {
        drop_producer(pool, producer);
    }
}

enum dsmr_err dsmr_cert_pool_add(struct dsmr_cert_pool *pool, bool *is_new,
                                 const struct dsmr_cert *cert, uint64_t weight)
{
    struct waiting *held = find(pool, &cert->ref.chunk_id);
    if (held != NULL) {
        /* A chunk id fixes the reference; one that differs describes no chunk. */
        if (weight <= held->weight || !dsmr_reference_equal(&held->cert.ref, &cert->ref)) {
            return DSMR_ERR_DUPLICATE;
        }
        set_cert(held, cert, weight);
        *is_new = false;
        return DSMR_OK;
    }
    if (!has_room(pool, &cert->ref.producer)) {
        return DSMR_ERR_FULL;
    }
    uint32_t place = dsmr_expiry_slots_take(&pool->places, cert->ref.expiry_ms);
    DSMR_ASSERT(place != NONE);
    uint32_t *value = dsmr_map_add(pool->by_id, &cert->ref.chunk_id, NULL);
    DSMR_ASSERT(value != NULL);
    *value = place;
    set_cert(&pool->waiting[place], cert, weight);
    pool->waiting[place].seen = pool->seen_next++;
    pool->waiting[place].is_stored = false;
    link_last(pool, place);
    *is_new = true;
    return DSMR_OK;
}

const struct dsmr_cert *dsmr_cert_pool_find(const struct dsmr_cert_pool *pool,
                                            const struct dsmr_id *chunk_id)
{
    const struct waiting *waiting = find(pool, chunk_id);
    return waiting != NULL ? &waiting->cert : NULL;
}

bool dsmr_cert_pool_is_stored(const struct dsmr_cert_pool *pool, const struct dsmr_id *chunk_id)
{
    const struct waiting *waiting = find(pool, chunk_id);
    return waiting != NULL && waiting->is_stored;
}

void dsmr_cert_pool_set_stored(struct dsmr_cert_pool *pool, const struct dsmr_id *chunk_id)
{
    struct waiting *waiting = find(pool, chunk_id);
    if (waiting != NULL) {
        waiting->is_stored = true;
    }
}

static void drop(struct dsmr_cert_pool *pool, uint32_t place)
{
    unlink_place(pool, place);
    bool was_there = dsmr_map_remove(pool->by_id, &pool->waiting[place].cert.ref.chunk_id);
    DSMR_ASSERT(was_there);
    dsmr_expiry_slots_give(&pool->places, place);
}

bool dsmr_cert_pool_remove(struct dsmr_cert_pool *pool, const struct dsmr_id *chunk_id)
{
    const struct waiting *waiting = find(pool, chunk_id);
    if (waiting == NULL) {
        return false;
    }
    drop(pool, (uint32_t)(waiting - pool->waiting));
    return true;
}

/* ---- selection ---- */

struct room { /* what the block can still take */
    uint32_t certs;
    uint64_t txs, payload_bytes, encoded_bytes;
};

static bool fits(const struct room *room, const struct waiting *waiting)
{
    const struct dsmr_reference *ref = &waiting->cert.ref;
    return room->certs > 0 && ref->tx_count <= room->txs &&
           ref->chunk_bytes <= room->payload_bytes && waiting->encoded_bytes <= room->encoded_bytes;
}

static bool is_allowed_epoch(const struct dsmr_cert_pool_wish *wish, uint64_t epoch)
{
    for (uint32_t i = 0; i < wish->epochs_count; i++) {
        if (wish->epochs[i] == epoch) {
            return true;
        }
    }
    return false;
}

/* Whether the certificate may stand in the block, whatever else is chosen; the dear question last.
 */
static bool is_valid(const struct dsmr_cert_pool_wish *wish, const struct dsmr_reference *ref)
{
    DSMR_ASSERT(wish->slot_ms > 0);
    return ref->slot <= wish->time_ms / wish->slot_ms && wish->time_ms <= ref->expiry_ms &&
           is_allowed_epoch(wish, ref->epoch) &&
           (wish->is_used == NULL || !wish->is_used(wish->ctx, ref));
}

static struct room room_of(const struct dsmr_cert_pool_wish *wish)
{
    struct room room = {.certs = wish->certs_max < DSMR_BLOCK_CERTS_LIMIT ? wish->certs_max
                                                                          : DSMR_BLOCK_CERTS_LIMIT,
                        .txs = wish->txs_max,
                        .payload_bytes = wish->payload_bytes_max,
                        .encoded_bytes = wish->encoded_bytes_max};
    return room;
}

bool dsmr_cert_pool_has_fitting(const struct dsmr_cert_pool *pool,
                                const struct dsmr_cert_pool_wish *wish)
{
    const struct room room = room_of(wish);
    for (uint32_t i = 0; i < pool->places.count; i++) {
        const struct waiting *waiting = &pool->waiting[dsmr_expiry_slots_used(&pool->places, i)];
        if (fits(&room, waiting) && is_valid(wish, &waiting->cert.ref)) {
            return true;
        }
    }
    return false;
}

static bool is_slot_chosen(const struct dsmr_cert_pool *pool, const struct dsmr_reference *ref)
{
    struct dsmr_slot_key key = dsmr_slot_key(&ref->producer, ref->slot);
    return dsmr_map_find(pool->chosen, &key) != NULL;
}

/* Fills pool->round with the next certificate of each producer that may be taken now. */
static uint32_t put_forward(const struct dsmr_cert_pool *pool, const struct room *room,
                            const struct dsmr_cert_pool_wish *wish)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < pool->producers_count; i++) {
        uint32_t place = pool->cursors[i];
        while (place != NONE) {
            const struct waiting *waiting = &pool->waiting[place];
            if (fits(room, waiting) && !is_slot_chosen(pool, &waiting->cert.ref) &&
                is_valid(wish, &waiting->cert.ref)) {
                pool->round[count++] = (struct candidate){.place = place, .producer = i};
                place = waiting->younger;
                break;
            }
            place = waiting->younger;
        }
        pool->cursors[i] = place;
    }
    return count;
}

/* Shell's sort, by age: nothing is allocated, and a round is short or nearly sorted. */
static void sort_round(const struct dsmr_cert_pool *pool, uint32_t count)
{
    struct candidate *round = pool->round;
    for (uint32_t gap = count / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < count; i++) {
            struct candidate moved = round[i];
            uint64_t seen = pool->waiting[moved.place].seen;
            uint32_t j = i;
            for (; j >= gap && pool->waiting[round[j - gap].place].seen > seen; j -= gap) {
                round[j] = round[j - gap];
            }
            round[j] = moved;
        }
    }
}

static void choose(const struct dsmr_cert_pool *pool, struct dsmr_cert *out, struct room *room,
                   const struct waiting *waiting)
{
    const struct dsmr_reference *ref = &waiting->cert.ref;
    struct dsmr_slot_key key = dsmr_slot_key(&ref->producer, ref->slot);
    const void *added = dsmr_map_add(pool->chosen, &key, NULL);
    DSMR_ASSERT(added != NULL);
    *out = waiting->cert;
    room->certs--;
    room->txs -= ref->tx_count;
    room->payload_bytes -= ref->chunk_bytes;
    room->encoded_bytes -= waiting->encoded_bytes;
}

uint32_t dsmr_cert_pool_select(const struct dsmr_cert_pool *pool, struct dsmr_cert *out,
                               const struct dsmr_cert_pool_wish *wish)
{
    struct room room = room_of(wish);
    uint32_t written = 0;
    dsmr_map_clear(pool->chosen);
    for (uint32_t i = 0; i < pool->producers_count; i++) {
        pool->cursors[i] = pool->producers[i].oldest;
    }
    while (room.certs > 0) {
        uint32_t count = put_forward(pool, &room, wish);
        if (count == 0) {
            break;
        }
        sort_round(pool, count);
        for (uint32_t i = 0; i < count; i++) {
            const struct waiting *waiting = &pool->waiting[pool->round[i].place];
            if (fits(&room, waiting)) { /* others of this round were chosen since */
                choose(pool, &out[written++], &room, waiting);
            }
        }
    }
    return written;
}

/* ---- expiry and invariants ---- */

uint32_t dsmr_cert_pool_take_expired(struct dsmr_cert_pool *pool, struct dsmr_id *out, uint32_t max,
                                     uint64_t chain_time_ms)
{
    uint32_t taken = 0;
    while (taken < max && pool->places.count > 0 &&
           dsmr_expiry_slots_first_ms(&pool->places) < chain_time_ms) {
        uint32_t place = dsmr_expiry_slots_first(&pool->places);
        out[taken++] = pool->waiting[place].cert.ref.chunk_id;
        drop(pool, place);
    }
    return taken;
}

uint64_t dsmr_cert_pool_expiry_min_ms(const struct dsmr_cert_pool *pool)
{
    return dsmr_expiry_slots_first_ms(&pool->places);
}

uint32_t dsmr_cert_pool_count(const struct dsmr_cert_pool *pool)
{
    return pool->places.count;
}

void dsmr_cert_pool_check(const struct dsmr_cert_pool *pool)
{
    dsmr_expiry_slots_check(&pool->places);
    DSMR_ASSERT(dsmr_map_count(pool->by_id) == pool->places.count);
    DSMR_ASSERT(dsmr_map_count(pool->by_producer) == pool->producers_count);
    uint32_t total = 0;
    for (uint32_t i = 0; i < pool->producers_count; i++) {
        const struct producer *producer = &pool->producers[i];
        DSMR_ASSERT(find_producer(pool, &producer->node_id) == producer);
        DSMR_ASSERT(producer->count > 0 && producer->count <= pool->producer_max);
        uint32_t count = 0;
        uint32_t older = NONE;
        for (uint32_t place = producer->oldest; place != NONE;
             place = pool->waiting[place].younger) {
            const struct waiting *waiting = &pool->waiting[place];
            DSMR_ASSERT(find(pool, &waiting->cert.ref.chunk_id) == waiting);
            DSMR_ASSERT(dsmr_node_id_equal(&waiting->cert.ref.producer, &producer->node_id));
            DSMR_ASSERT(waiting->older == older);
            DSMR_ASSERT(older == NONE || pool->waiting[older].seen < waiting->seen);
            DSMR_ASSERT(pool->places.times_ms[place] == waiting->cert.ref.expiry_ms);
            older = place;
            count++;
        }
        DSMR_ASSERT(count == producer->count && older == producer->youngest);
        total += count;
    }
    DSMR_ASSERT(total == pool->places.count);
}
