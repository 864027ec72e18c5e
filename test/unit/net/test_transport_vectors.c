/* test_transport_vectors.c - pins hello, frames and node ids to test/vectors/transport.json.
 *
 * UPDATE=1 rewrites the file; that is a change of the wire format. */
#include "unit/vectors.h"

#include "net/frame_writer.h"
#include "net/hello.h"
#include "net/tls_identity.h"
#include "unit/wire/wire_samples.h"

#define FILE_NAME "test/vectors/transport.json"

static void add_hello(void)
{
    struct dsmr_params params;
    uint8_t hello[DSMR_HELLO_BYTES];
    samples_params(&params);
    dsmr_hello_encode(hello, &params.domain);
    vectors_add("hello", hello, sizeof(hello));
}

static struct dsmr_outbox_message *take_one(void *ctx, unsigned end)
{
    struct dsmr_outbox_message **message = ctx;
    struct dsmr_outbox_message *taken = *message;
    if (taken == NULL || taken->cls >= end) {
        return NULL;
    }
    *message = NULL;
    return taken;
}

/* All bytes that a writer gives for the message, then nothing. */
static size_t written(uint8_t *out, struct dsmr_frame_writer *writer,
                      struct dsmr_outbox_message *message)
{
    size_t at = 0, len;
    const uint8_t *bytes;
    for (;;) {
        dsmr_frame_writer_next(writer, &bytes, &len, take_one, &message);
        if (len == 0) {
            return at;
        }
        memcpy(out + at, bytes, len);
        at += len;
        dsmr_frame_writer_done(writer, len);
    }
}

/* A message with a body of its own, one without, and a ping. */
static void add_frames(void)
{
    static struct dsmr_frame_writer writer;
    uint8_t bytes[1024];
    struct dsmr_msg msg;
    dsmr_frame_writer_init(&writer);
    assert_true(dsmr_frame_writer_add(&writer, NULL, 0));
    vectors_add("frame.ping", bytes, written(bytes, &writer, NULL));

    samples_message(&msg, DSMR_MSG_STATUS, NULL, 0);
    struct dsmr_buf *head = dsmr_msg_encode(&msg, false);
    struct dsmr_outbox_message *message = dsmr_outbox_message_new(head, NULL, NULL, 0);
    assert_non_null(message);
    dsmr_buf_unref(head);
    vectors_add("frame.STATUS", bytes, written(bytes, &writer, message));

    struct dsmr_chunk *chunk = samples_chunk();
    samples_message(&msg, DSMR_MSG_CHUNK, chunk->bytes, chunk->ref.chunk_bytes);
    head = dsmr_msg_encode(&msg, false);
    message = dsmr_outbox_message_new(head, chunk->owner, chunk->bytes, chunk->ref.chunk_bytes);
    assert_non_null(message);
    dsmr_buf_unref(head);
    vectors_add("frame.CHUNK", bytes, written(bytes, &writer, message));
    dsmr_chunk_unref(chunk);
    dsmr_frame_writer_close(&writer);
}

/* The headers of a chunk that comes in two pieces: where the first ends is the writer's choice. */
static void add_pieces(void)
{
    static struct dsmr_frame_writer writer;
    static uint8_t bytes[80000];
    enum { LEN = 70000, FIRST = DSMR_FRAME_BYTES_MAX - 2 * DSMR_FRAME_HEADER_BYTES };
    struct dsmr_buf *head = dsmr_buf_new(LEN);
    assert_non_null(head);
    memset(head->bytes, DSMR_MSG_CHUNK, LEN);
    struct dsmr_outbox_message *message = dsmr_outbox_message_new(head, NULL, NULL, 0);
    assert_non_null(message);
    dsmr_buf_unref(head);
    message->cls = DSMR_MSG_CLASS_CHUNK;
    dsmr_frame_writer_init(&writer);
    assert_int_equal(written(bytes, &writer, message), LEN + 3 * DSMR_FRAME_HEADER_BYTES);
    vectors_add("frame.begin", bytes, 4);
    vectors_add("frame.piece.first", bytes + 4, 4);
    vectors_add("frame.piece.last", bytes + 8 + FIRST, 4);
    dsmr_frame_writer_close(&writer);
}

/* The certificate around the key is another at each run and means nothing. */
static void add_node_id(void)
{
    uint8_t secret[32], public[32];
    size_t len = sizeof(public);
    struct dsmr_node_id node_id;
    samples_fill(secret, sizeof(secret), 0x60);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof(secret));
    X509 *certificate = X509_new();
    assert_true(key != NULL && certificate != NULL);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 1000);
    assert_true(X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, NULL) > 0);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, public, &len), 1);
    assert_int_equal(dsmr_tls_identity_of(&node_id, certificate), DSMR_OK);
    vectors_add("tls.secret_key", secret, sizeof(secret));
    vectors_add("tls.public_key", public, sizeof(public));
    vectors_add("tls.node_id", node_id.bytes, sizeof(node_id.bytes));
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void make_all(void)
{
    add_hello();
    add_frames();
    add_pieces();
    add_node_id();
}

static void every_vector_is_exact(void **state)
{
    (void)state;
    make_all();
    vectors_compare(FILE_NAME);
    vectors_forget();
}

static void kept_hello_is_taken(void **state)
{
    (void)state;
    struct dsmr_params params;
    uint8_t hello[DSMR_HELLO_BYTES_MAX];
    json_t *kept = vectors_load(FILE_NAME);
    samples_params(&params);
    size_t len = vectors_bytes(hello, sizeof(hello), kept, "hello");
    assert_int_equal(dsmr_hello_check(hello, len, &params.domain), DSMR_OK);
    json_decref(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_exact),
        cmocka_unit_test(kept_hello_is_taken),
    };
    if (getenv("UPDATE") != NULL) {
        make_all();
        return vectors_save(FILE_NAME);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
