/* Scenario 88 of the adversaries' list: a validator comes back with its key and an empty disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cluster.h"

struct wiped { /* node 0 gave its share of a, and is about to lose its disk */
    struct cluster *cluster;
    struct dsmr_chunk *a, *b; /* of one slot, as far ahead as a signer goes */
    uint32_t signs;
};

static void wipe_node_0(struct wiped *wiped)
{
    struct cluster_config config = {.nodes = 4, .seed = 57};
    struct cluster *cluster = wiped->cluster = cluster_new(&config);
    cluster_run(cluster, 1000);
    cluster_submit_rounds(cluster, 3);
    cluster_run(cluster, 2000);
    cluster->is_engine_stopped = true;
    uint64_t slot = cluster_slot(cluster) + 9;
    wiped->a = cluster_forge_chunk(cluster, 3, slot, 0, 1);
    wiped->b = cluster_forge_chunk(cluster, 3, slot, 0, 1);
    cluster_send_chunk_request(cluster, 3, 0, wiped->a, NULL);
    cluster_run(cluster, 100);
    wiped->signs = cluster->nodes[0].signs;
    cluster_crash(cluster, 0);
    cluster_wipe(cluster, 0);
    cluster->is_engine_stopped = false;
}

static void wiped_end(struct wiped *wiped)
{
    dsmr_chunk_unref(wiped->a);
    dsmr_chunk_unref(wiped->b);
    cluster_free(wiped->cluster);
}

/* 88: the old key, an empty disk: nothing is signed until past promises have expired. */
static void test_wiped_validator(void **state)
{
    (void)state;
    struct wiped wiped;
    wipe_node_0(&wiped);
    struct cluster *cluster = wiped.cluster;
    struct cluster_node *node = &cluster->nodes[0];
    cluster_start(cluster, 0);
    cluster_run(cluster, 500); /* it catches up */
    assert_int_equal(node->disk.accepted_height, cluster->chain_height);
    assert_true(node->disk.floor_ms >= cluster_wall_ms(cluster) + 30000); /* durable */
    struct dsmr_node_status status;
    dsmr_node_status(node->node, &status);
    assert_true(status.is_under_floor);
    uint32_t built = node->traces[DSMR_TRACE_CHUNK_BUILT];
    cluster_submit(cluster, 0, 1, 100);
    cluster_send_chunk_request(cluster, 3, 0, wiped.b, NULL);
    cluster_run(cluster, 100);
    assert_int_equal(node->signs,
                     wiped.signs); /* no second share for the slot, nor one of its own */
    assert_int_equal(node->traces[DSMR_TRACE_CHUNK_BUILT], built);
    assert_true(cluster_metric_errors(cluster, 0, DSMR_ERR_EXPIRED) > 0);
    cluster_run(cluster, 2000); /* slots that it cannot have signed before are fine */
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 500);
    assert_true(node->signs > wiped.signs);
    assert_int_equal(node->traces[DSMR_TRACE_CHUNK_BUILT], built + 1);
    dsmr_node_status(node->node, &status);
    assert_false(status.is_under_floor);
    assert_true(cluster_is_level(cluster));
    wiped_end(&wiped);
}

/* 88 and 50: killed after each effect of its catching up, before or after the writes on their way:
 * what is on the disk by then never makes it forget that it was wiped. */
static void test_wiped_validator_crashes(void **state)
{
    (void)state;
    bool is_over = false;
    for (uint32_t k = 0; !is_over; k++) {
        struct wiped wiped;
        wipe_node_0(&wiped);
        struct cluster *cluster = wiped.cluster;
        struct cluster_node *node = &cluster->nodes[0];
        node->keeps_writes = k % 2 == 1;
        node->crash_after_effects = node->effects_total + 1 + k / 2;
        cluster_start(cluster, 0);
        cluster_run(cluster, 20);
        is_over = node->node != NULL;
        node->crash_after_effects = 0;
        if (!is_over) {
            cluster_start(cluster, 0);
        }
        cluster_run(cluster, 300);
        assert_int_equal(node->disk.accepted_height, cluster->chain_height);
        cluster_send_chunk_request(cluster, 3, 0, wiped.b, NULL);
        cluster_run(cluster, 100);
        assert_int_equal(node->signs, wiped.signs);
        assert_true(k < 500 && (k > 20 || !is_over));
        wiped_end(&wiped);
    }
}

/* 88 on a disk that refuses the floor but takes the block: without a floor it must not go on. */
static void test_wiped_validator_full_disk(void **state)
{
    (void)state;
    struct wiped wiped;
    wipe_node_0(&wiped);
    struct cluster_node *node = &wiped.cluster->nodes[0];
    node->fail_gcs = 1;
    cluster_start(wiped.cluster, 0);
    cluster_run(wiped.cluster, 500);
    assert_int_equal(node->fail_gcs, 0);
    assert_true(node->is_halted);
    assert_non_null(node->halt_reason);
    cluster_send_chunk_request(wiped.cluster, 3, 0, wiped.b, NULL);
    cluster_run(wiped.cluster, 100);
    assert_int_equal(node->signs, wiped.signs);
    wiped_end(&wiped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wiped_validator),
        cmocka_unit_test(test_wiped_validator_crashes),
        cmocka_unit_test(test_wiped_validator_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
