/* The application of transfers: its rules, its door, its store when that fails, its queries. */
#include "unit/vm/transfers_chain.h"
#include "vm/account_proof.h"

static void test_rules_at_limits(void **state)
{
    (void)state;
    struct chain chain;
    chain_init(&chain, 0, rich);
    struct plan plan = {
        .from = 0, .to = 1, .fee_recipient = WALLETS, .amount = 10, .fee_limit = FEE};
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_DONE);
    plan.fee_limit = FEE - 1;
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_OVER_LIMIT);
    plan.fee_limit = UINT64_MAX;
    plan.memo_len = 128;
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_DONE);
    plan.memo_len = 0;
    plan.from = 4; /* one short of the fee */
    plan.amount = 0;
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_CANNOT_PAY);
    plan.from = 3; /* the fee exactly, and not one more */
    plan.amount = 1;
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_INSUFFICIENT);
    assert_int_equal(chain.accounts[3].balance, 0);
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_CANNOT_PAY);
    plan.from = 5;
    plan.amount = 1;
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_DONE);
    assert_int_equal(chain.accounts[5].balance, 0);
    plan.from = 6; /* never had an account */
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_CANNOT_PAY);
    plan.from = 2;
    plan.amount = UINT64_MAX; /* amount + fee does not fit into 64 bits */
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_INSUFFICIENT);
    plan.amount = chain.accounts[2].balance - FEE + 1;
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_INSUFFICIENT);
    plan.amount = chain.accounts[2].balance - FEE;
    assert_int_equal(code_of(&chain, plan), DSMR_TRANSFERS_DONE);
    assert_int_equal(chain.accounts[2].balance, 0);
    chain_close(&chain);
}

/* What the door says is what the run would come to, for each transaction by itself. */
static void test_the_door_judges_by_the_state(void **state)
{
    (void)state;
    static struct block block;
    static const struct plan plans[] = {
        {.from = 0, .to = 1, .amount = 1000000 - FEE, .fee_limit = FEE},
        {.from = 0, .to = 1, .amount = 1000000 - FEE + 1, .fee_limit = FEE},
        {.from = 0, .to = 1, .amount = UINT64_MAX, .fee_limit = FEE},
        {.from = 0, .to = 1, .amount = 1, .fee_limit = FEE - 1},
        {.from = 3, .to = 3, .amount = 0, .fee_limit = FEE}, /* has the fee exactly */
        {.from = 3, .to = 3, .amount = 1, .fee_limit = FEE},
        {.from = 4, .to = 1, .amount = 0, .fee_limit = FEE}, /* one short of it */
        {.from = 6, .to = 1, .amount = 0, .fee_limit = FEE}, /* no account */
        {.from = 6, .to = 1, .amount = 0, .fee_limit = FEE, .damage = 1},
        {.from = 6, .to = 1, .amount = 0, .fee_limit = FEE}, /* found bad before */
    };
    static const enum dsmr_err expected[] = {
        DSMR_OK,
        DSMR_ERR_INSUFFICIENT,
        DSMR_ERR_INSUFFICIENT,
        DSMR_ERR_FEE_LIMIT,
        DSMR_OK,
        DSMR_ERR_INSUFFICIENT,
        DSMR_ERR_INSUFFICIENT,
        DSMR_ERR_INSUFFICIENT,
        DSMR_OK, /* not the door's business */
        DSMR_ERR_BAD_SIGNATURE,
    };
    const uint32_t count = sizeof plans / sizeof plans[0];
    enum dsmr_err errs[sizeof plans / sizeof plans[0]] = {DSMR_OK};
    struct dsmr_tx_view txs[sizeof plans / sizeof plans[0]];
    struct chain chain;
    chain_init(&chain, 0, rich);
    encode(&chain, &block, plans, count);
    for (uint32_t i = 0; i < count; i++) {
        txs[i] = block.txs[i].tx;
    }
    errs[count - 1] = DSMR_ERR_BAD_SIGNATURE;
    struct dsmr_kv_txn *snapshot = begin(&chain.f, false);
    chain.app.ops->admit(chain.app.self, errs, &chain.f.kv, snapshot, txs, count);
    chain.f.kv.ops->abort(chain.f.kv.self, snapshot);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(errs[i], expected[i]);
    }
    run(&chain, plans, 1); /* it spends all: now nothing of that account comes in */
    memset(errs, 0, sizeof errs);
    snapshot = begin(&chain.f, false);
    chain.app.ops->admit(chain.app.self, errs, &chain.f.kv, snapshot, txs, 1);
    assert_int_equal(errs[0], DSMR_ERR_INSUFFICIENT);
    chain.f.kv.ops->abort(chain.f.kv.self, snapshot);
    chain_close(&chain);
}

/* A state that cannot be read keeps nothing out: execution decides. */
static void test_the_door_is_open_where_the_state_is_not_readable(void **state)
{
    (void)state;
    static struct block block;
    static const struct plan plan = {.from = 6, .to = 1, .fee_limit = FEE}; /* no account */
    struct chain chain;
    chain_init(&chain, 0, rich);
    encode(&chain, &block, &plan, 1);
    for (uint64_t works = 0; works < 2; works++) { /* the head, the first node */
        enum dsmr_err err = DSMR_OK;
        struct dsmr_kv_txn *snapshot = begin(&chain.f, false);
        dsmr_kv_mem_fail_after(chain.f.mem, works, DSMR_ERR_IO);
        chain.app.ops->admit(chain.app.self, &err, &chain.f.kv, snapshot, &block.txs[0].tx, 1);
        assert_true(dsmr_kv_mem_has_failed(chain.f.mem));
        dsmr_kv_mem_fail_after(chain.f.mem, UINT64_MAX, DSMR_OK);
        assert_int_equal(err, DSMR_OK);
        chain.f.kv.ops->abort(chain.f.kv.self, snapshot);
    }
    chain_close(&chain);
}

static void test_self_and_fee_recipient(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {.from = 0, .to = 0, .fee_recipient = 13, .amount = 999500, .fee_limit = FEE},
        {.from = 0, .to = 0, .fee_recipient = 13, .amount = 999001, .fee_limit = FEE},
        {.from = 0, .to = 1, .fee_recipient = 0, .amount = 5, .fee_limit = FEE},
        {.from = 0, .to = 0, .fee_recipient = 0, .amount = 5, .fee_limit = FEE},
        {.from = 3, .to = 3, .fee_recipient = 3, .amount = 0, .fee_limit = FEE},
        {.from = 3, .to = 3, .fee_recipient = 3, .amount = 1, .fee_limit = FEE},
        {.from = 4, .to = 4, .fee_recipient = 4, .amount = 0, .fee_limit = FEE},
        {.from = 1, .to = 2, .fee_recipient = 2, .amount = 7, .fee_limit = FEE},
        {.from = 1, .to = 14, .fee_recipient = 14, .amount = 7, .fee_limit = FEE},
    };
    struct chain chain;
    chain_init(&chain, 0, rich);
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        run(&chain, &plans[i], 1);
    }
    chain_close(&chain);
    chain_init(&chain, 1 << 20, rich);
    run(&chain, plans, sizeof plans / sizeof plans[0]); /* the same within one block */
    chain_close(&chain);
}

/* What a quorum has signed is authentic: to judge it again could only tell nodes apart. */
static void test_signatures_are_not_judged_again(void **state)
{
    (void)state;
    struct chain chain;
    chain_init(&chain, 0, rich);
    struct plan plan = {
        .from = 0, .to = 1, .fee_recipient = 12, .amount = 7, .fee_limit = FEE, .damage = 5};
    run(&chain, &plan, 1);
    chain_close(&chain);
}

/* What does not parse is a result, never a stop; nothing is charged. */
static void test_unparsable_is_a_result(void **state)
{
    (void)state;
    struct chain chain;
    struct plan plans[6];
    chain_init(&chain, 0, rich);
    for (uint8_t i = 0; i < 6; i++) {
        plans[i] = (struct plan){.from = 0,
                                 .to = 1,
                                 .fee_recipient = 12,
                                 .amount = 1,
                                 .fee_limit = FEE,
                                 .damage = i % 5};
    }
    run(&chain, plans, 6);
    /* Bytes that no client made, down to the shortest that the core lets pass. */
    static struct block block;
    static const uint8_t junk[400] = {1};
    static const uint32_t lens[] = {9, 10, 189, 190, 191, 318, 319, 400};
    for (uint32_t i = 0; i < 8; i++) {
        block.txs[i].tx = (struct dsmr_tx_view){.bytes = junk, .len = lens[i]};
    }
    struct dsmr_id root;
    struct dsmr_kv_txn *txn = begin(&chain.f, true);
    assert_int_equal(execute(&chain, txn, &block, 8, &root), DSMR_OK);
    commit(&chain.f, txn);
    for (uint32_t i = 0; i < 8; i++) {
        bool parses = lens[i] == 190;
        assert_int_equal(block.results[i].code,
                         parses ? DSMR_TRANSFERS_WRONG_DOMAIN : DSMR_TRANSFERS_MALFORMED);
        assert_int_equal(block.results[i].fee, 0);
    }
    assert_memory_equal(root.bytes, chain.root.bytes, 32);
    chain_close(&chain);
}

static void random_plans(struct dsmr_prng *prng, struct plan *plans, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        plans[i] = (struct plan){
            .from = (uint32_t)dsmr_prng_below(prng, WALLETS),
            .to = (uint32_t)dsmr_prng_below(prng, WALLETS + 4),
            .fee_recipient = (uint32_t)dsmr_prng_below(prng, WALLETS + 4),
            .amount = dsmr_prng_below(prng, 1u << dsmr_prng_below(prng, 21)),
            .fee_limit = dsmr_prng_below(prng, 10) ? 2000 : dsmr_prng_below(prng, 1000),
            .memo_len = (uint8_t)dsmr_prng_below(prng, 129),
            .damage = dsmr_prng_below(prng, 12) ? 0 : (uint8_t)dsmr_prng_below(prng, 5)};
    }
}

/* Random blocks against the list, with restarts and with aborted blocks in between. */
static void test_random_blocks(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct chain chain;
        struct dsmr_prng prng;
        uint64_t balances[WALLETS];
        dsmr_prng_init(&prng, seed);
        for (uint32_t i = 0; i < WALLETS; i++) {
            balances[i] = dsmr_prng_below(&prng, 3) * dsmr_prng_below(&prng, 200000);
        }
        balances[0] = seed == 2 ? UINT64_MAX - 5000000 : 1; /* a supply close to the limit */
        chain_init(&chain, seed << 16, balances);
        for (uint32_t round = 0; round < 30; round++) {
            struct plan plans[PLANS_MAX];
            static struct block block;
            uint32_t count = (uint32_t)dsmr_prng_below(&prng, PLANS_MAX + 1);
            random_plans(&prng, plans, count);
            if (dsmr_prng_below(&prng, 3) == 0) {
                struct dsmr_id root;
                struct dsmr_kv_txn *txn = begin(&chain.f, true);
                encode(&chain, &block, plans, count);
                assert_int_equal(execute(&chain, txn, &block, count, &root), DSMR_OK);
                abort_txn(&chain.f, txn);
                random_plans(&prng, plans, count);
            }
            if (dsmr_prng_below(&prng, 5) == 0) {
                chain.app.ops->free(chain.app.self);
                new_app(&chain, 1000);
            }
            run(&chain, plans, count);
        }
        chain_close(&chain);
    }
}

/* Every store operation fails once, in genesis and in a block; an abort makes it good. */
static void test_store_failures(void **state)
{
    (void)state;
    struct chain chain;
    struct plan plans[PLANS_MAX];
    struct dsmr_prng prng;
    static struct block block;
    chain_init(&chain, 0, rich);
    dsmr_prng_init(&prng, 77);
    random_plans(&prng, plans, 30);
    encode(&chain, &block, plans, 30);
    bool failed = true;
    for (uint64_t after = 0; failed; after++) {
        struct dsmr_id root;
        struct dsmr_kv_txn *txn = begin(&chain.f, true);
        dsmr_kv_mem_fail_after(chain.f.mem, after, after % 2 ? DSMR_ERR_IO : DSMR_ERR_DISK_FULL);
        enum dsmr_err err = execute(&chain, txn, &block, 30, &root);
        failed = dsmr_kv_mem_has_failed(chain.f.mem);
        assert_int_equal(err, !failed ? DSMR_OK : after % 2 ? DSMR_ERR_IO : DSMR_ERR_DISK_FULL);
        dsmr_kv_mem_fail_after(chain.f.mem, UINT64_MAX, DSMR_OK);
        abort_txn(&chain.f, txn);
    }
    run(&chain, plans, 30);
    chain_close(&chain);
}

static void test_genesis_store_failures(void **state)
{
    (void)state;
    struct chain chain;
    char text[8192];
    chain_init(&chain, 0, rich);
    genesis_text(&chain, text, sizeof text);
    struct fixture f;
    fixture_init(&f);
    bool failed = true;
    for (uint64_t after = 0; failed; after++) {
        struct dsmr_id root;
        const char *reason = NULL;
        struct dsmr_kv_txn *txn = begin(&f, true);
        dsmr_kv_mem_fail_after(f.mem, after, DSMR_ERR_IO);
        enum dsmr_err err =
            chain.app.ops->genesis(chain.app.self, &root, &reason, &f.kv, txn, text, strlen(text));
        failed = dsmr_kv_mem_has_failed(f.mem);
        assert_int_equal(err, failed ? DSMR_ERR_IO : DSMR_OK);
        if (!failed) {
            assert_memory_equal(root.bytes, chain.root.bytes, 32);
        }
        dsmr_kv_mem_fail_after(f.mem, UINT64_MAX, DSMR_OK);
        abort_txn(&f, txn);
    }
    fixture_close(&f);
    chain_close(&chain);
}

static void test_heights(void **state)
{
    (void)state;
    struct chain chain;
    static struct block block;
    struct dsmr_id root;
    chain_init(&chain, 0, rich);
    run(&chain, NULL, 0); /* an empty block changes nothing but the height */
    struct dsmr_kv_txn *txn = begin(&chain.f, true);
    chain.height = 0;
    assert_int_equal(execute(&chain, txn, &block, 0, &root), DSMR_ERR_APP_FAILED);
    chain.height = 2;
    assert_int_equal(execute(&chain, txn, &block, 0, &root), DSMR_ERR_APP_FAILED);
    abort_txn(&chain.f, txn);
    chain.height = 1;
    run(&chain, NULL, 0);
    struct fixture empty;
    fixture_init(&empty);
    txn = begin(&empty, true);
    struct dsmr_app_block first = {.height = 1};
    assert_int_equal(chain.app.ops->execute(chain.app.self, &root, NULL, &empty.kv, txn, &first),
                     DSMR_ERR_CORRUPT); /* no genesis */
    abort_txn(&empty, txn);
    fixture_close(&empty);
    chain_close(&chain);
}

/* A damaged head of the state stops execution and queries; it never passes for a state. */
static void test_damaged_head(void **state)
{
    (void)state;
    static const uint8_t key[2] = {'a', 'm'};
    static const struct {
        size_t at;
        uint8_t value;
    } damages[] = {
        {0, 2},    /* version */
        {49, 33},  /* kinds that do not exist */
        {49, 254}, /* */
        {49, 0},   /* none, but with a hash */
        {25, 255}, /* a fee that does not fit */
        {33, 255}, /* */
        {81, 1},   /* another hash */
    };
    struct chain chain;
    struct plan plan = {.from = 0, .to = 1, .fee_limit = FEE};
    static struct block block;
    chain_init(&chain, 0, rich);
    encode(&chain, &block, &plan, 1);
    for (size_t i = 0; i <= sizeof damages / sizeof damages[0]; i++) {
        struct dsmr_kv_txn *txn = begin(&chain.f, true);
        const uint8_t *value;
        size_t len;
        uint8_t copy[83] = {0};
        struct dsmr_id root;
        assert_int_equal(chain.f.kv.ops->get(chain.f.kv.self, txn, key, 2, &value, &len), DSMR_OK);
        assert_int_equal(len, 82);
        memcpy(copy, value, len);
        if (i < sizeof damages / sizeof damages[0]) {
            copy[damages[i].at] = damages[i].value;
            /* per_byte of 255 << 56 is over the limit; base alone is not, with per_signature it is
             */
            copy[41] = damages[i].at == 25 ? 255 : copy[41];
        } else {
            len++;
        }
        assert_int_equal(chain.f.kv.ops->put(chain.f.kv.self, txn, key, 2, copy, len), DSMR_OK);
        assert_int_equal(execute(&chain, txn, &block, 1, &root), DSMR_ERR_CORRUPT);
        char out[300];
        struct dsmr_app_text text = {.bytes = out, .capacity = sizeof out};
        char path[80] = "accounts/";
        hex(path + 9, &chain.accounts[0].address);
        assert_int_equal(chain.app.ops->query(chain.app.self, &text, &chain.f.kv, txn, path),
                         DSMR_ERR_CORRUPT);
        abort_txn(&chain.f, txn);
    }
    run(&chain, &plan, 1);
    chain_close(&chain);
}

static enum dsmr_err query(struct chain *chain, char *out, size_t capacity, const char *path)
{
    struct dsmr_app_text text = {.bytes = out, .capacity = capacity};
    struct dsmr_kv_txn *snapshot = begin(&chain->f, false);
    enum dsmr_err err = chain->app.ops->query(chain->app.self, &text, &chain->f.kv, snapshot, path);
    if (!err) {
        assert_int_equal(text.len, strlen(out));
    }
    abort_txn(&chain->f, snapshot);
    return err;
}

static void test_queries(void **state)
{
    (void)state;
    struct chain chain;
    chain_init(&chain, 0, rich);
    char path[200] = "accounts/";
    char out[16384];
    hex(path + 9, &chain.accounts[2].address);
    assert_int_equal(query(&chain, out, sizeof out, path), DSMR_OK);
    assert_non_null(strstr(out, "\"balance\":\"5000\",\"exists\":true,\"height\":0}"));
    assert_non_null(strstr(out, path + 9));
    char *bech32m = strstr(out, "dsmr1");
    assert_non_null(bech32m);
    memcpy(path + 9, bech32m, 63);
    path[9 + 63] = 0;
    char again[16384];
    assert_int_equal(query(&chain, again, sizeof again, path), DSMR_OK);
    assert_string_equal(again, out);
    for (size_t capacity = 1; capacity <= strlen(out); capacity++) {
        assert_int_equal(query(&chain, again, capacity, path), DSMR_ERR_LIMIT);
    }
    assert_int_equal(query(&chain, again, strlen(out) + 1, path), DSMR_OK);
    struct dsmr_address stranger = address_of(999);
    hex(path + 9, &stranger);
    assert_int_equal(query(&chain, out, sizeof out, path), DSMR_OK);
    assert_non_null(strstr(out, "\"balance\":\"0\",\"exists\":false"));
    assert_int_equal(query(&chain, out, sizeof out, "state"), DSMR_OK);
    assert_non_null(strstr(out, "\"accounts\":6,\"supply\":\"2006500\",\"fee\":{\"base\":\"100\","
                                "\"per_byte\":\"2\",\"per_signature\":\"20\"}}"));
    assert_int_equal(query(&chain, out, sizeof out, ""), DSMR_ERR_UNKNOWN);
    assert_int_equal(query(&chain, out, sizeof out, "account"), DSMR_ERR_UNKNOWN);
    assert_int_equal(query(&chain, out, sizeof out, "accounts/"), DSMR_ERR_MALFORMED);
    path[20] = 'x';
    assert_int_equal(query(&chain, out, sizeof out, path), DSMR_ERR_MALFORMED);
    memset(path + 9, 'a', 190);
    path[199] = 0;
    assert_int_equal(query(&chain, out, sizeof out, path), DSMR_ERR_MALFORMED);
    chain_close(&chain);
}

/* The proof that the query hands out leads to the root that the block gave. */
static void test_proof_query(void **state)
{
    (void)state;
    struct chain chain;
    chain_init(&chain, 0, rich);
    char path[200] = "proofs/";
    char out[16384];
    hex(path + 7, &chain.accounts[1].address);
    assert_int_equal(query(&chain, out, sizeof out, path), DSMR_OK);
    char *text = strstr(out, "\"proof\":\"");
    assert_non_null(text);
    text += 9;
    uint8_t proof[8192];
    size_t len = 0;
    for (; text[2 * len] != '"'; len++) {
        char digits[3] = {text[2 * len], text[2 * len + 1], 0};
        proof[len] = (uint8_t)strtoul(digits, NULL, 16);
    }
    uint64_t balance;
    assert_int_equal(
        dsmr_account_proof_check(&balance, &chain.root, &chain.accounts[1].address, proof, len),
        DSMR_OK);
    assert_int_equal(balance, 1000000);
    assert_int_equal(query(&chain, out, 100, path), DSMR_ERR_LIMIT);
    chain_close(&chain);
}

static void test_code_texts(void **state)
{
    (void)state;
    struct chain chain;
    chain_init(&chain, 0, rich);
    assert_string_equal(chain.app.ops->name, "transfers");
    for (uint32_t code = 0; code <= 5; code++) {
        assert_string_not_equal(chain.app.ops->code_text(code), "unknown result code");
    }
    assert_string_equal(chain.app.ops->code_text(6), "unknown result code");
    assert_string_equal(chain.app.ops->code_text(UINT32_MAX), "unknown result code");
    chain_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_at_limits),
        cmocka_unit_test(test_the_door_judges_by_the_state),
        cmocka_unit_test(test_the_door_is_open_where_the_state_is_not_readable),
        cmocka_unit_test(test_self_and_fee_recipient),
        cmocka_unit_test(test_signatures_are_not_judged_again),
        cmocka_unit_test(test_unparsable_is_a_result),
        cmocka_unit_test(test_random_blocks),
        cmocka_unit_test(test_store_failures),
        cmocka_unit_test(test_genesis_store_failures),
        cmocka_unit_test(test_heights),
        cmocka_unit_test(test_damaged_head),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_proof_query),
        cmocka_unit_test(test_code_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
