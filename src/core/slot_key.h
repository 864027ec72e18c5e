/* slot_key.h - (producer, slot) as the bytes of a map's key. */
#ifndef DSMR_CORE_SLOT_KEY_H
#define DSMR_CORE_SLOT_KEY_H

#include <string.h>

#include "base/bytes.h"
#include "dsmr/types.h"

struct dsmr_slot_key {
    uint8_t bytes[20 + 8];
};

static inline struct dsmr_slot_key dsmr_slot_key(const struct dsmr_node_id *producer, uint64_t slot)
{
    struct dsmr_slot_key key;
    memcpy(key.bytes, producer->bytes, 20);
    dsmr_store_be64(key.bytes + 20, slot);
    return key;
}

#endif
