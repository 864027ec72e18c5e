/* Waiting for a transaction: each way it ends, many for one id, the limit, deadlines, close. */
#include "unit/api/fake_node.h"

#include "api/waits.h"

struct heard {
    int times;
    struct dsmr_waits_news news;
};

static void on_done(void *ctx, const struct dsmr_waits_news *news)
{
    struct heard *heard = ctx;
    heard->times++;
    heard->news = *news;
}

static struct dsmr_id id_of(uint64_t number)
{
    struct dsmr_id id = {{0}};
    dsmr_store_be64(id.bytes, number);
    return id;
}

static uint64_t add(struct dsmr_waits *waits, struct heard *heard, uint64_t number,
                    enum dsmr_waits_mode mode, uint64_t deadline_ms)
{
    uint64_t ticket = 0;
    const struct dsmr_waits_news what = {.id = id_of(number), .mode = mode};
    memset(heard, 0, sizeof(*heard));
    assert_int_equal(dsmr_waits_add(waits, &ticket, &what, deadline_ms, on_done, heard), DSMR_OK);
    assert_true(ticket != 0);
    return ticket;
}

static void expect(const struct heard *heard, enum dsmr_err err, enum dsmr_query_tx_state state)
{
    assert_int_equal(heard->times, 1);
    assert_int_equal(heard->news.err, err);
    assert_int_equal(heard->news.state, state);
}

static void sync_ends_with_the_answer_of_the_door(void **state)
{
    struct dsmr_waits *waits = dsmr_waits_new(4, 1);
    struct heard a, b;
    (void)state;
    uint64_t ticket = add(waits, &a, 1, DSMR_WAITS_ADMITTED, 100);
    dsmr_waits_submitted(waits, ticket, DSMR_OK, NULL);
    expect(&a, DSMR_OK, DSMR_TX_PENDING);
    dsmr_waits_submitted(waits, ticket, DSMR_OK, NULL); /* the ticket is used up */
    assert_int_equal(a.times, 1);
    ticket = add(waits, &b, 2, DSMR_WAITS_EXECUTED, 100);
    dsmr_waits_submitted(waits, ticket, DSMR_ERR_MEMPOOL_FULL, NULL);
    expect(&b, DSMR_ERR_MEMPOOL_FULL, DSMR_TX_UNKNOWN);
    assert_int_equal(dsmr_waits_count(waits), 0);
    dsmr_waits_free(waits);
}

static void certified_and_executed_end_at_their_notice(void **state)
{
    struct dsmr_waits *waits = dsmr_waits_new(4, 1);
    struct heard certified, executed, other;
    const struct dsmr_id ids[2] = {id_of(9), id_of(1)};
    (void)state;
    uint64_t c = add(waits, &certified, 1, DSMR_WAITS_CERTIFIED, 100);
    uint64_t e = add(waits, &executed, 1, DSMR_WAITS_EXECUTED, 100);
    (void)add(waits, &other, 2, DSMR_WAITS_EXECUTED, 100);
    dsmr_waits_submitted(waits, c, DSMR_OK, NULL);
    dsmr_waits_submitted(waits, e, DSMR_OK, NULL);
    assert_int_equal(certified.times + executed.times, 0);
    dsmr_waits_certified(waits, ids, 2);
    expect(&certified, DSMR_OK, DSMR_TX_CERTIFIED);
    assert_int_equal(executed.times, 0);
    struct dsmr_executed *block = make_executed(7, 0, ids, 2);
    block->results[1] = (struct dsmr_app_result){.code = 3, .fee = 11};
    dsmr_waits_executed(waits, block);
    expect(&executed, DSMR_OK, DSMR_TX_FAILED);
    assert_int_equal(executed.news.height, 7);
    assert_int_equal(executed.news.result.code, 3);
    assert_int_equal(executed.news.result.fee, 11);
    assert_int_equal(other.times, 0);
    dsmr_executed_unref(block);
    const struct dsmr_id second = id_of(2);
    dsmr_waits_expired(waits, &second, 1);
    expect(&other, DSMR_ERR_EXPIRED, DSMR_TX_EXPIRED);
    dsmr_waits_free(waits);
}

static void execution_also_ends_a_wait_for_the_certificate(void **state)
{
    struct dsmr_waits *waits = dsmr_waits_new(1, 1);
    struct heard heard;
    const struct dsmr_id id = id_of(5);
    (void)state;
    (void)add(waits, &heard, 5, DSMR_WAITS_CERTIFIED, 100);
    struct dsmr_executed *block = make_executed(3, 0, &id, 1);
    dsmr_waits_executed(waits, block); /* another node's chunk carried it */
    dsmr_executed_unref(block);
    expect(&heard, DSMR_OK, DSMR_TX_EXECUTED);
    dsmr_waits_free(waits);
}

static void a_duplicate_ends_where_it_already_is(void **state)
{
    static const struct {
        enum dsmr_waits_mode mode;
        enum dsmr_query_tx_state known;
        int times;
        enum dsmr_err err;
    } cases[] = {
        {DSMR_WAITS_ADMITTED, DSMR_TX_PENDING, 1, DSMR_ERR_DUPLICATE},
        {DSMR_WAITS_CERTIFIED, DSMR_TX_IN_CHUNK, 0, DSMR_OK},
        {DSMR_WAITS_CERTIFIED, DSMR_TX_CERTIFIED, 1, DSMR_OK},
        {DSMR_WAITS_CERTIFIED, DSMR_TX_IN_BLOCK, 1, DSMR_OK},
        {DSMR_WAITS_EXECUTED, DSMR_TX_IN_BLOCK, 0, DSMR_OK},
        {DSMR_WAITS_EXECUTED, DSMR_TX_EXECUTED, 1, DSMR_OK},
        {DSMR_WAITS_EXECUTED, DSMR_TX_FAILED, 1, DSMR_OK},
        {DSMR_WAITS_EXECUTED, DSMR_TX_EXPIRED, 1, DSMR_ERR_EXPIRED},
        {DSMR_WAITS_EXECUTED, DSMR_TX_UNKNOWN, 0, DSMR_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dsmr_waits *waits = dsmr_waits_new(1, 1);
        struct heard heard;
        const struct dsmr_query_tx known = {.state = cases[i].known, .height = 4};
        uint64_t ticket = add(waits, &heard, 1, cases[i].mode, 100);
        dsmr_waits_submitted(waits, ticket, DSMR_ERR_DUPLICATE, &known);
        assert_int_equal(heard.times, cases[i].times);
        if (heard.times == 1) {
            assert_int_equal(heard.news.err, cases[i].err);
        }
        dsmr_waits_close(waits);
        assert_int_equal(heard.times, 1);
        dsmr_waits_free(waits);
    }
}

static void deadlines_are_exact_and_keep_the_state(void **state)
{
    struct dsmr_waits *waits = dsmr_waits_new(2, 1);
    struct heard early, late;
    (void)state;
    uint64_t ticket = add(waits, &early, 1, DSMR_WAITS_EXECUTED, 100);
    (void)add(waits, &late, 2, DSMR_WAITS_EXECUTED, 101);
    dsmr_waits_submitted(waits, ticket, DSMR_OK, NULL);
    dsmr_waits_tick(waits, 99);
    assert_int_equal(early.times, 0);
    dsmr_waits_tick(waits, 100);
    expect(&early, DSMR_ERR_TIMEOUT, DSMR_TX_PENDING);
    assert_int_equal(late.times, 0);
    dsmr_waits_tick(waits, 1000);
    expect(&late, DSMR_ERR_TIMEOUT, DSMR_TX_UNKNOWN);
    dsmr_waits_free(waits);
}

static void the_limit_refuses_and_recovers(void **state)
{
    struct dsmr_waits *waits = dsmr_waits_new(3, 1);
    struct heard heard[3], refused;
    uint64_t tickets[3], ticket = 0;
    const struct dsmr_waits_news what = {.id = id_of(1), .mode = DSMR_WAITS_EXECUTED};
    (void)state;
    memset(&refused, 0, sizeof(refused));
    for (int i = 0; i < 3; i++) {
        tickets[i] = add(waits, &heard[i], 1, DSMR_WAITS_EXECUTED, 100); /* all of one id */
    }
    assert_int_equal(dsmr_waits_add(waits, &ticket, &what, 1, on_done, &refused), DSMR_ERR_FULL);
    assert_true(dsmr_waits_cancel(waits, tickets[1]));
    assert_false(dsmr_waits_cancel(waits, tickets[1]));
    assert_int_equal(dsmr_waits_add(waits, &ticket, &what, 100, on_done, &refused), DSMR_OK);
    assert_int_not_equal(ticket, tickets[1]); /* the slot is the same, the ticket is not */
    assert_false(dsmr_waits_cancel(waits, 0));
    assert_false(dsmr_waits_cancel(waits, UINT64_MAX));
    dsmr_waits_close(waits);
    assert_int_equal(heard[0].times, 1);
    assert_int_equal(heard[1].times, 0);
    expect(&heard[2], DSMR_ERR_CLOSED, DSMR_TX_UNKNOWN);
    assert_int_equal(dsmr_waits_add(waits, &ticket, &what, 100, on_done, &refused),
                     DSMR_ERR_CLOSED);
    dsmr_waits_free(waits);
}

static void places_are_used_again_for_ever(void **state)
{
    struct dsmr_waits *waits = dsmr_waits_new(3, 1);
    struct heard heard;
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) { /* each id is new */
        uint64_t ticket = add(waits, &heard, i, DSMR_WAITS_EXECUTED, 100);
        if (i % 2 == 0) {
            assert_true(dsmr_waits_cancel(waits, ticket));
        } else {
            dsmr_waits_submitted(waits, ticket, DSMR_ERR_BAD_TX, NULL);
        }
    }
    assert_int_equal(dsmr_waits_count(waits), 0);
    dsmr_waits_free(waits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_ends_with_the_answer_of_the_door),
        cmocka_unit_test(certified_and_executed_end_at_their_notice),
        cmocka_unit_test(execution_also_ends_a_wait_for_the_certificate),
        cmocka_unit_test(a_duplicate_ends_where_it_already_is),
        cmocka_unit_test(deadlines_are_exact_and_keep_the_state),
        cmocka_unit_test(the_limit_refuses_and_recovers),
        cmocka_unit_test(places_are_used_again_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
