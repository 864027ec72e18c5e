/* The checkers of agreement, blocks and certificates: a right history passes, each wrong one is
 * found, by the rule that it breaks. */
#include <stdlib.h>

#include "history.h"

extern const struct dsmr_sim_checker_ops dsmr_sim_check_agreement;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_blocks;
extern const struct dsmr_sim_checker_ops dsmr_sim_check_certs;

#define T(ms) (DSMR_SIM_START_MS + (uint64_t)(ms))

/* ---- agreement ---- */

static void test_agreement_right(void **state)
{
    struct history h;
    struct told told;
    (void)state;
    history_begin(&h, &dsmr_sim_check_agreement);
    extend(&h, T(100), NULL, 0);
    tell_of(&told, h.tip, NULL);
    for (uint32_t i = 0; i < NODES; i++) {
        h.ops->accepted(h.self, h.sim, i, h.tip);
        h.ops->executed(h.self, h.sim, i, &told.executed);
    }
    history_is_right(&h);
    history_end(&h);
}

static void test_two_blocks_of_a_height(void **state)
{
    (void)state;
    for (int by_disk = 0; by_disk < 2; by_disk++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_agreement);
        struct dsmr_block fields = fields_of(&h, T(200), NULL, 0);
        struct dsmr_block *other = build(&h, &fields);
        extend(&h, T(100), NULL, 0);
        if (by_disk) {
            tell_accept(&h, 3, other, NULL);
        } else {
            h.ops->accepted(h.self, h.sim, 3, other);
        }
        history_breaks(&h, "S1");
        dsmr_block_unref(other);
        history_end(&h);
    }
}

enum spoilt { ROOT, CODE, FEE, ID, COUNT, SPOILT };

static void test_other_results(void **state)
{
    (void)state;
    for (int what = ROOT; what < SPOILT; what++) {
        struct history h;
        struct told told;
        history_begin(&h, &dsmr_sim_check_agreement);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 2);
        extend(&h, T(100), NULL, 0);
        tell_of(&told, h.tip, chunk);
        h.ops->executed(h.self, h.sim, 0, &told.executed);
        h.ops->executed(h.self, h.sim, 1, &told.executed);
        history_is_right(&h);
        told.executed.state_root.bytes[0] ^= what == ROOT;
        told.results[1].code += what == CODE;
        told.results[0].fee += what == FEE;
        told.ids[1].bytes[0] ^= what == ID;
        told.executed.count -= what == COUNT;
        h.ops->executed(h.self, h.sim, 2, &told.executed);
        history_breaks(&h, "10.6");
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

static void test_order_of_execution(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct history h;
        struct told told;
        history_begin(&h, &dsmr_sim_check_agreement);
        extend(&h, T(100), NULL, 0);
        tell_of(&told, h.tip, NULL);
        h.ops->executed(h.self, h.sim, 0, &told.executed);
        history_is_right(&h);
        if (again) {
            h.ops->executed(h.self, h.sim, 0, &told.executed);
        } else {
            extend(&h, T(200), NULL, 0);
            tell_of(&told, h.tip, NULL);
            h.ops->executed(h.self, h.sim, 1, &told.executed);
        }
        history_breaks(&h, "10.6");
        history_end(&h);
    }
}

static void test_executed_twice(void **state)
{
    (void)state;
    for (int in_one_block = 0; in_one_block < 2; in_one_block++) {
        struct history h;
        struct told told;
        history_begin(&h, &dsmr_sim_check_agreement);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 2);
        extend(&h, T(100), NULL, 0);
        tell_of(&told, h.tip, chunk);
        if (in_one_block) {
            told.ids[1] = told.ids[0];
        }
        h.ops->executed(h.self, h.sim, 0, &told.executed);
        if (!in_one_block) {
            history_is_right(&h);
            extend(&h, T(200), NULL, 0);
            tell_of(&told, h.tip, chunk);
            h.ops->executed(h.self, h.sim, 0, &told.executed);
        }
        history_breaks(&h, "10.4");
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

/* It comes back with less than it told; with more than one commit holds; a little more is right. */
static void test_forgets_what_it_executed(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 20; at++) {
        struct history h;
        struct told told;
        history_begin(&h, &dsmr_sim_check_agreement);
        extend(&h, T(100), NULL, 0);
        tell_of(&told, h.tip, NULL);
        h.ops->executed(h.self, h.sim, 0, &told.executed);
        h.ops->started(h.self, h.sim, 0, at);
        if (at >= 2 && at <= 17) {
            history_is_right(&h);
        } else if (at == 1) { /* but this node's own state is genesis' */
            history_breaks(&h, "10.6");
        } else {
            history_breaks(&h, "10.6");
        }
        history_end(&h);
    }
}

/* ---- blocks ---- */

struct spoiler { /* changes one thing of a right block with two chunks at height 3 */
    const char *rule;
    void (*spoil)(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs);
};

static void no_change(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)fields, (void)certs;
}

static void other_parent(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)certs;
    fields->parent_id = h->sim->genesis->id;
}

static void height_too_high(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)certs;
    fields->height++;
}

static void time_of_parent(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)certs;
    fields->time_ms = h->tip->time_ms;
}

static void time_ahead(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)certs;
    /* Of two clocks it is true, of the others not: that is no quorum. */
    fields->time_ms = T(1501);
    h->sim->nodes[0].latest_ms = h->sim->nodes[1].latest_ms = T(501);
}

static void other_epoch(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)certs;
    fields->epoch = 5;
}

static void epoch_none(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)certs;
    fields->epoch = DSMR_EPOCH_NONE;
}

static void list_of_nothing(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)certs;
    fields->past_epochs_count = 1;
    fields->past_epochs[0] = (struct dsmr_past_epoch){.epoch = 7, .ended_at_ms = T(0)};
}

static void empty_too_soon(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)certs;
    fields->certs_count = 0;
}

static void too_many_certs(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)fields, (void)certs;
    h->sim->params.block_certs_max = 1;
}

static void too_many_txs(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)fields, (void)certs;
    h->sim->params.block_txs_max = 3;
}

static void too_much_payload(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)fields;
    h->sim->params.block_payload_bytes_max =
        (uint64_t)certs[0].ref.chunk_bytes + certs[1].ref.chunk_bytes - 1;
}

static void cert_of_no_epoch(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)fields;
    certs[1].ref.epoch = 3;
}

static void cert_of_a_stranger(struct history *h, struct dsmr_block *fields,
                               struct dsmr_cert *certs)
{
    (void)h, (void)fields;
    certs[1].ref.producer = dsmr_sim_bls_node_id(NODES);
}

static void slot_ahead(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h;
    certs[1].ref.slot = fields->time_ms / 100 + 1;
    certs[1].ref.expiry_ms = certs[1].ref.slot * 100 + h->sim->params.chunk_lifetime_ms;
}

static void expired(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    certs[1].ref.slot = (fields->time_ms - h->sim->params.chunk_lifetime_ms) / 100 - 1;
    certs[1].ref.expiry_ms = certs[1].ref.slot * 100 + h->sim->params.chunk_lifetime_ms;
}

static void other_expiry(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)fields;
    certs[1].ref.expiry_ms++;
}

static void chunk_twice(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)fields;
    certs[1].ref.chunk_id = certs[0].ref.chunk_id;
}

static void slot_twice(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)h, (void)fields;
    certs[1].ref.producer = certs[0].ref.producer;
    certs[1].ref.slot = certs[0].ref.slot;
}

static void chunk_of_an_ancestor(struct history *h, struct dsmr_block *fields,
                                 struct dsmr_cert *certs)
{
    (void)fields;
    assert_int_equal(h->tip->certs_count, 1);
    certs[1].ref.chunk_id = h->tip->certs[0].ref.chunk_id;
}

static void slot_of_an_ancestor(struct history *h, struct dsmr_block *fields,
                                struct dsmr_cert *certs)
{
    (void)fields;
    certs[1].ref.producer = h->tip->certs[0].ref.producer;
    certs[1].ref.slot = h->tip->certs[0].ref.slot;
    certs[1].ref.expiry_ms = h->tip->certs[0].ref.expiry_ms;
}

static void chunk_too_large(struct history *h, struct dsmr_block *fields, struct dsmr_cert *certs)
{
    (void)fields;
    certs[1].ref.chunk_bytes = h->sim->params.chunk_bytes_max + 1;
}

static const struct spoiler spoilers[] = {
    {NULL, no_change},         {"9.1", other_parent},         {"S4", height_too_high},
    {"9.2", time_of_parent},   {"9.2", time_ahead},           {"3.5", other_epoch},
    {"3.5", epoch_none},       {"3.6", list_of_nothing},      {"8.3", empty_too_soon},
    {"9.4", too_many_certs},   {"9.4", too_many_txs},         {"9.4", too_much_payload},
    {"3.7", cert_of_no_epoch}, {"3.2", cert_of_a_stranger},   {"9.5", slot_ahead},
    {"9.5", expired},          {"9.5", other_expiry},         {"9.5", chunk_twice},
    {"9.5", slot_twice},       {"9.5", chunk_of_an_ancestor}, {"9.5", slot_of_an_ancestor},
    {"4.2", chunk_too_large},
};

static void test_blocks_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(spoilers) / sizeof(spoilers[0]); i++) {
        struct history h;
        struct dsmr_cert certs[3];
        history_begin(&h, &dsmr_sim_check_blocks);
        for (uint32_t k = 0; k < 3; k++) {
            struct dsmr_chunk *chunk = chunk_of(&h, k, SLOT, 2);
            certs[k] = cert_of(&h, &chunk->ref, 7);
            dsmr_chunk_unref(chunk);
        }
        extend(&h, T(100), NULL, 0); /* the first may be empty */
        extend(&h, T(200), &certs[2], 1);
        struct dsmr_block fields = fields_of(&h, T(300), certs, 2);
        spoilers[i].spoil(&h, &fields, certs);
        struct dsmr_params params;
        dsmr_params_default(&params); /* build() would refuse what is over a limit */
        struct dsmr_block *block = NULL;
        params.domain = h.sim->params.domain;
        assert_int_equal(dsmr_block_build(&block, &params, &fields), DSMR_OK);
        tell_accept(&h, 1, block, NULL);
        if (spoilers[i].rule == NULL) {
            history_is_right(&h);
        } else {
            history_breaks(&h, spoilers[i].rule);
        }
        dsmr_block_unref(block);
        history_end(&h);
    }
}

/* Block 1 of genesis may be empty, and one that is a lifetime younger than its parent. */
static void test_empty_blocks(void **state)
{
    struct history h;
    (void)state;
    history_begin(&h, &dsmr_sim_check_blocks);
    uint64_t lifetime_ms = h.sim->params.chunk_lifetime_ms;
    for (uint32_t i = 0; i < NODES; i++) {
        h.sim->nodes[i].latest_ms = T(10 * lifetime_ms);
    }
    extend(&h, T(100), NULL, 0);
    extend(&h, T(100 + lifetime_ms), NULL, 0);
    history_is_right(&h);
    extend(&h, T(99 + 2 * lifetime_ms), NULL, 0);
    history_breaks(&h, "8.3");
    history_end(&h);
}

static void begin_with_epochs(struct history *h)
{
    struct dsmr_sim_config config = {.seed = 1, .nodes = NODES + 1, .sets_count = 3};
    config.sets[0] = (struct dsmr_sim_set){.count = NODES};
    config.sets[1] = (struct dsmr_sim_set){.from_height = 2, .first = 1, .count = NODES};
    config.sets[2] = (struct dsmr_sim_set){.from_height = 3, .count = NODES};
    history_begin_with(h, &dsmr_sim_check_blocks, &config);
    for (uint32_t i = 0; i <= NODES; i++) {
        h->sim->nodes[i].latest_ms = T(1000000);
    }
}

static void accept_next(struct history *h, const struct dsmr_block *fields)
{
    dsmr_block_unref(h->tip);
    h->tip = build(h, fields);
    tell_accept(h, 1, h->tip, NULL);
}

/* The list of past epochs grows with each change, and an entry goes a lifetime after its end. */
static void test_epochs_and_their_list(void **state)
{
    struct history h;
    (void)state;
    begin_with_epochs(&h);
    struct dsmr_block fields = fields_of(&h, T(100), NULL, 0);
    accept_next(&h, &fields);
    fields = fields_of(&h, T(200), NULL, 0);
    fields.epoch = 2;
    fields.past_epochs_count = 1;
    fields.past_epochs[0] = (struct dsmr_past_epoch){.epoch = 0, .ended_at_ms = T(200)};
    accept_next(&h, &fields);
    fields = fields_of(&h, T(30200), NULL, 0);
    fields.epoch = 3;
    fields.past_epochs_count = 2;
    fields.past_epochs[0] = (struct dsmr_past_epoch){.epoch = 0, .ended_at_ms = T(200)};
    fields.past_epochs[1] = (struct dsmr_past_epoch){.epoch = 2, .ended_at_ms = T(30200)};
    accept_next(&h, &fields);
    history_is_right(&h);
    fields = fields_of(&h, T(60201), NULL, 0); /* one millisecond too late for the second one */
    fields.epoch = 3;
    fields.past_epochs_count = 1;
    fields.past_epochs[0] = (struct dsmr_past_epoch){.epoch = 2, .ended_at_ms = T(30200)};
    accept_next(&h, &fields);
    history_breaks(&h, "3.6");
    history_end(&h);
}

static void test_heights_and_accepts(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_blocks);
        struct dsmr_block fields = fields_of(&h, T(100), NULL, 0);
        struct dsmr_block *first = build(&h, &fields);
        if (what == 0) { /* says so before it is durable */
            h.ops->accepted(h.self, h.sim, 2, first);
            history_breaks(&h, "10.1");
        } else {
            tell_accept(&h, 2, first, NULL);
            h.ops->accepted(h.self, h.sim, 2, first);
            history_is_right(&h);
            dsmr_block_unref(h.tip);
            h.tip = dsmr_block_ref(first);
            fields = fields_of(&h, T(100) + h.sim->params.chunk_lifetime_ms, NULL, 0);
            struct dsmr_block *second = build(&h, &fields);
            h.sim->nodes[0].latest_ms = h.sim->nodes[1].latest_ms = h.sim->nodes[2].latest_ms =
                T(40000);
            tell_accept(&h, what == 1 ? 2 : 3, second, NULL); /* node 3 has not got the first */
            if (what == 1) {
                history_is_right(&h);
            } else {
                history_breaks(&h, "S4");
            }
            dsmr_block_unref(second);
        }
        dsmr_block_unref(first);
        history_end(&h);
    }
}

/* ---- certificates ---- */

/* One of four validators of weight 1 is no third: three are a quorum, two are none. */
static void test_signers_of_a_certificate(void **state)
{
    static const struct {
        uint32_t mask;
        bool is_right;
    } cases[] = {{7, true},   {15, true}, {14, true}, {3, false},
                 {12, false}, {0, false}, {23, false}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int how = 0; how < 3; how++) {
            struct history h;
            history_begin(&h, &dsmr_sim_check_certs);
            struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
            struct dsmr_cert cert = cert_of(&h, &chunk->ref, cases[i].mask);
            struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = &cert};
            struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE, .u.certificate = cert};
            struct dsmr_block block = {.height = 1, .certs_count = 1, .certs = &cert};
            if (how == 0) {
                h.ops->stored(h.self, h.sim, 0, &write);
            } else if (how == 1) {
                h.ops->sent(h.self, h.sim, 0, 1, &msg);
            } else {
                h.ops->accepted(h.self, h.sim, 0, &block);
            }
            if (cases[i].is_right) {
                history_is_right(&h);
            } else {
                history_breaks(&h, "9.6");
            }
            dsmr_chunk_unref(chunk);
            history_end(&h);
        }
    }
}

static void test_weights_of_a_certificate(void **state)
{
    (void)state;
    for (uint32_t mask = 1; mask < 16; mask++) {
        struct history h;
        struct dsmr_sim_config config = {.seed = 1, .nodes = NODES, .sets_count = 1};
        config.sets[0] = (struct dsmr_sim_set){.count = NODES, .weights = {4, 3, 1, 1}};
        history_begin_with(&h, &dsmr_sim_check_certs, &config);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, mask);
        struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = &cert};
        h.ops->stored(h.self, h.sim, 0, &write);
        h.ops->stored(h.self, h.sim, 1, &write); /* the second time it is known */
        if ((mask & 3) == 3) {                   /* 7, 8 or 9 of 9: above 6 */
            history_is_right(&h);
        } else {
            history_breaks(&h, "9.6");
        }
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

static void test_aggregates(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_certs);
        struct dsmr_chunk *chunk = chunk_of(&h, 0, SLOT, 1);
        struct dsmr_cert cert = cert_of(&h, &chunk->ref, 7);
        struct dsmr_store_write write = {.kind = DSMR_STORE_CERT, .u.cert = &cert};
        h.ops->stored(h.self, h.sim, 0, &write);
        history_is_right(&h);
        cert.sig.bytes[95] ^= what == 0;            /* behind what a cache may look at */
        cert.ref.tx_count += what == 1;             /* of another reference */
        cert.signers.words[0] ^= what == 2 ? 8 : 0; /* a signer more than signatures */
        cert.ref.epoch += what == 3 ? 1 : 0;        /* of an epoch that there is not */
        h.ops->stored(h.self, h.sim, 1, &write);
        history_breaks(&h, "9.6");
        dsmr_chunk_unref(chunk);
        history_end(&h);
    }
}

static void test_finalizations(void **state)
{
    (void)state;
    for (int what = 0; what < 6; what++) {
        struct history h;
        history_begin(&h, &dsmr_sim_check_certs);
        struct dsmr_block fields = fields_of(&h, T(100), NULL, 0);
        struct dsmr_block *block = build(&h, &fields);
        fields.time_ms++;
        struct dsmr_block *other = build(&h, &fields);
        struct dsmr_quorum_cert qc =
            finalization_of(&h, what == 1 ? other : block, what == 2 ? 6 : 14);
        qc.sig.bytes[0] ^= what == 3;
        struct dsmr_msg msg = {.type = DSMR_MSG_BFT_QUORUM_CERT, .u.quorum_cert = qc};
        if (what == 4) {
            msg.u.quorum_cert.subject.view++;
        }
        if (what >= 4) {
            h.ops->sent(h.self, h.sim, 0, 1, &msg);
        } else {
            tell_accept(&h, 0, block, &qc);
        }
        if (what == 0 || what == 5) {
            history_is_right(&h);
        } else {
            history_breaks(&h, "S1");
        }
        dsmr_block_unref(block);
        dsmr_block_unref(other);
        history_end(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agreement_right),
        cmocka_unit_test(test_two_blocks_of_a_height),
        cmocka_unit_test(test_other_results),
        cmocka_unit_test(test_order_of_execution),
        cmocka_unit_test(test_executed_twice),
        cmocka_unit_test(test_forgets_what_it_executed),
        cmocka_unit_test(test_blocks_are_judged),
        cmocka_unit_test(test_empty_blocks),
        cmocka_unit_test(test_epochs_and_their_list),
        cmocka_unit_test(test_heights_and_accepts),
        cmocka_unit_test(test_signers_of_a_certificate),
        cmocka_unit_test(test_weights_of_a_certificate),
        cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_finalizations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
