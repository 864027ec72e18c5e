/* test_map.c - the hash map against a plain array, at its capacity, and with colliding keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/prng.h"

static void add_find_remove(void **state)
{
    (void)state;
    struct dsmr_map *map = dsmr_map_new(3, sizeof(uint32_t), 10, 7);
    assert_non_null(map);
    bool is_new = false;
    uint32_t *value = dsmr_map_add(map, "abc", &is_new);
    assert_non_null(value);
    assert_true(is_new);
    assert_int_equal(*value, 0);
    assert_int_equal((uintptr_t)value % 8, 0);
    *value = 5;
    value = dsmr_map_add(map, "abc", &is_new);
    assert_false(is_new);
    assert_int_equal(*value, 5);
    assert_int_equal(dsmr_map_count(map), 1);
    assert_null(dsmr_map_find(map, "abd"));
    assert_false(dsmr_map_remove(map, "abd"));
    assert_true(dsmr_map_remove(map, "abc"));
    assert_null(dsmr_map_find(map, "abc"));
    value = dsmr_map_add(map, "abc", NULL);
    assert_int_equal(*value, 0); /* zeroed again */
    dsmr_map_clear(map);
    assert_int_equal(dsmr_map_count(map), 0);
    assert_null(dsmr_map_find(map, "abc"));
    dsmr_map_free(map);
    dsmr_map_free(NULL);
}

static void refuses_beyond_capacity(void **state)
{
    (void)state;
    for (uint32_t capacity = 0; capacity < 40; capacity++) {
        struct dsmr_map *map = dsmr_map_new(4, 0, capacity, 1);
        assert_non_null(map);
        for (uint32_t i = 0; i < capacity; i++) {
            assert_non_null(dsmr_map_add(map, &i, NULL));
        }
        uint32_t more = capacity;
        assert_null(dsmr_map_add(map, &more, NULL));
        assert_int_equal(dsmr_map_count(map), capacity);
        if (capacity > 0) {
            uint32_t first = 0;
            bool is_new = true;
            assert_non_null(dsmr_map_add(map, &first, &is_new)); /* finding is allowed */
            assert_false(is_new);
            assert_true(dsmr_map_remove(map, &first));
            assert_non_null(dsmr_map_add(map, &more, NULL));
        }
        dsmr_map_free(map);
    }
}

#define KEYS 200u

/* Random operations, with keys few enough that removals shift entries across the table's end. */
static void agrees_with_an_array(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct dsmr_prng prng;
        dsmr_prng_init(&prng, seed);
        bool present[KEYS] = {false};
        uint64_t values[KEYS] = {0};
        size_t count = 0;
        struct dsmr_map *map = dsmr_map_new(5, sizeof(uint64_t), KEYS / 2, seed);
        assert_non_null(map);
        for (unsigned step = 0; step < 3000; step++) {
            uint64_t k = dsmr_prng_below(&prng, KEYS);
            uint8_t key[5] = {(uint8_t)k, 1, 2, 3, (uint8_t)(k * 7)};
            if (dsmr_prng_below(&prng, 2) == 0) {
                uint64_t *value = dsmr_map_add(map, key, NULL);
                if (!present[k] && count == KEYS / 2) {
                    assert_null(value);
                } else {
                    assert_non_null(value);
                    count += present[k] ? 0 : 1;
                    present[k] = true;
                    values[k] = *value = dsmr_prng_next(&prng);
                }
            } else {
                assert_int_equal(dsmr_map_remove(map, key), present[k]);
                count -= present[k] ? 1 : 0;
                present[k] = false;
            }
            assert_int_equal(dsmr_map_count(map), count);
        }
        for (uint64_t k = 0; k < KEYS; k++) {
            uint8_t key[5] = {(uint8_t)k, 1, 2, 3, (uint8_t)(k * 7)};
            const uint64_t *value = dsmr_map_find(map, key);
            assert_int_equal(value != NULL, present[k]);
            if (value != NULL) {
                assert_true(*value == values[k]);
            }
        }
        size_t position = 0, seen = 0;
        const void *key;
        void *value;
        while (dsmr_map_next(map, &position, &key, &value)) {
            uint8_t k = ((const uint8_t *)key)[0];
            assert_true(present[k]);
            assert_true(*(uint64_t *)value == values[k]);
            seen++;
        }
        assert_int_equal(seen, count);
        assert_false(dsmr_map_next(map, &position, NULL, NULL));
        dsmr_map_free(map);
    }
}

static void every_key_size_works(void **state)
{
    (void)state;
    for (size_t key_bytes = 1; key_bytes <= 64; key_bytes++) {
        struct dsmr_map *map = dsmr_map_new(key_bytes, 1, 100, key_bytes);
        assert_non_null(map);
        for (uint8_t i = 0; i < 100; i++) {
            uint8_t key[64] = {0};
            key[key_bytes - 1] = i; /* the last byte counts */
            uint8_t *value = dsmr_map_add(map, key, NULL);
            assert_non_null(value);
            *value = i;
        }
        for (uint8_t i = 0; i < 100; i++) {
            uint8_t key[64] = {0};
            key[key_bytes - 1] = i;
            const uint8_t *value = dsmr_map_find(map, key);
            assert_non_null(value);
            assert_int_equal(*value, i);
        }
        assert_int_equal(dsmr_map_count(map), 100);
        dsmr_map_free(map);
    }
}

static void walk_order_depends_on_the_seed(void **state)
{
    (void)state;
    struct dsmr_map *maps[2];
    uint32_t first[2];
    unsigned differing = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        for (unsigned m = 0; m < 2; m++) {
            maps[m] = dsmr_map_new(4, 0, 64, 2 * seed + m);
            for (uint32_t i = 0; i < 64; i++) {
                assert_non_null(dsmr_map_add(maps[m], &i, NULL));
            }
            size_t position = 0;
            const void *key;
            assert_true(dsmr_map_next(maps[m], &position, &key, NULL));
            memcpy(&first[m], key, 4);
            dsmr_map_free(maps[m]);
        }
        differing += first[0] != first[1] ? 1 : 0;
    }
    assert_in_range(differing, 4, 8); /* an unkeyed hash gives 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_find_remove),
        cmocka_unit_test(refuses_beyond_capacity),
        cmocka_unit_test(agrees_with_an_array),
        cmocka_unit_test(every_key_size_works),
        cmocka_unit_test(walk_order_depends_on_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
