#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"

#define KEY_BYTES_MAX 64u

/* tags[i]: 0 for an empty slot, else the upper half of the key's hash with its lowest bit set.
 * The lower half gives the home slot and is kept beside it: removal needs it, keys stay unread. */
struct tag {
    uint32_t check;
    uint32_t home;
};

struct dsmr_map {
    size_t key_bytes;
    size_t value_bytes;
    size_t stride; /* value, then key, both rounded up to 8 */
    size_t capacity;
    size_t count;
    size_t mask; /* slots - 1 */
    uint64_t k0, k1;
    struct tag *tags;
    uint8_t *slots;
};

static uint64_t rotl(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64u - bits);
}

static void sip_round(uint64_t v[4])
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
    memcpy(&last, from, left);
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

static size_t round_up_8(size_t n)
{
    return (n + 7u) & ~(size_t)7u;
}

static uint8_t *value_at(const struct dsmr_map *map, size_t slot)
{
    return map->slots + slot * map->stride;
}

static uint8_t *key_at(const struct dsmr_map *map, size_t slot)
{
    return value_at(map, slot) + round_up_8(map->value_bytes);
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
    map->stride = round_up_8(value_bytes) + round_up_8(key_bytes);
    map->capacity = capacity;
    map->mask = slots - 1;
    map->tags = calloc(slots, sizeof(*map->tags));
    map->slots = calloc(slots, map->stride);
    if (map->tags == NULL || map->slots == NULL) {
        dsmr_map_free(map);
        return NULL;
    }
    return map;
}

void dsmr_map_free(struct dsmr_map *map)
{
    if (map != NULL) {
        free(map->tags);
        free(map->slots);
        free(map);
    }
}

/* The slot of key, or the empty one where it belongs (tags[].check is 0 there). */
static size_t probe(const struct dsmr_map *map, const void *key, struct tag *tag)
{
    uint64_t hash = hash_key(map, key);
    tag->check = (uint32_t)(hash >> 32) | 1u;
    tag->home = (uint32_t)(hash & map->mask);
    size_t slot = tag->home;
    while (map->tags[slot].check != 0) {
        if (map->tags[slot].check == tag->check &&
            memcmp(key_at(map, slot), key, map->key_bytes) == 0) {
            break;
        }
        slot = (slot + 1) & map->mask;
    }
    return slot;
}

void *dsmr_map_find(const struct dsmr_map *map, const void *key)
{
    struct tag tag;
    size_t slot = probe(map, key, &tag);
    return map->tags[slot].check != 0 ? value_at(map, slot) : NULL;
}

void *dsmr_map_add(struct dsmr_map *map, const void *key, bool *is_new)
{
    struct tag tag;
    size_t slot = probe(map, key, &tag);
    bool found = map->tags[slot].check != 0;
    if (!found) {
        if (map->count >= map->capacity) {
            return NULL;
        }
        map->tags[slot] = tag;
        memset(value_at(map, slot), 0, map->value_bytes);
        memcpy(key_at(map, slot), key, map->key_bytes);
        map->count++;
    }
    if (is_new != NULL) {
        *is_new = !found;
    }
    return value_at(map, slot);
}

bool dsmr_map_remove(struct dsmr_map *map, const void *key)
{
    struct tag tag;
    size_t hole = probe(map, key, &tag);
    if (map->tags[hole].check == 0) {
        return false;
    }
    /* Entries behind the hole move up as long as that does not put them before their home. */
    for (size_t slot = (hole + 1) & map->mask; map->tags[slot].check != 0;
         slot = (slot + 1) & map->mask) {
        size_t from_home = (slot - map->tags[slot].home) & map->mask;
        size_t from_hole = (slot - hole) & map->mask;
        if (from_home >= from_hole) {
            map->tags[hole] = map->tags[slot];
            memcpy(value_at(map, hole), value_at(map, slot), map->stride);
            hole = slot;
        }
    }
    map->tags[hole].check = 0;
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
}

bool dsmr_map_next(const struct dsmr_map *map, size_t *position, const void **key, void **value)
{
    for (size_t slot = *position; slot <= map->mask; slot++) {
        if (map->tags[slot].check != 0) {
            *position = slot + 1;
            if (key != NULL) {
                *key = key_at(map, slot);
            }
            if (value != NULL) {
                *value = value_at(map, slot);
            }
            return true;
        }
    }
    *position = map->mask + 1;
    return false;
}
