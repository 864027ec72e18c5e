#include "net/tls_session.h"

#include <openssl/err.h>

#include "base/assert.h"

/* Bytes that one read(2) may bring: several records, so that a chunk costs few system calls. */
#define READ_BUFFER_BYTES ((size_t)128 << 10)
/* A peer's certificate is one small certificate; more is not worth the memory. */
#define CERTIFICATES_BYTES_MAX (16l << 10)

static int accept_any_certificate(X509_STORE_CTX *store, void *ctx)
{
    (void)ctx;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* No node sends anything of the handshake after it. One library call would handle as many key
 * updates as have come, while all others wait: for whoever sends one this is the end. */
static void on_message(int is_write, int version, int type, const void *bytes, size_t len, SSL *ssl,
                       void *ctx)
{
    (void)version, (void)bytes, (void)len, (void)ctx;
    if (is_write == 0 && type == SSL3_RT_HANDSHAKE && SSL_is_init_finished(ssl))
        SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
}

SSL_CTX *dsmr_tls_session_context(const struct dsmr_tls_identity *identity)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL)
        return NULL;
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_msg_callback(context, on_message);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(context, CERTIFICATES_BYTES_MAX);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER_BYTES);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, accept_any_certificate, NULL);
    bool is_set = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                  SSL_CTX_set_num_tickets(context, 0) == 1 &&
                  SSL_CTX_set_ciphersuites(
                      context, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
                  SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 &&
                  SSL_CTX_set1_sigalgs_list(context, "ed25519:ecdsa_secp256r1_sha256") == 1 &&
                  SSL_CTX_use_certificate(context, identity->certificate) == 1 &&
                  SSL_CTX_use_PrivateKey(context, identity->key) == 1;
    if (!is_set) {
        ERR_clear_error();
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

SSL *dsmr_tls_session_new(SSL_CTX *context, int fd, bool is_client)
{
    SSL *ssl = SSL_new(context);
    BIO *bio = ssl != NULL ? dsmr_tls_socket_new(fd) : NULL;
    if (bio == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_bio(ssl, bio, bio); /* the session's from now on */
    if (is_client)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    return ssl;
}

/* What a call that returned rc means; leaves no error behind for the next call to trip over. */
static enum dsmr_tls_session_result result_of(SSL *ssl, int rc)
{
    if (rc == 1)
        return DSMR_TLS_DONE;
    switch (SSL_get_error(ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return DSMR_TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return DSMR_TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return DSMR_TLS_ENDED;
    default:
        ERR_clear_error();
        return DSMR_TLS_FAILED;
    }
}

enum dsmr_tls_session_result dsmr_tls_session_handshake(SSL *ssl)
{
    return result_of(ssl, SSL_do_handshake(ssl));
}

enum dsmr_tls_session_result dsmr_tls_session_read(SSL *ssl, uint8_t *bytes, size_t len, size_t *n)
{
    return result_of(ssl, SSL_read_ex(ssl, bytes, len, n));
}

enum dsmr_tls_session_result dsmr_tls_session_write(SSL *ssl, const uint8_t *bytes, size_t len,
                                                    size_t *n)
{
    return result_of(ssl, SSL_write_ex(ssl, bytes, len, n));
}

void dsmr_tls_session_gather(SSL *ssl, uint8_t *bytes)
{
    dsmr_tls_socket_gather(SSL_get_wbio(ssl), bytes);
}

enum dsmr_tls_session_result dsmr_tls_session_flush(SSL *ssl)
{
    switch (dsmr_tls_socket_flush(SSL_get_wbio(ssl))) {
    case DSMR_TLS_SOCKET_DONE:
        return DSMR_TLS_DONE;
    case DSMR_TLS_SOCKET_BLOCKED:
        return DSMR_TLS_WANT_WRITE;
    case DSMR_TLS_SOCKET_FAILED:
        return DSMR_TLS_FAILED;
    }
    DSMR_UNREACHABLE();
}

enum dsmr_err dsmr_tls_session_peer(SSL *ssl, struct dsmr_node_id *node_id)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == NULL)
        return DSMR_ERR_HANDSHAKE;
    return dsmr_tls_identity_of(node_id, certificate);
}
