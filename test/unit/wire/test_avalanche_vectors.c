/* test_avalanche_vectors.c - agreement with AvalancheGo: test/vectors/avalanche.json was made by
 * its packages. Keys, proofs, signatures, canonical order, aggregates, Warp messages, texts of ids.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/bitset.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "crypto/bls.h"
#include "crypto/cb58.h"
#include "crypto/hash.h"
#include "crypto/set_builder.h"
#include "wire/codec.h"

#define FILE_NAME "test/vectors/avalanche.json"
#define KEYS_MAX 16u
#define MESSAGE_MAX 512u

static json_t *root;
static uint8_t unsigned_message[MESSAGE_MAX];
static size_t unsigned_len;
static struct dsmr_validator_set *set;

static size_t get_hex(void *out, size_t max, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    assert_non_null(text);
    size_t len = strlen(text) / 2;
    assert_true(len <= max);
    assert_int_equal(dsmr_hex_decode(out, len, text, strlen(text)), DSMR_OK);
    return len;
}

static void get_exact(void *out, size_t len, const json_t *object, const char *name)
{
    assert_int_equal(get_hex(out, len, object, name), len);
}

/* The weight of a key, which the vectors give in the canonical order only. */
static uint64_t weight_of(const json_t *key)
{
    const char *name = json_string_value(json_object_get(key, "public_compressed"));
    size_t i;
    const json_t *entry;
    json_array_foreach(json_object_get(root, "canonical_order"), i, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "public_compressed")), name) == 0) {
            return (uint64_t)json_integer_value(json_object_get(entry, "weight"));
        }
    }
    fail_msg("%s has no weight", name);
    return 0;
}

/* The keys in the order of the vectors, which is not the canonical one. */
static size_t read_entries(struct dsmr_set_builder_entry entries[KEYS_MAX])
{
    size_t i;
    const json_t *key;
    const json_t *keys = json_object_get(root, "keys");
    assert_in_range(json_array_size(keys), 1, KEYS_MAX);
    json_array_foreach(keys, i, key)
    {
        entries[i] = (struct dsmr_set_builder_entry){
            .node_id = {{(uint8_t)i}}, .has_key = true, .weight = weight_of(key)};
        get_exact(entries[i].key.bytes, 96, key, "public_uncompressed");
    }
    return i;
}

static int group_setup(void **state)
{
    (void)state;
    struct dsmr_set_builder_entry entries[KEYS_MAX];
    json_error_t error;
    size_t bad;
    root = json_load_file(FILE_NAME, 0, &error);
    assert_non_null(root);
    unsigned_len = get_hex(unsigned_message, sizeof(unsigned_message), root, "unsigned_message");
    size_t count = read_entries(entries);
    assert_int_equal(dsmr_set_builder_build(&set, &bad, 0, entries, count), DSMR_OK);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    json_decref(root);
    dsmr_validator_set_unref(set);
    return 0;
}

static void keys_proofs_and_signatures(void **state)
{
    (void)state;
    const json_t *keys = json_object_get(root, "keys");
    assert_int_equal(json_array_size(keys), 7);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *entry = json_array_get(keys, i);
        struct dsmr_bls_secret_key secret;
        struct dsmr_bls_public_key key, expected_key;
        struct dsmr_bls_public_key_raw raw, expected_raw;
        struct dsmr_bls_sig sig, expected_sig;
        struct dsmr_bls_point point;
        get_exact(secret.bytes, 32, entry, "secret");
        get_exact(expected_key.bytes, 48, entry, "public_compressed");
        get_exact(expected_raw.bytes, 96, entry, "public_uncompressed");
        assert_int_equal(dsmr_bls_secret_check(&secret), DSMR_OK);
        dsmr_bls_public_key(&key, &secret);
        assert_memory_equal(&key, &expected_key, 48);
        assert_int_equal(dsmr_bls_key_decode(&raw, &point, &key), DSMR_OK);
        assert_memory_equal(&raw, &expected_raw, 96);
        assert_int_equal(dsmr_bls_key_decode_raw(&point, &expected_raw), DSMR_OK);
        dsmr_bls_key_compress(&key, &point);
        assert_memory_equal(&key, &expected_key, 48);

        get_exact(expected_sig.bytes, 96, entry, "proof_of_possession");
        dsmr_bls_prove_possession(&sig, &secret);
        assert_memory_equal(&sig, &expected_sig, 96);
        assert_int_equal(dsmr_bls_check_possession(&key, &expected_sig), DSMR_OK);

        get_exact(expected_sig.bytes, 96, entry, "signature_over_unsigned_message");
        dsmr_bls_sign(&sig, &secret, unsigned_message, unsigned_len);
        assert_memory_equal(&sig, &expected_sig, 96);
        assert_int_equal(dsmr_bls_verify(&point, &expected_sig, unsigned_message, unsigned_len),
                         DSMR_OK);
    }
}

static void unsigned_message_and_its_id(void **state)
{
    (void)state;
    struct dsmr_domain domain = {0};
    uint8_t payload[MESSAGE_MAX], bytes[MESSAGE_MAX];
    struct dsmr_id id, expected_id;
    struct dsmr_wr wr;
    domain.network_id = (uint32_t)json_integer_value(json_object_get(root, "network_id"));
    get_exact(domain.chain_id.bytes, 32, root, "chain_id");
    size_t payload_len = get_hex(payload, sizeof(payload), root, "payload");
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_wr_u16(&wr, 0);
    dsmr_wr_domain(&wr, &domain);
    dsmr_wr_u32(&wr, (uint32_t)payload_len);
    dsmr_wr_bytes(&wr, payload, payload_len);
    assert_int_equal(wr.at, unsigned_len);
    assert_memory_equal(bytes, unsigned_message, unsigned_len);
    get_exact(expected_id.bytes, 32, root, "unsigned_message_id");
    dsmr_hash(&id, unsigned_message, unsigned_len);
    assert_memory_equal(&id, &expected_id, 32);

    /* our signed bytes have the same head, up to the payload's length */
    uint8_t signing[DSMR_SHARE_SIGNING_BYTES];
    struct dsmr_reference ref = {.tx_count = 1};
    dsmr_share_signing_bytes(signing, &domain, &ref);
    assert_memory_equal(signing, unsigned_message, 2 + 4 + 32);
    assert_int_equal(dsmr_load_be32(signing + 38), DSMR_SHARE_SIGNING_BYTES - 42);
}

/* What set_builder makes of the keys, in whichever order they come. */
static void order_is_by_uncompressed_key(void **state)
{
    (void)state;
    struct dsmr_set_builder_entry entries[KEYS_MAX];
    struct dsmr_prng prng;
    const json_t *order = json_object_get(root, "canonical_order");
    size_t count = read_entries(entries), bad;
    assert_int_equal(json_array_size(order), count);
    dsmr_prng_init(&prng, 1);
    for (unsigned round = 0; round < 50; round++) {
        struct dsmr_validator_set *built;
        for (size_t i = count - 1; round > 0 && i > 0; i--) {
            size_t other = (size_t)dsmr_prng_below(&prng, i + 1);
            struct dsmr_set_builder_entry entry = entries[i];
            entries[i] = entries[other];
            entries[other] = entry;
        }
        assert_int_equal(dsmr_set_builder_build(&built, &bad, 0, entries, count), DSMR_OK);
        assert_int_equal(built->count, count);
        assert_int_equal(built->total_weight,
                         json_integer_value(json_object_get(root, "total_weight")));
        for (size_t i = 0; i < count; i++) {
            const json_t *entry = json_array_get(order, i);
            struct dsmr_bls_public_key key, expected;
            get_exact(expected.bytes, 48, entry, "public_compressed");
            dsmr_bls_key_compress(&key, &built->validators[i].point);
            assert_memory_equal(&key, &expected, 48);
            assert_int_equal(built->validators[i].weight,
                             json_integer_value(json_object_get(entry, "weight")));
        }
        dsmr_validator_set_unref(built);
    }
}

/* The shares of the signers, found by key among the vectors. */
static size_t shares_of(struct dsmr_bls_sig *sigs, const json_t *signers)
{
    const json_t *keys = json_object_get(root, "keys");
    size_t count = 0;
    for (size_t s = 0; s < json_array_size(signers); s++) {
        json_int_t index = json_integer_value(json_array_get(signers, s));
        for (size_t k = 0; k < json_array_size(keys); k++) {
            uint8_t raw[96];
            get_exact(raw, 96, json_array_get(keys, k), "public_uncompressed");
            if (memcmp(raw, set->validators[index].public_key.bytes, 96) == 0) {
                get_exact(sigs[count++].bytes, 96, json_array_get(keys, k),
                          "signature_over_unsigned_message");
            }
        }
    }
    return count;
}

static enum dsmr_err decode_bitset(struct dsmr_bitset *out, const json_t *entry)
{
    uint8_t bytes[2 + 64];
    struct dsmr_rd rd;
    size_t len = get_hex(bytes + 2, 64, entry, "bitset");
    dsmr_store_be16(bytes, (uint16_t)len);
    dsmr_rd_init(&rd, bytes, 2 + len);
    dsmr_signers_decode(&rd, out, set->count);
    return dsmr_rd_end(&rd);
}

static void aggregates_and_their_messages(void **state)
{
    (void)state;
    const json_t *aggregates = json_object_get(root, "aggregates");
    assert_int_equal(json_array_size(aggregates), 5);
    for (size_t i = 0; i < json_array_size(aggregates); i++) {
        const json_t *entry = json_array_get(aggregates, i);
        const json_t *indexes = json_object_get(entry, "signers");
        struct dsmr_bitset signers, expected_signers = {{0}};
        struct dsmr_bls_sig sigs[KEYS_MAX], sig, expected_sig;
        size_t bad;
        for (size_t s = 0; s < json_array_size(indexes); s++) {
            dsmr_bitset_add(&expected_signers,
                            (uint32_t)json_integer_value(json_array_get(indexes, s)));
        }
        assert_int_equal(decode_bitset(&signers, entry), DSMR_OK);
        assert_memory_equal(&signers, &expected_signers, sizeof(signers));

        size_t count = shares_of(sigs, indexes);
        assert_int_equal(count, json_array_size(indexes));
        assert_int_equal(dsmr_bls_aggregate(&sig, &bad, sigs, count), DSMR_OK);
        get_exact(expected_sig.bytes, 96, entry, "aggregate");
        assert_memory_equal(&sig, &expected_sig, 96);
        assert_int_equal(
            dsmr_bls_verify_aggregate(set, &signers, &sig, unsigned_message, unsigned_len),
            DSMR_OK);

        uint64_t weight = dsmr_bitset_weight(&signers, set);
        assert_int_equal(weight, json_integer_value(json_object_get(entry, "signed_weight")));
        bool expected = json_is_true(json_object_get(entry, "verifies_at_67_of_100"));
        assert_int_equal(67 * set->total_weight <= 100 * weight, expected);
        assert_int_equal(json_object_get(entry, "error") == NULL, expected);
        assert_int_equal(dsmr_is_quorum(weight, set->total_weight), expected);

        uint8_t message[MESSAGE_MAX], bytes[MESSAGE_MAX], bitset[DSMR_VALIDATORS_MAX / 8];
        struct dsmr_wr wr;
        size_t message_len = get_hex(message, sizeof(message), entry, "message");
        size_t bitset_len = dsmr_signers_bytes(bitset, &signers);
        dsmr_wr_init(&wr, bytes, sizeof(bytes));
        dsmr_wr_bytes(&wr, unsigned_message, unsigned_len);
        dsmr_wr_u32(&wr, 0);
        dsmr_wr_u32(&wr, (uint32_t)bitset_len);
        dsmr_wr_bytes(&wr, bitset, bitset_len);
        dsmr_wr_bytes(&wr, sig.bytes, sizeof(sig.bytes));
        assert_int_equal(wr.at, message_len);
        assert_memory_equal(bytes, message, message_len);
    }
}

static void what_avalanchego_refuses_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum dsmr_err bitset, verify;
    } expected[] = {
        {"leading zero byte", DSMR_ERR_BITSET, DSMR_OK},
        {"bit beyond the set", DSMR_ERR_BITSET, DSMR_OK},
        {"no signers", DSMR_ERR_BITSET, DSMR_OK},
        {"wrong signer set", DSMR_OK, DSMR_ERR_BAD_SIGNATURE},
        {"identity signature", DSMR_OK, DSMR_ERR_BAD_SIGNATURE},
    };
    const json_t *invalid = json_object_get(root, "invalid");
    assert_int_equal(json_array_size(invalid), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *entry = json_array_get(invalid, i);
        struct dsmr_bitset signers;
        struct dsmr_bls_sig sig;
        assert_string_equal(json_string_value(json_object_get(entry, "name")), expected[i].name);
        assert_int_equal(decode_bitset(&signers, entry), expected[i].bitset);
        if (expected[i].bitset == DSMR_OK) {
            get_exact(sig.bytes, 96, entry, "aggregate");
            assert_int_equal(
                dsmr_bls_verify_aggregate(set, &signers, &sig, unsigned_message, unsigned_len),
                expected[i].verify);
        }
    }
}

static void texts_of_ids(void **state)
{
    (void)state;
    const json_t *texts = json_object_get(root, "text");
    char text[DSMR_CB58_TEXT_MAX];
    struct dsmr_id id = {{'d', 's', 'm', 'r'}}, again;
    struct dsmr_node_id node_id, node_again;
    const char *expected = json_string_value(json_object_get(texts, "vm_id_dsmr_cb58"));
    dsmr_cb58_encode(text, id.bytes, 32);
    assert_string_equal(text, expected);
    assert_int_equal(dsmr_cb58_decode(again.bytes, 32, expected, strlen(expected)), DSMR_OK);
    assert_memory_equal(&again, &id, 32);

    get_exact(id.bytes, 32, root, "chain_id");
    expected = json_string_value(json_object_get(texts, "chain_id_cb58"));
    dsmr_cb58_encode(text, id.bytes, 32);
    assert_string_equal(text, expected);
    assert_int_equal(dsmr_cb58_decode(again.bytes, 32, expected, strlen(expected)), DSMR_OK);
    assert_memory_equal(&again, &id, 32);

    get_exact(node_id.bytes, 20, texts, "node_id_bytes");
    expected = json_string_value(json_object_get(texts, "node_id"));
    dsmr_cb58_encode_node_id(text, &node_id);
    assert_string_equal(text, expected);
    assert_int_equal(dsmr_cb58_decode_node_id(&node_again, expected, strlen(expected)), DSMR_OK);
    assert_memory_equal(&node_again, &node_id, 20);
}

/* Whoever adds a vector must add what compares it: names that no test above reads are refused. */
static void no_vector_is_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *of, *names;
    } known[] = {
        {NULL, " source network_id chain_id payload unsigned_message unsigned_message_id keys "
               "canonical_order total_weight aggregates invalid text "},
        {"keys", " secret public_compressed public_uncompressed proof_of_possession "
                 "signature_over_unsigned_message "},
        {"canonical_order", " public_compressed weight "},
        {"aggregates",
         " signers bitset aggregate message signed_weight verifies_at_67_of_100 error "},
        {"invalid", " name bitset aggregate error "},
        {"text", " vm_id_dsmr_cb58 chain_id_cb58 node_id node_id_bytes "},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const json_t *part = known[i].of == NULL ? root : json_object_get(root, known[i].of);
        size_t count = json_is_array(part) ? json_array_size(part) : 1;
        for (size_t at = 0; at < count; at++) {
            json_t *object =
                json_is_array(part) ? json_array_get(part, at) : (json_t *)(uintptr_t)part;
            const char *name;
            json_t *value;
            json_object_foreach(object, name, value)
            {
                char padded[64];
                snprintf(padded, sizeof(padded), " %s ", name);
                assert_non_null(strstr(known[i].names, padded));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_proofs_and_signatures),
        cmocka_unit_test(unsigned_message_and_its_id),
        cmocka_unit_test(order_is_by_uncompressed_key),
        cmocka_unit_test(aggregates_and_their_messages),
        cmocka_unit_test(what_avalanchego_refuses_is_refused),
        cmocka_unit_test(texts_of_ids),
        cmocka_unit_test(no_vector_is_left_out),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
