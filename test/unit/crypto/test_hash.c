/* test_hash.c - SHA-256 by FIPS 180-4's examples; the Merkle tree against a plain computation. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "crypto/hash_lanes.h"

static void sha256(const void *bytes, size_t len, const char *expected)
{
    struct dsmr_id id;
    char text[65];
    dsmr_hash(&id, bytes, len);
    dsmr_hex_encode(text, id.bytes, sizeof(id.bytes));
    assert_string_equal(text, expected);
}

static void published_examples(void **state)
{
    (void)state;
    sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *many = malloc(1000000);
    assert_non_null(many);
    memset(many, 'a', 1000000);
    sha256(many, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(many);
}

/* Messages whose bytes are all different, by a simple generator. */
#define MANY_MAX 40u
#define LEN_MAX 1500u
struct many {
    uint8_t bytes[MANY_MAX][LEN_MAX];
    struct dsmr_hash_message messages[MANY_MAX];
    struct dsmr_id ids[MANY_MAX + 1];
};

static void one_by_one(struct many *many, uint32_t count)
{
    static const struct dsmr_id mark = {{0xa5, 0x5a, 1, 2, 3}};
    many->ids[count] = mark;
    dsmr_hash_many(many->ids, many->messages, count);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_id id;
        dsmr_hash(&id, many->messages[i].bytes, many->messages[i].len);
        assert_true(dsmr_id_equal(&id, &many->ids[i]));
    }
    assert_true(dsmr_id_equal(&mark, &many->ids[count])); /* nothing behind */
}

static struct many *make_many(void)
{
    struct many *many = malloc(sizeof(*many));
    uint32_t x = 1;
    assert_non_null(many);
    for (uint32_t i = 0; i < MANY_MAX; i++) {
        for (uint32_t k = 0; k < LEN_MAX; k++) {
            x = x * 1664525u + 1013904223u;
            many->bytes[i][k] = (uint8_t)(x >> 24);
        }
        many->messages[i] = (struct dsmr_hash_message){many->bytes[i], 0};
    }
    return many;
}

static void many_of_each_length_equal_one_by_one(void **state)
{
    (void)state;
    struct many *many = make_many();
    for (size_t len = 0; len <= 600; len++) { /* each end of a block, nine times */
        for (uint32_t i = 0; i < MANY_MAX; i++) {
            many->messages[i].len = len;
        }
        one_by_one(many, 16);
    }
    for (uint32_t count = 0; count <= MANY_MAX; count++) {
        one_by_one(many, count);
    }
    free(many);
}

/* Mixed lengths: a lane ends before the others, in the middle of them, or runs alone. */
static void many_of_mixed_lengths_equal_one_by_one(void **state)
{
    (void)state;
    struct many *many = make_many();
    uint32_t x = 7;
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t spread = round % 4 == 0 ? LEN_MAX : round % 4 == 1 ? 130u : 70u;
        for (uint32_t i = 0; i < MANY_MAX; i++) {
            x = x * 1664525u + 1013904223u;
            many->messages[i].len = round % 4 == 3 ? 450u + (x >> 8) % 100u : (x >> 8) % spread;
        }
        one_by_one(many, 1 + (x >> 16) % MANY_MAX);
    }
    free(many);
}

/* Where the machine has lanes, each number of them, also when they do not pay. */
static void lanes_equal_one_by_one(void **state)
{
    (void)state;
    if (!dsmr_hash_lanes_exist()) {
        skip();
    }
    struct many *many = make_many();
    uint32_t x = 3;
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t count = 1 + round % DSMR_HASH_LANES;
        for (uint32_t i = 0; i < count; i++) {
            x = x * 1664525u + 1013904223u;
            many->messages[i].len = (x >> 8) % (round % 2 == 0 ? LEN_MAX : 70u);
        }
        dsmr_hash_lanes_run(many->ids, many->messages, count);
        for (uint32_t i = 0; i < count; i++) {
            struct dsmr_id id;
            dsmr_hash(&id, many->messages[i].bytes, many->messages[i].len);
            assert_true(dsmr_id_equal(&id, &many->ids[i]));
        }
    }
    free(many);
}

/* From any address, up to the last byte of a page behind which there is none, and from the first.
 */
static void lanes_read_nothing_else(void **state)
{
    (void)state;
    const size_t page = 4096;
    if (!dsmr_hash_lanes_exist()) {
        skip();
    }
    uint8_t *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
    for (size_t i = 0; i < page; i++) {
        pages[page + i] = (uint8_t)(i * 7 + i / 256);
    }
    struct dsmr_hash_message messages[DSMR_HASH_LANES];
    struct dsmr_id ids[DSMR_HASH_LANES];
    for (size_t len = 0; len <= 600; len++) {
        for (uint32_t i = 0; i < DSMR_HASH_LANES; i++) {
            size_t own = i % 4 == 3 && len >= i ? len - i : len;
            size_t from = i % 2 == 0 ? page - own : i / 2;
            messages[i] = (struct dsmr_hash_message){pages + page + from, own};
        }
        dsmr_hash_lanes_run(ids, messages, DSMR_HASH_LANES);
        for (uint32_t i = 0; i < DSMR_HASH_LANES; i++) {
            struct dsmr_id id;
            dsmr_hash(&id, messages[i].bytes, messages[i].len);
            assert_true(dsmr_id_equal(&id, &ids[i]));
        }
    }
    munmap(pages, 3 * page);
}

static struct dsmr_id *make_ids(uint32_t count)
{
    struct dsmr_id *ids = malloc((count > 0 ? count : 1) * sizeof(*ids));
    assert_non_null(ids);
    for (uint32_t i = 0; i < count; i++) {
        dsmr_hash(&ids[i], &i, sizeof(i));
    }
    return ids;
}

/* The definition of hash.h, level by level. */
static void plain_root(struct dsmr_id *out, const struct dsmr_id *ids, uint32_t count)
{
    struct dsmr_id *level = make_ids(count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t leaf[33] = {0};
        memcpy(leaf + 1, ids[i].bytes, 32);
        dsmr_hash(&level[i], leaf, 33);
    }
    uint32_t n = count;
    while (n > 1) {
        uint32_t next = 0;
        for (uint32_t i = 0; i < n; i += 16) {
            uint8_t node[1 + 16 * 32] = {1};
            uint32_t children = n - i < 16 ? n - i : 16;
            memcpy(node + 1, &level[i], children * 32u);
            dsmr_hash(&level[next++], node, 1 + children * 32u);
        }
        n = next;
    }
    uint8_t root[37] = {2};
    dsmr_store_be32(root + 1, count);
    if (count > 0) {
        memcpy(root + 5, level[0].bytes, 32);
    }
    dsmr_hash(out, root, 37);
    free(level);
}

static void roots_equal_the_definition(void **state)
{
    (void)state;
    static const uint32_t large[] = {4095, 4096, 4097, 4112, 4113, 65535, 65536};
    struct dsmr_id *ids = make_ids(65536);
    struct dsmr_id root, expected;
    for (uint32_t count = 0; count < 600; count++) {
        dsmr_hash_merkle_root(&root, ids, count);
        plain_root(&expected, ids, count);
        assert_memory_equal(&root, &expected, 32);
    }
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        dsmr_hash_merkle_root(&root, ids, large[i]);
        plain_root(&expected, ids, large[i]);
        assert_memory_equal(&root, &expected, 32);
    }
    free(ids);
}

static void root_depends_on_order_and_count(void **state)
{
    (void)state;
    struct dsmr_id *ids = make_ids(18);
    struct dsmr_id a, b, swapped;
    dsmr_hash_merkle_root(&a, ids, 17);
    dsmr_hash_merkle_root(&b, ids, 18);
    assert_false(dsmr_id_equal(&a, &b));
    swapped = ids[3];
    ids[3] = ids[16];
    ids[16] = swapped;
    dsmr_hash_merkle_root(&b, ids, 17);
    assert_false(dsmr_id_equal(&a, &b));
    /* a repeated last id is not the same as a shorter list */
    ids[17] = ids[16];
    dsmr_hash_merkle_root(&a, ids, 17);
    dsmr_hash_merkle_root(&b, ids, 18);
    assert_false(dsmr_id_equal(&a, &b));
    free(ids);
}

static void every_place_can_be_proved(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 257, 272, 273, 300};
    struct dsmr_id *ids = make_ids(301);
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        struct dsmr_id root;
        struct dsmr_merkle_proof proof;
        dsmr_hash_merkle_root(&root, ids, counts[c]);
        for (uint32_t i = 0; i < counts[c]; i++) {
            dsmr_hash_merkle_prove(&proof, ids, counts[c], i);
            assert_int_equal(dsmr_hash_merkle_check(&proof, &root, &ids[i]), DSMR_OK);
            assert_int_equal(dsmr_hash_merkle_check(&proof, &root, &ids[i + 1]),
                             DSMR_ERR_TX_MERKLE_PROOF);
        }
    }
    free(ids);
}

static void proof_of_a_full_chunk_is_small(void **state)
{
    (void)state;
    uint32_t count = DSMR_CHUNK_TXS_LIMIT;
    struct dsmr_id *ids = make_ids(count);
    struct dsmr_id root;
    struct dsmr_merkle_proof proof;
    dsmr_hash_merkle_root(&root, ids, count);
    dsmr_hash_merkle_prove(&proof, ids, count, 40000);
    assert_int_equal(proof.hashes_count, 4 * 15); /* 1920 bytes for 65536 transactions */
    assert_int_equal(dsmr_hash_merkle_check(&proof, &root, &ids[40000]), DSMR_OK);
    free(ids);
}

static void altered_proofs_are_refused(void **state)
{
    (void)state;
    struct dsmr_id *ids = make_ids(300);
    struct dsmr_id root;
    struct dsmr_merkle_proof proof, altered;
    dsmr_hash_merkle_root(&root, ids, 300);
    dsmr_hash_merkle_prove(&proof, ids, 300, 290);
    for (uint32_t i = 0; i < proof.hashes_count; i++) {
        altered = proof;
        altered.hashes[i].bytes[7] ^= 1;
        assert_int_equal(dsmr_hash_merkle_check(&altered, &root, &ids[290]),
                         DSMR_ERR_TX_MERKLE_PROOF);
    }
    /* every claim about place, count and length but the true one */
    for (uint32_t index = 0; index < 320; index++) {
        for (uint32_t count = 280; count < 320; count++) {
            altered = proof;
            altered.index = index;
            altered.count = count;
            bool same = index == 290 && count == 300;
            assert_int_equal(dsmr_hash_merkle_check(&altered, &root, &ids[290]),
                             same ? DSMR_OK : DSMR_ERR_TX_MERKLE_PROOF);
        }
    }
    static const uint32_t lengths[] = {0, 1, 200, UINT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        altered = proof;
        altered.hashes_count = lengths[i];
        assert_int_equal(dsmr_hash_merkle_check(&altered, &root, &ids[290]),
                         DSMR_ERR_TX_MERKLE_PROOF);
    }
    altered = proof;
    altered.hashes_count++;
    assert_int_equal(dsmr_hash_merkle_check(&altered, &root, &ids[290]), DSMR_ERR_TX_MERKLE_PROOF);
    memset(&altered, 0xff, sizeof(altered));
    assert_int_equal(dsmr_hash_merkle_check(&altered, &root, &ids[290]), DSMR_ERR_TX_MERKLE_PROOF);
    altered.hashes_count = DSMR_MERKLE_LEVELS_MAX * (DSMR_MERKLE_ARITY - 1);
    altered.index = UINT32_MAX - 1;
    assert_int_equal(dsmr_hash_merkle_check(&altered, &root, &ids[290]), DSMR_ERR_TX_MERKLE_PROOF);
    memset(&altered, 0, sizeof(altered));
    assert_int_equal(dsmr_hash_merkle_check(&altered, &root, &ids[290]), DSMR_ERR_TX_MERKLE_PROOF);
    free(ids);
}

/* In a full tree an index is cut to its low bits by the walk: the place must still be the claimed.
 */
static void an_index_beyond_a_full_tree_is_refused(void **state)
{
    (void)state;
    struct dsmr_id *ids = make_ids(256);
    struct dsmr_id root;
    struct dsmr_merkle_proof proof;
    dsmr_hash_merkle_root(&root, ids, 256);
    dsmr_hash_merkle_prove(&proof, ids, 256, 5);
    for (uint32_t index = 5 + 256; index < 4096; index += 256) {
        proof.index = index;
        assert_int_equal(dsmr_hash_merkle_check(&proof, &root, &ids[5]), DSMR_ERR_TX_MERKLE_PROOF);
    }
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples),
        cmocka_unit_test(many_of_each_length_equal_one_by_one),
        cmocka_unit_test(many_of_mixed_lengths_equal_one_by_one),
        cmocka_unit_test(lanes_equal_one_by_one),
        cmocka_unit_test(lanes_read_nothing_else),
        cmocka_unit_test(roots_equal_the_definition),
        cmocka_unit_test(root_depends_on_order_and_count),
        cmocka_unit_test(every_place_can_be_proved),
        cmocka_unit_test(proof_of_a_full_chunk_is_small),
        cmocka_unit_test(altered_proofs_are_refused),
        cmocka_unit_test(an_index_beyond_a_full_tree_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
