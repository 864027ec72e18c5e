#include "core/verdict_cache.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/map.h"

struct dsmr_verdict_cache {
    uint32_t entries_max;
    uint32_t count;
    uint32_t oldest;          /* place in hashes that the next one takes, once all are used */
    struct dsmr_map *by_hash; /* struct dsmr_id -> enum dsmr_err */
    struct dsmr_id *hashes;   /* in the order in which they came: a ring when full */
};

struct dsmr_verdict_cache *dsmr_verdict_cache_new(uint32_t entries_max, uint64_t seed)
{
    struct dsmr_verdict_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        return NULL;
    }
    cache->entries_max = entries_max;
    cache->by_hash = dsmr_map_new(sizeof(struct dsmr_id), sizeof(enum dsmr_err), entries_max, seed);
    cache->hashes = calloc(entries_max > 0 ? entries_max : 1, sizeof(*cache->hashes));
    if (cache->by_hash == NULL || cache->hashes == NULL) {
        dsmr_verdict_cache_free(cache);
        return NULL;
    }
    return cache;
}

void dsmr_verdict_cache_free(struct dsmr_verdict_cache *cache)
{
    if (cache != NULL) {
        dsmr_map_free(cache->by_hash);
        free(cache->hashes);
        free(cache);
    }
}

bool dsmr_verdict_cache_find(const struct dsmr_verdict_cache *cache, enum dsmr_err *verdict,
                             const struct dsmr_id *cert_hash)
{
    const enum dsmr_err *known = dsmr_map_find(cache->by_hash, cert_hash);
    if (known == NULL) {
        return false;
    }
    *verdict = *known;
    return true;
}

/* A place in hashes for a new verdict: the oldest goes when all are used. */
static uint32_t make_room(struct dsmr_verdict_cache *cache)
{
    if (cache->count < cache->entries_max) {
        return cache->count++;
    }
    uint32_t place = cache->oldest;
    bool was_there = dsmr_map_remove(cache->by_hash, &cache->hashes[place]);
    DSMR_ASSERT(was_there);
    cache->oldest = (place + 1) % cache->entries_max;
    return place;
}

void dsmr_verdict_cache_add(struct dsmr_verdict_cache *cache, const struct dsmr_id *cert_hash,
                            enum dsmr_err verdict)
{
    DSMR_ASSERT(verdict == DSMR_OK || verdict == DSMR_ERR_BAD_SIGNATURE);
    enum dsmr_err *known = dsmr_map_find(cache->by_hash, cert_hash);
    if (known != NULL) {
        *known = verdict;
        return;
    }
    if (cache->entries_max == 0) {
        return;
    }
    cache->hashes[make_room(cache)] = *cert_hash;
    known = dsmr_map_add(cache->by_hash, cert_hash, NULL);
    DSMR_ASSERT(known != NULL);
    *known = verdict;
}

uint32_t dsmr_verdict_cache_count(const struct dsmr_verdict_cache *cache)
{
    return cache->count;
}
