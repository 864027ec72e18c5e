/* Scenarios F and I of the adversaries' list: epochs, and chains that start again by themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/cluster.h"
#include "wire/codec.h"

static const uint32_t quorum[3] = {0, 1, 2};

static void tell_set(struct cluster *cluster, struct dsmr_validator_set *set)
{
    for (uint32_t i = 0; i < cluster->config.nodes; i++) {
        struct dsmr_event event = {.kind = DSMR_EV_SET, .u.set = set};
        cluster_event(cluster, i, &event);
    }
}

static struct cluster *start(void)
{
    struct cluster_config config = {.nodes = 4, .seed = 61};
    struct cluster *cluster = cluster_new(&config);
    for (uint64_t epoch = 1; epoch < 12; epoch++) {
        tell_set(cluster, cluster_add_set(cluster, epoch, 0, 4, NULL));
    }
    cluster_run(cluster, 3000);
    cluster->is_engine_stopped = true;
    return cluster;
}

static struct dsmr_cert cert_of(struct cluster *cluster, uint32_t producer, uint64_t slot,
                                uint64_t epoch)
{
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, producer, slot, epoch, 1);
    struct dsmr_cert cert = cluster_forge_cert(cluster, &chunk->ref, quorum, 3);
    dsmr_chunk_unref(chunk);
    return cert;
}

static enum dsmr_err judge(struct cluster *cluster, struct dsmr_block *block)
{
    enum dsmr_err err = cluster_verify(cluster, 0, block, block->epoch);
    for (uint32_t i = 1; i < 4; i++) {
        assert_int_equal(cluster_verify(cluster, i, block, block->epoch), err);
    }
    return err;
}

/* Accepts a block with one certificate of its own epoch everywhere; the new tip (caller unrefs). */
static struct dsmr_block *extend(struct cluster *cluster, struct dsmr_block *tip, uint64_t epoch,
                                 uint64_t slot)
{
    struct dsmr_cert cert = cert_of(cluster, 1, slot, epoch);
    struct dsmr_block *block = cluster_forge_block(cluster, tip, epoch, 0, &cert, 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_verify(cluster, i, block, epoch), DSMR_OK);
        assert_int_equal(cluster_accept(cluster, i, block), DSMR_OK);
    }
    dsmr_block_unref(tip);
    return block;
}

/* 55: a certificate of E in blocks of E, E + 1, E + 2, until E's entry has left the list. */
static void test_epoch_boundary_cert(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_cert early = cert_of(cluster, 3, slot, 2);
    struct dsmr_block *block = cluster_forge_block(cluster, tip, 0, 0, &early, 1);
    assert_int_equal(judge(cluster, block), DSMR_ERR_EPOCH_NOT_ALLOWED); /* not yet begun */
    dsmr_block_unref(block);
    tip = extend(cluster, tip, 0, slot);
    uint64_t ended_ms = 0;
    for (uint64_t epoch = 1; epoch <= 2; epoch++) { /* milliseconds apart */
        cluster_run(cluster, 100);
        tip = extend(cluster, tip, epoch, cluster_slot(cluster));
        ended_ms = epoch == 1 ? tip->time_ms : ended_ms; /* of epoch 0 */
    }
    assert_int_equal(tip->past_epochs_count, 2);
    struct dsmr_cert of_0 = cert_of(cluster, 3, cluster_slot(cluster), 0);
    block = cluster_forge_block(cluster, tip, 2, 0, &of_0, 1);
    assert_int_equal(judge(cluster, block), DSMR_OK);
    dsmr_block_unref(block);
    /* A list of the proposer's own making. */
    struct dsmr_block fields = *tip;
    fields.parent_id = tip->id;
    fields.height = tip->height + 1;
    fields.time_ms = tip->time_ms + 1;
    fields.past_epochs_count = 1;
    fields.certs = &of_0;
    fields.certs_count = 1;
    assert_int_equal(dsmr_block_build(&block, &cluster->params, &fields), DSMR_OK);
    assert_int_equal(judge(cluster, block), DSMR_ERR_PAST_EPOCHS);
    dsmr_block_unref(block);
    /* At the last moment of the list, and one millisecond later. */
    uint64_t last_ms = ended_ms + cluster->params.chunk_lifetime_ms;
    cluster_run(cluster, last_ms - cluster_wall_ms(cluster));
    struct dsmr_cert old = cert_of(cluster, 3, cluster_slot(cluster), 0);
    block = cluster_forge_block(cluster, tip, 2, last_ms, &old, 1);
    assert_int_equal(judge(cluster, block), DSMR_OK);
    dsmr_block_unref(block);
    block = cluster_forge_block(cluster, tip, 2, last_ms + 1, &old, 1);
    assert_int_equal(judge(cluster, block), DSMR_ERR_EPOCH_NOT_ALLOWED);
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_EPOCH_NOT_ALLOWED), 2);
    dsmr_block_unref(block);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* 81: a producer certifies two chunks of one slot under different epochs: a chain takes one, and no
 * honest builder makes a block that verifiers refuse. */
static void test_two_certs_across_epochs(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    uint64_t slot = cluster_slot(cluster);
    tip = extend(cluster, tip, 1, slot);
    struct dsmr_cert a = cert_of(cluster, 3, slot, 0);
    struct dsmr_cert b = cert_of(cluster, 3, slot, 1);
    for (uint32_t i = 0; i < 2; i++) {
        struct dsmr_msg msg = {.type = DSMR_MSG_CERTIFICATE, .u.certificate = i == 0 ? a : b};
        cluster_send(cluster, 3, 0, &msg);
    }
    cluster_run(cluster, 50);
    struct dsmr_block *block = NULL;
    assert_int_equal(cluster_build(cluster, 0, &tip->id, 1, &block), DSMR_OK);
    assert_int_equal(block->certs_count, 1);
    assert_int_equal(judge(cluster, block), DSMR_OK);
    struct dsmr_cert both[2] = {a, b};
    struct dsmr_block *bad = cluster_forge_block(cluster, tip, 1, 0, both, 2);
    assert_int_equal(judge(cluster, bad), DSMR_ERR_CERT_TWICE);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_accept(cluster, i, block), DSMR_OK);
    }
    /* The other one is dead in this chain. */
    struct dsmr_block *next = NULL;
    assert_int_equal(cluster_build(cluster, 0, &block->id, 1, &next), DSMR_ERR_NOTHING_TO_BUILD);
    const struct dsmr_cert *dead =
        dsmr_id_equal(&block->certs[0].ref.chunk_id, &a.ref.chunk_id) ? &b : &a;
    struct dsmr_block *again = cluster_forge_block(cluster, block, 1, 0, dead, 1);
    assert_int_equal(judge(cluster, again), DSMR_ERR_CERT_TWICE);
    dsmr_block_unref(again);
    dsmr_block_unref(bad);
    dsmr_block_unref(block);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* 9.3: the list is the computed one, entry by entry; nobody lengthens an epoch's life. */
static void test_list_is_computed(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_block *tip = dsmr_block_ref(cluster->chain[1]);
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        cluster_run(cluster, 100);
        tip = extend(cluster, tip, epoch, cluster_slot(cluster));
    }
    cluster_run(cluster, 100);
    struct dsmr_cert cert = cert_of(cluster, 3, cluster_slot(cluster), 2);
    struct dsmr_block *right = cluster_forge_block(cluster, tip, 2, 0, &cert, 1);
    for (uint32_t i = 0; i < 4; i++) {
        struct dsmr_block *block = NULL;
        struct dsmr_block fields = *right;
        fields.past_epochs[1].ended_at_ms += i == 0;
        fields.past_epochs[0].epoch = i == 1 ? 3 : fields.past_epochs[0].epoch;
        fields.past_epochs[2] = (struct dsmr_past_epoch){3, tip->time_ms};
        fields.past_epochs_count += i == 2;
        assert_int_equal(dsmr_block_build(&block, &cluster->params, &fields), DSMR_OK);
        assert_int_equal(judge(cluster, block), i < 3 ? DSMR_ERR_PAST_EPOCHS : DSMR_OK);
        dsmr_block_unref(block);
    }
    dsmr_block_unref(right);
    dsmr_block_unref(tip);
    cluster_free(cluster);
}

/* 59: all validators are replaced at once; the old ones still serve what they promised. */
static void test_all_validators_replaced(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 8, .seed = 62, .validators = 4};
    struct cluster *cluster = cluster_new(&config);
    tell_set(cluster, cluster_add_set(cluster, 5, 4, 4, NULL)); /* by the schedule */
    cluster_run(cluster, 3000);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 100); /* executed on the old four; the new ones fetch from them */
    for (uint32_t i = 0; i < 8; i++) {
        cluster_run(cluster, 500);
        assert_int_equal(cluster_executed_txs(cluster, i), 1);
    }
    cluster->chain_epoch = 5;
    cluster_submit(cluster, 2, 1, 100); /* certified by the old set, included under the new one */
    cluster_run(cluster, 2000);
    cluster_submit(cluster, 6, 1, 100);
    cluster_run(cluster, 3000);
    assert_true(cluster_is_level(cluster));
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(cluster_executed_txs(cluster, i), 3);
    }
    assert_int_equal(cluster->chain[cluster->chain_height]->epoch, 5);
    cluster_free(cluster);
}

/* 58: signers use the epoch of the last accepted block, not what they may hear elsewhere. */
static void test_signing_epoch_is_of_the_tip(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    struct dsmr_chunk *ahead = cluster_forge_chunk(cluster, 3, cluster_slot(cluster), 7, 1);
    cluster_send_chunk_request(cluster, 3, 0, ahead, NULL);
    cluster_run(cluster, 50);
    assert_int_equal(cluster->nodes[0].signs, 0);
    assert_int_equal(cluster->nodes[0].faults, 0); /* not yet */
    assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_EPOCH_UNKNOWN), 1);
    dsmr_chunk_unref(ahead);
    cluster_free(cluster);
}

/* 57: a block whose set is not known here yet is not invalid. */
static void test_height_not_reached(void **state)
{
    (void)state;
    struct cluster *cluster = start();
    cluster_add_set(cluster, 30, 0, 4, NULL);
    struct dsmr_cert cert = cert_of(cluster, 3, cluster_slot(cluster), 30);
    struct dsmr_block *block = cluster_forge_block(cluster, cluster->chain[1], 30, 0, &cert, 1);
    assert_int_equal(cluster_verify(cluster, 0, block, 30), DSMR_ERR_NOT_YET);
    cluster_run(cluster, 10); /* the set has come */
    assert_int_equal(cluster_verify(cluster, 0, block, 30), DSMR_OK);
    dsmr_block_unref(block);
    cluster_free(cluster);
}

/* 84: heal-after-40-s-partition: nodes 2 and 3 are away for longer than a chunk lives. */
static bool cut(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    (void)msg;
    bool *is_cut = cluster->ctx;
    return !*is_cut || (from < 2) == (to < 2);
}

static void check_heal(bool is_engine_cut)
{
    bool is_cut = true;
    struct cluster_config config = {.nodes = 4, .seed = 63};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->ctx = &is_cut;
    cluster->passes = cut;
    cluster->is_engine_stopped = is_engine_cut;
    cluster_submit(cluster, 0, 2, 100);
    cluster_submit(cluster, 3, 2, 100);
    cluster_run(cluster, 40000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 0);
    is_cut = false;
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    /* No connection came up, so the backoff of resends is at its longest. */
    cluster_run(cluster, 10000);
    assert_true(cluster_is_level(cluster));
    assert_int_equal(cluster_executed_txs(cluster, 1), 4);
    assert_int_equal(cluster->nodes[0].faults + cluster->nodes[3].faults, 0);
    assert_true(cluster->nodes[0].metrics.values[DSMR_METRIC_CHUNKS_EXPIRED] > 0);
    cluster_free(cluster);
}

static void test_heal_after_40_s_partition(void **state)
{
    (void)state;
    check_heal(true);  /* no quorum anywhere */
    check_heal(false); /* blocks get through, chunks do not: chain time goes on */
}

/* 84: third-of-the-old-epoch-left-while-idle: chunks of the old epoch cannot be certified any more,
 * because two of its four validators are gone for ever; the chain moves to the new epoch with an
 * empty block as soon as somebody holds a transaction, and goes on there. */
static void test_third_of_the_old_epoch_left_while_idle(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 6, .seed = 64, .validators = 4};
    struct cluster *cluster = cluster_new(&config);
    const uint64_t weights[4] = {1, 1, 1, 1};
    cluster_run(cluster, 3000);
    cluster_crash(cluster, 0);
    cluster_crash(cluster, 1);
    cluster_add_set(cluster, 8, 2, 4, weights); /* 2, 3, 4, 5 */
    cluster_run(cluster, 3600000);
    assert_int_equal(cluster->chain_height, 1);
    cluster->chain_epoch = 8;
    cluster_submit(cluster, 2, 1, 100);
    cluster_run(cluster, 2000); /* a second of holding, a block, a chunk of the new epoch */
    assert_int_equal(cluster->chain[2]->epoch, 8);
    for (uint32_t i = 2; i < 6; i++) {
        assert_int_equal(cluster_executed_txs(cluster, i), 1);
    }
    cluster_submit(cluster, 3, 1, 100);
    cluster_run(cluster, 1000);
    assert_int_equal(cluster_executed_txs(cluster, 4), 2);
    cluster_run(cluster, 60000); /* the chunk of the old epoch expires: nothing runs twice */
    assert_int_equal(cluster_executed_txs(cluster, 4), 2);
    cluster_free(cluster);
}

static bool without_old_shares(struct cluster *cluster, uint32_t from, uint32_t to,
                               const struct dsmr_msg *msg)
{
    (void)cluster, (void)from, (void)to;
    return msg->type != DSMR_MSG_CHUNK_SIGNATURE || msg->u.chunk_signature.ref.epoch == 8;
}

static uint64_t chunks_built(struct cluster *cluster, uint32_t node)
{
    return dsmr_metrics_get(&cluster->nodes[node].metrics, DSMR_METRIC_CHUNKS_BUILT);
}

/* 5.8: a chunk of the epoch before is not given up while a quorum of its set is connected, however
 * slow; it is when they go. After a restart it is sent again, and given up again; its transaction
 * runs once. */
static void test_chunk_is_given_up_with_its_epoch(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 6, .seed = 66, .validators = 4};
    struct cluster *cluster = cluster_new(&config);
    const uint64_t weights[4] = {1, 1, 1, 1};
    cluster_run(cluster, 3000);
    uint64_t epoch = cluster->chain[1]->epoch;
    cluster->passes = without_old_shares;
    cluster_add_set(cluster, 8, 2, 4, weights); /* 2, 3, 4, 5 */
    cluster->chain_epoch = 8;
    cluster_submit(cluster, 2, 1, 100);
    cluster_run(cluster, 5000);
    assert_int_equal(cluster->chain[1]->epoch, epoch);
    assert_int_equal(cluster->chain[2]->epoch, 8);
    assert_int_equal(chunks_built(cluster, 2), 1);
    cluster_crash(cluster, 0); /* three of four are left */
    cluster_run(cluster, 5000);
    assert_int_equal(chunks_built(cluster, 2), 1);
    assert_int_equal(cluster_executed_txs(cluster, 4), 0);
    cluster_crash(cluster, 1);
    cluster_run(cluster, 300);
    assert_int_equal(chunks_built(cluster, 2), 2);
    assert_int_equal(cluster_executed_txs(cluster, 4), 1);
    cluster_crash(cluster, 2);
    cluster_start(cluster, 2);
    cluster_run(cluster, 5000);
    cluster->passes = NULL; /* now the old one could be certified */
    cluster_start(cluster, 0);
    cluster_start(cluster, 1);
    cluster_run(cluster, 40000);
    assert_int_equal(cluster_executed_txs(cluster, 4), 1);
    cluster_free(cluster);
}

/* 34: clocks one second off: the chain goes on, nobody is at fault. */
static void test_clock_skew(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 65};
    struct cluster *cluster = cluster_new(&config);
    cluster->nodes[1].skew_ms = 900;
    cluster->nodes[2].skew_ms = -900;
    cluster_run(cluster, 3000);
    for (uint32_t i = 0; i < 4; i++) {
        cluster_submit(cluster, i, 3, 100);
    }
    cluster_run(cluster, 15000);
    assert_true(cluster_is_level(cluster));
    assert_int_equal(cluster_executed_txs(cluster, 3), 12);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cluster->nodes[i].faults, 0);
    }
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epoch_boundary_cert),
        cmocka_unit_test(test_two_certs_across_epochs),
        cmocka_unit_test(test_list_is_computed),
        cmocka_unit_test(test_all_validators_replaced),
        cmocka_unit_test(test_signing_epoch_is_of_the_tip),
        cmocka_unit_test(test_height_not_reached),
        cmocka_unit_test(test_heal_after_40_s_partition),
        cmocka_unit_test(test_third_of_the_old_epoch_left_while_idle),
        cmocka_unit_test(test_chunk_is_given_up_with_its_epoch),
        cmocka_unit_test(test_clock_skew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
