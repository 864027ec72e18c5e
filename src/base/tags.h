/* tags.h - the slots of a hash table by open addressing, which say where entries lie.
 *
 * Why:     each table probes in a way of its own, for what its entries are; how a slot is taken and
 *          given back is the same for all.
 * How:     linear probing. What does not match is told by the hash, whose lowest bits are the home
 *          slot: a probe reads few entries, and removal none (Knuth, The Art of Computer
 *          Programming 3, 6.4, algorithm R).
 * Limits:  a power of two of slots, mask is one less; never all of them in use.
 * Threads: plain. */
#ifndef DSMR_BASE_TAGS_H
#define DSMR_BASE_TAGS_H

#include <stddef.h>
#include <stdint.h>

struct dsmr_tag {
    uint32_t hash;
    uint32_t place; /* 1 + the entry's index; 0: the slot is empty */
};

/* Into the first empty slot from its home on. */
static inline void dsmr_tags_put(struct dsmr_tag *tags, size_t mask, struct dsmr_tag tag)
{
    size_t at = tag.hash & mask;
    while (tags[at].place != 0) {
        at = (at + 1) & mask;
    }
    tags[at] = tag;
}

/* Empties a slot. Tags behind the hole move up as long as that does not put them before their home.
 */
static inline void dsmr_tags_empty(struct dsmr_tag *tags, size_t mask, size_t hole)
{
    for (size_t at = (hole + 1) & mask; tags[at].place != 0; at = (at + 1) & mask) {
        size_t from_home = (at - tags[at].hash) & mask;
        size_t from_hole = (at - hole) & mask;
        if (from_home >= from_hole) {
            tags[hole] = tags[at];
            hole = at;
        }
    }
    tags[hole].place = 0;
}

#endif
