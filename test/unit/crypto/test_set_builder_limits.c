/* test_set_builder_limits.c - protocol.md, 3.1 to 3.3, at every limit: nodes of a key, number of
 * keys, the total weight, and each kind of key that is none (adversary 20). That the order is
 * Avalanche's is shown in test_avalanche_vectors.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/set_builder.h"
#include "unit/crypto/bls_set.h"

#define ENTRIES_MAX 8u

static struct dsmr_set_builder_entry entries[ENTRIES_MAX];

static void raw_key(struct dsmr_bls_public_key_raw *out, uint32_t number)
{
    struct dsmr_bls_secret_key secret;
    struct dsmr_bls_public_key key;
    struct dsmr_bls_point point;
    bls_set_key(&secret, number);
    dsmr_bls_public_key(&key, &secret);
    assert_int_equal(dsmr_bls_key_decode(out, &point, &key), DSMR_OK);
}

static struct dsmr_set_builder_entry entry_of(uint32_t key, uint8_t node, uint64_t weight)
{
    struct dsmr_set_builder_entry entry = {.node_id = {{node}}, .weight = weight, .has_key = true};
    raw_key(&entry.key, key);
    return entry;
}

/* Nodes 1.. with keys of their own and weight 10 each. */
static int setup(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        entries[i] = entry_of(i, (uint8_t)(1 + i), 10);
    }
    return 0;
}

static struct dsmr_validator_set *build(size_t count)
{
    struct dsmr_validator_set *set = NULL;
    size_t bad = 77;
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 5, entries, count), DSMR_OK);
    assert_int_equal(bad, 77);
    assert_int_equal(set->epoch, 5);
    assert_int_equal(set->refs, 1);
    for (uint32_t i = 1; i < set->count; i++) {
        assert_true(memcmp(set->validators[i - 1].public_key.bytes,
                           set->validators[i].public_key.bytes, 96) < 0);
    }
    return set;
}

/* Refused with err, nothing given out. Returns *bad, 77 if it was not set. */
static size_t refused(enum dsmr_err err, size_t count)
{
    struct dsmr_validator_set *none = NULL;
    size_t bad = 77;
    assert_int_equal(dsmr_set_builder_build(&none, &bad, 5, entries, count), err);
    assert_null(none);
    return bad;
}

static const struct dsmr_validator *entry_with(const struct dsmr_validator_set *set, uint32_t key)
{
    struct dsmr_bls_public_key_raw raw;
    raw_key(&raw, key);
    for (uint32_t i = 0; i < set->count; i++) {
        if (memcmp(raw.bytes, set->validators[i].public_key.bytes, 96) == 0) {
            return &set->validators[i];
        }
    }
    fail_msg("key %u is not in the set", key);
    return NULL;
}

static void every_entry_keeps_its_key_weight_and_node(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        entries[i].weight = 100 + i;
    }
    struct dsmr_validator_set *set = build(ENTRIES_MAX);
    assert_int_equal(set->count, ENTRIES_MAX);
    assert_int_equal(set->total_weight, 100 * ENTRIES_MAX + 28);
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        const struct dsmr_validator *validator = entry_with(set, i);
        struct dsmr_bls_public_key expected, key;
        struct dsmr_bls_secret_key secret;
        assert_int_equal(validator->weight, 100 + i);
        assert_int_equal(validator->node_ids_count, 1);
        assert_int_equal(validator->node_ids[0].bytes[0], 1 + i);
        assert_int_equal(dsmr_validator_set_find(set, &entries[i].node_id),
                         validator - set->validators);
        bls_set_key(&secret, i);
        dsmr_bls_public_key(&expected, &secret);
        dsmr_bls_key_compress(&key, &validator->point);
        assert_memory_equal(&key, &expected, sizeof(key));
    }
    dsmr_validator_set_unref(set);
}

/* 3.1 and 3.2: nodes with one key are one entry, which has their weight and may not sign. */
static void equal_keys_are_merged(void **state)
{
    (void)state;
    entries[2] = entry_of(0, 9, 7);
    entries[5] = entry_of(0, 3, 20); /* node 3 was entry 2's and is free */
    struct dsmr_validator_set *set = build(6);
    assert_int_equal(set->count, 4);
    assert_int_equal(set->total_weight, 10 + 10 + 7 + 10 + 10 + 20);
    const struct dsmr_validator *merged = entry_with(set, 0);
    assert_int_equal(merged->weight, 10 + 7 + 20);
    assert_int_equal(merged->node_ids_count, 3);
    static const uint8_t nodes[] = {1, 3, 9}; /* ascending, in whichever order they came */
    for (size_t i = 0; i < 3; i++) {
        struct dsmr_node_id node = {{nodes[i]}};
        assert_memory_equal(&merged->node_ids[i], &node, sizeof(node));
        assert_int_equal(dsmr_validator_set_find(set, &node), -1);
    }
    assert_true(dsmr_validator_set_find(set, &entries[1].node_id) >= 0);
    dsmr_validator_set_unref(set);

    struct dsmr_set_builder_entry first = entries[0];
    entries[0] = entries[5];
    entries[5] = entries[2];
    entries[2] = first;
    set = build(6);
    merged = entry_with(set, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(merged->node_ids[i].bytes[0], nodes[i]);
    }
    dsmr_validator_set_unref(set);
}

/* A fifth counts with its weight and is not named. */
static void a_key_names_at_most_four_nodes(void **state)
{
    (void)state;
    for (uint8_t i = 1; i <= DSMR_NODE_IDS_PER_KEY_MAX; i++) {
        entries[i] = entry_of(6, (uint8_t)(20 + i), 1);
    }
    struct dsmr_validator_set *set = build(1 + DSMR_NODE_IDS_PER_KEY_MAX);
    assert_int_equal(entry_with(set, 6)->node_ids_count, DSMR_NODE_IDS_PER_KEY_MAX);
    assert_int_equal(entry_with(set, 6)->node_ids[3].bytes[0], 24);
    dsmr_validator_set_unref(set);
    entries[5] = entry_of(6, 25, 1);
    set = build(6);
    assert_int_equal(set->count, 2);
    assert_int_equal(set->total_weight, 10 + 5);
    assert_int_equal(entry_with(set, 6)->weight, 5);
    assert_int_equal(entry_with(set, 6)->node_ids_count, DSMR_NODE_IDS_PER_KEY_MAX);
    assert_int_equal(entry_with(set, 6)->node_ids[3].bytes[0], 24);
    assert_int_equal(dsmr_validator_set_find(set, &entries[5].node_id), -1);
    dsmr_validator_set_unref(set);
}

/* A node that an engine names twice counts as two: under one key the entry may not sign; under two
 * keys the node signs with the first of the set only. Genesis refuses both before. */
static void a_node_that_stands_twice_signs_at_most_once(void **state)
{
    (void)state;
    entries[1] = entry_of(0, 1, 5);
    struct dsmr_validator_set *set = build(2);
    assert_int_equal(set->count, 1);
    assert_int_equal(set->total_weight, 15);
    assert_int_equal(set->validators[0].node_ids_count, 2);
    assert_int_equal(dsmr_validator_set_find(set, &entries[0].node_id), -1);
    dsmr_validator_set_unref(set);
    entries[1] = entry_of(1, 1, 5);
    set = build(2);
    assert_int_equal(set->count, 2);
    assert_int_equal(dsmr_validator_set_find(set, &entries[0].node_id), 0);
    dsmr_validator_set_unref(set);
}

/* Nobody could sign in it, but it is a set: its weight is what a quorum is counted of. */
static void a_set_may_be_without_keys(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        entries[i].has_key = false;
        memset(&entries[i].key, 0xff, sizeof(entries[i].key)); /* not looked at */
    }
    struct dsmr_validator_set *set = build(3);
    assert_int_equal(set->count, 0);
    assert_int_equal(set->total_weight, 30);
    assert_int_equal(dsmr_validator_set_find(set, &entries[1].node_id), -1);
    dsmr_validator_set_unref(set);
}

static void total_weight_has_64_bits(void **state)
{
    (void)state;
    entries[0].weight = UINT64_MAX - 30;
    struct dsmr_validator_set *set = build(4);
    assert_int_equal(set->total_weight, UINT64_MAX);
    dsmr_validator_set_unref(set);
    for (size_t over = 0; over < 4; over++) { /* whichever entry it is, with a key or without */
        entries[over].weight += 2;            /* by 1 the sum would be 0, which is refused anyway */
        assert_int_equal(refused(DSMR_ERR_LIMIT, 4), 77);
        entries[over].has_key = false;
        assert_int_equal(refused(DSMR_ERR_LIMIT, 4), 77);
        entries[over].has_key = true;
        entries[over].weight -= 2;
    }
    entries[0].weight = UINT64_MAX; /* merged entries */
    entries[1] = entry_of(0, 9, 2);
    assert_int_equal(refused(DSMR_ERR_LIMIT, 2), 77);
}

/* On the curve: of order 11; and (4, y) of none that is small, outside the subgroup. */
static const char order_11[] = "19b3e2c8c6bbf59d3c326b531fc1e639d29200c28624ac604f251a12908c9b7f73"
                               "5318617f625954cc71cdf03229b1ef15d1455562b9a28d0f11a69ecd34f5a8ade0"
                               "1df410168a09cf16ccfbcbfc69403c7c5771a05d217a122b795529939e03";
static const char outside_y[] = "0a989badd40d6212b33cffc3f3763e9bc760f988c9926b26da9dd85e92848344"
                                "6346b8ed00e1de5d5ea93e354abe706c";

/* Adversary 20, and 3.3. The whole set is refused, and *bad says whose key it was: a set that each
 * node cut down by itself would not be the same everywhere. */
static void keys_that_are_no_keys_are_refused(void **state)
{
    (void)state;
    struct dsmr_bls_public_key_raw good, bad_keys[9];
    raw_key(&good, 3);
    memset(bad_keys, 0, sizeof(bad_keys));
    bad_keys[0].bytes[0] = 0x40; /* the identity */
    bad_keys[1].bytes[95] = 2;   /* (0, 2): on the curve, of order 3 */
    bad_keys[2].bytes[95] = 1;   /* (0, 1): not on the curve */
    bad_keys[3] = good;
    bad_keys[3].bytes[95] ^= 1; /* off the curve by a bit */
    bad_keys[4] = good;
    bad_keys[4].bytes[0] |= 0x80; /* says that it is compressed */
    memset(&bad_keys[5], 0xff, sizeof(bad_keys[5]));
    bad_keys[6] = good;
    bad_keys[6].bytes[0] |= 0x20; /* a sign, which only the compressed form has */
    assert_int_equal(dsmr_hex_decode(bad_keys[7].bytes, 96, order_11, 192), DSMR_OK);
    bad_keys[8].bytes[47] = 4;
    assert_int_equal(dsmr_hex_decode(bad_keys[8].bytes + 48, 48, outside_y, 96), DSMR_OK);
    for (size_t i = 0; i < 9; i++) {
        for (size_t place = 0; place < 4; place++) {
            setup(NULL);
            entries[place].key = bad_keys[i];
            assert_int_equal(refused(DSMR_ERR_INVALID_KEY, 4), place);
        }
    }
    entries[1].key = entries[3].key = bad_keys[1]; /* the first is named */
    assert_int_equal(refused(DSMR_ERR_INVALID_KEY, 4), 1);
}

static void number_of_keys_is_limited(void **state)
{
    (void)state;
    enum { MOST = DSMR_VALIDATORS_MAX * DSMR_NODE_IDS_PER_KEY_MAX };
    struct dsmr_set_builder_entry *many = calloc(MOST + 1, sizeof(*many));
    struct dsmr_validator_set *set = NULL;
    size_t bad = 77;
    assert_non_null(many);
    for (uint32_t i = 0; i <= MOST; i++) {
        many[i].weight = 1;
        dsmr_store_be32(many[i].node_id.bytes, i);
    }
    for (uint32_t i = 0; i <= DSMR_VALIDATORS_MAX; i++) {
        many[i].has_key = true;
        raw_key(&many[i].key, i);
    }
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 0, many, MOST), DSMR_ERR_LIMIT);
    many[DSMR_VALIDATORS_MAX].key = many[7].key; /* two nodes share one */
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 0, many, MOST), DSMR_OK);
    assert_int_equal(set->count, DSMR_VALIDATORS_MAX);
    dsmr_validator_set_unref(set);
    set = NULL;
    many[DSMR_VALIDATORS_MAX].has_key = false;
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 0, many, MOST + 1), DSMR_ERR_LIMIT);
    assert_null(set);
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 0, many, MOST), DSMR_OK);
    assert_int_equal(set->count, DSMR_VALIDATORS_MAX);
    assert_int_equal(set->total_weight, MOST);
    dsmr_validator_set_unref(set);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_entry_keeps_its_key_weight_and_node, setup),
        cmocka_unit_test_setup(equal_keys_are_merged, setup),
        cmocka_unit_test_setup(a_key_names_at_most_four_nodes, setup),
        cmocka_unit_test_setup(a_node_that_stands_twice_signs_at_most_once, setup),
        cmocka_unit_test_setup(a_set_may_be_without_keys, setup),
        cmocka_unit_test_setup(total_weight_has_64_bits, setup),
        cmocka_unit_test_setup(keys_that_are_no_keys_are_refused, setup),
        cmocka_unit_test_setup(number_of_keys_is_limited, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
