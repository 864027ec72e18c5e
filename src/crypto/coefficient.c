#include "crypto/coefficient.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SCALES 3u /* 1, 2 and 4: a digit is an eighth of the next one */
#define UNITS 6u

/* B of G1 and of G2, the lowest 64 bits first; L is z^2 - 1 for both, z the curve's parameter. */
static const uint64_t root_g1[6] = {0x8bfd00000000aaac, 0x409427eb4f49fffd, 0x897d29650fb85f9b,
                                    0xaa0d857d89759ad4, 0xec02408663d4de85, 0x1a0111ea397fe699};
static const uint64_t root_g2[6] = {0x2e01fffffffefffe, 0xde17d813620a0002, 0xddb3a93be6f89688,
                                    0xba69c6076a0f77ea, 0x5f19672fdf76ce51, 0};

void dsmr_coefficient_one(struct dsmr_coefficient *out)
{
    memset(out, 0, sizeof(*out));
    out->digits[0] = 1;
}

void dsmr_coefficient_from(struct dsmr_coefficient *out, const byte random[DSMR_COEFFICIENT_BYTES])
{
    static const struct dsmr_coefficient zero;
    for (size_t i = 0; i < DSMR_COEFFICIENT_BYTES; i++) {
        out->digits[2 * i] = random[i] & 15u;
        out->digits[2 * i + 1] = random[i] >> 4;
    }
    if (memcmp(out, &zero, sizeof(zero)) == 0) {
        dsmr_coefficient_one(out);
    }
}

/* The unit that a digit has at a scale, or -1. Units 0 to 2 are the powers of L, 3 to 5 their
 * inverses. */
static int unit_at(byte digit, unsigned scale)
{
    return digit != 0 && (digit - 1u) / UNITS == scale ? (int)((digit - 1u) % UNITS) : -1;
}

/* Whenever something is added, the sum is 2 m times the point, m small and not 0: neither what is
 * added nor its inverse, so that the simplest addition will do. */
void dsmr_coefficient_mult(blst_p1 *out, const struct dsmr_coefficient *coefficient,
                           const blst_p1_affine *point)
{
    blst_fp root, x[3] = {point->x}, y[2] = {point->y};
    bool begun = false;
    blst_fp_from_uint64(&root, root_g1);
    blst_fp_mul(&x[1], &x[0], &root);
    blst_fp_mul(&x[2], &x[1], &root);
    blst_fp_cneg(&y[1], &y[0], true);
    for (unsigned at = DSMR_COEFFICIENT_DIGITS * SCALES; at-- > 0;) {
        int unit = unit_at(coefficient->digits[at / SCALES], at % SCALES);
        if (begun) {
            blst_p1_double(out, out);
        }
        if (unit < 0) {
            continue;
        }
        blst_p1_affine term = {x[unit % 3], y[unit / 3]};
        if (begun) {
            blst_p1_add_affine(out, out, &term);
        } else {
            blst_p1_from_affine(out, &term);
            begun = true;
        }
    }
}

void dsmr_coefficient_prepare(struct dsmr_coefficient_point *out, const blst_p2_affine *point)
{
    blst_fp root;
    blst_fp_from_uint64(&root, root_g2);
    out->x[0] = point->x;
    out->y[0] = point->y;
    for (unsigned i = 1; i < 3; i++) {
        blst_fp_mul(&out->x[i].fp[0], &out->x[i - 1].fp[0], &root);
        blst_fp_mul(&out->x[i].fp[1], &out->x[i - 1].fp[1], &root);
    }
    blst_fp2_cneg(&out->y[1], &out->y[0], true);
}

/* The simplest addition makes the identity of a point and itself or its inverse. Only then the one
 * that is always right, and a sixth dearer, is needed. */
static void add(blst_p2 *sum, const blst_p2_affine *term)
{
    blst_p2 next;
    blst_p2_add_affine(&next, sum, term);
    if (blst_p2_is_inf(&next)) {
        blst_p2_add_or_double_affine(&next, sum, term);
    }
    *sum = next;
}

void dsmr_coefficient_sum(blst_p2 *out, const struct dsmr_coefficient_term *terms, size_t count)
{
    memset(out, 0, sizeof(*out)); /* z = 0: the identity */
    for (unsigned at = DSMR_COEFFICIENT_DIGITS * SCALES; at-- > 0;) {
        blst_p2_double(out, out);
        for (size_t i = 0; i < count; i++) {
            int unit = unit_at(terms[i].coefficient->digits[at / SCALES], at % SCALES);
            const struct dsmr_coefficient_point *point = terms[i].point;
            if (unit >= 0) {
                blst_p2_affine term = {point->x[unit % 3], point->y[unit / 3]};
                add(out, &term);
            }
        }
    }
}
