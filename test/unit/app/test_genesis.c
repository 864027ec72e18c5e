/* test_genesis.c - what makes a set of validators from genesis unusable: keys that were made from
 * others' keys (scenario 19, rogue-key-register), keys without a proof, proofs of something else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/genesis.h"
#include "base/bytes.h"
#include "crypto/bls_points.h"
#include "unit/crypto/bls_set.h"

#define MEMBERS 4u
#define ROGUE (MEMBERS - 1)
#define WHERE "validators[0].set[3].proof_of_possession"

static struct dsmr_genesis_member members[MEMBERS];
static char path[64], reason[DSMR_GENESIS_REASON_BYTES];

static void make_members(void)
{
    memset(members, 0, sizeof(members));
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct dsmr_bls_secret_key secret;
        bls_set_key(&secret, i);
        (void)snprintf(members[i].name, sizeof(members[i].name), "node%u", i);
        members[i].node_id.bytes[0] = (uint8_t)(i + 1);
        members[i].weight = 1;
        dsmr_bls_public_key(&members[i].key, &secret);
        dsmr_bls_prove_possession(&members[i].proof, &secret);
    }
}

static enum dsmr_err load(void)
{
    struct dsmr_genesis genesis;
    reason[0] = '\0';
    enum dsmr_err err = dsmr_genesis_load(&genesis, reason, path);
    if (err == DSMR_OK) {
        assert_int_equal(genesis.schedule[0].set->count, MEMBERS);
        dsmr_genesis_close(&genesis);
    }
    return err;
}

static enum dsmr_err write_and_load(void)
{
    struct dsmr_params params;
    dsmr_params_default(&params);
    params.domain.network_id = 7;
    enum dsmr_err err = dsmr_genesis_write(reason, path, &params, UINT64_C(1700000000000), members,
                                           MEMBERS, "{\"name\": \"opaque\"}");
    assert_int_equal(err, DSMR_OK);
    return load();
}

static void expect_refused(const char *where)
{
    assert_int_equal(write_and_load(), DSMR_ERR_CONFIG);
    assert_non_null(strstr(reason, where));
    assert_non_null(strstr(reason, path));
}

/* x times the generator less the keys of all the others: who knows x signs for all of them. */
static void make_rogue_key(struct dsmr_bls_public_key *out, const struct dsmr_bls_secret_key *x)
{
    struct dsmr_bls_public_key own;
    blst_p1 sum;
    blst_p1_affine point;
    dsmr_bls_public_key(&own, x);
    assert_int_equal(blst_p1_uncompress(&point, own.bytes), BLST_SUCCESS);
    blst_p1_from_affine(&sum, &point);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (i != ROGUE) {
            assert_int_equal(blst_p1_uncompress(&point, members[i].key.bytes), BLST_SUCCESS);
            blst_p1 negative;
            blst_p1_from_affine(&negative, &point);
            blst_p1_cneg(&negative, true);
            blst_p1_add_or_double(&sum, &sum, &negative);
        }
    }
    blst_p1_compress(out->bytes, &sum);
}

/* The aggregate alone does not notice: one signature by x passes for one by all. */
static void check_attack_is_real(const struct dsmr_bls_public_key *rogue,
                                 const struct dsmr_bls_secret_key *x)
{
    struct dsmr_validator_set *set = bls_set_new(MEMBERS);
    struct dsmr_bitset all = {{(1u << MEMBERS) - 1}};
    struct dsmr_bls_sig sig;
    assert_int_equal(dsmr_bls_key_decode(&set->validators[ROGUE].public_key,
                                         &set->validators[ROGUE].point, rogue),
                     DSMR_OK);
    dsmr_bls_sign(&sig, x, "m", 1);
    assert_int_equal(dsmr_bls_verify_aggregate(set, &all, &sig, "m", 1), DSMR_OK);
    dsmr_validator_set_unref(set);
}

static void a_rogue_key_cannot_be_registered(void **state)
{
    (void)state;
    struct dsmr_bls_secret_key x;
    bls_set_key(&x, 100);
    make_members();
    assert_int_equal(write_and_load(), DSMR_OK);
    struct dsmr_genesis_member *rogue = &members[ROGUE];
    make_rogue_key(&rogue->key, &x);
    check_attack_is_real(&rogue->key, &x);
    expect_refused(WHERE); /* the proof of the key that it had before */
    dsmr_bls_prove_possession(&rogue->proof, &x);
    expect_refused(WHERE);
    dsmr_bls_sign(&rogue->proof, &x, rogue->key.bytes, sizeof(rogue->key.bytes));
    expect_refused(WHERE);
    rogue->proof = members[0].proof;
    expect_refused(WHERE);
    /* What an aggregate of all keys would need, the others' proofs on top. */
    struct dsmr_bls_sig proofs[MEMBERS];
    dsmr_bls_prove_possession(&proofs[0], &x);
    for (uint32_t i = 1; i < MEMBERS; i++) {
        proofs[i] = members[i - 1].proof;
    }
    assert_int_equal(dsmr_bls_aggregate(&rogue->proof, NULL, proofs, MEMBERS), DSMR_OK);
    expect_refused(WHERE);
}

static void a_key_without_its_proof_is_refused(void **state)
{
    (void)state;
    struct dsmr_bls_secret_key secret;
    make_members();
    bls_set_key(&secret, ROGUE);
    /* Signed with the right key, but as a message: the proof has a suite of its own. */
    dsmr_bls_sign(&members[ROGUE].proof, &secret, members[ROGUE].key.bytes,
                  sizeof(members[ROGUE].key.bytes));
    expect_refused(WHERE);
    memset(&members[ROGUE].proof, 0, sizeof(members[ROGUE].proof));
    expect_refused(WHERE);
    members[ROGUE].proof.bytes[0] = 0xc0; /* the identity */
    expect_refused(WHERE);
    make_members();
    assert_int_equal(write_and_load(), DSMR_OK);
    char text[16384];
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    char *last = text; /* the name of the last proof */
    for (char *at = text; (at = strstr(at, "proof_of_possession")) != NULL; at++) {
        last = at;
    }
    last--; /* its quote; what follows the value is a comma and the weight */
    memset(last, ' ', (size_t)(strchr(last, ',') + 1 - last));
    rewind(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(load(), DSMR_ERR_CONFIG);
    assert_non_null(strstr(reason, WHERE));
}

/* Sums are 64 bits wide everywhere: a set whose weights need more is refused where it is read. */
static void weights_that_no_sum_holds_are_refused(void **state)
{
    (void)state;
    make_members();
    members[0].weight = INT64_MAX;
    members[1].weight = INT64_MAX - 1; /* and 1 and 1: exactly 2^64 - 1 */
    assert_int_equal(write_and_load(), DSMR_OK);
    members[1].weight = INT64_MAX;
    expect_refused("validators[0].set[3].weight: with it the weights of the set are more than "
                   "18446744073709551615 together");
    members[2].weight = INT64_MAX; /* the first that is too much is named */
    expect_refused("validators[0].set[2].weight: with it");
    make_members();
    members[3].weight = 0;
    expect_refused("validators[0].set[3].weight must be at least 1");
    members[3].weight = UINT64_MAX; /* JSON has it as -1 */
    expect_refused("validators[0].set[3].weight must be a whole number from 0 to "
                   "9223372036854775807");
}

static int make_path(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/dsmr_test_genesis_XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

/* Genesis of a chain under another engine: no network, no validators, and the rest as ever. */
static enum dsmr_err read_chain(struct dsmr_genesis *out, const char *text)
{
    struct dsmr_domain domain = {.network_id = 9};
    memset(domain.chain_id.bytes, 5, sizeof(domain.chain_id.bytes));
    reason[0] = '\0';
    return dsmr_genesis_read_chain(out, reason, text, strlen(text), &domain);
}

static void genesis_of_another_engine(void **state)
{
    struct dsmr_genesis genesis;
    (void)state;
    assert_int_equal(read_chain(&genesis, "{\"format\":1,\"time_ms\":1700000000000,\"app\":{"
                                          "\"name\":\"opaque\"}}"),
                     DSMR_OK);
    assert_int_equal(genesis.params.domain.network_id, 9);
    assert_int_equal(genesis.params.domain.chain_id.bytes[31], 5);
    assert_int_equal(genesis.schedule_count, 0);
    assert_int_equal(genesis.validators_max, 256);
    assert_int_equal(genesis.params.chunk_bytes_max, 1u << 20); /* a message of AvalancheGo */
    assert_int_equal(genesis.block->time_ms, UINT64_C(1700000000000));
    dsmr_genesis_close(&genesis);
    assert_int_equal(read_chain(&genesis, "{\"format\":1,\"time_ms\":0,\"validators_max\":5,"
                                          "\"params\":{\"slot_ms\":100},\"app\":{\"name\":"
                                          "\"opaque\"}}"),
                     DSMR_OK);
    assert_int_equal(genesis.validators_max, 5);
    assert_int_equal(genesis.params.slot_ms, 100);
    dsmr_genesis_close(&genesis);
}

static void genesis_of_another_engine_with_mistakes(void **state)
{
    static const struct {
        const char *text, *reason;
    } bad[] = {
        {"", "line 1"},
        {"[]", "must be a JSON object"},
        {"{\"format\":1,\"time_ms\":1,\"app\":{\"name\":\"opaque\"}}", "whole seconds"},
        {"{\"format\":2,\"time_ms\":0,\"app\":{\"name\":\"opaque\"}}", "format 2"},
        {"{\"format\":1,\"time_ms\":0}", "app.name"},
        {"{\"format\":1,\"time_ms\":0,\"network_id\":1,\"app\":{\"name\":\"opaque\"}}",
         "\"network_id\""},
        {"{\"format\":1,\"time_ms\":0,\"validators\":[],\"app\":{\"name\":\"opaque\"}}",
         "\"validators\""},
        {"{\"format\":1,\"time_ms\":0,\"validators_max\":0,\"app\":{\"name\":\"opaque\"}}",
         "validators_max"},
        {"{\"format\":1,\"time_ms\":0,\"params\":{\"slot_ms\":0},\"app\":{\"name\":"
         "\"opaque\"}}",
         "do not fit together"},
    };
    struct dsmr_genesis genesis;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_chain(&genesis, bad[i].text), DSMR_ERR_CONFIG);
        assert_non_null(strstr(reason, bad[i].reason));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rogue_key_cannot_be_registered),
        cmocka_unit_test(a_key_without_its_proof_is_refused),
        cmocka_unit_test(weights_that_no_sum_holds_are_refused),
        cmocka_unit_test(genesis_of_another_engine),
        cmocka_unit_test(genesis_of_another_engine_with_mistakes),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
