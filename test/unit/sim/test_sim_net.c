/* test_sim_net.c - the simulator's network does to messages what its links say, and its faults cut,
 * slow and narrow the paths that they name, in the direction that they name, and end. */
#include "history.h"

#include "sim/sim_plan.h"

#define MESSAGES 4000u

struct arrivals { /* of messages from node 0 to node 1, sent at one moment */
    uint32_t count;
    uint32_t overtaken;            /* came before one that was sent earlier */
    uint64_t due_us[2 * MESSAGES]; /* in the order of sending */
};

static struct history begin(void)
{
    struct history h;
    struct dsmr_sim_config config = {.seed = 5, .nodes = NODES};
    history_begin_with(&h, dsmr_sim_check_all[0], &config);
    dsmr_sim_pass(h.sim, 100000);
    return h;
}

/* The first byte says which message it was. */
static void send_all(struct history *h, const struct dsmr_sim_link *link, struct arrivals *out)
{
    struct dsmr_sim_event event;
    uint64_t latest_us = 0;
    memset(out, 0, sizeof(*out));
    dsmr_sim_set_link(h->sim, 0, 1, link);
    while (dsmr_sim_queue_pop(&h->sim->queue, &event)) {
        assert_int_not_equal(event.kind, DSMR_SIM_ARRIVAL);
    }
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct dsmr_buf *bytes = dsmr_buf_new(8);
        assert_non_null(bytes);
        memset(bytes->bytes, 0, 8);
        dsmr_sim_net_travel(h->sim, 0, 1, bytes, 0);
        dsmr_buf_unref(bytes);
        while (dsmr_sim_queue_pop(&h->sim->queue, &event)) {
            assert_int_equal(event.kind, DSMR_SIM_ARRIVAL);
            assert_int_equal(event.node, 1);
            out->overtaken += event.due_us < latest_us;
            latest_us = event.due_us > latest_us ? event.due_us : latest_us;
            out->due_us[out->count++] = event.due_us - h->sim->now_us;
            dsmr_buf_unref(((struct dsmr_sim_item *)event.item)->bytes);
            free(event.item);
        }
    }
    dsmr_sim_net_path(h->sim, 0, 1)->last_us = 0;
}

static uint32_t count_above(const struct arrivals *a, uint64_t us)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        count += a->due_us[i] > us;
    }
    return count;
}

static void test_links(void **state)
{
    (void)state;
    struct history h = begin();
    struct arrivals *a = malloc(sizeof(*a));
    assert_non_null(a);
    /* Nothing lost, doubled or overtaken; the latest jitter of all so far. */
    send_all(&h, &(struct dsmr_sim_link){.latency_us = 5000, .jitter_us = 10000}, a);
    assert_int_equal(a->count, MESSAGES);
    assert_int_equal(a->overtaken, 0);
    assert_int_equal(count_above(a, 4999), MESSAGES);
    assert_int_equal(count_above(a, 15000), 0);
    send_all(&h, &(struct dsmr_sim_link){.latency_us = 5000, .loss_ppm = 250000}, a);
    assert_in_range(a->count, MESSAGES * 70 / 100, MESSAGES * 80 / 100);
    send_all(&h, &(struct dsmr_sim_link){.latency_us = 5000, .duplicate_ppm = 100000}, a);
    assert_in_range(a->count, MESSAGES * 107 / 100, MESSAGES * 113 / 100);
    send_all(&h,
             &(struct dsmr_sim_link){.latency_us = 5000, .jitter_us = 10000, .reorder_ppm = 500000},
             a);
    assert_int_equal(a->count, MESSAGES);
    assert_true(a->overtaken > MESSAGES / 4);
    free(a);
    history_end(&h);
}

/* A fifth takes longer: at least twice as long, and each doubling is half as likely as the last. */
static void test_a_long_tail(void **state)
{
    (void)state;
    struct history h = begin();
    struct arrivals *a = malloc(sizeof(*a));
    assert_non_null(a);
    send_all(
        &h, &(struct dsmr_sim_link){.latency_us = 1000, .tail_ppm = 200000, .reorder_ppm = 1000000},
        a);
    assert_int_equal(a->count, MESSAGES);
    assert_in_range(count_above(a, 1000), MESSAGES * 17 / 100, MESSAGES * 23 / 100);
    assert_int_equal(count_above(a, 1999), count_above(a, 1000));
    assert_in_range(count_above(a, 4000), MESSAGES * 7 / 100, MESSAGES * 13 / 100);
    assert_in_range(count_above(a, 16000), MESSAGES * 1 / 100, MESSAGES * 4 / 100);
    assert_true(count_above(a, 64000) > 0);
    assert_int_equal(count_above(a, 10 * DSMR_SIM_SECOND_US), 0);
    free(a);
    history_end(&h);
}

/* Plays one fault on node 0 for a second; looks calls in its middle. */
static void play(const struct dsmr_sim_fault *fault,
                 void (*look)(const struct dsmr_sim *sim, bool is_on))
{
    struct history h = begin();
    uint32_t counts[DSMR_SIM_FAULT_KINDS] = {0};
    struct dsmr_sim_plan *plan = calloc(1, sizeof(*plan));
    assert_non_null(plan);
    plan->count = 1;
    plan->wipeable = UINT32_MAX;
    plan->faults[0] = *fault;
    plan->faults[0].at_us = h.sim->now_us + 1000;
    plan->faults[0].lasts_us = DSMR_SIM_SECOND_US;
    look(h.sim, false);
    dsmr_sim_plan_start(plan, h.sim, counts);
    dsmr_sim_pass(h.sim, DSMR_SIM_SECOND_US / 2);
    assert_int_equal(counts[fault->kind], 1);
    look(h.sim, true);
    dsmr_sim_pass(h.sim, DSMR_SIM_SECOND_US);
    look(h.sim, false);
    dsmr_sim_plan_heal(h.sim, NULL);
    free(plan);
    history_end(&h);
}

static bool is_cut(const struct dsmr_sim *sim, uint32_t from, uint32_t to)
{
    return dsmr_sim_net_path(sim, from, to)->is_cut;
}

static bool is_known(const struct dsmr_sim *sim, uint32_t from, uint32_t to)
{
    return dsmr_sim_net_path(sim, from, to)->is_known;
}

/* Nodes 0 and 1 on one side. */
static void look_at_partition(const struct dsmr_sim *sim, bool is_on)
{
    for (uint32_t i = 0; i < NODES; i++) {
        for (uint32_t k = 0; k < NODES; k++) {
            assert_true(i == k || is_cut(sim, i, k) == (is_on && i / 2 != k / 2));
            assert_true(i == k || is_known(sim, i, k) == !(is_on && i / 2 != k / 2));
        }
    }
}

/* Who is on the side of 0 and 1 does not reach the others, and hears them; nobody is told. */
static void look_at_one_way(const struct dsmr_sim *sim, bool is_on)
{
    for (uint32_t i = 0; i < NODES; i++) {
        for (uint32_t k = 0; k < NODES; k++) {
            assert_true(i == k || is_cut(sim, i, k) == (is_on && i < 2 && k >= 2));
            assert_true(i == k || is_known(sim, i, k));
        }
    }
}

/* 0 does not reach 2: half open. */
static void look_at_cut(const struct dsmr_sim *sim, bool is_on)
{
    assert_true(is_cut(sim, 0, 2) == is_on && !is_cut(sim, 2, 0) && !is_cut(sim, 0, 1));
    assert_true(is_known(sim, 0, 2) && is_known(sim, 2, 0));
}

static void look_at_slow(const struct dsmr_sim *sim, bool is_on)
{
    assert_int_equal(dsmr_sim_net_path(sim, 0, 2)->link.latency_us, is_on ? 1000000 : 0);
    assert_int_equal(dsmr_sim_net_path(sim, 2, 0)->link.latency_us, 0);
}

static void look_at_tail(const struct dsmr_sim *sim, bool is_on)
{
    for (uint32_t k = 1; k < NODES; k++) {
        assert_int_equal(dsmr_sim_net_path(sim, 0, k)->link.tail_ppm > 0, is_on);
        assert_int_equal(dsmr_sim_net_path(sim, k, 0)->link.tail_ppm, 0);
    }
}

static void look_at_lossy(const struct dsmr_sim *sim, bool is_on)
{
    for (uint32_t k = 1; k < NODES; k++) {
        const struct dsmr_sim_link *link = &dsmr_sim_net_path(sim, 0, k)->link;
        assert_true((link->loss_ppm > 0) == is_on && (link->duplicate_ppm > 0) == is_on &&
                    (link->reorder_ppm > 0) == is_on);
    }
}

static void look_at_narrow(const struct dsmr_sim *sim, bool is_on)
{
    assert_int_equal(sim->nodes[0].uplink_bytes_per_s, is_on ? 20000 : 0);
}

/* A quarter of a minute ahead and running away; then right again. */
static void look_at_clock(const struct dsmr_sim *sim, bool is_on)
{
    int64_t ahead_ms =
        (int64_t)dsmr_sim_check_wall_ms(sim, 0) - (int64_t)dsmr_sim_check_wall_ms(sim, 1);
    assert_in_range(ahead_ms, is_on ? 15001 : 0, is_on ? 15100 : 0);
}

static void test_faults(void **state)
{
    (void)state;
    struct dsmr_sim_fault fault = {.other = 2, .mask = 3, .amount = 50};
    fault.kind = DSMR_SIM_FAULT_ONE_WAY;
    play(&fault, look_at_one_way);
    fault.kind = DSMR_SIM_FAULT_CUT;
    play(&fault, look_at_cut);
    fault.kind = DSMR_SIM_FAULT_SLOW;
    play(&fault, look_at_slow);
    fault.kind = DSMR_SIM_FAULT_TAIL;
    play(&fault, look_at_tail);
    fault.kind = DSMR_SIM_FAULT_NARROW;
    play(&fault, look_at_narrow);
    fault.flag = true;
    fault.kind = DSMR_SIM_FAULT_PARTITION;
    play(&fault, look_at_partition);
    fault.kind = DSMR_SIM_FAULT_LOSSY;
    play(&fault, look_at_lossy);
    fault.kind = DSMR_SIM_FAULT_CLOCK;
    fault.mask = 20001; /* odd: a bad clock, by 2% */
    fault.amount = 15000;
    play(&fault, look_at_clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_a_long_tail),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
