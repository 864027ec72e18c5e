/* test_sim_tables.c - what the simulator remembers: tables against a plain array, verdicts against
 * the application itself, events in the order of their times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "sim/check_table.h"
#include "sim/sim_queue.h"
#include "sim/sim_verdicts.h"

/* ---- tables ---- */

#define KEYS 300u

struct model {
    bool is_present[KEYS];
    uint64_t values[KEYS];
    size_t count;
};

static void make_key(uint8_t *key, size_t len, uint64_t k)
{
    memset(key, 7, len);
    key[len - 1] = (uint8_t)k;
    key[len / 2 - 1] = (uint8_t)(k >> 8);
}

static void check_all(const struct dsmr_sim_table *table, const struct model *model, size_t len)
{
    uint8_t key[64];
    size_t position = 0, seen = 0;
    const void *at;
    void *value;
    for (uint64_t k = 0; k < KEYS; k++) {
        make_key(key, len, k);
        const uint64_t *found = dsmr_sim_table_find(table, key);
        assert_int_equal(found != NULL, model->is_present[k]);
        assert_true(found == NULL || *found == model->values[k]);
    }
    while (dsmr_sim_table_next(table, &position, &at, &value)) {
        uint64_t k = *(uint64_t *)value >> 32;
        make_key(key, len, k);
        assert_memory_equal(key, at, len);
        assert_true(model->values[k] == *(uint64_t *)value);
        seen++;
    }
    assert_int_equal(seen, model->count);
    assert_int_equal(dsmr_sim_table_count(table), model->count);
}

/* Grows from nothing, shrinks, and grows again into the places that became free. */
static void table_agrees_with_an_array(void **state)
{
    static const size_t lens[] = {2, 8, 17, 32, 64};
    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct dsmr_prng prng;
        struct model model = {.count = 0};
        uint8_t key[64];
        struct dsmr_sim_table *table = dsmr_sim_table_new(lens[i], sizeof(uint64_t));
        dsmr_prng_init(&prng, i);
        for (uint32_t step = 0; step < 6000; step++) {
            uint64_t k = dsmr_prng_below(&prng, KEYS);
            bool is_shrinking = step / 1000 % 2 == 1;
            make_key(key, lens[i], k);
            if (dsmr_prng_below(&prng, 4) == 0 ? is_shrinking : !is_shrinking) {
                bool is_new = false;
                uint64_t *value = dsmr_sim_table_add(table, key, &is_new);
                assert_int_equal(is_new, !model.is_present[k]);
                assert_true(is_new ? *value == 0 : *value == model.values[k]);
                *value = k << 32 | step;
                model.values[k] = *value;
                model.count += is_new ? 1 : 0;
                model.is_present[k] = true;
            } else {
                dsmr_sim_table_remove(table, key);
                model.count -= model.is_present[k] ? 1 : 0;
                model.is_present[k] = false;
            }
            if (step % 250 == 0) {
                check_all(table, &model, lens[i]);
            }
        }
        check_all(table, &model, lens[i]);
        dsmr_sim_table_free(table);
    }
    dsmr_sim_table_free(NULL);
}

/* ---- verdicts ---- */

static uint32_t asked; /* transactions */

/* Good are those whose first byte is even. */
static uint32_t check(const void *self, enum dsmr_err *errs, const struct dsmr_tx_view *txs,
                      uint32_t count)
{
    uint32_t bad = 0;
    (void)self;
    for (uint32_t i = 0; i < count; i++) {
        errs[i] = txs[i].bytes[0] % 2 == 0 ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE;
        bad += errs[i] != DSMR_OK;
    }
    asked += count;
    return bad;
}

static const struct dsmr_app_ops ops = {.name = "parity", .check = check};
static const struct dsmr_app app = {.ops = &ops};

#define TXS 150u

static void verdicts_are_those_of_the_application(void **state)
{
    (void)state;
    static uint8_t bytes[TXS][40];
    struct dsmr_tx_view txs[TXS];
    enum dsmr_err errs[TXS];
    struct dsmr_sim_verdicts *verdicts = dsmr_sim_verdicts_new();
    for (uint32_t i = 0; i < TXS; i++) {
        bytes[i][0] = (uint8_t)(i % 3);
        bytes[i][23] = (uint8_t)i; /* of the bytes that choose the place */
        txs[i] = (struct dsmr_tx_view){.bytes = bytes[i], .len = sizeof(bytes[i])};
    }
    asked = 0;
    for (uint32_t round = 0; round < 3; round++) {
        memset(errs, 0xff, sizeof(errs));
        assert_int_equal(dsmr_sim_verdicts_check(verdicts, &app, errs, txs, TXS), TXS / 3);
        for (uint32_t i = 0; i < TXS; i++) {
            assert_int_equal(errs[i], i % 3 == 1 ? DSMR_ERR_BAD_SIGNATURE : DSMR_OK);
        }
        assert_int_equal(asked, TXS); /* once, in the first round */
    }
    dsmr_sim_verdicts_free(verdicts);
}

/* Bytes that share a place, of any length: none gets another one's verdict. */
static void verdicts_are_of_all_bytes(void **state)
{
    (void)state;
    struct dsmr_sim_verdicts *verdicts = dsmr_sim_verdicts_new();
    uint8_t bytes[64] = {0};
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t len = 1; len <= sizeof(bytes); len++) {
            for (bytes[0] = 0; bytes[0] < 4; bytes[0]++) {
                enum dsmr_err err = DSMR_ERR_IO;
                struct dsmr_tx_view tx = {.bytes = bytes, .len = len};
                (void)dsmr_sim_verdicts_check(verdicts, &app, &err, &tx, 1);
                assert_int_equal(err, bytes[0] % 2 == 0 ? DSMR_OK : DSMR_ERR_BAD_SIGNATURE);
            }
        }
    }
    dsmr_sim_verdicts_free(verdicts);
}

static void vouched_for_is_not_asked_about(void **state)
{
    (void)state;
    struct dsmr_sim_verdicts *verdicts = dsmr_sim_verdicts_new();
    uint8_t bytes[30] = {1};
    struct dsmr_tx_view tx = {.bytes = bytes, .len = sizeof(bytes)};
    enum dsmr_err err = DSMR_ERR_IO;
    dsmr_sim_verdicts_vouch(verdicts, &tx);
    asked = 0;
    assert_int_equal(dsmr_sim_verdicts_check(verdicts, &app, &err, &tx, 1), 0);
    assert_int_equal(err, DSMR_OK);
    assert_int_equal(asked, 0);
    tx.len--;
    assert_int_equal(dsmr_sim_verdicts_check(verdicts, &app, &err, &tx, 1), 1);
    assert_int_equal(asked, 1);
    dsmr_sim_verdicts_free(verdicts);
}

/* ---- events ---- */

/* Grows and shrinks; many at one time, which come as they were pushed. */
static void events_come_in_order(void **state)
{
    (void)state;
    struct dsmr_sim_queue queue = {.count = 0};
    struct dsmr_prng prng;
    struct dsmr_sim_event event;
    uint32_t pushed = 0, popped = 0, last = 0;
    uint64_t now_us = 0;
    dsmr_prng_init(&prng, 1);
    assert_true(dsmr_sim_queue_due_us(&queue) == UINT64_MAX);
    while (popped < 20000) {
        bool is_growing = pushed < 20000 && dsmr_prng_below(&prng, 100) < 60;
        if (is_growing) {
            event = (struct dsmr_sim_event){.due_us = now_us + dsmr_prng_below(&prng, 50),
                                            .a = pushed++};
            dsmr_sim_queue_push(&queue, event);
            continue;
        }
        uint64_t due_us = dsmr_sim_queue_due_us(&queue);
        bool is_any = dsmr_sim_queue_pop(&queue, &event);
        assert_int_equal(is_any, pushed > popped);
        if (is_any) {
            assert_true(event.due_us == due_us && due_us >= now_us);
            assert_true(event.a > last || due_us > now_us || popped == 0);
            last = event.a;
            now_us = due_us;
            popped++;
        }
    }
    assert_false(dsmr_sim_queue_pop(&queue, &event));
    dsmr_sim_queue_close(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_agrees_with_an_array),
        cmocka_unit_test(verdicts_are_those_of_the_application),
        cmocka_unit_test(verdicts_are_of_all_bytes),
        cmocka_unit_test(vouched_for_is_not_asked_about),
        cmocka_unit_test(events_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
