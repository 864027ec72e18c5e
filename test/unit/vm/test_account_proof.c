#include "unit/vm/support.h"

#include "vm/account_proof.h"
#include "vm/account_trie.h"

struct proof {
    uint8_t bytes[DSMR_ACCOUNT_PROOF_BYTES_MAX];
    size_t len;
    struct dsmr_id root;
};

/* A state with count accounts, number i with balance i + 1. */
static void fill(struct fixture *f, uint64_t count)
{
    struct dsmr_account_trie *trie = dsmr_account_trie_new(1 << 20);
    struct dsmr_transfers_state state = {
        .accounts = count, .supply = count * (count + 1) / 2, .fees = {1, 2, 3}};
    struct dsmr_kv_txn *txn = begin(f, true);
    dsmr_account_trie_begin(trie, &f->kv, txn, &state.trie);
    for (uint64_t i = 0; i < count; i++) {
        struct dsmr_address address = address_of(i);
        struct dsmr_account_key key;
        dsmr_account_key_init(&key, &address);
        assert_int_equal(dsmr_account_trie_give(trie, &key, i + 1), DSMR_OK);
    }
    assert_int_equal(dsmr_account_trie_finish(trie, &state.trie), DSMR_OK);
    assert_int_equal(dsmr_transfers_state_put(&state, &f->kv, txn), DSMR_OK);
    commit(f, txn);
    dsmr_account_trie_free(trie);
}

static void make(struct fixture *f, struct proof *proof, uint64_t number)
{
    struct dsmr_address address = address_of(number);
    struct dsmr_wr wr;
    struct dsmr_kv_txn *snapshot = begin(f, false);
    dsmr_wr_init(&wr, proof->bytes, sizeof proof->bytes);
    assert_int_equal(dsmr_account_proof_make(&wr, &proof->root, &f->kv, snapshot, &address),
                     DSMR_OK);
    proof->len = wr.at;
    abort_txn(f, snapshot);
}

static enum dsmr_err check(const struct proof *proof, uint64_t *balance, uint64_t number)
{
    struct dsmr_address address = address_of(number);
    return dsmr_account_proof_check(balance, &proof->root, &address, proof->bytes, proof->len);
}

static void test_members_and_absent(void **state)
{
    (void)state;
    static const uint64_t counts[] = {0, 1, 32, 33, 700};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct fixture f;
        fixture_init(&f);
        fill(&f, counts[c]);
        struct dsmr_account accounts[700];
        for (uint64_t i = 0; i < counts[c]; i++) {
            accounts[i] = (struct dsmr_account){.address = address_of(i), .balance = i + 1};
        }
        static const uint64_t fees[3] = {1, 2, 3};
        struct dsmr_id root = slow_root(accounts, (size_t)counts[c], fees);
        for (uint64_t i = 0; i < counts[c] + 40; i += 1 + i / 40) {
            struct proof proof;
            uint64_t balance = 99999;
            make(&f, &proof, i);
            assert_memory_equal(proof.root.bytes, root.bytes, 32);
            assert_int_equal(check(&proof, &balance, i), DSMR_OK);
            assert_int_equal(balance, i < counts[c] ? i + 1 : 0);
        }
        fixture_close(&f);
    }
}

/* A proof of one account says nothing of another, unless both lie in its bucket. */
static void test_other_account(void **state)
{
    (void)state;
    struct fixture f;
    struct proof proof;
    fixture_init(&f);
    fill(&f, 2000);
    make(&f, &proof, 5);
    uint32_t refused = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t balance = 0;
        enum dsmr_err err = check(&proof, &balance, i);
        assert_true(err == DSMR_ERR_TX_MERKLE_PROOF || (!err && balance == i + 1));
        refused += err != DSMR_OK;
    }
    assert_true(refused > 1900);
    fixture_close(&f);
}

static void test_every_change_is_found(void **state)
{
    (void)state;
    struct fixture f;
    struct proof proof;
    uint64_t balance = 12345;
    fixture_init(&f);
    fill(&f, 300);
    make(&f, &proof, 7);
    for (size_t bit = 0; bit < 8 * proof.len; bit++) {
        proof.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(check(&proof, &balance, 7), DSMR_OK);
        proof.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    size_t len = proof.len;
    for (proof.len = 0; proof.len < len; proof.len++) {
        assert_int_not_equal(check(&proof, &balance, 7), DSMR_OK);
    }
    proof.bytes[len] = 0;
    proof.len = len + 1;
    assert_int_equal(check(&proof, &balance, 7), DSMR_ERR_TRAILING_BYTES);
    proof.len = len;
    proof.root.bytes[0] ^= 1;
    assert_int_equal(check(&proof, &balance, 7), DSMR_ERR_TX_MERKLE_PROOF);
    assert_int_equal(balance, 12345);
    proof.root.bytes[0] ^= 1;
    assert_int_equal(check(&proof, &balance, 7), DSMR_OK);
    assert_int_equal(balance, 8);
    fixture_close(&f);
}

/* A proof that stops above the account's bucket does not prove that there is no account. */
static void test_cut_below_a_branch(void **state)
{
    (void)state;
    enum { COUNT_AT = 1 + DSMR_TRANSFERS_STATE_HEAD_BYTES };
    struct fixture f;
    struct proof proof;
    uint64_t balance = 1;
    fixture_init(&f);
    fill(&f, 3000);
    make(&f, &proof, 7);
    uint8_t nodes = proof.bytes[COUNT_AT];
    assert_true(nodes >= 3);
    size_t at = COUNT_AT + 1;
    for (uint8_t kept = 0; kept < nodes; kept++) {
        struct proof cut = proof;
        cut.bytes[COUNT_AT] = kept;
        cut.len = at;
        assert_int_equal(check(&cut, &balance, 7), DSMR_ERR_TX_MERKLE_PROOF);
        at += 2u + ((size_t)proof.bytes[at] << 8 | proof.bytes[at + 1]);
    }
    assert_int_equal(at, proof.len);
    proof.bytes[COUNT_AT]++; /* one node more than there is */
    assert_int_equal(check(&proof, &balance, 7), DSMR_ERR_MALFORMED);
    fixture_close(&f);
}

static void test_make_faults(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dsmr_address address = address_of(1);
    struct proof proof;
    struct dsmr_wr wr;
    struct dsmr_kv_txn *snapshot = begin(&f, false);
    dsmr_wr_init(&wr, proof.bytes, sizeof proof.bytes);
    assert_int_equal(dsmr_account_proof_make(&wr, &proof.root, &f.kv, snapshot, &address),
                     DSMR_ERR_CORRUPT); /* no state */
    abort_txn(&f, snapshot);
    fill(&f, 100);
    snapshot = begin(&f, false);
    dsmr_wr_init(&wr, proof.bytes, 200);
    assert_int_equal(dsmr_account_proof_make(&wr, &proof.root, &f.kv, snapshot, &address),
                     DSMR_ERR_LIMIT);
    for (uint64_t after = 0; after < 3; after++) { /* head, branch, bucket */
        dsmr_kv_mem_fail_after(f.mem, after, DSMR_ERR_IO);
        dsmr_wr_init(&wr, proof.bytes, sizeof proof.bytes);
        assert_int_equal(dsmr_account_proof_make(&wr, &proof.root, &f.kv, snapshot, &address),
                         DSMR_ERR_IO);
    }
    abort_txn(&f, snapshot);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_and_absent),    cmocka_unit_test(test_other_account),
        cmocka_unit_test(test_every_change_is_found), cmocka_unit_test(test_cut_below_a_branch),
        cmocka_unit_test(test_make_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
