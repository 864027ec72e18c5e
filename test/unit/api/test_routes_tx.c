/* Transactions on their way in: bodies, modes, waiting, and where each is, over fake ports. */
#include "unit/api/fake_routes.h"

#define BODY "{\"tx\":\"010000000000100000aabbccddeeff00\"}"

static void post(struct world *w, const char *query, const char *body)
{
    char target[128];
    (void)snprintf(target, sizeof(target), "/v1/tx%s", query);
    ask(w, "POST", target, body, strlen(body));
}

/* The body with transaction number of make_tx, which is valid for another 50 s. */
static void post_tx(struct world *w, const char *query, uint64_t number)
{
    uint8_t tx[32];
    char body[96] = "{\"tx\":\"";
    make_tx(tx, number, 1050000);
    dsmr_hex_encode(body + 7, tx, 32);
    memcpy(body + 7 + 64, "\"}", 3);
    post(w, query, body);
}

static void bodies_that_make_no_sense(void **state)
{
    struct world *w = *state;
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "\"x\"",
        "{}",
        "{\"tx\":1}",
        "{\"tx\":null}",
        "{\"tx\":\"\"}",
        "{\"tx\":\"0x\"}",
        "{\"tx\":\"010000000000100000aabbccddeeff\"}",    /* 15 bytes */
        "{\"tx\":\"010000000000100000aabbccddeeff000\"}", /* odd */
        "{\"tx\":\"010000000000100000aabbccddeeff0g\"}",  /* not hex */
        "{\"tx\":\"010000000000100000aabbccddeeff00\",\"tx\":\"010000000000100000aabbccddeeff00\"}",
        "{\"tx\":\"010000000000100000aabbccddeeff00\",\"more\":1}",
        "{\"tx\":\"010000000000100000aabbccddeeff00\"} trailing",
        "[[[[[[[[[1]]]]]]]]]", /* 9 deep */
        "{\"tx\":\"\xff\"}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        post(w, "", bodies[i]);
        expect_error(w, 400, "bad_request");
    }
    assert_int_equal(w->node.batches_count, 0);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_MALFORMED],
                     sizeof(bodies) / sizeof(bodies[0]));
}

static void deep_and_large_bodies_are_refused_before_they_are_parsed(void **state)
{
    struct world *w = *state;
    char *bomb = malloc(70000);
    memset(bomb, '[', 70000);
    ask(w, "POST", "/v1/tx", bomb, 65536);
    expect_error(w, 400, "bad_request");
    assert_non_null(strstr(w->reply.body, "deeper than 8"));
    ask(w, "POST", "/v1/tx", bomb, 65537);
    expect_error(w, 413, "too_large");
    /* Brackets within a string are no depth; quotes behind a backslash do not end it. */
    post(w, "", "{\"tx\":\"[[[[[[[[[[[[ \\\" [[[[[[[[\"}");
    assert_null(strstr(w->reply.body, "deeper"));
    post(w, "", "[[[[[[[[[1]]]]]]]]]"); /* 9 deep */
    assert_non_null(strstr(w->reply.body, "deeper"));
    post(w, "", "[[[[[[[[1]]]]]]]]"); /* 8 deep: parsed, and refused for another reason */
    assert_null(strstr(w->reply.body, "deeper"));
    /* The largest that fits. */
    memset(bomb, '0', 65536);
    memcpy(bomb, "{\"tx\":\"", 7);
    memcpy(bomb + 65533, "\" }", 3);
    ask(w, "POST", "/v1/tx?mode=async", bomb, 65536);
    assert_int_equal(w->reply.status, 202);
    assert_int_equal(w->node.batches[0]->txs[0].len, (65533 - 7) / 2);
    free(bomb);
}

static size_t json_bytes;

static void *counted_malloc(size_t size)
{
    json_bytes += size;
    return malloc(size);
}

/* All that the parser asks for, given back or not, beside the answer, which is small. */
static void bodies_cost_little_memory(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *head, *filler, *tail;
    } shapes[] = {
        {"{\"tx\":\"", "00", "\"}"},
        {"{\"tx\":\"", "00", ""},
        {"{\"tx\":\"", "\\n", "\"}"},
        {"{\"", "a", "\":1}"},
        {"[", "0,", "0]"},
        {"[", "{},", "{}]"},
        {"[", "[],", "[]]"},
        {"[", "\"\",", "\"\"]"},
        {"{\"a\":0", ",\"b\":0", "}"},
        {"{\"a\":0", ",\"\\u00e9\":{}", "}"},
        {"", "{}", ""},
        {"", "1", ""},
        {"", " ", "{}"},
    };
    char *body = malloc(65536);
    assert_non_null(body);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        size_t len = strlen(shapes[i].head), tail = strlen(shapes[i].tail);
        size_t filler = strlen(shapes[i].filler);
        memcpy(body, shapes[i].head, len);
        for (; len + filler + tail <= 65536; len += filler) {
            memcpy(body + len, shapes[i].filler, filler);
        }
        memcpy(body + len, shapes[i].tail, tail);
        json_bytes = 0;
        json_set_alloc_funcs(counted_malloc, free);
        ask(w, "POST", "/v1/tx?mode=async", body, len + tail);
        json_set_alloc_funcs(malloc, free);
        assert_true(json_bytes <= 4 * (len + tail) + 4096);
    }
    free(body);
}

static void modes_and_timeouts_are_checked(void **state)
{
    struct world *w = *state;
    static const char *const queries[] = {"?mode=",
                                          "?mode=now",
                                          "?mode=SYNC",
                                          "?timeout_ms=0",
                                          "?timeout_ms=",
                                          "?timeout_ms=1s",
                                          "?mode=sync&timeout_ms=99999999999999999999999"};
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]) - 1; i++) {
        post(w, queries[i], BODY);
        expect_error(w, 400, "bad_request");
    }
    assert_int_equal(w->node.batches_count, 0);
}

static void async_answers_at_once(void **state)
{
    struct world *w = *state;
    post(w, "?mode=async", BODY);
    assert_int_equal(w->reply.status, 202);
    struct dsmr_submit_batch *batch = fake_take(&w->node);
    char hex[65];
    dsmr_hex_encode(hex, batch->txs[0].id.bytes, 32);
    assert_string_equal(text(w->reply.json, "tx"), hex);
    assert_int_equal(batch->txs[0].tag, 0);
    assert_null(batch->origin);
    publish_batch(&w->feed, batch, DSMR_ERR_BAD_TX);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->reply.times, 1);
    w->node.is_full = true;
    post(w, "?mode=async", BODY);
    expect_error(w, 503, "mempool_full");
    assert_int_equal(w->reply.retry_after_s, 1);
}

static void sync_answers_when_admitted_or_says_why_not(void **state)
{
    struct world *w = *state;
    static const struct {
        enum dsmr_err err;
        int status;
    } cases[] = {
        {DSMR_ERR_DUPLICATE, 409},     {DSMR_ERR_MEMPOOL_FULL, 503}, {DSMR_ERR_BAD_TX, 400},
        {DSMR_ERR_BAD_SIGNATURE, 400}, {DSMR_ERR_EXPIRED, 410},      {DSMR_ERR_TX_EXPIRY, 400},
        {DSMR_ERR_WRONG_CHAIN, 400},   {DSMR_ERR_TOO_LARGE, 413},    {DSMR_ERR_NO_MEMORY, 500},
        {DSMR_ERR_INSUFFICIENT, 409},  {DSMR_ERR_FEE_LIMIT, 409},    {DSMR_ERR_BEHIND, 503},
        {DSMR_ERR_DISK_LOW, 503},      {DSMR_ERR_NOT_YET, 503},      {DSMR_ERR_NOT_PRODUCING, 503},
        {DSMR_ERR_HALTED, 503},        {DSMR_ERR_CLOSED, 503},       {DSMR_ERR_UNAVAILABLE, 503}};
    post(w, "", BODY);
    assert_int_equal(w->reply.times, 0);
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->reply.status, 200);
    assert_string_equal(text(w->reply.json, "state"), "pending");
    assert_string_equal(text(w->reply.json, "mode"), "sync");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        post_tx(w, "?mode=sync", i);
        fake_refuse(&w->node, &w->feed, cases[i].err);
        dsmr_tracker_drain(w->tracker);
        expect_error(w, cases[i].status, dsmr_err_name(cases[i].err));
        assert_int_equal(strlen(text(w->reply.json, "tx")), 64);
    }
    w->node.is_full = true;
    post_tx(w, "?mode=sync", 99);
    expect_error(w, 503, "mempool_full");
    assert_int_equal(dsmr_waits_count(w->waits), 0);
}

static void certified_and_executed_wait_for_their_notice(void **state)
{
    struct world *w = *state;
    struct dsmr_chunk *chunk = make_chunk(1, 1, 1050000);
    post_tx(w, "?mode=certified", 1);
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->reply.times, 0);
    publish_certified(&w->feed, chunk);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->reply.status, 200);
    assert_string_equal(text(w->reply.json, "state"), "certified");

    post_tx(w, "?mode=executed", 1); /* is on its way: not handed over again */
    assert_int_equal(w->node.batches_count, 1);
    publish_certified(&w->feed, chunk);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->reply.times, 0);
    w->node.tx_err = DSMR_OK;
    w->node.tx.state = DSMR_TX_EXECUTED;
    w->node.tx.code_text = "done";
    publish_executed(&w->feed, 12, 1000, chunk->tx_ids, 1);
    dsmr_tracker_drain(w->tracker);
    assert_int_equal(w->reply.status, 200);
    assert_string_equal(text(w->reply.json, "state"), "executed");
    assert_string_equal(text(w->reply.json, "reason"), "done");
    assert_int_equal(number(w->reply.json, "height"), 12);
    dsmr_chunk_unref(chunk);
}

static const json_t *where(struct world *w, const struct dsmr_id *id, const char *state)
{
    char path[160];
    dsmr_tracker_drain(w->tracker);
    hex_path(path, "/v1/tx/", id, "");
    const json_t *tx = get(w, path, 200);
    assert_string_equal(text(tx, "state"), state);
    return tx;
}

static void a_transaction_is_followed_from_mempool_to_result(void **state)
{
    struct world *w = *state;
    struct dsmr_chunk *chunk = make_chunk(1, 1, 1050000);
    const struct dsmr_id id = chunk->tx_ids[0];
    char hex[65], path[160];
    dsmr_hex_encode(hex, chunk->ref.chunk_id.bytes, 32);
    hex_path(path, "/v1/tx/", &id, "");
    (void)get(w, path, 404);
    post_tx(w, "?mode=async", 1);
    assert_string_equal(text(w->reply.json, "state"), "unknown");
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    const json_t *tx = where(w, &id, "pending");
    assert_true(is_null(tx, "chunk") && is_null(tx, "height") && is_null(tx, "code"));
    publish_chunk(&w->feed, DSMR_NOTICE_BUILT, chunk);
    tx = where(w, &id, "in_chunk");
    assert_string_equal(text(tx, "chunk"), hex);
    assert_true(is_null(tx, "height"));
    publish_chunk(&w->feed, DSMR_NOTICE_RETURNED, chunk);
    assert_true(is_null(where(w, &id, "pending"), "chunk"));
    publish_chunk(&w->feed, DSMR_NOTICE_BUILT, chunk);
    publish_certified(&w->feed, chunk);
    assert_string_equal(text(where(w, &id, "certified"), "chunk"), hex);
    publish_accepted(&w->feed, 9, &chunk, 1);
    tx = where(w, &id, "in_block");
    assert_int_equal(number(tx, "height"), 9);
    assert_string_equal(text(tx, "chunk"), hex);
    assert_true(is_null(tx, "code") && is_null(tx, "reason") && is_null(tx, "fee"));
    publish_certified(&w->feed, chunk); /* a heavier certificate does not lead back */
    (void)where(w, &id, "in_block");
    w->node.tx_err = DSMR_OK; /* the result is in the store before its notice comes */
    w->node.tx = (struct dsmr_query_tx){.state = DSMR_TX_EXECUTED, .height = 9};
    assert_string_equal(text(where(w, &id, "executed"), "chunk"), hex);
    publish_executed(&w->feed, 9, 1000, &id, 1);
    (void)where(w, &id, "executed");
    w->node.tx_err = DSMR_ERR_UNKNOWN; /* pruned: nothing of it is left here */
    (void)get(w, path, 404);
    dsmr_chunk_unref(chunk);
}

static void one_that_came_before_is_not_handed_over_again(void **state)
{
    struct world *w = *state;
    struct dsmr_chunk *chunk = make_chunk(1, 1, 1050000);
    post_tx(w, "", 1);
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    publish_chunk(&w->feed, DSMR_NOTICE_BUILT, chunk); /* no mempool knows it any more */
    dsmr_tracker_drain(w->tracker);
    post_tx(w, "", 1);
    expect_error(w, 409, "duplicate");
    assert_string_equal(text(w->reply.json, "state"), "in_chunk");
    post_tx(w, "?mode=async", 1);
    assert_string_equal(text(w->reply.json, "state"), "in_chunk");
    post_tx(w, "?mode=certified", 1);
    assert_int_equal(w->reply.times, 0);
    publish_certified(&w->feed, chunk);
    dsmr_tracker_drain(w->tracker);
    assert_string_equal(text(w->reply.json, "state"), "certified");
    publish_accepted(&w->feed, 9, &chunk, 1);
    dsmr_tracker_drain(w->tracker);
    post_tx(w, "?mode=certified", 1);
    assert_string_equal(text(w->reply.json, "state"), "in_block");
    assert_int_equal(number(w->reply.json, "height"), 9);
    post_tx(w, "?mode=executed&timeout_ms=10", 1);
    dsmr_waits_tick(w->waits, 5010);
    expect_error(w, 504, "timeout");
    assert_string_equal(text(w->reply.json, "state"), "in_block");
    w->node.tx_err = DSMR_OK;
    w->node.tx = (struct dsmr_query_tx){
        .state = DSMR_TX_FAILED, .height = 9, .result = {.code = 5}, .code_text = "too poor"};
    post_tx(w, "?mode=executed", 1);
    assert_int_equal(w->reply.status, 200);
    assert_string_equal(text(w->reply.json, "state"), "failed");
    assert_string_equal(text(w->reply.json, "reason"), "too poor");
    assert_int_equal(w->node.batches_count, 1);
    assert_int_equal(w->node.metrics.errors[DSMR_ERR_DUPLICATE], 6);
    assert_int_equal(dsmr_metrics_get(&w->node.metrics, DSMR_METRIC_SUBMIT_TXS), 7);
    dsmr_chunk_unref(chunk);
}

static void waiting_ends_by_timeout_expiry_and_close(void **state)
{
    struct world *w = *state;
    post(w, "?mode=executed&timeout_ms=10", BODY); /* its expiry is 1048576: 48 s ahead */
    publish_batch(&w->feed, fake_take(&w->node), DSMR_OK);
    dsmr_tracker_drain(w->tracker);
    dsmr_waits_tick(w->waits, 5009);
    assert_int_equal(w->reply.times, 0);
    dsmr_waits_tick(w->waits, 5010);
    expect_error(w, 504, "timeout");
    assert_string_equal(text(w->reply.json, "state"), "pending");
    /* The node's own limit goes before the client's wish. */
    post(w, "?mode=executed&timeout_ms=3600000", BODY);
    dsmr_waits_tick(w->waits, 5000 + 29999);
    assert_int_equal(w->reply.times, 0);
    dsmr_waits_tick(w->waits, 5000 + 30000);
    expect_error(w, 504, "timeout");
    /* A transaction that cannot run any more is not waited for. */
    w->node.wall_ms = 1048576 - 1;
    post(w, "?mode=executed", BODY);
    dsmr_waits_tick(w->waits, 5000 + 2000);
    assert_int_equal(w->reply.times, 0);
    dsmr_waits_tick(w->waits, 5000 + 2001);
    expect_error(w, 504, "timeout");
    post(w, "?mode=certified", BODY);
    dsmr_waits_close(w->waits);
    expect_error(w, 503, "closed");
    post(w, "?mode=certified", BODY);
    expect_error(w, 503, "closed");
}

static void too_many_waits_are_busy(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 4; i++) {
        post(w, "?mode=executed", BODY);
        assert_int_equal(w->reply.times, 0);
    }
    post(w, "?mode=executed", BODY);
    expect_error(w, 503, "busy");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(bodies_that_make_no_sense),
        TEST(deep_and_large_bodies_are_refused_before_they_are_parsed),
        TEST(bodies_cost_little_memory),
        TEST(modes_and_timeouts_are_checked),
        TEST(async_answers_at_once),
        TEST(sync_answers_when_admitted_or_says_why_not),
        TEST(certified_and_executed_wait_for_their_notice),
        TEST(a_transaction_is_followed_from_mempool_to_result),
        TEST(one_that_came_before_is_not_handed_over_again),
        TEST(waiting_ends_by_timeout_expiry_and_close),
        TEST(too_many_waits_are_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
