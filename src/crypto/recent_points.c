#include "crypto/recent_points.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

struct entry {
    size_t len;
    uint8_t bytes[DSMR_RECENT_POINTS_BYTES_MAX];
    blst_p2_affine point;
};

/* A ring: the oldest gives way. Tags are apart, so that a search reads little memory. */
struct table {
    atomic_flag is_busy;
    uint32_t used, next;
    uint64_t tags[DSMR_RECENT_POINTS_MAX];
    struct entry entries[DSMR_RECENT_POINTS_MAX];
};

static struct table tables[DSMR_RECENT_POINTS_KINDS] = {{.is_busy = ATOMIC_FLAG_INIT},
                                                        {.is_busy = ATOMIC_FLAG_INIT}};

static bool take(struct table *table)
{
    return !atomic_flag_test_and_set_explicit(&table->is_busy, memory_order_acquire);
}

static void give(struct table *table)
{
    atomic_flag_clear_explicit(&table->is_busy, memory_order_release);
}

/* FNV-1a. It only says where to look: what has one tag is told apart by its bytes. */
static uint64_t tag_of(const uint8_t *bytes, size_t len)
{
    uint64_t tag = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++) {
        tag = (tag ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return tag;
}

static const struct entry *search(const struct table *table, uint64_t tag, const void *bytes,
                                  size_t len)
{
    for (uint32_t i = 0; i < table->used; i++) {
        const struct entry *entry = &table->entries[i];
        if (table->tags[i] == tag && entry->len == len && memcmp(entry->bytes, bytes, len) == 0) {
            return entry;
        }
    }
    return NULL;
}

bool dsmr_recent_points_find(enum dsmr_recent_points kind, blst_p2_affine *out, const void *bytes,
                             size_t len)
{
    struct table *table = &tables[kind];
    if (len == 0 || len > DSMR_RECENT_POINTS_BYTES_MAX) {
        return false;
    }
    uint64_t tag = tag_of(bytes, len);
    if (!take(table)) {
        return false;
    }
    const struct entry *entry = search(table, tag, bytes, len);
    if (entry != NULL) {
        *out = entry->point;
    }
    give(table);
    return entry != NULL;
}

void dsmr_recent_points_add(enum dsmr_recent_points kind, const blst_p2_affine *point,
                            const void *bytes, size_t len)
{
    struct table *table = &tables[kind];
    if (len == 0 || len > DSMR_RECENT_POINTS_BYTES_MAX) {
        return;
    }
    uint64_t tag = tag_of(bytes, len);
    if (!take(table)) {
        return;
    }
    if (search(table, tag, bytes, len) == NULL) {
        struct entry *entry = &table->entries[table->next];
        entry->len = len;
        memcpy(entry->bytes, bytes, len);
        entry->point = *point;
        table->tags[table->next] = tag;
        table->next = (table->next + 1) % DSMR_RECENT_POINTS_MAX;
        table->used += table->used < DSMR_RECENT_POINTS_MAX ? 1u : 0u;
    }
    give(table);
}

void dsmr_recent_points_forget(enum dsmr_recent_points kind)
{
    struct table *table = &tables[kind];
    while (!take(table)) {
    }
    table->used = 0;
    table->next = 0;
    give(table);
}
