#include "wire/codec.h"
#include "wire/tx_head.h"

enum dsmr_err dsmr_tx_head_decode(struct dsmr_tx_head *out, const void *bytes, size_t len)
{
    if (len < DSMR_TX_BYTES_MIN) {
        return DSMR_ERR_MALFORMED;
    }
    if (len > DSMR_TX_BYTES_MAX) {
        return DSMR_ERR_TOO_LARGE;
    }
    const uint8_t *from = bytes;
    out->version = from[0];
    out->expiry_ms = dsmr_tx_expiry_ms(from);
    return DSMR_OK;
}
