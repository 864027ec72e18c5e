#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "dsmr/types.h"

#define WALK_MAX 16u /* sets that are walked through */

_Static_assert(DSMR_VALIDATORS_MAX < UINT16_MAX, "an index plus one is a place's value");

struct dsmr_validator_set *dsmr_validator_set_ref(struct dsmr_validator_set *set)
{
    if (set != NULL) {
        uint32_t before = atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
        DSMR_ASSERT(before > 0 && before < UINT32_MAX);
    }
    return set;
}

void dsmr_validator_set_unref(struct dsmr_validator_set *set)
{
    if (set == NULL) {
        return;
    }
    uint32_t before = atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel);
    DSMR_ASSERT(before > 0);
    if (before == 1) {
        free(atomic_load_explicit(&set->places, memory_order_relaxed));
        free(atomic_load_explicit(&set->all_keys, memory_order_relaxed));
        free(set);
    }
}

/* Entries are found through a table of their indexes plus one, 0 for none, twice as large as the
 * set: with hundreds of validators each message asks several times. */
static uint32_t place_of(const struct dsmr_node_id *node_id, uint32_t mask)
{
    return dsmr_load_be32(node_id->bytes + sizeof(node_id->bytes) - 4) & mask; /* a hash */
}

static uint32_t mask_of(const struct dsmr_validator_set *set)
{
    uint32_t places = 2;
    while (places < 2 * set->count) {
        places *= 2;
    }
    return places - 1;
}

static bool is_entry_of(const struct dsmr_validator *validator, const struct dsmr_node_id *node_id)
{
    return validator->node_ids_count == 1 && dsmr_node_id_equal(&validator->node_ids[0], node_id);
}

static uint16_t *make_places(const struct dsmr_validator_set *set)
{
    uint32_t mask = mask_of(set);
    uint16_t *places = calloc((size_t)mask + 1, sizeof(*places));
    for (uint32_t i = 0; places != NULL && i < set->count; i++) {
        uint32_t at = place_of(&set->validators[i].node_ids[0], mask);
        while (places[at] != 0) {
            at = (at + 1) & mask;
        }
        places[at] = (uint16_t)(i + 1);
    }
    return places;
}

/* NULL: out of memory. Any thread may be the first. */
static const uint16_t *places_of(const struct dsmr_validator_set *set)
{
    uint16_t *_Atomic *shared = &((struct dsmr_validator_set *)set)->places;
    uint16_t *places = atomic_load_explicit(shared, memory_order_acquire);
    if (places != NULL) {
        return places;
    }
    uint16_t *made = make_places(set);
    if (made != NULL && !atomic_compare_exchange_strong_explicit(
                            shared, &places, made, memory_order_acq_rel, memory_order_acquire)) {
        free(made);
        return places; /* another thread was faster */
    }
    return made;
}

static int find_by_place(const struct dsmr_validator_set *set, const uint16_t *places,
                         const struct dsmr_node_id *node_id)
{
    uint32_t mask = mask_of(set);
    for (uint32_t at = place_of(node_id, mask); places[at] != 0; at = (at + 1) & mask) {
        if (is_entry_of(&set->validators[places[at] - 1], node_id)) {
            return places[at] - 1;
        }
    }
    return -1;
}

int dsmr_validator_set_find(const struct dsmr_validator_set *set,
                            const struct dsmr_node_id *node_id)
{
    const uint16_t *places = set->count > WALK_MAX ? places_of(set) : NULL;
    if (places != NULL) {
        return find_by_place(set, places, node_id);
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (is_entry_of(&set->validators[i], node_id)) {
            return (int)i;
        }
    }
    return -1;
}
