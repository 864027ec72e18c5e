/* What becomes of transactions whose node says nothing more: another node is asked for each. */
#include "unit/app/fake_chain.h"

#include "app/cli_load_flight.h"

#define LIVE 1 /* the place of the node that lives, in config.nodes */

enum fate { EXECUTED, FAILED, EXPIRED, LOST, FATES };

static enum fate fate_of(const struct dsmr_id *id)
{
    return id->bytes[0] % FATES;
}

/* ---- a node that knows what became of another's ---- */

struct witness {
    struct chain *dead; /* took them */
    struct chain *live; /* is asked */
    struct dsmr_query_ops ops;
    _Atomic uint64_t told[FATES];
    bool must_stop;  /* ends the connections of the dead one in the middle of the load */
    atomic_int stop; /* the load, after that */
};

static struct witness witness; /* the ops have the node for their self */

static bool has_run(struct chain *chain, const struct dsmr_id *id)
{
    bool found = false;
    pthread_mutex_lock(&chain->lock);
    for (uint64_t h = 1; h <= chain->height && !found; h++) {
        for (uint32_t i = 0; i < chain->blocks[h]->count && !found; i++) {
            found = dsmr_id_equal(&chain->blocks[h]->ids[i], id);
        }
    }
    pthread_mutex_unlock(&chain->lock);
    return found;
}

static enum dsmr_err witness_tx(void *self, struct dsmr_query_tx *out, const struct dsmr_id *id)
{
    static const enum dsmr_query_tx_state states[] = {DSMR_TX_EXECUTED, DSMR_TX_FAILED,
                                                      DSMR_TX_EXPIRED};
    enum fate fate = fate_of(id);
    memset(out, 0, sizeof(*out));
    out->height = 1000000;
    if (has_run(self, id)) { /* its own */
        out->state = DSMR_TX_EXECUTED;
        return DSMR_OK;
    }
    witness.told[fate]++;
    if (fate == LOST) {
        return DSMR_ERR_UNKNOWN;
    }
    out->state = states[fate];
    return DSMR_OK;
}

static struct dsmr_cli_load_config witness_open(void)
{
    witness = (struct witness){.dead = chain_open(), .live = chain_open()};
    struct dsmr_cli_load_config config = config_for(witness.dead);
    witness.dead->is_mute = true;
    witness.live->ops.tx = witness_tx;
    config.nodes[LIVE] = config.nodes[0];
    config.nodes[LIVE].http_port = dsmr_api_http_port(witness.live->api);
    config.nodes[LIVE].submit_port = dsmr_api_submit_port(witness.live->api);
    config.nodes_count = 2;
    config.rate = 400; /* so that they are few where all is slow */
    config.roots_wait_ms = 1;
    config.expiry_ms = 2000;
    config.grace_ms = 1;
    config.quiet_ms = 60000; /* longer than until they expire */
    return config;
}

static void witness_close(void)
{
    chain_close(witness.live);
    chain_close(witness.dead);
}

/* Once some are admitted, it takes no more words; once some lie there without a word, it ends. */
static void end_in_the_middle(void *ctx, const struct dsmr_cli_load_snapshot *snapshot)
{
    const struct dsmr_cli_load_node *node = &snapshot->nodes[0];
    struct chain *dead = witness.dead;
    (void)ctx;
    if (node->admitted > 50 && !dead->is_deaf) {
        dead->is_deaf = true;
    } else if (witness.must_stop && dead->is_deaf && node->admitted == dead->admitted &&
               node->sent > node->admitted + 50) {
        chain_stop_api(dead);
        witness.stop = 1;
    }
}

static void middle_ends(struct dsmr_cli_load_config *config)
{
    witness.must_stop = true;
    config->progress = end_in_the_middle;
    config->stop = &witness.stop;
    config->duration_ms = 600000; /* until then */
}

/* All that was sent is accounted for, by what the one said and the other was asked. */
static void is_accounted_for(const struct dsmr_cli_load_result *r)
{
    uint64_t own = witness.live->node.metrics.values[DSMR_METRIC_TXS_EXECUTED];
    uint64_t run = witness.told[EXECUTED] + witness.told[FAILED];
    assert_true(r->is_drained);
    assert_int_equal(r->sent, r->admitted + r->refused);
    assert_int_equal(r->admitted, r->executed_txs + r->expired_txs + r->lost_txs);
    assert_true(own > 0 && run > 0 && witness.told[EXPIRED] > 0 && r->lost_txs > 0);
    assert_int_equal(r->executed_txs, own + run);
    assert_int_equal(r->failed_txs, witness.told[FAILED]);
    assert_int_equal(r->expired_txs, witness.told[EXPIRED]);
    assert_int_equal(r->executed_height_max, 1000000);
    assert_int_equal(r->notices_twice, 0);
    assert_true(r->is_verified);
    assert_int_equal(r->missing_txs, run); /* they are looked for in blocks, as all others */
}

/* The result of a load that could be run; until the next one. */
static struct dsmr_cli_load_result *run_load(const struct dsmr_cli_load_config *config)
{
    static struct dsmr_cli_load_result result;
    const char *reason = "";
    assert_int_equal(dsmr_cli_load_run(&result, &reason, config), DSMR_OK);
    return &result;
}

static void a_dead_node_is_asked_after(void **state)
{
    struct dsmr_cli_load_config config = witness_open();
    (void)state;
    middle_ends(&config);
    struct dsmr_cli_load_result *r = run_load(&config);
    assert_true(witness.dead->is_api_stopped);
    is_accounted_for(r);
    assert_true(r->refused > 0); /* not acknowledged, not known: it never came in */
    assert_true(r->admitted < r->sent);
    witness_close();
}

/* Its connection stays, and no word comes: the end of the expiry is the end of waiting. */
static void a_silent_node_is_hung_up_on(void **state)
{
    struct dsmr_cli_load_config config = witness_open();
    (void)state;
    config.nodes[0].http_port = config.nodes[LIVE].http_port; /* asked, it would say: pending */
    config.verify = false;
    struct dsmr_cli_load_result *r = run_load(&config);
    r->is_verified = true;
    r->missing_txs = witness.told[EXECUTED] + witness.told[FAILED];
    is_accounted_for(r);
    assert_int_equal(r->admitted, r->sent);
    witness_close();
}

/* While no node answers nothing is known, and nothing is called lost. */
static void without_a_node_nothing_is_lost(void **state)
{
    struct dsmr_cli_load_config config = witness_open();
    (void)state;
    middle_ends(&config);
    config.nodes_count = 1;
    config.expiry_ms = 1;
    config.drain_ms = 1500; /* the lookup has asked in vain by then, or not: both are right */
    struct dsmr_cli_load_result *r = run_load(&config);
    assert_true(r->admitted > 50);
    assert_int_equal(r->executed_txs + r->expired_txs + r->lost_txs, 0);
    assert_false(r->is_drained);
    witness_close();
}

/* Its transactions expire in an hour, and the load has a month to find out about them. */
static void who_stops_the_load_does_not_wait_for_the_dead(void **state)
{
    struct dsmr_cli_load_config config = witness_open();
    (void)state;
    middle_ends(&config);
    config.expiry_ms = 3600000;
    config.drain_ms = config.roots_wait_ms = UINT32_MAX;
    config.quiet_ms = 20;
    struct dsmr_cli_load_result *r = run_load(&config);
    assert_true(r->admitted > 50);
    assert_int_equal(r->lost_txs, 0); /* none can be called so yet */
    assert_false(r->is_drained);
    assert_int_equal(r->nodes_reachable, 1);
    assert_false(r->state_roots_equal);
    witness_close();
}

/* ---- flight ---- */

static struct dsmr_cli_load_flight_tx taken[4];
static size_t taken_count;

static void take(void *ctx, const struct dsmr_cli_load_flight_tx *tx)
{
    (void)ctx;
    assert_true(taken_count < 4);
    taken[taken_count++] = *tx;
}

static void what_is_open_falls_out_of_the_window(void **state)
{
    struct dsmr_cli_load_flight flight;
    struct dsmr_cli_load_flight_tx out;
    (void)state;
    assert_int_equal(dsmr_cli_load_flight_init(&flight), DSMR_OK);
    for (uint64_t seq = 0; seq < DSMR_CLI_LOAD_FLIGHT_WINDOW; seq++) {
        assert_false(dsmr_cli_load_flight_add(&flight, &out, seq, 2 * seq, seq + 7));
    }
    dsmr_cli_load_flight_set(&flight, 0, DSMR_CLI_LOAD_FLIGHT_CLOSED);
    dsmr_cli_load_flight_set(&flight, 1, DSMR_CLI_LOAD_FLIGHT_ADMITTED);
    assert_int_equal(flight.open, DSMR_CLI_LOAD_FLIGHT_WINDOW - 1);
    assert_non_null(dsmr_cli_load_flight_at(&flight, 0));
    uint64_t end = flight.seq_end;
    assert_null(dsmr_cli_load_flight_at(&flight, end));
    assert_false(dsmr_cli_load_flight_add(&flight, &out, end, 0, 0));
    assert_null(dsmr_cli_load_flight_at(&flight, 0));
    assert_true(dsmr_cli_load_flight_add(&flight, &out, end + 1, 0, 0));
    assert_int_equal(out.seq, 1);
    assert_int_equal(out.index, 2);
    assert_int_equal(out.expiry_ms, 8);
    assert_int_equal(out.state, DSMR_CLI_LOAD_FLIGHT_ADMITTED);
    assert_int_equal(flight.open, DSMR_CLI_LOAD_FLIGHT_WINDOW);
    for (uint64_t seq = 2; seq < end - 1; seq++) {
        dsmr_cli_load_flight_set(&flight, seq, DSMR_CLI_LOAD_FLIGHT_CLOSED);
    }
    taken_count = 0;
    dsmr_cli_load_flight_take_all(&flight, take, NULL);
    assert_int_equal(taken_count, 3);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(taken[i].seq, end - 1 + i);
        assert_int_equal(taken[i].state, DSMR_CLI_LOAD_FLIGHT_SENT);
    }
    assert_int_equal(flight.open, 0);
    dsmr_cli_load_flight_take_all(&flight, take, NULL);
    assert_int_equal(taken_count, 3);
    dsmr_cli_load_flight_close(&flight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_node_is_asked_after),
        cmocka_unit_test(a_silent_node_is_hung_up_on),
        cmocka_unit_test(without_a_node_nothing_is_lost),
        cmocka_unit_test(who_stops_the_load_does_not_wait_for_the_dead),
        cmocka_unit_test(what_is_open_falls_out_of_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
