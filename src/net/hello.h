/* hello.h - the first message each way after TLS: are we on the same chain?
 *
 * 43 bytes: type u8 0, tag "DSMR", protocol version u16, network id u32, chain id 32. Later
 * versions may be longer; tag and version stay where they are. docs/transport.md.
 * Pure; any thread. */
#ifndef DSMR_NET_HELLO_H
#define DSMR_NET_HELLO_H

#include "dsmr/types.h"

#define DSMR_HELLO_BYTES 43u
#define DSMR_HELLO_BYTES_MAX 256u /* of any version: longer ones are refused unread */
#define DSMR_HELLO_PROTOCOL_VERSION 2u

void dsmr_hello_encode(uint8_t out[DSMR_HELLO_BYTES], const struct dsmr_domain *domain);
/* OK if the peer speaks this version on this chain; MALFORMED, VERSION, WRONG_NETWORK,
 * WRONG_CHAIN. */
DSMR_MUST_USE enum dsmr_err dsmr_hello_check(const void *bytes, size_t len,
                                             const struct dsmr_domain *domain);

#endif
