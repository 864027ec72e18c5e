/* account_read.h - reading accounts straight from the store.
 *
 * Why:     queries and proofs run on any thread with a snapshot of their own, beside the execution
 *          thread that owns the trie.
 * Invariants: what is returned was checked against root: a damaged store gives CORRUPT.
 * Threads: any. */
#ifndef DSMR_VM_ACCOUNT_READ_H
#define DSMR_VM_ACCOUNT_READ_H

#include "ports/kv.h"
#include "vm/account_node.h"

/* The stored value of the node that link (not of KIND_NONE) names, checked against its hash.
 * Borrowed as kv's get. CORRUPT if it is absent or another; errors of the store. */
DSMR_MUST_USE enum dsmr_err dsmr_account_read_node(const uint8_t **value, size_t *value_len,
                                                   const struct dsmr_kv *kv,
                                                   struct dsmr_kv_txn *txn,
                                                   const struct dsmr_account_link *link,
                                                   const struct dsmr_account_place *place);
/* 0 for an account that does not exist. */
DSMR_MUST_USE enum dsmr_err dsmr_account_read_balance(uint64_t *balance, const struct dsmr_kv *kv,
                                                      struct dsmr_kv_txn *snapshot,
                                                      const struct dsmr_account_link *root,
                                                      const struct dsmr_account_key *key);

#endif
