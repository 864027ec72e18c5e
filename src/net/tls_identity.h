/* tls_identity.h - the key that a node is known by on the network.
 *
 * Node id = the first 20 bytes of SHA-256 of the certificate's SubjectPublicKeyInfo (DER). The
 * key is the identity: names, dates, issuers and signatures in certificates mean nothing.
 * Keys: Ed25519 (what generate makes) or ECDSA on P-256.
 * Not here:  who is allowed; that is the validator set's.
 * Threads:   any; one identity may serve several nets. */
#ifndef DSMR_NET_TLS_IDENTITY_H
#define DSMR_NET_TLS_IDENTITY_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "dsmr/types.h"

#define DSMR_TLS_IDENTITY_REASON_BYTES 256u

struct dsmr_tls_identity { /* owned by the functions below; read only */
    struct dsmr_node_id node_id;
    EVP_PKEY *key;
    X509 *certificate;
};

/* Makes a key and a self-signed certificate and writes both as PEM: the key with mode 0600. Neither
 * file may exist (DUPLICATE). node_id: of the new key. DISK_FULL, IO, NO_MEMORY. On any error
 * reason is one sentence. */
DSMR_MUST_USE enum dsmr_err dsmr_tls_identity_generate(struct dsmr_node_id *node_id,
                                                       char reason[DSMR_TLS_IDENTITY_REASON_BYTES],
                                                       const char *key_path,
                                                       const char *certificate_path);
/* Reads both files. CONFIG: others may read the key, or the files do not hold a key of a supported
 * kind and its certificate; IO; NO_MEMORY. Caller frees. */
DSMR_MUST_USE enum dsmr_err dsmr_tls_identity_open(struct dsmr_tls_identity **out,
                                                   char reason[DSMR_TLS_IDENTITY_REASON_BYTES],
                                                   const char *key_path,
                                                   const char *certificate_path);
void dsmr_tls_identity_free(struct dsmr_tls_identity *identity); /* NULL is fine */

/* For who vouches for the key elsewhere: its 32 bytes, and a signature by it. INVALID_KEY: it is
 * not an Ed25519 key; NO_MEMORY. */
DSMR_MUST_USE enum dsmr_err dsmr_tls_identity_public(uint8_t out[32],
                                                     const struct dsmr_tls_identity *identity);
DSMR_MUST_USE enum dsmr_err dsmr_tls_identity_sign(uint8_t out[64],
                                                   const struct dsmr_tls_identity *identity,
                                                   const void *message, size_t len);

/* The node id of whoever holds the key of certificate. INVALID_KEY. */
DSMR_MUST_USE enum dsmr_err dsmr_tls_identity_of(struct dsmr_node_id *node_id, X509 *certificate);

#endif
