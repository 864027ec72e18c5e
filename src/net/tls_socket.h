/* tls_socket.h - between a TLS session and its socket: several records in one system call.
 *
 * Why:        AWS-LC's own way writes each record of 16 KiB by itself, and asks the kernel for the
 *             socket's error before each read and write: two calls a record, and a wake-up of the
 *             reader.
 * How:        while the owner gathers, records are copied into memory of the owner's until that is
 *             full or the owner flushes. What the socket then does not take is kept until it does,
 *             and nothing may pass it.
 * Invariants: bytes leave in the order in which the session wrote them, each once. While not
 *             gathering, and with nothing kept, a record goes to the socket at once.
 * Threads:    the session's. */
#ifndef DSMR_NET_TLS_SOCKET_H
#define DSMR_NET_TLS_SOCKET_H

#include <openssl/bio.h>
#include <stdint.h>

/* Four full records with their headers and tags. Twice as much is some 5% quicker, but a vote would
 * wait behind it. */
#define DSMR_TLS_SOCKET_GATHER_BYTES ((64u << 10) + 128u)

/* For the non-blocking socket fd, which stays the caller's. NULL if out of memory. BIO_free ends
 * it, and what it keeps is lost. */
BIO *dsmr_tls_socket_new(int fd);

/* From now on, until the flush, up to DSMR_TLS_SOCKET_GATHER_BYTES are gathered in bytes, which
 * must outlive the flush. */
void dsmr_tls_socket_gather(BIO *bio, uint8_t *bytes);

enum dsmr_tls_socket_result {
    DSMR_TLS_SOCKET_DONE,
    DSMR_TLS_SOCKET_BLOCKED, /* the rest is kept: flush again when the socket can be written to */
    DSMR_TLS_SOCKET_FAILED   /* the connection is broken, or memory for the rest is out */
};

/* Ends the gathering, and writes what was gathered or kept. */
enum dsmr_tls_socket_result dsmr_tls_socket_flush(BIO *bio);

#endif
