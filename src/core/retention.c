#include "core/retention.h"

#include <stdlib.h>

#include "base/assert.h"

#define ENTRIES_AT_FIRST 256u

struct dsmr_retention {
    uint32_t entries_max;
    uint64_t retention_ms;
    struct dsmr_retention_entry *entries; /* ring of room entries */
    uint32_t room;
    uint32_t first;
    uint32_t count;
};

struct dsmr_retention *dsmr_retention_new(uint32_t entries_max, uint64_t retention_ms)
{
    struct dsmr_retention *retention = calloc(1, sizeof(*retention));
    if (retention != NULL) {
        retention->entries_max = entries_max;
        retention->retention_ms = retention_ms;
    }
    return retention;
}

void dsmr_retention_free(struct dsmr_retention *retention)
{
    if (retention != NULL) {
        free(retention->entries);
        free(retention);
    }
}

static const struct dsmr_retention_entry *at(const struct dsmr_retention *retention, uint32_t i)
{
    return &retention->entries[((uint64_t)retention->first + i) % retention->room];
}

static enum dsmr_err grow(struct dsmr_retention *retention)
{
    uint32_t max = retention->entries_max;
    if (retention->room >= max) {
        return DSMR_ERR_FULL;
    }
    uint32_t room = retention->room > max / 2 ? max : 2 * retention->room;
    if (room < ENTRIES_AT_FIRST) {
        room = max < ENTRIES_AT_FIRST ? max : ENTRIES_AT_FIRST;
    }
    struct dsmr_retention_entry *entries = malloc(room * sizeof(*entries));
    if (entries == NULL) {
        return DSMR_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < retention->count; i++) {
        entries[i] = *at(retention, i);
    }
    free(retention->entries);
    retention->entries = entries;
    retention->room = room;
    retention->first = 0;
    return DSMR_OK;
}

enum dsmr_err dsmr_retention_add(struct dsmr_retention *retention,
                                 const struct dsmr_retention_entry *entry)
{
    if (retention->count == retention->room) {
        enum dsmr_err err = grow(retention);
        if (err != DSMR_OK) {
            return err;
        }
    }
    uint64_t end = ((uint64_t)retention->first + retention->count) % retention->room;
    retention->entries[end] = *entry;
    retention->count++;
    return DSMR_OK;
}

static int by_block_time(const void *a, const void *b)
{
    const struct dsmr_retention_entry *x = a;
    const struct dsmr_retention_entry *y = b;
    if (x->block_time_ms != y->block_time_ms) {
        return x->block_time_ms < y->block_time_ms ? -1 : 1;
    }
    return 0;
}

void dsmr_retention_sort(struct dsmr_retention *retention)
{
    DSMR_ASSERT(retention->first == 0);
    if (retention->count > 1) {
        qsort(retention->entries, retention->count, sizeof(retention->entries[0]), by_block_time);
    }
}

static bool has_passed(uint64_t from_ms, uint64_t span_ms, uint64_t now_ms)
{
    return now_ms >= from_ms && now_ms - from_ms >= span_ms;
}

uint32_t dsmr_retention_take(struct dsmr_retention *retention, struct dsmr_id *out, uint32_t max,
                             uint64_t chain_time_ms, uint64_t wall_ms)
{
    uint32_t taken = 0;
    while (taken < max && retention->count > 0) {
        const struct dsmr_retention_entry *entry = at(retention, 0);
        bool chain_passed =
            chain_time_ms > 0 &&
            has_passed(entry->block_time_ms, retention->retention_ms, chain_time_ms - 1);
        if (!chain_passed ||
            !has_passed(entry->accepted_wall_ms, retention->retention_ms, wall_ms)) {
            break;
        }
        out[taken++] = entry->chunk_id;
        retention->first = (uint32_t)(((uint64_t)retention->first + 1) % retention->room);
        retention->count--;
    }
    return taken;
}

uint32_t dsmr_retention_count(const struct dsmr_retention *retention)
{
    return retention->count;
}
