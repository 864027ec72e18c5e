/* frame.h - the header of a frame: docs/transport.md, section 5.
 *
 * A u32, big-endian: the kind in the first byte, a number of bytes in the other three. */
#ifndef DSMR_NET_FRAME_H
#define DSMR_NET_FRAME_H

#include "base/bytes.h"
#include "wire/message.h"

#define DSMR_FRAME_HEADER_BYTES 4u
/* What one frame carries at most: a vote waits behind no more than the rest of one. */
#define DSMR_FRAME_BYTES_MAX 65536u

/* The class of the message is added to BEGIN and PIECE. */
enum dsmr_frame_kind {
    DSMR_FRAME_WHOLE = 0,  /* a message; without bytes: a ping */
    DSMR_FRAME_BEGIN = 16, /* a message of so many bytes comes in pieces; no bytes of it follow */
    DSMR_FRAME_PIECE = 32  /* its next bytes */
};

_Static_assert(DSMR_CHUNK_BYTES_LIMIT + DSMR_MESSAGE_OVERHEAD_MAX < 1u << 24,
               "a message's length fits into a header");

static inline void dsmr_frame_header_store(uint8_t *to, uint32_t kind, size_t len)
{
    dsmr_store_be32(to, kind << 24 | (uint32_t)len);
}

#endif
