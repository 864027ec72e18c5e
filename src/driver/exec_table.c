#include "driver/exec_table.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(DSMR_EXEC_TABLE_PREFIX_BITS + DSMR_EXEC_TABLE_POSITION_BITS == 64 &&
                   DSMR_EXEC_TABLE_INDEX_BITS <= DSMR_EXEC_TABLE_POSITION_BITS,
               "the first 8 bytes of an entry look like a key");

enum dsmr_err dsmr_exec_table_open(struct dsmr_exec_table *out, uint32_t level, uint64_t number,
                                   const uint8_t *value, size_t len)
{
    uint32_t entry_bytes = dsmr_exec_table_entry_bytes(level);
    if (len == 0 || len % entry_bytes != 0 || len / entry_bytes > UINT32_MAX)
        return DSMR_ERR_CORRUPT;
    *out = (struct dsmr_exec_table){.level = level,
                                    .number = number,
                                    .bytes = value,
                                    .count = (uint32_t)(len / entry_bytes),
                                    .entry_bytes = entry_bytes};
    return DSMR_OK;
}

uint32_t dsmr_exec_table_lower_bound(const struct dsmr_exec_table *table, uint64_t prefix)
{
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (dsmr_exec_table_at(table, middle).prefix < prefix)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#define DIGIT_BITS 9u /* so many lines that are written to stay in the first cache */
#define DIGITS (1u << DIGIT_BITS)
#define FEW 48u   /* are not worth the digits */
#define MOVES 16u /* a key, most of insertion: 20 000 random ids need a fiftieth */

/* Radix sort of the upper 18 of the bits in which the keys differ (Knuth, The Art of Computer
 * Programming 3, 5.2.5). */
static void sort_upper_bits(uint64_t *keys, uint64_t *scratch, uint32_t count)
{
    uint32_t low[DIGITS + 1], high[DIGITS + 1];
    uint64_t least = keys[0], most = keys[0];
    uint32_t shift = 0;
    for (uint32_t i = 1; i < count; i++) {
        least = keys[i] < least ? keys[i] : least;
        most = keys[i] > most ? keys[i] : most;
    }
    while ((most - least) >> shift >> (2 * DIGIT_BITS) != 0)
        shift++;
    memset(low, 0, sizeof low);
    memset(high, 0, sizeof high);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t digits = (keys[i] - least) >> shift;
        low[1 + (digits & (DIGITS - 1))]++;
        high[1 + (digits >> DIGIT_BITS)]++;
    }
    for (uint32_t digit = 1; digit < DIGITS; digit++) {
        low[digit] += low[digit - 1];
        high[digit] += high[digit - 1];
    }
    for (uint32_t i = 0; i < count; i++)
        scratch[low[(keys[i] - least) >> shift & (DIGITS - 1)]++] = keys[i];
    for (uint32_t i = 0; i < count; i++)
        keys[high[(scratch[i] - least) >> shift >> DIGIT_BITS]++] = scratch[i];
}

/* 5.2.1. False: it would take too long. */
static bool insert_all(uint64_t *keys, uint32_t count)
{
    uint64_t moves = 0;
    for (uint32_t i = 1; i < count && moves <= (uint64_t)MOVES * count; i++) {
        uint64_t key = keys[i];
        uint32_t to = i;
        for (; to > 0 && keys[to - 1] > key; to--)
            keys[to] = keys[to - 1];
        keys[to] = key;
        moves += i - to;
    }
    return moves <= (uint64_t)MOVES * count;
}

static int compare(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Insertion puts right what is not in order by the bits below. Which ids come is whatever peers
 * like: where they lie so close together that this would take long, as it does not by chance,
 * they are sorted without looking at digits. */
void dsmr_exec_table_sort(uint64_t *keys, uint64_t *scratch, uint32_t count)
{
    if (count > FEW)
        sort_upper_bits(keys, scratch, count);
    if (!insert_all(keys, count))
        qsort(keys, count, sizeof *keys, compare);
}

void dsmr_exec_table_write(uint8_t *bytes, const uint64_t *keys, const uint64_t *places,
                           uint32_t level, uint32_t count)
{
    const uint64_t mask = (UINT64_C(1) << DSMR_EXEC_TABLE_POSITION_BITS) - 1;
    uint32_t entry_bytes = dsmr_exec_table_entry_bytes(level);
    uint32_t below = (entry_bytes - 8u) * 8u; /* bits of a place behind the first 8 bytes */
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = bytes + (size_t)i * entry_bytes;
        uint64_t place = places == NULL ? keys[i] & mask : places[keys[i] & mask];
        dsmr_store_be64(at, (keys[i] & ~mask) | place >> below);
        for (uint32_t k = 8; k < entry_bytes; k++)
            at[k] = (uint8_t)(place >> (entry_bytes - 1 - k) * 8u);
    }
}
