/* hash_lanes.h - SHA-256 of up to 16 messages at once.
 *
 * Why:      one SHA-256 is a chain of dependent steps, so a core spends most of its time waiting.
 *           Sixteen of them, a 32-bit lane of an AVX-512 register each, take as long as seven
 *           after the other with SHA instructions (docs/performance.md).
 * Not here: which messages (hash.h); machines without AVX-512 have no lanes.
 * Threads:  any. */
#ifndef DSMR_CRYPTO_HASH_LANES_H
#define DSMR_CRYPTO_HASH_LANES_H

#include "crypto/hash.h"

#define DSMR_HASH_LANES 16u

/* True if this machine can. */
bool dsmr_hash_lanes_exist(void);
/* True if the lanes are quicker for these messages than one after the other. */
bool dsmr_hash_lanes_pay(const struct dsmr_hash_message *messages, uint32_t count);
/* count: 1 to DSMR_HASH_LANES. Only where lanes exist. */
void dsmr_hash_lanes_run(struct dsmr_id *out, const struct dsmr_hash_message *messages,
                         uint32_t count);
/* SHA-256(tag || id) of sixteen ids: leaves of the Merkle tree. Only where lanes exist. */
void dsmr_hash_lanes_tagged(struct dsmr_id out[DSMR_HASH_LANES], uint8_t tag,
                            const struct dsmr_id ids[DSMR_HASH_LANES]);
#endif
