#include "core/journal.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/map.h"
#include "core/expiry_slots.h"
#include "core/slot_key.h"

struct claim {
    struct dsmr_slot_key key;
    struct dsmr_journal_entry entry;
};

struct dsmr_journal {
    struct dsmr_map *by_key; /* struct dsmr_slot_key -> uint32_t place in claims */
    struct dsmr_expiry_slots places;
    struct claim *claims;
};

struct dsmr_journal *dsmr_journal_new(uint32_t entries_max, uint64_t seed)
{
    struct dsmr_journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL) {
        return NULL;
    }
    journal->by_key =
        dsmr_map_new(sizeof(struct dsmr_slot_key), sizeof(uint32_t), entries_max, seed);
    journal->claims = calloc(entries_max > 0 ? entries_max : 1, sizeof(*journal->claims));
    if (dsmr_expiry_slots_init(&journal->places, entries_max) != DSMR_OK ||
        journal->by_key == NULL || journal->claims == NULL) {
        dsmr_journal_free(journal);
        return NULL;
    }
    return journal;
}

void dsmr_journal_free(struct dsmr_journal *journal)
{
    if (journal != NULL) {
        dsmr_map_free(journal->by_key);
        dsmr_expiry_slots_close(&journal->places);
        free(journal->claims);
        free(journal);
    }
}

static struct claim *find(const struct dsmr_journal *journal, const struct dsmr_slot_key *key)
{
    const uint32_t *place = dsmr_map_find(journal->by_key, key);
    return place != NULL ? &journal->claims[*place] : NULL;
}

static enum dsmr_err add(struct dsmr_journal *journal, const struct dsmr_slot_key *key,
                         const struct dsmr_journal_entry *entry)
{
    const struct claim *held = find(journal, key);
    if (held != NULL) {
        bool is_same = dsmr_id_equal(&held->entry.chunk_id, &entry->chunk_id);
        return is_same ? DSMR_ERR_DUPLICATE : DSMR_ERR_CONFLICT;
    }
    uint32_t place = dsmr_expiry_slots_take(&journal->places, entry->expiry_ms);
    if (place == DSMR_EXPIRY_SLOTS_NONE) {
        return DSMR_ERR_FULL;
    }
    uint32_t *value = dsmr_map_add(journal->by_key, key, NULL);
    DSMR_ASSERT(value != NULL); /* as many entries as places */
    *value = place;
    journal->claims[place].key = *key;
    journal->claims[place].entry = *entry;
    return DSMR_OK;
}

enum dsmr_err dsmr_journal_claim(struct dsmr_journal *journal, const struct dsmr_reference *ref)
{
    struct dsmr_slot_key key = dsmr_slot_key(&ref->producer, ref->slot);
    struct dsmr_journal_entry entry = {.chunk_id = ref->chunk_id,
                                       .epoch = ref->epoch,
                                       .expiry_ms = ref->expiry_ms,
                                       .state = DSMR_JOURNAL_CLAIMED};
    return add(journal, &key, &entry);
}

enum dsmr_err dsmr_journal_restore(struct dsmr_journal *journal,
                                   const struct dsmr_node_id *producer, uint64_t slot,
                                   const struct dsmr_journal_entry *entry)
{
    struct dsmr_slot_key key = dsmr_slot_key(producer, slot);
    struct dsmr_journal_entry durable = *entry;
    durable.state = DSMR_JOURNAL_DURABLE;
    enum dsmr_err err = add(journal, &key, &durable);
    return err == DSMR_ERR_DUPLICATE ? DSMR_OK : err;
}

const struct dsmr_journal_entry *dsmr_journal_find(const struct dsmr_journal *journal,
                                                   const struct dsmr_node_id *producer,
                                                   uint64_t slot)
{
    struct dsmr_slot_key key = dsmr_slot_key(producer, slot);
    const struct claim *claim = find(journal, &key);
    return claim != NULL ? &claim->entry : NULL;
}

/* The claim that ref has. NULL: it was pruned while its write was under way. */
static struct claim *own_claim(struct dsmr_journal *journal, const struct dsmr_reference *ref)
{
    struct dsmr_slot_key key = dsmr_slot_key(&ref->producer, ref->slot);
    struct claim *claim = find(journal, &key);
    if (claim != NULL) {
        /* INV-03: the slot has not passed to another chunk in the meantime. */
        DSMR_ASSERT(dsmr_id_equal(&claim->entry.chunk_id, &ref->chunk_id));
    }
    return claim;
}

void dsmr_journal_confirm(struct dsmr_journal *journal, const struct dsmr_reference *ref)
{
    struct claim *claim = own_claim(journal, ref);
    if (claim != NULL) {
        claim->entry.state = DSMR_JOURNAL_DURABLE;
    }
}

void dsmr_journal_doubt(struct dsmr_journal *journal, const struct dsmr_reference *ref)
{
    struct claim *claim = own_claim(journal, ref);
    if (claim != NULL && claim->entry.state == DSMR_JOURNAL_CLAIMED) {
        claim->entry.state = DSMR_JOURNAL_UNKNOWN;
    }
}

static void drop(struct dsmr_journal *journal, uint32_t place)
{
    bool was_there = dsmr_map_remove(journal->by_key, &journal->claims[place].key);
    DSMR_ASSERT(was_there);
    dsmr_expiry_slots_give(&journal->places, place);
}

void dsmr_journal_release(struct dsmr_journal *journal, const struct dsmr_reference *ref)
{
    struct claim *claim = own_claim(journal, ref);
    if (claim != NULL) {
        DSMR_ASSERT(claim->entry.state == DSMR_JOURNAL_CLAIMED);
        drop(journal, (uint32_t)(claim - journal->claims));
    }
}

uint32_t dsmr_journal_prune(struct dsmr_journal *journal, uint64_t chain_time_ms, uint32_t steps)
{
    uint32_t dropped = 0;
    while (dropped < steps && dsmr_expiry_slots_first(&journal->places) != DSMR_EXPIRY_SLOTS_NONE &&
           dsmr_expiry_slots_first_ms(&journal->places) < chain_time_ms) {
        drop(journal, dsmr_expiry_slots_first(&journal->places));
        dropped++;
    }
    return dropped;
}

uint64_t dsmr_journal_expiry_min_ms(const struct dsmr_journal *journal)
{
    return dsmr_expiry_slots_first_ms(&journal->places);
}

bool dsmr_journal_has_room(const struct dsmr_journal *journal)
{
    return journal->places.count < journal->places.capacity;
}

uint32_t dsmr_journal_count(const struct dsmr_journal *journal)
{
    return journal->places.count;
}

void dsmr_journal_check(const struct dsmr_journal *journal)
{
    dsmr_expiry_slots_check(&journal->places);
    DSMR_ASSERT(dsmr_map_count(journal->by_key) == journal->places.count);
    for (uint32_t i = 0; i < journal->places.count; i++) {
        uint32_t place = dsmr_expiry_slots_used(&journal->places, i);
        const struct claim *claim = &journal->claims[place];
        DSMR_ASSERT(find(journal, &claim->key) == claim);
        DSMR_ASSERT(claim->entry.expiry_ms == journal->places.times_ms[place]);
        DSMR_ASSERT(claim->entry.state >= DSMR_JOURNAL_CLAIMED &&
                    claim->entry.state <= DSMR_JOURNAL_UNKNOWN);
    }
}
