/* map.h - hash map of fixed capacity: fixed-size keys to fixed-size values.
 *
 * Why:     pools and indexes have limits; the map allocates all it needs when it is made.
 * How:     open addressing, linear probing, backward-shift deletion; SipHash-1-3-like keyed hash,
 *          so that peers cannot choose colliding keys. Keys of 32 bytes must be hashes already
 *          (ids): theirs is cheaper.
 * Threads: one owner. */
#ifndef DSMR_BASE_MAP_H
#define DSMR_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dsmr_map; /* opaque */

/* NULL if out of memory. key_bytes 1..64; value_bytes may be 0 (a set). Values are 8-byte aligned
 * and move when other entries are added or removed: keep no pointer across those. */
struct dsmr_map *dsmr_map_new(size_t key_bytes, size_t value_bytes, size_t capacity, uint64_t seed);
void dsmr_map_free(struct dsmr_map *map);                         /* NULL is fine */
void *dsmr_map_find(const struct dsmr_map *map, const void *key); /* value, or NULL */
/* Fetches from memory what find, add and remove of key look at first: in a loop over many keys,
 * call it some keys ahead. */
void dsmr_map_prefetch(const struct dsmr_map *map, const void *key);
/* Adds key with a zeroed value, or finds it; *is_new tells which (may be NULL). NULL at capacity.
 */
void *dsmr_map_add(struct dsmr_map *map, const void *key, bool *is_new);
bool dsmr_map_remove(struct dsmr_map *map, const void *key); /* false if it was not there */
size_t dsmr_map_count(const struct dsmr_map *map);
void dsmr_map_clear(struct dsmr_map *map);
/* Walks all entries in table order: start with *position 0; false at the end. The walk may call
 * dsmr_map_remove only after it has ended. */
bool dsmr_map_next(const struct dsmr_map *map, size_t *position, const void **key, void **value);

#endif
