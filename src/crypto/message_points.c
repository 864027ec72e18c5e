#include "crypto/message_points.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

struct entry {
    size_t len;
    uint8_t message[DSMR_MESSAGE_POINTS_BYTES_MAX];
    blst_p2_affine point;
};

/* A ring: the oldest gives way. Tags are apart, so that a search reads little memory. */
static struct {
    atomic_flag is_busy;
    uint32_t used, next;
    uint64_t tags[DSMR_MESSAGE_POINTS_MAX];
    struct entry entries[DSMR_MESSAGE_POINTS_MAX];
} table = {.is_busy = ATOMIC_FLAG_INIT};

static bool take(void)
{
    return !atomic_flag_test_and_set_explicit(&table.is_busy, memory_order_acquire);
}

static void give(void)
{
    atomic_flag_clear_explicit(&table.is_busy, memory_order_release);
}

/* FNV-1a. It only says where to look: messages with one tag are told apart by their bytes. */
static uint64_t tag_of(const uint8_t *message, size_t len)
{
    uint64_t tag = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++) {
        tag = (tag ^ message[i]) * UINT64_C(0x100000001b3);
    }
    return tag;
}

static const struct entry *search(uint64_t tag, const void *message, size_t len)
{
    for (uint32_t i = 0; i < table.used; i++) {
        const struct entry *entry = &table.entries[i];
        if (table.tags[i] == tag && entry->len == len &&
            memcmp(entry->message, message, len) == 0) {
            return entry;
        }
    }
    return NULL;
}

bool dsmr_message_points_find(blst_p2_affine *out, const void *message, size_t len)
{
    if (len == 0 || len > DSMR_MESSAGE_POINTS_BYTES_MAX) {
        return false;
    }
    uint64_t tag = tag_of(message, len);
    if (!take()) {
        return false;
    }
    const struct entry *entry = search(tag, message, len);
    if (entry != NULL) {
        *out = entry->point;
    }
    give();
    return entry != NULL;
}

void dsmr_message_points_add(const blst_p2_affine *point, const void *message, size_t len)
{
    if (len == 0 || len > DSMR_MESSAGE_POINTS_BYTES_MAX) {
        return;
    }
    uint64_t tag = tag_of(message, len);
    if (!take()) {
        return;
    }
    if (search(tag, message, len) == NULL) {
        struct entry *entry = &table.entries[table.next];
        entry->len = len;
        memcpy(entry->message, message, len);
        entry->point = *point;
        table.tags[table.next] = tag;
        table.next = (table.next + 1) % DSMR_MESSAGE_POINTS_MAX;
        table.used += table.used < DSMR_MESSAGE_POINTS_MAX ? 1u : 0u;
    }
    give();
}
