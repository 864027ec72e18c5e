/* cb58.h - Avalanche's text form of ids: base 58 of the bytes and the last 4 bytes of their
 * SHA-256 as a checksum.
 *
 * Not here: NodeID's meaning; a node id's text is "NodeID-" and its CB58.
 * Limits:   DSMR_CB58_BYTES_MAX bytes.
 * Threads:  pure. */
#ifndef DSMR_CRYPTO_CB58_H
#define DSMR_CRYPTO_CB58_H

#include "dsmr/types.h"

#define DSMR_CB58_BYTES_MAX 64u
#define DSMR_CB58_TEXT_MAX 100u /* digits of DSMR_CB58_BYTES_MAX + 4 bytes, and a zero byte */
#define DSMR_CB58_NODE_ID_PREFIX "NodeID-"

/* Writes the text and a zero byte. len at most DSMR_CB58_BYTES_MAX. */
void dsmr_cb58_encode(char out[DSMR_CB58_TEXT_MAX], const void *bytes, size_t len);
/* Reads exactly len bytes. MALFORMED: wrong digit, length or checksum; out is then untouched. */
DSMR_MUST_USE enum dsmr_err dsmr_cb58_decode(void *out, size_t len, const char *text,
                                             size_t text_len);
void dsmr_cb58_encode_node_id(char out[DSMR_CB58_TEXT_MAX], const struct dsmr_node_id *id);
DSMR_MUST_USE enum dsmr_err dsmr_cb58_decode_node_id(struct dsmr_node_id *out, const char *text,
                                                     size_t text_len);

#endif
