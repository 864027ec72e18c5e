/* test_share_bounds.c - where a share is given and where it is just not: the clock's skew, the
 * floor, and a node that gets into trouble between the verification and its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cluster_seen.h"

static void ask(struct cluster *cluster, uint64_t slot)
{
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, slot, 0, 1);
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
    cluster_run(cluster, 100);
    dsmr_chunk_unref(chunk);
}

/* 6.3: a slot may begin as far ahead as clocks may differ, and not a millisecond more. */
static void test_slot_at_the_skew(void **state)
{
    (void)state;
    for (uint64_t late_ms = 0; late_ms < 2; late_ms++) {
        struct cluster_seen seen;
        struct cluster *cluster = cluster_watched(&seen, 141, NULL);
        uint64_t ahead_ms = cluster->params.clock_skew_ms;
        uint64_t arrives_ms = cluster_wall_ms(cluster) + cluster->delay_ms;
        uint64_t slot = (arrives_ms + ahead_ms) / cluster->params.slot_ms + 1;
        uint64_t begin_ms = slot * cluster->params.slot_ms;
        cluster->nodes[0].skew_ms = (int64_t)(begin_ms - ahead_ms - arrives_ms - late_ms);
        ask(cluster, slot);
        assert_int_equal(seen.shares, late_ms == 0);
        assert_int_equal(cluster_metric_errors(cluster, 0, DSMR_ERR_SLOT_AHEAD), late_ms);
        cluster_free(cluster);
    }
}

/* 6.3 and 12.1: nothing is signed that expires at the floor or below. */
static void test_expiry_at_the_floor(void **state)
{
    static const uint64_t below_ms[] = {2, 1, 0};
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct cluster_seen seen;
        struct cluster *cluster = cluster_watched(&seen, 142, NULL);
        uint64_t slot = cluster_slot(cluster) - 10;
        uint64_t expiry_ms = slot * cluster->params.slot_ms + cluster->params.chunk_lifetime_ms;
        cluster->is_engine_stopped = true;
        cluster_crash(cluster, 0);
        cluster->nodes[0].disk.floor_ms = expiry_ms + 1 - below_ms[i];
        cluster_start(cluster, 0);
        ask(cluster, slot);
        assert_int_equal(seen.shares, below_ms[i] == 2);
        if (below_ms[i] < 2) {
            assert_int_equal(seen.last_refusal, DSMR_ERR_EXPIRED);
        }
        cluster_free(cluster);
    }
}

/* 6.7: what was true before the verification is asked again after it. */
static void test_trouble_during_the_verification(void **state)
{
    (void)state;
    struct cluster_seen seen;
    struct cluster *cluster = cluster_watched(&seen, 143, NULL);
    const struct cluster_node *node = &cluster->nodes[0];
    struct dsmr_event event = {.kind = DSMR_EV_BOOTSTRAPPING, .u.flag = true};
    struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, EVIL, cluster_slot(cluster), 0, 1);
    uint32_t verifies = node->chunk_verifies, stores = node->chunk_stores;
    uint32_t journals = node->disk.journals_count;
    cluster->work_ms = 20;
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL);
    cluster_run(cluster, cluster->delay_ms + 1);
    assert_int_equal(node->chunk_verifies, verifies + 1);
    cluster_event(cluster, 0, &event);
    cluster_run(cluster, 200);
    assert_int_equal(seen.shares, 0);
    assert_int_equal(seen.refusals, 1);
    assert_int_equal(seen.last_refusal, DSMR_ERR_BUSY);
    assert_int_equal(node->chunk_stores, stores);
    assert_int_equal(node->disk.journals_count, journals);
    assert_int_equal(cluster_pending_bytes(cluster, 0), 0);
    event.u.flag = false;
    cluster_event(cluster, 0, &event);
    cluster_send_chunk_request(cluster, EVIL, 0, chunk, NULL); /* the slot is still free */
    cluster_run(cluster, 200);
    assert_int_equal(seen.shares, 1);
    dsmr_chunk_unref(chunk);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_at_the_skew),
        cmocka_unit_test(test_expiry_at_the_floor),
        cmocka_unit_test(test_trouble_during_the_verification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
