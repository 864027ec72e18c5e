#include "wire/codec.h"

_Static_assert(DSMR_REFERENCE_BYTES == 32 + 8 + 20 + 8 + 8 + 4 + 4, "docs/wire.md, Reference");

void dsmr_reference_encode(struct dsmr_wr *wr, const struct dsmr_reference *ref)
{
    dsmr_wr_bytes(wr, ref->chunk_id.bytes, sizeof(ref->chunk_id.bytes));
    dsmr_wr_u64(wr, ref->epoch);
    dsmr_wr_bytes(wr, ref->producer.bytes, sizeof(ref->producer.bytes));
    dsmr_wr_u64(wr, ref->slot);
    dsmr_wr_u64(wr, ref->expiry_ms);
    dsmr_wr_u32(wr, ref->tx_count);
    dsmr_wr_u32(wr, ref->chunk_bytes);
}

void dsmr_reference_decode(struct dsmr_rd *rd, struct dsmr_reference *out)
{
    dsmr_rd_bytes(rd, out->chunk_id.bytes, sizeof(out->chunk_id.bytes));
    out->epoch = dsmr_rd_u64(rd);
    dsmr_rd_bytes(rd, out->producer.bytes, sizeof(out->producer.bytes));
    out->slot = dsmr_rd_u64(rd);
    out->expiry_ms = dsmr_rd_u64(rd);
    out->tx_count = dsmr_rd_u32(rd);
    out->chunk_bytes = dsmr_rd_u32(rd);
}
