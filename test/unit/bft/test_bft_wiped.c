/* Networks of validators that come back with their keys and without their journals: docs/bft.md,
 * rule 17. DSMR_BFT_SEEDS=n multiplies the number of seeds. */
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

static uint64_t votes_from(const struct cluster *c, uint32_t n)
{
    return dsmr_bft_votes_from(c->nodes[n].bft);
}

/* Votes of honest nodes so far. */
static uint32_t said(const struct cluster *c, uint32_t node)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->checker->said_count; i++) {
        count += c->checker->said[i].node == node ? 1 : 0;
    }
    return count;
}

static void finish(struct cluster *c, uint64_t height)
{
    cluster_demand(c, height);
    cluster_assert(c, cluster_run_to(c, height, PATIENCE_MS));
    cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
    cluster_assert(c, cluster_is_tidy(c));
    cluster_free(c);
}

/* Until n votes again; the network has work for all the time. */
static void recover(struct cluster *c, uint32_t n)
{
    uint64_t until_ms = c->now_ms + PATIENCE_MS;
    while ((votes_from(c, n) != 0 || cluster_tip(&c->nodes[n])->height + 3 < c->demand) &&
           cluster_once(c, until_ms)) {
        cluster_demand(c, c->demand + (cluster_height(c) + 3 > c->demand ? 1 : 0));
    }
    cluster_assert(c, votes_from(c, n) == 0);
}

/* One after another loses its disk at any moment, while messages are lost and, of seven, one is
 * Byzantine. The checker remembers all that was ever said. */
static void test_wiped_one_after_another(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(60); seed++) {
        enum cluster_actor actors[7] = {CLUSTER_HONEST};
        struct cluster_config config = calm(seed, seed % 2 == 0 ? 4 : 7);
        config.delay_ms = 10 + (uint32_t)(seed % 5) * 40;
        config.loss_permille = (uint32_t)(seed % 4) * 50;
        struct cluster *c = cluster_new(&config);
        if (config.nodes_count == 7) {
            actors[6] = seed % 3 == 0 ? CLUSTER_TWIN : CLUSTER_LIAR;
        }
        cluster_start_all(c, actors);
        cluster_demand(c, 5);
        for (uint32_t n = 0; n < config.nodes_count; n++) { /* one that starts late may have to
                                                               wait, too */
            recover(c, n);
        }
        for (uint32_t i = 0; i < 6; i++) {
            uint32_t n = (uint32_t)dsmr_prng_below(&c->prng, config.nodes_count == 7 ? 6 : 4);
            cluster_wipe(c, n);
            cluster_run(c, dsmr_prng_below(&c->prng, 300));
            cluster_start(c, n);
            cluster_run(c, dsmr_prng_below(&c->prng, 500));
            recover(c, n);
            cluster_run(c, dsmr_prng_below(&c->prng, 300));
        }
        cluster_assert(c, cluster_run_to(c, c->demand, PATIENCE_MS));
        cluster_free(c);
    }
}

/* The same across changes of the set: what it said at an edge counts, too. */
static void test_wiped_at_the_edge_of_an_epoch(void **state)
{
    (void)state;
    static const uint32_t second[] = {1, 2, 3, 4};
    static const uint32_t third[] = {0, 2, 3, 4};
    for (uint64_t seed = 1; seed <= seeds(60); seed++) {
        struct cluster_config config = calm(seed, 4);
        config.delay_ms = 10 + (uint32_t)(seed % 5) * 40;
        struct cluster *c = cluster_new(&config);
        cluster_schedule(c, 6, second, 4);
        cluster_schedule(c, 7, third, 4); /* after a single block */
        c->config.nodes_count = 5;
        cluster_start_all(c, NULL);
        uint32_t n = 2 + (uint32_t)(seed % 2); /* of all three sets */
        cluster_demand(c, 4 + seed % 4);
        cluster_run(c, 250 + dsmr_prng_below(&c->prng, 500));
        cluster_wipe(c, n);
        cluster_run(c, dsmr_prng_below(&c->prng, 100));
        cluster_start(c, n);
        cluster_run(c, dsmr_prng_below(&c->prng, 500));
        cluster_demand(c, 12);
        recover(c, n);
        cluster_assert(c, cluster_run_to(c, c->demand, PATIENCE_MS));
        finish(c, c->demand + 3);
    }
}

/* Its own life after the loss ends at each effect in turn: the doubt survives. */
static void test_crash_while_in_doubt(void **state)
{
    (void)state;
    for (uint64_t at = 0;; at++) {
        struct cluster_config config = calm(3, 4);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 9);
        cluster_run(c, 180);
        cluster_wipe(c, 1);
        cluster_start(c, 1);
        c->restart_ms = 50;
        c->nodes[1].crash_in = at;
        cluster_run(c, 1000);
        bool is_over = c->nodes[1].crash_in != UINT64_MAX;
        c->nodes[1].crash_in = UINT64_MAX;
        cluster_assert(c, cluster_run_to(c, 9, PATIENCE_MS));
        recover(c, 1);
        finish(c, c->demand + 3);
        if (is_over) {
            assert_true(at > 50);
            return;
        }
    }
}

/* No block is needed for it to vote again; and then it can take another one's place. */
static void test_wiped_in_an_idle_network(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(20); seed++) {
        struct cluster_config config = calm(seed, 4);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 3);
        cluster_assert(c, cluster_run_to(c, 3, PATIENCE_MS));
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        cluster_wipe(c, 2);
        cluster_start(c, 2);
        cluster_assert(c, votes_from(c, 2) == UINT64_MAX);
        uint64_t before_ms = c->now_ms;
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        cluster_assert(c, c->now_ms - before_ms < 3000);
        cluster_assert(c, votes_from(c, 2) == 0 && cluster_height(c) == 3);
        c->nodes[0].is_away = true;
        cluster_crash(c, 0);
        cluster_demand(c, 8);
        cluster_assert(c, cluster_run_to(c, 8, PATIENCE_MS));
        cluster_free(c);
    }
}

/* More than the network can bear: they follow, say that they wait, and never sign. */
static void test_two_wiped_of_four_wait(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(20); seed++) {
        struct cluster_config config = calm(seed, 4);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 10);
        cluster_run(c, 50 + seed * 20);
        cluster_wipe(c, 1);
        cluster_wipe(c, 3);
        cluster_run(c, 20);
        uint32_t said_1 = said(c, 1);
        uint32_t said_3 = said(c, 3);
        cluster_start(c, 1);
        cluster_start(c, 3);
        cluster_run(c, 600000);
        uint64_t height = cluster_tip(&c->nodes[0])->height;
        cluster_assert(c, votes_from(c, 1) == UINT64_MAX && votes_from(c, 3) == UINT64_MAX);
        cluster_assert(c, said(c, 1) == said_1 && said(c, 3) == said_3);
        cluster_assert(c, cluster_tip(&c->nodes[1])->height == height);
        uint64_t messages = c->messages;
        cluster_run(c, 60000); /* asking has backed off */
        cluster_assert(c, c->messages - messages < 4 * 60 * 20);
        cluster_free(c);
    }
}

static void add_all(struct cluster *c)
{
    for (uint32_t i = 0; i < c->config.nodes_count; i++) {
        cluster_add(c, i, CLUSTER_HONEST);
    }
}

/* Nodes of a new network start when they start, some never. */
static void test_new_network_starts_one_by_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(70); seed++) {
        struct cluster_config config = calm(seed, 1 + (uint32_t)(seed % 7));
        config.loss_permille = (uint32_t)(seed % 3) * 100;
        struct cluster *c = cluster_new(&config);
        uint32_t absent = (uint32_t)(seed / 7 % 2) * ((config.nodes_count - 1) / 3);
        uint64_t gap_ms = seed % 5 * 300;
        add_all(c);
        cluster_demand(c, 10);
        for (uint32_t i = 0; i < config.nodes_count; i++) {
            if (i < absent) {
                c->nodes[i].is_away = true;
            } else {
                cluster_start(c, i);
                cluster_run(c, dsmr_prng_below(&c->prng, gap_ms + 1));
            }
        }
        cluster_assert(c, cluster_run_to(c, 10, PATIENCE_MS));
        for (uint32_t i = 0; i < absent; i++) { /* the late ones are welcome */
            c->nodes[i].is_away = false;
            cluster_start(c, i);
        }
        c->config.loss_permille = 0;
        cluster_assert(c, cluster_run_to(c, 10, PATIENCE_MS));
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        for (uint32_t i = 0; i < config.nodes_count; i++) {
            cluster_assert(c, votes_from(c, i) == 0);
        }
        finish(c, 15);
    }
}

/* Validators of a later set are made long after the chain: before their turn or when all wait for
 * them, all of them or half. */
static void test_new_validators_of_a_later_set(void **state)
{
    (void)state;
    static const uint32_t sets[][4] = {{4, 5, 6, 7}, {2, 3, 4, 5}, {0, 4, 5, 6}};
    for (uint64_t seed = 1; seed <= seeds(36); seed++) {
        struct cluster_config config = calm(seed, 4);
        struct cluster *c = cluster_new(&config);
        cluster_schedule(c, 6, sets[seed % 3], 4);
        c->config.nodes_count = 8;
        add_all(c);
        for (uint32_t i = 0; i < 8; i++) {
            c->nodes[i].is_away = i >= 4;
        }
        for (uint32_t i = 0; i < 4; i++) {
            cluster_start(c, i);
        }
        uint64_t height = seed % 2 == 0 ? 5 : 1 + seed % 5;
        cluster_demand(c, height);
        cluster_assert(c, cluster_run_to(c, height, PATIENCE_MS));
        cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
        for (uint32_t i = 4; i < 8; i++) {
            bool is_in_set = world_node_of(&c->schedule[1].set->validators[3].node_ids[0]) >= i;
            c->nodes[i].is_away = !is_in_set;
            if (is_in_set) {
                cluster_start(c, i);
            }
            cluster_run(c, seed % 4 * 200);
        }
        cluster_assert(c, cluster_run_to(c, height, PATIENCE_MS));
        finish(c, 12);
    }
}

/* Where every vote is needed, waiting would be for ever, and no vote can do harm. */
static void test_wiped_where_everyone_is_needed(void **state)
{
    (void)state;
    for (uint32_t nodes = 1; nodes <= 3; nodes++) {
        struct cluster_config config = calm(nodes, nodes);
        struct cluster *c = cluster_new(&config);
        cluster_start_all(c, NULL);
        cluster_demand(c, 4);
        cluster_assert(c, cluster_run_to(c, 4, PATIENCE_MS));
        if (nodes > 1) {
            cluster_wipe(c, 0);
            cluster_start(c, 0);
        }
        finish(c, 8);
    }
}

/* A disk that was made together with the key: rule 17.6. */
static void make_disk(struct cluster *c, uint32_t n)
{
    struct dsmr_bft_never_voted never;
    struct cluster_record record = {.key_len = sizeof(never.key)};
    dsmr_bft_never_voted(&never, c->schedule[0].set->epoch);
    memcpy(record.key, never.key, sizeof(never.key));
    record.value = dsmr_buf_copy(never.value, sizeof(never.value));
    cluster_put(&c->nodes[n], &record);
    dsmr_buf_unref(record.value);
}

/* Three of four run, and come to rest; then one loses its disk, and is away or back. */
static struct cluster *three_of_four(uint64_t seed, bool is_wiped_away)
{
    struct cluster_config config = calm(seed, 4);
    struct cluster *c = cluster_new(&config);
    add_all(c);
    c->nodes[0].is_away = true;
    for (uint32_t i = 1; i < 4; i++) {
        cluster_start(c, i);
    }
    cluster_demand(c, 1 + seed % 5);
    cluster_assert(c, cluster_run_to(c, c->demand, PATIENCE_MS));
    cluster_assert(c, cluster_run_to_rest(c, PATIENCE_MS));
    cluster_wipe(c, 1);
    c->nodes[1].is_away = is_wiped_away;
    if (!is_wiped_away) {
        cluster_start(c, 1);
    }
    return c;
}

/* The fourth starts for the first time. Nothing distinguishes it from the wiped one but the record
 * that its disk was made with: without it, both wait for ever. (Seed 2475 of the simulator.) */
static void test_first_start_beside_a_wiped_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(20); seed++) {
        struct cluster *c = three_of_four(seed, seed % 2 == 0);
        uint64_t height = c->demand;
        c->nodes[0].is_away = false;
        cluster_start(c, 0);
        cluster_demand(c, height + 5);
        cluster_run(c, 60000);
        cluster_assert(c, cluster_height(c) == height && votes_from(c, 0) == UINT64_MAX);
        cluster_free(c);
        c = three_of_four(seed, seed % 2 == 0);
        c->nodes[0].is_away = false;
        make_disk(c, 0);
        cluster_start(c, 0);
        cluster_assert(c, votes_from(c, 0) == 0);
        cluster_demand(c, height + 5);
        cluster_assert(c, cluster_run_to(c, height + 5, PATIENCE_MS));
        c->nodes[1].is_away = false;
        cluster_start(c, 1);
        recover(c, 1);
        finish(c, c->demand + 3);
    }
}

/* The record stays and its votes come beside it; whatever that first life dies of, it is not in
 * doubt, and does not contradict itself. When it loses that disk it is like any other. */
static void test_crash_in_the_first_life(void **state)
{
    (void)state;
    for (uint64_t at = 0;; at++) {
        struct cluster *c = three_of_four(3, true);
        c->nodes[0].is_away = false;
        make_disk(c, 0);
        cluster_demand(c, c->demand + 6);
        cluster_start(c, 0);
        c->restart_ms = 50;
        c->nodes[0].crash_in = at;
        cluster_run(c, 5000);
        bool is_over = c->nodes[0].crash_in != UINT64_MAX;
        c->nodes[0].crash_in = UINT64_MAX;
        cluster_assert(c, cluster_run_to(c, c->demand, PATIENCE_MS));
        cluster_assert(c, votes_from(c, 0) == 0 && said(c, 0) > 0);
        c->nodes[1].is_away = false;
        cluster_start(c, 1);
        recover(c, 1);
        cluster_wipe(c, 0);
        cluster_start(c, 0);
        cluster_assert(c, votes_from(c, 0) == UINT64_MAX);
        recover(c, 0);
        finish(c, c->demand + 3);
        if (is_over) {
            assert_true(at > 50);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wiped_one_after_another),
        cmocka_unit_test(test_wiped_at_the_edge_of_an_epoch),
        cmocka_unit_test(test_crash_while_in_doubt),
        cmocka_unit_test(test_wiped_in_an_idle_network),
        cmocka_unit_test(test_two_wiped_of_four_wait),
        cmocka_unit_test(test_new_network_starts_one_by_one),
        cmocka_unit_test(test_new_validators_of_a_later_set),
        cmocka_unit_test(test_wiped_where_everyone_is_needed),
        cmocka_unit_test(test_first_start_beside_a_wiped_one),
        cmocka_unit_test(test_crash_in_the_first_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
