/* tx_head.h - what every transaction begins with, where its length is known already.
 *
 * Why: a chunk's walk has a transaction's first bytes in its hands, and reads nothing twice. */
#ifndef DSMR_WIRE_TX_HEAD_H
#define DSMR_WIRE_TX_HEAD_H

#include "base/bytes.h"

/* tx: at least DSMR_TX_BYTES_MIN bytes, version first. */
static inline uint64_t dsmr_tx_expiry_ms(const uint8_t *tx)
{
    return dsmr_load_be64(tx + 1);
}

#endif
