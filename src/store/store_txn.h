/* store_txn.h - records of the consensus database in one transaction.
 *
 * Why:     every access goes through here, so that a failed database call is remembered and the
 *          transaction as a whole is given up.
 * Threads: of the transaction's owner. */
#ifndef DSMR_STORE_STORE_TXN_H
#define DSMR_STORE_STORE_TXN_H

#include "store/store_state.h"

struct dsmr_store_txn {
    struct dsmr_lmdb_store *store; /* borrowed */
    MDB_txn *txn;
    enum dsmr_err failed;   /* of the database: nothing of the transaction will count */
    uint64_t written_bytes; /* 0: there is nothing to commit */
};

DSMR_MUST_USE enum dsmr_err dsmr_store_txn_begin(struct dsmr_store_txn *out,
                                                 struct dsmr_lmdb_store *store, bool is_write);
/* Ends it: commits if it is a write transaction that has changed something and has not failed.
 * Counts bytes and syncs. The error that failed it; DISK_FULL, IO. */
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_commit(struct dsmr_store_txn *txn);
void dsmr_store_txn_abort(struct dsmr_store_txn *txn);

/* The value, borrowed until the next change. UNKNOWN, or what failed. */
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_get(struct dsmr_store_txn *txn,
                                               const struct dsmr_schema_key *key, MDB_val *value);
/* The same with its fields. CORRUPT. */
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_read(struct dsmr_store_txn *txn, struct dsmr_rd *rd,
                                                const struct dsmr_schema_key *key);
/* Errors of these are in txn->failed. */
void dsmr_store_txn_put(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                        const void *value, size_t len);
/* Room for a value of len bytes that the caller fills at once; NULL if it failed. */
void *dsmr_store_txn_reserve(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                             size_t len);
void dsmr_store_txn_del(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key);
/* Seals the record in wr and puts it. */
void dsmr_store_txn_put_record(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                               struct dsmr_wr *wr);
/* Deletes up to max keys from..to (to not included) and answers how many. */
uint32_t dsmr_store_txn_del_range(struct dsmr_store_txn *txn, const struct dsmr_schema_key *from,
                                  const struct dsmr_schema_key *to, uint32_t max);
/* Smallest key that is not below from. UNKNOWN. */
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_first(struct dsmr_store_txn *txn, MDB_val *key,
                                                 const struct dsmr_schema_key *from);
/* Last key of a space into *key, which may then be one of another space: compare the first byte.
 * UNKNOWN. */
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_last(struct dsmr_store_txn *txn, MDB_val *key,
                                                enum dsmr_schema_space space);

/* ---- the records that more than one file uses ---- */
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_get_u64(struct dsmr_store_txn *txn, uint64_t *out,
                                                   const struct dsmr_schema_key *key);
void dsmr_store_txn_put_u64(struct dsmr_store_txn *txn, const struct dsmr_schema_key *key,
                            uint64_t v);
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_get_chunk(struct dsmr_store_txn *txn,
                                                     struct dsmr_schema_chunk *out,
                                                     const struct dsmr_id *chunk_id);
void dsmr_store_txn_put_chunk(struct dsmr_store_txn *txn, const struct dsmr_schema_chunk *chunk);
/* UNKNOWN, CORRUPT. */
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_get_cert(struct dsmr_store_txn *txn,
                                                    struct dsmr_cert *out,
                                                    const struct dsmr_id *chunk_id);
/* The entry that says that no accepted block has the chunk: is there from now on, or not. */
void dsmr_store_txn_set_waiting(struct dsmr_store_txn *txn, const struct dsmr_reference *ref,
                                bool is_waiting);
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_get_accepted(struct dsmr_store_txn *txn,
                                                        uint64_t *height, struct dsmr_id *id);
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_get_segment(struct dsmr_store_txn *txn,
                                                       struct dsmr_schema_segment *out,
                                                       uint64_t number);
void dsmr_store_txn_put_segment(struct dsmr_store_txn *txn,
                                const struct dsmr_schema_segment *segment, uint64_t number);
/* bytes: borrowed until the next change. */
DSMR_MUST_USE enum dsmr_err dsmr_store_txn_get_block(struct dsmr_store_txn *txn,
                                                     struct dsmr_schema_block *out,
                                                     uint64_t height);

#endif
