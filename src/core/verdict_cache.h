/* verdict_cache.h - what verification said of a certificate, by the hash of the whole certificate.
 *
 * Why:     a certificate is seen in a broadcast and again in blocks; its pairing is paid once.
 * Never by chunk id: two certificates of a chunk may differ (protocol.md, section 9). Limits:
 * entries_max; the oldest goes. Only OK and BAD_SIGNATURE are verdicts; not yet never is. Threads:
 * one owner. */
#ifndef DSMR_CORE_VERDICT_CACHE_H
#define DSMR_CORE_VERDICT_CACHE_H

#include "dsmr/types.h"

struct dsmr_verdict_cache; /* opaque */

DSMR_MUST_USE struct dsmr_verdict_cache *dsmr_verdict_cache_new(uint32_t entries_max,
                                                                uint64_t seed);
void dsmr_verdict_cache_free(struct dsmr_verdict_cache *cache); /* NULL is fine */
/* false: not known, *verdict untouched. */
bool dsmr_verdict_cache_find(const struct dsmr_verdict_cache *cache, enum dsmr_err *verdict,
                             const struct dsmr_id *cert_hash);
/* Asserts that verdict is OK or BAD_SIGNATURE. A second verdict of one hash replaces the first. */
void dsmr_verdict_cache_add(struct dsmr_verdict_cache *cache, const struct dsmr_id *cert_hash,
                            enum dsmr_err verdict);
uint32_t dsmr_verdict_cache_count(const struct dsmr_verdict_cache *cache);

#endif
