/* test_affine_sum.c - many additions with one division, against one addition after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/affine_sum.h"

#define POINTS 21

/* times * G1; 0: the identity. */
static void multiple(blst_p1_affine *out, int times)
{
    byte scalar = (byte)(times < 0 ? -times : times);
    blst_p1 point;
    memset(out, 0, sizeof *out);
    if (times != 0) {
        blst_p1_mult(&point, blst_p1_generator(), &scalar, 8);
        blst_p1_cneg(&point, times < 0);
        blst_p1_to_affine(out, &point);
    }
}

/* All pairs of -10 to 10: sums, doubles, inverses, identities. More than share a division. */
static void pairs_of_all_kinds(void **state)
{
    (void)state;
    blst_p1_affine points[POINTS], expected;
    blst_p1_affine *sums = calloc(POINTS * POINTS, sizeof *sums);
    struct dsmr_affine_sum_queue queue = {.count = 0};
    assert_non_null(sums);
    assert_true(POINTS * POINTS > DSMR_AFFINE_SUM_PAIRS);
    for (int i = 0; i < POINTS; i++) {
        multiple(&points[i], i - POINTS / 2);
    }
    for (int i = 0; i < POINTS * POINTS; i++) {
        dsmr_affine_sum_push(&queue, &sums[i], &points[i % POINTS], &points[i / POINTS]);
    }
    dsmr_affine_sum_flush(&queue);
    for (int i = 0; i < POINTS * POINTS; i++) {
        multiple(&expected, i % POINTS + i / POINTS - 2 * (POINTS / 2));
        assert_memory_equal(&sums[i], &expected, sizeof expected);
    }
    free(sums);
}

/* Where nothing has to be divided, and where nothing waits. */
static void queues_without_a_division(void **state)
{
    (void)state;
    blst_p1_affine one, none, out;
    struct dsmr_affine_sum_queue queue = {.count = 0};
    multiple(&one, 1);
    multiple(&none, 0);
    dsmr_affine_sum_flush(&queue);
    dsmr_affine_sum_push(&queue, &out, &one, &none);
    dsmr_affine_sum_flush(&queue);
    assert_memory_equal(&out, &one, sizeof out);
    dsmr_affine_sum_push(&queue, &out, &none, &none);
    dsmr_affine_sum_flush(&queue);
    assert_memory_equal(&out, &none, sizeof out);
    dsmr_affine_sum_push(&queue, &out, &none, &one);
    dsmr_affine_sum_flush(&queue);
    dsmr_affine_sum_push(&queue, &out, &out, &out); /* in its own place */
    dsmr_affine_sum_flush(&queue);
    multiple(&one, 2);
    assert_memory_equal(&out, &one, sizeof out);
}

/* Lists of 1 to 40, side by side; all are the same point, or cancel, or differ. */
static void lists_of_every_length(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct dsmr_affine_sum_list lists[40];
        blst_p1_affine *points = calloc((size_t)40 * 40, sizeof *points), expected;
        int totals[40] = {0};
        assert_non_null(points);
        for (int i = 0; i < 40; i++) {
            lists[i] = (struct dsmr_affine_sum_list){&points[(ptrdiff_t)i * 40], (size_t)i + 1};
            for (int k = 0; k <= i; k++) {
                int times = kind == 0 ? 3 : kind == 1 ? (k % 2 == 0 ? 4 : -4) : (7 * k + i) % 9 - 3;
                multiple(&lists[i].points[k], times);
                totals[i] += times;
            }
        }
        dsmr_affine_sum_lists(lists, 40);
        for (int i = 0; i < 40; i++) {
            multiple(&expected, totals[i]);
            assert_int_equal(lists[i].count, 1);
            assert_memory_equal(&lists[i].points[0], &expected, sizeof expected);
        }
        free(points);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_all_kinds),
        cmocka_unit_test(queues_without_a_division),
        cmocka_unit_test(lists_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
