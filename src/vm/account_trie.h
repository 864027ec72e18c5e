/* account_trie.h - all accounts and their Merkle root, kept in the state store.
 *
 * Why:        one block changes thousands of accounts; each touched node is read at most once,
 *             changed in memory, then hashed and written once when the block ends.
 * How:        nodes in memory hang together by pointers and stay as a cache after the block. begin
 *             is told which root the store has: a cache of another root (the last block was
 *             aborted, or the store went back) is dropped. So nobody has to report aborts.
 * Not here:   what a balance means, fees, the state header (transfers.c).
 * Invariants: an account exists while its balance is above zero. The form of the trie and its root
 *             depend only on the accounts that exist. A node's hash is checked when it is read.
 * Limits:     cache_bytes_max between blocks; within a block also what the block touches.
 * Threads:    one owner. */
#ifndef DSMR_VM_ACCOUNT_TRIE_H
#define DSMR_VM_ACCOUNT_TRIE_H

#include "ports/kv.h"
#include "vm/account_node.h"

struct dsmr_account_trie; /* opaque */

struct dsmr_account_trie *dsmr_account_trie_new(uint64_t cache_bytes_max); /* NULL: no memory */
void dsmr_account_trie_free(struct dsmr_account_trie *trie);               /* NULL is fine */

/* Starts a block on the state that root names. kv and txn: borrowed until finish or cancel. */
void dsmr_account_trie_begin(struct dsmr_account_trie *trie, const struct dsmr_kv *kv,
                             struct dsmr_kv_txn *txn, const struct dsmr_account_link *root);
/* Errors of the following: NO_MEMORY and those of the store; CORRUPT if what the store has is not
 * what was put there. After an error only cancel may follow. */
/* 0 for an account that does not exist. */
DSMR_MUST_USE enum dsmr_err dsmr_account_trie_balance(struct dsmr_account_trie *trie,
                                                      uint64_t *balance,
                                                      const struct dsmr_account_key *key);
/* Takes amount from a balance that the caller found to cover it (CORRUPT otherwise). */
DSMR_MUST_USE enum dsmr_err dsmr_account_trie_take(struct dsmr_account_trie *trie,
                                                   const struct dsmr_account_key *key,
                                                   uint64_t amount);
/* Gives amount. The supply fits into 64 bits, so the sum does; CORRUPT otherwise. */
DSMR_MUST_USE enum dsmr_err dsmr_account_trie_give(struct dsmr_account_trie *trie,
                                                   const struct dsmr_account_key *key,
                                                   uint64_t amount);
/* Accounts that came into being minus those that ceased since begin. */
int64_t dsmr_account_trie_growth(const struct dsmr_account_trie *trie);
/* Hashes and writes what changed; *root names the state. Ends the block. */
DSMR_MUST_USE enum dsmr_err dsmr_account_trie_finish(struct dsmr_account_trie *trie,
                                                     struct dsmr_account_link *root);
/* Ends the block without a result: the cache is dropped. Fine at any time. */
void dsmr_account_trie_cancel(struct dsmr_account_trie *trie);
uint64_t dsmr_account_trie_cache_bytes(const struct dsmr_account_trie *trie);

#endif
