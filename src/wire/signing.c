#include "wire/signing.h"

#define AVALANCHE_CODEC_VERSION 0u

void dsmr_signing_head(struct dsmr_wr *wr, const struct dsmr_domain *domain,
                       enum dsmr_signing_type type, uint32_t fields_len)
{
    dsmr_wr_u16(wr, AVALANCHE_CODEC_VERSION);
    dsmr_wr_domain(wr, domain);
    dsmr_wr_u32(wr, DSMR_SIGNING_TAG_BYTES + fields_len);
    dsmr_wr_bytes(wr, "DSMR", 4);
    dsmr_wr_u8(wr, (uint8_t)type);
    dsmr_wr_u8(wr, DSMR_WIRE_VERSION);
}
