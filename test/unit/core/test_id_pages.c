#include "core/id_pages.h"

#include "base/prng.h"
#include "leaf_fixture.h"

#define MANY 20000u /* more than a slab of the largest size */
#define SLAB_BYTES_MAX ((64u << 20) + DSMR_ID_PAGES_ALIGNMENT)

static struct dsmr_id_page *taken[MANY];

static void take(struct dsmr_id_pages *pages, uint32_t i)
{
    taken[i] = dsmr_id_pages_take(pages);
    assert_non_null(taken[i]);
    assert_int_equal((uintptr_t)taken[i] % DSMR_ID_PAGES_ALIGNMENT, 0);
    memset(taken[i], (int)(i % 251u), sizeof *taken[i]);
}

/* What was written is still there: nobody else was given a part of it. */
static void give(struct dsmr_id_pages *pages, uint32_t i)
{
    for (uint32_t at = 0; at < sizeof *taken[i]; at += 64) {
        assert_int_equal(taken[i]->bytes[at], i % 251u);
    }
    assert_int_equal(taken[i]->bytes[sizeof *taken[i] - 1], i % 251u);
    dsmr_id_pages_give(pages, taken[i]);
    taken[i] = NULL;
}

static void test_pages_are_apart_and_come_back(void **state)
{
    (void)state;
    struct dsmr_id_pages pages = {0};
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 1);
    memset(taken, 0, sizeof taken);
    for (uint32_t run = 0; run < 4 * MANY; run++) {
        uint32_t i = (uint32_t)dsmr_prng_next(&prng) % 3000u;
        if (taken[i] == NULL) {
            take(&pages, i);
        } else {
            give(&pages, i);
        }
        if (run % 1000 == 0) {
            dsmr_id_pages_check(&pages);
        }
    }
    for (uint32_t i = 0; i < 3000; i++) {
        if (taken[i] != NULL) {
            give(&pages, i);
        }
    }
    assert_int_equal(dsmr_id_pages_taken(&pages), 0);
    assert_in_range(dsmr_id_pages_bytes(&pages), 0, 80000);
    dsmr_id_pages_check(&pages);
    dsmr_id_pages_free(&pages);
    assert_int_equal(dsmr_id_pages_bytes(&pages), 0);
}

static void test_slabs_follow_what_is_taken(void **state)
{
    (void)state;
    struct dsmr_id_pages pages = {0};
    for (uint32_t i = 0; i < MANY; i++) {
        take(&pages, i);
        size_t used = (size_t)(i + 1) * sizeof *taken[i];
        size_t most = used + (used < SLAB_BYTES_MAX ? used : SLAB_BYTES_MAX);
        assert_in_range(dsmr_id_pages_bytes(&pages), used, most + 80000);
    }
    assert_in_range(pages.count, 10, 20);
    assert_int_equal(dsmr_id_pages_taken(&pages), MANY);
    dsmr_id_pages_check(&pages);
    for (uint32_t i = 0; i < MANY; i++) { /* as sets go: the oldest first, while new ones come */
        give(&pages, i);
        if (i % 20 == 0) {
            take(&pages, i);
        }
    }
    dsmr_id_pages_check(&pages);
    for (uint32_t i = 0; i < MANY; i += 20) {
        give(&pages, i);
        take(&pages, i); /* from the oldest slab that has one */
    }
    assert_in_range(dsmr_id_pages_bytes(&pages), 0, MANY / 5 * sizeof *taken[0]);
    dsmr_id_pages_check(&pages);
    for (uint32_t i = 0; i < MANY; i += 20) {
        give(&pages, i);
    }
    dsmr_id_pages_free(&pages);
}

/* After full load nothing large stays, whichever slab is the last. */
static void test_an_idle_network_holds_no_large_slab(void **state)
{
    (void)state;
    struct dsmr_id_pages pages = {0};
    for (uint32_t i = 0; i < MANY; i++) {
        take(&pages, i);
    }
    for (uint32_t i = 0; i < MANY; i++) { /* the last page is one of the largest slab */
        give(&pages, i);
    }
    dsmr_id_pages_check(&pages);
    assert_in_range(dsmr_id_pages_bytes(&pages), 0, 80000);
    for (uint32_t i = 0; i < 100; i++) { /* ids that come and go stay in one small slab */
        take(&pages, 0);
        const void *slabs = pages.slabs;
        give(&pages, 0);
        assert_int_equal(pages.count, 1);
        assert_ptr_equal(pages.slabs, slabs);
    }
    dsmr_id_pages_check(&pages);
    dsmr_id_pages_free(&pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_are_apart_and_come_back),
        cmocka_unit_test(test_slabs_follow_what_is_taken),
        cmocka_unit_test(test_an_idle_network_holds_no_large_slab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
