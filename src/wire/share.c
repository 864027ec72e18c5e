#include "base/assert.h"
#include "wire/signing.h"

void dsmr_share_signing_bytes(uint8_t out[DSMR_SHARE_SIGNING_BYTES],
                              const struct dsmr_domain *domain, const struct dsmr_reference *ref)
{
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, out, DSMR_SHARE_SIGNING_BYTES);
    dsmr_signing_head(&wr, domain, DSMR_SIGNING_SHARE, DSMR_REFERENCE_BYTES);
    dsmr_reference_encode(&wr, ref);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_SHARE_SIGNING_BYTES);
}
