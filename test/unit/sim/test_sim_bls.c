/* The keyed hash in the place of BLS: as strict about who signed what, and as blind where errors
 * cancel: shares that are added up, batches whose coefficients could be foreseen. The same is asked
 * of real BLS, so that runs with it and without see the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "sim/sim_bls.h"

#define VALIDATORS 7u

static const char message[] = "message", other_message[] = "another one";

static struct dsmr_validator_set *make_set(void)
{
    return dsmr_sim_bls_set(0, 0, VALIDATORS, NULL, 0);
}

static struct dsmr_bls_sig sign(uint32_t number, const char *what)
{
    struct dsmr_bls_sig sig;
    dsmr_sim_bls_sign(&sig, number, what, strlen(what));
    return sig;
}

static void test_one_signature(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = make_set();
    struct dsmr_bls_sig sig = sign(2, message);
    const struct dsmr_bls_ops *bls = dsmr_sim_bls_ops_in_use();
    assert_int_equal(bls->verify(set, 2, &sig, message, strlen(message)), DSMR_OK);
    assert_int_equal(bls->verify(set, 3, &sig, message, strlen(message)), DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(bls->verify(set, VALIDATORS, &sig, message, strlen(message)),
                     DSMR_ERR_BAD_SIGNATURE);
    assert_int_equal(bls->verify(set, 2, &sig, other_message, strlen(other_message)),
                     DSMR_ERR_BAD_SIGNATURE);
    sig.bytes[95] ^= 1;
    assert_int_equal(bls->verify(set, 2, &sig, message, strlen(message)), DSMR_ERR_BAD_SIGNATURE);
    dsmr_validator_set_unref(set);
}

/* ---- shares ---- */

struct aggregated {
    struct dsmr_bls_sig sig;
    struct dsmr_bitset signers, bad;
    enum dsmr_err err;
};

static struct aggregated aggregate(const struct dsmr_validator_set *set,
                                   const struct dsmr_share *shares, size_t count)
{
    struct aggregated out = {.err = DSMR_ERR_UNKNOWN}; /* without a good share there is no sum */
    out.err = dsmr_sim_bls_ops_in_use()->aggregate(&out.sig, &out.signers, &out.bad, set, shares,
                                                   count, message, strlen(message));
    return out;
}

static enum dsmr_err verify_sum(const struct dsmr_validator_set *set, const struct aggregated *sum)
{
    static const uint8_t random[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct dsmr_bls_batch_entry entry = {.set = set,
                                         .signers = &sum->signers,
                                         .sig = &sum->sig,
                                         .message = message,
                                         .len = strlen(message)};
    enum dsmr_err err = DSMR_ERR_UNKNOWN;
    assert_int_equal(dsmr_sim_bls_ops_in_use()->verify_batch(&err, &entry, 1, random), DSMR_OK);
    return err;
}

static void make_shares(struct dsmr_share shares[VALIDATORS])
{
    for (uint32_t i = 0; i < VALIDATORS; i++) {
        shares[i] = (struct dsmr_share){.signer = i, .sig = sign(i, message)};
    }
}

static void test_liars_are_found_wherever_they_stand(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = make_set();
    for (uint32_t liars = 0; liars < 1u << VALIDATORS; liars++) {
        struct dsmr_share shares[VALIDATORS];
        make_shares(shares);
        for (uint32_t i = 0; i < VALIDATORS; i++) {
            if ((liars >> i & 1) != 0) {
                shares[i].sig = sign(i, i % 2 == 0 ? other_message : "a third one");
            }
        }
        struct aggregated sum = aggregate(set, shares, VALIDATORS);
        assert_int_equal(sum.bad.words[0], liars);
        assert_int_equal(sum.signers.words[0], ~liars & ((1u << VALIDATORS) - 1));
        if (dsmr_bitset_is_empty(&sum.signers)) {
            assert_int_equal(sum.err, DSMR_ERR_BAD_SHARE);
        } else {
            assert_int_equal(sum.err, DSMR_OK);
            assert_int_equal(verify_sum(set, &sum), DSMR_OK);
        }
    }
    dsmr_validator_set_unref(set);
}

/* As test_aggregate: cancelling_errors_still_give_a_valid_aggregate. */
static void test_errors_of_two_shares_cancel(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = make_set();
    struct dsmr_share shares[VALIDATORS];
    struct dsmr_bls_sig error = sign(1, other_message);
    make_shares(shares);
    dsmr_sim_bls_cancel(&shares[1].sig, &shares[2].sig, &error);
    struct aggregated sum = aggregate(set, shares, VALIDATORS);
    assert_true(dsmr_bitset_is_empty(&sum.bad));
    assert_int_equal(verify_sum(set, &sum), DSMR_OK);
    sum = aggregate(set, shares, 2); /* without the second */
    assert_int_equal(sum.bad.words[0], 1u << 1);
    dsmr_validator_set_unref(set);
}

/* ---- batches ---- */

struct batch {
    struct dsmr_validator_set *set;
    struct aggregated sums[VALIDATORS];
    struct dsmr_bls_batch_entry entries[VALIDATORS];
    enum dsmr_err errs[VALIDATORS];
};

/* Sums over one message, of 1, 2, 3 ... signers. */
static void make_batch(struct batch *batch)
{
    struct dsmr_share shares[VALIDATORS];
    batch->set = make_set();
    make_shares(shares);
    for (uint32_t i = 0; i < VALIDATORS; i++) {
        batch->sums[i] = aggregate(batch->set, shares, i + 1);
        batch->entries[i] = (struct dsmr_bls_batch_entry){.set = batch->set,
                                                          .signers = &batch->sums[i].signers,
                                                          .sig = &batch->sums[i].sig,
                                                          .message = message,
                                                          .len = strlen(message)};
    }
}

static void verify(struct batch *batch, const uint8_t *random)
{
    assert_int_equal(
        dsmr_sim_bls_ops_in_use()->verify_batch(batch->errs, batch->entries, VALIDATORS, random),
        DSMR_OK);
}

static void test_batch(void **state)
{
    (void)state;
    uint8_t random[8 * VALIDATORS];
    for (uint32_t i = 0; i < sizeof(random); i++) {
        random[i] = (uint8_t)(i * 37 + 11);
    }
    for (uint32_t bad = 0; bad <= VALIDATORS; bad++) {
        struct batch batch;
        make_batch(&batch);
        if (bad < VALIDATORS) {
            batch.sums[bad].sig.bytes[bad] ^= 0x80;
        }
        verify(&batch, random);
        for (uint32_t i = 0; i < VALIDATORS; i++) {
            assert_int_equal(batch.errs[i], i == bad ? DSMR_ERR_BAD_SIGNATURE : DSMR_OK);
        }
        dsmr_validator_set_unref(batch.set);
    }
}

/* Equal coefficients, whichever, let both pass; zero counts as one. Different ones let none. */
static void test_batch_without_coefficients(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct batch batch;
        uint8_t random[8 * VALIDATORS] = {0};
        struct dsmr_bls_sig error = sign(1, other_message);
        make_batch(&batch);
        dsmr_sim_bls_cancel(&batch.sums[1].sig, &batch.sums[4].sig, &error);
        for (uint32_t i = 0; i < VALIDATORS; i++) {
            dsmr_store_be64(random + (size_t)8 * i, what == 0 ? 0 : what == 1 ? 77 : i + 1);
        }
        verify(&batch, random);
        for (uint32_t i = 0; i < VALIDATORS; i++) {
            bool is_wrong = i == 1 || i == 4;
            assert_int_equal(batch.errs[i],
                             is_wrong && what == 2 ? DSMR_ERR_BAD_SIGNATURE : DSMR_OK);
        }
        dsmr_validator_set_unref(batch.set);
    }
}

static void test_signers_of_a_batch_are_of_the_set(void **state)
{
    (void)state;
    struct batch batch;
    uint8_t random[8 * VALIDATORS] = {0};
    make_batch(&batch);
    dsmr_bitset_add(&batch.sums[2].signers, VALIDATORS);
    memset(&batch.sums[3].signers, 0, sizeof(batch.sums[3].signers));
    verify(&batch, random);
    for (uint32_t i = 0; i < VALIDATORS; i++) {
        assert_int_equal(batch.errs[i], i == 2 || i == 3 ? DSMR_ERR_BITSET : DSMR_OK);
    }
    dsmr_validator_set_unref(batch.set);
}

/* What checkers and liars add up one by one is what aggregation gives. */
static void test_added_one_by_one(void **state)
{
    (void)state;
    struct dsmr_validator_set *set = make_set();
    struct dsmr_share shares[VALIDATORS];
    struct dsmr_bls_sig sum;
    make_shares(shares);
    struct aggregated want = aggregate(set, shares, VALIDATORS);
    memset(&sum, 0, sizeof(sum));
    for (uint32_t i = VALIDATORS; i-- > 0;) {
        dsmr_sim_bls_add(&sum, &shares[i].sig);
        assert_int_equal(memcmp(&sum, &want.sig, sizeof(sum)) == 0, i == 0);
    }
    dsmr_validator_set_unref(set);
}

/* The latest signatures are kept: more of them than there is room for, twice. */
static void test_signed_again(void **state)
{
    (void)state;
    static struct dsmr_bls_sig sigs[1500];
    uint32_t count = *state == NULL ? 1500 : 20; /* real ones take their time */
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < count; i++) {
            uint8_t bytes[13] = {0};
            struct dsmr_bls_sig sig;
            dsmr_store_be32(bytes + 9, i / 3);
            dsmr_sim_bls_sign(&sig, i % 3, bytes, sizeof(bytes) - i % 2);
            if (round == 0) {
                sigs[i] = sig;
                assert_true(i == 0 || memcmp(&sig, &sigs[i - 1], sizeof(sig)) != 0);
            }
            assert_memory_equal(&sig, &sigs[i], sizeof(sig));
        }
    }
}

static int use_keyed_hash(void **state)
{
    *state = NULL;
    dsmr_sim_bls_use_real(false);
    return 0;
}

static int use_bls(void **state)
{
    static bool is_real = true;
    *state = &is_real;
    dsmr_sim_bls_use_real(true);
    return 0;
}

#define BOTH(test)                                                                                 \
    cmocka_unit_test_setup(test, use_keyed_hash), cmocka_unit_test_setup(test, use_bls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_one_signature),
        BOTH(test_liars_are_found_wherever_they_stand),
        BOTH(test_errors_of_two_shares_cancel),
        BOTH(test_batch),
        BOTH(test_batch_without_coefficients),
        BOTH(test_signers_of_a_batch_are_of_the_set),
        BOTH(test_added_one_by_one),
        BOTH(test_signed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
