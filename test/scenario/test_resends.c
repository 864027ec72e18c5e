/* Chunks that are not answered: what is lost comes again, and what is only slow does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cluster.h"

#define SLOW 3u

struct link { /* from the others to node SLOW */
    uint32_t requests;
    uint32_t lost; /* of them, the next so many */
    bool is_mute;  /* its answers get lost */
};

static bool pass(struct cluster *cluster, uint32_t from, uint32_t to, const struct dsmr_msg *msg)
{
    struct link *link = cluster->ctx;
    if (to == SLOW && msg->type == DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE) {
        link->requests++;
        if (link->lost > 0) {
            link->lost--;
            return false;
        }
    }
    return !(from == SLOW && link->is_mute && msg->type == DSMR_MSG_CHUNK_SIGNATURE);
}

static struct cluster *start(struct link *link)
{
    struct cluster_config config = {.nodes = 4, .seed = 77};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster->ctx = link;
    cluster->passes = pass;
    return cluster;
}

/* One transaction to node 0 each 200 ms: as many chunks. */
static void load(struct cluster *cluster, uint32_t chunks)
{
    for (uint32_t i = 0; i < chunks; i++) {
        cluster_submit(cluster, 0, 1, 100);
        cluster_run(cluster, 200);
    }
}

/* While consensus stands still, nothing is included, and each chunk waits for the last share: the
 * one that does not answer gets each once, and now and then one again. */
static void test_mute_validator_is_not_flooded(void **state)
{
    (void)state;
    struct link link = {.is_mute = true};
    struct cluster *cluster = start(&link);
    cluster->is_engine_stopped = true;
    load(cluster, 100);
    assert_true(link.requests >= 100);
    assert_true(link.requests <= 100 + 10); /* 20 s of timeouts of 250, 500, 1000, 2000, 4000 ms */
    assert_int_equal(dsmr_metrics_get(&cluster->nodes[0].metrics, DSMR_METRIC_CHUNKS_RESENT),
                     link.requests - 100);
    cluster_free(cluster);
}

/* A chunk that got lost comes again as soon as a later one is answered; nothing else does. */
static void test_lost_chunks_come_again(void **state)
{
    (void)state;
    struct link link = {.lost = 5};
    struct cluster *cluster = start(&link);
    cluster->is_engine_stopped = true;
    load(cluster, 20);
    assert_int_equal(link.requests, 20 + 5);
    assert_int_equal(cluster->nodes[SLOW].traces[DSMR_TRACE_SHARE_GIVEN], 20);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mute_validator_is_not_flooded),
        cmocka_unit_test(test_lost_chunks_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
