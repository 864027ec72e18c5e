#include "vm/transfers.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "vm/account_proof.h"
#include "vm/account_read.h"
#include "vm/account_trie.h"
#include "vm/address.h"
#include "vm/app_text.h"
#include "vm/transfers_check.h"
#include "vm/transfers_genesis.h"

#define REASON_BYTES 200u
#define PATH_BYTES_MAX 128u

struct transfers {
    struct dsmr_domain domain;
    struct dsmr_account_trie *trie;
    char reason[REASON_BYTES];
};

/* A block while it runs. */
struct run {
    const struct dsmr_domain *domain;
    struct dsmr_account_trie *trie;
    struct dsmr_transfer_tx_fees fees;
    struct dsmr_account_key fee_recipient; /* of the last transaction: chunks repeat it */
    bool has_fee_recipient;
};

static uint32_t transfers_check(const void *self, enum dsmr_err *errs,
                                const struct dsmr_tx_view *txs, uint32_t count)
{
    const struct transfers *transfers = self;
    return dsmr_transfers_check(&transfers->domain, errs, txs, count);
}

/* ---- genesis ---- */

static enum dsmr_err add_account(void *self, const struct dsmr_account *account)
{
    struct dsmr_account_trie *trie = self;
    struct dsmr_account_key key;
    uint64_t balance;
    dsmr_account_key_init(&key, &account->address);
    enum dsmr_err err = dsmr_account_trie_balance(trie, &balance, &key);
    if (!err && balance > 0) {
        err = DSMR_ERR_DUPLICATE;
    }
    return err ? err : dsmr_account_trie_give(trie, &key, account->balance);
}

static enum dsmr_err transfers_genesis(void *self, struct dsmr_id *root, const char **reason,
                                       const struct dsmr_kv *kv, struct dsmr_kv_txn *txn,
                                       const char *genesis, size_t genesis_len)
{
    struct transfers *transfers = self;
    struct dsmr_account_link none = {.kind = DSMR_ACCOUNT_KIND_NONE};
    struct dsmr_transfers_state state;
    struct dsmr_app_text problem;
    struct dsmr_genesis_json json;
    dsmr_app_text_init(&problem, transfers->reason, sizeof transfers->reason);
    dsmr_genesis_json_init(&json, genesis, genesis_len);
    dsmr_account_trie_begin(transfers->trie, kv, txn, &none);
    enum dsmr_err err =
        dsmr_transfers_genesis_read(&state, &problem, &json, add_account, transfers->trie);
    if (!err) {
        err = dsmr_account_trie_finish(transfers->trie, &state.trie);
    }
    if (!err) {
        err = dsmr_transfers_state_put(&state, kv, txn);
    }
    if (err) {
        dsmr_account_trie_cancel(transfers->trie);
        if (err == DSMR_ERR_CONFIG) {
            *reason = transfers->reason;
        }
        return err;
    }
    dsmr_transfers_state_root(root, &state);
    return DSMR_OK;
}

/* ---- execution ---- */

static enum dsmr_err give_fee(struct run *run, const struct dsmr_address *recipient, uint64_t fee)
{
    if (!run->has_fee_recipient ||
        memcmp(run->fee_recipient.address.bytes, recipient->bytes, sizeof recipient->bytes) != 0) {
        dsmr_account_key_init(&run->fee_recipient, recipient);
        run->has_fee_recipient = true;
    }
    return dsmr_account_trie_give(run->trie, &run->fee_recipient, fee);
}

/* What the transaction comes to before anything moves; docs/transfers.md, Execution. */
static enum dsmr_transfers_code judge(const struct dsmr_transfer_tx *tx, uint64_t fee,
                                      uint64_t balance)
{
    if (fee > tx->fee_limit) {
        return DSMR_TRANSFERS_OVER_LIMIT;
    }
    if (fee > balance) {
        return DSMR_TRANSFERS_CANNOT_PAY;
    }
    return tx->amount > balance - fee ? DSMR_TRANSFERS_INSUFFICIENT : DSMR_TRANSFERS_DONE;
}

/* At the door, by the state as it is now. */
static enum dsmr_err door(const struct transfers *transfers,
                          const struct dsmr_transfers_state *state, const struct dsmr_kv *kv,
                          struct dsmr_kv_txn *snapshot, const struct dsmr_tx_view *tx)
{
    struct dsmr_transfer_tx parsed;
    struct dsmr_address address;
    struct dsmr_account_key from;
    uint64_t balance = 0;
    if (dsmr_transfer_tx_parse(&parsed, &transfers->domain, tx->bytes, tx->len)) {
        return DSMR_OK; /* check() has judged it */
    }
    memcpy(address.bytes, parsed.from.bytes, sizeof address.bytes);
    dsmr_account_key_init(&from, &address);
    if (dsmr_account_read_balance(&balance, kv, snapshot, &state->trie, &from)) {
        return DSMR_OK;
    }
    switch (judge(&parsed, dsmr_transfer_tx_fee(&state->fees, tx->len), balance)) {
    case DSMR_TRANSFERS_DONE:
        return DSMR_OK;
    case DSMR_TRANSFERS_OVER_LIMIT:
        return DSMR_ERR_FEE_LIMIT;
    default:
        return DSMR_ERR_INSUFFICIENT;
    }
}

static void transfers_admit(const void *self, enum dsmr_err *errs, const struct dsmr_kv *kv,
                            struct dsmr_kv_txn *snapshot, const struct dsmr_tx_view *txs,
                            uint32_t count)
{
    struct dsmr_transfers_state state;
    if (dsmr_transfers_state_get(&state, kv, snapshot)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (errs[i] == DSMR_OK) {
            errs[i] = door(self, &state, kv, snapshot, &txs[i]);
        }
    }
}

static enum dsmr_err run_transfer(struct run *run, struct dsmr_app_result *result,
                                  const struct dsmr_app_tx *app_tx,
                                  const struct dsmr_transfer_tx *tx)
{
    struct dsmr_address from_address;
    struct dsmr_account_key from;
    uint64_t balance;
    memcpy(from_address.bytes, tx->from.bytes, sizeof from_address.bytes);
    dsmr_account_key_init(&from, &from_address);
    enum dsmr_err err = dsmr_account_trie_balance(run->trie, &balance, &from);
    if (err) {
        return err;
    }
    uint64_t fee = dsmr_transfer_tx_fee(&run->fees, app_tx->tx.len);
    enum dsmr_transfers_code code = judge(tx, fee, balance);
    result->code = code;
    if (code != DSMR_TRANSFERS_DONE && code != DSMR_TRANSFERS_INSUFFICIENT) {
        return DSMR_OK;
    }
    result->fee = fee;
    uint64_t amount = code == DSMR_TRANSFERS_DONE ? tx->amount : 0;
    /* judge() found amount + fee <= balance. Taken first, so that a transfer to oneself, or from
     * the fee recipient, needs no case of its own. */
    err = dsmr_account_trie_take(run->trie, &from, amount + fee);
    if (!err && amount > 0) {
        struct dsmr_account_key to;
        dsmr_account_key_init(&to, &tx->to);
        err = dsmr_account_trie_give(run->trie, &to, amount);
    }
    return err ? err : give_fee(run, &app_tx->fee_recipient, fee);
}

static enum dsmr_err run_tx(struct run *run, struct dsmr_app_result *result,
                            const struct dsmr_app_tx *app_tx)
{
    struct dsmr_transfer_tx tx;
    *result = (struct dsmr_app_result){.code = DSMR_TRANSFERS_DONE, .fee = 0};
    switch (dsmr_transfer_tx_parse(&tx, run->domain, app_tx->tx.bytes, app_tx->tx.len)) {
    case DSMR_OK:
        return run_transfer(run, result, app_tx, &tx);
    case DSMR_ERR_WRONG_NETWORK:
    case DSMR_ERR_WRONG_CHAIN:
        result->code = DSMR_TRANSFERS_WRONG_DOMAIN;
        return DSMR_OK;
    default:
        result->code = DSMR_TRANSFERS_MALFORMED;
        return DSMR_OK;
    }
}

static enum dsmr_err run_block(struct transfers *transfers, struct dsmr_transfers_state *state,
                               struct dsmr_app_result *results, const struct dsmr_app_block *block)
{
    struct run run = {.domain = &transfers->domain, .trie = transfers->trie, .fees = state->fees};
    for (uint32_t i = 0; i < block->txs_count; i++) {
        enum dsmr_err err = run_tx(&run, &results[i], &block->txs[i]);
        if (err) {
            return err;
        }
    }
    state->accounts += (uint64_t)dsmr_account_trie_growth(transfers->trie);
    state->height = block->height;
    return dsmr_account_trie_finish(transfers->trie, &state->trie);
}

static enum dsmr_err transfers_execute(void *self, struct dsmr_id *root,
                                       struct dsmr_app_result *results, const struct dsmr_kv *kv,
                                       struct dsmr_kv_txn *txn, const struct dsmr_app_block *block)
{
    struct transfers *transfers = self;
    struct dsmr_transfers_state state;
    enum dsmr_err err = dsmr_transfers_state_get(&state, kv, txn);
    if (!err && block->height != state.height + 1) {
        err = DSMR_ERR_APP_FAILED;
    }
    if (err) {
        return err;
    }
    dsmr_account_trie_begin(transfers->trie, kv, txn, &state.trie);
    err = run_block(transfers, &state, results, block);
    if (!err) {
        err = dsmr_transfers_state_put(&state, kv, txn);
    }
    if (err) {
        dsmr_account_trie_cancel(transfers->trie);
        return err;
    }
    dsmr_transfers_state_root(root, &state);
    return DSMR_OK;
}

/* ---- queries ---- */

static void add_field(struct dsmr_app_text *out, const char *before, uint64_t value,
                      const char *after)
{
    dsmr_app_text_add(out, before);
    dsmr_app_text_add_u64(out, value);
    dsmr_app_text_add(out, after);
}

static void add_address(struct dsmr_app_text *out, const struct dsmr_address *address)
{
    char text[DSMR_ADDRESS_TEXT_LEN + 1];
    dsmr_address_format(text, address);
    dsmr_app_text_add(out, "{\"address\":\"");
    dsmr_app_text_add(out, text);
    dsmr_app_text_add(out, "\",\"hex\":\"");
    dsmr_app_text_add_hex(out, address->bytes, sizeof address->bytes);
    dsmr_app_text_add(out, "\"");
}

static enum dsmr_err query_account(struct dsmr_app_text *out, const struct dsmr_kv *kv,
                                   struct dsmr_kv_txn *snapshot, const struct dsmr_address *address)
{
    struct dsmr_transfers_state state;
    uint64_t balance = 0;
    enum dsmr_err err = dsmr_transfers_state_get(&state, kv, snapshot);
    if (!err) {
        struct dsmr_account_key key;
        dsmr_account_key_init(&key, address);
        err = dsmr_account_read_balance(&balance, kv, snapshot, &state.trie, &key);
    }
    if (err) {
        return err;
    }
    add_address(out, address);
    add_field(out, ",\"balance\":\"", balance, "\"");
    dsmr_app_text_add(out, balance > 0 ? ",\"exists\":true" : ",\"exists\":false");
    add_field(out, ",\"height\":", state.height, "}");
    return dsmr_app_text_end(out);
}

static enum dsmr_err query_proof(struct dsmr_app_text *out, const struct dsmr_kv *kv,
                                 struct dsmr_kv_txn *snapshot, const struct dsmr_address *address)
{
    struct dsmr_id root;
    struct dsmr_wr wr;
    uint8_t *proof = malloc(DSMR_ACCOUNT_PROOF_BYTES_MAX);
    if (!proof) {
        return DSMR_ERR_NO_MEMORY;
    }
    dsmr_wr_init(&wr, proof, DSMR_ACCOUNT_PROOF_BYTES_MAX);
    enum dsmr_err err = dsmr_account_proof_make(&wr, &root, kv, snapshot, address);
    if (!err) {
        add_address(out, address);
        dsmr_app_text_add(out, ",\"root\":\"");
        dsmr_app_text_add_hex(out, root.bytes, sizeof root.bytes);
        dsmr_app_text_add(out, "\",\"proof\":\"");
        dsmr_app_text_add_hex(out, proof, wr.at);
        dsmr_app_text_add(out, "\"}");
        err = dsmr_app_text_end(out);
    }
    free(proof);
    return err;
}

static enum dsmr_err query_state(struct dsmr_app_text *out, const struct dsmr_kv *kv,
                                 struct dsmr_kv_txn *snapshot)
{
    struct dsmr_transfers_state state;
    struct dsmr_id root;
    enum dsmr_err err = dsmr_transfers_state_get(&state, kv, snapshot);
    if (err) {
        return err;
    }
    dsmr_transfers_state_root(&root, &state);
    add_field(out, "{\"height\":", state.height, ",\"root\":\"");
    dsmr_app_text_add_hex(out, root.bytes, sizeof root.bytes);
    add_field(out, "\",\"accounts\":", state.accounts, "");
    add_field(out, ",\"supply\":\"", state.supply, "\",\"fee\":{");
    add_field(out, "\"base\":\"", state.fees.base, "\",");
    add_field(out, "\"per_byte\":\"", state.fees.per_byte, "\",");
    add_field(out, "\"per_signature\":\"", state.fees.per_signature, "\"}}");
    return dsmr_app_text_end(out);
}

/* What follows prefix in path, or NULL if path begins with something else. */
static const char *after_prefix(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

static enum dsmr_err transfers_query(const void *self, struct dsmr_app_text *out,
                                     const struct dsmr_kv *kv, struct dsmr_kv_txn *snapshot,
                                     const char *path)
{
    (void)self;
    dsmr_app_text_init(out, out->bytes, out->capacity);
    if (strcmp(path, "state") == 0) {
        return query_state(out, kv, snapshot);
    }
    const char *account = after_prefix(path, "accounts/");
    const char *proof = after_prefix(path, "proofs/");
    const char *text = account ? account : proof;
    if (!text) {
        return DSMR_ERR_UNKNOWN;
    }
    struct dsmr_address address;
    if (!memchr(text, 0, PATH_BYTES_MAX) || dsmr_address_parse(&address, text, strlen(text))) {
        return DSMR_ERR_MALFORMED;
    }
    return account ? query_account(out, kv, snapshot, &address)
                   : query_proof(out, kv, snapshot, &address);
}

static const char *transfers_code_text(uint32_t code)
{
    switch (code) {
    case DSMR_TRANSFERS_DONE:
        return "ok";
    case DSMR_TRANSFERS_MALFORMED:
        return "the transaction does not parse";
    case DSMR_TRANSFERS_WRONG_DOMAIN:
        return "the transaction is of another network or chain";
    case DSMR_TRANSFERS_OVER_LIMIT:
        return "the fee is above the sender's limit";
    case DSMR_TRANSFERS_CANNOT_PAY:
        return "the balance does not cover the fee";
    case DSMR_TRANSFERS_INSUFFICIENT:
        return "the balance does not cover the amount; the fee was charged";
    default:
        return "unknown result code";
    }
}

static void transfers_free(void *self)
{
    struct transfers *transfers = self;
    if (transfers) {
        dsmr_account_trie_free(transfers->trie);
        free(transfers);
    }
}

static const struct dsmr_app_ops transfers_ops = {
    .name = "transfers",
    .check = transfers_check,
    .admit = transfers_admit,
    .genesis = transfers_genesis,
    .execute = transfers_execute,
    .query = transfers_query,
    .code_text = transfers_code_text,
    .free = transfers_free,
};

enum dsmr_err dsmr_transfers_new(struct dsmr_app *out, const struct dsmr_transfers_config *config)
{
    struct transfers *transfers = calloc(1, sizeof *transfers);
    if (!transfers) {
        return DSMR_ERR_NO_MEMORY;
    }
    transfers->domain = config->domain;
    transfers->trie = dsmr_account_trie_new(
        config->cache_bytes_max > 0 ? config->cache_bytes_max : DSMR_TRANSFERS_CACHE_BYTES_DEFAULT);
    if (!transfers->trie) {
        transfers_free(transfers);
        return DSMR_ERR_NO_MEMORY;
    }
    *out = (struct dsmr_app){.self = transfers, .ops = &transfers_ops};
    return DSMR_OK;
}
