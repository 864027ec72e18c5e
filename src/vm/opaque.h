/* opaque.h - the application that executes nothing.
 *
 * Why:     what benchmarks and embedders start from: transactions are bytes, the state is a
 *          running hash of what was executed, in order.
 * Rule:    root of genesis = SHA-256(tag); root of a block = SHA-256(tag | previous root 32 |
 *          height u64 | number of ids u32 | ids of the executed transactions in order, 32 each).
 * Limits:  a few hundred bytes, and 32 for each transaction of the largest block so far.
 * Threads: as ports/app.h. */
#ifndef DSMR_VM_OPAQUE_H
#define DSMR_VM_OPAQUE_H

#include "ports/app.h"

/* Every transaction that the core lets pass is valid and succeeds. Genesis: an object without
 * members but an optional "name". Queries: "state" gives {"height", "txs", "root"}. NO_MEMORY.
 * Caller frees with out->ops->free(out->self). */
DSMR_MUST_USE enum dsmr_err dsmr_opaque_new(struct dsmr_app *out);

#endif
