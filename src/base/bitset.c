#include "base/bitset.h"

#include "base/assert.h"

#define WORDS (DSMR_VALIDATORS_MAX / 64u)

bool dsmr_bitset_has(const struct dsmr_bitset *set, uint32_t index)
{
    return index < DSMR_VALIDATORS_MAX && ((set->words[index / 64u] >> (index % 64u)) & 1u) != 0;
}

void dsmr_bitset_add(struct dsmr_bitset *set, uint32_t index)
{
    DSMR_ASSERT(index < DSMR_VALIDATORS_MAX);
    set->words[index / 64u] |= UINT64_C(1) << (index % 64u);
}

void dsmr_bitset_remove(struct dsmr_bitset *set, uint32_t index)
{
    DSMR_ASSERT(index < DSMR_VALIDATORS_MAX);
    set->words[index / 64u] &= ~(UINT64_C(1) << (index % 64u));
}

uint32_t dsmr_bitset_count(const struct dsmr_bitset *set)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < WORDS; w++) {
        count += (uint32_t)__builtin_popcountll(set->words[w]);
    }
    return count;
}

bool dsmr_bitset_is_empty(const struct dsmr_bitset *set)
{
    return dsmr_bitset_end(set) == 0;
}

uint32_t dsmr_bitset_end(const struct dsmr_bitset *set)
{
    for (uint32_t w = WORDS; w > 0; w--) {
        uint64_t word = set->words[w - 1];
        if (word != 0) {
            return 64u * w - (uint32_t)__builtin_clzll(word);
        }
    }
    return 0;
}

uint64_t dsmr_bitset_weight(const struct dsmr_bitset *signers, const struct dsmr_validator_set *set)
{
    DSMR_ASSERT(dsmr_bitset_end(signers) <= set->count);
    uint64_t sum = 0;
    for (uint32_t w = 0; w < WORDS; w++) {
        for (uint64_t word = signers->words[w]; word != 0; word &= word - 1) {
            uint32_t index = 64u * w + (uint32_t)__builtin_ctzll(word);
            uint64_t weight = set->validators[index].weight;
            sum = weight > UINT64_MAX - sum ? UINT64_MAX : sum + weight;
        }
    }
    return sum;
}
