/* What strangers and faulty validators may send: refused, counted, and the node goes on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <time.h>

#include "net_fixture.h"

static void test_plain_garbage(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, NULL);
    uint8_t garbage[4096];
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof(garbage); i++)
            garbage[i] = (uint8_t)rand();
        if (round == 0)
            memcpy(garbage, "GET / HTTP/1.1\r\n\r\n", 18);
        int fd = raw_connect(scene.node);
        (void)send(fd, garbage, sizeof(garbage) >> (round % 8), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        uint8_t answer[256]; /* an alert at most, then the end or a reset */
        size_t sum = 0;
        ssize_t n;
        while ((n = read(fd, answer, sizeof(answer))) > 0)
            sum += (size_t)n;
        assert_true(sum < 100);
        close(fd);
    }
    SPIN(node_errors(scene.node, DSMR_ERR_HANDSHAKE) == 20);
    end_scene(&scene);
}

static void short_handshake(struct dsmr_tcp_net_limits *limits)
{
    limits->handshake_timeout_ms = 300;
}

static void test_silent_strangers_time_out(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, short_handshake);
    int fds[8];
    for (int i = 0; i < 8; i++)
        fds[i] = raw_connect(scene.node);
    for (int i = 0; i < 8; i++) {
        uint8_t byte;
        assert_int_equal(read(fds[i], &byte, 1), 0); /* the node has ended it */
        close(fds[i]);
    }
    assert_int_equal(node_errors(scene.node, DSMR_ERR_TIMEOUT), 8);
    end_scene(&scene);
}

static void few_strangers(struct dsmr_tcp_net_limits *limits)
{
    limits->unauthenticated_max = 4;
    limits->accepts_per_second = 1000000;
}

/* More strangers than there is room for: the oldest goes, a validator still comes in. */
static void test_strangers_are_bounded(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, few_strangers);
    int fds[12];
    for (int i = 0; i < 12; i++)
        fds[i] = raw_connect(scene.node);
    SPIN(node_errors(scene.node, DSMR_ERR_TIMEOUT) == 8);
    struct raw raw;
    raw_open(&raw, scene.node, scene.validator);
    raw_hello(&raw, &scene.node->config.domain);
    NODE_WAIT(scene.node, scene.node->ups == 2);
    for (int i = 0; i < 12; i++)
        close(fds[i]);
    raw_close(&raw);
    end_scene(&scene);
}

static void slow_accepts(struct dsmr_tcp_net_limits *limits)
{
    limits->accepts_per_second = 20;
}

static void test_accepts_are_paced(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, slow_accepts);
    struct dsmr_tls_identity *stranger = make_identity();
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < 30; i++) { /* more than a second's worth: some have to wait */
        struct raw raw;
        raw_open(&raw, scene.node, stranger);
        raw_read_to_end(&raw);
        raw_close(&raw);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    /* 20 at once, of which the honest peer took one; the others at 20 a second, never faster. */
    double took_s =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    assert_true(took_s > 0.4);
    assert_int_equal(node_errors(scene.node, DSMR_ERR_NOT_VALIDATOR), 30);
    dsmr_tls_identity_free(stranger);
    end_scene(&scene);
}

/* Adversary 60: not in the set, no service: not even a hello. */
static void test_stranger_with_a_key_gets_nothing(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, NULL);
    struct dsmr_tls_identity *stranger = make_identity();
    struct raw raw;
    raw_open(&raw, scene.node, stranger);
    raw_hello(&raw, &scene.node->config.domain);
    assert_int_equal(raw_read_to_end(&raw), 0);
    assert_int_equal(node_errors(scene.node, DSMR_ERR_NOT_VALIDATOR), 1);
    assert_int_equal(scene.node->log_lines, 0); /* not a line per stranger */
    raw_close(&raw);
    dsmr_tls_identity_free(stranger);
    end_scene(&scene);
}

static SSL_CTX *plain_context(const struct dsmr_tls_identity *identity, const char *group)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (identity != NULL) {
        SSL_CTX_use_certificate(context, identity->certificate);
        SSL_CTX_use_PrivateKey(context, identity->key);
    }
    if (group != NULL)
        SSL_CTX_set1_groups_list(context, group);
    return context;
}

static EVP_PKEY *make_rsa_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
    assert_true(EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1);
    assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* Of this key, valid for now, not signed yet. */
static X509 *dated_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    assert_true(key != NULL && certificate != NULL);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 1000);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    return certificate;
}

/* Without a certificate, with TLS 1.2, with a kind of key that is not accepted. */
static void test_wrong_tls_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, NULL);
    for (int kind = 0; kind < 3; kind++) {
        SSL_CTX *context = plain_context(kind == 1 ? scene.validator : NULL, NULL);
        if (kind == 1)
            SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
        if (kind == 2) {
            EVP_PKEY *key = make_rsa_key();
            X509 *certificate = dated_certificate(key);
            X509_sign(certificate, key, EVP_sha256());
            SSL_CTX_use_certificate(context, certificate);
            SSL_CTX_use_PrivateKey(context, key);
            X509_free(certificate);
            EVP_PKEY_free(key);
        }
        struct raw raw = {.fd = raw_connect(scene.node), .context = context};
        raw.ssl = dsmr_tls_session_new(context, raw.fd, true);
        /* The client of TLS 1.3 is done before the server has seen its certificate. */
        if (dsmr_tls_session_handshake(raw.ssl) == DSMR_TLS_DONE)
            assert_int_equal(raw_read_to_end(&raw), 0);
        SPIN(node_errors(scene.node, DSMR_ERR_HANDSHAKE) == (uint64_t)kind + 1);
        raw_close(&raw);
    }
    end_scene(&scene);
}

static void test_wrong_hello(void **state)
{
    (void)state;
    static const enum dsmr_err expected[] = {DSMR_ERR_WRONG_NETWORK, DSMR_ERR_WRONG_CHAIN,
                                             DSMR_ERR_VERSION, DSMR_ERR_MALFORMED,
                                             DSMR_ERR_TOO_LARGE};
    struct scene scene;
    set_scene(&scene, NULL);
    for (int kind = 0; kind < 5; kind++) {
        struct dsmr_domain domain = scene.node->config.domain;
        domain.network_id += kind == 0;
        domain.chain_id.bytes[31] ^= kind == 1;
        uint8_t frame[4 + DSMR_HELLO_BYTES];
        dsmr_store_be32(frame, kind == 4 ? DSMR_HELLO_BYTES_MAX + 1 : DSMR_HELLO_BYTES);
        dsmr_hello_encode(frame + 4, &domain);
        frame[4 + 6] ^= kind == 2;
        frame[4] ^= kind == 3;
        for (int again = 0; again < 3; again++) {
            struct raw raw;
            raw_open(&raw, scene.node, scene.validator);
            raw_write(&raw, frame, sizeof(frame));
            /* The node says who it is, so that the other operator is told, too. */
            size_t answer = raw_read_to_end(&raw);
            assert_int_equal(answer, kind < 4 ? 4 + DSMR_HELLO_BYTES : 0);
            raw_close(&raw);
        }
        assert_int_equal(node_errors(scene.node, expected[kind]), 3);
    }
    assert_int_equal(scene.node->log_lines, 4); /* each kind once */
    node_run(scene.node, false);
    assert_int_equal(scene.node->ups, 1);
    end_scene(&scene);
}

/* Two nodes of different chains that dial each other: both count it and never come up. */
static void test_nodes_of_two_chains(void **state)
{
    (void)state;
    struct node *nodes[2];
    for (int i = 0; i < 2; i++) {
        nodes[i] = node_new();
        nodes[i]->config.domain.chain_id.bytes[0] = (uint8_t)i;
        node_open(nodes[i]);
    }
    for (int i = 0; i < 2; i++) {
        node_know(nodes[i], nodes[1 - i]);
        node_allow(nodes[i], &nodes[1 - i]->id, 1);
    }
    for (int i = 0; i < 2; i++)
        SPIN(node_errors(nodes[i], DSMR_ERR_WRONG_CHAIN) >= 2);
    for (int i = 0; i < 2; i++) {
        node_run(nodes[i], false);
        assert_int_equal(nodes[i]->ups, 0);
        assert_int_equal(nodes[i]->log_lines, 1);
        node_free(nodes[i]);
    }
}

/* A record that is cut in the middle, for each part of the handshake and after. */
static void test_truncated_tls(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, NULL);
    /* Take a whole client flight from a session against memory, and send only a part of it. */
    SSL_CTX *context = plain_context(scene.validator, NULL);
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    SSL_do_handshake(ssl);
    uint8_t flight[2048];
    int len = BIO_read(out, flight, sizeof(flight));
    assert_true(len > 100);
    SSL_free(ssl);
    SSL_CTX_free(context);
    static const int parts[] = {1, 4, 5, 6, 50, 100};
    for (size_t i = 0; i < 6; i++) {
        int fd = raw_connect(scene.node);
        assert_int_equal(send(fd, flight, (size_t)parts[i], MSG_NOSIGNAL), parts[i]);
        shutdown(fd, SHUT_WR);
        uint8_t byte;
        while (read(fd, &byte, 1) > 0) {
        }
        close(fd);
    }
    SPIN(node_errors(scene.node, DSMR_ERR_HANDSHAKE) == 6);
    end_scene(&scene);
}

static void short_silence(struct dsmr_tcp_net_limits *limits)
{
    limits->ping_ms = 20;
    limits->silence_timeout_ms = 60;
}

static void test_silent_peer_counts_as_gone(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, NULL);
    node_free(scene.honest); /* it would have to ping as fast */
    node_free(scene.node);
    dsmr_tls_identity_free(scene.validator);
    scene.node = node_new();
    scene.validator = make_identity();
    short_silence(&scene.node->config.limits);
    node_open(scene.node);
    node_allow(scene.node, &scene.validator->node_id, 1);
    struct raw raw;
    come_up(&raw, &scene);
    size_t pings = raw_read_to_end(&raw); /* it pings, and then gives up */
    assert_true(pings >= 4);
    assert_int_equal(pings % 4, 0);
    assert_int_equal(node_errors(scene.node, DSMR_ERR_TIMEOUT), 1);
    NODE_WAIT(scene.node, scene.node->downs == 1);
    raw_close(&raw);
    node_free(scene.node);
    dsmr_tls_identity_free(scene.validator);
}

/* A validator that connects again and again without a hello holds one connection. */
static void test_one_greeting_at_a_time(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene, NULL);
    struct raw raws[5];
    for (int i = 0; i < 5; i++)
        raw_open(&raws[i], scene.node, scene.validator);
    for (int i = 0; i < 4; i++)
        assert_int_equal(raw_read_to_end(&raws[i]), 0);
    raw_hello(&raws[4], &scene.node->config.domain);
    NODE_WAIT(scene.node, scene.node->ups == 2);
    for (int i = 0; i < 5; i++)
        raw_close(&raws[i]);
    end_scene(&scene);
}

/* nodeid-spoof: somebody else answers at a validator's address. */
static void test_another_key_at_the_address(void **state)
{
    (void)state;
    struct node *node = node_new(), *impostor = node_new();
    node_open(node);
    node_open(impostor);
    struct dsmr_node_id victim = {{0xcc}};
    struct dsmr_tcp_net_address address = {victim, "127.0.0.1",
                                           dsmr_tcp_net_listen_port(impostor->net)};
    assert_int_equal(dsmr_tcp_net_set_address(node->net, &address), DSMR_OK);
    node_allow(impostor, &node->id, 1);
    node_allow(node, &victim, 1);
    SPIN(node_errors(node, DSMR_ERR_HANDSHAKE) >= 3);
    node_run(node, false);
    assert_int_equal(node->ups, 0);
    assert_int_equal(node->log_lines, 1);
    node_free(node);
    node_free(impostor);
}

/* ---- identity files ---- */

static void write_file(const char *path, const char *text, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    fchmod(fd, mode);
    close(fd);
}

/* Writes the identity's certificate anew, with a key usage of this one bit, to path. */
static void write_with_usage(const char *key_path, const char *path, int bit)
{
    FILE *file = fopen(key_path, "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    X509 *certificate = dated_certificate(key);
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    assert_non_null(usage);
    assert_true(X509_set_version(certificate, X509_VERSION_3) == 1 &&
                ASN1_BIT_STRING_set_bit(usage, bit, 1) == 1 &&
                X509_add1_ext_i2d(certificate, NID_key_usage, usage, 1, 0) == 1 &&
                X509_sign(certificate, key, NULL) > 0);
    file = fopen(path, "w");
    PEM_write_X509(file, certificate);
    fclose(file);
    ASN1_BIT_STRING_free(usage);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void test_identity_files(void **state)
{
    (void)state;
    char dir[] = "/tmp/dsmr-net-XXXXXX", key[64], certificate[64], other[64];
    char reason[DSMR_TLS_IDENTITY_REASON_BYTES];
    assert_non_null(mkdtemp(dir));
    snprintf(key, sizeof(key), "%s/key", dir);
    snprintf(certificate, sizeof(certificate), "%s/cert", dir);
    snprintf(other, sizeof(other), "%s/other", dir);
    struct dsmr_node_id id, id2;
    struct dsmr_tls_identity *identity = NULL;
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, certificate), DSMR_ERR_IO);
    assert_int_equal(dsmr_tls_identity_generate(&id, reason, key, certificate), DSMR_OK);
    struct stat st;
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(dsmr_tls_identity_generate(&id2, reason, key, certificate),
                     DSMR_ERR_DUPLICATE);
    assert_non_null(strstr(reason, key));
    /* The certificate exists: no key is left behind. */
    assert_int_equal(dsmr_tls_identity_generate(&id2, reason, other, certificate),
                     DSMR_ERR_DUPLICATE);
    assert_int_not_equal(access(other, F_OK), 0);

    assert_int_equal(chmod(key, 0640), 0);
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, certificate), DSMR_ERR_CONFIG);
    assert_non_null(strstr(reason, "chmod 600"));
    assert_int_equal(chmod(key, 0600), 0);
    write_file(other, "not PEM\n", 0600);
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, other, certificate),
                     DSMR_ERR_CONFIG);
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, other), DSMR_ERR_CONFIG);
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, dir), DSMR_ERR_CONFIG);
    assert_null(identity);
    /* The certificate of another key. */
    char key2[64];
    snprintf(key2, sizeof(key2), "%s/key2", dir);
    unlink(other);
    assert_int_equal(dsmr_tls_identity_generate(&id2, reason, key2, other), DSMR_OK);
    assert_memory_not_equal(&id, &id2, sizeof(id));
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, other), DSMR_ERR_CONFIG);
    /* A key of a kind that peers would not accept. */
    EVP_PKEY *rsa = make_rsa_key();
    FILE *file = fopen(key2, "w");
    PEM_write_PrivateKey(file, rsa, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    EVP_PKEY_free(rsa);
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key2, other), DSMR_ERR_CONFIG);
    assert_non_null(strstr(reason, "Ed25519 or P-256"));
    /* A certificate that TLS does not take for a signature's. */
    write_with_usage(key, other, 2);
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, other), DSMR_ERR_CONFIG);
    assert_non_null(strstr(reason, "key usage"));
    write_with_usage(key, other, 0);
    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, other), DSMR_OK);
    dsmr_tls_identity_free(identity);
    identity = NULL;

    assert_int_equal(dsmr_tls_identity_open(&identity, reason, key, certificate), DSMR_OK);
    assert_memory_equal(&identity->node_id, &id, sizeof(id));
    dsmr_tls_identity_free(identity);
    unlink(key);
    unlink(key2);
    unlink(other);
    unlink(certificate);
    rmdir(dir);
}

/* One call of the library handles all that have come: a faulty validator that sends nothing else
 * would have the loop for itself. What it sends behind the first is not even read. */
static void test_who_updates_keys_is_gone(void **state)
{
    (void)state;
    struct scene scene;
    struct raw raw;
    set_scene(&scene, NULL);
    come_up(&raw, &scene);
    size_t messages = scene.node->messages;
    int downs = scene.node->downs;
    const uint8_t vote[] = {0, 0, 0, 2, DSMR_MSG_BFT_VOTE, 0};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    (void)raw_write(&raw, vote, sizeof(vote));
    NODE_WAIT(scene.node, scene.node->downs > downs);
    assert_int_equal(scene.node->messages, messages);
    (void)raw_read_to_end(&raw);
    raw_close(&raw);
    end_scene(&scene);
}

/* The id is pinned: an Ed25519 key of the bytes 0..31, hashed by hand (RFC 8410 header). */
static void test_node_id_is_hash_of_key(void **state)
{
    (void)state;
    uint8_t seed[32], raw_key[32];
    for (int i = 0; i < 32; i++)
        seed[i] = (uint8_t)i;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    size_t len = sizeof(raw_key);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw_key, &len), 1);
    uint8_t spki[44] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    memcpy(spki + 12, raw_key, 32);
    uint8_t hash[32];
    assert_int_equal(EVP_Digest(spki, sizeof(spki), hash, NULL, EVP_sha256(), NULL), 1);
    X509 *certificate = X509_new();
    X509_set_pubkey(certificate, key);
    struct dsmr_node_id id;
    assert_int_equal(dsmr_tls_identity_of(&id, certificate), DSMR_OK);
    assert_memory_equal(id.bytes, hash, 20);
    X509_free(certificate);
    certificate = X509_new(); /* without a key */
    assert_int_equal(dsmr_tls_identity_of(&id, certificate), DSMR_ERR_INVALID_KEY);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* the raw peers write to ended connections */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_garbage),
        cmocka_unit_test(test_silent_strangers_time_out),
        cmocka_unit_test(test_strangers_are_bounded),
        cmocka_unit_test(test_accepts_are_paced),
        cmocka_unit_test(test_stranger_with_a_key_gets_nothing),
        cmocka_unit_test(test_wrong_tls_is_refused),
        cmocka_unit_test(test_wrong_hello),
        cmocka_unit_test(test_nodes_of_two_chains),
        cmocka_unit_test(test_truncated_tls),
        cmocka_unit_test(test_silent_peer_counts_as_gone),
        cmocka_unit_test(test_one_greeting_at_a_time),
        cmocka_unit_test(test_another_key_at_the_address),
        cmocka_unit_test(test_identity_files),
        cmocka_unit_test(test_who_updates_keys_is_gone),
        cmocka_unit_test(test_node_id_is_hash_of_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
