/* app.h - the application: what transactions mean. It knows nothing of chunks.
 *
 * Threads: check() is pure and runs on several workers at once; so does admit(), with a snapshot;
 *          genesis() and execute() run on the execution thread; query() runs on any thread with a
 *          snapshot of its own. */
#ifndef DSMR_PORTS_APP_H
#define DSMR_PORTS_APP_H

#include "dsmr/types.h"
#include "ports/kv.h"

struct dsmr_app_tx {
    struct dsmr_tx_view tx;
    struct dsmr_address fee_recipient; /* of the chunk that carried it */
};
struct dsmr_app_block {
    uint64_t height;
    uint64_t time_ms;
    struct dsmr_id id;
    const struct dsmr_app_tx *txs;
    const struct dsmr_id *ids; /* of txs, one each */
    uint32_t txs_count;
};
/* What became of one transaction: code 0 is success, others are the application's and stable;
 * fee: what was charged. Stored and served for the retention time. */
struct dsmr_app_result {
    uint32_t code;
    uint64_t fee;
};
/* Bounded text for query answers; the caller owns bytes. Written with a terminating zero. */
struct dsmr_app_text {
    char *bytes;
    size_t capacity;
    size_t len;
};

struct dsmr_app_ops {
    const char *name; /* as in genesis: "transfers", "opaque" */
    /* Syntax and authentication of count transactions, no state: errs[i] is OK, BAD_TX,
     * WRONG_NETWORK, WRONG_CHAIN, VERSION, NON_CANONICAL, BAD_SIGNATURE. Signatures are verified in
     * batches. Returns the number that are not OK. */
    uint32_t (*check)(const void *self, enum dsmr_err *errs, const struct dsmr_tx_view *txs,
                      uint32_t count);
    /* Whether transactions that check() found good, and that want to come in here, could run on the
     * state of snapshot: errs[i] stays as it is, or OK becomes the reason why not (INSUFFICIENT,
     * FEE_LIMIT). It keeps out what would fill chunks without paying, and binds nobody: blocks in
     * between may decide otherwise, and what others have let in is run all the same. Where the
     * state cannot be read, nothing is kept out. NULL: everything may come in. */
    void (*admit)(const void *self, enum dsmr_err *errs, const struct dsmr_kv *kv,
                  struct dsmr_kv_txn *snapshot, const struct dsmr_tx_view *txs, uint32_t count);
    /* Writes the state before block 1. genesis: the "app" object of genesis.json as JSON text.
     * CONFIG with a sentence in *reason (static or inside self) if it is wrong. */
    enum dsmr_err (*genesis)(void *self, struct dsmr_id *root, const char **reason,
                             const struct dsmr_kv *kv, struct dsmr_kv_txn *txn, const char *genesis,
                             size_t genesis_len);
    /* Runs a block: deterministic in (state, block); a transaction that fails is a result, and each
     * gets one. root: the state root after the block. Errors are LOCAL (IO, NO_MEMORY): the node
     * halts. */
    enum dsmr_err (*execute)(void *self, struct dsmr_id *root, struct dsmr_app_result *results,
                             const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                             const struct dsmr_app_block *block);
    /* Answers GET /v1/accounts/{address} and the like: path is "accounts/ADDRESS"; JSON text.
     * UNKNOWN, MALFORMED. NULL: the application answers nothing. */
    enum dsmr_err (*query)(const void *self, struct dsmr_app_text *out, const struct dsmr_kv *kv,
                           struct dsmr_kv_txn *snapshot, const char *path);
    /* The sentence for a result code; static. */
    const char *(*code_text)(uint32_t code);
    void (*free)(void *self);
};
struct dsmr_app {
    void *self;
    const struct dsmr_app_ops *ops;
};

#endif
