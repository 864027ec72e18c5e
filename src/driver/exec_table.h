/* exec_table.h - a row of sorted entries {beginning of an id, place}: one value of exec_index.h.
 *
 * Why:     most of what a lookup reads and execution writes besides results is such entries, so
 *          they are as short as they can be: the blocks of a run are counted from its first one.
 * Entry:   the first 40 bits of an id, then the place: (height - first height of the run) << 20 |
 *          index, in 3 bytes and half a byte more for each level (rounded down). Big-endian, so
 *          that entries compare as bytes.
 * Limits:  levels up to 10, index below 2^20. Bytes may be any: what is out of order or out of
 *          range is for the caller to see. Threads: none of its own. */
#ifndef DSMR_DRIVER_EXEC_TABLE_H
#define DSMR_DRIVER_EXEC_TABLE_H

#include "base/bytes.h"
#include "dsmr/types.h"

#define DSMR_EXEC_TABLE_FAN_BITS 4u /* a run has 16 of the level below */
#define DSMR_EXEC_TABLE_LEVELS_MAX 10u
#define DSMR_EXEC_TABLE_INDEX_BITS 20u
#define DSMR_EXEC_TABLE_PREFIX_BITS 40u
#define DSMR_EXEC_TABLE_PREFIX_MAX ((UINT64_C(1) << DSMR_EXEC_TABLE_PREFIX_BITS) - 1u)

struct dsmr_exec_entry {
    uint64_t prefix;
    uint64_t place;
};

struct dsmr_exec_table {
    uint32_t level; /* 0: of one block */
    uint64_t number;
    const uint8_t *bytes; /* borrowed */
    uint32_t count;
    uint32_t entry_bytes;
};

static inline uint64_t dsmr_exec_table_prefix(const struct dsmr_id *id)
{
    return dsmr_load_be64(id->bytes) >> (64u - DSMR_EXEC_TABLE_PREFIX_BITS);
}

/* Of an entry of level: 8 for blocks and the first runs. */
static inline uint32_t dsmr_exec_table_entry_bytes(uint32_t level)
{
    return DSMR_EXEC_TABLE_PREFIX_BITS / 8u + 3u + level / 2u;
}

/* Bits of a place that are in use. */
static inline uint32_t dsmr_exec_table_place_bits(uint32_t level)
{
    return DSMR_EXEC_TABLE_INDEX_BITS + DSMR_EXEC_TABLE_FAN_BITS * level;
}

/* CORRUPT: not a row of entries, or none. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_table_open(struct dsmr_exec_table *out, uint32_t level,
                                                 uint64_t number, const uint8_t *value, size_t len);

/* i below the count. An entry has 8 bytes or more, so both loads lie within it. */
static inline struct dsmr_exec_entry dsmr_exec_table_at(const struct dsmr_exec_table *table,
                                                        uint32_t i)
{
    const uint8_t *at = table->bytes + (size_t)i * table->entry_bytes;
    uint32_t place_bits = table->entry_bytes * 8u - DSMR_EXEC_TABLE_PREFIX_BITS;
    return (struct dsmr_exec_entry){dsmr_load_be64(at) >> (64u - DSMR_EXEC_TABLE_PREFIX_BITS),
                                    dsmr_load_be64(at + table->entry_bytes - 8u) &
                                        (UINT64_MAX >> (64u - place_bits))};
}

/* The first entry whose prefix is at least prefix. */
uint32_t dsmr_exec_table_lower_bound(const struct dsmr_exec_table *table, uint64_t prefix);

/* What is sorted: a prefix, and at which position its place stands. */
#define DSMR_EXEC_TABLE_POSITION_BITS 24u
static inline uint64_t dsmr_exec_table_key(uint64_t prefix, uint32_t position)
{
    return prefix << DSMR_EXEC_TABLE_POSITION_BITS | position;
}
static inline uint64_t dsmr_exec_table_key_prefix(uint64_t key)
{
    return key >> DSMR_EXEC_TABLE_POSITION_BITS;
}

/* No key twice. scratch: room for as many. */
void dsmr_exec_table_sort(uint64_t *keys, uint64_t *scratch, uint32_t count);

/* Writes the entries of sorted keys. bytes: as much as they take. places: by position, each fits
 * into the bits of the level; NULL: they are the positions. */
void dsmr_exec_table_write(uint8_t *bytes, const uint64_t *keys, const uint64_t *places,
                           uint32_t level, uint32_t count);

#endif
