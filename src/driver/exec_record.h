/* exec_record.h - what execution leaves behind, one value per block, under DSMR_KV_SPACE_EXEC.
 *
 * Why:   results and executed ids are read by height (queries, recovery of the duplicate filter)
 *        and by id (exec_index.h finds the block): never a key per transaction.
 * Keys:  "xh" -> {version u8, executed height u64, state root 32, block id 32, block time u64}
 *        "xr" height u64 -> {version u8, time u64, block id 32, root 32, count u32, then count ids,
 *                            and of expiries, codes and fees a column each}
 *        A column is {least u64, width u8: 0, 1, 2, 4 or 8, then count differences to the least of
 *        so many bytes}: expiries of a block lie close together, most codes are 0.
 *        All integers big-endian. docs/storage.md names them too.
 * Limits: a block's record is 104 bytes, and 32 to 52 a transaction. Decoders check everything.
 * Version: 2. What an older program left is refused: VERSION. */
#ifndef DSMR_DRIVER_EXEC_RECORD_H
#define DSMR_DRIVER_EXEC_RECORD_H

#include "ports/kv.h"
#include "ports/submit.h"

struct dsmr_exec_head {
    uint64_t height;
    uint64_t time_ms;
    struct dsmr_id state_root;
    struct dsmr_id block_id;
};

/* UNKNOWN: nothing executed, not even genesis. VERSION, NEWER_FORMAT, CORRUPT, IO. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_record_head(struct dsmr_exec_head *out,
                                                  const struct dsmr_kv *kv,
                                                  struct dsmr_kv_txn *txn);
/* Writes the head, and the block's record if executed is not NULL. expiries_ms: one each. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_record_put(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                                 const struct dsmr_exec_head *head,
                                                 const struct dsmr_executed *executed,
                                                 const uint64_t *expiries_ms);
/* The record of a height; caller unrefs. expiries_ms (caller frees) may be NULL if not wanted. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_record_get(struct dsmr_executed **out, uint64_t **expiries_ms,
                                                 const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                                 uint64_t height);
/* Where tx_id was executed. UNKNOWN. Its cost grows with the logarithm of the blocks. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_record_find(uint64_t *height, struct dsmr_app_result *result,
                                                  const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                                  const struct dsmr_id *tx_id);
/* Removes records of blocks older than before_ms, the oldest first, at most 64, and what only they
 * need of the index. */
DSMR_MUST_USE enum dsmr_err dsmr_exec_record_drop(const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                                  uint64_t before_ms);
/* The record of a height is about to be read, or hardly ever: so that results of full load do not
 * fill the operating system's memory with what nobody asks for. A hint. */
void dsmr_exec_record_advise(const struct dsmr_kv *kv, uint64_t height, bool is_needed);
/* Most bytes that a block of txs transactions puts, index included. */
uint64_t dsmr_exec_record_bytes_max(uint32_t txs);
/* Room for count ids, and for as many results, which are zeros; NULL if out of memory. */
struct dsmr_executed *dsmr_exec_record_new(uint32_t count);

#endif
