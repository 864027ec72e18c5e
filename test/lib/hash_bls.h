/* hash_bls.h - the BLS work answered by a keyed hash: as strict about who signed what, and a
 * thousand times faster. Key of validator i: its public key's bytes. */
#ifndef DSMR_TEST_HASH_BLS_H
#define DSMR_TEST_HASH_BLS_H

#include "ports/bls_ops.h"
#include "ports/signer.h"

extern const struct dsmr_bls_ops dsmr_hash_bls;

/* A set of count validators of weight 1; node ids and keys follow from first + i. */
struct dsmr_validator_set *dsmr_hash_bls_set(uint64_t epoch, uint32_t first, uint32_t count);
struct dsmr_node_id dsmr_hash_bls_node_id(uint32_t number);
/* What validator number signs over message. */
void dsmr_hash_bls_sign(struct dsmr_bls_sig *out, uint32_t number, const void *message, size_t len);
/* The signer port of validator number: *number must stay valid. */
struct dsmr_signer dsmr_hash_bls_signer(uint32_t *number);

#endif
