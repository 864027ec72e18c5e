/* transfers_chain.h - the application of transfers on a chain of its own, run block by block beside
 * a list of balances. */
#ifndef DSMR_TEST_UNIT_VM_TRANSFERS_CHAIN_H
#define DSMR_TEST_UNIT_VM_TRANSFERS_CHAIN_H

#include "unit/vm/support.h"
#include "vm/transfer_tx.h"
#include "vm/transfers.h"

#define WALLETS 12u
#define BASE 100u
#define PER_BYTE 2u
#define PER_SIGNATURE 20u

static const struct dsmr_domain domain = {.network_id = 3, .chain_id = {{4, 5}}};
static const uint64_t fee_rule[3] = {BASE, PER_BYTE, PER_SIGNATURE};

/* The application over a store in memory, and beside it a list of balances that follows the rules
 * of docs/transfers.md in the plainest way. */
struct chain {
    struct fixture f;
    struct dsmr_app app;
    uint64_t height;
    struct dsmr_id root;
    struct dsmr_ed25519_secret_key secrets[WALLETS];
    struct dsmr_account accounts[WALLETS + 4]; /* the last ones: fee recipients, strangers */
    size_t accounts_count;
};

static inline void new_app(struct chain *chain, uint64_t cache_bytes)
{
    struct dsmr_transfers_config config = {.domain = domain, .cache_bytes_max = cache_bytes};
    assert_int_equal(dsmr_transfers_new(&chain->app, &config), DSMR_OK);
}

static inline void hex(char out[65], const struct dsmr_address *address)
{
    for (size_t i = 0; i < 32; i++) {
        out[2 * i] = "0123456789abcdef"[address->bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[address->bytes[i] & 15];
    }
    out[64] = 0;
}

static inline void decimal(char out[21], uint64_t value)
{
    char digits[21];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++) {
        out[i] = digits[n - 1 - i];
    }
    out[n] = 0;
}

static inline void genesis_text(struct chain *chain, char *out, size_t capacity)
{
    static const char head[] =
        "{\"name\":\"transfers\",\"fee\":{\"base\":100,\"per_byte\":2,\"per_signature\":20},"
        "\"accounts\":[";
    size_t at = strlen(head);
    bool is_first = true;
    memcpy(out, head, at);
    for (size_t i = 0; i < chain->accounts_count; i++) {
        char address[65];
        char balance[21];
        if (chain->accounts[i].balance == 0) {
            continue;
        }
        hex(address, &chain->accounts[i].address);
        decimal(balance, chain->accounts[i].balance);
        const char *const parts[] = {is_first ? "" : ",", "{\"address\":\"", address,
                                     "\",\"balance\":\"", balance,           "\"}"};
        is_first = false;
        for (size_t p = 0; p < 6; p++) {
            size_t len = strlen(parts[p]);
            assert_true(at + len + 3 < capacity);
            memcpy(out + at, parts[p], len);
            at += len;
        }
    }
    memcpy(out + at, "]}", 3);
}

static inline void chain_init(struct chain *chain, uint64_t cache_bytes,
                              const uint64_t balances[WALLETS])
{
    memset(chain, 0, sizeof *chain);
    fixture_init(&chain->f);
    for (uint32_t i = 0; i < WALLETS; i++) {
        chain->secrets[i] = secret_of(i);
        chain->accounts[i].address = address_of_secret(&chain->secrets[i]);
        chain->accounts[i].balance = balances[i];
    }
    for (uint32_t i = WALLETS; i < WALLETS + 4; i++) {
        chain->accounts[i].address = address_of(i);
    }
    chain->accounts_count = WALLETS + 4;
    new_app(chain, cache_bytes);
    char text[8192];
    const char *reason = NULL;
    genesis_text(chain, text, sizeof text);
    struct dsmr_kv_txn *txn = begin(&chain->f, true);
    assert_int_equal(chain->app.ops->genesis(chain->app.self, &chain->root, &reason, &chain->f.kv,
                                             txn, text, strlen(text)),
                     DSMR_OK);
    commit(&chain->f, txn);
    struct dsmr_id expected = slow_root(chain->accounts, chain->accounts_count, fee_rule);
    assert_memory_equal(chain->root.bytes, expected.bytes, 32);
}

static inline void chain_close(struct chain *chain)
{
    chain->app.ops->free(chain->app.self);
    fixture_close(&chain->f);
}

struct plan { /* one transaction, in words */
    uint32_t from, to;
    uint32_t fee_recipient; /* account */
    uint64_t amount;
    uint64_t fee_limit;
    uint8_t memo_len;
    uint8_t damage; /* 0 none, 1 cut, 2 other network, 3 version, 4 other chain, 5 signature */
};

#define PLANS_MAX 64u

struct block {
    struct dsmr_app_tx txs[PLANS_MAX];
    struct dsmr_app_result results[PLANS_MAX];
    uint8_t bytes[PLANS_MAX][DSMR_TRANSFER_TX_BYTES_MAX];
};

static inline void encode(struct chain *chain, struct block *block, const struct plan *plans,
                          uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct plan *plan = &plans[i];
        struct dsmr_transfer_tx tx = {.expiry_ms = 1000 + i,
                                      .to = chain->accounts[plan->to].address,
                                      .amount = plan->amount,
                                      .fee_limit = plan->fee_limit,
                                      .memo_len = plan->memo_len};
        size_t len =
            dsmr_transfer_tx_sign(block->bytes[i], &tx, &domain, &chain->secrets[plan->from]);
        len -= plan->damage == 1;
        block->bytes[i][12] ^= plan->damage == 2;
        block->bytes[i][0] = plan->damage == 3 ? 9 : 1;
        block->bytes[i][30] ^= plan->damage == 4;
        block->bytes[i][len - 1] ^= plan->damage == 5;
        struct dsmr_app_tx *app_tx = &block->txs[i];
        app_tx->tx = (struct dsmr_tx_view){.bytes = block->bytes[i], .len = (uint32_t)len};
        app_tx->fee_recipient = chain->accounts[plan->fee_recipient].address;
    }
}

static inline enum dsmr_err execute(struct chain *chain, struct dsmr_kv_txn *txn,
                                    struct block *block, uint32_t count, struct dsmr_id *root)
{
    struct dsmr_app_block app_block = {
        .height = chain->height + 1, .time_ms = 5, .txs = block->txs, .txs_count = count};
    memset(block->results, 0xee, sizeof block->results);
    return chain->app.ops->execute(chain->app.self, root, block->results, &chain->f.kv, txn,
                                   &app_block);
}

/* What a transaction does to the list. */
static inline struct dsmr_app_result model_run(struct chain *chain, const struct plan *plan)
{
    uint64_t fee = BASE + PER_BYTE * (190u + plan->memo_len) + PER_SIGNATURE;
    uint64_t *from = &chain->accounts[plan->from].balance;
    if (plan->damage > 0 && plan->damage < 5) {
        return (struct dsmr_app_result){.code = plan->damage % 2 ? 1 : 2};
    }
    if (fee > plan->fee_limit) {
        return (struct dsmr_app_result){.code = 3};
    }
    if (*from < fee) {
        return (struct dsmr_app_result){.code = 4};
    }
    bool covers = plan->amount <= *from - fee;
    *from -= fee;
    if (covers) {
        *from -= plan->amount;
        chain->accounts[plan->to].balance += plan->amount;
    }
    chain->accounts[plan->fee_recipient].balance += fee;
    return (struct dsmr_app_result){.code = covers ? 0 : 5, .fee = fee};
}

static inline uint64_t supply(const struct chain *chain)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < chain->accounts_count; i++) {
        sum += chain->accounts[i].balance;
    }
    return sum;
}

/* Runs the plans as a block and compares everything with the list. */
static inline void run(struct chain *chain, const struct plan *plans, uint32_t count)
{
    static struct block block;
    struct dsmr_app_result expected[PLANS_MAX];
    uint64_t before = supply(chain);
    encode(chain, &block, plans, count);
    for (uint32_t i = 0; i < count; i++) {
        expected[i] = model_run(chain, &plans[i]);
    }
    struct dsmr_kv_txn *txn = begin(&chain->f, true);
    assert_int_equal(execute(chain, txn, &block, count, &chain->root), DSMR_OK);
    commit(&chain->f, txn);
    chain->height++;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(block.results[i].code, expected[i].code);
        assert_int_equal(block.results[i].fee, expected[i].fee);
    }
    assert_true(supply(chain) == before);
    struct dsmr_id root = slow_root(chain->accounts, chain->accounts_count, fee_rule);
    assert_memory_equal(chain->root.bytes, root.bytes, 32);
}

static inline uint32_t code_of(struct chain *chain, struct plan plan)
{
    struct chain copy = *chain;
    struct dsmr_app_result result = model_run(&copy, &plan);
    run(chain, &plan, 1);
    return result.code;
}

static const uint64_t rich[WALLETS] = {1000000, 1000000, 5000, 500, 499, 501};
#define FEE 500u /* of a transfer without memo: 100 + 2 * 190 + 20 */

#endif
