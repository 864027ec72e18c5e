#include "core/own_ids.h"
#include "leaf_fixture.h"

/* A chunk with the ids from..from + count - 1; only what own_ids reads. */
struct few {
    struct dsmr_chunk chunk;
    struct dsmr_id *ids;
};

static struct few few_of(uint64_t from, uint32_t count)
{
    struct few few = {.ids = calloc(count, sizeof(struct dsmr_id))};
    assert_non_null(few.ids);
    for (uint32_t i = 0; i < count; i++) {
        few.ids[i] = id_of(from + i);
    }
    few.chunk.ref.tx_count = count;
    few.chunk.tx_ids = few.ids;
    return few;
}

static void test_in_and_out(void **state)
{
    (void)state;
    struct dsmr_own_ids *ids = dsmr_own_ids_new(1000, 1);
    struct few a = few_of(0, 100), b = few_of(50, 100);
    struct dsmr_id none = id_of(1000);
    assert_false(dsmr_own_ids_has(ids, &a.ids[0]));
    dsmr_own_ids_add(ids, &a.chunk);
    dsmr_own_ids_add(ids, &a.chunk); /* twice is once */
    assert_int_equal(dsmr_own_ids_count(ids), 100);
    assert_false(dsmr_own_ids_has(ids, &none));
    dsmr_own_ids_remove(ids, &b.chunk); /* half of a; the rest of b is not there */
    dsmr_own_ids_check(ids);
    assert_int_equal(dsmr_own_ids_count(ids), 50);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(dsmr_own_ids_has(ids, &a.ids[i]), i < 50);
    }
    dsmr_own_ids_remove(ids, &a.chunk);
    dsmr_own_ids_remove(ids, &a.chunk);
    assert_int_equal(dsmr_own_ids_count(ids), 0);
    free(a.ids);
    free(b.ids);
    dsmr_own_ids_free(ids);
    dsmr_own_ids_free(NULL);
}

static void test_grows_and_gives_back(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    struct dsmr_own_ids *ids = dsmr_own_ids_new(MANY, 2);
    struct few all = few_of(0, MANY);
    size_t at_first = dsmr_own_ids_bytes(ids);
    dsmr_own_ids_add(ids, &all.chunk);
    dsmr_own_ids_check(ids);
    assert_int_equal(dsmr_own_ids_count(ids), MANY);
    assert_true(dsmr_own_ids_bytes(ids) <= 32u * MANY);
    dsmr_own_ids_remove(ids, &all.chunk);
    assert_int_equal(dsmr_own_ids_bytes(ids), at_first);
    dsmr_own_ids_add(ids, &all.chunk);
    assert_true(dsmr_own_ids_has(ids, &all.ids[MANY - 1]));
    free(all.ids);
    dsmr_own_ids_free(ids);
}

static void test_limit(void **state)
{
    (void)state;
    struct dsmr_own_ids *ids = dsmr_own_ids_new(10, 3);
    struct few many = few_of(0, 20);
    dsmr_own_ids_add(ids, &many.chunk);
    assert_int_equal(dsmr_own_ids_count(ids), 10);
    assert_true(dsmr_own_ids_has(ids, &many.ids[9]));
    assert_false(dsmr_own_ids_has(ids, &many.ids[10])); /* a repeat would be admitted */
    dsmr_own_ids_check(ids);
    dsmr_own_ids_remove(ids, &many.chunk);
    assert_int_equal(dsmr_own_ids_count(ids), 0);
    struct dsmr_own_ids *nothing = dsmr_own_ids_new(0, 3);
    dsmr_own_ids_add(nothing, &many.chunk);
    assert_false(dsmr_own_ids_has(nothing, &many.ids[0]));
    free(many.ids);
    dsmr_own_ids_free(ids);
    dsmr_own_ids_free(nothing);
}

/* Chunks come and go in any order; a plain array knows what must be there. */
static void test_against_a_model(void **state)
{
    (void)state;
    enum { CHUNKS = 64, EACH = 37 };
    struct dsmr_own_ids *ids = dsmr_own_ids_new(CHUNKS * EACH, 4);
    struct few chunks[CHUNKS];
    bool is_in[CHUNKS] = {false};
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 5);
    for (uint32_t c = 0; c < CHUNKS; c++) {
        chunks[c] = few_of((uint64_t)c * EACH, EACH);
    }
    for (uint32_t step = 0; step < 2000; step++) {
        uint32_t c = (uint32_t)dsmr_prng_below(&prng, CHUNKS);
        if (is_in[c]) {
            dsmr_own_ids_remove(ids, &chunks[c].chunk);
        } else {
            dsmr_own_ids_add(ids, &chunks[c].chunk);
        }
        is_in[c] = !is_in[c];
        if (step % 50 != 0) {
            continue;
        }
        dsmr_own_ids_check(ids);
        for (uint32_t k = 0; k < CHUNKS; k++) {
            for (uint32_t i = 0; i < EACH; i++) {
                assert_int_equal(dsmr_own_ids_has(ids, &chunks[k].ids[i]), is_in[k]);
            }
        }
    }
    for (uint32_t c = 0; c < CHUNKS; c++) {
        free(chunks[c].ids);
    }
    dsmr_own_ids_free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_and_out),
        cmocka_unit_test(test_grows_and_gives_back),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
