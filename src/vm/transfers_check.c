#include "vm/transfers_check.h"

#include <stdlib.h>

#include "vm/transfer_tx.h"

/* A batch that failed is verified in groups of this size, and what fails again one by one. With one
 * bad signature that costs as much as halving; with many, no more than two batches and single
 * verification: with every 8th bad, bench_vm took 0.10 ms each where halving took 0.19. */
#define GROUP 32u

struct batch {
    size_t count;
    uint32_t indexes[DSMR_TRANSFERS_CHECK_BATCH]; /* in the caller's list */
    struct dsmr_ed25519_public_key keys[DSMR_TRANSFERS_CHECK_BATCH];
    struct dsmr_ed25519_sig sigs[DSMR_TRANSFERS_CHECK_BATCH];
    const uint8_t *messages[DSMR_TRANSFERS_CHECK_BATCH];
    size_t lens[DSMR_TRANSFERS_CHECK_BATCH];
    uint8_t bytes[DSMR_TRANSFERS_CHECK_BATCH][DSMR_TRANSFER_TX_SIGNING_BYTES_MAX];
};

static void verify_singly(const struct batch *batch, enum dsmr_err *errs, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) {
        errs[batch->indexes[i]] = dsmr_ed25519_verify(&batch->keys[i], &batch->sigs[i],
                                                      batch->messages[i], batch->lens[i]);
    }
}

static bool is_good(const struct batch *batch, size_t from, size_t count)
{
    return dsmr_ed25519_verify_batch(batch->keys + from, batch->sigs + from, batch->messages + from,
                                     batch->lens + from, count) == DSMR_OK;
}

/* errs are OK so far and stay so where nothing is wrong. */
static void verify(const struct batch *batch, enum dsmr_err *errs)
{
    if (batch->count > 1 && is_good(batch, 0, batch->count)) {
        return;
    }
    for (size_t from = 0; from < batch->count; from += GROUP) {
        size_t count = batch->count - from < GROUP ? batch->count - from : GROUP;
        /* A batch of one group has just failed as a whole. */
        if (batch->count <= GROUP || !is_good(batch, from, count)) {
            verify_singly(batch, errs, from, count);
        }
    }
}

/* Queues the signature, or verifies it at once if there is no batch. */
static enum dsmr_err take(struct batch *batch, const struct dsmr_domain *domain,
                          const struct dsmr_tx_view *tx, uint32_t index)
{
    if (!batch) {
        return dsmr_transfer_tx_verify(domain, tx->bytes, tx->len);
    }
    struct dsmr_transfer_tx parsed;
    enum dsmr_err err = dsmr_transfer_tx_parse(&parsed, domain, tx->bytes, tx->len);
    if (!err) {
        err = dsmr_transfer_tx_check_points(&parsed.from, &parsed.sig);
    }
    if (!err) {
        size_t at = batch->count++;
        batch->indexes[at] = index;
        batch->keys[at] = parsed.from;
        batch->sigs[at] = parsed.sig;
        batch->messages[at] = batch->bytes[at];
        batch->lens[at] = dsmr_transfer_tx_signing_bytes(batch->bytes[at], tx->bytes, tx->len);
    }
    return err;
}

uint32_t dsmr_transfers_check(const struct dsmr_domain *domain, enum dsmr_err *errs,
                              const struct dsmr_tx_view *txs, uint32_t count)
{
    struct batch *batch = count > 1 ? malloc(sizeof *batch) : NULL;
    if (batch) {
        batch->count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        errs[i] = take(batch, domain, &txs[i], i);
        if (batch && batch->count == DSMR_TRANSFERS_CHECK_BATCH) {
            verify(batch, errs);
            batch->count = 0;
        }
    }
    if (batch && batch->count > 0) {
        verify(batch, errs);
    }
    free(batch);
    uint32_t bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        bad += errs[i] != DSMR_OK;
    }
    return bad;
}
