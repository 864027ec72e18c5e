/* account_proof.h - proof of one balance against a state root.
 *
 * Layout: version u8 1 | head of the state (transfers_state.h) | number of nodes u8 | per node,
 * from the root down: length u16, value (account_node.h). Why:    the values are what the hashes
 * are of, so a proof is what the store has on the way; the same form proves that an account does
 * not exist (balance 0). Limits: DSMR_ACCOUNT_PROOF_BYTES_MAX; a few KiB in practice. Threads: any.
 */
#ifndef DSMR_VM_ACCOUNT_PROOF_H
#define DSMR_VM_ACCOUNT_PROOF_H

#include "ports/kv.h"
#include "vm/account_node.h"
#include "vm/transfers_state.h"

#define DSMR_ACCOUNT_PROOF_VERSION 1u
#define DSMR_ACCOUNT_PROOF_BYTES_MAX                                                               \
    (2u + DSMR_TRANSFERS_STATE_HEAD_BYTES + DSMR_ACCOUNT_DEPTH_MAX * (2u + 1u + 16u + 16u * 32u) + \
     2u + DSMR_ACCOUNT_NODE_BYTES_MAX)

/* Writes the proof for address in the snapshot's state; *root: the state root that it leads to.
 * out: room for DSMR_ACCOUNT_PROOF_BYTES_MAX. CORRUPT, errors of the store. */
DSMR_MUST_USE enum dsmr_err dsmr_account_proof_make(struct dsmr_wr *out, struct dsmr_id *root,
                                                    const struct dsmr_kv *kv,
                                                    struct dsmr_kv_txn *snapshot,
                                                    const struct dsmr_address *address);
/* Safe on any bytes. OK with the proved balance; MALFORMED, VERSION or TRAILING_BYTES if it is no
 * proof; TX_MERKLE_PROOF if it does not lead from the root to the address. */
DSMR_MUST_USE enum dsmr_err dsmr_account_proof_check(uint64_t *balance, const struct dsmr_id *root,
                                                     const struct dsmr_address *address,
                                                     const void *proof, size_t len);

#endif
