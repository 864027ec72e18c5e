#include "wire/results_page.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "wire/cursor.h"

void dsmr_results_page_head_encode(uint8_t out[DSMR_RESULTS_PAGE_HEAD_BYTES],
                                   const struct dsmr_results_page *page)
{
    struct dsmr_wr wr;
    dsmr_wr_init(&wr, out, DSMR_RESULTS_PAGE_HEAD_BYTES);
    dsmr_wr_u64(&wr, page->height);
    dsmr_wr_bytes(&wr, page->state_root.bytes, sizeof(page->state_root.bytes));
    dsmr_wr_u32(&wr, page->tx_count);
    dsmr_wr_u32(&wr, page->first);
    DSMR_ASSERT(wr.err == DSMR_OK && wr.at == DSMR_RESULTS_PAGE_HEAD_BYTES);
}

/* No cursor: it is called for each of millions. */
void dsmr_results_page_tx_encode(uint8_t out[DSMR_RESULTS_PAGE_TX_BYTES],
                                 const struct dsmr_results_page_tx *tx)
{
    memcpy(out, tx->id.bytes, sizeof(tx->id.bytes));
    dsmr_store_be32(out + 32, tx->code);
    dsmr_store_be64(out + 36, tx->fee);
}

enum dsmr_err dsmr_results_page_decode(struct dsmr_results_page *out, const uint8_t *bytes,
                                       size_t len)
{
    struct dsmr_results_page page;
    struct dsmr_rd rd;
    if (len < DSMR_RESULTS_PAGE_HEAD_BYTES) {
        return DSMR_ERR_MALFORMED;
    }
    size_t count = (len - DSMR_RESULTS_PAGE_HEAD_BYTES) / DSMR_RESULTS_PAGE_TX_BYTES;
    if (count > DSMR_RESULTS_PAGE_TXS_MAX) {
        return DSMR_ERR_TOO_LARGE;
    }
    dsmr_rd_init(&rd, bytes, DSMR_RESULTS_PAGE_HEAD_BYTES);
    page.height = dsmr_rd_u64(&rd);
    dsmr_rd_bytes(&rd, page.state_root.bytes, sizeof(page.state_root.bytes));
    page.tx_count = dsmr_rd_u32(&rd);
    page.first = dsmr_rd_u32(&rd);
    page.count = (uint32_t)count;
    page.txs = bytes + DSMR_RESULTS_PAGE_HEAD_BYTES;
    enum dsmr_err err = dsmr_rd_end(&rd);
    bool is_whole = len == DSMR_RESULTS_PAGE_HEAD_BYTES + count * DSMR_RESULTS_PAGE_TX_BYTES;
    if (err != DSMR_OK || !is_whole || page.first > page.tx_count ||
        page.count > page.tx_count - page.first ||
        (page.count == 0 && page.first < page.tx_count)) {
        return DSMR_ERR_MALFORMED;
    }
    *out = page;
    return DSMR_OK;
}

void dsmr_results_page_tx_decode(struct dsmr_results_page_tx *out,
                                 const struct dsmr_results_page *page, uint32_t index)
{
    DSMR_ASSERT(index < page->count);
    const uint8_t *tx = page->txs + (size_t)index * DSMR_RESULTS_PAGE_TX_BYTES;
    memcpy(out->id.bytes, tx, sizeof(out->id.bytes));
    out->code = dsmr_load_be32(tx + 32);
    out->fee = dsmr_load_be64(tx + 36);
}
