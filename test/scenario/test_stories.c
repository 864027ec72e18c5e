/* Stories whose whole trace a person has read: test/scenario/stories. UPDATE=1 writes them anew;
 * read the difference before you commit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/cluster.h"

static struct cluster *start(uint64_t seed)
{
    struct cluster_config config = {.nodes = 4, .seed = seed};
    struct cluster *cluster = cluster_new(&config);
    cluster_run(cluster, 3000);
    cluster_story_begin(cluster);
    return cluster;
}

static void end(struct cluster *cluster, const char *name)
{
    assert_true(cluster_is_level(cluster));
    cluster_story_check(cluster, name);
    cluster_free(cluster);
}

static void test_lonely_transaction(void **state)
{
    (void)state;
    struct cluster *cluster = start(1);
    cluster_submit(cluster, 2, 1, 200);
    cluster_run(cluster, 1000);
    end(cluster, "lonely_transaction");
}

/* Node 0 never gets the chunk by itself, and its producer vanishes as soon as the block is
 * accepted: node 0 asks the other signers. */
static bool keep_from_0(struct cluster *cluster, uint32_t from, uint32_t to,
                        const struct dsmr_msg *msg)
{
    (void)cluster;
    (void)from;
    return to != 0 || msg->type != DSMR_MSG_REQUEST_CHUNK_SIGNATURE_SHARE;
}

static bool is_accepted(struct cluster *cluster)
{
    return cluster->nodes[0].traces[DSMR_TRACE_BLOCK_ACCEPTED] == 2;
}

static void test_withhold_after_cert(void **state)
{
    (void)state;
    struct cluster *cluster = start(2);
    cluster->passes = keep_from_0;
    cluster_submit(cluster, 3, 1, 200);
    assert_true(cluster_run_until(cluster, is_accepted, 1000));
    cluster_crash(cluster, 3);
    cluster_run(cluster, 5000);
    cluster_start(cluster, 3);
    cluster_run(cluster, 5000);
    end(cluster, "withhold_after_cert");
}

/* Node 3 shows one chunk to node 0 and another of the same slot to node 1, then to each the other.
 */
static void test_equivocate_slot(void **state)
{
    (void)state;
    struct cluster *cluster = start(3);
    uint64_t slot = cluster_slot(cluster);
    struct dsmr_chunk *a = cluster_forge_chunk(cluster, 3, slot, 0, 3);
    struct dsmr_chunk *b = cluster_forge_chunk(cluster, 3, slot, 0, 3);
    cluster_send_chunk_request(cluster, 3, 0, a, NULL);
    cluster_send_chunk_request(cluster, 3, 1, b, NULL);
    cluster_run(cluster, 100);
    cluster_send_chunk_request(cluster, 3, 0, b, NULL);
    cluster_send_chunk_request(cluster, 3, 1, a, NULL);
    cluster_run(cluster, 100);
    dsmr_chunk_unref(a);
    dsmr_chunk_unref(b);
    end(cluster, "equivocate_slot");
}

/* The producer sends the same chunk again and gets the same shares. */
static void test_kill_all(void **state)
{
    (void)state;
    struct cluster *cluster = start(4);
    cluster_submit(cluster, 0, 1, 200);
    cluster_run(cluster, 8); /* the shares are on their way */
    for (uint32_t i = 0; i < 4; i++) {
        cluster_crash(cluster, i);
    }
    for (uint32_t i = 0; i < 4; i++) {
        cluster_start(cluster, i);
    }
    cluster_run(cluster, 5000);
    end(cluster, "kill_all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lonely_transaction),
        cmocka_unit_test(test_withhold_after_cert),
        cmocka_unit_test(test_equivocate_slot),
        cmocka_unit_test(test_kill_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
