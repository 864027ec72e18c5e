/* fuzz_transfers_state.c - a state of the transfers application that is not what the program wrote,
 * as the execution thread, queries and proofs read it from the disk.
 *
 * How:    no hash can be guessed, so the tree is built here, from the leaves up: {form u8, accounts
 *         u8, damages u8, {node u8, what u8, argument u8} each, transfers: {from u8, to u8, amount
 *         u8, fee recipient u8} each}. A damage changes a node before its parent has hashed it, or
 *         after. Form 255: the rest is the head of the state.
 * Checks: OK or CORRUPT; a proof leads to the balance that is read; where nothing is damaged all
 *         is readable, and the accounts of the block have after it what they had before it. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "store/kv_mem.h"
#include "vm/account_proof.h"
#include "vm/account_read.h"
#include "vm/app_text.h"
#include "vm/transfers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { POOL = 700, TXS_MAX = 12, PROOFS = 3, TX_BYTES = 190, HEIGHT = 4 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static struct dsmr_account_key pool[POOL];
static struct dsmr_app app;

static void make_pool(void)
{
    for (uint32_t i = 0; i < POOL; i++) {
        struct dsmr_address address = {{(uint8_t)(i >> 8), (uint8_t)i}};
        dsmr_account_key_init(&pool[i], &address);
    }
}

/* ---- the tree ---- */

enum damage {
    SWAP, /* these before the node's hash is taken */
    NOTHING,
    HUGE,
    TWICE,
    FEWER,
    KIND,
    CHILD,
    TURN_BEFORE,
    TURN_AFTER, /* and these after it */
    GONE,
    DAMAGES
};
struct builder {
    const struct dsmr_kv *kv;
    struct dsmr_kv_txn *txn;
    const uint8_t *damages; /* rows of three */
    size_t damages_count;
    uint32_t nodes; /* built so far */
};

static bool next_damage(const struct builder *b, size_t *row, enum damage *what, uint8_t *argument)
{
    for (; *row < b->damages_count; ++*row) {
        const uint8_t *bytes = b->damages + 3 * *row;
        if (bytes[0] == (uint8_t)b->nodes) {
            *what = (enum damage)(bytes[1] % DAMAGES);
            *argument = bytes[2];
            ++*row;
            return true;
        }
    }
    return false;
}

static void damage_accounts(const struct builder *b, struct dsmr_account *accounts, uint32_t *count)
{
    enum damage what;
    uint8_t argument;
    for (size_t row = 0; next_damage(b, &row, &what, &argument);) {
        struct dsmr_account *one = &accounts[argument % *count], first = accounts[0];
        if (what == SWAP) {
            accounts[0] = *one;
            *one = first;
        } else if (what == NOTHING || what == HUGE) {
            one->balance = what == HUGE ? UINT64_MAX : 0;
        } else if (what == TWICE) { /* an account that stands elsewhere, or nowhere */
            one->address = pool[argument * 3u % POOL].address;
        } else if (what == FEWER && *count > 1) {
            --*count;
        }
    }
}

static void damage_branch(const struct builder *b, struct dsmr_account_branch *branch)
{
    enum damage what;
    uint8_t argument;
    for (size_t row = 0; next_damage(b, &row, &what, &argument);) {
        uint32_t i = argument % DSMR_ACCOUNT_ARITY;
        if (what == KIND)
            branch->kinds[i] = argument / DSMR_ACCOUNT_ARITY == 15 ? DSMR_ACCOUNT_KIND_BRANCH
                                                                   : argument / DSMR_ACCOUNT_ARITY;
        else if (what == CHILD) /* one child stands in two places */
            branch->hashes[i] = branch->hashes[(i + 1) % DSMR_ACCOUNT_ARITY];
    }
}

static struct dsmr_account_link put_node(struct builder *b, uint8_t *value, size_t len,
                                         const struct dsmr_account_place *place)
{
    uint8_t key[DSMR_ACCOUNT_NODE_KEY_BYTES_MAX];
    size_t key_len = dsmr_account_node_key(key, place);
    struct dsmr_account_link link = {.kind = dsmr_account_node_kind(value, len)};
    enum damage what;
    uint8_t argument;
    bool is_gone = false;
    for (size_t row = 0; next_damage(b, &row, &what, &argument);)
        if (what == TURN_BEFORE)
            value[(size_t)argument * 5 % len] ^= (uint8_t)(1 + argument % 8);
    dsmr_hash(&link.hash, value, len);
    for (size_t row = 0; next_damage(b, &row, &what, &argument);) {
        is_gone = is_gone || what == GONE;
        if (what == TURN_AFTER)
            value[(size_t)argument * 5 % len] ^= (uint8_t)(1 + argument % 8);
    }
    if (!is_gone)
        must(b->kv->ops->put(b->kv->self, b->txn, key, key_len, value, len) == DSMR_OK);
    b->nodes++;
    return link;
}

static int by_address(const void *a, const void *b)
{
    return memcmp(((const struct dsmr_account *)a)->address.bytes,
                  ((const struct dsmr_account *)b)->address.bytes, 32);
}

/* The subtree of those of the first count of the pool that lie below place. */
static struct dsmr_account_link build(struct builder *b, uint32_t count,
                                      const struct dsmr_account_place *place)
{
    struct dsmr_account accounts[DSMR_ACCOUNT_BUCKET_MAX];
    struct dsmr_account_branch branch = {.kinds = {0}};
    uint8_t value[DSMR_ACCOUNT_NODE_BYTES_MAX];
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_below = true;
        for (uint32_t d = 0; d < place->depth && is_below; d++)
            is_below =
                dsmr_account_nibble(&pool[i].path, d) == dsmr_account_nibble(&place->path, d);
        if (is_below && found < DSMR_ACCOUNT_BUCKET_MAX)
            accounts[found] = (struct dsmr_account){pool[i].address, 1000 + i};
        found += is_below;
    }
    if (found == 0)
        return (struct dsmr_account_link){.kind = DSMR_ACCOUNT_KIND_NONE};
    if (found <= DSMR_ACCOUNT_BUCKET_MAX) {
        qsort(accounts, found, sizeof accounts[0], by_address);
        damage_accounts(b, accounts, &found);
        return put_node(b, value, dsmr_account_bucket_encode(value, accounts, found), place);
    }
    for (uint32_t i = 0; i < DSMR_ACCOUNT_ARITY; i++) {
        struct dsmr_account_place child = {.path = place->path, .depth = place->depth + 1};
        uint8_t *byte = &child.path.bytes[place->depth / 2];
        *byte = (uint8_t)(place->depth % 2 == 0 ? i << 4 : (*byte & 0xf0u) | i);
        struct dsmr_account_link link = build(b, count, &child);
        branch.kinds[i] = link.kind;
        branch.hashes[i] = link.hash;
    }
    damage_branch(b, &branch);
    return put_node(b, value, dsmr_account_branch_encode(value, &branch), place);
}

/* ---- what reads it ---- */

struct world {
    struct dsmr_kv kv;
    struct dsmr_kv_txn *txn;
    bool is_whole;
};

static bool is_known(const struct world *w, enum dsmr_err err)
{
    return err == DSMR_OK || (err == DSMR_ERR_CORRUPT && !w->is_whole);
}

/* False: it cannot be read. */
static bool read_balance(const struct world *w, uint64_t *balance,
                         const struct dsmr_account_key *key)
{
    struct dsmr_transfers_state state;
    enum dsmr_err err = dsmr_transfers_state_get(&state, &w->kv, w->txn);
    if (err == DSMR_OK)
        err = dsmr_account_read_balance(balance, &w->kv, w->txn, &state.trie, key);
    must(is_known(w, err));
    return err == DSMR_OK;
}

static void prove(const struct world *w, const struct dsmr_account_key *key)
{
    static uint8_t proof[DSMR_ACCOUNT_PROOF_BYTES_MAX];
    struct dsmr_id root;
    struct dsmr_wr wr;
    uint64_t balance = 0, proved = 0;
    bool is_read = read_balance(w, &balance, key);
    dsmr_wr_init(&wr, proof, sizeof proof);
    enum dsmr_err made = dsmr_account_proof_make(&wr, &root, &w->kv, w->txn, &key->address);
    must(is_known(w, made));
    if (is_read && made == DSMR_OK) {
        must(dsmr_account_proof_check(&proved, &root, &key->address, proof, wr.at) == DSMR_OK);
        must(proved == balance);
    }
}

static void query_all(const struct world *w)
{
    static char bytes[400000];
    static const char *const paths[] = {
        "state", "accounts/0000000000000000000000000000000000000000000000000000000000000000",
        "proofs/0001000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct dsmr_app_text text;
        dsmr_app_text_init(&text, bytes, sizeof bytes);
        enum dsmr_err err = app.ops->query(app.self, &text, &w->kv, w->txn, paths[i]);
        must(is_known(w, err) || (err == DSMR_ERR_UNKNOWN && !w->is_whole));
        must(err != DSMR_OK || text.bytes[0] == '{');
    }
}

/* ---- a block ---- */

struct block {
    struct dsmr_app_tx txs[TXS_MAX];
    uint8_t bytes[TXS_MAX][TX_BYTES];
    uint32_t touched[3 * TXS_MAX], touched_count; /* places in the pool, each once */
    uint32_t count;
};

static uint32_t touch(struct block *block, uint8_t choice)
{
    uint32_t place = choice * 11u % POOL;
    for (uint32_t i = 0; i < block->touched_count; i++)
        if (block->touched[i] == place)
            return place;
    block->touched[block->touched_count++] = place;
    return place;
}

static void make_block(struct block *block, const uint8_t *rows, size_t len)
{
    for (; len >= 4 && block->count < TXS_MAX; rows += 4, len -= 4) {
        uint8_t *bytes = block->bytes[block->count];
        memset(bytes, 0, TX_BYTES); /* layout: docs/transfers.md; nobody looks at the signature */
        bytes[0] = DSMR_TRANSFER_TX_VERSION;
        memcpy(bytes + 45, pool[touch(block, rows[0])].address.bytes, 32);
        memcpy(bytes + 77, pool[touch(block, rows[1])].address.bytes, 32);
        dsmr_store_be64(bytes + 109, rows[2] == 255 ? UINT64_MAX : rows[2] * 8u);
        dsmr_store_be64(bytes + 117, 5);
        struct dsmr_app_tx *tx = &block->txs[block->count++];
        tx->tx = (struct dsmr_tx_view){.bytes = bytes, .len = TX_BYTES};
        tx->fee_recipient = pool[touch(block, rows[3])].address;
    }
}

static bool sum_of(const struct world *w, uint64_t *sum, const struct block *block)
{
    bool is_read = true;
    *sum = 0;
    for (uint32_t i = 0; i < block->touched_count; i++) {
        uint64_t balance = 0;
        is_read = read_balance(w, &balance, &pool[block->touched[i]]) && is_read;
        if (i < PROOFS)
            prove(w, &pool[block->touched[i]]);
        *sum += balance;
    }
    return is_read;
}

static void run_block(const struct world *w, const uint8_t *rows, size_t len)
{
    static struct block block;
    struct dsmr_app_result results[TXS_MAX];
    enum dsmr_err errs[TXS_MAX] = {DSMR_OK};
    struct dsmr_tx_view views[TXS_MAX];
    struct dsmr_transfers_state state;
    struct dsmr_id root, again;
    uint64_t before = 0, after = 0;
    memset(&block, 0, sizeof block);
    make_block(&block, rows, len);
    for (uint32_t i = 0; i < block.count; i++)
        views[i] = block.txs[i].tx;
    app.ops->admit(app.self, errs, &w->kv, w->txn, views, block.count);
    (void)sum_of(w, &before, &block);
    const struct dsmr_app_block app_block = {
        .height = HEIGHT + 1, .txs = block.txs, .txs_count = block.count};
    enum dsmr_err err = app.ops->execute(app.self, &root, results, &w->kv, w->txn, &app_block);
    must(is_known(w, err) || (err == DSMR_ERR_APP_FAILED && !w->is_whole));
    if (err != DSMR_OK)
        return;
    must(dsmr_transfers_state_get(&state, &w->kv, w->txn) == DSMR_OK);
    dsmr_transfers_state_root(&again, &state);
    must(dsmr_id_equal(&root, &again) && state.height == HEIGHT + 1);
    must(sum_of(w, &after, &block) || !w->is_whole);
    must(before == after || !w->is_whole);
}

static const uint8_t *put_state(struct world *w, const uint8_t *data, size_t *size)
{
    static const uint8_t head_key[] = {DSMR_KV_SPACE_APP, 'm'};
    if (data[0] == 255) {
        must(w->kv.ops->put(w->kv.self, w->txn, head_key, sizeof head_key, data + 1, *size - 1) ==
             DSMR_OK);
        return data;
    }
    struct builder builder = {.kv = &w->kv, .txn = w->txn, .damages = data + 3};
    const struct dsmr_account_place top = {.depth = 0};
    struct dsmr_transfers_state state = {.height = HEIGHT,
                                         .accounts = data[1] * 2u,
                                         .supply = 1u << 30,
                                         .fees = {.base = data[0] % 4u}};
    builder.damages_count = data[2] < (*size - 3) / 3 ? data[2] : (*size - 3) / 3;
    w->is_whole = builder.damages_count == 0;
    state.trie = build(&builder, data[1] * 2u, &top);
    must(dsmr_transfers_state_put(&state, &w->kv, w->txn) == DSMR_OK);
    data += 3 + 3 * builder.damages_count;
    *size -= 3 + 3 * builder.damages_count;
    return data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dsmr_transfers_config config = {.cache_bytes_max = 20000};
    struct world w = {.is_whole = false};
    if (size < 3)
        return 0;
    if (pool[1].address.bytes[1] == 0)
        make_pool();
    must(dsmr_transfers_new(&app, &config) == DSMR_OK);
    struct dsmr_kv_mem *mem = dsmr_kv_mem_new();
    must(mem != NULL);
    w.kv = dsmr_kv_mem_port(mem);
    must(w.kv.ops->begin(w.kv.self, &w.txn, true) == DSMR_OK);
    data = put_state(&w, data, &size);
    query_all(&w);
    run_block(&w, data, size);
    w.kv.ops->abort(w.kv.self, w.txn);
    dsmr_kv_mem_free(mem);
    app.ops->free(app.self);
    return 0;
}
