/* tls_session.h - what this project wants of AWS-LC: TLS 1.3, both sides with a key.
 *
 * Why:     the settings that security rests on stand in one place.
 * How:     no chain, name or date of a certificate is judged: TLS proves that the peer holds the
 *          key, and the key is the identity. Only Ed25519 and P-256 signatures are accepted. No
 *          resumption, no tickets, no early data, and no message of the handshake after it: a peer
 *          that updates its keys is disconnected.
 * Threads: a session is the loop thread's. */
#ifndef DSMR_NET_TLS_SESSION_H
#define DSMR_NET_TLS_SESSION_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "net/tls_identity.h"
#include "net/tls_socket.h"

enum dsmr_tls_session_result {
    DSMR_TLS_DONE,
    DSMR_TLS_WANT_READ,
    DSMR_TLS_WANT_WRITE,
    DSMR_TLS_ENDED, /* the peer said goodbye */
    DSMR_TLS_FAILED /* broken bytes, broken connection */
};

/* NULL if out of memory: open has seen that AWS-LC takes the identity. identity must outlive it.
 * SSL_CTX_free ends it. */
SSL_CTX *dsmr_tls_session_context(const struct dsmr_tls_identity *identity);
/* A session on the non-blocking socket fd, which stays the caller's. SSL_free ends it. */
SSL *dsmr_tls_session_new(SSL_CTX *context, int fd, bool is_client);

enum dsmr_tls_session_result dsmr_tls_session_handshake(SSL *ssl);
/* *n is set only with DONE, and then not 0. */
enum dsmr_tls_session_result dsmr_tls_session_read(SSL *ssl, uint8_t *bytes, size_t len, size_t *n);
enum dsmr_tls_session_result dsmr_tls_session_write(SSL *ssl, const uint8_t *bytes, size_t len,
                                                    size_t *n);

/* After the handshake: until the flush, records are gathered in bytes, of
 * DSMR_TLS_SESSION_GATHER_BYTES, which must outlive it (tls_socket.h). */
#define DSMR_TLS_SESSION_GATHER_BYTES DSMR_TLS_SOCKET_GATHER_BYTES
void dsmr_tls_session_gather(SSL *ssl, uint8_t *bytes);
/* Writes what was gathered, and what the socket has not taken before. WANT_WRITE: some of it is
 * kept, flush again; FAILED. */
enum dsmr_tls_session_result dsmr_tls_session_flush(SSL *ssl);

/* After the handshake. INVALID_KEY, HANDSHAKE. */
DSMR_MUST_USE enum dsmr_err dsmr_tls_session_peer(SSL *ssl, struct dsmr_node_id *node_id);

#endif
