/* test_coefficient.c - coefficients of a batch: what they are is computed here again, from the
 * header's words, modulo the groups' order; multiplying by that number is blst's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "crypto/coefficient.h"

#define COEFFICIENTS 200u

/* A digit as u + v L; L^2 = -1 - L. */
static void digit_value(int *u, int *v, unsigned digit)
{
    static const int units[6][2] = {{1, 0}, {0, 1}, {-1, -1}, {-1, 0}, {0, -1}, {1, 1}};
    int size = digit == 0 ? 0 : digit <= 6 ? 1 : digit <= 12 ? 2 : 4;
    unsigned unit = digit == 0 ? 0 : digit <= 6 ? digit - 1 : digit <= 12 ? digit - 7 : digit - 13;
    *u = size * units[unit][0];
    *v = size * units[unit][1];
}

static void fr_from_int(blst_fr *out, int64_t value)
{
    uint64_t limbs[4] = {(uint64_t)(value < 0 ? -value : value)};
    blst_fr_from_uint64(out, limbs);
    blst_fr_cneg(out, out, value < 0);
}

/* Of 64 random bits, taken four at a time, the lowest digit first. */
static void scalar_of(byte out[32], const byte random[8])
{
    static const char root[] = "00000000000000000000000000000000ac45a4010001a40200000000ffffffff";
    byte bytes[32];
    blst_scalar scalar;
    blst_fr l, sum, eight, u, v;
    assert_int_equal(dsmr_hex_decode(bytes, 32, root, 64), DSMR_OK);
    blst_scalar_from_bendian(&scalar, bytes);
    blst_fr_from_scalar(&l, &scalar);
    fr_from_int(&eight, 8);
    fr_from_int(&sum, 0);
    for (unsigned i = 16; i-- > 0;) {
        int du, dv;
        digit_value(&du, &dv, random[i / 2] >> 4 * (i % 2) & 15);
        fr_from_int(&u, du);
        fr_from_int(&v, dv);
        blst_fr_mul(&v, &v, &l);
        blst_fr_mul(&sum, &sum, &eight);
        blst_fr_add(&sum, &sum, &u);
        blst_fr_add(&sum, &sum, &v);
    }
    blst_scalar_from_fr(&scalar, &sum);
    blst_lendian_from_scalar(out, &scalar);
}

static void random_bytes(byte out[8], struct dsmr_prng *prng)
{
    uint64_t bits = dsmr_prng_next(prng);
    memcpy(out, &bits, 8);
}

/* Each digit alone at the lowest and at the highest place, and random ones. */
static void make_random(byte out[8], unsigned i, struct dsmr_prng *prng)
{
    memset(out, 0, 8);
    if (i < 16) {
        out[0] = (byte)i;
    } else if (i < 32) {
        out[7] = (byte)((i - 16) << 4);
    } else {
        random_bytes(out, prng);
    }
    if (i == 0 || i == 16) {
        out[3] = 1;
    }
}

static void any_point(blst_p2_affine *out, struct dsmr_prng *prng)
{
    byte scalar[8];
    blst_p2 point;
    random_bytes(scalar, prng);
    blst_p2_mult(&point, blst_p2_generator(), scalar, 64);
    blst_p2_to_affine(out, &point);
}

static void a_key_times_a_coefficient(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 5);
    for (unsigned i = 0; i < COEFFICIENTS; i++) {
        byte random[8], scalar[32];
        struct dsmr_coefficient coefficient;
        blst_p1 point, product;
        blst_p1_affine affine;
        random_bytes(random, &prng);
        blst_p1_mult(&point, blst_p1_generator(), random, 64);
        blst_p1_to_affine(&affine, &point);
        make_random(random, i, &prng);
        dsmr_coefficient_from(&coefficient, random);
        dsmr_coefficient_mult(&product, &coefficient, &affine);
        scalar_of(scalar, random);
        blst_p1_mult(&point, &point, scalar, 255);
        assert_true(blst_p1_is_equal(&point, &product));
    }
}

/* Of one term and of many; also of points that are equal, or each other's inverse. */
static void a_sum_of_coefficients_times_signatures(void **state)
{
    (void)state;
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 6);
    for (unsigned count = 1; count <= 40; count += count < 6 ? 1 : 17) {
        struct dsmr_coefficient coefficients[40];
        struct dsmr_coefficient_point points[40];
        struct dsmr_coefficient_term terms[40];
        blst_p2 sum, expected = {0};
        blst_p2_affine point;
        any_point(&point, &prng);
        for (unsigned i = 0; i < count; i++) {
            byte random[8], scalar[32];
            blst_p2 product;
            if (i % 3 == 0) {
                any_point(&point, &prng);
            } else if (i % 3 == 2) {
                blst_fp2_cneg(&point.y, &point.y, true);
            }
            make_random(random, i % 2 == 0 ? i : COEFFICIENTS, &prng);
            dsmr_coefficient_from(&coefficients[i], random);
            dsmr_coefficient_prepare(&points[i], &point);
            terms[i] = (struct dsmr_coefficient_term){&coefficients[i], &points[i]};
            scalar_of(scalar, random);
            blst_p2_from_affine(&product, &point);
            blst_p2_mult(&product, &product, scalar, 255);
            blst_p2_add_or_double(&expected, &expected, &product);
        }
        dsmr_coefficient_sum(&sum, terms, count);
        assert_true(blst_p2_is_equal(&sum, &expected));
    }
}

/* The same point with the same coefficient, so that each addition doubles; and with its inverse. */
static void points_that_meet(void **state)
{
    (void)state;
    static const byte random[8] = {0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb, 0xed, 0x0f};
    struct dsmr_prng prng;
    struct dsmr_coefficient coefficient;
    struct dsmr_coefficient_point point, inverse;
    blst_p2_affine affine;
    blst_p2 one, sum;
    dsmr_prng_init(&prng, 7);
    any_point(&affine, &prng);
    dsmr_coefficient_from(&coefficient, random);
    dsmr_coefficient_prepare(&point, &affine);
    blst_fp2_cneg(&affine.y, &affine.y, true);
    dsmr_coefficient_prepare(&inverse, &affine);
    const struct dsmr_coefficient_term terms[4] = {{&coefficient, &point},
                                                   {&coefficient, &point},
                                                   {&coefficient, &inverse},
                                                   {&coefficient, &inverse}};
    dsmr_coefficient_sum(&one, terms, 1);
    dsmr_coefficient_sum(&sum, terms, 2);
    blst_p2_double(&one, &one);
    assert_true(blst_p2_is_equal(&sum, &one));
    dsmr_coefficient_sum(&sum, terms, 4);
    assert_true(blst_p2_is_inf(&sum));
    dsmr_coefficient_sum(&sum, terms + 1, 2);
    assert_true(blst_p2_is_inf(&sum));
    dsmr_coefficient_sum(&sum, terms, 0);
    assert_true(blst_p2_is_inf(&sum));
}

/* What the bound of the header rests on: other digits are another number. */
static void digits_differ_modulo_eight(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 16; a++) {
        for (unsigned b = 0; b < a; b++) {
            int au, av, bu, bv;
            digit_value(&au, &av, a);
            digit_value(&bu, &bv, b);
            assert_true((au - bu) % 8 != 0 || (av - bv) % 8 != 0);
        }
    }
}

static void no_coefficient_is_zero(void **state)
{
    (void)state;
    static const byte zeros[8];
    struct dsmr_coefficient coefficient, one;
    blst_p1 product;
    blst_p1_affine generator;
    blst_p1_to_affine(&generator, blst_p1_generator());
    dsmr_coefficient_from(&coefficient, zeros);
    dsmr_coefficient_one(&one);
    assert_memory_equal(&coefficient, &one, sizeof coefficient);
    dsmr_coefficient_mult(&product, &one, &generator);
    assert_true(blst_p1_is_equal(&product, blst_p1_generator()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_times_a_coefficient),
        cmocka_unit_test(a_sum_of_coefficients_times_signatures),
        cmocka_unit_test(points_that_meet),
        cmocka_unit_test(digits_differ_modulo_eight),
        cmocka_unit_test(no_coefficient_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
