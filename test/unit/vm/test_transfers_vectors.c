/* test_transfers_vectors.c - pins transactions, signed bytes, addresses, state roots, stored nodes
 * and proofs of both applications to test/vectors/transfers.json.
 *
 * UPDATE=1 rewrites the file; that is a change of the wire or the storage format. */
#include "unit/vectors_kv.h"

#include "crypto/hash.h"
#include "store/kv_mem.h"
#include "unit/wire/wire_samples.h"
#include "vm/account_proof.h"
#include "vm/address.h"
#include "vm/opaque.h"
#include "vm/transfer_tx.h"
#include "vm/transfers.h"

#define FILE_NAME "test/vectors/transfers.json"

/* ---- values: check_transfers.py has the same ---- */

static struct dsmr_ed25519_secret_key secret(void)
{
    struct dsmr_ed25519_secret_key key;
    samples_fill(key.bytes, 32, 0x60);
    return key;
}

/* Account 0 can send; the others are any 32 bytes. */
static struct dsmr_address address_of(uint32_t i)
{
    struct dsmr_address address;
    if (i == 0) {
        struct dsmr_ed25519_secret_key key = secret();
        struct dsmr_ed25519_public_key public;
        dsmr_ed25519_public(&public, &key);
        memcpy(address.bytes, public.bytes, 32);
    } else {
        samples_fill(address.bytes, 32, (uint8_t)(7 * i));
    }
    return address;
}

static uint64_t balance_of(uint32_t i)
{
    return i == 0 ? 1000000 : UINT64_C(1) << i;
}

static size_t make_tx(uint8_t *out, uint8_t memo_len)
{
    struct dsmr_params params;
    struct dsmr_ed25519_secret_key key = secret();
    struct dsmr_transfer_tx tx = {.expiry_ms = WIRE_SAMPLES_SLOT * 100 + 1000,
                                  .to = address_of(50),
                                  .amount = 1234,
                                  .fee_limit = 100000,
                                  .memo_len = memo_len};
    samples_params(&params);
    samples_fill(tx.memo, memo_len, 0x40);
    return dsmr_transfer_tx_sign(out, &tx, &params.domain, &key);
}

/* ---- transactions and addresses ---- */

static void add_txs(void)
{
    static const struct {
        const char *tx, *id, *signed_bytes;
        uint8_t memo_len;
    } forms[] = {
        {"tx.plain", "tx.plain.id", "tx.plain.signed", 0},
        {"tx.memo", "tx.memo.id", "tx.memo.signed", 5},
        {"tx.longest", "tx.longest.id", "tx.longest.signed", DSMR_TRANSFER_TX_MEMO_MAX},
    };
    struct dsmr_ed25519_secret_key key = secret();
    vectors_add("secret_key", key.bytes, 32);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX], message[DSMR_TRANSFER_TX_SIGNING_BYTES_MAX];
        struct dsmr_id id;
        size_t len = make_tx(bytes, forms[i].memo_len);
        vectors_add(forms[i].tx, bytes, len);
        dsmr_hash(&id, bytes, len);
        vectors_add(forms[i].id, id.bytes, 32);
        len = dsmr_transfer_tx_signing_bytes(message, bytes, len);
        vectors_add(forms[i].signed_bytes, message, len);
    }
    for (uint32_t i = 0; i < 2; i++) {
        char text[DSMR_ADDRESS_TEXT_LEN + 1];
        struct dsmr_address address = address_of(i);
        vectors_add(i == 0 ? "address.0" : "address.1", address.bytes, 32);
        dsmr_address_format(text, &address);
        vectors_add(i == 0 ? "address.0.text" : "address.1.text", text, DSMR_ADDRESS_TEXT_LEN);
    }
}

/* ---- chains ---- */

struct chain {
    struct dsmr_kv_mem *mem;
    struct dsmr_kv kv;
    struct dsmr_app app;
    struct dsmr_id root;
};

static void start(struct chain *chain, const char *genesis)
{
    const char *reason = NULL;
    struct dsmr_kv_txn *txn;
    chain->mem = dsmr_kv_mem_new();
    chain->kv = dsmr_kv_mem_port(chain->mem);
    assert_int_equal(chain->kv.ops->begin(chain->kv.self, &txn, true), DSMR_OK);
    assert_int_equal(chain->app.ops->genesis(chain->app.self, &chain->root, &reason, &chain->kv,
                                             txn, genesis, strlen(genesis)),
                     DSMR_OK);
    assert_int_equal(chain->kv.ops->commit(chain->kv.self, txn), DSMR_OK);
}

/* Block 1 with the three transactions of add_txs. */
static void run(struct chain *chain)
{
    static const uint8_t memos[] = {0, 5, DSMR_TRANSFER_TX_MEMO_MAX};
    uint8_t bytes[3][DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_app_tx txs[3];
    struct dsmr_id ids[3];
    struct dsmr_app_result results[3];
    struct dsmr_app_block block = {.height = 1, .txs = txs, .ids = ids, .txs_count = 3};
    struct dsmr_kv_txn *txn;
    for (size_t i = 0; i < 3; i++) {
        txs[i].tx.bytes = bytes[i];
        txs[i].tx.len = (uint32_t)make_tx(bytes[i], memos[i]);
        dsmr_hash(&ids[i], bytes[i], txs[i].tx.len);
        txs[i].fee_recipient = address_of(1);
    }
    assert_int_equal(chain->kv.ops->begin(chain->kv.self, &txn, true), DSMR_OK);
    assert_int_equal(
        chain->app.ops->execute(chain->app.self, &chain->root, results, &chain->kv, txn, &block),
        DSMR_OK);
    assert_int_equal(chain->kv.ops->commit(chain->kv.self, txn), DSMR_OK);
    assert_int_equal(results[2].code, 0);
}

static void stop(struct chain *chain)
{
    chain->app.ops->free(chain->app.self);
    dsmr_kv_mem_free(chain->mem);
}

static void add_proof(const char *name, struct chain *chain, uint32_t account)
{
    static uint8_t bytes[DSMR_ACCOUNT_PROOF_BYTES_MAX];
    struct dsmr_address address = address_of(account);
    struct dsmr_kv_txn *snapshot;
    struct dsmr_wr wr;
    struct dsmr_id root;
    uint64_t balance;
    dsmr_wr_init(&wr, bytes, sizeof(bytes));
    assert_int_equal(chain->kv.ops->begin(chain->kv.self, &snapshot, false), DSMR_OK);
    assert_int_equal(dsmr_account_proof_make(&wr, &root, &chain->kv, snapshot, &address), DSMR_OK);
    chain->kv.ops->abort(chain->kv.self, snapshot);
    assert_memory_equal(&root, &chain->root, 32);
    assert_int_equal(dsmr_account_proof_check(&balance, &root, &address, bytes, wr.at), DSMR_OK);
    vectors_add(name, bytes, wr.at);
}

/* 3 accounts are one bucket; 40 are a branch with buckets below. */
static void add_transfers(uint32_t accounts)
{
    char genesis[8192], hex[65], name[64];
    int at = snprintf(genesis, sizeof(genesis),
                      "{\"name\":\"transfers\",\"fee\":{\"base\":100,\"per_byte\":2,"
                      "\"per_signature\":20},\"accounts\":[");
    for (uint32_t i = 0; i < accounts; i++) {
        struct dsmr_address address = address_of(i);
        dsmr_hex_encode(hex, address.bytes, 32);
        at += snprintf(genesis + at, sizeof(genesis) - (size_t)at,
                       "%s{\"address\":\"%s\",\"balance\":\"%llu\"}", i > 0 ? "," : "", hex,
                       (unsigned long long)balance_of(i));
    }
    snprintf(genesis + at, sizeof(genesis) - (size_t)at, "]}");
    struct dsmr_params params;
    struct chain chain;
    samples_params(&params);
    struct dsmr_transfers_config config = {.domain = params.domain};
    assert_int_equal(dsmr_transfers_new(&chain.app, &config), DSMR_OK);
    start(&chain, genesis);
    snprintf(name, sizeof(name), "transfers.%u.genesis.root", accounts);
    vectors_add(name, chain.root.bytes, 32);
    snprintf(name, sizeof(name), "transfers.%u.genesis.store", accounts);
    vectors_add_kv(name, &chain.kv);
    run(&chain);
    snprintf(name, sizeof(name), "transfers.%u.block.root", accounts);
    vectors_add(name, chain.root.bytes, 32);
    snprintf(name, sizeof(name), "transfers.%u.block.store", accounts);
    vectors_add_kv(name, &chain.kv);
    snprintf(name, sizeof(name), "transfers.%u.block.proof.present", accounts);
    add_proof(name, &chain, 50);
    snprintf(name, sizeof(name), "transfers.%u.block.proof.absent", accounts);
    add_proof(name, &chain, 60);
    stop(&chain);
}

static void add_opaque(void)
{
    struct chain chain;
    assert_int_equal(dsmr_opaque_new(&chain.app), DSMR_OK);
    start(&chain, "{\"name\":\"opaque\"}");
    vectors_add("opaque.genesis.root", chain.root.bytes, 32);
    run(&chain);
    vectors_add("opaque.block.root", chain.root.bytes, 32);
    vectors_add_kv("opaque.block.store", &chain.kv);
    stop(&chain);
}

static void make_all(void)
{
    add_txs();
    add_transfers(3);
    add_transfers(40);
    add_opaque();
}

static void every_vector_is_exact(void **state)
{
    (void)state;
    make_all();
    vectors_compare(FILE_NAME);
    vectors_forget();
}

static void kept_transactions_verify(void **state)
{
    (void)state;
    static const char *const names[] = {"tx.plain", "tx.memo", "tx.longest"};
    json_t *kept = vectors_load(FILE_NAME);
    struct dsmr_params params;
    samples_params(&params);
    for (size_t i = 0; i < 3; i++) {
        uint8_t bytes[DSMR_TRANSFER_TX_BYTES_MAX];
        size_t len = vectors_bytes(bytes, sizeof(bytes), kept, names[i]);
        assert_int_equal(dsmr_transfer_tx_verify(&params.domain, bytes, len), DSMR_OK);
    }
    json_decref(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_exact),
        cmocka_unit_test(kept_transactions_verify),
    };
    if (getenv("UPDATE") != NULL) {
        make_all();
        return vectors_save(FILE_NAME);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
