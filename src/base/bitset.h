/* bitset.h - signer sets. struct dsmr_bitset is in dsmr/types.h; its wire form is in wire. */
#ifndef DSMR_BASE_BITSET_H
#define DSMR_BASE_BITSET_H

#include "dsmr/types.h"

bool dsmr_bitset_has(const struct dsmr_bitset *set, uint32_t index);
void dsmr_bitset_add(struct dsmr_bitset *set, uint32_t index); /* index < DSMR_VALIDATORS_MAX */
void dsmr_bitset_remove(struct dsmr_bitset *set, uint32_t index);
uint32_t dsmr_bitset_count(const struct dsmr_bitset *set);
bool dsmr_bitset_is_empty(const struct dsmr_bitset *set);
/* One more than the highest index that is set; 0 if none. */
uint32_t dsmr_bitset_end(const struct dsmr_bitset *set);
/* Sum of the signers' weights in 128 bits, saturated to UINT64_MAX; bits beyond the set are an
 * assertion: the decoder refuses them. */
uint64_t dsmr_bitset_weight(const struct dsmr_bitset *signers,
                            const struct dsmr_validator_set *set);

#endif
