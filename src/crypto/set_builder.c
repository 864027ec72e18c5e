#include "crypto/set_builder.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/bls.h"

static int compare_validators(const void *a, const void *b)
{
    const struct dsmr_validator *left = a, *right = b;
    int order =
        memcmp(left->public_key.bytes, right->public_key.bytes, sizeof left->public_key.bytes);
    /* Node ids decide among equal keys, so that the merged list is the same everywhere. */
    return order != 0 ? order
                      : memcmp(left->node_ids[0].bytes, right->node_ids[0].bytes,
                               sizeof left->node_ids[0].bytes);
}

/* Nobody is an entry of several nodes, so those who find no place there are missed by nobody. A
 * refusal would be worse: it would take the set from the chain, for ever. */
static void merge(struct dsmr_validator_set *set, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct dsmr_validator *from = &set->validators[i];
        struct dsmr_validator *to = set->count == 0 ? NULL : &set->validators[set->count - 1];
        bool is_same = to != NULL && memcmp(to->public_key.bytes, from->public_key.bytes,
                                            sizeof to->public_key.bytes) == 0;
        if (!is_same) {
            set->validators[set->count++] = *from;
            continue;
        }
        to->weight += from->weight; /* the total was checked against overflow */
        if (to->node_ids_count < DSMR_NODE_IDS_PER_KEY_MAX)
            to->node_ids[to->node_ids_count++] = from->node_ids[0];
    }
}

enum dsmr_err dsmr_set_builder_build(struct dsmr_validator_set **out, size_t *bad, uint64_t epoch,
                                     const struct dsmr_set_builder_entry *entries, size_t count)
{
    uint32_t keys = 0;
    enum dsmr_err err = DSMR_OK;
    if (count > DSMR_SET_BUILDER_ENTRIES_MAX)
        return DSMR_ERR_LIMIT;
    struct dsmr_validator_set *set =
        calloc(1, sizeof *set + (count + 1) * sizeof set->validators[0]);
    if (set == NULL)
        return DSMR_ERR_NO_MEMORY;
    set->refs = 1;
    set->epoch = epoch;
    for (size_t i = 0; i < count && err == DSMR_OK; i++) {
        if (entries[i].weight > UINT64_MAX - set->total_weight)
            err = DSMR_ERR_LIMIT;
        set->total_weight += entries[i].weight;
        if (!entries[i].has_key)
            continue;
        struct dsmr_validator *validator = &set->validators[keys++];
        validator->public_key = entries[i].key;
        validator->weight = entries[i].weight;
        validator->node_ids_count = 1;
        validator->node_ids[0] = entries[i].node_id;
        if (err == DSMR_OK)
            err = dsmr_bls_key_decode_raw(&validator->point, &entries[i].key);
        if (err == DSMR_ERR_INVALID_KEY)
            *bad = i;
    }
    if (err == DSMR_OK && set->total_weight == 0)
        err = DSMR_ERR_LIMIT;
    if (err == DSMR_OK) {
        qsort(set->validators, keys, sizeof set->validators[0], compare_validators);
        merge(set, keys);
        if (set->count > DSMR_VALIDATORS_MAX)
            err = DSMR_ERR_LIMIT;
    }
    if (err != DSMR_OK) {
        dsmr_validator_set_unref(set);
        return err;
    }
    *out = set;
    return DSMR_OK;
}
