/* test_wire_vectors.c - pins every encoding, id and signed byte string to test/vectors/wire.json.
 *
 * UPDATE=1 rewrites the file (and the fuzzers' first inputs); a change of it is a change of the
 * wire format and needs a line in CHANGELOG.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "unit/wire/wire_samples.h"

#define FILE_NAME "test/vectors/wire.json"
#define CORPUS "test/fuzz/corpus/"

static json_t *made;

static void add(const char *name, const void *bytes, size_t len)
{
    char *text = malloc(2 * len + 1);
    assert_non_null(text);
    dsmr_hex_encode(text, bytes, len);
    assert_null(json_object_get(made, name));
    assert_int_equal(json_object_set_new(made, name, json_string(text)), 0);
    free(text);
}

static void add_parts(void)
{
    struct dsmr_reference ref;
    struct dsmr_cert cert;
    struct dsmr_evidence evidence;
    struct dsmr_quorum_cert qc;
    struct dsmr_id hash;
    uint8_t bytes[1024];
    struct dsmr_wr wr;
    samples_reference(&ref, 1);
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_reference_encode(&wr, &ref);
    add("reference", bytes, wr.at);
    samples_cert(&cert, 1, 9);
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_cert_encode(&wr, &cert);
    add("certificate", bytes, wr.at);
    dsmr_cert_hash(&hash, &cert);
    add("certificate.hash", hash.bytes, 32);
    samples_evidence(&evidence);
    dsmr_evidence_encode(bytes, &evidence);
    add("evidence", bytes, DSMR_EVIDENCE_BYTES);
    samples_quorum_cert(&qc, DSMR_VOTE_NOTARIZE);
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_quorum_cert_encode(&wr, &qc);
    add("quorum_certificate", bytes, wr.at);
}

static void add_signed(void)
{
    struct dsmr_params params;
    struct dsmr_reference ref;
    struct dsmr_cert cert;
    struct dsmr_vote_subject vote;
    uint8_t bytes[1024];
    static const char *const names[] = {"signing.vote.notarize", "signing.vote.nullify",
                                        "signing.vote.finalize"};
    samples_params(&params);
    samples_reference(&ref, 1);
    dsmr_share_signing_bytes(bytes, &params.domain, &ref);
    add("signing.share", bytes, DSMR_SHARE_SIGNING_BYTES);
    samples_cert(&cert, 1, 9);
    add("certificate.warp_message", bytes, dsmr_cert_warp_message(bytes, &params.domain, &cert));
    for (uint8_t kind = DSMR_VOTE_NOTARIZE; kind <= DSMR_VOTE_FINALIZE; kind++) {
        samples_vote(&vote, kind);
        dsmr_vote_signing_bytes(bytes, &params.domain, &vote);
        add(names[kind - 1], bytes, DSMR_VOTE_SIGNING_BYTES);
    }
}

static void add_chunk_and_blocks(void)
{
    struct dsmr_params params;
    struct dsmr_chunk *chunk = samples_chunk();
    struct dsmr_block *block = samples_block(2), *genesis = NULL;
    samples_params(&params);
    add("chunk", chunk->bytes, chunk->ref.chunk_bytes);
    add("chunk.id", chunk->ref.chunk_id.bytes, 32);
    add("chunk.tx_root", chunk->header.tx_root.bytes, 32);
    add("chunk.tx_ids", chunk->tx_ids, WIRE_SAMPLES_TXS * sizeof(struct dsmr_id));
    add("block", block->bytes->bytes, block->bytes->len);
    add("block.id", block->id.bytes, 32);
    assert_int_equal(dsmr_block_genesis(&genesis, &params, 1700000000000), DSMR_OK);
    add("block.genesis", genesis->bytes->bytes, genesis->bytes->len);
    add("block.genesis.id", genesis->id.bytes, 32);
    dsmr_block_unref(genesis);
    dsmr_block_unref(block);
    dsmr_chunk_unref(chunk);
}

static void add_merkle_roots(void)
{
    static const uint32_t counts[] = {0, 1, 2, 16, 17, 256, 257, 4097};
    struct dsmr_id *ids = malloc(5000 * sizeof(*ids));
    assert_non_null(ids);
    for (uint32_t i = 0; i < 5000; i++) {
        uint8_t number[4];
        dsmr_store_be32(number, i);
        dsmr_hash(&ids[i], number, 4);
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct dsmr_id root;
        char name[32];
        snprintf(name, sizeof(name), "merkle_root.%u", counts[i]);
        dsmr_hash_merkle_root(&root, ids, counts[i]);
        add(name, root.bytes, 32);
    }
    free(ids);
}

static void add_messages(void)
{
    for (size_t i = 0; i < SAMPLES_TYPES; i++) {
        struct dsmr_msg msg;
        char name[64];
        samples_message(&msg, samples_types[i], samples_body, sizeof(samples_body));
        struct dsmr_buf *buf = dsmr_msg_encode(&msg, true);
        assert_non_null(buf);
        snprintf(name, sizeof(name), "message.%s", dsmr_msg_name(samples_types[i]));
        add(name, buf->bytes, buf->len);
        dsmr_buf_unref(buf);
    }
}

static int group_setup(void **state)
{
    (void)state;
    made = json_object();
    assert_non_null(made);
    add_parts();
    add_signed();
    add_chunk_and_blocks();
    add_merkle_roots();
    add_messages();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    json_decref(made);
    return 0;
}

static void every_vector_is_exact(void **state)
{
    (void)state;
    json_error_t error;
    json_t *kept = json_load_file(FILE_NAME, 0, &error);
    assert_non_null(kept);
    assert_int_equal(json_object_size(kept), json_object_size(made));
    const char *name;
    json_t *value;
    json_object_foreach(made, name, value)
    {
        const char *expected = json_string_value(json_object_get(kept, name));
        if (expected == NULL || strcmp(json_string_value(value), expected) != 0) {
            print_message("%s differs\n", name);
        }
        assert_non_null(expected);
        assert_string_equal(json_string_value(value), expected);
    }
    json_decref(kept);
}

/* The file is what users of the format read: its bytes decode to what they say. */
static void vectors_decode(void **state)
{
    (void)state;
    json_error_t error;
    json_t *kept = json_load_file(FILE_NAME, 0, &error);
    assert_non_null(kept);
    const char *name;
    json_t *value;
    unsigned messages = 0;
    json_object_foreach(kept, name, value)
    {
        const char *text = json_string_value(value);
        struct dsmr_buf *buf = dsmr_buf_new(strlen(text) / 2);
        struct dsmr_params params;
        struct dsmr_msg msg;
        assert_non_null(buf);
        samples_params(&params);
        assert_int_equal(dsmr_hex_decode(buf->bytes, buf->len, text, strlen(text)), DSMR_OK);
        if (strncmp(name, "message.", 8) == 0) {
            assert_int_equal(dsmr_msg_decode(&msg, buf->bytes, buf->len), DSMR_OK);
            assert_string_equal(dsmr_msg_name(msg.type), name + 8);
            messages++;
        } else if (strcmp(name, "chunk") == 0) {
            struct dsmr_chunk *chunk = NULL;
            assert_int_equal(dsmr_chunk_decode(&chunk, &params, buf, buf->bytes, buf->len),
                             DSMR_OK);
            assert_int_equal(dsmr_chunk_check_txs(chunk, &params), DSMR_OK);
            dsmr_chunk_unref(chunk);
        } else if (strcmp(name, "block") == 0 || strcmp(name, "block.genesis") == 0) {
            struct dsmr_block *block = NULL;
            assert_int_equal(dsmr_block_decode(&block, &params, buf, buf->bytes, buf->len),
                             DSMR_OK);
            dsmr_block_unref(block);
        }
        dsmr_buf_unref(buf);
    }
    assert_int_equal(messages, SAMPLES_TYPES);
    json_decref(kept);
}

static void write_seed(const char *folder, const char *name, const char *hex)
{
    char path[256];
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = malloc(len + 1);
    snprintf(path, sizeof(path), CORPUS "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (bytes == NULL || file == NULL || dsmr_hex_decode(bytes, len, hex, 2 * len) != DSMR_OK ||
        fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
        fprintf(stderr, "%s: cannot be written; does its folder exist?\n", path);
        exit(1);
    }
    free(bytes);
}

static int update(void)
{
    const char *name;
    json_t *value;
    group_setup(NULL);
    json_object_foreach(made, name, value)
    {
        const char *hex = json_string_value(value);
        if (strncmp(name, "message.", 8) == 0) {
            write_seed("msg", name + 8, hex);
        } else if (strcmp(name, "chunk") == 0) {
            write_seed("chunk", name, hex);
        } else if (strcmp(name, "block") == 0 || strcmp(name, "block.genesis") == 0) {
            write_seed("block", name, hex);
        } else if (strcmp(name, "certificate") == 0) {
            write_seed("cert", name, hex);
        } else if (strcmp(name, "evidence") == 0) {
            write_seed("evidence", name, hex);
        } else if (strcmp(name, "quorum_certificate") == 0) {
            write_seed("quorum_cert", name, hex);
        }
    }
    int failed = json_dump_file(made, FILE_NAME, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(made);
    return failed != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_exact),
        cmocka_unit_test(vectors_decode),
    };
    if (getenv("UPDATE") != NULL) {
        return update();
    }
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
