/* file_signer.h - ports/signer.h over a BLS key in a file.
 *
 * Invariants: it signs only what wire's signing-byte functions make from values; there is no way
 *             to hand it bytes (adversary 4, signing-oracle). The key is wiped when it is freed.
 * Threads:    sign_* from any. */
#ifndef DSMR_HOST_FILE_SIGNER_H
#define DSMR_HOST_FILE_SIGNER_H

#include "crypto/bls.h"
#include "host/key_file.h"
#include "ports/signer.h"

struct dsmr_file_signer; /* opaque */

/* Reads the key at path as key_file.h says; CONFIG also if it is not a BLS secret key; NO_MEMORY.
 * reason: one sentence on any error. Caller frees. */
DSMR_MUST_USE enum dsmr_err dsmr_file_signer_open(struct dsmr_file_signer **out,
                                                  char reason[DSMR_KEY_FILE_REASON_BYTES],
                                                  const char *path);
void dsmr_file_signer_free(struct dsmr_file_signer *signer); /* NULL is fine */

struct dsmr_signer dsmr_file_signer_port(struct dsmr_file_signer *signer);

/* Borrowed as long as signer is. */
const struct dsmr_bls_public_key *
dsmr_file_signer_public_key(const struct dsmr_file_signer *signer);

/* Makes a key from the system's randomness and writes it to path, which must not exist.
 * public_key and proof of possession are for genesis. Errors as dsmr_key_file_write. */
DSMR_MUST_USE enum dsmr_err dsmr_file_signer_generate(struct dsmr_bls_public_key *public_key,
                                                      struct dsmr_bls_sig *proof,
                                                      char reason[DSMR_KEY_FILE_REASON_BYTES],
                                                      const char *path);

#endif
