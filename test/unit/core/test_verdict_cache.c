#include "core/verdict_cache.h"
#include "leaf_fixture.h"

static void add(struct dsmr_verdict_cache *cache, uint64_t n, enum dsmr_err verdict)
{
    struct dsmr_id hash = id_of(n);
    dsmr_verdict_cache_add(cache, &hash, verdict);
}

/* The verdict of n, or UNKNOWN. */
static enum dsmr_err verdict_of(const struct dsmr_verdict_cache *cache, uint64_t n)
{
    struct dsmr_id hash = id_of(n);
    enum dsmr_err verdict = DSMR_ERR_UNKNOWN;
    bool found = dsmr_verdict_cache_find(cache, &verdict, &hash);
    assert_int_equal(found, verdict != DSMR_ERR_UNKNOWN);
    return verdict;
}

static void test_remembers_until_it_is_the_oldest(void **state)
{
    (void)state;
    struct dsmr_verdict_cache *cache = dsmr_verdict_cache_new(3, 1);
    assert_int_equal(verdict_of(cache, 1), DSMR_ERR_UNKNOWN);
    add(cache, 1, DSMR_OK);
    add(cache, 2, DSMR_ERR_BAD_SIGNATURE);
    add(cache, 3, DSMR_OK);
    assert_int_equal(verdict_of(cache, 1), DSMR_OK);
    assert_int_equal(verdict_of(cache, 2), DSMR_ERR_BAD_SIGNATURE);
    add(cache, 1, DSMR_ERR_BAD_SIGNATURE); /* replaced, and not younger for that */
    assert_int_equal(verdict_of(cache, 1), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(dsmr_verdict_cache_count(cache), 3);
    add(cache, 4, DSMR_OK);
    assert_int_equal(verdict_of(cache, 1), DSMR_ERR_UNKNOWN);
    for (uint64_t n = 5; n < 50; n++) {
        add(cache, n, DSMR_OK);
        assert_int_equal(dsmr_verdict_cache_count(cache), 3);
        assert_int_equal(verdict_of(cache, n - 2), DSMR_OK);
        assert_int_equal(verdict_of(cache, n - 3), DSMR_ERR_UNKNOWN);
    }
    dsmr_verdict_cache_free(cache);
    dsmr_verdict_cache_free(NULL);
}

static void test_without_room(void **state)
{
    (void)state;
    struct dsmr_verdict_cache *cache = dsmr_verdict_cache_new(0, 1);
    add(cache, 1, DSMR_OK);
    assert_int_equal(verdict_of(cache, 1), DSMR_ERR_UNKNOWN);
    dsmr_verdict_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_until_it_is_the_oldest),
        cmocka_unit_test(test_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
