#include "core/own_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"

#define SLOTS_AT_FIRST 1024u
#define SLOTS_KEPT 262144u /* 2 MiB; a larger table is given back when it is empty */

struct dsmr_own_ids {
    uint32_t ids_max;
    uint32_t count;
    uint64_t keys[2]; /* odd */
    size_t mask;      /* slots - 1 */
    uint64_t *slots;  /* 0: empty */
};

struct dsmr_own_ids *dsmr_own_ids_new(uint32_t ids_max, uint64_t seed)
{
    struct dsmr_own_ids *ids = calloc(1, sizeof(*ids));
    if (ids == NULL) {
        return NULL;
    }
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, seed);
    ids->ids_max = ids_max;
    ids->keys[0] = dsmr_prng_next(&prng) | 1u;
    ids->keys[1] = dsmr_prng_next(&prng) | 1u;
    ids->mask = SLOTS_AT_FIRST - 1;
    ids->slots = calloc(SLOTS_AT_FIRST, sizeof(ids->slots[0]));
    if (ids->slots == NULL) {
        dsmr_own_ids_free(ids);
        return NULL;
    }
    return ids;
}

void dsmr_own_ids_free(struct dsmr_own_ids *ids)
{
    if (ids != NULL) {
        free(ids->slots);
        free(ids);
    }
}

/* Ids are hashes: sixteen of their bytes tell them apart. The keys are secret, so nobody can look
 * for an id that falls on another one's. Never 0. */
static uint64_t fingerprint(const struct dsmr_own_ids *ids, const struct dsmr_id *id)
{
    uint64_t words[2];
    memcpy(words, id->bytes, sizeof(words));
    uint64_t print = words[0] * ids->keys[0] + words[1] * ids->keys[1];
    print ^= print >> 32; /* a product's low bits know its factors' low bits only */
    return print != 0 ? print : 1;
}

/* The slot of print, or the empty one where it belongs. */
static size_t probe(const struct dsmr_own_ids *ids, uint64_t print)
{
    size_t slot = print & ids->mask;
    while (ids->slots[slot] != 0 && ids->slots[slot] != print) {
        slot = (slot + 1) & ids->mask;
    }
    return slot;
}

/* false: no memory; nothing has changed. */
static bool resize(struct dsmr_own_ids *ids, size_t slots)
{
    uint64_t *old = ids->slots;
    size_t old_mask = ids->mask;
    uint64_t *larger = calloc(slots, sizeof(larger[0]));
    if (larger == NULL) {
        return false;
    }
    ids->slots = larger;
    ids->mask = slots - 1;
    for (size_t i = 0; ids->count > 0 && i <= old_mask; i++) {
        if (old[i] != 0) {
            ids->slots[probe(ids, old[i])] = old[i];
        }
    }
    free(old);
    return true;
}

void dsmr_own_ids_add(struct dsmr_own_ids *ids, const struct dsmr_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->ref.tx_count && ids->count < ids->ids_max; i++) {
        uint64_t print = fingerprint(ids, &chunk->tx_ids[i]);
        if (2u * ((size_t)ids->count + 1) > ids->mask + 1 && !resize(ids, 2 * (ids->mask + 1))) {
            return;
        }
        size_t slot = probe(ids, print);
        ids->count += ids->slots[slot] == 0;
        ids->slots[slot] = print;
    }
}

/* Those behind the hole move up as long as that does not put them before their home. */
static void remove_at(struct dsmr_own_ids *ids, size_t hole)
{
    for (size_t slot = (hole + 1) & ids->mask; ids->slots[slot] != 0;
         slot = (slot + 1) & ids->mask) {
        size_t home = ids->slots[slot] & ids->mask;
        if (((slot - home) & ids->mask) >= ((slot - hole) & ids->mask)) {
            ids->slots[hole] = ids->slots[slot];
            hole = slot;
        }
    }
    ids->slots[hole] = 0;
    ids->count--;
}

void dsmr_own_ids_remove(struct dsmr_own_ids *ids, const struct dsmr_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->ref.tx_count && ids->count > 0; i++) {
        size_t slot = probe(ids, fingerprint(ids, &chunk->tx_ids[i]));
        if (ids->slots[slot] != 0) {
            remove_at(ids, slot);
        }
    }
    if (ids->count == 0 && ids->mask + 1 > SLOTS_KEPT) {
        (void)resize(ids, SLOTS_AT_FIRST);
    }
}

void dsmr_own_ids_prefetch(const struct dsmr_own_ids *ids, const struct dsmr_id *id)
{
    __builtin_prefetch(&ids->slots[fingerprint(ids, id) & ids->mask], 1);
}

bool dsmr_own_ids_has(const struct dsmr_own_ids *ids, const struct dsmr_id *id)
{
    return ids->count > 0 && ids->slots[probe(ids, fingerprint(ids, id))] != 0;
}

uint32_t dsmr_own_ids_count(const struct dsmr_own_ids *ids)
{
    return ids->count;
}

size_t dsmr_own_ids_bytes(const struct dsmr_own_ids *ids)
{
    return sizeof(*ids) + (ids->mask + 1) * sizeof(ids->slots[0]);
}

void dsmr_own_ids_check(const struct dsmr_own_ids *ids)
{
    uint32_t count = 0;
    for (size_t slot = 0; slot <= ids->mask; slot++) {
        if (ids->slots[slot] != 0) {
            DSMR_ASSERT(probe(ids, ids->slots[slot]) == slot);
            count++;
        }
    }
    DSMR_ASSERT(count == ids->count && count <= ids->ids_max);
    DSMR_ASSERT(2u * (size_t)count <= ids->mask + 1);
}
