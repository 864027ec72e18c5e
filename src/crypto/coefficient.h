/* coefficient.h - the random coefficients of a batch, in a form that is cheap to multiply by.
 *
 * Why:     multiplying a key and a signature by 64 random bits each was an eighth of what a
 *          certificate in a batch cost.
 * How:     both groups have an endomorphism that costs a multiplication in the field: L (x, y) =
 *          (B x, y), with L a third root of one modulo the groups' order r and B one in the field
 *          (Gallant, Lambert, Vanstone, CRYPTO 2001). So +-1, +-L and +-L^2 times a point cost
 *          nothing. A coefficient is 16 digits to the base of 8, of four random bits each: 0, one
 *          of these six, twice one of them, or four times 1, L or L^2. Nothing is made in advance,
 *          and fewer than 16 additions are left.
 * Bounds:  no two of the 2^64 coefficients are the same modulo r. Two digits differ modulo 8, as
 *          the norm of their difference is below 64; so other digits are another u + v L. Each of
 *          these is below 2^48, and of two that are the same modulo r would follow that r divides
 *          the norm of their difference, below 2^98. A batch with an error passes with probability
 *          2^-64, as with any set of so many (Bellare, Garay, Rabin, EUROCRYPT 1998).
 * Threads: pure. Not for secrets: time depends on the coefficient. */
#ifndef DSMR_CRYPTO_COEFFICIENT_H
#define DSMR_CRYPTO_COEFFICIENT_H

#include <stddef.h>

#include "blst.h"

#define DSMR_COEFFICIENT_BYTES 8u   /* random ones, for each coefficient */
#define DSMR_COEFFICIENT_DIGITS 16u /* 0 to 15, the lowest first */

struct dsmr_coefficient {
    byte digits[DSMR_COEFFICIENT_DIGITS];
};

/* Never zero, which would accept anything. */
void dsmr_coefficient_from(struct dsmr_coefficient *out, const byte random[DSMR_COEFFICIENT_BYTES]);
void dsmr_coefficient_one(struct dsmr_coefficient *out);
/* point: in the group, and not the identity. */
void dsmr_coefficient_mult(blst_p1 *out, const struct dsmr_coefficient *coefficient,
                           const blst_p1_affine *point);

struct dsmr_coefficient_point { /* of G2, with all that a digit may ask for */
    blst_fp2 x[3], y[2];
};
/* point: in the group, and not the identity. */
void dsmr_coefficient_prepare(struct dsmr_coefficient_point *out, const blst_p2_affine *point);
struct dsmr_coefficient_term { /* coefficient * point */
    const struct dsmr_coefficient *coefficient;
    const struct dsmr_coefficient_point *point;
};
void dsmr_coefficient_sum(blst_p2 *out, const struct dsmr_coefficient_term *terms, size_t count);

#endif
