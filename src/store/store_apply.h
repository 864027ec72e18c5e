/* store_apply.h - what each kind of write does to the database.
 *
 * Why:     ports/store.h names the writes; this is their meaning in records (docs/storage.md).
 * Threads: the store thread. */
#ifndef DSMR_STORE_STORE_APPLY_H
#define DSMR_STORE_STORE_APPLY_H

#include "store/store_txn.h"

/* Applies any write but GC. An error concerns this write alone, which then changed nothing:
 *   DISK_FULL  no space for the body, or an ACCEPT after one that found no space
 *   CONFLICT   the journal has another chunk in this slot
 *   HALTED     an ACCEPT above the next height
 *   IO         of a body: stop
 * Failures of the database are in txn->failed and concern the whole transaction. */
DSMR_MUST_USE enum dsmr_err dsmr_store_apply(struct dsmr_store_txn *txn,
                                             const struct dsmr_store_write *write);
/* Upper estimate of the pages that it changes. */
uint64_t dsmr_store_apply_pages(const struct dsmr_store_write *write);
/* Bytes of bodies in it. */
uint64_t dsmr_store_apply_body_bytes(const struct dsmr_store_write *write);

/* Runs a whole GC write in small transactions; floor and the first of them are one. Needs no free
 * space beyond the reserve. The janitor gives the space back, soon. DISK_FULL, IO. */
DSMR_MUST_USE enum dsmr_err dsmr_store_gc_run(struct dsmr_lmdb_store *store,
                                              struct dsmr_store_gc *gc);
/* At open: gives back what GC had let go before a crash. */
DSMR_MUST_USE enum dsmr_err dsmr_store_gc_resume(struct dsmr_lmdb_store *store);

#endif
