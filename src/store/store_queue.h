/* store_queue.h - the queue of writes, and the thread that makes them durable in groups.
 *
 * Why:     one sync covers all that waits: what arrives during a commit is the next group.
 * How:     take a group; append its bodies and sync them; commit its records; complete in order.
 * Threads: write from any one thread; run is the store thread. */
#ifndef DSMR_STORE_STORE_QUEUE_H
#define DSMR_STORE_STORE_QUEUE_H

#include "store/store_state.h"

/* As in struct dsmr_store_ops; self is struct dsmr_lmdb_store. */
void dsmr_store_queue_write(void *self, struct dsmr_store_write *write);
/* Body of the store thread; returns when the store is closing and the queue empty. */
void *dsmr_store_queue_run(void *self);

#endif
