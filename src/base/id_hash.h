/* id_hash.h - a keyed hash of ids, for tables.
 *
 * Why:     ids are SHA-256 of something: whoever looks for two that fall together has to find them
 *          by trying, against keys that never leave the process. Two products are enough to spread
 *          them.
 * Threads: plain. */
#ifndef DSMR_BASE_ID_HASH_H
#define DSMR_BASE_ID_HASH_H

#include <stdint.h>
#include <string.h>

/* id: 32 bytes. */
static inline uint64_t dsmr_id_hash(uint64_t k0, uint64_t k1, const void *id)
{
    uint64_t w[4];
    memcpy(w, id, sizeof(w));
    __uint128_t one = (__uint128_t)(w[0] ^ k0) * (w[1] ^ k1);
    __uint128_t two = (__uint128_t)(w[2] ^ k1) * (w[3] ^ k0);
    return (uint64_t)one ^ (uint64_t)(one >> 64) ^ (uint64_t)two ^ (uint64_t)(two >> 64);
}

#endif
