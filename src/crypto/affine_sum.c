#include "crypto/affine_sum.h"

#include <stdbool.h>
#include <string.h>

enum kind { ADD, TAKE_A, TAKE_B, VANISH };

/* What is to be divided by is left in divisor, and in slope what is to be divided. */
static enum kind prepare(blst_fp *divisor, blst_fp *slope, const blst_p1_affine *a,
                         const blst_p1_affine *b)
{
    if (blst_p1_affine_is_inf(a)) {
        return TAKE_B;
    }
    if (blst_p1_affine_is_inf(b)) {
        return TAKE_A;
    }
    if (memcmp(&a->x, &b->x, sizeof(a->x)) != 0) {
        blst_fp_sub(divisor, &b->x, &a->x);
        blst_fp_sub(slope, &b->y, &a->y);
        return ADD;
    }
    if (memcmp(&a->y, &b->y, sizeof(a->y)) != 0) {
        return VANISH;
    }
    blst_fp_add(divisor, &a->y, &a->y); /* not 0: no point of the group has order 2 */
    blst_fp_sqr(slope, &a->x);
    blst_fp_mul_by_3(slope, slope);
    return ADD;
}

static void finish(blst_p1_affine *out, const blst_p1_affine *a, const blst_p1_affine *b,
                   const blst_fp *slope)
{
    blst_fp x, y;
    blst_fp_sqr(&x, slope);
    blst_fp_sub(&x, &x, &a->x);
    blst_fp_sub(&x, &x, &b->x);
    blst_fp_sub(&y, &a->x, &x);
    blst_fp_mul(&y, &y, slope);
    blst_fp_sub(&out->y, &y, &a->y);
    out->x = x;
}

/* Divides each slope: the divisors are multiplied up, and one inverse is taken apart again. */
static void divide(blst_fp *slopes, const blst_fp *divisors, size_t count)
{
    blst_fp products[DSMR_AFFINE_SUM_PAIRS], inverse; /* products[i]: of divisors up to the i-th */
    products[0] = divisors[0];
    for (size_t i = 1; i < count; i++) {
        blst_fp_mul(&products[i], &products[i - 1], &divisors[i]);
    }
    blst_fp_inverse(&inverse, &products[count - 1]);
    for (size_t i = count - 1; i > 0; i--) {
        blst_fp_mul(&products[i], &products[i - 1], &inverse);
        blst_fp_mul(&slopes[i], &slopes[i], &products[i]);
        blst_fp_mul(&inverse, &inverse, &divisors[i]);
    }
    blst_fp_mul(&slopes[0], &slopes[0], &inverse);
}

void dsmr_affine_sum_flush(struct dsmr_affine_sum_queue *queue)
{
    blst_fp divisors[DSMR_AFFINE_SUM_PAIRS], slopes[DSMR_AFFINE_SUM_PAIRS];
    enum kind kinds[DSMR_AFFINE_SUM_PAIRS];
    size_t divisions = 0, done = 0;
    for (size_t i = 0; i < queue->count; i++) {
        const struct dsmr_affine_sum_pair *pair = &queue->pairs[i];
        kinds[i] = prepare(&divisors[divisions], &slopes[divisions], pair->a, pair->b);
        divisions += kinds[i] == ADD ? 1u : 0u;
    }
    if (divisions > 0) {
        divide(slopes, divisors, divisions);
    }
    for (size_t i = 0; i < queue->count; i++) {
        const struct dsmr_affine_sum_pair *pair = &queue->pairs[i];
        if (kinds[i] == ADD) {
            finish(pair->out, pair->a, pair->b, &slopes[done++]);
        } else if (kinds[i] == VANISH) {
            memset(pair->out, 0, sizeof(*pair->out));
        } else {
            *pair->out = kinds[i] == TAKE_A ? *pair->a : *pair->b;
        }
    }
    queue->count = 0;
}

void dsmr_affine_sum_push(struct dsmr_affine_sum_queue *queue, blst_p1_affine *out,
                          const blst_p1_affine *a, const blst_p1_affine *b)
{
    queue->pairs[queue->count++] = (struct dsmr_affine_sum_pair){.out = out, .a = a, .b = b};
    if (queue->count == DSMR_AFFINE_SUM_PAIRS) {
        dsmr_affine_sum_flush(queue);
    }
}

/* Neighbours are added, to the places from the first on, until one is left. */
void dsmr_affine_sum_lists(struct dsmr_affine_sum_list *lists, size_t count)
{
    struct dsmr_affine_sum_queue queue = {.count = 0};
    bool is_done = false;
    while (!is_done) {
        is_done = true;
        for (size_t i = 0; i < count; i++) {
            blst_p1_affine *points = lists[i].points;
            for (size_t k = 0; k < lists[i].count / 2; k++) {
                dsmr_affine_sum_push(&queue, &points[k], &points[2 * k], &points[2 * k + 1]);
            }
        }
        dsmr_affine_sum_flush(&queue);
        for (size_t i = 0; i < count; i++) {
            size_t half = lists[i].count / 2;
            if (lists[i].count % 2 == 1 && half > 0) {
                lists[i].points[half] = lists[i].points[lists[i].count - 1];
            }
            lists[i].count -= half;
            is_done = is_done && lists[i].count == 1;
        }
    }
}
