/* affine_sum.h - additions of many points at once, all by the plain formula for affine points.
 *
 * Why:     its division is dear, but one serves them all (Montgomery's trick), and then an addition
 *          costs two thirds of one without. blst_p1s_add does the same for one sum; here many sums
 *          share the division, however short each is, and come out affine.
 * Threads: pure. Not for secrets: time depends on the points. */
#ifndef DSMR_CRYPTO_AFFINE_SUM_H
#define DSMR_CRYPTO_AFFINE_SUM_H

#include <stddef.h>

#include "blst.h"

#define DSMR_AFFINE_SUM_PAIRS 256u /* that share a division */

struct dsmr_affine_sum_pair { /* out = a + b; any of them may be equal or the identity */
    blst_p1_affine *out;
    const blst_p1_affine *a, *b;
};

/* Pairs that wait. One may be written to what an earlier one, or itself, reads; not to what a later
 * one reads. */
struct dsmr_affine_sum_queue {
    struct dsmr_affine_sum_pair pairs[DSMR_AFFINE_SUM_PAIRS];
    size_t count;
};
void dsmr_affine_sum_push(struct dsmr_affine_sum_queue *queue, blst_p1_affine *out,
                          const blst_p1_affine *a, const blst_p1_affine *b);
void dsmr_affine_sum_flush(struct dsmr_affine_sum_queue *queue);

struct dsmr_affine_sum_list {
    blst_p1_affine *points; /* the sum is left in the first */
    size_t count;           /* at least one */
};
/* All counts are 1 afterwards. */
void dsmr_affine_sum_lists(struct dsmr_affine_sum_list *lists, size_t count);

#endif
