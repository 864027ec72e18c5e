/* Protocol.md, 6.9: the budget of evidence serves the present, in memory and on disk alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lib/cluster.h"

#define NEXT_EPOCH 7u

static void two_pairs(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->evidence_max = 2;
}

/* Two chunks of producer in one slot, to node 0. */
static void equivocate(struct cluster *cluster, uint32_t producer, uint64_t epoch)
{
    uint64_t slot = cluster_slot(cluster);
    for (int i = 0; i < 2; i++) {
        struct dsmr_chunk *chunk = cluster_forge_chunk(cluster, producer, slot, epoch, 1);
        cluster_send_chunk_request(cluster, producer, 0, chunk, NULL);
        cluster_run(cluster, 50);
        dsmr_chunk_unref(chunk);
    }
    cluster_run(cluster, 200);
}

static bool is_on_disk(const struct cluster *cluster, uint32_t producer, uint64_t epoch)
{
    const struct cluster_disk *disk = &cluster->nodes[0].disk;
    struct dsmr_node_id id = cluster_node_id(producer);
    uint32_t found = 0;
    for (uint32_t i = 0; i < disk->evidence_count; i++) {
        const struct dsmr_reference *ref = &disk->evidence[i].refs[0];
        found += ref->epoch == epoch && dsmr_node_id_equal(&ref->producer, &id);
    }
    assert_in_range(found, 0, 1);
    return found == 1;
}

static uint64_t lost(const struct cluster *cluster)
{
    return cluster->nodes[0].metrics.values[DSMR_METRIC_EVIDENCE_LOST];
}

/* The next epoch, and a block in it after which the first one is listed no more. */
static void leave_epoch(struct cluster *cluster)
{
    cluster_add_set(cluster, NEXT_EPOCH, 0, 4, NULL);
    cluster->chain_epoch = NEXT_EPOCH;
    for (int i = 0; i < 2; i++) {
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, i == 0 ? cluster->params.chunk_lifetime_ms + 1000 : 1000);
    }
}

static void test_epochs_that_are_over_give_way(void **state)
{
    (void)state;
    struct cluster_config config = {.nodes = 4, .seed = 141, .tune = two_pairs};
    struct cluster *cluster = cluster_new(&config);
    struct cluster_node *node = &cluster->nodes[0];
    cluster_run(cluster, 3000);
    equivocate(cluster, 1, 0);
    equivocate(cluster, 2, 0);
    assert_int_equal(node->metrics.values[DSMR_METRIC_EVIDENCE_KEPT], 2);
    assert_int_equal(lost(cluster), 0);
    equivocate(cluster, 3, 0); /* all pairs are of the running epoch: it is said, and that is all */
    assert_int_equal(lost(cluster), 1);
    assert_true(is_on_disk(cluster, 1, 0) && is_on_disk(cluster, 2, 0));
    leave_epoch(cluster);
    assert_int_equal(node->disk.evidence_count, 2); /* nobody needs the room */
    equivocate(cluster, 3, NEXT_EPOCH);
    assert_true(is_on_disk(cluster, 3, NEXT_EPOCH));
    assert_true(is_on_disk(cluster, 2, 0) && !is_on_disk(cluster, 1, 0)); /* the oldest went */
    cluster_crash(cluster, 0); /* what is on the disk counts after a restart */
    cluster_start(cluster, 0);
    cluster_run(cluster, 1000);
    assert_int_equal(node->metrics.values[DSMR_METRIC_EVIDENCE_KEPT], 2);
    uint64_t recorded = node->metrics.values[DSMR_METRIC_EVIDENCE];
    equivocate(cluster, 3, NEXT_EPOCH); /* is known */
    assert_int_equal(node->metrics.values[DSMR_METRIC_EVIDENCE], recorded);
    equivocate(cluster, 2, NEXT_EPOCH);
    assert_int_equal(node->metrics.values[DSMR_METRIC_EVIDENCE], recorded + 1);
    assert_true(is_on_disk(cluster, 2, NEXT_EPOCH) && is_on_disk(cluster, 3, NEXT_EPOCH));
    assert_int_equal(node->disk.evidence_count, 2);
    assert_int_equal(lost(cluster), 1);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs_that_are_over_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
