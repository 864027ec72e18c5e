/* transfers_check.h - syntax and signatures of many transfers, in batches.
 *
 * Why:     a batch of 256 costs half of single verification. One that fails is taken apart, and
 *          single verification has the last word: so the verdict on a transaction never depends on
 *          its neighbours, and bad ones cost two to three times single verification.
 * Limits:  about 100 KiB of memory per call; if there is none, signatures are verified singly.
 * Threads: any number at once; no state. */
#ifndef DSMR_VM_TRANSFERS_CHECK_H
#define DSMR_VM_TRANSFERS_CHECK_H

#include "dsmr/types.h"

#define DSMR_TRANSFERS_CHECK_BATCH 256u

/* As dsmr_app_ops.check. */
uint32_t dsmr_transfers_check(const struct dsmr_domain *domain, enum dsmr_err *errs,
                              const struct dsmr_tx_view *txs, uint32_t count);

#endif
