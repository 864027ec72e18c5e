/* hash.h - SHA-256 and the Merkle tree over it. */
#ifndef DSMR_CRYPTO_HASH_H
#define DSMR_CRYPTO_HASH_H

#include "dsmr/types.h"

void dsmr_hash(struct dsmr_id *out, const void *bytes, size_t len); /* SHA-256 */

struct dsmr_hash_message {
    const uint8_t *bytes;
    size_t len;
};
/* SHA-256 of each message. Many of about the same length take half the time for each that one
 * takes alone, where the machine has AVX-512. */
void dsmr_hash_many(struct dsmr_id *out, const struct dsmr_hash_message *messages, size_t count);

/* Merkle root of ids, 16 children a node. Leaf = SHA-256(0x00 || id); node = SHA-256(0x01 ||
 * children), with the children that are there; a single leaf is not its own root: the root is
 * SHA-256(0x02 || count u32 big-endian || top). count 0: top is 32 zero bytes.
 * Uses about 32 KiB of stack, whatever the count, and no heap. */
void dsmr_hash_merkle_root(struct dsmr_id *out, const struct dsmr_id *ids, uint32_t count);

#define DSMR_MERKLE_ARITY 16u
#define DSMR_MERKLE_LEVELS_MAX 8u
/* Proof that ids[index] is under the root: for each level the siblings of its group (with the own
 * place left out) from the leaves up. */
struct dsmr_merkle_proof {
    uint32_t index, count;
    uint32_t hashes_count;
    struct dsmr_id hashes[DSMR_MERKLE_LEVELS_MAX * (DSMR_MERKLE_ARITY - 1)];
};
void dsmr_hash_merkle_prove(struct dsmr_merkle_proof *out, const struct dsmr_id *ids,
                            uint32_t count, uint32_t index);
/* OK, or TX_MERKLE_PROOF. Safe on any bytes. */
DSMR_MUST_USE enum dsmr_err dsmr_hash_merkle_check(const struct dsmr_merkle_proof *proof,
                                                   const struct dsmr_id *root,
                                                   const struct dsmr_id *id);
#endif
