/* The checkers of transactions, supply and certified transactions: a right history passes, each
 * wrong one is found, by the rule that it breaks. */
#include "history.h"
#include "vm/transfers.h"

extern const struct dsmr_sim_checker_ops dsmr_sim_check_transactions;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_supply;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_certified;

#define T(ms) (DSMR_SIM_START_MS + (uint64_t)(ms))
#define TXS_MAX 4u

/* A chunk of opaque transactions with these numbers and expiries. Unref it. */
static struct dsmr_chunk *opaque_chunk(struct history *h, uint32_t producer, uint64_t slot,
                                       const uint64_t (*txs)[2], uint32_t count)
{
    uint8_t bytes[TXS_MAX][DSMR_SIM_TX_BYTES_MAX];
    struct dsmr_chunk_tx fields[TXS_MAX];
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_chunk_header header = {.domain = h->sim->params.domain,
                                       .producer = dsmr_sim_bls_node_id(producer),
                                       .slot = slot,
                                       .expiry_ms = slot * 100 + h->sim->params.chunk_lifetime_ms};
    for (uint32_t i = 0; i < count; i++) {
        fields[i].bytes = bytes[i];
        fields[i].len = dsmr_sim_accounts_opaque(bytes[i], 40, txs[i][0], txs[i][1]);
        dsmr_hash(&fields[i].id, bytes[i], fields[i].len);
    }
    assert_int_equal(dsmr_chunk_build(&chunk, &h->sim->params, &header, fields, count), DSMR_OK);
    return chunk;
}

/* Of the opaque application: what docs/transfers.md says, with the ids that are told. */
static void set_opaque_root(struct told *told, const struct dsmr_id *before)
{
    uint8_t bytes[13 + 44 + 16 * 32] = "DSMR/opaque/1";
    memcpy(bytes + 13, before->bytes, 32);
    dsmr_store_be64(bytes + 45, told->executed.height);
    dsmr_store_be32(bytes + 53, told->executed.count);
    memcpy(bytes + 57, told->ids, told->executed.count * 32u);
    dsmr_hash(&told->executed.state_root, bytes, 57 + told->executed.count * 32u);
}

static struct dsmr_id opaque_genesis(void)
{
    struct dsmr_id root;
    dsmr_hash(&root, "DSMR/opaque/1", 13);
    return root;
}

/* ---- transactions ---- */

/* Two chunks in one block, with what is late, early, at the edges, and twice. */
static const uint64_t first_txs[TXS_MAX][2] = {
    {1, T(500)}, {2, T(499)}, {3, T(60100)}, {4, T(60000)}};
static const uint64_t second_txs[TXS_MAX][2] = {
    {1, T(500)}, {5, T(60501)}, {6, T(60500)}, {4, T(60000)}};

struct two_chunks {
    struct dsmr_chunk *first, *second;
    struct told told; /* what has to run in block 1 */
};

static void two_chunks_begin(struct two_chunks *two, struct history *h)
{
    struct dsmr_id genesis = opaque_genesis();
    history_begin(h, &dsmr_sim_check_transactions);
    two->first = opaque_chunk(h, 0, SLOT + 1, first_txs, TXS_MAX);
    two->second = opaque_chunk(h, 1, SLOT + 5, second_txs, TXS_MAX);
    struct dsmr_cert certs[2] = {cert_of(h, &two->first->ref, 7), cert_of(h, &two->second->ref, 7)};
    tell_chunk(h, 0, two->first, false);
    tell_chunk(h, 0, two->second, false);
    extend(h, T(500), certs, 2);
    tell_of(&two->told, h->tip, NULL);
    two->told.ids[0] = two->first->tx_ids[0];
    two->told.ids[1] = two->first->tx_ids[2];
    two->told.ids[2] = two->first->tx_ids[3];
    two->told.ids[3] = two->second->tx_ids[2];
    two->told.executed.count = 4;
    set_opaque_root(&two->told, &genesis);
}

static void two_chunks_end(struct two_chunks *two, struct history *h)
{
    dsmr_chunk_unref(two->first);
    dsmr_chunk_unref(two->second);
    history_end(h);
}

static void test_what_has_to_run(void **state)
{
    static const char *const rules[] = {NULL,   "10.3", "10.4", "10.4", "10.3",
                                        "10.3", "10.3", "10.4", "10.6", "10.6"};
    (void)state;
    for (int what = 0; what < 10; what++) {
        struct two_chunks two;
        struct history h;
        two_chunks_begin(&two, &h);
        struct told *told = &two.told;
        if (what == 1) { /* in another order */
            struct dsmr_id id = told->ids[0];
            told->ids[0] = told->ids[1];
            told->ids[1] = id;
        } else if (what == 2) { /* one is missing */
            told->executed.count--;
        } else if (what == 3) { /* one ran twice in the block */
            told->ids[told->executed.count++] = two.second->tx_ids[0];
        } else if (what == 4) { /* one after its expiry: in the place of the next one */
            told->ids[1] = two.first->tx_ids[1];
        } else if (what == 5) { /* one more than a window before it */
            told->ids[3] = two.second->tx_ids[1];
        } else if (what == 6) { /* the later of two chunks won */
            told->ids[2] = two.second->tx_ids[2];
            told->ids[3] = two.second->tx_ids[3];
        } else if (what == 7) {
            told->executed.time_ms++;
        } else if (what == 8) {
            told->executed.state_root.bytes[31] ^= 1;
        } else if (what == 9) {
            told->executed.height = 2; /* a block that nobody has stored */
        }
        h.ops->executed(h.self, h.sim, 2, &told->executed);
        if (rules[what] == NULL) {
            history_is_right(&h);
        } else {
            history_breaks(&h, rules[what]);
        }
        two_chunks_end(&two, &h);
    }
}

/* An id is never forgotten while its transaction could run again. */
static void test_runs_in_one_block_only(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct two_chunks two;
        struct history h;
        struct told told;
        two_chunks_begin(&two, &h);
        struct dsmr_chunk *third = opaque_chunk(&h, 2, SLOT + 6, first_txs, TXS_MAX);
        struct dsmr_cert cert = cert_of(&h, &third->ref, 7);
        tell_chunk(&h, 2, third, false);
        h.ops->executed(h.self, h.sim, 0, &two.told.executed);
        extend(&h, T(700), &cert, 1);
        tell_of(&told, h.tip, NULL);
        if (again) {
            told.ids[told.executed.count++] = third->tx_ids[3];
        }
        set_opaque_root(&told, &two.told.executed.state_root);
        h.ops->executed(h.self, h.sim, 0, &told.executed);
        if (again) {
            history_breaks(&h, "10.4");
        } else {
            history_is_right(&h);
        }
        dsmr_chunk_unref(third);
        two_chunks_end(&two, &h);
    }
}

static void test_chunks_are_read(void **state)
{
    static const uint64_t good[][2] = {{1, T(100)}, {2, T(60100)}};
    static const uint64_t late[][2] = {{1, T(99)}};
    static const uint64_t early[][2] = {{1, T(60101)}};
    static const uint64_t twice[][2] = {{1, T(1000)}, {1, T(1000)}};
    static const char *const rules[] = {NULL, "6.6", "6.6", "6.6", "4.3", "4.3", "4.3", "4.3"};
    (void)state;
    for (int what = 0; what < 8; what++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_transactions);
        struct dsmr_chunk *chunk = opaque_chunk(&h, 0, SLOT + 1,
                                                what == 1   ? late
                                                : what == 2 ? early
                                                : what == 3 ? twice
                                                            : good,
                                                what == 1 || what == 2 ? 1 : 2);
        uint8_t *bytes = chunk->owner->bytes + (chunk->bytes - chunk->owner->bytes);
        if (what >= 1 && what <= 3) { /* not signed: somebody else's fault */
            tell_chunk(&h, 0, chunk, false);
            history_is_right(&h);
        } else if (what == 4) { /* another transaction than the root's */
            bytes[chunk->tx_offsets[1] + 20] ^= 1;
        } else if (what == 5) { /* another header than the id's */
            bytes[100] ^= 1;
        } else if (what == 6) { /* one byte less */
            chunk->ref.chunk_bytes--;
        } else if (what == 7) { /* a reference of other fields */
            chunk->ref.slot++;
        }
        tell_chunk(&h, 1, chunk, true);
        if (rules[what] == NULL) {
            history_is_right(&h);
        } else {
            history_breaks(&h, rules[what]);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* The root of a chunk with so many transactions that the tree has three levels. */
static void test_a_large_chunk(void **state)
{
    enum { COUNT = 300 };
    static uint8_t bytes[COUNT][40];
    static struct dsmr_chunk_tx txs[COUNT];
    struct history h;
    struct dsmr_chunk *chunk = NULL;
    (void)state;
    history_begin(&h, &dsmr_sim_check_transactions);
    struct dsmr_chunk_header header = {.domain = h.sim->params.domain,
                                       .producer = dsmr_sim_bls_node_id(0),
                                       .slot = SLOT,
                                       .expiry_ms = T(h.sim->params.chunk_lifetime_ms)};
    for (uint32_t i = 0; i < COUNT; i++) {
        uint8_t tx[DSMR_SIM_TX_BYTES_MAX];
        txs[i].len = dsmr_sim_accounts_opaque(tx, sizeof(bytes[i]), i, T(1000));
        memcpy(bytes[i], tx, txs[i].len);
        txs[i].bytes = bytes[i];
        dsmr_hash(&txs[i].id, bytes[i], txs[i].len);
    }
    assert_int_equal(dsmr_chunk_build(&chunk, &h.sim->params, &header, txs, COUNT), DSMR_OK);
    tell_chunk(&h, 0, chunk, true);
    history_is_right(&h);
    dsmr_chunk_unref(chunk);
    history_end(&h);
}

static void test_reference_of_other_fields(void **state)
{
    struct history h;
    struct told told;
    static const uint64_t txs[][2] = {{1, T(5000)}};
    (void)state;
    history_begin(&h, &dsmr_sim_check_transactions);
    struct dsmr_chunk *chunk = opaque_chunk(&h, 0, SLOT + 1, txs, 1);
    struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
    cert.ref.tx_count++;
    tell_chunk(&h, 0, chunk, true);
    extend(&h, T(200), &cert, 1);
    tell_of(&told, h.tip, chunk);
    h.ops->executed(h.self, h.sim, 0, &told.executed);
    history_breaks(&h, "10.2");
    dsmr_chunk_unref(chunk);
    history_end(&h);
}

/* ---- supply: against the application itself ---- */

struct bank {
    struct dsmr_app app;
    struct dsmr_kv_mem *mem;
    struct dsmr_kv kv;
};

/* genesis: as the chain's, but with the first balance, 1000000, as given with its quotation mark.
 */
static void bank_begin(struct bank *bank, const struct history *h, const char *first_balance)
{
    struct dsmr_transfers_config config = {.domain = h->sim->params.domain};
    struct dsmr_kv_txn *txn = NULL;
    struct dsmr_id root;
    const char *reason = "";
    static char genesis[65536];
    strcpy(genesis, h->sim->app_genesis);
    char *balance = strstr(genesis, "\"balance\":\"1000000\"");
    assert_non_null(balance);
    memcpy(balance + 11, first_balance, 8);
    assert_int_equal(dsmr_transfers_new(&bank->app, &config), DSMR_OK);
    bank->mem = dsmr_kv_mem_new();
    bank->kv = dsmr_kv_mem_port(bank->mem);
    assert_int_equal(bank->kv.ops->begin(bank->kv.self, &txn, true), DSMR_OK);
    assert_int_equal(bank->app.ops->genesis(bank->app.self, &root, &reason, &bank->kv, txn, genesis,
                                            strlen(genesis)),
                     DSMR_OK);
    assert_int_equal(bank->kv.ops->commit(bank->kv.self, txn), DSMR_OK);
}

static void bank_end(struct bank *bank)
{
    bank->app.ops->free(bank->app.self);
    dsmr_kv_mem_free(bank->mem);
}

static void bank_run(struct bank *bank, struct told *told, const struct dsmr_block *block,
                     const struct dsmr_chunk *chunk)
{
    struct dsmr_app_tx txs[16];
    struct dsmr_kv_txn *txn = NULL;
    tell_of(told, block, chunk);
    struct dsmr_app_block app_block = {.height = block->height,
                                       .time_ms = block->time_ms,
                                       .id = block->id,
                                       .txs = txs,
                                       .ids = chunk->tx_ids,
                                       .txs_count = told->executed.count};
    for (uint32_t i = 0; i < told->executed.count; i++) {
        txs[i].tx = dsmr_chunk_tx(chunk, i);
        txs[i].fee_recipient = chunk->header.fee_recipient;
    }
    assert_int_equal(bank->kv.ops->begin(bank->kv.self, &txn, true), DSMR_OK);
    assert_int_equal(bank->app.ops->execute(bank->app.self, &told->executed.state_root,
                                            told->results, &bank->kv, txn, &app_block),
                     DSMR_OK);
    assert_int_equal(bank->kv.ops->commit(bank->kv.self, txn), DSMR_OK);
}

#define TRANSFERS 7u

/* Transfers that succeed, go to their own sender, are too dear, too large, malformed, of another
 * chain; the fees go to an account that has nothing. */
static struct dsmr_chunk *transfers_chunk(struct history *h, uint64_t slot, uint64_t number)
{
    static const uint64_t amounts[TRANSFERS] = {500, 0, 2000000, 999000, 7, 7, 1000000 - 200};
    static uint8_t bytes[TRANSFERS][DSMR_SIM_TX_BYTES_MAX];
    struct dsmr_chunk_tx txs[TRANSFERS];
    struct dsmr_chunk *chunk = NULL;
    struct dsmr_domain other = h->sim->params.domain;
    other.network_id++;
    struct dsmr_chunk_header header = {.domain = h->sim->params.domain,
                                       .producer = dsmr_sim_bls_node_id(0),
                                       .slot = slot,
                                       .expiry_ms = slot * 100 + h->sim->params.chunk_lifetime_ms,
                                       .fee_recipient = {{9}}};
    for (uint32_t i = 0; i < TRANSFERS; i++) {
        txs[i].len = dsmr_sim_accounts_transfer(bytes[i], i == 5 ? &other : &h->sim->params.domain,
                                                number * 64 + i, amounts[i], T(30000));
        if (i == 4) {
            bytes[i][0] = 2; /* of no known version */
        }
        if (i == 6) { /* all it has, to itself */
            memcpy(bytes[i] + 77, bytes[i] + 45, 32);
        }
        txs[i].bytes = bytes[i];
        dsmr_hash(&txs[i].id, bytes[i], txs[i].len);
    }
    assert_int_equal(dsmr_chunk_build(&chunk, &h->sim->params, &header, txs, TRANSFERS), DSMR_OK);
    return chunk;
}

static void begin_transfers(struct history *h)
{
    struct dsmr_sim_config config = {.seed = 1, .nodes = NODES, .app = DSMR_SIM_TRANSFERS};
    history_begin_with(h, &dsmr_sim_check_supply, &config);
}

/* what: which thing of block 2 is spoilt; 0: nothing. */
static void run_two_blocks(struct history *h, struct bank *bank, int what)
{
    for (uint64_t i = 1; i <= 2; i++) {
        struct told told;
        struct dsmr_chunk *chunk = transfers_chunk(h, SLOT + i, i);
        struct dsmr_cert cert = cert_of(h, &chunk->ref, 7);
        tell_chunk(h, 0, chunk, true);
        extend(h, T(i * 100 + 100), &cert, 1);
        bank_run(bank, &told, h->tip, chunk);
        assert_int_equal(told.results[0].code, 0);
        assert_int_equal(told.results[0].fee, 200);
        if (i == 2) {
            told.results[0].fee -= what == 1;
            told.results[2].code = what == 2 ? 0 : told.results[2].code;
            told.executed.state_root.bytes[5] ^= what == 3;
        }
        h->ops->executed(h->self, h->sim, 0, &told.executed);
        dsmr_chunk_unref(chunk);
    }
}

static void test_supply(void **state)
{
    static const struct {
        const char *rule, *first_balance;
        int what;
    } cases[] = {
        {NULL, "1000000\"", 0}, {"T14", "1000000\"", 1}, {"T14", "1000000\"", 2},
        {"T3", "1000000\"", 3}, {"T3", "999999\" ", 0},  {"T3", "1000001\"", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct history h;
        struct bank bank;
        begin_transfers(&h);
        bank_begin(&bank, &h, cases[i].first_balance);
        run_two_blocks(&h, &bank, cases[i].what);
        if (cases[i].rule == NULL) {
            history_is_right(&h);
        } else {
            history_breaks(&h, cases[i].rule);
        }
        bank_end(&bank);
        history_end(&h);
    }
}

/* ---- certified ---- */

static void tell_cert(struct history *h, uint32_t node, const struct dsmr_cert *cert)
{
    struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = cert};
    h->ops->stored(h->self, h->sim, node, &write);
}

/* Node 0 and another one have its certificate: so node 0 may call it certified, and does. */
static void certify(struct history *h, const struct dsmr_chunk *chunk)
{
    struct dsmr_cert cert = cert_of(h, &chunk->ref, 7);
    tell_cert(h, 0, &cert);
    tell_cert(h, 1, &cert);
    h->ops->certified(h->self, h->sim, 0, chunk);
    history_is_right(h);
}

static void test_certified_and_lost(void **state)
{
    static const struct {
        bool is_executed, is_wiped;
        uint64_t ahead_ms; /* its clock, for a while */
        uint64_t healed_ms, expiry_ms;
        bool is_right;
    } cases[] = {
        {false, false, 0, 1000, 58000, false},
        {true, false, 0, 1000, 58000, true},
        {false, true, 0, 15501, 58000, true},  /* its producer's disk was lost, ... */
        {false, true, 0, 15500, 58000, false}, /* but others had the time to include its chunk */
        {false, true, 0, 1000, 15999, true},
        {false, true, 0, 1000, 16000, false},
        {false, false, 2000, 15501, 90000, true},  /* by that clock it was late, ... */
        {false, false, 2000, 15500, 90000, false}, /* not by that of others */
        {false, false, 1000, 1000, 58000, false},  /* that far a clock may be ahead */
        {false, false, 0, 1000, 45999, true},      /* expires too soon after the healing */
        {false, false, 0, 1000, 46000, false},
        {false, false, 0, 29500, 90000, true}, /* the chunk had expired before, by chain time */
        {false, false, 0, 29499, 90000, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint64_t txs[][2] = {{1, T(cases[i].expiry_ms)}};
        struct history h;
        struct told told;
        history_begin(&h, &dsmr_sim_check_certified);
        struct dsmr_chunk *chunk = opaque_chunk(&h, 0, SLOT + 5, txs, 1);
        certify(&h, chunk);
        if (cases[i].is_executed) {
            extend(&h, T(500), NULL, 0);
            tell_of(&told, h.tip, chunk);
            h.ops->executed(h.self, h.sim, 3, &told.executed);
        }
        if (cases[i].is_wiped) {
            restart(&h, 0, true);
        }
        h.sim->nodes[0].latest_ms += cases[i].ahead_ms;
        dsmr_sim_pass(h.sim, 150000);
        h.sim->healed_us = cases[i].healed_ms * 1000;
        h.ops->end(h.self, h.sim);
        if (cases[i].is_right) {
            history_is_right(&h);
        } else {
            history_breaks(&h, "5.9");
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* What the chain does meanwhile: a block of a clock that was ahead before the healing, and blocks
 * with and without room after it. A certified transaction of chunk expiry 30.5 s is lost. */
static void test_certified_and_the_chain(void **state)
{
    static const struct {
        uint64_t chain_ms; /* at the healing */
        uint32_t full, roomy;
        bool is_right;
    } cases[] = {
        {500, 0, 0, false},  {29499, 0, 0, false},
        {29500, 0, 0, true}, /* chain time had passed the chunk's expiry, by the skew */
        {500, 0, 9, false},  {500, 4, 4, false},
        {500, 5, 4, true}, /* most blocks had no room */
    };
    static const uint64_t txs[][2] = {{1, T(90000)}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_certified);
        h.sim->params.block_certs_max = 1;
        struct dsmr_chunk *chunk = opaque_chunk(&h, 0, SLOT + 5, txs, 1);
        certify(&h, chunk);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7); /* for its number only */
        extend(&h, T(cases[i].chain_ms), &cert, 1);          /* full, but before the healing */
        h.sim->healed_us = 1000000;
        for (uint32_t k = 0; k < cases[i].full + cases[i].roomy; k++) {
            extend(&h, T(30000 + k), &cert, k < cases[i].full ? 1 : 0);
        }
        h.ops->end(h.self, h.sim);
        if (cases[i].is_right) {
            history_is_right(&h);
        } else {
            history_breaks(&h, "5.9");
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* A NOTARIZE record of the block, as the engine of node journals it. */
static void tell_vote(struct history *h, uint32_t node, const struct dsmr_block *block)
{
    uint8_t key[17] = {[16] = DSMR_VOTE_NOTARIZE}, value[4096] = {1};
    struct dsmr_store_write write = {.kind = DSMR_STORE_BFT_PUT,
                                     .u.bft.key = key,
                                     .u.bft.key_len = sizeof(key),
                                     .u.bft.value = value,
                                     .u.bft.value_len = 81 + block->bytes->len};
    assert_true(write.u.bft.value_len <= sizeof(value));
    memcpy(value + 9, block->id.bytes, sizeof(block->id.bytes));
    memcpy(value + 81, block->bytes->bytes, block->bytes->len);
    h->ops->stored(h->self, h->sim, node, &write);
}

/* Of four more than one has to have the certificate, the node that says so among them; or a block
 * has it. */
static void test_certified_too_early(void **state)
{
    enum { NOBODY, ITSELF, OTHERS, TWO, LIAR, VOTED, ACCEPTED, ISSUED, WAYS };
    (void)state;
    for (int way = NOBODY; way < WAYS; way++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_certified);
        if (way == LIAR) {
            dsmr_sim_byz_set(h.sim, 3, dsmr_sim_byz_find("lazy"));
        }
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 2);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
        if (way == ITSELF || way == TWO || way == LIAR) {
            tell_cert(&h, 0, &cert);
        }
        if (way == OTHERS || way == TWO) {
            tell_cert(&h, 2, &cert);
            tell_cert(&h, 2, &cert); /* counts once */
        }
        if (way == OTHERS) {
            tell_cert(&h, 1, &cert);
        }
        if (way == ACCEPTED) {
            extend(&h, DSMR_SIM_START_MS + 1000, &cert, 1);
        } else if (way == VOTED || way == ISSUED) {
            struct dsmr_block fields = fields_of(&h, DSMR_SIM_START_MS + 1000, &cert, 1);
            struct dsmr_block *block = build(&h, &fields);
            if (way == VOTED) {
                tell_vote(&h, 1, block);
            } else {
                h.ops->issued(h.self, h.sim, 1, block, true);
            }
            dsmr_block_unref(block);
        }
        h.ops->certified(h.self, h.sim, 0, chunk);
        if (way <= OTHERS) {
            history_breaks(&h, "5.9");
        } else {
            history_is_right(&h);
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_has_to_run),
        cmocka_unit_test(test_runs_in_one_block_only),
        cmocka_unit_test(test_chunks_are_read),
        cmocka_unit_test(test_a_large_chunk),
        cmocka_unit_test(test_reference_of_other_fields),
        cmocka_unit_test(test_supply),
        cmocka_unit_test(test_certified_and_lost),
        cmocka_unit_test(test_certified_and_the_chain),
        cmocka_unit_test(test_certified_too_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
