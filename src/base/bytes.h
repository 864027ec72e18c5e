/* bytes.h - comparing, hex and integers at any address. */
#ifndef DSMR_BASE_BYTES_H
#define DSMR_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dsmr/types.h"

static inline bool dsmr_id_equal(const struct dsmr_id *a, const struct dsmr_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool dsmr_id_is_zero(const struct dsmr_id *id)
{
    static const struct dsmr_id zero;
    return dsmr_id_equal(id, &zero);
}

static inline bool dsmr_node_id_equal(const struct dsmr_node_id *a, const struct dsmr_node_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool dsmr_reference_equal(const struct dsmr_reference *a,
                                        const struct dsmr_reference *b)
{
    return dsmr_id_equal(&a->chunk_id, &b->chunk_id) && a->epoch == b->epoch &&
           dsmr_node_id_equal(&a->producer, &b->producer) && a->slot == b->slot &&
           a->expiry_ms == b->expiry_ms && a->tx_count == b->tx_count &&
           a->chunk_bytes == b->chunk_bytes;
}

/* Big-endian integers at any address. */
static inline uint16_t dsmr_load_be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static inline uint32_t dsmr_load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t dsmr_load_be64(const uint8_t *p)
{
    return (uint64_t)dsmr_load_be32(p) << 32 | dsmr_load_be32(p + 4);
}

static inline void dsmr_store_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void dsmr_store_be32(uint8_t *p, uint32_t v)
{
    dsmr_store_be16(p, (uint16_t)(v >> 16));
    dsmr_store_be16(p + 2, (uint16_t)v);
}

static inline void dsmr_store_be64(uint8_t *p, uint64_t v)
{
    dsmr_store_be32(p, (uint32_t)(v >> 32));
    dsmr_store_be32(p + 4, (uint32_t)v);
}

/* Writes 2 * len lower-case digits and a zero byte. */
void dsmr_hex_encode(char *out, const void *bytes, size_t len);
/* Reads exactly 2 * len digits, either case, no prefix; MALFORMED otherwise, out then untouched. */
DSMR_MUST_USE enum dsmr_err dsmr_hex_decode(void *out, size_t len, const char *text,
                                            size_t text_len);

#endif
