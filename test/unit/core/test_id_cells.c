#include "core/id_cells.h"

#include "base/prng.h"
#include "leaf_fixture.h"

#define BITS (64u + DSMR_ID_PRINT_LOW_BITS)

static struct dsmr_id_print print_of(struct dsmr_prng *prng)
{
    return (struct dsmr_id_print){.high = dsmr_prng_next(prng), .low = dsmr_prng_next(prng)};
}

static void flip(struct dsmr_id_print *print, uint32_t bit)
{
    if (bit < 64) {
        print->high ^= UINT64_C(1) << bit;
    } else {
        print->low ^= UINT64_C(1) << (127u - bit);
    }
}

static void test_every_bit_counts(void **state)
{
    (void)state;
    struct dsmr_id_cells *set = dsmr_id_cells_new();
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 1);
    for (uint32_t n = 0; n < 5000; n++) { /* whether its cell is at the first depth or below it */
        struct dsmr_id_print print = print_of(&prng);
        for (uint32_t bit = 0; bit < BITS; bit++) {
            flip(&print, bit);
            assert_false(dsmr_id_cells_has(set, &print));
            flip(&print, bit);
        }
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
        for (uint32_t bit = 0; bit < BITS; bit++) {
            flip(&print, bit);
            assert_false(dsmr_id_cells_has(set, &print));
            flip(&print, bit);
        }
        assert_true(dsmr_id_cells_has(set, &print));
    }
    dsmr_id_cells_check(set);
    dsmr_id_cells_free(set);
}

static void test_all_are_found_while_it_grows(void **state)
{
    (void)state;
    const uint32_t count = 200000;
    struct dsmr_id_cells *set = dsmr_id_cells_new();
    struct dsmr_prng prng, again;
    dsmr_prng_init(&prng, 7);
    for (uint32_t n = 1; n <= count; n++) {
        struct dsmr_id_print print = print_of(&prng);
        dsmr_id_cells_prefetch(set, &print);
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_ERR_DUPLICATE);
        assert_int_equal(dsmr_id_cells_count(set), n);
        if (n >= 1000 && n % 1000 == 0) { /* full cells are split about all at once, or have been */
            assert_in_range(dsmr_id_cells_bytes(set), 0, 12800 + n * 15u);
        }
        if (n % 20000 == 0) {
            dsmr_id_cells_check(set);
            dsmr_prng_init(&again, 7);
            for (uint32_t i = 0; i < n; i++) {
                print = print_of(&again);
                assert_true(dsmr_id_cells_has(set, &print));
            }
            for (uint32_t i = 0; i < 1000; i++) {
                print = print_of(&again); /* those to come */
                assert_false(dsmr_id_cells_has(set, &print));
            }
        }
    }
    dsmr_id_cells_free(set);
    dsmr_id_cells_free(NULL);
}

/* Nobody can choose ids whose prints fall together; if they did, there is an end. */
static void test_prints_that_no_split_parts(void **state)
{
    (void)state;
    struct dsmr_id_cells *set = dsmr_id_cells_new();
    for (uint64_t n = 0; n < 140; n++) {
        struct dsmr_id_print print = {.high = n << 32 | 5u};
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
    }
    struct dsmr_id_print last = {.high = UINT64_C(140) << 32 | 5u}, other = {.high = 6};
    assert_int_equal(dsmr_id_cells_add(set, &last), DSMR_ERR_NO_MEMORY);
    assert_false(dsmr_id_cells_has(set, &last));
    assert_int_equal(dsmr_id_cells_count(set), 140);
    assert_in_range(dsmr_id_cells_bytes(set), 0, 32768);
    assert_int_equal(dsmr_id_cells_add(set, &other), DSMR_OK);
    dsmr_id_cells_check(set);
    dsmr_id_cells_free(set);
}

/* The sum by its definition, a bit at a time. */
static void test_a_print_is_the_sum_of_products(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 3);
    for (uint32_t run = 0; run < 100; run++) {
        struct dsmr_id_print_key key;
        struct dsmr_id id;
        uint64_t *words = (uint64_t *)&key;
        for (uint32_t i = 0; i < sizeof(key) / sizeof(*words); i++) {
            words[i] = dsmr_prng_next(&prng);
        }
        for (uint32_t i = 0; i < sizeof(id); i++) {
            id.bytes[i] = (uint8_t)dsmr_prng_next(&prng);
        }
        uint64_t low = 0, high = 0;
        for (uint32_t i = 0; i < DSMR_ID_PRINT_WORDS; i++) {
            uint64_t word;
            memcpy(&word, id.bytes + i * sizeof(word), sizeof(word));
            for (uint32_t bit = 0; bit < 64; bit++) {
                if ((word >> bit & 1u) == 0) {
                    continue;
                }
                uint64_t add_low = key.low[i] << bit;
                uint64_t add_high = key.high[i] << bit;
                add_high |= bit == 0 ? 0 : key.low[i] >> (64u - bit);
                low += add_low;
                high += add_high + (low < add_low);
            }
        }
        struct dsmr_id_print print = dsmr_id_print_make(&key, id.bytes);
        assert_int_equal(print.low, low);
        assert_int_equal(print.high, high);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_all_are_found_while_it_grows),
        cmocka_unit_test(test_prints_that_no_split_parts),
        cmocka_unit_test(test_a_print_is_the_sum_of_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
