#include <string.h>

#include "base/assert.h"
#include "base/bitset.h"
#include "wire/codec.h"

#define SIGNERS_BYTES_MAX (DSMR_VALIDATORS_MAX / 8u)

static size_t signers_bytes(const struct dsmr_bitset *signers)
{
    return (dsmr_bitset_end(signers) + 7u) / 8u;
}

size_t dsmr_signers_encoded_size(const struct dsmr_bitset *signers)
{
    return 2u + signers_bytes(signers);
}

size_t dsmr_signers_bytes(uint8_t out[SIGNERS_BYTES_MAX], const struct dsmr_bitset *signers)
{
    size_t len = signers_bytes(signers);
    for (size_t i = 0; i < len; i++) {
        size_t from_end = len - 1 - i;
        out[i] = (uint8_t)(signers->words[from_end / 8] >> (8u * (from_end % 8)));
    }
    return len;
}

void dsmr_signers_encode(struct dsmr_wr *wr, const struct dsmr_bitset *signers)
{
    uint8_t bytes[SIGNERS_BYTES_MAX];
    size_t len = dsmr_signers_bytes(bytes, signers);
    dsmr_wr_u16(wr, (uint16_t)len);
    dsmr_wr_bytes(wr, bytes, len);
}

void dsmr_signers_decode(struct dsmr_rd *rd, struct dsmr_bitset *out, uint32_t bits_max)
{
    DSMR_ASSERT(bits_max <= DSMR_VALIDATORS_MAX);
    memset(out, 0, sizeof(*out));
    size_t len = dsmr_rd_u16(rd);
    if (len == 0 || len > SIGNERS_BYTES_MAX) {
        dsmr_rd_fail(rd, DSMR_ERR_BITSET); /* keeps the error of a message that ended before */
    }
    const uint8_t *bytes = dsmr_rd_view(rd, len);
    if (bytes == NULL) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        size_t from_end = len - 1 - i;
        out->words[from_end / 8] |= (uint64_t)bytes[i] << (8u * (from_end % 8));
    }
    if (bytes[0] == 0 || dsmr_bitset_end(out) > bits_max) {
        memset(out, 0, sizeof(*out));
        dsmr_rd_fail(rd, DSMR_ERR_BITSET);
    }
}
