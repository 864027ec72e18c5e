#include "core/id_cells.h"

#include "leaf_fixture.h"
#include "print_fixture.h"

#define MANY 200000u /* most cells are dense */

static struct dsmr_id_pages pages; /* zeroed; each test gives back what it took */

static void assert_no_neighbour(const struct dsmr_id_cells *set, struct dsmr_id_print print)
{
    for (uint32_t bit = 0; bit < PRINT_BITS; bit++) {
        flip(&print, bit);
        assert_false(dsmr_id_cells_has(set, &print));
        flip(&print, bit);
    }
}

/* At each size: in cells that were split and not, in sparse ones and in dense ones. */
static void test_every_bit_counts(void **state)
{
    (void)state;
    struct dsmr_id_cells *set = dsmr_id_cells_new(&pages);
    struct dsmr_prng prng, again;
    dsmr_prng_init(&prng, 1);
    dsmr_prng_init(&again, 1);
    for (uint32_t n = 0; n < MANY; n++) {
        struct dsmr_id_print print = print_of(&prng);
        bool is_looked_at = n < 1000 || n % 64 == 0;
        if (is_looked_at) {
            assert_no_neighbour(set, print);
        }
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
        if (is_looked_at) {
            assert_no_neighbour(set, print);
            assert_true(dsmr_id_cells_has(set, &print));
        }
    }
    for (uint32_t n = 0; n < MANY; n++) { /* where they have got to */
        struct dsmr_id_print print = print_of(&again);
        if (n % 64 == 0) {
            assert_no_neighbour(set, print);
        }
    }
    dsmr_id_cells_check(set);
    dsmr_id_cells_free(set);
}

static void test_all_are_found_while_it_grows(void **state)
{
    (void)state;
    struct dsmr_id_cells *set = dsmr_id_cells_new(&pages);
    struct dsmr_prng prng, again;
    dsmr_prng_init(&prng, 7);
    assert_in_range(dsmr_id_cells_bytes(set), 0, 8500);
    for (uint32_t n = 1; n <= MANY; n++) {
        struct dsmr_id_print print = print_of(&prng);
        dsmr_id_cells_prefetch(set, &print);
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_ERR_DUPLICATE);
        assert_int_equal(dsmr_id_cells_count(set), n);
        if (n >= 120000) { /* nearly all cells are dense */
            assert_in_range(dsmr_id_cells_bytes(set), 9 * n, 23 * n / 2);
        } else {
            assert_in_range(dsmr_id_cells_bytes(set), 0, 20000 + 14 * n);
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

/* What is executed in a bucket of a minute's window at 350 000 a second is 656 250: more parts than
 * two bytes can number. */
static void test_a_bucket_of_full_load(void **state)
{
    (void)state;
    struct dsmr_id_cells *set = dsmr_id_cells_new(&pages);
    struct dsmr_prng prng, again;
    dsmr_prng_init(&prng, 5);
    dsmr_prng_init(&again, 5);
    for (uint32_t n = 0; n < 656250; n++) {
        struct dsmr_id_print print = print_of(&prng);
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
    }
    dsmr_id_cells_check(set);
    for (uint32_t n = 0; n < 656250; n++) {
        struct dsmr_id_print print = print_of(&again);
        assert_true(dsmr_id_cells_has(set, &print));
    }
    dsmr_id_cells_free(set);
}

/* Prints that have the address in common, and the cell whatever its depth. */
static struct dsmr_id_print alike(uint64_t n)
{
    return (struct dsmr_id_print){.high = n};
}

/* Adds those alike until no more are taken; how many. */
static uint32_t fill_one_cell(struct dsmr_id_cells *set)
{
    uint32_t before = dsmr_id_cells_count(set);
    enum dsmr_err err = DSMR_OK;
    for (uint64_t n = 0; err == DSMR_OK && n < 1000; n++) {
        struct dsmr_id_print print = alike(n);
        err = dsmr_id_cells_add(set, &print);
    }
    assert_int_equal(err, DSMR_ERR_NO_MEMORY);
    uint32_t count = dsmr_id_cells_count(set) - before;
    for (uint64_t n = 0; n <= count; n++) {
        struct dsmr_id_print print = alike(n);
        assert_int_equal(dsmr_id_cells_has(set, &print), n < count);
    }
    struct dsmr_id_print other = {.high = UINT64_C(1) << 54};
    assert_int_equal(dsmr_id_cells_add(set, &other), DSMR_OK);
    dsmr_id_cells_check(set);
    return count;
}

/* Nobody can choose ids whose prints fall together; if they did, there is an end. */
static void test_prints_that_no_split_parts(void **state)
{
    (void)state;
    struct dsmr_id_cells *set = dsmr_id_cells_new(&pages);
    assert_int_equal(fill_one_cell(set), 84); /* sparse */
    assert_in_range(dsmr_id_cells_bytes(set), 0, 32768);
    dsmr_id_cells_free(set);

    set = dsmr_id_cells_new(&pages);
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 2);
    for (uint32_t n = 0; n < MANY; n++) {
        struct dsmr_id_print print = print_of(&prng);
        print.high |= UINT64_C(1) << 54; /* not in the cell of the others */
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
    }
    assert_int_equal(fill_one_cell(set), 168); /* dense */
    assert_in_range(dsmr_id_cells_bytes(set), 0, 11 * MANY + 16 * MANY);
    dsmr_id_cells_free(set);
}

/* Words that differ in their highest bits only, as where ids are no hashes: the low bits of all
 * prints are the same then. */
static void test_the_place_is_of_the_highest_bits(void **state)
{
    (void)state;
    struct dsmr_id_cells *set = dsmr_id_cells_new(&pages);
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 4);
    for (uint32_t n = 0; n < 5000; n++) {
        struct dsmr_id_print print = {.high = dsmr_prng_next(&prng) & ~UINT64_C(0xffffff)};
        assert_int_equal(dsmr_id_cells_add(set, &print), DSMR_OK);
    }
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
        cmocka_unit_test(test_a_bucket_of_full_load),
        cmocka_unit_test(test_prints_that_no_split_parts),
        cmocka_unit_test(test_the_place_is_of_the_highest_bits),
        cmocka_unit_test(test_a_print_is_the_sum_of_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
