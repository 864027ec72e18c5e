/* exec_index.h - in which block a transaction was executed: sorted runs of id prefixes.
 *
 * Why:     a key per id costs the database a page for each; a table per block is cheap to write but
 *          must be looked at block by block. So the tables of 16 blocks are merged into one run,
 *          16 such runs into one of 256 blocks, and so on: a lookup looks at no more than about 15
 *          runs of each size, and a transaction is written again once for each size.
 * How:     run (level, number) has the blocks number * 16^level and the 16^level - 1 that follow.
 *          A merge goes on a bounded step with each block and continues where its output ends, so
 *          it needs no state of its own. What a complete run replaces is removed in small steps,
 *          too.
 * Keys:    "xp" height u64: a table (exec_table.h) of level 0, the block's ids.
 *          "xm" level u8, number u64, first prefix u64: a table, a part of a run of level 1 or
 * more. "xi": {version u8, levels to be cleaned u16, count u8, then of each level from 1 on how
 *          many runs are complete u64}; absent: none. All integers big-endian. docs/storage.md
 * names them too. Prefix:  40 bits of an id. Others that share them cost a lookup a look at one
 * more record, and who wants m ids to share them has to hash m * 2^40 times. Not here: the results
 * themselves, and whether a prefix is the whole id: exec_record.h. Limits:  height below 2^40,
 * index below 2^20. Decoders check everything. Threads: changes within the execution thread's write
 * transaction; find in any transaction. */
#ifndef DSMR_DRIVER_EXEC_INDEX_H
#define DSMR_DRIVER_EXEC_INDEX_H

#include "ports/kv.h"
#include "ports/submit.h"

/* Most bytes that a transaction of a block takes when the block is added. */
#define DSMR_EXEC_INDEX_TX_BYTES 8u

/* Adds the block's ids and merges as much as the block is large. Heights come without a gap. LIMIT:
 * height or count; VERSION: an older program's; CORRUPT, NO_MEMORY, what kv says. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_index_add(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                                const struct dsmr_executed *executed);
/* Calls visit for each transaction whose id begins like tx_id, the newest runs first, until it
 * answers anything but UNKNOWN, and answers that. */
typedef enum dsmr_err (*dsmr_exec_index_visit)(void *ctx, uint64_t height, uint32_t index);
DSMR_MUST_USE enum dsmr_err dsmr_exec_index_find(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                                 const struct dsmr_id *tx_id,
                                                 dsmr_exec_index_visit visit, void *ctx);
/* Removes the runs whose blocks all lie below height, some of them if there are many: the table of
 * each block is its record's affair (dsmr_exec_record_drop). */
DSMR_MUST_USE enum dsmr_err dsmr_exec_index_drop(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                                 uint64_t height);
/* Removes the table of one block, if it has not been merged yet. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_index_drop_block(const struct dsmr_kv *kv,
                                                       struct dsmr_kv_txn *txn, uint64_t height);

#endif
