/* What is kept for the retention time, and not longer (protocol.md, 11.3): bodies, results, and the
 * index by which results are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/cluster.h"
#include "lib/world.h"

#define SECOND_MS UINT64_C(1000)
#define RETENTION_MS (100 * SECOND_MS)
#define WINDOW_MS (31 * SECOND_MS)

/* ---- whole nodes in virtual time ---- */

static void tune(struct dsmr_driver_config *config)
{
    config->node.params.validity_window_ms = WINDOW_MS; /* results: longer than two of it + 30 s */
    config->node.params.retention_ms = RETENTION_MS;
    config->bft.params = config->node.params;
}

static bool has_executed(struct dsmr_world *world, void *ctx)
{
    return dsmr_world_executed(world) >= *(const uint64_t *)ctx && dsmr_world_is_level(world);
}

static struct dsmr_id execute_one(struct dsmr_world *world, uint32_t node, uint64_t number)
{
    uint64_t executed = dsmr_world_executed(world) + 1;
    struct dsmr_id id = dsmr_world_submit(world, node, number);
    assert_true(dsmr_world_run(world, has_executed, &executed, 60 * SECOND_MS));
    return id;
}

static enum dsmr_err find_tx(struct dsmr_world *world, uint32_t node, const struct dsmr_id *id)
{
    struct dsmr_query query = dsmr_driver_query_port(dsmr_world_driver(world, node));
    struct dsmr_query_tx tx;
    return query.ops->tx(query.self, &tx, id);
}

/* Result and body of the transaction's block, asked of the node's query port. */
static void check_kept(struct dsmr_world *world, uint32_t node, const struct dsmr_id *id)
{
    struct dsmr_query query = dsmr_driver_query_port(dsmr_world_driver(world, node));
    struct dsmr_query_tx tx;
    struct dsmr_block *block;
    struct dsmr_executed *executed;
    assert_int_equal(query.ops->tx(query.self, &tx, id), DSMR_OK);
    assert_int_equal(query.ops->executed(query.self, &executed, tx.height), DSMR_OK);
    assert_int_equal(query.ops->block(query.self, &block, tx.height), DSMR_OK);
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct dsmr_chunk *chunk;
        struct dsmr_cert cert;
        bool has_cert;
        assert_int_equal(
            query.ops->chunk(query.self, &chunk, &cert, &has_cert, &block->certs[i].ref.chunk_id),
            DSMR_OK);
        dsmr_chunk_unref(chunk);
    }
    dsmr_block_unref(block);
    dsmr_executed_unref(executed);
}

static void check_gone(struct dsmr_world *world, uint32_t node, const struct dsmr_id *id,
                       uint64_t height)
{
    struct dsmr_query query = dsmr_driver_query_port(dsmr_world_driver(world, node));
    struct dsmr_executed *executed;
    struct dsmr_block *block;
    assert_int_equal(find_tx(world, node, id), DSMR_ERR_UNKNOWN);
    assert_int_equal(query.ops->executed(query.self, &executed, height), DSMR_ERR_UNKNOWN);
    assert_int_equal(query.ops->block(query.self, &block, height), DSMR_OK); /* blocks stay */
    for (uint32_t i = 0; i < block->certs_count; i++) {
        struct dsmr_chunk *chunk;
        struct dsmr_cert cert;
        bool has_cert;
        assert_int_equal(
            query.ops->chunk(query.self, &chunk, &cert, &has_cert, &block->certs[i].ref.chunk_id),
            DSMR_ERR_UNKNOWN);
    }
    dsmr_block_unref(block);
}

/* A quarter of an hour of traffic, one node restarted on the way: everything is there for as long
 * as it was promised, then it goes, and no disk grows. */
static void test_all_of_it_goes_after_the_retention_time(void **state)
{
    enum { MINUTES = 15, EACH = 60 };
    static struct dsmr_id ids[MINUTES * EACH];
    static uint64_t times_ms[MINUTES * EACH], heights[MINUTES * EACH];
    struct dsmr_world_config config = {.nodes = 4, .seed = 61, .tune = tune};
    struct dsmr_world *world = dsmr_world_new(&config);
    uint64_t records[4] = {0}, keys[4] = {0};
    (void)state;
    for (uint32_t n = 0; n < MINUTES * EACH; n++) {
        struct dsmr_query_status status;
        ids[n] = execute_one(world, n % 3, n + 1);
        times_ms[n] = dsmr_world_now_ms(world);
        dsmr_world_status(world, 0, &status);
        heights[n] = status.height;
        dsmr_world_pass(world, SECOND_MS);
        if (n == 5 * EACH + 7) {
            dsmr_world_crash(world, 3);
            dsmr_world_restart(world, 3);
        }
        uint32_t old = n;
        while (old > 0 && times_ms[old] + RETENTION_MS - SECOND_MS > dsmr_world_now_ms(world))
            old--; /* the last one that may be gone */
        for (uint32_t node = 0; node < 4 && n % 20 == 19; node++) {
            check_kept(world, node, &ids[n]);
            check_kept(world, node, &ids[old + 1]);
            if (old > 5) /* collection has some seconds */
                check_gone(world, node, &ids[old - 5], heights[old - 5]);
        }
        for (uint32_t node = 0; node < 4 && n >= 3 * EACH; node++) {
            uint64_t r = dsmr_world_records(world, node), k = dsmr_world_keys(world, node);
            if (n < 5 * EACH) { /* what is normal */
                records[node] = r > records[node] ? r : records[node];
                keys[node] = k > keys[node] ? k : keys[node];
            } else {
                assert_true(r <= records[node] + 20);
                assert_true(k <=
                            keys[node] + 40); /* an index run lives as long as its last block */
            }
        }
    }
    dsmr_world_free(world);
}

/* The records before a long pause are gone when the first block after it has run; what is left is
 * enough to start again, and to know duplicates. */
static void test_restart_after_a_pause_longer_than_retention(void **state)
{
    struct dsmr_world_config config = {.nodes = 4, .seed = 62, .tune = tune};
    struct dsmr_world *world = dsmr_world_new(&config);
    (void)state;
    for (uint64_t n = 1; n <= 5; n++)
        (void)execute_one(world, 0, n);
    dsmr_world_pass(world, 10 * RETENTION_MS);
    struct dsmr_id id = execute_one(world, 1, 100);
    for (uint32_t node = 0; node < 4; node++)
        dsmr_world_crash(world, node);
    for (uint32_t node = 0; node < 4; node++)
        dsmr_world_restart(world, node);
    for (uint32_t node = 0; node < 4; node++)
        check_kept(world, node, &id);
    (void)execute_one(world, 2, 101);
    dsmr_world_free(world);
}

/* ---- pure nodes ---- */

/* A chunk that no block takes is to be removed, and the disk is too full even for that, several
 * times: it is asked again, and not so often that it hurts. */
static void test_garbage_of_a_failed_collection_is_not_forgotten(void **state)
{
    struct cluster_config config = {.nodes = 4, .seed = 63};
    struct cluster *cluster = cluster_new(&config);
    (void)state;
    cluster_run(cluster, 1000);
    struct dsmr_chunk *lost = cluster_forge_chunk(cluster, 3, cluster_slot(cluster), 0, 2);
    cluster_send_chunk_request(cluster, 3, 0, lost, NULL);
    cluster_run(cluster, 1000);
    assert_non_null(cluster_disk_find(&cluster->nodes[0].disk, &lost->ref.chunk_id));
    cluster->nodes[0].fail_gcs = 1000;
    for (uint32_t second = 0; second < 45; second++) { /* chain time goes on, past its expiry */
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 1000);
    }
    assert_non_null(cluster_disk_find(&cluster->nodes[0].disk, &lost->ref.chunk_id));
    assert_in_range(cluster->nodes[0].fail_gcs, 1000 - 45, 1000 - 5);
    cluster->nodes[0].fail_gcs = 0;
    cluster_run(cluster, 2000);
    assert_null(cluster_disk_find(&cluster->nodes[0].disk, &lost->ref.chunk_id));
    dsmr_chunk_unref(lost);
    cluster_free(cluster);
}

static void tune_pure(struct dsmr_node_config *config, uint32_t number)
{
    (void)number;
    config->params.retention_ms = 31 * SECOND_MS;
}

/* Chain time and local time must both have passed: a clock that is ahead drops nothing early, and
 * what was accepted by a clock that is put back stays until it has caught up. */
static void test_both_times_must_pass(void **state)
{
    struct cluster_config config = {.nodes = 4, .seed = 64, .tune = tune_pure};
    struct cluster *cluster = cluster_new(&config);
    uint32_t early[4] = {0}, later[4] = {0};
    (void)state;
    cluster->nodes[3].skew_ms = 20 * (int64_t)SECOND_MS;
    cluster_run(cluster, 1000);
    for (uint32_t second = 0; second <= 60; second++) {
        cluster_submit(cluster, 1, 1, 100);
        cluster_run(cluster, 1000);
        for (uint32_t node = 0; node < 4; node++) {
            early[node] = second == 25 ? cluster->nodes[node].disk.chunks_count : early[node];
            later[node] = second == 45 ? cluster->nodes[node].disk.chunks_count : later[node];
        }
        if (second == 5) {
            cluster->nodes[0].skew_ms = 3600 * (int64_t)SECOND_MS;
            cluster->nodes[3].skew_ms = 0;
        }
    }
    for (uint32_t node = 0; node < 4; node++) {
        assert_int_equal(early[node], early[2]);
        assert_true(early[node] >= 25);
        assert_in_range(later[node], node == 3 ? 44 : 30, node == 3 ? 47 : 35);
        assert_in_range(cluster->nodes[node].disk.chunks_count, 30, 35); /* not older than 31 s */
    }
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it_goes_after_the_retention_time),
        cmocka_unit_test(test_restart_after_a_pause_longer_than_retention),
        cmocka_unit_test(test_garbage_of_a_failed_collection_is_not_forgotten),
        cmocka_unit_test(test_both_times_must_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
