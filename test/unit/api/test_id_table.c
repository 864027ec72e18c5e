/* Ids to values: against a plain list, at the limit, removed while they are looked up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/id_table.h"
#include "base/bytes.h"
#include "base/prng.h"

#define CAPACITY 200u
#define IDS 400u
#define STEPS 20000u

struct world {
    struct dsmr_id_table *table;
    struct dsmr_id ids[IDS];
    uint64_t *values[IDS]; /* what the table gave; NULL: it should not be there */
    uint32_t count;
    uint32_t next; /* of found_in_order */
};

/* Ids whose ends differ only, so that tags alone do not tell them apart. */
static struct world *open_world(uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, seed);
    for (uint32_t i = 0; i < IDS; i++) {
        uint64_t word = i % 8 == 0 ? dsmr_prng_next(&prng) : 0;
        memcpy(w->ids[i].bytes, &word, 8);
        if (i % 8 != 0) {
            w->ids[i] = w->ids[i - 1];
        }
        w->ids[i].bytes[31] = (uint8_t)(i % 8);
    }
    w->table = dsmr_id_table_new(16, CAPACITY, seed);
    assert_non_null(w->table);
    return w;
}

static void close_world(struct world *w)
{
    dsmr_id_table_free(w->table);
    free(w);
}

static void add(struct world *w, uint32_t i)
{
    uint64_t *value = dsmr_id_table_add(w->table, &w->ids[i]);
    assert_true(value[0] == 0 && value[1] == 0);
    value[0] = value[1] = i + 1;
    w->values[i] = value;
    w->count++;
}

static void take_out(struct world *w, uint32_t i)
{
    dsmr_id_table_remove(w->table, w->values[i]);
    w->values[i] = NULL;
    w->count--;
}

static void found_in_order(void *ctx, uint32_t index, void *value)
{
    struct world *w = ctx;
    const uint64_t *words = value;
    for (; w->values[w->next] == NULL; w->next++) {
    }
    assert_int_equal(index, w->next);
    assert_ptr_equal(value, w->values[index]);
    assert_int_equal(words[0], index + 1);
    assert_int_equal(words[1], index + 1);
    w->next++;
}

static void expect_all(struct world *w)
{
    uint32_t position = 0, walked = 0;
    const struct dsmr_id *id = NULL;
    for (uint32_t i = 0; i < IDS; i++) {
        assert_ptr_equal(dsmr_id_table_find(w->table, &w->ids[i]), w->values[i]);
    }
    w->next = 0;
    dsmr_id_table_find_all(w->table, w->ids, IDS, found_in_order, w);
    for (; w->next < IDS && w->values[w->next] == NULL; w->next++) {
    }
    assert_int_equal(w->next, IDS); /* none was left out */
    for (uint64_t *value; (value = dsmr_id_table_next(w->table, &position, &id)) != NULL;) {
        assert_ptr_equal(value, w->values[value[0] - 1]);
        assert_true(dsmr_id_equal(id, &w->ids[value[0] - 1]));
        walked++;
    }
    assert_int_equal(walked, w->count);
}

static void it_holds_what_a_list_holds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world *w = open_world(seed);
        struct dsmr_prng prng;
        dsmr_prng_init(&prng, seed);
        for (uint32_t step = 0; step < STEPS; step++) {
            uint32_t i = (uint32_t)dsmr_prng_below(&prng, IDS);
            dsmr_id_table_expect(w->table, &w->ids[i]);
            if (w->values[i] != NULL) {
                take_out(w, i);
            } else if (w->count < CAPACITY) {
                add(w, i);
            }
            if (step % 512 == 0) {
                expect_all(w);
            }
        }
        expect_all(w);
        close_world(w);
    }
}

static void found_and_removed(void *ctx, uint32_t index, void *value)
{
    struct world *w = ctx;
    assert_ptr_equal(value, w->values[index]);
    take_out(w, index);
}

static void the_found_may_be_removed(void **state)
{
    struct world *w = open_world(9);
    struct dsmr_id twice[3];
    (void)state;
    for (uint32_t i = 0; i < CAPACITY; i++) {
        add(w, i);
    }
    expect_all(w);
    dsmr_id_table_find_all(w->table, w->ids, IDS, found_and_removed, w);
    assert_int_equal(w->count, 0);
    expect_all(w);
    add(w, 0);
    twice[0] = twice[1] = twice[2] = w->ids[0];
    dsmr_id_table_find_all(w->table, twice, 3, found_and_removed, w); /* once */
    assert_int_equal(w->count, 0);
    dsmr_id_table_find_all(w->table, w->ids, 0, found_and_removed, w);
    close_world(w);
}

static void a_walk_leaves_none_out(void **state)
{
    struct world *w = open_world(5);
    const struct dsmr_id *id = NULL;
    uint32_t position = 0, seen = 0;
    (void)state;
    for (uint32_t i = 0; i < CAPACITY; i++) {
        add(w, i);
    }
    /* The odd ones come and go while it walks. */
    for (uint64_t *value; (value = dsmr_id_table_next(w->table, &position, &id)) != NULL;) {
        seen += value[0] % 2 == 1 ? 1 : 0; /* the even ones' numbers are odd */
        for (uint32_t i = 1; i < CAPACITY; i += 2) {
            if (w->values[i] != NULL) {
                take_out(w, i);
            } else {
                add(w, i);
            }
        }
    }
    assert_int_equal(seen, CAPACITY / 2);
    close_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_a_list_holds),
        cmocka_unit_test(the_found_may_be_removed),
        cmocka_unit_test(a_walk_leaves_none_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
