/* results_page.h - a page of what a block executed, in bytes: GET /v1/block/{id}/results.
 *
 * Why:     who compares all that ran on several nodes reads millions of ids; as JSON that costs
 *          both ends more than running them did.
 * How:     u64 height, state root 32, u32 transactions of the block, u32 place of the first one
 *          here, then for each {id 32, u32 code, u64 fee}. Integers are big-endian.
 * Limits:  DSMR_RESULTS_PAGE_TXS_MAX transactions in a page.
 * Threads: pure; any thread. Nothing here allocates. */
#ifndef DSMR_WIRE_RESULTS_PAGE_H
#define DSMR_WIRE_RESULTS_PAGE_H

#include "dsmr/types.h"

#define DSMR_RESULTS_PAGE_TXS_MAX 8192u
#define DSMR_RESULTS_PAGE_HEAD_BYTES (8u + 32u + 4u + 4u)
#define DSMR_RESULTS_PAGE_TX_BYTES (32u + 4u + 8u)

struct dsmr_results_page {
    uint64_t height;
    struct dsmr_id state_root;
    uint32_t tx_count; /* of the block */
    uint32_t first;    /* place in the block of the first one here */
    uint32_t count;    /* here */
    const uint8_t *txs;
};
struct dsmr_results_page_tx {
    struct dsmr_id id;
    uint32_t code;
    uint64_t fee;
};

/* Head; count and txs are not read. */
void dsmr_results_page_head_encode(uint8_t out[DSMR_RESULTS_PAGE_HEAD_BYTES],
                                   const struct dsmr_results_page *page);
void dsmr_results_page_tx_encode(uint8_t out[DSMR_RESULTS_PAGE_TX_BYTES],
                                 const struct dsmr_results_page_tx *tx);

/* Borrows bytes. MALFORMED: cut off, more transactions than the block has left, or none though some
 * are left; TOO_LARGE. */
DSMR_MUST_USE enum dsmr_err dsmr_results_page_decode(struct dsmr_results_page *out,
                                                     const uint8_t *bytes, size_t len);
/* index below page->count. */
void dsmr_results_page_tx_decode(struct dsmr_results_page_tx *out,
                                 const struct dsmr_results_page *page, uint32_t index);

#endif
