/* signing.h - the head that every signed byte string begins with.
 *
 * Not here: what is signed; each kind's x_signing_bytes is beside its fields, and nobody else
 *           includes this file. */
#ifndef DSMR_WIRE_SIGNING_H
#define DSMR_WIRE_SIGNING_H

#include "wire/codec.h"

#define DSMR_SIGNING_TAG_BYTES 6u /* "DSMR", type u8, version u8 */

/* Head of an Avalanche Warp UnsignedMessage and of the payload; fields_len: what follows. */
void dsmr_signing_head(struct dsmr_wr *wr, const struct dsmr_domain *domain,
                       enum dsmr_signing_type type, uint32_t fields_len);

#endif
