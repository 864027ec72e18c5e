/* Any bytes as a transfer: what parses has this one encoding, and check agrees with verify. */
#include <stdlib.h>
#include <string.h>

#include "vm/transfer_tx.h"
#include "vm/transfers_check.h"
#include "wire/cursor.h"

static const struct dsmr_domain domain = {.network_id = 7};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_transfer_tx tx;
    enum dsmr_err errs[3];
    struct dsmr_tx_view view = {.bytes = bytes, .len = (uint32_t)len};
    struct dsmr_tx_view views[3] = {view, view, view};
    enum dsmr_err alone = dsmr_transfer_tx_verify(&domain, bytes, len);
    uint32_t bad = dsmr_transfers_check(&domain, errs, views, 3);
    must(bad == (alone ? 3 : 0));
    must(errs[0] == alone && errs[1] == alone && errs[2] == alone);
    if (dsmr_transfer_tx_parse(&tx, &domain, bytes, len)) {
        return 0;
    }
    uint8_t again[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, again, sizeof again);
    dsmr_wr_u8(&wr, 1);
    dsmr_wr_u64(&wr, tx.expiry_ms);
    dsmr_wr_u32(&wr, domain.network_id);
    dsmr_wr_bytes(&wr, domain.chain_id.bytes, 32);
    dsmr_wr_bytes(&wr, tx.from.bytes, 32);
    dsmr_wr_bytes(&wr, tx.to.bytes, 32);
    dsmr_wr_u64(&wr, tx.amount);
    dsmr_wr_u64(&wr, tx.fee_limit);
    dsmr_wr_u8(&wr, tx.memo_len);
    dsmr_wr_bytes(&wr, tx.memo, tx.memo_len);
    dsmr_wr_bytes(&wr, tx.sig.bytes, 64);
    must(wr.err == DSMR_OK && wr.at == len && memcmp(again, bytes, len) == 0);
    return 0;
}
