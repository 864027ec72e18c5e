#include <string.h>

#include "base/assert.h"
#include "crypto/hash.h"
#include "wire/codec.h"

_Static_assert(DSMR_CHUNK_HEADER_BYTES == 1 + 4 + 32 + 8 + 20 + 8 + 8 + 32 + 4 + 4 + 32,
               "docs/wire.md, Chunk");
_Static_assert(DSMR_CHUNK_TX_PREFIX_BYTES == sizeof(uint32_t), "docs/wire.md, Chunk");

void dsmr_chunk_header_encode(struct dsmr_wr *wr, const struct dsmr_chunk_header *header)
{
    dsmr_wr_u8(wr, DSMR_WIRE_VERSION);
    dsmr_wr_domain(wr, &header->domain);
    dsmr_wr_u64(wr, header->epoch);
    dsmr_wr_bytes(wr, header->producer.bytes, sizeof(header->producer.bytes));
    dsmr_wr_u64(wr, header->slot);
    dsmr_wr_u64(wr, header->expiry_ms);
    dsmr_wr_bytes(wr, header->fee_recipient.bytes, sizeof(header->fee_recipient.bytes));
    dsmr_wr_u32(wr, header->tx_count);
    dsmr_wr_u32(wr, header->tx_bytes);
    dsmr_wr_bytes(wr, header->tx_root.bytes, sizeof(header->tx_root.bytes));
}

static void read_fields(struct dsmr_rd *rd, struct dsmr_chunk_header *out,
                        const struct dsmr_params *params)
{
    if (dsmr_rd_u8(rd) != DSMR_WIRE_VERSION) {
        dsmr_rd_fail(rd, DSMR_ERR_VERSION);
    }
    dsmr_rd_domain(rd, &params->domain);
    out->domain = params->domain;
    out->epoch = dsmr_rd_u64(rd);
    dsmr_rd_bytes(rd, out->producer.bytes, sizeof(out->producer.bytes));
    out->slot = dsmr_rd_u64(rd);
    out->expiry_ms = dsmr_rd_u64(rd);
    dsmr_rd_bytes(rd, out->fee_recipient.bytes, sizeof(out->fee_recipient.bytes));
    out->tx_count = dsmr_rd_u32(rd);
    out->tx_bytes = dsmr_rd_u32(rd);
    dsmr_rd_bytes(rd, out->tx_root.bytes, sizeof(out->tx_root.bytes));
}

bool dsmr_chunk_header_times(uint64_t *slot_start_ms, uint64_t *expiry_ms, uint64_t slot,
                             const struct dsmr_params *params)
{
    DSMR_ASSERT(params->slot_ms > 0);
    if (slot > (UINT64_MAX - params->chunk_lifetime_ms) / params->slot_ms) {
        return false;
    }
    *slot_start_ms = slot * params->slot_ms;
    *expiry_ms = *slot_start_ms + params->chunk_lifetime_ms;
    return true;
}

/* Sizes and counts against the limits and against each other: what is allocated for the body is
 * thereby in proportion to the bytes that have arrived. */
static enum dsmr_err check_sizes(const struct dsmr_chunk_header *header,
                                 const struct dsmr_params *params, size_t chunk_len)
{
    if (header->tx_count > params->chunk_txs_max) {
        return DSMR_ERR_TOO_LARGE;
    }
    size_t body = chunk_len - DSMR_CHUNK_HEADER_BYTES;
    if (header->tx_bytes != body) {
        return header->tx_bytes < body ? DSMR_ERR_TRAILING_BYTES : DSMR_ERR_MALFORMED;
    }
    uint64_t least = (uint64_t)header->tx_count * (DSMR_CHUNK_TX_PREFIX_BYTES + DSMR_TX_BYTES_MIN);
    return header->tx_count == 0 || least > body ? DSMR_ERR_MALFORMED : DSMR_OK;
}

enum dsmr_err dsmr_chunk_header_decode(struct dsmr_chunk_header *out,
                                       const struct dsmr_params *params, const uint8_t *chunk,
                                       size_t chunk_len)
{
    if (chunk_len > params->chunk_bytes_max) {
        return DSMR_ERR_TOO_LARGE;
    }
    if (chunk_len < DSMR_CHUNK_HEADER_BYTES) {
        return DSMR_ERR_MALFORMED;
    }
    struct dsmr_rd rd;
    struct dsmr_chunk_header header;
    dsmr_rd_init(&rd, chunk, DSMR_CHUNK_HEADER_BYTES);
    read_fields(&rd, &header, params);
    enum dsmr_err err = dsmr_rd_end(&rd);
    if (err == DSMR_OK) {
        err = check_sizes(&header, params, chunk_len);
    }
    if (err != DSMR_OK) {
        return err;
    }
    uint64_t slot_start_ms, expiry_ms;
    if (!dsmr_chunk_header_times(&slot_start_ms, &expiry_ms, header.slot, params) ||
        header.expiry_ms != expiry_ms) {
        return DSMR_ERR_EXPIRY_MISMATCH;
    }
    *out = header;
    return DSMR_OK;
}
