/* What a client is told by mode=certified: its transaction outlives the crash of f validators. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/cluster.h"

struct link {
    uint32_t heard_by; /* bit i: node i gets certificates of node 1 */
};

static bool pass(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    const struct link *link = cluster->ctx;
    return from != 1 || msg->type != DSMR_MSG_CERTIFICATE || (link->heard_by >> to & 1u) != 0;
}

static struct cluster *start(struct link *link, uint32_t nodes)
{
    struct cluster_config config = {.nodes = nodes, .seed = 79};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->ctx = link;
    cluster->passes = pass;
    cluster->is_engine_stopped = true; /* only the certificate counts */
    return cluster;
}

static bool is_told(struct cluster *cluster)
{
    return cluster->nodes[1].told_certified > 0;
}

/* It is said when more than f, this node among them, have the certificate; not before. */
static void test_certified_is_said_when_others_keep_it(void **state)
{
    (void)state;
    struct link link = {.heard_by = 0};
    struct cluster *cluster = start(&link, 7);
    cluster_submit(cluster, 1, 1, 100);
    cluster_run(cluster, 2000);
    assert_int_equal(cluster->nodes[1].traces[DSMR_TRACE_CERT_FORMED], 1);
    assert_false(is_told(cluster));
    link.heard_by = 1u << 4; /* one: with us two, of whom f = 2 may crash */
    cluster_run(cluster, 3000);
    assert_false(is_told(cluster));
    link.heard_by |= 1u << 6;
    assert_true(cluster_run_until(cluster, is_told, 5000));
    cluster_run(cluster, 2000);
    assert_int_equal(cluster->nodes[1].told_certified, 1); /* once */
    cluster_free(cluster);
}

/* The very moment it is said, f crash and stay away: who answered, and one of those who heard. */
static void test_certified_survives_f_crashes(void **state)
{
    (void)state;
    struct link link = {.heard_by = 1u << 4 | 1u << 6};
    struct cluster *cluster = start(&link, 7);
    cluster_submit(cluster, 1, 1, 100);
    assert_true(cluster_run_until(cluster, is_told, 2000));
    cluster_crash(cluster, 1);
    cluster_crash(cluster, 4);
    cluster->is_engine_stopped = false;
    cluster_wake_engine(cluster, 0);
    cluster_run(cluster, 10000);
    assert_int_equal(cluster_executed_txs(cluster, 0), 1);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certified_is_said_when_others_keep_it),
        cmocka_unit_test(test_certified_survives_f_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
