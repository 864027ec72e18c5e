#include "base/assert.h"
#include "crypto/hash.h"
#include "wire/codec.h"

#define AVALANCHE_BIT_SET_SIGNATURE 0u /* type id in Avalanche's codec */

_Static_assert(DSMR_BLOCK_ENTRY_BYTES_MIN == 1 + DSMR_REFERENCE_BYTES + 2 + 96,
               "docs/wire.md, Certificate");

void dsmr_cert_encode(struct dsmr_wr *wr, const struct dsmr_cert *cert)
{
    dsmr_reference_encode(wr, &cert->ref);
    dsmr_signers_encode(wr, &cert->signers);
    dsmr_wr_bytes(wr, cert->sig.bytes, sizeof(cert->sig.bytes));
}

void dsmr_cert_decode(struct dsmr_rd *rd, struct dsmr_cert *out, uint32_t bits_max)
{
    dsmr_reference_decode(rd, &out->ref);
    dsmr_signers_decode(rd, &out->signers, bits_max);
    dsmr_rd_bytes(rd, out->sig.bytes, sizeof(out->sig.bytes));
}

size_t dsmr_cert_encoded_size(const struct dsmr_cert *cert)
{
    return DSMR_REFERENCE_BYTES + dsmr_signers_encoded_size(&cert->signers) +
           sizeof(cert->sig.bytes);
}

void dsmr_cert_hash(struct dsmr_id *out, const struct dsmr_cert *cert)
{
    uint8_t bytes[DSMR_CERT_BYTES_MAX];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    dsmr_cert_encode(&wr, cert);
    DSMR_ASSERT(wr.err == DSMR_OK);
    dsmr_hash(out, bytes, wr.at);
}

size_t dsmr_cert_warp_message(uint8_t *out, const struct dsmr_domain *domain,
                              const struct dsmr_cert *cert)
{
    uint8_t signers[DSMR_VALIDATORS_MAX / 8u];
    size_t signers_len = dsmr_signers_bytes(signers, &cert->signers);
    struct dsmr_wr wr;
    dsmr_share_signing_bytes(out, domain, &cert->ref);
    dsmr_wr_init(&wr, out, DSMR_WARP_MESSAGE_BYTES_MAX);
    wr.at = DSMR_SHARE_SIGNING_BYTES;
    dsmr_wr_u32(&wr, AVALANCHE_BIT_SET_SIGNATURE);
    dsmr_wr_u32(&wr, (uint32_t)signers_len);
    dsmr_wr_bytes(&wr, signers, signers_len);
    dsmr_wr_bytes(&wr, cert->sig.bytes, sizeof(cert->sig.bytes));
    DSMR_ASSERT(wr.err == DSMR_OK);
    return wr.at;
}
