#include "core/id_pack.h"

#include "leaf_fixture.h"
#include "print_fixture.h"

#define LISTED_MAX 512u

static struct dsmr_id_pages pages; /* zeroed; each test gives back what it took */

static struct dsmr_id_cells *cells_of(uint64_t seed, uint32_t count)
{
    struct dsmr_id_cells *cells = dsmr_id_cells_new(&pages);
    struct dsmr_prng prng;
    assert_non_null(cells);
    dsmr_prng_init(&prng, seed);
    for (uint32_t n = 0; n < count; n++) {
        struct dsmr_id_print print = print_of(&prng);
        assert_int_equal(dsmr_id_cells_add(cells, &print), DSMR_OK);
    }
    return cells;
}

/* In steps of about so many. */
static struct dsmr_id_pack *pack_of(const struct dsmr_id_cells *cells, uint32_t about)
{
    struct dsmr_id_pack *pack = dsmr_id_pack_new(&pages, dsmr_id_cells_count(cells));
    uint32_t all = 0, some = 0;
    assert_non_null(pack);
    while (!dsmr_id_pack_is_whole(pack)) {
        assert_int_equal(dsmr_id_pack_fill(pack, &some, cells, about), DSMR_OK);
        assert_in_range(some, 0, (uint64_t)about + 254u);
        assert_true(some >= about || dsmr_id_pack_is_whole(pack));
        all += some;
        assert_int_equal(dsmr_id_pack_count(pack), all);
    }
    assert_int_equal(all, dsmr_id_cells_count(cells));
    return pack;
}

static void assert_same(struct dsmr_id_pack *pack, uint64_t seed, uint32_t count)
{
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, seed);
    for (uint32_t n = 0; n < count; n++) {
        struct dsmr_id_print print = print_of(&prng);
        dsmr_id_pack_prefetch(pack, &print);
        assert_true(dsmr_id_pack_has(pack, &print));
        for (uint32_t bit = 0; bit < PRINT_BITS && n % 64 == 0; bit++) {
            flip(&print, bit);
            assert_false(dsmr_id_pack_has(pack, &print));
            flip(&print, bit);
        }
    }
    for (uint32_t n = 0; n < 1000; n++) { /* those that are not in it */
        struct dsmr_id_print print = print_of(&prng);
        dsmr_id_pack_prefetch(pack, &print);
        assert_false(dsmr_id_pack_has(pack, &print));
    }
}

/* Fewest, just below and at a change of what a segment is, and a bucket of full load. */
static void test_has_what_cells_had(void **state)
{
    static const uint32_t counts[] = {DSMR_ID_PACK_COUNT_MIN, (160u << 11) - 1u, 160u << 11,
                                      656250};
    static const uint32_t abouts[] = {1, 1000, UINT32_MAX, 77777};
    (void)state;
    for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct dsmr_id_cells *cells = cells_of(i, counts[i]);
        struct dsmr_id_pack *pack = pack_of(cells, abouts[i]);
        dsmr_id_cells_free(cells);
        dsmr_id_pack_check(pack);
        assert_same(pack, i, counts[i]);
        assert_in_range(dsmr_id_pack_bytes(pack), UINT64_C(8) * counts[i],
                        UINT64_C(97) * counts[i] / 10u);
        if (counts[i] == 656250) {
            assert_in_range(dsmr_id_pack_bytes(pack), 0, UINT64_C(85) * counts[i] / 10u);
        }
        dsmr_id_pack_free(pack);
        assert_int_equal(dsmr_id_pages_taken(&pages), 0);
    }
    dsmr_id_pack_free(NULL);
}

static void test_not_for_few_or_far_too_many(void **state)
{
    (void)state;
    assert_null(dsmr_id_pack_new(&pages, 0));
    assert_null(dsmr_id_pack_new(&pages, DSMR_ID_PACK_COUNT_MIN - 1u));
    assert_null(dsmr_id_pack_new(&pages, 176u << 18));
    assert_null(dsmr_id_pack_new(&pages, UINT32_MAX));
    struct dsmr_id_pack *most = dsmr_id_pack_new(&pages, (176u << 18) - 1u);
    assert_non_null(most);
    dsmr_id_pack_check(most);
    dsmr_id_pack_free(most);
}

/* Prints that have what names a segment in common: 255 fit, and no more. */
static void test_a_segment_that_is_too_full(void **state)
{
    (void)state;
    for (uint32_t more = 0; more < 2; more++) {
        struct dsmr_id_cells *cells = dsmr_id_cells_new(&pages);
        struct dsmr_prng prng;
        dsmr_prng_init(&prng, 3);
        uint32_t alike = 0;
        for (uint32_t n = 0; n < DSMR_ID_PACK_COUNT_MIN + 300u; n++) {
            struct dsmr_id_print print = print_of(&prng);
            bool is_one = (dsmr_id_cells_address(&print) & 0x3ffu) == 5;
            if (n >= DSMR_ID_PACK_COUNT_MIN) {
                print.high =
                    (print.high & ~(UINT64_C(0x3ff) << 54 | UINT64_C(1) << 24)) | UINT64_C(5) << 54;
                is_one = true;
            }
            if (!is_one || alike < 255u + more) {
                assert_int_equal(dsmr_id_cells_add(cells, &print), DSMR_OK);
                alike += is_one ? 1u : 0u;
            }
        }
        assert_int_equal(alike, 255u + more);
        struct dsmr_id_pack *pack = dsmr_id_pack_new(&pages, dsmr_id_cells_count(cells));
        uint32_t all = 0;
        assert_int_equal(dsmr_id_pack_fill(pack, &all, cells, UINT32_MAX),
                         more > 0 ? DSMR_ERR_FULL : DSMR_OK);
        assert_int_equal(dsmr_id_pack_is_whole(pack), more == 0);
        dsmr_id_pack_check(pack);
        dsmr_id_pack_free(pack);
        dsmr_id_cells_free(cells);
    }
}

/* Of cells of all depths: each print is in the list of its own low bits, once, and nothing else. */
static void test_lists(void **state)
{
    static const uint32_t counts[] = {0, 20, 3000, 170000};
    (void)state;
    for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct dsmr_id_cells *cells = cells_of(9, counts[i]);
        for (uint32_t bits = 0; bits <= DSMR_ID_CELLS_ADDRESS_BITS; bits++) {
            static struct dsmr_id_print out[LISTED_MAX];
            uint64_t sum = 0, xored = 0, want = 0;
            for (uint32_t low = 0; low < 1u << bits; low++) {
                uint32_t count = dsmr_id_cells_list(cells, out, LISTED_MAX, low, bits);
                sum += count;
                for (uint32_t n = 0; n < count && n < LISTED_MAX; n++) {
                    assert_int_equal(dsmr_id_cells_address(&out[n]) & ((1u << bits) - 1u), low);
                    assert_true(dsmr_id_cells_has(cells, &out[n]));
                    xored ^= out[n].high ^ (out[n].low >> 46) * 0x9e3779b97f4a7c15u;
                }
            }
            assert_int_equal(sum, counts[i]);
            if (counts[i] >> bits < LISTED_MAX / 2u) { /* none was left out */
                struct dsmr_prng prng;
                dsmr_prng_init(&prng, 9);
                for (uint32_t n = 0; n < counts[i]; n++) {
                    struct dsmr_id_print print = print_of(&prng);
                    want ^= print.high ^ (print.low >> 46) * 0x9e3779b97f4a7c15u;
                }
                assert_int_equal(xored, want);
            }
        }
        dsmr_id_cells_free(cells);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_has_what_cells_had),
        cmocka_unit_test(test_not_for_few_or_far_too_many),
        cmocka_unit_test(test_a_segment_that_is_too_full),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
