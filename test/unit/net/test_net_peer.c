/* test_net_peer.c - when a peer is dialed again (docs/transport.md, 4): the pause doubles up to its
 * limit, and starts anew after a connection that lasted. No sockets, no thread: the loop's clock is
 * set by hand. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/net_peer.h"

#define START_MS UINT64_C(1000000)

struct world {
    struct dsmr_tcp_net net;
    struct dsmr_tls_identity identity;
    struct dsmr_metrics metrics;
    struct dsmr_net_peer *peer;
    struct dsmr_net_conn conn;
};

static bool offer(void *self, struct dsmr_task *task)
{
    (void)self;
    (void)task;
    return false;
}

static void forget_event(void *self, struct dsmr_task *task) /* up or down: nobody listens */
{
    (void)self;
    free(task);
}

static const struct dsmr_inbox_ops inbox_ops = {offer, forget_event};

static void wake_nobody(void *ctx)
{
    (void)ctx;
}

static void set_clock(struct world *w, uint64_t now_ms)
{
    w->net.loop.time = now_ms;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    struct dsmr_tcp_net *net = &w->net;
    struct dsmr_node_id id = {{2}};
    assert_int_equal(uv_loop_init(&net->loop), 0);
    assert_int_equal(uv_timer_init(&net->loop, &net->timer), 0);
    assert_int_equal(pthread_mutex_init(&net->mutex, NULL), 0);
    dsmr_tcp_net_limits_default(&net->limits);
    w->identity.node_id.bytes[0] = 1;
    net->identity = &w->identity;
    net->metrics = &w->metrics;
    net->inbox = (struct dsmr_inbox){w, &inbox_ops};
    net->timer_at_ms = UINT64_MAX;
    net->peers = dsmr_map_new(sizeof(id), sizeof(struct dsmr_net_peer *), 4, 1);
    net->places = dsmr_map_new(sizeof(id), sizeof(struct dsmr_net_place), 4, 2);
    net->gate = dsmr_net_flow_gate_new(wake_nobody, NULL);
    assert_true(net->peers != NULL && net->places != NULL && net->gate != NULL);
    dsmr_prng_init(&net->prng, 7);
    set_clock(w, START_MS);
    dsmr_net_peer_replace_all(net, &id, 1);
    w->peer = dsmr_net_peer_find(net, &id);
    assert_non_null(w->peer);
    w->conn.net = net;
    w->conn.peer = w->peer;
    w->conn.is_dialed = true;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    dsmr_net_peer_free_all(&w->net);
    dsmr_net_flow_gate_close(w->net.gate);
    dsmr_map_free(w->net.peers);
    dsmr_map_free(w->net.places);
    uv_close((uv_handle_t *)&w->net.timer, NULL);
    uv_run(&w->net.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->net.loop), 0);
    pthread_mutex_destroy(&w->net.mutex);
    free(w);
    return 0;
}

/* The pause until the next dial; the timer rings at its end, and not before anything is dialed. */
static uint64_t pause_of(struct world *w)
{
    uint64_t now_ms = w->net.loop.time;
    uint64_t at_ms = w->peer->dial_at_ms;
    assert_true(at_ms > now_ms);
    assert_int_equal(w->net.timer_at_ms, at_ms);
    assert_int_equal(dsmr_net_peer_check_time(&w->net, w->peer, at_ms - 1), at_ms);
    w->net.timer_at_ms = UINT64_MAX; /* it has rung */
    set_clock(w, at_ms);
    return at_ms - now_ms;
}

/* Dials and does not get through. */
static uint64_t pause_after_failure(struct world *w)
{
    w->net.timer_at_ms = UINT64_MAX;
    w->peer->dialing = &w->conn;
    dsmr_net_peer_gone(&w->conn, DSMR_NET_CONN_CONNECTING, DSMR_ERR_UNAVAILABLE);
    assert_null(w->peer->dialing);
    return pause_of(w);
}

/* Dials, is up for so long, ends. */
static uint64_t pause_after_connection(struct world *w, uint64_t lasted_ms)
{
    w->peer->dialing = &w->conn;
    assert_int_equal(dsmr_net_peer_up(&w->conn), DSMR_OK);
    assert_ptr_equal(w->peer->conn, &w->conn);
    set_clock(w, w->net.loop.time + lasted_ms);
    w->net.timer_at_ms = UINT64_MAX;
    dsmr_net_peer_gone(&w->conn, DSMR_NET_CONN_UP, DSMR_OK);
    dsmr_net_flow_unref(w->conn.flow);
    return pause_of(w);
}

static void assert_about(uint64_t pause_ms, uint64_t expected_ms) /* jitter: a quarter */
{
    assert_in_range(pause_ms, expected_ms - expected_ms / 4, expected_ms + expected_ms / 4);
}

static void pauses_double_up_to_the_limit(void **state)
{
    static const uint64_t expected_ms[] = {100,  200,   400,   800,   1600, 3200,
                                           6400, 10000, 10000, 10000, 10000};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
        assert_about(pause_after_failure(w), expected_ms[i]);
    }
}

/* So that nodes that lost each other at one moment do not all come back at one. */
static void pauses_vary(void **state)
{
    struct world *w = *state;
    uint64_t least_ms = UINT64_MAX, most_ms = 0;
    for (size_t i = 0; i < 7; i++) {
        (void)pause_after_failure(w);
    }
    for (size_t i = 0; i < 200; i++) {
        uint64_t pause_ms = pause_after_failure(w);
        assert_about(pause_ms, 10000);
        least_ms = pause_ms < least_ms ? pause_ms : least_ms;
        most_ms = pause_ms > most_ms ? pause_ms : most_ms;
    }
    assert_true(least_ms < 8500 && most_ms > 11500);
}

static void a_connection_that_lasted_starts_anew(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < 9; i++) {
        (void)pause_after_failure(w);
    }
    /* accepted and ended at once, again and again: no reason to hurry */
    assert_about(pause_after_connection(w, 0), 10000);
    assert_about(pause_after_connection(w, 9999), 10000);
    assert_about(pause_after_connection(w, 10000), 100);
    assert_about(pause_after_failure(w), 200);
    assert_about(pause_after_connection(w, 5000), 400);
}

/* A peer that was dropped for what it sent is left alone for drop_pause_ms, whatever the backoff.
 */
static void a_dropped_peer_is_left_alone(void **state)
{
    struct world *w = *state;
    w->peer->dialing = &w->conn;
    dsmr_net_peer_gone(&w->conn, DSMR_NET_CONN_HELLO, DSMR_ERR_WRONG_CHAIN);
    uint64_t until_ms = START_MS + w->net.limits.drop_pause_ms;
    assert_int_equal(dsmr_net_peer_check_time(&w->net, w->peer, until_ms - 1), until_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pauses_double_up_to_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(pauses_vary, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_lasted_starts_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dropped_peer_is_left_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
