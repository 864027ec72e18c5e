/* Transactions gather behind an uncertified chunk, so that chunks are few under load; a lonely one
 * does not wait (protocol.md, 5.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cluster.h"

static bool pass(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    const bool *is_withheld = cluster->ctx;
    (void)from;
    (void)to;
    return !(*is_withheld && msg->type == DSMR_MSG_CHUNK_SIGNATURE);
}

static struct cluster *start(bool *is_withheld)
{
    struct cluster_config config = {.nodes = 4, .seed = 78};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->ctx = is_withheld;
    cluster->passes = pass;
    return cluster;
}

static uint64_t built(const struct cluster *cluster)
{
    return dsmr_metrics_get(&cluster->nodes[0].metrics, DSMR_METRIC_CHUNKS_BUILT);
}

static void test_a_lonely_transaction_leaves_at_once(void **state)
{
    (void)state;
    bool is_withheld = true;
    struct cluster *cluster = start(&is_withheld);
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, 1);
    assert_int_equal(built(cluster), 1);
    cluster_free(cluster);
}

/* One small transaction in every slot, and no certificate: a chunk in every fourth slot. (After two
 * seconds the missing certificate slows the builder more: test_overload.) */
static void test_gathers_for_four_slots(void **state)
{
    (void)state;
    bool is_withheld = true;
    struct cluster *cluster = start(&is_withheld);
    uint64_t slot_ms = cluster->params.slot_ms;
    for (int i = 0; i < 20; i++) {
        cluster_submit(cluster, 0, 1, 100);
        cluster_run(cluster, slot_ms);
    }
    assert_in_range(built(cluster), 5, 6);
    is_withheld = false;
    cluster_run(cluster, 10000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 20); /* and none is left behind */
    cluster_free(cluster);
}

static void test_a_certificate_ends_the_gathering(void **state)
{
    (void)state;
    bool is_withheld = false;
    struct cluster *cluster = start(&is_withheld);
    uint64_t slot_ms = cluster->params.slot_ms;
    for (int i = 0; i < 40; i++) {
        cluster_submit(cluster, 0, 1, 100);
        cluster_run(cluster, slot_ms);
    }
    assert_in_range(built(cluster), 38, 40);
    cluster_free(cluster);
}

static void test_a_full_chunk_does_not_wait(void **state)
{
    (void)state;
    bool is_withheld = true;
    struct cluster *cluster = start(&is_withheld);
    uint64_t slot_ms = cluster->params.slot_ms;
    cluster_submit(cluster, 0, 1, 100);
    cluster_run(cluster, slot_ms); /* the first leaves; the next slot is free */
    uint32_t len = 10000;
    cluster_submit(cluster, 0, cluster->params.chunk_bytes_max / len, len);
    cluster_run(cluster, slot_ms);
    assert_int_equal(built(cluster), 1); /* a little less than a chunk */
    cluster_submit(cluster, 0, 1, len);
    cluster_run(cluster, slot_ms);
    assert_int_equal(built(cluster), 2);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lonely_transaction_leaves_at_once),
        cmocka_unit_test(test_gathers_for_four_slots),
        cmocka_unit_test(test_a_certificate_ends_the_gathering),
        cmocka_unit_test(test_a_full_chunk_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
