#include "api/places.h"

#include <pthread.h>
#include <stdlib.h>

#include "api/id_table.h"
#include "base/bytes.h"

#define EXPIRY_STEPS 1024u /* seconds; one that expires later than that shares a place */

/* How far one own chunk is. */
struct own_chunk {
    struct dsmr_id id;
    uint64_t slot;
    uint64_t height; /* of IN_BLOCK */
    enum dsmr_query_tx_state state;
};

struct dsmr_places {
    pthread_mutex_t lock;
    uint32_t flights_max, others_max;
    _Atomic uint32_t flights, others;
    struct dsmr_id_table *entries;   /* of struct dsmr_place */
    struct own_chunk *chunks;        /* DSMR_PLACES_CHUNKS_MAX, by slot */
    uint32_t expiring[EXPIRY_STEPS]; /* entries by their expiry's second */
    uint64_t unexpired_s;            /* no entry expires in an earlier second */
};

struct dsmr_places *dsmr_places_new(uint32_t flights_max, uint32_t others_max, uint64_t seed)
{
    struct dsmr_places *places = calloc(1, sizeof(*places));
    if (places == NULL) {
        return NULL;
    }
    pthread_mutex_init(&places->lock, NULL);
    places->flights_max = flights_max;
    places->others_max = others_max;
    places->unexpired_s = UINT64_MAX;
    places->entries = dsmr_id_table_new(sizeof(struct dsmr_place), flights_max + others_max, seed);
    places->chunks = calloc(DSMR_PLACES_CHUNKS_MAX, sizeof(*places->chunks));
    if (places->entries == NULL || places->chunks == NULL) {
        dsmr_places_free(places);
        return NULL;
    }
    return places;
}

void dsmr_places_free(struct dsmr_places *places)
{
    if (places != NULL) {
        pthread_mutex_destroy(&places->lock);
        dsmr_id_table_free(places->entries);
        free(places->chunks);
        free(places);
    }
}

void dsmr_places_lock(struct dsmr_places *places)
{
    pthread_mutex_lock(&places->lock);
}

void dsmr_places_unlock(struct dsmr_places *places)
{
    pthread_mutex_unlock(&places->lock);
}

static bool has_owner(const struct dsmr_place *place)
{
    return place->owner != DSMR_PLACES_NOBODY;
}

/* Of one writer, under the lock: others may only read it meanwhile. */
static void count(_Atomic uint32_t *number, bool is_one_more, bool is_one_less)
{
    uint32_t before = atomic_load_explicit(number, memory_order_relaxed);
    atomic_store_explicit(number, before + is_one_more - is_one_less, memory_order_relaxed);
}

static void note_expiry(struct dsmr_places *places, uint64_t expiry_ms)
{
    uint64_t second = expiry_ms / 1000u;
    places->expiring[second % EXPIRY_STEPS]++;
    places->unexpired_s = second < places->unexpired_s ? second : places->unexpired_s;
}

enum dsmr_err dsmr_places_add(struct dsmr_places *places, const struct dsmr_id *id,
                              const struct dsmr_place *place)
{
    bool is_flight = has_owner(place);
    struct dsmr_place *entry = dsmr_id_table_find(places->entries, id);
    bool is_new = entry == NULL;
    if (!is_new && (!is_flight || has_owner(entry))) {
        return DSMR_ERR_DUPLICATE;
    }
    if (is_flight ? places->flights >= places->flights_max : places->others >= places->others_max) {
        return DSMR_ERR_FULL;
    }
    if (is_new) { /* the table holds both kinds at their limits */
        entry = dsmr_id_table_add(places->entries, id);
        *entry = *place;
        entry->slot = DSMR_PLACES_SLOT_NONE;
        note_expiry(places, place->expiry_ms);
    } else { /* nobody wanted to hear of it; now somebody does */
        count(&places->others, false, true);
        entry->owner = place->owner;
        entry->seq = place->seq;
        entry->wants_certified = place->wants_certified;
        entry->wants_executed = place->wants_executed;
    }
    count(&places->flights, is_flight, false);
    count(&places->others, !is_flight, false);
    return DSMR_OK;
}

void dsmr_places_expect(const struct dsmr_places *places, const struct dsmr_id *id)
{
    dsmr_id_table_expect(places->entries, id);
}

struct dsmr_place *dsmr_places_find(struct dsmr_places *places, const struct dsmr_id *id)
{
    return dsmr_id_table_find(places->entries, id);
}

struct finding {
    dsmr_places_found_fn found;
    void *ctx;
};

static void on_found(void *ctx, uint32_t index, void *place)
{
    const struct finding *finding = ctx;
    finding->found(finding->ctx, index, place);
}

void dsmr_places_find_all(struct dsmr_places *places, const struct dsmr_id *ids, uint32_t count,
                          dsmr_places_found_fn found, void *ctx)
{
    struct finding finding = {.found = found, .ctx = ctx};
    if (!dsmr_places_is_empty(places)) {
        dsmr_id_table_find_all(places->entries, ids, count, on_found, &finding);
    }
}

void dsmr_places_remove(struct dsmr_places *places, struct dsmr_place *place)
{
    count(&places->flights, false, has_owner(place));
    count(&places->others, false, !has_owner(place));
    places->expiring[place->expiry_ms / 1000u % EXPIRY_STEPS]--;
    dsmr_id_table_remove(places->entries, place);
}

void dsmr_places_disown(struct dsmr_places *places, struct dsmr_place *place)
{
    if (!has_owner(place)) {
        return;
    }
    if (places->others >= places->others_max) {
        dsmr_places_remove(places, place);
        return;
    }
    place->owner = DSMR_PLACES_NOBODY;
    place->wants_certified = place->wants_executed = false;
    count(&places->flights, false, true);
    count(&places->others, true, false);
}

bool dsmr_places_may_expire(struct dsmr_places *places, uint64_t now_ms)
{
    uint64_t now_s = now_ms / 1000u;
    if (now_s < places->unexpired_s) {
        return false;
    }
    for (uint32_t i = 0; i < EXPIRY_STEPS && places->unexpired_s < now_s; i++) {
        if (places->expiring[places->unexpired_s % EXPIRY_STEPS] > 0) {
            return true;
        }
        places->unexpired_s++;
    }
    if (places->unexpired_s < now_s) { /* all counts are 0 */
        places->unexpired_s = now_s;
    }
    return places->expiring[now_s % EXPIRY_STEPS] > 0;
}

struct dsmr_place *dsmr_places_next(struct dsmr_places *places, uint32_t *position,
                                    const struct dsmr_id **id)
{
    return dsmr_id_table_next(places->entries, position, id);
}

uint32_t dsmr_places_flights(const struct dsmr_places *places)
{
    return atomic_load_explicit(&places->flights, memory_order_relaxed);
}

bool dsmr_places_is_empty(const struct dsmr_places *places)
{
    return dsmr_places_flights(places) == 0 &&
           atomic_load_explicit(&places->others, memory_order_relaxed) == 0;
}

/* ---- own chunks ---- */

static struct own_chunk *at_slot(struct dsmr_places *places, uint64_t slot)
{
    return &places->chunks[slot % DSMR_PLACES_CHUNKS_MAX];
}

/* The record of that chunk, if it is there. */
static struct own_chunk *find_chunk(struct dsmr_places *places, const struct dsmr_reference *ref)
{
    struct own_chunk *chunk = at_slot(places, ref->slot);
    bool is_it = chunk->state != DSMR_TX_UNKNOWN && dsmr_id_equal(&chunk->id, &ref->chunk_id);
    return is_it ? chunk : NULL;
}

static void into_chunk(void *ctx, uint32_t index, struct dsmr_place *place)
{
    const uint64_t *slot = ctx;
    (void)index;
    place->slot = *slot;
}

void dsmr_places_built(struct dsmr_places *places, const struct dsmr_chunk *chunk)
{
    uint64_t slot = chunk->ref.slot;
    pthread_mutex_lock(&places->lock);
    *at_slot(places, slot) =
        (struct own_chunk){.id = chunk->ref.chunk_id, .slot = slot, .state = DSMR_TX_IN_CHUNK};
    dsmr_places_find_all(places, chunk->tx_ids, chunk->header.tx_count, into_chunk, &slot);
    pthread_mutex_unlock(&places->lock);
}

void dsmr_places_certified(struct dsmr_places *places, const struct dsmr_chunk *chunk)
{
    pthread_mutex_lock(&places->lock);
    struct own_chunk *own = find_chunk(places, &chunk->ref);
    if (own != NULL && own->state == DSMR_TX_IN_CHUNK) {
        own->state = DSMR_TX_CERTIFIED;
    }
    pthread_mutex_unlock(&places->lock);
}

static void out_of_chunk(void *ctx, uint32_t index, struct dsmr_place *place)
{
    const uint64_t *slot = ctx;
    (void)index;
    if (place->slot == *slot) {
        place->slot = DSMR_PLACES_SLOT_NONE;
    }
}

void dsmr_places_returned(struct dsmr_places *places, const struct dsmr_chunk *chunk)
{
    uint64_t slot = chunk->ref.slot;
    pthread_mutex_lock(&places->lock);
    struct own_chunk *own = find_chunk(places, &chunk->ref);
    if (own != NULL) {
        own->state = DSMR_TX_UNKNOWN;
    }
    dsmr_places_find_all(places, chunk->tx_ids, chunk->header.tx_count, out_of_chunk, &slot);
    pthread_mutex_unlock(&places->lock);
}

void dsmr_places_accepted(struct dsmr_places *places, const struct dsmr_block *block)
{
    pthread_mutex_lock(&places->lock);
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct own_chunk *own = find_chunk(places, &block->certs[i].ref);
        if (own != NULL) {
            own->state = DSMR_TX_IN_BLOCK;
            own->height = block->height;
        }
    }
    pthread_mutex_unlock(&places->lock);
}

bool dsmr_places_where(struct dsmr_places *places, struct dsmr_query_tx *out,
                       const struct dsmr_id *id)
{
    pthread_mutex_lock(&places->lock);
    const struct dsmr_place *place = dsmr_id_table_find(places->entries, id);
    bool is_known = place != NULL;
    if (is_known && place->slot == DSMR_PLACES_SLOT_NONE) {
        *out = (struct dsmr_query_tx){.state = DSMR_TX_PENDING};
    } else if (is_known) {
        const struct own_chunk *own = at_slot(places, place->slot);
        *out = (struct dsmr_query_tx){.state = DSMR_TX_IN_CHUNK};
        if (own->slot == place->slot && own->state != DSMR_TX_UNKNOWN) {
            out->state = own->state;
            out->chunk_id = own->id;
            out->height = own->height;
        }
    }
    pthread_mutex_unlock(&places->lock);
    return is_known;
}
