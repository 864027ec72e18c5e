#include "core/epochs.h"

#include <stdlib.h>

#include "base/assert.h"

#define PINNED_MAX (DSMR_PAST_EPOCHS_MAX + 1u)

struct known {
    struct dsmr_validator_set *set;
    uint64_t looked_up; /* counter of look-ups at its last one */
};

struct dsmr_epochs {
    uint32_t sets_max;
    uint32_t count;
    uint64_t look_ups;
    uint32_t pinned_count;
    uint64_t pinned[PINNED_MAX]; /* epochs, known or not */
    struct known sets[];
};

struct dsmr_epochs *dsmr_epochs_new(uint32_t sets_max)
{
    DSMR_ASSERT(sets_max > PINNED_MAX); /* so that one can always go */
    struct dsmr_epochs *epochs = calloc(1, sizeof(*epochs) + sets_max * sizeof(struct known));
    if (epochs != NULL) {
        epochs->sets_max = sets_max;
    }
    return epochs;
}

void dsmr_epochs_free(struct dsmr_epochs *epochs)
{
    if (epochs != NULL) {
        for (uint32_t i = 0; i < epochs->count; i++) {
            dsmr_validator_set_unref(epochs->sets[i].set);
        }
        free(epochs);
    }
}

static bool is_pinned(const struct dsmr_epochs *epochs, uint64_t epoch)
{
    for (uint32_t i = 0; i < epochs->pinned_count; i++) {
        if (epochs->pinned[i] == epoch) {
            return true;
        }
    }
    return false;
}

static struct known *find(struct dsmr_epochs *epochs, uint64_t epoch)
{
    for (uint32_t i = 0; i < epochs->count; i++) {
        if (epochs->sets[i].set->epoch == epoch) {
            return &epochs->sets[i];
        }
    }
    return NULL;
}

uint32_t dsmr_epochs_since(const struct dsmr_epochs *epochs, struct dsmr_validator_set **out,
                           uint32_t max, uint64_t epoch_min)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < epochs->count && count < max; i++) {
        if (epochs->sets[i].set->epoch >= epoch_min) {
            out[count++] = epochs->sets[i].set;
        }
    }
    return count;
}

bool dsmr_epochs_has_member(const struct dsmr_epochs *epochs, const struct dsmr_node_id *node_id)
{
    for (uint32_t i = 0; i < epochs->count; i++) {
        if (dsmr_validator_set_find(epochs->sets[i].set, node_id) >= 0) {
            return true;
        }
    }
    return false;
}

/* The place for a new set: a free one, or that of the set that goes. */
static struct known *place_for_new(struct dsmr_epochs *epochs)
{
    if (epochs->count < epochs->sets_max) {
        return &epochs->sets[epochs->count++];
    }
    struct known *oldest = NULL;
    for (uint32_t i = 0; i < epochs->count; i++) {
        struct known *known = &epochs->sets[i];
        if (!is_pinned(epochs, known->set->epoch) &&
            (oldest == NULL || known->looked_up < oldest->looked_up)) {
            oldest = known;
        }
    }
    DSMR_ASSERT(oldest != NULL);
    dsmr_validator_set_unref(oldest->set);
    return oldest;
}

void dsmr_epochs_add(struct dsmr_epochs *epochs, struct dsmr_validator_set *set)
{
    if (set->epoch == DSMR_EPOCH_NONE || find(epochs, set->epoch) != NULL) {
        return;
    }
    struct known *known = place_for_new(epochs);
    known->set = dsmr_validator_set_ref(set);
    known->looked_up = ++epochs->look_ups;
}

struct dsmr_validator_set *dsmr_epochs_find(struct dsmr_epochs *epochs, uint64_t epoch)
{
    struct known *known = find(epochs, epoch);
    if (known == NULL) {
        return NULL;
    }
    known->looked_up = ++epochs->look_ups;
    return known->set;
}

void dsmr_epochs_pin(struct dsmr_epochs *epochs, const struct dsmr_block *block)
{
    DSMR_ASSERT(block->past_epochs_count <= DSMR_PAST_EPOCHS_MAX);
    epochs->pinned_count = 0;
    epochs->pinned[epochs->pinned_count++] = block->epoch;
    for (uint32_t i = 0; i < block->past_epochs_count; i++) {
        epochs->pinned[epochs->pinned_count++] = block->past_epochs[i].epoch;
    }
}

void dsmr_epochs_check(const struct dsmr_epochs *epochs)
{
    DSMR_ASSERT(epochs->count <= epochs->sets_max);
    DSMR_ASSERT(epochs->pinned_count <= PINNED_MAX);
    for (uint32_t i = 0; i < epochs->count; i++) {
        DSMR_ASSERT(epochs->sets[i].set != NULL);
        DSMR_ASSERT(epochs->sets[i].set->epoch != DSMR_EPOCH_NONE);
        DSMR_ASSERT(epochs->sets[i].looked_up <= epochs->look_ups);
        for (uint32_t j = 0; j < i; j++) {
            DSMR_ASSERT(epochs->sets[i].set->epoch != epochs->sets[j].set->epoch);
        }
    }
}

/* ended_at_ms + lifetime_ms >= time_ms, without overflow. */
static bool is_recent(const struct dsmr_past_epoch *past, uint64_t time_ms, uint64_t lifetime_ms)
{
    return time_ms <= past->ended_at_ms || time_ms - past->ended_at_ms <= lifetime_ms;
}

uint32_t dsmr_epochs_list(struct dsmr_past_epoch out[DSMR_PAST_EPOCHS_MAX],
                          const struct dsmr_block *parent, uint64_t epoch, uint64_t time_ms,
                          uint64_t lifetime_ms)
{
    DSMR_ASSERT(parent->past_epochs_count <= DSMR_PAST_EPOCHS_MAX);
    struct dsmr_past_epoch all[DSMR_PAST_EPOCHS_MAX + 1];
    uint32_t count = 0;
    for (uint32_t i = 0; i < parent->past_epochs_count; i++) {
        if (is_recent(&parent->past_epochs[i], time_ms, lifetime_ms)) {
            all[count++] = parent->past_epochs[i];
        }
    }
    if (parent->epoch != epoch && parent->epoch != DSMR_EPOCH_NONE) {
        all[count].epoch = parent->epoch;
        all[count++].ended_at_ms = time_ms;
    }
    uint32_t from = count > DSMR_PAST_EPOCHS_MAX ? count - DSMR_PAST_EPOCHS_MAX : 0;
    for (uint32_t i = from; i < count; i++) {
        out[i - from] = all[i];
    }
    return count - from;
}

bool dsmr_epochs_allows(uint64_t block_epoch, const struct dsmr_past_epoch *list, uint32_t count,
                        uint64_t epoch)
{
    if (epoch == DSMR_EPOCH_NONE) {
        return false;
    }
    if (epoch == block_epoch) {
        return true;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].epoch == epoch) {
            return true;
        }
    }
    return false;
}
