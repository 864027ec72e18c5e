#include "unit/vm/support.h"

#include "vm/account_read.h"
#include "vm/account_trie.h"

#define NONE ((struct dsmr_account_link){.kind = DSMR_ACCOUNT_KIND_NONE})

static struct dsmr_account_key key_of(uint64_t number)
{
    struct dsmr_account_key key;
    struct dsmr_address address = address_of(number);
    dsmr_account_key_init(&key, &address);
    return key;
}

static void give(struct dsmr_account_trie *trie, uint64_t number, uint64_t amount)
{
    struct dsmr_account_key key = key_of(number);
    assert_int_equal(dsmr_account_trie_give(trie, &key, amount), DSMR_OK);
}

static void take(struct dsmr_account_trie *trie, uint64_t number, uint64_t amount)
{
    struct dsmr_account_key key = key_of(number);
    assert_int_equal(dsmr_account_trie_take(trie, &key, amount), DSMR_OK);
}

/* The model: balances by number. */
struct model {
    struct dsmr_account *accounts;
    size_t count;
};

static void model_init(struct model *model, size_t count)
{
    model->accounts = calloc(count, sizeof *model->accounts);
    assert_non_null(model->accounts);
    model->count = count;
    for (size_t i = 0; i < count; i++) {
        model->accounts[i].address = address_of(i);
    }
}

/* What the root must be, and how many nodes the store must hold. */
static struct dsmr_account_link model_link(const struct model *model, uint64_t *nodes)
{
    struct dsmr_account *existing = calloc(model->count, sizeof *existing);
    size_t n = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (model->accounts[i].balance > 0) {
            existing[n++] = model->accounts[i];
        }
    }
    *nodes = 0;
    struct dsmr_account_link link = slow_link(existing, n, 0, nodes);
    free(existing);
    return link;
}

static void assert_link_equal(const struct dsmr_account_link *a, const struct dsmr_account_link *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(a->hash.bytes, b->hash.bytes, 32);
}

static void assert_state(struct fixture *f, const struct dsmr_account_link *root,
                         const struct model *model)
{
    uint64_t nodes;
    struct dsmr_account_link expected = model_link(model, &nodes);
    assert_link_equal(root, &expected);
    assert_int_equal(dsmr_kv_mem_count(f->mem), nodes);
}

static void test_empty(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(1 << 20);
    struct dsmr_kv_txn *txn = begin(&f, true);
    struct dsmr_account_link root = NONE;
    dsmr_account_trie_begin(trie, &f.kv, txn, &root);
    struct dsmr_account_key key = key_of(1);
    uint64_t balance = 7;
    assert_int_equal(dsmr_account_trie_balance(trie, &balance, &key), DSMR_OK);
    assert_int_equal(balance, 0);
    assert_int_equal(dsmr_account_trie_take(trie, &key, 0), DSMR_OK);
    assert_int_equal(dsmr_account_trie_give(trie, &key, 0), DSMR_OK);
    assert_int_equal(dsmr_account_trie_growth(trie), 0);
    assert_int_equal(dsmr_account_trie_finish(trie, &root), DSMR_OK);
    assert_int_equal(root.kind, DSMR_ACCOUNT_KIND_NONE);
    commit(&f, txn);
    assert_int_equal(dsmr_kv_mem_count(f.mem), 0);
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

/* 1..40 accounts: the bucket becomes a branch at 33 and a bucket again at 32. */
static void test_split_and_collapse_at_limit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(1 << 20);
    struct model model;
    model_init(&model, 40);
    struct dsmr_account_link root = NONE;
    for (uint32_t step = 0; step < 80; step++) {
        struct dsmr_kv_txn *txn = begin(&f, true);
        dsmr_account_trie_begin(trie, &f.kv, txn, &root);
        uint32_t i = step % 40;
        if (step < 40) {
            give(trie, i, 100 + i);
            model.accounts[i].balance = 100 + i;
        } else {
            take(trie, i, 100 + i);
            model.accounts[i].balance = 0;
        }
        assert_int_equal(dsmr_account_trie_growth(trie), step < 40 ? 1 : -1);
        assert_int_equal(dsmr_account_trie_finish(trie, &root), DSMR_OK);
        commit(&f, txn);
        assert_state(&f, &root, &model);
        uint32_t existing = step < 40 ? step + 1 : 79 - step;
        assert_int_equal(root.kind, existing <= 32 ? existing : DSMR_ACCOUNT_KIND_BRANCH);
    }
    assert_int_equal(dsmr_kv_mem_count(f.mem), 0);
    free(model.accounts);
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

/* What comes and goes within one block leaves no trace. */
static void test_transient_accounts_leave_no_trace(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(1 << 20);
    struct model model;
    model_init(&model, 20);
    struct dsmr_account_link root = NONE;
    struct dsmr_kv_txn *txn = begin(&f, true);
    dsmr_account_trie_begin(trie, &f.kv, txn, &root);
    for (uint32_t i = 0; i < 20; i++) {
        give(trie, i, 5);
        model.accounts[i].balance = 5;
    }
    for (uint32_t i = 100; i < 400; i++) {
        give(trie, i, 9);
    }
    for (uint32_t i = 100; i < 400; i++) {
        take(trie, i, 9);
    }
    assert_int_equal(dsmr_account_trie_growth(trie), 20);
    assert_int_equal(dsmr_account_trie_finish(trie, &root), DSMR_OK);
    commit(&f, txn);
    assert_state(&f, &root, &model);
    free(model.accounts);
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

static void one_block(struct fixture *f, struct dsmr_account_trie *trie,
                      struct dsmr_account_link *root, struct model *model, const uint64_t *amounts)
{
    struct dsmr_kv_txn *txn = begin(f, true);
    dsmr_account_trie_begin(trie, &f->kv, txn, root);
    for (size_t i = 0; i < model->count; i++) {
        uint64_t *balance = &model->accounts[i].balance;
        if (amounts[i] > *balance) {
            give(trie, i, amounts[i] - *balance);
        } else {
            take(trie, i, *balance - amounts[i]);
        }
        *balance = amounts[i];
    }
    assert_int_equal(dsmr_account_trie_finish(trie, root), DSMR_OK);
    commit(f, txn);
    assert_state(f, root, model);
}

/* What the store has is deleted also if the node split, grew or collapsed before it vanished. */
static void test_vanishing_nodes_leave_the_store(void **state)
{
    (void)state;
    static const uint32_t stored[] = {1, 3, 20, 32, 33, 200};
    for (size_t s = 0; s < sizeof stored / sizeof stored[0]; s++) {
        for (uint32_t extra = 0; extra <= 150; extra += 25) {
            struct fixture f;
            fixture_init(&f);
            struct dsmr_account_trie *trie = dsmr_account_trie_new(1 << 20);
            struct dsmr_account_link root = NONE;
            struct model model;
            model_init(&model, 400);
            uint64_t amounts[400] = {0};
            for (uint32_t i = 0; i < stored[s]; i++) {
                amounts[i] = 5;
            }
            one_block(&f, trie, &root, &model, amounts);
            struct dsmr_kv_txn *txn = begin(&f, true);
            dsmr_account_trie_begin(trie, &f.kv, txn, &root);
            for (uint32_t i = 200; i < 200 + extra; i++) {
                give(trie, i, 1);
            }
            for (uint32_t i = 0; i < stored[s]; i++) {
                take(trie, i, 5);
                model.accounts[i].balance = 0;
            }
            for (uint32_t i = 200; i < 200 + extra; i++) {
                take(trie, i, 1);
            }
            assert_int_equal(dsmr_account_trie_finish(trie, &root), DSMR_OK);
            commit(&f, txn);
            assert_state(&f, &root, &model);
            assert_int_equal(dsmr_kv_mem_count(f.mem), 0);
            free(model.accounts);
            dsmr_account_trie_free(trie);
            fixture_close(&f);
        }
    }
}

/* A scan over many accounts pushes out what it used, not all that the cache has. */
static void test_eviction_keeps_what_is_used(void **state)
{
    (void)state;
    enum { ACCOUNTS = 3000, LIMIT = 100000 };
    struct fixture f;
    fixture_init(&f);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(1 << 26);
    struct dsmr_account_link root = NONE;
    struct model model;
    model_init(&model, ACCOUNTS);
    static uint64_t amounts[ACCOUNTS];
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        amounts[i] = 1;
    }
    one_block(&f, trie, &root, &model, amounts);
    assert_true(dsmr_account_trie_cache_bytes(trie) > 2 * LIMIT - LIMIT / 2);
    dsmr_account_trie_free(trie);
    trie = dsmr_account_trie_new(LIMIT);
    uint64_t last = 0;
    uint32_t evictions = 0;
    for (uint32_t i = 0; i < ACCOUNTS; i += 10) {
        struct dsmr_kv_txn *txn = begin(&f, true);
        dsmr_account_trie_begin(trie, &f.kv, txn, &root);
        for (uint32_t k = i; k < i + 10; k++) {
            uint64_t balance;
            struct dsmr_account_key key = key_of(k);
            assert_int_equal(dsmr_account_trie_balance(trie, &balance, &key), DSMR_OK);
            assert_int_equal(balance, 1);
        }
        assert_int_equal(dsmr_account_trie_finish(trie, &root), DSMR_OK);
        commit(&f, txn);
        uint64_t bytes = dsmr_account_trie_cache_bytes(trie);
        assert_true(bytes > 0 && bytes <= LIMIT);
        evictions += bytes < last;
        last = bytes;
    }
    assert_true(evictions > 1);
    free(model.accounts);
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

/* A link that lies about the kind of a node whose hash is right. */
static void test_wrong_kind(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(0);
    struct dsmr_account_link root = NONE;
    struct model model;
    model_init(&model, 20);
    uint64_t amounts[20];
    for (uint32_t i = 0; i < 20; i++) {
        amounts[i] = 1;
    }
    one_block(&f, trie, &root, &model, amounts);
    static const uint8_t kinds[] = {1, 4, 19, 21, 32, 255};
    for (size_t i = 0; i < sizeof kinds; i++) {
        struct dsmr_account_link lie = {.kind = kinds[i], .hash = root.hash};
        struct dsmr_account_key key = key_of(3);
        uint64_t balance;
        struct dsmr_kv_txn *txn = begin(&f, true);
        dsmr_account_trie_begin(trie, &f.kv, txn, &lie);
        assert_int_equal(dsmr_account_trie_balance(trie, &balance, &key), DSMR_ERR_CORRUPT);
        dsmr_account_trie_cancel(trie);
        assert_int_equal(dsmr_account_read_balance(&balance, &f.kv, txn, &lie, &key),
                         DSMR_ERR_CORRUPT);
        abort_txn(&f, txn);
    }
    free(model.accounts);
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

/* Random blocks; every root equals the one from scratch; with every cache size, with a new trie
 * now and then (a restart), with blocks that are aborted. */
static void run_random(uint64_t seed, uint64_t cache_bytes, size_t accounts, uint32_t blocks)
{
    struct fixture f;
    struct model model;
    struct dsmr_prng prng;
    fixture_init(&f);
    model_init(&model, accounts);
    dsmr_prng_init(&prng, seed);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(cache_bytes);
    struct dsmr_account_link root = NONE;
    for (uint32_t block = 0; block < blocks; block++) {
        bool aborts = dsmr_prng_below(&prng, 4) == 0;
        struct dsmr_account *before = malloc(accounts * sizeof *before);
        memcpy(before, model.accounts, accounts * sizeof *before);
        struct dsmr_kv_txn *txn = begin(&f, true);
        dsmr_account_trie_begin(trie, &f.kv, txn, &root);
        uint64_t changes = dsmr_prng_below(&prng, 2 * accounts);
        bool shrinks = dsmr_prng_below(&prng, 3) == 0;
        for (uint64_t c = 0; c < changes; c++) {
            size_t i = (size_t)dsmr_prng_below(&prng, accounts);
            uint64_t *balance = &model.accounts[i].balance;
            if (*balance > 0 && (shrinks || dsmr_prng_below(&prng, 2) == 0)) {
                uint64_t amount = shrinks ? *balance : 1 + dsmr_prng_below(&prng, *balance);
                take(trie, i, amount);
                *balance -= amount;
            } else if (!shrinks) {
                uint64_t amount = 1 + dsmr_prng_below(&prng, 1000);
                give(trie, i, amount);
                *balance += amount;
            }
        }
        struct dsmr_account_link after;
        assert_int_equal(dsmr_account_trie_finish(trie, &after), DSMR_OK);
        if (aborts) {
            abort_txn(&f, txn); /* nobody tells the trie */
            memcpy(model.accounts, before, accounts * sizeof *before);
        } else {
            commit(&f, txn);
            root = after;
        }
        free(before);
        assert_true(dsmr_account_trie_cache_bytes(trie) <= cache_bytes);
        assert_state(&f, &root, &model);
        if (dsmr_prng_below(&prng, 5) == 0) {
            dsmr_account_trie_free(trie);
            trie = dsmr_account_trie_new(cache_bytes);
        }
    }
    struct dsmr_kv_txn *snapshot = begin(&f, false);
    for (size_t i = 0; i < accounts; i++) {
        struct dsmr_account_key key = key_of(i);
        uint64_t balance;
        assert_int_equal(dsmr_account_read_balance(&balance, &f.kv, snapshot, &root, &key),
                         DSMR_OK);
        assert_int_equal(balance, model.accounts[i].balance);
    }
    abort_txn(&f, snapshot);
    free(model.accounts);
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

static void test_random_equals_scratch(void **state)
{
    (void)state;
    static const uint64_t caches[] = {0, 4000, 40000, 1 << 26};
    static const size_t sizes[] = {3, 36, 150, 900};
    uint64_t seed = 1;
    for (size_t c = 0; c < sizeof caches / sizeof caches[0]; c++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            run_random(seed++, caches[c], sizes[s], 25);
        }
    }
}

/* One set of accounts, reached in several orders and block sizes, has one root. */
static void test_root_is_independent_of_history(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct dsmr_account_link first = NONE;
    for (uint64_t round = 0; round < 4; round++) {
        struct fixture f;
        struct dsmr_prng prng;
        fixture_init(&f);
        dsmr_prng_init(&prng, round);
        uint32_t order[COUNT];
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t j = (uint32_t)dsmr_prng_below(&prng, i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        struct dsmr_account_trie *trie = dsmr_account_trie_new(1 << 16);
        struct dsmr_account_link root = NONE;
        uint32_t per_block = 1 + (uint32_t)round * 60;
        for (uint32_t i = 0; i < COUNT; i += per_block) {
            struct dsmr_kv_txn *txn = begin(&f, true);
            dsmr_account_trie_begin(trie, &f.kv, txn, &root);
            for (uint32_t k = i; k < i + per_block && k < COUNT; k++) {
                give(trie, order[k], order[k] + 1);
                give(trie, 10000 + order[k], 1); /* a detour */
                take(trie, 10000 + order[k], 1);
            }
            assert_int_equal(dsmr_account_trie_finish(trie, &root), DSMR_OK);
            commit(&f, txn);
        }
        if (round == 0) {
            first = root;
        }
        assert_link_equal(&root, &first);
        dsmr_account_trie_free(trie);
        fixture_close(&f);
    }
}

static void test_refuses_what_cannot_be(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(1 << 20);
    struct dsmr_kv_txn *txn = begin(&f, true);
    struct dsmr_account_link root = NONE;
    struct dsmr_account_key key = key_of(1);
    struct dsmr_account_key other = key_of(2);
    dsmr_account_trie_begin(trie, &f.kv, txn, &root);
    assert_int_equal(dsmr_account_trie_take(trie, &key, 1), DSMR_ERR_CORRUPT);
    assert_int_equal(dsmr_account_trie_give(trie, &key, UINT64_MAX), DSMR_OK);
    assert_int_equal(dsmr_account_trie_give(trie, &key, 1), DSMR_ERR_CORRUPT);
    assert_int_equal(dsmr_account_trie_take(trie, &other, 1), DSMR_ERR_CORRUPT);
    assert_int_equal(dsmr_account_trie_take(trie, &key, UINT64_MAX), DSMR_OK);
    assert_int_equal(dsmr_account_trie_take(trie, &key, 1), DSMR_ERR_CORRUPT);
    dsmr_account_trie_cancel(trie);
    abort_txn(&f, txn);
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

/* Any stored node that changed by one bit, or is gone, is CORRUPT for trie and reader. */
static void test_damaged_store(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(0);
    struct dsmr_account_link root = NONE;
    struct dsmr_kv_txn *txn = begin(&f, true);
    dsmr_account_trie_begin(trie, &f.kv, txn, &root);
    for (uint32_t i = 0; i < 60; i++) {
        give(trie, i, 1 + i);
    }
    assert_int_equal(dsmr_account_trie_finish(trie, &root), DSMR_OK);
    commit(&f, txn);
    struct dsmr_account_key key = key_of(17);
    for (uint32_t damage = 0; damage < 8; damage++) {
        uint8_t name[DSMR_ACCOUNT_NODE_KEY_BYTES_MAX];
        struct dsmr_account_place place = {.path = key.path, .depth = damage % 2};
        size_t name_len = dsmr_account_node_key(name, &place);
        const uint8_t *value;
        size_t len;
        txn = begin(&f, true);
        assert_int_equal(f.kv.ops->get(f.kv.self, txn, name, name_len, &value, &len), DSMR_OK);
        uint8_t copy[DSMR_ACCOUNT_NODE_BYTES_MAX + 1];
        memcpy(copy, value, len);
        copy[len] = 0;
        if (damage < 2) {
            assert_int_equal(f.kv.ops->del(f.kv.self, txn, name, name_len), DSMR_OK);
        } else {
            size_t at = damage < 4 ? 0 : damage < 6 ? len - 1 : len / 2;
            copy[at] ^= 1;
            size_t put_len = damage == 7 ? len - 1 : len;
            assert_int_equal(f.kv.ops->put(f.kv.self, txn, name, name_len, copy, put_len), DSMR_OK);
        }
        uint64_t balance;
        dsmr_account_trie_begin(trie, &f.kv, txn, &root);
        assert_int_equal(dsmr_account_trie_balance(trie, &balance, &key), DSMR_ERR_CORRUPT);
        dsmr_account_trie_cancel(trie);
        assert_int_equal(dsmr_account_read_balance(&balance, &f.kv, txn, &root, &key),
                         DSMR_ERR_CORRUPT);
        abort_txn(&f, txn);
    }
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

/* Each operation of the store fails once: the block fails with that error, and after an abort the
 * same block gives the same root. */
static void test_store_failures(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dsmr_account_trie *trie = dsmr_account_trie_new(0);
    struct dsmr_account_link root = NONE;
    struct model model;
    model_init(&model, 120);
    struct dsmr_kv_txn *txn = begin(&f, true);
    dsmr_account_trie_begin(trie, &f.kv, txn, &root);
    for (uint32_t i = 0; i < 80; i++) {
        give(trie, i, 10);
        model.accounts[i].balance = i < 60 ? 0 : 10;
    }
    assert_int_equal(dsmr_account_trie_finish(trie, &root), DSMR_OK);
    commit(&f, txn);
    bool failed = true;
    for (uint64_t after = 0; failed; after++) {
        txn = begin(&f, true);
        dsmr_kv_mem_fail_after(f.mem, after, DSMR_ERR_IO);
        struct dsmr_account_link next = root;
        enum dsmr_err err = DSMR_OK;
        dsmr_account_trie_begin(trie, &f.kv, txn, &root);
        for (uint32_t i = 0; i < 120 && !err; i++) { /* a collapse, and new accounts */
            struct dsmr_account_key key = key_of(i);
            if (i < 60) {
                err = dsmr_account_trie_take(trie, &key, 10);
            } else if (i >= 100) {
                err = dsmr_account_trie_give(trie, &key, 3);
                model.accounts[i].balance = 3;
            }
        }
        if (!err) {
            err = dsmr_account_trie_finish(trie, &next);
        }
        failed = dsmr_kv_mem_has_failed(f.mem);
        assert_int_equal(err, failed ? DSMR_ERR_IO : DSMR_OK);
        if (failed) {
            dsmr_account_trie_cancel(trie);
            abort_txn(&f, txn);
        } else {
            dsmr_kv_mem_fail_after(f.mem, UINT64_MAX, DSMR_OK);
            commit(&f, txn);
            assert_state(&f, &next, &model);
            assert_true(after > 20);
        }
    }
    free(model.accounts);
    dsmr_account_trie_free(trie);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_split_and_collapse_at_limit),
        cmocka_unit_test(test_transient_accounts_leave_no_trace),
        cmocka_unit_test(test_vanishing_nodes_leave_the_store),
        cmocka_unit_test(test_eviction_keeps_what_is_used),
        cmocka_unit_test(test_wrong_kind),
        cmocka_unit_test(test_random_equals_scratch),
        cmocka_unit_test(test_root_is_independent_of_history),
        cmocka_unit_test(test_refuses_what_cannot_be),
        cmocka_unit_test(test_damaged_store),
        cmocka_unit_test(test_store_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
