/* Entries of the index of results: written and read again at each level, sorted whatever ids peers
 * make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "driver/exec_table.h"

enum { COUNT = 50000 };

static uint64_t keys[COUNT], scratch[COUNT], places[COUNT];

/* Prefixes of a kind of ids. */
static uint64_t random_prefix(struct dsmr_prng *prng, uint32_t i)
{
    (void)i;
    return dsmr_prng_next(prng) & DSMR_EXEC_TABLE_PREFIX_MAX;
}

static uint64_t same_prefix(struct dsmr_prng *prng, uint32_t i)
{
    (void)prng, (void)i;
    return DSMR_EXEC_TABLE_PREFIX_MAX;
}

/* A part of a large run: all in a narrow range, across a power of two. */
static uint64_t narrow_prefix(struct dsmr_prng *prng, uint32_t i)
{
    (void)i;
    return (UINT64_C(1) << 39) - 3000 + dsmr_prng_below(prng, 6000);
}

/* Falling, and so close together that no digit tells them apart: one far away widens the range. */
static uint64_t hostile_prefix(struct dsmr_prng *prng, uint32_t i)
{
    (void)prng;
    return i == 7 ? DSMR_EXEC_TABLE_PREFIX_MAX : COUNT - i;
}

static uint64_t rising_prefix(struct dsmr_prng *prng, uint32_t i)
{
    (void)prng;
    return (uint64_t)i << 20;
}

static void check_sorted(uint32_t count, uint64_t sum)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_true(i == 0 || keys[i - 1] < keys[i]);
        sum -= keys[i];
    }
    assert_true(sum == 0);
}

static void any_ids_are_sorted(void **state)
{
    static uint64_t (*const kinds[])(struct dsmr_prng * prng, uint32_t i) = {
        random_prefix, same_prefix, narrow_prefix, hostile_prefix, rising_prefix};
    static const uint32_t counts[] = {1, 2, 48, 49, 1000, COUNT};
    struct dsmr_prng prng;
    (void)state;
    dsmr_prng_init(&prng, 3);
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            uint64_t sum = 0;
            for (uint32_t i = 0; i < counts[c]; i++) {
                keys[i] = dsmr_exec_table_key(kinds[kind](&prng, i), i);
                sum += keys[i];
            }
            dsmr_exec_table_sort(keys, scratch, counts[c]);
            check_sorted(counts[c], sum);
        }
    }
    dsmr_exec_table_sort(keys, scratch, 0);
}

static void entries_are_read_as_they_were_written(void **state)
{
    enum { ENTRIES = 40 };
    uint8_t bytes[ENTRIES * 16];
    struct dsmr_prng prng;
    (void)state;
    dsmr_prng_init(&prng, 4);
    for (uint32_t level = 0; level <= DSMR_EXEC_TABLE_LEVELS_MAX; level++) {
        const uint64_t most = UINT64_MAX >> (64 - dsmr_exec_table_place_bits(level));
        const uint32_t entry_bytes = dsmr_exec_table_entry_bytes(level);
        struct dsmr_exec_table table;
        assert_int_equal(entry_bytes, 8 + level / 2);
        assert_true(dsmr_exec_table_place_bits(level) <= 8 * (entry_bytes - 5));
        for (uint32_t i = 0; i < ENTRIES; i++) {
            keys[i] = dsmr_exec_table_key((uint64_t)i << 35 | i, i);
            places[i] = i == 0 ? most : dsmr_prng_next(&prng) & most;
        }
        memset(bytes, 0xee, sizeof bytes);
        dsmr_exec_table_write(bytes, keys, places, level, 32);
        assert_int_equal(bytes[32 * entry_bytes], 0xee);
        assert_int_equal(dsmr_exec_table_open(&table, level, 9, bytes, 32 * entry_bytes), DSMR_OK);
        assert_int_equal(table.count, 32);
        for (uint32_t i = 0; i < table.count; i++) {
            struct dsmr_exec_entry entry = dsmr_exec_table_at(&table, i);
            assert_true(entry.prefix == ((uint64_t)i << 35 | i));
            assert_true(entry.place == places[i]);
            assert_int_equal(dsmr_exec_table_lower_bound(&table, entry.prefix), i);
            assert_int_equal(dsmr_exec_table_lower_bound(&table, entry.prefix + 1), i + 1);
        }
        assert_int_equal(dsmr_exec_table_open(&table, level, 9, bytes, 0), DSMR_ERR_CORRUPT);
        assert_int_equal(dsmr_exec_table_open(&table, level, 9, bytes, 2 * entry_bytes - 1),
                         DSMR_ERR_CORRUPT);
    }
}

/* Without places, positions are the places; a position says whose place it is. */
static void places_follow_their_keys(void **state)
{
    const uint64_t unsorted[3] = {dsmr_exec_table_key(30, 0), dsmr_exec_table_key(10, 1),
                                  dsmr_exec_table_key(20, 2)};
    const uint64_t of[3] = {111, 222, 333};
    uint8_t bytes[24];
    struct dsmr_exec_table table;
    (void)state;
    memcpy(keys, unsorted, sizeof unsorted);
    dsmr_exec_table_sort(keys, scratch, 3);
    for (uint32_t has_places = 0; has_places < 2; has_places++) {
        dsmr_exec_table_write(bytes, keys, has_places ? of : NULL, 0, 3);
        assert_int_equal(dsmr_exec_table_open(&table, 0, 1, bytes, sizeof bytes), DSMR_OK);
        assert_int_equal(dsmr_exec_table_at(&table, 0).place, has_places ? 222 : 1);
        assert_int_equal(dsmr_exec_table_at(&table, 1).place, has_places ? 333 : 2);
        assert_int_equal(dsmr_exec_table_at(&table, 2).place, has_places ? 111 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_ids_are_sorted),
        cmocka_unit_test(entries_are_read_as_they_were_written),
        cmocka_unit_test(places_follow_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
