/* cursor.h - reading and writing bytes in order, with a sticky error.
 *
 * All integers are big-endian, fixed width. A reader that ran over its end, and a writer that ran
 * over its capacity, give zeros and stay failed: check once, at the end. */
#ifndef DSMR_WIRE_CURSOR_H
#define DSMR_WIRE_CURSOR_H

#include "dsmr/types.h"

struct dsmr_rd {
    const uint8_t *bytes;
    size_t len;
    size_t at;
    enum dsmr_err err;
};
struct dsmr_wr {
    uint8_t *bytes;
    size_t capacity;
    size_t at;
    enum dsmr_err err;
};

void dsmr_rd_init(struct dsmr_rd *rd, const void *bytes, size_t len);
uint8_t dsmr_rd_u8(struct dsmr_rd *rd);
uint16_t dsmr_rd_u16(struct dsmr_rd *rd);
uint32_t dsmr_rd_u32(struct dsmr_rd *rd);
uint64_t dsmr_rd_u64(struct dsmr_rd *rd);
void dsmr_rd_bytes(struct dsmr_rd *rd, void *out, size_t len); /* zeros after an error */
const uint8_t *dsmr_rd_view(struct dsmr_rd *rd, size_t len);   /* borrowed; NULL after an error */
size_t dsmr_rd_left(const struct dsmr_rd *rd);
void dsmr_rd_fail(struct dsmr_rd *rd, enum dsmr_err err); /* keeps the first error */
/* Reads network id and chain id. WRONG_NETWORK or WRONG_CHAIN if they are not the expected ones. */
void dsmr_rd_domain(struct dsmr_rd *rd, const struct dsmr_domain *expected);
/* The error, or TRAILING_BYTES if something is left. */
DSMR_MUST_USE enum dsmr_err dsmr_rd_end(struct dsmr_rd *rd);

/* A full writer has the error LIMIT. */
void dsmr_wr_init(struct dsmr_wr *wr, void *bytes, size_t capacity);
void dsmr_wr_u8(struct dsmr_wr *wr, uint8_t v);
void dsmr_wr_u16(struct dsmr_wr *wr, uint16_t v);
void dsmr_wr_u32(struct dsmr_wr *wr, uint32_t v);
void dsmr_wr_u64(struct dsmr_wr *wr, uint64_t v);
void dsmr_wr_bytes(struct dsmr_wr *wr, const void *bytes, size_t len);
void dsmr_wr_domain(struct dsmr_wr *wr, const struct dsmr_domain *domain);

#endif
