/* bench_vm.c - time per transaction of both applications' stages.
 *
 * usage: bench_vm [accounts] [transfers per block] [blocks] [directory]
 * accounts 0: 10 000, 100 000 and 1 000 000. directory: execution also over LMDB there, which must
 * be on the disk to be measured; every commit is durable.
 * "primitive" rows are what a stage cannot be faster than. Execution is measured with the cache
 * that it has in a node; "cold" starts each block with an empty one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/files.h"
#include "base/prng.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "store/kv_mem.h"
#include "store/lmdb_kv.h"
#include "vm/account_trie.h"
#include "vm/opaque.h"
#include "vm/transfer_tx.h"
#include "vm/transfers.h"

#define SIGNED 2048u

static const struct dsmr_domain domain = {.network_id = 1};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void report(const char *stage, double ns, double count)
{
    printf("%-44s %10.0f ns   %12.0f /s\n", stage, ns / count, count * 1e9 / ns);
}

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "bench_vm: %s failed\n", what);
        exit(1);
    }
}

static struct dsmr_ed25519_secret_key secret_of(uint64_t number)
{
    struct dsmr_ed25519_secret_key key = {.bytes = {1}};
    memcpy(key.bytes + 1, &number, sizeof number);
    return key;
}

struct txs {
    uint32_t count;
    struct dsmr_app_tx *txs;
    struct dsmr_id *ids; /* zeros: what they are does not matter */
    uint8_t (*bytes)[DSMR_TRANSFER_TX_BYTES_MAX];
    struct dsmr_app_result *results;
};

static void txs_init(struct txs *txs, uint32_t count)
{
    txs->count = count;
    txs->txs = calloc(count, sizeof *txs->txs);
    txs->ids = calloc(count, sizeof *txs->ids);
    txs->bytes = calloc(count, sizeof *txs->bytes);
    txs->results = calloc(count, sizeof *txs->results);
    must(txs->txs && txs->ids && txs->bytes && txs->results, "memory");
}

static void txs_free(struct txs *txs)
{
    free(txs->txs);
    free(txs->ids);
    free(txs->bytes);
    free(txs->results);
}

static void bench_sign_and_check(void)
{
    struct txs txs;
    txs_init(&txs, SIGNED);
    static struct dsmr_tx_view views[SIGNED];
    static enum dsmr_err errs[SIGNED];
    double start = now_ns();
    for (uint32_t i = 0; i < SIGNED; i++) {
        struct dsmr_ed25519_secret_key key = secret_of(i);
        struct dsmr_transfer_tx tx = {.expiry_ms = i, .amount = 1, .fee_limit = 1000000};
        uint32_t len = (uint32_t)dsmr_transfer_tx_sign(txs.bytes[i], &tx, &domain, &key);
        views[i] = (struct dsmr_tx_view){.bytes = txs.bytes[i], .len = len};
    }
    report("transfers: build and sign", now_ns() - start, SIGNED);
    struct dsmr_ed25519_signing_key expanded;
    struct dsmr_ed25519_secret_key one = secret_of(1);
    uint8_t again[DSMR_TRANSFER_TX_BYTES_MAX];
    dsmr_ed25519_expand(&expanded, &one);
    start = now_ns();
    for (uint32_t i = 0; i < SIGNED; i++) {
        struct dsmr_transfer_tx tx = {.expiry_ms = i, .amount = 1, .fee_limit = 1000000};
        (void)dsmr_transfer_tx_sign_as(again, &tx, &domain, &expanded);
    }
    report("  with a key that is expanded", now_ns() - start, SIGNED);
    struct dsmr_transfers_config config = {.domain = domain};
    struct dsmr_app app;
    must(dsmr_transfers_new(&app, &config) == DSMR_OK, "new");
    start = now_ns();
    for (uint32_t i = 0; i < 256; i++) {
        must(dsmr_transfer_tx_verify(&domain, views[i].bytes, views[i].len) == DSMR_OK, "verify");
    }
    report("primitive: verify singly", now_ns() - start, 256);
    start = now_ns();
    must(app.ops->check(app.self, errs, views, SIGNED) == 0, "check");
    report("transfers: check, all good", now_ns() - start, SIGNED);
    txs.bytes[1000][1] ^= 1;
    start = now_ns();
    must(app.ops->check(app.self, errs, views, SIGNED) == 1, "check");
    report("transfers: check, one bad of 2048", now_ns() - start, SIGNED);
    for (uint32_t i = 0; i < SIGNED; i += 8) {
        txs.bytes[i][2] ^= 1;
    }
    start = now_ns();
    must(app.ops->check(app.self, errs, views, SIGNED) >= SIGNED / 8, "check");
    report("transfers: check, every 8th bad", now_ns() - start, SIGNED);
    app.ops->free(app.self);
    txs_free(&txs);
}

/* Accounts are not derived from keys here: execution judges no signatures. */
static void address_of(uint8_t out[32], uint64_t number)
{
    struct dsmr_id id;
    dsmr_hash(&id, &number, sizeof number);
    memcpy(out, id.bytes, 32);
}

static char *genesis_text(uint64_t accounts, size_t *len)
{
    static const char head[] =
        "{\"fee\":{\"base\":1,\"per_byte\":1,\"per_signature\":1},\"accounts\":[";
    char *text = malloc(sizeof head + accounts * 120 + 8);
    must(text != NULL, "memory");
    size_t at = (size_t)sprintf(text, "%s", head);
    for (uint64_t i = 0; i < accounts; i++) {
        uint8_t address[32];
        address_of(address, i);
        at += (size_t)sprintf(text + at, "%s{\"address\":\"", i ? "," : "");
        for (size_t k = 0; k < 32; k++) {
            text[at++] = "0123456789abcdef"[address[k] >> 4];
            text[at++] = "0123456789abcdef"[address[k] & 15];
        }
        at += (size_t)sprintf(text + at, "\",\"balance\":\"1000000000\"}");
    }
    at += (size_t)sprintf(text + at, "]}");
    *len = at;
    return text;
}

static void random_block(struct txs *txs, struct dsmr_prng *prng, uint64_t accounts)
{
    for (uint32_t i = 0; i < txs->count; i++) {
        struct dsmr_ed25519_secret_key key = secret_of(0);
        struct dsmr_transfer_tx tx = {.amount = 1, .fee_limit = 1000000};
        if (txs->txs[i].tx.len == 0) { /* signed once; the fields below are then replaced */
            uint32_t len = (uint32_t)dsmr_transfer_tx_sign(txs->bytes[i], &tx, &domain, &key);
            txs->txs[i].tx = (struct dsmr_tx_view){.bytes = txs->bytes[i], .len = len};
        }
        address_of(txs->bytes[i] + 45, dsmr_prng_below(prng, accounts));
        address_of(txs->bytes[i] + 77, dsmr_prng_below(prng, accounts));
        address_of(txs->txs[i].fee_recipient.bytes, i * 4 / txs->count); /* four chunks */
    }
}

static struct dsmr_kv_txn *begin(const struct dsmr_kv *kv)
{
    struct dsmr_kv_txn *txn = NULL;
    must(kv->ops->begin(kv->self, &txn, true) == DSMR_OK, "begin");
    return txn;
}

static void bench_execute(struct dsmr_kv kv, uint64_t accounts, uint32_t per_block, uint32_t blocks)
{
    struct dsmr_transfers_config config = {.domain = domain};
    struct dsmr_app app;
    struct dsmr_id root;
    const char *reason = NULL;
    size_t len;
    char *text = genesis_text(accounts, &len);
    must(dsmr_transfers_new(&app, &config) == DSMR_OK, "new");
    struct dsmr_kv_txn *txn = begin(&kv);
    double start = now_ns();
    must(app.ops->genesis(app.self, &root, &reason, &kv, txn, text, len) == DSMR_OK, "genesis");
    report("transfers: genesis, per account", now_ns() - start, (double)accounts);
    must(kv.ops->commit(kv.self, txn) == DSMR_OK, "commit");
    free(text);
    struct txs txs;
    struct dsmr_prng prng;
    txs_init(&txs, per_block);
    dsmr_prng_init(&prng, 1);
    double spent[2] = {0, 0};
    double whole[2] = {0, 0};
    uint64_t height = 0;
    for (uint32_t cold = 0; cold < 2; cold++) {
        for (uint32_t b = 0; b < blocks; b++) {
            random_block(&txs, &prng, accounts);
            if (cold) {
                app.ops->free(app.self);
                must(dsmr_transfers_new(&app, &config) == DSMR_OK, "new");
            }
            struct dsmr_app_block block = {
                .height = ++height, .txs = txs.txs, .txs_count = per_block};
            start = now_ns();
            txn = begin(&kv);
            double inner = now_ns();
            must(app.ops->execute(app.self, &root, txs.results, &kv, txn, &block) == DSMR_OK,
                 "execute");
            spent[cold] += now_ns() - inner;
            must(kv.ops->commit(kv.self, txn) == DSMR_OK, "commit");
            whole[cold] += now_ns() - start;
            must(txs.results[0].code == DSMR_TRANSFERS_DONE, "transfer");
        }
    }
    double count = (double)per_block * blocks;
    report("transfers: execute + root, per transfer", spent[0], count);
    report("  with begin and commit", whole[0], count);
    report("  cold cache", spent[1], count);
    report("  per account update (two a transfer)", spent[0], 2 * count);
    txs_free(&txs);
    app.ops->free(app.self);
}

static void bench_execute_in_memory(uint64_t accounts, uint32_t per_block, uint32_t blocks)
{
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    must(mem != NULL, "memory");
    printf("\n%llu accounts, %u transfers per block, %u blocks, store in memory\n",
           (unsigned long long)accounts, per_block, blocks);
    bench_execute(dsmr_kv_mem_port(mem), accounts, per_block, blocks);
    dsmr_kv_mem_free(mem);
}

static void bench_execute_on_disk(const char *directory, uint64_t accounts, uint32_t per_block,
                                  uint32_t blocks)
{
    static struct dsmr_lmdb_kv lmdb;
    char path[4096];
    char file[4200];
    must(dsmr_files_make_temporary(path, sizeof path, directory, "bench_vm") == DSMR_OK,
         "directory");
    (void)snprintf(file, sizeof file, "%s/state", path);
    must(dsmr_lmdb_env_create(path, "state") == DSMR_OK, "create");
    must(dsmr_lmdb_env_open(&lmdb.env, file, 4ull << 30, 0, 8, NULL) == DSMR_OK, "open");
    printf("\nthe same over LMDB\n");
    bench_execute(dsmr_lmdb_kv_port(&lmdb), accounts, per_block, blocks);
    dsmr_lmdb_env_close(&lmdb.env);
    dsmr_files_remove_folder(path);
}

/* The parts of execution: changes in memory, then hashing and writing. */
static void bench_trie(uint64_t accounts, uint32_t per_block, uint32_t blocks)
{
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    struct dsmr_account_trie *trie = dsmr_account_trie_new(1u << 30);
    must(mem && trie, "memory");
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct dsmr_account_link root = {.kind = DSMR_ACCOUNT_KIND_NONE};
    struct dsmr_prng prng;
    dsmr_prng_init(&prng, 2);
    double give_ns = 0;
    double finish_ns = 0;
    for (uint32_t b = 0; b <= blocks; b++) {
        uint64_t count = b == 0 ? accounts : per_block;
        struct dsmr_kv_txn *txn = begin(&kv);
        dsmr_account_trie_begin(trie, &kv, txn, &root);
        double start = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            struct dsmr_address address;
            struct dsmr_account_key key;
            address_of(address.bytes, b == 0 ? i : dsmr_prng_below(&prng, accounts));
            dsmr_account_key_init(&key, &address);
            must(dsmr_account_trie_give(trie, &key, 1) == DSMR_OK, "give");
        }
        double middle = now_ns();
        must(dsmr_account_trie_finish(trie, &root) == DSMR_OK, "finish");
        if (b > 0) {
            give_ns += middle - start;
            finish_ns += now_ns() - middle;
        }
        must(kv.ops->commit(kv.self, txn) == DSMR_OK, "commit");
    }
    double updates = (double)per_block * blocks;
    report("trie: change one balance (hash, descend)", give_ns, updates);
    report("trie: root, per changed account", finish_ns, updates);
    printf("%-44s %10.1f MiB\n", "trie: cache of all accounts",
           (double)dsmr_account_trie_cache_bytes(trie) / (1 << 20));
    dsmr_account_trie_free(trie);
    dsmr_kv_mem_free(mem);
}

static void bench_opaque(uint32_t per_block, uint32_t blocks)
{
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    must(mem != NULL, "memory");
    struct dsmr_kv kv = dsmr_kv_mem_port(mem);
    struct dsmr_app app;
    struct dsmr_id root;
    const char *reason = NULL;
    struct txs txs;
    must(dsmr_opaque_new(&app) == DSMR_OK, "new");
    txs_init(&txs, per_block);
    struct dsmr_kv_txn *txn = begin(&kv);
    must(app.ops->genesis(app.self, &root, &reason, &kv, txn, "{}", 2) == DSMR_OK, "genesis");
    double start = now_ns();
    for (uint32_t b = 0; b < blocks; b++) {
        struct dsmr_app_block block = {
            .height = b + 1, .txs = txs.txs, .ids = txs.ids, .txs_count = per_block};
        must(app.ops->execute(app.self, &root, txs.results, &kv, txn, &block) == DSMR_OK,
             "execute");
    }
    report("opaque: execute + root, per transaction", now_ns() - start, (double)per_block * blocks);
    kv.ops->abort(kv.self, txn);
    app.ops->free(app.self);
    txs_free(&txs);
    dsmr_kv_mem_free(mem);
}

static void bench_primitives(void)
{
    static uint8_t bytes[1u << 20];
    struct dsmr_id id;
    double start = now_ns();
    for (uint32_t i = 0; i < 100000; i++) {
        dsmr_hash(&id, bytes, 32);
    }
    report("primitive: SHA-256 of 32 bytes", now_ns() - start, 100000);
    start = now_ns();
    for (uint32_t i = 0; i < 20000; i++) {
        dsmr_hash(&id, bytes, 529);
    }
    report("primitive: SHA-256 of 529 bytes (a branch)", now_ns() - start, 20000);
    start = now_ns();
    for (uint32_t i = 0; i < 20; i++) {
        dsmr_hash(&id, bytes, sizeof bytes);
    }
    report("primitive: SHA-256 per 32 bytes in bulk", now_ns() - start, 20 * (1u << 15));
}

int main(int argc, char **argv)
{
    uint64_t accounts = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    uint32_t per_block = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 4000;
    uint32_t blocks = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 20;
    must(per_block > 0 && blocks > 0, "arguments");
    bench_primitives();
    bench_sign_and_check();
    bench_opaque(per_block, blocks);
    static const uint64_t sizes[] = {10000, 100000, 1000000};
    for (size_t i = 0; i < 3; i++) {
        uint64_t size = accounts > 0 ? accounts : sizes[i];
        bench_execute_in_memory(size, per_block, blocks);
        if (argc > 4) {
            bench_execute_on_disk(argv[4], size, per_block, blocks);
        }
        bench_trie(size, per_block, blocks);
        if (accounts > 0) {
            break;
        }
    }
    return 0;
}
