/* test_wire_vectors.c - pins every encoding, id and signed byte string to test/vectors/wire.json.
 *
 * UPDATE=1 rewrites the file (and the fuzzers' first inputs); a change of it is a change of the
 * wire format and needs a line in CHANGELOG.md. */
#include "unit/vectors.h"
#include "unit/wire/wire_samples.h"
#include "wire/submit_frame.h"

#define FILE_NAME "test/vectors/wire.json"
#define CORPUS "test/fuzz/corpus/"

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
    vectors_add("reference", bytes, wr.at);
    samples_cert(&cert, 1, 9);
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_cert_encode(&wr, &cert);
    vectors_add("certificate", bytes, wr.at);
    dsmr_cert_hash(&hash, &cert);
    vectors_add("certificate.hash", hash.bytes, 32);
    samples_evidence(&evidence);
    dsmr_evidence_encode(bytes, &evidence);
    vectors_add("evidence", bytes, DSMR_EVIDENCE_BYTES);
    samples_quorum_cert(&qc, DSMR_VOTE_NOTARIZE);
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_quorum_cert_encode(&wr, &qc);
    vectors_add("quorum_certificate", bytes, wr.at);
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
    vectors_add("signing.share", bytes, DSMR_SHARE_SIGNING_BYTES);
    samples_cert(&cert, 1, 9);
    vectors_add("certificate.warp_message", bytes,
                dsmr_cert_warp_message(bytes, &params.domain, &cert));
    for (uint8_t kind = DSMR_VOTE_NOTARIZE; kind <= DSMR_VOTE_FINALIZE; kind++) {
        samples_vote(&vote, kind);
        dsmr_vote_signing_bytes(bytes, &params.domain, &vote);
        vectors_add(names[kind - 1], bytes, DSMR_VOTE_SIGNING_BYTES);
    }
}

static void add_chunk_and_blocks(void)
{
    struct dsmr_params params;
    struct dsmr_chunk *chunk = samples_chunk();
    struct dsmr_block *block = samples_block(2), *genesis = NULL;
    samples_params(&params);
    vectors_add("chunk", chunk->bytes, chunk->ref.chunk_bytes);
    vectors_add("chunk.id", chunk->ref.chunk_id.bytes, 32);
    vectors_add("chunk.tx_root", chunk->header.tx_root.bytes, 32);
    vectors_add("chunk.tx_ids", chunk->tx_ids, WIRE_SAMPLES_TXS * sizeof(struct dsmr_id));
    vectors_add("block", block->bytes->bytes, block->bytes->len);
    vectors_add("block.id", block->id.bytes, 32);
    assert_int_equal(dsmr_block_genesis(&genesis, &params, 1700000000000), DSMR_OK);
    vectors_add("block.genesis", genesis->bytes->bytes, genesis->bytes->len);
    vectors_add("block.genesis.id", genesis->id.bytes, 32);
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
        vectors_add(name, root.bytes, 32);
    }
    free(ids);
}

static void add_message(const char *name, const struct dsmr_msg *msg)
{
    struct dsmr_buf *buf = dsmr_msg_encode(msg, true);
    assert_non_null(buf);
    vectors_add(name, buf->bytes, buf->len);
    dsmr_buf_unref(buf);
}

static void add_messages(void)
{
    struct dsmr_msg msg;
    for (size_t i = 0; i < SAMPLES_TYPES; i++) {
        char name[64];
        samples_message(&msg, samples_types[i], samples_body, sizeof(samples_body));
        snprintf(name, sizeof(name), "message.%s", dsmr_msg_name(samples_types[i]));
        add_message(name, &msg);
    }
    /* the other forms of three of them */
    samples_message(&msg, DSMR_MSG_CHUNK, NULL, 0);
    msg.u.chunk.err = DSMR_ERR_PRUNED;
    add_message("message.CHUNK.pruned", &msg);
    samples_message(&msg, DSMR_MSG_BFT_PROPOSAL, NULL, 0);
    add_message("message.BFT_PROPOSAL.again", &msg);
    samples_message(&msg, DSMR_MSG_CERTIFICATE_ANSWER, NULL, 0);
    msg.u.chunk_refused.err = DSMR_OK;
    add_message("message.CERTIFICATE_ANSWER.taken", &msg);
}
#define MESSAGES (SAMPLES_TYPES + 3)

/* A notice of two runs. */
static void add_notice(const char *name, enum dsmr_submit_frame_type type, uint64_t height,
                       uint32_t code)
{
    uint8_t bytes[DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES + 2 * DSMR_SUBMIT_FRAME_RUN_BYTES];
    struct dsmr_submit_run runs[2] = {{5, 1000, 0}, {1005, 24, code}};
    dsmr_submit_frame_notice_head(bytes, type, height, 2);
    for (size_t i = 0; i < 2; i++) {
        dsmr_submit_frame_run_encode(bytes + DSMR_SUBMIT_FRAME_NOTICE_HEAD_BYTES +
                                         i * DSMR_SUBMIT_FRAME_RUN_BYTES,
                                     &runs[i]);
    }
    vectors_add(name, bytes, sizeof(bytes));
}

static void add_submit_frames(void)
{
    struct dsmr_params params;
    struct dsmr_submit_frame_hello hello = {.wants = DSMR_SUBMIT_FRAME_WANT_CERTIFIED |
                                                     DSMR_SUBMIT_FRAME_WANT_EXECUTED};
    const struct dsmr_submit_frame_welcome welcome = {1u << 20, 16384, 65536};
    uint8_t bytes[512];
    size_t len = DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES;
    samples_params(&params);
    hello.domain = params.domain;
    dsmr_submit_frame_hello_encode(bytes, &hello);
    vectors_add("submit.HELLO", bytes, DSMR_SUBMIT_FRAME_HELLO_BYTES);
    for (uint32_t i = 0; i < WIRE_SAMPLES_TXS; i++) {
        uint32_t tx_len = samples_tx(bytes + len + 4, i);
        dsmr_store_be32(bytes + len, tx_len);
        len += 4 + tx_len;
    }
    dsmr_submit_frame_submit_head(bytes, 5, WIRE_SAMPLES_TXS,
                                  (uint32_t)len - DSMR_SUBMIT_FRAME_SUBMIT_HEAD_BYTES);
    vectors_add("submit.SUBMIT", bytes, len);
    dsmr_submit_frame_welcome_encode(bytes, &welcome);
    vectors_add("submit.WELCOME", bytes, DSMR_SUBMIT_FRAME_WELCOME_BYTES);
    dsmr_submit_frame_error_encode(bytes, DSMR_ERR_TOO_LARGE);
    vectors_add("submit.ERROR", bytes, DSMR_SUBMIT_FRAME_ERROR_BYTES);
    add_notice("submit.ACK", DSMR_SUBMIT_FRAME_ACK, 0, DSMR_ERR_MEMPOOL_FULL);
    add_notice("submit.CERTIFIED", DSMR_SUBMIT_FRAME_CERTIFIED, 0, 0);
    add_notice("submit.EXECUTED", DSMR_SUBMIT_FRAME_EXECUTED, 42, 5);
    add_notice("submit.EXPIRED", DSMR_SUBMIT_FRAME_EXPIRED, 0, 0);
}

static int group_setup(void **state)
{
    (void)state;
    add_parts();
    add_signed();
    add_chunk_and_blocks();
    add_merkle_roots();
    add_messages();
    add_submit_frames();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    vectors_forget();
    return 0;
}

static void every_vector_is_exact(void **state)
{
    (void)state;
    vectors_compare(FILE_NAME);
}

/* Name of the type in "message.TYPE" or "message.TYPE.form". */
static bool is_message_of(const char *name, const char *type)
{
    size_t len = strlen(type);
    return strncmp(name + 8, type, len) == 0 && (name[8 + len] == '\0' || name[8 + len] == '.');
}

static void submit_frame_decodes(uint8_t type, const uint8_t *payload, size_t len)
{
    struct dsmr_submit_frame_hello hello;
    struct dsmr_submit_frame_welcome welcome;
    enum dsmr_err err;
    uint64_t number;
    uint32_t count;
    switch (type) {
    case DSMR_SUBMIT_FRAME_HELLO:
        assert_int_equal(dsmr_submit_frame_hello_decode(&hello, payload, len), DSMR_OK);
        break;
    case DSMR_SUBMIT_FRAME_WELCOME:
        assert_int_equal(dsmr_submit_frame_welcome_decode(&welcome, payload, len), DSMR_OK);
        break;
    case DSMR_SUBMIT_FRAME_SUBMIT:
        assert_int_equal(dsmr_submit_frame_submit_decode(&number, &count, payload, len), DSMR_OK);
        assert_int_equal(count, WIRE_SAMPLES_TXS);
        break;
    case DSMR_SUBMIT_FRAME_ERROR:
        assert_int_equal(dsmr_submit_frame_error_decode(&err, payload, len), DSMR_OK);
        assert_int_equal(err, DSMR_ERR_TOO_LARGE);
        break;
    default:
        assert_int_equal(dsmr_submit_frame_notice_decode(&number, &count, payload, len), DSMR_OK);
        assert_int_equal(count, 2);
        break;
    }
}

/* The file is what users of the format read: its bytes decode to what they say. */
static void vectors_decode(void **state)
{
    (void)state;
    json_t *kept = vectors_load(FILE_NAME);
    const char *name;
    json_t *value;
    unsigned messages = 0, frames = 0;
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
            assert_true(is_message_of(name, dsmr_msg_name(msg.type)));
            messages++;
        } else if (strncmp(name, "submit.", 7) == 0) {
            size_t frame_len;
            assert_int_equal(dsmr_submit_frame_peek(&frame_len, buf->bytes, buf->len), DSMR_OK);
            assert_int_equal(frame_len, buf->len);
            submit_frame_decodes(buf->bytes[4], buf->bytes + 5, frame_len - 5);
            frames++;
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
    assert_int_equal(messages, MESSAGES);
    assert_int_equal(frames, DSMR_SUBMIT_FRAME_ERROR);
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
    json_object_foreach(vectors_made, name, value)
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
    int failed = vectors_save(FILE_NAME);
    vectors_forget();
    return failed;
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
