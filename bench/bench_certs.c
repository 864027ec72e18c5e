/* bench_certs - what the certificates of a block cost a validator that has to verify it.
 *
 * usage: bench_certs [validators ...]        default: 4 16 100 300 1000
 * Prints milliseconds of one core for each certificate of blocks of 1 to 256, each with signers of
 * its own, a little over two thirds of the set; beside it what a certificate costs whose verdict
 * is cached, and the primitive: one pairing check. Each of them with messages that are new to the
 * node, and with messages that it has met, as those it signed itself (crypto/recent_points.h).
 * What a set keeps to add up keys (crypto/key_sum.h) is made before, as after its first blocks.
 * Then signing, aggregating and verifying with four validators, beside the operations of blst that
 * each cannot do without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blst.h"

#include "base/bitset.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "core/verdict_cache.h"
#include "crypto/aggregate.h"
#include "crypto/bls.h"
#include "crypto/recent_points.h"
#include "wire/codec.h"

#define CERTS_MAX 256u
#define MEASURE_NS 400000000.0

struct block {
    struct dsmr_validator_set *set;
    uint64_t secrets[DSMR_VALIDATORS_MAX];
    struct dsmr_cert certs[CERTS_MAX];
    uint8_t messages[CERTS_MAX][32];
    struct dsmr_bls_batch_item items[CERTS_MAX];
    struct dsmr_verdict_cache *cache;
    uint32_t count; /* of certificates */
};

static double thread_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void check(bool is_right, const char *what)
{
    if (!is_right) {
        (void)fprintf(stderr, "bench_certs: %s\n", what);
        exit(1);
    }
}

/* Small secrets, so that the sum of some is the secret of their aggregate. */
static void make_key(struct dsmr_bls_secret_key *out, uint64_t secret)
{
    memset(out, 0, sizeof *out);
    dsmr_store_be64(out->bytes + sizeof out->bytes - 8, secret);
}

static void make_set(struct block *b, uint32_t validators, struct dsmr_prng *prng)
{
    b->set = calloc(1, sizeof *b->set + validators * sizeof b->set->validators[0]);
    check(b->set != NULL, "out of memory");
    b->set->refs = 1;
    b->set->count = validators;
    b->set->total_weight = validators;
    for (uint32_t i = 0; i < validators; i++) {
        struct dsmr_bls_secret_key key;
        struct dsmr_bls_public_key public_key;
        struct dsmr_validator *validator = &b->set->validators[i];
        b->secrets[i] = (dsmr_prng_next(prng) >> 16) + 1; /* the sum of all fits */
        make_key(&key, b->secrets[i]);
        dsmr_bls_public_key(&public_key, &key);
        check(dsmr_bls_key_decode(&validator->public_key, &validator->point, &public_key) ==
                  DSMR_OK,
              "a key does not decode");
        validator->weight = 1;
    }
}

static void make_cert(struct block *b, uint32_t at, struct dsmr_prng *prng)
{
    struct dsmr_cert *cert = &b->certs[at];
    struct dsmr_bls_secret_key key;
    uint64_t secret = 0;
    uint32_t quorum = (uint32_t)dsmr_quorum_weight(b->set->total_weight);
    memset(cert, 0, sizeof *cert);
    for (uint32_t left = quorum; left > 0;) {
        uint32_t i = (uint32_t)(dsmr_prng_next(prng) % b->set->count);
        if (!dsmr_bitset_has(&cert->signers, i)) {
            dsmr_bitset_add(&cert->signers, i);
            secret += b->secrets[i];
            left--;
        }
    }
    dsmr_store_be64(cert->ref.chunk_id.bytes, at);
    dsmr_store_be64(b->messages[at], at);
    make_key(&key, secret);
    dsmr_bls_sign(&cert->sig, &key, b->messages[at], sizeof b->messages[at]);
    b->items[at] = (struct dsmr_bls_batch_item){.set = b->set,
                                                .signers = &cert->signers,
                                                .sig = &cert->sig,
                                                .message = b->messages[at],
                                                .len = sizeof b->messages[at]};
}

static void verify(struct block *b)
{
    static uint8_t random[8 * CERTS_MAX];
    for (size_t i = 0; i < sizeof random; i++) {
        random[i] = (uint8_t)(i * 7 + 1);
    }
    check(dsmr_bls_verify_batch(b->items, b->count, random) == DSMR_OK, "a block is not valid");
}

static void look_up(struct block *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        struct dsmr_id hash;
        enum dsmr_err verdict = DSMR_ERR_BAD_SIGNATURE;
        dsmr_cert_hash(&hash, &b->certs[i]);
        check(dsmr_verdict_cache_find(b->cache, &verdict, &hash) && verdict == DSMR_OK,
              "a verdict is not there");
    }
}

static void verify_one(struct block *b)
{
    const struct dsmr_bls_batch_item *item = &b->items[0];
    check(dsmr_bls_verify_aggregate(item->set, item->signers, item->sig, item->message,
                                    item->len) == DSMR_OK,
          "a certificate is not valid");
}

/* Milliseconds of one run, after one that warms up. */
static double measure(struct block *b, bool are_new, void (*work)(struct block *b))
{
    double took = 0;
    uint64_t runs = 0;
    for (work(b); took < MEASURE_NS; runs++) {
        dsmr_bls_forget_sigs(); /* they are others' */
        if (are_new) {
            dsmr_recent_points_forget(DSMR_RECENT_POINTS_MESSAGES);
        }
        double begun = thread_ns();
        work(b);
        took += thread_ns() - begun;
    }
    return took / (double)runs / 1e6;
}

static void measure_blocks(struct block *b, bool are_new)
{
    static const uint32_t counts[] = {1, 4, 16, 64, 256};
    printf("| %u | %s |", b->set->count, are_new ? "new" : "met");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        b->count = counts[i];
        printf(" %.3f |", measure(b, are_new, verify) / counts[i]);
        (void)fflush(stdout);
    }
    b->count = CERTS_MAX;
    printf(" %.4f | %.3f |\n", measure(b, false, look_up) / CERTS_MAX,
           measure(b, are_new, verify_one));
}

static void measure_set(uint32_t validators)
{
    struct dsmr_prng prng;
    struct block *b = calloc(1, sizeof *b);
    check(b != NULL, "out of memory");
    dsmr_prng_init(&prng, 1);
    make_set(b, validators, &prng);
    b->cache = dsmr_verdict_cache_new(CERTS_MAX, 1);
    check(b->cache != NULL, "out of memory");
    for (uint32_t i = 0; i < CERTS_MAX; i++) {
        struct dsmr_id hash;
        make_cert(b, i, &prng);
        dsmr_cert_hash(&hash, &b->certs[i]);
        dsmr_verdict_cache_add(b->cache, &hash, DSMR_OK);
    }
    for (b->count = 1; b->count <= CERTS_MAX; b->count *= 2) {
        verify(b);
    }
    measure_blocks(b, true);
    measure_blocks(b, false);
    dsmr_verdict_cache_free(b->cache);
    dsmr_validator_set_unref(b->set);
    free(b);
}

/* ---- beside the primitives ---- */

static struct {
    blst_scalar scalar;
    blst_p1_affine keys[65];
    blst_p2 point;
    blst_p2_affine sigs[65];
    blst_fp12 product;
    uint8_t bytes[96];
    struct dsmr_bls_secret_key secrets[4];
    struct dsmr_share shares[3];
    uint64_t met; /* messages */
} p;

static void hash_to_curve(struct block *b)
{
    static const char dst[] = "bench";
    dsmr_store_be64(b->messages[0] + 8, ++p.met);
    blst_hash_to_g2(&p.point, b->messages[0], 32, (const byte *)dst, sizeof dst, NULL, 0);
}

static void multiply(struct block *b)
{
    (void)b;
    blst_p2_mult(&p.point, &p.point, p.scalar.b, 255);
}

static void decode(struct block *b)
{
    (void)b;
    check(blst_p2_uncompress(&p.sigs[0], p.bytes) == BLST_SUCCESS, "a point does not decode");
}

static void check_group(struct block *b)
{
    (void)b;
    check(blst_p2_affine_in_g2(&p.sigs[0]), "a point is outside the group");
}

/* count + 1 of them share their squarings. */
static void miller_loops(struct block *b)
{
    const blst_p2_affine *sigs[] = {p.sigs, NULL}; /* NULL: the rest lies behind the first */
    const blst_p1_affine *keys[] = {p.keys, NULL};
    blst_miller_loop_n(&p.product, sigs, keys, b->count + 1);
}

static void final_exponentiation(struct block *b)
{
    blst_fp12 out;
    (void)b;
    blst_final_exp(&out, &p.product);
}

static void next_message(struct block *b, uint32_t at)
{
    dsmr_store_be64(b->messages[at] + 8, ++p.met);
}

static void sign_met(struct block *b)
{
    dsmr_bls_sign(&p.shares[0].sig, &p.secrets[0], b->messages[0], 32);
}

static void sign_new(struct block *b)
{
    next_message(b, 0);
    sign_met(b);
}

static void verify_share(struct block *b)
{
    check(dsmr_bls_verify(&b->set->validators[0].point, &p.shares[0].sig, b->messages[0], 32) ==
              DSMR_OK,
          "a share is not valid");
}

static void aggregate(struct block *b)
{
    struct dsmr_bls_sig sum;
    struct dsmr_bitset signers, bad;
    memset(&signers, 0, sizeof signers);
    check(dsmr_aggregate_shares(&sum, &signers, &bad, b->set, p.shares, 3, b->messages[0], 32) ==
              DSMR_OK,
          "shares do not aggregate");
}

static void row(const char *stage, double ms, double least, const char *of)
{
    printf("| %s | %.3f | %.3f | %.1f | %s |\n", stage, ms, least, ms / least, of);
    (void)fflush(stdout);
}

static void prepare(struct block *b)
{
    for (uint32_t i = 0; i < 4; i++) {
        make_key(&p.secrets[i], b->secrets[i]);
    }
    for (uint32_t i = 0; i < 3; i++) {
        p.shares[i].signer = i;
        dsmr_bls_sign(&p.shares[i].sig, &p.secrets[i], b->messages[0], 32);
    }
    memset(p.scalar.b, 0x55, sizeof p.scalar.b);
    p.point = *blst_p2_generator();
    memcpy(p.bytes, p.shares[0].sig.bytes, sizeof p.bytes);
    for (uint32_t i = 0; i < 65; i++) {
        p.keys[i] = *blst_p1_affine_generator();
        p.sigs[i] = *blst_p2_affine_generator();
    }
}

static void measure_stages(void)
{
    struct dsmr_prng prng;
    struct block *b = calloc(1, sizeof *b);
    check(b != NULL, "out of memory");
    dsmr_prng_init(&prng, 1);
    make_set(b, 4, &prng);
    for (uint32_t i = 0; i < 64; i++) {
        make_cert(b, i, &prng);
    }
    prepare(b);
    double decoded = measure(b, false, decode), group = measure(b, false, check_group);
    b->count = 1;
    double two = measure(b, false, miller_loops);
    b->count = 4; /* as many sets of three signers are there */
    double many = measure(b, false, miller_loops), last = measure(b, false, final_exponentiation);
    b->count = 64;
    double product = measure(b, false, multiply);
    printf("\n| stage, 4 validators | ms | least | times | which is |\n|---|---|---|---|---|\n");
    row("verify a share", measure(b, false, verify_share), decoded + group + two + last,
        "decode, group, two Miller loops, final exponentiation");
    row("aggregate three shares, verify", measure(b, false, aggregate),
        3 * decoded + group + two + last,
        "three times decode, group, two Miller loops, final exponentiation");
    row("batch of 64, each", measure(b, false, verify) / 64, decoded + group + (many + last) / 64,
        "decode, group, a 64th of five Miller loops and of the final exponentiation");
    row("sign a message that was met", measure(b, false, sign_met), product, "multiply");
    row("sign a new one", measure(b, false, sign_new), measure(b, false, hash_to_curve) + product,
        "hash to G2, multiply");
    dsmr_validator_set_unref(b->set);
    free(b);
}

int main(int argc, char **argv)
{
    static const uint32_t defaults[] = {4, 16, 100, 300, 1000};
    printf("| validators | messages | 1 certificate, ms | of 4 | of 16 | of 64 | of 256 | cached | "
           "alone |\n|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 1; i < argc; i++) {
        unsigned long validators = strtoul(argv[i], NULL, 10);
        check(validators > 0 && validators <= DSMR_VALIDATORS_MAX, "validators: 1 to 1024");
        measure_set((uint32_t)validators);
    }
    for (size_t i = 0; argc == 1 && i < sizeof defaults / sizeof defaults[0]; i++) {
        measure_set(defaults[i]);
    }
    measure_stages();
    return 0;
}
