/* Every route that asks, with its answers and refusals, over fake ports. */
#include "unit/api/fake_routes.h"

#include "wire/results_page.h"

static void unknown_paths_and_methods(void **state)
{
    struct world *w = *state;
    static const char *const paths[] = {"/",           "/v1",         "/v1/",           "/v1/tx/",
                                        "/v1/tx/a/b",  "/v1/statusx", "/v1/block//txs", "/health/",
                                        "//v1/status", "/metrics/x"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        (void)get(w, paths[i], 404);
        expect_error(w, 404, "no_such_path");
    }
    char longer[200] = "/v1/tx/";
    memset(longer + 7, 'a', 180);
    (void)get(w, longer, 404);
    ask(w, "POST", "/v1/status", NULL, 0);
    expect_error(w, 405, "method_not_allowed");
    assert_string_equal(w->reply.allow, "GET, HEAD");
    ask(w, "GET", "/v1/tx", NULL, 0);
    expect_error(w, 405, "method_not_allowed");
    assert_string_equal(w->reply.allow, "POST");
    ask(w, "HEAD", "/v1/status", NULL, 0);
    assert_int_equal(w->reply.status, 200);
    assert_int_equal(dsmr_metrics_get(&w->node.metrics, DSMR_METRIC_HTTP_REQUESTS), 14);
}

static void status_tells_numbers_and_halts(void **state)
{
    struct world *w = *state;
    w->node.status.epoch = DSMR_EPOCH_NONE;
    w->node.status.height = UINT64_C(1) << 53;
    w->node.status.executed_height = (UINT64_C(1) << 53) + 1;
    w->node.status.clock_offset_ms = -4;
    const json_t *s = get(w, "/v1/status", 200);
    assert_string_equal(w->reply.content_type, "application/json");
    assert_true(is_null(s, "epoch"));
    assert_true(is_null(s, "halt_reason"));
    assert_int_equal(number(s, "height"), 1LL << 53);
    assert_string_equal(text(s, "executed_height"), "9007199254740993");
    assert_int_equal(number(s, "clock_offset_ms"), -4);
    assert_string_equal(text(s, "version"), "1.2.3");
    assert_string_equal(text(s, "engine"), "bft");
    w->node.status.is_halted = true;
    w->node.status.halt_reason = DSMR_ERR_CORRUPT;
    s = get(w, "/v1/status", 200);
    assert_string_equal(text(s, "halt_reason"), "corrupt");
}

static void transactions_by_id(void **state)
{
    struct world *w = *state;
    char path[160];
    const struct dsmr_id id = {{1, 2, 3}};
    hex_path(path, "/v1/tx/", &id, "");
    (void)get(w, path, 404);
    expect_error(w, 404, "unknown");
    publish_expired(&w->feed, &id, 1);
    dsmr_tracker_drain(w->tracker);
    assert_string_equal(text(get(w, path, 200), "state"), "expired");
    fill(w);
    const json_t *tx = get(w, path, 200);
    assert_string_equal(text(tx, "state"), "failed");
    assert_int_equal(number(tx, "code"), 2);
    assert_string_equal(text(tx, "reason"), "balance is too low");
    assert_string_equal(text(tx, "fee"), "220");
    assert_int_equal(number(tx, "height"), 7);
    w->node.tx = (struct dsmr_query_tx){.state = DSMR_TX_PENDING};
    tx = get(w, path, 200);
    assert_true(is_null(tx, "chunk") && is_null(tx, "height") && is_null(tx, "code"));
    hex_path(path, "/v1/tx/0x", &id, "");
    (void)get(w, path, 200);
    (void)get(w, "/v1/tx/12", 400);
    expect_error(w, 400, "bad_request");
    (void)get(w, "/v1/tx/zz00000000000000000000000000000000000000000000000000000000000000", 400);
    w->node.tx_err = DSMR_ERR_IO;
    hex_path(path, "/v1/tx/", &id, "");
    (void)get(w, path, 500);
    expect_error(w, 500, "io");
}

static void blocks_by_height_id_and_latest(void **state)
{
    struct world *w = *state;
    char path[160];
    (void)get(w, "/v1/block/7", 404);
    fill(w);
    const json_t *block = get(w, "/v1/block/7", 200);
    assert_int_equal(number(block, "height"), 7);
    assert_int_equal(json_array_size(json_object_get(block, "certs")), 1);
    const json_t *cert = json_array_get(json_object_get(block, "certs"), 0);
    const json_t *signers = json_object_get(cert, "signers");
    assert_int_equal(json_array_size(signers), 2);
    assert_int_equal(json_integer_value(json_array_get(signers, 1)), 2);
    assert_int_equal(number(json_object_get(block, "executed"), "tx_count"), 3);
    assert_int_equal(json_array_size(json_object_get(block, "past_epochs")), 1);
    (void)get(w, "/v1/block/latest", 200);
    w->node.status.height = 7 + 63; /* those above are on their way to the disk */
    assert_int_equal(number(get(w, "/v1/block/latest", 200), "height"), 7);
    w->node.status.height = 7 + 64;
    (void)get(w, "/v1/block/latest", 404);
    w->node.status.height = 7;
    hex_path(path, "/v1/block/", &w->node.block->id, "");
    (void)get(w, path, 200);
    hex_path(path, "/v1/block/", &w->node.chunk->ref.chunk_id, "");
    (void)get(w, path, 404);
    (void)get(w, "/v1/block/18446744073709551616", 400);
    (void)get(w, "/v1/block/-1", 400);
    (void)get(w, "/v1/block/8", 404);
    w->node.block_err = DSMR_ERR_PRUNED;
    (void)get(w, "/v1/block/7", 410);
    expect_error(w, 410, "pruned");
    w->node.block_err = DSMR_OK;
    dsmr_executed_unref(w->node.executed);
    w->node.executed = NULL;
    assert_true(is_null(get(w, "/v1/block/7", 200), "executed"));
}

static void executed_transactions_come_in_pages(void **state)
{
    struct world *w = *state;
    fill(w);
    const json_t *page = get(w, "/v1/block/7/txs?limit=2", 200);
    assert_int_equal(json_array_size(json_object_get(page, "txs")), 2);
    assert_string_equal(text(page, "next_cursor"), "2");
    const json_t *second = json_array_get(json_object_get(page, "txs"), 1);
    assert_int_equal(number(second, "code"), 2);
    assert_string_equal(text(second, "fee"), "18446744073709551615");
    page = get(w, "/v1/block/7/txs?cursor=2&limit=2", 200);
    assert_int_equal(json_array_size(json_object_get(page, "txs")), 1);
    assert_true(is_null(page, "next_cursor"));
    w->node.status.height = 9; /* and executed is 7 */
    page = get(w, "/v1/block/latest/txs?cursor=18446744073709551615", 200);
    assert_int_equal(json_array_size(json_object_get(page, "txs")), 0);
    (void)get(w, "/v1/block/7/txs?limit=0", 400);
    (void)get(w, "/v1/block/7/txs?limit=1001", 400);
    (void)get(w, "/v1/block/7/txs?limit=1000", 200);
    (void)get(w, "/v1/block/7/txs?cursor=x", 400);
    (void)get(w, "/v1/block/6/txs", 410);
    (void)get(w, "/v1/block/nothing/txs", 400);
}

/* The last answer is a page of count transactions from first on, of three. */
static void expect_results(struct world *w, uint32_t first, uint32_t count)
{
    struct dsmr_results_page page;
    const uint8_t *bytes = (const uint8_t *)w->reply.body;
    size_t len = w->reply.body_len;
    assert_string_equal(w->reply.content_type, "application/octet-stream");
    assert_int_equal(dsmr_results_page_decode(&page, bytes, len), DSMR_OK);
    assert_int_equal(page.height, 7);
    assert_true(dsmr_id_equal(&page.state_root, &w->node.executed->state_root));
    assert_int_equal(page.tx_count, 3);
    assert_int_equal(page.first, first);
    assert_int_equal(page.count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct dsmr_results_page_tx tx;
        dsmr_results_page_tx_decode(&tx, &page, i);
        assert_true(dsmr_id_equal(&tx.id, &w->node.executed->ids[first + i]));
        assert_int_equal(tx.code, w->node.executed->results[first + i].code);
        assert_true(tx.fee == w->node.executed->results[first + i].fee);
    }
}

static void results_come_as_bytes(void **state)
{
    struct world *w = *state;
    char path[160];
    fill(w);
    (void)get(w, "/v1/block/7/results", 200);
    expect_results(w, 0, 3);
    (void)get(w, "/v1/block/latest/results?limit=2", 200);
    expect_results(w, 0, 2);
    hex_path(path, "/v1/block/", &w->node.block->id, "/results?cursor=2&limit=8192");
    (void)get(w, path, 200);
    expect_results(w, 2, 1);
    (void)get(w, "/v1/block/7/results?cursor=18446744073709551615", 200);
    expect_results(w, 3, 0);
    (void)get(w, "/v1/block/7/results?limit=0", 400);
    (void)get(w, "/v1/block/7/results?limit=8193", 400);
    expect_error(w, 400, "bad_request");
    (void)get(w, "/v1/block/7/results?cursor=x", 400);
    (void)get(w, "/v1/block/6/results", 410);
    (void)get(w, "/v1/block/nothing/results", 400);
}

static void chunks_with_certificate_and_pages(void **state)
{
    struct world *w = *state;
    char path[160];
    fill(w);
    hex_path(path, "/v1/chunk/", &w->node.chunk->ref.chunk_id, "?limit=2");
    const json_t *chunk = get(w, path, 200);
    assert_int_equal(number(chunk, "tx_count"), 3);
    assert_int_equal(json_array_size(json_object_get(chunk, "txs")), 2);
    assert_string_equal(text(chunk, "next_cursor"), "2");
    assert_true(json_is_object(json_object_get(chunk, "cert")));
    w->node.has_cert = false;
    assert_true(is_null(get(w, path, 200), "cert"));
    hex_path(path, "/v1/chunk/", &w->node.block->id, "");
    (void)get(w, path, 404);
    (void)get(w, "/v1/chunk/7", 400);
}

static void validators_with_weights_as_strings(void **state)
{
    struct world *w = *state;
    (void)get(w, "/v1/validators", 503);
    expect_error(w, 503, "epoch_unknown");
    assert_int_equal(w->reply.retry_after_s, 1);
    fill(w);
    const json_t *set = get(w, "/v1/validators", 200);
    assert_string_equal(text(set, "total_weight"), "18446744073709551615");
    const json_t *second = json_array_get(json_object_get(set, "validators"), 1);
    assert_int_equal(json_array_size(json_object_get(second, "node_ids")), 2);
    assert_string_equal(text(second, "weight"), "1");
}

static void evidence_in_pages(void **state)
{
    struct world *w = *state;
    const json_t *page = get(w, "/v1/evidence", 200);
    assert_int_equal(json_array_size(json_object_get(page, "evidence")), 0);
    assert_true(is_null(page, "next_cursor"));
    fill(w);
    page = get(w, "/v1/evidence?limit=2", 200);
    assert_int_equal(json_array_size(json_object_get(page, "evidence")), 2);
    assert_string_equal(text(page, "next_cursor"), "2");
    page = get(w, "/v1/evidence?cursor=2&limit=2", 200);
    assert_int_equal(json_array_size(json_object_get(page, "evidence")), 1);
    assert_true(is_null(page, "next_cursor"));
}

static void accounts_are_the_applications(void **state)
{
    struct world *w = *state;
    (void)get(w, "/v1/accounts/abc", 404);
    expect_error(w, 404, "unknown");
    w->node.app_err = DSMR_ERR_MALFORMED;
    (void)get(w, "/v1/accounts/abc", 400);
    expect_error(w, 400, "bad_request");
    w->node.app_err = DSMR_OK;
    assert_string_equal(text(get(w, "/v1/accounts/dsmr1x", 200), "path"), "accounts/dsmr1x");
    (void)get(w, "/v1/accounts/..%2f", 400);
    (void)get(w, "/v1/accounts/a.b", 400);
    char longer[160] = "/v1/accounts/";
    memset(longer + 13, 'a', 128);
    (void)get(w, longer, 200);
    longer[13 + 128] = 'a';
    (void)get(w, longer, 400);
}

static void metrics_have_every_name(void **state)
{
    struct world *w = *state;
    dsmr_metrics_add(&w->node.metrics, DSMR_METRIC_CHUNKS_BUILT, 42);
    dsmr_metrics_count_error(&w->node.metrics, DSMR_ERR_BAD_SHARE);
    ask(w, "GET", "/metrics", NULL, 0);
    assert_int_equal(w->reply.status, 200);
    assert_non_null(strstr(w->reply.content_type, "text/plain; version=0.0.4"));
    assert_non_null(strstr(w->reply.body, "\ndsmr_chunks_built_total 42\n"));
    assert_non_null(strstr(w->reply.body, "# TYPE dsmr_peers gauge\n"));
    assert_non_null(strstr(w->reply.body, "\ndsmr_errors_total{name=\"bad_share\"} 1\n"));
    assert_null(strstr(w->reply.body, "name=\"ok\""));
#define NAMED(id, type, name, help) assert_non_null(strstr(w->reply.body, "\ndsmr_" name " "));
    DSMR_METRIC_MAP(NAMED)
#undef NAMED
#define NAMED(name, value, cls, sentence)                                                          \
    if (value != 0) {                                                                              \
        char line[96];                                                                             \
        (void)snprintf(line, sizeof(line), "\ndsmr_errors_total{name=\"%s\"} ",                    \
                       dsmr_err_name(DSMR_ERR_##name));                                            \
        assert_non_null(strstr(w->reply.body, line));                                              \
    }
    DSMR_ERR_MAP(NAMED)
#undef NAMED
}

static void histograms_are_cumulative_and_in_seconds(void **state)
{
    struct world *w = *state;
    struct dsmr_metrics *metrics = &w->node.metrics;
    dsmr_metrics_observe(metrics, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, 25, 1);
    dsmr_metrics_observe(metrics, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, 26, 1);
    dsmr_metrics_observe(metrics, DSMR_METRIC_HISTOGRAM_TX_CERTIFIED, 70001, 1);
    ask(w, "GET", "/metrics", NULL, 0);
    const char *at = strstr(w->reply.body, "# TYPE dsmr_tx_certified_seconds histogram\n");
    assert_non_null(at);
    static const char *const lines[] = {"\ndsmr_tx_certified_seconds_bucket{le=\"0.005\"} 0\n",
                                        "\ndsmr_tx_certified_seconds_bucket{le=\"0.025\"} 1\n",
                                        "\ndsmr_tx_certified_seconds_bucket{le=\"0.05\"} 2\n",
                                        "\ndsmr_tx_certified_seconds_bucket{le=\"60\"} 2\n",
                                        "\ndsmr_tx_certified_seconds_bucket{le=\"+Inf\"} 3\n",
                                        "\ndsmr_tx_certified_seconds_sum 70.052\n",
                                        "\ndsmr_tx_certified_seconds_count 3\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) { /* in this order */
        at = strstr(at, lines[i]);
        if (at == NULL) {
            fail_msg("not there, or not in order: %s", lines[i]);
        }
    }
    assert_non_null(strstr(w->reply.body, "\ndsmr_tx_executed_seconds_bucket{le=\"+Inf\"} 0\n"));
    assert_non_null(strstr(w->reply.body, "\ndsmr_tx_executed_seconds_sum 0.000\n"));
}

static void expect_reason(struct world *w, const char *path, int status, const char *code)
{
    const json_t *health = get(w, path, status);
    const json_t *reasons = json_object_get(health, "reasons");
    assert_string_equal(text(health, "status"), status == 200 ? "ok" : "unhealthy");
    assert_int_equal(json_array_size(reasons), code != NULL ? 1 : 0);
    if (code != NULL) {
        assert_string_equal(text(json_array_get(reasons, 0), "code"), code);
    }
}

static void health_gives_reasons(void **state)
{
    struct world *w = *state;
    struct dsmr_query_status *s = &w->node.status;
    expect_reason(w, "/health", 200, NULL);
    s->is_behind = true;
    expect_reason(w, "/health", 503, "behind");
    expect_reason(w, "/health/ready", 503, "behind");
    expect_reason(w, "/health/live", 200, NULL);
    s->is_behind = false;
    s->is_disk_low = true;
    expect_reason(w, "/health/ready", 503, "disk_low");
    s->is_disk_low = false;
    s->has_peers = false;
    expect_reason(w, "/health/ready", 503, "few_peers");
    s->is_started = false;
    expect_reason(w, "/health/ready", 503, "window_incomplete");
    s->is_started = s->has_peers = true;
    s->is_backlog_full = true;
    expect_reason(w, "/health/ready", 503, "backlog_full");
    s->is_backlog_full = false;
    s->needs_state_sync = true;
    expect_reason(w, "/health/ready", 503, "needs_state_sync");
    s->needs_state_sync = false;
    s->is_unserved = true;
    expect_reason(w, "/health/ready", 503, "not_served");
    expect_reason(w, "/health/live", 200, NULL);
    s->is_unserved = false;
    s->is_final_refused = true;
    expect_reason(w, "/health/ready", 503, "final_block_refused");
    s->is_final_refused = false;
    s->votes_from = UINT64_MAX;
    expect_reason(w, "/health/ready", 503, "votes_unknown");
    s->votes_from = 12;
    expect_reason(w, "/health", 503, "abstaining");
    expect_reason(w, "/health/live", 200, NULL);
    s->votes_from = 0;
    s->is_under_floor = true;
    expect_reason(w, "/health/ready", 503, "under_floor");
    s->is_under_floor = false;
    s->clock_offset_ms = 1000;
    expect_reason(w, "/health/ready", 200, NULL);
    s->clock_offset_ms = 1001;
    expect_reason(w, "/health/ready", 503, "clock_skew");
    s->clock_offset_ms = -1001;
    expect_reason(w, "/health/ready", 503, "clock_skew");
    s->clock_offset_ms = 0;
    s->is_halted = true;
    s->halt_reason = DSMR_ERR_HALTED;
    expect_reason(w, "/health/live", 503, "halted");
    s->halt_text = "the sentence that was logged";
    const json_t *reasons = json_object_get(get(w, "/health/live", 503), "reasons");
    assert_string_equal(text(json_array_get(reasons, 0), "message"), s->halt_text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(unknown_paths_and_methods),
        TEST(status_tells_numbers_and_halts),
        TEST(transactions_by_id),
        TEST(blocks_by_height_id_and_latest),
        TEST(executed_transactions_come_in_pages),
        TEST(results_come_as_bytes),
        TEST(chunks_with_certificate_and_pages),
        TEST(validators_with_weights_as_strings),
        TEST(evidence_in_pages),
        TEST(accounts_are_the_applications),
        TEST(metrics_have_every_name),
        TEST(histograms_are_cumulative_and_in_seconds),
        TEST(health_gives_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
