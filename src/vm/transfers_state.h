/* transfers_state.h - the head of the transfers state: what the state root is the hash of.
 *
 * Invariants: root = SHA-256(0x12 | the fields without height, as dsmr_transfers_state_encode_head
 *             writes them). So the root covers supply, fees and, by the trie, every account.
 * Threads:    any; pure but for the store that is handed in. */
#ifndef DSMR_VM_TRANSFERS_STATE_H
#define DSMR_VM_TRANSFERS_STATE_H

#include "ports/kv.h"
#include "vm/account_node.h"
#include "vm/transfer_tx.h"
#include "wire/cursor.h"

struct dsmr_transfers_state {
    uint64_t height;   /* of the last executed block */
    uint64_t accounts; /* that exist */
    uint64_t supply;   /* sum of all balances; never changes */
    struct dsmr_transfer_tx_fees fees;
    struct dsmr_account_link trie; /* kind NONE if there is no account */
};

#define DSMR_TRANSFERS_STATE_HEAD_BYTES (5u * 8u + 1u + 32u)
void dsmr_transfers_state_encode_head(struct dsmr_wr *wr, const struct dsmr_transfers_state *state);
/* height is left alone. Fails the cursor with MALFORMED for a link that cannot be. */
void dsmr_transfers_state_decode_head(struct dsmr_rd *rd, struct dsmr_transfers_state *out);
void dsmr_transfers_state_root(struct dsmr_id *out, const struct dsmr_transfers_state *state);

/* CORRUPT if there is none (no genesis) or it does not decode; errors of the store. */
DSMR_MUST_USE enum dsmr_err dsmr_transfers_state_get(struct dsmr_transfers_state *out,
                                                     const struct dsmr_kv *kv,
                                                     struct dsmr_kv_txn *txn);
DSMR_MUST_USE enum dsmr_err dsmr_transfers_state_put(const struct dsmr_transfers_state *state,
                                                     const struct dsmr_kv *kv,
                                                     struct dsmr_kv_txn *txn);

#endif
