#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/id_hash.h"
#include "base/prng.h"
#include "base/tags.h"

#define KEY_BYTES_MAX 64u
#define ID_BYTES 32u

struct dsmr_map {
    size_t key_bytes;
    size_t value_bytes;
    size_t key_offset; /* in an entry */
    size_t stride;     /* of entries: value, then key, both rounded up to 8 */
    size_t capacity;
    size_t count;
    size_t mask; /* slots - 1 */
    uint64_t k0, k1;
    struct dsmr_tag *tags;
    /* Entries lie side by side in the order in which they came, so that a large map with few of
     * them touches little memory. A free one begins with the place of the next free one. */
    uint8_t *entries;
    uint32_t entries_used; /* have held something since the last clear */
    uint32_t first_free;   /* a place; 0: none */
};

static inline uint64_t rotl(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64u - bits);
}

/* Inlined, so that the state stays in registers: keys are a few words. */
__attribute__((always_inline)) static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash with one round a word and three at the end (Aumasson and Bernstein, 2012). Words are in
 * host order: the result never leaves the process. */
static uint64_t hash_key(const struct dsmr_map *map, const void *key)
{
    if (map->key_bytes == ID_BYTES) {
        return dsmr_id_hash(map->k0, map->k1, key);
    }
    uint64_t v[4] = {map->k0 ^ UINT64_C(0x736f6d6570736575), map->k1 ^ UINT64_C(0x646f72616e646f6d),
                     map->k0 ^ UINT64_C(0x6c7967656e657261),
                     map->k1 ^ UINT64_C(0x7465646279746573)};
    const uint8_t *from = key;
    size_t left = map->key_bytes;
    for (; left >= 8; left -= 8, from += 8) {
        uint64_t word;
        memcpy(&word, from, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = 0;
    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)from[i] << (8 * i);
    }
    last ^= (uint64_t)map->key_bytes << 56;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Words first: keys are ids, and a call costs more than the comparison. */
static bool is_same_key(const void *a, const void *b, size_t len)
{
    const uint8_t *left = a, *right = b;
    for (; len >= 8; len -= 8, left += 8, right += 8) {
        uint64_t one, other;
        memcpy(&one, left, 8);
        memcpy(&other, right, 8);
        if (one != other) {
            return false;
        }
    }
    while (len > 0 && *left == *right) {
        left++, right++, len--;
    }
    return len == 0;
}

static size_t round_up_8(size_t n)
{
    return (n + 7u) & ~(size_t)7u;
}

static uint8_t *value_at(const struct dsmr_map *map, uint32_t place)
{
    return map->entries + (size_t)(place - 1) * map->stride;
}

static uint8_t *key_at(const struct dsmr_map *map, uint32_t place)
{
    return value_at(map, place) + map->key_offset;
}

struct dsmr_map *dsmr_map_new(size_t key_bytes, size_t value_bytes, size_t capacity, uint64_t seed)
{
    DSMR_ASSERT(key_bytes >= 1 && key_bytes <= KEY_BYTES_MAX);
    DSMR_ASSERT(value_bytes <= SIZE_MAX / 4);
    size_t slots = 8;
    while (slots / 4 * 3 < capacity) { /* at most 3/4 full: a probe is a few slots long */
        if (slots > UINT32_MAX / 2) {
            return NULL;
        }
        slots *= 2;
    }
    struct dsmr_map *map = calloc(1, sizeof(*map));
    if (map == NULL) {
        return NULL;
    }
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, seed);
    map->k0 = dsmr_prng_next(&prng);
    map->k1 = dsmr_prng_next(&prng);
    map->key_bytes = key_bytes;
    map->value_bytes = value_bytes;
    map->key_offset = round_up_8(value_bytes);
    map->stride = map->key_offset + round_up_8(key_bytes);
    map->capacity = capacity;
    map->mask = slots - 1;
    map->tags = calloc(slots, sizeof(*map->tags));
    map->entries = map->stride > SIZE_MAX / slots ? NULL : malloc((capacity + 1) * map->stride);
    if (map->tags == NULL || map->entries == NULL) {
        dsmr_map_free(map);
        return NULL;
    }
    return map;
}

void dsmr_map_free(struct dsmr_map *map)
{
    if (map != NULL) {
        free(map->tags);
        free(map->entries);
        free(map);
    }
}

/* The slot of key, or the empty one where it belongs (its place is 0). */
static size_t probe(const struct dsmr_map *map, const void *key, uint32_t *hash)
{
    *hash = (uint32_t)hash_key(map, key);
    size_t slot = *hash & map->mask;
    while (map->tags[slot].place != 0) {
        if (map->tags[slot].hash == *hash &&
            is_same_key(key_at(map, map->tags[slot].place), key, map->key_bytes)) {
            break;
        }
        slot = (slot + 1) & map->mask;
    }
    return slot;
}

void dsmr_map_prefetch(const struct dsmr_map *map, const void *key)
{
    __builtin_prefetch(&map->tags[(uint32_t)hash_key(map, key) & map->mask], 1);
}

void *dsmr_map_find(const struct dsmr_map *map, const void *key)
{
    uint32_t hash;
    size_t slot = probe(map, key, &hash);
    return map->tags[slot].place != 0 ? value_at(map, map->tags[slot].place) : NULL;
}

static uint32_t take_place(struct dsmr_map *map)
{
    uint32_t place = map->first_free;
    if (place == 0) {
        return ++map->entries_used;
    }
    memcpy(&map->first_free, value_at(map, place), sizeof(map->first_free));
    return place;
}

static void give_place(struct dsmr_map *map, uint32_t place)
{
    memcpy(value_at(map, place), &map->first_free, sizeof(map->first_free));
    map->first_free = place;
}

void *dsmr_map_add(struct dsmr_map *map, const void *key, bool *is_new)
{
    struct dsmr_tag tag;
    size_t slot = probe(map, key, &tag.hash);
    bool found = map->tags[slot].place != 0;
    if (!found) {
        if (map->count >= map->capacity) {
            return NULL;
        }
        tag.place = take_place(map);
        map->tags[slot] = tag;
        memset(value_at(map, tag.place), 0, map->value_bytes);
        memcpy(key_at(map, tag.place), key, map->key_bytes);
        map->count++;
    }
    if (is_new != NULL) {
        *is_new = !found;
    }
    return value_at(map, map->tags[slot].place);
}

bool dsmr_map_remove(struct dsmr_map *map, const void *key)
{
    uint32_t hash;
    size_t hole = probe(map, key, &hash);
    if (map->tags[hole].place == 0) {
        return false;
    }
    give_place(map, map->tags[hole].place);
    dsmr_tags_empty(map->tags, map->mask, hole);
    map->count--;
    return true;
}

size_t dsmr_map_count(const struct dsmr_map *map)
{
    return map->count;
}

void dsmr_map_clear(struct dsmr_map *map)
{
    if (map->count > 0) {
        memset(map->tags, 0, (map->mask + 1) * sizeof(*map->tags));
        map->count = 0;
    }
    map->entries_used = 0;
    map->first_free = 0;
}

bool dsmr_map_next(const struct dsmr_map *map, size_t *position, const void **key, void **value)
{
    for (size_t slot = *position; slot <= map->mask; slot++) {
        if (map->tags[slot].place != 0) {
            *position = slot + 1;
            if (key != NULL) {
                *key = key_at(map, map->tags[slot].place);
            }
            if (value != NULL) {
                *value = value_at(map, map->tags[slot].place);
            }
            return true;
        }
    }
    *position = map->mask + 1;
    return false;
}
