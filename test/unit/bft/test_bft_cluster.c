/* Clusters of pure engines: safety always, progress once the network is well. DSMR_BFT_SEEDS=n
 * multiplies the number of seeds. */
#include "bft_cluster.h"

#define PATIENCE_MS 600000u

static uint64_t seeds(uint64_t count)
{
    const char *factor = getenv("DSMR_BFT_SEEDS");
    return factor != NULL && atoi(factor) > 0 ? count * (uint64_t)atoi(factor) : count;
}

static struct cluster_config calm(uint64_t seed, uint32_t nodes_count)
{
    return (struct cluster_config){
        .seed = seed,
        .nodes_count = nodes_count,
        .delay_ms = 10,
        .disk_ms = 5,
        .view_timeout_ms = 200,
    };
}

static struct cluster_config stormy(uint64_t seed, uint32_t nodes_count)
{
    struct cluster_config config = calm(seed, nodes_count);
    config.delay_ms = 20 + (uint32_t)(seed % 7) * 30;
    config.disk_ms = (uint32_t)(seed % 5) * 10;
    config.loss_permille = (uint32_t)(seed % 4) * 100;
    config.dup_permille = 100;
    config.not_yet_permille = (uint32_t)(seed % 3) * 100;
    return config;
}

/* From here on the network is well; everyone but the away and the dead is up. */
static void heal(struct cluster *c)
{
    c->config.loss_permille = 0;
    c->config.not_yet_permille = 0;
    c->config.delay_ms = 10;
    memset(c->group, 0, sizeof(c->group));
    for (uint32_t n = 0; n < c->count; n++) {
        c->nodes[n].crash_in = UINT64_MAX;
        if (!c->nodes[n].is_away) {
            cluster_start(c, n);
        }
    }
}

static void finish(struct cluster *c, uint64_t height)
{
    heal(c);
    cluster_demand(c, height);
    cluster_assert(c, cluster_run_to(c, height, PATIENCE_MS));
    cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
    cluster_assert(c, cluster_is_tidy(c));
    uint64_t messages = c->messages;
    cluster_run(c, 3600000);
    cluster_assert(c, c->messages == messages);
    cluster_free(c);
}

/* With Byzantine actors there is no rest to demand, only progress. */
static void finish_progress(struct cluster *c, uint64_t height)
{
    heal(c);
    cluster_demand(c, height);
    cluster_assert(c, cluster_run_to(c, height, PATIENCE_MS));
    cluster_free(c);
}

static void test_four_nodes_decide_and_rest(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(10); seed++) {
        struct cluster_config config = calm(seed, seed % 2 == 0 ? 4 : 7);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        /* New ones ask each other whether the network is new, and that is all. */
        cluster_assert(c, c->messages <= 4u * config.nodes_count * config.nodes_count);
        cluster_assert(c, c->checker->said_count == 0);
        uint64_t messages = c->messages;
        cluster_run(c, 3600000);
        cluster_assert(c, c->messages == messages);
        cluster_demand(c, 30);
        cluster_assert(c, cluster_run_to(c, 30, 30 * 200));
        finish(c, 30);
    }
}

static void test_one_node_alone(void **state)
{
    (void)state;
    struct cluster_config config = calm(1, 1);
    struct cluster *c = cluster_new(&config);
    cluster_start_all(c, NULL);
    finish(c, 50);
}

/* A block with nothing after it is final without further traffic from the block layer, whoever
 * timed out meanwhile; and costs no empty block. */
static void test_lonely_block(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(60); seed++) {
        struct cluster_config config = stormy(seed, 4);
        config.view_timeout_ms = 40 + (uint32_t)(seed % 5) * 30; /* often shorter than the way */
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 1);
        cluster_run(c, 2000);
        finish(c, 1);
    }
}

static void test_loss_delay_and_reordering(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(70); seed++) {
        struct cluster_config config = stormy(seed, seed % 3 == 0 ? 7 : 4);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 10);
        cluster_run(c, 5000);
        finish(c, 15);
    }
}

static void test_dead_nodes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(20); seed++) {
        enum cluster_actor actors[7] = {CLUSTER_HONEST};
        struct cluster_config config = calm(seed, seed % 2 == 0 ? 4 : 7);
        struct cluster *c = cluster_new(&config);
        actors[seed % config.nodes_count] = CLUSTER_DEAD;
        if (config.nodes_count == 7) {
            actors[(seed + 1 + seed % 5) % 7] = CLUSTER_DEAD;
        }
        cluster_start_all(c, actors);
        finish(c, 20);
    }
}

static void test_without_quorum_nothing_is_decided(void **state)
{
    (void)state;
    enum cluster_actor actors[4] = {CLUSTER_DEAD, CLUSTER_HONEST, CLUSTER_DEAD, CLUSTER_HONEST};
    struct cluster_config config = calm(3, 4);
    struct cluster *c = cluster_new(&config);
    cluster_start_all(c, actors);
    cluster_demand(c, 5);
    cluster_run(c, 600000);
    cluster_assert(c, cluster_height(c) == 0);
    uint64_t messages = c->messages;
    cluster_run(c, 60000); /* resending has backed off: two nodes, a few messages a second */
    cluster_assert(c, c->messages - messages < 2 * 60 * 10);
    for (uint32_t n = 0; n < 4; n++) {
        c->nodes[n].actor = CLUSTER_HONEST;
    }
    finish(c, 5);
}

static void test_crashes_and_restarts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(90); seed++) {
        struct cluster_config config = stormy(seed, seed % 3 == 0 ? 7 : 4);
        struct cluster *c = cluster_new(&config);
        c->restart_ms = 50 + seed % 11 * 100;
        cluster_start_all(c, NULL);
        cluster_demand(c, 12);
        for (uint32_t i = 0; i < 25; i++) {
            uint32_t n = (uint32_t)dsmr_prng_below(&c->prng, c->count);
            c->nodes[n].crash_in = dsmr_prng_below(&c->prng, 40);
            c->is_crash_common = cluster_chance(c, 200);
            cluster_run(c, 300);
        }
        c->is_crash_common = false;
        finish(c, 20);
    }
}

/* A run with a crash after each effect in turn, of the node or of all nodes at once. */
static void crash_at_every_effect(bool is_common, uint32_t node)
{
    for (uint64_t at = 0;; at++) {
        struct cluster_config config = calm(5, 4);
        struct cluster *c = cluster_new(&config);
        c->restart_ms = 300;
        c->is_crash_common = is_common;
        cluster_start_all(c, NULL);
        c->nodes[node].crash_in = at;
        cluster_demand(c, 8);
        cluster_run(c, 2000);
        bool is_over = c->nodes[node].crash_in != UINT64_MAX;
        finish(c, 10);
        if (is_over) {
            assert_true(at > 100);
            return;
        }
    }
}

static void test_crash_at_every_effect(void **state)
{
    (void)state;
    crash_at_every_effect(false, 0);
    crash_at_every_effect(false, 2);
}

static void test_all_killed_at_every_effect(void **state)
{
    (void)state;
    crash_at_every_effect(true, 1);
}

static void test_twins(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(90); seed++) {
        enum cluster_actor actors[7] = {CLUSTER_HONEST};
        struct cluster_config config = stormy(seed, seed % 3 == 0 ? 7 : 4);
        struct cluster *c = cluster_new(&config);
        actors[seed % config.nodes_count] = CLUSTER_TWIN;
        if (config.nodes_count == 7) {
            actors[(seed + 3) % 7] = CLUSTER_TWIN;
        }
        cluster_start_all(c, actors);
        cluster_demand(c, 15);
        cluster_run(c, 4000);
        finish_progress(c, 20);
    }
}

static void test_liars(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(90); seed++) {
        enum cluster_actor actors[7] = {CLUSTER_HONEST};
        struct cluster_config config = stormy(seed, seed % 3 == 0 ? 7 : 4);
        struct cluster *c = cluster_new(&config);
        actors[seed % config.nodes_count] = CLUSTER_LIAR;
        if (config.nodes_count == 7) {
            actors[(seed + 2) % 7] = CLUSTER_TWIN;
        }
        cluster_start_all(c, actors);
        cluster_demand(c, 15);
        cluster_run(c, 4000);
        finish_progress(c, 20);
    }
}

static void test_liars_and_crashes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(70); seed++) {
        enum cluster_actor actors[4] = {CLUSTER_HONEST};
        struct cluster_config config = stormy(seed, 4);
        struct cluster *c = cluster_new(&config);
        actors[seed % 4] = seed % 3 == 0 ? CLUSTER_LIAR : CLUSTER_TWIN;
        c->restart_ms = 50 + seed % 7 * 100;
        cluster_start_all(c, actors);
        cluster_demand(c, 15);
        for (uint32_t i = 0; i < 20; i++) {
            uint32_t n = (uint32_t)dsmr_prng_below(&c->prng, c->count);
            c->nodes[n].crash_in = dsmr_prng_below(&c->prng, 60);
            cluster_run(c, 250);
        }
        finish_progress(c, 20);
    }
}

static void test_partition_and_heal(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(40); seed++) {
        struct cluster_config config = calm(seed, seed % 2 == 0 ? 4 : 7);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 10);
        for (uint32_t i = 0; i < 6; i++) {
            for (uint32_t n = 0; n < config.nodes_count; n++) {
                c->group[n] = (uint32_t)dsmr_prng_below(&c->prng, 2);
            }
            cluster_run(c, 100 + dsmr_prng_below(&c->prng, 3000));
            cluster_demand(c, c->demand + 3);
        }
        uint64_t before_ms = c->now_ms;
        heal(c);
        cluster_assert(c, cluster_run_to(c, c->demand, PATIENCE_MS));
        cluster_assert(c, c->now_ms - before_ms < 30000); /* no hangover */
        finish(c, c->demand);
    }
}

/* No event tells that the network is well again: timers and resending must find it out. */
static void test_away_node_fetches_300_blocks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(2); seed++) {
        struct cluster_config config = calm(seed, 4);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 3);
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        c->nodes[3].is_away = true;
        cluster_crash(c, 3);
        cluster_demand(c, 350);
        cluster_assert(c, cluster_run_to(c, 350, PATIENCE_MS));
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        c->nodes[3].is_away = false;
        cluster_start(c, 3); /* an idle network: only the positions tell that it is behind */
        cluster_assert(c, cluster_run_to(c, 350, 60000));
        finish(c, 355);
    }
}

/* Away for thousands of heights, over an edge, among nodes that are still at work; and every other
 * batch is lost. */
static void test_away_node_fetches_3000_blocks(void **state)
{
    (void)state;
    static const uint32_t second[] = {0, 1, 2, 3};
    struct cluster_config config = calm(1, 4);
    config.delay_ms = 2;
    config.disk_ms = 1;
    struct cluster *c = cluster_new(&config);
    cluster_schedule(c, 1500, second, 4);
    cluster_start_all(c, NULL);
    cluster_demand(c, 3);
    cluster_assert(c, cluster_run_to(c, 3, PATIENCE_MS));
    c->nodes[3].is_away = true;
    cluster_crash(c, 3);
    cluster_demand(c, 3000);
    cluster_assert(c, cluster_run_to(c, 3000, PATIENCE_MS));
    c->nodes[3].is_away = false;
    c->config.loss_permille = 300;
    cluster_demand(c, 4000); /* they go on */
    cluster_start(c, 3);
    cluster_assert(c, cluster_run_to(c, 3000, PATIENCE_MS));
    finish(c, c->demand);
}

/* As many are dead as may be, and the rest is cut into pieces. They come together again; the dead
 * stay dead. */
static void test_dead_nodes_and_a_partition(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(20); seed++) {
        enum cluster_actor actors[7] = {CLUSTER_HONEST};
        struct cluster_config config = calm(seed, 7);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, actors);
        cluster_demand(c, 5);
        cluster_assert(c, cluster_run_to(c, 5, PATIENCE_MS));
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t n = (uint32_t)(seed + 3 * i) % 7;
            c->nodes[n].is_away = true;
            cluster_crash(c, n);
        }
        for (uint32_t n = 0; n < 7; n++) {
            c->group[n] = (uint32_t)dsmr_prng_below(&c->prng, 3);
        }
        cluster_demand(c, 20);
        cluster_run(c, 1000 * seed);
        uint64_t before_ms = c->now_ms;
        memset(c->group, 0, sizeof(c->group));
        cluster_assert(c, cluster_run_to(c, 20, PATIENCE_MS));
        cluster_assert(c, c->now_ms - before_ms < 30000); /* no hangover */
        finish(c, 20);
    }
}

/* Sixteen blocks became final at once, and a message holds five: those below its last ones come by
 * id. Then the chain goes on as usual. */
static void test_gap_wider_than_a_message(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(10); seed++) {
        struct cluster_config config = calm(seed, 4);
        config.batch_blocks_max = 5;
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 3);
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        c->nodes[3].is_away = true;
        cluster_crash(c, 3);
        for (uint64_t height = 19; height <= 67; height += 16) {
            c->loses_finalize = true;
            cluster_demand(c, height);
            cluster_run(c, 3000);
            cluster_assert(c, cluster_height(c) == height - 16);
            c->loses_finalize = false;
            cluster_assert(c, cluster_run_to(c, height, PATIENCE_MS));
        }
        cluster_demand(c, 100);
        cluster_assert(c, cluster_run_to(c, 100, PATIENCE_MS));
        c->nodes[3].is_away = false;
        if (seed % 2 == 0) {
            c->config.loss_permille = 200;
        }
        cluster_start(c, 3);
        cluster_assert(c, cluster_run_to(c, 100, PATIENCE_MS));
        finish(c, 110);
    }
}

static void test_away_node_under_crashes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(20); seed++) {
        struct cluster_config config = calm(seed, 4);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        c->nodes[3].is_away = true;
        cluster_crash(c, 3);
        cluster_demand(c, 80);
        cluster_assert(c, cluster_run_to(c, 80, PATIENCE_MS));
        c->nodes[3].is_away = false;
        c->restart_ms = 10;
        for (uint32_t i = 0; i < 15; i++) {
            cluster_start(c, 3);
            c->nodes[3].crash_in = 20 + dsmr_prng_below(&c->prng, 200);
            cluster_run(c, 100);
        }
        finish(c, 90);
    }
}

static void epochs(uint64_t seed, bool is_stormy)
{
    static const uint32_t second[] = {4, 5, 6, 7};
    static const uint32_t third[] = {0, 2, 4, 6, 8};
    struct cluster_config config = is_stormy ? stormy(seed, 4) : calm(seed, 4);
    struct cluster *c = cluster_new(&config);
    cluster_schedule(c, 6, second, 4); /* disjoint */
    cluster_schedule(c, 7, third, 5);  /* after a single block */
    c->config.nodes_count = 9;
    cluster_start_all(c, NULL);
    if (is_stormy) {
        c->restart_ms = 200;
        cluster_demand(c, 12);
        for (uint32_t i = 0; i < 20; i++) {
            uint32_t n = (uint32_t)dsmr_prng_below(&c->prng, c->count);
            c->nodes[n].crash_in = dsmr_prng_below(&c->prng, 60);
            c->is_crash_common = cluster_chance(c, 200);
            cluster_run(c, 250);
        }
        c->is_crash_common = false;
    } else {
        for (uint64_t height = 1; height <= 9; height++) { /* rest at each height, at each edge */
            cluster_demand(c, height);
            cluster_assert(c, cluster_run_to(c, height, 10000));
            cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        }
    }
    finish(c, 20);
}

static void test_epochs_by_schedule(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(10); seed++) {
        epochs(seed, false);
    }
    for (uint64_t seed = 1; seed <= seeds(50); seed++) {
        epochs(seed, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_nodes_decide_and_rest),
        cmocka_unit_test(test_one_node_alone),
        cmocka_unit_test(test_lonely_block),
        cmocka_unit_test(test_loss_delay_and_reordering),
        cmocka_unit_test(test_dead_nodes),
        cmocka_unit_test(test_without_quorum_nothing_is_decided),
        cmocka_unit_test(test_crashes_and_restarts),
        cmocka_unit_test(test_crash_at_every_effect),
        cmocka_unit_test(test_all_killed_at_every_effect),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_liars),
        cmocka_unit_test(test_liars_and_crashes),
        cmocka_unit_test(test_partition_and_heal),
        cmocka_unit_test(test_away_node_fetches_300_blocks),
        cmocka_unit_test(test_away_node_fetches_3000_blocks),
        cmocka_unit_test(test_dead_nodes_and_a_partition),
        cmocka_unit_test(test_gap_wider_than_a_message),
        cmocka_unit_test(test_away_node_under_crashes),
        cmocka_unit_test(test_epochs_by_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
