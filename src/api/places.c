#include "api/places.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"

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
    struct dsmr_map *entries; /* id -> struct dsmr_place */
    struct own_chunk *chunks; /* DSMR_PLACES_CHUNKS_MAX, by slot */
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
    places->entries = dsmr_map_new(sizeof(struct dsmr_id), sizeof(struct dsmr_place),
                                   (size_t)flights_max + others_max, seed);
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
        dsmr_map_free(places->entries);
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

static enum dsmr_err add(struct dsmr_places *places, const struct dsmr_id *id,
                         const struct dsmr_place *place)
{
    bool is_flight = has_owner(place);
    struct dsmr_place *entry = dsmr_map_find(places->entries, id);
    bool is_new = entry == NULL;
    if (!is_new && (!is_flight || has_owner(entry))) {
        return DSMR_ERR_DUPLICATE;
    }
    if (is_flight ? places->flights >= places->flights_max : places->others >= places->others_max) {
        return DSMR_ERR_FULL;
    }
    if (is_new) {
        entry = dsmr_map_add(places->entries, id, NULL);
        DSMR_ASSERT(entry != NULL); /* the map holds both kinds at their limits */
        *entry = *place;
        entry->slot = DSMR_PLACES_SLOT_NONE;
    } else { /* nobody wanted to hear of it; now somebody does */
        places->others--;
        entry->owner = place->owner;
        entry->seq = place->seq;
        entry->wants_certified = place->wants_certified;
        entry->wants_executed = place->wants_executed;
    }
    places->flights += is_flight ? 1 : 0;
    places->others += is_flight ? 0 : 1;
    return DSMR_OK;
}

enum dsmr_err dsmr_places_add(struct dsmr_places *places, const struct dsmr_id *id,
                              const struct dsmr_place *place)
{
    pthread_mutex_lock(&places->lock);
    enum dsmr_err err = add(places, id, place);
    pthread_mutex_unlock(&places->lock);
    return err;
}

struct dsmr_place *dsmr_places_find(struct dsmr_places *places, const struct dsmr_id *id)
{
    return dsmr_map_find(places->entries, id);
}

void dsmr_places_remove(struct dsmr_places *places, const struct dsmr_id *id)
{
    const struct dsmr_place *place = dsmr_map_find(places->entries, id);
    if (place != NULL) {
        places->flights -= has_owner(place) ? 1 : 0;
        places->others -= has_owner(place) ? 0 : 1;
        dsmr_map_remove(places->entries, id);
    }
}

void dsmr_places_disown(struct dsmr_places *places, const struct dsmr_id *id)
{
    struct dsmr_place *place = dsmr_map_find(places->entries, id);
    if (place == NULL || !has_owner(place)) {
        return;
    }
    if (places->others >= places->others_max) {
        dsmr_places_remove(places, id);
        return;
    }
    place->owner = DSMR_PLACES_NOBODY;
    place->wants_certified = place->wants_executed = false;
    places->flights--;
    places->others++;
}

bool dsmr_places_next(struct dsmr_places *places, size_t *position, const struct dsmr_id **id,
                      const struct dsmr_place **place)
{
    const void *key = NULL;
    void *value = NULL;
    if (!dsmr_map_next(places->entries, position, &key, &value)) {
        return false;
    }
    *id = key;
    *place = value;
    return true;
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

void dsmr_places_built(struct dsmr_places *places, const struct dsmr_chunk *chunk)
{
    pthread_mutex_lock(&places->lock);
    *at_slot(places, chunk->ref.slot) = (struct own_chunk){
        .id = chunk->ref.chunk_id, .slot = chunk->ref.slot, .state = DSMR_TX_IN_CHUNK};
    for (uint32_t i = 0; i < chunk->header.tx_count; i++) {
        struct dsmr_place *place = dsmr_map_find(places->entries, &chunk->tx_ids[i]);
        if (place != NULL) {
            place->slot = chunk->ref.slot;
        }
    }
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

void dsmr_places_returned(struct dsmr_places *places, const struct dsmr_chunk *chunk)
{
    pthread_mutex_lock(&places->lock);
    struct own_chunk *own = find_chunk(places, &chunk->ref);
    if (own != NULL) {
        own->state = DSMR_TX_UNKNOWN;
    }
    for (uint32_t i = 0; i < chunk->header.tx_count; i++) {
        struct dsmr_place *place = dsmr_map_find(places->entries, &chunk->tx_ids[i]);
        if (place != NULL && place->slot == chunk->ref.slot) {
            place->slot = DSMR_PLACES_SLOT_NONE;
        }
    }
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
    const struct dsmr_place *place = dsmr_map_find(places->entries, id);
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
